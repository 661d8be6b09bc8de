//! Changes as the command lines that ask for them, in numbers and without loss.
//!
//! Design: what ipvsadm's `-S` leaves out or writes so that it does not come back is written here so
//! that it does: thresholds, large marks, masks without persistence, flags without a name. All of it
//! is ipvsadm's own syntax. What that cannot say at all, [`is_faithful`] finds out.

use std::fmt::Write;
use std::net::IpAddr;

use ipvs_netlink::{
    Command, Destination, ForwardMethod, Protocol, ServiceFlags, ServiceKey, SyncDaemon,
    TimeoutsUpdate, TunnelChecksum, TunnelKind, VirtualService,
};

use super::{address, role};
use crate::command::{Dialect, Task, parse};
use crate::table_file;

/// The command line, without a program's name.
pub(crate) fn line(command: &Command) -> String {
    match command {
        Command::AddService(service) => format!("-A {}", settings(service)),
        Command::EditService(service) => format!("-E {}", settings(service)),
        Command::DeleteService(key) => format!("-D {}", name(key)),
        Command::AddDestination {
            service,
            destination,
        } => format!("-a {} {}", name(service), server(destination)),
        Command::EditDestination {
            service,
            destination,
        } => format!("-e {} {}", name(service), server(destination)),
        Command::DeleteDestination {
            service,
            destination,
        } => {
            let server = endpoint(destination.address, destination.port);
            format!("-d {} -r {server}", name(service))
        }
        Command::Flush => "-C".to_owned(),
        Command::Zero(None) => "-Z".to_owned(),
        Command::Zero(Some(key)) => format!("-Z {}", name(key)),
        Command::SetTimeouts(update) => timeouts(update),
        Command::StartDaemon(daemon) => start(daemon),
        Command::StopDaemon(which) => format!("--stop-daemon {}", role(*which)),
    }
}

/// Whether a command line, read again, is the same command.
pub(crate) fn is_faithful(command: &Command, line: &str) -> bool {
    let words: Vec<&[u8]> = table_file::words(line.as_bytes())
        .map(|(_, word)| word)
        .collect();
    let dialect = Dialect {
        wide: true,
        ..Dialect::default()
    };
    matches!(parse(&words, b"lvsadm", dialect), Ok(Task::Change(read)) if read == *command)
}

fn settings(service: &VirtualService) -> String {
    let mut text = format!("{} -s {}", name(&service.key), service.scheduler);
    if let Some(timeout) = service.persistence_timeout {
        let _ = write!(text, " -p {}", timeout.as_secs());
    }
    if let Some(mask) = address::mask(service) {
        let _ = write!(text, " -M {mask}");
    }
    if let Some(engine) = service.persistence_engine {
        let _ = write!(text, " --pe {engine}");
    }
    if service.flags.contains(ServiceFlags::ONE_PACKET) {
        text += " -o";
    }
    let flags = flags(service);
    if !flags.is_empty() {
        let _ = write!(text, " -b {}", flags.join(","));
    }
    text
}

fn flags(service: &VirtualService) -> Vec<&'static str> {
    let (first, second) = match service.scheduler.as_str() {
        "sh" => ("sh-fallback", "sh-port"),
        "mh" => ("mh-fallback", "mh-port"),
        _ => ("flag-1", "flag-2"),
    };
    let names = [
        (ServiceFlags::SCHED_1, first),
        (ServiceFlags::SCHED_2, second),
        (ServiceFlags::SCHED_3, "flag-3"),
    ];
    let set = |(flag, name)| service.flags.contains(flag).then_some(name);
    names.into_iter().filter_map(set).collect()
}

fn name(key: &ServiceKey) -> String {
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
            format!("{option} {}", endpoint(*address, *port))
        }
        ServiceKey::Mark { mark, family } => match family {
            ipvs_netlink::AddressFamily::Inet => format!("-f {mark}"),
            ipvs_netlink::AddressFamily::Inet6 => format!("-f {mark} -6"),
        },
    }
}

fn server(destination: &Destination) -> String {
    let mut text = format!("-r {}", endpoint(destination.address, destination.port));
    let method = match destination.forward {
        ForwardMethod::Masq => "-m",
        ForwardMethod::Tunnel(_) => "-i",
        _ => "-g",
    };
    let _ = write!(text, " {method} -w {}", destination.weight);
    let thresholds = [
        ("-x", destination.upper_threshold),
        ("-y", destination.lower_threshold),
    ];
    for (option, threshold) in thresholds.into_iter().filter(|(_, count)| *count > 0) {
        let _ = write!(text, " {option} {threshold}");
    }
    if let ForwardMethod::Tunnel(kind) = destination.forward {
        text += &tunnel(kind);
    }
    text
}

/// The options of a tunnel, with a blank before them.
pub(crate) fn tunnel(kind: TunnelKind) -> String {
    let sum = |checksum: TunnelChecksum| match checksum {
        TunnelChecksum::None => "--tun-nocsum",
        TunnelChecksum::Full => "--tun-csum",
        TunnelChecksum::Remote => "--tun-remcsum",
    };
    match kind {
        TunnelKind::Gue { port, checksum } => {
            format!(" --tun-type gue --tun-port {port} {}", sum(checksum))
        }
        TunnelKind::Gre { checksum } => format!(" --tun-type gre {}", sum(checksum)),
        _ => " --tun-type ipip".to_owned(),
    }
}

fn timeouts(update: &TimeoutsUpdate) -> String {
    let [tcp, fin, udp] = [update.tcp, update.tcp_fin, update.udp]
        .map(|timeout| timeout.map_or(0, |timeout| timeout.as_secs()));
    format!("--set {tcp} {fin} {udp}")
}

fn start(daemon: &SyncDaemon) -> String {
    let mut text = format!("--start-daemon {}", role(daemon.role));
    if !daemon.interface.is_empty() {
        let _ = write!(text, " --mcast-interface {}", daemon.interface);
    }
    let _ = write!(text, " --syncid {}", daemon.sync_id);
    if let Some(length) = daemon.max_length {
        let _ = write!(text, " --sync-maxlen {length}");
    }
    if let Some(group) = daemon.group {
        let _ = write!(text, " --mcast-group {group}");
    }
    if let Some(port) = daemon.port {
        let _ = write!(text, " --mcast-port {port}");
    }
    if let Some(ttl) = daemon.ttl {
        let _ = write!(text, " --mcast-ttl {ttl}");
    }
    text
}

fn endpoint(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}
