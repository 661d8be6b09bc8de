//! Policy rules: which routing table which packets use.

use std::fmt;

use ipnet::IpNet;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{FrAct, Frattr, Frf, Rtm};
use serde::{Deserialize, Serialize};

use crate::codec::{Attribute, Message, ParseError, Writer};
use crate::family::Family;
use crate::name::LinkName;
use crate::netlink::Request;
use crate::route::{PROTOCOL_KEEPALIVED, TABLE_MAIN};

/// Size of `struct fib_rule_hdr`.
const FIB_RULE_HEADER: usize = 12;

/// What a rule does with packets that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RuleAction {
    /// Looks the route up in this table.
    Table(u32),
    /// Goes on at the rule with this priority, which is larger than its own.
    Goto(u32),
    /// Nothing.
    Nop,
    /// Drops them.
    Blackhole,
    /// Drops them and says that the network is unreachable.
    Unreachable,
    /// Drops them and says that it is forbidden.
    Prohibit,
    /// Looks the route up in the table of the packet's VRF. keepalived: `l3mdev`.
    L3Master,
}

/// A rule as it shall be, or is.
///
/// [`Rule::new`] matches everything; the fields narrow it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// IPv4 or IPv6.
    pub family: Family,
    /// What it does.
    pub action: RuleAction,
    /// Where it stands: the smallest is asked first. Default `None`: the kernel takes one below
    /// the smallest there is, but for that at 0. keepalived: `preference`.
    pub priority: Option<u32>,
    /// Match what does not match. keepalived: `not`.
    pub invert: bool,
    /// Source network. keepalived: `from`.
    pub from: Option<IpNet>,
    /// Destination network. keepalived: `to`.
    pub to: Option<IpNet>,
    /// Type of service; 0 is any.
    pub tos: u8,
    /// Mark, and which of its bits count.
    pub mark: Option<(u32, u32)>,
    /// Interface by which the packet came; `lo` for our own. keepalived: `iif`.
    pub incoming: Option<LinkName>,
    /// Interface to which the sending socket is bound. keepalived: `oif`.
    pub outgoing: Option<LinkName>,
    /// IP protocol. keepalived: `ipproto`.
    pub ip_protocol: Option<u8>,
    /// Source ports. keepalived: `sport`.
    pub source_ports: Option<(u16, u16)>,
    /// Destination ports. keepalived: `dport`.
    pub destination_ports: Option<(u16, u16)>,
    /// Owners of the sending socket. keepalived: `uidrange`.
    pub users: Option<(u32, u32)>,
    /// Tunnel that the packet came out of. keepalived: `tunnel-id`.
    pub tunnel: Option<u64>,
    /// Refuse routes with prefixes of this length and shorter. keepalived: `suppress_prefixlength`.
    pub suppress_prefix_length: Option<u32>,
    /// Refuse routes by interfaces of this group. keepalived: `suppress_ifgroup`.
    pub suppress_group: Option<u32>,
    /// Realms, from in the upper 16 bits and to in the lower. IPv4.
    pub realms: Option<u32>,
    /// Who set it. Default [`PROTOCOL_KEEPALIVED`].
    pub protocol: u8,
}

impl Rule {
    /// A rule for all packets of a family.
    pub fn new(family: Family, action: RuleAction) -> Self {
        Self {
            family,
            action,
            priority: None,
            invert: false,
            from: None,
            to: None,
            tos: 0,
            mark: None,
            incoming: None,
            outgoing: None,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            users: None,
            tunnel: None,
            suppress_prefix_length: None,
            suppress_group: None,
            realms: None,
            protocol: PROTOCOL_KEEPALIVED,
        }
    }

    /// Whether `found`, which the kernel gave, is this rule, wherever it stands if we leave that
    /// to the kernel.
    pub fn matches(&self, found: &Self) -> bool {
        let mut found = found.clone();
        if self.priority.is_none() {
            found.priority = None;
        }
        *self == found
    }

