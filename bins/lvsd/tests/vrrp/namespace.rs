//! A director that goes into a network namespace by itself.

use std::process::Command;

use lvs_testkit::netns::Namespace;
use lvs_testkit::{Process, wait_until};
use nix::sys::signal::Signal;

use crate::router::LIMIT;

/// A namespace with a name.
pub(crate) struct Named(String);

impl Named {
    /// `None`, and a counted skip, where that is not permitted.
    pub(crate) fn new(name: &str) -> Option<Self> {
        Namespace::new()?;
        let name = format!("{name}-{}", std::process::id());
        ip(&["netns", "add", &name]);
        let named = Self(name);
        ip(&["-n", &named.0, "link", "set", "lo", "up"]);
        Some(named)
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    fn addresses(&self) -> String {
        ip(&["-n", &self.0, "-o", "address"])
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.0]);
    }
}

fn ip(arguments: &[&str]) -> String {
    let done = Command::new("ip").args(arguments).output().unwrap();
    let problem = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {arguments:?}: {problem}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_director_runs_in_the_namespace_that_is_asked_for() {
    let (Some(configured), Some(asked)) = (Named::new("lvsk-a"), Named::new("lvsk-b")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keepalived.conf");
    let text = |name: &str| {
        format!("net_namespace {name}\nstatic_ipaddress {{\n 192.0.2.77/32 dev lo\n}}\n")
    };
    std::fs::write(&path, text(&configured.0)).unwrap();
    let start = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lvsd"));
        command.args(["-n", "-l", "-G", "-P", "-f"]).arg(&path);
        command.arg("--run-dir").arg(folder.path().join("run"));
        Process::start(command.args(flags))
    };
    for (flags, here, elsewhere) in [
        (vec![], &configured, &asked),
        (vec!["-s", &asked.0], &asked, &configured),
    ] {
        let mut lvsd = start(&flags);
        wait_until("the address", LIMIT, || {
            here.addresses().contains("192.0.2.77").then_some(())
        });
        assert!(!elsewhere.addresses().contains("192.0.2.77"));
        lvsd.signal(Signal::SIGTERM);
        assert!(lvsd.wait(LIMIT).success(), "{}", lvsd.output());
        assert!(!here.addresses().contains("192.0.2.77"));
    }
    std::fs::write(&path, text("lvsk-nowhere")).unwrap();
    let mut lvsd = start(&[]);
    assert!(!lvsd.wait(LIMIT).success());
    assert!(
        lvsd.output()
            .contains("cannot enter network namespace lvsk-nowhere")
    );
}
