//! Announcements: gratuitous ARP and unsolicited neighbour advertisements, as whole Ethernet
//! frames for a packet socket.
//!
//! Both tell every host and switch of a segment that an address now lives at a hardware address.
//! Source: RFC 9568 sections 6.4.2 and 8.1.2, 8.2.2; RFC 5227 section 3; RFC 4861 section 7.2.6.
//! The gratuitous ARP is a request whose target hardware address is all ones, as keepalived's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_base::MacAddr;
use pnet_packet::arp::{ArpHardwareTypes, ArpOperations, ArpPacket, MutableArpPacket};
use pnet_packet::ethernet::{EtherType, EtherTypes, EthernetPacket, MutableEthernetPacket};
use pnet_packet::icmpv6::ndp::{MutableNeighborAdvertPacket, NdpOption, NdpOptionTypes};
use pnet_packet::icmpv6::{self, Icmpv6Packet, Icmpv6Types};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::MutableIpv6Packet;

use crate::types::HardwareAddress;

/// All nodes of a link: where unsolicited neighbour advertisements go.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const ETHERNET_LEN: usize = 14;
const ARP_LEN: usize = 28;
const IPV6_LEN: usize = 40;
const ADVERT_LEN: usize = 32; // 24 and an option of 8

/// Neighbour advertisement flags. Source: RFC 4861 section 4.4.
const ROUTER: u8 = 0x80;
const OVERRIDE: u8 = 0x20;

/// What is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The address.
    pub address: IpAddr,
    /// The hardware address where it lives: the interface's, or the virtual router's.
    pub hardware: HardwareAddress,
    /// IPv6: whether the interface forwards, so that hosts keep it in their list of routers.
    pub router: bool,
}

impl Announcement {
    /// The frame that says so.
    pub fn to_frame(&self) -> Vec<u8> {
        match self.address {
            IpAddr::V4(address) => gratuitous_arp(address, self.hardware),
            IpAddr::V6(address) => neighbour_advertisement(address, self.hardware, self.router),
        }
    }
}

/// Who claims which IPv4 address in an ARP frame: its sender fields, whatever its operation.
///
/// `None` if it is no ARP frame for IPv4 over Ethernet, or a probe, which claims nothing.
pub fn arp_claim(frame: &[u8]) -> Option<(Ipv4Addr, HardwareAddress)> {
    let ethernet = EthernetPacket::new(frame)?;
    let arp = ArpPacket::new(frame.get(ETHERNET_LEN..)?)?;
    let expected = ethernet.get_ethertype() == EtherTypes::Arp
        && arp.get_hardware_type() == ArpHardwareTypes::Ethernet
        && arp.get_protocol_type() == EtherTypes::Ipv4
        && (arp.get_hw_addr_len(), arp.get_proto_addr_len()) == (6, 4);
    let address = arp.get_sender_proto_addr();
    let claims = expected && !address.is_unspecified();
    claims.then(|| (address, HardwareAddress(arp.get_sender_hw_addr().octets())))
}

fn gratuitous_arp(address: Ipv4Addr, hardware: HardwareAddress) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET_LEN + ARP_LEN];
    ethernet(
        &mut frame,
        HardwareAddress::BROADCAST,
        hardware,
        EtherTypes::Arp,
    );
    if let Some(mut arp) = frame
        .get_mut(ETHERNET_LEN..)
        .and_then(MutableArpPacket::new)
    {
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(EtherTypes::Ipv4);
        arp.set_hw_addr_len(6);
        arp.set_proto_addr_len(4);
        arp.set_operation(ArpOperations::Request);
        arp.set_sender_hw_addr(mac(hardware));
        arp.set_sender_proto_addr(address);
        arp.set_target_hw_addr(mac(HardwareAddress::BROADCAST));
        arp.set_target_proto_addr(address);
    }
    frame
}

