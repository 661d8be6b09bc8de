//! Lines of lists: addresses, routes, rules, tracked things, peers, members of groups.
//!
//! # Design
//!
//! One file for each kind of line. What is wrong with an option is said and the option left out;
//! a line without what it is about is left out as a whole.

mod address;
mod route;
mod rule;
mod service;

use std::net::IpAddr;

use crate::ast::{Entry, Track, Value};
use crate::config::UnicastPeer;
use crate::diagnostic::Code;
use crate::keyword::{EntryKind, Keyword};
use crate::report::Report;
use crate::source::Span;
use crate::tree::{Block, Statement, Word};
use crate::value::{Args, option_number, slash_diagnostic};

/// Reads every line of a list; those that can be used are in the value.
pub(super) fn read(
    report: &mut Report<'_>,
    kind: EntryKind,
    keyword: &Keyword,
    body: &Block,
) -> Value {
    // An empty group is worse than an empty list, and reported with it.
    let empty = body.statements.is_empty() && body.close.is_some();
    if empty && kind != EntryKind::Service {
        let message = format!("`{}` is empty", keyword.name);
        let diagnostic = report.warning(Code::EmptyBlock, body.open, message);
        report.push(diagnostic);
    }
    match kind {
        EntryKind::Address | EntryKind::StaticAddress => {
            Value::Addresses(lines(report, kind, keyword, body, address::read))
        }
        EntryKind::Route => Value::Routes(lines(report, kind, keyword, body, route::read)),
        EntryKind::Rule => Value::Rules(lines(report, kind, keyword, body, rule::read)),
        EntryKind::TrackInterface | EntryKind::Track => {
            let most = most_weight(keyword.name);
            let read = |args: &mut Args<'_, '_>, kind| track(args, kind, most);
            Value::Tracks(lines(report, kind, keyword, body, read))
        }
        EntryKind::Peer => Value::Peers(lines(report, kind, keyword, body, peer)),
        EntryKind::Service | EntryKind::Linkbeat | EntryKind::Delay => {
            let read = |args: &mut Args<'_, '_>, kind| match kind {
                EntryKind::Service => service::read(args),
                _ => Some(args.rest().to_vec()),
            };
            let entries = lines(report, kind, keyword, body, read);
            Value::Entries(entries.into_iter().map(|entry| entry.value).collect())
        }
    }
}

fn lines<T>(
    report: &mut Report<'_>,
    kind: EntryKind,
    keyword: &Keyword,
    body: &Block,
    read: impl Fn(&mut Args<'_, '_>, EntryKind) -> Option<T>,
) -> Box<[Entry<T>]> {
    let mut found = Vec::with_capacity(body.statements.len());
    let mut words: Vec<Word> = Vec::new();
    for statement in &body.statements {
        no_block(report, keyword, statement);
        let text = report.slice(statement.keyword.span);
        let span = statement.span();
        if !statement.keyword.quoted && text.starts_with("//") {
            report.push(slash_diagnostic(report, span, true));
            continue;
        }
        words.clear();
        words.push(statement.keyword);
        words.extend_from_slice(&statement.args);
        let mut args = Args::new(report, statement.keyword, &words, true);
        let value = read(&mut args, kind);
        args.rest();
        args.finish(|_| false);
        found.extend(value.map(|value| Entry { span, value }));
    }
    found.into()
}

/// A block in a list.
pub(super) fn no_block(report: &mut Report<'_>, keyword: &Keyword, statement: &Statement) {
    if let Some(block) = &statement.block {
        let message = format!("there are no blocks in `{}`", keyword.name);
        let diagnostic = report.error(Code::UnexpectedBlock, block.open, message);
        report.push(diagnostic.help("the block is ignored"));
    }
}

