//! The tunnel interfaces through which packets of IPVS's tunnel method (TUN) come to a real server.
//!
//! The modules `ipip` and `ip6_tunnel` bring one interface each that takes packets from any sender,
//! `tunl0` and `ip6tnl0`. It is there as long as the module is loaded, so it is never removed, only
//! set down.

use crate::error::NetifError;
use crate::link::{Link, NewLink};
use crate::name::LinkName;
use crate::rtnetlink::Rtnetlink;

/// A tunnel that takes packets from anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Tunnel {
    /// IPv4 in IPv4: `tunl0`.
    Ipip,
    /// IPv4 or IPv6 in IPv6: `ip6tnl0`.
    Ip6,
}

impl Tunnel {
    /// The name of its interface.
    pub fn link_name(self) -> &'static str {
        match self {
            Self::Ipip => "tunl0",
            Self::Ip6 => "ip6tnl0",
        }
    }

    /// The kernel's word for interfaces of this kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Ip6 => "ip6tnl",
        }
    }
}

impl Rtnetlink {
    /// The tunnel's interface; where it is not there, the kernel is asked to make it, which loads
    /// the module. It is not set up.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if the kernel has no such tunnels and no module for them.
    pub fn ensure_tunnel(&mut self, tunnel: Tunnel) -> Result<Link, NetifError> {
        let name = tunnel.link_name();
        if let Some(link) = self.find_link(name)? {
            return Ok(link);
        }
        let kind = NewLink::Plain {
            kind: tunnel.kind().into(),
        };
        let name: LinkName = name.parse().map_err(|_| NetifError::NoLink {
            name: name.to_owned(),
        })?;
        match self.create_link(&name, &kind) {
            // Loading the module has brought it.
            Err(error) if error.errno() == Some(libc::EEXIST) => self.expect_link(name.as_str()),
            result => result,
        }
    }
}
