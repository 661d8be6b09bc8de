//! Lines of `virtual_routes` and `static_routes`, as for ip-route(8).

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::{Insertion, NextHop, Route, RouteKind, RouteMetric};
use crate::diagnostic::Code;
use crate::keyword::EntryKind;
use crate::tree::Word;
use crate::value::{Args, choice, option_number, parse_network};

use super::address::{interface_name, named, network, scope};
use super::{bad_option, unknown, whole};

/// Tables by name. Source: kernel `RT_TABLE_*`.
pub(super) const TABLES: &[(&str, u32)] = &[("default", 253), ("main", 254), ("local", 255)];

/// Routing protocols by name. Source: kernel `RTPROT_*`.
pub(super) const PROTOCOLS: &[(&str, u8)] = &[
    ("redirect", 1),
    ("kernel", 2),
    ("boot", 3),
    ("static", 4),
    ("ra", 9),
    ("keepalived", 18),
];

/// A route; `None` if it has no destination.
pub(super) fn read(args: &mut Args<'_, '_>, kind: EntryKind) -> Option<Route> {
    let first = args.peek()?;
    let mut reader = Reader {
        route: Route::to(IpNet::from(IpAddr::from([0, 0, 0, 0]))),
        destination: None,
        is_default: false,
        wrong: false,
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
    route: Route,
    destination: Option<IpNet>,
    is_default: bool,
    /// Whether a destination was wrong, which has been said.
    wrong: bool,
    /// The family, if `inet` or `inet6` says it.
    is_v6: Option<bool>,
}

impl Reader {
    fn word(&mut self, args: &mut Args<'_, '_>, kind: EntryKind, word: Word) {
        let name = args.text(word);
        let route = &mut self.route;
        args.keyword = word;
        if let Some(kind) = kind_of(name) {
            route.kind = kind;
            return;
        }
        match name {
            "inet" | "inet6" => {
                self.is_v6 = Some(name == "inet6");
                lost_word(args, word);
            }
            "to" => {
                if let Some(word) = args.required("a destination") {
                    match kind_of(args.text(word)) {
                        Some(kind) => route.kind = kind,
                        None => self.destination(args, word),
                    }
                }
            }
            "via" | "gw" => route.via = gateway(args).or(route.via),
            "or" => {
                if let Some(via) = gateway(args) {
                    route.nexthops.push(NextHop {
                        via: Some(via),
                        weight: 1,
                        ..NextHop::default()
                    });
                }
            }
            "src" => {
                if let Some(word) = args.required("an IP address") {
                    route.source = crate::value::parse_address(args, word).or(route.source);
                }
            }
            "from" => {
                if let Some(word) = args.required("a prefix") {
                    route.from = from(args, word).or(route.from);
                }
            }
            "dev" | "oif" => route.interface = name_of(args, "dev"),
            "vrf" => route.vrf = name_of(args, "vrf"),
            "scope" => route.scope = args.required("a scope").and_then(|word| scope(args, word)),
            "table" => {
                let word = args.required("a table");
                route.table = word.and_then(|word| named(args, word, "table", TABLES));
            }
            "protocol" => {
                let word = args.required("a protocol");
                route.protocol = word.and_then(|word| named(args, word, "protocol", PROTOCOLS));
            }
            "tos" | "dsfield" => route.tos = tos(args),
            "metric" | "priority" | "preference" => {
                route.metric = option_number(args, word, 0, u32::MAX.into()).and_then(narrow);
            }
            "onlink" => route.onlink = true,
            "expires" => {
                let seconds = option_number(args, word, 0, u32::MAX.into());
                route.expires = seconds.map(Duration::from_secs);
            }
            "realms" => route.realms = text_of(args),
            "encap" => route.encap = encap(args),
            "congctl" => {
                let lock = lock(args);
                route.congctl = text_of(args).map(|name| (name, lock));
            }
            "pref" => route.preference = preference(args, word),
            "ttl-propagate" => {
                let word = args.required("a value");
                let chosen =
                    word.and_then(|word| choice(args, word, &["enabled", "disabled"], false));
                route.ttl_propagate = chosen.map(|chosen| chosen == "enabled");
            }
            "add" => route.insertion = Insertion::Add,
            "prepend" => route.insertion = Insertion::Prepend,
            "append" => route.insertion = Insertion::Append,
            "no_track" => route.no_track = true,
            "track_group" => route.track_group = text_of(args),
            "nexthop" => self.nexthops(args),
            _ if METRICS.contains(&name) => {
                let metric = metric(args, word, name);
                route.metrics.extend(metric);
            }
            _ => self.other(args, kind, word),
        }
    }

    /// A word that is no option is a destination.
    fn other(&mut self, args: &mut Args<'_, '_>, kind: EntryKind, word: Word) {
        let text = args.text(word);
        if parse_network(text).is_none() && text != "default" {
            let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
            let names = kind.options().iter().map(|option| option.name);
            if letters(text) && args.report.nearest(text, names).is_some() {
                unknown(args, kind, word);
                return;
            }
        }
        self.destination(args, word);
    }

    fn destination(&mut self, args: &mut Args<'_, '_>, word: Word) {
        if matches!(args.text(word), "default" | "any" | "all") {
            self.is_default = true;
        } else {
            let read = network(args, word);
            self.wrong |= read.is_none();
            self.destination = read.or(self.destination);
        }
    }

    /// Everything behind `nexthop`.
    fn nexthops(&mut self, args: &mut Args<'_, '_>) {
        let mut hop = NextHop {
            weight: 1,
            ..NextHop::default()
        };
        while let Some(word) = args.next() {
            args.keyword = word;
            match args.text(word) {
                "nexthop" => {
                    let weight = 1;
                    let next = NextHop {
                        weight,
                        ..NextHop::default()
                    };
                    self.route.nexthops.push(std::mem::replace(&mut hop, next));
                }
                "via" => hop.via = gateway(args).or(hop.via),
                "dev" | "oif" => hop.interface = name_of(args, "dev"),
                "weight" => {
                    let weight = option_number(args, word, 1, 256).and_then(narrow);
                    hop.weight = weight.unwrap_or(hop.weight);
                }
                "onlink" => hop.onlink = true,
                "encap" => hop.encap = encap(args),
                "realms" => hop.realms = text_of(args),
                text => {
                    let message = format!("`{text}` is not an option of `nexthop`");
                    let help = "options of the route itself stand before the first `nexthop`";
                    let code = Code::BadChoice;
                    let diagnostic = args.report.error(code, word.outer(), message);
                    args.report.push(diagnostic.help(help));
                    args.rest();
                }
            }
        }
        self.route.nexthops.push(hop);
    }

    fn finish(mut self, args: &mut Args<'_, '_>, first: Word) -> Option<Route> {
        let mut hops = self.route.nexthops.iter().filter_map(|hop| hop.via);
        let known = [self.route.via, self.route.source];
        let known = known.into_iter().flatten().next().or_else(|| hops.next());
        let is_v6 = self
            .is_v6
            .or_else(|| known.map(|address| address.is_ipv6()));
        self.route.destination = match (self.destination, self.is_default) {
            (Some(network), _) => network,
            (None, true) => any(is_v6.unwrap_or(false)),
            (None, false) if self.wrong => return None,
            (None, false) => {
                let span = whole(first, args);
                let message = "this route has no destination, and is left out";
                let diagnostic = args.report.error(Code::MissingValue, span, message);
                return args.wrong(diagnostic.help("write a network, or `default`"));
            }
        };
        let of_route = self.route.destination.addr().is_ipv6();
        // IPv4 by way of an IPv6 gateway works, the other way round does not.
        let fits = |address: Option<IpAddr>| address.is_none_or(|a| a.is_ipv6() == of_route);
        let via_fits = self.route.via.is_none_or(|via| via.is_ipv6() || !of_route);
        if !fits(self.route.source) || !via_fits || is_v6.is_some_and(|v6| v6 && !of_route) {
            let span = whole(first, args);
            let message = format!(
                "addresses in this route are of another family than {}",
                self.route.destination
            );
            let diagnostic = args.report.error(Code::FamilyMismatch, span, message);
            return args.wrong(diagnostic.help("the route is left out"));
        }
        Some(self.route)
    }
}

/// Everything of a family.
pub(super) fn any(is_v6: bool) -> IpNet {
    match is_v6 {
        true => IpNet::V6(ipnet::Ipv6Net::default()),
        false => IpNet::V4(ipnet::Ipv4Net::default()),
    }
}

fn kind_of(name: &str) -> Option<RouteKind> {
    Some(match name {
        "unicast" => RouteKind::Unicast,
        "local" => RouteKind::Local,
        "broadcast" | "brd" => RouteKind::Broadcast,
        "multicast" => RouteKind::Multicast,
        "anycast" => RouteKind::Anycast,
        "throw" => RouteKind::Throw,
        "unreachable" => RouteKind::Unreachable,
        "prohibit" => RouteKind::Prohibit,
        "blackhole" => RouteKind::Blackhole,
        "nat" => RouteKind::Nat,
        _ => return None,
    })
}

/// In keepalived, the word behind `inet` and `inet6` is lost unless it is `to`.
pub(super) fn lost_word(args: &mut Args<'_, '_>, family: Word) {
    let name = args.text(family);
    let Some(next) = args.peek().filter(|next| args.text(*next) != "to") else {
        return;
    };
    let text = args.text(next);
    let message = format!("keepalived loses `{text}`, the word behind `{name}`");
    let diagnostic = args
        .report
        .error(Code::LostWord, next.outer(), message)
        .help(format!("write `{name} to {text}`, or leave `{name}` out"));
    let place = args.report.place(next.outer());
    args.report
        .push(diagnostic.suggest(place, format!("to {text}")));
}

/// The source that a route is for; only IPv6 has such.
fn from(args: &mut Args<'_, '_>, word: Word) -> Option<IpNet> {
    let read = network(args, word)?;
    if read.addr().is_ipv4() {
        let message = "only routes of IPv6 have a `from`";
        let diagnostic = args
            .report
            .error(Code::FamilyMismatch, word.outer(), message);
        let help = "a rule of policy chooses by the source: `from PREFIX table NUMBER`";
        return args.wrong(diagnostic.help(help));
    }
    Some(read)
}

/// How a router ranks among others.
fn preference(args: &mut Args<'_, '_>, option: Word) -> Option<String> {
    let word = args.required("a preference")?;
    let text = args.text(word);
    if matches!(text, "low" | "medium" | "high") || text.parse::<u8>().is_ok() {
        return Some(text.to_owned());
    }
    let option = args.text(option);
    bad_option(
        args,
        word,
        option,
        "`low`, `medium`, `high` or a number to 255",
    )
}

/// `[inet|inet6] IP`.
fn gateway(args: &mut Args<'_, '_>) -> Option<IpAddr> {
    let mut word = args.required("an IP address")?;
    if matches!(args.text(word), "inet" | "inet6") {
        word = args.required("an IP address")?;
    }
    crate::value::parse_address(args, word)
}

pub(super) fn name_of(args: &mut Args<'_, '_>, option: &str) -> Option<String> {
    let word = args.required("an interface")?;
    interface_name(args, word, option)
}

pub(super) fn text_of(args: &mut Args<'_, '_>) -> Option<String> {
    let word = args.required("a value")?;
    (!args.placeholder(word)).then(|| args.text(word).to_owned())
}

pub(super) fn narrow<T: TryFrom<u64>>(value: u64) -> Option<T> {
    T::try_from(value).ok()
}

/// A type of service, in hexadecimal or by name.
pub(super) fn tos(args: &mut Args<'_, '_>) -> Option<crate::config::Named<u8>> {
    let word = args.required("a value")?;
    match parse_any(args.text(word)).and_then(narrow) {
        Some(number) => Some(crate::config::Named::Number(number)),
        None => named(args, word, "tos", &[]),
    }
}

/// A number that is hexadecimal with `0x` and octal with `0` in front.
pub(super) fn parse_any(text: &str) -> Option<u64> {
    match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) if !digits.is_empty() => u64::from_str_radix(digits, 8).ok(),
        _ => text.parse().ok(),
    }
}

