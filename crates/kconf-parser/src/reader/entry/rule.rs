//! Lines of `virtual_rules` and `static_rules`, as for ip-rule(8).

use std::str::FromStr;

use ipnet::IpNet;

use crate::config::{Family, Named, Rule, RuleAction};
use crate::diagnostic::Code;
use crate::keyword::EntryKind;
use crate::tree::Word;
use crate::value::Args;

use super::address::{named, network};
use super::route::{PROTOCOLS, TABLES, lost_word, name_of, narrow, parse_any, text_of, tos};
use super::{bad_option, unknown, whole};

/// IP protocols by name that are in every `/etc/protocols`.
const IP_PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", 1),
    ("tcp", 6),
    ("udp", 17),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("vrrp", 112),
    ("sctp", 132),
];

/// A rule; `None` if it says not what to do.
pub(super) fn read(args: &mut Args<'_, '_>, kind: EntryKind) -> Option<Rule> {
    let first = args.peek()?;
    let mut reader = Reader {
        rule: empty(),
        action: None,
        is_v6: None,
    };
    while let Some(word) = args.next() {
        if !args.placeholder(word) {
            reader.word(args, kind, word);
        }
    }
    reader.finish(args, first)
}

struct Reader {
    rule: Rule,
    action: Option<RuleAction>,
    is_v6: Option<bool>,
}

fn empty() -> Rule {
    Rule {
        family: Family::Inet,
        invert: false,
        from: None,
        to: None,
        action: RuleAction::Nop,
        preference: None,
        fwmark: None,
        tos: None,
        realms: None,
        input_interface: None,
        output_interface: None,
        suppress_prefix_length: None,
        suppress_interface_group: None,
        tunnel_id: None,
        users: None,
        l3mdev: false,
        protocol: None,
        ip_protocol: None,
        source_ports: None,
        destination_ports: None,
        no_track: false,
        track_group: None,
    }
}

impl Reader {
    fn word(&mut self, args: &mut Args<'_, '_>, kind: EntryKind, word: Word) {
        let name = args.text(word);
        let rule = &mut self.rule;
        args.keyword = word;
        match name {
            "inet" | "inet6" => {
                self.is_v6 = Some(name == "inet6");
                lost_word(args, word);
            }
            "from" => rule.from = prefix(args),
            "to" => rule.to = prefix(args),
            "table" | "lookup" => {
                let word = args.required("a table");
                let table = word.and_then(|word| named(args, word, "table", TABLES));
                self.action = table.map(RuleAction::Table).or_else(|| self.action.take());
            }
            "preference" | "priority" | "order" => {
                rule.preference = number(args, name, u32::MAX.into()).and_then(narrow);
            }
            "not" => rule.invert = true,
            "tos" | "dsfield" => rule.tos = tos(args),
            "fwmark" => rule.fwmark = fwmark(args),
            "realms" => rule.realms = text_of(args),
            "suppress_prefixlength" | "sup_pl" => {
                let most = u64::from(i32::MAX.unsigned_abs());
                rule.suppress_prefix_length = number(args, name, most).and_then(narrow);
            }
            "suppress_ifgroup" | "sup_group" => {
                let word = args.required("a group");
                rule.suppress_interface_group =
                    word.and_then(|word| named(args, word, name, &[("default", 0)]));
            }
            "iif" | "dev" => rule.input_interface = name_of(args, name),
            "oif" => rule.output_interface = name_of(args, name),
            "tunnel-id" => rule.tunnel_id = number(args, name, u64::MAX),
            "uidrange" => rule.users = range(args, name),
            "l3mdev" => {
                rule.l3mdev = true;
                self.action = Some(RuleAction::Table(Named::Number(0)));
            }
            "protocol" => {
                let word = args.required("a protocol");
                rule.protocol = word.and_then(|word| named(args, word, name, PROTOCOLS));
            }
            "ipproto" => {
                let word = args.required("a protocol");
                rule.ip_protocol = word.and_then(|word| named(args, word, name, IP_PROTOCOLS));
            }
            "sport" => rule.source_ports = range(args, name),
            "dport" => rule.destination_ports = range(args, name),
            "goto" => {
                let target = number(args, name, u32::MAX.into()).and_then(narrow);
                self.action = target.map(RuleAction::Goto).or_else(|| self.action.take());
            }
            "type" => {}
            "nop" => self.action = Some(RuleAction::Nop),
            "blackhole" => self.action = Some(RuleAction::Blackhole),
            "unreachable" => self.action = Some(RuleAction::Unreachable),
            "prohibit" => self.action = Some(RuleAction::Prohibit),
            "no_track" => rule.no_track = true,
            "track_group" => rule.track_group = text_of(args),
            _ => unknown(args, kind, word),
        }
    }

