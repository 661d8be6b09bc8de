//! The IP authentication header before a version 2 packet. Source: RFC 2402; RFC 2403
//! (HMAC-MD5-96); RFC 2338 section 5.3.6 (type 2).
//!
//! The digest is taken over the IPv4 header with type of service, flags, fragment offset and
//! checksum as zero, over this header with the digest as zero, and over the VRRP packet. The RFC
//! takes the TTL as zero, too; keepalived takes it as it is in multicast, and as the RFC does in
//! unicast (seen in captures of 2.2.7). We send as keepalived and accept both.

use std::net::Ipv4Addr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;

use super::{PROTOCOL_VRRP, ParseError, field, set_field};

mod offset {
    pub(super) const NEXT_HEADER: usize = 0;
    pub(super) const PAYLOAD_LEN: usize = 1;
    pub(super) const RESERVED: usize = 2;
    pub(super) const SPI: usize = 4;
    pub(super) const SEQUENCE: usize = 8;
    pub(super) const ICV: usize = 12;
}

/// Length of the header with a digest of 96 bits.
pub const HEADER_LEN: usize = 24;

/// Length of the digest.
pub const ICV_LEN: usize = 12;

/// The length field of this header: its size in 32-bit words, less two.
const PAYLOAD_LEN: u8 = 4;

/// A view of an authentication header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Header<T> {
    /// A view of bytes that are a header with a 96-bit digest, followed by VRRP.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`], [`ParseError::AuthenticationHeader`].
    pub fn new_checked(buffer: T) -> Result<Self, ParseError> {
        let header = Self { buffer };
        let data = header.buffer.as_ref();
        if data.len() < HEADER_LEN {
            return Err(ParseError::Truncated);
        }
        let [next, len] = field(data, offset::NEXT_HEADER);
        if next != PROTOCOL_VRRP || len != PAYLOAD_LEN {
            return Err(ParseError::AuthenticationHeader);
        }
        Ok(header)
    }

    /// Security parameters index; keepalived puts the source address there.
    pub fn spi(&self) -> u32 {
        u32::from_be_bytes(field(self.buffer.as_ref(), offset::SPI))
    }

    /// Sequence number.
    pub fn sequence(&self) -> u32 {
        u32::from_be_bytes(field(self.buffer.as_ref(), offset::SEQUENCE))
    }

    /// The digest.
    pub fn icv(&self) -> [u8; ICV_LEN] {
        field(self.buffer.as_ref(), offset::ICV)
    }
}

/// An authentication header as plain values, without its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Security parameters index.
    pub spi: u32,
    /// Sequence number.
    pub sequence: u32,
}

impl Repr {
    /// Writes the header with a digest of zeros, to be set by [`sign`]. What does not fit is left
    /// out.
    pub fn emit(&self, buffer: &mut [u8]) {
        set_field(buffer, offset::NEXT_HEADER, [PROTOCOL_VRRP]);
        set_field(buffer, offset::PAYLOAD_LEN, [PAYLOAD_LEN]);
        set_field(buffer, offset::RESERVED, [0; 2]);
        set_field(buffer, offset::SPI, self.spi.to_be_bytes());
        set_field(buffer, offset::SEQUENCE, self.sequence.to_be_bytes());
        set_field(buffer, offset::ICV, [0; ICV_LEN]);
    }
}

/// Whether the TTL takes part in the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ttl {
    AsItIs,
    Zero,
}

/// Computes and sets the digest of a whole IPv4 packet whose header is `header_len` long. A packet
/// that is too short stays as it is.
pub fn sign(packet: &mut [u8], header_len: usize, key: &[u8; 8]) {
    let ttl = match Ipv4Addr::from(field::<4>(packet, 16)).is_multicast() {
        true => Ttl::AsItIs,
        false => Ttl::Zero,
    };
    if let Some(mac) = mac(packet, header_len, key, ttl) {
        let digest: [u8; ICV_LEN] = field(&mac.finalize().into_bytes(), 0);
        set_field(packet, header_len + offset::ICV, digest);
    }
}

/// Whether the digest of a whole IPv4 packet holds. In constant time.
pub fn verify(packet: &[u8], header_len: usize, key: &[u8; 8]) -> bool {
    let icv: [u8; ICV_LEN] = field(packet, header_len + offset::ICV);
    [Ttl::AsItIs, Ttl::Zero].into_iter().any(|ttl| {
        mac(packet, header_len, key, ttl).is_some_and(|mac| mac.verify_truncated_left(&icv).is_ok())
    })
}

