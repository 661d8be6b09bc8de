//! Definitions and repetitions: `$NAME=`, `$NAME`, `${NAME}`, `~SEQ`, `~SEQx`, `~LST`.
//!
//! Pure functions on one line. Which lines they are called for, and how far expansion may go,
//! is decided in `expand`.

use std::ops::Range;

/// A use of a name in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    /// `$NAME` or `${NAME args}` with its sign and braces.
    pub(crate) range: Range<usize>,
    /// The name.
    pub(crate) name: Range<usize>,
    /// What stands between the name and the closing brace; empty without braces.
    pub(crate) args: Range<usize>,
}

/// The first use of a name at or after `from`.
///
/// `$NAME` counts only before a blank, `,`, `)` or the end of the line; `${NAME}` everywhere.
pub(crate) fn next_use(line: &str, from: usize) -> Option<Use> {
    let mut from = from;
    while let Some(found) = line.get(from..)?.find('$') {
        let at = from + found;
        let rest = line.get(at + 1..)?;
        let braced = rest.starts_with('{');
        let name_start = at + 1 + usize::from(braced);
        let name_end = name_start + name_len(line.get(name_start..)?);
        let after = line.get(name_end..)?;
        if name_end > name_start {
            if braced {
                let close = after
                    .find('}')
                    .filter(|_| after.starts_with(['}', ' ', '\t']));
                if let Some(close) = close {
                    let args = name_end..name_end + close;
                    let range = at..name_end + close + 1;
                    return Some(Use {
                        range,
                        name: name_start..name_end,
                        args,
                    });
                }
            } else if after.is_empty() || after.starts_with([' ', '\t', ',', ')', '\r', '\n']) {
                let args = name_end..name_end;
                return Some(Use {
                    range: at..name_end,
                    name: name_start..name_end,
                    args,
                });
            }
        }
        from = at + 1;
    }
    None
}

/// The name and the start of the value if the line is a definition, `$NAME=VALUE`.
pub(crate) fn definition(line: &str) -> Option<(Range<usize>, usize)> {
    let start = line.len() - line.trim_start().len() + 1;
    let rest = line.trim_start().strip_prefix('$')?;
    let len = name_len(rest);
    let value = rest.get(len..)?.strip_prefix('=')?;
    let value = value.trim_start_matches([' ', '\t']);
    (len > 0).then_some((start..start + len, line.len() - value.len()))
}

/// Length of the name `[A-Za-z_][A-Za-z0-9_]*` at the start.
fn name_len(text: &str) -> usize {
    match text.as_bytes().first() {
        Some(first) if first.is_ascii_alphabetic() || *first == b'_' => {
            let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            text.bytes()
                .position(|byte| !word(&byte))
                .unwrap_or(text.len())
        }
        _ => 0,
    }
}

/// Where a comment begins, if there is one: `#` or `!` outside quotes and without a backslash.
pub(crate) fn comment_start(line: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'#' | b'!' if !quoted && !escaped => return Some(at),
            _ => {}
        }
        escaped = byte == b'\\' && !quoted;
    }
    None
}

/// Whether byte `at` of a line stands in double quotes.
pub(crate) fn is_quoted(line: &str, at: usize) -> bool {
    line.bytes().take(at).filter(|byte| *byte == b'"').count() % 2 == 1
}

/// A repetition at the start of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repetition {
    /// The names that are set in each round.
    pub(crate) names: Vec<String>,
    /// Their values, round by round.
    pub(crate) rounds: Rounds,
    /// Where the text that is repeated begins.
    pub(crate) rest: usize,
}

/// The values of a repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rounds {
    /// `~SEQ` and `~SEQx`: from, step, how many, hexadecimal.
    Numbers {
        start: i64,
        step: i64,
        count: u64,
        hex: bool,
    },
    /// `~LST`: a value for each name.
    Lists(Vec<Vec<String>>),
}

