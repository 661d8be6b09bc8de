//! Writing: one message after the other at the end of a buffer.

use std::net::IpAddr;

use neli::consts::nl::NlmF;

use super::align;

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
