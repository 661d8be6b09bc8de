//! With keepalived on the other side: every way to speak, both ways round.

use director::status::VrrpState::{Backup, Master};

use crate::lan::Lan;
use crate::router::{Keepalived, Router, Story, together};

/// A way to speak: what goes into the instance, and the addresses.
struct Speech {
    name: &'static str,
    extra: &'static str,
    address: &'static str,
    unicast: bool,
}

const V2: &str = "advert_int 1";
const PASS: &str = "authentication {\n auth_type PASS\n auth_pass s3cret\n }";
const AH: &str = "authentication {\n auth_type AH\n auth_pass s3cret\n }";
const V3: &str = "version 3\n advert_int 0.2";

impl Speech {
    fn text(&self, host: u8, priority: u8) -> String {
        let (peer, net) = (
            3 - host,
            if self.address.contains(':') {
                "fd00::"
            } else {
                "10.0.0."
            },
        );
        let unicast = match self.unicast {
            true => format!("unicast_src_ip {net}{host}\n unicast_peer {{\n {net}{peer}\n }}\n"),
            false => String::new(),
        };
        format!(
            "vrrp_instance VI {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n \
             {}\n {unicast} virtual_ipaddress {{\n {}\n }}\n}}\n",
            self.extra, self.address
        )
    }

    /// We are master, are gone, and come back.
    fn as_master(&self) -> Option<()> {
        let lan = Lan::<2>::new()?;
        let theirs = Keepalived::start(lan.host(2), &self.text(2, 100))?;
        let ours = Router::start(lan.host(1), &self.text(1, 150));
        ours.wait_for(Master);
        theirs.wait_for("BACKUP");
        let address = self.address.split('/').next().unwrap();
        assert!(lan.has(1, address) && !lan.has(2, address));
        ours.stop();
        theirs.wait_for("MASTER");
        assert!(!lan.has(1, address));
        let ours = Router::start(lan.host(1), &self.text(1, 150));
        ours.wait_for(Master);
        theirs.wait_for("BACKUP");
        // It accepts all that we say, or it would be master again by now.
        let sent = ours.wait_for(Master).counters.sent;
        ours.wait("five more advertisements", |it| {
            it.instance("VI")
                .is_some_and(|it| it.counters.sent >= sent + 5)
        });
        theirs.wait_for("BACKUP");
        assert!(lan.has(1, address) && !lan.has(2, address));
        theirs.stop();
        Some(())
    }

    /// keepalived is master, resigns, comes back, and dies.
    fn as_backup(&self) -> Option<()> {
        let lan = Lan::<2>::new()?;
        let theirs = Keepalived::start(lan.host(2), &self.text(2, 150))?;
        theirs.wait_for("MASTER");
        let ours = Router::start(lan.host(1), &self.text(1, 100));
        ours.wait_for(Backup);
        ours.wait("their advertisements", |it| {
            it.instance("VI")
                .is_some_and(|it| it.counters.received >= 3)
        });
        assert_eq!(ours.wait_for(Backup).counters.became_master, 0);
        theirs.stop();
        let reason = ours.wait_for(Master).reason;
        assert!(reason.ends_with(" resigned"), "{reason}");
        let theirs = Keepalived::start(lan.host(2), &self.text(2, 150))?;
        theirs.wait_for("MASTER");
        ours.wait_for(Backup);
        theirs.cut_power();
        let reason = ours.wait_for(Master).reason;
        assert!(reason.starts_with("no advert of "), "{reason}");
        Some(())
    }
}

/// Both ways round.
fn both_ways(speeches: &[Speech]) {
    together(speeches.iter().flat_map(|speech| -> [Story<'_>; 2] {
        [
            (
                speech.name,
                Box::new(|| {
                    speech.as_master();
                }),
            ),
            (
                speech.name,
                Box::new(|| {
                    speech.as_backup();
                }),
            ),
        ]
    }));
}

const fn multicast(name: &'static str, extra: &'static str, address: &'static str) -> Speech {
    Speech {
        name,
        extra,
        address,
        unicast: false,
    }
}

const fn unicast(name: &'static str, extra: &'static str, address: &'static str) -> Speech {
    Speech {
        unicast: true,
        ..multicast(name, extra, address)
    }
}

const V4: &str = "10.0.0.100/24";

#[test]
fn version_2() {
    both_ways(&[
        multicast("multicast", V2, V4),
        multicast("multicast, password", PASS, V4),
        multicast("multicast, authentication header", AH, V4),
        unicast("unicast", V2, V4),
        unicast("unicast, password", PASS, V4),
        unicast("unicast, authentication header", AH, V4),
    ]);
}

#[test]
fn version_3() {
    both_ways(&[
        multicast("multicast", V3, V4),
        unicast("unicast", V3, V4),
        multicast("multicast over IPv6", V3, "fe80::99/64"),
        unicast("unicast over IPv6", V3, "fd00::99/64"),
    ]);
}
