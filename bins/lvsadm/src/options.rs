//! The options of a command line as they are read, from left to right.
//!
//! Design: values are checked the moment they come, so that the first error of a line is the one
//! that ipvsadm reports. What goes with which command is checked later, in `command`.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ipvs_netlink::{AddressFamily, DaemonRole, Granularity, Protocol, ServiceKey, TunnelChecksum};

use crate::command::Dialect;
use crate::exit::{Failure, Outcome};
use crate::flags::{KEYS, Key, Keys, Meaning, Verb};
use crate::value::{self, number};
use crate::words::Found;

/// 31 days, in seconds.
pub(crate) const LONGEST_TIMEOUT: u64 = 2_678_400;

/// Ways to forward, as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Forwarding {
    #[default]
    Gatewaying,
    Ipip,
    Masquerading,
}

/// Kinds of tunnels, as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum TunnelType {
    #[default]
    Ipip,
    Gue,
    Gre,
}

impl TunnelType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Gue => "gue",
            Self::Gre => "gre",
        }
    }
}

/// Which words gave the keys, by key.
#[derive(Debug)]
struct Places([usize; KEYS.len()]);

impl Default for Places {
    fn default() -> Self {
        Self([0; KEYS.len()])
    }
}

/// What the options of a command line have said.
#[derive(Debug, Default)]
pub(crate) struct Options<'a> {
    pub(crate) given: Keys,
    places: Places,
    /// Whether numbers may be all that IPVS takes, and not only what ipvsadm takes.
    wide: bool,
    pub(crate) service: Option<ServiceKey>,
    pub(crate) scheduler: Option<&'a [u8]>,
    pub(crate) scheduler_flags: Option<&'a [u8]>,
    pub(crate) persistence: Option<Duration>,
    pub(crate) granularity: Granularity,
    pub(crate) engine: Option<&'a [u8]>,
    pub(crate) server: Option<(IpAddr, Option<u16>)>,
    pub(crate) forwarding: Forwarding,
    pub(crate) weight: Option<u32>,
    pub(crate) upper_threshold: u32,
    pub(crate) lower_threshold: u32,
    pub(crate) tunnel_type: TunnelType,
    pub(crate) tunnel_port: u16,
    pub(crate) tunnel_checksum: TunnelChecksum,
    pub(crate) daemon_role: Option<DaemonRole>,
    pub(crate) interface: &'a [u8],
    pub(crate) sync_id: u8,
    pub(crate) sync_maxlen: Option<u16>,
    pub(crate) group: Option<IpAddr>,
    pub(crate) group_port: Option<u16>,
    pub(crate) ttl: Option<u8>,
}

