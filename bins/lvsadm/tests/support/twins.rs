//! Two network namespaces with an IPVS each: the real ipvsadm works in one, lvsadm in the other, and
//! all that can be seen of them is compared.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use lvs_testkit::lab::{Host, Lab};

use super::sequences::{Invocation, Program, Streams};

/// Where Debian has it.
const IPVSADM: &str = "/sbin/ipvsadm";

/// The virtual addresses, and servers that swallow all they get.
const NETWORK: &str = "link add d0 type dummy
address add 192.168.77.1/24 dev d0
address add fd77::1/64 dev d0
link set d0 up
route add 10.1.0.0/16 dev d0
route add 200.1.0.0/16 dev d0
route add 2001:db8:1::/64 dev d0
";

/// Names for some of the addresses.
const HOSTS: &str = "127.0.0.1 localhost
10.0.0.1 vip1 vip1.lab.example
10.0.0.2 vip2.lab.example
10.0.0.3 a-name-that-is-much-too-long-for-any-column-of-the-listing.lab.example
10.1.0.1 real1 real1.lab.example
10.1.0.2 real2.lab.example
10.1.0.3 thirty-three-bytes.lab.example
10.1.0.4 another-name-that-is-much-too-long-for-any-column-of-a-listing.lab.example
10.0.0.7 thirty-three-bytes.lab.example
192.168.77.1 a-client-whose-name-is-long-enough.lab.example
2001:db8::1 vip6.lab.example
2001:db8:1::1 real6.lab.example
2001:db8:1::2 a-server-of-ipv6-whose-name-is-very-long-so-that-it-is-cut.lab.example
";

/// `/etc/hosts` with those names as long as it lives.
struct Names {
    _file: tempfile::NamedTempFile,
}

impl Names {
    fn new() -> Self {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(HOSTS.as_bytes()).expect("it can be written");
        let status = Command::new("mount")
            .arg("--bind")
            .arg(file.path())
            .arg("/etc/hosts")
            .status();
        assert!(status.is_ok_and(|status| status.success()), "mount --bind");
        Self { _file: file }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("/etc/hosts").status();
    }
}

fn director(lab: &Lab, name: &str) -> Host {
    let host = lab.host(name);
    let mut lines = NETWORK.to_owned();
    for number in 1..10 {
        lines += &format!("address add 10.0.0.{number}/32 dev d0\n");
        lines += &format!("address add 2001:db8::{number}/128 dev d0\n");
    }
    host.ip(&lines);
    host
}

/// Runs a tool in a host.
fn run(host: &Host, tool: &Tool, invocation: &Invocation, saved: &[u8]) -> Output {
    let mut command = tool.command(invocation);
    let arguments = invocation.arguments.iter();
    command.args(arguments.map(|word| OsStr::from_bytes(word)));
    command.envs(invocation.variable);
    if invocation.streams == Streams::Broken {
        let (_, writer) = std::io::pipe().expect("a pipe");
        command.stdout(writer);
    } else {
        command.stdout(Stdio::piped());
    }
    let input = if invocation.from_save {
        saved
    } else {
        &invocation.input
    };
    host.enter(|| output(command, input))
}

fn output(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    let mut stdin = child.stdin.take().expect("piped");
    // A tool that reads nothing may be gone already.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("the tool ends")
}

/// One of the two tools, with its companions.
pub(crate) struct Tool {
    /// The program, and those for `-save` and `-restore`.
    programs: [PathBuf; 3],
    named: bool,
}

impl Tool {
    pub(crate) fn ipvsadm() -> Self {
        Self {
            programs: ["", "-save", "-restore"].map(|suffix| format!("{IPVSADM}{suffix}").into()),
            named: false,
        }
    }

    pub(crate) fn lvsadm() -> Self {
        let program = || Path::new(env!("CARGO_BIN_EXE_lvsadm")).to_owned();
        Self {
            programs: [program(), program(), program()],
            named: true,
        }
    }

