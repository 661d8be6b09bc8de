//! Commands that are run when a state changes.

use crate::ast::{Block, Value};
use crate::config::{Notify, NotifyDeleted, Script};

use super::super::second_scripts;
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
    let first = block.all(keyword).next()?;
    second_scripts(context.report, block, first);
    block.script(keyword)
}
