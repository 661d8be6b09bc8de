//! What can go wrong between us and the kernel.

use std::io;

use nix::errno::Errno;

use crate::codec::ParseError;

/// Why a call to the kernel did not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetifError {
    /// The kernel said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no interface of this name in this network namespace.
    #[error("no interface {name}")]
    NoLink {
        /// The name that was looked for.
        name: String,
    },
    /// A system call failed: no socket, no permission, a full buffer.
    #[error("cannot {action}: {error}")]
    System {
        /// What was being done.
        action: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// An answer was lost or did not come; whether the request was done is not known.
    #[error("no answer of the kernel to: {action}")]
    Lost {
        /// What was asked.
        action: String,
    },
    /// The kernel's answer cannot be understood.
    #[error("answer of the kernel to {action} not understood: {error}")]
    Parse {
        /// What was asked.
        action: String,
        /// What is wrong with the answer.
        #[source]
        error: ParseError,
    },
    /// A list changed while it was read, again and again.
    #[error("{action}: changed faster than it could be read")]
    Restless {
        /// What was asked.
        action: String,
    },
}

impl NetifError {
    /// The kernel's error number, if it is the kernel that refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused(refused) => Some(refused.errno),
            Self::System { error, .. } => error.raw_os_error(),
            _ => None,
        }
    }

    pub(crate) fn system(action: impl Into<String>, error: io::Error) -> Self {
        Self::System {
            action: action.into(),
            error,
        }
    }
}

/// A request that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action}: {}{}", describe(*errno), explanation(message.as_deref()))]
pub struct Refused {
    /// What was asked, with its object and place: `add address 10.0.0.1/24 to eth0 (index 2)`.
    pub action: String,
    /// The kernel's error number, positive.
    pub errno: i32,
    /// The kernel's own words (`NLMSGERR_ATTR_MSG`), where it has any.
    pub message: Option<String>,
}

/// `EEXIST (File exists)`.
fn describe(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("error {errno}"),
        known => format!("{known:?} ({})", known.desc()),
    }
}

fn explanation(message: Option<&str>) -> String {
    message.map(|text| format!(": {text}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_what_where_and_errno() {
        let mut refused = Refused {
            action: "add address 10.0.0.1/24 to index 2".into(),
            errno: libc::EEXIST,
            message: None,
        };
        assert_eq!(
            refused.to_string(),
            "cannot add address 10.0.0.1/24 to index 2: EEXIST (File exists)"
        );
        refused.message = Some("ipv4: Address already assigned".into());
        assert_eq!(
            NetifError::from(refused.clone()).to_string(),
            "cannot add address 10.0.0.1/24 to index 2: EEXIST (File exists): \
             ipv4: Address already assigned"
        );
        refused.errno = 4095;
        refused.message = None;
        assert!(refused.to_string().ends_with("error 4095"));
    }
}
