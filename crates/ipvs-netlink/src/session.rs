//! The answering end of the conversation: a client's bytes in, the kernel's bytes out.
//!
//! Design: no socket, so that a thread, a tokio task and a test drive it alike, and the table is
//! only borrowed while a piece of an answer is made. Dumps come in pieces of some dozen kilobytes;
//! between two of them the table is free for others.

use neli::consts::genl::{CtrlAttr, CtrlCmd};
use neli::consts::nl::{NlmF, Nlmsg, NlmsgerrAttr};

use crate::codec::{HEADER, Message, Messages, ParseError, Writer, framed_length};
use crate::connection::TITLE;
use crate::exchange::{CONTROL_FAMILY, Query};
use crate::service::ServiceKey;
use crate::table::{Dataplane, Refusal, Request, Table, parse};
use crate::transport::MESSAGE_CONNECTIONS;
use crate::uapi::*;

/// Id of the IPVS family in this end's answers. The kernel assigns its own at each boot.
const FAMILY: u16 = 0x1c;

/// A piece of a dump ends when it is longer than this.
const PIECE: usize = 32 * 1024;

/// The longest extended message.
const LONGEST_MESSAGE: usize = 1000;

/// One client of a [`Table`].
///
/// Put what the client sent into [`handle_input`](Self::handle_input); then call
/// [`poll_output`](Self::poll_output) and send what it gives until it gives nothing. While a client
/// does not read, do not poll: nothing piles up here but what [`handle_input`](Self::handle_input)
/// was given.
#[derive(Debug, Default)]
pub struct Session {
    input: Vec<u8>,
    dump: Option<Dump>,
}

/// A dump that is under way.
#[derive(Debug)]
struct Dump {
    sequence: u32,
    position: Position,
    generation: u64,
}

#[derive(Debug)]
enum Position {
    Services(Option<ServiceKey>),
    Destinations(ServiceKey, usize),
    Daemons,
    Connections(u64),
    Nothing,
}

impl Session {
    /// A session with a new client.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes that the client sent, in pieces of any size.
    ///
    /// # Errors
    ///
    /// When they are no netlink messages: the connection should be closed.
    pub fn handle_input(&mut self, bytes: &[u8]) -> Result<(), ParseError> {
        self.input.extend_from_slice(bytes);
        framed_length(&self.input).map(drop)
    }

    /// Appends the next piece of the answers to `output`. Returns whether there may be more; then
    /// call again, after having sent this.
    ///
    /// # Errors
    ///
    /// When what the client sent are no netlink messages: the connection should be closed.
    pub fn poll_output<D: Dataplane>(
        &mut self,
        table: &mut Table<D>,
        output: &mut Vec<u8>,
    ) -> Result<bool, ParseError> {
        if let Some(dump) = self.dump.take() {
            self.dump = dump.go_on(table, output);
            return Ok(true);
        }
        let Some(length) = framed_length(&self.input)? else {
            return Ok(false);
        };
        let Some(bytes) = self.input.get(..length) else {
            return Ok(false);
        };
        for message in Messages::new(bytes) {
            self.dump = answer(&message?, table, output);
        }
        self.input.drain(..length);
        Ok(true)
    }
}

/// What one step of a dump did.
enum Step {
    /// Wrote an entry.
    Entry,
    /// Wrote as much as should be in memory at once.
    Piece,
    /// Found nothing more.
    End,
}

impl Dump {
    /// Writes a piece and returns itself unless that was the last one.
    fn go_on<D: Dataplane>(mut self, table: &mut Table<D>, output: &mut Vec<u8>) -> Option<Self> {
        let start = output.len();
        let changed = self.generation != table.generation();
        // The list of connections changes all the time; nobody expects it to hold still.
        let flags = match self.position {
            Position::Connections(_) => NlmF::MULTI,
            _ if changed => NlmF::MULTI | NlmF::DUMP_INTR,
            _ => NlmF::MULTI,
        };
        while output.len() - start < PIECE {
            match self.step(flags, table, output) {
                Step::Entry => {}
                Step::Piece => return Some(self),
                Step::End => {
                    Writer::new(output).message(Nlmsg::Done.into(), flags, self.sequence, 0, |w| {
                        w.raw(&0_i32.to_ne_bytes());
                    });
                    return None;
                }
            }
        }
        Some(self)
    }

