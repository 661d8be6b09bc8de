//! Short names: schedulers, persistence engines, interfaces.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::uapi::IP_VS_SCHEDNAME_MAXLEN;

/// The longest name in bytes; the kernel's arrays hold one more for the closing NUL.
const MAX: usize = IP_VS_SCHEDNAME_MAXLEN - 1;

/// A name of at most 15 bytes without NUL: `wrr`, `sip`, `eth0`.
///
/// Whether something of that name exists is for the dataplane to say. Empty is allowed: as a
/// scheduler it means none. Source: `IP_VS_SCHEDNAME_MAXLEN`, `IP_VS_PENAME_MAXLEN`,
/// `IP_VS_IFNAME_MAXLEN`, all 16.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name {
    /// Zero behind the name, so that the derived order is that of the text.
    bytes: [u8; MAX],
    length: u8,
}

/// Why a text is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// More than 15 bytes.
    #[error("name {name:?} is longer than 15 bytes")]
    TooLong {
        /// The text as given.
        name: String,
    },
    /// The text contains a NUL byte, which ends names in the kernel.
    #[error("name {name:?} contains a NUL byte")]
    Nul {
        /// The text as given.
        name: String,
    },
}

impl Name {
    /// Makes a name of `text`.
    ///
    /// # Errors
    ///
    /// When the text is too long or contains a NUL byte.
    pub fn try_new(text: &str) -> Result<Self, NameError> {
        if text.contains('\0') {
            return Err(NameError::Nul {
                name: text.to_owned(),
            });
        }
        let mut name = Self::default();
        match name.bytes.get_mut(..text.len()) {
            Some(space) => space.copy_from_slice(text.as_bytes()),
            None => {
                return Err(NameError::TooLong {
                    name: text.to_owned(),
                });
            }
        }
        // Fits: the slice above ends at 15 at most.
        name.length = text.len() as u8;
        Ok(name)
    }

    /// The name that bytes hold, as the kernel takes them: up to the first NUL, cut to 15 bytes, with
    /// what is no UTF-8 replaced.
    pub fn lossy(bytes: &[u8]) -> Self {
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        let mut end = text.len().min(MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self::try_new(text.get(..end).unwrap_or_default()).unwrap_or_default()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let bytes = self
            .bytes
            .get(..usize::from(self.length))
            .unwrap_or_default();
        // Only ever filled from `&str`.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Whether there is no name at all.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_new(text)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::try_new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().to_owned()
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_bytes_are_the_limit() {
        assert_eq!(
            Name::try_new("123456789012345").unwrap().as_str(),
            "123456789012345"
        );
        assert!(matches!(
            Name::try_new("1234567890123456"),
            Err(NameError::TooLong { .. })
        ));
        assert!(matches!(Name::try_new("a\0b"), Err(NameError::Nul { .. })));
        assert!(Name::try_new("").unwrap().is_empty());
    }

    #[test]
    fn bytes_end_at_nul_and_never_fail() {
        assert_eq!(Name::lossy(b"wrr\0rubbish"), "wrr");
        assert_eq!(Name::lossy(b"rr"), "rr");
        assert_eq!(Name::lossy(b"").as_str(), "");
        assert_eq!(Name::lossy(&[0xff; 40]).as_str(), "\u{fffd}".repeat(5));
    }

    #[test]
    fn order_is_that_of_the_text() {
        let mut names = ["wrr", "rr", "r", ""].map(|text| Name::try_new(text).unwrap());
        names.sort();
        assert_eq!(names.map(|name| name.to_string()), ["", "r", "rr", "wrr"]);
    }
}
