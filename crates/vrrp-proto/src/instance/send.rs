//! Building the packets that an instance sends.

use std::net::{IpAddr, Ipv4Addr};

use super::auth::{self, Sequences};
use super::output::Transmit;
use crate::config::{Authentication, Delivery, InstanceConfig};
use crate::time::Time;
use crate::types::{AdvertInterval, Version};
use crate::wire::ip::{IPV4_HEADER_LEN, Ipv4Repr};
use crate::wire::{AdvertisedPriority, HOP_LIMIT, PROTOCOL_AH, PROTOCOL_VRRP, ah, v2, v3};

/// What an instance's advertisements have in common, kept from one to the next.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    advert: Advert,
    pub(super) sequences: Sequences,
    identification: u16,
}

#[derive(Clone, Debug)]
enum Advert {
    V2(v2::Repr),
    V3(v3::Repr),
}

impl Sender {
    pub(super) fn new(config: &InstanceConfig, now: Time) -> Self {
        Self {
            advert: Advert::of(config),
            sequences: Sequences::new(now),
            identification: 0,
        }
    }

    pub(super) fn reconfigure(&mut self, config: &InstanceConfig) {
        self.advert = Advert::of(config);
    }

    /// The packets of one advertisement: one to the group, or one to each peer.
    pub(super) fn advertise(
        &mut self,
        config: &InstanceConfig,
        source: IpAddr,
        priority: AdvertisedPriority,
        interval: AdvertInterval,
    ) -> Vec<Transmit> {
        match &mut self.advert {
            Advert::V2(repr) => (repr.priority, repr.interval) = (priority, interval),
            Advert::V3(repr) => (repr.priority, repr.interval) = (priority, interval),
        }
        match &config.delivery {
            Delivery::Multicast { group } => vec![self.to(config, source, *group, HOP_LIMIT)],
            Delivery::Unicast {
                peers, hop_limit, ..
            } => {
                let mut packets = Vec::with_capacity(peers.len());
                for peer in peers.iter().filter(|peer| peer.address != source) {
                    packets.push(self.to(config, source, peer.address, *hop_limit));
                }
                packets
            }
        }
    }

    fn to(
        &mut self,
        config: &InstanceConfig,
        source: IpAddr,
        destination: IpAddr,
        hop_limit: u8,
    ) -> Transmit {
        let packet = match (source, destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => self.ipv4(config, from, to, hop_limit),
            _ => self.vrrp(config, source, destination, 0),
        };
        Transmit {
            interface: config.interface.clone(),
            source,
            destination,
            hop_limit,
            packet,
        }
    }

    fn ipv4(
        &mut self,
        config: &InstanceConfig,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        ttl: u8,
    ) -> Vec<u8> {
        self.identification = self.identification.wrapping_add(1).max(1);
        let mut header = Ipv4Repr {
            source,
            destination,
            protocol: PROTOCOL_VRRP,
            ttl,
            identification: self.identification,
        };
        let Authentication::Ah(key) = &config.authentication else {
            let mut packet = self.vrrp(config, source.into(), destination.into(), IPV4_HEADER_LEN);
            header.emit(&mut packet);
            return packet;
        };
        header.protocol = PROTOCOL_AH;
        let before = IPV4_HEADER_LEN + ah::HEADER_LEN;
        let mut packet = self.vrrp(config, source.into(), destination.into(), before);
        header.emit(&mut packet);
        let authentication = ah::Repr {
            spi: source.to_bits(),
            sequence: self.sequences.next(),
        };
        authentication.emit(packet.get_mut(IPV4_HEADER_LEN..).unwrap_or_default());
        ah::sign(&mut packet, IPV4_HEADER_LEN, key);
        packet
    }

    /// The VRRP packet, with room before it.
    fn vrrp(
        &self,
        config: &InstanceConfig,
        source: IpAddr,
        destination: IpAddr,
        room: usize,
    ) -> Vec<u8> {
        let len = match &self.advert {
            Advert::V2(repr) => repr.buffer_len(),
            Advert::V3(repr) => repr.buffer_len(),
        };
        let mut buffer = vec![0; room + len];
        let body = buffer.get_mut(room..).unwrap_or_default();
        match &self.advert {
            Advert::V2(repr) => repr.emit(&mut v2::Packet::new_unchecked(body)),
            Advert::V3(repr) => {
                let mut packet = v3::Packet::new_unchecked(config.family, body);
                repr.emit(&mut packet, config.checksum, source, destination);
            }
        }
        buffer
    }
}

impl Advert {
    fn of(config: &InstanceConfig) -> Self {
        let priority = AdvertisedPriority::Priority(config.priority);
        let v4 = |address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        match config.version {
            Version::V2 => Self::V2(v2::Repr {
                vrid: config.vrid,
                priority,
                interval: config.advert_interval,
                auth_type: auth::auth_type(&config.authentication),
                auth_data: auth::auth_data(&config.authentication),
                addresses: config.advertised().filter_map(v4).collect(),
            }),
            Version::V3 => Self::V3(v3::Repr {
                family: config.family,
                vrid: config.vrid,
                priority,
                interval: config.advert_interval,
                addresses: config.advertised().collect(),
            }),
        }
    }
}
