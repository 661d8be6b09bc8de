//! What is set while the daemon runs, and limits of interfaces.

use std::time::Duration;

use crate::ast::{Block, Entry, Value};
use crate::config::{GarpGroup, InterfaceDelay, Linkbeat, TrackGroup, Vrrp};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;
use crate::tree::Word;
use crate::value::parse_decimal;

use super::{Context, missing, named};

pub(super) fn read(context: &mut Context<'_, '_>, root: &Block, vrrp: &mut Vrrp) {
    vrrp.track_groups = track_groups(context, root);
    let usual = context.inherited.globals.default_interface.as_ref();
    for setting in &root.settings {
        match (setting.keyword.name, &setting.value) {
            ("static_ipaddress", Some(Value::Addresses(lines))) => {
                for Entry { value, .. } in lines {
                    let mut address = value.clone();
                    address.interface = address.interface.or_else(|| usual.cloned());
                    vrrp.static_addresses.push(address);
                }
            }
            ("static_routes", Some(Value::Routes(lines))) => {
                vrrp.static_routes
                    .extend(lines.iter().map(|line| line.value.clone()));
            }
            ("static_rules", Some(Value::Rules(lines))) => {
                vrrp.static_rules
                    .extend(lines.iter().map(|line| line.value.clone()));
            }
            ("linkbeat_interfaces", Some(Value::Entries(lines))) => {
                vrrp.linkbeat
                    .extend(lines.iter().filter_map(|line| linkbeat(context, line)));
            }
            ("interface_up_down_delays", Some(Value::Entries(lines))) => {
                vrrp.interface_delays
                    .extend(lines.iter().filter_map(|line| delay(context, line)));
            }
            _ => {}
        }
    }
    group_names(context, root, vrrp);
    for block in root.children(BlockKind::GarpGroup) {
        vrrp.garp_groups.extend(garp_group(context, block));
    }
}

fn track_groups(context: &mut Context<'_, '_>, root: &Block) -> Vec<TrackGroup> {
    let mut groups = Vec::new();
    for (name, block) in named(context, root, BlockKind::TrackGroup) {
        let mut members = Vec::new();
        for setting in block.all("group") {
            let Some(Value::Words(words)) = &setting.value else {
                continue;
            };
            for word in words {
                let text = context.text(*word);
                if context.instances.contains(context.slice(*word)) {
                    members.push(text);
                } else if !context
                    .names
                    .contains_key(&(BlockKind::VrrpInstance, context.slice(*word)))
                {
                    let message = format!("no `vrrp_instance` is named `{text}`");
                    let mut diagnostic = context
                        .report
                        .warning(Code::UnknownName, word.outer(), message)
                        .help("the name is left out");
                    if let Some(near) = context.nearest(BlockKind::VrrpInstance, &text) {
                        diagnostic = diagnostic
                            .label(format!("did you mean `{near}`?"))
                            .suggest(context.report.place(word.span), near);
                    }
                    context.report.push(diagnostic);
                }
            }
        }
        groups.push(TrackGroup {
            name: name.to_owned(),
            members,
        });
    }
    groups
}

/// Names of track groups in static items.
fn group_names(context: &mut Context<'_, '_>, root: &Block, vrrp: &Vrrp) {
    let known = |name: &str| vrrp.track_groups.iter().any(|group| group.name == name);
    let mut unknown = Vec::new();
    for setting in &root.settings {
        let mut look = |name: Option<&String>, span| {
            unknown.extend(
                name.filter(|name| !known(name))
                    .map(|name| (name.clone(), span)),
            );
        };
        match &setting.value {
            Some(Value::Addresses(lines)) => lines.iter().for_each(|line| {
                let options = line.value.options.as_ref();
                look(
                    options.and_then(|some| some.track_group.as_ref()),
                    line.span,
                );
            }),
            Some(Value::Routes(lines)) => lines
                .iter()
                .for_each(|line| look(line.value.track_group.as_ref(), line.span)),
            Some(Value::Rules(lines)) => lines
                .iter()
                .for_each(|line| look(line.value.track_group.as_ref(), line.span)),
            _ => {}
        }
    }
    // A misspelt definition has been reported.
    if root.misspelt.contains(&BlockKind::TrackGroup.name()) {
        return;
    }
    for (name, span) in unknown {
        let message = format!("no `track_group` is named `{name}`");
        let help = "no instance notices when it is lost";
        context.error(Code::UnknownName, span, message, help);
    }
}

fn garp_group(context: &mut Context<'_, '_>, block: &Block) -> Option<GarpGroup> {
    let mut interfaces: Vec<String> = Vec::new();
    for setting in &block.settings {
        match (setting.keyword.name, &setting.value) {
            ("interface", Some(Value::Word(word))) => interfaces.push(context.text(*word)),
            ("interfaces", Some(Value::Words(words))) => {
                interfaces.extend(words.iter().map(|word| context.text(*word)));
            }
            _ => {}
        }
    }
    if interfaces.is_empty() {
        missing(context, block, &["interfaces", "interface"]);
        return None;
    }
    Some(GarpGroup {
        interfaces,
        garp_interval: block.time("garp_interval").unwrap_or_default(),
        gna_interval: block.time("gna_interval").unwrap_or_default(),
    })
}

fn linkbeat(context: &mut Context<'_, '_>, line: &[Word]) -> Option<Linkbeat> {
    let (interface, rest) = line.split_first()?;
    let mut method = None;
    for word in rest {
        let text = context.slice(*word);
        match text {
            "MII" | "ETHTOOL" | "IOCTL" => method = Some(text.to_owned()),
            _ => {
                let message = format!("`{text}` is not a way to look at a link");
                let help = "one of: MII, ETHTOOL, IOCTL";
                context.error(Code::BadChoice, word.outer(), message, help);
            }
        }
    }
    Some(Linkbeat {
        interface: context.text(*interface),
        method,
    })
}

/// `IF DOWN [UP]`.
fn delay(context: &mut Context<'_, '_>, line: &[Word]) -> Option<InterfaceDelay> {
    let (interface, times) = line.split_first()?;
    let mut read = Vec::new();
    for word in times.iter().take(2) {
        let text = context.slice(*word);
        match parse_decimal(text) {
            Ok((micros @ 0..=255_000_000, _)) => {
                read.push(Duration::from_micros(micros.unsigned_abs()));
            }
            _ => {
                let message = format!("`{text}` is not a number of seconds from 0 to 255");
                context.error(
                    Code::BadNumber,
                    word.outer(),
                    message,
                    "the line is ignored",
                );
                return None;
            }
        }
    }
    let Some(down) = read.first().copied() else {
        let message = "the delay is missing: write an interface and a number of seconds";
        context.error(
            Code::MissingValue,
            interface.outer(),
            message,
            "the line is ignored",
        );
        return None;
    };
    Some(InterfaceDelay {
        interface: context.text(*interface),
        down,
        up: read.get(1).copied().unwrap_or(down),
    })
}
