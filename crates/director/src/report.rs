//! The checker's part of a status: its virtual servers as [`ServiceStatus`] values.

pub(crate) mod data;

use std::collections::{HashMap, HashSet};

use healthcheck::quorum::Role;
use healthcheck::{PoolEntry, ServerId};
use ipvs_netlink::{Destination, DestinationEntry, DestinationKey, ServiceKey, Stats};

use crate::check_log;
use crate::dataplane::Counts;
use crate::engine::{Check, Engine, Service};
use crate::reconcile::Reconciler;
use crate::status::{
    AddressState, AddressStatus, CheckResult, CheckStatus, Counters, ServerRole, ServerStatus,
    ServiceStatus, unix_ms,
};
use crate::wiring;

/// The table, indexed.
struct View<'a> {
    table: &'a Reconciler,
    holds: HashMap<ServiceKey, HashSet<DestinationKey>>,
}

/// All virtual servers, without counters: those come from the table, see [`add_counts`].
#[must_use]
pub fn services(engine: &Engine, table: &Reconciler) -> Vec<ServiceStatus> {
    let believed = table.believed().iter().map(|rules| {
        let destinations = rules.destinations.iter().map(Destination::key);
        (rules.service.key, destinations.collect())
    });
    let view = View {
        table,
        holds: believed.collect(),
    };
    let services = engine.services().iter();
    services
        .map(|service| service_status(service, &view))
        .collect()
}

/// Fills in the counters of a dump. What the dump does not have keeps zeros.
pub fn add_counts(services: &mut [ServiceStatus], counts: &Counts) {
    let mut by_name: HashMap<String, (&Stats, &[DestinationEntry])> = HashMap::new();
    for (entry, destinations) in counts {
        let name = wiring::service_name(&entry.service.key);
        by_name.insert(name, (&entry.stats, destinations));
    }
    for service in services {
        for address in &mut service.addresses {
            let Some((stats, destinations)) = by_name.get(&address.name) else {
                continue;
            };
            address.counters = total(stats);
            for destination in *destinations {
                let counters = counters(destination);
                address.counters.active_conns += counters.active_conns;
                address.counters.inactive_conns += counters.inactive_conns;
                let key = destination.destination.key();
                let server = service
                    .servers
                    .iter_mut()
                    .filter(|server| server.in_table)
                    .find(|server| DestinationKey::from(server.address) == key);
                if let Some(server) = server {
                    server.counters = server.counters.plus(counters);
                }
            }
        }
    }
}

fn service_status(service: &Service, view: &View<'_>) -> ServiceStatus {
    let config = service.config();
    let machine = service.machine();
    let keys: Vec<ServiceKey> = config
        .endpoints
        .iter()
        .filter_map(|endpoint| wiring::service_key(config, endpoint))
        .collect();
    let in_table = |server: ServerId| {
        let destination = server.address.into();
        keys.iter()
            .filter_map(|key| view.holds.get(key))
            .any(|destinations| destinations.contains(&destination))
    };
    let pool: Vec<PoolEntry> = machine.pool().collect();
    let pooled = |server: ServerId, role: Role| {
        pool.iter()
            .find(|entry| entry.server == server && entry.role == role)
    };
    let mut servers = Vec::with_capacity(config.real_servers.len() + 1);
    let snapshot = machine.snapshot();
    for state in &snapshot.servers {
        let server = state.server;
        let entry = pooled(server, Role::Real);
        let configured = config.real_server(server.address);
        let checks = service.checks().iter();
        servers.push(ServerStatus {
            name: server.to_string(),
            address: server.address,
            role: ServerRole::Real,
            up: state.verdict.is_up(),
            in_table: entry.is_some() && in_table(server),
            weight: entry.map_or(state.weight, |entry| entry.weight),
            configured_weight: configured.map_or(state.weight, |server| server.weight),
            checks: checks
                .filter(|check| check.server == server)
                .map(check_status)
                .collect(),
            counters: Counters::default(),
        });
    }
    if let Some(sorry) = &config.sorry_server {
        let server = ServerId::new(sorry.address, wiring::protocol(config));
        let entry = pooled(server, Role::Sorry);
        servers.push(ServerStatus {
            name: server.to_string(),
            address: server.address,
            role: ServerRole::Sorry,
            up: true,
            in_table: entry.is_some() && in_table(server),
            weight: entry.map_or(1, |entry| entry.weight),
            configured_weight: 1,
            checks: Vec::new(),
            counters: Counters::default(),
        });
    }
    ServiceStatus {
        name: config.id.to_string(),
        scheduler: config.scheduler.to_string(),
        up: machine.has_quorum(),
        quorum: config.quorum.into(),
        hysteresis: config.hysteresis.into(),
        alive_weight: machine.alive_weight(),
        addresses: keys.iter().map(|key| address_status(key, view)).collect(),
        servers,
    }
}

fn address_status(key: &ServiceKey, view: &View<'_>) -> AddressStatus {
    let state = match (view.table.refusal(key), view.holds.contains_key(key)) {
        (Some(reason), false) => AddressState::Failed {
            reason: reason.to_owned(),
        },
        (_, true) => AddressState::Serving,
        (None, false) => AddressState::Pending,
    };
    AddressStatus {
        name: wiring::service_name(key),
        state,
        counters: Counters::default(),
    }
}

fn check_status(check: &Check) -> CheckStatus {
    let last = check.schedule.last().map(|evidence| CheckResult {
        success: evidence.outcome.is_success(),
        reason: evidence.to_string(),
        at_unix_ms: check.last_at.map(unix_ms).unwrap_or_default(),
    });
    CheckStatus {
        kind: check_log::keyword(&check.config).to_owned(),
        up: check.schedule.verdict().is_up(),
        last,
    }
}

fn counters(entry: &DestinationEntry) -> Counters {
    Counters {
        active_conns: entry.status.active_conns.into(),
        inactive_conns: entry.status.inactive_conns.into(),
        ..total(&entry.status.stats)
    }
}

fn total(stats: &Stats) -> Counters {
    Counters {
        active_conns: 0,
        inactive_conns: 0,
        conns: stats.conns,
        in_packets: stats.in_packets,
        out_packets: stats.out_packets,
        in_bytes: stats.in_bytes,
        out_bytes: stats.out_bytes,
    }
}
