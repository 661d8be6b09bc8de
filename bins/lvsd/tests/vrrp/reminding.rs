//! Announcements that are repeated on other interfaces, on the wire, beside keepalived's.

use std::collections::BTreeMap;
use std::process::Command;

use director::status::VrrpState::Master;
use lvs_testkit::Process;
use lvs_testkit::netns::{self, Namespace};

use crate::router::{FAST, Keepalived, LIMIT, Router, Story, together};

/// Who announces which address on which wire: the wire, whether the virtual MAC is the sender, and the
/// address.
type Announced = (&'static str, bool, &'static str);

const ON_OWN: &str = "10.0.0.100";
const ON_OTHER: &str = "10.3.0.100";

/// A host with two wires, on each of which somebody listens.
struct Wires {
    host: Namespace,
    captures: [(&'static str, Process); 2],
}

impl Wires {
    fn new() -> Option<Self> {
        let tcpdump = lvs_testkit::program("tcpdump").or_else(|| {
            lvs_testkit::skip("tcpdump is not installed");
            None
        })?;
        let [host, far] = netns::hosts()?;
        for (number, name) in ["eth0", "eth1"].into_iter().enumerate() {
            netns::cable(&host, name, &far, name);
            host.ip(&format!("addr add 10.{}.0.1/24 dev {name}", 3 * number));
        }
        let capture = |name: &'static str| {
            let mut capture = far.run(|| {
                let mut command = Command::new(&tcpdump);
                Process::start(command.args(["-l", "-n", "-e", "-i", name, "arp"]))
            });
            capture.wait_for("listening on", LIMIT);
            (name, capture)
        };
        let captures = [capture("eth0"), capture("eth1")];
        Some(Self { host, captures })
    }

    /// How often each address was announced.
    fn announced(&self) -> BTreeMap<Announced, usize> {
        let mut counts = BTreeMap::new();
        for (wire, capture) in &self.captures {
            let output = capture.output();
            for address in [ON_OWN, ON_OTHER] {
                let request = format!("who-has {address} (ff:ff:ff:ff:ff:ff) tell {address},");
                for line in output.lines().filter(|line| line.contains(&request)) {
                    let is_virtual = line.contains(" 00:00:5e:00:01:33 > ");
                    *counts.entry((*wire, is_virtual, address)).or_default() += 1;
                }
            }
        }
        counts
    }

    /// Those that were announced again after the first time.
    fn reminded(&self) -> Vec<Announced> {
        let counts = self.announced().into_iter();
        counts.filter(|it| it.1 > 1).map(|it| it.0).collect()
    }
}

/// Announced once when it becomes master, and not again but for what is tried here.
fn text(settings: &str) -> String {
    format!(
        "vrrp_instance VI {{\n interface eth0\n virtual_router_id 51\n priority 150\n {FAST}\n \
         garp_master_repeat 1\n garp_master_delay 0\n {settings}\n \
         virtual_ipaddress {{\n {ON_OWN}/24\n {ON_OTHER}/24 dev eth1\n }}\n}}\n"
    )
}

fn tell(settings: &str, expected: &[Announced], by_keepalived: &[Announced]) -> Option<()> {
    let (mine, other) = Wires::new().zip(Wires::new())?;
    let text = text(settings);
    let keepalived = Keepalived::start(&other.host, &text);
    let router = Router::start(&mine.host, &text);
    router.wait_for(Master);
    router.wait("all to be announced", |_| {
        expected
            .iter()
            .all(|it| mine.announced().get(it) >= Some(&3))
    });
    // Time enough for what is not expected.
    router.wait_for_more(25);
    assert_eq!(mine.reminded(), expected, "{settings}");
    let log = router.stop();
    if let Some(keepalived) = keepalived {
        keepalived.wait_for("MASTER");
        lvs_testkit::wait_until("keepalived's announcements", LIMIT, || {
            let announced = other.announced();
            let mut all = by_keepalived.iter();
            all.all(|it| announced.get(it) >= Some(&3)).then_some(())
        });
        assert_eq!(other.reminded(), by_keepalived, "{settings}");
        keepalived.stop();
    }
    assert!(!log.contains("cannot"), "{log}");
    Some(())
}

#[test]
fn addresses_on_other_interfaces_are_announced_again_as_by_keepalived() {
    let own_by_mac = ("eth0", true, ON_OWN);
    let other = ("eth1", false, ON_OTHER);
    let story = |name, settings: &'static str, ours: Vec<Announced>, theirs| -> Story<'_> {
        let theirs = if theirs { ours.clone() } else { vec![] };
        let tell = move || {
            // Skipped where there are no namespaces.
            let _ = tell(settings, &ours, &theirs);
        };
        (name, Box::new(tell))
    };
    together([
        story("all", "garp_extra_if all 1", vec![other], true),
        story("no virtual interface", "garp_extra_if 1", vec![], true),
        story("virtual MAC", "use_vmac\n garp_extra_if 1", vec![], true),
        // Its manual says that it does what we do.
        story(
            "virtual MAC that does not send",
            "use_vmac\n vmac_xmit_base\n vmac_garp_intvl 1",
            vec![own_by_mac],
            false,
        ),
        story(
            "all, with a virtual MAC that does not send",
            "use_vmac\n vmac_xmit_base\n garp_extra_if all 1",
            vec![own_by_mac, other],
            true,
        ),
        story(
            "all, with a virtual MAC",
            "use_vmac\n garp_extra_if all 1",
            vec![other],
            true,
        ),
    ]);
}
