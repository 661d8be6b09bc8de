//! Listings in ipvsadm's layout, blanks at line ends included.
//!
//! Design: values in, text out; one function per kind of line, so that each can be held against a
//! recorded one. Write errors are not noticed, as ipvsadm does not.

pub(crate) mod address;
pub(crate) mod json;
pub(crate) mod rules;
pub(crate) mod save;

use std::io::Write;

use ipvs_netlink::{
    ConnectionEntry, DaemonRole, DestinationEntry, ForwardMethod, Info, Protocol, ServiceEntry,
    ServiceFlags, ServiceKey, Stats, SyncDaemon, Timeouts, TunnelChecksum, TunnelKind,
    VirtualService,
};

use crate::command::Format;
use address::Addresses;

/// The line of the whole table.
pub(crate) fn title(out: &mut impl Write, info: &Info) {
    let (version, size) = (info.version, info.connection_table_size);
    let _ = writeln!(out, "IP Virtual Server version {version} (size={size})");
}

/// The two header lines.
pub(crate) fn header(out: &mut impl Write, format: Format) {
    let lines = match format {
        Format::Plain => {
            "Prot LocalAddress:Port Scheduler Flags\n  \
             -> RemoteAddress:Port           Forward Weight ActiveConn InActConn"
        }
        Format::TunInfo => {
            "Prot LocalAddress:Port Scheduler Flags\n  \
             -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn"
        }
        Format::Stats => {
            "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n  \
             -> RemoteAddress:Port"
        }
        Format::Rate => {
            "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n  \
             -> RemoteAddress:Port"
        }
        Format::Thresholds => {
            "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n  \
             -> RemoteAddress:Port"
        }
        Format::PersistentConn => {
            "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n  \
             -> RemoteAddress:Port"
        }
    };
    let _ = writeln!(out, "{lines}");
}

/// A service's line.
pub(crate) fn service(
    out: &mut impl Write,
    entry: &ServiceEntry,
    format: Format,
    exact: bool,
    addresses: &Addresses,
) {
    let key = &entry.service.key;
    let name = match key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            let text = addresses.text(*address, *port, Some(*protocol));
            format!(
                "{protocol:<4} {}",
                address::cut_for_listing(&text, *address)
            )
        }
        // Marks are printed as signed numbers.
        ServiceKey::Mark { mark, family } => {
            let ipv6 = match family {
                ipvs_netlink::AddressFamily::Inet => "",
                ipvs_netlink::AddressFamily::Inet6 => " IPv6",
            };
            format!("FWM  {}{ipv6}", mark.get() as i32)
        }
    };
    match format {
        Format::Stats | Format::Rate => {
            let numbers = numbers(&entry.stats, format, exact);
            let _ = writeln!(out, "{name:<33}{numbers}");
        }
        _ => {
            let _ = writeln!(out, "{name} {}", settings(&entry.service));
        }
    }
}

/// Scheduler, flags and persistence.
fn settings(service: &VirtualService) -> String {
    let mut text = service.scheduler.to_string();
    if let Some(flags) = flag_names(service) {
        text += &format!(" ({flags})");
    }
    if let Some(timeout) = service.persistence_timeout {
        text += &format!(" persistent {}", timeout.as_secs());
        if let Some(mask) = address::mask(service) {
            text += &format!(" mask {mask}");
        }
        if let Some(engine) = service.persistence_engine {
            text += &format!(" pe {engine}");
        }
    }
    if service.flags.contains(ServiceFlags::ONE_PACKET) {
        text += " ops";
    }
    text
}

/// The names of the scheduler's flags in the order of their bits. The third one has no name for sh
/// and mh, so it may be empty.
pub(crate) fn flag_names(service: &VirtualService) -> Option<String> {
    let names = match service.scheduler.as_str() {
        "sh" => ["sh-fallback", "sh-port", ""],
        "mh" => ["mh-fallback", "mh-port", ""],
        _ => ["flag-1", "flag-2", "flag-3"],
    };
    let flags = [
        ServiceFlags::SCHED_1,
        ServiceFlags::SCHED_2,
        ServiceFlags::SCHED_3,
    ];
    let set: Vec<&str> = flags
        .iter()
        .zip(names)
        .filter(|(flag, _)| service.flags.contains(**flag))
        .map(|(_, name)| name)
        .collect();
    let named: Vec<&str> = set
        .iter()
        .copied()
        .filter(|name| !name.is_empty())
        .collect();
    (!set.is_empty()).then(|| named.join(","))
}

