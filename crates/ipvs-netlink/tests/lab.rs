//! The client against the IPVS of a real kernel, in the lab.

#[path = "lab/matrix.rs"]
mod matrix;
#[path = "lab/overflow.rs"]
mod overflow;
#[path = "lab/plan.rs"]
mod plan;
#[path = "lab/reading.rs"]
mod reading;

use std::time::Duration;

use ipvs_netlink::{Client, KernelTransport, ServiceKey};
use lvs_testkit::lab::Host;

/// Runs `work` with a client in a host whose networks 10.0.0.0/8 and fd00::/8 are local.
fn with_client<T: Send>(host: &Host, work: impl FnOnce(Client<KernelTransport>) -> T + Send) -> T {
    host.ip("link add d0 type dummy\nlink set d0 up\naddress add 10.255.0.1/8 dev d0");
    host.ip("address add fd00::ffff/8 dev d0");
    host.enter(|| {
        let mut client = Client::connect(KernelTransport::open().unwrap()).unwrap();
        // The end of a sync daemon is waited for by the kernel, and this one may be slow.
        client.set_limit(Duration::from_secs(60));
        work(client)
    })
}

fn tcp(address: &str) -> ServiceKey {
    ServiceKey::tcp(address.parse().unwrap())
}
