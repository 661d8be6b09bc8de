//! Settings of a service that schedulers look at while they pick.
//!
//! # Design
//!
//! They are not arguments of a scheduler's start: the kernel reads flags and sysctls at each
//! decision, so that a change counts at once and leaves the scheduler's state alone.

use std::time::Duration;

/// The scheduler flags of a service; their meaning depends on the scheduler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedulerFlags {
    /// `sh-fallback`, `mh-fallback`: try further buckets if the first one's server is not eligible.
    /// Default off: the flow is refused. Source: `IP_VS_SVC_F_SCHED1`, 0x08.
    pub fallback: bool,
    /// `sh-port`, `mh-port`: hash the client's port too. Default off.
    /// Source: `IP_VS_SVC_F_SCHED2`, 0x10.
    pub port: bool,
}

impl SchedulerFlags {
    /// Bit of [`fallback`](Self::fallback) in the flags of a service.
    pub const FALLBACK: u32 = 0x08;
    /// Bit of [`port`](Self::port) in the flags of a service.
    pub const PORT: u32 = 0x10;

    /// Reads the scheduler's bits out of the flags of a service; the other bits are ignored.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self {
            fallback: bits & Self::FALLBACK != 0,
            port: bits & Self::PORT != 0,
        }
    }

    /// The flags as bits of a service.
    #[must_use]
    pub const fn bits(self) -> u32 {
        (if self.fallback { Self::FALLBACK } else { 0 }) | (if self.port { Self::PORT } else { 0 })
    }
}

/// Everything besides destinations and flows that a scheduler's choice may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Flags of the service.
    pub flags: SchedulerFlags,
    /// How long lblc keeps an address that nobody asks for; default one day, looked at every half
    /// hour. Source: sysctl `net.ipv4.vs.lblc_expiration`.
    pub lblc_expiration: Duration,
    /// How long lblcr keeps an address that nobody asks for, and how long a server set stays
    /// unchanged before its most loaded member is let go; default one day.
    /// Source: sysctl `net.ipv4.vs.lblcr_expiration`.
    pub lblcr_expiration: Duration,
    /// Seed of the random choices of twos; the same seed gives the same choices. Read when the
    /// scheduler starts. Default 0.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            flags: SchedulerFlags::default(),
            lblc_expiration: DAY,
            lblcr_expiration: DAY,
            seed: 0,
        }
    }
}

impl From<SchedulerFlags> for Settings {
    fn from(flags: SchedulerFlags) -> Self {
        Self {
            flags,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_the_bits_of_the_service() {
        let both = SchedulerFlags {
            fallback: true,
            port: true,
        };
        assert_eq!(both.bits(), 0x18);
        for bits in [0, 0x08, 0x10, 0x18] {
            assert_eq!(
                SchedulerFlags::from_bits(bits | 0x01 | 0x04 | 0x20).bits(),
                bits
            );
        }
    }
}
