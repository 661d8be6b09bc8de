//! The one table of commands and options; the parser, the checks and the help are read from it.
//!
//! Design: names, arity and message names are ipvsadm's, since scripts see them. An option that
//! lvsadm adds stands in the same table, marked as ours.

/// What to do: the first option of a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    AddService,
    EditService,
    DeleteService,
    Flush,
    Restore,
    Save,
    AddServer,
    EditServer,
    DeleteServer,
    List,
    Zero,
    Set,
    StartDaemon,
    StopDaemon,
    Help,
    Version,
}

impl Verb {
    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AddService => "add-service",
            Self::EditService => "edit-service",
            Self::DeleteService => "delete-service",
            Self::Flush => "flush",
            Self::Restore => "restore",
            Self::Save => "save",
            Self::AddServer => "add-server",
            Self::EditServer => "edit-server",
            Self::DeleteServer => "delete-server",
            Self::List => "list",
            Self::Zero => "zero",
            Self::Set => "set",
            Self::StartDaemon => "start-daemon",
            Self::StopDaemon => "stop-daemon",
            Self::Help => "help",
            Self::Version => "version",
        }
    }

    /// What must, and what may stand with it.
    fn keys(self) -> (Keys, Keys) {
        match self {
            Self::AddService | Self::EditService => (Keys::of(&[Key::Service]), FOR_SERVICE),
            Self::DeleteService => (Keys::of(&[Key::Service]), Keys::NONE),
            Self::AddServer | Self::EditServer => (NAMES_SERVER, FOR_SERVER),
            Self::DeleteServer => (NAMES_SERVER, Keys::NONE),
            Self::List => (Keys::NONE, FOR_LIST),
            Self::Zero => (Keys::NONE, Keys::of(&[Key::Service])),
            Self::Save => (Keys::NONE, Keys::of(&[Key::Numeric])),
            Self::StartDaemon => (Keys::NONE, FOR_DAEMON),
            Self::StopDaemon => (Keys::NONE, Keys::of(&[Key::SyncId])),
            Self::Flush | Self::Restore | Self::Set | Self::Help | Self::Version => {
                (Keys::NONE, Keys::NONE)
            }
        }
    }

    /// Whether just what must and may stand with it was given.
    pub(crate) fn takes(self, given: Keys) -> bool {
        let (required, allowed) = self.keys();
        required.0 & !given.0 == 0 && given.0 & !(required.0 | allowed.0) == 0
    }

    /// What may be said of a key that stands with it or does not.
    pub(crate) fn rule(self, key: Key) -> Rule {
        let (required, allowed) = self.keys();
        if required.has(key) {
            Rule::Required
        } else if allowed.has(key) {
            Rule::Allowed
        } else {
            Rule::Illegal
        }
    }
}

/// A set of keys, which a table of many lines asks for much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Keys(u64);

impl Keys {
    const NONE: Self = Self(0);

    const fn of(keys: &[Key]) -> Self {
        let mut bits = 0;
        let mut rest = keys;
        while let [key, others @ ..] = rest {
            bits |= 1 << *key as u8;
            rest = others;
        }
        Self(bits)
    }

    pub(crate) fn has(self, key: Key) -> bool {
        self.0 & 1 << key as u8 != 0
    }

    pub(crate) fn add(&mut self, key: Key) {
        self.0 |= 1 << key as u8;
    }
}

const NAMES_SERVER: Keys = Keys::of(&[Key::Service, Key::Server]);

const FOR_SERVICE: Keys = Keys::of(&[
    Key::Scheduler,
    Key::Persistent,
    Key::Netmask,
    Key::SchedFlags,
    Key::Ops,
    Key::Engine,
]);

const FOR_SERVER: Keys = Keys::of(&[
    Key::Forwarding,
    Key::Weight,
    Key::UpperThreshold,
    Key::LowerThreshold,
    Key::TunType,
    Key::TunPort,
    Key::TunNocsum,
    Key::TunCsum,
    Key::TunRemcsum,
]);

const FOR_LIST: Keys = Keys::of(&[
    Key::Service,
    Key::Numeric,
    Key::Connection,
    Key::Timeout,
    Key::Daemon,
    Key::Stats,
    Key::Rate,
    Key::Thresholds,
    Key::PersistentConn,
    Key::NoSort,
    Key::SyncId,
    Key::Exact,
    Key::TunInfo,
    Key::Json,
]);

