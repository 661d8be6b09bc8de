//! What the fuzz targets call. Not for others; changes without notice.

use std::time::Duration;

use neli::consts::genl::CtrlAttr;
use neli::consts::nl::NlmF;

use crate::codec::{Attributes, Messages, Writer};
use crate::connection::ConnectionEntry;
use crate::daemon::SyncDaemon;
use crate::destination::DestinationEntry;
use crate::exchange::{Exchange, Query};
use crate::info::Info;
use crate::service::ServiceEntry;
use crate::session::Session;
use crate::table::Table;
use crate::timeouts::Timeouts;
use crate::uapi::*;
use crate::{AddressFamily, ParseError};

/// Takes `bytes` for the answers to a question: whatever can be read must survive being written and
/// read again.
///
/// # Panics
///
/// If it does not.
pub fn answers(bytes: &[u8]) {
    let mut request = Vec::new();
    let mut exchange = Exchange::query(&Query::Services, 0x1c, 1, &mut request);
    for message in Messages::new(bytes) {
        let Ok(message) = message else { break };
        let _ = exchange.handle_message(&message);
        let Ok((_, attributes)) = message.generic() else {
            continue;
        };
        let _ = Info::unpack(&attributes);
        let _ = Timeouts::unpack(&attributes);
        let found = |kind: u16| attributes.find(kind).ok().flatten();
        if let Some(service) = found(IPVS_CMD_ATTR_SERVICE) {
            round_trip(&service.nested(), ServiceEntry::unpack, ServiceEntry::pack);
        }
        if let Some(destination) = found(IPVS_CMD_ATTR_DEST) {
            for family in [AddressFamily::Inet, AddressFamily::Inet6] {
                let unpack =
                    |attributes: &Attributes<'_>| DestinationEntry::unpack(attributes, family);
                round_trip(&destination.nested(), unpack, DestinationEntry::pack);
            }
        }
        if let Some(daemon) = found(IPVS_CMD_ATTR_DAEMON) {
            round_trip(&daemon.nested(), SyncDaemon::unpack, SyncDaemon::pack);
        }
    }
    let _ = exchange.into_failures();
}

/// Takes `bytes` for what comes back while a client calls; when they are used up, answers have been
/// lost.
///
/// # Panics
///
/// If a call does.
pub fn calls(bytes: &[u8]) {
    let key = crate::ServiceKey::tcp(([10, 0, 0, 1], 80).into());
    let commands = [
        crate::Command::DeleteService(key),
        crate::Command::AddService(crate::VirtualService::new(key, crate::Name::default())),
        crate::Command::Flush,
    ];
    let connect = || {
        let mut pieces = vec![bytes.to_vec(), Vec::new()];
        Writer::new(&mut pieces[1]).generic(0x10, NlmF::empty(), 1, 0, 1, |writer| {
            writer.u16(CtrlAttr::FamilyId.into(), 0x1c);
        });
        Writer::new(&mut pieces[1]).message(2, NlmF::empty(), 1, 0, |writer| writer.raw(&[0; 20]));
        crate::Client::connect(Replay(pieces)).expect("the first answer is ours")
    };
    let _ = connect().info();
    let _ = connect().rules();
    let _ = connect().service(&key);
    let _ = connect().daemons();
    let _ = connect().apply(&commands);
    let _ = connect().connections(drop);
}

/// What is received, the last first.
struct Replay(Vec<Vec<u8>>);

impl crate::Transport for Replay {
    fn send(&mut self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, buffer: &mut Vec<u8>, limit: Duration) -> std::io::Result<usize> {
        match self.0.pop().filter(|piece| !piece.is_empty()) {
            Some(piece) => {
                buffer.extend_from_slice(&piece);
                Ok(piece.len())
            }
            // Whoever knows of the loss does not wait long for what is left.
            None if limit < Duration::from_secs(1) => Err(std::io::ErrorKind::TimedOut.into()),
            None => Err(std::io::Error::from_raw_os_error(libc::ENOBUFS)),
        }
    }
}

/// Takes `bytes` for what a client sends to a table, in two pieces. Whatever the table has taken, a
/// client must be able to read.
///
/// # Panics
///
/// If it is not.
pub fn requests(bytes: &[u8]) {
    let mut table = Table::new(());
    let mut session = Session::new();
    let mut output = Vec::new();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for piece in [first, second] {
        if session.handle_input(piece).is_err() {
            break;
        }
        while session
            .poll_output(&mut table, &mut output)
            .unwrap_or(false)
        {}
    }
    for message in Messages::new(&output) {
        message.expect("answers of the table are messages");
    }

    let rules = table.rules();
    let transport = crate::InProcess::new(std::sync::Arc::new(std::sync::Mutex::new(table)));
    let mut client = crate::Client::connect(transport).expect("the table is there");
    assert_eq!(client.rules().expect("the table is readable"), rules);
}

