//! The values of options, as ipvsadm reads them: numbers, addresses, ports, marks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_netlink::Protocol;

use crate::names;

/// A decimal number in a range, as strtol reads it: leading blanks, a sign and leading zeros pass,
/// nothing may follow.
pub(crate) fn number(text: &[u8], low: u64, high: u64) -> Option<u64> {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"\x0b").unwrap_or(text);
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0_u64, |value, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })?;
    (!negative || value == 0)
        .then_some(value)
        .filter(|value| (low..=high).contains(value))
}

/// An IPv4 address in the forms of inet_aton: one to four parts, each decimal, octal or hexadecimal,
/// the last one filling what is left.
pub(crate) fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    // inet_aton looks no further than a blank.
    let text = text.split(u8::is_ascii_whitespace).next()?;
    let mut parts = text.split(|byte| *byte == b'.');
    let mut last = part(parts.next()?)?;
    let mut address = 0;
    let mut bits_left = 32_u32;
    for text in parts {
        if last > 255 || bits_left == 8 {
            return None;
        }
        bits_left -= 8;
        address |= last << bits_left;
        last = part(text)?;
    }
    if u64::from(last) >= 1 << bits_left {
        return None;
    }
    address |= last;
    Some(Ipv4Addr::from(address))
}

fn part(text: &[u8]) -> Option<u32> {
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (16, digits),
        [b'0', digits @ ..] if !digits.is_empty() => (8, digits),
        digits => (10, digits),
    };
    let (first, rest) = digits.split_first()?;
    rest.iter()
        .try_fold(char::from(*first).to_digit(radix)?, |value, digit| {
            let digit = char::from(*digit).to_digit(radix)?;
            value.checked_mul(radix)?.checked_add(digit)
        })
}

/// An IPv6 address as inet_pton reads it.
pub(crate) fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `ADDRESS[:PORT]`; without a port it is `None`, or 0 where the address swallowed it.
///
/// Service names are looked up for `protocols`, in turn.
pub(crate) fn endpoint(text: &[u8], protocols: &[Protocol]) -> Option<(IpAddr, Option<u16>)> {
    match plain(text) {
        Some((address, port)) => Some((address.into(), Some(port))),
        None => any_endpoint(text, protocols),
    }
}

/// `A.B.C.D:PORT` in plain decimal numbers, which is nearly all of a large table and takes a fraction
/// of the time of all that may be written.
fn plain(text: &[u8]) -> Option<(Ipv4Addr, u16)> {
    let mut rest = text.iter();
    let mut number = |end: Option<u8>| {
        let mut value = 0_u32;
        let mut digits = 0;
        loop {
            match rest.next().copied() {
                Some(digit @ b'0'..=b'9') if digits < 5 && (digits == 0 || value > 0) => {
                    value = value * 10 + u32::from(digit - b'0');
                    digits += 1;
                }
                other => return (digits > 0 && other == end).then_some(value),
            }
        }
    };
    let dot = Some(b'.');
    let octets = [dot, dot, dot, Some(b':')].map(|end| u8::try_from(number(end)?).ok());
    let [Some(a), Some(b), Some(c), Some(d)] = octets else {
        return None;
    };
    Some((
        Ipv4Addr::new(a, b, c, d),
        u16::try_from(number(None)?).ok()?,
    ))
}

fn any_endpoint(text: &[u8], protocols: &[Protocol]) -> Option<(IpAddr, Option<u16>)> {
    if let [b'[', rest @ ..] = text {
        let end = rest.iter().position(|byte| *byte == b']')?;
        let (inside, outside) = (&rest[..end], &rest[end + 1..]);
        let [b':', port_text @ ..] = outside else {
            return None;
        };
        if let Some(address) = ipv6(inside) {
            return Some((address.into(), Some(port(port_text, protocols)?)));
        }
        // An oddity that scripts can see: the port behind a bracketed IPv4 address is lost.
        return Some((host(inside)?, None));
    }
    let colons = text.iter().filter(|byte| **byte == b':').count();
    if colons >= 2 {
        return Some((ipv6(text)?.into(), None));
    }
    match text.iter().position(|byte| *byte == b':') {
        Some(at) => Some((host(&text[..at])?, Some(port(&text[at + 1..], protocols)?))),
        // An oddity that scripts can see: a number alone is no address, though `1:80` and `0x1` are.
        None if text.iter().all(u8::is_ascii_digit) => None,
        None => Some((host(text)?, None)),
    }
}

