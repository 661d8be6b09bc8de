//! Small values with ranges: what cannot be wrong once it exists.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number from outside that its type does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {low} to {high}, not {value}")]
pub struct OutOfRange {
    /// What the number would have been.
    pub what: &'static str,
    /// What it was.
    pub value: u64,
    /// The least that is allowed.
    pub low: u64,
    /// The most that is allowed.
    pub high: u64,
}

impl OutOfRange {
    fn check(what: &'static str, value: u64, low: u64, high: u64) -> Result<(), Self> {
        if (low..=high).contains(&value) {
            return Ok(());
        }
        Err(Self {
            what,
            value,
            low,
            high,
        })
    }
}

/// Virtual router identifier, 1 to 255.
///
/// Unique per interface, address family and destination. Source: RFC 9568 section 5.2.3;
/// keepalived.conf(5) `virtual_router_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Vrid(u8);

impl Vrid {
    /// The number on the wire.
    pub const fn as_u8(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Vrid {
    type Error = OutOfRange;

    fn try_from(value: u8) -> Result<Self, OutOfRange> {
        OutOfRange::check("a virtual router identifier", value.into(), 1, 255)?;
        Ok(Self(value))
    }
}

impl From<Vrid> for u8 {
    fn from(vrid: Vrid) -> Self {
        vrid.0
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Election priority, 1 to 255; 255 is the address owner's.
///
/// The 0 of the wire, by which a Master resigns, is not a priority:
/// [`wire::AdvertisedPriority`](crate::wire::AdvertisedPriority) has a variant of its own for it.
/// Default 100. Source: RFC 9568 section 5.2.4; keepalived.conf(5) `priority`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// What a router has that owns the addresses: they are its own, not only lent.
    pub const OWNER: Self = Self(255);
    /// The greatest priority of a router that does not own the addresses.
    pub const HIGHEST: Self = Self(254);
    /// The priority of a router that says nothing else.
    pub const DEFAULT: Self = Self(100);

    /// The number on the wire.
    pub const fn as_u8(self) -> u8 {
        self.0
    }

    /// Whether it is the address owner's.
    pub const fn is_owner(self) -> bool {
        self.0 == 255
    }

    /// This priority changed by `adjustment` and held within 1 to 254. The owner's never changes.
    ///
    /// Source: keepalived.conf(5), weights of tracked objects.
    pub fn adjusted(self, adjustment: i64) -> Self {
        if self.is_owner() {
            return self;
        }
        let sum = i64::from(self.0).saturating_add(adjustment).clamp(1, 254);
        Self(u8::try_from(sum).unwrap_or(254)) // within 1 to 254 by the clamp
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<u8> for Priority {
    type Error = OutOfRange;

    fn try_from(value: u8) -> Result<Self, OutOfRange> {
        OutOfRange::check("a priority", value.into(), 1, 255)?;
        Ok(Self(value))
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Protocol version.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// RFC 3768: IPv4 only, whole seconds, authentication of RFC 2338.
    #[default]
    V2,
    /// RFC 9568 (and RFC 5798): both families, centiseconds, no authentication.
    V3,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V2 => "2",
            Self::V3 => "3",
        })
    }
}

/// Address family of a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// Time between advertisements: 1 s to 255 s in version 2, 10 ms to 40.95 s in version 3.
///
/// Default 1 s. Source: RFC 3768 section 5.3.7 (Adver Int, seconds); RFC 9568 section 5.2.7 (Max
/// Advertise Interval, centiseconds); keepalived.conf(5) `advert_int`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct AdvertInterval {
    centis: u16,
}

impl AdvertInterval {
    /// One second, the default of both versions.
    pub const DEFAULT: Self = Self { centis: 100 };

    /// An interval of whole seconds, 1 to 255: fit for version 2; up to 40 for version 3, too.
    pub fn from_secs(secs: u8) -> Result<Self, OutOfRange> {
        OutOfRange::check("an advertisement interval in seconds", secs.into(), 1, 255)?;
        Ok(Self {
            centis: u16::from(secs) * 100,
        })
    }

    /// An interval of 1 to 4095 centiseconds: fit for version 3.
    pub fn from_centis(centis: u16) -> Result<Self, OutOfRange> {
        let what = "an advertisement interval in centiseconds";
        OutOfRange::check(what, centis.into(), 1, 4095)?;
        Ok(Self { centis })
    }

    /// The interval in centiseconds, if version 3 can say it.
    pub const fn as_centis(self) -> Option<u16> {
        if self.centis <= 4095 {
            Some(self.centis)
        } else {
            None
        }
    }

    /// The interval in seconds, if they are whole, as version 2 needs them.
    pub fn as_secs(self) -> Option<u8> {
        if self.centis.is_multiple_of(100) {
            u8::try_from(self.centis / 100).ok()
        } else {
            None
        }
    }

    /// The interval as a duration, exactly.
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.centis as u64 * 10)
    }
}

impl Default for AdvertInterval {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<u16> for AdvertInterval {
    type Error = OutOfRange;