    fn command(&self, invocation: &Invocation) -> Command {
        let (index, name) = match invocation.program {
            Program::Tool => (0, invocation.name),
            Program::Save => (1, "ipvsadm-save"),
            Program::Restore => (2, "ipvsadm-restore"),
        };
        let program = &self.programs[index];
        let mut command = Command::new(program);
        if let Streams::Redirected(how) = invocation.streams {
            command = Command::new("bash");
            command.args([
                "-c",
                &format!(r#"exec -a "$0" "$PROGRAM" "$@" {how}"#),
                name,
            ]);
            command.env("PROGRAM", program);
        } else if self.named || invocation.program == Program::Tool {
            command.arg0(name);
        }
        command
            .env_remove("POSIXLY_CORRECT")
            .env_remove("HOME")
            .env_remove("LVSD_SOCKET")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }
}

/// The pair, and what was found so far.
pub(crate) struct Twins {
    left: Host,
    right: Host,
    real: Tool,
    ours: Tool,
    saved: Vec<u8>,
    _names: Names,
    pub(crate) invocations: usize,
    pub(crate) refused: usize,
}

impl Twins {
    pub(crate) fn new(lab: &Lab) -> Self {
        Self {
            left: director(lab, "left"),
            right: director(lab, "right"),
            real: Tool::ipvsadm(),
            ours: Tool::lvsadm(),
            saved: Vec::new(),
            _names: Names::new(),
            invocations: 0,
            refused: 0,
        }
    }

    /// The namespace in which the real one works.
    pub(crate) fn left(&self) -> &Host {
        &self.left
    }

    /// Empties both tables.
    pub(crate) fn reset(&mut self) {
        self.saved.clear();
        let lines = "-C\n--set 900 120 300\n--stop-daemon master\n--stop-daemon backup\n";
        for host in [&self.left, &self.right] {
            run(host, &self.real, &restore(lines), b"");
        }
    }

    /// Lets the real tool do these lines.
    pub(crate) fn prepare(&self, lines: &str) {
        let output = run(&self.left, &self.real, &restore(lines), b"");
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// How many connections the left one has.
    pub(crate) fn connections(&self) -> usize {
        let list = self
            .left
            .enter(|| std::fs::read_to_string("/proc/thread-self/net/ip_vs_conn"));
        list.expect("the list of connections").lines().count() - 1
    }

    /// Runs an invocation of both, each on its own table; listings on the same one, whose order is
    /// the kernel's. Returns what differs.
    pub(crate) fn compare(&mut self, invocation: &Invocation) -> Option<String> {
        self.invocations += 1;
        // Counters and times may move between the two runs of a listing, once or twice.
        let attempts = if invocation.lists() { 4 } else { 1 };
        let mut difference = None;
        for _ in 0..attempts {
            difference = self.attempt(invocation);
            if difference.is_none() {
                break;
            }
        }
        difference
    }

    fn attempt(&mut self, invocation: &Invocation) -> Option<String> {
        let real = run(&self.left, &self.real, invocation, &self.saved);
        let place = if invocation.lists() {
            &self.left
        } else {
            &self.right
        };
        let ours = run(place, &self.ours, invocation, &self.saved);
        self.refused += usize::from(!real.status.success());
        let saves = invocation.program == Program::Save
            || invocation
                .arguments
                .first()
                .is_some_and(|word| word == b"-S" || word == b"--save");
        if saves && real.status.success() {
            self.saved.clone_from(&real.stdout);
        }
        (seen(&real) != seen(&ours)).then(|| {
            format!(
                "{invocation}\nipvsadm: {}\nlvsadm:  {}",
                shown(&real),
                shown(&ours)
            )
        })
    }

    /// What differs in the tables, as the real tool lists them.
    pub(crate) fn compare_states(&self) -> Option<String> {
        let lines = "-Sn\n-Ln --thresholds\n-Ln --timeout\n-L --daemon\n";
        let [left, right] =
            [&self.left, &self.right].map(|host| run(host, &self.real, &restore(lines), b""));
        (left != right).then(|| {
            format!(
                "the tables\nipvsadm: {}\nlvsadm:  {}",
                shown(&left),
                shown(&right)
            )
        })
    }
}

fn restore(lines: &str) -> Invocation {
    Invocation {
        input: lines.into(),
        ..Invocation::new(Program::Tool, vec![b"-R".to_vec()])
    }
}

/// What counts of an output.
fn seen(output: &Output) -> (String, String, ExitStatus) {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Of the help only the first line: ours is made from the table of flags.
    if let Some(end) = text.find("\nUsage:") {
        text.truncate(end);
    }
    if text.contains("IPVS connection entries") {
        text = text.lines().map(without_expiry).collect();
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (text, errors, output.status)
}

/// A line of a connection without its second column.
fn without_expiry(line: &str) -> String {
    match line.split_once(' ') {
        Some((protocol, rest)) if rest.as_bytes().get(2) == Some(&b':') => {
            format!("{protocol}{}\n", &rest[5..])
        }
        _ => format!("{line}\n"),
    }
}

fn shown(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