    fn step<D: Dataplane>(
        &mut self,
        flags: NlmF,
        table: &mut Table<D>,
        output: &mut Vec<u8>,
    ) -> Step {
        let sequence = self.sequence;
        let mut writer = Writer::new(output);
        match &mut self.position {
            Position::Services(last) => {
                let Some(entry) = table.service_after(*last) else {
                    return Step::End;
                };
                *last = Some(entry.service.key);
                writer.generic(FAMILY, flags, sequence, 0, IPVS_CMD_NEW_SERVICE, |w| {
                    w.nest(IPVS_CMD_ATTR_SERVICE, |w| entry.pack(w));
                });
                Step::Entry
            }
            Position::Destinations(key, index) => {
                let Some(entry) = table.destination_entry(key, *index) else {
                    return Step::End;
                };
                *index += 1;
                writer.generic(FAMILY, flags, sequence, 0, IPVS_CMD_NEW_DEST, |w| {
                    w.nest(IPVS_CMD_ATTR_DEST, |w| entry.pack(w));
                });
                Step::Entry
            }
            Position::Daemons => {
                for daemon in table.daemons() {
                    writer.generic(FAMILY, flags, sequence, 0, IPVS_CMD_NEW_DAEMON, |w| {
                        w.nest(IPVS_CMD_ATTR_DAEMON, |w| daemon.pack(w));
                    });
                }
                Step::End
            }
            Position::Connections(position) => {
                let mut entries = Vec::new();
                let next = table.dataplane_mut().connections(*position, &mut entries);
                let mut text = String::new();
                if *position == 0 {
                    text.push_str(TITLE);
                }
                let mut lines = entries.iter().peekable();
                while let Some(entry) = lines.next() {
                    text.push_str(&entry.to_string());
                    text.push('\n');
                    // However many there are, a message stays short.
                    if text.len() >= PIECE && lines.peek().is_some() {
                        write_lines(&mut text, flags, sequence, &mut writer);
                    }
                }
                write_lines(&mut text, flags, sequence, &mut writer);
                match next {
                    Some(next) => {
                        *position = next;
                        Step::Piece
                    }
                    None => Step::End,
                }
            }
            Position::Nothing => Step::End,
        }
    }
}

/// Writes a piece of the connection list and clears it.
fn write_lines(text: &mut String, flags: NlmF, sequence: u32, writer: &mut Writer<'_>) {
    if !text.is_empty() {
        writer.message(MESSAGE_CONNECTIONS, flags, sequence, 0, |w| {
            w.raw(text.as_bytes())
        });
        text.clear();
    }
}

/// Answers a message. Returns the dump that it asks for.
fn answer<D: Dataplane>(
    message: &Message<'_>,
    table: &mut Table<D>,
    output: &mut Vec<u8>,
) -> Option<Dump> {
    let acknowledge = message.flags.contains(NlmF::ACK);
    // The kernel acts on requests only, and on none of the control types.
    if !message.flags.contains(NlmF::REQUEST) || message.kind < CONTROL_FAMILY {
        if acknowledge {
            write_status(message, Ok(()), output);
        }
        return None;
    }
    let dump = message.flags.contains(NlmF::DUMP);
    let generation = table.generation();
    let start = |position| {
        Some(Dump {
            sequence: message.sequence,
            position,
            generation,
        })
    };
    let result = match message.kind {
        CONTROL_FAMILY => find_family(message, output).map_err(Refusal::from),
        MESSAGE_CONNECTIONS => return start(Position::Connections(0)),
        FAMILY => match parse(message, dump, |key| table.service(key)) {
            Ok(Request::Change(command)) => table.execute(&command),
            Ok(Request::Query(query)) => match query {
                Query::Services => return start(Position::Services(None)),
                Query::Destinations(key) => return start(Position::Destinations(key, 0)),
                Query::Daemons => return start(Position::Daemons),
                query => one(message, &query, table, output).map_err(Refusal::from),
            },
            // No reason at all means an empty dump.
            Err(0) => return start(Position::Nothing),
            Err(errno) => Err(errno.into()),
        },
        _ => Err(libc::ENOENT.into()),
    };
    if acknowledge || result.is_err() {
        write_status(message, result, output);
    }
    None
}

