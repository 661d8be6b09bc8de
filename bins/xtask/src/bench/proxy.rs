//! The userspace dataplane against HAProxy in TCP mode.
//!
//! # Design
//! Both run side by side on one core with one thread each, nginx and the load on another core, and are measured in
//! turn in short rounds, so that whatever else the machine does hits both. What counts is the median over the
//! rounds of the ratio within a round. HAProxy runs twice, as it comes and with its splicing options on; the
//! verdict is on the first.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use tempfile::TempDir;

use crate::step;

/// Ours may be this much slower and still pass; noise of a busy machine is not a loss.
const BOUND: f64 = 0.95;

/// Idle connections for the comparison of memory.
const IDLE: usize = 10_000;

/// Connections that HAProxy is told to expect while it is loaded. It wants files for all of them.
const LOADED: usize = 4000;

/// Size of the file for bulk transfer.
const BULK: usize = 64 * 1024 * 1024;

/// How long and how often.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Length {
    /// Rounds of a comparison in which every contender has a turn
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Seconds of a turn
    #[arg(long, default_value_t = 1)]
    seconds: u64,
}

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    KeptAlive,
    Short,
    Bulk,
}

/// A proxy under comparison.
struct Contender {
    name: &'static str,
    address: SocketAddr,
    process: Running,
}

/// What one turn gave.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// Requests, or bytes, a second.
    rate: f64,
    /// Seconds of processor time for a request, or a byte.
    cost: f64,
}

/// A child that is killed with us.
struct Running(Child);

struct Field {
    folder: TempDir,
    nginx: SocketAddr,
    _nginx: Running,
}

/// Runs the comparison; whether ours lost nowhere.
pub(crate) fn run(length: Length) -> Result<bool> {
    let build = [
        "build",
        "--release",
        "--locked",
        "-p",
        "lvs-proxy",
        "--example",
        "proxy",
    ];
    ensure!(
        step::run("build", &mut step::cargo(&build))?,
        "the example does not build"
    );
    step::heading("proxy: lvs-proxy against HAProxy, TCP mode, one thread each");
    let cores = std::thread::available_parallelism()?.get();
    if cores < 2 {
        println!("only one core: proxies, servers and load share it");
    }
    let field = Field::start(cores)?;
    let mut met = true;
    let contenders = field.contenders()?;
    for load in [Load::KeptAlive, Load::Short, Load::Bulk] {
        met &= compare(&field, &contenders, load, length)?;
    }
    drop(contenders);
    field.compare_idle()?;
    println!(
        "\n{}",
        if met {
            "ours lost nowhere"
        } else {
            "OURS LOST"
        }
    );
    Ok(met)
}

/// Runs all rounds of one kind of traffic and prints the result; whether ours kept its bound.
fn compare(field: &Field, contenders: &[Contender], load: Load, length: Length) -> Result<bool> {
    let mut turns = vec![Vec::new(); contenders.len()];
    for contender in contenders {
        field.turn(contender, load, 1)?;
    }
    for round in 0..length.rounds.max(1) {
        // Another one begins each time.
        for number in 0..contenders.len() {
            let number = (number + round) % contenders.len();
            turns[number].push(field.turn(&contenders[number], load, length.seconds)?);
        }
    }
    let (unit, scale, per) = load.units();
    println!("\n{}: medians of {} rounds", load.name(), turns[0].len());
    println!(
        "  {:<16} {unit:>12} {per:>14} {:>8} {:>8}",
        "", "ratio", "CPU"
    );
    let ratio = |of: &[Turn], to: &[Turn], what: fn(&Turn) -> f64| {
        median(
            of.iter()
                .zip(to)
                .map(|(of, to)| what(of) / what(to))
                .collect(),
        )
    };
    for (contender, own) in contenders.iter().zip(&turns) {
        println!(
            "  {:<16} {:>12.1} {:>14.2} {:>7.2}x {:>7.2}x",
            contender.name,
            median(own.iter().map(|turn| turn.rate).collect()) / scale,
            median(own.iter().map(|turn| turn.cost).collect()) * scale * load.cost_scale(),
            ratio(own, &turns[1], |turn| turn.rate),
            ratio(own, &turns[1], |turn| turn.cost),
        );
    }
    let ours = ratio(&turns[0], &turns[1], |turn| turn.rate);
    let verdict = match ours {
        ours if ours < BOUND => "LOST",
        ours if ours < 1.0 => "within the bound",
        _ => "won",
    };
    println!("  {verdict}: {ours:.2}x of HAProxy, bound {BOUND:.2}x");
    Ok(ours >= BOUND)
}

