//! What VRRP tracks, BFD sessions and announcement limits.

use super::{Keyword, Shape, k};

/// In `track_file`.
pub(super) const TRACK_FILE: &[Keyword] = &[
    k("file", Shape::Word, "required", "File to watch"),
    k(
        "weight",
        Shape::Weight {
            min: -254,
            max: 254,
        },
        "1",
        "Multiplier of the number in the file",
    ),
    k(
        "init_file",
        Shape::OptWords { max: 2 },
        "0",
        "Create the file with VALUE at start",
    ),
];

/// In `vrrp_track_process`.
pub(super) const TRACK_PROCESS: &[Keyword] = &[
    k(
        "process",
        Shape::Words { min: 1, max: 255 },
        "required",
        "Command name, optionally with parameters, to look for",
    ),
    k(
        "param_match",
        Shape::Choice(&["initial", "partial", "exact"]),
        "exact when parameters given",
        "How parameters are compared",
    ),
    k(
        "weight",
        Shape::Weight {
            min: -254,
            max: 254,
        },
        "0",
        "Priority change while quorum holds or fails",
    ),
    k(
        "quorum",
        Shape::Int {
            min: 1,
            max: 65_535,
        },
        "1",
        "Processes needed",
    ),
    k(
        "quorum_max",
        Shape::Int {
            min: 0,
            max: 65_535,
        },
        "unlimited",
        "Most processes allowed",
    ),
    k(
        "fork_delay",
        Shape::Decimal {
            min: 1,
            max: 3_600_000_000,
        },
        "0",
        "Wait after quorum is gained",
    ),
    k(
        "terminate_delay",
        Shape::Decimal {
            min: 1,
            max: 3_600_000_000,
        },
        "0",
        "Wait after quorum is lost",
    ),
    k(
        "delay",
        Shape::Decimal {
            min: 1,
            max: 3_600_000_000,
        },
        "0",
        "Sets both fork_delay and terminate_delay",
    ),
    k(
        "full_command",
        Shape::Flag,
        "off",
        "Match the whole command line",
    ),
];

/// In `track_group`.
pub(super) const TRACK_GROUP: &[Keyword] = &[k(
    "group",
    Shape::WordList,
    "",
    "Instances that follow the static items",
)];

/// In `bfd_instance`.
pub(super) const BFD_INSTANCE: &[Keyword] = &[
    k(
        "neighbor_ip",
        Shape::Address,
        "required",
        "Address of the peer",
    ),
    k(
        "neighbour_ip",
        Shape::Address,
        "required",
        "Same as neighbor_ip",
    ),
    k(
        "source_ip",
        Shape::Address,
        "chosen by kernel",
        "Local address",
    ),
    k(
        "min_rx",
        Shape::Millis {
            min: 1_000,
            max: 4_294_967_000,
        },
        "10",
        "Smallest receive interval offered",
    ),
    k(
        "min_tx",
        Shape::Millis {
            min: 1_000,
            max: 4_294_967_000,
        },
        "10",
        "Send interval wanted while up",
    ),
    k(
        "idle_tx",
        Shape::Millis {
            min: 1_000_000,
            max: 4_294_967_000,
        },
        "1000",
        "Send interval while session is not up",
    ),
    k(
        "multiplier",
        Shape::Int { min: 1, max: 255 },
        "5",
        "Missed packets until session is down",
    ),
    k(
        "passive",
        Shape::Flag,
        "off",
        "Wait for the peer to send first",
    ),
    k(
        "ttl",
        Shape::Int { min: 1, max: 255 },
        "255 IPv4, 64 IPv6",
        "TTL of sent packets",
    ),
    k(
        "hoplimit",
        Shape::Int { min: 1, max: 255 },
        "255 IPv4, 64 IPv6",
        "Same as ttl",
    ),
    k(
        "max_hops",
        Shape::Int { min: -1, max: 255 },
        "0",
        "TTL decrease accepted in received packets",
    ),
    k(
        "multihop",
        Shape::Bool,
        "off",
        "Use UDP port 4784 instead of 3784",
    ),
    k(
        "weight",
        Shape::Weight {
            min: -253,
            max: 253,
        },
        "0",
        "Default tracking weight",
    ),
    k(
        "vrrp",
        Shape::Flag,
        "both processes",
        "Send events only to the VRRP process",
    ),
    k(
        "checker",
        Shape::Flag,
        "both processes",
        "Send events only to the checker process",
    ),
];

/// In `garp_group`.
pub(super) const GARP_GROUP: &[Keyword] = &[
    k(
        "garp_interval",
        Shape::Decimal {
            min: 0,
            max: 4_294_967_295,
        },
        "0",
        "Gap between GARPs on the listed interfaces",
    ),
    k(
        "gna_interval",
        Shape::Decimal {
            min: 0,
            max: 4_294_967_295,
        },
        "0",
        "Gap between neighbour adverts on the listed interfaces",
    ),
    k(
        "interface",
        Shape::Word,
        "",
        "Single interface the limits apply to",
    ),
    k(
        "interfaces",
        Shape::WordList,
        "",
        "Interfaces that share the limits",
    ),
];
