//! What can be said about VRRP blocks without running them.

use std::collections::HashMap;

use crate::ast::{Block, Value};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;
use crate::report::Report;
use crate::source::Span;

/// Checks every VRRP block of the top level.
pub(super) fn check(root: &Block, report: &mut Report<'_>) {
    let mut names: HashMap<(BlockKind, &str), Span> = HashMap::new();
    for block in &root.blocks {
        if let Some(Value::Word(name)) = block.name {
            let text = report.slice(name.span);
            if let Some(first) = names.insert((block.kind, text), name.outer()) {
                let message = format!("a second `{}` is named `{text}`", block.kind.name());
                let diagnostic = report
                    .error(Code::DuplicateName, name.outer(), message)
                    .also(report.place(first), "the first one is here");
                report.push(diagnostic);
            }
        }
        match block.kind {
            BlockKind::VrrpInstance => instance(block, report),
            BlockKind::VrrpScript => required(block, "script", report),
            BlockKind::SyncGroup => required(block, "group", report),
            _ => {}
        }
    }
}

fn instance(block: &Block, report: &mut Report<'_>) {
    required(block, "virtual_router_id", report);
    for authentication in block.children(BlockKind::Authentication) {
        let Some(setting) = authentication.setting("auth_pass") else {
            continue;
        };
        let Some(Value::Word(word)) = setting.value else {
            continue;
        };
        let length = word.value(report.text()).len();
        if length > 8 {
            let message = format!("only the first 8 of {length} bytes of this password are used");
            let diagnostic = report
                .warning(Code::PasswordTooLong, word.outer(), message)
                .help("another password with the same beginning is accepted, too");
            report.push(diagnostic);
        }
    }
}

fn required(block: &Block, keyword: &str, report: &mut Report<'_>) {
    if !block.means(keyword) {
        let message = format!(
            "this `{}` has no `{keyword}`, which it needs",
            block.kind.name()
        );
        let diagnostic = report.error(Code::MissingSetting, block.head, message);
        report.push(diagnostic);
    }
}
