//! What a running director says about its virtual routers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// All virtual routers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VrrpStatus {
    /// The instances in the order of the configuration.
    pub instances: Vec<VrrpInstanceStatus>,
    /// The sync groups in the order of the configuration.
    pub groups: Vec<VrrpGroupStatus>,
    /// Packets that were for no instance, by what was wrong with them; only those that occurred.
    pub unclaimed: BTreeMap<String, u64>,
}

/// The state of an instance or group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VrrpState {
    /// Not started yet, or stopped.
    #[default]
    Init,
    /// Listens to a master.
    Backup,
    /// Holds the addresses.
    Master,
    /// Something that it needs is broken.
    Fault,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VrrpInstanceStatus {
    /// Its name.
    pub name: String,
    /// Its interface; `None` for unicast by whatever way the routes go.
    #[serde(default)]
    pub interface: Option<String>,
    /// Its VRID.
    pub virtual_router_id: u8,
    /// The protocol's version: 2 or 3.
    pub version: u8,
    /// Its state.
    pub state: VrrpState,
    /// Since when.
    pub since_unix_ms: u64,
    /// Why it is in this state, as a phrase.
    pub reason: String,
    /// Every cause of fault; empty in other states.
    #[serde(default)]
    pub faults: Vec<String>,
    /// The configured priority.
    pub priority: u8,
    /// The priority with what tracked objects add and take.
    pub effective_priority: u8,
    /// Time between advertisements, in seconds.
    pub advert_interval_seconds: f64,
    /// The source address of its advertisements.
    #[serde(default)]
    pub source: Option<IpAddr>,
    /// As backup: the master that it listens to.
    #[serde(default)]
    pub master: Option<VrrpRouter>,
    /// As backup: a master of lower priority that is about to be replaced.
    #[serde(default)]
    pub lower_master: Option<VrrpRouter>,
    /// As master: another router that acts as one, too.
    #[serde(default)]
    pub second_master: Option<SecondMaster>,
    /// Its sync group.
    #[serde(default)]
    pub group: Option<String>,
    /// The addresses that it holds as master, with their prefixes.
    pub addresses: Vec<String>,
    /// In how many seconds the next thing happens by itself: an advertisement, a takeover.
    #[serde(default)]
    pub next_seconds: Option<f64>,
    /// What it has counted.
    pub counters: VrrpCounters,
}

/// Another router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpRouter {
    /// Its address.
    pub address: IpAddr,
    /// The priority that it advertised.
    pub priority: u8,
}

/// Another router that acts as master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondMaster {
    /// Its address.
    pub address: IpAddr,
    /// Since when it has been heard.
    pub since_unix_ms: u64,
    /// How many of its packets were heard.
    pub packets: u64,
    /// Why it may be; `None` as long as it may be yielding.
    #[serde(default)]
    pub suspicion: Option<String>,
}

/// What an instance has counted since its process started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VrrpCounters {
    /// Advertisements that were accepted.
    pub received: u64,
    /// Advertisements that were sent, one for each peer.
    pub sent: u64,
    /// Times it became master.
    pub became_master: u64,
    /// Times it stopped being master.
    pub released_master: u64,
    /// Resignations that were received.
    pub priority_zero_received: u64,
    /// Resignations that were sent.
    pub priority_zero_sent: u64,
    /// Gratuitous ARPs and neighbour advertisements.
    pub announced: u64,
    /// Times that the process was not scheduled for so long that others may have noticed.
    pub stalls: u64,
    /// Times that something could not be sent.
    pub send_failures: u64,
    /// Packets that were dropped, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// A sync group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpGroupStatus {
    /// Its name.
    pub name: String,
    /// The state that its members share.
    pub state: VrrpState,
}
