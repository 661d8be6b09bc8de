//! VRRP version 3 over IPv4 and IPv6. Source: RFC 9568 section 5 (and RFC 5798).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version| Type  | Virtual Rtr ID|   Priority    |IPvX Addr Count|
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Reserve| Max Advertise Interval|          Checksum             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          IPvX Addresses (1) … (n), 4 or 16 bytes each         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use std::fmt;
use std::net::IpAddr;

use super::{
    AdvertisedPriority, ChecksumRule, ParseError, TYPE_ADVERTISEMENT, checksum, field, set_field,
};
use crate::types::{AdvertInterval, Family, Vrid};

mod offset {
    pub(super) const VERSION_TYPE: usize = 0;
    pub(super) const VRID: usize = 1;
    pub(super) const PRIORITY: usize = 2;
    pub(super) const COUNT: usize = 3;
    pub(super) const MAX_ADVERT_INT: usize = 4;
    pub(super) const CHECKSUM: usize = 6;
    pub(super) const ADDRESSES: usize = 8;
}

/// Length of the header before the addresses.
pub const HEADER_LEN: usize = offset::ADDRESSES;

const fn address_len(family: Family) -> usize {
    match family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 16,
    }
}

/// A view of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T> {
    buffer: T,
    family: Family,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// A view of bytes that have not been measured; getters of what is missing give zeros.
    pub const fn new_unchecked(family: Family, buffer: T) -> Self {
        Self { buffer, family }
    }

    /// A view of bytes that are long enough for their own count of addresses.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`].
    pub fn new_checked(family: Family, buffer: T) -> Result<Self, ParseError> {
        let packet = Self::new_unchecked(family, buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Whether the bytes are long enough for their own count of addresses.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`].
    pub fn check_len(&self) -> Result<(), ParseError> {
        let len = self.data().len();
        if len < HEADER_LEN || len < self.total_len() {
            return Err(ParseError::Truncated);
        }
        Ok(())
    }

    /// The view's bytes back.
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Length of the packet by its own count of addresses.
    pub fn total_len(&self) -> usize {
        HEADER_LEN + usize::from(self.address_count()) * address_len(self.family)
    }

    /// Version.
    pub fn version(&self) -> u8 {
        self.byte(offset::VERSION_TYPE) >> 4
    }

    /// Type.
    pub fn packet_type(&self) -> u8 {
        self.byte(offset::VERSION_TYPE) & 0x0f
    }

    /// Virtual router identifier.
    pub fn vrid(&self) -> u8 {
        self.byte(offset::VRID)
    }

    /// Priority.
    pub fn priority(&self) -> u8 {
        self.byte(offset::PRIORITY)
    }

    /// Number of addresses.
    pub fn address_count(&self) -> u8 {
        self.byte(offset::COUNT)
    }

    /// The reserved bits.
    pub fn reserved(&self) -> u8 {
        self.byte(offset::MAX_ADVERT_INT) >> 4
    }

    /// Advertisement interval in centiseconds.
    pub fn max_advert_int_cs(&self) -> u16 {
        u16::from_be_bytes(field(self.data(), offset::MAX_ADVERT_INT)) & 0x0fff
    }

    /// Checksum.
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes(field(self.data(), offset::CHECKSUM))
    }

    /// The addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let family = self.family;
        let bytes = self.data().get(offset::ADDRESSES..).unwrap_or_default();
        let chunks = bytes.chunks_exact(address_len(family));
        let count = usize::from(self.address_count());
        chunks.take(count).map(move |octets| match family {
            Family::Ipv4 => IpAddr::from(field::<4>(octets, 0)),
            Family::Ipv6 => IpAddr::from(field::<16>(octets, 0)),
        })
    }

    /// By which rule the checksum holds: the expected one if it fits, else any of them. Over IPv6
    /// there is only one.
    pub fn verify_checksum(
        &self,
        expected: ChecksumRule,
        source: IpAddr,
        destination: IpAddr,
    ) -> Option<ChecksumRule> {
        let packet = self.data().get(..self.total_len())?;
        checksum::verify_v3(packet, self.checksum(), expected, source, destination)
    }

    fn data(&self) -> &[u8] {
        self.buffer.as_ref()
    }

    fn byte(&self, at: usize) -> u8 {
        let [byte] = field(self.data(), at);
        byte
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets version and type.
    pub fn set_version_type(&mut self, version: u8, packet_type: u8) {
        self.set(offset::VERSION_TYPE, [version << 4 | packet_type & 0x0f]);
    }

    /// Sets the virtual router identifier.
    pub fn set_vrid(&mut self, vrid: u8) {
        self.set(offset::VRID, [vrid]);
    }

    /// Sets the priority.
    pub fn set_priority(&mut self, priority: u8) {
        self.set(offset::PRIORITY, [priority]);
    }

    /// Sets the number of addresses.
    pub fn set_address_count(&mut self, count: u8) {
        self.set(offset::COUNT, [count]);
    }

    /// Sets the advertisement interval in centiseconds, of which 12 bits count, and clears the
    /// reserved bits.
    pub fn set_max_advert_int_cs(&mut self, centis: u16) {
        self.set(offset::MAX_ADVERT_INT, (centis & 0x0fff).to_be_bytes());
    }

    /// Sets the checksum.
    pub fn set_checksum(&mut self, sum: u16) {
        self.set(offset::CHECKSUM, sum.to_be_bytes());
    }

    /// Sets an address, counted from 0; one of the other family is left out.
    pub fn set_address(&mut self, index: usize, address: IpAddr) {
        let at = offset::ADDRESSES + index * address_len(self.family);
        match (self.family, address) {
            (Family::Ipv4, IpAddr::V4(address)) => self.set(at, address.octets()),
            (Family::Ipv6, IpAddr::V6(address)) => self.set(at, address.octets()),
            _ => {}
        }
    }

    /// Computes and sets the checksum; all else must have been set.
    pub fn fill_checksum(&mut self, rule: ChecksumRule, source: IpAddr, destination: IpAddr) {
        let len = self.total_len();
        let packet = self.data().get(..len);
        let sum = packet.and_then(|packet| checksum::v3(packet, rule, source, destination));
        self.set_checksum(sum.unwrap_or(0));
    }

    fn set<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        set_field(self.buffer.as_mut(), at, value);
    }
}

/// An advertisement as plain values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Family of the addresses.
    pub family: Family,
    /// Virtual router identifier.
    pub vrid: Vrid,
    /// Priority.
    pub priority: AdvertisedPriority,
    /// Interval; at most 40.95 s.
    pub interval: AdvertInterval,
    /// Addresses; at most 255.
    pub addresses: Vec<IpAddr>,
}

impl Repr {
    /// Understands a packet that came from `source` to `destination`; its checksum may hold by
    /// any rule. Bytes after its end are ignored.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn parse<T: AsRef<[u8]>>(
        packet: &Packet<T>,
        source: IpAddr,
        destination: IpAddr,
    ) -> Result<Self, ParseError> {
        packet.check_len()?;
        if packet.version() != 3 {
            return Err(ParseError::Version(packet.version()));
        }
        if packet.packet_type() != TYPE_ADVERTISEMENT {
            return Err(ParseError::Type(packet.packet_type()));
        }
        let rule = packet.verify_checksum(ChecksumRule::default(), source, destination);
        rule.ok_or(ParseError::Checksum)?;
        let interval = AdvertInterval::from_centis(packet.max_advert_int_cs());
        Ok(Self {
            family: packet.family,
            vrid: Vrid::try_from(packet.vrid()).map_err(|_| ParseError::Vrid)?,
            priority: packet.priority().into(),
            interval: interval.map_err(|_| ParseError::Interval)?,
            addresses: packet.addresses().collect(),
        })
    }

    /// Length of the packet.
    pub fn buffer_len(&self) -> usize {
        HEADER_LEN + self.addresses.len().min(255) * address_len(self.family)
    }

    /// Writes the packet, checksum included. What does not fit is left out.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(
        &self,
        packet: &mut Packet<T>,
        rule: ChecksumRule,
        source: IpAddr,
        destination: IpAddr,
    ) {
        packet.set_version_type(3, TYPE_ADVERTISEMENT);
        packet.set_vrid(self.vrid.as_u8());
        packet.set_priority(self.priority.as_u8());
        packet.set_address_count(u8::try_from(self.addresses.len()).unwrap_or(255));
        packet.set_max_advert_int_cs(self.interval.as_centis().unwrap_or(4095));
        for (index, address) in self.addresses.iter().take(255).enumerate() {
            packet.set_address(index, *address);
        }
        packet.fill_checksum(rule, source, destination);
    }
}

impl fmt::Display for Repr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "VRRPv3 vrid={} priority={} interval={} addresses={:?}",
            self.vrid, self.priority, self.interval, self.addresses,
        )
    }
}

#[cfg(test)]
mod tests;
