//! Splits a command line into options as popt does for ipvsadm.
//!
//! Design: knows the table of flags and nothing of values, so that its rules stand alone: clusters,
//! attached values, the optional value of `-p`, words between options.

use crate::command::Dialect;
use crate::exit::{Failure, Outcome};
use crate::flags::{self, Arity, Flag};

/// One option as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) flag: &'static Flag,
    pub(crate) value: Option<&'a [u8]>,
    /// Which word it stood in, from 0.
    pub(crate) place: usize,
    /// The last word that it took, for messages: the one that it stood in, or its value's.
    pub(crate) word: &'a [u8],
}

/// Walks over the words of a command line.
#[derive(Debug)]
pub(crate) struct Words<'a> {
    all: &'a [&'a [u8]],
    rest: std::slice::Iter<'a, &'a [u8]>,
    /// What is left of a cluster, and the whole of it.
    cluster: Option<(&'a [u8], &'a [u8])>,
    /// Words that are no options, and which they are, from 0.
    pub(crate) stray: Vec<(usize, &'a [u8])>,
    dialect: Dialect,
}

impl<'a> Words<'a> {
    pub(crate) fn new(arguments: &'a [&'a [u8]], dialect: Dialect) -> Self {
        Self {
            all: arguments,
            rest: arguments.iter(),
            cluster: None,
            stray: Vec::new(),
            dialect,
        }
    }

    /// Which word was taken last, from 0.
    pub(crate) fn position(&self) -> usize {
        (self.all.len() - self.rest.len()).saturating_sub(1)
    }

    /// The next option, or `None` when there is none any more.
    pub(crate) fn next(&mut self) -> Outcome<Option<Found<'a>>> {
        loop {
            if let Some((letters, word)) = self.cluster.take() {
                return self.short(letters, word).map(Some);
            }
            let Some(word) = self.rest.next() else {
                return Ok(None);
            };
            match *word {
                b"--" => self.end(),
                [b'-', b'-', name @ ..] => return self.long(name, word).map(Some),
                [b'-', letters @ ..] if !letters.is_empty() => {
                    self.cluster = Some((letters, word));
                }
                _ => {
                    self.stray.push((self.position(), word));
                    if self.dialect.posix {
                        self.end();
                    }
                }
            }
        }
    }

    /// Takes all that is left for stray words.
    fn end(&mut self) {
        let first = self.all.len() - self.rest.len();
        let rest = self.rest.by_ref().copied();
        self.stray.extend((first..).zip(rest));
    }

    fn long(&mut self, name: &'a [u8], word: &'a [u8]) -> Outcome<Found<'a>> {
        let (name, attached) = match name.iter().position(|byte| *byte == b'=') {
            Some(at) => (&name[..at], name.get(at + 1..)),
            None => (name, None),
        };
        let unknown = || Failure::option(word, "unknown option");
        let flag = flags::long(name)
            .filter(|flag| !flag.ours || !self.dialect.ipvsadm)
            .ok_or_else(unknown)?;
        self.finish(flag, attached, word)
    }

    fn short(&mut self, letters: &'a [u8], word: &'a [u8]) -> Outcome<Found<'a>> {
        let unknown = || Failure::option(word, "unknown option");
        let (letter, rest) = letters.split_first().ok_or_else(unknown)?;
        let flag = flags::short(*letter).ok_or_else(unknown)?;
        let attached = match rest {
            [] => None,
            [b'=', value @ ..] => Some(value),
            rest if flag.arity != Arity::None => Some(rest),
            rest => {
                self.cluster = Some((rest, word));
                None
            }
        };
        self.finish(flag, attached, word)
    }

    fn finish(
        &mut self,
        flag: &'static Flag,
        attached: Option<&'a [u8]>,
        word: &'a [u8],
    ) -> Outcome<Found<'a>> {
        let place = self.position();
        let value = match (flag.arity, attached) {
            (Arity::None, None) => None,
            (Arity::None, Some(_)) => {
                return Err(Failure::option(word, "option does not take an argument"));
            }
            (_, Some(attached)) => Some(attached),
            (Arity::Value, None) => {
                let missing = || Failure::option(word, "missing argument");
                let value = self.rest.next().ok_or_else(missing)?;
                return Ok(Found {
                    flag,
                    place,
                    value: Some(value),
                    word: value,
                });
            }
            (Arity::Optional, None) => match self.rest.as_slice().first() {
                Some(next) if !next.starts_with(b"-") => self.rest.next().copied(),
                _ => None,
            },
        };
        Ok(Found {
            flag,
            place,
            value,
            word,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Options as `long=value`, stray words behind `|`, or the message.
    fn split(line: &str) -> String {
        let arguments: Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
        let mut words = Words::new(&arguments, Dialect::default());
        let mut text = String::new();
        loop {
            match words.next() {
                Ok(Some(Found { flag, value, .. })) => {
                    text += flag.long;
                    if let Some(value) = value {
                        text += &format!("={}", String::from_utf8_lossy(value));
                    }
                    text += " ";
                }
                Ok(None) => break,
                Err(failure) => return String::from_utf8(failure.message).unwrap(),
            }
        }
        let stray: Vec<_> = words
            .stray
            .iter()
            .map(|(_, word)| String::from_utf8_lossy(word))
            .collect();
        text + "| " + &stray.join(" ")
    }

    #[test]
    fn values_attach_in_five_ways() {
        let expected = "add-service scheduler=rr | ";
        for line in [
            "-A -s rr",
            "-A -srr",
            "-A -s=rr",
            "-A --scheduler rr",
            "-A --scheduler=rr",
        ] {
            assert_eq!(split(line), expected, "{line}");
        }
        assert_eq!(split("-As rr"), expected);
        assert_eq!(split("-A -w -1"), "add-service weight=-1 | ");
        assert_eq!(split("-A -s="), "add-service scheduler= | ");
        assert_eq!(split("-a -mw5"), "add-server masquerading weight=5 | ");
    }

    #[test]
    fn the_value_of_p_is_optional() {
        assert_eq!(
            split("-A -p -s rr 5"),
            "add-service persistent scheduler=rr | 5"
        );
        assert_eq!(split("-A -p 5"), "add-service persistent=5 | ");
        assert_eq!(split("-A -ps rr"), "add-service persistent=s | rr");
        assert_eq!(split("-A -p -5"), "-5: unknown option\n");
        assert_eq!(split("-A -p -"), "add-service persistent | -");
        assert_eq!(split("-A -p -- 5"), "add-service persistent | 5");
        assert_eq!(split("-A -p="), "add-service persistent= | ");
    }

    #[test]
    fn errors_name_the_word_as_typed() {
        assert_eq!(split("-LnQ"), "-LnQ: unknown option\n");
        assert_eq!(split("-A --bogus"), "--bogus: unknown option\n");
        assert_eq!(split("-A -s"), "-s: missing argument\n");
        assert_eq!(split("-A --scheduler"), "--scheduler: missing argument\n");
        assert_eq!(
            split("-A --ops=3"),
            "--ops=3: option does not take an argument\n"
        );
    }

    #[test]
    fn words_stand_anywhere() {
        assert_eq!(split("foo -L bar -n"), "list numeric | foo bar");
        assert_eq!(split("-A -- -s rr"), "add-service | -s rr");
    }

    #[test]
    fn posix_ends_options_at_the_first_word() {
        let arguments = [b"foo".as_slice(), b"-L"];
        let mut words = Words::new(
            &arguments,
            Dialect {
                posix: true,
                ..Dialect::default()
            },
        );
        assert!(words.next().unwrap().is_none());
        assert_eq!(words.stray, [(0, arguments[0]), (1, arguments[1])]);
    }
}
