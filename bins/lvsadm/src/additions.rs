//! What lvsadm adds to ipvsadm: commands that are words, such as `lvsadm apply FILE`.
//!
//! Design: one table, from which they are read, explained and completed. They exist under any name
//! but `ipvsadm`, which has no such words.

use std::io::Write;

use crate::dataplane::{self, Wanted};
use crate::exit::{Failure, Outcome};
use crate::{completions, help, sync, top};

/// An option of such a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) short: Option<u8>,
    pub(crate) long: &'static str,
    /// The value's name; empty if it takes none.
    pub(crate) value: &'static str,
    pub(crate) help: &'static str,
}

/// A command that is a word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addition {
    pub(crate) name: &'static str,
    /// The name of its one argument; empty if it takes none.
    pub(crate) argument: &'static str,
    pub(crate) help: &'static str,
    pub(crate) options: &'static [Choice],
}

const JSON: Choice = Choice {
    short: None,
    long: "json",
    value: "",
    help: "print JSON, a line for each change or reading",
};

/// All of them.
pub(crate) const ADDITIONS: &[Addition] = &[
    Addition {
        name: "save",
        argument: "",
        help: "print all of the table, timeouts and sync daemons, so that apply makes it again",
        options: &[],
    },
    Addition {
        name: "apply",
        argument: "FILE",
        help: "change only what differs from FILE (- is standard input), printing each change",
        options: &[
            Choice {
                short: None,
                long: "dry-run",
                value: "",
                help: "change nothing",
            },
            JSON,
        ],
    },
    Addition {
        name: "diff",
        argument: "FILE",
        help: "show what differs from FILE; exit status 0 nothing, 1 something, 2 trouble",
        options: &[JSON],
    },
    Addition {
        name: "top",
        argument: "",
        help: "watch the rates, the busiest first",
        options: &[
            Choice {
                short: None,
                long: "seconds",
                value: "N",
                help: "from one reading to the next, 2 by default",
            },
            Choice {
                short: Some(b'n'),
                long: "rounds",
                value: "N",
                help: "readings, endless by default",
            },
            JSON,
        ],
    },
    Addition {
        name: "completions",
        argument: "SHELL",
        help: "print the completions for bash, zsh or fish",
        options: &[],
    },
    Addition {
        name: "version",
        argument: "",
        help: "print the version of lvskit",
        options: &[],
    },
    Addition {
        name: "help",
        argument: "",
        help: "print this, also where there is no IPVS",
        options: &[],
    },
];

/// The command that a command line begins with, if it is one of these.
pub(crate) fn find(arguments: &[Vec<u8>]) -> Option<&'static Addition> {
    let word = arguments.first()?;
    ADDITIONS
        .iter()
        .find(|addition| addition.name.as_bytes() == word.as_slice())
}

/// Does it. Returns the exit status.
pub(crate) fn run(
    addition: &'static Addition,
    arguments: &[Vec<u8>],
    wanted: &Wanted<'_>,
    program: &[u8],
    out: &mut impl Write,
) -> Outcome<u8> {
    let given = Given::read(addition, arguments)?;
    let open = || dataplane::open(wanted);
    match addition.name {
        "help" => help::usage(out, program),
        "version" => {
            let _ = writeln!(out, "lvskit v{}", env!("CARGO_PKG_VERSION"));
        }
        "completions" => completions::write(out, &given.argument)?,
        "save" => return sync::save(&mut open()?.0, out),
        "apply" => {
            let wished = sync::wished(&given.argument)?;
            let (json, dry_run) = (given.has("json"), given.has("dry-run"));
            return sync::apply(&wished, &mut open()?.0, json, dry_run, out);
        }
        "diff" => {
            let wished = sync::wished(&given.argument)?;
            return sync::diff(&wished, &mut open()?.0, given.has("json"), out);
        }
        _ => {
            let plan = top::Plan {
                seconds: given.number("seconds")?.unwrap_or(2),
                rounds: given.number("rounds")?,
                json: given.has("json"),
            };
            let (mut client, info) = open()?;
            top::run(&plan, &mut client, &info, out)?;
        }
    }
    Ok(0)
}

/// What was written behind the command.
struct Given {
    addition: &'static Addition,
    argument: Vec<u8>,
    options: Vec<(&'static str, Vec<u8>)>,
}

impl Given {
    fn read(addition: &'static Addition, arguments: &[Vec<u8>]) -> Outcome<Self> {
        let mut given = Self {
            addition,
            argument: Vec::new(),
            options: Vec::new(),
        };
        let mut words = arguments.iter().skip(1);
        let mut found = false;
        while let Some(word) = words.next() {
            let (name, attached) = match word.iter().position(|byte| *byte == b'=') {
                Some(at) if word.starts_with(b"--") => (&word[..at], word.get(at + 1..)),
                _ => match word.split_at_checked(2) {
                    Some((name @ [b'-', letter], value))
                        if *letter != b'-' && !value.is_empty() =>
                    {
                        (name, Some(value))
                    }
                    _ => (word.as_slice(), None),
                },
            };
            let choice = addition.options.iter().find(|choice| match name {
                [b'-', b'-', long @ ..] => choice.long.as_bytes() == long,
                [b'-', letter] => choice.short == Some(*letter),
                _ => false,
            });
            match choice {
                Some(choice) if choice.value.is_empty() && attached.is_none() => {
                    given.options.push((choice.long, Vec::new()));
                }
                Some(choice) if !choice.value.is_empty() => {
                    let value = attached.or_else(|| words.next().map(Vec::as_slice));
                    let value = value.ok_or_else(|| given.wrong(word, "missing argument"))?;
                    given.options.push((choice.long, value.to_vec()));
                }
                Some(_) => return Err(given.wrong(word, "option does not take an argument")),
                None if word.len() > 1 && word.starts_with(b"-") => {
                    return Err(given.wrong(word, "unknown option"));
                }
                None if found || addition.argument.is_empty() => {
                    return Err(given.wrong(word, "unexpected argument"));
                }
                None => {
                    found = true;
                    given.argument.clone_from(word);
                }
            }
        }
        if !found && !addition.argument.is_empty() {
            return Err(given.wrong(addition.argument.as_bytes(), "missing argument"));
        }
        Ok(given)
    }

    fn wrong(&self, word: &[u8], what: &str) -> Failure {
        let message = [
            b"lvsadm ",
            self.addition.name.as_bytes(),
            b": ",
            word,
            b": ",
            what.as_bytes(),
            b"; see lvsadm help",
        ];
        Failure::usage(message.concat())
    }

    fn has(&self, long: &str) -> bool {
        self.options.iter().any(|(name, _)| *name == long)
    }

    fn number(&self, long: &str) -> Outcome<Option<u64>> {
        let Some((_, text)) = self.options.iter().find(|(name, _)| *name == long) else {
            return Ok(None);
        };
        match crate::value::number(text, 1, u32::MAX.into()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(text, "not a number from 1 to 4294967295")),
        }
    }
}
