//! IP addresses of interfaces: what is wished, what the kernel has, and the requests.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Ifa, Rtm};
use serde::{Deserialize, Serialize};

use crate::codec::{Attribute, Message, ParseError, Writer};
use crate::family::Family;
use crate::name::LinkIndex;
use crate::netlink::Request;
use crate::scope::Scope;

/// Size of `struct ifaddrmsg`.
const IFADDRMSG: usize = 8;

/// `IFA_PROTO` and flags that neli's 8-bit type cannot hold, of `linux/if_addr.h`.
const IFA_PROTO: u16 = 11;
const MANAGE_TEMPORARY: u32 = 0x100;
const NO_PREFIX_ROUTE: u32 = 0x200;
const AUTO_JOIN: u32 = 0x400;

/// The largest lifetime in seconds means for ever.
const FOREVER: u32 = u32::MAX;

/// An address as it shall be on an interface.
///
/// [`Address::new`] gives the kernel's defaults; the fields say what else there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The address with the length of its prefix; with a [`peer`](Self::peer) the length is unused.
    pub net: IpNet,
    /// The other end of a point-to-point link. keepalived: `peer`.
    pub peer: Option<IpNet>,
    /// Name for `ifconfig`, which must begin with that of the interface to be seen there: at most
    /// 15 bytes, longer ones are refused by the kernel. IPv4 only, left out otherwise. keepalived:
    /// `label`.
    pub label: Option<String>,
    /// Where the address is valid. IPv4 only; IPv6 addresses tell their scope themselves. Default
    /// global, or host for 127.0.0.0/8. keepalived: `scope`.
    pub scope: Scope,
    /// Broadcast address. IPv4 only; default none. keepalived: `brd`.
    pub broadcast: Option<Ipv4Addr>,
    /// How long the address is used for new connections; zero makes it deprecated: valid, but not
    /// chosen as a source. Default for ever. keepalived: `preferred_lft`.
    pub preferred: Lifetime,
    /// How long the address exists; never shorter than [`preferred`](Self::preferred). Default for ever.
    pub valid: Lifetime,
    /// The kinds of special treatment.
    pub options: AddressOptions,
    /// Who set it, as shown by `ip address` (`IFA_PROTO`): 0 for nobody, the default; keepalived
    /// uses 18. Kernels before 5.18 forget it.
    pub protocol: u8,
}

/// Special treatment of an address. All off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressOptions {
    /// Skip duplicate address detection: usable at once. IPv6; keepalived sets it unless `-nodad`.
    pub no_duplicate_detection: bool,
    /// The home address of mobile IPv6. keepalived: `home`.
    pub home: bool,
    /// Make no route to the prefix. keepalived: `noprefixroute`.
    pub no_prefix_route: bool,
    /// A template for temporary addresses. IPv6. keepalived: `mngtmpaddr`.
    pub manage_temporary: bool,
    /// Join the multicast group that the address is. keepalived: `autojoin`.
    pub auto_join: bool,
}

/// How long something lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lifetime {
    /// Without end.
    #[default]
    Forever,
    /// For that long; whole seconds, rounded down, and at most 4,294,967,294 of them.
    For(Duration),
}

impl Lifetime {
    fn seconds(self) -> u32 {
        match self {
            Self::Forever => FOREVER,
            Self::For(span) => u32::try_from(span.as_secs())
                .map_or(FOREVER - 1, |seconds| seconds.min(FOREVER - 1)),
        }
    }

    fn from_seconds(seconds: u32) -> Self {
        match seconds {
            FOREVER => Self::Forever,
            seconds => Self::For(Duration::from_secs(seconds.into())),
        }
    }
}

impl Address {
    /// `net` with the kernel's defaults.
    pub fn new(net: IpNet) -> Self {
        Self {
            net,
            peer: None,
            label: None,
            scope: match net.addr() {
                IpAddr::V4(address) if address.is_loopback() => Scope::HOST,
                _ => Scope::GLOBAL,
            },
            broadcast: None,
            preferred: Lifetime::Forever,
            valid: Lifetime::Forever,
            options: AddressOptions::default(),
            protocol: 0,
        }
    }

    /// The address alone.
    pub fn ip(&self) -> IpAddr {
        self.net.addr()
    }

    /// What the kernel tells addresses of an interface apart by: address and prefix in IPv4,
    /// where the other end's prefix counts on a point-to-point link; the address alone in IPv6.
    pub fn same_as(&self, other: &Self) -> bool {
        match self.ip() {
            IpAddr::V4(_) => {
                self.ip() == other.ip() && self.far_net().trunc() == other.far_net().trunc()
            }
            IpAddr::V6(_) => self.ip() == other.ip(),
        }
    }

