//! Destinations: the servers behind a virtual service.
//!
//! Design: as with services, [`Destination`] is what is sent and [`DestinationEntry`] what comes
//! back. Tunnel settings live in [`ForwardMethod::Tunnel`], so only tunnels have them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::codec::{AddressFamily, Attributes, ParseError, Writer};
use crate::stats::Stats;
use crate::uapi::*;

/// What names a destination within its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DestinationKey {
    /// The server's address.
    pub address: IpAddr,
    /// The server's port; 0 means the one that the client asked for.
    pub port: u16,
}

impl DestinationKey {
    pub(crate) fn pack(&self, writer: &mut Writer<'_>) {
        writer.u16(
            IPVS_DEST_ATTR_ADDR_FAMILY,
            AddressFamily::of(self.address).number(),
        );
        writer.address(IPVS_DEST_ATTR_ADDR, self.address);
        writer.port(IPVS_DEST_ATTR_PORT, self.port);
    }
}

impl From<SocketAddr> for DestinationKey {
    fn from(address: SocketAddr) -> Self {
        Self {
            address: address.ip(),
            port: address.port(),
        }
    }
}

impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// How packets reach a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardMethod {
    /// Network address translation; ipvsadm `-m`, keepalived `NAT`. What a userspace dataplane does.
    Masq,
    /// Accepted by the director itself. The kernel sets it where the address is a local one.
    Local,
    /// Wrapped into another packet; ipvsadm `-i`, keepalived `TUN`.
    Tunnel(TunnelKind),
    /// To the server's MAC address with nothing changed; ipvsadm `-g`, keepalived `DR`.
    DirectRoute,
    /// Past IPVS to the real address (cache clusters).
    Bypass,
    /// A method that this version does not know: the low three bits of the connection flags.
    Other(u8),
}

impl ForwardMethod {
    fn number(self) -> u32 {
        match self {
            Self::Masq => IP_VS_CONN_F_MASQ,
            Self::Local => IP_VS_CONN_F_LOCALNODE,
            Self::Tunnel(_) => IP_VS_CONN_F_TUNNEL,
            Self::DirectRoute => IP_VS_CONN_F_DROUTE,
            Self::Bypass => IP_VS_CONN_F_BYPASS,
            Self::Other(number) => u32::from(number),
        }
    }

    pub(crate) fn from_number(number: u32, tunnel: TunnelKind) -> Self {
        match number & IP_VS_CONN_F_FWD_MASK {
            IP_VS_CONN_F_MASQ => Self::Masq,
            IP_VS_CONN_F_LOCALNODE => Self::Local,
            IP_VS_CONN_F_TUNNEL => Self::Tunnel(tunnel),
            IP_VS_CONN_F_DROUTE => Self::DirectRoute,
            IP_VS_CONN_F_BYPASS => Self::Bypass,
            // Below 8: the mask has three bits.
            other => Self::Other(other as u8),
        }
    }

    fn tunnel(self) -> TunnelKind {
        match self {
            Self::Tunnel(kind) => kind,
            _ => TunnelKind::Ipip,
        }
    }
}

/// Wrapping of tunnelled packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelKind {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// UDP port of the tunnel, 1 to 65535.
        port: u16,
        /// Checksums.
        checksum: TunnelChecksum,
    },
    /// Generic routing encapsulation.
    Gre {
        /// Checksums; [`TunnelChecksum::Remote`] has no meaning here.
        checksum: TunnelChecksum,
    },
    /// A kind that this version does not know.
    Other {
        /// `IPVS_DEST_ATTR_TUN_TYPE`.
        kind: u8,
        /// `IPVS_DEST_ATTR_TUN_PORT`.
        port: u16,
        /// `IPVS_DEST_ATTR_TUN_FLAGS`.
        flags: u16,
    },
}

/// Checksums of GUE and GRE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelChecksum {
    /// None; `--tun-nocsum`.
    #[default]
    None,
    /// Computed; `--tun-csum`.
    Full,
    /// Remote checksum offload (GUE); `--tun-remcsum`.
    Remote,
}

impl TunnelChecksum {
    fn flags(self) -> u16 {
        match self {
            Self::None => IP_VS_TUNNEL_ENCAP_FLAG_NOCSUM,
            Self::Full => IP_VS_TUNNEL_ENCAP_FLAG_CSUM,
            Self::Remote => IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM,
        }
    }

    fn from_flags(flags: u16) -> Option<Self> {
        match flags {
            IP_VS_TUNNEL_ENCAP_FLAG_NOCSUM => Some(Self::None),
            IP_VS_TUNNEL_ENCAP_FLAG_CSUM => Some(Self::Full),
            IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM => Some(Self::Remote),
            _ => None,
        }
    }
}

