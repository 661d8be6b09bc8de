//! Routes: what is wished, what the kernel has, and the requests.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Rta, Rtm};
use serde::{Deserialize, Serialize};

use crate::codec::{Attribute, Message, ParseError, Writer};
use crate::family::Family;
use crate::name::LinkIndex;
use crate::netlink::Request;
use crate::route_metrics::RouteMetrics;
use crate::scope::Scope;

/// Size of `struct rtmsg` and of `struct rtnexthop`.
const RTMSG: usize = 12;
const RTNEXTHOP: usize = 8;

/// `RTNH_F_ONLINK` of `linux/rtnetlink.h`.
const ON_LINK: u8 = 4;

/// The table that lookups use unless a rule says otherwise: `main`.
pub const TABLE_MAIN: u32 = libc::RT_TABLE_MAIN as u32;

/// The table of the kernel's own routes to local and broadcast addresses: `local`.
pub const TABLE_LOCAL: u32 = libc::RT_TABLE_LOCAL as u32;

/// The routing protocol number of keepalived, which lvskit uses too: 18.
pub const PROTOCOL_KEEPALIVED: u8 = 18;

/// The protocol number of routes that an administrator has set by hand: 3, `boot`.
pub const PROTOCOL_BOOT: u8 = libc::RTPROT_BOOT;

/// A route as it shall be, or is.
///
/// [`Route::new`] gives the defaults; the fields say what else there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Route {
    /// To where: `0.0.0.0/0` and `::/0` are the default routes. Bits behind the prefix are zero.
    pub destination: IpNet,
    /// What happens to packets. Default unicast.
    pub kind: RouteKind,
    /// Only packets from there. IPv6. keepalived: `from`.
    pub source: Option<Ipv6Net>,
    /// Our address for packets that have none yet. keepalived: `src`.
    pub preferred_source: Option<IpAddr>,
    /// Where packets go: one hop, or several by weight; none for kinds that drop.
    pub hops: Vec<NextHop>,
    /// Which table, 1 and above. Default [`TABLE_MAIN`].
    pub table: u32,
    /// The smaller is preferred. Default `None`: 0 in IPv4, 1024 in IPv6, as the kernel has it.
    pub metric: Option<u32>,
    /// How far away the target is. IPv4. Default `None`: host for local kinds, link without
    /// gateway, else global, as `ip route` has it.
    pub scope: Option<Scope>,
    /// Type of service that packets must have. IPv4. Default 0: any.
    pub tos: u8,
    /// Who set it. Default [`PROTOCOL_KEEPALIVED`].
    pub protocol: u8,
    /// MTU, congestion window and the like.
    pub metrics: RouteMetrics,
    /// Preference among routers. IPv6. keepalived: `pref`.
    pub preference: Option<RouterPreference>,
    /// How long it lasts. IPv6. Default for ever. keepalived: `expires`.
    pub expires: Option<Duration>,
    /// Realms for classification, from in the upper 16 bits and to in the lower. IPv4.
    pub realms: Option<u32>,
}

/// What a route does with packets. Source: `RTN_*` of `linux/rtnetlink.h`, `TYPE` in `ip route`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RouteKind {
    /// Forwards them.
    #[default]
    Unicast,
    /// Takes them in.
    Local,
    /// Takes them in, and sends them as broadcasts.
    Broadcast,
    /// Takes them in. IPv6.
    Anycast,
    /// Multicast.
    Multicast,
    /// Drops them.
    Blackhole,
    /// Drops them and says that the host is unreachable.
    Unreachable,
    /// Drops them and says that it is forbidden.
    Prohibit,
    /// Goes on with the next rule.
    Throw,
    /// Another number.
    Other(u8),
}

