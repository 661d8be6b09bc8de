//! Writing: one message after the other at the end of a buffer.

use std::net::IpAddr;

use neli::consts::nl::NlmF;

use super::align;

/// `NLA_F_NESTED`, which newer parts of the kernel insist on.
const NESTED: u16 = 0x8000;

/// Writes one message after the other at the end of a buffer.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    buffer: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Writes at the end of `buffer`.
    pub(crate) fn new(buffer: &'a mut Vec<u8>) -> Self {
        Self { buffer }
    }

    /// A whole message; `fill` writes the payload. The port stays 0: the kernel knows the sender.
    pub(crate) fn message(
        &mut self,
        kind: u16,
        flags: NlmF,
        sequence: u32,
        fill: impl FnOnce(&mut Writer<'_>),
    ) {
        let start = self.buffer.len();
        self.raw(&[0; 4]);
        self.raw(&kind.to_ne_bytes());
        self.raw(&flags.bits().to_ne_bytes());
        self.raw(&sequence.to_ne_bytes());
        self.raw(&[0; 4]);
        fill(&mut Writer {
            buffer: self.buffer,
        });
        let length = u32::try_from(self.buffer.len() - start).unwrap_or(u32::MAX);
        self.patch(start, &length.to_ne_bytes());
        self.pad(start);
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// An attribute with these bytes. More than 65,531 do not fit one and are cut off.
    pub(crate) fn attribute(&mut self, kind: u16, payload: &[u8]) {
        let payload = payload.get(..usize::from(u16::MAX) - 4).unwrap_or(payload);
        self.open(kind, |writer| writer.raw(payload));
    }

    /// One byte.
    pub(crate) fn u8(&mut self, kind: u16, value: u8) {
        self.attribute(kind, &[value]);
    }

    /// 32 bits, host order.
    pub(crate) fn u32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// 32 bits, network order, as netfilter has them.
    pub(crate) fn be32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// An address in the 4 or 16 bytes that it has.
    pub(crate) fn address(&mut self, kind: u16, address: IpAddr) {
        self.attribute(kind, &address_bytes(address));
    }

    /// Text and a closing NUL.
    pub(crate) fn text(&mut self, kind: u16, text: &str) {
        self.open(kind, |writer| {
            writer.raw(text.as_bytes());
            writer.raw(&[0]);
        });
    }

    /// An attribute that holds attributes, which `fill` writes: less than 64 KiB of them.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Writer<'_>)) {
        self.open(kind | NESTED, fill);
    }

    /// An attribute whose payload `fill` writes as it is.
    pub(crate) fn plain_nest(&mut self, kind: u16, fill: impl FnOnce(&mut Writer<'_>)) {
        self.open(kind, fill);
    }

    /// A structure that begins with its own length in 16 bits, as `rtnexthop` does.
    pub(crate) fn sized(&mut self, fill: impl FnOnce(&mut Writer<'_>)) {
        let start = self.buffer.len();
        self.raw(&[0; 2]);
        fill(&mut Writer {
            buffer: self.buffer,
        });
        let length = u16::try_from(self.buffer.len() - start).unwrap_or(u16::MAX);
        self.patch(start, &length.to_ne_bytes());
        self.pad(start);
    }

    fn open(&mut self, kind: u16, fill: impl FnOnce(&mut Writer<'_>)) {
        self.sized(|writer| {
            writer.raw(&kind.to_ne_bytes());
            fill(writer);
        });
    }

    fn patch(&mut self, start: usize, bytes: &[u8]) {
        if let Some(field) = self.buffer.get_mut(start..start + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    }

    fn pad(&mut self, start: usize) {
        let end = start + align(self.buffer.len() - start);
        self.buffer.resize(end, 0);
    }
}

/// The 4 or 16 bytes of an address.
pub(crate) fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