impl<'a> Options<'a> {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            wide: dialect.wide,
            ..Self::default()
        }
    }

    /// Whether all is taken that IPVS takes.
    pub(crate) fn wide(&self) -> bool {
        self.wide
    }

    /// Whether a key was given.
    pub(crate) fn has(&self, key: Key) -> bool {
        self.given.has(key)
    }

    /// The word that gave a key; the first one if none did.
    pub(crate) fn place(&self, key: Key) -> usize {
        self.places.0.get(key as usize).copied().unwrap_or_default()
    }

    /// Takes the value of `--start-daemon` or `--stop-daemon`.
    pub(crate) fn take_state(&mut self, verb: Verb, value: &[u8]) -> Outcome<()> {
        self.daemon_role = match value {
            b"master" => Some(DaemonRole::Master),
            b"backup" => Some(DaemonRole::Backup),
            _ if verb == Verb::StartDaemon => {
                return Err(Failure::usage("illegal start-daemon parameter specified"));
            }
            _ => return Err(Failure::usage("illegal start_daemon specified")),
        };
        Ok(())
    }

    /// Takes an option behind the command.
    pub(crate) fn take(&mut self, found: &Found<'a>) -> Outcome<()> {
        let key = match found.flag.meaning {
            Meaning::Verb(_) => {
                return Err(Failure::usage(quoted("invalid option", found.word, "")));
            }
            Meaning::Ipv6 => return self.take_ipv6(),
            Meaning::Nothing => return Ok(()),
            Meaning::Key(key) => key,
        };
        if self.has(key) {
            let message = format!("multiple '{}' options specified", key.name());
            return Err(Failure::usage(message));
        }
        self.given.add(key);
        if let Some(place) = self.places.0.get_mut(key as usize) {
            *place = found.place;
        }
        let text = found.value.unwrap_or_default();
        let largest = if self.wide { u32::MAX.into() } else { MAX_INT };
        match key {
            Key::Service => self.take_service(found.flag.long, text)?,
            Key::Scheduler => self.scheduler = Some(text),
            Key::SchedFlags => self.scheduler_flags = Some(text),
            Key::Persistent => {
                let seconds = match found.value {
                    Some(text) if self.wide => timeout(text, 0, u32::MAX.into())?,
                    Some(text) => timeout(text, 1, LONGEST_TIMEOUT)?,
                    None => 360,
                };
                self.persistence = Some(Duration::from_secs(seconds));
            }
            Key::Netmask => self.take_netmask(text)?,
            Key::Engine => self.engine = Some(text),
            Key::Server => {
                let protocols: &[Protocol] = match &self.service {
                    Some(ServiceKey::Address { protocol, .. }) => &[*protocol],
                    Some(ServiceKey::Mark { .. }) => &[Protocol::Tcp],
                    None => &[],
                };
                let illegal = || Failure::usage("illegal real server address[:port] specified");
                let (address, mut port) = value::endpoint(text, protocols).ok_or_else(illegal)?;
                if !self.wide {
                    // The service's port as far as it is known: 0 if the service comes later.
                    let of_service = self.service.as_ref().map_or(0, ServiceKey::port);
                    port = port.or(Some(of_service));
                }
                self.server = Some((address, port));
            }
            Key::Forwarding => {
                self.forwarding = match found.flag.short {
                    Some(b'i') => Forwarding::Ipip,
                    Some(b'm') => Forwarding::Masquerading,
                    _ => Forwarding::Gatewaying,
                };
            }
            Key::Weight => {
                self.weight = Some(in_range(text, 0, largest, "illegal weight specified")?)
            }
            Key::UpperThreshold => {
                self.upper_threshold = in_range(text, 0, largest, "illegal u_threshold specified")?;
            }
            Key::LowerThreshold => {
                self.lower_threshold = in_range(text, 0, largest, "illegal l_threshold specified")?;
            }
            Key::TunType => {
                self.tunnel_type = match text {
                    b"ipip" => TunnelType::Ipip,
                    b"gue" => TunnelType::Gue,
                    b"gre" => TunnelType::Gre,
                    _ => return Err(Failure::usage("illegal tunnel type specified")),
                };
            }
            Key::TunPort => {
                self.tunnel_port = in_range(
                    text,
                    u64::from(!self.wide),
                    65535,
                    "illegal tunnel port specified",
                )?;
            }
            Key::TunNocsum => self.tunnel_checksum = TunnelChecksum::None,
            Key::TunCsum => self.tunnel_checksum = TunnelChecksum::Full,
            Key::TunRemcsum => self.tunnel_checksum = TunnelChecksum::Remote,
            Key::SyncId => self.sync_id = in_range(text, 0, 255, "illegal syncid specified")?,
            Key::SyncMaxlen => {
                let length = in_range(text, 1, 65507, "illegal sync-maxlen specified")?;
                self.sync_maxlen = Some(length);
            }
            Key::McastInterface => self.interface = text,
            Key::McastGroup => self.group = Some(multicast_group(text)?),
            Key::McastPort => {
                let port = in_range(text, 1, 65535, "illegal mcast-port specified")?;
                self.group_port = Some(port);
            }
            Key::McastTtl => {
                self.ttl = Some(in_range(text, 1, 255, "illegal mcast-ttl specified")?);
            }
            Key::Numeric
            | Key::Connection
            | Key::Timeout
            | Key::Daemon
            | Key::Stats
            | Key::Rate
            | Key::Thresholds
            | Key::PersistentConn
            | Key::NoSort
            | Key::Exact
            | Key::Ops
            | Key::TunInfo
            | Key::Json => {}
        }
        Ok(())
    }

    fn take_ipv6(&mut self) -> Outcome<()> {
        match &mut self.service {
            Some(ServiceKey::Mark { family, .. }) => {
                *family = AddressFamily::Inet6;
                // As with an IPv6 address: a mask given before is forgotten.
                self.granularity = Granularity::Host;
                Ok(())
            }
            // An oddity that scripts can see: an empty line follows.
            _ => Err(Failure::usage("-6 used before -f\n")),
        }
    }

    fn take_service(&mut self, option: &str, text: &[u8]) -> Outcome<()> {
        let protocol = match option {
            "tcp-service" => Protocol::Tcp,
            "udp-service" => Protocol::Udp,
            "sctp-service" => Protocol::Sctp,
            _ => {
                let mark = number(text, 1, u32::MAX.into())
                    .and_then(|mark| NonZeroU32::new(u32::try_from(mark).ok()?))
                    .ok_or_else(|| {
                        Failure::usage(quoted("invalid fwmark value", text, " specified"))
                    })?;
                let family = AddressFamily::Inet;
                self.service = Some(ServiceKey::Mark { mark, family });
                return Ok(());
            }
        };
        let (address, port) = value::endpoint(text, &[protocol])
            .ok_or_else(|| Failure::usage("illegal virtual server address[:port] specified"))?;
        if address.is_ipv6() {
            self.granularity = Granularity::Host;
        }
        let port = port.unwrap_or(0);
        self.service = Some(ServiceKey::Address {
            protocol,
            address,
            port,
        });
        Ok(())
    }

    /// The family is that of the service as far as it is known; before it, IPv4.
    fn take_netmask(&mut self, text: &[u8]) -> Outcome<()> {
        let family = self
            .service
            .as_ref()
            .map_or(AddressFamily::Inet, ServiceKey::family);
        self.granularity = match family {
            AddressFamily::Inet => Granularity::Mask(value::ipv4(text).ok_or_else(|| {
                Failure::usage("illegal virtual server persistent mask specified")
            })?),
            AddressFamily::Inet6 => {
                // As atoi: what follows the digits does not matter.
                let text = text.trim_ascii_start();
                let text = text.strip_prefix(b"+").unwrap_or(text);
                let end = text.iter().position(|byte| !byte.is_ascii_digit());
                let prefix = number(&text[..end.unwrap_or(text.len())], 1, 128)
                    .and_then(|prefix| u8::try_from(prefix).ok())
                    .ok_or_else(|| Failure::usage("illegal ipv6 netmask specified"))?;
                Granularity::Prefix(prefix)
            }
        };
        if matches!(self.granularity, Granularity::Mask(mask) if mask.is_broadcast())
            || self.granularity == Granularity::Prefix(128)
        {
            self.granularity = Granularity::Host;
        }
        Ok(())
    }
}

