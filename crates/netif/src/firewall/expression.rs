//! The parts of a rule: load, compare, look up, decide.

use std::net::IpAddr;

use super::uapi::*;
use crate::codec::Writer;
use crate::family::Family;

/// One step of a rule. Registers are fixed: addresses go through the first, what is looked up or
/// joined to them through the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// The IP protocol behind extension headers is this.
    Layer4Is(u8),
    /// The byte at `offset` of the IP header is this.
    NetworkByteIs { offset: u32, value: u8 },
    /// The first byte of the payload, the ICMPv6 or IGMP type, is this.
    TransportByteIs(u8),
    /// The first byte of the payload is in this set.
    TransportByteIn(&'static str),
    /// The packet leaves by a macvlan.
    LeavesByMacvlan,
    /// The interface by which the packet leaves is in this set.
    LeavesBy(&'static str),
    /// The IP source or destination is in this set.
    AddressIn(Family, Side, &'static str),
    /// The IPv6 source or destination, with the interface, is in this set.
    AddressAndLinkIn(Side, &'static str),
    /// The IPv6 source or destination is link-local.
    IsLinkLocal(Side),
    /// Send a copy to the same destination by the interface that this map has for the one by which
    /// the packet leaves.
    DuplicateBy(Family, &'static str),
    /// Count.
    Counter,
    /// Decide.
    Verdict(Verdict),
}

/// Source of what leaves, or destination of what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
}

/// What becomes of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Drop,
    Goto(&'static str),
}

impl Expression {
    /// Writes the expression as list elements.
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        match *self {
            Self::Layer4Is(protocol) => {
                meta(writer, NFT_META_L4PROTO, NFT_REG_1);
                compare(writer, NFT_REG_1, &[protocol]);
            }
            Self::NetworkByteIs { offset, value } => {
                payload(writer, NFT_PAYLOAD_NETWORK_HEADER, offset, 1);
                compare(writer, NFT_REG_1, &[value]);
            }
            Self::TransportByteIs(value) => {
                payload(writer, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
                compare(writer, NFT_REG_1, &[value]);
            }
            Self::TransportByteIn(set) => {
                payload(writer, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
                lookup(writer, set, NFT_REG_1, None);
            }
            Self::LeavesByMacvlan => {
                meta(writer, NFT_META_OIFKIND, NFT_REG_2);
                let mut kind = [0; 16];
                kind[..7].copy_from_slice(b"macvlan");
                compare(writer, NFT_REG_2, &kind);
            }
            Self::LeavesBy(set) => {
                meta(writer, NFT_META_OIF, NFT_REG_2);
                lookup(writer, set, NFT_REG_2, None);
            }
            Self::AddressIn(family, side, set) => {
                address(writer, family, side);
                lookup(writer, set, NFT_REG_1, None);
            }
            Self::AddressAndLinkIn(side, set) => {
                address(writer, Family::Inet6, side);
                let link = match side {
                    Side::Source => NFT_META_OIF,
                    Side::Destination => NFT_META_IIF,
                };
                // The registers lie side by side, so this is the key of a concatenation.
                meta(writer, link, NFT_REG_2);
                lookup(writer, set, NFT_REG_1, None);
            }
            Self::IsLinkLocal(side) => {
                address(writer, Family::Inet6, side);
                let mut mask = [0; 16];
                mask[..2].copy_from_slice(&[0xff, 0xc0]);
                let mut net = [0; 16];
                net[..2].copy_from_slice(&[0xfe, 0x80]);
                mask_register(writer, &mask);
                compare(writer, NFT_REG_1, &net);
            }
            Self::DuplicateBy(family, map) => {
                address(writer, family, Side::Destination);
                meta(writer, NFT_META_OIF, NFT_REG_2);
                lookup(writer, map, NFT_REG_2, Some(NFT_REG_2));
                element(writer, "dup", |writer| {
                    writer.be32(NFTA_DUP_SREG_ADDR, NFT_REG_1);
                    writer.be32(NFTA_DUP_SREG_DEV, NFT_REG_2);
                });
            }
            Self::Counter => element(writer, "counter", |_| {}),
            Self::Verdict(verdict) => decide(writer, verdict),
        }
    }
}

fn element(writer: &mut Writer<'_>, name: &str, fill: impl FnOnce(&mut Writer<'_>)) {
    writer.nest(NFTA_LIST_ELEM, |writer| {
        writer.text(NFTA_EXPR_NAME, name);
        writer.nest(NFTA_EXPR_DATA, fill);
    });
}

fn meta(writer: &mut Writer<'_>, key: u32, register: u32) {
    element(writer, "meta", |writer| {
        writer.be32(NFTA_META_DREG, register);
        writer.be32(NFTA_META_KEY, key);
    });
}

fn payload(writer: &mut Writer<'_>, base: u32, offset: u32, length: u32) {
    element(writer, "payload", |writer| {
        writer.be32(NFTA_PAYLOAD_DREG, NFT_REG_1);
        writer.be32(NFTA_PAYLOAD_BASE, base);
        writer.be32(NFTA_PAYLOAD_OFFSET, offset);
        writer.be32(NFTA_PAYLOAD_LEN, length);
    });
}

/// Offsets of RFC 791 section 3.1 and RFC 8200 section 3.
fn address(writer: &mut Writer<'_>, family: Family, side: Side) {
    let (offset, length) = match (family, side) {
        (Family::Inet, Side::Source) => (12, 4),
        (Family::Inet, Side::Destination) => (16, 4),
        (Family::Inet6, Side::Source) => (8, 16),
        (Family::Inet6, Side::Destination) => (24, 16),
    };
    payload(writer, NFT_PAYLOAD_NETWORK_HEADER, offset, length);
}

fn compare(writer: &mut Writer<'_>, register: u32, value: &[u8]) {
    element(writer, "cmp", |writer| {
        writer.be32(NFTA_CMP_SREG, register);
        writer.be32(NFTA_CMP_OP, NFT_CMP_EQ);
        writer.nest(NFTA_CMP_DATA, |writer| {
            writer.attribute(NFTA_DATA_VALUE, value)
        });
    });
}

fn mask_register(writer: &mut Writer<'_>, mask: &[u8; 16]) {
    element(writer, "bitwise", |writer| {
        writer.be32(NFTA_BITWISE_SREG, NFT_REG_1);
        writer.be32(NFTA_BITWISE_DREG, NFT_REG_1);
        writer.be32(NFTA_BITWISE_LEN, 16);
        writer.nest(NFTA_BITWISE_MASK, |writer| {
            writer.attribute(NFTA_DATA_VALUE, mask)
        });
        writer.nest(NFTA_BITWISE_XOR, |writer| {
            writer.attribute(NFTA_DATA_VALUE, &[0; 16])
        });
    });
}

fn lookup(writer: &mut Writer<'_>, set: &str, source: u32, target: Option<u32>) {
    element(writer, "lookup", |writer| {
        writer.text(NFTA_LOOKUP_SET, set);
        writer.be32(NFTA_LOOKUP_SREG, source);
        if let Some(target) = target {
            writer.be32(NFTA_LOOKUP_DREG, target);
        }
    });
}

fn decide(writer: &mut Writer<'_>, verdict: Verdict) {
    let (code, chain) = match verdict {
        Verdict::Accept => (NF_ACCEPT, None),
        Verdict::Drop => (NF_DROP, None),
        Verdict::Goto(chain) => (NFT_GOTO, Some(chain)),
    };
    element(writer, "immediate", |writer| {
        writer.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
        writer.nest(NFTA_IMMEDIATE_DATA, |writer| {
            writer.nest(NFTA_DATA_VERDICT, |writer| {
                writer.be32(NFTA_VERDICT_CODE, code);
                if let Some(chain) = chain {
                    writer.text(NFTA_VERDICT_CHAIN, chain);
                }
            });
        });
    });
}

/// The bytes of an address as a key.
pub(super) fn key(address: IpAddr) -> Vec<u8> {
    crate::codec::address_bytes(address)
}
