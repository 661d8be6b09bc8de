//! What an instance goes by, with every default filled in.
//!
//! # Design
//!
//! The structures are plain values that a driver builds from its own configuration; ranges are in
//! their types. What no type can say (one family throughout, no authentication in version 3) is
//! checked once, by [`InstanceConfig::check`], before a machine is built or changed. Nothing is
//! repaired in silence: a driver that wants keepalived's "reset with a warning" repairs first.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::seconds;
use crate::track::TrackerConfig;
use crate::types::{AdvertInterval, Family, Name, Priority, Version, Vrid};
use crate::wire::ChecksumRule;

mod error;
mod strict;

pub use error::ConfigError;
pub use strict::StrictChange;

/// Where IPv4 advertisements go unless said otherwise. Source: RFC 9568 section 5.1.1.2.
pub const MULTICAST_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// Where IPv6 advertisements go unless said otherwise. Source: RFC 9568 section 5.1.2.2.
pub const MULTICAST_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// One virtual router on one interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceConfig {
    /// Protocol version. Version 2 knows IPv4 only. Default [`Version::V2`], as keepalived.
    /// keepalived.conf(5) `version`.
    pub version: Version,
    /// Family of the advertisements and of the advertised addresses.
    pub family: Family,
    /// Which virtual router this is. keepalived.conf(5) `virtual_router_id`.
    pub vrid: Vrid,
    /// Interface whose link and source address are used. `None` only for unicast with a configured
    /// [`source`](Self::source): then any interface will do. keepalived.conf(5) `interface`.
    pub interface: Option<Name>,
    /// Let the state of [`interface`](Self::interface) decide about [`State::Fault`].
    ///
    /// Default true; false is keepalived.conf(5) `dont_track_primary`.
    ///
    /// [`State::Fault`]: crate::State::Fault
    pub track_interface: bool,
    /// Source address of advertisements. Default: the interface's, as the driver reports it.
    /// keepalived.conf(5) `mcast_src_ip`, `unicast_src_ip`.
    pub source: Option<IpAddr>,
    /// Multicast or unicast.
    pub delivery: Delivery,
    /// Priority before adjustments; 255 makes this router the owner of the addresses, which needs
    /// no election. Default 100.
    pub priority: Priority,
    /// Time between our advertisements as Master. Default 1 s.
    pub advert_interval: AdvertInterval,
    /// How many advertisement intervals a Backup waits, to which the skew time is added. Range 1
    /// to 100, default 3. A lower number takes over sooner and risks two masters when packets are
    /// lost. RFC 9568 section 6.1; keepalived.conf(5) `down_timer_adverts`.
    pub down_adverts: u8,
    /// When to take over from a living Master of lower priority. Default [`Preempt::AtOnce`].
    pub preempt: Preempt,
    /// What a Master holds, in the order in which it is added and advertised.
    pub addresses: Vec<VirtualAddress>,
    /// Accept packets to the addresses though not their owner: told to the driver, which sets up a
    /// filter where it is false. Default true, against the RFC, as keepalived. RFC 9568 section
    /// 6.1 (Accept_Mode); keepalived.conf(5) `accept`, `no_accept`.
    pub accept: bool,
    /// Version 2 only. Default none.
    pub authentication: Authentication,
    /// Over which bytes the checksum of version 3 over IPv4 is computed. Default
    /// [`ChecksumRule::PseudoHeader`], as keepalived.
    pub checksum: ChecksumRule,
    /// What to do with an advertisement that lists other addresses. Default
    /// [`AddressListCheck::Report`].
    pub address_list: AddressListCheck,
    /// As Master, answer an advertisement of lower priority by one of our own at once. Default
    /// true (RFC 9568 section 6.4.3); false is keepalived.conf(5) `lower_prio_no_advert`.
    pub answer_lower: bool,
    /// As Master, answer an advertisement of higher priority by one of our own before yielding.
    ///
    /// Default true, against keepalived (`higher_prio_send_advert`): two masters that could not
    /// hear each other leave hosts with the address of the one that yields; its last advertisement
    /// tells the other that it has to announce the addresses again. With
    /// [`answer_lower`](Self::answer_lower) the Backup that has yielded repeats it, more and more
    /// rarely, until the Master answers: against the RFCs, by which a Backup never sends.
    pub answer_higher: bool,
    /// As address owner, ignore all advertisements. Default false. keepalived.conf(5)
    /// `owner_ignore_adverts`.
    pub owner_ignores: bool,
    /// As Master that was not scheduled for so long that another may have taken over: become
    /// Backup instead of going on. Only with [`Preempt::Never`]. Default false. keepalived.conf(5)
    /// `timer_expired_backup`.
    pub yield_after_stall: bool,
    /// Gratuitous ARP and unsolicited neighbour advertisements.
    pub announce: AnnounceConfig,
    /// Announcements that keep switches in mind of interfaces on which nothing else is sent. Default
    /// none.
    #[serde(default)]
    pub reminders: ReminderConfig,
    /// Tracked objects and their weights. Default none.
    pub trackers: Vec<TrackerConfig>,
    /// Stay in [`State::Initialize`](crate::State::Initialize) for this long after the start.
    /// Default zero. keepalived.conf(5) `vrrp_startup_delay`.
    #[serde(with = "seconds")]
    pub startup_delay: Duration,
}

