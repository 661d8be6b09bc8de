//! With keepalived on the other side: every way to speak, both ways round.

use director::status::VrrpState::{Backup, Master};

use crate::lan::Lan;
use crate::router::{Keepalived, Router};

/// A way to speak: what goes into the instance, and the addresses.
struct Speech {
    extra: &'static str,
    address: &'static str,
    unicast: bool,
}

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

    fn both_ways(&self) {
        std::thread::scope(|scope| {
            scope.spawn(|| self.as_master());
            scope.spawn(|| self.as_backup());
        });
    }
}

const V4: &str = "10.0.0.100/24";

#[test]
fn version_2_multicast() {
    let extra = "advert_int 1";
    Speech {
        extra,
        address: V4,
        unicast: false,
    }
    .both_ways();
}

#[test]
fn version_2_multicast_with_a_password() {
    Speech {
        extra: PASS,
        address: V4,
        unicast: false,
    }
    .both_ways();
}

#[test]
fn version_2_multicast_with_an_authentication_header() {
    Speech {
        extra: AH,
        address: V4,
        unicast: false,
    }
    .both_ways();
}

#[test]
fn version_2_unicast_with_a_password() {
    Speech {
        extra: PASS,
        address: V4,
        unicast: true,
    }
    .both_ways();
}

#[test]
fn version_3_multicast() {
    Speech {
        extra: V3,
        address: V4,
        unicast: false,
    }
    .both_ways();
}

#[test]
fn version_3_unicast() {
    Speech {
        extra: V3,
        address: V4,
        unicast: true,
    }
    .both_ways();
}

#[test]
fn version_3_multicast_over_ipv6() {
    Speech {
        extra: V3,
        address: "fe80::99/64",
        unicast: false,
    }
    .both_ways();
}

#[test]
fn version_3_unicast_over_ipv6() {
    Speech {
        extra: V3,
        address: "fd00::99/64",
        unicast: true,
    }
    .both_ways();
}
