//! Netlink messages and attributes: reading, writing, bounds.
//!
//! A netlink message is a header of 16 bytes (length, type, flags, sequence number, port) and a
//! payload: a fixed part that depends on the type, then attributes (length, type, payload), padded
//! to 4 bytes. Numbers are in host order, except where an attribute says otherwise.
//!
//! Design: numbers and flags are neli's, the walk is our own. It borrows instead of copying, and
//! it never panics on rubbish, where neli 0.7 subtracts unchecked on short error messages. Nothing
//! here knows what an attribute means.

mod reader;
mod writer;

pub(crate) use reader::{Attribute, Attributes, Message, Messages};
pub(crate) use writer::{Writer, address_bytes};

/// Size of the netlink message header.
pub(crate) const HEADER: usize = 16;

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
    /// An attribute is shorter than its type needs.
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
    /// A field holds a value that its type does not allow.
    #[error("{field} has the value {value}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
}

pub(crate) fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}