    /// Reads a rule; `None` for other families and for actions that we do not know.
    pub(crate) fn read(message: &Message<'_>) -> Result<Option<Self>, ParseError> {
        let (fixed, attributes) = message.split::<FIB_RULE_HEADER>()?;
        let Some(family) = Family::from_number(fixed.u8::<0>()) else {
            return Ok(None);
        };
        let (to_length, from_length) = (fixed.u8::<1>(), fixed.u8::<2>());
        let mut table = u32::from(fixed.u8::<4>());
        let mut target = 0;
        let mut l3_master = false;
        let mut rule = Self::new(family, RuleAction::Nop);
        rule.tos = fixed.u8::<3>();
        rule.invert = fixed.u32::<8>() & Frf::INVERT.bits() != 0;
        rule.protocol = 0;
        // The kernel leaves out what is 0.
        rule.priority = Some(0);
        for attribute in attributes {
            let attribute = attribute?;
            match Frattr::from(attribute.kind) {
                Frattr::Dst => rule.to = Some(net(&attribute, family, to_length)?),
                Frattr::Src => rule.from = Some(net(&attribute, family, from_length)?),
                Frattr::Table => table = attribute.u32()?,
                Frattr::Goto => target = attribute.u32()?,
                Frattr::Priority => rule.priority = Some(attribute.u32()?),
                Frattr::Fwmark => {
                    let mask = rule.mark.map_or(u32::MAX, |mark| mark.1);
                    rule.mark = Some((attribute.u32()?, mask));
                }
                Frattr::Fwmask => {
                    let mark = rule.mark.map_or(0, |mark| mark.0);
                    rule.mark = Some((mark, attribute.u32()?));
                }
                Frattr::Iifname => rule.incoming = attribute.text().parse().ok(),
                Frattr::Oifname => rule.outgoing = attribute.text().parse().ok(),
                Frattr::IpProto => rule.ip_protocol = Some(attribute.u8()?),
                Frattr::SportRange => rule.source_ports = Some(port_range(&attribute)?),
                Frattr::DportRange => rule.destination_ports = Some(port_range(&attribute)?),
                Frattr::UidRange => {
                    let [a, b, c, d, e, f, g, h] = attribute.array()?;
                    rule.users = Some((
                        u32::from_ne_bytes([a, b, c, d]),
                        u32::from_ne_bytes([e, f, g, h]),
                    ));
                }
                Frattr::TunId => rule.tunnel = Some(u64::from_be_bytes(attribute.array()?)),
                Frattr::SuppressPrefixlen => rule.suppress_prefix_length = set(attribute.u32()?),
                Frattr::SuppressIfgroup => rule.suppress_group = set(attribute.u32()?),
                Frattr::Flow => rule.realms = Some(attribute.u32()?),
                Frattr::Protocol => rule.protocol = attribute.u8()?,
                Frattr::L3mdev => l3_master = attribute.u8()? != 0,
                _ => {}
            }
        }
        rule.action = match FrAct::from(fixed.u8::<7>()) {
            FrAct::FrActToTbl if l3_master => RuleAction::L3Master,
            FrAct::FrActToTbl => RuleAction::Table(table),
            FrAct::FrActGoto => RuleAction::Goto(target),
            FrAct::FrActNop => RuleAction::Nop,
            FrAct::FrActBlackhole => RuleAction::Blackhole,
            FrAct::FrActUnreachable => RuleAction::Unreachable,
            FrAct::FrActProhibit => RuleAction::Prohibit,
            _ => return Ok(None),
        };
        Ok(Some(rule))
    }

