//! Virtual services: what names one, how it is configured, what a dump says of it.
//!
//! Design: [`VirtualService`] is what is sent, [`ServiceEntry`] what comes back, so that nobody can
//! send counters. A service is named by a [`ServiceKey`] that holds either an address or a mark and
//! never a half of both.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::BitOr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::{AddressFamily, Attribute, Attributes, ParseError, Writer};
use crate::name::Name;
use crate::stats::Stats;
use crate::uapi::*;

/// Transport protocol of a virtual service, in the kernel's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// `IPPROTO_TCP`, 6.
    Tcp,
    /// `IPPROTO_UDP`, 17.
    Udp,
    /// `IPPROTO_SCTP`, 132.
    Sctp,
}

impl Protocol {
    /// The IP protocol number.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// The protocol of an IP protocol number, if IPVS balances it.
    pub fn from_number(number: u16) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            132 => Some(Self::Sctp),
            _ => None,
        }
    }

    /// `TCP`, `UDP` or `SCTP`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What names a virtual service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceKey {
    /// Packets to an address and port of a protocol.
    Address {
        /// The protocol.
        protocol: Protocol,
        /// The virtual address.
        address: IpAddr,
        /// The virtual port; 0 means any and needs persistence.
        port: u16,
    },
    /// Packets that carry a firewall mark.
    Mark {
        /// The mark. 0 means unmarked, so no service has it.
        mark: NonZeroU32,
        /// The family of the packets: IPv4 and IPv6 services of one mark are two services.
        family: AddressFamily,
    },
}

impl ServiceKey {
    /// TCP to `address`.
    pub fn tcp(address: SocketAddr) -> Self {
        Self::Address {
            protocol: Protocol::Tcp,
            address: address.ip(),
            port: address.port(),
        }
    }

    /// UDP to `address`.
    pub fn udp(address: SocketAddr) -> Self {
        Self::Address {
            protocol: Protocol::Udp,
            address: address.ip(),
            port: address.port(),
        }
    }

    /// The address family of the service.
    pub fn family(&self) -> AddressFamily {
        match self {
            Self::Address { address, .. } => AddressFamily::of(*address),
            Self::Mark { family, .. } => *family,
        }
    }

    /// The protocol, unless the service is a mark, which takes all of them.
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Address { protocol, .. } => Some(*protocol),
            Self::Mark { .. } => None,
        }
    }

    /// The virtual port, 0 for marks.
    pub fn port(&self) -> u16 {
        match self {
            Self::Address { port, .. } => *port,
            Self::Mark { .. } => 0,
        }
    }

    pub(crate) fn pack(&self, writer: &mut Writer<'_>) {
        writer.u16(IPVS_SVC_ATTR_AF, self.family().number());
        match self {
            Self::Address {
                protocol,
                address,
                port,
            } => {
                writer.u16(IPVS_SVC_ATTR_PROTOCOL, u16::from(protocol.number()));
                writer.address(IPVS_SVC_ATTR_ADDR, *address);
                writer.port(IPVS_SVC_ATTR_PORT, *port);
            }
            Self::Mark { mark, .. } => writer.u32(IPVS_SVC_ATTR_FWMARK, mark.get()),
        }
    }

    pub(crate) fn unpack(attributes: &Attributes<'_>) -> Result<Self, ParseError> {
        let mut fields = KeyFields::default();
        for attribute in attributes.clone() {
            fields.take(&attribute?)?;
        }
        fields.finish()
    }
}

/// As keepalived names it in its log: `[10.0.0.1]:tcp:80`, `FWM 5`.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address {
                protocol,
                address,
                port,
            } => {
                let protocol = protocol.as_str().to_lowercase();
                write!(f, "[{address}]:{protocol}:{port}")
            }
            Self::Mark {
                mark,
                family: AddressFamily::Inet,
            } => write!(f, "FWM {mark}"),
            Self::Mark {
                mark,
                family: AddressFamily::Inet6,
            } => write!(f, "FWM {mark} IPv6"),
        }
    }
}

