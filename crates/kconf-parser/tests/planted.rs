//! Mistakes planted into good files, one at a time: the first thing that is said must be about
//! the right line, and what it suggests must be right.
//!
//! Run with `--nocapture` to see how many of each kind were met.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use kconf_parser::ast::{Block, Value};
use kconf_parser::keyword::{BlockKind, Shape};
use kconf_parser::{Analysis, Code, Diagnostic, MemoryLoader, Options, analyze, render};

const PATH: &str = "/k.conf";

const FILES: &[&str] = &[
    "tests/planted/blocks.conf",
    "tests/samples/plain.conf",
    "tests/samples/vrrp.conf",
];

/// Files of whole configurations without a mistake; lines that begin with `~~` are not theirs.
const MORE_FILES: &[&str] = &[
    "tests/keepalived/varied/daemon.txt",
    "tests/keepalived/varied/routers.txt",
    "tests/keepalived/varied/services.txt",
];

/// All good texts, with their names.
fn good_texts() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for path in FILES {
        let text = fs::read_to_string(path).expect("the samples are there");
        texts.push(((*path).to_owned(), text));
    }
    for path in MORE_FILES {
        let whole = fs::read_to_string(path).expect("they are there");
        for part in whole.split("##### ").skip(1) {
            let (name, text) = part.split_once('\n').expect("a name and a text");
            let lines = text.lines().filter(|line| !line.starts_with("~~ "));
            let text = lines.map(|line| format!("{line}\n")).collect::<String>();
            // Places in it are those of its definitions.
            if !text.contains('$') {
                texts.push((name.to_owned(), text));
            }
        }
    }
    texts
}

/// What of each kind must be met: nine of ten.
const LEAST: f64 = 0.9;

/// A text with one mistake, and what should be said of it.
struct Planted {
    kind: &'static str,
    text: String,
    /// Lines from 1 that are right; several where nobody can tell which.
    lines: Vec<u32>,
    remedy: Remedy,
}

enum Remedy {
    /// The suggestion replaces the mistake by this.
    Write(String),
    /// The suggestion makes a file that means what the good one did.
    Mend,
    /// The texts say this.
    Say(String),
}

fn read(text: &str) -> Analysis {
    let loader = MemoryLoader::default().with(PATH, text);
    let mut options = Options::default();
    options.rules.switch_off(Code::NoEffectYet);
    options.rules.switch_off(Code::ScriptSecurityOff);
    analyze(Path::new(PATH), &options, &loader)
}

/// Byte range in the text.
fn range(analysis: &Analysis, span: kconf_parser::source::Span) -> std::ops::Range<usize> {
    let place = analysis.sources.place(span);
    place.start as usize..place.end as usize
}

fn line_of(text: &str, offset: usize) -> u32 {
    let above = text.get(..offset).unwrap_or_default();
    1 + u32::try_from(above.matches('\n').count()).expect("the samples are short")
}

fn replaced(text: &str, range: std::ops::Range<usize>, by: &str) -> String {
    let mut text = text.to_owned();
    text.replace_range(range, by);
    text
}

/// Common slips of the fingers; which one depends on the place.
fn misspelt(word: &str, turn: usize) -> Option<String> {
    if word.len() < 4 {
        return None;
    }
    let mut letters: Vec<char> = word.chars().collect();
    let middle = letters.len() / 2;
    match turn % 4 {
        0 => drop(letters.remove(middle)),
        1 => letters.insert(middle, *letters.get(middle)?),
        2 => {
            let differs = |at: &usize| letters.get(*at) != letters.get(at + 1);
            let at = (1..letters.len() - 1).find(differs)?;
            letters.swap(at, at + 1);
        }
        _ => *letters.get_mut(middle)? = 'x',
    }
    let slip: String = letters.into_iter().collect();
    (slip != word).then_some(slip)
}

fn blocks<'a>(block: &'a Block, all: &mut Vec<&'a Block>) {
    for inner in &block.blocks {
        all.push(inner);
        blocks(inner, all);
    }
}

/// A keyword of each block and each setting, misspelt.
fn typos(text: &str, good: &Analysis, planted: &mut Vec<Planted>) {
    let mut all = vec![&good.ast];
    blocks(&good.ast, &mut all);
    let mut words: Vec<std::ops::Range<usize>> = Vec::new();
    for block in all {
        words.extend(
            block
                .settings
                .iter()
                .map(|setting| range(good, setting.place)),
        );
        if block.kind != BlockKind::Root {
            let head = range(good, block.head);
            words.push(head.start..head.start + block.kind.name().len());
        }
    }
    for (turn, word) in words.into_iter().enumerate() {
        let keyword = &text[word.clone()];
        let Some(slip) = misspelt(keyword, turn) else {
            continue;
        };
        planted.push(Planted {
            kind: "typo in a keyword",
            lines: vec![line_of(text, word.start)],
            remedy: Remedy::Write(keyword.to_owned()),
            text: replaced(text, word, &slip),
        });
    }
}

