//! VRRP: virtual routers, groups of them, and what is set while the daemon runs.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Address, BfdInstance, Family, Interface, Notify, Route, Rule, Script, TrackFile, TrackGroup,
    TrackProcess, Tracking, VrrpGlobals, VrrpScript,
};

/// Everything that the VRRP process needs.
///
/// Source: keepalived.conf(5), "VRRPD configuration".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vrrp {
    /// The part of `global_defs` that is about VRRP as a whole.
    pub globals: VrrpGlobals,
    /// Every usable `vrrp_instance`, in the order of the text.
    pub instances: Vec<VrrpInstance>,
    /// Every usable `vrrp_sync_group`, in the order of the text.
    pub sync_groups: Vec<SyncGroup>,
    /// Every usable `vrrp_script`, used or not.
    pub scripts: Vec<VrrpScript>,
    /// Every usable `track_file`; `FILE_CHECK` refers to them too.
    pub track_files: Vec<TrackFile>,
    /// Every usable `vrrp_track_process`.
    pub track_processes: Vec<TrackProcess>,
    /// Every usable `bfd_instance`; `BFD_CHECK` refers to them too.
    pub bfd_instances: Vec<BfdInstance>,
    /// Addresses that are set while the daemon runs. `static_ipaddress`.
    pub static_addresses: Vec<Address>,
    /// Routes that are set while the daemon runs. `static_routes`.
    pub static_routes: Vec<Route>,
    /// Policy rules that are set while the daemon runs. `static_rules`.
    pub static_rules: Vec<Rule>,
    /// Instances that follow static items. `track_group`.
    pub track_groups: Vec<TrackGroup>,
    /// Interfaces whose announcements share a limit. `garp_group`.
    pub garp_groups: Vec<GarpGroup>,
    /// Interfaces whose changes of state count only when they last. `interface_up_down_delays`.
    pub interface_delays: Vec<InterfaceDelay>,
    /// Interfaces whose link is polled. `linkbeat_interfaces`.
    pub linkbeat: Vec<Linkbeat>,
}

impl Vrrp {
    /// Whether there is anything for a VRRP process to do.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
            && self.bfd_instances.is_empty()
            && self.static_addresses.is_empty()
            && self.static_routes.is_empty()
            && self.static_rules.is_empty()
    }

    /// The instance of this name.
    pub fn instance(&self, name: &str) -> Option<&VrrpInstance> {
        self.instances.iter().find(|instance| instance.name == name)
    }

    /// The group that an instance is a member of.
    pub fn group_of(&self, instance: &str) -> Option<&SyncGroup> {
        let has = |group: &&SyncGroup| group.members.iter().any(|member| member == instance);
        self.sync_groups.iter().find(has)
    }

    /// The script of this name.
    pub fn script(&self, name: &str) -> Option<&VrrpScript> {
        self.scripts.iter().find(|script| script.name == name)
    }
}

