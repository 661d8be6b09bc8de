//! Netlink messages and attributes: reading, writing, bounds.
//!
//! A netlink message is a header of 16 bytes (length, type, flags, sequence number, port) and a
//! payload. Ours begins with the generic netlink header (command, version, two spare bytes), behind
//! which attributes follow: length, type, payload, padded to 4 bytes. Numbers are in host order.
//!
//! Design: flags and message types are neli's ([`NlmF`], [`Nlmsg`]), the walk is our own. It
//! borrows instead of copying each level of nesting, which makes a dump three times as fast to
//! read; and it never panics on rubbish, where neli 0.7 subtracts unchecked on short error
//! messages. The tests hold both against each other. Nothing here knows what an attribute means.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use neli::consts::nl::{NlmF, Nlmsg};

/// Size of the netlink message header.
pub const HEADER: usize = 16;

/// Size of the generic netlink header that opens the payload.
pub const GENERIC_HEADER: usize = 4;

/// The longest message that is taken from a peer: 1 MiB. No IPVS message comes near it; a longer
/// length field means that the stream is not netlink.
pub const MAX_MESSAGE: usize = 1 << 20;

/// Bits of the attribute type that are flags (`NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`).
const ATTRIBUTE_FLAGS: u16 = 0xc000;

/// Why bytes are no message, or not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The length field of a message header is below 16 or beyond what is there.
    #[error("message length {length} does not fit {available} bytes")]
    MessageLength {
        /// What the header says.
        length: u32,
        /// How many bytes there are from the header on.
        available: usize,
    },
    /// The length field of an attribute is below 4 or beyond what is there.
    #[error("attribute length {length} does not fit {available} bytes")]
    AttributeLength {
        /// What the attribute header says.
        length: u16,
        /// How many bytes there are from the header on.
        available: usize,
    },
    /// Fewer bytes than the fixed part needs.
    #[error("{available} bytes where {needed} are needed")]
    Truncated {
        /// How many bytes the fixed part has.
        needed: usize,
        /// How many bytes there are.
        available: usize,
    },
    /// An attribute is shorter than its type needs, or longer than it may be.
    #[error("attribute {kind} has {actual} bytes, needs {needed}")]
    AttributeSize {
        /// The attribute's type.
        kind: u16,
        /// The size it must have.
        needed: usize,
        /// The size it has.
        actual: usize,
    },
    /// An attribute without which the rest has no meaning is not there.
    #[error("attribute {kind} is missing")]
    Missing {
        /// The attribute's type.
        kind: u16,
    },
    /// An attribute holds a value that its type does not allow.
    #[error("attribute {kind} has the value {value}")]
    Value {
        /// The attribute's type.
        kind: u16,
        /// What it holds.
        value: u64,
    },
}

/// One netlink message, borrowed from the bytes that it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`: a control message ([`Nlmsg`]) or the id of a generic netlink family.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: NlmF,
    /// `nlmsg_seq`: answers carry that of their request.
    pub sequence: u32,
    /// `nlmsg_pid`: the port of the user's socket; 0 where nobody cares.
    pub port: u32,
    /// What follows the header.
    pub payload: &'a [u8],
    /// The whole message with its header, as error answers quote it.
    pub raw: &'a [u8],
}

impl<'a> Message<'a> {
    /// Whether this ends a dump.
    pub fn is_done(&self) -> bool {
        self.kind == u16::from(Nlmsg::Done)
    }

    /// Whether this is an acknowledgement or an error.
    pub fn is_error(&self) -> bool {
        self.kind == u16::from(Nlmsg::Error)
    }

    /// The generic netlink command and the attributes behind its header.
    ///
    /// # Errors
    ///
    /// When the payload is shorter than the generic netlink header.
    pub fn generic(&self) -> Result<(u8, Attributes<'a>), ParseError> {
        match (self.payload.first(), self.payload.get(GENERIC_HEADER..)) {
            (Some(command), Some(attributes)) => Ok((*command, Attributes::new(attributes))),
            _ => Err(ParseError::Truncated {
                needed: GENERIC_HEADER,
                available: self.payload.len(),
            }),
        }
    }
}

