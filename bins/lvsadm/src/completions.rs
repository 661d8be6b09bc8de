//! Completions for shells, from the tables of flags and of additions.

use std::fmt::Write as _;
use std::io::Write;

use crate::additions::{ADDITIONS, Addition};
use crate::exit::{Failure, Outcome};
use crate::flags::{Arity, FLAGS, Flag, Meaning, Verb};

/// Prints those for a shell.
pub(crate) fn write(out: &mut impl Write, shell: &[u8]) -> Outcome<()> {
    let text = match shell {
        b"bash" => bash(),
        b"zsh" => zsh(),
        b"fish" => fish(),
        other => {
            let shell = String::from_utf8_lossy(other);
            let message = format!("lvsadm completions: {shell}: not bash, zsh or fish");
            return Err(Failure::usage(message));
        }
    };
    let _ = out.write_all(text.as_bytes());
    Ok(())
}

/// The values of an option that can be listed.
fn values(long: &str) -> &'static str {
    match long {
        "scheduler" => "rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos",
        "sched-flags" => "sh-fallback sh-port mh-fallback mh-port flag-1 flag-2 flag-3",
        "pe" => "sip",
        "tun-type" => "ipip gue gre",
        "start-daemon" | "stop-daemon" => "master backup",
        _ => "",
    }
}

/// All rows that are explained; `-l` is another name of `-L`.
fn flags() -> impl Iterator<Item = &'static Flag> {
    FLAGS.iter().filter(|flag| !flag.help.is_empty())
}

/// All ways to write an option.
fn spellings(flag: &Flag) -> Vec<String> {
    let short = flag.short.map(|letter| format!("-{}", char::from(letter)));
    short
        .into_iter()
        .chain([format!("--{}", flag.long)])
        .collect()
}

fn options(addition: &Addition) -> Vec<String> {
    let spell = |choice: &crate::additions::Choice| {
        let short = choice
            .short
            .map(|letter| format!("-{}", char::from(letter)));
        short
            .into_iter()
            .chain([format!("--{}", choice.long)])
            .collect::<Vec<_>>()
    };
    addition.options.iter().flat_map(spell).collect()
}

/// What an addition's argument may be.
fn arguments(addition: &Addition) -> &'static str {
    match addition.argument {
        "SHELL" => "bash zsh fish",
        _ => "",
    }
}

fn bash() -> String {
    let mut text = String::from(
        "_lvsadm() {\n    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n    \
         local words=\n    case $prev in\n",
    );
    for flag in flags().filter(|flag| !values(flag.long).is_empty()) {
        let names = spellings(flag).join("|");
        let _ = writeln!(text, "    {names}) words='{}';;", values(flag.long));
    }
    text += "    --socket) COMPREPLY=($(compgen -f -- \"$cur\")); return;;\n    esac\n    \
             if [ -z \"$words\" ]; then case $COMP_CWORD:${COMP_WORDS[1]} in\n";
    let commands: Vec<String> = flags()
        .filter(|flag| matches!(flag.meaning, Meaning::Verb(_)))
        .flat_map(spellings)
        .chain(ADDITIONS.iter().map(|addition| addition.name.to_owned()))
        .collect();
    let _ = writeln!(text, "    1:*) words='{} --socket';;", commands.join(" "));
    for addition in ADDITIONS {
        let words = options(addition).join(" ");
        let name = addition.name;
        let _ = match addition.argument {
            "FILE" => writeln!(
                text,
                "    *:{name}) COMPREPLY=($(compgen -f -W '{words}' -- \"$cur\")); return;;"
            ),
            _ => writeln!(
                text,
                "    *:{name}) words='{words} {}';;",
                arguments(addition)
            ),
        };
    }
    let rest: Vec<String> = flags()
        .filter(|flag| !matches!(flag.meaning, Meaning::Verb(_)))
        .flat_map(spellings)
        .collect();
    let _ = writeln!(text, "    *) words='{} --socket';;", rest.join(" "));
    text += "    esac; fi\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n\
             complete -F _lvsadm lvsadm\n";
    text
}

