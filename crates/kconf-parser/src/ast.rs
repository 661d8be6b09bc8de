//! The configuration as written: every block with its settings, in order, with places.
//!
//! Values are read and checked one by one; nothing is filled in, inherited or looked up. That
//! happens in `resolve`, which makes [`Config`](crate::Config) of this.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::{
    Address, ForwardMethod, Granularity, LvsTimeouts, Protocol, Route, Rule, Scheduler, Script,
    ScriptUser, StatusRange, SyncDaemon, UnicastPeer,
};
use crate::keyword::{BlockKind, Keyword};
use crate::source::Span;
use crate::tree::Word;

/// A block that has keywords; the top level is one too.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Which block.
    pub kind: BlockKind,
    /// Keyword and arguments.
    pub head: Span,
    /// What stands between keyword and `{`. `None` if it is wrong; [`Value::None`] if nothing
    /// belongs there.
    pub name: Option<Value>,
    /// Settings in the order of the text.
    pub settings: Vec<Setting>,
    /// Blocks in it, in the order of the text.
    pub blocks: Vec<Self>,
    /// Keywords that unknown words of this block most likely were meant to be.
    pub misspelt: Vec<&'static str>,
}

/// A keyword with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The row of the table.
    pub keyword: &'static Keyword,
    /// The keyword in the text.
    pub place: Span,
    /// Keyword and arguments in the text.
    pub span: Span,
    /// The value; `None` if it is wrong.
    pub value: Option<Value>,
}

/// A value, read by the [`Shape`](crate::keyword::Shape) of its keyword.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// None was given and none must be: a flag, or an optional value left out.
    None,
    /// A boolean.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A time.
    Time(Duration),
    /// A word or quoted text.
    Word(Word),
    /// Several words.
    Words(Box<[Word]>),
    /// One of a list of words.
    Choice(&'static str),
    /// An IP address.
    Address(IpAddr),
    /// An IP address and perhaps a port.
    AddressPort(IpAddr, Option<u16>),
    /// What a `virtual_server` stands for.
    Target(Target),
    /// A host and perhaps a port.
    HostPort(Word, Option<u16>),
    /// A command.
    Script(Box<Script>),
    /// A pattern.
    Regex(Box<str>),
    /// A user.
    User(Box<ScriptUser>),
    /// A pipe and perhaps its owner.
    Fifo(Word, Option<Box<ScriptUser>>),
    /// A time, perhaps for all interfaces.
    Extra {
        /// Whether `all` stands before it.
        all: bool,
        /// The time.
        interval: Duration,
    },
    /// A number that may be reversed.
    Weight {
        /// The number.
        weight: i64,
        /// Whether `reverse` followed.
        reverse: bool,
    },
    /// A forwarding method.
    Method(ForwardMethod),
    /// A scheduler.
    Scheduler(Scheduler),
    /// A protocol.
    Protocol(Protocol),
    /// A netmask or prefix length.
    Granularity(Granularity),
    /// An MD5 sum.
    Digest([u8; 16]),
    /// Status codes.
    StatusCodes(Box<[StatusRange]>),
    /// Timeouts of IPVS.
    LvsTimeouts(Box<LvsTimeouts>),
    /// Options of the synchronisation daemon.
    SyncDaemon(Box<SyncDaemon>),
    /// Lines of a list, each a list of words.
    Entries(Box<[Vec<Word>]>),
    /// A name and lines of a list.
    NamedEntries(Box<(Word, Box<[Vec<Word>]>)>),
    /// Lines of addresses.
    Addresses(Box<[Entry<Address>]>),
    /// Lines of routes.
    Routes(Box<[Entry<Route>]>),
    /// Lines of policy rules.
    Rules(Box<[Entry<Rule>]>),
    /// Lines of what is tracked.
    Tracks(Box<[Entry<Track>]>),
    /// Lines of unicast peers.
    Peers(Box<[Entry<UnicastPeer>]>),
}

/// A line of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<T> {
    /// The line, from its first word to its last.
    pub span: Span,
    /// What it says.
    pub value: T,
}

/// A line of `track_script` and its companions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Track {
    /// What is tracked.
    pub name: Word,
    /// Its weight, if one is given.
    pub weight: Option<i16>,
    /// Whether `reverse` (true) or `noreverse` (false) is given.
    pub reverse: Option<bool>,
}

/// What a `virtual_server` stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// An address and perhaps a port.
    Address(IpAddr, Option<u16>),
    /// A firewall mark.
    FirewallMark(u32),
    /// A group, by name.
    Group(Word),
}

impl Block {
    /// The last setting with this keyword, right or wrong.
    pub fn setting(&self, keyword: &str) -> Option<&Setting> {
        self.settings
            .iter()
            .rev()
            .find(|setting| setting.keyword.name == keyword)
    }

    /// Whether the keyword, or an unknown word that most likely was meant to be it, stands here.
    pub fn means(&self, keyword: &str) -> bool {
        self.setting(keyword).is_some() || self.misspelt.contains(&keyword)
    }

    /// All settings with this keyword.
    pub fn all<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a Setting> {
        self.settings
            .iter()
            .filter(move |setting| setting.keyword.name == keyword)
    }

    /// The value of the last setting with this keyword that has one.
    pub fn value(&self, keyword: &str) -> Option<&Value> {
        let mut settings = self.settings.iter().rev();
        settings.find_map(|setting| match setting.keyword.name == keyword {
            true => setting.value.as_ref(),
            false => None,
        })
    }

    /// Whether a flag stands here.
    pub fn flag(&self, keyword: &str) -> bool {
        self.value(keyword).is_some()
    }

    /// A boolean; a bare keyword is true.
    pub fn bool(&self, keyword: &str) -> Option<bool> {
        match self.value(keyword)? {
            Value::Bool(value) => Some(*value),
            _ => Some(true),
        }
    }

    /// A whole number.
    pub fn int(&self, keyword: &str) -> Option<i64> {
        match self.value(keyword)? {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A whole number that the table limits to 32 bits.
    pub fn u32(&self, keyword: &str) -> Option<u32> {
        u32::try_from(self.int(keyword)?).ok()
    }

    /// A time.
    pub fn time(&self, keyword: &str) -> Option<Duration> {
        match self.value(keyword)? {
            Value::Time(value) => Some(*value),
            _ => None,
        }
    }

    /// A word.
    pub fn word(&self, keyword: &str) -> Option<Word> {
        match self.value(keyword)? {
            Value::Word(word) => Some(*word),
            _ => None,
        }
    }

    /// An address.
    pub fn address(&self, keyword: &str) -> Option<IpAddr> {
        match self.value(keyword)? {
            Value::Address(address) => Some(*address),
            _ => None,
        }
    }

    /// A command; the first one counts, as in keepalived.
    pub fn script(&self, keyword: &str) -> Option<&Script> {
        let mut settings = self
            .settings
            .iter()
            .filter(|set| set.keyword.name == keyword);
        settings.find_map(|setting| match setting.value.as_ref() {
            Some(Value::Script(script)) => Some(&**script),
            _ => None,
        })
    }

    /// The blocks of a kind.
    pub fn children(&self, kind: BlockKind) -> impl Iterator<Item = &Self> {
        self.blocks.iter().filter(move |block| block.kind == kind)
    }
}