const FOR_DAEMON: Keys = Keys::of(&[
    Key::McastInterface,
    Key::SyncId,
    Key::McastGroup,
    Key::McastPort,
    Key::McastTtl,
    Key::SyncMaxlen,
]);

/// How an option goes with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Required,
    Allowed,
    Illegal,
}

/// What an option sets. Several options may set one thing, and then exclude each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Numeric,
    Connection,
    Service,
    Scheduler,
    Persistent,
    Netmask,
    Server,
    Forwarding,
    Weight,
    UpperThreshold,
    LowerThreshold,
    McastInterface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    NoSort,
    SyncId,
    Exact,
    Ops,
    Engine,
    SchedFlags,
    McastGroup,
    McastPort,
    McastTtl,
    SyncMaxlen,
    TunInfo,
    TunType,
    TunPort,
    TunNocsum,
    TunCsum,
    TunRemcsum,
    /// Not of ipvsadm.
    Json,
}

/// The keys in the order in which they are checked against the command, with their names in
/// messages.
pub(crate) const KEYS: [(Key, &str); 35] = [
    (Key::Numeric, "numeric"),
    (Key::Connection, "connection"),
    (Key::Service, "service-address"),
    (Key::Scheduler, "scheduler"),
    (Key::Persistent, "persistent"),
    (Key::Netmask, "netmask"),
    (Key::Server, "real-server"),
    (Key::Forwarding, "forwarding-method"),
    (Key::Weight, "weight"),
    (Key::UpperThreshold, "u-threshold"),
    (Key::LowerThreshold, "l-threshold"),
    (Key::McastInterface, "mcast-interface"),
    (Key::Timeout, "timeout"),
    (Key::Daemon, "daemon"),
    (Key::Stats, "stats"),
    (Key::Rate, "rate"),
    (Key::Thresholds, "thresholds"),
    (Key::PersistentConn, "persistent-conn"),
    (Key::NoSort, "nosort"),
    (Key::SyncId, "syncid"),
    (Key::Exact, "exact"),
    (Key::Ops, "ops"),
    (Key::Engine, "pe"),
    (Key::SchedFlags, "sched-flags"),
    (Key::McastGroup, "mcast-group"),
    (Key::McastPort, "mcast-port"),
    (Key::McastTtl, "mcast-ttl"),
    (Key::SyncMaxlen, "sync-maxlen"),
    (Key::TunInfo, "tun-info"),
    (Key::TunType, "tun-type"),
    (Key::TunPort, "tun-port"),
    (Key::TunNocsum, "tun-nocsum"),
    (Key::TunCsum, "tun-csum"),
    (Key::TunRemcsum, "tun-remcsum"),
    (Key::Json, "json"),
];

impl Key {
    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        KEYS.iter()
            .find(|(key, _)| *key == self)
            .map_or("", |(_, name)| name)
    }
}

/// What an option is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A command.
    Verb(Verb),
    /// Sets something.
    Key(Key),
    /// The IPv6 service of a mark.
    Ipv6,
    /// Nothing at all (`--sort`).
    Nothing,
}

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arity {
    None,
    /// The rest of the word, or the next word.
    Value,
    /// The rest of the word, or the next word if it does not look like an option.
    Optional,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    pub(crate) short: Option<u8>,
    pub(crate) long: &'static str,
    pub(crate) meaning: Meaning,
    pub(crate) arity: Arity,
    /// Whether ipvsadm lacks it.
    pub(crate) ours: bool,
    /// For the help: the value's name, and what it does.
    pub(crate) value: &'static str,
    pub(crate) help: &'static str,
}

const fn verb(
    short: Option<u8>,
    long: &'static str,
    verb: Verb,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag {
        short,
        long,
        meaning: Meaning::Verb(verb),
        arity: Arity::None,
        ours: false,
        value,
        help,
    }
}

const fn switch(short: Option<u8>, long: &'static str, key: Key, help: &'static str) -> Flag {
    Flag {
        short,
        long,
        meaning: Meaning::Key(key),
        arity: Arity::None,
        ours: false,
        value: "",
        help,
    }
}

