//! What IPVS says of itself.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::{Attributes, ParseError, Writer};
use crate::uapi::*;

/// Version and size of the dataplane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Version of IPVS.
    pub version: Version,
    /// Buckets of the connection table (not a limit). Source: `IPVS_INFO_ATTR_CONN_TAB_SIZE`.
    pub connection_table_size: u32,
}

impl Default for Info {
    /// Version 1.2.1, which all kernels of the last fifteen years say, and 4096 buckets, their
    /// default.
    fn default() -> Self {
        Self {
            version: Version {
                major: 1,
                minor: 2,
                patch: 1,
            },
            connection_table_size: 4096,
        }
    }
}

impl Info {
    pub(crate) fn pack(&self, writer: &mut Writer<'_>) {
        writer.u32(IPVS_INFO_ATTR_VERSION, self.version.code());
        writer.u32(IPVS_INFO_ATTR_CONN_TAB_SIZE, self.connection_table_size);
    }

    pub(crate) fn unpack(attributes: &Attributes<'_>) -> Result<Self, ParseError> {
        let number = |kind: u16| -> Result<u32, ParseError> {
            attributes
                .find(kind)?
                .ok_or(ParseError::Missing { kind })?
                .u32()
        };
        Ok(Self {
            version: Version::from_code(number(IPVS_INFO_ATTR_VERSION)?),
            connection_table_size: number(IPVS_INFO_ATTR_CONN_TAB_SIZE)?,
        })
    }
}

/// A version of IPVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// First number.
    pub major: u8,
    /// Second number.
    pub minor: u8,
    /// Third number.
    pub patch: u8,
}

impl Version {
    fn code(self) -> u32 {
        u32::from_be_bytes([0, self.major, self.minor, self.patch])
    }

    fn from_code(code: u32) -> Self {
        let [_, major, minor, patch] = code.to_be_bytes();
        Self {
            major,
            minor,
            patch,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
