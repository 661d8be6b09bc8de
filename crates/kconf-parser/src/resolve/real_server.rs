//! `real_server` and `sorry_server`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::ast::{Block, Value};
use crate::config::{Family, ForwardMethod, RealServer, SorryServer};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;
use crate::source::Span;

use super::check;
use super::group::family;
use super::service::{Context, Where, warn};

pub(super) fn sorry_server(
    context: &mut Context<'_, '_>,
    block: &Block,
    place: &Where,
    method: ForwardMethod,
) -> Option<SorryServer> {
    let (mut sorry, mut seen): (Option<SorryServer>, bool) = (None, false);
    for setting in &block.settings {
        match (setting.keyword.name, &setting.value, &mut sorry) {
            ("sorry_server", value, _) => {
                seen = true;
                if let Some(Value::AddressPort(address, port)) = value {
                    let address = SocketAddr::new(*address, port.unwrap_or(place.port));
                    sorry = Some(SorryServer {
                        address,
                        inhibit: false,
                        method,
                    });
                }
            }
            ("sorry_server_inhibit", _, Some(sorry)) => sorry.inhibit = true,
            ("sorry_server_lvs_method", Some(Value::Method(method)), Some(sorry)) => {
                sorry.method = *method;
            }
            ("sorry_server_inhibit" | "sorry_server_lvs_method", _, None) if !seen => {
                let name = setting.keyword.name;
                let message = format!("`{name}` is ignored: no `sorry_server` stands above it");
                let code = Code::SorryOptionWithoutServer;
                let diagnostic = context.report.error(code, setting.span, message);
                context.report.push(diagnostic);
            }
            _ => {}
        }
    }
    let mut sorry = sorry?;
    let span = block.setting("sorry_server")?.span;
    fits_family(context, place, sorry.address.ip(), sorry.method, span)?;
    sorry.address = same_port(context, block, place, sorry.address, sorry.method, span);
    Some(sorry)
}

pub(super) fn real_servers(
    context: &mut Context<'_, '_>,
    block: &Block,
    place: &Where,
    method: ForwardMethod,
) -> Vec<RealServer> {
    let mut servers: Vec<RealServer> = Vec::new();
    let mut seen: HashMap<SocketAddr, Span> = HashMap::new();
    for server in block.children(BlockKind::RealServer) {
        let Some(made) = real_server(context, block, server, place, method) else {
            continue;
        };
        if let Some(first) = seen.get(&made.address) {
            let message = format!("the real server {} is named a second time", made.address);
            let diagnostic = context
                .report
                .error(Code::DuplicateRealServer, server.head, message)
                .also(context.report.place(*first), "first named here")
                .help("the second one is left out");
            context.report.push(diagnostic);
            continue;
        }
        seen.insert(made.address, server.head);
        servers.push(made);
    }
    servers
}

fn real_server(
    context: &mut Context<'_, '_>,
    service: &Block,
    server: &Block,
    place: &Where,
    usual: ForwardMethod,
) -> Option<RealServer> {
    let (address, port) = address_port(server)?;
    let method = match server.value("lvs_method") {
        Some(Value::Method(method)) => *method,
        _ => usual,
    };
    fits_family(context, place, address, method, server.head)?;
    let address = SocketAddr::new(address, port.unwrap_or(place.port));
    let address = same_port(context, service, place, address, method, server.head);
    let threshold = |keyword: &str| server.u32(keyword).unwrap_or(0);
    let (upper, lower) = (threshold("uthreshold"), threshold("lthreshold"));
    if upper != 0 && lower > upper {
        let span = server.setting("lthreshold")?.span;
        let message = format!("the lower threshold {lower} is above the upper one, {upper}");
        warn(
            context,
            Code::ThresholdsUpsideDown,
            span,
            &message,
            "swap the two numbers",
        );
    }
    let weight = server
        .u32("weight")
        .or_else(|| service.u32("weight"))
        .unwrap_or(1);
    let inhibit = server.bool("inhibit_on_failure");
    Some(RealServer {
        address,
        weight,
        method,
        upper_threshold: upper,
        lower_threshold: lower,
        inhibit_on_failure: inhibit.unwrap_or_else(|| service.flag("inhibit_on_failure")),
        notify_up: server.script("notify_up").cloned(),
        notify_down: server.script("notify_down").cloned(),
        smtp_alert: server
            .bool("smtp_alert")
            .or(context.alerts.checker)
            .unwrap_or(true),
        snmp_name: server.word("snmp_name").map(|word| context.text(word)),
        checks: check::checks(context, service, server, address),
    })
}

/// Only a tunnel leads to the other family.
fn fits_family(
    context: &mut Context<'_, '_>,
    place: &Where,
    address: IpAddr,
    method: ForwardMethod,
    span: Span,
) -> Option<()> {
    let wanted = place.family?;
    if wanted == family(address) || method.is_tunnel() {
        return Some(());
    }
    let name = if wanted == Family::Inet {
        "IPv4"
    } else {
        "IPv6"
    };
    let message = format!("this server is left out: the service is {name}, {address} is not");
    let diagnostic = context.report.error(Code::FamilyMismatch, span, message);
    context
        .report
        .push(diagnostic.help("only tunnels lead to the other address family"));
    None
}

/// Only NAT can change the port.
fn same_port(
    context: &mut Context<'_, '_>,
    service: &Block,
    place: &Where,
    mut address: SocketAddr,
    method: ForwardMethod,
    span: Span,
) -> SocketAddr {
    let free = method == ForwardMethod::Masq || place.is_mark || place.is_group;
    if free || address.port() == place.port || place.port == 0 {
        return address;
    }
    let (written, used) = (address.port(), place.port);
    let message = format!("port {written} cannot be reached: without NAT the port stays {used}");
    let kind = ["lb_kind", "lvs_method"]
        .iter()
        .find_map(|name| service.setting(name));
    let mut diagnostic = context
        .report
        .error(Code::PortMismatch, span, message)
        .help(format!(
            "the server is used with port {used}; write `lb_kind NAT` to change ports"
        ));
    if let Some(kind) = kind {
        diagnostic = diagnostic.also(context.report.place(kind.span), "the method is set here");
    }
    context.report.push(diagnostic);
    address.set_port(used);
    address
}

/// The address behind `real_server`, if it is one.
pub(super) fn address_port(server: &Block) -> Option<(IpAddr, Option<u16>)> {
    match server.name {
        Some(Value::AddressPort(address, port)) => Some((address, port)),
        _ => None,
    }
}
