//! The configuration as meant: defaults filled in, inheritance done, references looked up.
//!
//! [`Config`] is what [`analyze`](crate::analyze) makes from the text. A caller never needs to
//! know that a check inherited its `retry` from the `virtual_server` around it: the value is in
//! the [`Check`].
//!
//! # Design
//!
//! The types are plain values with public fields, so that a director can compare the old and
//! the new configuration with `==`, find what survives a reload by [`VirtualServer::id`] and
//! [`RealServer::address`], and send all of it to another process by serde. They hold no spans:
//! places in the text belong to diagnostics.

mod address;
mod check;
mod globals;
mod service;
mod track;
mod vrrp;
mod vrrp_globals;

use serde::{Deserialize, Serialize};

pub use address::{
    Address, AddressOptions, Broadcast, Insertion, Lifetime, Named, NextHop, Route, RouteKind,
    RouteMetric, Rule, RuleAction,
};
pub use check::{
    BindTo, Check, CheckKind, DnsCheck, DnsType, FileCheck, HttpCheck, HttpVersion, MiscCheck,
    Regex, SmtpCheck, StatusRange, UdpCheck, Url,
};
pub use globals::{
    FlushOnStop, Globals, LvsTimeouts, NotifyFifo, ProcessNames, Script, ScriptUser, SmtpLogin,
    SmtpServer, SmtpTls, SyncDaemon, TlsContext,
};
pub use service::{
    Endpoint, Family, ForwardMethod, Granularity, Persistence, Protocol, RealServer, Scheduler,
    SchedulerFlags, SorryServer, TunnelChecksum, VirtualServer, VirtualServerId,
};

pub(crate) use track::with_user;
pub use track::{
    BfdInstance, InitFile, Interface, Notify, ParameterMatch, TrackFile, TrackGroup, TrackProcess,
    Tracked, Tracking, VrrpScript, Weight,
};
pub use vrrp::{
    AuthHmac, Authentication, Destination, Garp, GarpGroup, HmacKey, HmacMode, InitialState,
    InterfaceDelay, IpvlanMode, Linkbeat, NotifyDeleted, SyncGroup, Unicast, UnicastPeer,
    VirtualInterface, VirtualInterfaceKind, Vrrp, VrrpChecksum, VrrpInstance, VrrpVersion,
};
pub use vrrp_globals::{BfdGlobals, DynamicInterfaces, Firewall, VrrpGlobals};

/// A whole configuration, ready to be acted on.
///
/// Found in [`Analysis::config`](crate::Analysis). What the text got wrong is not in here: a bad
/// value leaves its default, a service without a usable address is absent, and a
/// [`Diagnostic`](crate::Diagnostic) says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The `global_defs` block, and the settings that stand outside any block.
    pub globals: Globals,
    /// Every usable `virtual_server`, in the order of the text.
    pub services: Vec<VirtualServer>,
    /// Virtual routers, what they track, and static addresses and routes.
    pub vrrp: Vrrp,
    /// The `SSL` block: files for the client side of `SSL_GET`. `None` when there is none.
    pub tls: Option<TlsContext>,
}

impl Config {
    /// The service with this identity, if it is configured.
    pub fn service(&self, id: &VirtualServerId) -> Option<&VirtualServer> {
        self.services.iter().find(|service| service.id == *id)
    }
}