impl InstanceConfig {
    /// An instance with defaults in all that is not named here: multicast, priority 100, one
    /// second, no addresses.
    pub fn new(version: Version, family: Family, vrid: Vrid, interface: impl Into<Name>) -> Self {
        Self {
            version,
            family,
            vrid,
            interface: Some(interface.into()),
            track_interface: true,
            source: None,
            delivery: Delivery::multicast(family),
            priority: Priority::DEFAULT,
            advert_interval: AdvertInterval::DEFAULT,
            down_adverts: 3,
            preempt: Preempt::AtOnce,
            addresses: Vec::new(),
            accept: true,
            authentication: Authentication::None,
            checksum: ChecksumRule::PseudoHeader,
            address_list: AddressListCheck::Report,
            answer_lower: true,
            answer_higher: true,
            owner_ignores: false,
            yield_after_stall: false,
            announce: AnnounceConfig::default(),
            reminders: ReminderConfig::default(),
            trackers: Vec::new(),
            startup_delay: Duration::ZERO,
        }
    }

    /// The same with one more advertised address, held on the instance's interface.
    #[must_use]
    pub fn with_address(mut self, address: IpAddr) -> Self {
        let interface = self.interface.clone().unwrap_or_else(|| Name::from(""));
        self.addresses.push(VirtualAddress {
            address,
            interface,
            advertised: true,
            announced: true,
        });
        self
    }

    /// The same with another priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// The addresses of the advertisements, in order.
    pub fn advertised(&self) -> impl Iterator<Item = IpAddr> {
        let listed = self.addresses.iter().filter(|entry| entry.advertised);
        listed.map(|entry| entry.address)
    }

