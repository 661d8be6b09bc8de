//! `lvsd config FILE`: a configuration with everything expanded, or as it is meant.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kconf_parser::compare::{is_value, plain};
use kconf_parser::{DiskLoader, Secrets, analyze, render, secret, tree};
use serde_json::Value;

use crate::colour;
use crate::files::{Reading, print, say, secrets};

/// Flags of `lvsd config`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without an option, prints the configuration as one keepalived.conf: includes read in, definitions
and repetitions expanded, lines of other nodes left out. With --resolved, --json or --toml, prints
what it means, with every default filled in. What is wrong goes to standard error.
Passwords and keys are covered, so that the output can be shown to others; to run it as a
configuration, print it with --show-secrets.

Examples:
  lvsd config keepalived.conf
  lvsd config --resolved keepalived.conf | grep -A20 'service'
  lvsd config --json keepalived.conf | jq -r '.services[].real_servers[].address'

Exit status:
  0  printed
  1  the configuration has an error (what could be read is printed), or the command line is wrong")]
pub(crate) struct Config {
    /// The configuration file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print every setting with its value, defaults included.
    #[arg(long, group = "form")]
    resolved: bool,
    /// Print the same as JSON; times have `secs` and `nanos`.
    #[arg(long, group = "form")]
    json: bool,
    /// Print the same as TOML.
    #[arg(long, group = "form")]
    toml: bool,
    /// Print passwords and keys, which are covered otherwise.
    #[arg(long)]
    show_secrets: bool,
    #[command(flatten)]
    reading: Reading,
}

/// Prints a configuration.
pub(crate) fn run(config: &Config) -> ExitCode {
    let analysis = analyze(&config.file, &config.reading.options(), &DiskLoader);
    say(&render::human(&analysis, colour::is_wanted(&io::stderr())));
    let secrets = secrets(config.show_secrets);
    let value = || {
        // Plain data: this cannot fail.
        let mut value = serde_json::to_value(&analysis.config).unwrap_or_default();
        if secrets == Secrets::Covered {
            secret::cover(&mut value);
        }
        value
    };
    if config.json {
        print(&format!("{:#}\n", value()));
    } else if config.toml {
        match toml::to_string(&without_nulls(value())) {
            Ok(text) => print(&text),
            Err(error) => {
                say(&format!(
                    "lvsd config: this cannot be written as TOML: {error}\n"
                ));
                return ExitCode::FAILURE;
            }
        }
    } else if config.resolved {
        let mut text = String::new();
        outline(&value(), 0, &mut text);
        print(&text);
    } else {
        print(&tree::print(
            &analysis.tree(),
            analysis.sources.text(),
            secrets,
        ));
    }
    match analysis.has_errors() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// TOML has no word for nothing.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !value.is_null());
            members
                .map(|(name, value)| (name, without_nulls(value)))
                .collect()
        }
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        value => value,
    }
}

/// Names and values, indented by what they belong to.
fn outline(value: &Value, level: usize, text: &mut String) {
    let pad = "  ".repeat(level);
    let Value::Object(members) = value else {
        let _ = writeln!(text, "{pad}{}", plain(Some(value)));
        return;
    };
    for (name, value) in members {
        match value {
            Value::Array(list) if list.iter().any(Value::is_object) => {
                for value in list {
                    let _ = writeln!(text, "{pad}{}:", name.strip_suffix('s').unwrap_or(name));
                    outline(value, level + 1, text);
                }
            }
            Value::Object(inner)
                if !is_value(inner) && inner.values().any(|value| !value.is_number()) =>
            {
                let _ = writeln!(text, "{pad}{name}:");
                outline(value, level + 1, text);
            }
            value => {
                let _ = writeln!(text, "{pad}{name}: {}", plain(Some(value)));
            }
        }
    }
}
