//! Definitions and repetitions against a model that does them in the most obvious way.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::FileFailurePersistence;

use super::analysis;

/// Names of definitions, each used by the later ones only.
const NAMES: [&str; 3] = ["A", "B2", "LONG_NAME"];

/// A piece of a word.
#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    /// The definition of this number.
    Name(usize),
    /// The variable of the repetition at this depth; of a pair the first or the second.
    Variable(usize, bool),
}

#[derive(Clone, Debug)]
enum Repetition {
    Numbers {
        is_hex: bool,
        start: i64,
        end: End,
        step: u32,
    },
    Values(Vec<String>),
    Pairs(Vec<(String, String)>),
}

#[derive(Clone, Debug)]
enum End {
    At(i64),
    /// Where the repetition around it is, if that is one of numbers.
    AtOuter,
}

#[derive(Clone, Debug)]
struct Line {
    repetitions: Vec<Repetition>,
    words: Vec<Vec<Piece>>,
}

/// What the variables of the repetitions around a place are.
type Round = Vec<(String, String)>;

impl Repetition {
    /// Where it ends, as a number and as text.
    fn end(
        &self,
        depth: usize,
        around: Option<&Self>,
        rounds: &[(String, String)],
    ) -> (i64, String) {
        match (self, around) {
            (
                Self::Numbers {
                    end: End::AtOuter, ..
                },
                Some(Self::Numbers { is_hex: false, .. }),
            ) => {
                let outer = rounds.last().map_or(0, |round| round.0.parse().unwrap());
                (outer, format!("${{v{}}}", depth - 1))
            }
            (
                Self::Numbers {
                    end: End::At(end), ..
                },
                _,
            ) => (*end, end.to_string()),
            _ => (7, "7".to_owned()),
        }
    }

    /// How far it goes in a round. No number is negative in hexadecimal, and so no step.
    fn steps(&self, end: i64) -> i64 {
        match self {
            Self::Numbers {
                is_hex: true,
                start,
                ..
            } if end < *start => 1,
            Self::Numbers { step, .. } => i64::from(*step).max(1),
            Self::Values(_) | Self::Pairs(_) => 1,
        }
    }

    fn text(&self, depth: usize, around: Option<&Self>) -> String {
        match self {
            Self::Numbers {
                is_hex,
                start,
                step,
                ..
            } => {
                let kind = if *is_hex { "~SEQx" } else { "~SEQ" };
                let (end, text) = self.end(depth, around, &[("0".to_owned(), String::new())]);
                // The direction of a step must be known; without one it is towards the end.
                match text.starts_with('$') || self.steps(end) == 1 {
                    true => format!("{kind}(v{depth}, {start},{text})"),
                    false if end < *start => format!("{kind}(v{depth},{start},-{step},{text})"),
                    false => format!("{kind}(v{depth},{start},{step},{text})"),
                }
            }
            Self::Values(values) => format!("~LST(v{depth},{})", values.join(",")),
            Self::Pairs(pairs) => {
                let pairs: Vec<_> = pairs.iter().map(|(a, b)| format!("{{{a},{b}}}")).collect();
                format!("~LST({{v{depth},w{depth}}},{})", pairs.join(","))
            }
        }
    }

    fn rounds(&self, depth: usize, around: Option<&Self>, outer: &[(String, String)]) -> Round {
        match self {
            Self::Numbers { is_hex, start, .. } => {
                let (end, text) = self.end(depth, around, outer);
                let step = if text.starts_with('$') {
                    1
                } else {
                    self.steps(end)
                };
                let mut values = Vec::new();
                let mut value = *start;
                while (value - start).abs() <= (end - start).abs() {
                    values.push(match is_hex {
                        true => format!("{value:x}"),
                        false => value.to_string(),
                    });
                    value += if end < *start { -step } else { step };
                }
                values.into_iter().map(|it| (it, String::new())).collect()
            }
            Self::Values(values) => {
                let values = values.iter().cloned();
                values.map(|it| (it, String::new())).collect()
            }
            Self::Pairs(pairs) => pairs.clone(),
        }
    }
}

impl Line {
    fn text(&self) -> String {
        let mut text = String::new();
        for (depth, repetition) in self.repetitions.iter().enumerate() {
            let around = depth.checked_sub(1).map(|outer| &self.repetitions[outer]);
            text += &repetition.text(depth, around);
        }
        text += " say";
        for word in &self.words {
            text.push(' ');
            for piece in word {
                text += &match piece {
                    Piece::Text(text) => text.clone(),
                    Piece::Name(number) => format!("${{{}}}", NAMES[*number]),
                    Piece::Variable(depth, second) => match self.variable(*depth, *second) {
                        Some(name) => format!("${{{name}}}"),
                        None => "none".to_owned(),
                    },
                };
            }
        }
        text + "\n"
    }

