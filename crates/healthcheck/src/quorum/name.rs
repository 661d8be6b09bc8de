//! How servers and checks are named.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A real server or sorry server as keepalived identifies it: protocol, address and port.
///
/// Displays in keepalived's format, `[10.0.0.2]:tcp:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerId {
    /// Address and port; port 0 when the service has none.
    pub address: SocketAddr,
    /// The protocol of the service it belongs to.
    pub protocol: Protocol,
}

impl ServerId {
    /// The server at `address` of a service of this protocol.
    pub fn new(address: SocketAddr, protocol: Protocol) -> Self {
        Self { address, protocol }
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{}]:{}:{}",
            self.address.ip(),
            self.protocol,
            self.address.port()
        )
    }
}

/// The protocol of a virtual service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// None: a service by firewall mark.
    None,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::None => "none",
        })
    }
}

/// One check of a real server. The caller chooses the numbers; one number means one check per
/// server, also across reloads, so a check that is replaced by a different one needs a new number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckId(pub u64);