const MAX_INT: u64 = i32::MAX as u64;

/// A timeout in seconds.
pub(crate) fn timeout(text: &[u8], low: u64, high: u64) -> Outcome<u64> {
    number(text, low, high)
        .ok_or_else(|| Failure::usage(quoted("invalid timeout value", text, " specified")))
}

fn in_range<N: TryFrom<u64>>(text: &[u8], low: u64, high: u64, message: &str) -> Outcome<N> {
    number(text, low, high)
        .and_then(|value| N::try_from(value).ok())
        .ok_or_else(|| Failure::usage(message))
}

fn multicast_group(text: &[u8]) -> Outcome<IpAddr> {
    if text.contains(&b':') {
        return match value::ipv6(text) {
            Some(group) if group.is_multicast() => Ok(group.into()),
            _ => Err(Failure::usage(quoted("invalid IPv6 mcast-group", text, ""))),
        };
    }
    let group = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    match group {
        Some(IpAddr::V4(group)) if group.is_multicast() => Ok(group.into()),
        _ => Err(Failure::usage(quoted("invalid IPv4 mcast-group", text, ""))),
    }
}

/// `BEFORE` and the text between a backtick and an apostrophe, byte for byte, and `BEHIND`.
pub(crate) fn quoted(before: &str, text: &[u8], behind: &str) -> Vec<u8> {
    [before.as_bytes(), b" `", text, b"'", behind.as_bytes()].concat()
}
