//! The Debian packages that tests and benches use, and their installation.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step;

/// A package: its name, a program by which we see that it is there, and what uses it.
pub(crate) struct Package {
    name: &'static str,
    program: &'static str,
    used_for: &'static str,
}

/// What `cargo xtask test` wants.
pub(crate) const FOR_TESTS: &[Package] = &[
    Package {
        name: "nginx-light",
        program: "nginx",
        used_for: "real servers behind the director",
    },
    Package {
        name: "curl",
        program: "curl",
        used_for: "a client that is not ours",
    },
    Package {
        name: "zsh",
        program: "zsh",
        used_for: "completions",
    },
    Package {
        name: "fish",
        program: "fish",
        used_for: "completions",
    },
    Package {
        name: "netcat-openbsd",
        program: "nc",
        used_for: "files through virtual addresses",
    },
    Package {
        name: "keepalived",
        program: "keepalived",
        used_for: "a second opinion on configurations, digests and adverts",
    },
    Package {
        name: "frr",
        program: "vtysh",
        used_for: "virtual routers of a third make",
    },
    Package {
        name: "g++",
        program: "c++",
        used_for: "building the fuzz targets",
    },
    Package {
        name: "user-mode-linux",
        program: "linux.uml",
        used_for: "the lab's kernel",
    },
    Package {
        name: "kmod",
        program: "modprobe",
        used_for: "the modules of the lab's kernel",
    },
    Package {
        name: "iproute2",
        program: "ip",
        used_for: "networks in the lab and in namespaces",
    },
    Package {
        name: "nftables",
        program: "nft",
        used_for: "a second opinion on packet filters",
    },
    Package {
        name: "procps",
        program: "sysctl",
        used_for: "settings of interfaces in namespaces",
    },
    Package {
        name: "util-linux",
        program: "unshare",
        used_for: "ending the lab's kernel with its test",
    },
    Package {
        name: "tcpdump",
        program: "tcpdump",
        used_for: "captures in the lab",
    },
    Package {
        name: "ipvsadm",
        program: "ipvsadm",
        used_for: "a second opinion on the kernel's table",
    },
    Package {
        name: "ldirectord",
        program: "ldirectord",
        used_for: "a director that lvsadm serves in the place of ipvsadm",
    },
    Package {
        name: "python3-aiosmtpd",
        program: "aiosmtpd",
        used_for: "a relay for alert mails",
    },
];

/// What `cargo xtask bench` wants.
pub(crate) const FOR_BENCHES: &[Package] = &[
    Package {
        name: "keepalived",
        program: "keepalived",
        used_for: "the peer of the configuration reader and of the virtual routers",
    },
    Package {
        name: "tcpdump",
        program: "tcpdump",
        used_for: "time stamps of the kernel",
    },
    Package {
        name: "haproxy",
        program: "haproxy",
        used_for: "the peer of the userspace dataplane",
    },
    Package {
        name: "nginx-light",
        program: "nginx",
        used_for: "the servers behind both",
    },
    Package {
        name: "wrk",
        program: "wrk",
        used_for: "the load",
    },
    Package {
        name: "util-linux",
        program: "taskset",
        used_for: "a core for each contender",
    },
    Package {
        name: "user-mode-linux",
        program: "linux.uml",
        used_for: "the kernel of the rule comparisons",
    },
    Package {
        name: "kmod",
        program: "modprobe",
        used_for: "the modules of that kernel",
    },
    Package {
        name: "iproute2",
        program: "ip",
        used_for: "its loopback",
    },
    Package {
        name: "ipvsadm",
        program: "ipvsadm",
        used_for: "the peer of lvsadm",
    },
];

/// Installs what is missing when we are root on Debian; otherwise says what is missing.
pub(crate) fn provide(wanted: &[Package]) -> Result<()> {
    let missing: Vec<_> = wanted
        .iter()
        .filter(|package| !step::have(package.program))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    step::heading("packages");
    for package in &missing {
        println!("missing: {} ({})", package.name, package.used_for);
    }
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    if !is_root() || !step::have("apt-get") {
        println!(
            "not root on Debian: going on without; to have them: apt-get install {}",
            names.join(" ")
        );
        return Ok(());
    }
    println!("installing: {}", names.join(" "));
    let _quiet = NoDaemons::begin()?;
    // Fails where the lists are fresh but the network is not there; the installation then tells.
    let _ = apt(&["update", "-qq"]).status();
    let installed = apt(&["install", "-y", "-qq", "--no-install-recommends"])
        .args(&names)
        .stdout(std::process::Stdio::null())
        .status()
        .context("cannot run apt-get")?;
    if !installed.success() {
        bail!("apt-get could not install {}", names.join(" "));
    }
    Ok(())
}

fn apt(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    // The owner of our own entry in /proc is our effective user.
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// While this lives, installing a package starts no daemon (`policy-rc.d`, Debian Policy 9.3.3.1):
/// tests start their own, and port 80 may be somebody's.
struct NoDaemons(bool);

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoDaemons {
    fn begin() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self(false));
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(POLICY)
            .with_context(|| format!("cannot write {POLICY}"))?;
        file.write_all(b"#!/bin/sh\nexit 101\n")?;
        Ok(Self(true))
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if self.0 {
            let _ = fs::remove_file(POLICY);
        }
    }
}
