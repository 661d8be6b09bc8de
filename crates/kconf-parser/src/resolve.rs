//! From the configuration as written to the one as meant.
//!
//! # Design
//!
//! Settings are looked up by name, inheritance is followed and defaults are put in here, once;
//! nothing behind this needs to know a default. Rules that need more than one line, such as
//! ports that must agree, are checked here too, and their diagnostics point at the lines that
//! disagree. Where keepalived corrects what was written, so do we, with a warning; what it drops
//! is dropped, with an error. Source: keepalived.conf(5) and the observable behaviour of 2.2.7.

mod check;
mod globals;
mod group;
mod real_server;
mod service;
mod sync_daemon;
mod vrrp;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::ast::{Block, Setting};
use crate::config::{Config, VirtualServer, VirtualServerId};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;
use crate::report::Report;
use crate::source::Span;

/// Makes the configuration as meant of that as written.
pub(crate) fn resolve(root: &Block, report: &mut Report<'_>) -> Config {
    let mut globals = globals::globals(root, report);
    let groups = group::groups(root, report);
    let mut services: Vec<VirtualServer> = Vec::new();
    let mut seen: HashMap<VirtualServerId, Span> = HashMap::new();
    let mut context = service::Context::new(report, &globals.globals, &groups, globals.alerts);
    for block in root.children(BlockKind::VirtualServer) {
        let Some(service) = service::service(&mut context, block) else {
            continue;
        };
        match seen.entry(service.id.clone()) {
            Entry::Vacant(place) => {
                place.insert(block.head);
                services.push(service);
            }
            Entry::Occupied(first) => duplicate(context.report, block.head, *first.get()),
        }
    }
    let vrrp = vrrp::vrrp(root, report, globals.alerts);
    sync_daemon::join(root, report, &mut globals.globals, &vrrp);
    Config {
        globals: globals.globals,
        services,
        vrrp,
        tls: globals::tls(root, report),
    }
}

/// Commands of a keyword behind its first one: keepalived ignores them.
fn second_scripts(report: &mut Report<'_>, block: &Block, first: &Setting) {
    let same = |setting: &&Setting| std::ptr::eq(setting.keyword, first.keyword);
    for setting in block.settings.iter().filter(same).skip(1) {
        let message = format!("a second `{}` is ignored", first.keyword.name);
        let diagnostic = report
            .error(Code::Repeated, setting.span, message)
            .also(report.place(first.span), "the first one counts")
            .help("let one script call the others");
        report.push(diagnostic);
    }
}

fn duplicate(report: &mut Report<'_>, second: Span, first: Span) {
    let message = "this service is defined a second time and left out";
    let diagnostic = report
        .warning(Code::DuplicateService, second, message)
        .also(report.place(first), "first defined here")
        .help("put all its real servers into one block");
    report.push(diagnostic);
}