    /// Whether these values go together.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_version()?;
        self.check_addresses()?;
        self.check_delivery()?;
        if !(1..=100).contains(&self.down_adverts) {
            return Err(ConfigError::DownAdverts(self.down_adverts));
        }
        if self.priority.is_owner() && self.preempt != Preempt::AtOnce {
            return Err(ConfigError::OwnerMustPreempt);
        }
        if self.yield_after_stall && self.preempt != Preempt::Never {
            return Err(ConfigError::YieldNeedsNopreempt);
        }
        if self.owner_ignores && !self.priority.is_owner() {
            return Err(ConfigError::NotOwner);
        }
        let mut seen = HashSet::new();
        for tracker in &self.trackers {
            if !seen.insert(&tracker.name) {
                return Err(ConfigError::DuplicateTracker(tracker.name.clone()));
            }
            if self.priority.is_owner() && tracker.weight.is_some() {
                return Err(ConfigError::OwnerWithWeight(tracker.name.clone()));
            }
        }
        Ok(())
    }

    fn check_version(&self) -> Result<(), ConfigError> {
        match self.version {
            Version::V2 => {
                if self.family != Family::Ipv4 {
                    return Err(ConfigError::Version2OverIpv6);
                }
                if self.advert_interval.as_secs().is_none() {
                    return Err(ConfigError::Interval(self.version, self.advert_interval));
                }
            }
            Version::V3 => {
                if self.authentication != Authentication::None {
                    return Err(ConfigError::AuthenticationInVersion3);
                }
                if self.advert_interval.as_centis().is_none() {
                    return Err(ConfigError::Interval(self.version, self.advert_interval));
                }
            }
        }
        Ok(())
    }

    fn check_addresses(&self) -> Result<(), ConfigError> {
        let mut seen = HashSet::new();
        for entry in &self.addresses {
            if entry.advertised && Family::of(entry.address) != self.family {
                return Err(ConfigError::WrongFamily(entry.address));
            }
            if !seen.insert((entry.address, &entry.interface)) {
                return Err(ConfigError::DuplicateAddress(entry.address));
            }
        }
        let count = self.advertised().count();
        if count > 255 {
            return Err(ConfigError::TooManyAddresses(count));
        }
        Ok(())
    }

    fn check_delivery(&self) -> Result<(), ConfigError> {
        if let Some(source) = self.source
            && (Family::of(source) != self.family
                || source.is_multicast()
                || source.is_unspecified())
        {
            return Err(ConfigError::WrongFamily(source));
        }
        match &self.delivery {
            Delivery::Multicast { group } => {
                if self.interface.is_none() {
                    return Err(ConfigError::NoInterface);
                }
                if Family::of(*group) != self.family || !group.is_multicast() {
                    return Err(ConfigError::NotAGroup(*group));
                }
            }
            Delivery::Unicast { peers, .. } => {
                if self.interface.is_none() && self.source.is_none() {
                    return Err(ConfigError::NoInterface);
                }
                let mut seen = HashSet::new();
                for peer in peers {
                    let address = peer.address;
                    if Family::of(address) != self.family || address.is_multicast() {
                        return Err(ConfigError::WrongFamily(address));
                    }
                    if !seen.insert(address) {
                        return Err(ConfigError::DuplicatePeer(address));
                    }
                    if peer.min_hop_limit > peer.max_hop_limit {
                        return Err(ConfigError::HopLimits(address));
                    }
                }
            }
        }
        Ok(())
    }
}

/// An address (with all that the driver knows about it) that a Master holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VirtualAddress {
    /// The address.
    pub address: IpAddr,
    /// Interface that holds it.
    pub interface: Name,
    /// Listed in advertisements; false for keepalived's `virtual_ipaddress_excluded`.
    pub advertised: bool,
    /// Announced by gratuitous ARP or neighbour advertisement; false where the interface does no
    /// ARP.
    pub announced: bool,
}

/// How advertisements travel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// To a group, with hop limit 255, which receivers demand: no router may have passed it on.
    Multicast {
        /// The group. keepalived.conf(5) `vrrp_mcast_group4`, `mcast_dst_ip`.
        group: IpAddr,
    },
    /// To each peer.
    Unicast {
        /// The peers. None at all means: never heard by anybody, a Master after the start.
        peers: Vec<Peer>,
        /// TTL or hop limit of what we send. Default 255. keepalived.conf(5) `unicast_ttl`.
        hop_limit: u8,
        /// Drop advertisements that do not come from a peer. Default true, against keepalived,
        /// where it takes `check_unicast_src`: whoever can reach us could end our mastership.
        peers_only: bool,
    },
}

impl Delivery {
    /// Multicast to the group of the RFC.
    pub const fn multicast(family: Family) -> Self {
        Self::Multicast {
            group: match family {
                Family::Ipv4 => IpAddr::V4(MULTICAST_V4),
                Family::Ipv6 => IpAddr::V6(MULTICAST_V6),
            },
        }
    }

