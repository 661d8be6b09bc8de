//! Names and numbers of interfaces, and MAC addresses.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::codec::ParseError;

/// The index of an interface: unique in a network namespace as long as the interface exists, kept
/// when it is renamed, not used again soon after it is gone. 1 and above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkIndex(NonZeroU32);

impl LinkIndex {
    /// The loopback interface, which has the index 1 in every network namespace.
    pub const LOOPBACK: Self = Self(NonZeroU32::MIN);

    /// An index; `None` for 0, which the kernel uses for "none".
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The index that the kernel gave in `field`.
    pub(crate) fn expect(field: &'static str, number: u32) -> Result<Self, ParseError> {
        Self::new(number).ok_or_else(|| ParseError::Value {
            field,
            value: number.into(),
        })
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for LinkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of an interface: 1 to 15 bytes, no `/`, no white space, neither `.` nor `..`, as the
/// kernel wants it; so it is safe as a part of a path below `/proc/sys`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkName(String);

/// Why a text is no name of an interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be the name of an interface (1 to 15 bytes without / and blanks)")]
pub struct LinkNameError {
    /// The text.
    pub name: String,
}

impl LinkName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LinkName {
    type Err = LinkNameError;

    fn from_str(name: &str) -> Result<Self, LinkNameError> {
        let forbidden =
            |c: char| c == '/' || c == '\0' || c == ':' || c.is_ascii_whitespace() || c == '\x0b';
        let fits = (1..libc::IFNAMSIZ).contains(&name.len());
        if !fits || name == "." || name == ".." || name.contains(forbidden) {
            return Err(LinkNameError { name: name.into() });
        }
        Ok(Self(name.into()))
    }
}

impl TryFrom<String> for LinkName {
    type Error = LinkNameError;

    fn try_from(name: String) -> Result<Self, LinkNameError> {
        name.parse()
    }
}

impl From<LinkName> for String {
    fn from(name: LinkName) -> Self {
        name.0
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress(pub [u8; 6]);

/// Why a text is no MAC address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no MAC address (six pairs of hexadecimal digits with colons)")]
pub struct MacAddressError {
    /// The text.
    pub text: String,
}

impl MacAddress {
    /// All bits set: everybody on the segment.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it names a group of stations.
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = MacAddressError;

    fn from_str(text: &str) -> Result<Self, MacAddressError> {
        let read = || {
            let mut bytes = [0; 6];
            let mut words = text.split(':');
            for byte in &mut bytes {
                let word = words.next().filter(|word| (1..=2).contains(&word.len()))?;
                if !word.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                *byte = u8::from_str_radix(word, 16).ok()?;
            }
            words.next().is_none().then_some(Self(bytes))
        };
        read().ok_or_else(|| MacAddressError { text: text.into() })
    }
}

impl TryFrom<String> for MacAddress {
    type Error = MacAddressError;

    fn try_from(text: String) -> Result<Self, MacAddressError> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(address: MacAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_interfaces() {
        for good in [
            "lo",
            "eth0.100",
            "vrrp.51",
            "a",
            "fifteen-letters",
            "br-lan@x",
        ] {
            assert_eq!(good.parse::<LinkName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a\tb",
            "a:b",
            "sixteen--letters",
        ] {
            assert!(bad.parse::<LinkName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn mac_addresses() {
        let address: MacAddress = "00:00:5E:00:01:ff".parse().unwrap();
        assert_eq!(address.0, [0, 0, 0x5e, 0, 1, 0xff]);
        assert_eq!(address.to_string(), "00:00:5e:00:01:ff");
        assert!(!address.is_multicast());
        assert!(
            "33:33:0:0:0:1"
                .parse::<MacAddress>()
                .unwrap()
                .is_multicast()
        );
        for bad in [
            "",
            "00:00:5e:00:01",
            "00:00:5e:00:01:01:01",
            "00:00:5e:00:01:+1",
            "0000:5e:00:01:01",
        ] {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad}");
        }
    }
}
