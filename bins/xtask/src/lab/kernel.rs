//! A user-mode kernel as a child process: how it is started, read and ended.
//!
//! Design: two of its lines are connected. The serial line carries what the jobs print, and between
//! that our notices of them; the console carries the kernel's own words and our other notices. Where
//! the serial line is a user's terminal, all notices are on the console. A kernel that ends without
//! the notice that it was meant to has crashed, and its last words are kept.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::statvfs::statvfs;
use nix::sys::termios::{self, SetArg};

use super::job::{Deal, End, Job, Notice};
use crate::step;

/// The memory of a kernel, in MiB. Taken as it is used.
const MEMORY: u64 = 1024;

/// The environment variable by which the first process finds the folder of its boot.
pub(crate) const FOLDER: &str = "LVSKIT_LAB_FOLDER";

/// How long the kernel may take to its first job, and from its last.
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// How many lines of the console are kept for the report of a crash.
const LAST_WORDS: usize = 40;

/// What the kernel says when it has crashed. It means to end itself then, but a first process of a
/// PID namespace does not die of its own signals.
const PANIC: &str = "Kernel panic";

/// How long it may go on speaking.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(2);

/// How a kernel is to run.
#[derive(Debug)]
pub(crate) struct Boot<'a> {
    /// The library that lets it run on this processor; see the crate `uml-xstate`.
    pub(crate) library: &'a Path,
    /// Where its memory is kept as a file; see [`memory_folder`].
    pub(crate) memory: &'a Path,
    /// Only on this core of the machine.
    pub(crate) core: Option<usize>,
    /// The terminal is the serial line, for a shell inside.
    pub(crate) interactive: bool,
}

/// What a boot tells of its jobs, in order.
#[derive(Debug)]
pub(crate) enum Told<'a> {
    /// The job of this number begins.
    Began(usize),
    /// It prints a line.
    Line(&'a str),
    /// It has ended.
    Ended(End),
}

enum Event {
    Serial(String),
    Console(String),
}

impl Boot<'_> {
    /// Boots and does the jobs that are still to be taken. The last lines of the console come back
    /// if the kernel did not end as it should.
    pub(crate) fn run(
        &self,
        deal: &Deal,
        mut tell: impl FnMut(Told<'_>),
    ) -> Result<Option<String>> {
        let terminal = self.interactive.then(Terminal::save).flatten();
        let mut child = self.start(deal.folder())?;
        let (sender, events) = channel();
        if let Some(serial) = child.stdout.take() {
            read(serial, sender.clone(), Event::Serial);
        }
        let console = child.stderr.take().context("the console is piped")?;
        read(console, sender, Event::Console);
        let crash = follow(&events, deal.jobs(), child.stdin.take(), &mut tell);
        end(&mut child, crash.is_some());
        drop(terminal);
        Ok(crash)
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
            .env("TMPDIR", self.memory)
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

/// Reads both lines until the kernel has closed them, or a limit is over; the last words of a kernel
/// that has crashed.
fn follow(
    events: &Receiver<Event>,
    jobs: &[Job],
    mut input: Option<ChildStdin>,
    tell: &mut dyn FnMut(Told<'_>),
) -> Option<String> {
    let mut last_words = VecDeque::new();
    let mut off = false;
    let mut deadline = Instant::now() + BOOT_LIMIT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = match events.recv_timeout(left) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => {
                last_words.push_back("the kernel does not answer any more".to_owned());
                break;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let (Event::Serial(line) | Event::Console(line)) = &event;
        match (Notice::parse(line), event) {
            (Some(Notice::Ready), _) => {
                // Only with --keep and without a terminal.
                if let Some(input) = input.take() {
                    std::thread::spawn(move || type_in(input));
                }
            }
            (Some(Notice::Began(number)), _) => {
                // The inside looks after the limit; if it does not, the kernel hangs.
                let limit = jobs.get(number).map_or(Duration::ZERO, |job| job.limit);
                deadline = Instant::now() + limit + BOOT_LIMIT;
                tell(Told::Began(number));
            }
            (Some(Notice::Ended(_, end)), _) => {
                deadline = Instant::now() + BOOT_LIMIT;
                tell(Told::Ended(end));
            }
            (Some(Notice::Off), _) => off = true,
            (None, Event::Serial(line)) => tell(Told::Line(&line)),
            (None, Event::Console(line)) => {
                if line.contains(PANIC) {
                    deadline = Instant::now() + LAST_WORDS_LIMIT;
                }
                last_words.push_back(line);
                if last_words.len() > LAST_WORDS {
                    last_words.pop_front();
                }
            }
        }
    }
    (!off).then(|| Vec::from(last_words).join("\n"))
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

/// Where so many kernels at a time may keep their memory, if there is room: in memory if possible.
pub(crate) fn memory_folder(kernels: u64) -> Result<PathBuf> {
    let needed = (MEMORY * kernels) << 20;
    let has_room = |path: &&PathBuf| {
        statvfs(path.as_path())
            .is_ok_and(|room| room.blocks_available() * room.fragment_size() >= needed)
    };
    let candidates = [
        PathBuf::from("/dev/shm"),
        std::env::temp_dir(),
        "/var/tmp".into(),
    ];
    match candidates.iter().find(has_room) {
        Some(folder) => Ok(folder.clone()),
        None => bail!(
            "no {} MiB free in /dev/shm, the temporary folder or /var/tmp",
            needed >> 20
        ),
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
