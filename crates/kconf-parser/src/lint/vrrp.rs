//! Rules about virtual routers.

use std::time::Duration;

use crate::ast::{Block, Value};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;

use super::{Lint, place_of};

pub(super) fn rules(lint: &mut Lint<'_, '_>) {
    let root = lint.root;
    for block in &root.blocks {
        match block.kind {
            BlockKind::VrrpInstance => instance(lint, block),
            BlockKind::VrrpScript => script(lint, block),
            _ => {}
        }
    }
    for setting in &root.settings {
        if let Some(Value::Addresses(lines)) = &setting.value {
            for line in lines {
                misnamed_option(lint, line);
            }
        }
    }
}

fn instance(lint: &mut Lint<'_, '_>, block: &Block) {
    master_without_priority(lint, block);
    addresses(lint, block);
    parallel_notify(lint, block);
}

/// `state MASTER` makes an address owner of an instance without a priority.
fn master_without_priority(lint: &mut Lint<'_, '_>, block: &Block) {
    let master = matches!(block.value("state"), Some(Value::Choice("MASTER")));
    if master && !block.means("priority") {
        let message = "without `priority`, `state MASTER` makes this an address owner: 255";
        let help = "write a priority from 1 to 254, unless the addresses are this machine's own";
        let span = place_of(block, "state");
        lint.warn(Code::MasterWithoutPriority, span, message, help);
    }
}

fn addresses(lint: &mut Lint<'_, '_>, block: &Block) {
    let lists = ["virtual_ipaddress", "virtual_ipaddress_excluded"];
    let (mut wide, deprecated) = (None, lint.wants(Code::DeprecatedAddress));
    for setting in &block.settings {
        let Some(Value::Addresses(lines)) = &setting.value else {
            continue;
        };
        for line in lines {
            misnamed_option(lint, line);
            let net = line.value.address;
            let options = line.value.options.as_deref();
            let explicit = options.is_some_and(|some| some.preferred_lft.is_some());
            if deprecated && net.prefix_len() == 128 && !explicit {
                let message = format!("{} is deprecated as soon as it is set", net.addr());
                let help = "the kernel then uses it for no new connection of its own; write \
                            `/64`, or `preferred_lft forever`";
                lint.warn(Code::DeprecatedAddress, line.span, message, help);
            }
            let whole = lists.contains(&setting.keyword.name)
                && net.addr().is_ipv4()
                && net.prefix_len() < 32
                && options.is_none_or(|some| !some.no_prefix_route && some.broadcast.is_none());
            if whole && wide.is_none() {
                wide = Some((line.span, net));
            }
        }
    }
    if let Some((span, net)) = wide {
        let message = format!(
            "with the mask /{} the master also gets a route to {}",
            net.prefix_len(),
            net.trunc()
        );
        let help = "a virtual address needs no mask: leave it out, or add `noprefixroute`";
        lint.warn(Code::WideMask, span, message, help);
    }
}

fn misnamed_option(lint: &mut Lint<'_, '_>, line: &crate::ast::Entry<crate::config::Address>) {
    let options = line.value.options.as_deref();
    if options.is_some_and(|some| some.detect_duplicates) {
        let message = "`-nodad` switches the detection of duplicates on, not off";
        let help = "without it, addresses of VRRP are set without detection; delete it for that";
        lint.warn(Code::MisnamedOption, line.span, message, help);
    }
}

/// keepalived starts all commands of an event at once.
fn parallel_notify(lint: &mut Lint<'_, '_>, block: &Block) {
    let Some(any) = block.setting("notify") else {
        return;
    };
    for keyword in [
        "notify_master",
        "notify_backup",
        "notify_fault",
        "notify_stop",
    ] {
        if let Some(setting) = block.setting(keyword) {
            let message = format!("keepalived runs `{keyword}` and `notify` at the same time");
            let help = "lvskit runs them one after the other; with keepalived, use one of the two";
            let other = (any.span, "the other one");
            lint.warn_with(Code::ParallelNotify, setting.span, message, other, help);
        }
    }
}

fn script(lint: &mut Lint<'_, '_>, block: &Block) {
    if block.flag("init_fail") {
        let message = "`init_fail` has no effect in keepalived";
        let help = "lvskit takes the script for failed until it has succeeded";
        let span = place_of(block, "init_fail");
        lint.warn(Code::InitFail, span, message, help);
    }
    let interval = block.time("interval").unwrap_or(Duration::from_secs(1));
    if let Some(timeout) = block.time("timeout").filter(|timeout| *timeout > interval) {
        let message = format!(
            "a run may take {} s, longer than the interval of {} s",
            timeout.as_secs_f64(),
            interval.as_secs_f64()
        );
        let help = "runs are left out while one goes on, so a failure is noticed late";
        let span = place_of(block, "timeout");
        lint.warn(Code::LongerThanInterval, span, message, help);
    }
}
