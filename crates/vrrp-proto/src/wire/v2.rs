//! VRRP version 2 over IPv4. Source: RFC 3768 section 5.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version| Type  | Virtual Rtr ID|   Priority    | Count IP Addrs|
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Auth Type   |   Adver Int   |          Checksum             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          IP Address (1) … (n), then 8 bytes of                |
//! |                    Authentication Data                        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use std::fmt;
use std::net::Ipv4Addr;

use super::{AdvertisedPriority, ParseError, TYPE_ADVERTISEMENT, checksum, field, set_field};
use crate::types::{AdvertInterval, Vrid};

mod offset {
    pub(super) const VERSION_TYPE: usize = 0;
    pub(super) const VRID: usize = 1;
    pub(super) const PRIORITY: usize = 2;
    pub(super) const COUNT: usize = 3;
    pub(super) const AUTH_TYPE: usize = 4;
    pub(super) const ADVER_INT: usize = 5;
    pub(super) const CHECKSUM: usize = 6;
    pub(super) const ADDRESSES: usize = 8;
}

/// Length of the header before the addresses.
pub const HEADER_LEN: usize = offset::ADDRESSES;

/// Length of the authentication data after the addresses.
pub const AUTH_LEN: usize = 8;

/// The authentication type field. Source: RFC 2338 section 5.3.6, RFC 3768 section 5.3.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthType {
    /// 0.
    None,
    /// 1, a password.
    Pass,
    /// 2, an IP authentication header.
    Ah,
    /// Any other.
    Unknown(u8),
}

impl From<u8> for AuthType {
    fn from(value: u8) -> Self {
        match value {
            0 => Self::None,
            1 => Self::Pass,
            2 => Self::Ah,
            other => Self::Unknown(other),
        }
    }
}

impl From<AuthType> for u8 {
    fn from(auth: AuthType) -> Self {
        match auth {
            AuthType::None => 0,
            AuthType::Pass => 1,
            AuthType::Ah => 2,
            AuthType::Unknown(other) => other,
        }
    }
}

/// A view of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// A view of bytes that have not been measured; getters of what is missing give zeros.
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// A view of bytes that are long enough for their own count of addresses.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`].
    pub fn new_checked(buffer: T) -> Result<Self, ParseError> {
        let packet = Self::new_unchecked(buffer);
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
        HEADER_LEN + usize::from(self.address_count()) * 4 + AUTH_LEN
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

    /// Authentication type.
    pub fn auth_type(&self) -> AuthType {
        self.byte(offset::AUTH_TYPE).into()
    }

    /// Advertisement interval in seconds.
    pub fn advert_int_secs(&self) -> u8 {
        self.byte(offset::ADVER_INT)
    }

    /// Checksum.
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes(field(self.data(), offset::CHECKSUM))
    }

    /// The addresses.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        let bytes = self.data().get(offset::ADDRESSES..).unwrap_or_default();
        let (chunks, _) = bytes.as_chunks::<4>();
        let count = usize::from(self.address_count());
        chunks.iter().take(count).map(|&octets| octets.into())
    }

    /// Authentication data.
    pub fn auth_data(&self) -> [u8; AUTH_LEN] {
        field(self.data(), self.total_len() - AUTH_LEN)
    }

    /// Whether the checksum holds, over the whole packet, without pseudo-header.
    pub fn verify_checksum(&self) -> bool {
        let packet = self.data().get(..self.total_len());
        packet.is_some_and(|packet| checksum::v2(packet) == self.checksum())
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

    /// Sets the authentication type.
    pub fn set_auth_type(&mut self, auth: AuthType) {
        self.set(offset::AUTH_TYPE, [auth.into()]);
    }

    /// Sets the advertisement interval in seconds.
    pub fn set_advert_int_secs(&mut self, secs: u8) {
        self.set(offset::ADVER_INT, [secs]);
    }

    /// Sets the checksum.
    pub fn set_checksum(&mut self, sum: u16) {
        self.set(offset::CHECKSUM, sum.to_be_bytes());
    }

    /// Sets an address, counted from 0.
    pub fn set_address(&mut self, index: usize, address: Ipv4Addr) {
        self.set(offset::ADDRESSES + index * 4, address.octets());
    }

    /// Sets the authentication data; the number of addresses must have been set.
    pub fn set_auth_data(&mut self, data: [u8; AUTH_LEN]) {
        let at = self.total_len() - AUTH_LEN;
        self.set(at, data);
    }

    /// Computes and sets the checksum; all else must have been set.
    pub fn fill_checksum(&mut self) {
        let len = self.total_len();
        if let Some(packet) = self.data().get(..len) {
            let sum = checksum::v2(packet);
            self.set_checksum(sum);
        }
    }

    fn set<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        set_field(self.buffer.as_mut(), at, value);
    }
}

/// An advertisement as plain values.
#[derive(Clone, PartialEq, Eq)]
pub struct Repr {
    /// Virtual router identifier.
    pub vrid: Vrid,
    /// Priority.
    pub priority: AdvertisedPriority,
    /// Interval; whole seconds.
    pub interval: AdvertInterval,
    /// Authentication type.
    pub auth_type: AuthType,
    /// Authentication data: the password of [`AuthType::Pass`], else zeros.
    pub auth_data: [u8; AUTH_LEN],
    /// Addresses; at most 255.
    pub addresses: Vec<Ipv4Addr>,
}

impl Repr {
    /// Understands a packet. Bytes after its end are ignored.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, ParseError> {
        packet.check_len()?;
        if packet.version() != 2 {
            return Err(ParseError::Version(packet.version()));
        }
        if packet.packet_type() != TYPE_ADVERTISEMENT {
            return Err(ParseError::Type(packet.packet_type()));
        }
        if !packet.verify_checksum() {
            return Err(ParseError::Checksum);
        }
        let interval = AdvertInterval::from_secs(packet.advert_int_secs());
        Ok(Self {
            vrid: Vrid::try_from(packet.vrid()).map_err(|_| ParseError::Vrid)?,
            priority: packet.priority().into(),
            interval: interval.map_err(|_| ParseError::Interval)?,
            auth_type: packet.auth_type(),
            auth_data: packet.auth_data(),
            addresses: packet.addresses().collect(),
        })
    }

    /// Length of the packet.
    pub fn buffer_len(&self) -> usize {
        HEADER_LEN + self.addresses.len().min(255) * 4 + AUTH_LEN
    }

    /// Writes the packet, checksum included. What does not fit is left out.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_version_type(2, TYPE_ADVERTISEMENT);
        packet.set_vrid(self.vrid.as_u8());
        packet.set_priority(self.priority.as_u8());
        packet.set_address_count(u8::try_from(self.addresses.len()).unwrap_or(255));
        packet.set_auth_type(self.auth_type);
        packet.set_advert_int_secs(self.interval.as_secs().unwrap_or(255));
        for (index, address) in self.addresses.iter().take(255).enumerate() {
            packet.set_address(index, *address);
        }
        packet.set_auth_data(self.auth_data);
        packet.fill_checksum();
    }
}

/// Shows all but the authentication data.
impl fmt::Display for Repr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "VRRPv2 vrid={} priority={} interval={} auth={} addresses={:?}",
            self.vrid,
            self.priority,
            self.interval,
            u8::from(self.auth_type),
            self.addresses,
        )
    }
}

impl fmt::Debug for Repr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
