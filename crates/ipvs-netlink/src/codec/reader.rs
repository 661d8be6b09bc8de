//! Reading: messages of a buffer, attributes of a message, nothing copied.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use neli::consts::nl::{NlmF, Nlmsg};

use super::{AddressFamily, GENERIC_HEADER, HEADER, MAX_MESSAGE, ParseError, align};

/// Bits of the attribute type that are flags (`NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`).
const ATTRIBUTE_FLAGS: u16 = 0xc000;

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