const fn value(
    short: Option<u8>,
    long: &'static str,
    key: Key,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag {
        short,
        long,
        meaning: Meaning::Key(key),
        arity: Arity::Value,
        ours: false,
        value,
        help,
    }
}

/// All commands and options.
pub(crate) const FLAGS: &[Flag] = &[
    verb(
        Some(b'A'),
        "add-service",
        Verb::AddService,
        "",
        "add a virtual service",
    ),
    verb(
        Some(b'E'),
        "edit-service",
        Verb::EditService,
        "",
        "replace a service's settings",
    ),
    verb(
        Some(b'D'),
        "delete-service",
        Verb::DeleteService,
        "",
        "delete a service",
    ),
    verb(Some(b'C'), "clear", Verb::Flush, "", "delete all services"),
    verb(
        Some(b'R'),
        "restore",
        Verb::Restore,
        "",
        "do the command lines on standard input",
    ),
    verb(
        Some(b'S'),
        "save",
        Verb::Save,
        "",
        "print the table as such command lines",
    ),
    verb(
        Some(b'a'),
        "add-server",
        Verb::AddServer,
        "",
        "add a real server to a service",
    ),
    verb(
        Some(b'e'),
        "edit-server",
        Verb::EditServer,
        "",
        "replace a real server's settings",
    ),
    verb(
        Some(b'd'),
        "delete-server",
        Verb::DeleteServer,
        "",
        "take a real server out",
    ),
    verb(
        Some(b'L'),
        "list",
        Verb::List,
        "",
        "list the table (also -l)",
    ),
    verb(Some(b'l'), "list", Verb::List, "", ""),
    verb(Some(b'Z'), "zero", Verb::Zero, "", "set counters to zero"),
    verb(
        None,
        "set",
        Verb::Set,
        "TCP TCPFIN UDP",
        "set timeouts, seconds; 0 leaves one as it is",
    ),
    Flag {
        arity: Arity::Value,
        ..verb(
            None,
            "start-daemon",
            Verb::StartDaemon,
            "STATE",
            "start a sync daemon: master, backup",
        )
    },
    Flag {
        arity: Arity::Value,
        ..verb(
            None,
            "stop-daemon",
            Verb::StopDaemon,
            "STATE",
            "stop a sync daemon",
        )
    },
    verb(Some(b'h'), "help", Verb::Help, "", "print this"),
    verb(
        Some(b'v'),
        "version",
        Verb::Version,
        "",
        "print the version",
    ),
    value(
        Some(b't'),
        "tcp-service",
        Key::Service,
        "ADDR[:PORT]",
        "a TCP service",
    ),
    value(
        Some(b'u'),
        "udp-service",
        Key::Service,
        "ADDR[:PORT]",
        "a UDP service",
    ),
    value(
        None,
        "sctp-service",
        Key::Service,
        "ADDR[:PORT]",
        "an SCTP service",
    ),
    value(
        Some(b'f'),
        "fwmark-service",
        Key::Service,
        "MARK",
        "the service of a firewall mark",
    ),
    Flag {
        meaning: Meaning::Ipv6,
        ..switch(
            Some(b'6'),
            "ipv6",
            Key::Service,
            "the mark's IPv6 service (after -f)",
        )
    },
    value(
        Some(b's'),
        "scheduler",
        Key::Scheduler,
        "NAME",
        "scheduler, wlc by default",
    ),
    Flag {
        arity: Arity::Optional,
        ..value(
            Some(b'p'),
            "persistent",
            Key::Persistent,
            "[SECONDS]",
            "persistence, 360 s by default",
        )
    },
    value(
        Some(b'M'),
        "netmask",
        Key::Netmask,
        "MASK",
        "persistence mask, or IPv6 prefix length",
    ),
    value(
        Some(b'b'),
        "sched-flags",
        Key::SchedFlags,
        "FLAG,...",
        "sh-fallback, sh-port, mh-fallback, mh-port, flag-1..3",
    ),
    switch(Some(b'o'), "ops", Key::Ops, "one-packet scheduling"),
    value(None, "pe", Key::Engine, "NAME", "persistence engine"),
    value(
        Some(b'r'),
        "real-server",
        Key::Server,
        "ADDR[:PORT]",
        "the real server",
    ),
    switch(
        Some(b'g'),
        "gatewaying",
        Key::Forwarding,
        "direct routing (default)",
    ),
    switch(Some(b'i'), "ipip", Key::Forwarding, "tunnel"),
    switch(Some(b'm'), "masquerading", Key::Forwarding, "NAT"),
    value(
        Some(b'w'),
        "weight",
        Key::Weight,
        "N",
        "weight, 1 by default",
    ),
    value(
        Some(b'x'),
        "u-threshold",
        Key::UpperThreshold,
        "N",
        "most connections of a server",
    ),
    value(
        Some(b'y'),
        "l-threshold",
        Key::LowerThreshold,
        "N",
        "below which it gets new ones again",
    ),
    value(None, "tun-type", Key::TunType, "TYPE", "ipip, gue or gre"),
    value(
        None,
        "tun-port",
        Key::TunPort,
        "PORT",
        "port of a gue tunnel",
    ),
    switch(
        None,
        "tun-nocsum",
        Key::TunNocsum,
        "tunnel without checksums",
    ),
    switch(None, "tun-csum", Key::TunCsum, "tunnel with checksums"),
    switch(
        None,
        "tun-remcsum",
        Key::TunRemcsum,
        "gue tunnel with remote checksums",
    ),
    switch(
        Some(b'c'),
        "connection",
        Key::Connection,
        "list connections",
    ),
    switch(
        Some(b'n'),
        "numeric",
        Key::Numeric,
        "numbers instead of names",
    ),
    switch(None, "timeout", Key::Timeout, "list timeouts"),
    switch(None, "daemon", Key::Daemon, "list sync daemons"),
    switch(None, "stats", Key::Stats, "list counters"),
    switch(None, "rate", Key::Rate, "list rates"),
    switch(None, "exact", Key::Exact, "counters unrounded"),
    switch(None, "thresholds", Key::Thresholds, "list thresholds"),
    switch(
        None,
        "persistent-conn",
        Key::PersistentConn,
        "list persistent connections",
    ),
    switch(None, "tun-info", Key::TunInfo, "list tunnels"),
    Flag {
        meaning: Meaning::Nothing,
        ..switch(None, "sort", Key::NoSort, "sort the list (default)")
    },
    switch(None, "nosort", Key::NoSort, "do not sort the list"),
    value(
        None,
        "syncid",
        Key::SyncId,
        "N",
        "id of a sync daemon, 0 to 255",
    ),
    value(
        None,
        "sync-maxlen",
        Key::SyncMaxlen,
        "N",
        "longest sync message",
    ),
    value(
        None,
        "mcast-interface",
        Key::McastInterface,
        "IF",
        "interface of a sync daemon",
    ),
    value(
        None,
        "mcast-group",
        Key::McastGroup,
        "ADDR",
        "multicast group",
    ),
    value(None, "mcast-port", Key::McastPort, "N", "multicast port"),
    value(
        None,
        "mcast-ttl",
        Key::McastTtl,
        "N",
        "multicast time to live",
    ),
    Flag {
        ours: true,
        ..switch(None, "json", Key::Json, "list as JSON")
    },
];

