//! Blocks and settings at the top level.

use super::{BlockKind, EntryKind, Keyword, Shape, k, old};

/// At the top level.
pub(super) const ROOT: &[Keyword] = &[
    k(
        "global_defs",
        Shape::Block(BlockKind::GlobalDefs),
        "",
        "Global settings block",
    ),
    k(
        "static_ipaddress",
        Shape::Entries(EntryKind::StaticAddress),
        "",
        "Addresses added at start and kept; not moved by VRRP",
    ),
    k(
        "static_routes",
        Shape::Entries(EntryKind::Route),
        "",
        "Routes added at start and kept while running",
    ),
    k(
        "static_rules",
        Shape::Entries(EntryKind::Rule),
        "",
        "Policy rules added at start and kept while running",
    ),
    k(
        "track_group",
        Shape::NamedBlock(BlockKind::TrackGroup),
        "",
        "Names instances that must fault when a static item cannot be restored",
    ),
    k(
        "vrrp_sync_group",
        Shape::NamedBlock(BlockKind::SyncGroup),
        "",
        "Binds instances so they always share one state",
    ),
    k(
        "vrrp_instance",
        Shape::NamedBlock(BlockKind::VrrpInstance),
        "",
        "One virtual router on one interface",
    ),
    k(
        "vrrp_script",
        Shape::NamedBlock(BlockKind::VrrpScript),
        "",
        "Periodic command whose result instances track",
    ),
    k(
        "track_file",
        Shape::NamedBlock(BlockKind::TrackFile),
        "",
        "File whose number changes priority or weight",
    ),
    old(
        "vrrp_track_file",
        Shape::NamedBlock(BlockKind::TrackFile),
        "",
        "Old name of track_file",
        "track_file",
    ),
    k(
        "vrrp_track_process",
        Shape::NamedBlock(BlockKind::TrackProcess),
        "",
        "Process whose presence instances track",
    ),
    k(
        "bfd_instance",
        Shape::NamedBlock(BlockKind::BfdInstance),
        "",
        "BFD session usable as a tracker or checker",
    ),
    k(
        "garp_group",
        Shape::Block(BlockKind::GarpGroup),
        "",
        "Rate limits for gratuitous ARP and NA on interfaces",
    ),
    k(
        "virtual_server",
        Shape::Service,
        "PORT 0",
        "One IPVS virtual service",
    ),
    k(
        "virtual_server_group",
        Shape::NamedEntries(EntryKind::Service),
        "",
        "Named set of addresses, ranges and fwmarks for virtual servers",
    ),
    k(
        "SSL",
        Shape::Block(BlockKind::Ssl),
        "context generated automatically",
        "Client TLS files used by SSL_GET checks",
    ),
    k(
        "linkbeat_interfaces",
        Shape::Entries(EntryKind::Linkbeat),
        "MII, then ETHTOOL, then IOCTL",
        "Interfaces whose link state is polled instead of netlink",
    ),
    k(
        "linkbeat_use_polling",
        Shape::Flag,
        "off",
        "Poll link state of all interfaces",
    ),
    k(
        "interface_up_down_delays",
        Shape::Entries(EntryKind::Delay),
        "UP=DOWN",
        "Debounce interface state changes",
    ),
    k(
        "net_namespace",
        Shape::Word,
        "default namespace",
        "Run in this network namespace; -s overrides",
    ),
    k(
        "net_namespace_ipvs",
        Shape::OptWord,
        "same as process; empty=default namespace",
        "Put IPVS configuration in another network namespace",
    ),
    k(
        "namespace_with_ipsets",
        Shape::Flag,
        "off",
        "Allow ipsets together with a namespace on old kernels",
    ),
    k(
        "instance",
        Shape::Word,
        "",
        "Instance name; added to pid files and syslog ident",
    ),
    k(
        "use_pid_dir",
        Shape::Flag,
        "off",
        "Put pid files in /run/keepalived",
    ),
    k(
        "child_wait_time",
        Shape::Seconds {
            min: 0,
            max: 4_294_967_295,
        },
        "5",
        "Seconds the parent waits for children at stop before SIGKILL",
    ),
];