    /// From centiseconds, within what either version can say.
    fn try_from(centis: u16) -> Result<Self, OutOfRange> {
        if centis.is_multiple_of(100) && (4096..=25_500).contains(&centis) {
            return Ok(Self { centis });
        }
        Self::from_centis(centis)
    }
}

impl From<AdvertInterval> for u16 {
    fn from(interval: AdvertInterval) -> Self {
        interval.centis
    }
}

impl fmt::Display for AdvertInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::time::Seconds(self.as_duration()).fmt(f)
    }
}

/// A name in the driver's world: an instance, a group, an interface, a tracked object.
///
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HardwareAddress(pub [u8; 6]);

impl HardwareAddress {
    /// All ones.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The address that every Master of a virtual router shares: 00-00-5E-00-01-{VRID} for IPv4,
    /// 00-00-5E-00-02-{VRID} for IPv6. Source: RFC 9568 section 7.3.
    pub const fn of_virtual_router(family: Family, vrid: Vrid) -> Self {
        let block = match family {
            Family::Ipv4 => 1,
            Family::Ipv6 => 2,
        };
        Self([0x00, 0x00, 0x5e, 0x00, block, vrid.as_u8()])
    }
}

impl fmt::Display for HardwareAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl From<HardwareAddress> for String {
    fn from(address: HardwareAddress) -> Self {
        address.to_string()
    }
}

/// A text that is no Ethernet address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not six pairs of hexadecimal digits between colons")]
pub struct BadHardwareAddress(String);

impl FromStr for HardwareAddress {
    type Err = BadHardwareAddress;

    fn from_str(text: &str) -> Result<Self, BadHardwareAddress> {
        let bad = || BadHardwareAddress(text.to_owned());
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts
                .next()
                .filter(|part| part.len() == 2)
                .ok_or_else(bad)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        match parts.next() {
            None => Ok(Self(octets)),
            Some(_) => Err(bad()),
        }
    }
}

impl TryFrom<String> for HardwareAddress {
    type Error = BadHardwareAddress;

    fn try_from(text: String) -> Result<Self, BadHardwareAddress> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_at_both_ends() {
        assert!(Vrid::try_from(0).is_err());
        assert_eq!(Vrid::try_from(255).unwrap().as_u8(), 255);
        assert!(Priority::try_from(0).is_err());
        assert!(Priority::try_from(255).unwrap().is_owner());
        assert!(AdvertInterval::from_secs(0).is_err());
        assert!(AdvertInterval::from_centis(0).is_err());
        assert!(AdvertInterval::from_centis(4096).is_err());
        let error = AdvertInterval::from_centis(4096).unwrap_err().to_string();
        let expected = "an advertisement interval in centiseconds must be 1 to 4095, not 4096";
        assert_eq!(error, expected);
    }

    #[test]
    fn an_interval_says_which_version_can_send_it() {
        let of = |centis: u16| AdvertInterval::try_from(centis).unwrap();
        assert_eq!(
            (of(100).as_secs(), of(100).as_centis()),
            (Some(1), Some(100))
        );
        assert_eq!((of(50).as_secs(), of(50).as_centis()), (None, Some(50)));
        assert_eq!(
            (of(25_500).as_secs(), of(25_500).as_centis()),
            (Some(255), None)
        );
        assert!(AdvertInterval::try_from(4150).is_err());
        assert!(AdvertInterval::try_from(25_600).is_err());
        assert_eq!(of(1).as_duration(), Duration::from_millis(10));
    }

    #[test]
    fn adjustments_stay_within_1_and_254_and_spare_the_owner() {
        let priority = Priority::try_from(100).unwrap();
        assert_eq!(priority.adjusted(20).as_u8(), 120);
        assert_eq!(priority.adjusted(-100).as_u8(), 1);
        assert_eq!(priority.adjusted(i64::MIN).as_u8(), 1);
        assert_eq!(priority.adjusted(i64::MAX).as_u8(), 254);
        assert_eq!(Priority::OWNER.adjusted(-50), Priority::OWNER);
    }

    #[test]
    fn virtual_hardware_addresses_follow_the_rfc() {
        let vrid = Vrid::try_from(0x2a).unwrap();
        let of = |family| HardwareAddress::of_virtual_router(family, vrid).to_string();
        assert_eq!(of(Family::Ipv4), "00:00:5e:00:01:2a");
        assert_eq!(of(Family::Ipv6), "00:00:5e:00:02:2a");
        assert_eq!(
            "00:00:5e:00:01:2a".parse(),
            Ok(HardwareAddress::of_virtual_router(Family::Ipv4, vrid))
        );
        for bad in [
            "",
            "00:00:5e:00:01",
            "00:00:5e:00:01:2a:00",
            "0:0:5e:0:1:2a",
            "zz:00:5e:00:01:2a",
        ] {
            assert!(bad.parse::<HardwareAddress>().is_err(), "{bad}");
        }
    }
}