/// The messages of a buffer, one after the other. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Reads messages from `bytes`, which must begin with a header.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn read(&mut self) -> Result<Message<'a>, ParseError> {
        let available = self.rest.len();
        let truncated = ParseError::Truncated {
            needed: HEADER,
            available,
        };
        let length = u32_at(self.rest, 0).ok_or(truncated)?;
        let wrong = ParseError::MessageLength { length, available };
        let end = usize::try_from(length).map_err(|_| wrong)?;
        let raw = self.rest.get(..end).ok_or(wrong)?;
        let payload = raw.get(HEADER..).ok_or(wrong)?;
        let message = Message {
            kind: u16_at(raw, 4).ok_or(wrong)?,
            flags: NlmF::from_bits_retain(u16_at(raw, 6).ok_or(wrong)?),
            sequence: u32_at(raw, 8).ok_or(wrong)?,
            port: u32_at(raw, 12).ok_or(wrong)?,
            payload,
            raw,
        };
        // The last message may lack its padding.
        self.rest = self.rest.get(align(end)..).unwrap_or_default();
        Ok(message)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let result = self.read();
        if result.is_err() {
            self.rest = &[];
        }
        Some(result)
    }
}

/// How many bytes the message at the front of a stream needs, padding included; `None` while too
/// few bytes have come to tell.
///
/// # Errors
///
/// When the length is below a header's or above [`MAX_MESSAGE`]: the stream cannot be followed any
/// further.
pub fn framed_length(stream: &[u8]) -> Result<Option<usize>, ParseError> {
    let Some(length) = u32_at(stream, 0) else {
        return Ok(None);
    };
    match usize::try_from(length) {
        Ok(bytes) if (HEADER..=MAX_MESSAGE).contains(&bytes) => Ok(Some(align(bytes))),
        _ => Err(ParseError::MessageLength {
            length,
            available: stream.len(),
        }),
    }
}

/// One attribute, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type without the two flag bits.
    pub kind: u16,
    /// Its payload without padding.
    pub payload: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The first bytes of the payload: as the kernel does, what is longer is taken for a later
    /// version of the same.
    fn array<const N: usize>(&self) -> Result<[u8; N], ParseError> {
        self.payload
            .first_chunk()
            .copied()
            .ok_or(ParseError::AttributeSize {
                kind: self.kind,
                needed: N,
                actual: self.payload.len(),
            })
    }

    /// The payload as one byte.
    ///
    /// # Errors
    ///
    /// When it is shorter; likewise below.
    pub fn u8(&self) -> Result<u8, ParseError> {
        self.array().map(u8::from_ne_bytes)
    }

    /// The payload as a number of 16 bits in host order.
    pub fn u16(&self) -> Result<u16, ParseError> {
        self.array().map(u16::from_ne_bytes)
    }

    /// The payload as a number of 16 bits in network order, as ports are.
    pub fn port(&self) -> Result<u16, ParseError> {
        self.array().map(u16::from_be_bytes)
    }

    /// The payload as a number of 32 bits in host order.
    pub fn u32(&self) -> Result<u32, ParseError> {
        self.array().map(u32::from_ne_bytes)
    }

    /// The payload as a number of 32 bits in network order, as netmasks are.
    pub fn mask(&self) -> Result<u32, ParseError> {
        self.array().map(u32::from_be_bytes)
    }

    /// The payload as a number of 64 bits in host order.
    pub fn u64(&self) -> Result<u64, ParseError> {
        self.array().map(u64::from_ne_bytes)
    }

    /// The payload as an address of `family`: IPv4 is in the first 4 bytes, whatever the size.
    pub fn address(&self, family: AddressFamily) -> Result<IpAddr, ParseError> {
        match family {
            AddressFamily::Inet => self.array::<4>().map(|bytes| Ipv4Addr::from(bytes).into()),
            AddressFamily::Inet6 => self.array::<16>().map(|bytes| Ipv6Addr::from(bytes).into()),
        }
    }

    /// The payload as text up to the first NUL, what is no UTF-8 replaced.
    pub fn text(&self) -> String {
        let text = self
            .payload
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// The payload as attributes.
    pub fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.payload)
    }
}