/// One virtual router: every value decided, inherited ones included.
///
/// Source: keepalived.conf(5), "VRRP instance(s)"; RFC 3768; RFC 9568.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpInstance {
    /// Name, unique in the file. Identity over a reload.
    pub name: String,
    /// Address family of the advertised addresses, hence of the advertisements.
    ///
    /// IPv4 unless the first address is IPv6 or `native_ipv6` is written.
    pub family: Family,
    /// Version of the protocol. Default: `vrrp_version`; for IPv6 always 3. `version`.
    pub version: VrrpVersion,
    /// Whether the instance begins as master. Only the address owner does so at once; any other
    /// waits for a whole master-down time. Default: backup, or master with priority 255. `state`.
    pub initial_state: InitialState,
    /// Interface that carries advertisements and gets the addresses. `None` with unicast only.
    /// `interface`.
    pub interface: Option<Interface>,
    /// VRF to use when there is no interface. Default: none. `vrf`.
    pub vrf: Option<Interface>,
    /// Virtual router id, 1..=255. Unique for interface, family and destination.
    /// `virtual_router_id`.
    pub vrid: u8,
    /// Priority, 1..=255; 255 means address owner. Default: 100, or 255 with `state MASTER`.
    /// `priority`.
    pub priority: u8,
    /// Time between advertisements, already rounded: version 2 whole seconds, 1..=255 s; version
    /// 3 steps of 10 ms, 10 ms..=40.95 s. Default 1 s. `advert_int`.
    pub advert_int: Duration,
    /// Addresses that are advertised, and set while master; all of [`Self::family`], at most 255.
    /// `virtual_ipaddress`.
    pub addresses: Vec<Address>,
    /// Addresses that are set while master without being advertised; of any family.
    /// `virtual_ipaddress_excluded`, and what is beyond 255 in `virtual_ipaddress`.
    pub excluded_addresses: Vec<Address>,
    /// Routes that are set while master. `virtual_routes`.
    pub routes: Vec<Route>,
    /// Policy rules that are set while master. `virtual_rules`.
    pub rules: Vec<Rule>,
    /// Whether secondary addresses stay when their primary goes. Default: off.
    /// `promote_secondaries`.
    pub promote_secondaries: bool,
    /// Version 2 authentication. Default: none. Always none in version 3 and in strict mode.
    /// `authentication`.
    pub authentication: Option<Authentication>,
    /// Signed trailer. Default: none. `auth_hmac`.
    pub auth_hmac: Option<AuthHmac>,
    /// Source address of advertisements. Default: the first one of the interface.
    /// `mcast_src_ip`, `unicast_src_ip`.
    pub source: Option<IpAddr>,
    /// Whether the instance faults when [`Self::source`] is on no interface. Default: off.
    /// `track_src_ip`.
    pub track_source: bool,
    /// Where advertisements go to. Default: [`Destination::Multicast`] to `vrrp_mcast_group4` or
    /// `vrrp_mcast_group6`. `unicast_peer`, `mcast_dst_ip`.
    pub destination: Destination,
    /// How the checksum of version 3 over IPv4 is made. `v3_checksum_as_v2`,
    /// `old_unicast_checksum`.
    pub checksum: VrrpChecksum,
    /// Whether it takes over from a master of lower priority. Default: on. `nopreempt`.
    pub preempt: bool,
    /// How long it waits before it does. 0..=1000 s, default 0. `preempt_delay`.
    pub preempt_delay: Duration,
    /// What changes the priority or makes the instance fault. Default: nothing.
    pub tracking: Tracking,
    /// Whether the state of [`Self::interface`] matters. Default: on. `dont_track_primary`.
    pub track_primary: bool,
    /// Commands that are run.
    pub notify: Notify,
    /// Whether changes of the priority are written to the pipes. Default:
    /// `vrrp_notify_priority_changes`, off. `notify_priority_changes`.
    pub notify_priority_changes: bool,
    /// Whether changes of state are mailed. Default: `smtp_alert_vrrp`, `smtp_alert`, off.
    /// `smtp_alert`.
    pub smtp_alert: bool,
    /// How the addresses are announced.
    pub garp: Garp,
    /// Whether a master is silent when it hears a lower priority. Default:
    /// `vrrp_lower_prio_no_advert`; on in strict mode. `lower_prio_no_advert`.
    pub lower_prio_no_advert: bool,
    /// Whether a master sends one more advertisement before it yields. Default:
    /// `vrrp_higher_prio_send_advert`; off in strict mode. `higher_prio_send_advert`.
    pub higher_prio_send_advert: bool,
    /// Advertisement intervals in the master-down time, 1..=100. Default:
    /// `vrrp_down_timer_adverts`, 3; always 3 in strict mode. `down_timer_adverts`.
    pub down_timer_adverts: u8,
    /// A master that ran too late becomes backup, with this priority until it hears another.
    /// 1..=254; default: none. Only with `nopreempt`. `timer_expired_backup`.
    pub timer_expired_backup: Option<u8>,
    /// Whether packets to the addresses are accepted by a master that does not own them.
    /// Default: on, off in strict mode. `accept`, `no_accept`.
    pub accept: bool,
    /// Whether the address list is looked at in the first advertisement of a master only.
    /// Default: `vrrp_skip_check_adv_addr`, off. `skip_check_adv_addr`.
    pub skip_check_adv_addr: bool,
    /// Whether nothing is done beyond what the RFC allows. Default: `vrrp_strict`, off.
    /// `strict_mode`.
    pub strict: bool,
    /// Whether an address owner ignores what it hears. Default: `vrrp_owner_ignore_adverts`;
    /// on in strict mode. `owner_ignore_adverts`.
    pub owner_ignore_adverts: bool,
    /// The virtual interface that it runs on. Default: none. `use_vmac`, `use_ipvlan`.
    pub virtual_interface: Option<VirtualInterface>,
    /// Receive buffer of the socket, in bytes. Default: the kernel's. `kernel_rx_buf_size`.
    pub rx_buffer: Option<u32>,
}

