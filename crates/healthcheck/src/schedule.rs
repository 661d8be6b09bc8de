//! One check's life in time: when to probe, and what a row of outcomes means.
//!
//! [`Schedule`] knows `delay_loop`, `retry`, `delay_before_retry`, `warmup` and `alpha`. It starts
//! probes by an output, takes their outcomes, and says when its verdict changes. It never reads a
//! clock and never opens a socket.
//!
//! | phase | in the pool | after a success | after a failure |
//! |---|---|---|---|
//! | trusted (start without `alpha`) | yes | proven | down at once, without retries |
//! | distrusted (start with `alpha`) | no | proven: [`Verdict::Up`] | stays, next probe after `delay_loop` |
//! | proven | yes | stays, next probe after `delay_loop` | `retry` more tries, `delay_before_retry` apart; then down |
//! | down | no | proven: [`Verdict::Up`] | stays, next probe after `delay_loop` |
//!
//! With several steps (urls of an HTTP check) they follow one another, and "a success" above is the
//! success of the last one: all have to pass. A step that failed is tried again by itself, then the
//! rest follows.
//!
//! # Design
//!
//! A check holds one deadline or one running probe, never both, so nothing can fire after a change
//! of state. Probes are numbered, and an outcome that carries another number than that of the
//! running probe is ignored: a driver need not be careful about outcomes that cross an abort on
//! their way. The next deadline is counted from the moment the driver reports, so a driver that was
//! late, or a machine that slept, never causes a burst of probes that caught up.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg32;
use serde::{Deserialize, Serialize};

use crate::verdict::{Evidence, Outcome, Verdict};

/// How long after the start the earliest first probe comes; the random part of `warmup` is added to
/// it.
const START_DELAY: Duration = Duration::from_secs(1);

/// What a [`Schedule`] goes by: the values of a checker in the configuration, with inheritance and
/// defaults resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleConfig {
    /// Time from one probe to the next while nothing is wrong, and while the check is down.
    ///
    /// Default 60 s. Zero probes without a pause and is for tests. Source: keepalived.conf(5)
    /// `delay_loop`.
    pub delay_loop: Duration,
    /// How many more tries a proven server gets after a failure before the check turns down.
    ///
    /// Default 1; 0 turns it down at the first failure. Source: keepalived.conf(5) `retry`.
    pub retry: u32,
    /// Time from a failure to the next try while tries are left.
    ///
    /// Default 1 s, for HTTP and SSL checks 3 s. A check of several steps waits for `delay_loop` if
    /// that is longer, as keepalived does. Source: keepalived.conf(5) `delay_before_retry`.
    pub delay_before_retry: Duration,
    /// Width of the random part of the delay before the first probe, which comes 1 s to 1 s +
    /// `warmup` after the start. It spreads the load of many checks that start together.
    ///
    /// Default `delay_loop`; zero probes exactly 1 s after the start. Source: keepalived.conf(5)
    /// `warmup`.
    pub warmup: Duration,
    /// Start down and prove fitness by a success, instead of being trusted until the first failure.
    ///
    /// Default false. Source: keepalived.conf(5) `alpha`.
    pub alpha: bool,
    /// Number of probes that follow one another in a round; all must pass. Default 1.
    ///
    /// An HTTP or SSL check has one for each of its urls.
    pub steps: NonZeroU32,
    /// Leave out the pauses between the steps of a round unless the check is proven.
    ///
    /// Default false. Source: keepalived.conf(5) `fast_recovery`.
    pub fast_recovery: bool,
    /// What `delay_loop` is counted from. Default [`Period::FromEnd`].
    pub period: Period,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            delay_loop: Duration::from_secs(60),
            retry: 1,
            delay_before_retry: Duration::from_secs(1),
            warmup: Duration::from_secs(60),
            alpha: false,
            steps: NonZeroU32::MIN,
            fast_recovery: false,
            period: Period::FromEnd,
        }
    }
}