/// A server's line.
pub(crate) fn server(
    out: &mut impl Write,
    entry: &DestinationEntry,
    service: &ServiceKey,
    format: Format,
    exact: bool,
    addresses: &Addresses,
) {
    let (destination, status) = (&entry.destination, &entry.status);
    let text = addresses.text(destination.address, destination.port, service.protocol());
    let address = address::cut_for_listing(&text, destination.address);
    let (active, inactive) = (status.active_conns, status.inactive_conns);
    let weight = destination.weight;
    let _ = match format {
        Format::Plain => {
            let forward = forward(destination.forward);
            writeln!(
                out,
                "  -> {address:<28} {forward:<7} {weight:<6} {active:<10} {inactive:<10}"
            )
        }
        Format::TunInfo => {
            let forward = forward(destination.forward);
            let tunnel = tunnel(destination.forward);
            writeln!(
                out,
                "  -> {address:<28} {forward:<7} {tunnel:<13} {weight:<6} {active:<10} {inactive:<10}"
            )
        }
        Format::Thresholds => {
            let (upper, lower) = (destination.upper_threshold, destination.lower_threshold);
            writeln!(
                out,
                "  -> {address:<28} {upper:<10} {lower:<10} {active:<10} {inactive:<10}"
            )
        }
        Format::PersistentConn => {
            let persistent = status.persist_conns;
            writeln!(
                out,
                "  -> {address:<28} {weight:<9} {persistent:<11} {active:<10} {inactive:<10}"
            )
        }
        Format::Stats | Format::Rate => {
            let numbers = numbers(&narrow(&status.stats), format, exact);
            writeln!(out, "  -> {address:<28}{numbers}")
        }
    };
}

pub(crate) fn forward(method: ForwardMethod) -> &'static str {
    match method {
        ForwardMethod::Masq => "Masq",
        ForwardMethod::Local => "Local",
        ForwardMethod::Tunnel(_) => "Tunnel",
        ForwardMethod::DirectRoute => "Route",
        _ => "Bypass",
    }
}

fn tunnel(method: ForwardMethod) -> String {
    let checksum = |checksum: TunnelChecksum| match checksum {
        TunnelChecksum::None => "-c",
        TunnelChecksum::Full => "+c",
        TunnelChecksum::Remote => "r+c",
    };
    match method {
        ForwardMethod::Tunnel(TunnelKind::Ipip) => "ipip".to_owned(),
        ForwardMethod::Tunnel(TunnelKind::Gue {
            port,
            checksum: kind,
        }) => {
            format!("gue:{port}:{}", checksum(kind))
        }
        ForwardMethod::Tunnel(TunnelKind::Gre { checksum: kind }) => {
            format!("gre:{}", checksum(kind))
        }
        _ => "n/a".to_owned(),
    }
}

/// For servers ipvsadm reads the 32-bit counters; only bytes have 64.
fn narrow(stats: &Stats) -> Stats {
    let cut = |value: u64| u64::from(value as u32);
    Stats {
        conns: cut(stats.conns),
        in_packets: cut(stats.in_packets),
        out_packets: cut(stats.out_packets),
        in_bytes: stats.in_bytes,
        out_bytes: stats.out_bytes,
        conns_per_second: cut(stats.conns_per_second),
        in_packets_per_second: cut(stats.in_packets_per_second),
        out_packets_per_second: cut(stats.out_packets_per_second),
        in_bytes_per_second: cut(stats.in_bytes_per_second),
        out_bytes_per_second: cut(stats.out_bytes_per_second),
    }
}

fn numbers(stats: &Stats, format: Format, exact: bool) -> String {
    let values = match format {
        Format::Rate => [
            stats.conns_per_second,
            stats.in_packets_per_second,
            stats.out_packets_per_second,
            stats.in_bytes_per_second,
            stats.out_bytes_per_second,
        ],
        _ => [
            stats.conns,
            stats.in_packets,
            stats.out_packets,
            stats.in_bytes,
            stats.out_bytes,
        ],
    };
    values
        .map(|value| {
            if exact {
                format!(" {value:>8}")
            } else {
                rounded(value)
            }
        })
        .concat()
}

