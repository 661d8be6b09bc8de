//! The checkers of a `real_server`.

use super::{BlockKind, Keyword, Shape, k, old};

/// In `HTTP_GET` and `SSL_GET`.
pub(super) const WEB: &[Keyword] = &[
    k(
        "http_protocol",
        Shape::Choice(&["1.0", "1.0C", "1.0c", "1.1"]),
        "1.0",
        "HTTP version; C adds Connection: close",
    ),
    k(
        "virtualhost",
        Shape::Word,
        "real or virtual server value",
        "Host header of all URLs",
    ),
    old(
        "nb_get_retry",
        Shape::Int {
            min: 0,
            max: 4_294_967_295,
        },
        "1",
        "Old name of retry",
        "retry",
    ),
    k(
        "enable_sni",
        Shape::Bool,
        "off",
        "Send the virtual host as TLS server name",
    ),
    k("sni_name", Shape::Word, "none", "TLS server name to send"),
    k(
        "fast_recovery",
        Shape::Bool,
        "off",
        "No delay between URLs at start and recovery",
    ),
];

/// In `HTTP_GET` alone.
pub(super) const HTTP_GET: &[Keyword] = &[k(
    "url",
    Shape::Block(BlockKind::HttpUrl),
    "required",
    "One URL test",
)];

/// In `SSL_GET` alone.
pub(super) const SSL_GET: &[Keyword] = &[
    k(
        "url",
        Shape::Block(BlockKind::SslUrl),
        "required",
        "One URL test",
    ),
    k(
        "tls_compliant",
        Shape::Bool,
        "off",
        "Send close_notify when closing",
    ),
];

/// In `url`.
pub(super) const URL: &[Keyword] = &[
    k(
        "path",
        Shape::Word,
        "required (url without path is dropped)",
        "Request path",
    ),
    k("digest", Shape::Digest, "none", "Expected MD5 of the body"),
    k(
        "status_code",
        Shape::StatusCodes,
        "200-299 (also with digest or regex)",
        "Accepted status codes",
    ),
    k(
        "virtualhost",
        Shape::Word,
        "checker value",
        "Host header of this URL",
    ),
    k(
        "regex",
        Shape::Regex,
        "none",
        "Pattern the body must contain",
    ),
    k(
        "regex_no_match",
        Shape::Flag,
        "off",
        "Pattern must not be found",
    ),
    k(
        "regex_options",
        Shape::Words { min: 1, max: 255 },
        "none",
        "PCRE2 compile options",
    ),
    k(
        "regex_stack",
        Shape::Words { min: 2, max: 2 },
        "library default",
        "Size of the JIT stack",
    ),
    k(
        "regex_min_offset",
        Shape::Int {
            min: 0,
            max: 4_294_967_295,
        },
        "0",
        "Ignore matches that start earlier",
    ),
    k(
        "regex_max_offset",
        Shape::Int {
            min: 0,
            max: 4_294_967_295,
        },
        "none",
        "Ignore matches that start later",
    ),
];

/// In a `url` of `SSL_GET` alone.
pub(super) const SSL_URL: &[Keyword] = &[k(
    "tls_compliant",
    Shape::Bool,
    "checker value",
    "Send close_notify for this URL",
)];

/// In `SMTP_CHECK`.
pub(super) const SMTP_CHECK: &[Keyword] = &[
    k(
        "helo_name",
        Shape::Word,
        "smtpchecker.keepalived.org",
        "Name sent in HELO",
    ),
    k(
        "host",
        Shape::Block(BlockKind::SmtpHost),
        "",
        "Old block for several targets",
    ),
];

/// In `MISC_CHECK`.
pub(super) const MISC_CHECK: &[Keyword] = &[
    k("misc_path", Shape::Script, "required", "Command to run"),
    k(
        "misc_timeout",
        Shape::Seconds { min: 0, max: 4294 },
        "delay_loop of virtual server",
        "Run time limit; exceeding it is a failure",
    ),
    k(
        "misc_dynamic",
        Shape::Flag,
        "off",
        "Exit status 2-255 sets the weight",
    ),
    k(
        "user",
        Shape::User,
        "script_user",
        "User and group that run it",
    ),
];