/// What `delay_loop` is counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// From the end of the last probe: the pause between probes is constant. All network checks.
    #[default]
    FromEnd,
    /// From the start of the last probe: the rhythm is constant. A probe that takes longer than
    /// `delay_loop` is followed by the next at once. Script checks (`MISC_CHECK`).
    FromStart,
}

/// Names one run of a probe within its [`Schedule`]. A later probe has a greater id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(u64);

/// What the driver of a [`Schedule`] has to do, in the order in which it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Start this step of the check now. Its outcome, within a deadline of the driver's own, goes
    /// to [`Schedule::handle_outcome`] with the same id.
    StartProbe {
        /// Which probe this is.
        probe: ProbeId,
        /// Which step of the round, from 0 to [`ScheduleConfig::steps`] - 1.
        step: u32,
    },
    /// Stop this probe; its outcome is of no interest any more.
    AbortProbe {
        /// The probe that was running.
        probe: ProbeId,
    },
    /// A probe ended. For logs and status; comes before the [`Output::VerdictChanged`] that it may
    /// lead to.
    Probed(Evidence),
    /// The verdict is another one than before.
    VerdictChanged {
        /// The new verdict.
        verdict: Verdict,
        /// What decided.
        evidence: Evidence,
    },
}

/// The life of one check.
///
/// The methods fall into four groups:
///
/// - What comes in: [`handle_timeout`](Self::handle_timeout),
///   [`handle_outcome`](Self::handle_outcome).
/// - Commands: [`suspend`](Self::suspend), [`resume`](Self::resume).
/// - What goes out: [`poll_output`](Self::poll_output), [`poll_timeout`](Self::poll_timeout).
/// - Getters: all others. They change nothing.
///
/// After any call of the first two groups, drain `poll_output` until it returns `None`, then arm a
/// timer for `poll_timeout`. A `handle_timeout` that comes late, early, or twice is harmless. `now`
/// must not go back.
///
/// ```
/// use std::time::{Duration, Instant};
/// use healthcheck::{Outcome, Schedule, ScheduleConfig, Verdict, schedule::Output};
///
/// let mut now = Instant::now(); // virtual from here on
/// let config = ScheduleConfig { warmup: Duration::ZERO, alpha: true, ..ScheduleConfig::default() };
/// let mut check = Schedule::new(config, now, 42);
/// assert_eq!(check.verdict(), Verdict::Down);
///
/// let mut verdict = None;
/// while verdict.is_none() {
///     // Wait for whichever comes first: the deadline, or the end of a running probe.
///     if let Some(deadline) = check.poll_timeout() {
///         now = deadline;
///         check.handle_timeout(now);
///     }
///     while let Some(output) = check.poll_output() {
///         match output {
///             // A real driver spawns the probe and reports its outcome when it is there.
///             Output::StartProbe { probe, step: _ } => {
///                 let outcome = Outcome::Success { latency: Duration::from_millis(3) };
///                 check.handle_outcome(now, probe, outcome);
///             }
///             Output::AbortProbe { .. } => {}
///             Output::Probed(evidence) => println!("{evidence}"),
///             Output::VerdictChanged { verdict: new, .. } => verdict = Some(new),
///         }
///     }
/// }
/// assert_eq!(verdict, Some(Verdict::Up));
/// assert_eq!(check.poll_timeout(), Some(now + Duration::from_secs(60)));
/// ```
#[derive(Debug)]
pub struct Schedule {
    config: ScheduleConfig,
    phase: Phase,
    step: u32,
    failures: u32,
    activity: Activity,
    last: Option<Evidence>,
    next_probe: u64,
    rng: Pcg32,
    outputs: VecDeque<Output>,
}

/// What a check knows about its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing yet; counts as up. The first failure turns it down.
    Trusted,
    /// Nothing yet; counts as down (`alpha`).
    Distrusted,
    /// It passed, and has not used up its retries since.
    Proven,
    /// It failed, and has not passed since.
    Down,
}

