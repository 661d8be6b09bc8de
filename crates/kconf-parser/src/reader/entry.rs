//! Lines of lists: addresses, routes, rules, tracked things, members of groups.

use std::net::IpAddr;

use crate::diagnostic::Code;
use crate::keyword::{EntryKind, Keyword};
use crate::report::Report;
use crate::tree::{Block, Statement, Word};
use crate::value::{Args, group_range, slash_diagnostic};

/// Checks every line of a list and returns those that can be used.
pub(super) fn read(
    report: &mut Report<'_>,
    kind: EntryKind,
    keyword: &Keyword,
    body: &Block,
) -> Vec<Vec<Word>> {
    let mut lines = Vec::new();
    for statement in &body.statements {
        no_block(report, keyword, statement);
        let text = report.slice(statement.keyword.span);
        if !statement.keyword.quoted && text.starts_with("//") {
            report.push(slash_diagnostic(report, statement.span(), true));
            continue;
        }
        let words: Vec<Word> = std::iter::once(statement.keyword)
            .chain(statement.args.iter().copied())
            .collect();
        let mut args = Args::new(report, statement.keyword, &words, true);
        if let Some(used) = line(&mut args, kind) {
            lines.push(words.get(..used).unwrap_or_default().to_vec());
        }
        args.rest();
        args.finish(|_| false);
    }
    // An empty group is worse than an empty list, and reported with it.
    let empty = body.statements.is_empty() && body.close.is_some();
    if empty && kind != EntryKind::Service {
        let message = format!("`{}` is empty", keyword.name);
        let diagnostic = report.warning(Code::EmptyBlock, body.open, message);
        report.push(diagnostic);
    }
    lines
}

/// A block in a list.
pub(super) fn no_block(report: &mut Report<'_>, keyword: &Keyword, statement: &Statement) {
    if let Some(block) = &statement.block {
        let message = format!("there are no blocks in `{}`", keyword.name);
        let diagnostic = report.error(Code::UnexpectedBlock, block.open, message);
        report.push(diagnostic.help("the block is ignored"));
    }
}

/// How many words of a line count; `None` if the line cannot be used.
fn line(args: &mut Args<'_, '_>, kind: EntryKind) -> Option<usize> {
    match kind {
        EntryKind::Service => return service(args),
        EntryKind::Address | EntryKind::StaticAddress => {
            let word = args.next()?;
            prefix(args, word)?;
        }
        EntryKind::Peer => {
            let word = args.next()?;
            if !args.placeholder(word) && args.text(word).parse::<IpAddr>().is_err() {
                let message = format!("`{}` is not an IP address", args.text(word));
                let diagnostic = args.report.error(Code::BadAddress, word.outer(), message);
                return args.wrong(diagnostic);
            }
        }
        EntryKind::TrackInterface | EntryKind::Track | EntryKind::Linkbeat => {
            let word = args.next()?;
            if args.placeholder(word) {
                return None;
            }
        }
        EntryKind::Route | EntryKind::Rule => return route(args, kind),
        EntryKind::Delay => return Some(args.rest().len()),
    }
    options(args, kind);
    Some(args.taken())
}

/// Option words, each with its arguments.
fn options(args: &mut Args<'_, '_>, kind: EntryKind) {
    while let Some(word) = args.next() {
        if args.placeholder(word) {
            continue;
        }
        let text = args.text(word);
        if let Some(option) = kind.option(text) {
            args.keyword = word;
            for _ in 0..option.args {
                if let Some(value) = args.required("a value") {
                    option_value(args, option.name, value);
                }
            }
            continue;
        }
        unknown(args, kind, word);
    }
}

fn option_value(args: &mut Args<'_, '_>, option: &str, value: Word) {
    let text = args.text(value);
    let number = |min: i64, max: i64| text.parse().is_ok_and(|n: i64| (min..=max).contains(&n));
    let (good, what) = match option {
        "weight" => (number(-254, 254), "a whole number from -254 to 254"),
        "min_ttl" | "max_ttl" => (number(0, 255), "a whole number from 0 to 255"),
        "brd" | "broadcast" => {
            let good = matches!(text, "+" | "-") || text.parse::<std::net::Ipv4Addr>().is_ok();
            (good, "an IPv4 address, `+` or `-`")
        }
        _ => return,
    };
    if !good {
        let message = format!("`{text}` is not a value of `{option}`: {what} is needed");
        let diagnostic = args.report.error(Code::BadValue, value.outer(), message);
        args.report.push(diagnostic);
    }
}

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

