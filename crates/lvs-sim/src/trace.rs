//! The trace format: scheduler scenarios with a kernel's answers, as JSON Lines.
//!
//! The first line is a `trace` object that names the scenario; every further line is one event, in
//! order: configuration (`svc-add`, `dest-edit`, `sysctl`, …), packets (`open`, `pkt`), time
//! (`wait`) and remarks (`conns`, `note`). The README beside the recorded traces describes all
//! keys.
//!
//! # Design
//!
//! Reading checks what can be checked a line at a time and keeps the text of each line for reports.
//! Whether events fit together (a packet of an unknown flow, a destination added twice) is for the
//! [replay](crate::replay) to find. Unknown keys are ignored, unknown events are not: skipping one
//! would make everything after it meaningless.

mod fault;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

pub use self::fault::{Fault, TraceError};

/// The longest line that is read, in bytes. The `dests` of a thousand servers take about 50 kB.
pub const MAX_LINE: u64 = 16 << 20;
/// The longest single `wait`, in seconds: three years.
pub const MAX_WAIT: f64 = 1e8;

/// A trace that has been read.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The file it came from, for messages.
    pub path: PathBuf,
    /// What the first line says.
    pub header: Header,
    /// The events after the first line.
    pub lines: Vec<Line>,
}

/// An event and where it stands.
#[derive(Clone, Debug)]
pub struct Line {
    /// Line number in the file, from 1.
    pub number: usize,
    /// The line as it was written.
    pub text: String,
    /// What it says.
    pub event: Event,
}

/// The first line of a trace.
#[derive(Clone, Debug, Deserialize)]
pub struct Header {
    /// Version of the format; only 1 exists.
    pub format: u32,
    /// Name of the scenario.
    pub name: String,
    /// The scheduler, or `conn`.
    #[serde(default)]
    pub group: String,
    /// What the scenario is about, in a sentence.
    #[serde(default)]
    pub about: String,
    /// Release of the kernel that answered.
    #[serde(default)]
    pub kernel: String,
}

/// What happened, and what the kernel answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "ev", rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the format, described in its README"
)]
#[non_exhaustive]
pub enum Event {
    /// The header; only as the first line.
    Trace(Header),
    /// A service is created.
    SvcAdd(ServiceLine),
    /// A service gets new settings; what is absent is cleared.
    SvcEdit(ServiceLine),
    /// A service is deleted with its destinations.
    SvcDel { svc: String, dests: Option<Tables> },
    /// A destination is added, or comes back.
    DestAdd(DestinationLine),
    /// A destination gets new settings; absent thresholds are 0.
    DestEdit(DestinationLine),
    /// A destination is removed.
    DestDel {
        svc: String,
        dest: SocketAddr,
        dests: Option<Tables>,
    },
    /// A kernel variable is written.
    Sysctl {
        name: String,
        value: serde_json::Value,
        dests: Option<Tables>,
    },
    /// `ipvsadm --set`: seconds, 0 leaves a timeout as it is.
    Timeouts {
        #[serde(default)]
        tcp: u32,
        #[serde(default)]
        tcpfin: u32,
        #[serde(default)]
        udp: u32,
        dests: Option<Tables>,
    },
    /// The first packet of a flow.
    Open(OpenLine),
    /// A further packet of a flow.
    Pkt(PacketLine),
    /// Time passes.
    Wait {
        sec: f64,
        #[serde(default)]
        chg: Vec<CountRow>,
    },
    /// The connection table. Not looked at by the replay.
    Conns {},
    /// A remark.
    Note {},
}

/// `svc-add`, `svc-edit`.
#[derive(Clone, Debug, Deserialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the format, described in its README"
)]
pub struct ServiceLine {
    pub svc: String,
    pub proto: Option<TransportName>,
    pub addr: Option<IpAddr>,
    pub port: Option<u16>,
    pub fwmark: Option<u32>,
    pub af: Option<u8>,
    pub sched: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub flags: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub persist: u32,
    pub netmask: Option<Netmask>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub ops: bool,
    pub dests: Option<Tables>,
}

/// `dest-add`, `dest-edit`.
#[derive(Clone, Debug, Deserialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the format, described in its README"
)]
pub struct DestinationLine {
    pub svc: String,
    pub dest: SocketAddr,
    pub weight: u32,
    #[serde(default)]
    pub upper: u32,
    #[serde(default)]
    pub lower: u32,
    #[serde(default)]
    pub fwd: ForwardName,
    pub dests: Option<Tables>,
}