/// Reports a word that is no option of a line.
fn unknown(args: &mut Args<'_, '_>, kind: EntryKind, word: Word) {
    let text = args.text(word);
    let message = match text.parse::<IpAddr>().is_ok() || text.contains('/') {
        true => format!("`{text}` is lost: each address needs a line of its own"),
        false => format!("`{text}` is not an option of this entry"),
    };
    let mut diagnostic = args.report.error(Code::BadChoice, word.outer(), message);
    let names = kind.options().iter().map(|option| option.name);
    if let Some(near) = args.report.nearest(text, names) {
        // Its value is lost with it.
        for _ in 0..kind.option(near).map_or(0, |option| option.args) {
            args.next();
        }
        let place = args.report.place(word.span);
        diagnostic = diagnostic
            .label(format!("did you mean `{near}`?"))
            .suggest(place, near);
    }
    args.report.push(diagnostic);
}

/// The greatest weight that a list takes.
fn most_weight(keyword: &str) -> i64 {
    match keyword {
        "track_file" | "track_process" => 254,
        _ => 253,
    }
}

/// `NAME [weight N [reverse|noreverse]]`.
fn track(args: &mut Args<'_, '_>, kind: EntryKind, most: i64) -> Option<Track> {
    let name = args.next()?;
    if args.placeholder(name) {
        return None;
    }
    let mut track = Track {
        name,
        weight: None,
        reverse: None,
    };
    while let Some(word) = args.next() {
        match args.text(word) {
            "weight" => track.weight = weight(args, word, most).or(track.weight),
            "reverse" => track.reverse = Some(true),
            "noreverse" if kind == EntryKind::Track => track.reverse = Some(false),
            _ => unknown(args, kind, word),
        }
    }
    Some(track)
}

fn weight(args: &mut Args<'_, '_>, option: Word, most: i64) -> Option<i16> {
    args.keyword = option;
    let word = args.required("a whole number")?;
    let text = args.text(word);
    let value = text.parse::<i64>().ok();
    if let Some(value) = value.filter(|value| (-most..=most).contains(value)) {
        return i16::try_from(value).ok();
    }
    let (code, message) = match value {
        Some(_) => (
            Code::OutOfRange,
            format!("`{text}` is outside the range of a weight here, -{most} to {most}"),
        ),
        None => (Code::BadNumber, format!("`{text}` is not a whole number")),
    };
    let diagnostic = args.report.error(code, word.outer(), message);
    args.report.push(diagnostic);
    // As in keepalived, which takes what is just beyond for the limit.
    let value = value.filter(|value| (-254..=254).contains(value))?;
    i16::try_from(value.clamp(-most, most)).ok()
}

/// `IP [min_ttl N] [max_ttl N]`.
fn peer(args: &mut Args<'_, '_>, kind: EntryKind) -> Option<UnicastPeer> {
    let word = args.next()?;
    let address = crate::value::parse_address(args, word)?;
    let mut peer = UnicastPeer {
        address,
        min_ttl: 0,
        max_ttl: 255,
    };
    while let Some(word) = args.next() {
        let text = args.text(word);
        let limit = match text {
            "min_ttl" | "max_ttl" => option_number(args, word, 0, 255),
            _ => {
                unknown(args, kind, word);
                continue;
            }
        };
        match (text, limit.and_then(|limit| u8::try_from(limit).ok())) {
            ("min_ttl", Some(limit)) => peer.min_ttl = limit,
            (_, Some(limit)) => peer.max_ttl = limit,
            (_, None) => {}
        }
    }
    if peer.min_ttl > peer.max_ttl {
        let message = format!(
            "nothing from {address} is accepted: `min_ttl` {} is above `max_ttl` {}",
            peer.min_ttl, peer.max_ttl
        );
        let diagnostic = args.report.error(Code::BadValue, word.outer(), message);
        args.report.push(diagnostic);
    }
    Some(peer)
}

/// Says something about a word, and that its option is left out.
fn bad_option<T>(args: &mut Args<'_, '_>, word: Word, option: &str, wanted: &str) -> Option<T> {
    let text = args.text(word);
    let message = format!("`{text}` is not a value of `{option}`: {wanted} is needed");
    let diagnostic = args.report.error(Code::BadValue, word.outer(), message);
    args.wrong(diagnostic)
}

/// All of a line, to complain about it as a whole.
fn whole(first: Word, args: &Args<'_, '_>) -> Span {
    first.outer().to(args.last_word().unwrap_or(first).outer())
}
