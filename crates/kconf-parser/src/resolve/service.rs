//! `virtual_server` and what is directly in it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::ast::{Block, Setting, Target, Value};
use crate::config::{
    Endpoint, Family, ForwardMethod, Globals, Granularity, Persistence, Protocol, RealServer,
    Scheduler, SchedulerFlags, Script, VirtualServer, VirtualServerId,
};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;
use crate::report::Report;
use crate::source::Span;
use crate::tree::Word;

use super::globals::{Alerts, last};
use super::group::{Group, family};
use super::real_server::{address_port, real_servers, sorry_server};

/// Time of persistence when none is given. Source: kernel `IP_VS_TEMPLATE_TIMEOUT`.
const USUAL_PERSISTENCE: Duration = Duration::from_secs(360);

/// What services are resolved with.
pub(super) struct Context<'c, 'a> {
    pub(super) report: &'c mut Report<'a>,
    pub(super) globals: &'c Globals,
    groups: &'c HashMap<String, Group>,
    pub(super) alerts: Alerts,
    /// How many services have used a group so far.
    group_uses: HashMap<String, u32>,
}

impl<'c, 'a> Context<'c, 'a> {
    pub(super) fn new(
        report: &'c mut Report<'a>,
        globals: &'c Globals,
        groups: &'c HashMap<String, Group>,
        alerts: Alerts,
    ) -> Self {
        Self {
            report,
            globals,
            groups,
            alerts,
            group_uses: HashMap::new(),
        }
    }

    pub(super) fn text(&self, word: Word) -> String {
        word.value(self.report.text()).into_owned()
    }
}

/// The addresses and marks of a service, and what is known of them.
pub(super) struct Where {
    pub(super) id: VirtualServerId,
    pub(super) endpoints: Vec<Endpoint>,
    /// Family that real servers must have; `None` if both will do.
    pub(super) family: Option<Family>,
    /// Port that real servers have when they name none.
    pub(super) port: u16,
    pub(super) is_mark: bool,
    pub(super) is_group: bool,
}

/// Resolves one service; `None` if it cannot be used, which has then been said.
pub(super) fn service(context: &mut Context<'_, '_>, block: &Block) -> Option<VirtualServer> {
    let Some(Value::Target(target)) = &block.name else {
        return None;
    };
    let protocol = protocol(context, block, target);
    let place = place(context, block, target, protocol)?;
    let (scheduler, scheduler_flags) = scheduler(context, block);
    let method = method(context, block);
    let mut service = VirtualServer {
        id: place.id.clone(),
        endpoints: place.endpoints.clone(),
        protocol,
        scheduler,
        scheduler_flags,
        method,
        persistence: persistence(context, block, &place, protocol),
        one_packet: one_packet(context, block, &place, protocol),
        ha_suspend: ha_suspend(context, block, &place),
        omega: block.flag("omega"),
        quorum: 1,
        hysteresis: 0,
        quorum_up: script(context, block, "quorum_up"),
        quorum_down: script(context, block, "quorum_down"),
        smtp_alert: block
            .bool("smtp_alert")
            .or(context.alerts.checker)
            .unwrap_or(false),
        sorry_server: sorry_server(context, block, &place, method),
        snmp_name: block.word("snmp_name").map(|word| context.text(word)),
        real_servers: Vec::new(),
    };
    service.real_servers = real_servers(context, block, &place, method);
    if service.real_servers.is_empty() {
        // Of servers whose address or keyword is wrong enough has been said.
        let mut servers = block.children(BlockKind::RealServer);
        if servers.any(|server| server.name.is_none()) || block.means("real_server") {
            return None;
        }
        let message = "this service has no usable real server and is left out";
        let diagnostic = context
            .report
            .error(Code::NoRealServers, block.head, message);
        context
            .report
            .push(diagnostic.help("keepalived ignores it, its address included"));
        return None;
    }
    (service.quorum, service.hysteresis) = quorum(context, block, &service.real_servers);
    Some(service)
}

