//! `vrrp_instance`, `vrrp_sync_group`, `vrrp_script`.

use super::{BlockKind, EntryKind, Keyword, Shape, k, old};

/// In `vrrp_instance`.
pub(super) const VRRP_INSTANCE: &[Keyword] = &[
    k(
        "state",
        Shape::Choice(&["MASTER", "BACKUP"]),
        "MASTER if priority 255, else BACKUP",
        "Initial state; no effect on timing unless address owner",
    ),
    k(
        "interface",
        Shape::Word,
        "required except unicast",
        "Interface that carries the adverts",
    ),
    k(
        "vrf",
        Shape::Word,
        "",
        "VRF to use when no interface is given",
    ),
    k(
        "virtual_router_id",
        Shape::Int { min: 1, max: 255 },
        "required",
        "VRID, unique per interface, family and destination",
    ),
    k(
        "priority",
        Shape::Int { min: 1, max: 255 },
        "100, or 255 when state MASTER",
        "Election priority; 255 means address owner",
    ),
    k(
        "advert_int",
        Shape::Decimal {
            min: 10_000,
            max: 255_000_000,
        },
        "1",
        "Interval between adverts",
    ),
    k(
        "version",
        Shape::Int { min: 2, max: 3 },
        "vrrp_version; IPv6 always 3",
        "VRRP version",
    ),
    k(
        "native_ipv6",
        Shape::Flag,
        "by VIP family",
        "Force IPv6; family normally follows the VIPs",
    ),
    k(
        "virtual_ipaddress",
        Shape::Entries(EntryKind::Address),
        "",
        "Addresses advertised and added while master",
    ),
    k(
        "virtual_ipaddress_excluded",
        Shape::Entries(EntryKind::Address),
        "",
        "Addresses added while master but not advertised",
    ),
    k(
        "no_virtual_ipaddress",
        Shape::Flag,
        "off",
        "Allow an instance without addresses",
    ),
    k(
        "virtual_routes",
        Shape::Entries(EntryKind::Route),
        "",
        "Routes present while master",
    ),
    k(
        "virtual_rules",
        Shape::Entries(EntryKind::Rule),
        "",
        "Policy rules present while master",
    ),
    k(
        "promote_secondaries",
        Shape::Flag,
        "off",
        "Set promote_secondaries on the interface",
    ),
    k(
        "authentication",
        Shape::Block(BlockKind::Authentication),
        "none",
        "Legacy VRRPv2 authentication",
    ),
    k(
        "auth_hmac",
        Shape::Block(BlockKind::AuthHmac),
        "none",
        "Signed trailer with replay protection (since 2.4.0)",
    ),
    k(
        "unicast_peer",
        Shape::Entries(EntryKind::Peer),
        "none",
        "Send adverts to these addresses instead of multicast",
    ),
    k(
        "unicast_src_ip",
        Shape::Address,
        "first address of interface",
        "Source address of unicast adverts",
    ),
    k(
        "mcast_src_ip",
        Shape::Address,
        "first address of interface",
        "Source address of adverts",
    ),
    k(
        "mcast_dst_ip",
        Shape::Address,
        "vrrp_mcast_group4/6",
        "Other multicast destination",
    ),
    k(
        "track_src_ip",
        Shape::Flag,
        "off",
        "FAULT when the configured source address is missing",
    ),
    k(
        "unicast_ttl",
        Shape::Int { min: 0, max: 255 },
        "255",
        "TTL or hop limit of unicast adverts",
    ),
    k(
        "unicast_fault_no_peer",
        Shape::Flag,
        "off",
        "FAULT instead of multicast when no peer is listed",
    ),
    k(
        "check_unicast_src",
        Shape::Flag,
        "vrrp_check_unicast_src",
        "Drop unicast adverts from non-peers",
    ),
    k(
        "old_unicast_checksum",
        Shape::OptChoice(&["never"]),
        "automatic",
        "Pre-1.3.7 unicast VRRPv3 checksum; never disables detection",
    ),
    k(
        "v3_checksum_as_v2",
        Shape::Bool,
        "global v3_checksum_as_v2",
        "VRRPv3 IPv4 checksum without pseudo-header",
    ),
    k(
        "nopreempt",
        Shape::Flag,
        "off",
        "Do not take over from a lower-priority master",
    ),
    k("preempt", Shape::Flag, "on", "Cancels nopreempt"),
    k(
        "preempt_delay",
        Shape::Decimal {
            min: 0,
            max: 1_000_000_000,
        },
        "0",
        "Delay before taking over from a lower-priority master",
    ),
    k(
        "track_interface",
        Shape::Entries(EntryKind::TrackInterface),
        "none",
        "Interfaces whose link state matters",
    ),
    k(
        "track_script",
        Shape::Entries(EntryKind::Track),
        "weight of script",
        "Scripts whose result matters",
    ),
    k(
        "track_file",
        Shape::Entries(EntryKind::Track),
        "weight of file",
        "Files whose number matters",
    ),
    k(
        "track_process",
        Shape::Entries(EntryKind::Track),
        "weight of process",
        "Processes whose presence matters",
    ),
    k(
        "track_bfd",
        Shape::Entries(EntryKind::Track),
        "weight of BFD instance",
        "BFD sessions whose state matters",
    ),
    k(
        "dont_track_primary",
        Shape::Flag,
        "off",
        "Ignore link state of the own interface",
    ),
    k(
        "notify_master",
        Shape::Script,
        "none",
        "Command run on entering MASTER",
    ),
    k(
        "notify_backup",
        Shape::Script,
        "none",
        "Command run on entering BACKUP",
    ),
    k(
        "notify_fault",
        Shape::Script,
        "none",
        "Command run on entering FAULT",
    ),
    k(
        "notify_stop",
        Shape::Script,
        "none",
        "Command run when VRRP stops",
    ),
    k(
        "notify",
        Shape::Script,
        "none",
        "Command run on every state change, with four extra arguments",
    ),
    k(
        "notify_deleted",
        Shape::OptScript,
        "off (FAULT is notified)",
        "Notify DELETED when a reload removes the instance",
    ),
    k(
        "notify_master_rx_lower_pri",
        Shape::Script,
        "none",
        "Command run when a master hears a lower-priority advert",
    ),
    k(
        "notify_priority_changes",
        Shape::Bool,
        "vrrp_notify_priority_changes",
        "Write priority changes to the FIFOs",
    ),
    k(
        "smtp_alert",
        Shape::Bool,
        "smtp_alert_vrrp, smtp_alert, off",
        "Mail on state changes",
    ),
    k(
        "garp_master_delay",
        Shape::Seconds { min: 0, max: 4294 },
        "vrrp_garp_master_delay",
        "Delay before second GARP set",
    ),
    k(
        "garp_master_repeat",
        Shape::Int {
            min: 0,
            max: 4_294_967_295,
        },
        "vrrp_garp_master_repeat",
        "GARPs per VIP and set",
    ),
    k(
        "garp_master_refresh",
        Shape::Seconds {
            min: 0,
            max: 4_294_967_295,
        },
        "vrrp_garp_master_refresh",
        "Period of GARP refresh",
    ),
    k(
        "garp_master_refresh_repeat",
        Shape::Int {
            min: 0,
            max: 4_294_967_295,
        },
        "vrrp_garp_master_refresh_repeat",
        "GARPs per VIP and refresh",
    ),
    k(
        "garp_lower_prio_delay",
        Shape::Seconds { min: 0, max: 4294 },
        "vrrp_garp_lower_prio_delay",
        "Second set delay after a lower-priority advert",
    ),
    k(
        "garp_lower_prio_repeat",
        Shape::Int {
            min: 0,
            max: 2_147_483_647,
        },
        "vrrp_garp_lower_prio_repeat",
        "GARPs after a lower-priority advert",
    ),
    k(
        "garp_extra_if",
        Shape::Extra {
            min: 0,
            max: 86_400,
        },
        "vrrp_garp_extra_if",
        "Periodic GARP on other VIP interfaces",
    ),
    old(
        "vmac_garp_intvl",
        Shape::Extra {
            min: 0,
            max: 86_400,
        },
        "",
        "Old name of garp_extra_if",
        "garp_extra_if",
    ),
    k(
        "lower_prio_no_advert",
        Shape::Bool,
        "vrrp_lower_prio_no_advert",
        "Do not answer lower-priority adverts",
    ),
    k(
        "higher_prio_send_advert",
        Shape::Bool,
        "vrrp_higher_prio_send_advert",
        "Send one advert before yielding",
    ),
    k(
        "down_timer_adverts",
        Shape::Int { min: 1, max: 100 },
        "vrrp_down_timer_adverts",
        "Advert intervals in the master-down timer",
    ),
    k(
        "timer_expired_backup",
        Shape::OptInt { min: 1, max: 254 },
        "off; bare = 254",
        "Become backup after running too late",
    ),
    old(
        "thread_timer_expired",
        Shape::OptInt { min: 1, max: 254 },
        "off",
        "Old name of timer_expired_backup",
        "timer_expired_backup",
    ),
    k(
        "accept",
        Shape::Flag,
        "on unless strict",
        "Accept packets to VIPs when not owner",
    ),
    k(
        "no_accept",
        Shape::Flag,
        "off (on in strict unless owner)",
        "Drop packets to VIPs with firewall rules",
    ),
    k(
        "skip_check_adv_addr",
        Shape::Bool,
        "vrrp_skip_check_adv_addr",
        "Skip VIP list check for repeated adverts",
    ),
    k(
        "strict_mode",
        Shape::Bool,
        "vrrp_strict",
        "Enforce RFC behaviour for this instance",
    ),
    k(
        "owner_ignore_adverts",
        Shape::Bool,
        "vrrp_owner_ignore_adverts",
        "Address owner ignores received adverts",
    ),
    k(
        "use_vmac",
        Shape::OptWords { max: 7 },
        "off; name vrrp.VRID",
        "Run on a macvlan with the VRRP virtual MAC",
    ),
    k(
        "use_vmac_addr",
        Shape::Flag,
        "off",
        "Also make VMACs for VIPs on other interfaces",
    ),
    k(
        "vmac_xmit_base",
        Shape::Bool,
        "off (forced on with unicast)",
        "Send and receive adverts on the base interface",
    ),
    k(
        "use_ipvlan",
        Shape::OptWords { max: 7 },
        "off; bridge",
        "Run on an ipvlan interface",
    ),
    k(
        "kernel_rx_buf_size",
        Shape::Int {
            min: 0,
            max: 4_294_967_295,
        },
        "kernel default",
        "Advert socket receive buffer",
    ),
    k(
        "debug",
        Shape::Int { min: 0, max: 4 },
        "0",
        "Accepted, does nothing",
    ),
    old(
        "linkbeat_use_polling",
        Shape::Flag,
        "off",
        "Poll link state of this interface",
        "linkbeat_interfaces",
    ),
    old(
        "lvs_sync_daemon_interface",
        Shape::Word,
        "none",
        "Old form of global lvs_sync_daemon",
        "lvs_sync_daemon",
    ),
];

