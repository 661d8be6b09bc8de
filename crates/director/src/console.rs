//! Standard error as a place for log lines that never keeps the director waiting.
//!
//! # Design
//! A pipe whose reader sleeps, or a terminal that was stopped with Ctrl-S, blocks whoever writes to it; a director
//! that wrote its log itself would then stop checking servers, reloading and ending. So a thread of its own
//! writes, from a backlog of bounded size, and nobody else ever waits for it. Lines that find no room are
//! counted, and a line in their place says how many there were.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How many bytes of lines may wait to be written.
const CAPACITY: usize = 1 << 20;

/// Where lines wait for the thread that writes them.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    backlog: Mutex<Backlog>,
    filled: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct Backlog {
    lines: VecDeque<String>,
    bytes: usize,
    lost: u64,
    /// A line was taken out and is being written.
    writing: bool,
}

impl Console {
    /// Starts the thread that writes to `sink`.
    pub(crate) fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&theirs, sink))?;
        Ok(Self { shared })
    }

    /// Hands a line over, its line feed included. Never waits.
    pub(crate) fn push(&self, line: String) {
        let mut backlog = self.shared.lock();
        // Once lines are lost there must be much room again, lest every other line be lost.
        let limit = if backlog.lost > 0 {
            CAPACITY / 2
        } else {
            CAPACITY
        };
        if backlog.bytes.saturating_add(line.len()) > limit {
            backlog.lost = backlog.lost.saturating_add(1);
            return;
        }
        backlog.report_loss();
        backlog.add(line);
        drop(backlog);
        self.shared.filled.notify_one();
    }

    /// Waits until all lines are written, for at most `limit`; whether they are.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let mut backlog = self.shared.lock();
        backlog.report_loss();
        self.shared.filled.notify_one();
        let waited = self
            .shared
            .written
            .wait_timeout_while(backlog, limit, |backlog| {
                backlog.writing || !backlog.lines.is_empty()
            });
        let (backlog, result) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(backlog);
        !result.timed_out()
    }
}

impl Shared {
    /// Nothing that panics runs under this lock.
    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backlog {
    fn add(&mut self, line: String) {
        self.bytes = self.bytes.saturating_add(line.len());
        self.lines.push_back(line);
    }

    fn report_loss(&mut self) {
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            self.add(format!("({lost} lines were lost here)\n"));
        }
    }
}

fn write(shared: &Shared, mut sink: impl Write) {
    let mut backlog = shared.lock();
    loop {
        let Some(line) = backlog.lines.pop_front() else {
            backlog = shared
                .filled
                .wait(backlog)
                .unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        backlog.bytes = backlog.bytes.saturating_sub(line.len());
        backlog.writing = true;
        drop(backlog);
        // A terminal that is gone is no reason to stop.
        let _ = sink.write_all(line.as_bytes());
        backlog = shared.lock();
        backlog.writing = false;
        if backlog.lines.is_empty() {
            shared.written.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    #[test]
    fn who_logs_never_waits_for_who_reads() {
        let (reader, writer) = io::pipe().unwrap();
        let console = Console::start(writer).unwrap();
        // More than the pipe and the backlog hold; a writer that waits would hang here.
        let count = 3 * CAPACITY / 100;
        for number in 0..count {
            console.push(format!("{number:099}\n"));
        }
        assert!(!console.flush(Duration::from_millis(10)));
        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        let mut next = 0;
        let loss = loop {
            let line = lines.next().unwrap();
            match line.parse::<usize>() {
                Ok(number) => assert_eq!(number, next, "in order and without a gap"),
                Err(_) => break line,
            }
            next += 1;
        };
        let missing = count - next;
        assert_eq!(loss, format!("({missing} lines were lost here)"));
        assert!(console.flush(Duration::from_secs(20)));
        console.push("again\n".to_owned());
        assert_eq!(lines.next().unwrap(), "again");
    }
}