fn protocol(context: &mut Context<'_, '_>, block: &Block, target: &Target) -> Protocol {
    let is_mark = matches!(target, Target::FirewallMark(_));
    match block.setting("protocol") {
        Some(setting) if is_mark => {
            let message = "a service for a firewall mark has no protocol; this line is ignored";
            warn(
                context,
                Code::NotForFirewallMark,
                setting.span,
                message,
                "delete the line",
            );
        }
        Some(_) => {}
        None if is_mark || block.means("protocol") => {}
        None => {
            let message = "this service has no `protocol`, so it balances UDP";
            let help = match tcp_check(block) {
                Some(check) => format!(
                    "TCP was probably meant, as its servers have `{check}`: write `protocol TCP`, or \
                     `protocol UDP` if that is right"
                ),
                None => "write `protocol TCP` or `protocol UDP`".to_owned(),
            };
            warn(context, Code::NoProtocol, block.head, message, &help);
        }
    }
    match block.value("protocol") {
        Some(Value::Protocol(protocol)) => *protocol,
        _ => Protocol::Udp,
    }
}

/// The first check that asks servers over TCP.
fn tcp_check(block: &Block) -> Option<&'static str> {
    let of_servers = block
        .children(BlockKind::RealServer)
        .flat_map(|server| &server.blocks);
    let mut kinds = block
        .blocks
        .iter()
        .chain(of_servers)
        .map(|check| check.kind);
    let speaks_tcp = |kind: &BlockKind| {
        use BlockKind::{HttpGet, SmtpCheck, SslGet, TcpCheck};
        matches!(kind, TcpCheck | HttpGet | SslGet | SmtpCheck)
    };
    kinds.find(speaks_tcp).map(BlockKind::name)
}

fn place(
    context: &mut Context<'_, '_>,
    block: &Block,
    target: &Target,
    protocol: Protocol,
) -> Option<Where> {
    let servers = block.children(BlockKind::RealServer);
    let first_server = servers
        .filter_map(address_port)
        .map(|(address, _)| family(address))
        .next();
    Some(match target {
        Target::Address(address, port) => {
            let address = SocketAddr::new(*address, port.unwrap_or(0));
            Where {
                id: VirtualServerId::Address { protocol, address },
                endpoints: vec![Endpoint::Address(address)],
                family: Some(family(address.ip())),
                port: address.port(),
                is_mark: false,
                is_group: false,
            }
        }
        Target::FirewallMark(mark) => {
            let chosen = match block.value("ip_family") {
                Some(Value::Choice("inet6")) => Some(Family::Inet6),
                Some(Value::Choice(_)) => Some(Family::Inet),
                _ => first_server,
            };
            let (mark, family) = (*mark, chosen.unwrap_or(Family::Inet));
            Where {
                id: VirtualServerId::FirewallMark { mark, family },
                endpoints: vec![Endpoint::FirewallMark { mark, family }],
                family: Some(family),
                port: 0,
                is_mark: true,
                is_group: false,
            }
        }
        Target::Group(word) => {
            let name = context.text(*word);
            let Some(group) = context.groups.get(&name) else {
                let message = format!("no usable `virtual_server_group` is named `{name}`");
                let mut diagnostic =
                    context
                        .report
                        .warning(Code::UnknownGroup, word.outer(), message);
                let names = context.groups.keys().map(String::as_str);
                if let Some(near) = context.report.nearest(&name, names) {
                    diagnostic = diagnostic
                        .label(format!("did you mean `{near}`?"))
                        .suggest(context.report.place(word.span), near);
                }
                context
                    .report
                    .push(diagnostic.help("the service is left out"));
                return None;
            };
            let uses = context.group_uses.entry(name.clone()).or_default();
            let index = *uses;
            *uses += 1;
            let usual = group.family().or(first_server).unwrap_or(Family::Inet);
            let first = group.addresses.first().map(|address| address.port());
            let same = |port: &u16| {
                group
                    .addresses
                    .iter()
                    .all(|address| address.port() == *port)
            };
            Where {
                id: VirtualServerId::Group { name, index },
                endpoints: group.endpoints(usual),
                family: group.family(),
                port: first.filter(same).unwrap_or(0),
                is_mark: group.addresses.is_empty(),
                is_group: true,
            }
        }
    })
}

