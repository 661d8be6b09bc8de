//! Somebody else's hands in the director's table.

use ipvs_netlink::{Client, Destination, ForwardMethod, ServiceKey, UnixTransport};
use lvs_testkit::free_port;

use crate::backend::Backend;
use crate::lab::{Lab, get, real_server, virtual_server};

/// What lvsadm does, on the director's socket.
fn meddle(lab: &Lab) -> Client<UnixTransport> {
    let transport = UnixTransport::connect(&lab.run_dir().join("ipvs.sock")).unwrap();
    Client::connect(transport).unwrap()
}

fn key(port: u16) -> ServiceKey {
    ServiceKey::tcp(([127, 0, 0, 1], port).into())
}

fn server(backend: &Backend, weight: u32) -> Destination {
    let address = ([127, 0, 0, 1], backend.port()).into();
    Destination {
        weight,
        ..Destination::new(address, ForwardMethod::Masq)
    }
}

#[test]
fn what_others_change_is_put_right_and_what_is_theirs_stays() {
    let (a, b) = (Backend::start("a"), Backend::start("b"));
    let (port, theirs) = (free_port(), free_port());
    let text = virtual_server(port, &real_server(&a, 2, ""));
    let lab = Lab::start(&text);
    lab.wait_serving();
    let mut client = meddle(&lab);
    let wlc = "wlc".parse().unwrap();
    client
        .add_service(&ipvs_netlink::VirtualService::new(key(theirs), wlc))
        .unwrap();
    client
        .add_destination(&key(theirs), &server(&b, 1))
        .unwrap();

    // By itself.
    client.delete_service(&key(port)).unwrap();
    assert_eq!(get(port), None);
    lab.wait("the service", |_| get(port).as_deref() == Some("a"));
    let vs = format!("VS [127.0.0.1]:tcp:{port}");
    let line = format!("{vs} was removed from the table by somebody else - adding it again");
    assert_eq!(lab.count(&line), 1);

    client.edit_destination(&key(port), &server(&a, 0)).unwrap();
    client.add_destination(&key(port), &server(&b, 9)).unwrap();
    lab.wait("the weight and the foreign server", |lab| {
        lab.count("was changed by somebody else (weight 0 instead of 2)") == 1
            && lab.count("was added by somebody else - removing it") == 1
    });
    lab.wait("the table", |_| {
        let destinations = meddle(&lab).destinations(&key(port)).unwrap();
        destinations.len() == 1 && destinations[0].destination == server(&a, 2)
    });

    // And at a reload, whatever the interval.
    client.delete_service(&key(port)).unwrap();
    lab.reload_completely(&text);
    lab.wait("the service", |_| get(port).as_deref() == Some("a"));
    assert_eq!(get(theirs).as_deref(), Some("b"));
    assert_eq!(lab.count(" by somebody else"), 4, "{}", lab.lvsd.output());
}