fn zsh() -> String {
    let mut text =
        String::from("#compdef lvsadm\n\n_lvsadm() {\n    local state\n    _arguments -s -S \\\n");
    for flag in flags() {
        let names = spellings(flag);
        let help = plain(flag.help);
        let values = values(flag.long);
        let value = match (flag.arity, flag.meaning) {
            (Arity::None, Meaning::Verb(Verb::Set)) | (Arity::None, _) => String::new(),
            (Arity::Value, _) => format!(":{}:({values})", flag.long),
            (Arity::Optional, _) => format!("::{}: ", flag.long),
        };
        let spelt = match names.as_slice() {
            [short, long] => format!("'({short} {long})'{{{short},{long}}}'[{help}]{value}'"),
            names => format!("'{}[{help}]{value}'", names.join("")),
        };
        let _ = writeln!(text, "        {spelt} \\");
    }
    text += "        '--socket[talk to the lvsd that listens there]:socket:_files' \\\n        \
             '1::command:->command' '*::argument:->argument'\n    case $state in\n    command)\n        \
             local -a commands=(\n";
    for addition in ADDITIONS {
        let _ = writeln!(
            text,
            "            '{}:{}'",
            addition.name,
            plain(addition.help)
        );
    }
    text += "        )\n        _describe command commands;;\n    argument)\n        case $words[1] in\n";
    for addition in ADDITIONS {
        let listed: Vec<String> = addition
            .options
            .iter()
            .map(|choice| format!("'--{}[{}]'", choice.long, plain(choice.help)))
            .collect();
        let argument = match addition.argument {
            "FILE" => "'1:file:_files'".to_owned(),
            "SHELL" => format!("'1:shell:({})'", arguments(addition)),
            _ => String::new(),
        };
        let _ = writeln!(
            text,
            "        {}) _arguments {} {argument};;",
            addition.name,
            listed.join(" ")
        );
    }
    // A file of the function path is the function's body when it is first called; a file that is
    // sourced says whose function it is.
    text += "        esac;;\n    esac\n}\n\nif [ \"$funcstack[1]\" = \"_lvsadm\" ]; then\n    \
             _lvsadm \"$@\"\nelse\n    compdef _lvsadm lvsadm\nfi\n";
    text
}

/// What may stand between brackets and apostrophes.
fn plain(help: &str) -> String {
    help.replace(": ", " - ")
        .replace(['[', ']', ':'], " ")
        .replace('\'', "’")
}

fn fish() -> String {
    let mut text = String::from("complete -c lvsadm -f\n");
    for flag in flags() {
        let short = flag
            .short
            .map(|letter| format!(" -s {}", char::from(letter)))
            .unwrap_or_default();
        let value = match (flag.arity, values(flag.long)) {
            (Arity::Value, "") => " -x".to_owned(),
            (Arity::Value, values) => format!(" -xa '{values}'"),
            _ => String::new(),
        };
        let (long, help) = (flag.long, plain(flag.help));
        let _ = writeln!(
            text,
            "complete -c lvsadm{short} -l {long}{value} -d '{help}'"
        );
    }
    text += "complete -c lvsadm -l socket -rF -d 'talk to the lvsd that listens there'\n";
    for addition in ADDITIONS {
        let (name, help) = (addition.name, plain(addition.help));
        let _ = writeln!(
            text,
            "complete -c lvsadm -n __fish_use_subcommand -a {name} -d '{help}'"
        );
        let seen = format!("complete -c lvsadm -n '__fish_seen_subcommand_from {name}'");
        match addition.argument {
            "FILE" => text += &format!("{seen} -F\n"),
            "SHELL" => text += &format!("{seen} -a '{}'\n", arguments(addition)),
            _ => {}
        }
        for choice in addition.options {
            let short = choice
                .short
                .map(|letter| format!(" -s {}", char::from(letter)))
                .unwrap_or_default();
            let value = if choice.value.is_empty() { "" } else { " -x" };
            let (long, help) = (choice.long, plain(choice.help));
            let _ = writeln!(text, "{seen}{short} -l {long}{value} -d '{help}'");
        }
    }
    text
}
