//! The checksums of VRRP.

use std::net::{IpAddr, Ipv4Addr};

use pnet_packet::ip::IpNextHeaderProtocols::Vrrp;
use pnet_packet::util;
use serde::{Deserialize, Serialize};

use crate::config::MULTICAST_V4;

/// The field in both versions, in words of 16 bits.
const FIELD: usize = 3;

/// Over which bytes the checksum of version 3 over IPv4 is computed.
///
/// The specifications do not agree: RFC 5798 section 5.2.8 speaks of a pseudo-header and defines it
/// by IPv6 only; RFC 9568 section 5.2.8 leaves it out for IPv4. keepalived and FRR include it by
/// default. Version 2 never has one, IPv6 always does. We send by the configured rule and accept
/// each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChecksumRule {
    /// With a pseudo-header of the packet's own addresses.
    #[default]
    PseudoHeader,
    /// Without pseudo-header, as in version 2: RFC 9568; keepalived.conf(5) `v3_checksum_as_v2`.
    Plain,
    /// With a pseudo-header whose destination is the multicast group, though the packet goes to a
    /// peer: keepalived before 1.3.7; keepalived.conf(5) `old_unicast_checksum`.
    PseudoHeaderToGroup,
}

impl ChecksumRule {
    /// All rules, the likeliest first.
    pub const ALL: [Self; 3] = [Self::PseudoHeader, Self::Plain, Self::PseudoHeaderToGroup];

    /// The checksum of a packet of version 3 over IPv4; what stands in its checksum field does not
    /// matter.
    pub fn compute(self, packet: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> u16 {
        let over =
            |destination| util::ipv4_checksum(packet, FIELD, &[], &source, destination, Vrrp);
        match self {
            Self::PseudoHeader => over(&destination),
            Self::Plain => util::checksum(packet, FIELD),
            Self::PseudoHeaderToGroup => over(&MULTICAST_V4),
        }
    }
}

/// The checksum of a packet of version 2.
pub fn v2(packet: &[u8]) -> u16 {
    util::checksum(packet, FIELD)
}

/// The checksum of a packet of version 3 between two addresses; of two families there is none.
pub fn v3(packet: &[u8], rule: ChecksumRule, source: IpAddr, destination: IpAddr) -> Option<u16> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Some(rule.compute(packet, source, destination))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => Some(util::ipv6_checksum(
            packet,
            FIELD,
            &[],
            &source,
            &destination,
            Vrrp,
        )),
        _ => None,
    }
}

/// By which rule a received packet of version 3 is right: the expected one if it fits, else any.
pub fn verify_v3(
    packet: &[u8],
    sum: u16,
    expected: ChecksumRule,
    source: IpAddr,
    destination: IpAddr,
) -> Option<ChecksumRule> {
    let rules = std::iter::once(expected).chain(ChecksumRule::ALL);
    rules
        .into_iter()
        .find(|rule| v3(packet, *rule, source, destination) == Some(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    // From keepalived 2.2.7: 10.9.9.1 to its peer 10.9.9.2, virtual router 5.
    const UNICAST: [u8; 12] = *b"\x31\x05\xc8\x01\x00\x64\xcc\xc7\x0a\x09\x09\x33";

    fn ends() -> (IpAddr, IpAddr) {
        ([10, 9, 9, 1].into(), [10, 9, 9, 2].into())
    }

    #[test]
    fn each_rule_gives_another_sum() {
        let (source, destination) = ends();
        let sums = ChecksumRule::ALL.map(|rule| v3(&UNICAST, rule, source, destination).unwrap());
        assert_eq!(sums[0], 0xccc7);
        assert_ne!(sums[0], sums[1]);
        assert_ne!(sums[0], sums[2]);
        assert_ne!(sums[1], sums[2]);
    }

    #[test]
    fn every_rule_is_accepted_and_named() {
        let (source, destination) = ends();
        for rule in ChecksumRule::ALL {
            let sum = v3(&UNICAST, rule, source, destination).unwrap();
            let expected = ChecksumRule::PseudoHeader;
            assert_eq!(
                verify_v3(&UNICAST, sum, expected, source, destination),
                Some(rule)
            );
        }
        assert_eq!(
            verify_v3(&UNICAST, 0x1234, ChecksumRule::Plain, source, destination),
            None
        );
    }

    #[test]
    fn families_do_not_mix() {
        let source = "fe80::1".parse().unwrap();
        let destination = ends().1;
        assert_eq!(v3(&UNICAST, ChecksumRule::Plain, source, destination), None);
    }
}