impl VrrpInstance {
    /// Whether the advertised addresses are its own: priority 255.
    pub fn is_owner(&self) -> bool {
        self.priority == 255
    }
}

/// Version of the protocol. Source: RFC 3768, RFC 9568.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VrrpVersion {
    /// RFC 3768: IPv4, whole seconds.
    V2,
    /// RFC 9568: IPv4 and IPv6, hundredths of a second.
    V3,
}

/// What `state` says. Source: keepalived.conf(5) `state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InitialState {
    /// `MASTER`.
    Master,
    /// `BACKUP`.
    Backup,
}

/// Version 2 authentication. Source: RFC 2338 section 5.3.6; keepalived.conf(5)
/// `authentication`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// `PASS`: a password of up to 8 bytes in clear.
    Password([u8; 8]),
    /// `AH`: an authentication header, keyed with the password; unused bytes are zero.
    Header([u8; 8]),
}

/// Passwords are not for logs.
impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::Header(_) => "Header(..)",
        })
    }
}

/// A signed trailer behind each advertisement. Source: keepalived.conf(5) `auth_hmac`, since
/// 2.4.0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthHmac {
    /// Keys by their id, 1..=255. Never empty.
    pub keys: Vec<HmacKey>,
    /// Id of the key that signs. Default: none, nothing is signed. `active_key`.
    pub active_key: Option<u8>,
    /// Whether counters must grow, instead of clocks agree. Default: off. `anti_replay`.
    pub monotonic: bool,
    /// How far clocks may differ. 1..=300 s. Default: three intervals, at least 5 s.
    /// `time_window`.
    pub time_window: Option<Duration>,
    /// What happens to unsigned advertisements. Default: they are dropped. `mode`.
    pub mode: HmacMode,
}

/// A key of [`AuthHmac`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacKey {
    /// 1..=255.
    pub id: u8,
    /// The key as written: text, `hex:DIGITS` or `file:PATH`.
    pub key: String,
}

/// Keys are not for logs.
impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HmacKey({}, ..)", self.id)
    }
}

/// What happens to unsigned advertisements. Source: keepalived.conf(5) `mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HmacMode {
    /// They are dropped. The default.
    #[default]
    Enforce,
    /// They are accepted.
    Permissive,
    /// They are accepted, and none is signed.
    ReceiveOnly,
}

/// Where advertisements go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// To a multicast group.
    Multicast(IpAddr),
    /// To each of these peers.
    Unicast(Unicast),
}

/// Unicast peers. Source: keepalived.conf(5) `unicast_peer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unicast {
    /// The peers. Empty only with `unicast_fault_no_peer`: then the instance stays in fault.
    pub peers: Vec<UnicastPeer>,
    /// TTL or hop limit of what is sent. Default 255. `unicast_ttl`.
    pub ttl: u8,
    /// Whether only peers are listened to. Default: `vrrp_check_unicast_src`, off; on when any
    /// peer has a limit. `check_unicast_src`.
    pub check_source: bool,
}

/// One peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnicastPeer {
    /// Its address.
    pub address: IpAddr,
    /// Least TTL that is accepted from it. Default 0. `min_ttl`.
    pub min_ttl: u8,
    /// Greatest TTL that is accepted from it. Default 255. `max_ttl`.
    pub max_ttl: u8,
}

/// Checksum of version 3 over IPv4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum VrrpChecksum {
    /// With the pseudo-header; a peer that leaves it out over unicast is recognised and followed.
    #[default]
    PseudoHeader,
    /// With the pseudo-header, always. `old_unicast_checksum never`.
    PseudoHeaderOnly,
    /// With the pseudo-header of the multicast group, for peers before 1.3.7.
    /// `old_unicast_checksum`.
    OldUnicast,
    /// Without, as in version 2 and RFC 9568. `v3_checksum_as_v2`.
    AsV2,
}

/// How addresses are announced: gratuitous ARP, or unsolicited neighbour advertisements.
///
/// Defaults are those of `global_defs`, which have their own. Source: keepalived.conf(5)
/// `garp_master_delay` and its companions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Garp {
    /// When the second set follows the first. `None`: it does not. Default 5 s.
    /// `garp_master_delay`.
    pub delay: Option<Duration>,
    /// Announcements of each address in a set; at least 1. Default 5. `garp_master_repeat`.
    pub repeat: u32,
    /// Time between sets while master. `None`: no more. Default: none. `garp_master_refresh`.
    pub refresh: Option<Duration>,
    /// Announcements of each address in such a set; at least 1. Default 1.
    /// `garp_master_refresh_repeat`.
    pub refresh_repeat: u32,
    /// When a second set follows that for an advertisement of lower priority. `None`: none
    /// does. Default: [`Self::delay`]. `garp_lower_prio_delay`.
    pub lower_prio_delay: Option<Duration>,
    /// Announcements in the set for an advertisement of lower priority; 0: none. Default:
    /// [`Self::repeat`]. `garp_lower_prio_repeat`.
    pub lower_prio_repeat: u32,
    /// Time between announcements on other interfaces than that of the instance. Default: none.
    /// `garp_extra_if`.
    pub extra_interface: Option<Duration>,
    /// Whether those are sent on every interface that carries an address. Default: off.
    pub extra_all: bool,
}