/// In `DNS_CHECK`.
pub(super) const DNS_CHECK: &[Keyword] = &[
    k(
        "type",
        Shape::AnyCase(&[
            "A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY",
        ]),
        "SOA",
        "Query type",
    ),
    k("name", Shape::Word, ". (root)", "Name to ask for"),
];

/// In `UDP_CHECK`.
pub(super) const UDP_CHECK: &[Keyword] = &[
    k(
        "payload",
        Shape::Words { min: 1, max: 255 },
        "32 bytes derived from a fixed text",
        "Bytes to send",
    ),
    k(
        "require_reply",
        Shape::OptWords { max: 255 },
        "off",
        "Fail when no matching reply arrives",
    ),
    k(
        "min_reply_length",
        Shape::Int {
            min: 0,
            max: 65_535,
        },
        "0",
        "Shortest reply accepted",
    ),
    k(
        "max_reply_length",
        Shape::Int {
            min: 0,
            max: 65_535,
        },
        "255",
        "Longest reply accepted",
    ),
];

/// In `BFD_CHECK`.
pub(super) const BFD_CHECK: &[Keyword] = &[
    k("name", Shape::Word, "required", "Session to follow"),
    k(
        "alpha",
        Shape::Bool,
        "off",
        "Start down until the session is up",
    ),
];

/// In `FILE_CHECK`.
pub(super) const FILE_CHECK: &[Keyword] = &[
    k(
        "track_file",
        Shape::Word,
        "required",
        "track_file to follow",
    ),
    k(
        "weight",
        Shape::Weight {
            min: -2_147_483_647,
            max: 2_147_483_647,
        },
        "track_file weight",
        "Multiplier of the file number",
    ),
];

/// Where a probe goes to and comes from.
pub(super) const CONNECTION: &[Keyword] = &[
    k(
        "connect_ip",
        Shape::Address,
        "address of real server",
        "Address to check",
    ),
    k(
        "connect_port",
        Shape::Int {
            min: 1,
            max: 65_535,
        },
        "port of real server",
        "Port to check",
    ),
    k(
        "bindto",
        Shape::Address,
        "chosen by kernel",
        "Local address",
    ),
    k(
        "bind_port",
        Shape::Int {
            min: 1,
            max: 65_535,
        },
        "chosen by kernel",
        "Local port",
    ),
    k("bind_if", Shape::Word, "none", "Local interface"),
    k(
        "fwmark",
        Shape::Int {
            min: 0,
            max: 4_294_967_295,
        },
        "0",
        "Mark set on check packets",
    ),
];

/// When a check runs.
pub(super) const TIMING: &[Keyword] = &[
    k(
        "retry",
        Shape::Int {
            min: 0,
            max: 4_294_967_295,
        },
        "inherited; 1, MISC 0, DNS 3",
        "Extra tries before a working server is declared down",
    ),
    k(
        "delay_before_retry",
        Shape::Decimal {
            min: 0,
            max: 4_294_967_295_000_000,
        },
        "inherited; 1, HTTP/SSL 3, DNS delay_loop",
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
    k(
        "delay_loop",
        Shape::Decimal {
            min: 1,
            max: 4_294_967_295_000_000,
        },
        "real server value",
        "Time between checks",
    ),
    k(
        "alpha",
        Shape::Bool,
        "real server value",
        "Start down until checked",
    ),
    k(
        "log_all_failures",
        Shape::Bool,
        "checker_log_all_failures",
        "Log every failure",
    ),
];

/// How long a probe may take.
pub(super) const CONNECT_TIMEOUT: &[Keyword] = &[k(
    "connect_timeout",
    Shape::Decimal {
        min: 1,
        max: 4_294_967_295,
    },
    "real server value",
    "Time limit of a connection or probe",
)];