impl Phase {
    fn verdict(self) -> Verdict {
        match self {
            Self::Trusted | Self::Proven => Verdict::Up,
            Self::Distrusted | Self::Down => Verdict::Down,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Activity {
    Waiting { until: Instant },
    Probing { probe: ProbeId, since: Instant },
    Suspended,
}

/// How far a check has got: enough to go on in another process, or with changed values, as if
/// nothing had happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is known about the server.
    pub phase: Phase,
    /// The step that is due next or running, from 0.
    pub step: u32,
    /// Failures in a row that count towards `retry`.
    pub failures: u32,
    /// Time left to the next probe; `None` while a probe runs or the check is suspended.
    pub due_in: Option<Duration>,
    /// What the last probe found, for status.
    pub last: Option<Evidence>,
}

impl Schedule {
    /// A check that starts now. Its first probe comes 1 s plus a random part of `warmup` later;
    /// `seed` decides the random part, so give every check another one.
    pub fn new(config: ScheduleConfig, now: Instant, seed: u64) -> Self {
        let mut rng = Pcg32::seed_from_u64(seed);
        let until = after(
            now,
            START_DELAY.saturating_add(up_to(&mut rng, config.warmup)),
        );
        Self {
            phase: if config.alpha {
                Phase::Distrusted
            } else {
                Phase::Trusted
            },
            config,
            step: 0,
            failures: 0,
            activity: Activity::Waiting { until },
            last: None,
            next_probe: 0,
            rng,
            outputs: VecDeque::new(),
        }
    }

    /// A check that goes on from `progress`, made by [`Schedule::progress`] in an earlier process
    /// or with other values.
    ///
    /// The verdict is the old one and nothing is said about it. The next probe comes when it was
    /// due, but no later than `delay_loop` from now, and no later than 1 s from now, at random, if
    /// it was running or suspended. Counts and steps that `config` does not know are cut down to
    /// it. Ids of probes begin anew: the caller sees to it that no outcome of a probe of the old
    /// schedule comes in.
    pub fn restored(config: ScheduleConfig, progress: &Progress, now: Instant, seed: u64) -> Self {
        let mut schedule = Self::new(config, now, seed);
        let delay = match progress.due_in {
            Some(due_in) => due_in.min(schedule.config.delay_loop),
            None => up_to(&mut schedule.rng, START_DELAY),
        };
        schedule.activity = Activity::Waiting {
            until: after(now, delay),
        };
        schedule.phase = progress.phase;
        schedule.failures = progress.failures.min(schedule.config.retry);
        if progress.step < schedule.config.steps.get() {
            schedule.step = progress.step;
        }
        schedule.last.clone_from(&progress.last);
        schedule
    }

    /// A deadline may have passed. Starts a probe if one is due, else does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Activity::Waiting { until } = self.activity else {
            return;
        };
        if now < until {
            return;
        }
        let probe = ProbeId(self.next_probe);
        self.next_probe += 1;
        self.activity = Activity::Probing { probe, since: now };
        self.outputs.push_back(Output::StartProbe {
            probe,
            step: self.step,
        });
    }

    /// The probe that [`Output::StartProbe`] named has ended. An outcome of any other probe is
    /// ignored.
    pub fn handle_outcome(&mut self, now: Instant, probe: ProbeId, outcome: Outcome) {
        let Activity::Probing {
            probe: running,
            since,
        } = self.activity
        else {
            return;
        };
        if running != probe {
            return;
        }
        let before = self.phase.verdict();
        let step = self.step;
        let (pause, failures, retries_left) = if outcome.is_success() {
            (self.after_success(), 0, 0)
        } else {
            self.after_failure()
        };
        let until = match pause {
            Pause::None => now,
            Pause::Retry => after(now, self.retry_pause()),
            Pause::Loop => match self.config.period {
                Period::FromEnd => after(now, self.config.delay_loop),
                Period::FromStart => after(since, self.config.delay_loop).max(now),
            },
        };
        self.activity = Activity::Waiting { until };

        let evidence = Evidence {
            outcome,
            step,
            failures,
            retries_left,
        };
        self.last = Some(evidence.clone());
        self.outputs.push_back(Output::Probed(evidence.clone()));
        let verdict = self.phase.verdict();
        if verdict != before {
            self.outputs
                .push_back(Output::VerdictChanged { verdict, evidence });
        }
    }

