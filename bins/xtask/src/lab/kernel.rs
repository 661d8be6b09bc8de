//! A user-mode kernel as a child process: how it is started, read and ended.
//!
//! Design: two of its lines are connected. The serial line carries what the jobs print; the console
//! carries the kernel's own words and our notices. A kernel that ends without the notice that it
//! was meant to has crashed, and its last words are kept.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::statvfs::statvfs;
use nix::sys::termios::{self, SetArg};

use super::job::{self, End, Job, Notice};
use crate::step;

/// The memory of the kernel, in MiB. Taken as it is used.
const MEMORY: u64 = 1024;

/// The environment variable by which the first process finds the folder of its boot.
pub(crate) const FOLDER: &str = "LVSKIT_LAB_FOLDER";

/// How long the kernel may take to its first job, and from its last.
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// How many lines of the console are kept for the report of a crash.
const LAST_WORDS: usize = 40;

/// How a kernel is to run.
#[derive(Debug)]
pub(crate) struct Boot<'a> {
    /// The library that lets it run on this processor; see the crate `uml-xstate`.
    pub(crate) library: &'a Path,
    /// Only on this core of the machine.
    pub(crate) core: Option<usize>,
    /// The terminal is the serial line, for a shell inside.
    pub(crate) interactive: bool,
}

/// What came of a boot.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How the jobs ended, in order. Fewer than there were if the kernel crashed.
    pub(crate) ends: Vec<End>,
    /// The last lines of the console, if it did not end as it should.
    pub(crate) crash: Option<String>,
}

enum Event {
    Serial(String),
    Console(String),
    Closed,
}

impl Boot<'_> {
    /// Boots, does the jobs, and hands each line that they print to `see`.
    pub(crate) fn run(&self, jobs: &[Job], mut see: impl FnMut(&str)) -> Result<Outcome> {
        let folder = tempfile::tempdir().context("cannot make a folder for the lab")?;
        job::write(folder.path(), jobs)?;
        let terminal = self.interactive.then(Terminal::save).flatten();
        let mut child = self.start(folder.path())?;
        let (sender, events) = channel();
        let mut lines = 1;
        if let Some(serial) = child.stdout.take() {
            read(serial, sender.clone(), Event::Serial);
            lines += 1;
        }
        let console = child.stderr.take().context("the console is piped")?;
        read(console, sender, Event::Console);
        let outcome = follow(&events, lines, jobs, child.stdin.take(), &mut see);
        end(&mut child, outcome.crash.is_some());
        drop(terminal);
        Ok(outcome)
    }

    fn start(&self, folder: &Path) -> Result<Child> {
        let program = std::env::current_exe().context("cannot find the own binary")?;
        let mut words: Vec<String> = Vec::new();
        if let Some(core) = self.core {
            words.extend(["taskset", "-c"].map(str::to_owned));
            words.push(core.to_string());
        }
        // Ends all of it with us, whatever ends us: the kernel is the first process of a PID
        // namespace, whose end is that of the processes by which it runs its own.
        let within = "setpriv --pdeathsig KILL unshare --pid --fork --kill-child linux.uml";
        words.extend(within.split(' ').map(str::to_owned));
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().context("there are words")?);
        command
            .args(words)
            .arg(format!("mem={MEMORY}M"))
            .args(["rootfstype=hostfs", "rootflags=/", "rw", "quiet"])
            .arg(format!("init={}", program.display()))
            .args(["con=null", "con0=null,fd:2", "ssl=null"])
            .arg(if self.interactive {
                "ssl0=fd:0,fd:1"
            } else {
                "ssl0=null,fd:1"
            })
            // What the kernel does not know it hands to its first process, as argument or variable.
            .arg("lab-inside")
            .arg(format!("{FOLDER}={}", folder.display()))
            .env("LD_PRELOAD", self.library)
            .env("TMPDIR", memory_folder()?)
            .stdin(match (self.interactive, std::io::stdin().is_terminal()) {
                (false, _) => Stdio::null(),
                (true, true) => Stdio::inherit(),
                (true, false) => Stdio::piped(),
            })
            .stdout(if self.interactive {
                Stdio::inherit()
            } else {
                Stdio::piped()
            })
            .stderr(Stdio::piped());
        command.spawn().context("cannot start linux.uml")
    }
}