impl TunnelKind {
    /// Type, port and flags as the kernel holds them.
    fn numbers(self) -> (u8, u16, u16) {
        match self {
            Self::Ipip => (IP_VS_CONN_F_TUNNEL_TYPE_IPIP, 0, 0),
            Self::Gue { port, checksum } => (IP_VS_CONN_F_TUNNEL_TYPE_GUE, port, checksum.flags()),
            Self::Gre { checksum } => (IP_VS_CONN_F_TUNNEL_TYPE_GRE, 0, checksum.flags()),
            Self::Other { kind, port, flags } => (kind, port, flags),
        }
    }

    fn from_numbers(kind: u8, port: u16, flags: u16) -> Self {
        match (kind, port, TunnelChecksum::from_flags(flags)) {
            (IP_VS_CONN_F_TUNNEL_TYPE_IPIP, 0, Some(TunnelChecksum::None)) => Self::Ipip,
            (IP_VS_CONN_F_TUNNEL_TYPE_GUE, port, Some(checksum)) => Self::Gue { port, checksum },
            (IP_VS_CONN_F_TUNNEL_TYPE_GRE, 0, Some(checksum)) => Self::Gre { checksum },
            _ => Self::Other { kind, port, flags },
        }
    }
}

/// A destination as it is configured. In keepalived's configuration a `real_server`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Destination {
    /// The server's address. Of another family than the service only through a tunnel.
    pub address: IpAddr,
    /// The server's port; 0 means the one that the client asked for.
    pub port: u16,
    /// How packets reach it.
    pub forward: ForwardMethod,
    /// Its share of new connections, 0 to 2147483647. 0 quiesces: no new connections, the old ones
    /// live on. ipvsadm's default is 1.
    pub weight: u32,
    /// From how many connections on it gets no new one; 0 means no limit.
    /// Source: `IPVS_DEST_ATTR_U_THRESH`.
    pub upper_threshold: u32,
    /// Below how many connections it gets new ones again; 0 means three quarters of the upper one,
    /// which it must not exceed. Source: `IPVS_DEST_ATTR_L_THRESH`.
    pub lower_threshold: u32,
}

impl Destination {
    /// A destination of weight 1 without thresholds.
    pub fn new(address: SocketAddr, forward: ForwardMethod) -> Self {
        Self {
            address: address.ip(),
            port: address.port(),
            forward,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
        }
    }

    /// What names it within its service.
    pub fn key(&self) -> DestinationKey {
        DestinationKey {
            address: self.address,
            port: self.port,
        }
    }

    /// Reads what is configured from an entry of a dump; `family` is that of the service.
    pub(crate) fn unpack(
        attributes: &Attributes<'_>,
        family: AddressFamily,
    ) -> Result<Self, ParseError> {
        let fields = DestinationFields::read(attributes)?;
        Ok(fields.destination(fields.key(family)?))
    }

    pub(crate) fn pack(&self, writer: &mut Writer<'_>) {
        self.key().pack(writer);
        writer.u32(IPVS_DEST_ATTR_FWD_METHOD, self.forward.number());
        writer.u32(IPVS_DEST_ATTR_WEIGHT, self.weight);
        writer.u32(IPVS_DEST_ATTR_U_THRESH, self.upper_threshold);
        writer.u32(IPVS_DEST_ATTR_L_THRESH, self.lower_threshold);
        if let ForwardMethod::Tunnel(kind) = self.forward {
            pack_tunnel(kind, writer);
        }
    }
}

/// A destination as a dump shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationEntry {
    /// How it is configured.
    pub destination: Destination,
    /// What it does now and has done.
    pub status: DestinationStatus,
}

/// What a destination does now and has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DestinationStatus {
    /// Connections in an active state (for TCP those being opened and the established ones).
    pub active_conns: u32,
    /// Connections in any other state, all UDP ones included.
    pub inactive_conns: u32,
    /// Persistence templates that point to it.
    pub persist_conns: u32,
    /// What went through it.
    pub stats: Stats,
}

impl DestinationEntry {
    pub(crate) fn pack(&self, writer: &mut Writer<'_>) {
        let destination = &self.destination;
        writer.address(IPVS_DEST_ATTR_ADDR, destination.address);
        writer.port(IPVS_DEST_ATTR_PORT, destination.port);
        writer.u32(IPVS_DEST_ATTR_FWD_METHOD, destination.forward.number());
        writer.u32(IPVS_DEST_ATTR_WEIGHT, destination.weight);
        pack_tunnel(destination.forward.tunnel(), writer);
        writer.u32(IPVS_DEST_ATTR_U_THRESH, destination.upper_threshold);
        writer.u32(IPVS_DEST_ATTR_L_THRESH, destination.lower_threshold);
        writer.u32(IPVS_DEST_ATTR_ACTIVE_CONNS, self.status.active_conns);
        writer.u32(IPVS_DEST_ATTR_INACT_CONNS, self.status.inactive_conns);
        writer.u32(IPVS_DEST_ATTR_PERSIST_CONNS, self.status.persist_conns);
        let family = AddressFamily::of(destination.address);
        writer.u16(IPVS_DEST_ATTR_ADDR_FAMILY, family.number());
        self.status
            .stats
            .pack(writer, IPVS_DEST_ATTR_STATS, IPVS_DEST_ATTR_STATS64);
    }

