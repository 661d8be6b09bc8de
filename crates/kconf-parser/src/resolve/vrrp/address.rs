//! Addresses, routes and rules of an instance.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::ast::{Block, Entry, Value};
use crate::config::{Address, Family, Named, Route, Rule, VrrpVersion};
use crate::diagnostic::Code;
use crate::source::Span;

use super::Context;
use super::instance::family_name;

/// Most addresses of an advertisement. Source: RFC 9568 section 5.2.5.
const MAX_ADVERTISED: usize = 255;

/// Addresses of an instance.
pub(super) struct Addresses {
    pub(super) family: Family,
    pub(super) advertised: Vec<Address>,
    pub(super) excluded: Vec<Address>,
    /// Whether a list is there in which nothing could be used.
    wrong: bool,
}

fn lines<'b>(block: &'b Block, keyword: &'static str) -> impl Iterator<Item = &'b Entry<Address>> {
    let lists = block
        .all(keyword)
        .filter_map(|setting| match &setting.value {
            Some(Value::Addresses(lines)) => Some(lines),
            _ => None,
        });
    lists.flatten()
}

/// The family is that of the first address.
pub(super) fn addresses(context: &mut Context<'_, '_>, block: &Block) -> Addresses {
    let first = lines(block, "virtual_ipaddress").next();
    let is_v6 = match first {
        Some(first) => first.value.ip().is_ipv6(),
        None => block.flag("native_ipv6"),
    };
    let family = if is_v6 { Family::Inet6 } else { Family::Inet };
    if !is_v6 && block.flag("native_ipv6") {
        let message = "`native_ipv6` is ignored: the first address is IPv4";
        let span = super::place_of(block, "native_ipv6");
        context.error(Code::FamilyMismatch, span, message, "delete the line");
    }
    let mut seen: HashMap<IpAddr, Span> = HashMap::new();
    let (mut advertised, mut excluded) = (Vec::new(), Vec::new());
    for entry in lines(block, "virtual_ipaddress") {
        let ip = entry.value.ip();
        if ip.is_ipv6() != is_v6 {
            let message = format!(
                "{ip} is left out: the instance is {}, after its first address",
                family_name(family)
            );
            let help = "one instance advertises one family; put the address into an instance of \
                        its own, or into `virtual_ipaddress_excluded`";
            context.error(Code::FamilyMismatch, entry.span, message, help);
        } else if new(context, &mut seen, entry) {
            advertised.push(entry.value.clone());
        }
    }
    if advertised.len() > MAX_ADVERTISED {
        let message = format!(
            "{} addresses are more than the {MAX_ADVERTISED} of an advertisement",
            advertised.len()
        );
        let help =
            "the others are set without being advertised, as in `virtual_ipaddress_excluded`";
        context.warn(Code::TooManyAddresses, block.head, message, help);
        excluded = advertised.split_off(MAX_ADVERTISED);
    }
    for entry in lines(block, "virtual_ipaddress_excluded") {
        if new(context, &mut seen, entry) {
            excluded.push(entry.value.clone());
        }
    }
    let list = block.setting("virtual_ipaddress");
    Addresses {
        family,
        advertised,
        excluded,
        wrong: list.is_some_and(|setting| match &setting.value {
            Some(Value::Addresses(lines)) => lines.is_empty(),
            _ => true,
        }) || block.misspelt.contains(&"virtual_ipaddress"),
    }
}

fn new(
    context: &mut Context<'_, '_>,
    seen: &mut HashMap<IpAddr, Span>,
    entry: &Entry<Address>,
) -> bool {
    let ip = entry.value.ip();
    let Some(first) = seen.insert(ip, entry.span) else {
        return true;
    };
    let message = format!("the address {ip} is listed a second time");
    let diagnostic = context
        .report
        .warning(Code::Repeated, entry.span, message)
        .also(context.report.place(first), "the first one is here")
        .help("the line is left out");
    context.report.push(diagnostic);
    false
}

/// Whether an instance has the addresses that it needs; otherwise that is said.
pub(super) fn enough(
    context: &mut Context<'_, '_>,
    block: &Block,
    addresses: &Addresses,
    version: VrrpVersion,
    strict: bool,
) -> bool {
    if !addresses.advertised.is_empty() || block.flag("no_virtual_ipaddress") {
        return true;
    }
    let needed = strict || version == VrrpVersion::V3;
    if addresses.wrong && block.setting("virtual_ipaddress").is_none() {
        return !needed;
    }
    let message = "this instance has no address to advertise";
    if needed {
        let help = "version 3 and strict mode need one; it is left out, and keepalived ends all of \
                    VRRP here";
        context.error(Code::NoAddress, block.head, message, help);
    } else {
        let help = "write one into `virtual_ipaddress`; it is what the other directors compare";
        context.warn(Code::NoAddress, block.head, message, help);
    }
    !needed
}

/// Routes that are set while master.
pub(super) fn routes(context: &mut Context<'_, '_>, block: &Block) -> Vec<Route> {
    let lists = block
        .all("virtual_routes")
        .filter_map(|setting| match &setting.value {
            Some(Value::Routes(lines)) => Some(lines),
            _ => None,
        });
    let mut routes = Vec::new();
    for Entry { span, value } in lists.flatten() {
        no_group(context, value.track_group.as_ref(), *span);
        if !value.no_track && !matches!(value.protocol, None | Some(Named::Number(18))) {
            let message = "`protocol` is ignored: a route that is tracked has that of keepalived";
            let help = "add `no_track` to keep the protocol";
            context.warn(Code::NoMeaningHere, *span, message, help);
        }
        let has_interface =
            value.interface.is_some() || value.nexthops.iter().any(|hop| hop.interface.is_some());
        if !value.no_track && !has_interface {
            let message = "this route names no interface, so its loss goes unnoticed";
            let help = "add `dev INTERFACE`, or `no_track` to say that it does not matter";
            context.warn(Code::NotTracked, *span, message, help);
        }
        routes.push(value.clone());
    }
    routes
}

fn no_group(context: &mut Context<'_, '_>, group: Option<&String>, span: Span) {
    if group.is_some() {
        let message = "`track_group` is ignored: only static items have one";
        context.warn(Code::NoMeaningHere, span, message, "delete it");
    }
}

/// Rules that are set while master.
pub(super) fn rules(block: &Block) -> Vec<Rule> {
    let lists = block
        .all("virtual_rules")
        .filter_map(|setting| match &setting.value {
            Some(Value::Rules(lines)) => Some(lines),
            _ => None,
        });
    lists.flatten().map(|line| line.value.clone()).collect()
}