fn lock(args: &mut Args<'_, '_>) -> bool {
    let lock = args.peek().is_some_and(|word| args.text(word) == "lock");
    if lock {
        args.next();
    }
    lock
}

/// Numbers of a route. Source: kernel `RTAX_*`.
const METRICS: &[&str] = &[
    "mtu",
    "hoplimit",
    "advmss",
    "rtt",
    "rttvar",
    "rto_min",
    "reordering",
    "window",
    "cwnd",
    "ssthresh",
    "initcwnd",
    "initrwnd",
    "features",
    "quickack",
    "fastopen_no_cookie",
];

/// `[lock] N`, or a time for some of them.
fn metric(args: &mut Args<'_, '_>, option: Word, name: &str) -> Option<RouteMetric> {
    let lock = lock(args);
    let value = match name {
        "features" => {
            let word = args.required("a feature")?;
            choice(args, word, &["ecn"], false)?;
            1
        }
        "rtt" => time(args, name, 8)?,
        "rttvar" => time(args, name, 4)?,
        "rto_min" => time(args, name, 1)?,
        _ => {
            let most = match name {
                "hoplimit" => 255,
                "quickack" | "fastopen_no_cookie" => 1,
                _ => u32::MAX,
            };
            option_number(args, option, 0, most.into()).and_then(narrow)?
        }
    };
    Some(RouteMetric {
        name: name.to_owned(),
        value,
        lock,
    })
}