/// The row of a short option.
pub(crate) fn short(letter: u8) -> Option<&'static Flag> {
    let row = *BY_LETTER.get(usize::from(letter))?;
    FLAGS.get(usize::from(row))
}

/// The rows of the short options; for other letters, one that there is not. A table of many lines
/// asks much.
const BY_LETTER: [u8; 128] = {
    let mut rows = [u8::MAX; 128];
    let mut row = 0;
    while row < FLAGS.len() {
        if let Some(letter) = FLAGS[row].short {
            rows[letter as usize] = row as u8;
        }
        row += 1;
    }
    rows
};

/// The row of a long option.
pub(crate) fn long(name: &[u8]) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.long.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_means_two_things() {
        for (index, flag) in FLAGS.iter().enumerate() {
            for other in &FLAGS[index + 1..] {
                assert!(
                    flag.short.is_none() || flag.short != other.short,
                    "{flag:?} {other:?}"
                );
                assert!(
                    flag.long != other.long || flag.meaning == other.meaning,
                    "{flag:?}"
                );
            }
        }
    }

    #[test]
    fn every_key_can_be_given() {
        for (key, name) in KEYS {
            assert!(
                FLAGS.iter().any(|flag| flag.meaning == Meaning::Key(key)),
                "{name}"
            );
        }
    }
}