fn scheduler(context: &mut Context<'_, '_>, block: &Block) -> (Scheduler, SchedulerFlags) {
    let (mut chosen, mut flags) = (None, SchedulerFlags::default());
    for setting in &block.settings {
        let name = setting.keyword.name;
        match name {
            "lb_algo" | "lvs_sched" => {
                if let Some(Value::Scheduler(scheduler)) = setting.value {
                    chosen = Some(scheduler);
                }
            }
            "flag-1" => flags.flag1 = true,
            "flag-2" => flags.flag2 = true,
            "flag-3" => flags.flag3 = true,
            "hashed" => {
                let message = "`hashed` has no effect";
                let code = Code::SchedulerFlagMismatch;
                warn(context, code, setting.span, message, "delete the line");
            }
            "sh-port" | "sh-fallback" | "mh-port" | "mh-fallback" => {
                let (owner, is_port) = (name.split_at(2).0, name.ends_with("port"));
                if chosen.is_none_or(|chosen| chosen.name() != owner) {
                    flag_mismatch(context, setting, owner);
                } else if is_port {
                    flags.flag2 = true;
                } else {
                    flags.flag1 = true;
                }
            }
            _ => {}
        }
    }
    if !["lb_algo", "lvs_sched"]
        .iter()
        .any(|name| block.means(name))
    {
        let message = "this service has no `lb_algo`, so the scheduler is wlc";
        warn(
            context,
            Code::NoScheduler,
            block.head,
            message,
            "write `lb_algo wlc` to say so",
        );
    }
    (chosen.unwrap_or(Scheduler::Wlc), flags)
}

fn flag_mismatch(context: &mut Context<'_, '_>, setting: &Setting, owner: &str) {
    let name = setting.keyword.name;
    let message = format!("`{name}` has no effect: `lb_algo {owner}` does not stand above it");
    let diagnostic = context
        .report
        .warning(Code::SchedulerFlagMismatch, setting.span, message);
    context
        .report
        .push(diagnostic.help("scheduler flags count only below their scheduler"));
}

fn method(context: &mut Context<'_, '_>, block: &Block) -> ForwardMethod {
    let names = ["lb_kind", "lvs_method"];
    if !names.iter().any(|name| block.means(name)) {
        let message = "this service has no `lb_kind`, so the method is NAT";
        warn(
            context,
            Code::NoMethod,
            block.head,
            message,
            "write `lb_kind NAT` to say so",
        );
    }
    match last(block, &names) {
        Some(Value::Method(method)) => *method,
        _ => ForwardMethod::Masq,
    }
}

fn persistence(
    context: &mut Context<'_, '_>,
    block: &Block,
    place: &Where,
    protocol: Protocol,
) -> Option<Persistence> {
    let granularity = granularity(context, block, place);
    let mut timeout = match block.value("persistence_timeout") {
        Some(Value::Time(timeout)) => Some(*timeout),
        Some(_) => Some(USUAL_PERSISTENCE),
        None => granularity.map(|_| USUAL_PERSISTENCE),
    };
    if timeout.is_none() && place.port == 0 && !place.is_mark && !place.is_group {
        let message = "a service for every port must be persistent; 360 s are taken";
        let help = "name a port behind the address, or write `persistence_timeout 360`";
        warn(
            context,
            Code::PortZeroNeedsPersistence,
            block.head,
            message,
            help,
        );
        timeout = Some(USUAL_PERSISTENCE);
    }
    let engine = engine(context, block, protocol);
    if let (Some(_), None, Some(setting)) = (&engine, timeout, block.setting("persistence_engine"))
    {
        let message = "a persistence engine has no effect without persistence";
        let help = "add `persistence_timeout`";
        let code = Code::BadPersistenceEngine;
        warn(context, code, setting.span, message, help);
    }
    let timeout = timeout?;
    Some(Persistence {
        timeout,
        granularity,
        engine,
    })
}

fn granularity(context: &mut Context<'_, '_>, block: &Block, place: &Where) -> Option<Granularity> {
    let Some(Value::Granularity(written)) = block.value("persistence_granularity") else {
        return None;
    };
    let span = block.setting("persistence_granularity")?.span;
    let message = match (written, place.family) {
        (Granularity::Prefix(prefix @ 0..=32), Some(Family::Inet)) => {
            let bits = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
            let mask = std::net::Ipv4Addr::from(bits);
            let message = format!("an IPv4 service needs a netmask here; {mask} is taken");
            let place = context.report.place(span);
            let diagnostic = context
                .report
                .warning(Code::BadValue, span, message)
                .help(format!("keepalived takes it for the mask 0.0.0.{prefix}"))
                .suggest(place, format!("persistence_granularity {mask}"));
            context.report.push(diagnostic);
            return Some(Granularity::Mask(mask));
        }
        (Granularity::Prefix(_), Some(Family::Inet)) => "an IPv4 service needs a netmask here",
        (Granularity::Mask(_), Some(Family::Inet6)) => {
            "an IPv6 service needs a prefix length from 1 to 128 here"
        }
        _ => return Some(*written),
    };
    let diagnostic = context.report.error(Code::BadValue, span, message);
    context.report.push(diagnostic);
    None
}