/// Each `}` on a line of its own taken away; then one put in behind each such line.
fn braces(text: &str, planted: &mut Vec<Planted>) {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    for (at, line) in lines.iter().enumerate() {
        if line.trim() != "}" {
            continue;
        }
        let number = |at: usize| u32::try_from(at + 1).expect("the samples are short");
        let mut less = lines.clone();
        less.remove(at);
        // It is as good to point to the line that the block begins in.
        let opens = |above: &usize| {
            let head = lines[*above];
            indent(head) == indent(line) && !head.trim().is_empty() && head.trim() != "{"
        };
        let head = (0..at).rev().find(opens).map(number);
        planted.push(Planted {
            kind: "missing brace",
            text: less.join("\n"),
            lines: [Some(number(at)), head].into_iter().flatten().collect(),
            remedy: Remedy::Mend,
        });
        let mut more = lines.clone();
        more.insert(at + 1, line);
        let inner = lines.get(at + 1).is_some_and(|next| next.trim() == "}");
        planted.push(Planted {
            kind: "extra brace",
            text: more.join("\n"),
            lines: match inner {
                // Which of several is too many cannot be told.
                true => (number(at)..=number(at + 4)).collect(),
                false => vec![number(at), number(at + 1)],
            },
            remedy: Remedy::Mend,
        });
    }
}

/// A unit behind each number.
fn units(text: &str, good: &Analysis, planted: &mut Vec<Planted>) {
    let mut all = vec![&good.ast];
    blocks(&good.ast, &mut all);
    for setting in all.iter().flat_map(|block| &block.settings) {
        let number = matches!(
            setting.keyword.shape,
            Shape::Int { .. }
                | Shape::OptInt { .. }
                | Shape::Seconds { .. }
                | Shape::OptSeconds { .. }
                | Shape::Decimal { .. }
                | Shape::Millis { .. }
                | Shape::Weight { .. }
        );
        let whole = range(good, setting.span);
        let words: Vec<&str> = text[whole.clone()].split_whitespace().collect();
        let (true, [_, value]) = (number, words.as_slice()) else {
            continue;
        };
        let time = !matches!(
            setting.keyword.shape,
            Shape::Int { .. } | Shape::Weight { .. }
        );
        let suffix = if time { "s" } else { "x" };
        planted.push(Planted {
            kind: "wrong unit",
            text: replaced(text, whole.end..whole.end, suffix),
            lines: vec![line_of(text, whole.end)],
            remedy: Remedy::Write((*value).to_owned()),
        });
    }
}

/// Settings moved into the block inside theirs, or out of it.
fn misplaced(text: &str, good: &Analysis, planted: &mut Vec<Planted>) {
    let mut all = vec![&good.ast];
    blocks(&good.ast, &mut all);
    for block in all {
        for inner in &block.blocks {
            let into = range(good, inner.head);
            let Some(end) = text[into.start..].find("{\n").map(|at| into.start + at + 2) else {
                continue;
            };
            for setting in block.settings.iter().take(4) {
                let plain = !setting.keyword.shape.has_block();
                let known = inner.kind.keyword(setting.keyword.name).is_some();
                // Of this one another name is right in the inner block, too.
                let synonym = setting.keyword.name == "lb_kind";
                if !plain || known || synonym || block.kind == BlockKind::Root {
                    continue;
                }
                let line = format!("{}\n", &text[range(good, setting.span)]);
                planted.push(Planted {
                    kind: "keyword in the block inside its own",
                    text: replaced(text, end..end, &line),
                    lines: vec![line_of(text, end)],
                    remedy: Remedy::Say(format!("`{}`", block.kind.name())),
                });
            }
            for setting in inner.settings.iter().take(4) {
                let plain = !setting.keyword.shape.has_block();
                let known = block.kind.keyword(setting.keyword.name).is_some();
                if !plain || known {
                    continue;
                }
                let line = format!("{}\n", &text[range(good, setting.span)]);
                planted.push(Planted {
                    kind: "keyword in the block around its own",
                    text: replaced(text, into.start..into.start, &line),
                    lines: vec![line_of(text, into.start)],
                    remedy: Remedy::Say(format!("`{}`", inner.kind.name())),
                });
            }
        }
    }
}

