//! One conversation with IPVS: which answers belong to which request, and when it is over.
//!
//! Design: no socket and no clock. Whoever has them sends the bytes, puts every message that comes
//! into [`Exchange::handle_message`] and stops when [`Exchange::is_finished`]. Blocking and
//! asynchronous clients share it. Several requests may be under way: only the last asks for an
//! acknowledgement, since the others answer on failure, and the kernel works through a batch in
//! order. Answers to other sequence numbers are left-overs of a conversation that was given up.

use neli::consts::genl::CtrlAttr;
use neli::consts::nl::{NlmF, NlmsgerrAttr};

use crate::codec::{Attributes, HEADER, Message, ParseError, Writer};
use crate::command::{Command, CommandKind, pack_service};
use crate::error::Refused;
use crate::service::ServiceKey;
use crate::transport::MESSAGE_CONNECTIONS;
use crate::uapi::IPVS_GENL_NAME;

/// Family id of generic netlink's own controller, which knows the ids of the others.
pub(crate) const CONTROL_FAMILY: u16 = 0x10;

/// What is asked for without a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// The id of the IPVS family.
    Family,
    /// Version and size.
    Info,
    /// All services.
    Services,
    /// One service.
    Service(ServiceKey),
    /// All destinations of a service.
    Destinations(ServiceKey),
    /// The timeouts.
    Timeouts,
    /// The sync daemons that run.
    Daemons,
    /// The connection list, where it comes as messages.
    Connections,
}

impl Query {
    /// The kind of request.
    pub fn kind(&self) -> CommandKind {
        match self {
            Self::Family => CommandKind::FindFamily,
            Self::Info => CommandKind::GetInfo,
            Self::Services | Self::Service(_) => CommandKind::GetService,
            Self::Destinations(_) => CommandKind::GetDestinations,
            Self::Timeouts => CommandKind::GetTimeouts,
            Self::Daemons => CommandKind::GetDaemons,
            Self::Connections => CommandKind::GetConnections,
        }
    }

    fn pack(&self, writer: &mut Writer<'_>, family: u16, sequence: u32) {
        let one = NlmF::REQUEST | NlmF::ACK;
        let dump = NlmF::REQUEST | NlmF::DUMP;
        let number = self.kind().number();
        match self {
            Self::Family => writer.generic(CONTROL_FAMILY, one, sequence, 0, number, |writer| {
                writer.text(CtrlAttr::FamilyName.into(), IPVS_GENL_NAME);
            }),
            Self::Info | Self::Timeouts => {
                writer.generic(family, one, sequence, 0, number, |_| {});
            }
            Self::Services | Self::Daemons => {
                writer.generic(family, dump, sequence, 0, number, |_| {});
            }
            Self::Service(key) => {
                writer.generic(family, one, sequence, 0, number, |writer| {
                    pack_service(key, writer);
                });
            }
            Self::Destinations(key) => {
                writer.generic(family, dump, sequence, 0, number, |writer| {
                    pack_service(key, writer);
                });
            }
            Self::Connections => writer.message(MESSAGE_CONNECTIONS, dump, sequence, 0, |_| {}),
        }
    }
}

/// A request of a batch that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{refused}")]
pub struct Failure {
    /// Which request of the batch, from 0.
    pub index: usize,
    /// What IPVS said.
    #[source]
    pub refused: Refused,
}

impl Failure {
    /// The request that was refused, among those that were sent.
    pub fn request<'a>(&self, commands: &'a [Command]) -> Option<&'a Command> {
        commands.get(self.index)
    }
}

/// One conversation. See the module for how to drive it.
#[derive(Debug)]
pub struct Exchange {
    first: u32,
    kinds: Vec<CommandKind>,
    failures: Vec<Failure>,
    finished: bool,
    interrupted: bool,
}

impl Exchange {
    /// Asks one question; the request is appended to `bytes`.
    pub fn query(query: &Query, family: u16, sequence: u32, bytes: &mut Vec<u8>) -> Self {
        query.pack(&mut Writer::new(bytes), family, sequence);
        Self::new(sequence, vec![query.kind()])
    }

