//! The part of `global_defs` that is about VRRP as a whole.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Interface;

/// Settings of the VRRP process. Source: keepalived.conf(5), "Global definitions".
///
/// What instances inherit is in each [`VrrpInstance`](super::VrrpInstance) already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpGlobals {
    /// Destination of IPv4 advertisements. Default 224.0.0.18. `vrrp_mcast_group4`.
    pub multicast_group4: Ipv4Addr,
    /// Destination of IPv6 advertisements. Default ff02::12. `vrrp_mcast_group6`.
    pub multicast_group6: Ipv6Addr,
    /// Interface of addresses and routes that name none. Default: none, `eth0`.
    /// `default_interface`.
    pub default_interface: Option<Interface>,
    /// Whether interfaces may be missing or come back. Default: no. `dynamic_interfaces`.
    pub dynamic_interfaces: DynamicInterfaces,
    /// Least time between gratuitous ARPs on an interface. Default 0. `vrrp_garp_interval`.
    pub garp_interval: Duration,
    /// Least time between neighbour advertisements on an interface. Default 0.
    /// `vrrp_gna_interval`.
    pub gna_interval: Duration,
    /// Firewall that `no_accept` and virtual interfaces use. Default: nftables if it is needed.
    pub firewall: Firewall,
    /// How long instances are idle after the start. Default 0. `vrrp_startup_delay`.
    pub startup_delay: Duration,
    /// How long instances are idle after the machine booted. Default 0.
    /// `vrrp_delay_after_boot`.
    pub delay_after_boot: Duration,
    /// Whether faults are not mailed. Default: off. `no_email_faults`.
    pub no_email_faults: bool,
    /// Whether all states are written to the pipes after a reload. Default: off.
    /// `fifo_write_vrrp_states_on_reload`.
    pub write_states_on_reload: bool,
    /// Whether advertisements of strangers are logged. Default: off. `log_unknown_vrids`.
    pub log_unknown_vrids: bool,
    /// Whether the kernel sends no IGMP reports for 224.0.0.0/24. Default: off.
    /// `disable_local_igmp`.
    pub disable_local_igmp: bool,
    /// Nice value. -20..=19, default 0. `vrrp_priority`.
    pub priority: i32,
    /// Real-time priority. 1..=99, default: none. `vrrp_rt_priority`.
    pub rt_priority: Option<u8>,
    /// Highest real-time priority that is taken automatically. Default: none; bare keyword: 99.
    /// `max_auto_priority`.
    pub max_auto_priority: Option<u8>,
    /// Lateness that raises the priority. Default 1 s. `min_auto_priority_delay`.
    pub min_auto_priority_delay: Duration,
    /// Processors it may run on. Default: all. `vrrp_cpu_affinity`.
    pub cpu_affinity: Vec<u32>,
    /// Longest run without a pause at real-time priority. Default: none is said; keepalived takes
    /// 10 ms. `vrrp_rlimit_rttime`.
    pub rlimit_rttime: Option<Duration>,
    /// Whether its memory is locked. Default: off. `vrrp_no_swap`.
    pub no_swap: bool,
    /// The same of what runs the BFD sessions.
    pub bfd: BfdGlobals,
    /// Beginning of the names of virtual interfaces. Default `vrrp`. `vmac_prefix`.
    pub vmac_prefix: String,
    /// The same for those of single addresses. Default: [`Self::vmac_prefix`].
    /// `vmac_addr_prefix`.
    pub vmac_address_prefix: String,
    /// Layout of the JSON dump, 1 or 2. Default 1. `json_version`.
    pub json_version: u8,
}

impl Default for VrrpGlobals {
    fn default() -> Self {
        Self {
            multicast_group4: Ipv4Addr::new(224, 0, 0, 18),
            multicast_group6: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12),
            default_interface: None,
            dynamic_interfaces: DynamicInterfaces::default(),
            garp_interval: Duration::ZERO,
            gna_interval: Duration::ZERO,
            firewall: Firewall::default(),
            startup_delay: Duration::ZERO,
            delay_after_boot: Duration::ZERO,
            no_email_faults: false,
            write_states_on_reload: false,
            log_unknown_vrids: false,
            disable_local_igmp: false,
            priority: 0,
            rt_priority: None,
            max_auto_priority: None,
            min_auto_priority_delay: Duration::from_secs(1),
            cpu_affinity: Vec::new(),
            rlimit_rttime: None,
            no_swap: false,
            bfd: BfdGlobals::default(),
            vmac_prefix: "vrrp".to_owned(),
            vmac_address_prefix: "vrrp".to_owned(),
            json_version: 1,
        }
    }
}

/// How BFD sessions are run. Source: keepalived.conf(5), "Global definitions".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdGlobals {
    /// Nice value. -20..=19, default 0. `bfd_priority`.
    pub priority: i32,
    /// Real-time priority. 1..=99, default: none. `bfd_rt_priority`.
    pub rt_priority: Option<u8>,
    /// Processors they may run on. Default: all. `bfd_cpu_affinity`.
    pub cpu_affinity: Vec<u32>,
    /// Whether their memory is locked. Default: off. `bfd_no_swap`.
    pub no_swap: bool,
}

/// Whether interfaces may be missing. Source: keepalived.conf(5) `dynamic_interfaces`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DynamicInterfaces {
    /// They must be there at the start. The default.
    #[default]
    No,
    /// They may come and go, but must stay of the same kind.
    Yes,
    /// They may come back as something else. `allow_if_changes`.
    AllowChanges,
}

/// Packet filters for `no_accept` and virtual interfaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// Input and output chain of iptables. Default: none, iptables is not used. Bare keyword:
    /// INPUT and OUTPUT. `vrrp_iptables`.
    pub iptables: Option<(String, String)>,
    /// Sets for iptables. Default: `keepalived` and names made from it; empty with a bare
    /// `vrrp_ipsets`, which means that none are used.
    pub ipsets: Option<Vec<String>>,
    /// Table of nftables. Default: none; bare keyword: `keepalived`. `nftables`.
    pub nftables: Option<String>,
    /// Priority of its chains. Default -1. `nftables_priority`.
    pub nftables_priority: Option<i32>,
    /// Whether interfaces are matched by index. Default: off. `nftables_ifindex`.
    pub nftables_ifindex: bool,
    /// Whether rules have counters. Default: off. `nftables_counters`.
    pub nftables_counters: bool,
}