    /// Stops probing and keeps the verdict (`ha_suspend`). Does nothing if it is suspended already.
    pub fn suspend(&mut self) {
        if let Activity::Probing { probe, .. } = self.activity {
            self.outputs.push_back(Output::AbortProbe { probe });
        }
        self.activity = Activity::Suspended;
    }

    /// Goes on probing where it was suspended: the next probe comes within 1 s, at random. Does
    /// nothing if it is not suspended.
    pub fn resume(&mut self, now: Instant) {
        if matches!(self.activity, Activity::Suspended) {
            let until = after(now, up_to(&mut self.rng, START_DELAY));
            self.activity = Activity::Waiting { until };
        }
    }

    /// The next thing to do, oldest first.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while a probe runs or the check
    /// is suspended.
    ///
    /// Changed by every call that takes `&mut self`, `poll_output` excepted.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.activity {
            Activity::Waiting { until } => Some(until),
            Activity::Probing { .. } | Activity::Suspended => None,
        }
    }

    /// The verdict in force.
    pub fn verdict(&self) -> Verdict {
        self.phase.verdict()
    }

    /// What is known about the server.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it is suspended.
    pub fn is_suspended(&self) -> bool {
        matches!(self.activity, Activity::Suspended)
    }

    /// What the last probe found; `None` before the end of the first.
    pub fn last(&self) -> Option<&Evidence> {
        self.last.as_ref()
    }

    /// The values it goes by.
    pub fn config(&self) -> &ScheduleConfig {
        &self.config
    }

    /// How far the check has got, for [`Schedule::restored`].
    pub fn progress(&self, now: Instant) -> Progress {
        Progress {
            phase: self.phase,
            step: self.step,
            failures: self.failures,
            due_in: self
                .poll_timeout()
                .map(|until| until.saturating_duration_since(now)),
            last: self.last.clone(),
        }
    }

    fn after_success(&mut self) -> Pause {
        self.failures = 0;
        self.step += 1;
        if self.step < self.config.steps.get() {
            return if self.config.fast_recovery && self.phase != Phase::Proven {
                Pause::None
            } else {
                Pause::Loop
            };
        }
        self.step = 0;
        self.phase = Phase::Proven;
        Pause::Loop
    }

    /// Returns the pause, the failures in a row, and how many more are tolerated.
    fn after_failure(&mut self) -> (Pause, u32, u32) {
        match self.phase {
            Phase::Proven if self.failures < self.config.retry => {
                self.failures += 1;
                (
                    Pause::Retry,
                    self.failures,
                    self.config.retry - self.failures + 1,
                )
            }
            Phase::Proven => {
                let failures = self.failures.saturating_add(1);
                self.failures = 0;
                self.phase = Phase::Down;
                (Pause::Loop, failures, 0)
            }
            Phase::Trusted => {
                self.phase = Phase::Down;
                (Pause::Loop, 1, 0)
            }
            Phase::Distrusted | Phase::Down => (Pause::Loop, 1, 0),
        }
    }

    fn retry_pause(&self) -> Duration {
        let pause = self.config.delay_before_retry;
        if self.config.steps > NonZeroU32::MIN {
            pause.max(self.config.delay_loop)
        } else {
            pause
        }
    }
}

enum Pause {
    None,
    Retry,
    Loop,
}

/// `now + delay`; a delay beyond what an `Instant` can hold becomes a very long one.
fn after(now: Instant, delay: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now.checked_add(delay)
        .or_else(|| now.checked_add(FAR))
        .unwrap_or(now)
}

/// A random duration from zero to `limit`, both included.
fn up_to(rng: &mut Pcg32, limit: Duration) -> Duration {
    let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(rng.random_range(0..=nanos))
}

#[cfg(test)]
mod tests;