impl Load {
    /// What a table of results is headed with.
    fn name(self) -> &'static str {
        match self {
            Self::KeptAlive => "requests over kept-alive connections",
            Self::Short => "short connections",
            Self::Bulk => "bulk transfer",
        }
    }

    /// Unit of the rate, what to divide it by, unit of the cost.
    fn units(self) -> (&'static str, f64, &'static str) {
        match self {
            Self::KeptAlive => ("requests/s", 1.0, "CPU us/request"),
            Self::Short => ("connections/s", 1.0, "CPU us/conn"),
            Self::Bulk => ("GB/s", 1e9, "CPU s/GB"),
        }
    }

    fn cost_scale(self) -> f64 {
        match self {
            Self::KeptAlive | Self::Short => 1e6,
            Self::Bulk => 1.0,
        }
    }

    fn arguments(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::KeptAlive => ("/", &["-c64"]),
            Self::Short => ("/", &["-c64", "-H", "Connection: close"]),
            Self::Bulk => ("/bulk", &["-c8"]),
        }
    }
}

impl Field {
    fn start(cores: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let root = folder.path();
        fs::create_dir(root.join("www"))?;
        fs::write(root.join("www/bulk"), vec![0x5a; BULK])?;
        let nginx = free_address()?;
        let configuration = format!(
            "daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;\n{user}\
             events {{ worker_connections 16384; multi_accept on; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;\n\
             client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;\n\
             uwsgi_temp_path {root}/u; scgi_temp_path {root}/s; client_header_timeout 600s;\n\
             server {{ listen {nginx} backlog=16384; root {root}/www;\n\
             location = / {{ return 200 '{body}'; }} location = /status {{ stub_status; }} }} }}\n",
            root = root.display(),
            // As root, nginx would switch its workers to a user who cannot read the folder.
            user = if is_root() { "user root;\n" } else { "" },
            body = "x".repeat(200),
        );
        let path = root.join("nginx.conf");
        fs::write(&path, configuration)?;
        let log = root.join("error.log");
        let mut command = pinned("nginx", 1 % cores);
        command
            .arg("-e")
            .arg(log)
            .arg("-c")
            .arg(&path)
            .stdout(Stdio::null());
        let process = Running::start(&mut command)?;
        wait_listening(nginx)?;
        Ok(Self {
            folder,
            nginx,
            _nginx: process,
        })
    }

    /// Ours first, then the one it is measured by.
    fn contenders(&self) -> Result<Vec<Contender>> {
        Ok(vec![
            self.ours()?,
            self.haproxy("haproxy", LOADED, "")?,
            self.haproxy(
                "haproxy splice",
                LOADED,
                "option splice-auto\n option splice-request\n option splice-response\n",
            )?,
        ])
    }