    /// Reads an entry; `family` is that of the service, for kernels before 3.18 that do not tell
    /// the destination's.
    pub(crate) fn unpack(
        attributes: &Attributes<'_>,
        family: AddressFamily,
    ) -> Result<Self, ParseError> {
        let fields = DestinationFields::read(attributes)?;
        let key = fields.key(family)?;
        Ok(Self {
            destination: fields.destination(key),
            status: DestinationStatus {
                active_conns: fields.active_conns,
                inactive_conns: fields.inactive_conns,
                persist_conns: fields.persist_conns,
                stats: Stats::unpack(attributes, IPVS_DEST_ATTR_STATS, IPVS_DEST_ATTR_STATS64)?,
            },
        })
    }
}

fn pack_tunnel(kind: TunnelKind, writer: &mut Writer<'_>) {
    let (kind, port, flags) = kind.numbers();
    writer.u8(IPVS_DEST_ATTR_TUN_TYPE, kind);
    writer.port(IPVS_DEST_ATTR_TUN_PORT, port);
    writer.u16(IPVS_DEST_ATTR_TUN_FLAGS, flags);
}

/// The attributes of a destination as far as they are there.
#[derive(Default)]
pub(crate) struct DestinationFields<'a> {
    family: Option<u16>,
    address: Option<crate::codec::Attribute<'a>>,
    port: Option<u16>,
    pub(crate) forward: Option<u32>,
    pub(crate) weight: Option<u32>,
    pub(crate) upper_threshold: Option<u32>,
    pub(crate) lower_threshold: Option<u32>,
    active_conns: u32,
    inactive_conns: u32,
    persist_conns: u32,
    tunnel: (u8, u16, u16),
}

impl<'a> DestinationFields<'a> {
    pub(crate) fn read(attributes: &Attributes<'a>) -> Result<Self, ParseError> {
        let mut fields = Self::default();
        for attribute in attributes.clone() {
            let attribute = attribute?;
            match attribute.kind {
                IPVS_DEST_ATTR_ADDR => fields.address = Some(attribute),
                IPVS_DEST_ATTR_PORT => fields.port = Some(attribute.port()?),
                IPVS_DEST_ATTR_ADDR_FAMILY => fields.family = Some(attribute.u16()?),
                IPVS_DEST_ATTR_FWD_METHOD => fields.forward = Some(attribute.u32()?),
                IPVS_DEST_ATTR_WEIGHT => fields.weight = Some(attribute.u32()?),
                IPVS_DEST_ATTR_U_THRESH => fields.upper_threshold = Some(attribute.u32()?),
                IPVS_DEST_ATTR_L_THRESH => fields.lower_threshold = Some(attribute.u32()?),
                IPVS_DEST_ATTR_ACTIVE_CONNS => fields.active_conns = attribute.u32()?,
                IPVS_DEST_ATTR_INACT_CONNS => fields.inactive_conns = attribute.u32()?,
                IPVS_DEST_ATTR_PERSIST_CONNS => fields.persist_conns = attribute.u32()?,
                IPVS_DEST_ATTR_TUN_TYPE => fields.tunnel.0 = attribute.u8()?,
                IPVS_DEST_ATTR_TUN_PORT => fields.tunnel.1 = attribute.port()?,
                IPVS_DEST_ATTR_TUN_FLAGS => fields.tunnel.2 = attribute.u16()?,
                _ => {}
            }
        }
        Ok(fields)
    }

    /// What names the destination; `family` where it does not say its own.
    pub(crate) fn key(&self, family: AddressFamily) -> Result<DestinationKey, ParseError> {
        let family = match self.family {
            Some(number) => {
                AddressFamily::from_number(number).ok_or_else(|| ParseError::Value {
                    kind: IPVS_DEST_ATTR_ADDR_FAMILY,
                    value: number.into(),
                })?
            }
            None => family,
        };
        let address = self.address.ok_or(ParseError::Missing {
            kind: IPVS_DEST_ATTR_ADDR,
        })?;
        let port = self.port.ok_or(ParseError::Missing {
            kind: IPVS_DEST_ATTR_PORT,
        })?;
        Ok(DestinationKey {
            address: address.address(family)?,
            port,
        })
    }

    /// The destination of that key, with 0 for what is not there.
    pub(crate) fn destination(&self, key: DestinationKey) -> Destination {
        let (kind, port, flags) = self.tunnel;
        let tunnel = TunnelKind::from_numbers(kind, port, flags);
        Destination {
            address: key.address,
            port: key.port,
            forward: ForwardMethod::from_number(self.forward.unwrap_or(0), tunnel),
            weight: self.weight.unwrap_or(0),
            upper_threshold: self.upper_threshold.unwrap_or(0),
            lower_threshold: self.lower_threshold.unwrap_or(0),
        }
    }
}
