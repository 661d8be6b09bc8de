//! A pair in a network without multicast: peers, a password, and scripts that move the address, as
//! people have it on rented machines. Ours on both sides, and with keepalived on either.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lvs_testkit::wait_until;

use crate::lan::Lan;
use crate::router::{Keepalived, LIMIT, Router, Story, together};

const CONFIGURATION: &str = include_str!("cloud.conf");

/// Who runs on a host.
#[derive(Clone, Copy)]
enum Make {
    Ours,
    Keepalived,
}

enum Running {
    Ours(Router),
    Keepalived(Keepalived),
}

impl Running {
    fn cut_power(self) {
        match self {
            Self::Ours(it) => it.cut_power(),
            Self::Keepalived(it) => it.cut_power(),
        }
    }
}

/// Two hosts with the folders of their scripts.
struct Pair {
    lan: Lan<2>,
    folders: [tempfile::TempDir; 2],
}

impl Pair {
    fn new() -> Option<Self> {
        let folders = [(); 2].map(|()| {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            for name in ["assign", "unassign"] {
                let path = folder.path().join(name);
                let calls = folder.path().join("calls").display().to_string();
                let text = format!("#!/bin/sh\necho \"{name} $*\" >> {calls}\n");
                std::fs::write(&path, text).unwrap();
                std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
            }
            folder
        });
        Some(Self {
            lan: Lan::new()?,
            folders,
        })
    }

    fn folder(&self, host: usize) -> &Path {
        self.folders[host - 1].path()
    }

    fn start(&self, host: usize, make: Make) -> Option<Running> {
        let (state, priority) = [("MASTER", "100"), ("BACKUP", "90")][host - 1];
        let text = CONFIGURATION
            .replace("STATE", state)
            .replace("PRIORITY", priority)
            .replace("THERE", &(3 - host).to_string())
            .replace("HERE", &host.to_string())
            .replace("FOLDER", &self.folder(host).display().to_string());
        let namespace = self.lan.host(host);
        Some(match make {
            Make::Ours => Running::Ours(Router::start(namespace, &text)),
            Make::Keepalived => Running::Keepalived(Keepalived::start(namespace, &text)?),
        })
    }

    /// Waits until the scripts of a host have been called so, and not otherwise.
    #[track_caller]
    fn called(&self, host: usize, names: &[&str]) {
        let path = self.folder(host).join("calls");
        let calls = wait_until("scripts", LIMIT, || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let calls: Vec<String> = text.lines().map(str::to_owned).collect();
            (calls.len() >= names.len()).then_some(calls)
        });
        let call = |name: &&str| format!("{name} 203.0.113.7 10.0.0.100 i-{host}");
        assert_eq!(calls, names.iter().map(call).collect::<Vec<_>>());
        let is_here = names.last() == Some(&"assign");
        assert_eq!(self.lan.has(host, "10.0.0.100"), is_here);
    }
}

fn an_address_moves(makes: [Make; 2]) -> Option<()> {
    let pair = Pair::new()?;
    let first = pair.start(1, makes[0])?;
    pair.called(1, &["unassign", "assign"]);
    let second = pair.start(2, makes[1])?;
    pair.called(2, &["unassign"]);
    first.cut_power();
    pair.called(2, &["unassign", "assign"]);
    let first = pair.start(1, makes[0])?;
    pair.called(1, &["unassign", "assign", "unassign", "assign"]);
    pair.called(2, &["unassign", "assign", "unassign"]);
    drop((first, second));
    Some(())
}

#[test]
fn scripts_move_an_address() {
    let story = |name, makes| -> Story<'_> {
        let tell = move || {
            // Skipped where there is no keepalived.
            let _ = an_address_moves(makes);
        };
        (name, Box::new(tell))
    };
    together([
        story("ours twice", [Make::Ours, Make::Ours]),
        story("ours is better", [Make::Ours, Make::Keepalived]),
        story("keepalived is better", [Make::Keepalived, Make::Ours]),
    ]);
}