/// Answers a question that has one answer.
fn one<D: Dataplane>(
    message: &Message<'_>,
    query: &Query,
    table: &mut Table<D>,
    output: &mut Vec<u8>,
) -> Result<(), i32> {
    let mut writer = Writer::new(output);
    let sequence = message.sequence;
    let flags = NlmF::empty();
    match query {
        Query::Info => {
            let info = table.info();
            writer.generic(FAMILY, flags, sequence, 0, IPVS_CMD_SET_INFO, |w| {
                info.pack(w)
            });
        }
        Query::Timeouts => {
            let timeouts = table.timeouts();
            writer.generic(FAMILY, flags, sequence, 0, IPVS_CMD_SET_CONFIG, |w| {
                timeouts.pack(w)
            });
        }
        Query::Service(key) => {
            let entry = table.service_entry(key).ok_or(libc::ESRCH)?;
            writer.generic(FAMILY, flags, sequence, 0, IPVS_CMD_NEW_SERVICE, |w| {
                w.nest(IPVS_CMD_ATTR_SERVICE, |w| entry.pack(w));
            });
        }
        _ => return Err(libc::EOPNOTSUPP),
    }
    Ok(())
}

/// Answers as generic netlink's controller to who looks for the family.
fn find_family(message: &Message<'_>, output: &mut Vec<u8>) -> Result<(), i32> {
    let (command, attributes) = message.generic().map_err(|_| libc::EINVAL)?;
    if command != u8::from(CtrlCmd::Getfamily) || message.flags.contains(NlmF::DUMP) {
        return Err(libc::EOPNOTSUPP);
    }
    let name = attributes
        .find(CtrlAttr::FamilyName.into())
        .map_err(|_| libc::EINVAL)?;
    if name.ok_or(libc::EINVAL)?.text() != IPVS_GENL_NAME {
        return Err(libc::ENOENT);
    }
    Writer::new(output).message(CONTROL_FAMILY, NlmF::empty(), message.sequence, 0, |w| {
        w.raw(&[CtrlCmd::Newfamily.into(), 2, 0, 0]);
        w.text(CtrlAttr::FamilyName.into(), IPVS_GENL_NAME);
        w.u16(CtrlAttr::FamilyId.into(), FAMILY);
        w.u32(CtrlAttr::Version.into(), IPVS_GENL_VERSION.into());
        w.u32(CtrlAttr::Hdrsize.into(), 0);
        w.u32(CtrlAttr::Maxattr.into(), IPVS_CMD_ATTR_MAX.into());
    });
    Ok(())
}

/// An acknowledgement, or an error, which quotes the whole request.
fn write_status(message: &Message<'_>, result: Result<(), Refusal>, output: &mut Vec<u8>) {
    let kind = Nlmsg::Error.into();
    let Err(refusal) = result else {
        Writer::new(output).message(kind, NlmF::CAPPED, message.sequence, 0, |w| {
            w.raw(&0_i32.to_ne_bytes());
            w.raw(message.raw.get(..HEADER).unwrap_or_default());
        });
        return;
    };
    let text = refusal
        .message
        .as_deref()
        .map(|text| cut(text, LONGEST_MESSAGE));
    let flags = if text.is_some() {
        NlmF::ACK_TLVS
    } else {
        NlmF::empty()
    };
    Writer::new(output).message(kind, flags, message.sequence, 0, |w| {
        w.raw(&refusal.errno.saturating_neg().to_ne_bytes());
        w.raw(message.raw);
        w.raw(&[0; 3][..message.raw.len().next_multiple_of(4) - message.raw.len()]);
        if let Some(text) = text {
            w.text(NlmsgerrAttr::Msg.into(), text);
        }
    });
}

fn cut(text: &str, length: usize) -> &str {
    let mut end = text.len().min(length);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
