//! Short words for the tests beside the schedulers.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::{DestinationConfig, DestinationId, Flow, Pool, Protocol, SchedulerKind, Settings};

/// A pool with servers 1, 2, 3 … added in this order with these weights.
pub(crate) fn pool(kind: SchedulerKind, settings: impl Into<Settings>, weights: &[u32]) -> Pool {
    let mut pool = Pool::new(kind, settings, Duration::ZERO);
    for (number, weight) in (1..).zip(weights) {
        add(&mut pool, number, *weight);
    }
    pool
}

/// Server 1 is 192.168.0.1:8080.
pub(crate) fn server(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 168, 0, number).into()
}

pub(crate) fn add(pool: &mut Pool, number: u8, weight: u32) -> DestinationId {
    pool.add(server(number), 8080, DestinationConfig::with_weight(weight))
        .expect("not there yet")
}

pub(crate) fn edit(pool: &mut Pool, number: u8, weight: u32) {
    pool.edit(server(number), 8080, DestinationConfig::with_weight(weight))
        .expect("there");
}

pub(crate) fn remove(pool: &mut Pool, number: u8) {
    pool.remove(server(number), 8080).expect("there");
}

/// Gives a server these counts.
pub(crate) fn load(pool: &mut Pool, number: u8, active: u32, inactive: u32) {
    let id = pool.find(server(number), 8080).expect("there");
    pool.restate(id, active, inactive);
}

pub(crate) fn flow() -> Flow {
    Flow {
        src: Ipv4Addr::new(203, 0, 113, 9).into(),
        src_port: 12345,
        dst: Ipv4Addr::new(10, 0, 0, 1).into(),
        dst_port: 80,
        protocol: Protocol::Tcp,
        now: Duration::ZERO,
    }
}

/// A flow to 10.0.0.N at a time.
pub(crate) fn flow_to(target: u8, seconds: u64) -> Flow {
    Flow {
        dst: Ipv4Addr::new(10, 0, 0, target).into(),
        now: Duration::from_secs(seconds),
        ..flow()
    }
}

/// The number of the server chosen for a flow, 0 for none.
pub(crate) fn pick_for(pool: &mut Pool, flow: &Flow) -> u8 {
    match pool
        .pick(flow)
        .and_then(|id| pool.destination(id))
        .map(|d| d.address)
    {
        Some(IpAddr::V4(address)) => address.octets()[3],
        _ => 0,
    }
}

/// The numbers of the servers chosen for so many flows; nothing is bound.
pub(crate) fn picks(pool: &mut Pool, flows: usize) -> Vec<u8> {
    (0..flows).map(|_| pick_for(pool, &flow())).collect()
}