impl RouteKind {
    const NUMBERS: [(Self, u8, &'static str); 9] = [
        (Self::Unicast, libc::RTN_UNICAST, "unicast"),
        (Self::Local, libc::RTN_LOCAL, "local"),
        (Self::Broadcast, libc::RTN_BROADCAST, "broadcast"),
        (Self::Anycast, libc::RTN_ANYCAST, "anycast"),
        (Self::Multicast, libc::RTN_MULTICAST, "multicast"),
        (Self::Blackhole, libc::RTN_BLACKHOLE, "blackhole"),
        (Self::Unreachable, libc::RTN_UNREACHABLE, "unreachable"),
        (Self::Prohibit, libc::RTN_PROHIBIT, "prohibit"),
        (Self::Throw, libc::RTN_THROW, "throw"),
    ];

    fn from_number(number: u8) -> Self {
        let known = Self::NUMBERS.iter().find(|row| row.1 == number);
        known.map_or(Self::Other(number), |row| row.0)
    }

    fn number(self) -> u8 {
        match self {
            Self::Other(number) => number,
            known => Self::NUMBERS
                .iter()
                .find(|row| row.0 == known)
                .map_or(libc::RTN_UNSPEC, |row| row.1),
        }
    }
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NUMBERS.iter().find(|row| row.0 == *self) {
            Some(row) => f.write_str(row.2),
            None => self.number().fmt(f),
        }
    }
}

/// One way that a route's packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NextHop {
    /// The router; `None` if the destination is on the link. An IPv4 route may have an IPv6 one.
    /// keepalived: `via`.
    pub via: Option<IpAddr>,
    /// The interface; `None` leaves it to the router's address. keepalived: `dev`.
    pub link: Option<LinkIndex>,
    /// Its share among several, 1 to 256. Default 1.
    pub weight: u16,
    /// The router is on the link even if no address says so. keepalived: `onlink`.
    pub on_link: bool,
}

impl NextHop {
    /// Through a router, a direct interface, or both.
    pub fn new(via: Option<IpAddr>, link: Option<LinkIndex>) -> Self {
        Self {
            via,
            link,
            weight: 1,
            on_link: false,
        }
    }
}

/// How much a router is wanted among others. Source: RFC 4191 section 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RouterPreference {
    /// Less.
    Low,
    /// As usual.
    Medium,
    /// More.
    High,
}

/// Where a new route stands among those to the same destination. Source: keepalived's `add`,
/// `prepend`, `append`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Placement {
    /// There must be none of the same destination, metric and type of service.
    Add,
    /// Before them. The default.
    #[default]
    Prepend,
    /// Behind them.
    Append,
    /// In the place of the first of them.
    Replace,
}

impl Placement {
    fn flags(self) -> NlmF {
        NlmF::CREATE
            | match self {
                Self::Add => NlmF::EXCL,
                Self::Prepend => NlmF::empty(),
                Self::Append => NlmF::APPEND,
                Self::Replace => NlmF::REPLACE,
            }
    }
}

impl Route {
    /// A unicast route in the main table by one hop.
    pub fn new(destination: IpNet, hop: NextHop) -> Self {
        Self {
            hops: vec![hop],
            ..Self::without_hop(destination, RouteKind::Unicast)
        }
    }

    /// A route that leads nowhere, such as a blackhole.
    pub fn without_hop(destination: IpNet, kind: RouteKind) -> Self {
        Self {
            destination: destination.trunc(),
            kind,
            source: None,
            preferred_source: None,
            hops: Vec::new(),
            table: TABLE_MAIN,
            metric: None,
            scope: None,
            tos: 0,
            protocol: PROTOCOL_KEEPALIVED,
            metrics: RouteMetrics::default(),
            preference: None,
            expires: None,
            realms: None,
        }
    }

    /// IPv4 or IPv6.
    pub fn family(&self) -> Family {
        Family::of(self.destination.addr())
    }

