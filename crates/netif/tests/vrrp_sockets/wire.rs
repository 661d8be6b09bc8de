//! Sending and hearing between hosts.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use lvs_testkit::netns::Namespace;
use netif::{Family, LinkIndex, Outgoing, RECEIVE_SIZE, Rtnetlink, VrrpSocket, VrrpSocketConfig};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long something may take to arrive; it takes microseconds.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

/// How long nothing must arrive before we believe it: the packets that would have are sent, and
/// delivered, within the call that sends.
const SILENCE: Duration = Duration::from_millis(20);

pub(crate) const V4: Family = Family::Inet;
pub(crate) const V6: Family = Family::Inet6;

/// A packet as received, owned.
#[derive(Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) source: IpAddr,
    pub(crate) destination: Option<IpAddr>,
    pub(crate) ttl: Option<u8>,
    pub(crate) link: Option<LinkIndex>,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn hear_for(socket: &VrrpSocket, limit: Duration) -> Option<Heard> {
    let mut buffer = [0xa5; RECEIVE_SIZE];
    let deadline = Instant::now() + limit;
    loop {
        if let Some(received) = socket.receive(&mut buffer).unwrap() {
            assert!(!received.truncated);
            assert!(received.waited < LIMIT, "{:?}", received.waited);
            return Some(Heard {
                source: received.source,
                destination: received.destination,
                ttl: received.ttl,
                link: received.link,
                payload: received.payload.to_vec(),
            });
        }
        let left = deadline.checked_duration_since(Instant::now())?;
        let timeout = PollTimeout::try_from(left.max(Duration::from_millis(1))).unwrap();
        poll(
            &mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)],
            timeout,
        )
        .unwrap();
    }
}

#[track_caller]
pub(crate) fn hear(socket: &VrrpSocket) -> Heard {
    hear_for(socket, LIMIT).expect("a packet")
}

#[track_caller]
pub(crate) fn assert_silent(socket: &VrrpSocket) {
    assert_eq!(hear_for(socket, SILENCE), None);
}

pub(crate) fn index(host: &Namespace, name: &str) -> LinkIndex {
    host.run(|| Rtnetlink::open().unwrap().expect_link(name).unwrap().index)
}

pub(crate) fn open(host: &Namespace, family: Family, name: &str) -> VrrpSocket {
    let config = VrrpSocketConfig::multicast(family, index(host, name));
    host.run(|| VrrpSocket::open(config).unwrap())
}

pub(crate) fn send(socket: &VrrpSocket, source: &str, payload: &[u8]) {
    send_to(socket, source, socket.config().group.unwrap(), 255, payload).unwrap();
}

pub(crate) fn send_to(
    socket: &VrrpSocket,
    source: &str,
    destination: IpAddr,
    ttl: u8,
    payload: &[u8],
) -> std::io::Result<()> {
    socket.send(&Outgoing {
        source: source.parse().unwrap(),
        destination,
        ttl,
        identification: 0,
        payload,
    })
}

pub(crate) const SOURCES: [(Family, &str); 2] = [(V4, "10.9.9.1"), (V6, "fe80::1")];

pub(crate) fn wait_for_carrier(host: &Namespace, name: &str) {
    let mut rtnetlink = host.run(|| Rtnetlink::open().unwrap());
    lvs_testkit::wait_until("carrier", LIMIT, || {
        rtnetlink
            .expect_link(name)
            .unwrap()
            .is_usable()
            .then_some(())
    });
}