/// Reads both lines until the kernel has closed them, or a limit is over.
fn follow(
    events: &Receiver<Event>,
    mut open: usize,
    jobs: &[Job],
    mut input: Option<ChildStdin>,
    see: &mut dyn FnMut(&str),
) -> Outcome {
    let mut ends = Vec::new();
    let mut last_words = VecDeque::new();
    let mut off = false;
    let mut deadline = Instant::now() + BOOT_LIMIT;
    // Of the jobs the inside looks after itself; if it does not, the kernel hangs.
    let job_limit = |number: usize| {
        jobs.get(number)
            .map_or(BOOT_LIMIT, |job| job.limit + BOOT_LIMIT)
    };
    while open > 1 || (open == 1 && !off) {
        let left = deadline.saturating_duration_since(Instant::now());
        match events.recv_timeout(left) {
            Ok(Event::Serial(line)) => see(&line),
            Ok(Event::Console(line)) => match Notice::parse(&line) {
                Some(Notice::Ready) => {
                    deadline = Instant::now() + job_limit(0);
                    // Only with --keep and without a terminal.
                    if let Some(input) = input.take() {
                        std::thread::spawn(move || type_in(input));
                    }
                }
                Some(Notice::Ended(_, end)) => {
                    ends.push(end);
                    deadline = Instant::now() + job_limit(ends.len());
                }
                Some(Notice::Off) => off = true,
                None => {
                    last_words.push_back(line);
                    if last_words.len() > LAST_WORDS {
                        last_words.pop_front();
                    }
                }
            },
            Ok(Event::Closed) => open -= 1,
            Err(RecvTimeoutError::Timeout) => {
                last_words.push_back("the kernel does not answer any more".to_owned());
                break;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let crash = (!off).then(|| Vec::from(last_words).join("\n"));
    Outcome { ends, crash }
}

fn read(
    stream: impl Read + Send + 'static,
    events: Sender<Event>,
    event: impl Fn(String) -> Event + Send + 'static,
) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            let text = String::from_utf8_lossy(&line);
            let _ = events.send(event(text.trim_end_matches(['\r', '\n']).to_owned()));
            line.clear();
        }
        let _ = events.send(Event::Closed);
    });
}

/// Types what comes on our input into the serial line, and leaves the shell at its end: a line that
/// is closed would take the shell with it before it has done all.
fn type_in(mut line: ChildStdin) {
    let copied = std::io::copy(&mut std::io::stdin(), &mut line);
    if copied.and_then(|_| line.write_all(b"\nexit\n")).is_ok() {
        loop {
            std::thread::park();
        }
    }
}

/// Waits for the kernel, or kills it.
fn end(child: &mut Child, crashed: bool) {
    let deadline = Instant::now() + Duration::from_secs(if crashed { 1 } else { 20 });
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Where the kernel may keep its memory as a file: in memory, if there is room.
fn memory_folder() -> Result<PathBuf> {
    let has_room = |path: &&PathBuf| {
        statvfs(path.as_path())
            .is_ok_and(|room| room.blocks_available() * room.fragment_size() >= MEMORY << 20)
    };
    let candidates = [
        PathBuf::from("/dev/shm"),
        std::env::temp_dir(),
        "/var/tmp".into(),
    ];
    match candidates.iter().find(has_room) {
        Some(folder) => Ok(folder.clone()),
        None => bail!("no {MEMORY} MiB free in /dev/shm, the temporary folder or /var/tmp"),
    }
}

/// Why this machine cannot run the lab, if it cannot.
pub(crate) fn obstacle() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    if !cfg!(target_arch = "x86_64") {
        return Some("user-mode Linux is for x86-64".to_owned());
    }
    let needed = ["linux.uml", "modprobe", "ip", "unshare", "tcpdump"];
    let missing = needed.iter().find(|program| !step::have(program))?;
    Some(format!("{missing} is not installed"))
}

/// The settings of a terminal, which come back when the kernel has used it.
struct Terminal(termios::Termios);

impl Terminal {
    fn save() -> Option<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        termios::tcgetattr(&stdin).ok().map(Self)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &self.0);
    }
}