    /// Whether `found`, which the kernel gave, is this route: all that tells routes apart, and the
    /// hops. What the kernel fills in where we leave it to it does not count.
    pub fn matches(&self, found: &Self) -> bool {
        let hop_matches = |wished: &NextHop, found: &NextHop| {
            wished.via == found.via
                && (wished.link.is_none() || wished.link == found.link)
                && wished.weight == found.weight
        };
        // Dropping routes of IPv6 hang on the loopback interface.
        let hops_match = self.hops.is_empty()
            || self.hops.len() == found.hops.len()
                && self
                    .hops
                    .iter()
                    .all(|hop| found.hops.iter().any(|other| hop_matches(hop, other)));
        self.destination == found.destination
            && self.kind == found.kind
            && self.source == found.source
            && self.table == found.table
            && self.effective_metric() == found.effective_metric()
            && self.tos == found.tos
            && self.protocol == found.protocol
            && (self.preferred_source.is_none() || self.preferred_source == found.preferred_source)
            && hops_match
    }

    fn effective_metric(&self) -> u32 {
        match (self.metric, self.family()) {
            (Some(metric), _) => metric,
            (None, Family::Inet) => 0,
            (None, Family::Inet6) => 1024,
        }
    }

    fn effective_scope(&self) -> Scope {
        let default = match (self.family(), self.kind) {
            (Family::Inet6, _) => Scope::GLOBAL,
            (_, RouteKind::Local) => Scope::HOST,
            (_, RouteKind::Broadcast | RouteKind::Multicast | RouteKind::Anycast) => Scope::LINK,
            (_, RouteKind::Unicast) if self.hops.iter().all(|hop| hop.via.is_none()) => Scope::LINK,
            _ => Scope::GLOBAL,
        };
        self.scope.unwrap_or(default)
    }

