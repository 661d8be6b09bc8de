//! Listings as JSON, which ipvsadm does not have.
//!
//! Design: numbers as numbers, addresses as text, seconds where time is meant; no name is looked up.
//! Nothing is rounded or left out, whatever the format asked for.

use ipvs_netlink::{
    AddressFamily, ConnectionEntry, DestinationEntry, ForwardMethod, Info, ServiceEntry,
    ServiceFlags, ServiceKey, Stats, SyncDaemon, Timeouts, TunnelChecksum, TunnelKind,
};
use serde_json::{Map, Value, json};

use super::address::{inet_ntop, mask};
use super::role;

/// The whole table.
pub(crate) fn table(info: &Info, services: Vec<Value>) -> Value {
    json!({
        "version": info.version.to_string(),
        "connection_table_size": info.connection_table_size,
        "services": services,
    })
}

/// A service with its servers.
pub(crate) fn service(entry: &ServiceEntry, servers: &[DestinationEntry]) -> Value {
    let service = &entry.service;
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    match service.key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            set("protocol", protocol.as_str().to_ascii_lowercase().into());
            set("address", inet_ntop(address).into());
            set("port", port.into());
        }
        ServiceKey::Mark { mark, family } => {
            set("mark", mark.get().into());
            let family = if family == AddressFamily::Inet {
                "ipv4"
            } else {
                "ipv6"
            };
            set("family", family.into());
        }
    }
    set("scheduler", service.scheduler.as_str().into());
    let flag = |flag| service.flags.contains(flag);
    let flags = [
        ("flag-1", ServiceFlags::SCHED_1),
        ("flag-2", ServiceFlags::SCHED_2),
        ("flag-3", ServiceFlags::SCHED_3),
    ];
    let flags: Vec<&str> = flags
        .iter()
        .filter(|(_, bit)| flag(*bit))
        .map(|(name, _)| *name)
        .collect();
    set("scheduler_flags", flags.into());
    set("one_packet", flag(ServiceFlags::ONE_PACKET).into());
    let timeout = service.persistence_timeout.map(|timeout| timeout.as_secs());
    set("persistence_timeout", timeout.into());
    set("persistence_granularity", mask(service).into());
    set(
        "persistence_engine",
        service
            .persistence_engine
            .map(|name| name.to_string())
            .into(),
    );
    set("stats", stats(&entry.stats));
    set("servers", servers.iter().map(server).collect());
    Value::Object(object)
}

fn server(entry: &DestinationEntry) -> Value {
    let (destination, status) = (&entry.destination, &entry.status);
    json!({
        "address": inet_ntop(destination.address),
        "port": destination.port,
        "forward": match destination.forward {
            ForwardMethod::Masq => "masquerading",
            ForwardMethod::Local => "local",
            ForwardMethod::Tunnel(_) => "tunnel",
            ForwardMethod::DirectRoute => "direct_routing",
            _ => "bypass",
        },
        "tunnel": tunnel(destination.forward),
        "weight": destination.weight,
        "upper_threshold": destination.upper_threshold,
        "lower_threshold": destination.lower_threshold,
        "active_conns": status.active_conns,
        "inactive_conns": status.inactive_conns,
        "persist_conns": status.persist_conns,
        "stats": stats(&status.stats),
    })
}

fn tunnel(forward: ForwardMethod) -> Value {
    let checksum = |checksum: TunnelChecksum| match checksum {
        TunnelChecksum::None => "none",
        TunnelChecksum::Full => "full",
        TunnelChecksum::Remote => "remote",
    };
    let ForwardMethod::Tunnel(kind) = forward else {
        return Value::Null;
    };
    match kind {
        TunnelKind::Ipip => json!({ "type": "ipip" }),
        TunnelKind::Gue {
            port,
            checksum: sum,
        } => {
            json!({ "type": "gue", "port": port, "checksum": checksum(sum) })
        }
        TunnelKind::Gre { checksum: sum } => json!({ "type": "gre", "checksum": checksum(sum) }),
        TunnelKind::Other { kind, port, flags } => {
            json!({ "type": kind, "port": port, "flags": flags })
        }
    }
}

fn stats(stats: &Stats) -> Value {
    json!({
        "conns": stats.conns,
        "in_packets": stats.in_packets,
        "out_packets": stats.out_packets,
        "in_bytes": stats.in_bytes,
        "out_bytes": stats.out_bytes,
        "conns_per_second": stats.conns_per_second,
        "in_packets_per_second": stats.in_packets_per_second,
        "out_packets_per_second": stats.out_packets_per_second,
        "in_bytes_per_second": stats.in_bytes_per_second,
        "out_bytes_per_second": stats.out_bytes_per_second,
    })
}

/// A connection. The list is long, so each is a line of its own (JSON Lines).
pub(crate) fn connection(entry: &ConnectionEntry) -> Value {
    let engine = entry.engine.as_ref();
    json!({
        "protocol": entry.protocol.to_ascii_lowercase(),
        "client": entry.client.to_string(),
        "virtual": entry.virtual_address.to_string(),
        "destination": entry.destination.to_string(),
        "state": entry.state,
        "expires": entry.expires.as_secs(),
        "engine": engine.map(|(name, _)| name),
        "engine_data": engine.map(|(_, data)| data),
    })
}

/// The timeouts.
pub(crate) fn timeouts(timeouts: &Timeouts) -> Value {
    json!({
        "tcp": timeouts.tcp.as_secs(),
        "tcp_fin": timeouts.tcp_fin.as_secs(),
        "udp": timeouts.udp.as_secs(),
    })
}

/// A sync daemon.
pub(crate) fn daemon(daemon: &SyncDaemon) -> Value {
    json!({
        "role": role(daemon.role),
        "interface": daemon.interface.as_str(),
        "sync_id": daemon.sync_id,
        "max_length": daemon.max_length,
        "group": daemon.group.map(inet_ntop),
        "port": daemon.port,
        "ttl": daemon.ttl,
    })
}