    fn ours(&self) -> Result<Contender> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| step::root().join("target"), Into::into);
        let program = target.join("release/examples/proxy");
        let address = free_address()?;
        let mut command = pinned(&program, 0);
        command.args(["--workers", "1", "--scheduler", "rr", "tcp"]);
        command.arg(address.to_string()).arg(self.nginx.to_string());
        let mut process = Running::start(command.stdout(Stdio::piped()))?;
        let output = process.0.stdout.take().context("the output is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line == "ready\n", "{} did not start", program.display());
        Ok(Contender {
            name: "lvs-proxy",
            address,
            process,
        })
    }

    fn haproxy(&self, name: &'static str, connections: usize, options: &str) -> Result<Contender> {
        let address = free_address()?;
        let path = self
            .folder
            .path()
            .join(format!("{}.cfg", name.replace(' ', "-")));
        let configuration = format!(
            "global\n nbthread 1\n maxconn {}\n\
             defaults\n mode tcp\n balance roundrobin\n timeout connect 3s\n timeout client 600s\n \
             timeout server 600s\n {options}\
             listen bench\n bind {address} backlog 16384\n server nginx {}\n",
            connections, self.nginx,
        );
        fs::write(&path, configuration)?;
        let mut command = pinned("haproxy", 0);
        command.args(["-db", "-f"]).arg(&path).stdout(Stdio::null());
        let process = Running::start(&mut command)?;
        wait_listening(address)?;
        Ok(Contender {
            name,
            address,
            process,
        })
    }

    /// Loads one contender for a while.
    fn turn(&self, contender: &Contender, load: Load, seconds: u64) -> Result<Turn> {
        let (path, arguments) = load.arguments();
        let url = format!("http://{}{path}", contender.address);
        let before = contender.process.cpu_time()?;
        let start = Instant::now();
        let output = pinned("wrk", 1)
            .args(["-t1", &format!("-d{seconds}s")])
            .args(arguments)
            .arg(&url)
            .output()
            .context("cannot run wrk")?;
        let elapsed = start.elapsed().as_secs_f64();
        let cpu = contender.process.cpu_time()? - before;
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = text.lines().find(|line| line.contains("Non-2xx"));
        if let Some(errors) = errors {
            bail!("{}: {}", contender.name, errors.trim());
        }
        let summary = |what: &str| -> Option<&str> {
            text.lines()
                .find_map(|line| line.trim().strip_prefix(what))
                .map(str::trim)
        };
        let rate = match load {
            Load::Bulk => summary("Transfer/sec:").and_then(bytes),
            _ => summary("Requests/sec:").and_then(|number| number.parse().ok()),
        };
        let rate = rate.with_context(|| format!("wrk says nothing of use:\n{text}"))?;
        Ok(Turn {
            rate,
            cost: cpu / (rate * elapsed),
        })
    }

    /// Memory with many idle connections, of processes that have done nothing else.
    fn compare_idle(&self) -> Result<()> {
        let count = idle_connections()?;
        println!("\nMemory with {count} idle connections");
        if count < IDLE {
            println!("  (not {IDLE}: the limit of open files leaves no more)");
        }
        for start in [Self::ours as fn(&Self) -> Result<Contender>, |field| {
            field.haproxy("haproxy", idle_connections()? + 20, "")
        }] {
            let contender = start(self)?;
            let before = contender.process.resident()?;
            let active = self.active()?;
            let connections: std::io::Result<Vec<_>> = (0..count)
                .map(|_| TcpStream::connect(contender.address))
                .collect();
            let connections = connections.context("too many connections")?;
            let deadline = Instant::now() + Duration::from_secs(30);
            while self.active()? < active + count && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(50));
            }
            let arrived = self.active()? - active;
            let after = contender.process.resident()?;
            println!(
                "  {:<16} {:>8.1} MB, {:>6.0} bytes for each of {arrived} connections",
                contender.name,
                after as f64 / 1e6,
                (after - before) as f64 / arrived.max(1) as f64,
            );
            drop(connections);
        }
        Ok(())
    }

    /// Connections that nginx has.
    fn active(&self) -> Result<usize> {
        let mut stream = TcpStream::connect(self.nginx)?;
        stream.write_all(b"GET /status HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Active connections: "));
        line.and_then(|number| number.trim().parse().ok())
            .context("nginx has no status")
    }
}

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        command
            .spawn()
            .map(Self)
            .with_context(|| format!("cannot run {command:?}"))
    }

    /// Seconds of processor time so far.
    fn cpu_time(&self) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // The name in parentheses may contain anything; fields are counted behind it.
        let fields = text.rsplit(')').next().unwrap_or_default();
        let field = |number: usize| fields.split_whitespace().nth(number)?.parse::<f64>().ok();
        let ticks = field(11)
            .zip(field(12))
            .context("unreadable /proc/PID/stat")?;
        // Linux tells processes 100 ticks a second on every architecture but alpha and ia64.
        Ok((ticks.0 + ticks.1) / 100.0)
    }

    /// Resident memory in bytes.
    fn resident(&self) -> Result<usize> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        Ok(kib.context("unreadable /proc/PID/status")? * 1024)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // taskset replaces itself, so the child is the program. nginx and HAProxy end their workers on SIGTERM.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(3);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As many as a proxy with two files for each can have here, up to [`IDLE`].
fn idle_connections() -> Result<usize> {
    let text = fs::read_to_string("/proc/self/limits")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let hard = line
        .and_then(|line| line.split_whitespace().nth(1))
        .context("no limit of files")?;
    let hard = hard.parse().unwrap_or(usize::MAX);
    Ok(IDLE.min(hard.saturating_sub(500) / 2))
}

fn pinned(program: impl AsRef<Path>, core: usize) -> Command {
    let mut command = Command::new("taskset");
    command
        .args(["-c", &core.to_string()])
        .arg(program.as_ref());
    command
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n")
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn wait_listening(address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        ensure!(Instant::now() < deadline, "nothing listens on {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Reads a size as wrk writes it: `1.23GB`, in powers of 1024.
fn bytes(text: &str) -> Option<f64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "B" => 1.0,
        "KB" => 1024.0,
        "MB" => 1024.0 * 1024.0,
        "GB" => 1024.0 * 1024.0 * 1024.0,
        "TB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => numbers[odd / 2],
        even => f64::midpoint(numbers[even / 2 - 1], numbers[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_wrk() {
        assert_eq!(bytes("1.50KB"), Some(1536.0));
        assert_eq!(bytes("2.00GB"), Some(2_147_483_648.0));
        assert_eq!(bytes("12"), None);
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }
}
