//! The exit codes of the daemon and its children.
//!
//! The numbers are keepalived's, so init systems and scripts that know them go on working.

use std::process::ExitCode;

/// Why a process of the director ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// 0: it was asked to, or another daemon already runs.
    Ok,
    /// 1: it cannot work here. Permanent: a child that ends so is not started again.
    Fatal,
    /// 2: the configuration cannot be used. Permanent.
    Config,
    /// 4: a permission is missing. Permanent.
    Permission,
    /// 6: there is no configuration file.
    NoConfig,
    /// 70: a fault in the program (`EX_SOFTWARE`).
    Software,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Fatal => 1,
            Self::Config => 2,
            Self::Permission => 4,
            Self::NoConfig => 6,
            Self::Software => 70,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