    fn variable(&self, depth: usize, second: bool) -> Option<String> {
        let repetition = self.repetitions.get(depth)?;
        match (second, repetition) {
            (true, Repetition::Pairs(_)) => Some(format!("w{depth}")),
            _ => Some(format!("v{depth}")),
        }
    }

    /// Adds the lines that it stands for.
    fn expand(&self, definitions: &[String], rounds: &mut Round, lines: &mut Vec<String>) {
        let depth = rounds.len();
        if let Some(repetition) = self.repetitions.get(depth) {
            let around = depth.checked_sub(1).map(|outer| &self.repetitions[outer]);
            for round in repetition.rounds(depth, around, rounds) {
                rounds.push(round);
                self.expand(definitions, rounds, lines);
                rounds.pop();
            }
            return;
        }
        let mut line = "say".to_owned();
        for word in &self.words {
            line.push(' ');
            for piece in word {
                line += match piece {
                    Piece::Text(text) => text,
                    Piece::Name(number) => &definitions[*number],
                    Piece::Variable(depth, second) => match rounds.get(*depth) {
                        Some(round) if *second && !round.1.is_empty() => &round.1,
                        Some(round) => &round.0,
                        None => "none",
                    },
                };
            }
        }
        lines.push(line);
    }
}

fn value() -> impl Strategy<Value = String> {
    "[a-z0-9.]{1,3}"
}

fn word() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        value().prop_map(Piece::Text),
        (0..NAMES.len()).prop_map(Piece::Name),
        (0_usize..3, any::<bool>()).prop_map(|(depth, second)| Piece::Variable(depth, second)),
    ];
    vec(piece, 1..4)
}

fn repetition() -> impl Strategy<Value = Repetition> {
    let end = prop_oneof![3 => (-3_i64..4).prop_map(End::At), 1 => Just(End::AtOuter)];
    prop_oneof![
        (-3_i64..4, end, 0_u32..4).prop_map(|(start, end, step)| Repetition::Numbers {
            is_hex: false,
            start,
            end,
            step
        }),
        (7_i64..13, 7_i64..13, 0_u32..4).prop_map(|(start, end, step)| Repetition::Numbers {
            is_hex: true,
            start,
            end: End::At(end),
            step
        }),
        vec(value(), 1..4).prop_map(Repetition::Values),
        vec((value(), value()), 1..4).prop_map(Repetition::Pairs),
    ]
}

fn line() -> impl Strategy<Value = Line> {
    (vec(repetition(), 0..4), vec(word(), 0..4))
        .prop_map(|(repetitions, words)| Line { repetitions, words })
}

/// A definition's value, of words, and whether it goes on with the definition before.
fn definition() -> impl Strategy<Value = (String, bool)> {
    (
        select(vec!["x", "a b", "10.0.0.1", "one  two three"]),
        any::<bool>(),
    )
        .prop_map(|(text, joined)| (text.to_owned(), joined))
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn text_expands_as_the_obvious_way_has_it(
        definitions in vec(definition(), NAMES.len()),
        lines in vec(line(), 1..4),
    ) {
        let mut text = String::new();
        let mut meant: Vec<String> = Vec::new();
        for (number, (value, joined)) in definitions.iter().enumerate() {
            let before = number.checked_sub(1).filter(|_| *joined);
            let (written, is) = match before {
                Some(before) => (
                    format!("{value}${{{}}}", NAMES[before]),
                    format!("{value}{}", meant[before]),
                ),
                None => (value.clone(), value.clone()),
            };
            text += &format!("${}={written}\n", NAMES[number]);
            meant.push(is);
        }
        let mut expected = Vec::new();
        for line in &lines {
            text += &line.text();
            line.expand(&meant, &mut Vec::new(), &mut expected);
        }
        let analysis = analysis(&text);
        let word = |span| analysis.sources.slice(span);
        let found: Vec<Vec<&str>> = analysis
            .tree()
            .iter()
            .map(|it| {
                let words = std::iter::once(&it.keyword).chain(&it.args);
                words.map(|it| word(it.span)).collect()
            })
            .collect();
        let expected: Vec<Vec<&str>> = expected
            .iter()
            .map(|line| line.split_ascii_whitespace().collect())
            .collect();
        prop_assert_eq!(found, expected, "{}", text);
    }
}