/// Names that nothing has, and definitions behind their use.
fn names(text: &str, good: &Analysis, planted: &mut Vec<Planted>) {
    let mut all = Vec::new();
    blocks(&good.ast, &mut all);
    let defined = [
        BlockKind::VrrpScript,
        BlockKind::TrackFile,
        BlockKind::TrackProcess,
        BlockKind::VrrpInstance,
        BlockKind::BfdInstance,
    ];
    for block in &all {
        let Some(Value::Word(name)) = &block.name else {
            continue;
        };
        if !defined.contains(&block.kind) {
            continue;
        }
        let name = &text[range(good, name.span)];
        // Uses are alone in their line, but for a weight.
        let mut offset = 0;
        let mut uses = Vec::new();
        for line in text.split_inclusive('\n') {
            let words: Vec<&str> = line.split_whitespace().collect();
            let used = words.contains(&name) && !line.contains('{') && words.len() < 4;
            let alone = words.first() == Some(&name) || words.first() == Some(&"track_file");
            if used && alone {
                uses.push(offset + line.rfind(name).expect("it has the name"));
            }
            offset += line.len();
        }
        for (turn, at) in uses.iter().enumerate() {
            let slip = misspelt(name, turn + 1).unwrap_or_else(|| format!("{name}x"));
            planted.push(Planted {
                kind: "dangling name",
                text: replaced(text, *at..at + name.len(), &slip),
                lines: vec![line_of(text, *at)],
                remedy: Remedy::Write(name.to_owned()),
            });
        }
        let script = block.kind == BlockKind::VrrpScript;
        let (Some(first), true) = (uses.first(), script) else {
            continue;
        };
        let start = range(good, block.head).start;
        let end = start + text[start..].find("\n}\n").expect("it ends") + 3;
        let (whole, without) = (&text[start..end], replaced(text, start..end, ""));
        planted.push(Planted {
            kind: "script defined behind its use",
            lines: vec![line_of(&without, first - (end - start))],
            text: format!("{without}{whole}"),
            remedy: Remedy::Say("above".into()),
        });
    }
    if let Some(at) = text.find("virtual_server group web") {
        let at = at + "virtual_server group ".len();
        planted.push(Planted {
            kind: "dangling name",
            text: replaced(text, at..at + 3, "wbe"),
            lines: vec![line_of(text, at)],
            remedy: Remedy::Write("web".into()),
        });
    }
}

/// Words of which only some are right, misspelt; values left out, and joined by `=`.
fn values(text: &str, good: &Analysis, planted: &mut Vec<Planted>) {
    let mut all = vec![&good.ast];
    blocks(&good.ast, &mut all);
    let settings = all.iter().flat_map(|block| &block.settings);
    for (turn, setting) in settings.enumerate() {
        let whole = range(good, setting.span);
        let line = text[whole.clone()].to_owned();
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[keyword, value] = words.as_slice() else {
            continue;
        };
        let of_few = matches!(
            setting.keyword.shape,
            Shape::Choice(_) | Shape::OptChoice(_) | Shape::Scheduler | Shape::Protocol
        );
        let lines = vec![line_of(text, whole.start)];
        if let (true, Some(slip)) = (of_few, misspelt(value, turn)) {
            planted.push(Planted {
                kind: "typo in a value",
                text: replaced(text, whole.clone(), &format!("{keyword} {slip}")),
                lines: lines.clone(),
                remedy: Remedy::Write(value.to_owned()),
            });
        }
        let needed = matches!(
            setting.keyword.shape,
            Shape::Int { .. } | Shape::Seconds { .. } | Shape::Decimal { .. } | Shape::Word
        );
        if needed {
            planted.push(Planted {
                kind: "value left out",
                text: replaced(text, whole.clone(), keyword),
                lines: lines.clone(),
                remedy: Remedy::Say(format!("`{keyword}`")),
            });
        }
        if needed && turn % 3 == 0 {
            planted.push(Planted {
                kind: "equals sign",
                text: replaced(text, whole.clone(), &format!("{keyword}={value}")),
                lines,
                remedy: Remedy::Write(format!("{keyword} {value}")),
            });
        }
    }
}