/// An IPv4 address, or the name of a host that has one.
fn host(text: &[u8]) -> Option<IpAddr> {
    match ipv4(text) {
        Some(address) => Some(address.into()),
        None => Some(names::address_of_host(std::str::from_utf8(text).ok()?)?.into()),
    }
}

fn port(text: &[u8], protocols: &[Protocol]) -> Option<u16> {
    match number(text, 0, u16::MAX.into()) {
        Some(port) => u16::try_from(port).ok(),
        None => {
            let name = std::str::from_utf8(text)
                .ok()
                .filter(|name| !name.is_empty())?;
            protocols
                .iter()
                .find_map(|protocol| names::port_of_service(name, *protocol))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_plain_is_read_as_anything_else_is(
            text in "[0-9]{1,3}(\\.[0-9]{1,4}){3}[:.]?[0-9]{0,6}[ x]?"
        ) {
            let all = any_endpoint(text.as_bytes(), &[]);
            if let Some((address, port)) = plain(text.as_bytes()) {
                prop_assert_eq!(all, Some((address.into(), Some(port))));
            }
        }
    }

    #[test]
    fn usual_endpoints_are_plain() {
        for text in ["10.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535"] {
            assert!(plain(text.as_bytes()).is_some(), "{text}");
        }
        for text in [
            "10.0.0.1",
            "10.0.0.256:80",
            "10.0.0.1:65536",
            "010.0.0.1:80",
            "10.0.0.1:",
        ] {
            assert_eq!(plain(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_read_as_strtol_reads_them() {
        for text in ["5", " 5", "+5", "0005", "\t5"] {
            assert_eq!(number(text.as_bytes(), 0, 9), Some(5), "{text:?}");
        }
        assert_eq!(number(b"-0", 0, 9), Some(0));
        for text in [
            "",
            " ",
            "5x",
            "5 ",
            "0x5",
            "-5",
            "+",
            "10",
            "99999999999999999999",
            "5.0",
        ] {
            assert_eq!(number(text.as_bytes(), 0, 9), None, "{text:?}");
        }
        assert_eq!(number(b"0", 1, 9), None);
    }

    #[test]
    fn ipv4_has_all_forms_of_inet_aton() {
        let read = |text: &str| ipv4(text.as_bytes()).map(|address| address.to_string());
        let cases = [
            ("10.1", "10.0.0.1"),
            ("0x0a.0.0.1", "10.0.0.1"),
            ("010.0.0.1", "8.0.0.1"),
            ("167772161", "10.0.0.1"),
            ("1", "0.0.0.1"),
            ("24", "0.0.0.24"),
            ("255.255", "255.0.0.255"),
            ("00000010.0.0.1", "8.0.0.1"),
            ("1.2.65535", "1.2.255.255"),
            ("255.255.255.255", "255.255.255.255"),
        ];
        for (text, address) in cases {
            assert_eq!(read(text).as_deref(), Some(address), "{text}");
        }
        for text in [
            "",
            "1.2.3.256",
            "1.2.3.4.5",
            "300.0.0.0",
            "1..2",
            "a",
            "09",
            "4294967296",
            "1.2.65536",
            "+1",
            "-1",
            "1.2.3.4x",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn endpoints_keep_the_oddities() {
        let read = |text: &str| endpoint(text.as_bytes(), &[Protocol::Tcp]);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(read("10.0.0.1:80"), Some((address("10.0.0.1"), Some(80))));
        assert_eq!(read("10.0.0.1"), Some((address("10.0.0.1"), None)));
        assert_eq!(
            read("[2001:db8::1]:80"),
            Some((address("2001:db8::1"), Some(80)))
        );
        assert_eq!(read("2001:db8::1"), Some((address("2001:db8::1"), None)));
        assert_eq!(
            read("2001:db8::1:80"),
            Some((address("2001:db8::1:80"), None))
        );
        assert_eq!(read("[10.0.0.2]:80"), Some((address("10.0.0.2"), None)));
        assert_eq!(read("1:80"), Some((address("0.0.0.1"), Some(80))));
        assert_eq!(read("0x1"), Some((address("0.0.0.1"), None)));
        for text in [
            "[2001:db8::1]",
            "10.0.0.1:",
            "10.0.0.1:65536",
            "10.0.0.1:80:80",
            ":80",
            "",
            "[2001:db8::1]80",
            "10.0.0.1:nosuchservice",
            "[fe80::1%lo]:80",
            "[10.0.0.2]",
            "1",
            "167772161",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