/// Switches of a virtual service beside persistence: one-packet scheduling and the three flags that
/// schedulers read as they like.
///
/// Unknown bits are kept. Source: `IP_VS_SVC_F_*`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ServiceFlags(u32);

impl ServiceFlags {
    /// Nothing set.
    pub const NONE: Self = Self(0);
    /// Each datagram is scheduled by itself (UDP and marks). Source: `IP_VS_SVC_F_ONEPACKET`,
    /// ipvsadm `--ops`.
    pub const ONE_PACKET: Self = Self(IP_VS_SVC_F_ONEPACKET);
    /// First scheduler flag: `sh-fallback`, `mh-fallback`, `flag-1`.
    pub const SCHED_1: Self = Self(IP_VS_SVC_F_SCHED1);
    /// Second scheduler flag: `sh-port`, `mh-port`, `flag-2`.
    pub const SCHED_2: Self = Self(IP_VS_SVC_F_SCHED2);
    /// Third scheduler flag: `flag-3`; no scheduler of Linux reads it.
    pub const SCHED_3: Self = Self(IP_VS_SVC_F_SCHED3);

    /// What the kernel keeps in the same word for itself or for persistence.
    const NOT_OURS: u32 = IP_VS_SVC_F_PERSISTENT | IP_VS_SVC_F_HASHED;

    /// Flags of the kernel's bits; those of persistence and hashing are dropped.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits & !Self::NOT_OURS)
    }

    /// The kernel's bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for ServiceFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Which clients persistence takes for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Granularity {
    /// Every client address is its own: mask 255.255.255.255, prefix 128.
    #[default]
    Host,
    /// Clients that agree in these bits of their IPv4 address; holes are allowed.
    Mask(Ipv4Addr),
    /// Clients that agree in so many leading bits of their address, 1 to 128.
    Prefix(u8),
}

impl Granularity {
    /// As the kernel holds it: an IPv4 mask as a number, or an IPv6 prefix length.
    ///
    /// A mask for an IPv6 service counts its bits, a prefix for an IPv4 service becomes a mask.
    pub fn netmask(self, family: AddressFamily) -> u32 {
        match (family, self) {
            (AddressFamily::Inet, Self::Host) => u32::MAX,
            (AddressFamily::Inet, Self::Mask(mask)) => u32::from(mask),
            (AddressFamily::Inet, Self::Prefix(length)) => u32::MAX
                .checked_shl(32 - u32::from(length.min(32)))
                .unwrap_or(0),
            (AddressFamily::Inet6, Self::Host) => 128,
            (AddressFamily::Inet6, Self::Mask(mask)) => u32::from(mask).count_ones(),
            (AddressFamily::Inet6, Self::Prefix(length)) => u32::from(length),
        }
    }

    fn from_netmask(family: AddressFamily, netmask: u32) -> Self {
        match (family, netmask) {
            (AddressFamily::Inet, u32::MAX) | (AddressFamily::Inet6, 128) => Self::Host,
            (AddressFamily::Inet, mask) => Self::Mask(Ipv4Addr::from(mask)),
            (AddressFamily::Inet6, length) => Self::Prefix(u8::try_from(length).unwrap_or(u8::MAX)),
        }
    }

    fn pack(self, family: AddressFamily, writer: &mut Writer<'_>) {
        let netmask = self.netmask(family);
        match family {
            // The mask is in network order as addresses are, the prefix length a plain number.
            AddressFamily::Inet => {
                writer.attribute(IPVS_SVC_ATTR_NETMASK, &netmask.to_be_bytes());
            }
            AddressFamily::Inet6 => writer.u32(IPVS_SVC_ATTR_NETMASK, netmask),
        }
    }

    fn unpack(family: AddressFamily, attribute: &Attribute<'_>) -> Result<Self, ParseError> {
        let netmask = match family {
            AddressFamily::Inet => attribute.mask()?,
            AddressFamily::Inet6 => attribute.u32()?,
        };
        Ok(Self::from_netmask(family, netmask))
    }
}