/// Lost braces that open blocks, quotes that are not closed, addresses that cannot be.
fn lines(text: &str, planted: &mut Vec<Planted>) {
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let lines = vec![u32::try_from(index + 1).expect("the samples are short")];
        let end = offset + line.trim_end().len();
        let plain = !line.contains(['#', '!']);
        if plain && line.trim_end().ends_with(" {") {
            planted.push(Planted {
                kind: "lost opening brace",
                text: replaced(text, end - 2..end, ""),
                lines: lines.clone(),
                remedy: Remedy::Mend,
            });
        }
        if plain && line.trim_end().ends_with('"') {
            planted.push(Planted {
                kind: "open quote",
                text: replaced(text, end - 1..end, ""),
                lines: lines.clone(),
                remedy: Remedy::Mend,
            });
        }
        let address = line
            .split_whitespace()
            .find(|word| word.parse::<Ipv4Addr>().is_ok());
        if let Some(address) = address {
            let at = offset + line.find(address).expect("it is in there");
            let slip = address.replacen('.', ".9", 1);
            let slip = match slip.parse::<Ipv4Addr>() {
                Ok(_) => address.replacen('.', "..", 1),
                Err(_) => slip,
            };
            planted.push(Planted {
                kind: "address that cannot be",
                text: replaced(text, at..at + address.len(), &slip),
                lines,
                remedy: Remedy::Say(format!("`{slip}`")),
            });
        }
        offset += line.len();
    }
}

/// What a file means, without the places.
fn meaning(analysis: &Analysis) -> String {
    let json = serde_json::to_string(&analysis.config).expect("it is plain data");
    assert!(json.len() > 100, "it has everything");
    json
}

fn met(
    good: &Analysis,
    planted: &Planted,
    analysis: &Analysis,
    found: &Diagnostic,
) -> (bool, bool) {
    let line = analysis.sources.location(found.primary.place).line;
    let right = match (&planted.remedy, &found.suggestion) {
        (Remedy::Write(wanted), Some(suggestion)) => suggestion.replacement.trim() == wanted,
        (Remedy::Mend, Some(suggestion)) => {
            let place = suggestion.place;
            let mended = replaced(
                &planted.text,
                place.start as usize..place.end as usize,
                &suggestion.replacement,
            );
            let mended = read(&mended);
            !mended.has_errors() && meaning(&mended) == meaning(good)
        }
        (Remedy::Say(wanted), _) => {
            let help = found.help.as_deref().unwrap_or_default();
            let labels = found.secondary.iter().map(|label| label.text.as_str());
            let mut texts =
                labels.chain([found.message.as_str(), found.primary.text.as_str(), help]);
            texts.any(|text| text.contains(wanted.as_str()))
        }
        (_, None) => false,
    };
    (planted.lines.contains(&line), right)
}

#[test]
fn planted_mistakes_are_found_where_they_are() {
    let mut rates: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    let mut misses = String::new();
    for (path, text) in good_texts() {
        let good = read(&text);
        assert!(!good.has_errors(), "{path} is good");
        let mut planted = Vec::new();
        typos(&text, &good, &mut planted);
        braces(&text, &mut planted);
        units(&text, &good, &mut planted);
        misplaced(&text, &good, &mut planted);
        names(&text, &good, &mut planted);
        values(&text, &good, &mut planted);
        lines(&text, &mut planted);
        for one in &planted {
            let analysis = read(&one.text);
            // What the good file is told does not count.
            let same = |found: &Diagnostic, other: &Diagnostic| {
                found.code == other.code && found.message == other.message
            };
            let known =
                |found: &&Diagnostic| good.diagnostics.iter().any(|other| same(found, other));
            let first = analysis.diagnostics.iter().find(|found| !known(found));
            let (line, remedy) = match first {
                Some(found) => met(&good, one, &analysis, found),
                None => (false, false),
            };
            let rate = rates.entry(one.kind).or_default();
            rate.0 += 1;
            rate.1 += usize::from(line);
            rate.2 += usize::from(line && remedy);
            if !line || !remedy {
                let said = first.map(|found| render::line(&analysis, found));
                let lines = &one.lines;
                misses += &format!("{path}: {} in {lines:?}: {said:?}\n", one.kind);
            }
        }
    }
    let mut low = Vec::new();
    for (kind, (all, line, both)) in &rates {
        println!("{kind}: {all} planted, {line} in the right line, {both} with the right remedy");
        // The counts are small.
        if (*both as f64) < LEAST * (*all as f64) {
            low.push(*kind);
        }
    }
    println!("{misses}");
    assert!(low.is_empty(), "{low:?}\n{misses}");
    assert!(
        rates.values().map(|rate| rate.0).sum::<usize>() > 400,
        "{rates:?}"
    );
}