    /// Asks for changes, in order; the requests are appended to `bytes`. They take as many sequence
    /// numbers as there are commands. Up to 200 leave room for all answers in the receive buffer of
    /// a netlink socket.
    pub fn commands<'a>(
        commands: impl IntoIterator<Item = &'a Command, IntoIter: ExactSizeIterator>,
        family: u16,
        sequence: u32,
        bytes: &mut Vec<u8>,
    ) -> Self {
        let commands = commands.into_iter();
        let count = commands.len();
        let mut kinds = Vec::with_capacity(count);
        let mut writer = Writer::new(bytes);
        for (number, command) in (sequence_numbers(sequence)).zip(commands) {
            kinds.push(command.kind());
            command.pack(&mut writer, family, number, kinds.len() == count);
        }
        Self::new(sequence, kinds)
    }

    fn new(first: u32, kinds: Vec<CommandKind>) -> Self {
        let finished = kinds.is_empty();
        Self {
            first,
            kinds,
            failures: Vec::new(),
            finished,
            interrupted: false,
        }
    }

    /// Takes a message that came. Gives it back if it is a piece of the answer.
    ///
    /// # Errors
    ///
    /// When the message is too short to be what it says.
    pub fn handle_message<'a>(
        &mut self,
        message: &Message<'a>,
    ) -> Result<Option<Message<'a>>, ParseError> {
        let index = message.sequence.wrapping_sub(self.first) as usize;
        let Some(kind) = self.kinds.get(index).copied() else {
            return Ok(None);
        };
        self.interrupted |= message.flags.contains(NlmF::DUMP_INTR);
        if message.is_error() || message.is_done() {
            let errno = match message.payload.first_chunk() {
                Some(code) => i32::from_ne_bytes(*code).saturating_neg(),
                // The end of a dump needs no status.
                None if message.is_done() => 0,
                None => {
                    let available = message.payload.len();
                    return Err(ParseError::Truncated {
                        needed: 4,
                        available,
                    });
                }
            };
            if errno != 0 {
                let message = extended_message(message);
                let refused = Refused {
                    command: kind,
                    errno,
                    message,
                };
                self.failures.push(Failure { index, refused });
            }
            self.finished |= index + 1 == self.kinds.len();
            return Ok(None);
        }
        Ok(Some(*message))
    }

    /// How many requests it has, and so sequence numbers.
    #[allow(
        clippy::len_without_is_empty,
        reason = "an exchange without requests is finished"
    )]
    pub fn len(&self) -> u32 {
        u32::try_from(self.kinds.len()).unwrap_or(u32::MAX)
    }

    /// Whether all answers have come.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether the table changed during a dump, so that entries may be missing or double.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// What was refused, in the order of the answers.
    pub fn into_failures(self) -> Vec<Failure> {
        self.failures
    }
}

fn sequence_numbers(first: u32) -> impl Iterator<Item = u32> {
    (0..=u32::MAX).map(move |number| first.wrapping_add(number))
}

/// `NLMSGERR_ATTR_MSG` of an error message, if it is there and readable.
///
/// Behind the code follows the request: whole, or only its header if the answer says `CAPPED`. The
/// end of a dump carries attributes right behind the code.
fn extended_message(message: &Message<'_>) -> Option<String> {
    if !message.flags.contains(NlmF::ACK_TLVS) {
        return None;
    }
    let behind_code = message.payload.get(4..)?;
    let attributes = if message.is_done() {
        behind_code
    } else {
        let length = match behind_code.first_chunk() {
            Some(length) if !message.flags.contains(NlmF::CAPPED) => {
                u32::from_ne_bytes(*length) as usize
            }
            _ => HEADER,
        };
        behind_code.get(length.checked_next_multiple_of(4)?..)?
    };
    let found = Attributes::new(attributes)
        .find(NlmsgerrAttr::Msg.into())
        .ok()?;
    found
        .map(|attribute| attribute.text())
        .filter(|text| !text.is_empty())
}
