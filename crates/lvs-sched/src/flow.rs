//! What a scheduler may know about the packet that asks for a server.

use std::net::IpAddr;
use std::time::Duration;

/// Transport protocol of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// The first packet of a new flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The client's address.
    pub src: IpAddr,
    /// The client's port.
    pub src_port: u16,
    /// The address the client sent to. Of an ordinary service always the same, of a firewall-mark
    /// service any.
    pub dst: IpAddr,
    /// The port the client sent to.
    pub dst_port: u16,
    /// The transport protocol.
    pub protocol: Protocol,
    /// When: time since an origin of the caller's choice, never going back. Read by lblc and
    /// lblcr only.
    pub now: Duration,
}
