//! Values made of several words.

use std::time::Duration;

use crate::config::{LvsTimeouts, StatusRange, SyncDaemon};
use crate::diagnostic::Code;
use crate::tree::Word;

use super::Args;
use super::address::parse_address;
use super::number::{Parsed, parse};

/// 32 hexadecimal digits.
pub(super) fn digest(args: &mut Args<'_, '_>) -> Option<[u8; 16]> {
    let word = args.required("32 hexadecimal digits")?;
    let text = args.text(word);
    let mut sum = [0; 16];
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let message = match digits {
        Some(digits) if digits.len() == 32 => {
            for (byte, pair) in sum.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = pair
                    .iter()
                    .fold(0, |byte, digit| byte << 4 | (*digit & 0xf) as u8);
            }
            return Some(sum);
        }
        Some(digits) => format!("a digest has 32 hexadecimal digits, not {}", digits.len()),
        None => format!("`{text}` is not a digest: it has other than hexadecimal digits"),
    };
    let diagnostic = args.report.error(Code::BadValue, word.outer(), message);
    args.wrong(diagnostic)
}

/// Status codes and ranges.
pub(super) fn status_codes(args: &mut Args<'_, '_>) -> Option<Vec<StatusRange>> {
    if args.peek().is_none() {
        let message = "`status_code` needs a status code or range; the usual ones stay";
        let place = args.keyword.outer();
        let diagnostic = args.report.warning(Code::MissingValue, place, message);
        return args.wrong(diagnostic);
    }
    let first = args.required("a status code or range")?;
    let mut ranges = Vec::new();
    let mut next = Some(first);
    while let Some(word) = next {
        if !args.placeholder(word) {
            match status_range(args.text(word)) {
                Some(range) => ranges.push(range),
                None => {
                    let message = format!("`{}` is not a status code", args.text(word));
                    let help = "write codes from 100 to 599, or ranges such as 200-299";
                    let code = Code::BadValue;
                    let diagnostic = args.report.error(code, word.outer(), message).help(help);
                    args.report.push(diagnostic);
                }
            }
        }
        next = args.next();
    }
    (!ranges.is_empty()).then_some(ranges)
}

fn status_range(text: &str) -> Option<StatusRange> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let code = |text: &str| text.parse().ok().filter(|code| (100..=599).contains(code));
    let (first, last) = (code(first)?, code(last)?);
    (first <= last).then_some(StatusRange { first, last })
}

/// `tcp S`, `tcpfin S`, `udp S` in any order.
pub(super) fn lvs_timeouts(args: &mut Args<'_, '_>) -> LvsTimeouts {
    let mut timeouts = LvsTimeouts::default();
    while let Some(word) = args.next() {
        let name = args.text(word);
        let slot = match name {
            "tcp" => &mut timeouts.tcp,
            "tcpfin" => &mut timeouts.tcp_fin,
            "udp" => &mut timeouts.udp,
            _ => {
                unknown_option(args, word, &["tcp", "tcpfin", "udp"]);
                continue;
            }
        };
        if let Some(value) = option_number(args, word, 0, 2_678_400) {
            *slot = Some(Duration::from_secs(value));
        }
    }
    timeouts
}

/// An interface, perhaps an instance, and options.
pub(super) fn sync_daemon(args: &mut Args<'_, '_>) -> Option<SyncDaemon> {
    const OPTIONS: &[&str] = &["inst", "id", "maxlen", "port", "ttl", "group"];
    let interface = args.required("an interface")?;
    let mut daemon = SyncDaemon {
        interface: args.text(interface).to_owned(),
        instance: None,
        sync_id: None,
        max_len: None,
        port: None,
        ttl: None,
        group: None,
    };
    let mut first = true;
    while let Some(word) = args.next() {
        let was_first = std::mem::take(&mut first);
        match args.text(word) {
            "inst" => match args.next() {
                Some(name) => daemon.instance = Some(args.text(name).to_owned()),
                None => missing_number(args, word),
            },
            "id" => daemon.sync_id = option_number(args, word, 0, 255).and_then(narrow),
            "maxlen" => daemon.max_len = option_number(args, word, 1, 65_507).and_then(narrow),
            "port" => daemon.port = option_number(args, word, 1, 65_535).and_then(narrow),
            "ttl" => daemon.ttl = option_number(args, word, 1, 255).and_then(narrow),
            "group" => match args.next() {
                Some(group) => daemon.group = parse_address(args, group),
                None => missing_number(args, word),
            },
            name if was_first => daemon.instance = Some(name.to_owned()),
            _ => unknown_option(args, word, OPTIONS),
        }
    }
    Some(daemon)
}

/// The table of a number says that it fits; were that wrong, it is absent.
fn narrow<T: TryFrom<u64>>(value: u64) -> Option<T> {
    T::try_from(value).ok()
}

fn missing_number(args: &mut Args<'_, '_>, option: Word) {
    let message = format!("`{}` needs a value", args.text(option));
    let diagnostic = args
        .report
        .error(Code::MissingValue, option.outer(), message);
    args.report.push(diagnostic);
}

/// The number behind an option word.
pub(crate) fn option_number(
    args: &mut Args<'_, '_>,
    option: Word,
    min: u64,
    max: u64,
) -> Option<u64> {
    let Some(word) = args.next() else {
        missing_number(args, option);
        return None;
    };
    if args.placeholder(word) {
        return None;
    }
    let text = args.text(word);
    let (code, message) = match parse(text) {
        Parsed::Number(value) => {
            let value = u64::try_from(value)
                .ok()
                .filter(|value| (min..=max).contains(value));
            if value.is_some() {
                return value;
            }
            let name = args.text(option);
            let message = format!("`{text}` is outside the range of `{name}`, {min} to {max}");
            (Code::OutOfRange, message)
        }
        _ => (Code::BadNumber, format!("`{text}` is not a whole number")),
    };
    let diagnostic = args.report.error(code, word.outer(), message);
    args.wrong(diagnostic)
}

/// A word that is none of the options.
pub(super) fn unknown_option(
    args: &mut Args<'_, '_>,
    word: Word,
    options: &'static [&'static str],
) {
    if args.placeholder(word) {
        return;
    }
    let text = args.text(word);
    let message = format!("`{text}` is not an option of `{}`", args.text(args.keyword));
    let mut diagnostic = args.report.error(Code::BadChoice, word.outer(), message);
    if let Some(meant) = args.report.nearest(text, options.iter().copied()) {
        let place = args.report.place(word.span);
        diagnostic = diagnostic
            .label(format!("did you mean `{meant}`?"))
            .suggest(place, meant);
    }
    let diagnostic = diagnostic.help(format!("one of: {}", options.join(", ")));
    args.report.push(diagnostic);
    // Its value is lost with it.
    if args
        .peek()
        .is_some_and(|next| matches!(parse(args.text(next)), Parsed::Number(_)))
    {
        args.next();
    }
}
