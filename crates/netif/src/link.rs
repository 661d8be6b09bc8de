//! Network interfaces: what they are, and the requests that change them.

use std::fmt;

use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Ifla, IflaInfo, Rtm};
use serde::{Deserialize, Serialize};

use crate::codec::{Attribute, Message, ParseError, Writer};
use crate::name::{LinkIndex, LinkName, MacAddress};
use crate::netlink::Request;

/// Size of `struct ifinfomsg`.
const IFINFOMSG: usize = 16;

/// `RTEXT_FILTER_SKIP_STATS`: counters would double the size of a list.
const SKIP_STATISTICS: u32 = 1 << 3;

/// `IFLA_MACVLAN_MODE` and `MACVLAN_MODE_PRIVATE` of `linux/if_link.h`.
const MACVLAN_MODE: u16 = 1;
const MACVLAN_MODE_PRIVATE: u32 = 1;

/// `IFLA_INET6_ADDR_GEN_MODE` and `IN6_ADDR_GEN_MODE_NONE` of `linux/if_link.h`.
const ADDRESS_GENERATION: u16 = 8;
const ADDRESS_GENERATION_NONE: u8 = 1;

/// A network interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its index, which stays when it is renamed.
    pub index: LinkIndex,
    /// Its name now.
    pub name: String,
    /// What it is (`veth`, `macvlan`, `bridge`, `bond`, `vlan`, `dummy`…); `None` for hardware and
    /// loopback. Source: `IFLA_INFO_KIND`.
    pub kind: Option<String>,
    /// Up, running and the rest.
    pub flags: LinkFlags,
    /// Whether there is carrier; `false` too while the interface is down. Source: `IFLA_CARRIER`,
    /// or the flags on kernels before 3.9.
    pub carrier: bool,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
    /// Its Ethernet address; `None` where it has none of 6 bytes (tunnels, InfiniBand).
    pub mac: Option<MacAddress>,
    /// How a macvlan treats its siblings; `None` for other kinds.
    pub macvlan_mode: Option<MacvlanMode>,
    /// The interface it stands on, for macvlan, VLAN and their like; `None` if there is none, or
    /// if that is in another network namespace. Source: `IFLA_LINK`.
    pub lower: Option<LinkIndex>,
    /// The bridge, bond or VRF that it is a part of. Source: `IFLA_MASTER`.
    pub master: Option<LinkIndex>,
}

impl Link {
    /// Whether packets can go: set up, running (not dormant) and with carrier. keepalived asks for
    /// the first two, which lag behind the third for a moment.
    pub fn is_usable(&self) -> bool {
        self.flags.is_up() && self.flags.is_running() && self.carrier
    }

    /// Whether it has Ethernet addresses and needs them resolved, so that ARP and neighbour
    /// discovery make sense on it.
    pub fn needs_neighbours(&self) -> bool {
        self.mac.is_some() && !self.flags.has(libc::IFF_NOARP) && !self.flags.is_loopback()
    }