/// `IP[/PREFIX]`.
fn prefix(args: &mut Args<'_, '_>, word: Word) -> Option<()> {
    if args.placeholder(word) {
        return None;
    }
    let text = args.text(word);
    let (address, prefix) = text
        .split_once('/')
        .map_or((text, None), |(a, p)| (a, Some(p)));
    let Ok(address) = address.parse::<IpAddr>() else {
        let message = format!("`{text}` is not an IP address");
        let diagnostic = args.report.error(Code::BadAddress, word.outer(), message);
        return args.wrong(diagnostic);
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let fits = |prefix: &str| prefix.parse().is_ok_and(|prefix: u8| prefix <= most);
    if prefix.is_some_and(|prefix| !fits(prefix)) {
        let message = format!("`{text}` has no usable prefix length: it is from 0 to {most}");
        let diagnostic = args.report.error(Code::BadAddress, word.outer(), message);
        args.report.push(diagnostic);
    }
    Some(())
}

/// Routes and rules are as for ip(8), of which only the words that look like mistakes of known
/// ones are reported.
fn route(args: &mut Args<'_, '_>, kind: EntryKind) -> Option<usize> {
    while let Some(word) = args.next() {
        if args.placeholder(word) {
            continue;
        }
        let text = args.text(word);
        if let Some(option) = kind.option(text) {
            args.keyword = word;
            for _ in 0..option.args {
                let Some(value) = args.required("a value") else {
                    break;
                };
                // `via inet6 ...`, `mtu lock 1400`.
                if matches!(args.text(value), "inet" | "inet6" | "lock") {
                    args.next();
                }
            }
            continue;
        }
        let letters = text
            .bytes()
            .all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        let near = kind.options().iter().map(|option| option.name);
        if letters && args.report.nearest(text, near).is_some() {
            unknown(args, kind, word);
        }
    }
    Some(args.taken())
}

/// A line of a `virtual_server_group`: checked here, expanded when it is resolved.
fn service(args: &mut Args<'_, '_>) -> Option<usize> {
    let word = args.next()?;
    let text = args.text(word);
    if text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text != "fwmark"
        && let Some(near) = args.report.nearest(text, std::iter::once("fwmark"))
    {
        let message = format!("`{text}` is not an IP address");
        let diagnostic = args.report.error(Code::BadAddress, word.outer(), message);
        let place = args.report.place(word.span);
        let label = format!("did you mean `{near}`?");
        return args.wrong(diagnostic.label(label).suggest(place, near));
    }
    if text == "fwmark" {
        let mark = args.required("a number")?;
        let text = args.text(mark);
        if text.parse::<u32>().is_err() {
            let message = format!("`{text}` is not a mark: marks go from 0 to 4294967295");
            let diagnostic = args.report.error(Code::BadNumber, mark.outer(), message);
            return args.wrong(diagnostic);
        }
        if let Some(family) = args.next() {
            crate::value::choice(args, family, &["inet", "inet6"], false)?;
        }
        return Some(args.taken());
    }
    // `< IPADDR> <PORT>` has as many problems as words; one message will do.
    group_range(args, word)?;
    if let Some(port) = args.next() {
        if args.placeholder(port) {
            return None;
        }
        let text = args.text(port);
        if text.parse::<u16>().is_err() {
            let message = format!("`{text}` is not a port: ports go from 0 to 65535");
            let diagnostic = args.report.error(Code::BadNumber, port.outer(), message);
            return args.wrong(diagnostic);
        }
    }
    let used = args.taken();
    if let Some(extra) = args.next() {
        let text = args.text(extra);
        let message = format!("`{text}` is not read: an entry is an address and a port");
        let diagnostic = args
            .report
            .warning(Code::TrailingWords, extra.outer(), message);
        args.report.push(diagnostic);
    }
    Some(used)
}