/// The attributes of a payload, one after the other. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Reads attributes from `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The last attribute of type `kind`, as the kernel takes the last of several.
    ///
    /// # Errors
    ///
    /// When the bytes are no attributes.
    pub fn find(&self, kind: u16) -> Result<Option<Attribute<'a>>, ParseError> {
        let mut found = None;
        for attribute in self.clone() {
            let attribute = attribute?;
            if attribute.kind == kind {
                found = Some(attribute);
            }
        }
        Ok(found)
    }

    fn read(&mut self) -> Result<Attribute<'a>, ParseError> {
        let available = self.rest.len();
        let truncated = ParseError::Truncated {
            needed: 4,
            available,
        };
        let length = u16_at(self.rest, 0).ok_or(truncated)?;
        let kind = u16_at(self.rest, 2).ok_or(truncated)?;
        let wrong = ParseError::AttributeLength { length, available };
        let end = usize::from(length);
        let payload = self.rest.get(4..end).ok_or(wrong)?;
        self.rest = self.rest.get(align(end)..).unwrap_or_default();
        Ok(Attribute {
            kind: kind & !ATTRIBUTE_FLAGS,
            payload,
        })
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let result = self.read();
        if result.is_err() {
            self.rest = &[];
        }
        Some(result)
    }
}

/// Address family as a netlink number.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum AddressFamily {
    /// IPv4, `AF_INET`.
    Inet,
    /// IPv6, `AF_INET6`.
    Inet6,
}

impl AddressFamily {
    /// The family of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Inet,
            IpAddr::V6(_) => Self::Inet6,
        }
    }

    /// The family of the number `AF_INET` or `AF_INET6`.
    pub fn from_number(number: u16) -> Option<Self> {
        match i32::from(number) {
            libc::AF_INET => Some(Self::Inet),
            libc::AF_INET6 => Some(Self::Inet6),
            _ => None,
        }
    }

    /// `AF_INET` or `AF_INET6`.
    pub fn number(self) -> u16 {
        match self {
            Self::Inet => libc::AF_INET as u16,
            Self::Inet6 => libc::AF_INET6 as u16,
        }
    }
}