/// A virtual service as it is configured. In keepalived's configuration a `virtual_server`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VirtualService {
    /// What names it.
    pub key: ServiceKey,
    /// The scheduler, such as `wlc`. The dataplane says whether it knows it.
    pub scheduler: Name,
    /// One-packet scheduling and the scheduler's flags.
    pub flags: ServiceFlags,
    /// For how long a client stays with its destination after its last connection; `None` is off.
    ///
    /// Whole seconds, rounded up; the kernel takes up to 2^32 - 1, ipvsadm up to 31 days. Source:
    /// `IPVS_SVC_ATTR_TIMEOUT` with `IP_VS_SVC_F_PERSISTENT`, keepalived `persistence_timeout`.
    pub persistence_timeout: Option<Duration>,
    /// Which clients persistence takes for one. Has no effect while persistence is off, but is
    /// stored. Source: `IPVS_SVC_ATTR_NETMASK`, keepalived `persistence_granularity`.
    pub persistence_granularity: Granularity,
    /// The persistence engine, such as `sip`. Source: `IPVS_SVC_ATTR_PE_NAME`.
    pub persistence_engine: Option<Name>,
}

impl VirtualService {
    /// A service without persistence and flags.
    pub fn new(key: ServiceKey, scheduler: Name) -> Self {
        Self {
            key,
            scheduler,
            flags: ServiceFlags::NONE,
            persistence_timeout: None,
            persistence_granularity: Granularity::Host,
            persistence_engine: None,
        }
    }

    /// The kernel's flag word, without the mark that it keeps for hashed services.
    pub(crate) fn flag_bits(&self) -> u32 {
        let persistent = if self.persistence_timeout.is_some() {
            IP_VS_SVC_F_PERSISTENT
        } else {
            0
        };
        self.flags.bits() | persistent
    }

    /// As a request: all flags are to be replaced.
    pub(crate) fn pack(&self, writer: &mut Writer<'_>) {
        self.pack_with(writer, self.flag_bits(), false);
        if let Some(engine) = &self.persistence_engine {
            writer.text(IPVS_SVC_ATTR_PE_NAME, engine.as_str());
        }
    }

    /// The attributes that requests and answers share, in the kernel's order.
    fn pack_with(&self, writer: &mut Writer<'_>, flags: u32, answer: bool) {
        self.key.pack(writer);
        writer.text(IPVS_SVC_ATTR_SCHED_NAME, self.scheduler.as_str());
        if let (true, Some(engine)) = (answer, &self.persistence_engine) {
            writer.text(IPVS_SVC_ATTR_PE_NAME, engine.as_str());
        }
        let mut word = [0; 8];
        word[..4].copy_from_slice(&flags.to_ne_bytes());
        word[4..].copy_from_slice(&u32::MAX.to_ne_bytes());
        writer.attribute(IPVS_SVC_ATTR_FLAGS, &word);
        writer.u32(
            IPVS_SVC_ATTR_TIMEOUT,
            seconds(self.persistence_timeout.unwrap_or_default()),
        );
        self.persistence_granularity.pack(self.key.family(), writer);
    }

    pub(crate) fn unpack(attributes: &Attributes<'_>) -> Result<Self, ParseError> {
        let mut key = KeyFields::default();
        let mut scheduler = Name::default();
        let mut flags = 0;
        let mut timeout = 0;
        let mut netmask = None;
        let mut engine = None;
        for attribute in attributes.clone() {
            let attribute = attribute?;
            match attribute.kind {
                IPVS_SVC_ATTR_SCHED_NAME => scheduler = Name::lossy(attribute.payload),
                IPVS_SVC_ATTR_FLAGS => flags = flag_word(&attribute)?.0,
                IPVS_SVC_ATTR_TIMEOUT => timeout = attribute.u32()?,
                IPVS_SVC_ATTR_NETMASK => netmask = Some(attribute),
                IPVS_SVC_ATTR_PE_NAME => engine = Some(Name::lossy(attribute.payload)),
                _ => key.take(&attribute)?,
            }
        }
        let key = key.finish()?;
        let granularity = match netmask {
            Some(attribute) => Granularity::unpack(key.family(), &attribute)?,
            None => Granularity::Host,
        };
        Ok(Self {
            key,
            scheduler,
            flags: ServiceFlags::from_bits(flags),
            persistence_timeout: (flags & IP_VS_SVC_F_PERSISTENT != 0)
                .then(|| Duration::from_secs(timeout.into())),
            persistence_granularity: granularity,
            persistence_engine: engine.filter(|name| !name.is_empty()),
        })
    }
}

