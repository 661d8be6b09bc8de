//! What carries VRRP: the packets of a raw socket, as received and as sent.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{self, Ipv4Packet, MutableIpv4Packet};
use serde::{Deserialize, Serialize};

use super::{PROTOCOL_AH, PROTOCOL_VRRP, ParseError, TRAFFIC_CLASS, ah, hex};

/// Length of an IPv4 header without options.
pub const IPV4_HEADER_LEN: usize = 20;

/// A packet as a raw socket hands it over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Datagram<'a> {
    /// IPv4: a raw socket gives the whole packet with its header.
    Ipv4 {
        /// The packet.
        #[serde(with = "hex")]
        packet: Cow<'a, [u8]>,
    },
    /// IPv6: a raw socket gives what follows the header, and the rest as ancillary data.
    Ipv6 {
        /// Source address.
        source: Ipv6Addr,
        /// Destination address (`IPV6_RECVPKTINFO`).
        destination: Ipv6Addr,
        /// Hop limit (`IPV6_RECVHOPLIMIT`).
        hop_limit: u8,
        /// The VRRP packet.
        #[serde(with = "hex")]
        payload: Cow<'a, [u8]>,
    },
}

impl<'a> Datagram<'a> {
    /// A packet that a raw IPv4 socket received.
    pub const fn ipv4(packet: &'a [u8]) -> Self {
        Self::Ipv4 {
            packet: Cow::Borrowed(packet),
        }
    }

    /// A packet that a raw IPv6 socket received.
    pub const fn ipv6(
        source: Ipv6Addr,
        destination: Ipv6Addr,
        hop_limit: u8,
        payload: &'a [u8],
    ) -> Self {
        Self::Ipv6 {
            source,
            destination,
            hop_limit,
            payload: Cow::Borrowed(payload),
        }
    }

    /// The same with bytes of its own, for a recording.
    pub fn into_owned(self) -> Datagram<'static> {
        match self {
            Self::Ipv4 { packet } => Datagram::Ipv4 {
                packet: Cow::Owned(packet.into_owned()),
            },
            Self::Ipv6 {
                source,
                destination,
                hop_limit,
                payload,
            } => Datagram::Ipv6 {
                source,
                destination,
                hop_limit,
                payload: Cow::Owned(payload.into_owned()),
            },
        }
    }

    /// Looks at the IP header. Bytes after the packet's end (Ethernet padding) are cut off.
    ///
    /// # Errors
    ///
    /// What is wrong with the header.
    pub fn parse(&self) -> Result<Carried<'_>, ParseError> {
        match self {
            Self::Ipv4 { packet } => parse_ipv4(packet),
            Self::Ipv6 {
                source,
                destination,
                hop_limit,
                payload,
            } => Ok(Carried {
                source: (*source).into(),
                destination: (*destination).into(),
                hop_limit: *hop_limit,
                identification: 0,
                authenticated: None,
                payload,
            }),
        }
    }
}

/// A VRRP packet and what its IP header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried<'a> {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Identification of an IPv4 packet; 0 if it has none.
    pub(crate) identification: u16,
    /// The whole packet and the length of its IP header, if an authentication header follows it.
    pub(crate) authenticated: Option<(&'a [u8], usize)>,
    /// The VRRP packet.
    pub payload: &'a [u8],
}

fn parse_ipv4(bytes: &[u8]) -> Result<Carried<'_>, ParseError> {
    let header = Ipv4Packet::new(bytes).ok_or(ParseError::IpHeader)?;
    let header_len = usize::from(header.get_header_length()) * 4;
    let total_len = usize::from(header.get_total_length());
    let malformed = header.get_version() != 4 || header_len < IPV4_HEADER_LEN;
    let packet = bytes.get(..total_len).filter(|_| !malformed);
    let packet = packet.ok_or(ParseError::IpHeader)?;
    let body = packet.get(header_len..).ok_or(ParseError::IpHeader)?;
    let (authenticated, payload) = match header.get_next_level_protocol().0 {
        PROTOCOL_VRRP => (None, body),
        PROTOCOL_AH => {
            ah::Header::new_checked(body)?;
            let payload = body.get(ah::HEADER_LEN..).unwrap_or_default(); // measured above
            (Some((packet, header_len)), payload)
        }
        other => return Err(ParseError::Protocol(other)),
    };
    Ok(Carried {
        source: header.get_source().into(),
        destination: header.get_destination().into(),
        hop_limit: header.get_ttl(),
        identification: header.get_identification(),
        authenticated,
        payload,
    })
}