fn neighbour_advertisement(address: Ipv6Addr, hardware: HardwareAddress, router: bool) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET_LEN + IPV6_LEN + ADVERT_LEN];
    let [.., a, b, c, d] = ALL_NODES.octets();
    let group = HardwareAddress([0x33, 0x33, a, b, c, d]);
    ethernet(&mut frame, group, hardware, EtherTypes::Ipv6);
    if let Some(mut ip) = frame
        .get_mut(ETHERNET_LEN..)
        .and_then(MutableIpv6Packet::new)
    {
        ip.set_version(6);
        ip.set_payload_length(32); // ADVERT_LEN
        ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
        ip.set_hop_limit(255);
        ip.set_source(address);
        ip.set_destination(ALL_NODES);
    }
    let Some(body) = frame.get_mut(ETHERNET_LEN + IPV6_LEN..) else {
        return frame;
    };
    if let Some(mut advert) = MutableNeighborAdvertPacket::new(body) {
        advert.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
        advert.set_flags(if router { OVERRIDE | ROUTER } else { OVERRIDE });
        advert.set_target_addr(address);
        advert.set_options(&[NdpOption {
            option_type: NdpOptionTypes::TargetLLAddr,
            length: 1,
            data: hardware.0.to_vec(),
        }]);
    }
    if let Some(packet) = Icmpv6Packet::new(body) {
        let sum = icmpv6::checksum(&packet, &address, &ALL_NODES);
        super::set_field(body, 2, sum.to_be_bytes());
    }
    frame
}

fn ethernet(frame: &mut [u8], to: HardwareAddress, from: HardwareAddress, kind: EtherType) {
    if let Some(mut ethernet) = MutableEthernetPacket::new(frame) {
        ethernet.set_destination(mac(to));
        ethernet.set_source(mac(from));
        ethernet.set_ethertype(kind);
    }
}

fn mac(address: HardwareAddress) -> MacAddr {
    address.0.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HARDWARE: HardwareAddress = HardwareAddress([0x02, 0, 0, 0, 0x09, 0x01]);

    // From keepalived 2.2.7 (the Ethernet header as tcpdump shows it).
    const ARP: [u8; 42] = *b"\
        \xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x09\x01\x08\x06\
        \x00\x01\x08\x00\x06\x04\x00\x01\x02\x00\x00\x00\x09\x01\x0a\x09\x09\x29\
        \xff\xff\xff\xff\xff\xff\x0a\x09\x09\x29";

    // Likewise, on an interface that forwards.
    const ADVERT: [u8; 86] = *b"\
        \x33\x33\x00\x00\x00\x01\x02\x00\x00\x00\x09\x01\x86\xdd\
        \x60\x00\x00\x00\x00\x20\x3a\xff\
        \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x66\
        \xff\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\
        \x88\x00\xef\x60\x20\x00\x00\x00\
        \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x66\
        \x02\x01\x02\x00\x00\x00\x09\x01";

    #[test]
    fn gratuitous_arp_is_keepaliveds() {
        let announcement = Announcement {
            address: [10, 9, 9, 41].into(),
            hardware: HARDWARE,
            router: false,
        };
        assert_eq!(announcement.to_frame(), ARP);
    }

    #[test]
    fn neighbour_advertisement_is_keepaliveds() {
        let announcement = Announcement {
            address: "2001:db8::66".parse().unwrap(),
            hardware: HARDWARE,
            router: false,
        };
        assert_eq!(announcement.to_frame(), ADVERT);
    }

    #[test]
    fn a_router_says_so() {
        let announcement = Announcement {
            address: "2001:db8::66".parse().unwrap(),
            hardware: HARDWARE,
            router: true,
        };
        let frame = announcement.to_frame();
        assert_eq!(frame[58], 0xa0);
        // The bit is in the sum, too: 0x8000 less in the one's complement.
        assert_eq!(frame[56..58], [0x6f, 0x60]);
    }

    #[test]
    fn a_claim_is_read_from_requests_and_replies() {
        let claimed = Some((Ipv4Addr::new(10, 9, 9, 41), HARDWARE));
        assert_eq!(arp_claim(&ARP), claimed);
        let mut reply = ARP;
        reply[21] = 2;
        assert_eq!(arp_claim(&reply), claimed);
    }

    #[test]
    fn probes_and_foreign_frames_claim_nothing() {
        for (at, value) in [(13, 0x00), (15, 6), (17, 6), (18, 8), (19, 16)] {
            let mut frame = ARP;
            frame[at] = value;
            assert_eq!(arp_claim(&frame), None, "byte {at}");
        }
        let mut probe = ARP;
        probe[28..32].fill(0);
        assert_eq!(arp_claim(&probe), None);
        for len in 0..ARP.len() {
            assert_eq!(arp_claim(&ARP[..len]), None);
        }
    }
}