    /// Reads an interface; `None` for what concerns one aspect of it only.
    pub(crate) fn read(message: &Message<'_>) -> Result<Option<Self>, ParseError> {
        let (fixed, attributes) = message.split::<IFINFOMSG>()?;
        // Messages of other families tell of one aspect: that of a bridge, when an interface
        // leaves it, would look like the end of the interface.
        if i32::from(fixed.u8::<0>()) != libc::AF_UNSPEC {
            return Ok(None);
        }
        let flags = LinkFlags(fixed.u32::<8>());
        let mut link = Self {
            index: LinkIndex::expect("ifi_index", fixed.u32::<4>())?,
            name: String::new(),
            kind: None,
            flags,
            carrier: flags.has(libc::IFF_LOWER_UP),
            mtu: 0,
            mac: None,
            macvlan_mode: None,
            lower: None,
            master: None,
        };
        let mut lower_is_elsewhere = false;
        for attribute in attributes {
            let attribute = attribute?;
            match Ifla::from(attribute.kind) {
                Ifla::Ifname => link.name = attribute.text(),
                Ifla::Mtu => link.mtu = attribute.u32()?,
                Ifla::Carrier => link.carrier = attribute.u8()? != 0,
                Ifla::Address => link.mac = attribute.payload.try_into().ok().map(MacAddress),
                Ifla::Link => link.lower = LinkIndex::new(attribute.u32()?),
                Ifla::Master => link.master = LinkIndex::new(attribute.u32()?),
                Ifla::LinkNetnsid => lower_is_elsewhere = true,
                Ifla::Linkinfo => {
                    let kind = attribute.nested().find(IflaInfo::Kind.into())?;
                    link.kind = kind.map(|kind| kind.text());
                    if link.kind.as_deref() == Some("macvlan") {
                        link.macvlan_mode = read_macvlan_mode(&attribute)?;
                    }
                }
                _ => {}
            }
        }
        if link.name.is_empty() {
            return Err(ParseError::Missing {
                kind: Ifla::Ifname.into(),
            });
        }
        // A veth names its peer, a tunnel perhaps itself; neither stands on it.
        let is_veth = link.kind.as_deref() == Some("veth");
        if lower_is_elsewhere || is_veth || link.lower == Some(link.index) {
            link.lower = None;
        }
        Ok(Some(link))
    }
}

/// How a macvlan treats packets to its siblings. Source: `enum macvlan_mode` of `linux/if_link.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MacvlanMode {
    /// None reach them: what VRRP wants.
    Private,
    /// Another: VEPA 2, bridge 4, passthru 8, source 16.
    Other(u32),
}

fn read_macvlan_mode(info: &Attribute<'_>) -> Result<Option<MacvlanMode>, ParseError> {
    let Some(data) = info.nested().find(IflaInfo::Data.into())? else {
        return Ok(None);
    };
    let mode = data.nested().find(MACVLAN_MODE)?;
    let mode = mode.map(|mode| mode.u32()).transpose()?;
    Ok(mode.map(|mode| match mode {
        MACVLAN_MODE_PRIVATE => MacvlanMode::Private,
        other => MacvlanMode::Other(other),
    }))
}

/// The flags of an interface, `IFF_*` of `linux/if.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkFlags(u32);

impl LinkFlags {
    /// From the kernel's bits.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The kernel's bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// `IFF_UP`: somebody has set it up.
    pub fn is_up(self) -> bool {
        self.has(libc::IFF_UP)
    }

    /// `IFF_RUNNING`: its operational state lets packets through.
    pub fn is_running(self) -> bool {
        self.has(libc::IFF_RUNNING)
    }

    /// `IFF_LOOPBACK`.
    pub fn is_loopback(self) -> bool {
        self.has(libc::IFF_LOOPBACK)
    }

    /// `IFF_MULTICAST`: can send to groups, as VRRP without unicast peers needs.
    pub fn is_multicast(self) -> bool {
        self.has(libc::IFF_MULTICAST)
    }

    fn has(self, flag: libc::c_int) -> bool {
        // The flags are positive numbers.
        self.0 & flag as u32 != 0
    }
}

impl fmt::Display for LinkFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            (libc::IFF_UP, "up"),
            (libc::IFF_RUNNING, "running"),
            (libc::IFF_LOWER_UP, "carrier"),
            (libc::IFF_LOOPBACK, "loopback"),
            (libc::IFF_POINTOPOINT, "point-to-point"),
            (libc::IFF_NOARP, "noarp"),
            (libc::IFF_MULTICAST, "multicast"),
        ];
        let set: Vec<_> = words
            .iter()
            .filter(|(flag, _)| self.has(*flag))
            .map(|(_, word)| *word)
            .collect();
        f.write_str(&set.join(","))
    }
}

/// What to make of an interface in [`crate::Rtnetlink::change_link`]. `None` leaves alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkChange {
    /// Up or down.
    pub up: Option<bool>,
    /// Largest packet, in bytes.
    pub mtu: Option<u32>,
    /// Ethernet address.
    pub mac: Option<MacAddress>,
    /// New name. Before Linux 6.2 only an interface that is down can be renamed.
    pub name: Option<LinkName>,
    /// Number of its group.
    pub group: Option<u32>,
}

