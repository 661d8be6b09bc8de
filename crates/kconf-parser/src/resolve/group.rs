//! `virtual_server_group`: names for sets of services.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::ast::{Block, Value};
use crate::config::{Endpoint, Family};
use crate::diagnostic::Code;
use crate::report::Report;
use crate::source::Span;
use crate::tree::Word;
use crate::value::{Args, group_range};

/// A group that can be used.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Addresses of all entries, ranges expanded.
    pub(super) addresses: Vec<SocketAddr>,
    /// Marks, with their family if one is given.
    pub(super) marks: Vec<(u32, Option<Family>)>,
    /// Where it is defined.
    pub(super) span: Span,
}

impl Group {
    /// The family of all addresses if they have one in common.
    pub(super) fn family(&self) -> Option<Family> {
        let first = family(self.addresses.first()?.ip());
        self.addresses
            .iter()
            .all(|address| family(address.ip()) == first)
            .then_some(first)
    }

    /// All entries, marks without a family in the one given.
    pub(super) fn endpoints(&self, usual: Family) -> Vec<Endpoint> {
        let addresses = self.addresses.iter().copied().map(Endpoint::Address);
        let marks = self
            .marks
            .iter()
            .map(|(mark, family)| Endpoint::FirewallMark {
                mark: *mark,
                family: family.unwrap_or(usual),
            });
        addresses.chain(marks).collect()
    }
}

/// The family of an address.
pub(super) fn family(address: IpAddr) -> Family {
    if address.is_ipv4() {
        Family::Inet
    } else {
        Family::Inet6
    }
}

/// All groups by name.
pub(super) fn groups(root: &Block, report: &mut Report<'_>) -> HashMap<String, Group> {
    let mut groups: HashMap<String, Group> = HashMap::new();
    for setting in root.all("virtual_server_group") {
        let Some(Value::NamedEntries(entries)) = &setting.value else {
            continue;
        };
        let (name, lines) = &**entries;
        let text = name.value(report.text()).into_owned();
        if let Some(first) = groups.get(&text) {
            let message = format!("a group `{text}` is defined a second time and left out");
            let diagnostic = report
                .error(Code::DuplicateName, setting.span, message)
                .also(report.place(first.span), "first defined here");
            report.push(diagnostic);
            continue;
        }
        let group = expand(report, setting.span, lines);
        if group.addresses.is_empty() && group.marks.is_empty() {
            let message = format!("the group `{text}` has no usable entry");
            let diagnostic = report.error(Code::EmptyGroup, setting.span, message);
            report.push(diagnostic.help("services that use it are left out"));
            continue;
        }
        if mixed(&group) {
            let message = format!("the group `{text}` has IPv4, IPv6 and marks without a family");
            let diagnostic = report
                .error(Code::FamilyMismatch, setting.span, message)
                .help("write `fwmark N inet` or `fwmark N inet6`");
            report.push(diagnostic);
            continue;
        }
        groups.insert(text, group);
    }
    groups
}

fn mixed(group: &Group) -> bool {
    let has = |family_is: Family| {
        group
            .addresses
            .iter()
            .any(|address| family(address.ip()) == family_is)
    };
    group.marks.iter().any(|(_, family)| family.is_none())
        && has(Family::Inet)
        && has(Family::Inet6)
}

/// The lines have been checked when they were read.
fn expand(report: &mut Report<'_>, span: Span, lines: &[Vec<Word>]) -> Group {
    let mut group = Group {
        addresses: Vec::new(),
        marks: Vec::new(),
        span,
    };
    for line in lines {
        let [first, rest @ ..] = line.as_slice() else {
            continue;
        };
        let second = rest.first().map(|word| report.slice(word.span));
        if report.slice(first.span) == "fwmark" {
            let family = rest.get(1).and_then(|word| match report.slice(word.span) {
                "inet" => Some(Family::Inet),
                "inet6" => Some(Family::Inet6),
                _ => None,
            });
            group.marks.extend(
                second
                    .and_then(|mark| mark.parse().ok())
                    .map(|m| (m, family)),
            );
            continue;
        }
        let port = second.and_then(|port| port.parse().ok()).unwrap_or(0);
        let mut args = Args::new(report, *first, line, true);
        let Some(range) = group_range(&mut args, *first) else {
            continue;
        };
        for index in 0..range.count {
            group
                .addresses
                .push(SocketAddr::new(nth(range.first, index), port));
        }
    }
    group
}

/// The address `index` behind another.
fn nth(first: IpAddr, index: u32) -> IpAddr {
    match first {
        IpAddr::V4(first) => IpAddr::V4(u32::from(first).wrapping_add(index).into()),
        IpAddr::V6(first) => IpAddr::V6(u128::from(first).wrapping_add(index.into()).into()),
    }
}
