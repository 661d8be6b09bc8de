//! Rules about virtual servers.

use crate::ast::{Block, Value};
use crate::config::Scheduler;
use crate::diagnostic::Code;
use crate::keyword::BlockKind;

use super::{Lint, place_of};

pub(super) fn rules(lint: &mut Lint<'_, '_>) {
    let root = lint.root;
    let alerts = ["smtp_alert", "smtp_alert_checker"];
    let mut globals = root.children(BlockKind::GlobalDefs);
    let alerts_said = globals.any(|block| alerts.iter().any(|name| block.setting(name).is_some()));
    let mails = !lint.config.globals.notification_email.is_empty();
    let tells_alerts = mails && !alerts_said && lint.wants(Code::DefaultAlerts);
    let tells_first_check = lint.wants(Code::FirstCheckLate);
    for block in root.children(BlockKind::VirtualServer) {
        without_checks(lint, block);
        hashing(lint, block);
        persistence(lint, block);
        sorry(lint, block);
        if tells_first_check {
            first_check(lint, block);
        }
        if tells_alerts {
            default_alerts(lint, block);
        }
    }
}

fn scheduler(block: &Block) -> Option<Scheduler> {
    let names = ["lb_algo", "lvs_sched"];
    let mut settings = block.settings.iter().rev();
    settings.find_map(|setting| match setting.value {
        Some(Value::Scheduler(scheduler)) if names.contains(&setting.keyword.name) => {
            Some(scheduler)
        }
        _ => None,
    })
}

/// A service whose servers nobody looks at.
fn without_checks(lint: &mut Lint<'_, '_>, block: &Block) {
    let mut servers = block.children(BlockKind::RealServer).peekable();
    if servers.peek().is_none() {
        return;
    }
    let checked = |server: &Block| {
        !server.blocks.is_empty()
            || server
                .misspelt
                .iter()
                .any(|name| name.ends_with("_CHECK") || name.ends_with("_GET"))
    };
    if !servers.any(checked) {
        let message =
            "no real server of this service is checked, so all of them always count as up";
        let help = "add a `TCP_CHECK` or another check to each `real_server`";
        lint.warn(Code::NoChecks, block.head, message, help);
    }
}

/// Hashing by address sends everybody behind one address to one server.
fn hashing(lint: &mut Lint<'_, '_>, block: &Block) {
    let (name, flag) = match scheduler(block) {
        Some(Scheduler::Sh) => ("sh", "sh-port"),
        Some(Scheduler::Mh) => ("mh", "mh-port"),
        _ => return,
    };
    if block.means(flag) || block.means("flag-2") {
        return;
    }
    let message = format!("`{name}` sends all clients behind one address to the same server");
    let help = format!("add `{flag}` below it to spread their connections, too");
    let span = match block.setting("lb_algo") {
        Some(setting) => setting.span,
        None => place_of(block, "lvs_sched"),
    };
    lint.warn(Code::HashWithoutPort, span, message, &help);
}

/// What persistence leaves of the scheduler.
fn persistence(lint: &mut Lint<'_, '_>, block: &Block) {
    let keyword = ["persistence_timeout", "persistence_granularity"];
    let keyword = keyword.into_iter().find(|name| block.value(name).is_some());
    let (Some(keyword), Some(scheduler)) = (keyword, scheduler(block)) else {
        return;
    };
    let span = place_of(block, keyword);
    let (message, help) = match scheduler {
        Scheduler::Rr | Scheduler::Wrr => (
            format!("with persistence, `{scheduler}` takes turns for clients, not connections"),
            "a client stays with its server until the time is over; leave persistence out to see \
             every connection take the next server",
        ),
        Scheduler::Sh | Scheduler::Mh | Scheduler::Dh => (
            format!("`{scheduler}` and persistence both bind clients to servers"),
            "one of them is enough; with both, persistence wins until its time is over",
        ),
        _ => return,
    };
    lint.warn(Code::PersistenceHidesScheduler, span, message, help);
}

/// The server for when nothing works should not be one of those that do not work.
fn sorry(lint: &mut Lint<'_, '_>, block: &Block) {
    let Some(Value::AddressPort(address, port)) = block.value("sorry_server") else {
        return;
    };
    let service_port = match &block.name {
        Some(Value::Target(crate::ast::Target::Address(_, port))) => *port,
        _ => None,
    };
    let sorry = (*address, port.or(service_port));
    for server in block.children(BlockKind::RealServer) {
        let same = match &server.name {
            Some(Value::AddressPort(address, port)) => (*address, port.or(service_port)) == sorry,
            _ => false,
        };
        if same {
            let message = format!("the sorry server {address} is a real server, too");
            let help = "when it is needed, this server is down as well";
            let span = place_of(block, "sorry_server");
            let other = (server.head, "the real server");
            lint.warn_with(Code::SorryIsRealServer, span, message, other, help);
        }
    }
}

/// Servers get traffic before anybody has looked at them.
fn first_check(lint: &mut Lint<'_, '_>, block: &Block) {
    let checked = block
        .children(BlockKind::RealServer)
        .any(|server| !server.blocks.is_empty());
    if checked && !block.flag("alpha") && block.setting("warmup").is_none() {
        let delay = block
            .time("delay_loop")
            .unwrap_or(std::time::Duration::from_secs(60));
        let message = format!(
            "servers get traffic before their first check, which keepalived makes up to {} s \
             after the start",
            delay.as_secs_f64() + 1.0
        );
        let help = "`alpha` waits for the first check, `warmup 0` makes it at once";
        lint.warn(Code::FirstCheckLate, block.head, message, help);
    }
}

/// Mails about real servers that nobody asked for.
fn default_alerts(lint: &mut Lint<'_, '_>, block: &Block) {
    for server in block.children(BlockKind::RealServer) {
        if server.setting("smtp_alert").is_none() {
            let message = "changes of this real server are mailed by default, unlike all others";
            let help = "write `smtp_alert off` into it, or into `global_defs`";
            lint.warn(Code::DefaultAlerts, server.head, message, help);
        }
    }
}
