//! `virtual_server`, `virtual_server_group`, `real_server` and `sorry_server`.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Check, Script};

/// One `virtual_server`: what is balanced, how, and over which servers.
///
/// Source: keepalived.conf(5), "Virtual server(s)".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// Identity: the same value before and after a reload means the same service.
    pub id: VirtualServerId,
    /// The IPVS services to create: one, or one for each entry of a group, ranges expanded.
    ///
    /// All have the same real servers and share one set of checks. Never empty.
    pub endpoints: Vec<Endpoint>,
    /// Transport protocol. Default: UDP (with a diagnostic). Without meaning for a mark.
    pub protocol: Protocol,
    /// How a server is chosen. Default: [`Scheduler::Wlc`] (with a diagnostic). `lb_algo`.
    pub scheduler: Scheduler,
    /// Options of the scheduler. Default: none. `flag-1`, `sh-port`, `mh-fallback` and so on.
    pub scheduler_flags: SchedulerFlags,
    /// How packets reach the real servers that do not say otherwise.
    ///
    /// Default: [`ForwardMethod::Masq`] (with a diagnostic). `lb_kind`.
    pub method: ForwardMethod,
    /// Client stickiness. Default: none. `persistence_timeout`, `persistence_granularity`,
    /// `persistence_engine`.
    pub persistence: Option<Persistence>,
    /// One-packet scheduling: every datagram is scheduled for itself. Default: off. `ops`.
    pub one_packet: bool,
    /// Whether checks run only while the address is on a local interface. Default: off.
    /// `ha_suspend`.
    pub ha_suspend: bool,
    /// Whether down notifies run at shutdown. Default: off. `omega`.
    pub omega: bool,
    /// Alive weight needed for service. At least 1, at most the weight of all servers.
    ///
    /// Default: 1. `quorum`.
    pub quorum: u32,
    /// Margin around the quorum. Less than the quorum. Default: 0. `hysteresis`.
    pub hysteresis: u32,
    /// Command when the quorum is reached. Default: none. `quorum_up`.
    pub quorum_up: Option<Script>,
    /// Command when the quorum is lost. Default: none. `quorum_down`.
    pub quorum_down: Option<Script>,
    /// Whether changes of the quorum are mailed. Default: `smtp_alert_checker`, `smtp_alert`,
    /// off.
    pub smtp_alert: bool,
    /// Server used while the quorum is lost. Default: none. `sorry_server`.
    pub sorry_server: Option<SorryServer>,
    /// Label in SNMP. Default: none. `snmp_name`.
    pub snmp_name: Option<String>,
    /// The real servers, in the order of the text. Never empty.
    pub real_servers: Vec<RealServer>,
}

impl VirtualServer {
    /// The real server with this address, if it is configured.
    pub fn real_server(&self, address: SocketAddr) -> Option<&RealServer> {
        self.real_servers
            .iter()
            .find(|server| server.address == address)
    }
}

/// Identity of a `virtual_server`, kept over a reload.
///
/// Displayed as in keepalived's logs: `[10.0.0.1]:tcp:80`, `FWM 7`, `[web]:0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VirtualServerId {
    /// An address and port.
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// Address, and port (0: every port).
        address: SocketAddr,
    },
    /// A firewall mark.
    FirewallMark {
        /// The mark.
        mark: u32,
        /// Family of the packets.
        family: Family,
    },
    /// A `virtual_server_group`.
    Group {
        /// Name of the group.
        name: String,
        /// 0 for the first `virtual_server` that uses the group, 1 for the second, and so on.
        index: u32,
    },
}

impl fmt::Display for VirtualServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, address } => {
                write!(f, "[{}]:{protocol}:{}", address.ip(), address.port())
            }
            Self::FirewallMark { mark, .. } => write!(f, "FWM {mark}"),
            Self::Group { name, index } => write!(f, "[{name}]:{index}"),
        }
    }
}

/// One IPVS service of a `virtual_server`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Endpoint {
    /// Packets to this address; port 0 means every port.
    Address(SocketAddr),
    /// Packets with this firewall mark.
    FirewallMark {
        /// The mark.
        mark: u32,
        /// Family of the packets.
        family: Family,
    },
}

/// Address family of a firewall mark service. Source: keepalived.conf(5) `ip_family`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

/// Transport protocol. Source: keepalived.conf(5) `protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP, RFC 9293.
    Tcp,
    /// UDP, RFC 768.
    Udp,
    /// SCTP, RFC 9260.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// An IPVS scheduler. Source: keepalived.conf(5) `lb_algo`, ipvsadm(8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheduler {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Least connections.
    Lc,
    /// Weighted least connections.
    Wlc,
    /// Locality-based least connections.
    Lblc,
    /// Locality-based least connections with replication.
    Lblcr,
    /// Source hashing.
    Sh,
    /// Maglev hashing.
    Mh,
    /// Destination hashing.
    Dh,
    /// Weighted failover.
    Fo,
    /// Weighted overflow.
    Ovf,
    /// Shortest expected delay.
    Sed,
    /// Never queue.
    Nq,
    /// Power of two choices.
    Twos,
}

impl Scheduler {
    /// Every scheduler, in the order of the manual page.
    pub const ALL: [Self; 14] = [
        Self::Rr,
        Self::Wrr,
        Self::Lc,
        Self::Wlc,
        Self::Lblc,
        Self::Sh,
        Self::Mh,
        Self::Dh,
        Self::Fo,
        Self::Ovf,
        Self::Lblcr,
        Self::Sed,
        Self::Nq,
        Self::Twos,
    ];

