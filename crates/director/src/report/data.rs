//! `keepalived_check.data` without what all such files have: the virtual servers, for people.

use std::fmt::{self, Write as _};

use crate::status::{ServerRole, ServerStatus, ServiceStatus};

/// The text.
#[must_use]
pub(crate) fn text(services: &[ServiceStatus]) -> String {
    let mut text = String::from("------< LVS Topology >------\n");
    for service in services {
        // Writing to a String cannot fail.
        let _ = service_text(&mut text, service);
    }
    text.push_str("------< Health checkers >------\n");
    for service in services {
        for server in &service.servers {
            let _ = checks(&mut text, service, server);
        }
    }
    text
}

fn service_text(text: &mut String, service: &ServiceStatus) -> fmt::Result {
    writeln!(
        text,
        " ------< Virtual server >------\n VS = {}",
        service.name
    )?;
    for address in &service.addresses {
        writeln!(text, "   Address = {}", address.name)?;
    }
    writeln!(text, "   lvs_sched = {}", service.scheduler)?;
    let (quorum, hysteresis) = (service.quorum, service.hysteresis);
    writeln!(text, "   quorum = {quorum}, hysteresis = {hysteresis}")?;
    writeln!(text, "   alive weight = {}", service.alive_weight)?;
    writeln!(text, "   quorum_state_up = {}", u8::from(service.up))?;
    for server in &service.servers {
        let kind = match server.role {
            ServerRole::Real => "Real",
            ServerRole::Sorry => "Sorry",
        };
        writeln!(text, "   ------< {kind} server >------")?;
        writeln!(
            text,
            "   RIP = {}, RPORT = {}, WEIGHT = {} EFF WEIGHT = {}",
            server.address.ip(),
            server.address.port(),
            server.configured_weight,
            server.weight
        )?;
        writeln!(text, "   alive = {}", u8::from(server.up))?;
        writeln!(text, "   RS set = {}", u8::from(server.in_table))?;
    }
    Ok(())
}

fn checks(text: &mut String, service: &ServiceStatus, server: &ServerStatus) -> fmt::Result {
    for check in &server.checks {
        writeln!(text, " {} -> {}", service.name, server.name)?;
        writeln!(text, "   Up = {}", if check.up { "yes" } else { "no" })?;
        let has_run = if check.last.is_some() { "yes" } else { "no" };
        writeln!(text, "   Has run = {has_run}")?;
        if let Some(last) = &check.last {
            writeln!(text, "   Last result = {}", last.reason)?;
        }
        writeln!(text, "   Keepalive method = {}", check.kind)?;
    }
    Ok(())
}
