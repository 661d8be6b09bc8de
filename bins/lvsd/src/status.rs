//! `lvsd status`: what a running director says, as a table or as JSON.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use director::control::Client;
use director::exit::Exit;
use director::rundir::RunDir;
use director::status::{
    AddressState, DataplaneKind, MailStatus, ServerRole, ServerStatus, ServiceStatus, Status,
    unix_ms,
};

mod bfd;
mod vrrp;

use crate::{args, colour};

/// Asks the director and prints its answer.
pub(crate) fn print(options: &args::Status) -> ExitCode {
    let socket = RunDir::find(options.run_dir.as_deref()).control_socket();
    let answer = Client::connect(&socket).and_then(|mut client| client.status());
    let status = match answer {
        Ok(status) => status,
        Err(error) => {
            let error = anyhow::Error::from(error);
            eprintln!("lvsd status: {error:#}");
            return Exit::Fatal.into();
        }
    };
    let text = match options.json {
        true => match serde_json::to_string_pretty(&status) {
            Ok(json) => json + "\n",
            Err(error) => {
                eprintln!("lvsd status: {error}");
                return Exit::Software.into();
            }
        },
        false => render(
            &status,
            colour::is_wanted(&std::io::stdout()),
            SystemTime::now(),
        ),
    };
    // A reader that has seen enough, such as `head`, is no error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Exit::Ok.into()
}