impl LinkChange {
    fn describe(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.up.map(|up| if up { "up" } else { "down" }.to_owned()));
        words.extend(self.mtu.map(|mtu| format!("mtu {mtu}")));
        words.extend(self.mac.map(|mac| format!("address {mac}")));
        words.extend(self.name.as_ref().map(|name| format!("name {name}")));
        words.extend(self.group.map(|group| format!("group {group}")));
        words.join(", ")
    }
}

/// What a new interface shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NewLink {
    /// A macvlan in private mode on `lower`, with its own `mac`: what VRRP's virtual MACs need.
    Macvlan {
        /// The interface it stands on.
        lower: LinkIndex,
        /// Its Ethernet address.
        mac: MacAddress,
    },
    /// An ipvlan in mode L2 on `lower`, whose Ethernet address it shares.
    Ipvlan {
        /// The interface it stands on.
        lower: LinkIndex,
        /// Whom it can talk to; the same for all on one interface.
        reach: IpvlanReach,
    },
    /// An interface of this kind with the kernel's defaults: `dummy`, `bridge`, `ipip`, `ip6tnl`.
    /// The kernel loads the module by itself.
    Plain {
        /// The kind, as in `ip link add type KIND`.
        kind: String,
    },
    /// Two interfaces joined back to back, of which this is one.
    Veth {
        /// The name of the other.
        peer: LinkName,
    },
}

/// Whom an ipvlan can talk to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IpvlanReach {
    /// The others on its interface, too.
    #[default]
    Bridge,
    /// None of them. Source: `IPVLAN_F_PRIVATE` of `linux/if_link.h`.
    Private,
    /// Them by way of the switch outside. Source: `IPVLAN_F_VEPA` of `linux/if_link.h`.
    Vepa,
}

impl IpvlanReach {
    const fn flags(self) -> u16 {
        match self {
            Self::Bridge => 0,
            Self::Private => 1,
            Self::Vepa => 2,
        }
    }
}

impl NewLink {
    fn kind(&self) -> &str {
        match self {
            Self::Macvlan { .. } => "macvlan",
            Self::Ipvlan { .. } => "ipvlan",
            Self::Plain { kind } => kind,
            Self::Veth { .. } => "veth",
        }
    }
}

/// Asks for all interfaces.
pub(crate) fn list() -> Request {
    Request::new(
        "list interfaces".into(),
        Rtm::Getlink,
        NlmF::empty(),
        |writer| {
            header(writer, None, 0, 0);
            writer.u32(Ifla::ExtMask.into(), SKIP_STATISTICS);
        },
    )
}

/// Asks for the interface `name`.
pub(crate) fn find(name: &str) -> Request {
    let action = format!("find interface {name}");
    Request::new(action, Rtm::Getlink, NlmF::empty(), |writer| {
        header(writer, None, 0, 0);
        writer.u32(Ifla::ExtMask.into(), SKIP_STATISTICS);
        writer.text(Ifla::Ifname.into(), name);
    })
}

/// Asks for the interface `index`.
pub(crate) fn fetch(index: LinkIndex) -> Request {
    let action = format!("find interface {index}");
    Request::new(action, Rtm::Getlink, NlmF::empty(), |writer| {
        header(writer, Some(index), 0, 0);
        writer.u32(Ifla::ExtMask.into(), SKIP_STATISTICS);
    })
}

/// Changes an interface.
pub(crate) fn change(index: LinkIndex, change: &LinkChange) -> Request {
    let action = format!("set interface {index} to {}", change.describe());
    Request::new(action, Rtm::Setlink, NlmF::empty(), |writer| {
        let up = libc::IFF_UP as u32;
        let (flags, mask) = match change.up {
            None => (0, 0),
            Some(true) => (up, up),
            Some(false) => (0, up),
        };
        header(writer, Some(index), flags, mask);
        if let Some(mtu) = change.mtu {
            writer.u32(Ifla::Mtu.into(), mtu);
        }
        if let Some(mac) = change.mac {
            writer.attribute(Ifla::Address.into(), &mac.0);
        }
        if let Some(name) = &change.name {
            writer.text(Ifla::Ifname.into(), name.as_str());
        }
        if let Some(group) = change.group {
            writer.u32(Ifla::Group.into(), group);
        }
    })
}

