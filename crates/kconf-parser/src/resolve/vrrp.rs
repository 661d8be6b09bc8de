//! VRRP blocks: virtual routers, groups, what they track, static items.
//!
//! What keepalived would end the whole VRRP process for leaves out one instance here, with an
//! error; the others are not touched.

mod address;
mod election;
mod globals;
mod group;
mod instance;
mod interface;
mod notify;
mod sources;
mod statics;
mod tracking;

use std::collections::{HashMap, HashSet};

use crate::ast::{Block, Value};
use crate::config::{Vrrp, Weight};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;
use crate::report::Report;
use crate::source::Span;
use crate::tree::Word;

use super::globals::Alerts;

pub(super) use globals::Inherited;

/// What VRRP is resolved with.
struct Context<'c, 'a> {
    report: &'c mut Report<'a>,
    inherited: &'c Inherited,
    alerts: Alerts,
    /// What can be referred to: kind, name, where its block begins.
    names: HashMap<(BlockKind, &'a str), Span>,
    /// The usual weight of what can be tracked.
    weights: HashMap<(BlockKind, &'a str), Weight>,
    /// Instances that can be used.
    instances: HashSet<&'a str>,
    /// BFD sessions of which instances hear nothing.
    for_checks_only: HashSet<&'a str>,
    /// What has been referred to.
    used: HashMap<(BlockKind, &'a str), Span>,
}

impl<'a> Context<'_, 'a> {
    fn text(&self, word: Word) -> String {
        word.value(self.report.text()).into_owned()
    }

    fn slice(&self, word: Word) -> &'a str {
        self.report.slice(word.span)
    }

    /// The name of a kind that was most likely meant.
    fn nearest(&mut self, kind: BlockKind, name: &str) -> Option<&'a str> {
        let names = self.names.keys().filter(|(known, _)| *known == kind);
        self.report.nearest(name, names.map(|(_, name)| *name))
    }

    fn error(&mut self, code: Code, span: Span, message: impl Into<String>, help: &str) {
        let diagnostic = self.report.error(code, span, message).help(help);
        self.report.push(diagnostic);
    }

    fn warn(&mut self, code: Code, span: Span, message: impl Into<String>, help: &str) {
        let diagnostic = self.report.warning(code, span, message).help(help);
        self.report.push(diagnostic);
    }
}

/// Everything of VRRP.
pub(super) fn vrrp(root: &Block, report: &mut Report<'_>, alerts: Alerts) -> Vrrp {
    let inherited = globals::inherited(root, report);
    let names = names(root, report);
    let mut context = Context {
        report,
        inherited: &inherited,
        alerts,
        names,
        weights: HashMap::new(),
        instances: HashSet::new(),
        for_checks_only: HashSet::new(),
        used: HashMap::new(),
    };
    let context = &mut context;
    let mut vrrp = Vrrp {
        globals: inherited.globals.clone(),
        scripts: sources::scripts(context, root),
        track_files: sources::files(context, root),
        track_processes: sources::processes(context, root),
        bfd_instances: sources::bfd(context, root),
        ..Vrrp::default()
    };
    let groups = group::Membership::new(context, root);
    vrrp.instances = instance::instances(context, root, &groups);
    vrrp.sync_groups = group::groups(context, root, &groups);
    statics::read(context, root, &mut vrrp);
    sources::unused(context, root);
    vrrp
}

/// What can be referred to by name; a name that is given twice is reported.
fn names<'a>(root: &Block, report: &mut Report<'a>) -> HashMap<(BlockKind, &'a str), Span> {
    let mut names: HashMap<(BlockKind, &str), Span> = HashMap::new();
    for block in &root.blocks {
        let Some(Value::Word(name)) = block.name else {
            continue;
        };
        let text = report.slice(name.span);
        if let Some(first) = names.get(&(block.kind, text)) {
            let message = format!("a second `{}` is named `{text}`", block.kind.name());
            let diagnostic = report
                .error(Code::DuplicateName, name.outer(), message)
                .also(report.place(*first), "the first one is here");
            report.push(diagnostic);
        } else {
            names.insert((block.kind, text), block.head);
        }
    }
    names
}

/// The blocks of a kind with usable names; of two with one name, the first.
fn named<'b, 'a>(
    context: &Context<'_, 'a>,
    root: &'b Block,
    kind: BlockKind,
) -> Vec<(&'a str, &'b Block)> {
    let mut found = Vec::new();
    for block in root.children(kind) {
        let Some(Value::Word(name)) = block.name else {
            continue;
        };
        let text = context.slice(name);
        if context.names.get(&(kind, text)) == Some(&block.head) {
            found.push((text, block));
        }
    }
    found
}

/// Says that a block lacks what it needs, unless a misspelt or wrong line has been reported.
fn missing(context: &mut Context<'_, '_>, block: &Block, keywords: &[&str]) {
    if keywords.iter().any(|keyword| block.means(keyword)) {
        return;
    }
    let keyword = keywords.first().copied().unwrap_or_default();
    let message = format!(
        "this `{}` has no `{keyword}`, which it needs",
        block.kind.name()
    );
    context.error(Code::MissingSetting, block.head, message, "it is left out");
}

/// Where a keyword of a block stands, or the block.
fn place_of(block: &Block, keyword: &str) -> Span {
    block
        .setting(keyword)
        .map_or(block.head, |setting| setting.span)
}