fn engine(context: &mut Context<'_, '_>, block: &Block, protocol: Protocol) -> Option<String> {
    let setting = block.setting("persistence_engine")?;
    let name = context.text(block.word("persistence_engine")?);
    let code = Code::BadPersistenceEngine;
    let diagnostic = match (name.as_str(), protocol) {
        ("sip", Protocol::Udp) => return Some(name),
        ("sip", _) => {
            let message = "the persistence engine sip needs UDP; the line is ignored";
            context.report.warning(code, setting.span, message)
        }
        _ => {
            let message = "the only persistence engine is sip; the line is ignored";
            context.report.warning(code, setting.span, message)
        }
    };
    context.report.push(diagnostic);
    None
}

fn one_packet(
    context: &mut Context<'_, '_>,
    block: &Block,
    place: &Where,
    protocol: Protocol,
) -> bool {
    let Some(setting) = block.setting("ops") else {
        return false;
    };
    let fits = protocol == Protocol::Udp || place.is_mark;
    if !fits {
        let message = "one-packet scheduling is for UDP only; the line is ignored";
        let diagnostic = context
            .report
            .error(Code::OnePacketNeedsUdp, setting.span, message);
        context.report.push(diagnostic);
    }
    fits
}

fn ha_suspend(context: &mut Context<'_, '_>, block: &Block, place: &Where) -> bool {
    let Some(setting) = block.setting("ha_suspend") else {
        return false;
    };
    if place.is_group {
        let message = "with a group the checks never run: `ha_suspend` waits for one address";
        warn(
            context,
            Code::SuspendedForEver,
            setting.span,
            message,
            "delete the line",
        );
    } else if place.is_mark {
        let message = "a firewall mark has no address to wait for; `ha_suspend` is ignored";
        warn(
            context,
            Code::NotForFirewallMark,
            setting.span,
            message,
            "delete the line",
        );
        return false;
    }
    true
}

fn quorum(context: &mut Context<'_, '_>, block: &Block, servers: &[RealServer]) -> (u32, u32) {
    let mut quorum = block.u32("quorum").unwrap_or(1);
    let total: u64 = servers.iter().map(|server| u64::from(server.weight)).sum();
    // A weight or server that is not counted has been reported.
    let unsure = |server: &Block| {
        let wrong = |weight: &Setting| weight.value.is_none();
        server.misspelt.contains(&"weight") || server.setting("weight").is_some_and(wrong)
    };
    let unsure = block.misspelt.contains(&"real_server")
        || block.children(BlockKind::RealServer).any(unsure);
    if let Some(setting) = block
        .setting("quorum")
        .filter(|_| u64::from(quorum) > total && !unsure)
    {
        let message = format!("the quorum {quorum} is more than all real servers weigh, {total}");
        let help = format!("{} is taken", total.max(1));
        warn(context, Code::QuorumTooHigh, setting.span, &message, &help);
    }
    quorum = quorum.min(u32::try_from(total).unwrap_or(u32::MAX).max(1));
    if total == 0 && block.setting("quorum").is_none() {
        let message = "all real servers have the weight 0, so the service is down from the start";
        let help = "a server with the weight 0 gets no connections";
        warn(context, Code::QuorumTooHigh, block.head, message, help);
    }
    let mut hysteresis = block.u32("hysteresis").unwrap_or(0);
    if let Some(setting) = block.setting("hysteresis").filter(|_| hysteresis >= quorum) {
        let message = format!("the hysteresis {hysteresis} is not below the quorum, {quorum}");
        hysteresis = quorum - 1;
        let help = format!("{hysteresis} is taken");
        let code = Code::HysteresisTooHigh;
        warn(context, code, setting.span, &message, &help);
    }
    (quorum, hysteresis)
}

/// The first command of a keyword; keepalived ignores the others, unlike with other keywords.
pub(super) fn script(
    context: &mut Context<'_, '_>,
    block: &Block,
    keyword: &str,
) -> Option<Script> {
    let mut settings = block.settings.iter();
    let first = settings.find(|setting| setting.keyword.name == keyword)?;
    super::second_scripts(context.report, block, first);
    block.script(keyword).cloned()
}

pub(super) fn warn(
    context: &mut Context<'_, '_>,
    code: Code,
    span: Span,
    message: &str,
    help: &str,
) {
    let diagnostic = context.report.warning(code, span, message).help(help);
    context.report.push(diagnostic);
}