/// A virtual interface of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualInterface {
    /// Macvlan or ipvlan.
    pub kind: VirtualInterfaceKind,
    /// Its name. Default: `vrrp.VRID`, or `vrrpN.VRID` if that is taken.
    pub name: Option<Interface>,
    /// Interface group. Default: none.
    pub group: Option<String>,
    /// Whether advertisements go over the interface below. Default: off; on with unicast.
    /// `vmac_xmit_base`.
    pub xmit_base: bool,
    /// Whether addresses on other interfaces get virtual interfaces, too. Default: off.
    /// `use_vmac_addr`.
    pub for_addresses: bool,
}

/// Kind of a [`VirtualInterface`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VirtualInterfaceKind {
    /// A macvlan in private mode. `use_vmac`.
    Macvlan {
        /// Its address. Default: 00:00:5e:00:01:VRID, for IPv6 00:00:5e:00:02:VRID.
        mac: Option<[u8; 6]>,
    },
    /// An ipvlan. `use_ipvlan`.
    Ipvlan {
        /// Its own address, which IPv4 needs.
        address: Option<ipnet::IpNet>,
        /// Which of its peers it can talk to.
        mode: IpvlanMode,
    },
}

/// Flag of an ipvlan. Source: kernel `IPVLAN_F_PRIVATE`, `IPVLAN_F_VEPA`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpvlanMode {
    /// With each other. The default.
    #[default]
    Bridge,
    /// With none of them.
    Private,
    /// Through the switch outside.
    Vepa,
}

/// Instances that share one state.
///
/// Source: keepalived.conf(5), "VRRP synchronization group(s)".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGroup {
    /// Name, unique in the file.
    pub name: String,
    /// Names of the members, each of a usable instance; at least one. `group`.
    pub members: Vec<String>,
    /// Trackers that count for all members. Default: none.
    pub tracking: Tracking,
    /// Whether members may have trackers with a weight. Default: off.
    /// `sync_group_tracking_weight`.
    pub tracking_weight: bool,
    /// Commands that are run when the group changes. `deleted` and `rx_lower_priority` are none.
    pub notify: Notify,
    /// Whether changes of members' priorities are written to the pipes. Default:
    /// `vrrp_notify_priority_changes`, off. `notify_priority_changes`.
    pub notify_priority_changes: bool,
    /// Whether changes of state are mailed. Default: `smtp_alert_vrrp`, `smtp_alert`, off.
    /// `smtp_alert`.
    pub smtp_alert: bool,
}

/// Interfaces that share a limit on announcements. Source: keepalived.conf(5) `garp_group`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GarpGroup {
    /// The interfaces. `interface`, `interfaces`.
    pub interfaces: Vec<Interface>,
    /// Least time between gratuitous ARPs. Default 0. `garp_interval`.
    pub garp_interval: Duration,
    /// Least time between neighbour advertisements. Default 0. `gna_interval`.
    pub gna_interval: Duration,
}

/// How long a change of an interface must last. Source: keepalived.conf(5)
/// `interface_up_down_delays`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceDelay {
    /// The interface.
    pub interface: Interface,
    /// Before it counts as down. 0..=255 s.
    pub down: Duration,
    /// Before it counts as up. 0..=255 s. Default: [`Self::down`].
    pub up: Duration,
}

/// An interface whose link is polled once a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linkbeat {
    /// The interface.
    pub interface: Interface,
    /// `MII`, `ETHTOOL` or `IOCTL`. Default: the first of them that works.
    pub method: Option<String>,
}

/// What is done when a reload removes an instance. Source: keepalived.conf(5) `notify_deleted`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotifyDeleted {
    /// FAULT is notified. The default.
    #[default]
    AsFault,
    /// DELETED is notified.
    Deleted,
    /// DELETED is notified, and this command run.
    Run(Script),
}