    fn finish(mut self, args: &mut Args<'_, '_>, first: Word) -> Option<Rule> {
        let v6 = |network: &IpNet| network.addr().is_ipv6();
        let (from, to) = (
            self.rule.from.as_ref().map(v6),
            self.rule.to.as_ref().map(v6),
        );
        let said = [self.is_v6, from, to];
        let is_v6 = said.iter().flatten().copied().next().unwrap_or(false);
        if said.iter().flatten().any(|other| *other != is_v6) {
            let span = whole(first, args);
            let message = "this rule has IPv4 and IPv6 addresses, and is left out";
            let diagnostic = args.report.error(Code::FamilyMismatch, span, message);
            return args.wrong(diagnostic);
        }
        self.rule.family = if is_v6 { Family::Inet6 } else { Family::Inet };
        let Some(action) = self.action else {
            let span = whole(first, args);
            let message = "this rule says not what to do, and is left out";
            let diagnostic = args.report.error(Code::MissingValue, span, message);
            return args.wrong(diagnostic.help("write `table NAME`, for example"));
        };
        self.rule.action = action;
        if let (RuleAction::Goto(target), Some(own)) = (&self.rule.action, self.rule.preference)
            && *target <= own
        {
            let span = whole(first, args);
            let message = format!("`goto {target}` leads back: it must be above {own}");
            let diagnostic = args.report.error(Code::BadValue, span, message);
            return args.wrong(diagnostic.help("the rule is left out"));
        }
        if self.rule.preference.is_none() {
            let span = whole(first, args);
            let message = "this rule has no `preference`, so its place depends on the other rules";
            let diagnostic = args.report.warning(Code::NoPreference, span, message);
            let help = "keepalived takes 16384 for the first, 16383 for the next, and so on";
            args.report.push(diagnostic.help(help));
        }
        Some(self.rule)
    }
}

/// A network; `all` and `any` are no condition.
fn prefix(args: &mut Args<'_, '_>) -> Option<IpNet> {
    let word = args.required("a prefix")?;
    match args.text(word) {
        "all" | "any" | "default" => None,
        _ => network(args, word),
    }
}

fn number(args: &mut Args<'_, '_>, option: &str, most: u64) -> Option<u64> {
    let word = args.required("a number")?;
    match parse_any(args.text(word)).filter(|value| *value <= most) {
        Some(value) => Some(value),
        None => bad_option(args, word, option, &format!("a number from 0 to {most}")),
    }
}

/// `MARK[/MASK]`.
fn fwmark(args: &mut Args<'_, '_>) -> Option<(u32, u32)> {
    let word = args.required("a mark")?;
    let text = args.text(word);
    let (mark, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    let both = parse_any(mark)
        .and_then(narrow)
        .zip(parse_any(mask).and_then(narrow));
    match both {
        Some(both) => Some(both),
        None => bad_option(
            args,
            word,
            "fwmark",
            "a 32-bit number, perhaps `/` and a mask",
        ),
    }
}

/// `A-B`; keepalived takes no single number.
fn range<N: FromStr + PartialOrd + Copy>(args: &mut Args<'_, '_>, option: &str) -> Option<(N, N)> {
    let word = args.required("a range")?;
    let text = args.text(word);
    let parse = |text: &str| text.parse::<N>().ok();
    if let Some((first, last)) = text.split_once('-') {
        let both = parse(first).zip(parse(last)).filter(|(a, b)| a <= b);
        return match both {
            Some(both) => Some(both),
            None => bad_option(args, word, option, "a range such as `80-90`"),
        };
    }
    let Some(single) = parse(text) else {
        return bad_option(args, word, option, "a range such as `80-90`");
    };
    let message = format!("keepalived refuses `{option} {text}`: it wants a range");
    let place = args.report.place(word.span);
    let diagnostic = args
        .report
        .error(Code::BadValue, word.outer(), message)
        .suggest(place, format!("{text}-{text}"));
    args.report.push(diagnostic);
    Some((single, single))
}