/// In `authentication`.
pub(super) const AUTHENTICATION: &[Keyword] = &[
    k(
        "auth_type",
        Shape::Choice(&["PASS", "AH"]),
        "none",
        "Plain text password or IPsec AH",
    ),
    k("auth_pass", Shape::Word, "none", "Shared password"),
];

/// In `auth_hmac`.
pub(super) const AUTH_HMAC: &[Keyword] = &[
    k(
        "key",
        Shape::Words { min: 2, max: 2 },
        "required",
        "A shared signing key",
    ),
    k(
        "active_key",
        Shape::Int { min: 1, max: 255 },
        "none (extension disabled)",
        "Key used when sending",
    ),
    k(
        "anti_replay",
        Shape::Choice(&["time", "monotonic"]),
        "time",
        "Replay rule",
    ),
    k(
        "time_window",
        Shape::Seconds { min: 1, max: 300 },
        "max(3 x advert_int, 5)",
        "Allowed age in time mode",
    ),
    k(
        "mode",
        Shape::Choice(&["enforce", "permissive", "receive-only"]),
        "enforce",
        "What happens to unsigned adverts, and whether to sign",
    ),
];

/// In `vrrp_sync_group`.
pub(super) const SYNC_GROUP: &[Keyword] = &[
    k("group", Shape::WordList, "required", "Member instances"),
    k(
        "track_interface",
        Shape::Entries(EntryKind::TrackInterface),
        "none",
        "track_interface entries applied to all members",
    ),
    k(
        "track_script",
        Shape::Entries(EntryKind::Track),
        "none",
        "track_script entries applied to all members",
    ),
    k(
        "track_file",
        Shape::Entries(EntryKind::Track),
        "none",
        "track_file entries applied to all members",
    ),
    k(
        "track_process",
        Shape::Entries(EntryKind::Track),
        "none",
        "track_process entries applied to all members",
    ),
    k(
        "track_bfd",
        Shape::Entries(EntryKind::Track),
        "none",
        "track_bfd entries applied to all members",
    ),
    k(
        "notify_master",
        Shape::Script,
        "none",
        "Command run when the group becomes master",
    ),
    k(
        "notify_backup",
        Shape::Script,
        "none",
        "Command run when the group becomes backup",
    ),
    k(
        "notify_fault",
        Shape::Script,
        "none",
        "Command run when the group faults",
    ),
    k(
        "notify_stop",
        Shape::Script,
        "none",
        "Command run when VRRP stops",
    ),
    k(
        "notify",
        Shape::Script,
        "none",
        "Command run on every group state change",
    ),
    k(
        "notify_priority_changes",
        Shape::Bool,
        "vrrp_notify_priority_changes",
        "Write members' priority changes to the FIFOs",
    ),
    k(
        "smtp_alert",
        Shape::Bool,
        "smtp_alert_vrrp, smtp_alert, off",
        "Mail on group state changes",
    ),
    old(
        "global_tracking",
        Shape::Flag,
        "off",
        "Old form of sync_group_tracking_weight",
        "sync_group_tracking_weight",
    ),
    k(
        "sync_group_tracking_weight",
        Shape::Flag,
        "off",
        "Allow weighted trackers on members",
    ),
];

/// In `vrrp_script`.
pub(super) const VRRP_SCRIPT: &[Keyword] = &[
    k(
        "script",
        Shape::Script,
        "required",
        "Command to run; exit 0 is success",
    ),
    k(
        "interval",
        Shape::Decimal {
            min: 0,
            max: 4_294_000_000,
        },
        "1",
        "Time between runs",
    ),
    k(
        "timeout",
        Shape::Decimal {
            min: 0,
            max: 4_294_000_000,
        },
        "interval",
        "Run time after which the run counts as failed",
    ),
    k(
        "weight",
        Shape::Weight {
            min: -253,
            max: 253,
        },
        "0 (failure = FAULT)",
        "Priority change by result",
    ),
    k(
        "rise",
        Shape::Int {
            min: 1,
            max: 2_147_483_647,
        },
        "1",
        "Successes in a row to become good",
    ),
    k(
        "fall",
        Shape::Int {
            min: 1,
            max: 2_147_483_647,
        },
        "1",
        "Failures in a row to become bad",
    ),
    k(
        "user",
        Shape::User,
        "script_user",
        "User and group that run it",
    ),
    k(
        "init_fail",
        Shape::Flag,
        "off",
        "Meant to assume failure until the first success",
    ),
];