/// `open`.
#[derive(Clone, Debug, Deserialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the format, described in its README"
)]
pub struct OpenLine {
    pub id: u64,
    pub svc: String,
    pub src: IpAddr,
    pub sport: u16,
    pub dst: Option<IpAddr>,
    pub dport: Option<u16>,
    pub proto: Option<TransportName>,
    pub flags: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub got: Answer,
    #[serde(default)]
    pub chg: Vec<CountRow>,
}

/// `pkt`.
#[derive(Clone, Debug, Deserialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the format, described in its README"
)]
pub struct PacketLine {
    pub id: u64,
    pub dir: Direction,
    pub flags: Option<String>,
    pub fwd: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    pub got: Answer,
    #[serde(default)]
    pub chg: Vec<CountRow>,
}

/// A decision as told: not at all, refused (`null`), or a server.
pub type Answer = Option<Option<SocketAddr>>;

/// Per service its destinations in the kernel's order.
pub type Tables = BTreeMap<String, Vec<TableRow>>;

/// Destination, weight, active and inactive connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct TableRow(pub SocketAddr, pub u32, pub u32, pub u32);

/// Service, destination, active and inactive connections.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CountRow(pub String, pub SocketAddr, pub u32, pub u32);

/// A transport protocol as a trace names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportName {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A forwarding method as a trace names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForwardName {
    /// Masquerading, the default.
    #[default]
    Masq,
    /// Direct routing.
    Dr,
    /// Tunnelling.
    Tun,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the client.
    In,
    /// From the server of the flow.
    Out,
}

/// Persistence granularity: a mask for IPv4, a prefix length for IPv6.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Netmask {
    /// `64`, IPv6.
    Length(u8),
    /// `"255.255.255.0"`, or a length as text.
    Text(String),
}

impl Trace {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`TraceError`], with the file and, where there is one, the line.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let file = File::open(path).map_err(|source| TraceError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::read(path, BufReader::new(file))
    }

    /// Reads a trace from `input`; `path` is for messages only.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn read(path: &Path, mut input: impl BufRead) -> Result<Self, TraceError> {
        let malformed = |line, fault| TraceError::Malformed {
            path: path.to_owned(),
            line,
            fault,
        };
        let mut header = None;
        let mut lines = Vec::new();
        let mut number = 0;
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = input
                .by_ref()
                .take(MAX_LINE + 1)
                .read_until(b'\n', &mut bytes)
                .map_err(|source| TraceError::Io {
                    path: path.to_owned(),
                    source,
                })?;
            if read == 0 {
                break;
            }
            number += 1;
            if read as u64 > MAX_LINE {
                return Err(malformed(number, Fault::TooLong));
            }
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| malformed(number, Fault::NotText))?
                .trim_end();
            if text.is_empty() {
                continue;
            }
            let event = parse(text).map_err(|fault| malformed(number, fault))?;
            match (&header, event) {
                (None, Event::Trace(first)) => header = Some(first),
                (None, _) => return Err(malformed(number, Fault::NoHeader)),
                (Some(_), Event::Trace(_)) => return Err(malformed(number, Fault::SecondHeader)),
                (Some(_), event) => lines.push(Line {
                    number,
                    text: text.to_owned(),
                    event,
                }),
            }
        }
        match header {
            Some(header) => Ok(Self {
                path: path.to_owned(),
                header,
                lines,
            }),
            None => Err(TraceError::Empty {
                path: path.to_owned(),
            }),
        }
    }
}

impl Event {
    /// The tables a configuration line ends with, if it is the last of several in a row.
    #[must_use]
    pub fn tables(&self) -> Option<&Tables> {
        match self {
            Self::SvcAdd(line) | Self::SvcEdit(line) => line.dests.as_ref(),
            Self::DestAdd(line) | Self::DestEdit(line) => line.dests.as_ref(),
            Self::SvcDel { dests, .. }
            | Self::DestDel { dests, .. }
            | Self::Sysctl { dests, .. }
            | Self::Timeouts { dests, .. } => dests.as_ref(),
            _ => None,
        }
    }

