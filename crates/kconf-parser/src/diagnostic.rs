//! What is wrong with a configuration, where, why, and what to write instead.
//!
//! # Design
//!
//! A diagnostic is data: a stable [`Code`], a [`Severity`], places, texts and perhaps a
//! replacement that can be applied as it is. Rendering is in [`render`](crate::render).
//!
//! **Error** means that keepalived would reject or ignore what was written, or do something
//! other than it says. **Warning** means that it works, though probably not as meant. Only
//! errors make a check fail or a reload be refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::source::Place;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Works, though probably not as meant.
    Warning,
    /// Rejected, ignored, or something other than written would happen.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A place with a text for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub place: Place,
    /// What to say there; may be empty for the primary label.
    pub text: String,
}

/// A change of the text that would remove a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// What to replace; empty to insert.
    pub place: Place,
    /// The new text; empty to delete.
    pub replacement: String,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Kind of problem; the same in every version.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// One line: what is wrong.
    pub message: String,
    /// Where it is wrong.
    pub primary: Label,
    /// Other places that explain it, such as where a block began.
    pub secondary: Vec<Label>,
    /// Why it matters or what to do, in a sentence.
    pub help: Option<String>,
    /// What to write instead.
    pub suggestion: Option<Suggestion>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, place, message.into())
    }

    /// A warning at a place.
    pub fn warning(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, place, message.into())
    }

    fn new(code: Code, severity: Severity, place: Place, message: String) -> Self {
        let primary = Label {
            place,
            text: String::new(),
        };
        let (secondary, help, suggestion) = (Vec::new(), None, None);
        Self {
            code,
            severity,
            message,
            primary,
            secondary,
            help,
            suggestion,
        }
    }

    /// Adds a text to the primary place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn also(mut self, place: Place, text: impl Into<String>) -> Self {
        self.secondary.push(Label {
            place,
            text: text.into(),
        });
        self
    }

    /// Says why, or what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub fn suggest(mut self, place: Place, replacement: impl Into<String>) -> Self {
        self.suggestion = Some(Suggestion {
            place,
            replacement: replacement.into(),
        });
        self
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)*) => {
        /// Kind of a problem. Numbers never change and are never used again.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The number, as in `KC0001`.
            pub fn number(self) -> u16 {
                match self {
                    $(Self::$name => $number,)*
                }
            }

            /// What the code means, in a sentence or two.
            pub fn summary(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii_start(),)*
                }
            }
        }
    };
}

