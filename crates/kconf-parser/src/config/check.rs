//! Health checks of a real server, with every inherited value filled in.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Script;

/// One health check. Two checks with equal values are the same check after a reload.
///
/// Values come from the checker block, else the real server, else the virtual server, else the
/// default. Source: keepalived.conf(5), "common checker options".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is done.
    pub kind: CheckKind,
    /// Address and port that are checked. Default: those of the real server. `connect_ip`,
    /// `connect_port`. Without meaning for scripts, files and BFD.
    pub target: SocketAddr,
    /// Local end of the probe. Default: chosen by the kernel.
    pub bind: BindTo,
    /// Firewall mark of the probe's packets. Default 0, none. `fwmark`.
    pub fwmark: u32,
    /// Time limit of a connection or probe. Microseconds count. Default 5 s. `connect_timeout`.
    pub connect_timeout: Duration,
    /// Time between checks. More than 0. Default 60 s. `delay_loop`.
    pub delay_loop: Duration,
    /// Further tries before a server that was up is down. Default 1 (script 0, DNS 3). `retry`.
    pub retry: u32,
    /// Wait between those tries. Default 1 s (HTTP and SSL 3 s, DNS `delay_loop`).
    /// `delay_before_retry`.
    pub delay_before_retry: Duration,
    /// Upper bound of the random delay before the first check. 0: none. Default: `delay_loop`.
    /// `warmup`.
    pub warmup: Duration,
    /// Whether the server starts down until the check succeeded. Default: off. `alpha`.
    pub alpha: bool,
    /// Whether every failed try is logged. Default: `checker_log_all_failures`.
    /// `log_all_failures`.
    pub log_all_failures: bool,
}

/// Local end of a probe. Source: keepalived.conf(5) `bindto`, `bind_port`, `bind_if`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindTo {
    /// Local address. Default: chosen by the kernel.
    pub address: Option<IpAddr>,
    /// Local port, 1..=65535. Default: chosen by the kernel.
    pub port: Option<u16>,
    /// Interface. Default: chosen by the kernel.
    pub interface: Option<String>,
}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckKind {
    /// `TCP_CHECK`: a connection is accepted.
    Tcp,
    /// `HTTP_GET` and `SSL_GET`: pages are fetched and looked at.
    Http(HttpCheck),
    /// `SMTP_CHECK`: a mail server greets.
    Smtp(SmtpCheck),
    /// `MISC_CHECK`: a command ends with status 0.
    Misc(MiscCheck),
    /// `DNS_CHECK`: a query is answered.
    Dns(DnsCheck),
    /// `UDP_CHECK`: a datagram is not refused, or is answered.
    Udp(UdpCheck),
    /// `PING_CHECK`: an ICMP echo is answered.
    Ping,
    /// `BFD_CHECK`: the BFD session of this name is up.
    Bfd {
        /// Name of the `bfd_instance`.
        name: String,
    },
    /// `FILE_CHECK`: a number in a file.
    File(FileCheck),
}

/// `HTTP_GET` and `SSL_GET`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCheck {
    /// Whether TLS is used: `SSL_GET`.
    pub tls: bool,
    /// Version of the requests. Default: 1.0. `http_protocol`.
    pub version: HttpVersion,
    /// The pages, tested in this order. Never empty.
    pub urls: Vec<Url>,
    /// No wait between pages at start and during recovery. Default: off. `fast_recovery`.
    pub fast_recovery: bool,
    /// Whether a close_notify is sent before closing, unless a url says otherwise. Default: off.
    /// `tls_compliant`.
    pub tls_compliant: bool,
}

/// Version and connection handling of a request. Source: keepalived.conf(5) `http_protocol`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HttpVersion {
    /// HTTP/1.0. The default.
    #[default]
    Http10,
    /// HTTP/1.0 with `Connection: close`.
    Http10Close,
    /// HTTP/1.1 with `Connection: close`.
    Http11,
}

/// One page of an HTTP check. All given tests must pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Url {
    /// Request path, as written.
    pub path: String,
    /// Host header: url, else checker, else real server, else virtual server. `virtualhost`.
    ///
    /// `None`: the address that is checked, with its port unless that is the usual one.
    pub virtualhost: Option<String>,
    /// TLS server name, already decided from `sni_name` and `enable_sni`. `None`: none is sent.
    pub sni: Option<String>,
    /// MD5 of the body. Default: none. `digest`.
    pub digest: Option<[u8; 16]>,
    /// Accepted status codes. Default: 200-299. Never empty. `status_code`.
    pub status: Vec<StatusRange>,
    /// Pattern to look for in the body. Default: none. `regex`.
    pub regex: Option<Regex>,
    /// Whether a close_notify is sent before closing. Default: that of the check.
    pub tls_compliant: bool,
}

/// Accepted status codes, both ends included. Range 100..=599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StatusRange {
    /// Lowest code.
    pub first: u16,
    /// Highest code; not below [`Self::first`].
    pub last: u16,
}

impl StatusRange {
    /// Whether this status code is accepted.
    pub fn contains(self, code: u16) -> bool {
        (self.first..=self.last).contains(&code)
    }
}

/// A pattern to look for in a body. Source: keepalived.conf(5) `regex`, pcre2pattern(3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regex {
    /// The pattern, in PCRE2 syntax.
    pub pattern: String,
    /// Option words, as written. Default: none. `regex_options`.
    pub options: Vec<String>,
    /// Whether the pattern must be absent. Default: off. `regex_no_match`.
    pub no_match: bool,
    /// Matches that start earlier are ignored, in bytes. Default 0. `regex_min_offset`.
    pub min_offset: u64,
    /// Matches that start later are ignored, in bytes. Default: none. `regex_max_offset`.
    pub max_offset: Option<u64>,
}

/// `SMTP_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmtpCheck {
    /// Name sent in HELO. Default: `smtpchecker.keepalived.org`. `helo_name`.
    pub helo_name: String,
}

/// `MISC_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MiscCheck {
    /// The command. `misc_path`, `user`.
    pub script: Script,
    /// Time limit of a run; longer is a failure. Default: `delay_loop` of the virtual server.
    /// `misc_timeout`.
    pub timeout: Duration,
    /// Whether exit status 2..=255 sets the weight to status - 2. Default: off. `misc_dynamic`.
    pub dynamic: bool,
}

/// `DNS_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsCheck {
    /// Type of the query. Default: SOA. `type`.
    pub query_type: DnsType,
    /// Name asked for. Default: `.`. `name`.
    pub name: String,
}

/// Type of a DNS query. Source: keepalived.conf(5) `DNS_CHECK`, RFC 1035, 3596, 4034.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of the RFCs")]
pub enum DnsType {
    A,
    Ns,
    Cname,
    Soa,
    Mx,
    Txt,
    Aaaa,
    Rrsig,
    Dnskey,
}

/// `UDP_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UdpCheck {
    /// Bytes to send. Default: none, 32 bytes of a fixed text. `payload`.
    pub payload: Option<Vec<u8>>,
    /// Whether silence is a failure. Default: off. `require_reply`.
    pub require_reply: bool,
    /// Shortest reply accepted, in bytes. Default 0. `min_reply_length`.
    pub min_reply_length: u16,
    /// Longest reply accepted, in bytes. Default 255. `max_reply_length`.
    pub max_reply_length: u16,
}

/// `FILE_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCheck {
    /// Name of the `track_file`.
    pub track_file: String,
    /// Factor of the number in the file. Default: none, that of the `track_file`. `weight`.
    pub weight: Option<i32>,
    /// Whether the sense of the weight is swapped. Default: off.
    pub reverse: bool,
}
