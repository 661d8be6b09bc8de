//! Which crate may depend on which, so that the pure ones stay pure and the siblings stay apart.

use std::process::Stdio;

use anyhow::{Context, Result};

use crate::step;

/// A crate and what must not appear among its normal dependencies, direct or not.
struct Rule {
    name: &'static str,
    forbidden: &'static [&'static str],
}

/// The libraries that know nothing of each other, and the cores that know nothing of I/O.
const RULES: &[Rule] = &[
    Rule {
        name: "kconf-parser",
        forbidden: &[
            "bfd-proto",
            "vrrp-proto",
            "healthcheck",
            "ipvs-netlink",
            "netif",
            "lvs-sched",
            "lvs-proxy",
            "tokio",
            "mio",
            "socket2",
        ],
    },
    Rule {
        name: "kconf-lsp",
        forbidden: &[
            "director",
            "healthcheck",
            "ipvs-netlink",
            "tokio",
            "socket2",
        ],
    },
    Rule {
        name: "lvs-sched",
        forbidden: &[
            "bfd-proto",
            "vrrp-proto",
            "healthcheck",
            "ipvs-netlink",
            "netif",
            "kconf-parser",
            "tokio",
            "mio",
            "socket2",
            "libc",
        ],
    },
    Rule {
        name: "lvs-sim",
        forbidden: &["tokio", "mio", "socket2", "ipvs-netlink", "netif"],
    },
    Rule {
        name: "healthcheck",
        forbidden: &[
            "bfd-proto",
            "vrrp-proto",
            "ipvs-netlink",
            "kconf-parser",
            "lvs-sched",
            "lvs-proxy",
            "netif",
        ],
    },
    Rule {
        name: "ipvs-netlink",
        forbidden: &[
            "bfd-proto",
            "vrrp-proto",
            "healthcheck",
            "netif",
            "kconf-parser",
            "lvs-sched",
            "lvs-proxy",
        ],
    },
    Rule {
        name: "netif",
        forbidden: &[
            "healthcheck",
            "ipvs-netlink",
            "kconf-parser",
            "lvs-sched",
            "lvs-proxy",
            "bfd-proto",
            "vrrp-proto",
            "tokio",
        ],
    },
    Rule {
        name: "vrrp-proto",
        forbidden: &[
            "bfd-proto",
            "healthcheck",
            "ipvs-netlink",
            "kconf-parser",
            "lvs-sched",
            "netif",
            "tokio",
            "mio",
            "socket2",
            "libc",
        ],
    },
    Rule {
        name: "bfd-proto",
        forbidden: &[
            "vrrp-proto",
            "healthcheck",
            "ipvs-netlink",
            "kconf-parser",
            "lvs-sched",
            "netif",
            "tokio",
            "mio",
            "socket2",
            "libc",
        ],
    },
    Rule {
        name: "lvs-proxy",
        forbidden: &["healthcheck", "kconf-parser", "director", "netif"],
    },
];

/// Checks every rule with `cargo tree`; whether all hold.
pub(crate) fn check() -> Result<bool> {
    step::heading("layers");
    let mut hold = true;
    for rule in RULES {
        let output = step::cargo(&[
            "tree", "--locked", "--edges", "normal", "--prefix", "none", "-p", rule.name,
        ])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo tree")?;
        let tree = String::from_utf8_lossy(&output.stdout);
        hold &= output.status.success();
        for name in tree.lines().filter_map(|line| line.split(' ').next()) {
            if rule.forbidden.contains(&name) {
                println!("{} depends on {name}, which it must not", rule.name);
                hold = false;
            }
        }
    }
    println!("-- layers: {}", if hold { "ok" } else { "FAILED" });
    Ok(hold)
}
