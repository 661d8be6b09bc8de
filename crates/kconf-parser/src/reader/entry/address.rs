//! Lines of `virtual_ipaddress` and its companions.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;

use crate::config::{Address, AddressOptions, Broadcast, Lifetime, Named};
use crate::diagnostic::Code;
use crate::keyword::EntryKind;
use crate::tree::Word;
use crate::value::{Args, parse_network};

use super::{bad_option, unknown};

/// Longest name of an interface, hence longest label, in bytes. Source: kernel `IFNAMSIZ`.
pub(super) const MAX_NAME: usize = 15;

/// Scopes by name. Source: kernel `RT_SCOPE_*`.
const SCOPES: &[(&str, u8)] = &[
    ("global", 0),
    ("site", 200),
    ("link", 253),
    ("host", 254),
    ("nowhere", 255),
];

/// `IP[/PREFIX]` and options.
pub(super) fn read(args: &mut Args<'_, '_>, kind: EntryKind) -> Option<Address> {
    let first = args.next()?;
    let address = network(args, first)?;
    let is_v4 = address.addr().is_ipv4();
    let mut interface = None;
    let mut options = AddressOptions::default();
    while let Some(word) = args.next() {
        if args.placeholder(word) {
            continue;
        }
        let name = args.text(word);
        let Some(option) = kind.option(name) else {
            unknown(args, kind, word);
            continue;
        };
        args.keyword = word;
        let value = match option.args {
            0 => word,
            _ => match args.required("a value") {
                Some(value) => value,
                None => continue,
            },
        };
        let text = args.text(value);
        match name {
            "dev" => interface = interface_name(args, value, "dev").or(interface),
            "brd" | "broadcast" => options.broadcast = broadcast(args, name, value, address),
            "label" => {
                options.label = if is_v4 {
                    interface_name(args, value, "label")
                } else {
                    ignored(args, word, "IPv6 addresses have no label")
                }
            }
            "scope" if is_v4 => options.scope = scope(args, value),
            "scope" => options.scope = ignored(args, word, "the kernel chooses the scope of IPv6"),
            "peer" => options.peer = peer(args, value, address),
            "use_vmac" if kind == EntryKind::StaticAddress => {
                let _: Option<()> = ignored(args, word, "static addresses have no instance");
            }
            "use_vmac" => options.use_vmac = true,
            "home" => options.home = for_v6(args, word, is_v4),
            "-nodad" => options.detect_duplicates = for_v6(args, word, is_v4),
            "mngtmpaddr" => options.manage_temporary = for_v6(args, word, is_v4),
            "noprefixroute" => options.no_prefix_route = true,
            "autojoin" => options.autojoin = true,
            "no_track" => options.no_track = true,
            "preferred_lft" => options.preferred_lft = lifetime(args, value),
            "track_group" if kind == EntryKind::StaticAddress => {
                options.track_group = Some(text.to_owned());
            }
            _ => {
                let _: Option<()> = ignored(args, word, "only static items have a track group");
            }
        }
    }
    let options = (options != AddressOptions::default()).then(|| Box::new(options));
    Some(Address {
        address,
        interface,
        options,
    })
}

/// `IP[/PREFIX]`.
pub(super) fn network(args: &mut Args<'_, '_>, word: Word) -> Option<IpNet> {
    if args.placeholder(word) {
        return None;
    }
    let text = args.text(word);
    if let Some(network) = parse_network(text) {
        return Some(network);
    }
    let (address, prefix) = text
        .split_once('/')
        .map_or((text, None), |(a, p)| (a, Some(p)));
    let message = match (address.parse::<IpAddr>(), prefix) {
        (Ok(address), Some(_)) => {
            let most = if address.is_ipv4() { 32 } else { 128 };
            format!("`{text}` has no usable prefix length: it is from 0 to {most}")
        }
        _ => format!("`{text}` is not an IP address"),
    };
    let diagnostic = args.report.error(Code::BadAddress, word.outer(), message);
    args.wrong(diagnostic)
}