/// An IPv4 header without options as plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Repr {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// What follows: [`PROTOCOL_VRRP`] or [`PROTOCOL_AH`].
    pub protocol: u8,
    /// TTL.
    pub ttl: u8,
    /// Identification; not 0, or the kernel would choose one.
    pub identification: u16,
}

impl Ipv4Repr {
    /// Writes the header of a packet that fills the buffer, checksum included. A buffer without
    /// room for a header stays as it is.
    pub fn emit(&self, packet: &mut [u8]) {
        let len = u16::try_from(packet.len()).unwrap_or(u16::MAX);
        let Some(mut header) = MutableIpv4Packet::new(packet) else {
            return;
        };
        header.set_version(4);
        header.set_header_length(5);
        header.set_dscp(TRAFFIC_CLASS >> 2);
        header.set_ecn(0);
        header.set_total_length(len);
        header.set_identification(self.identification);
        header.set_flags(0);
        header.set_fragment_offset(0);
        header.set_ttl(self.ttl);
        header.set_next_level_protocol(IpNextHeaderProtocol(self.protocol));
        header.set_source(self.source);
        header.set_destination(self.destination);
        let sum = ipv4::checksum(&header.to_immutable());
        header.set_checksum(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // From keepalived 2.2.7: version 2, virtual router 1, two addresses.
    const PACKET: [u8; 44] = *b"\
        \x45\xc0\x00\x2c\x00\x01\x00\x00\xff\x70\xc7\x84\x0a\x09\x09\x01\xe0\x00\x00\x12\
        \x21\x01\x96\x02\x00\x01\x22\xd2\x0a\x09\x09\x0b\x0a\x09\x09\x0c\x00\x00\x00\x00\
        \x00\x00\x00\x00";

    #[test]
    fn parse() {
        let datagram = Datagram::ipv4(&PACKET);
        let carried = datagram.parse().unwrap();
        assert_eq!(carried.source, IpAddr::from([10, 9, 9, 1]));
        assert_eq!(carried.destination, IpAddr::from([224, 0, 0, 18]));
        assert_eq!(carried.hop_limit, 255);
        assert_eq!(carried.payload, &PACKET[20..]);
    }

    #[test]
    fn emit() {
        let mut packet = PACKET;
        packet[..20].fill(0xa5);
        let repr = Ipv4Repr {
            source: [10, 9, 9, 1].into(),
            destination: [224, 0, 0, 18].into(),
            protocol: PROTOCOL_VRRP,
            ttl: 255,
            identification: 1,
        };
        repr.emit(&mut packet);
        assert_eq!(packet, PACKET);
    }

    #[test]
    fn padding_is_cut_off() {
        let mut padded = PACKET.to_vec();
        padded.extend([0; 16]);
        let datagram = Datagram::ipv4(&padded);
        assert_eq!(datagram.parse().unwrap().payload, &PACKET[20..]);
    }

    #[test]
    fn options_are_skipped() {
        let mut packet = PACKET.to_vec();
        packet[0] = 0x46;
        packet[3] = 0x30;
        packet.splice(20..20, [1, 1, 1, 0]);
        let datagram = Datagram::ipv4(&packet);
        assert_eq!(datagram.parse().unwrap().payload, &PACKET[20..]);
    }

    #[test]
    fn contradictory_headers_are_refused() {
        let refused = |at: usize, value: u8| {
            let mut packet = PACKET;
            packet[at] = value;
            let datagram = Datagram::ipv4(&packet);
            datagram.parse().unwrap_err()
        };
        assert_eq!(refused(0, 0x65), ParseError::IpHeader); // version 6
        assert_eq!(refused(0, 0x44), ParseError::IpHeader); // 16 bytes of header
        assert_eq!(refused(0, 0x4f), ParseError::IpHeader); // more header than packet
        assert_eq!(refused(3, 0x2d), ParseError::IpHeader); // longer than what came
        assert_eq!(refused(3, 0x10), ParseError::IpHeader); // ends within its header
        assert_eq!(refused(9, 17), ParseError::Protocol(17));
        assert_eq!(refused(9, PROTOCOL_AH), ParseError::AuthenticationHeader);
        for len in 0..PACKET.len() {
            assert!(Datagram::ipv4(&PACKET[..len]).parse().is_err());
        }
    }

    #[test]
    fn a_recording_holds_the_bytes() {
        let text = serde_json::to_string(&Datagram::ipv4(&PACKET[..4])).unwrap();
        assert_eq!(text, r#"{"ipv4":{"packet":"45c0002c"}}"#);
        let back: Datagram<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(back, Datagram::ipv4(&PACKET[..4]));
    }
}
