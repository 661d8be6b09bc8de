//! `virtual_server` and `real_server`.

use super::{BlockKind, Keyword, Shape, k};

/// In `virtual_server`.
pub(super) const VIRTUAL_SERVER: &[Keyword] = &[
    k(
        "ip_family",
        Shape::Choice(&["inet", "inet6"]),
        "from real servers, else inet",
        "Address family of a fwmark service",
    ),
    k(
        "lb_algo",
        Shape::Scheduler,
        "wlc with an error",
        "IPVS scheduler",
    ),
    k(
        "lvs_sched",
        Shape::Scheduler,
        "wlc with an error",
        "IPVS scheduler",
    ),
    k(
        "lb_kind",
        Shape::Method,
        "NAT with an error",
        "Forwarding method",
    ),
    k(
        "lvs_method",
        Shape::Method,
        "NAT with an error",
        "Forwarding method",
    ),
    k(
        "protocol",
        Shape::Protocol,
        "UDP with an error",
        "Transport protocol",
    ),
    k(
        "persistence_timeout",
        Shape::OptSeconds {
            min: 1,
            max: 2_678_400,
        },
        "0 (off); bare = 360",
        "Client stickiness time",
    ),
    k(
        "persistence_engine",
        Shape::Word,
        "none",
        "IPVS persistence engine",
    ),
    k(
        "persistence_granularity",
        Shape::Netmask,
        "host",
        "Group clients by prefix; implies persistence",
    ),
    k("ops", Shape::Flag, "off", "One-packet scheduling"),
    k("hashed", Shape::Flag, "off", "Accepted; no useful effect"),
    k("flag-1", Shape::Flag, "off", "Scheduler flag-1"),
    k("flag-2", Shape::Flag, "off", "Scheduler flag-2"),
    k("flag-3", Shape::Flag, "off", "Scheduler flag-3"),
    k(
        "sh-port",
        Shape::Flag,
        "off",
        "sh hashes the source port too",
    ),
    k(
        "sh-fallback",
        Shape::Flag,
        "off",
        "sh skips unavailable servers",
    ),
    k(
        "mh-port",
        Shape::Flag,
        "off",
        "mh hashes the source port too",
    ),
    k(
        "mh-fallback",
        Shape::Flag,
        "off",
        "mh skips unavailable servers",
    ),
    k(
        "ha_suspend",
        Shape::Flag,
        "off",
        "Run checks only while the VIP is local",
    ),
    k(
        "smtp_alert",
        Shape::Bool,
        "smtp_alert_checker, smtp_alert, off",
        "Mail on quorum changes",
    ),
    k(
        "virtualhost",
        Shape::Word,
        "address of real server",
        "Default Host header of HTTP checks",
    ),
    k("snmp_name", Shape::Word, "none", "Label shown in SNMP"),
    k(
        "alpha",
        Shape::Flag,
        "off",
        "Real servers start down until checked",
    ),
    k("omega", Shape::Flag, "off", "Run down notifies at shutdown"),
    k(
        "quorum",
        Shape::Int {
            min: 1,
            max: 4_294_967_295,
        },
        "1",
        "Alive weight needed for service",
    ),
    k(
        "hysteresis",
        Shape::Int {
            min: 0,
            max: 4_294_967_295,
        },
        "0",
        "Margin around quorum",
    ),
    k(
        "quorum_up",
        Shape::Script,
        "none",
        "Command when quorum is gained",
    ),
    k(
        "quorum_down",
        Shape::Script,
        "none",
        "Command when quorum is lost",
    ),
    k(
        "sorry_server",
        Shape::AddressPort,
        "none; port of virtual server",
        "Server used while quorum is lost",
    ),
    k(
        "sorry_server_inhibit",
        Shape::Flag,
        "off",
        "Keep the sorry server with weight 0",
    ),
    k(
        "sorry_server_lvs_method",
        Shape::Method,
        "method of virtual server",
        "Forwarding method of the sorry server",
    ),
    k(
        "real_server",
        Shape::Server(BlockKind::RealServer),
        "port of virtual server",
        "One back-end server",
    ),
    k(
        "connect_timeout",
        Shape::Decimal {
            min: 1,
            max: 4_294_967_295,
        },
        "5",
        "Time limit of a connection or probe",
    ),
    k(
        "delay_loop",
        Shape::Decimal {
            min: 1,
            max: 4_294_967_295_000_000,
        },
        "60",
        "Time between checks",
    ),
    k(
        "inhibit_on_failure",
        Shape::Flag,
        "off",
        "Set weight 0 instead of removing a failed server",
    ),
    k(
        "weight",
        Shape::Int {
            min: 1,
            max: 2_147_483_647,
        },
        "1",
        "Default weight of real servers",
    ),
];