    /// Is this a line that changes the configuration.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::SvcAdd(_)
                | Self::SvcEdit(_)
                | Self::SvcDel { .. }
                | Self::DestAdd(_)
                | Self::DestEdit(_)
                | Self::DestDel { .. }
                | Self::Sysctl { .. }
                | Self::Timeouts { .. }
        )
    }
}

fn parse(text: &str) -> Result<Event, Fault> {
    let event: Event = serde_json::from_str(text)?;
    let flags = match &event {
        Event::Trace(header) if header.format != 1 => return Err(Fault::Format(header.format)),
        Event::Wait { sec, .. } if !(0.0..=MAX_WAIT).contains(sec) => {
            return Err(Fault::Wait(*sec));
        }
        Event::Open(open) if open.got.is_none() => return Err(Fault::NoAnswer("got")),
        Event::Pkt(packet) if packet.fwd.is_none() => return Err(Fault::NoAnswer("fwd")),
        Event::Open(open) => open.flags.as_ref(),
        Event::Pkt(packet) => packet.flags.as_ref(),
        _ => None,
    };
    match flags {
        Some(flags) if flags.contains(|c| !"SAFRP".contains(c)) => {
            Err(Fault::TcpFlags(flags.clone()))
        }
        _ => Ok(event),
    }
}

/// Tells a key that is `null` from one that is absent.
fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

fn null_as_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const HEAD: &str = r#"{"ev":"trace","format":1,"name":"t"}"#;

    fn read(text: &str) -> Result<Trace, TraceError> {
        Trace::read(Path::new("x.jsonl"), text.as_bytes())
    }

    fn fault(line: &str) -> String {
        read(&format!("{HEAD}\n{line}\n")).unwrap_err().to_string()
    }

    #[test]
    fn an_answer_of_null_is_not_a_missing_answer() {
        let open = r#"{"ev":"open","id":1,"svc":"s","src":"1.2.3.4","sport":5,"got":null}"#;
        let trace = read(&format!("{HEAD}\n{open}\n")).unwrap();
        let Some(Line {
            number: 2,
            event: Event::Open(open),
            ..
        }) = trace.lines.first()
        else {
            panic!("{trace:?}");
        };
        assert_eq!(open.got, Some(None));
    }

    #[test]
    fn faults_carry_file_and_line() {
        assert_eq!(
            read("").unwrap_err().to_string(),
            "x.jsonl:1: empty, a trace begins with a `trace` line"
        );
        assert_eq!(
            read("{\"ev\":\"note\"}").unwrap_err().to_string(),
            "x.jsonl:1: the first line must be a `trace` event"
        );
        assert_eq!(
            read(r#"{"ev":"trace","format":2,"name":"t"}"#)
                .unwrap_err()
                .to_string(),
            "x.jsonl:1: format 2 is not known, only 1 is"
        );
        assert_eq!(fault(HEAD), "x.jsonl:2: a second `trace` event");
        assert_eq!(
            fault(r#"{"ev":"wait","sec":-1}"#),
            "x.jsonl:2: wait of -1 seconds"
        );
        assert_eq!(
            fault(r#"{"ev":"open","id":1,"svc":"s","src":"1.2.3.4","sport":5}"#),
            "x.jsonl:2: the kernel's answer `got` is missing: a scenario that was not recorded?"
        );
        assert_eq!(
            fault(r#"{"ev":"pkt","id":1,"dir":"in","flags":"Z","fwd":true}"#),
            "x.jsonl:2: bad TCP flags `Z`"
        );
        for broken in [
            "{",
            "[]",
            "7",
            r#"{"ev":"dance"}"#,
            r#"{"ev":"wait","sec":1e999}"#,
            "\u{0}",
        ] {
            let message = fault(broken);
            assert!(message.starts_with("x.jsonl:2: "), "{message}");
        }
        let error = Trace::read(Path::new("x.jsonl"), &b"\xff\xfe\n"[..]).unwrap_err();
        assert_eq!(error.to_string(), "x.jsonl:1: not UTF-8");
    }

    #[test]
    fn a_line_without_end_is_not_read_into_memory() {
        let error = Trace::read(Path::new("x"), BufReader::new(io::repeat(b'['))).unwrap_err();
        assert!(matches!(
            error,
            TraceError::Malformed {
                line: 1,
                fault: Fault::TooLong,
                ..
            }
        ));
    }
}