    fn write(&self, writer: &mut Writer<'_>) {
        let (action, table) = match self.action {
            RuleAction::Table(table) => (FrAct::FrActToTbl, table),
            RuleAction::L3Master => (FrAct::FrActToTbl, 0),
            RuleAction::Goto(_) => (FrAct::FrActGoto, 0),
            RuleAction::Nop => (FrAct::FrActNop, 0),
            RuleAction::Blackhole => (FrAct::FrActBlackhole, 0),
            RuleAction::Unreachable => (FrAct::FrActUnreachable, 0),
            RuleAction::Prohibit => (FrAct::FrActProhibit, 0),
        };
        let flags = if self.invert { Frf::INVERT.bits() } else { 0 };
        writer.raw(&[
            self.family.number(),
            self.to.map_or(0, |net| net.prefix_len()),
            self.from.map_or(0, |net| net.prefix_len()),
            self.tos,
            u8::try_from(table).unwrap_or(libc::RT_TABLE_UNSPEC),
            0,
            0,
            action.into(),
        ]);
        writer.raw(&flags.to_ne_bytes());
        let mut number = |kind: Frattr, value: Option<u32>| {
            if let Some(value) = value {
                writer.u32(kind.into(), value);
            }
        };
        number(Frattr::Priority, self.priority);
        number(Frattr::Table, (table != 0).then_some(table));
        number(Frattr::Fwmark, self.mark.map(|mark| mark.0));
        number(Frattr::Fwmask, self.mark.map(|mark| mark.1));
        number(Frattr::SuppressPrefixlen, self.suppress_prefix_length);
        number(Frattr::SuppressIfgroup, self.suppress_group);
        number(Frattr::Flow, self.realms);
        if let RuleAction::Goto(target) = self.action {
            number(Frattr::Goto, Some(target));
        }
        if self.action == RuleAction::L3Master {
            writer.u8(Frattr::L3mdev.into(), 1);
        }
        for (kind, net) in [(Frattr::Dst, self.to), (Frattr::Src, self.from)] {
            if let Some(net) = net {
                writer.address(kind.into(), net.network());
            }
        }
        let links = [
            (Frattr::Iifname, &self.incoming),
            (Frattr::Oifname, &self.outgoing),
        ];
        for (kind, name) in links {
            if let Some(name) = name {
                writer.text(kind.into(), name.as_str());
            }
        }
        if let Some(protocol) = self.ip_protocol {
            writer.u8(Frattr::IpProto.into(), protocol);
        }
        let ports = [
            (Frattr::SportRange, self.source_ports),
            (Frattr::DportRange, self.destination_ports),
        ];
        for (kind, range) in ports {
            if let Some((first, last)) = range {
                let bytes = [first.to_ne_bytes(), last.to_ne_bytes()].concat();
                writer.attribute(kind.into(), &bytes);
            }
        }
        if let Some((first, last)) = self.users {
            let bytes = [first.to_ne_bytes(), last.to_ne_bytes()].concat();
            writer.attribute(Frattr::UidRange.into(), &bytes);
        }
        if let Some(tunnel) = self.tunnel {
            writer.attribute(Frattr::TunId.into(), &tunnel.to_be_bytes());
        }
        writer.u8(Frattr::Protocol.into(), self.protocol);
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(priority) = self.priority {
            write!(f, "{priority}: ")?;
        }
        if self.invert {
            f.write_str("not ")?;
        }
        match self.from {
            Some(from) => write!(f, "from {from}")?,
            None => f.write_str("from all")?,
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        if let Some((mark, mask)) = self.mark {
            write!(f, " fwmark {mark:#x}/{mask:#x}")?;
        }
        if let Some(name) = &self.incoming {
            write!(f, " iif {name}")?;
        }
        if let Some(name) = &self.outgoing {
            write!(f, " oif {name}")?;
        }
        match self.action {
            RuleAction::Table(TABLE_MAIN) => f.write_str(" lookup main"),
            RuleAction::Table(table) => write!(f, " lookup {table}"),
            RuleAction::Goto(target) => write!(f, " goto {target}"),
            RuleAction::Nop => f.write_str(" nop"),
            RuleAction::Blackhole => f.write_str(" blackhole"),
            RuleAction::Unreachable => f.write_str(" unreachable"),
            RuleAction::Prohibit => f.write_str(" prohibit"),
            RuleAction::L3Master => f.write_str(" lookup l3mdev"),
        }
    }
}

fn net(attribute: &Attribute<'_>, family: Family, prefix: u8) -> Result<IpNet, ParseError> {
    let net = IpNet::new(attribute.address(family)?, prefix);
    net.map(|net| net.trunc()).map_err(|_| ParseError::Value {
        field: "prefix length of a rule",
        value: prefix.into(),
    })
}

fn port_range(attribute: &Attribute<'_>) -> Result<(u16, u16), ParseError> {
    let [a, b, c, d] = attribute.array()?;
    Ok((u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])))
}

/// The kernel shows all bits set for "none".
fn set(value: u32) -> Option<u32> {
    (value != u32::MAX).then_some(value)
}

/// Asks for the rules of one family.
pub(crate) fn list(family: Family) -> Request {
    let action = format!("list {family} rules");
    Request::new(action, Rtm::Getrule, NlmF::empty(), |writer| {
        writer.raw(&[family.number(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    })
}

/// Adds a rule, if there is none that is the same.
pub(crate) fn add(rule: &Rule) -> Request {
    let flags = NlmF::CREATE | NlmF::EXCL;
    Request::new(format!("add rule {rule}"), Rtm::Newrule, flags, |writer| {
        rule.write(writer)
    })
}

/// Removes a rule.
pub(crate) fn delete(rule: &Rule) -> Request {
    let action = format!("remove rule {rule}");
    Request::new(action, Rtm::Delrule, NlmF::empty(), |writer| {
        rule.write(writer)
    })
}
