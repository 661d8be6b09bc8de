//! Child processes that end with the test that started them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait_until;

/// A running child whose output is collected, ended by SIGTERM (then SIGKILL) when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
    name: String,
}

impl Process {
    /// Starts `command` with its standard output and error collected line by line.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let output = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take(), &output);
        collect(child.stderr.take(), &output);
        Self {
            child,
            output,
            name,
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that the child has printed so far, both streams in the order of arrival.
    pub fn output(&self) -> String {
        self.output
            .lock()
            .expect("no thread panics while it holds the lock")
            .clone()
    }

    /// Waits until a line of the output contains `text`.
    ///
    /// # Panics
    ///
    /// When that has not happened within `limit`, or the child has ended without it; with its output.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str, limit: Duration) {
        let deadline = std::time::Instant::now() + limit;
        loop {
            if self.output().contains(text) {
                return;
            }
            let ended = self
                .child
                .try_wait()
                .expect("our own child can be waited for");
            // A last look: the reading threads may lag behind the end of the child.
            if let Some(status) = ended {
                std::thread::sleep(Duration::from_millis(50));
                let output = self.output();
                assert!(
                    output.contains(text),
                    "{} ended ({status}) without {text:?}:\n{output}",
                    self.name
                );
                return;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "{} did not print {text:?} in {limit:?}:\n{}",
                self.name,
                self.output()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal.
    ///
    /// # Panics
    ///
    /// When the child is gone already.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal)
            .unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// Waits for the child to end.
    ///
    /// # Panics
    ///
    /// When it still runs after `limit`.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let name = self.name.clone();
        wait_until(&format!("the end of {name}"), limit, || {
            self.child
                .try_wait()
                .expect("our own child can be waited for")
        })
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(self.pid(), Signal::SIGTERM);
            for _ in 0..400 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn collect(stream: Option<impl Read + Send + 'static>, output: &Arc<Mutex<String>>) {
    let Some(stream) = stream else { return };
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            if let Ok(mut output) = output.lock() {
                output.push_str(&String::from_utf8_lossy(&line));
            }
            line.clear();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_collected_and_the_end_is_seen() {
        let mut process =
            Process::start(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"]));
        process.wait_for("one", Duration::from_secs(10));
        process.wait_for("two", Duration::from_secs(10));
        assert_eq!(process.wait(Duration::from_secs(10)).code(), Some(3));
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = Process::start(Command::new("sleep").arg("600"));
        let pid = process.pid();
        drop(process);
        assert_eq!(kill(pid, None), Err(nix::errno::Errno::ESRCH));
    }
}
