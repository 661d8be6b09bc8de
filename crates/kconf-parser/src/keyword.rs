//! The table of keywords: name, block, form of the value, default, meaning.
//!
//! # Design
//!
//! One row for each keyword of each block, and nothing else that lists keywords: the checker
//! reads its arguments by [`Shape`], suggestions come from the names, help from the texts. A
//! keyword that has an effect is looked up by name where the effect is, in
//! [`config`](crate::config). Source of every row: keepalived.conf(5) and the behaviour of
//! keepalived 2.2.7 to 2.4.3.

mod check;
mod entry;
mod globals;
mod root;
mod service;
mod track;
mod vrrp;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::tree::Vocabulary;

pub use entry::{EntryKind, EntryOption};

/// One keyword of one block.
#[derive(Debug, PartialEq, Eq)]
pub struct Keyword {
    /// The word itself, exactly.
    pub name: &'static str,
    /// What follows it.
    pub shape: Shape,
    /// Default, in words.
    pub default: &'static str,
    /// What it does, in a line.
    pub doc: &'static str,
    /// The name to use instead, for an old one.
    pub renamed: Option<&'static str>,
}

const fn k(name: &'static str, shape: Shape, default: &'static str, doc: &'static str) -> Keyword {
    Keyword {
        name,
        shape,
        default,
        doc,
        renamed: None,
    }
}

const fn old(
    name: &'static str,
    shape: Shape,
    default: &'static str,
    doc: &'static str,
    renamed: &'static str,
) -> Keyword {
    Keyword {
        name,
        shape,
        default,
        doc,
        renamed: Some(renamed),
    }
}

/// What follows a keyword.
///
/// `min` and `max` are the least and the greatest value that is taken, both included; for words, how
/// many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are explained above")]
pub enum Shape {
    /// Nothing. An argument is ignored, even `off`.
    Flag,
    /// Perhaps a boolean; none means true.
    Bool,
    /// A whole number.
    Int { min: i64, max: i64 },
    /// Perhaps a whole number.
    OptInt { min: i64, max: i64 },
    /// Whole seconds.
    Seconds { min: i64, max: i64 },
    /// Perhaps whole seconds.
    OptSeconds { min: i64, max: i64 },
    /// Seconds with up to six decimals; the bounds are microseconds.
    Decimal { min: i64, max: i64 },
    /// A word or a quoted text.
    Word,
    /// Perhaps a word.
    OptWord,
    /// Several words.
    Words { min: usize, max: usize },
    /// Perhaps some words.
    OptWords { max: usize },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One of these words, in any case of letters.
    AnyCase(&'static [&'static str]),
    /// Perhaps one of these words.
    OptChoice(&'static [&'static str]),
    /// An IP address.
    Address,
    /// An IPv4 address.
    Address4,
    /// An IPv6 address.
    Address6,
    /// An IP address and perhaps a port.
    AddressPort,
    /// A host name or address and perhaps a port.
    HostPort,
    /// A command in quotes, then perhaps a user and group.
    Script,
    /// Perhaps a command.
    OptScript,
    /// A pattern in quotes.
    Regex,
    /// A user and perhaps a group.
    User,
    /// A path, then perhaps a user and group.
    Fifo,
    /// Milliseconds with up to three decimals; the bounds are microseconds.
    Millis { min: i64, max: i64 },
    /// Perhaps `all`, then whole seconds.
    Extra { min: i64, max: i64 },
    /// A number, then perhaps `reverse`.
    Weight { min: i64, max: i64 },
    /// A forwarding method.
    Method,
    /// A scheduler.
    Scheduler,
    /// A transport protocol.
    Protocol,
    /// An IPv4 netmask or IPv6 prefix length.
    Netmask,
    /// 32 hexadecimal digits.
    Digest,
    /// Status codes and ranges of them.
    StatusCodes,
    /// Timeouts by protocol.
    LvsTimeouts,
    /// Options of the synchronisation daemon.
    SyncDaemon,
    /// A number in octal, or names of bits.
    Umask,
    /// A block.
    Block(BlockKind),
    /// A name, then a block.
    NamedBlock(BlockKind),
    /// An address with port, a mark or a group, then the block of a `virtual_server`.
    Service,
    /// An address with port, then a block.
    Server(BlockKind),
    /// A block of words.
    WordList,
    /// A block of lines, each an entry.
    Entries(EntryKind),
    /// A name, then a block of lines, each an entry.
    NamedEntries(EntryKind),
}

