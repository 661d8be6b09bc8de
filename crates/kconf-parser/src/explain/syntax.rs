//! Shapes in words.

use crate::keyword::{EntryKind, Shape};

/// What follows a keyword: as it is written, and in words.
///
/// Capitals stand for values, brackets for what may be left out.
pub fn syntax(shape: Shape) -> (String, String) {
    let range = |min: i64, max: i64| format!("from {min} to {max}");
    let micros = |at: i64| {
        let text = format!("{}.{:06}", at / 1_000_000, at % 1_000_000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let millis = |at: i64| {
        let text = format!("{}.{:03}", at / 1_000, at % 1_000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let (form, value) = match shape {
        Shape::Flag => (
            "",
            "nothing follows; an argument would be ignored, even `off`".into(),
        ),
        Shape::Bool => (
            "[BOOL]",
            "`true`, `on`, `yes`, `false`, `off` or `no`; nothing means true".into(),
        ),
        Shape::Int { min, max } => ("NUMBER", format!("a whole number {}", range(min, max))),
        Shape::OptInt { min, max } => (
            "[NUMBER]",
            format!("perhaps a whole number {}", range(min, max)),
        ),
        Shape::Seconds { min, max } => ("SECONDS", format!("whole seconds {}", range(min, max))),
        Shape::OptSeconds { min, max } => (
            "[SECONDS]",
            format!("perhaps whole seconds {}", range(min, max)),
        ),
        Shape::Decimal { min, max } => (
            "SECONDS",
            format!(
                "seconds from {} to {}, with up to six decimals",
                micros(min),
                micros(max)
            ),
        ),
        Shape::Word => ("WORD", "a word, or a text in double quotes".into()),
        Shape::OptWord => (
            "[WORD]",
            "perhaps a word, or a text in double quotes".into(),
        ),
        Shape::Words { min, max } if min == max => ("WORD...", format!("{min} words")),
        Shape::Words { min, max } if max > 1_000 => ("WORD...", format!("words, at least {min}")),
        Shape::Words { min, max } => ("WORD...", format!("{min} to {max} words")),
        Shape::OptWords { max } if max > 1_000 => ("[WORD...]", "perhaps words".into()),
        Shape::OptWords { max } => ("[WORD...]", format!("up to {max} words")),
        Shape::Choice(words) => ("CHOICE", format!("one of: {}", words.join(", "))),
        Shape::AnyCase(words) => (
            "CHOICE",
            format!("one of: {}; in large or small letters", words.join(", ")),
        ),
        Shape::OptChoice(words) => ("[CHOICE]", format!("perhaps one of: {}", words.join(", "))),
        Shape::Address => ("ADDRESS", "an IP address".into()),
        Shape::Address4 => ("ADDRESS", "an IPv4 address".into()),
        Shape::Address6 => ("ADDRESS", "an IPv6 address".into()),
        Shape::AddressPort => ("ADDRESS [PORT]", "an IP address and perhaps a port".into()),
        Shape::HostPort => (
            "HOST [PORT]",
            "a host name or address and perhaps a port".into(),
        ),
        Shape::Script => (
            "COMMAND [USER [GROUP]]",
            "a command, in quotes if it has arguments; who runs it".into(),
        ),
        Shape::OptScript => (
            "[COMMAND]",
            "perhaps a command, in quotes if it has arguments".into(),
        ),
        Shape::Regex => (
            "\"PATTERN\"",
            "a regular expression in double quotes".into(),
        ),
        Shape::User => ("USER [GROUP]", "a user and perhaps a group".into()),
        Shape::Fifo => (
            "PATH [USER [GROUP]]",
            "the path of a pipe, and perhaps who owns it".into(),
        ),
        Shape::Weight { min, max } => (
            "NUMBER [reverse]",
            format!("a whole number {}, perhaps reversed", range(min, max)),
        ),
        Shape::Method => (
            "NAT|DR|TUN [type gue port PORT|type gre|type ipip] [csum|nocsum|remcsum]",
            "a forwarding method, and for a tunnel its kind".into(),
        ),
        Shape::Scheduler => (
            "NAME",
            "a scheduler of IPVS, such as rr, wrr, wlc, sh or mh".into(),
        ),
        Shape::Protocol => ("TCP|UDP|SCTP", "a transport protocol".into()),
        Shape::Netmask => (
            "MASK|PREFIX",
            "a netmask for IPv4, a prefix length for IPv6".into(),
        ),
        Shape::Digest => ("DIGEST", "an MD5 sum, 32 hexadecimal digits".into()),
        Shape::StatusCodes => (
            "CODE[-CODE]...",
            "HTTP status codes and ranges of them, from 100 to 599".into(),
        ),
        Shape::Umask => (
            "MODE",
            "a number in octal, or names of bits joined by `|`".into(),
        ),
        Shape::Block(_) => ("{ ... }", "a block".into()),
        Shape::NamedBlock(_) => ("NAME { ... }", "a name, then a block".into()),
        Shape::Service => (
            "ADDRESS [PORT] | fwmark MARK | group NAME { ... }",
            "an address and perhaps a port, a firewall mark, or a group; then a block".into(),
        ),
        Shape::Server(_) => (
            "ADDRESS [PORT] { ... }",
            "an IP address and perhaps a port, then a block".into(),
        ),
        Shape::WordList => ("{ WORD... }", "a block of words".into()),
        Shape::Entries(kind) => ("{ ... }", format!("a block; on each line {}", entry(kind))),
        Shape::NamedEntries(kind) => (
            "NAME { ... }",
            format!("a name, then a block; on each line {}", entry(kind)),
        ),
        Shape::Millis { min, max } => (
            "MILLISECONDS",
            format!(
                "milliseconds from {} to {}, with up to three decimals",
                millis(min),
                millis(max)
            ),
        ),
        Shape::Extra { min, max } => (
            "[all] SECONDS",
            format!(
                "whole seconds {}, for all interfaces with `all`",
                range(min, max)
            ),
        ),
        // Forms of their own, each for one keyword; the doc of the keyword tells.
        _ => ("VALUE...", "values, as the description says".into()),
    };
    (form.to_owned(), value)
}

fn entry(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Address | EntryKind::StaticAddress => {
            "an address with its prefix length, and options"
        }
        EntryKind::Route => "a route as ip-route(8) takes it",
        EntryKind::Rule => "a rule as ip-rule(8) takes it",
        EntryKind::TrackInterface => "an interface and perhaps a weight",
        EntryKind::Track => "a name and perhaps a weight",
        EntryKind::Peer => "an address and perhaps limits",
        EntryKind::Service => "an address and port, a range of them, or a firewall mark",
        EntryKind::Linkbeat => "an interface and perhaps a method",
        EntryKind::Delay => "an interface and one or two times",
    }
}