    /// Whether `other`, which is the same address, equals us in what only removing and adding can
    /// change: label, scope, broadcast and options in IPv4, the prefix in IPv6, the peer.
    fn fixed_parts_match(&self, other: &Self, default_label: &str) -> bool {
        let label = |address: &Self| {
            let label = address.label.clone();
            label.unwrap_or_else(|| default_label.to_owned())
        };
        let of_family = match self.ip() {
            IpAddr::V4(_) => {
                label(self) == label(other)
                    && self.scope == other.scope
                    && self.broadcast == other.broadcast
                    && self.lasting_flags() == other.lasting_flags()
            }
            IpAddr::V6(_) => self.net == other.net,
        };
        of_family && self.peer.map(|peer| peer.addr()) == other.peer.map(|peer| peer.addr())
    }

    /// The flags that mean something once the address is there.
    fn lasting_flags(&self) -> u32 {
        self.flags() & !libc::IFA_F_NODAD
    }

    /// What the prefix length belongs to: the peer's network, or our own.
    fn far_net(&self) -> IpNet {
        self.peer.unwrap_or(self.net)
    }

    fn flags(&self) -> u32 {
        let options = self.options;
        [
            (options.no_duplicate_detection, libc::IFA_F_NODAD),
            (options.home, libc::IFA_F_HOMEADDRESS),
            (options.no_prefix_route, NO_PREFIX_ROUTE),
            (options.manage_temporary, MANAGE_TEMPORARY),
            (options.auto_join, AUTO_JOIN),
        ]
        .into_iter()
        .filter(|(on, _)| *on)
        .fold(0, |flags, (_, flag)| flags | flag)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            None => self.net.fmt(f),
            Some(peer) => write!(f, "{} peer {peer}", self.ip()),
        }
    }
}

/// An address that an interface has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressEntry {
    /// The interface.
    pub link: LinkIndex,
    /// The address. The kernel's remaining lifetimes stand in it.
    pub address: Address,
    /// What the kernel says about it.
    pub state: AddressState,
}

/// What the kernel says about an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressState {
    /// Duplicate address detection is not over: it cannot be used yet. IPv6.
    pub tentative: bool,
    /// Somebody else has this address: it stays tentative. IPv6.
    pub duplicate: bool,
    /// Its preferred lifetime is over: not chosen as a source.
    pub deprecated: bool,
    /// In IPv4, not the first of its network on the interface: goes when that one goes, unless
    /// `promote_secondaries` is set. In IPv6, a temporary address.
    pub secondary: bool,
}

impl AddressEntry {
    /// Whether a socket can send from this address now.
    pub fn is_usable(&self) -> bool {
        !self.state.tentative && !self.state.duplicate
    }

    /// Reads an address; `None` for families other than IPv4 and IPv6.
    pub(crate) fn read(message: &Message<'_>) -> Result<Option<Self>, ParseError> {
        let (fixed, attributes) = message.split::<IFADDRMSG>()?;
        let Some(family) = Family::from_number(fixed.u8::<0>()) else {
            return Ok(None);
        };
        let index = fixed.u32::<4>();
        let link = LinkIndex::expect("ifa_index", index)?;
        let mut flags = u32::from(fixed.u8::<2>());
        let (mut local, mut far) = (None, None);
        let mut label = None;
        let mut broadcast = None;
        let mut lifetimes = (Lifetime::Forever, Lifetime::Forever);
        let mut protocol = 0;
        for attribute in attributes {
            let attribute = attribute?;
            match Ifa::from(attribute.kind) {
                Ifa::Local => local = Some(attribute.address(family)?),
                Ifa::Address => far = Some(attribute.address(family)?),
                Ifa::Label => label = Some(attribute.text()),
                Ifa::Broadcast => {
                    broadcast = Some(Ipv4Addr::from(attribute.array::<4>()?));
                }
                Ifa::Flags => flags = attribute.u32()?,
                Ifa::Cacheinfo => lifetimes = read_lifetimes(&attribute)?,
                Ifa::UnrecognizedConst(IFA_PROTO) => protocol = attribute.u8()?,
                _ => {}
            }
        }
        let prefix = fixed.u8::<1>();
        let net = |address| {
            IpNet::new(address, prefix).map_err(|_| ParseError::Value {
                field: "ifa_prefixlen",
                value: prefix.into(),
            })
        };
        // IPv6 gives no IFA_LOCAL unless there is a peer.
        let (address, peer) = match (local, far) {
            (Some(local), Some(far)) if local != far => (IpNet::from(local), Some(net(far)?)),
            (Some(address), _) | (None, Some(address)) => (net(address)?, None),
            (None, None) => {
                return Err(ParseError::Missing {
                    kind: Ifa::Address.into(),
                });
            }
        };
        let has = |flag| flags & flag != 0;
        Ok(Some(Self {
            link,
            address: Address {
                net: address,
                peer,
                label,
                scope: Scope(fixed.u8::<3>()),
                broadcast,
                preferred: lifetimes.0,
                valid: lifetimes.1,
                options: AddressOptions {
                    no_duplicate_detection: has(libc::IFA_F_NODAD),
                    home: has(libc::IFA_F_HOMEADDRESS),
                    no_prefix_route: has(NO_PREFIX_ROUTE),
                    manage_temporary: has(MANAGE_TEMPORARY),
                    auto_join: has(AUTO_JOIN),
                },
                protocol,
            },
            state: AddressState {
                tentative: has(libc::IFA_F_TENTATIVE),
                duplicate: has(libc::IFA_F_DADFAILED),
                deprecated: has(libc::IFA_F_DEPRECATED),
                secondary: has(libc::IFA_F_SECONDARY),
            },
        }))
    }

