//! The machine in virtual time. Every table asserts the deadlines, not only the verdicts.

use proptest::prelude::*;

use super::*;
use crate::verdict::Failure;

const OK: Outcome = Outcome::Success {
    latency: Duration::from_millis(1),
};
const BAD: Outcome = Outcome::Failure(Failure::Refused);

/// A check with its own clock; probes take no time unless a test says so.
struct Bench {
    check: Schedule,
    start: Instant,
    now: Instant,
}

/// `delay_loop` 10 s, `retry` 2, `delay_before_retry` 3 s, no warmup.
fn config() -> ScheduleConfig {
    ScheduleConfig {
        delay_loop: secs(10),
        retry: 2,
        delay_before_retry: secs(3),
        warmup: Duration::ZERO,
        ..ScheduleConfig::default()
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn steps(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

impl Bench {
    fn new(config: ScheduleConfig) -> Self {
        let start = Instant::now();
        Self {
            check: Schedule::new(config, start, 1),
            start,
            now: start,
        }
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.check.poll_output()).collect()
    }

    /// Jumps to the deadline and starts the probe; returns the time, its id, and its step.
    fn start_probe(&mut self) -> (Duration, ProbeId, u32) {
        self.now = self.check.poll_timeout().expect("a deadline");
        self.check.handle_timeout(self.now);
        let outputs = self.outputs();
        let [Output::StartProbe { probe, step }] = outputs[..] else {
            panic!("expected one probe to start, got {outputs:?}")
        };
        assert_eq!(
            self.check.poll_timeout(),
            None,
            "a deadline while a probe runs"
        );
        (self.now - self.start, probe, step)
    }

    /// One probe with this outcome; returns its time in seconds, its step, and the verdict if it
    /// changed.
    fn probe(&mut self, outcome: Outcome) -> (u64, u32, Option<Verdict>) {
        let (at, probe, step) = self.start_probe();
        self.check.handle_outcome(self.now, probe, outcome.clone());
        let outputs = self.outputs();
        let change = match &outputs[..] {
            [Output::Probed(evidence)] => {
                assert_eq!(evidence.outcome, outcome);
                None
            }
            [
                Output::Probed(first),
                Output::VerdictChanged { verdict, evidence },
            ] => {
                assert_eq!(first, evidence);
                assert_eq!(self.check.verdict(), *verdict);
                Some(*verdict)
            }
            other => panic!("unexpected {other:?}"),
        };
        (at.as_secs(), step, change)
    }
}

const UP: Option<Verdict> = Some(Verdict::Up);
const DOWN: Option<Verdict> = Some(Verdict::Down);

/// Plays a life: `(time in seconds, step, outcome, change of verdict)` for each probe.
#[track_caller]
fn play(config: ScheduleConfig, life: &[(u64, u32, Outcome, Option<Verdict>)]) {
    let mut bench = Bench::new(config);
    for (index, (at, step, outcome, change)) in life.iter().enumerate() {
        assert_eq!(
            bench.probe(outcome.clone()),
            (*at, *step, *change),
            "probe {index}"
        );
    }
}

#[test]
fn trusted_server_that_is_dead_goes_down_at_once() {
    play(
        config(),
        &[
            (1, 0, BAD, DOWN),
            (11, 0, BAD, None),
            (21, 0, OK, UP),
            (31, 0, OK, None),
        ],
    );
}

#[test]
fn alpha_starts_down_and_stays_until_a_success() {
    let config = ScheduleConfig {
        alpha: true,
        ..config()
    };
    assert_eq!(Bench::new(config.clone()).check.verdict(), Verdict::Down);
    play(
        config,
        &[
            (1, 0, BAD, None),
            (11, 0, BAD, None),
            (21, 0, OK, UP),
            (31, 0, OK, None),
        ],
    );
}

#[test]
fn proven_server_gets_its_retries() {
    play(
        config(),
        &[
            (1, 0, OK, None),
            (11, 0, BAD, None),
            (14, 0, BAD, None),
            (17, 0, BAD, DOWN),
            (27, 0, BAD, None),
            (37, 0, OK, UP),
            (47, 0, BAD, None),
        ],
    );
}

#[test]
fn a_success_forgives_earlier_failures() {
    play(
        config(),
        &[
            (1, 0, OK, None),
            (11, 0, BAD, None),
            (14, 0, BAD, None),
            (17, 0, OK, None),
            (27, 0, BAD, None),
            (30, 0, BAD, None),
            (33, 0, BAD, DOWN),
        ],
    );
}

#[test]
fn retry_zero_turns_down_at_the_first_failure() {
    let config = ScheduleConfig {
        retry: 0,
        ..config()
    };
    play(
        config,
        &[(1, 0, OK, None), (11, 0, BAD, DOWN), (21, 0, OK, UP)],
    );
}

#[test]
fn urls_follow_one_another_and_all_must_pass() {
    let config = ScheduleConfig {
        steps: steps(3),
        alpha: true,
        ..config()
    };
    play(
        config,
        &[
            (1, 0, OK, None),
            (11, 1, OK, None),
            (21, 2, OK, UP),
            (31, 0, OK, None),
            (41, 1, BAD, None),
            // The longer of delay_before_retry and delay_loop; the failed one only, then the rest.
            (51, 1, OK, None),
            (61, 2, BAD, None),
            (71, 2, BAD, None),
            (81, 2, BAD, DOWN),
            (91, 2, OK, UP),
            (101, 0, OK, None),
        ],
    );
}

#[test]
fn a_long_retry_pause_holds_for_several_urls_too() {
    let config = ScheduleConfig {
        steps: steps(2),
        delay_before_retry: secs(30),
        ..config()
    };
    play(
        config,
        &[
            (1, 0, OK, None),
            (11, 1, OK, None),
            (21, 0, BAD, None),
            (51, 0, OK, None),
        ],
    );
}

#[test]
fn fast_recovery_leaves_out_the_pauses_until_proven() {
    let config = ScheduleConfig {
        steps: steps(3),
        alpha: true,
        fast_recovery: true,
        ..config()
    };
    play(
        config,
        &[
            (1, 0, OK, None),
            (1, 1, BAD, None),
            (11, 1, OK, None),
            (11, 2, OK, UP),
            (21, 0, OK, None),
            (31, 1, OK, None),
        ],
    );
}

#[test]
fn evidence_counts_failures_and_tries() {
    let mut bench = Bench::new(config());
    let mut seen = Vec::new();
    for outcome in [OK, BAD, BAD, BAD, BAD, OK] {
        bench.probe(outcome);
        let last = bench.check.last().unwrap();
        seen.push((last.failures, last.retries_left));
    }
    assert_eq!(seen, [(0, 0), (1, 2), (2, 1), (3, 0), (1, 0), (0, 0)]);
}

#[test]
fn the_pause_is_counted_from_the_end_of_a_probe() {
    let mut bench = Bench::new(config());
    let (_, probe, _) = bench.start_probe();
    bench.check.handle_outcome(bench.now + secs(4), probe, OK);
    assert_eq!(
        bench.check.poll_timeout(),
        Some(bench.start + secs(1 + 4 + 10))
    );
}

#[test]
fn the_pause_can_be_counted_from_the_start_of_a_probe() {
    let mut bench = Bench::new(ScheduleConfig {
        period: Period::FromStart,
        ..config()
    });
    let (_, probe, _) = bench.start_probe();
    bench.check.handle_outcome(bench.now + secs(4), probe, OK);
    bench.outputs();
    assert_eq!(bench.check.poll_timeout(), Some(bench.start + secs(1 + 10)));

    // Longer than the period: at once, but not in the past.
    let (_, probe, _) = bench.start_probe();
    let end = bench.now + secs(25);
    bench.check.handle_outcome(end, probe, OK);
    assert_eq!(bench.check.poll_timeout(), Some(end));
}

#[test]
fn warmup_is_random_within_its_range() {
    let config = ScheduleConfig {
        warmup: secs(10),
        ..config()
    };
    let now = Instant::now();
    let delays: Vec<Duration> = (0..1000)
        .map(|seed| {
            Schedule::new(config.clone(), now, seed)
                .poll_timeout()
                .unwrap()
                - now
        })
        .collect();
    assert!(
        delays
            .iter()
            .all(|delay| (secs(1)..=secs(11)).contains(delay))
    );
    for whole in 1..11 {
        let count = delays
            .iter()
            .filter(|delay| delay.as_secs() == whole)
            .count();
        assert!(
            (50..200).contains(&count),
            "{count} of 1000 in second {whole}"
        );
    }
}

#[test]
fn early_late_and_repeated_timeouts_are_harmless() {
    let mut bench = Bench::new(config());
    bench
        .check
        .handle_timeout(bench.start + Duration::from_millis(999));
    assert_eq!(bench.outputs(), []);

    let late = bench.start + secs(100);
    bench.check.handle_timeout(late);
    bench.check.handle_timeout(late);
    bench.check.handle_timeout(late + secs(50));
    let outputs = bench.outputs();
    let [Output::StartProbe { probe, .. }] = outputs[..] else {
        panic!("{outputs:?}")
    };

    // What was missed is not made up for.
    bench.check.handle_outcome(late, probe, OK);
    assert_eq!(bench.check.poll_timeout(), Some(late + secs(10)));
}

#[test]
fn outcomes_of_other_probes_are_ignored() {
    let mut bench = Bench::new(ScheduleConfig {
        alpha: true,
        ..config()
    });
    let (_, first, _) = bench.start_probe();
    bench.check.handle_outcome(bench.now, first, BAD);
    bench.outputs();
    let due = bench.check.poll_timeout();

    bench.check.handle_outcome(bench.now, first, OK);
    assert_eq!((bench.outputs(), bench.check.poll_timeout()), (vec![], due));

    let (_, second, _) = bench.start_probe();
    assert!(second > first);
    bench.check.handle_outcome(bench.now, first, OK);
    assert_eq!(
        (bench.outputs(), bench.check.verdict()),
        (vec![], Verdict::Down)
    );
}

#[test]
fn suspended_checks_keep_their_verdict_and_probe_nothing() {
    let mut bench = Bench::new(config());
    bench.probe(OK);
    let (_, probe, _) = bench.start_probe();
    bench.check.suspend();
    assert_eq!(bench.outputs(), [Output::AbortProbe { probe }]);
    bench.check.suspend();
    bench.check.handle_timeout(bench.now + secs(1000));
    bench.check.handle_outcome(bench.now, probe, BAD);
    assert_eq!(
        (bench.outputs(), bench.check.poll_timeout()),
        (vec![], None)
    );
    assert!(bench.check.is_suspended());
    assert_eq!(bench.check.verdict(), Verdict::Up);

    let now = bench.now + secs(2000);
    bench.check.resume(now);
    let due = bench.check.poll_timeout().unwrap();
    assert!((now..=now + secs(1)).contains(&due));
    bench.check.resume(now + secs(5));
    assert_eq!(bench.check.poll_timeout(), Some(due), "resumed twice");
    assert_eq!(bench.probe(BAD).2, None, "its retries are still there");
}

#[test]
fn restored_checks_go_on_where_they_were() {
    let mut bench = Bench::new(config());
    bench.probe(OK);
    bench.probe(BAD);
    let now = bench.now + secs(1);
    let progress = bench.check.progress(now);
    assert_eq!(progress.due_in, Some(secs(2)));
    let json = serde_json::to_string(&progress).unwrap();
    let progress = serde_json::from_str(&json).unwrap();

    let restored = Schedule::restored(config(), &progress, now, 7);
    assert_eq!(restored.poll_timeout(), bench.check.poll_timeout());
    assert_eq!(restored.last(), bench.check.last());
    bench.check = restored;
    assert_eq!(bench.outputs(), []);
    assert_eq!(
        [bench.probe(BAD), bench.probe(BAD)],
        [(14, 0, None), (17, 0, DOWN)]
    );
}

#[test]
fn restored_checks_fit_into_their_new_values() {
    let progress = Progress {
        phase: Phase::Proven,
        step: 2,
        failures: 5,
        due_in: Some(secs(500)),
        last: None,
    };
    let now = Instant::now();
    let mut check = Schedule::restored(
        ScheduleConfig {
            alpha: true,
            ..config()
        },
        &progress,
        now,
        7,
    );
    assert_eq!(
        check.verdict(),
        Verdict::Up,
        "alpha is for those that start"
    );
    assert_eq!(check.poll_timeout(), Some(now + secs(10)));
    check.handle_timeout(now + secs(10));
    assert!(matches!(
        check.poll_output(),
        Some(Output::StartProbe { step: 0, .. })
    ));

    let running = Progress {
        due_in: None,
        ..progress
    };
    let check = Schedule::restored(config(), &running, now, 7);
    assert!((now..=now + secs(1)).contains(&check.poll_timeout().unwrap()));
}

#[test]
fn absurd_values_do_not_overflow() {
    let config = ScheduleConfig {
        delay_loop: Duration::MAX,
        delay_before_retry: Duration::MAX,
        warmup: Duration::MAX,
        retry: u32::MAX,
        ..config()
    };
    let mut bench = Bench::new(config);
    bench.probe(OK);
    bench.probe(BAD);
}

/// What a driver may do to a schedule.
#[derive(Clone, Debug)]
enum Operation {
    Wait(u64),
    Deadline,
    Finish(bool),
    Stale(bool),
    Suspend,
    Resume,
    Restart,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => (0..20_000_u64).prop_map(Operation::Wait),
        6 => Just(Operation::Deadline),
        6 => any::<bool>().prop_map(Operation::Finish),
        1 => any::<bool>().prop_map(Operation::Stale),
        1 => Just(Operation::Suspend),
        1 => Just(Operation::Resume),
        1 => Just(Operation::Restart),
    ]
}

fn any_config() -> impl Strategy<Value = ScheduleConfig> {
    (0..4_u32, 1..4_u32, any::<[bool; 3]>(), 0..20_u64, 0..20_u64).prop_map(
        |(retry, count, [alpha, fast_recovery, from_start], delay_loop, delay_before_retry)| {
            ScheduleConfig {
                delay_loop: secs(delay_loop),
                retry,
                delay_before_retry: secs(delay_before_retry),
                warmup: secs(5),
                alpha,
                steps: steps(count),
                fast_recovery,
                period: if from_start {
                    Period::FromStart
                } else {
                    Period::FromEnd
                },
            }
        },
    )
}

proptest! {
    /// The verdict turns up only by as many successes in a row, over the failed step and the rest,
    /// as there are steps left; it turns down only after the retries; it never changes without a
    /// probe; probes never overlap.
    #[test]
    fn verdicts_rest_on_probes(
        config in any_config(),
        operations in prop::collection::vec(operation(), 0..200),
    ) {
        let mut now = Instant::now();
        let mut check = Schedule::new(config.clone(), now, 3);
        let mut running: Option<(ProbeId, u32)> = None;
        let mut last_probe: Option<ProbeId> = None;
        let mut passed_last_step = false;
        let mut failures_in_a_row = 0;
        for operation in operations {
            let before = check.verdict();
            let was_proven = check.phase() == Phase::Proven;
            match operation {
                Operation::Wait(millis) => {
                    now += Duration::from_millis(millis);
                    check.handle_timeout(now);
                }
                Operation::Deadline => {
                    if let Some(due) = check.poll_timeout() {
                        now = now.max(due);
                        check.handle_timeout(now);
                    }
                }
                Operation::Finish(good) => {
                    if let Some((probe, step)) = running.take() {
                        passed_last_step = good && step + 1 == config.steps.get();
                        failures_in_a_row = if good { 0 } else { failures_in_a_row + 1 };
                        check.handle_outcome(now, probe, if good { OK } else { BAD });
                    }
                }
                Operation::Stale(good) => {
                    if let Some(probe) = last_probe.filter(|last| running.is_none_or(|(id, _)| id != *last)) {
                        check.handle_outcome(now, probe, if good { OK } else { BAD });
                        prop_assert_eq!(check.poll_output(), None);
                    }
                }
                Operation::Suspend => check.suspend(),
                Operation::Resume => check.resume(now),
                Operation::Restart => {
                    let progress = check.progress(now);
                    check = Schedule::restored(config.clone(), &progress, now, 4);
                    running = None;
                    last_probe = None;
                }
            }
            let mut verdict = before;
            while let Some(output) = check.poll_output() {
                match output {
                    Output::StartProbe { probe, step } => {
                        prop_assert!(running.is_none(), "two probes at once");
                        prop_assert!(step < config.steps.get());
                        prop_assert!(last_probe.is_none_or(|last| probe > last));
                        running = Some((probe, step));
                        last_probe = Some(probe);
                    }
                    Output::AbortProbe { probe } => {
                        prop_assert_eq!(running.take().map(|(id, _)| id), Some(probe));
                    }
                    Output::Probed(_) => {}
                    Output::VerdictChanged { verdict: new, .. } => {
                        prop_assert!(new != verdict, "not news");
                        verdict = new;
                        match new {
                            Verdict::Up => prop_assert!(passed_last_step, "up without a success"),
                            Verdict::Down if was_proven => {
                                prop_assert!(failures_in_a_row > config.retry, "down too early");
                            }
                            Verdict::Down => prop_assert!(failures_in_a_row > 0),
                        }
                    }
                }
            }
            prop_assert_eq!(verdict, check.verdict(), "a change that was not told");
            if was_proven && failures_in_a_row > config.retry && running.is_none() {
                prop_assert_eq!(check.verdict(), Verdict::Down, "too many retries");
            }
            // Either it waits, or it probes, or it is suspended; so it can never be forgotten.
            let states = [check.poll_timeout().is_some(), running.is_some(), check.is_suspended()];
            prop_assert_eq!(states.iter().filter(|state| **state).count(), 1);
        }
    }
}
