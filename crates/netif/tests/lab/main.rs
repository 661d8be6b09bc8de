//! What the kernel of the machine may lack, in the lab.

#[path = "../vrrp_sockets/wire.rs"]
mod wire;

use lvs_testkit::lab;
use lvs_testkit::netns::{self, Namespace};
use netif::{Ensured, Rtnetlink, Tunnel};
use wire::{SOURCES, assert_silent, hear, open, send, wait_for_carrier};

#[test]
fn through_a_bond() {
    let Some(_lab) = lab::enter() else { return };
    let [left, right] = netns::hosts().expect("root");
    netns::cable(&left, "a0", &right, "a0");
    netns::cable(&left, "a1", &right, "a1");
    for host in [&left, &right] {
        let mut rtnetlink = host.run(|| Rtnetlink::open().unwrap());
        let bond = netif::NewLink::Plain {
            kind: "bond".into(),
        };
        rtnetlink
            .create_link(&"bond0".parse().unwrap(), &bond)
            .unwrap();
        host.ip("link set bond0 type bond mode active-backup miimon 10");
        for name in ["a0", "a1"] {
            host.ip(&format!("link set {name} down"));
            host.ip(&format!("link set {name} master bond0"));
        }
        host.ip("link set bond0 up");
    }
    wait_for_carrier(&left, "bond0");
    wait_for_carrier(&right, "bond0");
    for (family, source) in SOURCES {
        let (sender, receiver) = (open(&left, family, "bond0"), open(&right, family, "bond0"));
        for active in ["a0", "a1"] {
            for host in [&left, &right] {
                host.ip(&format!("link set bond0 type bond active_slave {active}"));
            }
            send(&sender, source, active.as_bytes());
            assert_eq!(hear(&receiver).payload, active.as_bytes());
            assert_silent(&sender);
        }
    }
}

#[test]
fn tunnels_are_made_and_found() {
    let Some(_lab) = lab::enter() else { return };
    let host = Namespace::new().expect("root");
    let mut rtnetlink = host.run(|| Rtnetlink::open().unwrap());
    for tunnel in [Tunnel::Ipip, Tunnel::Ip6] {
        let link = rtnetlink.ensure_tunnel(tunnel).unwrap();
        assert_eq!(link.name, tunnel.link_name());
        assert_eq!(link.mac, None);
        assert_eq!(rtnetlink.ensure_tunnel(tunnel).unwrap().index, link.index);
        rtnetlink.set_up(link.index).unwrap();
        let found = rtnetlink.link(link.index).unwrap().unwrap();
        assert!(found.flags.is_up() && !found.needs_neighbours());
        let address = netif::Address::new("192.0.2.1/32".parse().unwrap());
        let done = rtnetlink.ensure_address(link.index, &address).unwrap();
        assert_eq!(done, Ensured::Done);
    }
}
