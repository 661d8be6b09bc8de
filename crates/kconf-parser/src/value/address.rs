//! Addresses, with and without ports.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::ast::Value;
use crate::config::Granularity;
use crate::diagnostic::Code;
use crate::tree::Word;

use super::Args;
use super::number::{Parsed, parse};

/// An IP address.
pub(super) fn address(args: &mut Args<'_, '_>) -> Option<IpAddr> {
    let word = args.required("an IP address")?;
    parse_address(args, word)
}

/// An IP address of one family.
pub(super) fn of_family(args: &mut Args<'_, '_>, want_v4: bool) -> Option<IpAddr> {
    let word = args.required("an IP address")?;
    let address = parse_address(args, word)?;
    if address.is_ipv4() == want_v4 {
        return Some(address);
    }
    let family = if want_v4 { "an IPv4" } else { "an IPv6" };
    let message = format!("`{address}` is not {family} address");
    let diagnostic = args.report.error(Code::BadAddress, word.outer(), message);
    args.wrong(diagnostic)
}

/// An IP address and perhaps a port.
pub(super) fn address_port(args: &mut Args<'_, '_>) -> Option<Value> {
    let word = args.required("an IP address")?;
    // Both are looked at, so that both can be told wrong.
    let address = parse_address(args, word);
    let port = optional_port(args);
    Some(Value::AddressPort(address?, port.ok()?))
}

/// A host name or address and perhaps a port.
pub(super) fn host_port(args: &mut Args<'_, '_>) -> Option<Value> {
    let host = args.required("a host")?;
    if let Some((name, port)) = joined_port(args.text(host)) {
        let message = "the port is a word of its own";
        let place = args.report.place(host.span);
        let diagnostic = args.report.error(Code::BadAddress, host.outer(), message);
        return args.wrong(diagnostic.suggest(place, format!("{name} {port}")));
    }
    let port = optional_port(args).ok()?;
    Some(Value::HostPort(host, port))
}

/// A port if a word is left; `Err` if it is wrong.
pub(super) fn optional_port(args: &mut Args<'_, '_>) -> Result<Option<u16>, ()> {
    let Some(word) = args.next() else {
        return Ok(None);
    };
    if args.placeholder(word) {
        return Err(());
    }
    let text = args.text(word);
    let message = match parse(text) {
        Parsed::Number(value) => match u16::try_from(value) {
            Ok(port) => return Ok(Some(port)),
            Err(_) => format!("`{text}` is not a port: ports go from 0 to 65535"),
        },
        _ => format!("`{text}` is not a port number"),
    };
    let diagnostic = args.report.error(Code::BadNumber, word.outer(), message);
    args.report.push(diagnostic);
    Err(())
}

/// Reads a word as an IP address.
pub(crate) fn parse_address(args: &mut Args<'_, '_>, word: Word) -> Option<IpAddr> {
    if args.placeholder(word) {
        return None;
    }
    let text = args.text(word);
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Some((address, length)) = text.split_once('/')
        && let Ok(read) = address.parse()
    {
        let message = format!("`/{length}` is not read: an address stands here, no network");
        let place = args.report.place(word.span);
        let code = Code::BadAddress;
        let diagnostic = args.report.warning(code, word.outer(), message);
        args.report.push(diagnostic.suggest(place, address));
        return Some(read);
    }
    let message = format!("`{text}` is not an IP address");
    let diagnostic = args.report.error(Code::BadAddress, word.outer(), message);
    let name = text.strip_prefix('$').unwrap_or(text);
    let diagnostic = if let Some((address, port)) = split_port(text) {
        let place = args.report.place(word.span);
        diagnostic
            .help("the port is a word of its own")
            .suggest(place, format!("{address} {port}"))
    } else if name.starts_with(|first: char| first.is_ascii_uppercase())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
    {
        diagnostic.help(format!(
            "names are not looked up; write the address, or define it above with \
             `${name}=ADDRESS` and write `${name}` here"
        ))
    } else {
        diagnostic
    };
    args.wrong(diagnostic)
}

/// An address with or without the length of its network.
pub(crate) fn parse_network(text: &str) -> Option<IpNet> {
    match text.split_once('/') {
        Some((address, length)) => IpNet::new(address.parse().ok()?, length.parse().ok()?).ok(),
        None => text.parse::<IpAddr>().ok().map(IpNet::from),
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// `10.0.0.1:80` or `[::1]:80`.
fn split_port(text: &str) -> Option<(&str, u16)> {
    let (address, port) = text.rsplit_once(':')?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    is_address(address).then_some(())?;
    Some((address, port.parse().ok()?))
}

/// `HOST:80`, but no IPv6 address.
fn joined_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':').filter(|_| !is_address(text))?;
    Some((host, port.parse().ok()?))
}

/// An IPv4 netmask, or an IPv6 prefix length.
pub(super) fn netmask(args: &mut Args<'_, '_>) -> Option<Granularity> {
    let word = args.required("a netmask or prefix length")?;
    let text = args.text(word);
    if let Ok(mask) = text.parse::<Ipv4Addr>() {
        let bits = u32::from(mask);
        if bits.leading_ones() + bits.trailing_zeros() < 32 {
            let message = format!("`{text}` has ones behind zeros, which is unusual for a netmask");
            let diagnostic = args.report.warning(Code::BadAddress, word.outer(), message);
            args.report.push(diagnostic);
        }
        return Some(Granularity::Mask(mask));
    }
    if let Ok(prefix @ 1..=128) = text.parse::<u8>() {
        return Some(Granularity::Prefix(prefix));
    }
    let message = format!("`{text}` is not a netmask");
    let help = "for IPv4 a mask such as 255.255.255.0, for IPv6 a prefix length from 1 to 128";
    let diagnostic = args
        .report
        .error(Code::BadAddress, word.outer(), message)
        .help(help);
    args.wrong(diagnostic)
}
