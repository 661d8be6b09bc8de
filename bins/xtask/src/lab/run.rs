//! Jobs on kernels side by side, and what came of them.
//!
//! Design: each kernel has a thread that follows it and boots another one after a crash. What a job
//! prints is kept until its end and then printed as a whole, so that those of two kernels do not mix.

use std::ops::ControlFlow;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use super::job::{Deal, End};
use super::kernel::{Boot, Told};

/// What came of all jobs.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    /// The names of those that failed, and why if they could not tell themselves.
    pub(crate) failed: Vec<String>,
    /// How many of them ended without a result of the test harness.
    pub(crate) unreported: u64,
    /// The tests that skipped themselves, and why, a line each.
    pub(crate) skipped: Vec<String>,
}

/// What a thread hands over.
enum Report {
    /// A job has come to its end, or that of its kernel.
    Done(Record),
    /// A kernel has died; the last lines of its console.
    Crash(String),
    /// A kernel could not be followed, or died without a job: its thread gives up.
    GaveUp(String),
}

/// What is known of a job.
struct Record {
    number: usize,
    began: Instant,
    lines: Vec<String>,
    /// `None` when its kernel died.
    end: Option<End>,
    took: Duration,
}

/// Does all jobs of a deal on so many kernels; each line that they print goes to `see`.
pub(crate) fn run(deal: &Deal, boot: &Boot<'_>, kernels: u64, see: &mut dyn FnMut(&str)) -> Sum {
    let mut sum = Sum::default();
    let mut is_done = vec![false; deal.jobs().len()];
    std::thread::scope(|scope| {
        let (sender, reports) = channel();
        for _ in 0..kernels {
            let sender = sender.clone();
            scope.spawn(move || while follow(deal, boot, &sender).is_continue() {});
        }
        drop(sender);
        for report in reports {
            match report {
                Report::Done(record) => {
                    is_done[record.number] = true;
                    record.lines.iter().for_each(|line| see(line));
                    sum.add(&record, deal);
                }
                Report::Crash(last_words) => println!(
                    "a kernel of the lab died; the last lines of its console:\n{last_words}"
                ),
                Report::GaveUp(why) => sum.failed.push(why),
            }
        }
    });
    for (job, _) in deal.jobs().iter().zip(is_done).filter(|(_, done)| !done) {
        sum.failed
            .push(format!("{} (no kernel was left for it)", job.name));
        sum.unreported += 1;
    }
    sum
}

/// Boots a kernel and follows it to its end. Goes on after a crash with a job, which the next one
/// will not find again.
fn follow(deal: &Deal, boot: &Boot<'_>, sender: &Sender<Report>) -> ControlFlow<()> {
    let mut running: Option<Record> = None;
    let send = |report| {
        let _ = sender.send(report);
    };
    let outcome = boot.run(deal, |told| match told {
        Told::Began(number) => {
            running = (number < deal.jobs().len()).then(|| Record::begin(number));
        }
        Told::Line(line) => {
            if let Some(record) = &mut running {
                record.lines.push(line.to_owned());
            }
        }
        Told::Ended(end) => {
            if let Some(record) = running.take() {
                send(Report::Done(record.end(Some(end))));
            }
        }
    });
    match outcome {
        Ok(None) => return ControlFlow::Break(()),
        Ok(Some(last_words)) => send(Report::Crash(last_words)),
        Err(error) => {
            send(Report::GaveUp(format!("{error:#}")));
            return ControlFlow::Break(());
        }
    }
    match running {
        Some(record) => {
            send(Report::Done(record.end(None)));
            ControlFlow::Continue(())
        }
        None => {
            send(Report::GaveUp("a kernel that died between jobs".to_owned()));
            ControlFlow::Break(())
        }
    }
}

impl Record {
    fn begin(number: usize) -> Self {
        Self {
            number,
            began: Instant::now(),
            lines: Vec::new(),
            end: None,
            took: Duration::ZERO,
        }
    }

    fn end(self, end: Option<End>) -> Self {
        Self {
            end,
            took: self.began.elapsed(),
            ..self
        }
    }
}

impl Sum {
    /// Prints a job and adds it.
    fn add(&mut self, record: &Record, deal: &Deal) {
        let job = &deal.jobs()[record.number];
        let failure = match record.end {
            Some(End::Status(0)) => None,
            Some(End::Status(_)) => Some(String::new()),
            Some(End::Signal(signal)) => Some(format!(" (signal {signal})")),
            Some(End::TimedOut) => Some(format!(" (after {:?})", job.limit)),
            None => Some(" (the kernel died)".to_owned()),
        };
        for line in &record.lines {
            if failure.is_some() || !is_frame(line) {
                println!("{line}");
            }
        }
        let outcome = if failure.is_none() { "ok" } else { "FAILED" };
        println!("{}: {outcome} after {:.1?}", job.name, record.took);
        self.failed
            .extend(failure.map(|why| format!("{}{why}", job.name)));
        self.skipped.extend(deal.skipped(record.number));
        let mut lines = record.lines.iter();
        self.unreported += u64::from(!lines.any(|line| line.starts_with(RESULT)));
    }
}

/// How the test harness begins its result.
const RESULT: &str = "test result: ";

/// Whether the test harness says it of every test that passes.
fn is_frame(line: &str) -> bool {
    line.is_empty()
        || line == "running 1 test"
        || line.starts_with(RESULT)
        || (line.starts_with("test ") && line.ends_with(" ... ok"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_test_that_passes_only_its_own_words_are_left() {
        let lines = [
            "",
            "running 1 test",
            "test a::b ... from its child",
            "ok",
            "test a::b ... ok",
            "test result: ok. 1 passed; 0 failed",
        ];
        let left: Vec<_> = lines.into_iter().filter(|line| !is_frame(line)).collect();
        assert_eq!(left, ["test a::b ... from its child", "ok"]);
    }
}
