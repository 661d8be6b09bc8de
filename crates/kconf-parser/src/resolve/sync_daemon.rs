//! `lvs_sync_daemon` and the virtual router that decides what it does.

use crate::ast::{Block, Value};
use crate::config::{Globals, SyncDaemon, Vrrp};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;
use crate::report::Report;
use crate::source::Span;

/// Joins the daemon of `global_defs`, or that of an instance's old `lvs_sync_daemon_interface`, with
/// the instance: its number is the usual id.
pub(super) fn join(root: &Block, report: &mut Report<'_>, globals: &mut Globals, vrrp: &Vrrp) {
    for block in root.children(BlockKind::VrrpInstance) {
        let Some(word) = block.word("lvs_sync_daemon_interface") else {
            continue;
        };
        let Some(Value::Word(name)) = block.name else {
            continue;
        };
        let name = name.value(report.text()).into_owned();
        if vrrp.instance(&name).is_none() {
            continue;
        }
        if globals.lvs_sync_daemon.is_some() {
            let message = "there is a sync daemon already; this one is left out";
            let diagnostic = report
                .warning(Code::NoMeaningHere, word.outer(), message)
                .help("the kernel runs one of each kind");
            report.push(diagnostic);
            continue;
        }
        globals.lvs_sync_daemon = Some(SyncDaemon {
            interface: word.value(report.text()).into_owned(),
            instance: Some(name),
            sync_id: None,
            max_len: None,
            port: None,
            ttl: None,
            group: None,
        });
    }
    let Some(daemon) = &mut globals.lvs_sync_daemon else {
        return;
    };
    let Some(name) = &daemon.instance else {
        return;
    };
    match vrrp.instance(name) {
        Some(instance) => daemon.sync_id = daemon.sync_id.or(Some(instance.vrid)),
        None => {
            let message = format!("there is no usable virtual router `{name}`");
            let diagnostic = report
                .warning(Code::UnknownName, place(root), message)
                .help(
                    "it decides whether connections are sent or received; they are only received",
                );
            report.push(diagnostic);
        }
    }
}

/// Where the daemon is asked for.
fn place(root: &Block) -> Span {
    let blocks = root.children(BlockKind::GlobalDefs);
    let settings = blocks.filter_map(|block| block.setting("lvs_sync_daemon"));
    settings.last().map_or(root.head, |setting| setting.span)
}
