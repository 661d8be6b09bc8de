//! Whether there are as many processes as there should be, and for how long.

use std::time::{Duration, Instant};

use kconf_parser::config::TrackProcess;

/// Judges a number of processes. A verdict that a growing number brings counts after `fork_delay`, one
/// that a shrinking number brings after `terminate_delay`, if it is still true then; the first one
/// counts at once. Values only.
///
/// Source: keepalived.conf(5) `quorum`, `quorum_max`, `fork_delay`, `terminate_delay`.
#[derive(Debug)]
pub(super) struct Quorum {
    least: u32,
    most: u32,
    fork_delay: Duration,
    terminate_delay: Duration,
    count: u32,
    verdict: Option<bool>,
    /// When the other verdict counts.
    due: Option<Instant>,
}

impl Quorum {
    pub(super) fn new(config: &TrackProcess) -> Self {
        Self {
            // With a most of 0 there must be none.
            least: match config.quorum_max {
                Some(0) => 0,
                _ => config.quorum,
            },
            most: config.quorum_max.unwrap_or(u32::MAX),
            fork_delay: config.fork_delay,
            terminate_delay: config.terminate_delay,
            count: 0,
            verdict: None,
            due: None,
        }
    }

    /// How many there are now. Gives the verdict if there is a new one.
    pub(super) fn handle_count(&mut self, now: Instant, count: u32) -> Option<bool> {
        let before = std::mem::replace(&mut self.count, count);
        if self.verdict.is_none() {
            self.verdict = Some(self.holds());
            return self.verdict;
        }
        if self.verdict == Some(self.holds()) {
            self.due = None;
        } else if self.due.is_none() {
            let delay = match count > before {
                true => self.fork_delay,
                false => self.terminate_delay,
            };
            self.due = Some(now + delay);
        }
        self.handle_timeout(now)
    }

    /// A delay may be over. Gives the verdict if there is a new one.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<bool> {
        self.due.filter(|due| *due <= now)?;
        self.due = None;
        self.verdict = Some(self.holds());
        self.verdict
    }

    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn holds(&self) -> bool {
        (self.least..=self.most).contains(&self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quorum(least: u32, most: Option<u32>, fork: u64, terminate: u64) -> Quorum {
        Quorum::new(&TrackProcess {
            name: String::new(),
            process: String::new(),
            parameters: Vec::new(),
            parameter_match: Default::default(),
            weight: kconf_parser::config::Weight {
                value: 0,
                reverse: false,
            },
            quorum: least,
            quorum_max: most,
            fork_delay: Duration::from_secs(fork),
            terminate_delay: Duration::from_secs(terminate),
            full_command: false,
        })
    }

    #[test]
    fn least_and_most_are_both_held() {
        let now = Instant::now();
        for (least, most, held) in [
            (1, None, vec![1, 2, 3, 4, 100]),
            (2, Some(3), vec![2, 3]),
            (1, Some(0), vec![0]),
        ] {
            for count in [0, 1, 2, 3, 4, 100] {
                let mut quorum = quorum(least, most, 0, 0);
                let expected = held.contains(&count);
                let verdict = quorum.handle_count(now, count);
                assert_eq!(verdict, Some(expected), "{count} of {least} to {most:?}");
            }
        }
    }

    #[test]
    fn without_delays_every_change_counts_at_once() {
        let now = Instant::now();
        let mut quorum = quorum(2, None, 0, 0);
        let verdicts = [0, 1, 2, 3, 1, 2].map(|count| quorum.handle_count(now, count));
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(verdicts, [no, None, yes, None, no, yes]);
        assert_eq!(quorum.poll_timeout(), None);
    }

    #[test]
    fn a_change_counts_when_it_has_lasted() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut quorum = quorum(1, None, 2, 5);
        assert_eq!(quorum.handle_count(at(0), 1), Some(true));
        assert_eq!(quorum.handle_count(at(1), 0), None);
        assert_eq!(quorum.poll_timeout(), Some(at(6)));
        assert_eq!(quorum.handle_timeout(at(5)), None);
        // It is back in time.
        assert_eq!(quorum.handle_count(at(5), 1), None);
        assert_eq!(quorum.poll_timeout(), None);
        assert_eq!(quorum.handle_timeout(at(9)), None);
        assert_eq!(quorum.handle_count(at(10), 0), None);
        assert_eq!(quorum.handle_timeout(at(15)), Some(false));
        assert_eq!(quorum.handle_count(at(20), 1), None);
        assert_eq!(quorum.poll_timeout(), Some(at(22)));
        assert_eq!(quorum.handle_timeout(at(22)), Some(true));
    }
}