impl Shape {
    /// Whether a block in braces follows.
    pub fn has_block(self) -> bool {
        matches!(
            self,
            Self::Block(_)
                | Self::NamedBlock(_)
                | Self::Service
                | Self::Server(_)
                | Self::WordList
                | Self::Entries(_)
                | Self::NamedEntries(_)
        )
    }

    /// The kind of the block that follows, if it is one with keywords.
    pub fn block_kind(self) -> Option<BlockKind> {
        match self {
            Self::Block(kind) | Self::NamedBlock(kind) | Self::Server(kind) => Some(kind),
            Self::Service => Some(BlockKind::VirtualServer),
            _ => None,
        }
    }
}

macro_rules! blocks {
    ($($(#[$doc:meta])* $kind:ident = $name:literal: [$($keywords:expr),+],)*) => {
        /// A block that has keywords.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum BlockKind {
            $($(#[$doc])* $kind,)*
        }

        impl BlockKind {
            /// Every block.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The keyword that opens it; empty for the top level.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            fn tables(self) -> &'static [&'static [Keyword]] {
                match self {
                    $(Self::$kind => &[$($keywords),+],)*
                }
            }
        }
    };
}

blocks! {
    /// Outside all blocks.
    Root = "": [root::ROOT],
    /// Settings of the daemon.
    GlobalDefs = "global_defs": [globals::GLOBAL_DEFS],
    /// Client side TLS files.
    Ssl = "SSL": [globals::SSL],
    /// A balanced service.
    VirtualServer = "virtual_server": [service::VIRTUAL_SERVER, service::FOR_CHECKS],
    /// A back-end server.
    RealServer = "real_server": [service::REAL_SERVER, service::FOR_CHECKS],
    /// A check that connects.
    TcpCheck = "TCP_CHECK": [check::CONNECTION, check::CONNECT_TIMEOUT, check::TIMING],
    /// A check that fetches pages.
    HttpGet = "HTTP_GET":
        [check::WEB, check::HTTP_GET, check::CONNECTION, check::CONNECT_TIMEOUT, check::TIMING],
    /// A check that fetches pages over TLS.
    SslGet = "SSL_GET":
        [check::WEB, check::SSL_GET, check::CONNECTION, check::CONNECT_TIMEOUT, check::TIMING],
    /// A page of `HTTP_GET`.
    HttpUrl = "url": [check::URL],
    /// A page of `SSL_GET`.
    SslUrl = "url": [check::URL, check::SSL_URL],
    /// A check that greets a mail server.
    SmtpCheck = "SMTP_CHECK":
        [check::SMTP_CHECK, check::CONNECTION, check::CONNECT_TIMEOUT, check::TIMING],
    /// A target of `SMTP_CHECK`, old form.
    SmtpHost = "host": [check::CONNECTION, check::CONNECT_TIMEOUT, check::TIMING],
    /// A check by a command.
    MiscCheck = "MISC_CHECK": [check::MISC_CHECK, check::TIMING],
    /// A check that asks a name server.
    DnsCheck = "DNS_CHECK":
        [check::DNS_CHECK, check::CONNECTION, check::CONNECT_TIMEOUT, check::TIMING],
    /// A check that sends a datagram.
    UdpCheck = "UDP_CHECK":
        [check::UDP_CHECK, check::CONNECTION, check::CONNECT_TIMEOUT, check::TIMING],
    /// A check by ICMP echo.
    PingCheck = "PING_CHECK": [check::CONNECTION, check::CONNECT_TIMEOUT, check::TIMING],
    /// A check that follows a BFD session.
    BfdCheck = "BFD_CHECK": [check::BFD_CHECK],
    /// A check that follows a file.
    FileCheck = "FILE_CHECK": [check::FILE_CHECK],
    /// A virtual router.
    VrrpInstance = "vrrp_instance": [vrrp::VRRP_INSTANCE],
    /// Version 2 authentication.
    Authentication = "authentication": [vrrp::AUTHENTICATION],
    /// Signed advertisements.
    AuthHmac = "auth_hmac": [vrrp::AUTH_HMAC],
    /// Instances that share a state.
    SyncGroup = "vrrp_sync_group": [vrrp::SYNC_GROUP],
    /// A command that VRRP tracks.
    VrrpScript = "vrrp_script": [vrrp::VRRP_SCRIPT],
    /// A file that is tracked.
    TrackFile = "track_file": [track::TRACK_FILE],
    /// A process that is tracked.
    TrackProcess = "vrrp_track_process": [track::TRACK_PROCESS],
    /// Instances that follow static items.
    TrackGroup = "track_group": [track::TRACK_GROUP],
    /// A BFD session.
    BfdInstance = "bfd_instance": [track::BFD_INSTANCE],
    /// Limits for announcements.
    GarpGroup = "garp_group": [track::GARP_GROUP],
}

impl BlockKind {
    /// All keywords of this block.
    pub fn keywords(self) -> impl Iterator<Item = &'static Keyword> {
        self.tables().iter().copied().flatten()
    }

    /// The keyword with this exact name.
    pub fn keyword(self, name: &str) -> Option<&'static Keyword> {
        let table = TABLE.get(self as usize)?;
        let found = table.binary_search_by_key(&by_length(name), |keyword| by_length(keyword.name));
        table.get(found.ok()?).copied()
    }
}