    /// Unicast to these peers with the defaults of all else.
    pub fn unicast(peers: impl IntoIterator<Item = IpAddr>) -> Self {
        Self::Unicast {
            peers: peers.into_iter().map(Peer::new).collect(),
            hop_limit: 255,
            peers_only: true,
        }
    }
}

/// One peer of a unicast instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Least TTL or hop limit that is accepted from it. Default 0. keepalived.conf(5) `min_ttl`.
    pub min_hop_limit: u8,
    /// Greatest TTL or hop limit that is accepted from it. Default 255. `max_ttl`.
    pub max_hop_limit: u8,
}

impl Peer {
    /// A peer from which every hop limit is accepted.
    pub const fn new(address: IpAddr) -> Self {
        Self {
            address,
            min_hop_limit: 0,
            max_hop_limit: 255,
        }
    }
}

/// When a Backup takes over from a living Master of lower priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preempt {
    /// As soon as its timer runs out, which the Master's advertisements do not restart.
    #[default]
    AtOnce,
    /// It goes on accepting the Master's advertisements for this long after the first of them.
    /// keepalived.conf(5) `preempt_delay`.
    After(#[serde(with = "seconds")] Duration),
    /// Never. keepalived.conf(5) `nopreempt`; RFC 9568 section 6.1 (Preempt_Mode false).
    Never,
}

/// Authentication of version 2. Source: RFC 2338 section 5.3.6.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// None: type 0.
    #[default]
    None,
    /// A password of 8 bytes, padded by zeros, in clear in every packet: type 1. It keeps two
    /// misconfigured pairs apart and stops nobody.
    Pass([u8; 8]),
    /// An IP authentication header with HMAC-MD5-96 before the VRRP header: type 2. The key is
    /// at most 8 bytes, padded by zeros, as keepalived has it.
    Ah([u8; 8]),
}

impl Authentication {
    /// The first 8 bytes of a password, padded by zeros: all that the wire has room for.
    pub fn secret(password: &str) -> [u8; 8] {
        let mut secret = [0; 8];
        for (to, from) in secret.iter_mut().zip(password.bytes()) {
            *to = from;
        }
        secret
    }
}

/// Does not show the secret.
impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Pass(_) => "Pass(********)",
            Self::Ah(_) => "Ah(********)",
        })
    }
}

/// What to do with an advertisement whose addresses are not ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressListCheck {
    /// Do not compare. keepalived.conf(5) `skip_check_adv_addr`.
    Skip,
    /// Count and tell, but accept: what keepalived does from 2.3.3 on. To drop it makes two
    /// masters out of a reload that has reached only one of two routers.
    #[default]
    Report,
    /// Drop, unless the sender is the owner: RFC 3768 section 7.1, keepalived up to 2.3.2.
    Drop,
}

/// When the addresses are announced by gratuitous ARP or unsolicited neighbour advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnounceConfig {
    /// Time from becoming Master to the second set; zero for no second set. Default 5 s.
    /// keepalived.conf(5) `garp_master_delay`.
    #[serde(with = "seconds")]
    pub delay: Duration,
    /// Announcements per address and set; 0 counts as 1. Default 5. `garp_master_repeat`.
    pub repeat: u32,
    /// Period of further announcements while Master; zero for none. Default zero.
    /// `garp_master_refresh`.
    #[serde(with = "seconds")]
    pub refresh: Duration,
    /// Announcements per address and refresh; 0 counts as 1. Default 1.
    /// `garp_master_refresh_repeat`.
    pub refresh_repeat: u32,
    /// Time from an advertisement of lower priority to the second set of announcements; zero for
    /// no second set. Default 5 s. `garp_lower_prio_delay`.
    #[serde(with = "seconds")]
    pub lower_delay: Duration,
    /// Announcements per address after an advertisement of lower priority; 0 for none. Default 5.
    /// However many arrive, there is one set in an advertisement interval.
    /// `garp_lower_prio_repeat`.
    pub lower_repeat: u32,
}

