//! Reading: messages of a buffer, the fixed part and the attributes of each, nothing copied.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use neli::consts::nl::{NlmF, Nlmsg};

use super::{HEADER, ParseError, align};
use crate::family::Family;

/// Bits of the attribute type that are flags (`NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`).
const ATTRIBUTE_FLAGS: u16 = 0xc000;

/// One netlink message, borrowed from the bytes that it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// `nlmsg_type`.
    pub(crate) kind: u16,
    /// `nlmsg_flags`.
    pub(crate) flags: NlmF,
    /// `nlmsg_seq`: answers carry that of their request.
    pub(crate) sequence: u32,
    /// What follows the header.
    pub(crate) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Whether this ends a dump.
    pub(crate) fn is_done(&self) -> bool {
        self.kind == u16::from(Nlmsg::Done)
    }

    /// Whether this is an acknowledgement or an error.
    pub(crate) fn is_error(&self) -> bool {
        self.kind == u16::from(Nlmsg::Error)
    }

    /// The fixed part of `N` bytes, and the attributes behind it.
    pub(crate) fn split<const N: usize>(
        &self,
    ) -> Result<(Fixed<'a, N>, Attributes<'a>), ParseError> {
        match self.payload.split_first_chunk() {
            Some((fixed, attributes)) => Ok((Fixed(fixed), Attributes::new(attributes))),
            None => Err(ParseError::Truncated {
                needed: N,
                available: self.payload.len(),
            }),
        }
    }
}

/// The fixed part of a message, read at offsets that the callers know to be inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed<'a, const N: usize>(&'a [u8; N]);

impl<const N: usize> Fixed<'_, N> {
    /// The byte at `OFFSET`; an offset outside does not compile.
    pub(crate) fn u8<const OFFSET: usize>(&self) -> u8 {
        const { assert!(OFFSET < N) };
        self.0[OFFSET]
    }

    /// 16 bits in host order; an offset outside does not compile.
    pub(crate) fn u16<const OFFSET: usize>(&self) -> u16 {
        const { assert!(OFFSET + 2 <= N) };
        u16::from_ne_bytes([self.0[OFFSET], self.0[OFFSET + 1]])
    }

    /// 32 bits in host order; an offset outside does not compile.
    pub(crate) fn u32<const OFFSET: usize>(&self) -> u32 {
        const { assert!(OFFSET + 4 <= N) };
        u32::from_ne_bytes([
            self.0[OFFSET],
            self.0[OFFSET + 1],
            self.0[OFFSET + 2],
            self.0[OFFSET + 3],
        ])
    }
}

/// The messages of a buffer, one after the other. Ends after the first error.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Reads messages from `bytes`, which must begin with a header.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn read(&mut self) -> Result<Message<'a>, ParseError> {
        let available = self.rest.len();
        let header = self.rest.first_chunk::<HEADER>();
        let header = Fixed(header.ok_or(ParseError::Truncated {
            needed: HEADER,
            available,
        })?);
        let length = header.u32::<0>();
        let wrong = ParseError::MessageLength { length, available };
        let end = usize::try_from(length).map_err(|_| wrong)?;
        let message = Message {
            kind: header.u16::<4>(),
            flags: NlmF::from_bits_retain(header.u16::<6>()),
            sequence: header.u32::<8>(),
            payload: self.rest.get(HEADER..end).ok_or(wrong)?,
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

/// One attribute, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    /// Its type without the two flag bits.
    pub(crate) kind: u16,
    /// Its payload without padding.
    pub(crate) payload: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The first bytes of the payload: as the kernel does, what is longer is taken for a later
    /// version of the same.
    pub(crate) fn array<const N: usize>(&self) -> Result<[u8; N], ParseError> {
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
    pub(crate) fn u8(&self) -> Result<u8, ParseError> {
        self.array().map(u8::from_ne_bytes)
    }

    /// The payload as a number of 32 bits in host order.
    pub(crate) fn u32(&self) -> Result<u32, ParseError> {
        self.array().map(u32::from_ne_bytes)
    }

    /// The payload as an address of `family`.
    pub(crate) fn address(&self, family: Family) -> Result<IpAddr, ParseError> {
        match family {
            Family::Inet => self.array::<4>().map(|bytes| Ipv4Addr::from(bytes).into()),
            Family::Inet6 => self.array::<16>().map(|bytes| Ipv6Addr::from(bytes).into()),
        }
    }

    /// The payload as text up to the first NUL, what is no UTF-8 replaced.
    pub(crate) fn text(&self) -> String {
        let text = self
            .payload
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// The payload as attributes.
    pub(crate) fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.payload)
    }
}

/// The attributes of a payload, one after the other. Ends after the first error.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Reads attributes from `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The last attribute of type `kind`, as the kernel takes the last of several.
    pub(crate) fn find(&self, kind: u16) -> Result<Option<Attribute<'a>>, ParseError> {
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
        let header = self.rest.first_chunk::<4>();
        let header = Fixed(header.ok_or(ParseError::Truncated {
            needed: 4,
            available,
        })?);
        let length = header.u16::<0>();
        let wrong = ParseError::AttributeLength { length, available };
        let end = usize::from(length);
        let payload = self.rest.get(4..end).ok_or(wrong)?;
        self.rest = self.rest.get(align(end)..).unwrap_or_default();
        Ok(Attribute {
            kind: header.u16::<2>() & !ATTRIBUTE_FLAGS,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Writer;

    #[test]
    fn lengths_are_checked() {
        let message = |length: u32| {
            let mut bytes = [0; 20];
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            let read = Messages::new(&bytes).next().unwrap();
            read.map(|message| message.payload.len())
        };
        assert_eq!(message(16), Ok(0));
        assert_eq!(message(20), Ok(4));
        for length in [0, 15, 21, u32::MAX] {
            let available = 20;
            assert_eq!(
                message(length),
                Err(ParseError::MessageLength { length, available })
            );
        }
        assert_eq!(
            Messages::new(&[16, 0, 0]).next().unwrap().map(|_| ()),
            Err(ParseError::Truncated {
                needed: 16,
                available: 3
            })
        );
        for length in [0_u16, 3, 13] {
            let mut bytes = [0; 12];
            bytes[..2].copy_from_slice(&length.to_ne_bytes());
            let read = Attributes::new(&bytes).next().unwrap().map(|_| ());
            let available = 12;
            assert_eq!(read, Err(ParseError::AttributeLength { length, available }));
        }
    }

    #[test]
    fn short_fixed_parts_are_refused() {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes).message(16, NlmF::empty(), 1, |writer| writer.raw(&[0; 15]));
        let message = Messages::new(&bytes).next().unwrap().unwrap();
        assert_eq!(
            message.split::<16>().map(|_| ()),
            Err(ParseError::Truncated {
                needed: 16,
                available: 15
            })
        );
        assert!(message.split::<8>().is_ok());
    }

    proptest! {
        #[test]
        fn attributes_survive(
            attributes in prop::collection::vec((0_u16..0x3fff, any::<Vec<u8>>()), 0..8)
        ) {
            let mut bytes = Vec::new();
            Writer::new(&mut bytes).message(99, NlmF::MULTI, 5, |writer| {
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

        #[test]
        fn rubbish_ends(bytes in any::<Vec<u8>>()) {
            for message in Messages::new(&bytes).flatten() {
                for attribute in Attributes::new(message.payload).flatten() {
                    let _ = attribute.nested().count();
                }
            }
        }
    }
}