impl Rounds {
    /// How many rounds.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Numbers { count, .. } => *count,
            Self::Lists(lists) => lists.len() as u64,
        }
    }

    /// The values of one round.
    pub(crate) fn values(&self, round: u64) -> Vec<String> {
        match self {
            Self::Numbers {
                start, step, hex, ..
            } => {
                let value = start.wrapping_add(step.wrapping_mul(round.cast_signed()));
                vec![if *hex {
                    format!("{value:x}")
                } else {
                    value.to_string()
                }]
            }
            Self::Lists(lists) => {
                let round = usize::try_from(round).unwrap_or(usize::MAX);
                lists.get(round).cloned().unwrap_or_default()
            }
        }
    }
}

/// Reads the repetition that begins a line; `None` if none does, `Err` says what is wrong.
pub(crate) fn repetition(line: &str) -> Option<Result<Repetition, &'static str>> {
    let start = line.len() - line.trim_start().len();
    let text = line.get(start..)?;
    let (kind, rest) = ["~SEQx", "~SEQ", "~LST"]
        .iter()
        .find_map(|kind| Some((*kind, text.strip_prefix(kind)?.trim_start())))?;
    let Some(inner) = rest.strip_prefix('(') else {
        return Some(Err("`(` must follow"));
    };
    let Some(close) = inner.find(')') else {
        return Some(Err("`)` is missing"));
    };
    let (inner, after) = inner.split_at(close);
    let rest = line.len() - after.len() + 1;
    let made = match kind {
        "~LST" => list(inner),
        _ => sequence(inner, kind == "~SEQx"),
    };
    Some(made.map(|(names, rounds)| Repetition {
        names,
        rounds,
        rest,
    }))
}

fn sequence(inner: &str, hex: bool) -> Result<(Vec<String>, Rounds), &'static str> {
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    let Some((name, numbers)) = parts.split_first() else {
        return Err("a name must come first");
    };
    if !is_name(name) {
        return Err("a name must come first");
    }
    let number = |text: &&str| {
        let value = match text.strip_prefix("0x").filter(|_| hex) {
            Some(digits) => i64::from_str_radix(digits, 16).ok(),
            None => text.parse::<i64>().ok(),
        };
        value.filter(|value| !hex || *value >= 0)
    };
    let Some(numbers) = numbers.iter().map(number).collect::<Option<Vec<i64>>>() else {
        return Err("start, step and end must be whole numbers");
    };
    let towards = |start: i64, end: i64| if end < start { -1 } else { 1 };
    let (start, step, end) = match numbers[..] {
        [end] => {
            let start = if end < 0 { -1 } else { 1 };
            (start, towards(start, end), end)
        }
        [start, end] => (start, towards(start, end), end),
        [start, step, end] => (start, step, end),
        _ => return Err("one to three numbers must follow the name"),
    };
    let distance = i128::from(end) - i128::from(start);
    let count = match i128::from(step) {
        0 => return Err("the step must not be 0"),
        step if distance != 0 && (distance < 0) != (step < 0) => {
            return Err("the step leads away from the end");
        }
        step => distance / step + 1,
    };
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    Ok((
        vec![(*name).to_owned()],
        Rounds::Numbers {
            start,
            step,
            count,
            hex,
        },
    ))
}

