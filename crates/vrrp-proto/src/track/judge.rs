//! From single runs of a script to a verdict on it.

use std::num::NonZeroU32;

/// How a tracked script stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As good.
    Good,
    /// As bad.
    Bad,
}

/// Counts the outcomes of a tracked script's runs: `rise` successes in a row make it good, `fall`
/// failures in a row bad. The first run of all decides alone.
///
/// Source: keepalived.conf(5) `rise`, `fall`, `init_fail`.
///
/// ```
/// use std::num::NonZeroU32;
/// use vrrp_proto::track::{Judge, Verdict};
///
/// let twice = NonZeroU32::new(2).unwrap();
/// let mut judge = Judge::new(twice, twice);
/// assert_eq!(judge.handle_run(true), Some(Verdict::Good)); // the first run decides
/// assert_eq!(judge.handle_run(false), None); // once is not enough
/// assert_eq!(judge.handle_run(false), Some(Verdict::Bad));
/// ```
#[derive(Clone, Debug)]
pub struct Judge {
    rise: NonZeroU32,
    fall: NonZeroU32,
    verdict: Option<Verdict>,
    against: u32,
}

impl Judge {
    /// A judge that has seen no run.
    pub const fn new(rise: NonZeroU32, fall: NonZeroU32) -> Self {
        Self {
            rise,
            fall,
            verdict: None,
            against: 0,
        }
    }

    /// A judge that holds the script for bad until it has risen: `init_fail`.
    pub const fn failed(rise: NonZeroU32, fall: NonZeroU32) -> Self {
        Self {
            verdict: Some(Verdict::Bad),
            ..Self::new(rise, fall)
        }
    }

    /// The present verdict; `None` before the first run.
    pub const fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    /// Takes the outcome of a run and returns the verdict if it is a new one.
    pub fn handle_run(&mut self, success: bool) -> Option<Verdict> {
        let (seen, needed) = if success {
            (Verdict::Good, self.rise.get())
        } else {
            (Verdict::Bad, self.fall.get())
        };
        if self.verdict == Some(seen) {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        if self.verdict.is_some() && self.against < needed {
            return None;
        }
        self.against = 0;
        self.verdict = Some(seen);
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn only_a_row_counts() {
        let mut judge = Judge::new(of(2), of(3));
        assert_eq!(judge.handle_run(true), Some(Verdict::Good));
        for _ in 0..3 {
            assert_eq!(judge.handle_run(false), None);
            assert_eq!(judge.handle_run(false), None);
            assert_eq!(judge.handle_run(true), None);
        }
        assert_eq!(judge.handle_run(false), None);
        assert_eq!(judge.handle_run(false), None);
        assert_eq!(judge.handle_run(false), Some(Verdict::Bad));
        assert_eq!(judge.handle_run(false), None);
        assert_eq!(judge.handle_run(true), None);
        assert_eq!(judge.handle_run(true), Some(Verdict::Good));
    }

    #[test]
    fn init_fail_waits_for_the_whole_rise() {
        let mut judge = Judge::failed(of(2), of(1));
        assert_eq!(judge.verdict(), Some(Verdict::Bad));
        assert_eq!(judge.handle_run(true), None);
        assert_eq!(judge.handle_run(true), Some(Verdict::Good));
    }
}
