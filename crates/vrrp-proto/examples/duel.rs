//! Two routers, one address, and a wire made of memory: the better one takes over, dies, and the
//! other one follows. Prints what a log would show.
//!
//!     cargo run -p vrrp-proto --example duel

use vrrp_proto::config::NamedInstance;
use vrrp_proto::{
    Datagram, Family, InstanceConfig, InterfaceState, Output, Priority, Router, RouterConfig,
    RouterOutput, Time, Version, Vrid,
};

/// A router and whether it still lives.
struct Node {
    name: &'static str,
    router: Router,
    alive: bool,
}

fn node(
    name: &'static str,
    address: [u8; 4],
    priority: u8,
) -> Result<Node, Box<dyn std::error::Error>> {
    let config = InstanceConfig::new(Version::V3, Family::Ipv4, Vrid::try_from(51)?, "eth0")
        .with_address("192.0.2.10".parse()?)
        .with_priority(Priority::try_from(priority)?);
    let mut router = Router::new();
    let named = NamedInstance {
        name: "web".into(),
        config,
    };
    let config = RouterConfig {
        instances: vec![named],
        ..RouterConfig::default()
    };
    router.configure(Time::ZERO, &config)?;
    let state = InterfaceState::up([address.into()]);
    router.handle_interface(Time::ZERO, &"eth0".into(), &state);
    Ok(Node {
        name,
        router,
        alive: true,
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut nodes = [
        node("east", [192, 0, 2, 1], 150)?,
        node("west", [192, 0, 2, 2], 100)?,
    ];
    let mut now = Time::ZERO;
    while now < Time::from_secs(20) {
        // What the routers ask for; packets go to the others at once.
        let mut wire = Vec::new();
        for (index, node) in nodes.iter_mut().enumerate() {
            while let Some(step) = node.router.poll_output() {
                match step {
                    _ if !node.alive => {}
                    RouterOutput::Instance { instance, output } => match output {
                        Output::SendAdvertisement(transmit) => wire.push((index, transmit.packet)),
                        Output::StateChanged(it) => {
                            println!("{now} {} {instance}: {} ({})", node.name, it.to, it.reason);
                        }
                        Output::InstallAddresses { .. } | Output::RemoveAddresses { .. } => {}
                        Output::Announce { address, .. } => {
                            println!("{now} {} gratuitous ARP for {address}", node.name);
                        }
                        Output::Event(event) => println!("{now} {} {event:?}", node.name),
                    },
                    _ => {}
                }
            }
        }
        let quiet = wire.is_empty();
        for (from, packet) in wire {
            for (index, node) in nodes.iter_mut().enumerate() {
                if index != from && node.alive {
                    let datagram = Datagram::ipv4(&packet);
                    node.router.handle_datagram(now, "eth0", &datagram);
                }
            }
        }
        // Nothing is left to do at this moment: go to the next deadline.
        if quiet {
            let living = nodes.iter().filter(|node| node.alive);
            let Some(next) = living.filter_map(|node| node.router.poll_timeout()).min() else {
                break;
            };
            now = now.max(next);
            if now >= Time::from_secs(10) && nodes[0].alive {
                println!("{now} east dies");
                nodes[0].alive = false;
            }
            for node in nodes.iter_mut().filter(|node| node.alive) {
                node.router.handle_timeout(now);
            }
        }
    }
    Ok(())
}
