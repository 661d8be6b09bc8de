//! What `virtual_server` and its settings say.

use std::net::{IpAddr, Ipv6Addr};

use crate::ast::Target;
use crate::config::{ForwardMethod, Protocol, Scheduler, TunnelChecksum};
use crate::diagnostic::Code;
use crate::tree::Word;

use super::address::{optional_port, parse_address};
use super::list::{option_number, unknown_option};
use super::{Args, choice};

/// `IP [PORT]`, `fwmark N` or `group NAME`.
pub(super) fn target(args: &mut Args<'_, '_>) -> Option<Target> {
    let word = args.required("an address, `fwmark N` or `group NAME`")?;
    match args.text(word) {
        "fwmark" => {
            let mark = option_number(args, word, 0, u64::from(u32::MAX))?;
            u32::try_from(mark).ok().map(Target::FirewallMark)
        }
        "group" => args.required("the name of a group").map(Target::Group),
        _ => {
            let address = parse_address(args, word);
            let port = optional_port(args);
            Some(Target::Address(address?, port.ok()?))
        }
    }
}

/// `NAT`, `DR`, or `TUN` with its options.
pub(super) fn method(args: &mut Args<'_, '_>) -> Option<ForwardMethod> {
    const OPTIONS: &[&str] = &["type"];
    let word = args.required("a method")?;
    let chosen = choice(args, word, &["NAT", "DR", "TUN"], false)?;
    if chosen != "TUN" {
        return Some(if chosen == "DR" {
            ForwardMethod::DirectRoute
        } else {
            ForwardMethod::Masq
        });
    }
    let mut method = ForwardMethod::Tunnel;
    while let Some(word) = args.next() {
        match args.text(word) {
            "type" => {
                let kind = args.required("a kind of tunnel")?;
                method = match choice(args, kind, &["ipip", "gue", "gre"], false)? {
                    "gue" => ForwardMethod::TunnelGue {
                        port: 0,
                        checksum: TunnelChecksum::None,
                    },
                    "gre" => ForwardMethod::TunnelGre {
                        checksum: TunnelChecksum::None,
                    },
                    _ => ForwardMethod::Tunnel,
                };
            }
            "port" => {
                let number = option_number(args, word, 1, 65_535)?;
                if let ForwardMethod::TunnelGue { port, .. } = &mut method {
                    *port = u16::try_from(number).ok()?;
                }
            }
            text => {
                let sum = match (text, &mut method) {
                    ("remcsum", ForwardMethod::TunnelGue { checksum, .. }) => {
                        *checksum = TunnelChecksum::Remote;
                        continue;
                    }
                    ("csum", _) => TunnelChecksum::Full,
                    ("nocsum", _) => TunnelChecksum::None,
                    _ => {
                        unknown_option(args, word, OPTIONS);
                        continue;
                    }
                };
                if let ForwardMethod::TunnelGue { checksum, .. }
                | ForwardMethod::TunnelGre { checksum } = &mut method
                {
                    *checksum = sum;
                }
            }
        }
    }
    if let ForwardMethod::TunnelGue { port: 0, .. } = method {
        let message = "a gue tunnel needs the port of the real server: `type gue port N`";
        let diagnostic = args.report.error(Code::MissingValue, word.outer(), message);
        return args.wrong(diagnostic);
    }
    Some(method)
}

/// A scheduler by its name.
pub(super) fn scheduler(args: &mut Args<'_, '_>) -> Option<Scheduler> {
    const NAMES: &[&str] = &[
        "rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq",
        "twos",
    ];
    let word = args.required("a scheduler")?;
    Scheduler::from_name(choice(args, word, NAMES, false)?)
}

/// A protocol in any case of letters.
pub(super) fn protocol(args: &mut Args<'_, '_>) -> Option<Protocol> {
    let word = args.required("a protocol")?;
    Some(match choice(args, word, &["TCP", "UDP", "SCTP"], true)? {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        _ => Protocol::Sctp,
    })
}

/// Addresses of a line of a `virtual_server_group`, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: IpAddr,
    /// How many, at least 1.
    pub(crate) count: u32,
}

/// Most addresses of one line.
const MAX_RANGE: u32 = 65_536;

/// Reads an address, `A.B.C.x-y`, `A-B`, an IPv6 range on the last 16 bits, or `IP/MASK`.
pub(crate) fn group_range(args: &mut Args<'_, '_>, word: Word) -> Option<Range> {
    let text = args.text(word);
    if let Some((first, last)) = text.split_once('-') {
        let range = first.parse().ok().and_then(|first| {
            let last = last_of_range(first, last)?;
            Some(Range {
                first,
                count: distance(first, last)?.checked_add(1)?,
            })
        });
        let range = range.filter(|range| range.count <= MAX_RANGE);
        if range.is_none() {
            let message = format!("`{text}` is not a range of addresses");
            let help = "write 10.0.0.5-9, 10.0.0.5-10.0.1.9 or 2001:db8::5-9, upwards";
            let diagnostic = args
                .report
                .error(Code::BadAddress, word.outer(), message)
                .help(help);
            return args.wrong(diagnostic);
        }
        return range;
    }
    if let Some((_, _)) = text.split_once('/') {
        let range = text.parse::<ipnet::IpNet>().ok().and_then(|net| {
            let bits = net.max_prefix_len() - net.prefix_len();
            let count = 1u32
                .checked_shl(u32::from(bits))
                .filter(|count| *count <= MAX_RANGE)?;
            Some(Range {
                first: net.network(),
                count,
            })
        });
        if range.is_none() {
            let message = format!("`{text}` is not a network, or has over {MAX_RANGE} addresses");
            let diagnostic = args.report.error(Code::BadAddress, word.outer(), message);
            return args.wrong(diagnostic);
        }
        return range;
    }
    parse_address(args, word).map(|first| Range { first, count: 1 })
}

/// The last address of a range: a whole one, or the last part in the usual base.
fn last_of_range(first: IpAddr, last: &str) -> Option<IpAddr> {
    if let Ok(last) = last.parse::<IpAddr>() {
        return Some(last);
    }
    match first {
        IpAddr::V4(first) => {
            let [a, b, c, _] = first.octets();
            Some(IpAddr::from([a, b, c, last.parse().ok()?]))
        }
        IpAddr::V6(first) => {
            let mut parts = first.segments();
            *parts.last_mut()? = u16::from_str_radix(last, 16).ok()?;
            Some(IpAddr::from(Ipv6Addr::from(parts)))
        }
    }
}

/// How far one address is behind another; `None` if it is before it or far away.
fn distance(first: IpAddr, last: IpAddr) -> Option<u32> {
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => u32::from(last).checked_sub(u32::from(first)),
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            u32::try_from(u128::from(last).checked_sub(u128::from(first))?).ok()
        }
        _ => None,
    }
}
