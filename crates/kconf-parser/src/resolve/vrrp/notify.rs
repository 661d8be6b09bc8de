//! Commands that are run when a state changes.

use crate::ast::{Block, Value};
use crate::config::{Notify, NotifyDeleted, Script};
use crate::diagnostic::Code;

use super::Context;

/// All commands of an instance or group.
pub(super) fn notify(context: &mut Context<'_, '_>, block: &Block) -> Notify {
    let mut script = |keyword: &'static str| first(context, block, keyword).cloned();
    Notify {
        master: script("notify_master"),
        backup: script("notify_backup"),
        fault: script("notify_fault"),
        stop: script("notify_stop"),
        any: script("notify"),
        rx_lower_priority: script("notify_master_rx_lower_pri"),
        deleted: match block.value("notify_deleted") {
            Some(Value::Script(script)) => NotifyDeleted::Run((**script).clone()),
            Some(_) => NotifyDeleted::Deleted,
            None => NotifyDeleted::AsFault,
        },
    }
}

/// The first command of a keyword; keepalived ignores the others, unlike with other keywords.
fn first<'b>(
    context: &mut Context<'_, '_>,
    block: &'b Block,
    keyword: &'static str,
) -> Option<&'b Script> {
    let mut found = None;
    for setting in block.all(keyword) {
        match (&setting.value, found) {
            (Some(Value::Script(script)), None) => found = Some((&**script, setting.span)),
            (_, Some((_, first))) => {
                let message = format!("a second `{keyword}` is ignored");
                let diagnostic = context
                    .report
                    .error(Code::Repeated, setting.span, message)
                    .also(context.report.place(first), "the first one counts")
                    .help("let one script call the others");
                context.report.push(diagnostic);
            }
            _ => {}
        }
    }
    found.map(|(script, _)| script)
}