/// In `real_server`.
pub(super) const REAL_SERVER: &[Keyword] = &[
    k(
        "weight",
        Shape::Int {
            min: 0,
            max: 2_147_483_647,
        },
        "virtual server weight",
        "Weight; 0 gets no new connections",
    ),
    k(
        "lvs_method",
        Shape::Method,
        "virtual server value",
        "Forwarding method of this server",
    ),
    k(
        "inhibit_on_failure",
        Shape::Bool,
        "virtual server value",
        "Set weight 0 instead of removing",
    ),
    k(
        "uthreshold",
        Shape::Int {
            min: 0,
            max: 4_294_967_295,
        },
        "0 (none)",
        "Connection count that stops new ones",
    ),
    k(
        "lthreshold",
        Shape::Int {
            min: 0,
            max: 4_294_967_295,
        },
        "0 (none)",
        "Connection count that resumes new ones",
    ),
    k(
        "notify_up",
        Shape::Script,
        "none",
        "Command when server comes up",
    ),
    k(
        "notify_down",
        Shape::Script,
        "none",
        "Command when server goes down",
    ),
    k(
        "smtp_alert",
        Shape::Bool,
        "smtp_alert_checker, smtp_alert, ON",
        "Mail on server state changes",
    ),
    k(
        "virtualhost",
        Shape::Word,
        "virtual server value",
        "Default Host header for checks of this server",
    ),
    k("snmp_name", Shape::Word, "none", "Label shown in SNMP"),
    k(
        "alpha",
        Shape::Bool,
        "virtual server value",
        "Start down until checked",
    ),
    k(
        "connect_timeout",
        Shape::Decimal {
            min: 1,
            max: 4_294_967_295,
        },
        "virtual server value",
        "Time limit of a connection or probe",
    ),
    k(
        "delay_loop",
        Shape::Decimal {
            min: 1,
            max: 4_294_967_295_000_000,
        },
        "virtual server value",
        "Time between checks",
    ),
    k(
        "TCP_CHECK",
        Shape::Block(BlockKind::TcpCheck),
        "none",
        "Connect to the port",
    ),
    k(
        "HTTP_GET",
        Shape::Block(BlockKind::HttpGet),
        "none",
        "Fetch URLs over HTTP and test the answers",
    ),
    k(
        "SSL_GET",
        Shape::Block(BlockKind::SslGet),
        "none",
        "Fetch URLs over TLS and test the answers",
    ),
    k(
        "SMTP_CHECK",
        Shape::Block(BlockKind::SmtpCheck),
        "none",
        "Greet and leave an SMTP server",
    ),
    k(
        "MISC_CHECK",
        Shape::Block(BlockKind::MiscCheck),
        "none",
        "Run a command; exit 0 is up",
    ),
    k(
        "DNS_CHECK",
        Shape::Block(BlockKind::DnsCheck),
        "none",
        "Send a DNS query over UDP",
    ),
    k(
        "UDP_CHECK",
        Shape::Block(BlockKind::UdpCheck),
        "none",
        "Send a datagram; ICMP error means down",
    ),
    k(
        "PING_CHECK",
        Shape::Block(BlockKind::PingCheck),
        "none",
        "Send an ICMP echo request",
    ),
    k(
        "BFD_CHECK",
        Shape::Block(BlockKind::BfdCheck),
        "none",
        "Follow a BFD session",
    ),
    k(
        "FILE_CHECK",
        Shape::Block(BlockKind::FileCheck),
        "none",
        "Follow a track_file",
    ),
];

/// In `virtual_server` and `real_server`, for the checks below.
pub(super) const FOR_CHECKS: &[Keyword] = &[
    k(
        "retry",
        Shape::Int {
            min: 1,
            max: 4_294_967_295,
        },
        "by checker: 1, MISC 0, DNS 3",
        "Extra tries before a working server is declared down",
    ),
    k(
        "delay_before_retry",
        Shape::Decimal {
            min: 0,
            max: 4_294_967_295_000_000,
        },
        "by checker: 1, HTTP/SSL 3, DNS delay_loop",
        "Wait between those tries",
    ),
    k(
        "warmup",
        Shape::Decimal {
            min: 0,
            max: 4_294_967_295_000_000,
        },
        "delay_loop",
        "Maximum random delay of the first check",
    ),
];