/// Keywords that keepalived had once, and why they are gone.
pub const REMOVED: &[(BlockKind, &str, &str)] = &[
    (
        BlockKind::VirtualServer,
        "nat_mask",
        "it belonged to kernels before 2.6 and had no effect since; delete the line",
    ),
    (
        BlockKind::GlobalDefs,
        "lvs_id",
        "it is called `router_id` now",
    ),
];

/// The keywords of each block in the order of [`BlockKind::ALL`], sorted by [`by_length`].
static TABLE: LazyLock<Vec<Vec<&'static Keyword>>> = LazyLock::new(|| {
    let sorted = |kind: &BlockKind| {
        let mut keywords: Vec<_> = kind.keywords().collect();
        keywords.sort_by_key(|keyword| by_length(keyword.name));
        keywords
    };
    BlockKind::ALL.iter().map(sorted).collect()
});

/// An order of words in which most are told apart without looking at their letters.
fn by_length(word: &str) -> (usize, &str) {
    (word.len(), word)
}

/// Blocks by the name of the keyword that opens them.
static BY_NAME: LazyLock<HashMap<&'static str, Vec<BlockKind>>> = LazyLock::new(|| {
    let mut blocks: HashMap<&'static str, Vec<BlockKind>> = HashMap::new();
    for kind in BlockKind::ALL {
        blocks.entry(kind.name()).or_default().push(*kind);
    }
    blocks
        .entry("vrrp_track_file")
        .or_default()
        .push(BlockKind::TrackFile);
    blocks
});

/// The table as the tree builder needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeywordTable;

impl Vocabulary for KeywordTable {
    fn homes(&self, keyword: &str, has_args: bool) -> &'static [&'static str] {
        match keyword {
            "global_defs"
            | "static_ipaddress"
            | "static_routes"
            | "static_rules"
            | "SSL"
            | "garp_group"
            | "interface_up_down_delays" => &[""],
            "vrrp_sync_group"
            | "vrrp_instance"
            | "vrrp_script"
            | "vrrp_track_file"
            | "vrrp_track_process"
            | "bfd_instance"
            | "virtual_server"
            | "virtual_server_group"
                if has_args =>
            {
                &[""]
            }
            "real_server" if has_args => &["virtual_server"],
            "TCP_CHECK" | "HTTP_GET" | "SSL_GET" | "SMTP_CHECK" | "MISC_CHECK" | "DNS_CHECK"
            | "UDP_CHECK" | "PING_CHECK" | "BFD_CHECK" | "FILE_CHECK" => &["real_server"],
            "url" => &["HTTP_GET", "SSL_GET"],
            _ => &[],
        }
    }

    fn member(&self, block: &str, keyword: &str) -> bool {
        let kinds = BY_NAME.get(block).map_or(&[][..], Vec::as_slice);
        kinds.iter().any(|kind| kind.keyword(keyword).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_block_has_a_keyword_twice() {
        for kind in BlockKind::ALL {
            let mut names: Vec<_> = kind.keywords().map(|keyword| keyword.name).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "in {kind:?}");
        }
    }

    #[test]
    fn an_old_name_leads_to_a_current_keyword() {
        for kind in BlockKind::ALL {
            for keyword in kind.keywords() {
                let Some(new) = keyword.renamed else { continue };
                let known = BlockKind::ALL
                    .iter()
                    .any(|kind| kind.keyword(new).is_some());
                assert!(known, "{} in {kind:?}", keyword.name);
            }
        }
    }

    #[test]
    fn the_same_word_is_found_in_its_own_block_only() {
        assert!(BlockKind::RealServer.keyword("weight").is_some());
        assert!(BlockKind::TcpCheck.keyword("weight").is_none());
        assert!(BlockKind::TcpCheck.keyword("nb_get_retry").is_none());
        assert_eq!(
            BlockKind::HttpGet.keyword("nb_get_retry").unwrap().renamed,
            Some("retry")
        );
    }
}