/// A virtual service as a dump shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEntry {
    /// How it is configured.
    pub service: VirtualService,
    /// What went through it.
    pub stats: Stats,
}

impl ServiceEntry {
    pub(crate) fn pack(&self, writer: &mut Writer<'_>) {
        self.service
            .pack_with(writer, self.service.flag_bits() | IP_VS_SVC_F_HASHED, true);
        self.stats
            .pack(writer, IPVS_SVC_ATTR_STATS, IPVS_SVC_ATTR_STATS64);
    }

    pub(crate) fn unpack(attributes: &Attributes<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            service: VirtualService::unpack(attributes)?,
            stats: Stats::unpack(attributes, IPVS_SVC_ATTR_STATS, IPVS_SVC_ATTR_STATS64)?,
        })
    }
}

/// The kernel's `struct ip_vs_flags`: flags, and which of them are meant.
pub(crate) fn flag_word(attribute: &Attribute<'_>) -> Result<(u32, u32), ParseError> {
    let wrong = ParseError::AttributeSize {
        kind: attribute.kind,
        needed: 8,
        actual: attribute.payload.len(),
    };
    let (flags, rest) = attribute.payload.split_first_chunk().ok_or(wrong)?;
    let mask = rest.first_chunk().ok_or(wrong)?;
    Ok((u32::from_ne_bytes(*flags), u32::from_ne_bytes(*mask)))
}

/// Whole seconds, rounded up, as many as a kernel attribute holds.
pub(crate) fn seconds(duration: Duration) -> u32 {
    let whole = duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0));
    u32::try_from(whole).unwrap_or(u32::MAX)
}

/// The attributes that name a service, as far as they have come.
#[derive(Default)]
struct KeyFields<'a> {
    family: Option<u16>,
    protocol: Option<u16>,
    address: Option<Attribute<'a>>,
    port: Option<u16>,
    mark: Option<u32>,
}

impl<'a> KeyFields<'a> {
    fn take(&mut self, attribute: &Attribute<'a>) -> Result<(), ParseError> {
        match attribute.kind {
            IPVS_SVC_ATTR_AF => self.family = Some(attribute.u16()?),
            IPVS_SVC_ATTR_PROTOCOL => self.protocol = Some(attribute.u16()?),
            IPVS_SVC_ATTR_ADDR => self.address = Some(*attribute),
            IPVS_SVC_ATTR_PORT => self.port = Some(attribute.port()?),
            IPVS_SVC_ATTR_FWMARK => self.mark = Some(attribute.u32()?),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<ServiceKey, ParseError> {
        let number = self.family.ok_or(ParseError::Missing {
            kind: IPVS_SVC_ATTR_AF,
        })?;
        let family = AddressFamily::from_number(number).ok_or_else(|| ParseError::Value {
            kind: IPVS_SVC_ATTR_AF,
            value: number.into(),
        })?;
        if let Some(mark) = self.mark {
            let mark = NonZeroU32::new(mark).ok_or(ParseError::Value {
                kind: IPVS_SVC_ATTR_FWMARK,
                value: 0,
            })?;
            return Ok(ServiceKey::Mark { mark, family });
        }
        let number = self.protocol.ok_or(ParseError::Missing {
            kind: IPVS_SVC_ATTR_PROTOCOL,
        })?;
        let protocol = Protocol::from_number(number).ok_or_else(|| ParseError::Value {
            kind: IPVS_SVC_ATTR_PROTOCOL,
            value: number.into(),
        })?;
        let address = self.address.ok_or(ParseError::Missing {
            kind: IPVS_SVC_ATTR_ADDR,
        })?;
        let port = self.port.ok_or(ParseError::Missing {
            kind: IPVS_SVC_ATTR_PORT,
        })?;
        Ok(ServiceKey::Address {
            protocol,
            address: address.address(family)?,
            port,
        })
    }
}
