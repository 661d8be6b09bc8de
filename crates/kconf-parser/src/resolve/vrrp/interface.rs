//! `use_vmac` and `use_ipvlan`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::ast::{Block, Value};
use crate::config::{Family, IpvlanMode, VirtualInterface, VirtualInterfaceKind};
use crate::diagnostic::Code;
use crate::tree::Word;
use crate::value::parse_network;

use super::globals::byte;
use super::{Context, place_of};

/// Longest name of an interface. Source: kernel `IFNAMSIZ`.
const MAX_NAME: usize = 15;

/// The virtual interface of an instance.
pub(super) fn virtual_interface(
    context: &mut Context<'_, '_>,
    block: &Block,
    (family, source): (Family, Option<IpAddr>),
    is_unicast: bool,
    strict: bool,
) -> Option<VirtualInterface> {
    let (keyword, is_macvlan) = match (block.value("use_vmac"), block.value("use_ipvlan")) {
        (Some(_), None) => ("use_vmac", true),
        (None, Some(_)) => ("use_ipvlan", false),
        (None, None) => {
            if block.setting("vmac_xmit_base").is_some() {
                let message = "`vmac_xmit_base` has no effect without `use_vmac`";
                let span = place_of(block, "vmac_xmit_base");
                context.warn(Code::NoMeaningHere, span, message, "delete the line");
            }
            return None;
        }
        (Some(_), Some(_)) => {
            let message = "an instance runs on a macvlan or on an ipvlan, not on both";
            let span = place_of(block, "use_ipvlan");
            context.error(Code::BadValue, span, message, "`use_ipvlan` is ignored");
            ("use_vmac", true)
        }
    };
    let mut all = block.all(keyword);
    let first = all.next();
    for again in all {
        let message = format!("a second `{keyword}` is ignored");
        let help = "delete one of the two lines";
        context.error(Code::Repeated, again.span, message, help);
    }
    let words = match first.map(|setting| &setting.value) {
        Some(Some(Value::Words(words))) => &**words,
        _ => &[],
    };
    let mut made = VirtualInterface {
        kind: match is_macvlan {
            true => VirtualInterfaceKind::Macvlan { mac: None },
            false => VirtualInterfaceKind::Ipvlan {
                address: None,
                mode: IpvlanMode::Bridge,
            },
        },
        name: None,
        group: None,
        xmit_base: is_unicast || block.bool("vmac_xmit_base").unwrap_or(false),
        for_addresses: block.flag("use_vmac_addr"),
    };
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        match context.slice(word) {
            "netlink_notify_msg" => {}
            "name" => made.name = words.next().and_then(|word| name(context, word)),
            "group" => made.group = words.next().map(|word| context.text(word)),
            text => option(context, block, &mut made, word, text),
        }
    }
    if strict && made.xmit_base && !is_unicast {
        let message = "strict mode has no `vmac_xmit_base`";
        let span = place_of(block, "vmac_xmit_base");
        context.error(Code::StrictConflict, span, message, "the line is ignored");
        made.xmit_base = false;
    }
    if is_macvlan {
        own_interfaces(context, block);
    } else {
        ipvlan_address(context, block, &mut made, family, source);
    }
    Some(made)
}

/// Addresses that ask for a virtual MAC of their own where the instance has one.
fn own_interfaces(context: &mut Context<'_, '_>, block: &Block) {
    let lists = block
        .settings
        .iter()
        .filter_map(|setting| match &setting.value {
            Some(Value::Addresses(lines)) => Some(lines),
            _ => None,
        });
    for line in lists.flatten().filter(|line| line.value.options().use_vmac) {
        let message = "`use_vmac` has no effect here: the instance has a virtual MAC";
        context.warn(
            Code::NoMeaningHere,
            line.span,
            message,
            "leave the word out",
        );
    }
}

/// An ipvlan needs an address of the family of its instance; IPv4 has no other to send from.
fn ipvlan_address(
    context: &mut Context<'_, '_>,
    block: &Block,
    made: &mut VirtualInterface,
    family: Family,
    source: Option<IpAddr>,
) {
    let VirtualInterfaceKind::Ipvlan { address, .. } = &mut made.kind else {
        return;
    };
    let span = place_of(block, "use_ipvlan");
    let fits = |address: &IpNet| address.addr().is_ipv4() == (family == Family::Inet);
    if let Some(wrong) = address.filter(|address| !fits(address)) {
        let message = format!("{} is not of the family of the instance", wrong.addr());
        context.error(Code::FamilyMismatch, span, message, "it is ignored");
        *address = None;
    } else if address.is_none() && source.is_none() && family == Family::Inet {
        let message = "an ipvlan needs an address to send from";
        let help = "write one behind the name, or as `mcast_src_ip`; without, keepalived stays in \
                    FAULT";
        context.error(Code::MissingSetting, span, message, help);
    }
}

/// A word whose kind shows what it is.
fn option(
    context: &mut Context<'_, '_>,
    block: &Block,
    made: &mut VirtualInterface,
    word: Word,
    text: &str,
) {
    match &mut made.kind {
        VirtualInterfaceKind::Macvlan { mac } => {
            let vrid = byte(block, "virtual_router_id").unwrap_or_default();
            if let Some(read) = parse_mac(text, vrid) {
                *mac = Some(read);
                return;
            }
        }
        VirtualInterfaceKind::Ipvlan { address, mode } => {
            match text {
                "bridge" => *mode = IpvlanMode::Bridge,
                "private" => *mode = IpvlanMode::Private,
                "vepa" => *mode = IpvlanMode::Vepa,
                _ => match parse_network(text) {
                    Some(read) => *address = Some(read),
                    None => made.name = name(context, word),
                },
            }
            return;
        }
    }
    made.name = name(context, word);
}

fn name(context: &mut Context<'_, '_>, word: Word) -> Option<String> {
    let text = context.slice(word);
    if (1..=MAX_NAME).contains(&text.len()) && !text.contains('/') {
        return Some(text.to_owned());
    }
    let message = format!("`{text}` cannot be the name of an interface");
    let help = "names have 1 to 15 bytes; the usual name is taken";
    context.error(Code::BadValue, word.outer(), message, help);
    None
}

/// Six octets, or five before the number of the virtual router.
fn parse_mac(text: &str, vrid: u8) -> Option<[u8; 6]> {
    let parts: Option<Vec<u8>> = text
        .split(':')
        .map(|part| u8::from_str_radix(part, 16).ok())
        .collect();
    match parts?.as_slice() {
        [a, b, c, d, e, f] => Some([*a, *b, *c, *d, *e, *f]),
        [a, b, c, d, e] => Some([*a, *b, *c, *d, *e, vrid]),
        _ => None,
    }
}