    /// Reads a route; `None` for other families and for entries of the cache.
    pub(crate) fn read(message: &Message<'_>) -> Result<Option<Self>, ParseError> {
        let (fixed, attributes) = message.split::<RTMSG>()?;
        let Some(family) = Family::from_number(fixed.u8::<0>()) else {
            return Ok(None);
        };
        let flags = fixed.u32::<8>();
        if flags & libc::RTM_F_CLONED != 0 {
            return Ok(None);
        }
        let any = match family {
            Family::Inet => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Family::Inet6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let net = |field, address, prefix: u8| {
            IpNet::new(address, prefix).map_err(|_| ParseError::Value {
                field,
                value: prefix.into(),
            })
        };
        let mut route = Self::without_hop(
            net("rtm_dst_len", any, fixed.u8::<1>())?,
            RouteKind::from_number(fixed.u8::<7>()),
        );
        let source_length = fixed.u8::<2>();
        route.tos = fixed.u8::<3>();
        route.table = fixed.u8::<4>().into();
        route.protocol = fixed.u8::<5>();
        route.scope = Some(Scope(fixed.u8::<6>()));
        let mut single = NextHop::new(None, None);
        single.on_link = has_on_link(flags);
        for attribute in attributes {
            let attribute = attribute?;
            match Rta::from(attribute.kind) {
                Rta::Dst => {
                    let address = attribute.address(family)?;
                    route.destination = net("rtm_dst_len", address, fixed.u8::<1>())?.trunc();
                }
                Rta::Src => {
                    let source = net("rtm_src_len", attribute.address(family)?, source_length)?;
                    if let IpNet::V6(source) = source {
                        route.source = Some(source.trunc());
                    }
                }
                Rta::Prefsrc => route.preferred_source = Some(attribute.address(family)?),
                Rta::Table => route.table = attribute.u32()?,
                Rta::Priority => route.metric = Some(attribute.u32()?),
                Rta::Flow => route.realms = Some(attribute.u32()?),
                Rta::Metrics => route.metrics = RouteMetrics::read(&attribute)?,
                Rta::Pref => route.preference = preference(attribute.u8()?),
                Rta::Multipath => route.hops = read_hops(&attribute, family)?,
                _ => read_hop_part(&attribute, family, &mut single)?,
            }
        }
        // One that says neither is none.
        route
            .hops
            .retain(|hop| hop.via.is_some() || hop.link.is_some());
        if route.hops.is_empty() && (single.via.is_some() || single.link.is_some()) {
            route.hops.push(single);
        }
        Ok(Some(route))
    }

    fn write(&self, writer: &mut Writer<'_>) {
        let low_table = u8::try_from(self.table).unwrap_or(libc::RT_TABLE_COMPAT);
        let flags: u32 = match self.hops.as_slice() {
            [hop] if hop.on_link => ON_LINK.into(),
            _ => 0,
        };
        writer.raw(&[
            self.family().number(),
            self.destination.prefix_len(),
            self.source.map_or(0, |source| source.prefix_len()),
            self.tos,
            low_table,
            self.protocol,
            self.effective_scope().0,
            self.kind.number(),
        ]);
        writer.raw(&flags.to_ne_bytes());
        writer.address(Rta::Dst.into(), self.destination.addr());
        if let Some(source) = self.source {
            writer.address(Rta::Src.into(), source.addr().into());
        }
        if let Some(source) = self.preferred_source {
            writer.address(Rta::Prefsrc.into(), source);
        }
        writer.u32(Rta::Table.into(), self.table);
        if let Some(metric) = self.metric {
            writer.u32(Rta::Priority.into(), metric);
        }
        if let Some(realms) = self.realms {
            writer.u32(Rta::Flow.into(), realms);
        }
        if let Some(preference) = self.preference {
            let number = match preference {
                RouterPreference::Low => 3,
                RouterPreference::Medium => 0,
                RouterPreference::High => 1,
            };
            writer.u8(Rta::Pref.into(), number);
        }
        if let Some(expires) = self.expires {
            let seconds = u32::try_from(expires.as_secs()).unwrap_or(u32::MAX);
            writer.u32(Rta::Expires.into(), seconds);
        }
        self.metrics.write(writer);
        match self.hops.as_slice() {
            [] => {}
            [hop] if hop.weight == 1 => write_hop_parts(writer, self.family(), hop, true),
            hops => writer.plain_nest(Rta::Multipath.into(), |writer| {
                for hop in hops {
                    write_hop(writer, self.family(), hop);
                }
            }),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != RouteKind::Unicast {
            write!(f, "{} ", self.kind)?;
        }
        self.destination.fmt(f)?;
        if let Some(source) = self.source {
            write!(f, " from {source}")?;
        }
        for hop in &self.hops {
            if self.hops.len() > 1 {
                f.write_str(" nexthop")?;
            }
            if let Some(via) = hop.via {
                write!(f, " via {via}")?;
            }
            if let Some(link) = hop.link {
                write!(f, " on interface {link}")?;
            }
            if self.hops.len() > 1 {
                write!(f, " weight {}", hop.weight)?;
            }
        }
        if let Some(source) = self.preferred_source {
            write!(f, " src {source}")?;
        }
        if self.table != TABLE_MAIN {
            write!(f, " table {}", self.table)?;
        }
        if let Some(metric) = self.metric {
            write!(f, " metric {metric}")?;
        }
        Ok(())
    }
}

fn preference(number: u8) -> Option<RouterPreference> {
    match number {
        0 => Some(RouterPreference::Medium),
        1 => Some(RouterPreference::High),
        3 => Some(RouterPreference::Low),
        _ => None,
    }
}

fn has_on_link(flags: u32) -> bool {
    flags & u32::from(ON_LINK) != 0
}

/// Reads what belongs to a hop, whether it stands alone or among several.
fn read_hop_part(
    attribute: &Attribute<'_>,
    family: Family,
    hop: &mut NextHop,
) -> Result<(), ParseError> {
    match Rta::from(attribute.kind) {
        Rta::Oif => hop.link = LinkIndex::new(attribute.u32()?),
        Rta::Gateway => hop.via = Some(attribute.address(family)?),
        Rta::Via => {
            // struct rtvia: a family in 16 bits, then the address.
            let [low, high] = attribute.array::<2>()?;
            let number = u8::try_from(u16::from_ne_bytes([low, high])).unwrap_or(0);
            if let Some(family) = Family::from_number(number) {
                let address = Attribute {
                    kind: attribute.kind,
                    payload: attribute.payload.get(2..).unwrap_or_default(),
                };
                hop.via = Some(address.address(family)?);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Reads the `struct rtnexthop` of a multipath route: length, flags, weight less one, interface,
/// then attributes.
fn read_hops(attribute: &Attribute<'_>, family: Family) -> Result<Vec<NextHop>, ParseError> {
    let mut rest = attribute.payload;
    let mut hops = Vec::new();
    while let Some(header) = rest.first_chunk::<RTNEXTHOP>() {
        let [l0, l1, flags, weight, i0, i1, i2, i3] = *header;
        let length = u16::from_ne_bytes([l0, l1]);
        let wrong = ParseError::AttributeLength {
            length,
            available: rest.len(),
        };
        let mut hop = NextHop::new(None, LinkIndex::new(u32::from_ne_bytes([i0, i1, i2, i3])));
        hop.weight = u16::from(weight) + 1;
        hop.on_link = has_on_link(flags.into());
        let end = usize::from(length);
        let attributes = rest.get(RTNEXTHOP..end).ok_or(wrong)?;
        for attribute in crate::codec::Attributes::new(attributes) {
            read_hop_part(&attribute?, family, &mut hop)?;
        }
        hops.push(hop);
        rest = rest.get(crate::codec::align(end)..).unwrap_or_default();
    }
    Ok(hops)
}

fn write_hop(writer: &mut Writer<'_>, family: Family, hop: &NextHop) {
    writer.sized(|writer| {
        let flags = if hop.on_link { ON_LINK } else { 0 };
        let weight = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
        writer.raw(&[flags, weight]);
        writer.raw(&hop.link.map_or(0, LinkIndex::number).to_ne_bytes());
        write_hop_parts(writer, family, hop, false);
    });
}

fn write_hop_parts(writer: &mut Writer<'_>, family: Family, hop: &NextHop, with_link: bool) {
    match hop.via {
        Some(via) if Family::of(via) == family => writer.address(Rta::Gateway.into(), via),
        Some(via) => {
            let mut bytes = u16::from(Family::of(via).number()).to_ne_bytes().to_vec();
            bytes.extend_from_slice(&crate::codec::address_bytes(via));
            writer.attribute(Rta::Via.into(), &bytes);
        }
        None => {}
    }
    if let (Some(link), true) = (hop.link, with_link) {
        writer.u32(Rta::Oif.into(), link.number());
    }
}

/// Which routes to list. The kernel leaves out the others; what it does not know to leave out, we
/// do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RouteFilter {
    /// Only of this protocol.
    pub protocol: Option<u8>,
    /// Only of this table.
    pub table: Option<u32>,
}

impl RouteFilter {
    /// Whether `route` passes.
    pub fn admits(&self, route: &Route) -> bool {
        self.protocol
            .is_none_or(|protocol| protocol == route.protocol)
            && self.table.is_none_or(|table| table == route.table)
    }
}

/// Asks for the routes of one family.
pub(crate) fn list(family: Family, filter: RouteFilter) -> Request {
    let action = format!("list {family} routes");
    Request::new(action, Rtm::Getroute, NlmF::empty(), |writer| {
        let protocol = filter.protocol.unwrap_or(0);
        writer.raw(&[family.number(), 0, 0, 0, 0, protocol, 0, 0, 0, 0, 0, 0]);
        if let Some(table) = filter.table {
            writer.u32(Rta::Table.into(), table);
        }
    })
}

/// Adds a route.
pub(crate) fn add(route: &Route, placement: Placement) -> Request {
    let action = format!("add route {route}");
    Request::new(action, Rtm::Newroute, placement.flags(), |writer| {
        route.write(writer)
    })
}

/// Removes a route.
pub(crate) fn delete(route: &Route) -> Request {
    let action = format!("remove route {route}");
    Request::new(action, Rtm::Delroute, NlmF::empty(), |writer| {
        // Neither tells routes apart.
        let mut route = route.clone();
        route.metrics = RouteMetrics::default();
        route.expires = None;
        route.write(writer);
    })
}

/// The address family's whole range, for default routes.
pub fn default_net(family: Family) -> IpNet {
    match family {
        Family::Inet => Ipv4Net::default().into(),
        Family::Inet6 => Ipv6Net::default().into(),
    }
}