/// A number in nine columns, in thousands, millions and so on where it is long.
fn rounded(value: u64) -> String {
    const UNITS: [(u64, u64, char); 4] = [
        (100_000_000_000_000, 1_000_000_000_000, 'T'),
        (100_000_000_000, 1_000_000_000, 'G'),
        (1_000_000_000, 1_000_000, 'M'),
        (100_000_000, 1_000, 'K'),
    ];
    match UNITS.iter().find(|(from, ..)| value >= *from) {
        Some((_, unit, letter)) => format!("{:>8}{letter}", value / unit),
        None => format!("{value:>9}"),
    }
}

/// The two lines above connections.
pub(crate) fn connection_header(out: &mut impl Write, with_engine: bool) {
    let engine = if with_engine {
        "        pe name          pe_data"
    } else {
        ""
    };
    let _ = writeln!(out, "IPVS connection entries");
    let columns = "pro expire state       source             virtual            destination";
    let _ = writeln!(out, "{columns}{engine}");
}

/// A connection's line.
pub(crate) fn connection(
    out: &mut impl Write,
    entry: &ConnectionEntry,
    with_engine: bool,
    addresses: &Addresses,
) {
    let protocol = match entry.protocol.as_str() {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        "SCTP" => Some(Protocol::Sctp),
        _ => None,
    };
    let text =
        |address: std::net::SocketAddr| addresses.text(address.ip(), address.port(), protocol);
    let seconds = entry.expires.as_secs();
    let expire = format!("{:02}:{:02}", seconds / 60, seconds % 60);
    let source = text(entry.client);
    let virtual_address = text(entry.virtual_address);
    let destination = text(entry.destination);
    let (name, state) = (&entry.protocol, &entry.state);
    let _ = write!(
        out,
        "{name:<3} {expire:<6} {state:<11} {source:<18} {virtual_address:<18} "
    );
    let _ = match &entry.engine {
        Some((name, data)) if with_engine => writeln!(out, "{destination:<16} {name:<18} {data}"),
        _ => writeln!(out, "{destination}"),
    };
}

/// The line of timeouts.
pub(crate) fn timeouts(out: &mut impl Write, timeouts: &Timeouts) {
    let [tcp, fin, udp] = [timeouts.tcp, timeouts.tcp_fin, timeouts.udp].map(|t| t.as_secs());
    let _ = writeln!(out, "Timeout (tcp tcpfin udp): {tcp} {fin} {udp}");
}

/// A daemon's line.
pub(crate) fn daemon(out: &mut impl Write, daemon: &SyncDaemon) {
    let role = role(daemon.role);
    let group = daemon.group.map(address::inet_ntop).unwrap_or_default();
    let _ = writeln!(
        out,
        "{role} sync daemon (mcast={}, syncid={}, maxlen={}, group={group}, port={}, ttl={})",
        daemon.interface,
        daemon.sync_id,
        daemon.max_length.unwrap_or(0),
        daemon.port.unwrap_or(0),
        daemon.ttl.unwrap_or(0),
    );
}

pub(crate) fn role(role: DaemonRole) -> &'static str {
    match role {
        DaemonRole::Master => "master",
        DaemonRole::Backup => "backup",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_rounded_down() {
        let cases = [
            (0, "        0"),
            (99_999_999, " 99999999"),
            (100_000_000, "  100000K"),
            (999_999_999, "  999999K"),
            (1_000_000_000, "    1000M"),
            (99_999_999_999, "   99999M"),
            (100_000_000_000, "     100G"),
            (99_999_999_999_999, "   99999G"),
            (100_000_000_000_000, "     100T"),
            (u64::MAX, "18446744T"),
        ];
        for (value, text) in cases {
            assert_eq!(rounded(value), text);
        }
    }

    #[test]
    fn a_flag_without_name_still_shows() {
        let key = ServiceKey::tcp(([10, 0, 0, 1], 80).into());
        let service = |scheduler: &str, flags| VirtualService {
            flags,
            ..VirtualService::new(key, scheduler.parse().unwrap())
        };
        let third = ServiceFlags::SCHED_3;
        assert_eq!(settings(&service("sh", third)), "sh ()");
        assert_eq!(
            settings(&service("sh", third | ServiceFlags::SCHED_2)),
            "sh (sh-port)"
        );
        assert_eq!(
            settings(&service("rr", third | ServiceFlags::SCHED_1)),
            "rr (flag-1,flag-3)"
        );
        assert_eq!(settings(&service("rr", ServiceFlags::ONE_PACKET)), "rr ops");
    }
}