fn list(inner: &str) -> Result<(Vec<String>, Rounds), &'static str> {
    let mut parts = Vec::new();
    let mut rest = inner;
    loop {
        rest = rest.trim_start();
        let (part, after) = match rest.strip_prefix('{') {
            Some(tuple) => {
                let (tuple, after) = tuple.split_once('}').ok_or("`}` is missing")?;
                (
                    tuple
                        .split(',')
                        .map(|part| part.trim().to_owned())
                        .collect(),
                    after,
                )
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (part, after) = rest.split_at(end);
                (vec![part.trim().to_owned()], after)
            }
        };
        parts.push(part);
        match after.trim_start().strip_prefix(',') {
            Some(after) => rest = after,
            None => break,
        }
    }
    let names: Vec<String> = parts.remove(0);
    if names.iter().any(|name| !is_name(name)) {
        return Err("a name, or names in braces, must come first");
    }
    if parts.is_empty() {
        return Err("at least one value must follow");
    }
    for values in &mut parts {
        if values.len() > names.len() {
            return Err("there are more values than names");
        }
        if values.iter().any(|value| value.contains([' ', '\t'])) {
            return Err("a value must not hold a blank");
        }
        values.resize(names.len(), String::new());
    }
    Ok((names, Rounds::Lists(parts)))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && name_len(text) == text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> Vec<&str> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(used) = next_use(line, from) {
            found.push(&line[used.name.clone()]);
            from = used.range.end;
        }
        found
    }

    #[test]
    fn a_name_without_braces_needs_an_end() {
        assert_eq!(names("$A $B,$C) x$D"), ["A", "B", "C", "D"]);
        assert_eq!(names("$A.1 $B/24 $9 $ $"), Vec::<&str>::new());
        assert_eq!(names("${A}.${B}/24 ${_RANDOM 1 5}"), ["A", "B", "_RANDOM"]);
        assert_eq!(names("${A"), Vec::<&str>::new());
    }

    #[test]
    fn a_definition_begins_its_line() {
        assert_eq!(definition("  $VIP=  10.0.0.1"), Some((3..6, 9)));
        assert_eq!(definition("$VIP= "), Some((1..4, 6)));
        assert_eq!(definition("$VIP =1"), None);
        assert_eq!(definition("x $VIP=1"), None);
    }

    #[test]
    fn a_sequence_fills_in_what_is_missing() {
        let values = |line: &str| {
            let made = repetition(line).unwrap().unwrap();
            (0..made.rounds.count())
                .flat_map(|round| made.rounds.values(round))
                .collect::<Vec<_>>()
        };
        assert_eq!(values("~SEQ(i,3) x"), ["1", "2", "3"]);
        assert_eq!(values("~SEQ(i,-2) x"), ["-1", "-2"]);
        assert_eq!(values("~SEQ(i, 5, 3) x"), ["5", "4", "3"]);
        assert_eq!(values("~SEQ(i,1,4,10) x"), ["1", "5", "9"]);
        assert_eq!(values("~SEQx(i,0xe,17) x"), ["e", "f", "10", "11"]);
        assert_eq!(values("~LST(i,a,b) x"), ["a", "b"]);
        assert_eq!(values("~LST({i,j},{a,b},{c}) x"), ["a", "b", "c", ""]);
    }

    #[test]
    fn a_bad_repetition_says_what_is_wrong() {
        let wrong = |line: &str| repetition(line).unwrap().unwrap_err();
        assert_eq!(wrong("~SEQ i"), "`(` must follow");
        assert_eq!(wrong("~SEQ(i,1"), "`)` is missing");
        assert_eq!(wrong("~SEQ(i,1,0,2)"), "the step must not be 0");
        assert_eq!(wrong("~SEQ(i,1,-1,10)"), "the step leads away from the end");
        assert_eq!(wrong("~LST(i,a b,c)"), "a value must not hold a blank");
        assert_eq!(
            wrong("~SEQ(i,x)"),
            "start, step and end must be whole numbers"
        );
        assert_eq!(
            wrong("~SEQx(i,-3)"),
            "start, step and end must be whole numbers"
        );
        assert_eq!(wrong("~LST(i)"), "at least one value must follow");
        assert_eq!(wrong("~LST({i},{a,b})"), "there are more values than names");
        assert!(repetition("~FOO(i)").is_none());
    }

    #[test]
    fn a_sequence_of_billions_is_only_counted() {
        let made = repetition("~SEQ(i,-9223372036854775808,9223372036854775807)")
            .unwrap()
            .unwrap();
        assert_eq!(made.rounds.count(), u64::MAX);
    }

    #[test]
    fn a_comment_starts_outside_quotes_only() {
        assert_eq!(comment_start("a \"#\" b#c"), Some(7));
        assert_eq!(comment_start("a \\# b"), None);
    }
}