/// Takes `bytes` for lines of the connection list.
///
/// # Panics
///
/// If a line that can be read does not survive being written and read again.
pub fn connections(bytes: &[u8]) {
    for line in String::from_utf8_lossy(bytes).lines() {
        if let Ok(entry) = ConnectionEntry::parse(line) {
            let again = ConnectionEntry::parse(&entry.to_string());
            assert_eq!(again.expect("written lines can be read"), entry);
        }
    }
}

fn round_trip<T: PartialEq + std::fmt::Debug>(
    attributes: &Attributes<'_>,
    unpack: impl Fn(&Attributes<'_>) -> Result<T, ParseError>,
    pack: impl Fn(&T, &mut Writer<'_>),
) {
    let Ok(value) = unpack(attributes) else {
        return;
    };
    let mut bytes = Vec::new();
    pack(&value, &mut Writer::new(&mut bytes));
    assert_eq!(
        unpack(&Attributes::new(&bytes)).expect("written values can be read"),
        value
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;
    use crate::codec::Message;
    use crate::command::Command;

    /// Requests and answers of the recording, as a corpus to break.
    fn corpus() -> Vec<Vec<u8>> {
        let digit = |line: &str, at: usize| u8::from_str_radix(line.get(at..at + 2)?, 16).ok();
        let recording = include_str!("../tests/recorded/linux-6.1.txt");
        let lines = recording
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.get(2..));
        lines
            .map(|line| {
                (0..line.len())
                    .step_by(2)
                    .map_while(|at| digit(line, at))
                    .collect()
            })
            .collect()
    }

    /// Writes a command as a client does and reads it as the table does.
    fn assert_survives(command: &Command) {
        let mut bytes = Vec::new();
        let _ = Exchange::commands([command], 0x1c, 7, &mut bytes);
        let message: Message<'_> = Messages::new(&bytes)
            .next()
            .expect("one request")
            .expect("a whole request");
        let known = match command {
            Command::AddService(_) => None,
            Command::EditService(service) => Some(service.clone()),
            Command::DeleteService(key)
            | Command::Zero(Some(key))
            | Command::AddDestination { service: key, .. }
            | Command::EditDestination { service: key, .. }
            | Command::DeleteDestination { service: key, .. } => {
                Some(crate::VirtualService::new(*key, crate::Name::default()))
            }
            _ => None,
        };
        let request = crate::table::parse(&message, false, |_| known.as_ref());
        assert_eq!(request, Ok(crate::table::Request::Change(command.clone())));
    }

    #[test]
    fn the_recording_survives() {
        for bytes in corpus() {
            answers(&bytes);
            calls(&bytes);
            requests(&bytes);
        }
    }

    /// Seeds are there to reach deep; that they do must not be lost.
    #[test]
    fn the_seeds_survive_and_mean_something() {
        let seeds = lvs_testkit::seeds("ipvs_replies");
        for (name, bytes) in seeds {
            answers(&bytes);
            calls(&bytes);
            assert!(Messages::new(&bytes).all(|it| it.is_ok()), "{name}");
        }
        for (name, bytes) in lvs_testkit::seeds("ipvs_requests") {
            requests(&bytes);
            assert!(Messages::new(&bytes).all(|it| it.is_ok()), "{name}");
        }
        for (name, bytes) in lvs_testkit::seeds("ipvs_connections") {
            connections(&bytes);
            let text = String::from_utf8(bytes).expect("lines of text");
            for line in text.lines() {
                assert!(ConnectionEntry::parse(line).is_ok(), "{name}: {line}");
            }
        }
    }

    proptest! {
        #[test]
        fn commands_survive(command in arbitrary::command()) {
            assert_survives(&command);
        }

        #[test]
        fn entries_survive(
            service in arbitrary::service(),
            destination in arbitrary::destination(),
            stats in arbitrary::stats(),
            counts: [u32; 3],
        ) {
            let entry = ServiceEntry { service, stats };
            let mut bytes = Vec::new();
            entry.pack(&mut Writer::new(&mut bytes));
            prop_assert_eq!(ServiceEntry::unpack(&Attributes::new(&bytes)).unwrap(), entry);

            let status = crate::DestinationStatus {
                active_conns: counts[0],
                inactive_conns: counts[1],
                persist_conns: counts[2],
                stats,
            };
            let entry = DestinationEntry { destination, status };
            let mut bytes = Vec::new();
            entry.pack(&mut Writer::new(&mut bytes));
            // The entry says its family itself; the service's must not matter.
            for family in [AddressFamily::Inet, AddressFamily::Inet6] {
                let read = DestinationEntry::unpack(&Attributes::new(&bytes), family).unwrap();
                prop_assert_eq!(read, entry);
            }
        }

        #[test]
        fn broken_messages_never_panic(
            index: prop::sample::Index,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            length: prop::sample::Index,
        ) {
            let mut bytes = index.get(&corpus()).clone();
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            bytes.truncate(length.index(bytes.len()) + 1);
            answers(&bytes);
            calls(&bytes);
            requests(&bytes);
        }

        #[test]
        fn rubbish_never_panics(bytes: Vec<u8>) {
            answers(&bytes);
            calls(&bytes);
            requests(&bytes);
            connections(&bytes);
        }
    }
}