    /// How this compares with what is wished for the same address on an interface called `name`.
    pub(crate) fn compare(&self, wished: &Address, name: &str) -> Difference {
        if !wished.fixed_parts_match(&self.address, name) {
            Difference::Remake
        } else if wished.lasting_flags() != self.address.lasting_flags()
            || wished.preferred != self.address.preferred
            || wished.valid != self.address.valid
        {
            Difference::Change
        } else {
            Difference::None
        }
    }
}

/// What it takes to make an address what it shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    None,
    /// Lifetimes, or options in IPv6, which the kernel changes in place.
    Change,
    /// Anything else, for which the address must go and come again.
    Remake,
}

fn read_lifetimes(attribute: &Attribute<'_>) -> Result<(Lifetime, Lifetime), ParseError> {
    let [a, b, c, d, e, f, g, h] = attribute.array::<8>()?;
    let preferred = u32::from_ne_bytes([a, b, c, d]);
    let valid = u32::from_ne_bytes([e, f, g, h]);
    Ok((
        Lifetime::from_seconds(preferred),
        Lifetime::from_seconds(valid),
    ))
}

/// Asks for all addresses of both families.
pub(crate) fn list() -> Request {
    Request::new(
        "list addresses".into(),
        Rtm::Getaddr,
        NlmF::empty(),
        |writer| {
            writer.raw(&[0; IFADDRMSG]);
        },
    )
}

/// Adds an address; `flags` say what happens if it is there.
pub(crate) fn add(link: LinkIndex, address: &Address, flags: NlmF) -> Request {
    let action = format!("add address {address} to interface {link}");
    Request::new(action, Rtm::Newaddr, NlmF::CREATE | flags, |writer| {
        header(writer, link, address);
        let flags = address.flags();
        if flags > u32::from(u8::MAX) {
            writer.u32(Ifa::Flags.into(), flags);
        }
        if let (IpAddr::V4(_), Some(label)) = (address.ip(), &address.label) {
            writer.text(Ifa::Label.into(), label);
        }
        if let (IpAddr::V4(_), Some(broadcast)) = (address.ip(), address.broadcast) {
            writer.attribute(Ifa::Broadcast.into(), &broadcast.octets());
        }
        if (address.preferred, address.valid) != (Lifetime::Forever, Lifetime::Forever) {
            let mut lifetimes = [0; 16];
            lifetimes[..4].copy_from_slice(&address.preferred.seconds().to_ne_bytes());
            lifetimes[4..8].copy_from_slice(&address.valid.seconds().to_ne_bytes());
            writer.attribute(Ifa::Cacheinfo.into(), &lifetimes);
        }
        if address.protocol != 0 {
            writer.u8(IFA_PROTO, address.protocol);
        }
    })
}

/// Removes an address.
pub(crate) fn delete(link: LinkIndex, address: &Address) -> Request {
    let action = format!("remove address {address} from interface {link}");
    Request::new(action, Rtm::Deladdr, NlmF::empty(), |writer| {
        header(writer, link, address);
    })
}

/// `struct ifaddrmsg` of `linux/if_addr.h`, and the address itself.
fn header(writer: &mut Writer<'_>, link: LinkIndex, address: &Address) {
    let far = address.far_net();
    // The low bits; all of them are in IFA_FLAGS where more are set.
    let flags = address.flags() as u8;
    let scope = match address.ip() {
        IpAddr::V4(_) => address.scope.0,
        IpAddr::V6(_) => 0,
    };
    writer.raw(&[
        Family::of(address.ip()).number(),
        far.prefix_len(),
        flags,
        scope,
    ]);
    writer.raw(&link.number().to_ne_bytes());
    writer.address(Ifa::Local.into(), address.ip());
    writer.address(Ifa::Address.into(), far.addr());
}
