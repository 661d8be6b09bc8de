//! The table as command lines (`-S`).

use std::io::Write;

use ipvs_netlink::{
    AddressFamily, Destination, ForwardMethod, Protocol, ServiceFlags, ServiceKey, VirtualService,
};

use super::address::{self, Addresses};
use super::{flag_names, rules};

/// The line that adds a service.
pub(crate) fn service(out: &mut impl Write, service: &VirtualService, addresses: &Addresses) {
    let mut line = format!(
        "-A {} -s {}",
        service_option(&service.key, addresses),
        service.scheduler
    );
    if let Some(timeout) = service.persistence_timeout {
        line += &format!(" -p {}", timeout.as_secs());
        if let Some(mask) = address::mask(service) {
            line += &format!(" -M {mask}");
        }
    }
    if let Some(engine) = service.persistence_engine {
        line += &format!(" --pe {engine}");
    }
    if service.flags.contains(ServiceFlags::ONE_PACKET) {
        line += " -o";
    }
    if let Some(flags) = flag_names(service) {
        line += &format!(" -b {flags}");
    }
    let _ = writeln!(out, "{line}");
}

/// The line that adds a server.
pub(crate) fn server(
    out: &mut impl Write,
    service: &ServiceKey,
    destination: &Destination,
    addresses: &Addresses,
) {
    let address = addresses.text(destination.address, destination.port, service.protocol());
    let method = match destination.forward {
        ForwardMethod::Masq => "-m",
        ForwardMethod::Tunnel(_) => "-i",
        _ => "-g",
    };
    let tunnel = match destination.forward {
        ForwardMethod::Tunnel(kind) => rules::tunnel(kind),
        _ => String::new(),
    };
    let service = service_option(service, addresses);
    let weight = destination.weight;
    let _ = writeln!(
        out,
        "-a {service} -r {address} {method} -w {weight}{tunnel}"
    );
}

fn service_option(key: &ServiceKey, addresses: &Addresses) -> String {
    match key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            let option = match protocol {
                Protocol::Tcp => "-t",
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
            };
            format!(
                "{option} {}",
                addresses.text(*address, *port, Some(*protocol))
            )
        }
        ServiceKey::Mark { mark, family } => {
            let ipv6 = if *family == AddressFamily::Inet6 {
                " -6"
            } else {
                ""
            };
            format!("-f {}{ipv6}", mark.get() as i32)
        }
    }
}