/// Makes an interface give itself no IPv6 link-local address.
pub(crate) fn no_generated_addresses(index: LinkIndex) -> Request {
    let action = format!("switch off generated IPv6 addresses on interface {index}");
    Request::new(action, Rtm::Setlink, NlmF::empty(), |writer| {
        header(writer, Some(index), 0, 0);
        writer.nest(Ifla::AfSpec.into(), |writer| {
            writer.nest(libc::AF_INET6 as u16, |writer| {
                writer.u8(ADDRESS_GENERATION, ADDRESS_GENERATION_NONE);
            });
        });
    })
}

/// Makes an interface.
pub(crate) fn create(name: &LinkName, new: &NewLink) -> Request {
    let action = format!("create interface {name} of kind {}", new.kind());
    let flags = NlmF::CREATE | NlmF::EXCL;
    Request::new(action, Rtm::Newlink, flags, |writer| {
        header(writer, None, 0, 0);
        writer.text(Ifla::Ifname.into(), name.as_str());
        match new {
            NewLink::Macvlan { lower, mac } => {
                writer.u32(Ifla::Link.into(), lower.number());
                writer.attribute(Ifla::Address.into(), &mac.0);
            }
            NewLink::Ipvlan { lower, .. } => writer.u32(Ifla::Link.into(), lower.number()),
            NewLink::Plain { .. } | NewLink::Veth { .. } => {}
        }
        writer.nest(Ifla::Linkinfo.into(), |writer| {
            writer.text(IflaInfo::Kind.into(), new.kind());
            match new {
                NewLink::Macvlan { .. } => writer.nest(IflaInfo::Data.into(), |writer| {
                    writer.u32(MACVLAN_MODE, MACVLAN_MODE_PRIVATE);
                }),
                NewLink::Ipvlan { reach, .. } => writer.nest(IflaInfo::Data.into(), |writer| {
                    writer.attribute(IPVLAN_MODE, &IPVLAN_MODE_L2.to_ne_bytes());
                    writer.attribute(IPVLAN_FLAGS, &reach.flags().to_ne_bytes());
                }),
                NewLink::Veth { peer } => writer.nest(IflaInfo::Data.into(), |writer| {
                    writer.nest(VETH_PEER, |writer| {
                        header(writer, None, 0, 0);
                        writer.text(Ifla::Ifname.into(), peer.as_str());
                    });
                }),
                NewLink::Plain { .. } => {}
            }
        });
    })
}

/// `IFLA_IPVLAN_MODE` of `linux/if_link.h`.
const IPVLAN_MODE: u16 = 1;

/// `IFLA_IPVLAN_FLAGS` of `linux/if_link.h`.
const IPVLAN_FLAGS: u16 = 2;

/// `IPVLAN_MODE_L2` of `linux/if_link.h`.
const IPVLAN_MODE_L2: u16 = 0;

/// `VETH_INFO_PEER` of `linux/veth.h`.
const VETH_PEER: u16 = 1;

/// Removes an interface.
pub(crate) fn delete(index: LinkIndex) -> Request {
    let action = format!("remove interface {index}");
    Request::new(action, Rtm::Dellink, NlmF::empty(), |writer| {
        header(writer, Some(index), 0, 0);
    })
}

/// `struct ifinfomsg` of `linux/rtnetlink.h`.
fn header(writer: &mut Writer<'_>, index: Option<LinkIndex>, flags: u32, mask: u32) {
    writer.raw(&[0; 4]);
    writer.raw(&index.map_or(0, LinkIndex::number).to_ne_bytes());
    writer.raw(&flags.to_ne_bytes());
    writer.raw(&mask.to_ne_bytes());
}