/// The tables; `now` is what ages of check results are counted to.
fn render(status: &Status, colour: bool, now: SystemTime) -> String {
    let mut text = head(status);
    text.push_str(&vrrp::render(&status.vrrp, colour, now));
    text.push_str(&bfd::render(&status.bfd, colour, now));
    // One table for all services, so that its columns stand below each other.
    let table = servers(&status.services, colour, now);
    let (heads, mut rows) = match table.split_once('\n') {
        Some((heads, rows)) => (heads, rows.lines()),
        None => (table.as_str(), "".lines()),
    };
    for service in &status.services {
        text.push('\n');
        text.push_str(&service_head(service));
        for line in [heads]
            .into_iter()
            .chain(rows.by_ref().take(service.servers.len()))
        {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// How mails fare, if there were any.
fn mail(mail: &MailStatus) -> String {
    if *mail == MailStatus::default() {
        return String::new();
    }
    let troubles = [
        ("refused", mail.refused),
        ("put off", mail.deferred),
        ("failed tries", mail.failures),
        ("LOST", mail.lost),
    ];
    let troubles = troubles.iter().filter(|(_, count)| *count > 0);
    let troubles: String = troubles
        .map(|(what, count)| format!(", {what} {count}"))
        .collect();
    let mut text = format!(
        "mail: sent {}, waiting {}{troubles}\n",
        mail.sent, mail.queued
    );
    if mail.queued > 0
        && let Some(failure) = &mail.last_failure
    {
        text.push_str(&format!("  {failure}\n"));
    }
    text
}

fn head(status: &Status) -> String {
    let kind = match status.dataplane.kind {
        DataplaneKind::Kernel => "kernel",
        DataplaneKind::Userspace => "userspace",
    };
    let answers = match status.dataplane.connected {
        true => "",
        false => ", does not answer",
    };
    let processes = status.processes.iter().map(|process| {
        let pid = match process.pid {
            Some(pid) => pid.to_string(),
            None => "waiting to be started again".to_owned(),
        };
        match process.restarts {
            0 => format!(", {} {pid}", process.name),
            restarts => format!(", {} {pid} (restarts: {restarts})", process.name),
        }
    });
    let mut text = format!(
        "lvsd {}, up {}, configuration {}\nprocesses: parent {}{}\ndataplane: {kind} ({}){answers}\n",
        status.version,
        age(Duration::try_from_secs_f64(status.uptime_seconds).unwrap_or_default()),
        status.config_file.display(),
        status.pid,
        processes.collect::<String>(),
        status.dataplane.reason,
    );
    text.push_str(&mail(&status.mail));
    if let Some(reload) = &status.last_reload
        && !reload.applied
    {
        text.push_str("last reload: REFUSED, the configuration before it goes on\n");
        for problem in &reload.problems {
            text.push_str(&format!("  {problem}\n"));
        }
    }
    text
}

fn service_head(service: &ServiceStatus) -> String {
    let refused: Vec<&str> = service
        .addresses
        .iter()
        .filter_map(|address| match &address.state {
            AddressState::Failed { reason } => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    let is_dark = !refused.is_empty() && refused.len() == service.addresses.len();
    let state = match (is_dark, service.up) {
        (true, _) => "NOT SERVED",
        (false, true) => "up",
        (false, false) => "DOWN",
    };
    let mut text = format!("{} {} {state}", service.name, service.scheduler);
    if !is_dark && !refused.is_empty() {
        let (refused, all) = (refused.len(), service.addresses.len());
        text.push_str(&format!(", NOT SERVED at {refused} of {all} addresses"));
    }
    text.push_str(&format!(
        ", alive weight {}, quorum {}",
        service.alive_weight, service.quorum
    ));
    if service.hysteresis > 0 {
        text.push_str(&format!(" +-{}", service.hysteresis));
    }
    if let (true, [reason]) = (is_dark, refused.as_slice()) {
        text.push_str(&format!(": {reason}"));
    }
    text.push('\n');
    let is_group = service.addresses.len() > 1;
    for address in &service.addresses {
        match &address.state {
            AddressState::Serving if is_group => {
                text.push_str(&format!(
                    "  {}: {} conns\n",
                    address.name, address.counters.conns
                ));
            }
            AddressState::Failed { reason } if is_group => {
                text.push_str(&format!("  {}: NOT SERVED: {reason}\n", address.name));
            }
            AddressState::Serving | AddressState::Failed { .. } => {}
            AddressState::Pending => {
                text.push_str(&format!("  {}: waits for the dataplane\n", address.name));
            }
        }
    }
    text
}

/// A table without lines around it, with these headings.
fn table<const N: usize>(heads: [Cell; N], colour: bool) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(heads.map(|head| match colour {
        true => head.add_attribute(Attribute::Bold),
        false => head,
    }));
    table
}

/// The servers of all services in order, a line each, below a line of headings.
fn servers(services: &[ServiceStatus], colour: bool, now: SystemTime) -> String {
    let right = CellAlignment::Right;
    let heads = [
        Cell::new("server"),
        Cell::new("state"),
        Cell::new("weight").set_alignment(right),
        Cell::new("active").set_alignment(right),
        Cell::new("inactive").set_alignment(right),
        Cell::new("conns").set_alignment(right),
        Cell::new("last check"),
    ];
    let mut table = table(heads, colour);
    if let Some(column) = table.column_mut(0) {
        column.set_padding((2, 1));
    }
    for server in services.iter().flat_map(|service| &service.servers) {
        let (state, paint) = state(server);
        let mut state = Cell::new(state);
        if colour {
            state = state.fg(paint);
        }
        let number = |value: u64| Cell::new(value).set_alignment(right);
        let weight = match server.in_table {
            true => number(server.weight.into()),
            false => Cell::new("-").set_alignment(right),
        };
        table.add_row([
            Cell::new(&server.name),
            state,
            weight,
            number(server.counters.active_conns),
            number(server.counters.inactive_conns),
            number(server.counters.conns),
            Cell::new(last_check(server, now)),
        ]);
    }
    table.trim_fmt()
}

fn state(server: &ServerStatus) -> (&'static str, Color) {
    match (server.role, server.up, server.in_table, server.weight) {
        (ServerRole::Sorry, _, true, 1..) => ("sorry, in use", Color::Yellow),
        (ServerRole::Sorry, ..) => ("sorry, idle", Color::DarkGrey),
        (ServerRole::Real, true, true, 1..) => ("up", Color::Green),
        (ServerRole::Real, true, true, 0) => ("up, quiet", Color::Yellow),
        (ServerRole::Real, true, false, _) => ("up, not in use", Color::Yellow),
        (ServerRole::Real, false, true, _) => ("down, inhibited", Color::Red),
        (ServerRole::Real, false, false, _) => ("down", Color::Red),
    }
}

/// The check that tells most: one that is down, else the one with the latest result.
fn last_check(server: &ServerStatus, now: SystemTime) -> String {
    let check = server.checks.iter().max_by_key(|check| {
        let at = check.last.as_ref().map(|last| last.at_unix_ms);
        (!check.up, at)
    });
    let Some(check) = check else {
        return "no check".to_owned();
    };
    let Some(last) = &check.last else {
        return format!("{}: not yet", check.kind);
    };
    let ago = Duration::from_millis(unix_ms(now).saturating_sub(last.at_unix_ms));
    format!("{}: {}, {} ago", check.kind, last.reason, age(ago))
}

/// A length of time to the two units that matter: `3d 4h`, `5m 6s`, `7s`.
fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m {rest}s"),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}
