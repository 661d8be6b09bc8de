//! When a child that died is started again.
//!
//! # Design
//! A value per child that is told when the child started and how it ended, and answers what to do.
//! The parent process ([`crate::parent`]) does it. keepalived's rule: a child that lived for a minute
//! starts again at once; one that dies young waits 0, 1, 2, 4, ... seconds, at most a minute; exit
//! statuses 1, 2 and 4 mean that another try would end the same way.

use std::time::{Duration, Instant};

/// A child that lived as long as this is started again at once.
pub const HEALTHY_LIFE: Duration = Duration::from_secs(60);

/// The longest wait before a new try.
pub const MAX_DELAY: Duration = Duration::from_secs(60);

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It returned this exit status.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
}

/// An exit status after which a new try would be in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermanentError {
    /// Status 1.
    Fatal,
    /// Status 2.
    Config,
    /// Status 4.
    MissingPermission,
}

impl PermanentError {
    const fn from_status(status: i32) -> Option<Self> {
        match status {
            1 => Some(Self::Fatal),
            2 => Some(Self::Config),
            4 => Some(Self::MissingPermission),
            _ => None,
        }
    }
}

impl std::fmt::Display for PermanentError {
    /// The word in keepalived's log line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fatal => "FATAL",
            Self::Config => "CONFIG",
            Self::MissingPermission => "missing permission",
        })
    }
}

/// What to do about a child that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It had lived long: start it again at once.
    RestartNow,
    /// It died young: start it again after this time, which may be zero.
    RestartAfter(Duration),
    /// Never start it again, and end the parent too.
    Permanent(PermanentError),
    /// It may not be started again (`--dont-respawn`): end the parent too.
    GiveUp,
}

/// The life of one child.
#[derive(Debug, Clone)]
pub struct Respawn {
    respawn: bool,
    started: Option<Instant>,
    next_delay: Duration,
}

impl Respawn {
    /// A child that has not been started; `respawn` is false under `--dont-respawn`.
    #[must_use]
    pub const fn new(respawn: bool) -> Self {
        Self {
            respawn,
            started: None,
            next_delay: Duration::ZERO,
        }
    }

    /// The child was started.
    pub const fn handle_start(&mut self, now: Instant) {
        self.started = Some(now);
    }

    /// The child ended though nobody had asked it to. A child that could not even be started counts
    /// as one that died young.
    #[must_use]
    pub fn handle_end(&mut self, now: Instant, ended: Ended) -> Verdict {
        let lived = self.started.take().map_or(Duration::ZERO, |started| {
            now.saturating_duration_since(started)
        });
        if let Ended::Exited(status) = ended
            && let Some(error) = PermanentError::from_status(status)
        {
            return Verdict::Permanent(error);
        }
        if !self.respawn {
            return Verdict::GiveUp;
        }
        if lived >= HEALTHY_LIFE {
            self.next_delay = Duration::ZERO;
            return Verdict::RestartNow;
        }
        let delay = self.next_delay;
        self.next_delay = (delay * 2).clamp(Duration::from_secs(1), MAX_DELAY);
        Verdict::RestartAfter(delay)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KILLED: Ended = Ended::Signalled(9);

    #[test]
    fn young_deaths_wait_longer_and_longer() {
        let mut now = Instant::now();
        let mut respawn = Respawn::new(true);
        for expected in [0, 1, 2, 4, 8, 16, 32, 60, 60] {
            respawn.handle_start(now);
            now += Duration::from_secs(59);
            assert_eq!(
                respawn.handle_end(now, KILLED),
                Verdict::RestartAfter(Duration::from_secs(expected))
            );
        }
    }

    #[test]
    fn a_long_life_is_forgiven() {
        let mut now = Instant::now();
        let mut respawn = Respawn::new(true);
        for _ in 0..5 {
            let _ = respawn.handle_end(now, KILLED);
        }
        respawn.handle_start(now);
        now += HEALTHY_LIFE;
        assert_eq!(respawn.handle_end(now, KILLED), Verdict::RestartNow);
        assert_eq!(
            respawn.handle_end(now, KILLED),
            Verdict::RestartAfter(Duration::ZERO)
        );
    }

    #[test]
    fn permanent_statuses_end_everything_with_and_without_respawn() {
        let now = Instant::now();
        for respawn in [true, false] {
            for (status, error) in [
                (1, PermanentError::Fatal),
                (2, PermanentError::Config),
                (4, PermanentError::MissingPermission),
            ] {
                assert_eq!(
                    Respawn::new(respawn).handle_end(now, Ended::Exited(status)),
                    Verdict::Permanent(error)
                );
            }
        }
        assert_eq!(
            Respawn::new(false).handle_end(now, Ended::Exited(0)),
            Verdict::GiveUp
        );
        assert_eq!(
            Respawn::new(true).handle_end(now, Ended::Exited(3)),
            Verdict::RestartAfter(Duration::ZERO)
        );
    }

    proptest! {
        #[test]
        fn the_delay_never_shrinks_while_deaths_are_young(lives in prop::collection::vec(0u64..60, 1..40)) {
            let mut now = Instant::now();
            let mut respawn = Respawn::new(true);
            let mut last = Duration::ZERO;
            for life in lives {
                respawn.handle_start(now);
                now += Duration::from_secs(life);
                let Verdict::RestartAfter(delay) = respawn.handle_end(now, KILLED) else {
                    panic!("a young death without a delay");
                };
                prop_assert!(delay >= last && delay <= MAX_DELAY);
                last = delay;
            }
        }
    }
}
