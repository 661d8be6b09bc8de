//! A virtual service in a replay: its name in the kernel, its pool, its persistence.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lvs_sched::{Destination, Pool, Protocol, SchedulerFlags};

use crate::connections::{FlowKey, TemplateKey, TemplateScope};
use crate::trace::{Fault, Netmask, ServiceLine, TransportName};

/// What the kernel knows a service by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServiceKey {
    Address {
        protocol: Protocol,
        address: IpAddr,
        port: u16,
    },
    Mark {
        mark: u32,
        v6: bool,
    },
}

/// A virtual service.
#[derive(Debug)]
pub(crate) struct Service {
    /// Its name in the trace; the latest, if it was deleted and made again.
    pub(crate) name: String,
    /// False between deletion and the next creation; its destinations are in the pool's trash.
    pub(crate) exists: bool,
    pub(crate) pool: Pool,
    pub(crate) options: ServiceOptions,
    /// Why the scheduler's state cannot be known any more.
    pub(crate) lost: Option<String>,
}

/// Settings of a service beside its scheduler's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceOptions {
    pub(crate) flags: SchedulerFlags,
    /// How long templates live; `None` without persistence.
    pub(crate) persistence: Option<Duration>,
    /// Length of the client prefix that shares a template.
    netmask: u128,
    /// Each datagram is scheduled on its own.
    pub(crate) one_packet: bool,
}

impl From<TransportName> for Protocol {
    fn from(name: TransportName) -> Self {
        match name {
            TransportName::Tcp => Self::Tcp,
            TransportName::Udp => Self::Udp,
        }
    }
}

impl ServiceKey {
    /// The key a `svc-add` line gives.
    pub(crate) fn from_line(line: &ServiceLine) -> Result<Self, Fault> {
        if let Some(mark) = line.fwmark {
            return match line.af {
                None | Some(4) => Ok(Self::Mark { mark, v6: false }),
                Some(6) => Ok(Self::Mark { mark, v6: true }),
                Some(other) => Err(Fault::Family(other)),
            };
        }
        match (line.proto, line.addr, line.port) {
            (Some(proto), Some(address), Some(port)) => Ok(Self::Address {
                protocol: proto.into(),
                address,
                port,
            }),
            _ => Err(Fault::NoServiceKey),
        }
    }

    /// Are its clients and servers IPv6.
    fn is_v6(&self) -> bool {
        match self {
            Self::Address { address, .. } => address.is_ipv6(),
            Self::Mark { v6, .. } => *v6,
        }
    }

    /// Its own port; 0 for firewall marks, and for services of all ports.
    fn port(&self) -> u16 {
        match self {
            Self::Address { port, .. } => *port,
            Self::Mark { .. } => 0,
        }
    }
}

impl ServiceOptions {
    /// The options that a `svc-add` or `svc-edit` line gives; what is absent is cleared.
    pub(crate) fn from_line(line: &ServiceLine, key: &ServiceKey) -> Result<Self, Fault> {
        let mut flags = SchedulerFlags::default();
        for flag in &line.flags {
            match flag.as_str() {
                "sh-fallback" | "mh-fallback" | "flag-1" => flags.fallback = true,
                "sh-port" | "mh-port" | "flag-2" => flags.port = true,
                "flag-3" => {}
                _ => return Err(Fault::Flag(flag.clone())),
            }
        }
        let persistence = (line.persist > 0).then(|| Duration::from_secs(line.persist.into()));
        let netmask = netmask(line.netmask.as_ref(), key.is_v6())?;
        Ok(Self {
            flags,
            persistence,
            netmask,
            one_packet: line.ops,
        })
    }
}

impl Service {
    /// The template that a packet of this flow falls under.
    pub(crate) fn template_key(&self, key: &ServiceKey, flow: &FlowKey) -> TemplateKey {
        const FTP: u16 = 21;
        let scope = match *key {
            ServiceKey::Mark { mark, v6 } => TemplateScope::Mark { mark, v6 },
            ServiceKey::Address { port, .. } => {
                let own = flow.target.port() == port && port != FTP;
                TemplateScope::Address {
                    protocol: flow.protocol,
                    address: flow.target.ip(),
                    port: if own { port } else { 0 },
                }
            }
        };
        let client = match flow.client.ip() {
            IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & self.options.netmask as u32).into()),
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & self.options.netmask).into()),
        };
        TemplateKey {
            service: scope,
            client,
        }
    }

    /// The address and port on which a destination gets a flow.
    pub(crate) fn endpoint(
        &self,
        key: &ServiceKey,
        destination: &Destination,
        target: SocketAddr,
    ) -> SocketAddr {
        let own_port = if self.options.persistence.is_some() {
            // A template leads to the server's port only from the service's own.
            destination.port != 0 && target.port() == key.port()
        } else {
            destination.port != 0
        };
        let port = if own_port {
            destination.port
        } else {
            target.port()
        };
        SocketAddr::new(destination.address, port)
    }
}

/// A mask over the 32 or 128 bits of an address.
fn netmask(given: Option<&Netmask>, v6: bool) -> Result<u128, Fault> {
    let prefix = |length: u8, bits: u32| {
        let host = bits.checked_sub(u32::from(length))?;
        Some(u128::MAX.checked_shl(host).unwrap_or(0))
    };
    let bad = |text: String| Fault::Netmask(text);
    match given {
        None => Ok(u128::MAX),
        Some(Netmask::Length(length)) => {
            let bits = if v6 { 128 } else { 32 };
            prefix(*length, bits).ok_or_else(|| bad(length.to_string()))
        }
        Some(Netmask::Text(text)) if v6 => text
            .parse()
            .ok()
            .and_then(|length| prefix(length, 128))
            .ok_or_else(|| bad(text.clone())),
        Some(Netmask::Text(text)) => match text.parse::<std::net::Ipv4Addr>() {
            Ok(mask) => Ok(mask.to_bits().into()),
            Err(_) => Err(bad(text.clone())),
        },
    }
}
