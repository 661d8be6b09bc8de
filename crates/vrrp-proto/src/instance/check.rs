//! The checks that an advertisement has to pass. Source: RFC 3768 and RFC 9568 section 7.1, in
//! their order.

use std::net::IpAddr;

use super::auth::{self, Sequences};
use crate::config::{AddressListCheck, Delivery, InstanceConfig};
use crate::rejected::Rejected;
use crate::types::{AdvertInterval, Family, Version};
use crate::wire::ip::Carried;
use crate::wire::{AdvertisedPriority, ChecksumRule, HOP_LIMIT, TYPE_ADVERTISEMENT, v2, v3};

/// An advertisement that has passed every check. Only [`check`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advertisement {
    pub(super) source: IpAddr,
    pub(super) priority: AdvertisedPriority,
    pub(super) interval: AdvertInterval,
    pub(super) addresses: Addresses,
    pub(super) checksum: ChecksumRule,
    /// The number of its IPv4 packet; 0 for none.
    pub(super) identification: u16,
    _checked: (),
}

/// How an advertisement's addresses compare with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    /// The same, in whatever order; or nobody asked.
    Same,
    /// Some are the same.
    Differ,
    /// None is.
    Disjoint,
}

/// Checks a packet for this instance.
pub(super) fn check(
    config: &InstanceConfig,
    sequences: &mut Sequences,
    carried: &Carried<'_>,
) -> Result<Advertisement, Rejected> {
    if Family::of(carried.source) != config.family {
        return Err(Rejected::Family);
    }
    let multicast = matches!(config.delivery, Delivery::Multicast { .. });
    if multicast && carried.hop_limit != HOP_LIMIT {
        return Err(Rejected::HopLimit);
    }
    let advertisement = match config.version {
        Version::V2 => check_v2(config, sequences, carried)?,
        Version::V3 => check_v3(config, carried)?,
    };
    check_delivery(&config.delivery, carried)?;
    if config.owner_ignores && config.priority.is_owner() {
        return Err(Rejected::OwnerIgnores);
    }
    let owner = matches!(advertisement.priority, AdvertisedPriority::Priority(it) if it.is_owner());
    let differ = advertisement.addresses != Addresses::Same;
    if config.address_list == AddressListCheck::Drop && differ && !owner {
        return Err(Rejected::AddressList);
    }
    Ok(advertisement)
}

fn check_v2(
    config: &InstanceConfig,
    sequences: &mut Sequences,
    carried: &Carried<'_>,
) -> Result<Advertisement, Rejected> {
    let packet = v2::Packet::new_unchecked(carried.payload);
    check_version(packet.version(), 2, carried.payload)?;
    packet.check_len()?;
    if packet.packet_type() != TYPE_ADVERTISEMENT {
        return Err(Rejected::Type);
    }
    if !packet.verify_checksum() {
        return Err(Rejected::Checksum);
    }
    check_trailing(carried.payload, packet.total_len())?;
    check_vrid(config, packet.vrid())?;
    let theirs = (packet.auth_type(), packet.auth_data());
    auth::check(&config.authentication, sequences, carried, theirs)?;
    if Some(packet.advert_int_secs()) != config.advert_interval.as_secs() {
        return Err(Rejected::Interval);
    }
    Ok(Advertisement {
        source: carried.source,
        priority: packet.priority().into(),
        interval: config.advert_interval,
        addresses: compare(config, packet.addresses().map(IpAddr::from)),
        checksum: config.checksum,
        identification: carried.identification,
        _checked: (),
    })
}

fn check_v3(config: &InstanceConfig, carried: &Carried<'_>) -> Result<Advertisement, Rejected> {
    let packet = v3::Packet::new_unchecked(config.family, carried.payload);
    check_version(packet.version(), 3, carried.payload)?;
    packet.check_len()?;
    if packet.packet_type() != TYPE_ADVERTISEMENT {
        return Err(Rejected::Type);
    }
    let (source, destination) = (carried.source, carried.destination);
    let rule = packet.verify_checksum(config.checksum, source, destination);
    let checksum = rule.ok_or(Rejected::Checksum)?;
    check_trailing(carried.payload, packet.total_len())?;
    check_vrid(config, packet.vrid())?;
    if carried.authenticated.is_some() {
        return Err(Rejected::AuthMismatch);
    }
    let interval = AdvertInterval::from_centis(packet.max_advert_int_cs());
    Ok(Advertisement {
        source,
        priority: packet.priority().into(),
        interval: interval.map_err(|_| Rejected::Interval)?,
        addresses: compare(config, packet.addresses()),
        checksum,
        identification: carried.identification,
        _checked: (),
    })
}

fn check_version(theirs: u8, ours: u8, payload: &[u8]) -> Result<(), Rejected> {
    if payload.len() < v3::HEADER_LEN {
        return Err(Rejected::Length);
    }
    if theirs != ours {
        return Err(Rejected::Version);
    }
    Ok(())
}

/// The IP header has said where the packet ends, so nothing may follow.
fn check_trailing(payload: &[u8], total_len: usize) -> Result<(), Rejected> {
    if payload.len() > total_len {
        return Err(Rejected::Length);
    }
    Ok(())
}

fn check_vrid(config: &InstanceConfig, vrid: u8) -> Result<(), Rejected> {
    if vrid != config.vrid.as_u8() {
        return Err(Rejected::UnknownVrid);
    }
    Ok(())
}

fn check_delivery(delivery: &Delivery, carried: &Carried<'_>) -> Result<(), Rejected> {
    match delivery {
        Delivery::Multicast { group } => {
            if carried.destination != *group {
                return Err(Rejected::Delivery);
            }
        }
        Delivery::Unicast {
            peers, peers_only, ..
        } => {
            if carried.destination.is_multicast() {
                return Err(Rejected::Delivery);
            }
            match peers.iter().find(|peer| peer.address == carried.source) {
                Some(peer) => {
                    let allowed = peer.min_hop_limit..=peer.max_hop_limit;
                    if !allowed.contains(&carried.hop_limit) {
                        return Err(Rejected::PeerHopLimit);
                    }
                }
                None if *peers_only => return Err(Rejected::UnknownPeer),
                None => {}
            }
        }
    }
    Ok(())
}

/// Compares the lists as sets: order has no meaning.
fn compare(config: &InstanceConfig, theirs: impl Iterator<Item = IpAddr>) -> Addresses {
    if config.address_list == AddressListCheck::Skip {
        return Addresses::Same;
    }
    let ours = || config.advertised();
    let (mut listed, mut shared) = (0, 0);
    for address in theirs {
        listed += 1;
        shared += usize::from(ours().any(|it| it == address));
    }
    let count = ours().count();
    match shared {
        _ if shared == listed && shared == count => Addresses::Same,
        0 => Addresses::Disjoint,
        _ => Addresses::Differ,
    }
}