/// The name of an interface, or a label.
pub(super) fn interface_name(args: &mut Args<'_, '_>, word: Word, option: &str) -> Option<String> {
    if args.placeholder(word) {
        return None;
    }
    let text = args.text(word);
    match text.len() {
        1..=MAX_NAME => Some(text.to_owned()),
        length => {
            let message = format!("`{text}` has {length} bytes; `{option}` takes 1 to {MAX_NAME}");
            let diagnostic = args.report.error(Code::BadValue, word.outer(), message);
            args.wrong(diagnostic.help("the option is left out"))
        }
    }
}

fn broadcast(
    args: &mut Args<'_, '_>,
    option: &str,
    word: Word,
    address: IpNet,
) -> Option<Broadcast> {
    if address.addr().is_ipv6() {
        return ignored(args, args.keyword, "IPv6 has no broadcast");
    }
    let broadcast = match args.text(word) {
        "+" => Broadcast::HostBitsSet,
        "-" => Broadcast::HostBitsClear,
        text => match text.parse::<Ipv4Addr>() {
            Ok(address) => return Some(Broadcast::Address(address)),
            Err(_) => return bad_option(args, word, option, "an IPv4 address, `+` or `-`"),
        },
    };
    if address.prefix_len() > 30 {
        let length = address.prefix_len();
        let message = format!("a network with the length {length} has no broadcast address");
        let diagnostic = args.report.error(Code::BadValue, word.outer(), message);
        return args.wrong(diagnostic.help("write the length of the network behind the address"));
    }
    Some(broadcast)
}

/// A scope by name or number.
pub(super) fn scope(args: &mut Args<'_, '_>, word: Word) -> Option<Named<u8>> {
    match named(args, word, "scope", SCOPES)? {
        Named::Name(_) => bad_option(
            args,
            word,
            "scope",
            "global, site, link, host, nowhere or a number",
        ),
        number => Some(number),
    }
}

/// A number, or a name, of which some are known.
pub(super) fn named<N: Copy + std::str::FromStr>(
    args: &mut Args<'_, '_>,
    word: Word,
    option: &str,
    known: &[(&str, N)],
) -> Option<Named<N>> {
    if args.placeholder(word) {
        return None;
    }
    let text = args.text(word);
    if let Some((_, number)) = known.iter().find(|(name, _)| *name == text) {
        return Some(Named::Number(*number));
    }
    if let Ok(number) = text.parse() {
        return Some(Named::Number(number));
    }
    if text.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
        return bad_option(args, word, option, "a smaller number or a name");
    }
    Some(Named::Name(text.to_owned()))
}

fn peer(args: &mut Args<'_, '_>, word: Word, address: IpNet) -> Option<IpNet> {
    let peer = network(args, word)?;
    if peer.addr().is_ipv4() != address.addr().is_ipv4() {
        let message = format!(
            "the peer {peer} is of another family than {}",
            address.addr()
        );
        let diagnostic = args
            .report
            .error(Code::FamilyMismatch, word.outer(), message);
        return args.wrong(diagnostic);
    }
    Some(peer)
}

fn lifetime(args: &mut Args<'_, '_>, word: Word) -> Option<Lifetime> {
    match args.text(word) {
        "forever" => Some(Lifetime::Forever),
        text => match text.parse::<u32>() {
            Ok(seconds) => Some(Lifetime::For(Duration::from_secs(seconds.into()))),
            Err(_) => bad_option(
                args,
                word,
                "preferred_lft",
                "a number of seconds or `forever`",
            ),
        },
    }
}

fn for_v6(args: &mut Args<'_, '_>, word: Word, is_v4: bool) -> bool {
    if is_v4 {
        let _: Option<()> = ignored(args, word, "it is for IPv6 only");
    }
    !is_v4
}

/// An option that has no meaning here.
fn ignored<T>(args: &mut Args<'_, '_>, word: Word, reason: &str) -> Option<T> {
    let message = format!("`{}` is ignored: {reason}", args.text(word));
    let diagnostic = args
        .report
        .warning(Code::NoMeaningHere, word.outer(), message);
    args.wrong(diagnostic)
}
