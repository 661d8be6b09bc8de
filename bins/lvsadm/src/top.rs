//! The rates, read again and again, the busiest first.

use std::cmp::Reverse;
use std::io::Write;
use std::time::Duration;

use ipvs_netlink::{DestinationEntry, Info, IpvsError, ServiceEntry, Stats};
use serde_json::Value;

use crate::command::Format;
use crate::dataplane::AnyClient;
use crate::exit::{Failure, Outcome};
use crate::names;
use crate::output::address::Addresses;
use crate::output::{self, json};

/// How to watch.
pub(crate) struct Plan {
    /// From one reading to the next; at least 1.
    pub(crate) seconds: u64,
    /// How many readings; `None` is without end.
    pub(crate) rounds: Option<u64>,
    /// A line of JSON for each reading.
    pub(crate) json: bool,
}

type Row = (ServiceEntry, Vec<DestinationEntry>);

/// Watches until all is read, or the reader of the output has gone.
pub(crate) fn run(
    plan: &Plan,
    client: &mut AnyClient,
    info: &Info,
    out: &mut impl Write,
) -> Outcome<()> {
    let mut round = 0;
    while plan.rounds.is_none_or(|rounds| round < rounds) {
        if round > 0 {
            std::thread::sleep(Duration::from_secs(plan.seconds));
        }
        round += 1;
        let rows = read(client).map_err(|error| Failure {
            status: 2,
            ..Failure::ipvs(&error)
        })?;
        let text = if plan.json {
            let services: Vec<Value> = rows
                .iter()
                .map(|(service, servers)| json::service(service, servers))
                .collect();
            format!("{}\n", json::table(info, services))
        } else {
            match names::terminal_lines() {
                Some(lines) => screen(&table(&rows), lines),
                None => table(&rows),
            }
        };
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if written.is_err() {
            break;
        }
    }
    Ok(())
}

fn read(client: &mut AnyClient) -> Result<Vec<Row>, IpvsError> {
    let mut rows = Vec::new();
    for service in client.services()? {
        let mut servers = client.destinations(&service.service.key)?;
        servers.sort_by_cached_key(|server| (rank(&server.status.stats), server.destination.key()));
        rows.push((service, servers));
    }
    rows.sort_by_cached_key(|(service, _)| (rank(&service.stats), service.service.key));
    Ok(rows)
}

/// The busiest first: by bytes, then packets, then connections.
fn rank(stats: &Stats) -> Reverse<[u64; 3]> {
    Reverse([
        stats
            .in_bytes_per_second
            .saturating_add(stats.out_bytes_per_second),
        stats
            .in_packets_per_second
            .saturating_add(stats.out_packets_per_second),
        stats.conns_per_second,
    ])
}

/// As `-L -n --rate` prints it.
fn table(rows: &[Row]) -> String {
    let addresses = Addresses { numeric: true };
    let mut text = Vec::new();
    output::header(&mut text, Format::Rate);
    for (service, servers) in rows {
        output::service(&mut text, service, Format::Rate, false, &addresses);
        for server in servers {
            let key = &service.service.key;
            output::server(&mut text, server, key, Format::Rate, false, &addresses);
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// As much of a text as the terminal holds, in the place of what was there.
fn screen(text: &str, lines: usize) -> String {
    // The last line stays empty for the cursor.
    let visible: Vec<&str> = text.lines().take(lines.saturating_sub(1)).collect();
    format!("\x1b[H\x1b[J{}\n", visible.join("\n"))
}