fn mac(packet: &[u8], header_len: usize, key: &[u8; 8], ttl: Ttl) -> Option<Hmac<Md5>> {
    if header_len < 20 || packet.len() < header_len + HEADER_LEN {
        return None;
    }
    let (header, rest) = packet.split_at_checked(header_len)?;
    let mut header = header.to_vec();
    set_field(&mut header, 1, [0]); // type of service
    set_field(&mut header, 6, [0; 2]); // flags and fragment offset
    if ttl == Ttl::Zero {
        set_field(&mut header, 8, [0]);
    }
    set_field(&mut header, 10, [0; 2]); // checksum
    let (before, after) = rest.split_at_checked(offset::ICV)?;
    let mut mac = Hmac::<Md5>::new_from_slice(key).ok()?;
    mac.update(&header);
    mac.update(before);
    mac.update(&[0; ICV_LEN]);
    mac.update(after.get(ICV_LEN..)?);
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    // From keepalived 2.2.7 with auth_type AH and auth_pass s3cret: the whole IPv4 packet.
    const PACKET: [u8; 64] = *b"\
        \x45\xc0\x00\x40\x00\x01\x00\x00\xff\x33\xc7\xad\x0a\x09\x09\x01\xe0\x00\x00\x12\
        \x70\x04\x00\x00\x0a\x09\x09\x01\x00\x00\x00\x01\
        \x09\xb9\x07\x46\xa2\xac\x4f\xb8\x45\x16\xa5\x2c\
        \x21\x03\x64\x01\x02\x01\x65\xd2\x0a\x09\x09\x1f\x00\x00\x00\x00\x00\x00\x00\x00";
    // The same in unicast.
    const UNICAST: [u8; 64] = *b"\
        \x45\xc0\x00\x40\x00\x01\x00\x00\xff\x33\xa6\xc7\x0a\x00\x00\x01\x0a\x00\x00\x02\
        \x70\x04\x00\x00\x0a\x00\x00\x01\x00\x00\x00\x01\
        \xa3\xbd\xe6\x30\x96\xfd\x93\xce\x5f\xf5\xf7\x1b\
        \x21\x33\x96\x01\x02\x01\x3c\x66\x0a\x00\x00\x64\x00\x00\x00\x00\x00\x00\x00\x00";
    const KEY: [u8; 8] = *b"s3cret\0\0";

    #[test]
    fn deconstruct() {
        let header = Header::new_checked(&PACKET[20..]).unwrap();
        assert_eq!(header.spi(), 0x0a09_0901);
        assert_eq!(header.sequence(), 1);
        assert_eq!(header.icv()[..2], [0x09, 0xb9]);
    }

    #[test]
    fn construct_and_sign_as_keepalived() {
        for (captured, spi) in [(PACKET, 0x0a09_0901), (UNICAST, 0x0a00_0001)] {
            let mut packet = captured;
            packet[20..44].fill(0xa5);
            let repr = Repr { spi, sequence: 1 };
            repr.emit(&mut packet[20..]);
            sign(&mut packet, 20, &KEY);
            assert_eq!(packet, captured);
            assert!(verify(&packet, 20, &KEY));
        }
    }

    #[test]
    fn verify_takes_the_right_key_and_every_bit_that_counts() {
        assert!(verify(&PACKET, 20, &KEY));
        assert!(!verify(&PACKET, 20, b"s3cres\0\0"));
        for at in 0..PACKET.len() {
            let mut packet = PACKET;
            packet[at] ^= 1;
            let mutable = matches!(at, 1 | 6 | 7 | 10 | 11);
            assert_eq!(verify(&packet, 20, &KEY), mutable, "byte {at}");
        }
    }

    #[test]
    fn verify_takes_the_digest_of_the_rfc() {
        let mut packet = PACKET;
        packet[8] = 0; // what the digest of the RFC sees
        sign(&mut packet, 20, &KEY);
        packet[8] = 255;
        assert_ne!(packet, PACKET);
        assert!(verify(&packet, 20, &KEY));
    }

    #[test]
    fn short_and_foreign_headers_are_refused() {
        assert_eq!(
            Header::new_checked(&PACKET[20..43]),
            Err(ParseError::Truncated)
        );
        for (at, value) in [(0, 6), (1, 5)] {
            let mut bytes: [u8; 24] = PACKET[20..44].try_into().unwrap();
            bytes[at] = value;
            let refused = Header::new_checked(bytes).unwrap_err();
            assert_eq!(refused, ParseError::AuthenticationHeader);
        }
        for len in 0..44 {
            assert!(!verify(&PACKET[..len], 20, &KEY));
        }
        assert!(!verify(&PACKET, 0, &KEY));
    }
}
