//! A virtual router on an ipvlan, which the machine's own kernel may not have.

use lvs_testkit::lab::{LIMIT, enter};
use lvs_testkit::wait_until;
use nix::sys::signal::Signal;

use crate::director::Director;

#[test]
fn a_virtual_router_on_an_ipvlan_is_heard_and_hears() {
    let Some(lab) = enter() else { return };
    let segment = lab.switch("segment");
    let [ours, theirs] = [("ours", "1"), ("theirs", "2")].map(|(name, number)| {
        let host = lab.host(name);
        host.plug(&segment, "eth0", &[&format!("10.0.2.{number}/24")]);
        host
    });
    let instance = |priority: u8, extra: &str| {
        format!(
            "vrrp_instance VI {{\n interface eth0\n virtual_router_id 51\n version 3\n \
             advert_int 0.2\n priority {priority}\n {extra}\n virtual_ipaddress {{\n \
             10.0.2.100/24\n }}\n}}\n"
        )
    };
    let other = Director::start(&theirs, &instance(100, ""), &["-P"]);
    other.lvsd.wait_for("Entering MASTER", LIMIT);
    let text = instance(150, "use_ipvlan vip0 10.0.2.50/32 private group 7");
    let director = Director::start(&ours, &text, &["-P"]);
    director.lvsd.wait_for("Entering MASTER", LIMIT);
    let link = ours.run(&["ip", "-d", "link", "show", "vip0"]);
    for word in ["vip0@eth0", "ipvlan", "mode l2 private", "group 7"] {
        assert!(link.contains(word), "{word} is not in {link}");
    }
    let addresses = ours.run(&["ip", "-o", "address", "show", "vip0"]);
    assert!(addresses.contains("10.0.2.50/32") && addresses.contains("10.0.2.100/24"));
    // The other one yields to the ipvlan's own address, and its clients find the virtual one.
    other.wait("the better one", |it| {
        it.try_status().is_some_and(|status| {
            let masters = status
                .vrrp
                .instances
                .iter()
                .filter_map(|it| it.master.as_ref());
            masters.map(|it| it.address.to_string()).eq(["10.0.2.50"])
        })
    });
    let _server = ours.serve("here", &[80]);
    let page = wait_until("the page", LIMIT, || theirs.try_fetch("http://10.0.2.100/"));
    assert_eq!(page.trim(), "here");
    // It hears others, too.
    other.reload_completely(&instance(200, ""));
    director.wait("a better one", |it| {
        it.lvsd.output().matches("Entering BACKUP").count() == 2
    });
    other.stop();
    director.wait("its end", |it| {
        it.lvsd.output().matches("Entering MASTER").count() == 2
    });
    director.lvsd.signal(Signal::SIGTERM);
    assert!(director.lvsd.wait(LIMIT).success());
    wait_until("the ipvlan's end", LIMIT, || {
        let links = ours.run(&["ip", "-o", "link"]);
        (!links.contains("vip0")).then_some(())
    });
}