codes! {
    /// A file is missing or cannot be read.
    FileNotReadable = 1,
    /// A file is executable or not a regular file, so it is skipped.
    FileSkipped = 2,
    /// An include pattern matches nothing.
    IncludeNoMatch = 3,
    /// A file includes itself, or includes are nested too deeply.
    IncludeLoop = 4,
    /// Definitions or repetitions expand without end or to too much text.
    ExpansionLimit = 5,
    /// A `~SEQ` or `~LST` is not written as it must be.
    BadRepetition = 6,
    /// A `$NAME` is used that nothing defines.
    UndefinedName = 7,
    /// A line is longer than keepalived reads.
    LineTooLong = 8,
    /// A line holds a NUL byte.
    NulByte = 9,
    /// A double quote is not closed on its line.
    UnterminatedQuote = 10,
    /// A block is never closed.
    MissingBrace = 11,
    /// A `}` closes nothing.
    ExtraBrace = 12,
    /// A `{` follows something that has no block.
    UnexpectedBlock = 13,
    /// A keyword that must open a block does not.
    MissingBlock = 14,
    /// Blocks are nested too deeply.
    TooDeep = 15,
    /// `//` does not start a comment.
    SlashComment = 16,
    /// A keyword that no block has.
    UnknownKeyword = 17,
    /// A keyword that belongs in another block.
    MisplacedKeyword = 18,
    /// A keyword that keepalived no longer has.
    RemovedKeyword = 19,
    /// An old keyword that has a new name.
    DeprecatedKeyword = 20,
    /// Words behind a value, which are ignored.
    TrailingWords = 21,
    /// A value that must be there is not.
    MissingValue = 22,
    /// A placeholder from a template, which must be replaced.
    Placeholder = 23,
    /// A number is not a number, or something follows it.
    BadNumber = 24,
    /// A number is out of its range.
    OutOfRange = 25,
    /// A value that is not one of those allowed.
    BadChoice = 26,
    /// Not an IP address, or not of the right kind.
    BadAddress = 27,
    /// A flag is given an argument that would not switch it off.
    FlagArgument = 28,
    /// A value of a form that cannot be read.
    BadValue = 29,
    /// More decimals than are kept.
    Rounded = 30,
    /// The same setting twice; only one of them counts.
    Repeated = 31,
    /// Accepted, but without effect yet.
    NoEffectYet = 32,
    /// An empty block.
    EmptyBlock = 33,
    /// `protocol` is missing, so the service is UDP.
    NoProtocol = 40,
    /// `lb_algo` is missing, so the scheduler is wlc.
    NoScheduler = 41,
    /// `lb_kind` is missing, so the method is NAT.
    NoMethod = 42,
    /// A service has no usable real server and is ignored.
    NoRealServers = 43,
    /// A real server's port must be that of the service unless the method is NAT.
    PortMismatch = 44,
    /// The same real server twice in a service.
    DuplicateRealServer = 45,
    /// The same service twice.
    DuplicateService = 46,
    /// `quorum` is above the weight of all real servers.
    QuorumTooHigh = 47,
    /// `hysteresis` is not below `quorum`.
    HysteresisTooHigh = 48,
    /// `ops` needs UDP.
    OnePacketNeedsUdp = 49,
    /// A scheduler flag without its scheduler above it.
    SchedulerFlagMismatch = 50,
    /// `sorry_server_*` before or without `sorry_server`.
    SorryOptionWithoutServer = 51,
    /// Addresses of a service and its server are of different families.
    FamilyMismatch = 52,
    /// A service for every port needs persistence.
    PortZeroNeedsPersistence = 53,
    /// A `virtual_server_group` that nothing defines.
    UnknownGroup = 54,
    /// A `virtual_server_group` without usable entries, or one that is not used.
    EmptyGroup = 55,
    /// Something that has no meaning for a firewall mark service.
    NotForFirewallMark = 56,
    /// A persistence engine that cannot be used.
    BadPersistenceEngine = 57,
    /// A checker that cannot check, so its server counts as up.
    UselessCheck = 58,
    /// A url without a path, which is dropped.
    UrlWithoutPath = 59,
    /// Checks never run: `ha_suspend` with a group.
    SuspendedForEver = 60,
    /// The lower threshold is above the upper one.
    ThresholdsUpsideDown = 61,
    /// A password is cut off.
    PasswordTooLong = 62,
    /// A required setting of a block is missing.
    MissingSetting = 63,
    /// A name is defined twice.
    DuplicateName = 64,
    /// A comment begins in the middle of a word.
    CommentInWord = 65,
    /// An option that has no meaning for this address or in this block.
    NoMeaningHere = 66,
    /// A word that keepalived loses because of the one before it.
    LostWord = 67,
    /// A policy rule without a preference.
    NoPreference = 68,
    /// A name that nothing defines.
    UnknownName = 70,
    /// A name that is used above its definition, where keepalived does not know it.
    DefinedBelow = 71,
    /// Something that is defined and never used.
    Unused = 72,
    /// Two virtual routers with one number on one interface.
    DuplicateVrid = 73,
    /// A virtual router without an address to advertise.
    NoAddress = 74,
    /// More addresses than an advertisement holds.
    TooManyAddresses = 75,
    /// `nopreempt` or `preempt_delay` where it has no effect.
    PreemptIgnored = 76,
    /// Authentication that is configured and does not happen.
    AuthenticationDropped = 77,
    /// A version that does not go with the address family.
    VersionMismatch = 78,
    /// A setting that strict mode does not allow.
    StrictConflict = 79,
    /// Unicast is asked for without peers, so multicast is used.
    UnicastWithoutPeers = 80,
    /// A group of one.
    OneMemberGroup = 81,
    /// An instance in two groups.
    InTwoGroups = 82,
    /// A weight that has no effect.
    WeightWithoutEffect = 83,
    /// The own interface is tracked anyway.
    OwnInterface = 84,
    /// A route whose loss cannot be noticed.
    NotTracked = 85,
    /// `state MASTER` without a priority makes an address owner.
    MasterWithoutPriority = 100,
    /// A setting that a later line overrides.
    Overridden = 101,
    /// Single quotes where they are ordinary letters.
    SingleQuotes = 102,
    /// A switch that keepalived turns on whatever follows it.
    SwitchedOnByOff = 103,
    /// A virtual address with a mask, which brings a route.
    WideMask = 104,
    /// An option that does the contrary of what its name says.
    MisnamedOption = 105,
    /// A check or script that may take longer than the time to the next one.
    LongerThanInterval = 106,
    /// A service of which no server is checked.
    NoChecks = 107,
    /// A hashing scheduler that sends everybody behind one address to one server.
    HashWithoutPort = 108,
    /// Persistence that leaves little of the scheduler.
    PersistenceHidesScheduler = 109,
    /// A sorry server that is one of the real servers.
    SorryIsRealServer = 110,
    /// A check over TLS, which verifies nothing.
    TlsNotVerified = 111,
    /// A name that is not sent in TLS.
    NoServerName = 112,
    /// A digest that depends on how the answer was cut into chunks.
    DigestOfChunks = 113,
    /// A check that takes other answers for good than one may think.
    LenientCheck = 114,
    /// A check that takes silence for success.
    SilenceIsSuccess = 115,
    /// An address that is deprecated as soon as it is set.
    DeprecatedAddress = 116,
    /// Commands that keepalived runs at the same time.
    ParallelNotify = 117,
    /// `init_fail`, which has no effect in keepalived.
    InitFail = 118,
    /// Servers that get traffic long before their first check.
    FirstCheckLate = 119,
    /// Mails that are sent unless they are switched off.
    DefaultAlerts = 120,
    /// A virtual router that the other director does not have.
    PairNoPartner = 130,
    /// Directors that speak different versions of VRRP.
    PairVersion = 131,
    /// Directors with different intervals.
    PairInterval = 132,
    /// Directors with different authentication.
    PairAuthentication = 133,
    /// Directors with different virtual addresses.
    PairAddresses = 134,
    /// Directors that send where the other does not listen.
    PairDestination = 135,
    /// Directors of the same priority.
    PairPriority = 136,
    /// `nopreempt` where it has no effect.
    PairPreempt = 137,
    /// Directors of the same name.
    PairRouterId = 138,
    /// Directors with different checksums.
    PairChecksum = 139,
    /// Directors with different services.
    PairService = 140,
    /// Real servers in another order, which matters to the scheduler.
    PairServerOrder = 141,
    /// Sync daemons that do not hear each other.
    PairSyncDaemon = 142,
    /// Directors of which only one joins virtual routers in a group.
    PairGroup = 143,
    /// An interface that the machine does not have.
    NoSuchInterface = 150,
    /// A user or group that the machine does not have.
    NoSuchUser = 151,
    /// A script or program that the machine does not have.
    ScriptMissing = 152,
    /// A script that cannot be executed.
    ScriptNotExecutable = 153,
    /// A script that others than root can change.
    ScriptUnsafe = 154,
    /// Scripts without `enable_script_security`.
    ScriptSecurityOff = 155,
    /// NAT on a machine that does not forward.
    ForwardingOff = 156,
}

impl Code {
    /// Whether warnings of this kind are left out unless somebody asks for them: they are about
    /// what only keepalived does, or about what is a matter of taste.
    pub fn is_silent_unless_asked(self) -> bool {
        matches!(
            self,
            Self::DigestOfChunks
                | Self::LenientCheck
                | Self::DeprecatedAddress
                | Self::ParallelNotify
                | Self::FirstCheckLate
                | Self::DefaultAlerts
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KC{:04}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_in_order() {
        assert!(Code::ALL.is_sorted_by(|a, b| a.number() < b.number()));
    }

    #[test]
    fn a_code_prints_with_four_digits_and_says_what_it_means() {
        assert_eq!(Code::FileNotReadable.to_string(), "KC0001");
        assert_eq!(
            Code::FileNotReadable.summary(),
            "A file is missing or cannot be read."
        );
    }
}