    /// The name in configuration files and in the kernel, such as `wlc`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Lblc => "lblc",
            Self::Lblcr => "lblcr",
            Self::Sh => "sh",
            Self::Mh => "mh",
            Self::Dh => "dh",
            Self::Fo => "fo",
            Self::Ovf => "ovf",
            Self::Sed => "sed",
            Self::Nq => "nq",
            Self::Twos => "twos",
        }
    }

    /// The scheduler with this exact name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|scheduler| scheduler.name() == name)
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The three option bits that a service hands to its scheduler.
///
/// For `sh` and `mh`, the first is `-fallback` and the second `-port`. Source: kernel
/// `IP_VS_SVC_F_SCHED1` to `IP_VS_SVC_F_SCHED3`, `IP_VS_SVC_F_SCHED_SH_FALLBACK`,
/// `IP_VS_SVC_F_SCHED_SH_PORT`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct SchedulerFlags {
    /// `flag-1`, `sh-fallback`, `mh-fallback`: choose another server when the chosen one is away.
    pub flag1: bool,
    /// `flag-2`, `sh-port`, `mh-port`: hash the source port too.
    pub flag2: bool,
    /// `flag-3`.
    pub flag3: bool,
}

/// How packets reach a real server. Source: keepalived.conf(5) `lb_kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ForwardMethod {
    /// `NAT`: addresses are rewritten; the only method with another port.
    Masq,
    /// `DR`: only the link-layer address changes.
    DirectRoute,
    /// `TUN`, `TUN type ipip`: wrapped in IP.
    Tunnel,
    /// `TUN type gue`: wrapped in generic UDP encapsulation.
    TunnelGue {
        /// UDP port of the real server.
        port: u16,
        /// How the outer checksum is made.
        checksum: TunnelChecksum,
    },
    /// `TUN type gre`: wrapped in GRE.
    TunnelGre {
        /// How the outer checksum is made. Never [`TunnelChecksum::Remote`].
        checksum: TunnelChecksum,
    },
}

impl ForwardMethod {
    /// Whether packets are wrapped, so that the real server may be of another address family.
    pub fn is_tunnel(self) -> bool {
        matches!(
            self,
            Self::Tunnel | Self::TunnelGue { .. } | Self::TunnelGre { .. }
        )
    }
}

/// Outer checksum of a tunnel. Source: kernel `IP_VS_TUNNEL_ENCAP_FLAG_*`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum TunnelChecksum {
    /// `nocsum`. The default.
    #[default]
    None,
    /// `csum`.
    Full,
    /// `remcsum`: remote checksum offload, GUE only.
    Remote,
}

/// Client stickiness. Source: keepalived.conf(5) `persistence_timeout` and its companions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persistence {
    /// How long a client stays with its server. Whole seconds, 1..=2678400; bare keyword 360.
    pub timeout: Duration,
    /// Clients that are treated as one. Default: none, every address for itself.
    pub granularity: Option<Granularity>,
    /// Persistence engine. Only `sip` exists. Default: none.
    pub engine: Option<String>,
}

/// Clients that count as one. Source: keepalived.conf(5) `persistence_granularity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Granularity {
    /// IPv4: a netmask, kept as written (`255.255.255.0`).
    Mask(std::net::Ipv4Addr),
    /// IPv6: a prefix length, 1..=128.
    Prefix(u8),
}

/// The server used while the quorum is lost. It has weight 1 and no checks.
///
/// Source: keepalived.conf(5) `sorry_server`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SorryServer {
    /// Address; the port defaults to that of the service.
    pub address: SocketAddr,
    /// Whether it stays in the table with weight 0 while it is not needed. Default: off.
    /// `sorry_server_inhibit`.
    pub inhibit: bool,
    /// Default: the method of the service. `sorry_server_lvs_method`.
    pub method: ForwardMethod,
}

/// One back-end server of a service. IPVS and `ipvs-netlink` call it a destination.
///
/// Its identity within the service is [`Self::address`]. Source: keepalived.conf(5)
/// `real_server`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    /// Address; the port defaults to that of the service. Port 0 means the port of the packet.
    pub address: SocketAddr,
    /// Weight, 0..=2147483647. 0 gets no new connections. Default: that of the service, or 1.
    pub weight: u32,
    /// Default: the method of the service. `lvs_method`.
    pub method: ForwardMethod,
    /// Connections at which no new ones come. 0: no limit. Default 0. `uthreshold`.
    pub upper_threshold: u32,
    /// Connections below which new ones come again. 0: no limit. Default 0. `lthreshold`.
    pub lower_threshold: u32,
    /// Whether a failed server stays with weight 0 instead of being removed.
    ///
    /// Default: that of the service, or off. `inhibit_on_failure`.
    pub inhibit_on_failure: bool,
    /// Command when the server comes up. Default: none. `notify_up`.
    pub notify_up: Option<Script>,
    /// Command when the server goes down. Default: none. `notify_down`.
    pub notify_down: Option<Script>,
    /// Whether changes of state are mailed. Default: `smtp_alert_checker`, `smtp_alert`, **on**.
    pub smtp_alert: bool,
    /// Label in SNMP. Default: none. `snmp_name`.
    pub snmp_name: Option<String>,
    /// The checks, in the order of the text. The server is up when all of them are; none: always.
    pub checks: Vec<Check>,
}
