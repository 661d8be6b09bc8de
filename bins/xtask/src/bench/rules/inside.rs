//! The measuring side, in the lab's kernel.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};

use super::{Case, Results, Times, write};

/// Both programs, and the files that they read.
struct Bench<'a> {
    lvsadm: &'a Path,
    folder: &'a Path,
    results: Results,
}

/// A table: its rules, and the same with every hundredth server's weight changed.
struct Table {
    rules: PathBuf,
    changed: PathBuf,
    load: Case,
    list: Case,
    apply: Case,
}

/// Measures every case so many times and leaves the times in `folder`.
pub(crate) fn measure(lvsadm: &Path, folder: &Path, rounds: usize) -> Result<()> {
    let mut bench = Bench {
        lvsadm,
        folder,
        results: Results::new(),
    };
    let servers = bench.table(
        "servers",
        1,
        5000,
        [Case::LoadServers, Case::ListServers, Case::ApplyServers],
    )?;
    let services = bench.table(
        "services",
        2000,
        2,
        [Case::LoadServices, Case::ListServices, Case::ApplyServices],
    )?;
    for round in 0..rounds.max(1) {
        for table in [&servers, &services] {
            bench.round(table, round == 0)?;
        }
    }
    write(folder, &bench.results)
}

impl Bench<'_> {
    /// Writes the files of a table.
    fn table(&self, name: &str, services: u16, servers: u16, cases: [Case; 3]) -> Result<Table> {
        let [load, list, apply] = cases;
        let table = Table {
            rules: self.folder.join(name),
            changed: self.folder.join(format!("{name}-changed")),
            load,
            list,
            apply,
        };
        let address = |net: u8, number: u16| {
            let [high, low] = number.to_be_bytes();
            format!("10.{net}.{high}.{low}:80")
        };
        let text = |every: u16| {
            let mut text = String::new();
            let mut count = 0_u16;
            for service in 1..=services {
                let vip = address(0, service);
                text += &format!("-A -t {vip} -s rr\n");
                for server in 0..servers {
                    count += 1;
                    let weight = if count.is_multiple_of(every) { 7 } else { 1 };
                    let server = address(
                        1 + (server / 5000) as u8,
                        service.wrapping_mul(servers).wrapping_add(server),
                    );
                    text += &format!("-a -t {vip} -r {server} -m -w {weight}\n");
                }
            }
            text
        };
        fs::write(&table.rules, text(u16::MAX))?;
        fs::write(&table.changed, text(100))?;
        Ok(table)
    }

    /// Measures both programs once, each in a network namespace of its own: the kernel looks at what
    /// it has deleted lately whenever something is added.
    fn round(&mut self, table: &Table, is_first: bool) -> Result<()> {
        let lvsadm = self.lvsadm;
        let changed = table.changed.display().to_string();
        let ipvsadm = Path::new("ipvsadm");
        let theirs = self.turn(table, ipvsadm, is_first, || {
            run(ipvsadm, &["-C"], None)?;
            run(ipvsadm, &["-R"], Some(&table.changed))
        })?;
        let ours = self.turn(table, lvsadm, is_first, || {
            run(lvsadm, &["apply", &changed], None)
        })?;
        if ours != theirs {
            bail!("lvsadm and ipvsadm differ about {}", table.rules.display());
        }
        Ok(())
    }

    /// Loads, lists and changes with one program; in the first round also what it has told and made.
    fn turn(
        &mut self,
        table: &Table,
        program: &Path,
        is_first: bool,
        change: impl FnOnce() -> Result<f64> + Send,
    ) -> Result<Vec<Vec<u8>>> {
        let work = move || -> Result<_> {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
            // Without a loopback the kernel takes no address for that of a host.
            run(Path::new("ip"), &["link", "set", "lo", "up"], None)?;
            let mut tables = Vec::new();
            let loaded = run(program, &["-R"], Some(&table.rules))?;
            let listed = run(program, &["-Sn"], None)?;
            if is_first {
                tables.push(save(program)?);
            }
            let start = Instant::now();
            change()?;
            let changed = start.elapsed().as_secs_f64();
            if is_first {
                tables.push(save(Path::new("ipvsadm"))?);
            }
            Ok((loaded, listed, changed, tables))
        };
        let done = std::thread::scope(|scope| scope.spawn(work).join());
        let Ok(done) = done else {
            bail!("the measuring thread panicked")
        };
        let (loaded, listed, changed, tables) = done?;
        for (case, time) in [
            (table.load, loaded),
            (table.list, listed),
            (table.apply, changed),
        ] {
            self.times(case, program).push(time);
        }
        Ok(tables)
    }

    fn times(&mut self, case: Case, program: &Path) -> &mut Vec<f64> {
        let is_ours = program == self.lvsadm;
        let Times { ours, theirs } = self.results.entry(case).or_default();
        if is_ours { ours } else { theirs }
    }
}

/// Runs a program to its end; how many seconds it took.
fn run(program: &Path, arguments: &[&str], input: Option<&Path>) -> Result<f64> {
    let stdin = match input {
        Some(path) => Stdio::from(File::open(path)?),
        None => Stdio::null(),
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(stdin).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().context("cannot run it")?;
    let time = start.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{} {arguments:?}: {status}", program.display());
    }
    Ok(time)
}

/// The table as a program tells it.
fn save(program: &Path) -> Result<Vec<u8>> {
    let output = Command::new(program).arg("-Sn").output()?;
    Ok(output.stdout)
}