impl Default for AnnounceConfig {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(5),
            repeat: 5,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_delay: Duration::from_secs(5),
            lower_repeat: 5,
        }
    }
}

/// One announcement for each of these interfaces again and again while Master.
///
/// Source: keepalived.conf(5) `garp_extra_if`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReminderConfig {
    /// Time between them; zero for none. Default zero.
    #[serde(with = "seconds")]
    pub interval: Duration,
    /// Interfaces that have addresses of the instance. Others are not reminded of.
    pub interfaces: Vec<Name>,
}

/// All virtual routers of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterConfig {
    /// The instances, by name. The order is that of status and of simultaneous actions.
    pub instances: Vec<NamedInstance>,
    /// The sync groups.
    pub groups: Vec<GroupConfig>,
    /// Limits on the rate of announcements. An interface that is in none has no limit.
    pub pacing: Vec<PacingConfig>,
}

/// An instance and its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedInstance {
    /// Its name, unique.
    pub name: Name,
    /// What it goes by.
    #[serde(flatten)]
    pub config: InstanceConfig,
}

/// Instances that share one state. keepalived.conf(5) `vrrp_sync_group`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupConfig {
    /// Its name, unique among groups.
    pub name: Name,
    /// Names of its instances, each in no other group.
    pub members: Vec<Name>,
}

/// A minimum gap between the announcements of some interfaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacingConfig {
    /// The interfaces that share the gap. keepalived.conf(5) `garp_group`.
    pub interfaces: Vec<Name>,
    /// Between gratuitous ARPs. Default zero. `garp_interval`, `vrrp_garp_interval`.
    #[serde(with = "seconds")]
    pub arp_gap: Duration,
    /// Between neighbour advertisements. Default zero. `gna_interval`, `vrrp_gna_interval`.
    #[serde(with = "seconds")]
    pub neighbour_gap: Duration,
}

impl RouterConfig {
    /// Whether every instance is right by itself and all of them beside each other.
    ///
    /// # Errors
    ///
    /// Every instance or group that is wrong, each with its first broken rule.
    pub fn check(&self) -> Result<(), Vec<(Name, ConfigError)>> {
        let mut errors = Vec::new();
        let mut names = HashSet::new();
        let mut keys = HashSet::new();
        for NamedInstance { name, config } in &self.instances {
            if !names.insert(name) {
                errors.push((name.clone(), ConfigError::DuplicateName));
            } else if let Err(error) = config.check() {
                errors.push((name.clone(), error));
            } else if !keys.insert(Listener::of(config)) {
                errors.push((name.clone(), ConfigError::DuplicateVrid(config.vrid)));
            }
        }
        let mut groups = HashSet::new();
        let mut grouped = HashSet::new();
        for group in &self.groups {
            let mut wrong = (!groups.insert(&group.name)).then_some(ConfigError::DuplicateName);
            for member in &group.members {
                if !names.contains(member) {
                    wrong.get_or_insert_with(|| ConfigError::UnknownMember(member.clone()));
                } else if !grouped.insert(member) {
                    wrong.get_or_insert_with(|| ConfigError::MemberOfTwoGroups(member.clone()));
                }
            }
            errors.extend(wrong.map(|error| (group.name.clone(), error)));
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }
}

/// What two instances must not have in common: they could not tell whose a packet is.
#[derive(PartialEq, Eq, Hash)]
struct Listener<'a> {
    interface: Option<&'a Name>,
    family: Family,
    vrid: Vrid,
    group: Option<IpAddr>,
    source: Option<IpAddr>,
}

impl<'a> Listener<'a> {
    fn of(config: &'a InstanceConfig) -> Self {
        let (group, source) = match config.delivery {
            Delivery::Multicast { group } => (Some(group), None),
            Delivery::Unicast { .. } => (None, config.source),
        };
        Self {
            interface: config.interface.as_ref(),
            family: config.family,
            vrid: config.vrid,
            group,
            source,
        }
    }
}
