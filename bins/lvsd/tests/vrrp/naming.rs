//! What processes are called: in the system log, by ps(1), in the names of their pid files.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lvs_testkit::{Process, wait_until};
use nix::sys::signal::Signal;

use crate::namespace::Named;
use crate::router::LIMIT;

/// Gives a program a `/run` and a `/dev/log` of its own, in the folder of its first argument.
const INDOORS: &str = r#"set -e
folder=$1
shift
mkdir -p "$folder/dev" "$folder/run/netns"
mount -t tmpfs tmpfs "$folder/dev"
for device in null zero random urandom; do
    touch "$folder/dev/$device"
    mount --bind "/dev/$device" "$folder/dev/$device"
done
ln -s "$folder/log" "$folder/dev/log"
mount --rbind /run/netns "$folder/run/netns"
mount --rbind "$folder/dev" /dev
mount --rbind "$folder/run" /run
exec "$@"
"#;

/// A program that runs so, in a network namespace.
struct Indoors {
    process: Process,
    log: UnixDatagram,
    folder: tempfile::TempDir,
    namespace: String,
}

/// How everything is called; the namespace is `NS`.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    pid_files: BTreeSet<String>,
    /// What ps shows of the processes with pid files.
    commands: BTreeSet<String>,
    idents: BTreeSet<String>,
}

impl Indoors {
    fn start(program: &Path, namespace: &Named) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let log = UnixDatagram::bind(at("log")).unwrap();
        log.set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let text = format!(
            "net_namespace {}\ninstance blue\nuse_pid_dir\nglobal_defs {{\n process_names\n \
             vrrp_process_name routers\n}}\nstatic_ipaddress {{\n 192.0.2.77/32 dev lo\n}}\n",
            namespace.name()
        );
        std::fs::write(at("keepalived.conf"), text).unwrap();
        std::fs::write(at("indoors"), INDOORS).unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh"])
            .arg(at("indoors"))
            .arg(folder.path())
            .arg(program)
            .args(["-n", "-P", "-f"])
            .arg(at("keepalived.conf"));
        Self {
            process: Process::start(&mut command),
            log,
            namespace: namespace.name().to_owned(),
            folder,
        }
    }

    fn pid_files(&self) -> Vec<PathBuf> {
        let folder = self.folder.path().join("run/keepalived");
        let folder = folder.join(&self.namespace);
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Waits until it runs, stops it, and tells.
    fn names(mut self) -> Names {
        let pid_files = wait_until("pid files", LIMIT, || {
            let files = self.pid_files();
            (files.len() == 2).then_some(files)
        });
        let commands = wait_until("names", LIMIT, || {
            let command = |path: &PathBuf| {
                let pid = std::fs::read_to_string(path).ok()?;
                let command = std::fs::read_to_string(format!("/proc/{}/comm", pid.trim())).ok()?;
                Some(command.trim().to_owned())
            };
            let commands: BTreeSet<_> = pid_files.iter().filter_map(command).collect();
            commands.contains("routers").then_some(commands)
        });
        let mut idents = BTreeSet::new();
        let mut take = |log: &UnixDatagram| {
            let mut buffer = [0; 4096];
            while let Ok(length) = log.recv(&mut buffer) {
                let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let ident = line.split('[').next().unwrap().rsplit(' ').next();
                idents.insert(ident.unwrap().replace(&self.namespace, "NS"));
            }
            idents.len()
        };
        // The other process may have nothing to say before its end.
        wait_until("lines", LIMIT, || (take(&self.log) >= 2).then_some(()));
        self.process.signal(Signal::SIGTERM);
        self.process.wait(LIMIT);
        take(&self.log);
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        Names {
            pid_files: pid_files.into_iter().map(name).collect(),
            commands,
            idents,
        }
    }
}

fn can_mount() -> bool {
    let done = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "true"])
        .status();
    let can = done.is_ok_and(|status| status.success());
    if !can {
        lvs_testkit::skip("not permitted to make mount namespaces (run as root)");
    }
    can
}

#[test]
fn a_namespace_and_an_instance_are_in_the_names_as_keepalived_has_them() {
    let (Some(one), Some(two)) = (Named::new("lvsk-n"), Named::new("lvsk-m")) else {
        return;
    };
    if !can_mount() {
        return;
    }
    let ours = Indoors::start(Path::new(env!("CARGO_BIN_EXE_lvsd")), &one);
    let theirs = lvs_testkit::program("keepalived").map(|it| Indoors::start(&it, &two));
    // The sockets are in a folder of their own, too.
    let control = ours.folder.path().join("run/lvsd");
    let control = control.join(format!("{}_blue/control.sock", one.name()));
    wait_until("the control socket", LIMIT, || {
        control.exists().then_some(())
    });
    let names = ours.names();
    let set = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
    let expected = Names {
        pid_files: set(&["keepalived_blue.pid", "vrrp_blue.pid"]),
        commands: set(&["keepalived", "routers"]),
        idents: set(&[
            "Keepalived",
            "Keepalived_NS_blue",
            "Keepalived_vrrp_NS_blue",
        ]),
    };
    assert_eq!(names, expected);
    match theirs {
        Some(theirs) => assert_eq!(theirs.names(), expected),
        None => lvs_testkit::skip("keepalived is not installed"),
    }
}
