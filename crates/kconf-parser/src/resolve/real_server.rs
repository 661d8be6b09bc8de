//! `real_server` and `sorry_server`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::ast::{Block, Setting, Value};
use crate::config::{Endpoint, Family, ForwardMethod, RealServer, SorryServer};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;
use crate::source::Span;

use super::check;
use super::group::family;
use super::service::{Context, Where, script, warn};

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
    let chosen = Chosen {
        method: sorry.method,
        by: block
            .setting("sorry_server_lvs_method")
            .or_else(|| usual_method(block)),
    };
    sorry.address = same_port(context, place, sorry.address, &chosen, span);
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
    servers.shrink_to_fit();
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
    let chosen = match server.value("lvs_method") {
        Some(Value::Method(method)) => Chosen {
            method: *method,
            by: server.setting("lvs_method"),
        },
        _ => Chosen {
            method: usual,
            by: usual_method(service),
        },
    };
    let method = chosen.method;
    fits_family(context, place, address, method, server.head)?;
    let address = SocketAddr::new(address, port.unwrap_or(place.port));
    let address = same_port(context, place, address, &chosen, server.head);
    let (upper, lower) = thresholds(context, server);
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
        notify_up: script(context, server, "notify_up"),
        notify_down: script(context, server, "notify_down"),
        smtp_alert: server
            .bool("smtp_alert")
            .or(context.alerts.checker)
            .unwrap_or(true),
        snmp_name: server.word("snmp_name").map(|word| context.text(word)),
        checks: check::checks(context, service, server, address),
    })
}

/// The upper and the lower threshold. IPVS refuses a server whose lower one is above the upper one,
/// so such a lower one is left out.
fn thresholds(context: &mut Context<'_, '_>, server: &Block) -> (u32, u32) {
    let threshold = |keyword: &str| server.u32(keyword).unwrap_or(0);
    let (upper, lower) = (threshold("uthreshold"), threshold("lthreshold"));
    let Some(setting) = server.setting("lthreshold").filter(|_| lower > upper) else {
        return (upper, lower);
    };
    let (message, remedy) = match upper {
        0 => (
            format!("the lower threshold {lower} has no upper one to go with"),
            "add `uthreshold`",
        ),
        _ => (
            format!("the lower threshold {lower} is above the upper one, {upper}"),
            "swap the two numbers",
        ),
    };
    let help = format!("{remedy}; the lower threshold is left out, as IPVS refuses such a server");
    let code = Code::ThresholdsUpsideDown;
    warn(context, code, setting.span, &message, &help);
    (upper, 0)
}

/// A forwarding method, and the setting that chose it.
struct Chosen<'b> {
    method: ForwardMethod,
    by: Option<&'b Setting>,
}

/// What sets the method of a service.
fn usual_method(service: &Block) -> Option<&Setting> {
    ["lb_kind", "lvs_method"]
        .iter()
        .find_map(|name| service.setting(name))
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
    place: &Where,
    mut address: SocketAddr,
    chosen: &Chosen<'_>,
    span: Span,
) -> SocketAddr {
    let written = address.port();
    if chosen.method == ForwardMethod::Masq || place.is_mark {
        return address;
    }
    let diagnostic = if place.is_group {
        let differs = |endpoint: &Endpoint| match endpoint {
            Endpoint::Address(address) if address.port() != written => Some(*address),
            _ => None,
        };
        let Some(other) = place.endpoints.iter().find_map(differs) else {
            return address;
        };
        if written == 0 {
            return address;
        }
        let message = format!("without NAT the port stays that of {other}, not {written}");
        let diagnostic = context.report.warning(Code::PortMismatch, span, message);
        diagnostic.help("give each port a group of its own, or write NAT to change ports")
    } else {
        let used = place.port;
        if written == used || used == 0 {
            return address;
        }
        address.set_port(used);
        let message =
            format!("port {written} cannot be reached: without NAT the port stays {used}");
        let diagnostic = context.report.error(Code::PortMismatch, span, message);
        let keyword = chosen.by.map_or("lb_kind", |setting| setting.keyword.name);
        diagnostic.help(format!(
            "the server is used with port {used}; write `{keyword} NAT` to change ports"
        ))
    };
    let diagnostic = match chosen.by {
        Some(by) => diagnostic.also(context.report.place(by.span), "the method is set here"),
        None => diagnostic,
    };
    context.report.push(diagnostic);
    address
}

/// The address behind `real_server`, if it is one.
pub(super) fn address_port(server: &Block) -> Option<(IpAddr, Option<u16>)> {
    match server.name {
        Some(Value::AddressPort(address, port)) => Some((address, port)),
        _ => None,
    }
}
