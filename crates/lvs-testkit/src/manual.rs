//! Manual pages held against the help of their programs, so that neither tells of an option that
//! the other does not know.
//!
//! An option counts as documented when it is an item of a list (`.It Fl -name`) in the section that
//! is asked for. Every `Fl -name` of that section must be in the help, and the other way round.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The source of a manual page, in mdoc(7).
#[derive(Debug)]
pub struct Manual {
    source: String,
}

impl Manual {
    /// Reads a page.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let source = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        Self { source }
    }

    /// Holds the section with this heading (`.Sh` or `.Ss`) against a help text. `--help` itself is
    /// left out: every command has it.
    ///
    /// # Panics
    ///
    /// When there is no such section, or one of the two has an option that the other lacks.
    #[track_caller]
    pub fn assert_documents(&self, heading: &str, help: &str) {
        let lines = self.section(heading);
        let (mut documented, mut mentioned) = (BTreeSet::new(), BTreeSet::new());
        for line in lines {
            let options = options_of_macros(line);
            if line.starts_with(".It ") {
                documented.extend(options.clone());
            }
            mentioned.extend(options);
        }
        let known = long_options(help);
        assert!(!known.is_empty(), "no option in this help:\n{help}");
        let missing: Vec<_> = known.difference(&documented).collect();
        let unknown: Vec<_> = mentioned.difference(&known).collect();
        assert!(
            missing.is_empty() && unknown.is_empty(),
            "section {heading:?}: not documented {missing:?}, not in the help {unknown:?}"
        );
    }

    /// The lines of a section, up to the next heading of its rank or above.
    #[track_caller]
    fn section(&self, heading: &str) -> Vec<&str> {
        let title = |line: &str| {
            let rest = line
                .strip_prefix(".Sh ")
                .or_else(|| line.strip_prefix(".Ss "));
            rest.is_some_and(|rest| rest.trim_matches('"') == heading)
        };
        let mut lines = self.source.lines().skip_while(|line| !title(line));
        let first = lines
            .next()
            .unwrap_or_else(|| panic!("no section {heading:?}"));
        let is_major = first.starts_with(".Sh ");
        lines
            .take_while(|line| {
                !(line.starts_with(".Sh ") || (line.starts_with(".Ss ") && !is_major))
            })
            .collect()
    }
}

/// What `program` prints when it is started so, on both of its outputs.
///
/// # Panics
///
/// When it cannot be started or does not end with status 0.
#[track_caller]
pub fn help_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?} fails");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).expect("help is text")
}

/// The commands that a help text lists, without `help`.
pub fn commands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// The long options at the beginning of a help text's lines, without `help`.
fn long_options(help: &str) -> BTreeSet<String> {
    let mut options = BTreeSet::new();
    for line in help.lines() {
        let line = line.trim_start();
        let is_short = line.starts_with('-') && line.get(2..4) == Some(", ");
        let line = if is_short { &line[4..] } else { line };
        if let Some(option) = line.trim_start().strip_prefix("--") {
            options.insert(name(option));
        }
    }
    options.remove("help");
    options
}

/// The long options that a line of macros names with `Fl`, without `help`.
fn options_of_macros(line: &str) -> BTreeSet<String> {
    if !line.starts_with('.') {
        return BTreeSet::new();
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let options = words.windows(2).filter_map(|pair| match pair {
        [macro_name, word] if macro_name.ends_with("Fl") => word.strip_prefix('-').map(name),
        _ => None,
    });
    options.filter(|option| option != "help").collect()
}

fn name(text: &str) -> String {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    text.chars().take_while(|letter| is_part(*letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Commands:\n  run   Run it\n        and more\n  help  Help\n\nOptions:\n  \
                        -q, --quiet  Hush\n      --log[=<FILE>]  Log, unlike --quiet\n  -h, --help\n";

    fn manual(items: &str) -> Manual {
        Manual {
            source: format!(".Sh OPTIONS\n.Bl -tag\n{items}.El\n.Sh FILES\n.It Fl -other\n"),
        }
    }

    #[test]
    fn a_complete_page_passes() {
        let page = manual(
            ".It Fl q , Fl -quiet\nHush.\n.It Fl -log Ns Op = Ns Ar FILE\nNot\n.Fl -quiet .\n",
        );
        page.assert_documents("OPTIONS", HELP);
        assert_eq!(commands(HELP), ["run"]);
    }

    #[test]
    #[should_panic(expected = "not documented [\"log\"]")]
    fn what_the_page_lacks_is_named() {
        manual(".It Fl q , Fl -quiet\n.Fl -log\n").assert_documents("OPTIONS", HELP);
    }

    #[test]
    #[should_panic(expected = "not in the help [\"louder\"]")]
    fn what_the_program_lacks_is_named() {
        manual(".It Fl -quiet\n.It Fl -log\n.It Fl -louder\n").assert_documents("OPTIONS", HELP);
    }
}
