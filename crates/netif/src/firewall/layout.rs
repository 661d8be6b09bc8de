//! What is in a table: chains, sets, rules, and which elements the rules wish for.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::expression::{Expression, Side, Verdict, key};
use super::message::{Element, Hook, SetKind, Table};
use super::uapi::*;
use super::{Blocked, FirewallConfig, FirewallRules};
use crate::family::Family;
use crate::name::LinkIndex;
use crate::netlink::Request;

const VIPS: &str = "vips";
const LINK_LOCAL_VIPS: &str = "vips_link_local";
const NEIGHBOUR_DISCOVERY: &str = "neighbor-discovery";
const VMAC_MAP: &str = "vmac_map";
const VMAC_SET: &str = "vmac_set";

/// IP protocols: IGMP, ICMPv6.
const IGMP: u8 = 2;
const ICMPV6: u8 = 58;

/// ICMPv6 types of RFC 4861 section 4 and RFC 3810 section 5.2.
const ROUTER_SOLICITATION: u8 = 133;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const MLD2_REPORT: u8 = 143;

/// Offset of the protocol in the IPv4 header.
const IPV4_PROTOCOL: u32 = 9;

/// One table as it shall be.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    config: &'a FirewallConfig,
    table: Table<'a>,
    addresses: BTreeSet<Element>,
    link_local: BTreeSet<Element>,
    vmacs: BTreeSet<Element>,
}

impl<'a> Layout<'a> {
    /// The table of `family` for `rules`.
    pub(super) fn of(config: &'a FirewallConfig, family: Family, rules: &FirewallRules) -> Self {
        let blocked = || {
            rules
                .blocked
                .iter()
                .filter(|blocked| Family::of(blocked.address) == family)
        };
        let plain = blocked().filter(|blocked| !is_link_local(blocked));
        let link_local = blocked().filter(|blocked| is_link_local(blocked));
        let vmacs = rules.vmacs.iter();
        Self {
            config,
            table: Table {
                family,
                name: &config.table,
            },
            addresses: plain.map(|blocked| (key(blocked.address), None)).collect(),
            link_local: link_local
                .map(|blocked| {
                    let parts = [key(blocked.address), index(blocked.link)];
                    (parts.concat(), None)
                })
                .collect(),
            vmacs: vmacs
                .map(|(vmac, base)| (index(*vmac), Some(index(*base))))
                .collect(),
        }
    }