/// A time with `s` or `ms`, or a bare number in the kernel's unit, 1/`scale` ms.
fn time(args: &mut Args<'_, '_>, option: &str, scale: u32) -> Option<u32> {
    let word = args.required("a time")?;
    let text = args.text(word);
    let number = |text: &str| text.parse::<u32>().ok();
    let value = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(ms), _) => number(ms).and_then(|ms| ms.checked_mul(scale)),
        (None, Some(s)) => number(s).and_then(|s| s.checked_mul(1000)?.checked_mul(scale)),
        _ => number(text),
    };
    match value {
        Some(value) => Some(value),
        None => bad_option(args, word, option, "a number with `s` or `ms`"),
    }
}

/// `ip`, `ip6`, `mpls` or `ila` and what belongs to it, as written.
fn encap(args: &mut Args<'_, '_>) -> Vec<String> {
    let Some(kind) = args.required("a kind of tunnel") else {
        return Vec::new();
    };
    let Some(kind) = choice(args, kind, &["ip", "ip6", "mpls", "ila"], false) else {
        return Vec::new();
    };
    let mut words = vec![kind.to_owned()];
    if matches!(kind, "mpls" | "ila")
        && let Some(label) = args.next()
    {
        let text = args.text(label);
        if !text.starts_with(|first: char| first.is_ascii_hexdigit()) {
            bad_option::<()>(
                args,
                label,
                "encap",
                "the labels or the locator of the tunnel",
            );
        }
        words.push(text.to_owned());
    }
    const PAIRS: &[&str] = &["id", "dst", "src", "tos", "ttl", "hoplimit", "flags", "tc"];
    while let Some(word) = args.peek().filter(|word| PAIRS.contains(&args.text(*word))) {
        args.next();
        args.keyword = word;
        words.push(args.text(word).to_owned());
        words.extend(text_of(args));
    }
    words
}
