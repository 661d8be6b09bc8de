//! Rules about single settings, whatever the block.

use crate::ast::{Block, Setting, Value};
use crate::diagnostic::Code;
use crate::keyword::{BlockKind, Shape};
use crate::source::Span;

use super::{Lint, place_of};

/// Keywords that may stand in a block several times: each adds something.
const ADDING: &[&str] = &["status_code", "key", "process"];

/// Keywords without effect in lvskit, by block.
const WITHOUT_EFFECT: &[(BlockKind, &[&str])] = &[
    (
        BlockKind::GlobalDefs,
        &[
            "bfd_process_name",
            "bfd_rlimit_rttime",
            "snmp_socket",
            "enable_traps",
            "enable_snmp_vrrp",
            "enable_snmp_checker",
            "enable_snmp_rfc",
            "enable_snmp_rfcv2",
            "enable_snmp_rfcv3",
            "snmp_vs_stats_update_interval",
            "snmp_rs_stats_update_interval",
            "enable_dbus",
            "dbus_service_name",
            "dbus_no_interface_name",
            "process_monitor_rcv_bufs",
            "process_monitor_rcv_bufs_force",
            "lvs_netlink_cmd_rcv_bufs",
            "lvs_netlink_cmd_rcv_bufs_force",
            "lvs_netlink_monitor_rcv_bufs",
            "lvs_netlink_monitor_rcv_bufs_force",
            "nftables_ipvs",
            "nftables_ipvs_priority",
            "nftables_ipvs_start_fwmark",
            "config_save_dir",
            "tmp_config_directory",
            "reload_time_file",
            "reload_repeat",
            "reload_file",
            "stats_dump_file",
            "json_dump_file",
            "iproute_usr_dir",
            "iproute_etc_dir",
        ],
    ),
    (BlockKind::VrrpInstance, &["debug", "linkbeat_use_polling"]),
    (
        BlockKind::Root,
        &["namespace_with_ipsets", "linkbeat_use_polling"],
    ),
    (BlockKind::VirtualServer, &["snmp_name"]),
    (BlockKind::RealServer, &["snmp_name"]),
    (BlockKind::HttpUrl, &["regex_stack"]),
    (BlockKind::SslUrl, &["regex_stack"]),
];

pub(super) fn rules(lint: &mut Lint<'_, '_>) {
    let root = lint.root;
    block(lint, root, &mut Vec::new());
    script_security(lint);
}

/// A test by keepalived ends with status 6 for the first script without script security.
fn script_security(lint: &mut Lint<'_, '_>) {
    if lint.config.globals.script_security {
        return;
    }
    if let Some(span) = first_script(lint.root) {
        let message = "scripts are run without `enable_script_security`";
        let help = "with it in `global_defs`, root runs no script that others can change";
        lint.warn(Code::ScriptSecurityOff, span, message, help);
    }
}

fn first_script(block: &Block) -> Option<Span> {
    let mut settings = block.settings.iter();
    let own = settings.find(|setting| matches!(setting.value, Some(Value::Script(_))));
    let own = own.map(|setting| setting.span);
    let inner = block.blocks.iter().find_map(first_script);
    [own, inner]
        .into_iter()
        .flatten()
        .min_by_key(|span| span.start)
}

/// `seen` is room for the settings of one block.
fn block<'b>(lint: &mut Lint<'_, '_>, block_: &'b Block, seen: &mut Vec<&'b Setting>) {
    repeated(lint, block_, seen);
    single_quotes(lint, block_);
    without_effect(lint, block_);
    swapped_switch(lint, block_);
    for inner in &block_.blocks {
        block(lint, inner, seen);
    }
}

/// Of two lines with one keyword the last one counts, silently.
fn repeated<'b>(lint: &mut Lint<'_, '_>, block: &'b Block, seen: &mut Vec<&'b Setting>) {
    // A block has few keywords: to look through them is faster than to hash each.
    seen.clear();
    for setting in &block.settings {
        let scalar = match setting.keyword.shape {
            Shape::Flag | Shape::Script | Shape::OptScript => false,
            shape => !shape.has_block(),
        };
        // Of these the first one counts, or it is reported where it is resolved.
        let elsewhere = matches!(
            setting.keyword.name,
            "state" | "file" | "weight" | "use_vmac" | "use_ipvlan"
        ) && matches!(
            block.kind,
            BlockKind::VrrpInstance | BlockKind::TrackFile | BlockKind::VrrpScript
        );
        if !scalar || elsewhere || ADDING.contains(&setting.keyword.name) {
            continue;
        }
        let same = |other: &&mut &Setting| std::ptr::eq(other.keyword, setting.keyword);
        let Some(last) = seen.iter_mut().find(same) else {
            seen.push(setting);
            continue;
        };
        let first = std::mem::replace(last, setting);
        let name = setting.keyword.name;
        let message = format!("`{name}` is set again: this line counts, the one above does not");
        let other = (first.span, "without effect");
        let help = "delete one of the two lines";
        lint.warn_with(Code::Overridden, setting.span, message, other, help);
    }
}

/// Single quotes are ordinary letters to most keywords.
fn single_quotes(lint: &mut Lint<'_, '_>, block: &Block) {
    for setting in &block.settings {
        let word = match &setting.value {
            Some(Value::Word(word)) => *word,
            Some(Value::HostPort(word, _) | Value::Fifo(word, _)) => *word,
            _ => continue,
        };
        let text = lint.slice(word);
        if !word.quoted && text.starts_with('\'') {
            let message = format!("the value is `{text}`: single quotes do not quote here");
            lint.warn(
                Code::SingleQuotes,
                word.outer(),
                message,
                "write double quotes, or none",
            );
        }
    }
}

/// Whether a keyword of a block is accepted and does nothing in lvskit.
pub(crate) fn is_without_effect(kind: BlockKind, keyword: &str) -> bool {
    let mut rows = WITHOUT_EFFECT.iter();
    rows.any(|(block, names)| *block == kind && names.contains(&keyword))
}

fn without_effect(lint: &mut Lint<'_, '_>, block: &Block) {
    let Some((_, names)) = WITHOUT_EFFECT.iter().find(|(kind, _)| *kind == block.kind) else {
        return;
    };
    for setting in &block.settings {
        if names.contains(&setting.keyword.name) {
            let message = format!(
                "`{}` is accepted, without effect in lvskit",
                setting.keyword.name
            );
            let help = "it may stay for keepalived's sake";
            lint.warn(Code::NoEffectYet, setting.place, message, help);
        }
    }
}

/// Switches that keepalived turns on whatever follows.
fn swapped_switch(lint: &mut Lint<'_, '_>, block: &Block) {
    if block.kind == BlockKind::VrrpInstance && block.bool("skip_check_adv_addr") == Some(false) {
        let message = "keepalived turns `skip_check_adv_addr` on here, whatever follows it";
        let help = "to have it off with keepalived, too, delete the line";
        let span = place_of(block, "skip_check_adv_addr");
        lint.warn(Code::SwitchedOnByOff, span, message, help);
    }
}