    /// Whether the table can do without being there.
    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.link_local.is_empty() && self.vmacs.is_empty()
    }

    /// Removes what is there, and makes the table unless it is empty.
    pub(super) fn replace(&self, requests: &mut Vec<Request>) {
        let table = self.table;
        // Removing fails if there is none, creating does not if there is one.
        requests.extend([table.create(), table.delete()]);
        if self.is_empty() {
            return;
        }
        requests.push(table.create());
        for (id, set) in self.sets().iter().enumerate() {
            // There are five at most.
            requests.push(table.set(set, id as u32 + 1));
        }
        for (set, elements) in self.contents() {
            let elements: Vec<_> = elements.iter().cloned().collect();
            table.add_elements(set, &elements, requests);
        }
        let hook = |number| {
            let priority = self.config.priority;
            Some(Hook { number, priority })
        };
        requests.push(table.chain("out", hook(NF_INET_LOCAL_OUT)));
        requests.push(table.chain("in", hook(NF_INET_LOCAL_IN)));
        if self.table.family == Family::Inet6 {
            requests.push(table.chain("in_link_local", None));
            requests.push(table.chain("out_link_local", None));
        }
        let rules = match self.table.family {
            Family::Inet => self.ipv4_rules(),
            Family::Inet6 => self.ipv6_rules(),
        };
        requests.extend(
            rules
                .iter()
                .map(|(chain, expressions)| table.rule(chain, expressions)),
        );
    }

    /// Adds and removes elements, where `before` is what the kernel has.
    pub(super) fn change_from(&self, before: &Self, requests: &mut Vec<Request>) {
        for ((set, after), (_, before)) in self.contents().into_iter().zip(before.contents()) {
            let gone: Vec<_> = before.difference(&after).cloned().collect();
            let come: Vec<_> = after.difference(&before).cloned().collect();
            self.table.delete_elements(set, &gone, requests);
            self.table.add_elements(set, &come, requests);
        }
    }

    fn sets(&self) -> Vec<SetKind> {
        let link = (TYPE_IFACE_INDEX, 4);
        let set = |name, key| SetKind {
            name,
            key,
            data: None,
            constant: false,
        };
        let map = SetKind {
            data: Some(link),
            ..set(VMAC_MAP, link)
        };
        match self.table.family {
            Family::Inet => vec![map, set(VIPS, (TYPE_IPV4_ADDR, 4))],
            Family::Inet6 => vec![
                map,
                set(VMAC_SET, link),
                set(VIPS, (TYPE_IPV6_ADDR, 16)),
                SetKind {
                    constant: true,
                    ..set(NEIGHBOUR_DISCOVERY, (TYPE_ICMPV6, 1))
                },
                set(
                    LINK_LOCAL_VIPS,
                    (TYPE_IPV6_ADDR << TYPE_BITS | TYPE_IFACE_INDEX, 20),
                ),
            ],
        }
    }

    /// Which elements each set has; always the same sets in the same order.
    fn contents(&self) -> Vec<(&'static str, BTreeSet<Element>)> {
        let mut contents = vec![
            (VMAC_MAP, self.vmacs.clone()),
            (VIPS, self.addresses.clone()),
        ];
        if self.table.family == Family::Inet6 {
            let keys = self.vmacs.iter().map(|(key, _)| (key.clone(), None));
            let neighbours = [NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT];
            contents.extend([
                (VMAC_SET, keys.collect()),
                (LINK_LOCAL_VIPS, self.link_local.clone()),
                (
                    NEIGHBOUR_DISCOVERY,
                    neighbours.map(|kind| (vec![kind], None)).into(),
                ),
            ]);
        }
        contents
    }

    fn ipv4_rules(&self) -> Vec<(&'static str, Vec<Expression>)> {
        let family = Family::Inet;
        let is_igmp = Expression::NetworkByteIs {
            offset: IPV4_PROTOCOL,
            value: IGMP,
        };
        vec![
            (
                "out",
                self.dropping(vec![
                    is_igmp,
                    Expression::LeavesByMacvlan,
                    Expression::DuplicateBy(family, VMAC_MAP),
                ]),
            ),
            (
                "out",
                self.dropping(vec![Expression::AddressIn(family, Side::Source, VIPS)]),
            ),
            (
                "in",
                self.dropping(vec![Expression::AddressIn(family, Side::Destination, VIPS)]),
            ),
        ]
    }

    fn ipv6_rules(&self) -> Vec<(&'static str, Vec<Expression>)> {
        let family = Family::Inet6;
        let mut rules = vec![
            (
                "out",
                self.dropping(vec![
                    Expression::Layer4Is(ICMPV6),
                    Expression::TransportByteIs(MLD2_REPORT),
                    Expression::LeavesByMacvlan,
                    Expression::DuplicateBy(family, VMAC_MAP),
                ]),
            ),
            (
                "out",
                self.dropping(vec![
                    Expression::Layer4Is(ICMPV6),
                    Expression::TransportByteIs(ROUTER_SOLICITATION),
                    Expression::LeavesByMacvlan,
                    Expression::LeavesBy(VMAC_SET),
                ]),
            ),
        ];
        let ways = [
            ("out", Side::Source, "out_link_local"),
            ("in", Side::Destination, "in_link_local"),
        ];
        for (chain, side, link_local) in ways {
            rules.extend([
                (
                    chain,
                    vec![
                        Expression::Layer4Is(ICMPV6),
                        Expression::TransportByteIn(NEIGHBOUR_DISCOVERY),
                        Expression::Verdict(Verdict::Accept),
                    ],
                ),
                (
                    chain,
                    vec![
                        Expression::IsLinkLocal(side),
                        Expression::Verdict(Verdict::Goto(link_local)),
                    ],
                ),
                (
                    chain,
                    self.dropping(vec![Expression::AddressIn(family, side, VIPS)]),
                ),
                (
                    link_local,
                    self.dropping(vec![Expression::AddressAndLinkIn(side, LINK_LOCAL_VIPS)]),
                ),
            ]);
        }
        rules
    }

    fn dropping(&self, mut expressions: Vec<Expression>) -> Vec<Expression> {
        if self.config.counters {
            expressions.push(Expression::Counter);
        }
        expressions.push(Expression::Verdict(Verdict::Drop));
        expressions
    }
}

fn is_link_local(blocked: &Blocked) -> bool {
    match blocked.address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn index(link: LinkIndex) -> Vec<u8> {
    link.number().to_ne_bytes().to_vec()
}