/// Writes one message after the other at the end of a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Writes at the end of `buffer`.
    pub fn new(buffer: &'a mut Vec<u8>) -> Self {
        Self { buffer }
    }

    /// A whole message; `fill` writes the payload.
    pub fn message(
        &mut self,
        kind: u16,
        flags: NlmF,
        sequence: u32,
        port: u32,
        fill: impl FnOnce(&mut Writer<'_>),
    ) {
        let start = self.buffer.len();
        self.raw(&[0; 4]);
        self.raw(&kind.to_ne_bytes());
        self.raw(&flags.bits().to_ne_bytes());
        self.raw(&sequence.to_ne_bytes());
        self.raw(&port.to_ne_bytes());
        fill(&mut Writer {
            buffer: self.buffer,
        });
        let length = u32::try_from(self.buffer.len() - start).unwrap_or(u32::MAX);
        if let Some(field) = self.buffer.get_mut(start..start + 4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        self.pad(start);
    }

    /// A whole generic netlink message of version 1; `fill` writes the attributes.
    pub fn generic(
        &mut self,
        family: u16,
        flags: NlmF,
        sequence: u32,
        port: u32,
        command: u8,
        fill: impl FnOnce(&mut Writer<'_>),
    ) {
        self.message(family, flags, sequence, port, |writer| {
            writer.raw(&[command, crate::uapi::IPVS_GENL_VERSION, 0, 0]);
            fill(writer);
        });
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// An attribute with these bytes. More than 65,531 do not fit one and are cut off.
    pub fn attribute(&mut self, kind: u16, payload: &[u8]) {
        let payload = payload.get(..usize::from(u16::MAX) - 4).unwrap_or(payload);
        let start = self.buffer.len();
        // Fits: the payload was cut above.
        self.raw(&((payload.len() + 4) as u16).to_ne_bytes());
        self.raw(&kind.to_ne_bytes());
        self.raw(payload);
        self.pad(start);
    }

    /// One byte.
    pub fn u8(&mut self, kind: u16, value: u8) {
        self.attribute(kind, &[value]);
    }

    /// 16 bits, host order.
    pub fn u16(&mut self, kind: u16, value: u16) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// 16 bits, network order.
    pub fn port(&mut self, kind: u16, value: u16) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// 32 bits, host order.
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// 64 bits, host order.
    pub fn u64(&mut self, kind: u16, value: u64) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// An address in 16 bytes, an IPv4 one in the first four and zeros behind it.
    pub fn address(&mut self, kind: u16, address: IpAddr) {
        let mut bytes = [0; 16];
        match address {
            IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => bytes = address.octets(),
        }
        self.attribute(kind, &bytes);
    }

    /// Text and a closing NUL.
    pub fn text(&mut self, kind: u16, text: &str) {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    /// An attribute that holds attributes, which `fill` writes. The nested flag is not set: the
    /// kernel neither needs it in IPVS requests nor sets it in answers.
    ///
    /// What `fill` writes must stay below 64 KiB; services and destinations have 1 KiB at most.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Writer<'_>)) {
        let start = self.buffer.len();
        self.raw(&[0; 2]);
        self.raw(&kind.to_ne_bytes());
        fill(&mut Writer {
            buffer: self.buffer,
        });
        let length = u16::try_from(self.buffer.len() - start).unwrap_or(u16::MAX);
        if let Some(field) = self.buffer.get_mut(start..start + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        self.pad(start);
    }

    fn pad(&mut self, start: usize) {
        let end = start + align(self.buffer.len() - start);
        self.buffer.resize(end, 0);
    }
}

fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes
        .get(offset..)?
        .first_chunk()
        .map(|field| u16::from_ne_bytes(*field))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes
        .get(offset..)?
        .first_chunk()
        .map(|field| u32::from_ne_bytes(*field))
}

#[cfg(test)]
mod tests {
    use neli::consts::genl::{CtrlAttr, CtrlCmd};
    use neli::genl::{AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, NlattrBuilder};
    use neli::nl::{NlPayload, Nlmsghdr, NlmsghdrBuilder};
    use neli::types::GenlBuffer;
    use neli::{FromBytes, ToBytes};
    use proptest::prelude::*;

    use super::*;

    /// What `ipvsadm` 1.31 sends first, and what libnl and neli send too.
    const FIND_FAMILY: [u8; 32] = [
        32, 0, 0, 0, 16, 0, 1, 0, 101, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0, 9, 0, 2, 0, b'I', b'P',
        b'V', b'S', 0, 0, 0, 0,
    ];

    fn find_family() -> Vec<u8> {
        let mut bytes = Vec::new();
        let command = CtrlCmd::Getfamily.into();
        Writer::new(&mut bytes).generic(16, NlmF::REQUEST, 101, 0, command, |writer| {
            writer.text(CtrlAttr::FamilyName.into(), "IPVS");
        });
        bytes
    }

    #[test]
    fn writes_the_captured_bytes() {
        assert_eq!(find_family(), FIND_FAMILY);
    }

    #[test]
    fn reads_the_captured_bytes() {
        let mut messages = Messages::new(&FIND_FAMILY);
        let message = messages.next().unwrap().unwrap();
        assert_eq!((message.kind, message.sequence, message.port), (16, 101, 0));
        assert_eq!(message.flags, NlmF::REQUEST);
        let (command, attributes) = message.generic().unwrap();
        assert_eq!(command, 3);
        assert_eq!(attributes.find(2).unwrap().unwrap().text(), "IPVS");
        assert_eq!(attributes.find(3).unwrap(), None);
        assert_eq!(messages.next(), None);
    }

    #[test]
    fn neli_writes_the_same() {
        let attribute = NlattrBuilder::default()
            .nla_type(
                AttrTypeBuilder::default()
                    .nla_type(CtrlAttr::FamilyName)
                    .build()
                    .unwrap(),
            )
            .nla_payload("IPVS")
            .build()
            .unwrap();
        let payload: Genlmsghdr<CtrlCmd, CtrlAttr> = GenlmsghdrBuilder::default()
            .cmd(CtrlCmd::Getfamily)
            .version(1)
            .attrs([attribute].into_iter().collect::<GenlBuffer<_, _>>())
            .build()
            .unwrap();
        let message = NlmsghdrBuilder::default()
            .nl_type(16_u16)
            .nl_flags(NlmF::REQUEST)
            .nl_seq(101)
            .nl_payload(NlPayload::Payload(payload))
            .build()
            .unwrap();
        let mut buffer = std::io::Cursor::new(Vec::new());
        message.to_bytes(&mut buffer).unwrap();
        assert_eq!(buffer.into_inner(), FIND_FAMILY);
    }

    #[test]
    fn neli_reads_nested_attributes() {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes).generic(28, NlmF::REQUEST, 1, 0, 4, |writer| {
            writer.nest(1, |writer| {
                writer.u16(1, 2);
                writer.port(4, 80);
            });
        });
        let read: Nlmsghdr<u16, Genlmsghdr<u8, u16>> =
            Nlmsghdr::from_bytes(&mut std::io::Cursor::new(&bytes)).unwrap();
        let payload = read.get_payload().unwrap();
        let handle = payload.attrs().get_attr_handle();
        let nested = handle.get_nested_attributes::<u16>(1).unwrap();
        assert_eq!(nested.get_attr_payload_as::<u16>(1).unwrap(), 2);
        assert_eq!(
            nested.get_attr_payload_as::<u16>(4).unwrap(),
            80_u16.to_be()
        );
    }

    #[test]
    fn lengths_are_checked() {
        let with_length = |length: u32| {
            let mut bytes = FIND_FAMILY;
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            Messages::new(&bytes)
                .next()
                .unwrap()
                .map(|message| message.raw.len())
        };
        assert_eq!(with_length(32), Ok(32));
        for length in [0, 15, 33, u32::MAX] {
            let error = ParseError::MessageLength {
                length,
                available: 32,
            };
            assert_eq!(with_length(length), Err(error));
        }
        for length in [0_u16, 3, 13] {
            let mut bytes = [0; 12];
            bytes[..2].copy_from_slice(&length.to_ne_bytes());
            let read = Attributes::new(&bytes).next().unwrap();
            assert_eq!(
                read,
                Err(ParseError::AttributeLength {
                    length,
                    available: 12
                })
            );
        }
        assert_eq!(framed_length(&[1, 0, 0]), Ok(None));
        assert_eq!(framed_length(&FIND_FAMILY), Ok(Some(32)));
        assert!(framed_length(&[15, 0, 0, 0]).is_err());
        assert!(framed_length(&[1, 0, 16, 0]).is_err());
    }

    proptest! {
        #[test]
        fn attributes_survive(
            attributes in prop::collection::vec((0_u16..0x3fff, any::<Vec<u8>>()), 0..8)
        ) {
            let mut bytes = Vec::new();
            Writer::new(&mut bytes).message(99, NlmF::MULTI, 5, 6, |writer| {
                writer.nest(1, |writer| {
                    for (kind, payload) in &attributes {
                        writer.attribute(*kind, payload);
                    }
                });
            });
            let message = Messages::new(&bytes).next().unwrap().unwrap();
            let nest = Attributes::new(message.payload).next().unwrap().unwrap();
            let read: Vec<_> = nest.nested().map(|attribute| attribute.unwrap()).collect();
            let written: Vec<_> = attributes
                .iter()
                .map(|(kind, payload)| Attribute { kind: *kind, payload })
                .collect();
            prop_assert_eq!(read, written);
        }
    }
}
