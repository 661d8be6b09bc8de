//! The sync daemons, which tell connections to a second director.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::codec::{AddressFamily, Attributes, ParseError, Writer};
use crate::name::Name;
use crate::uapi::*;

/// Which of the two daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DaemonRole {
    /// Sends connections.
    Master,
    /// Receives connections.
    Backup,
}

impl DaemonRole {
    fn number(self) -> u32 {
        match self {
            Self::Master => IP_VS_STATE_MASTER,
            Self::Backup => IP_VS_STATE_BACKUP,
        }
    }
}

/// A sync daemon: what starts one, and what a dump shows. When starting, `None` is the kernel's
/// choice; a dump always has all values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SyncDaemon {
    /// Which one.
    pub role: DaemonRole,
    /// The interface that it sends to or receives from.
    pub interface: Name,
    /// Messages of other ids are ignored by a backup; 0 to 255, where a backup of 0 takes all.
    pub sync_id: u8,
    /// The longest message in bytes; by default what fits the interface.
    pub max_length: Option<u16>,
    /// Multicast group, 224.0.0.81 by default.
    pub group: Option<IpAddr>,
    /// UDP port, 8848 by default.
    pub port: Option<u16>,
    /// Time to live of messages, 1 by default.
    pub ttl: Option<u8>,
}

impl SyncDaemon {
    pub(crate) fn pack(&self, writer: &mut Writer<'_>) {
        pack_role(self.role, writer);
        writer.text(IPVS_DAEMON_ATTR_MCAST_IFN, self.interface.as_str());
        writer.u32(IPVS_DAEMON_ATTR_SYNC_ID, self.sync_id.into());
        if let Some(length) = self.max_length {
            writer.u16(IPVS_DAEMON_ATTR_SYNC_MAXLEN, length);
        }
        if let Some(port) = self.port {
            writer.u16(IPVS_DAEMON_ATTR_MCAST_PORT, port);
        }
        if let Some(ttl) = self.ttl {
            writer.u8(IPVS_DAEMON_ATTR_MCAST_TTL, ttl);
        }
        match self.group {
            Some(IpAddr::V4(group)) => {
                writer.attribute(IPVS_DAEMON_ATTR_MCAST_GROUP, &group.octets());
            }
            Some(IpAddr::V6(group)) => {
                writer.attribute(IPVS_DAEMON_ATTR_MCAST_GROUP6, &group.octets());
            }
            None => {}
        }
    }

    pub(crate) fn unpack(attributes: &Attributes<'_>) -> Result<Self, ParseError> {
        let mut daemon = Self {
            role: unpack_role(attributes)?,
            interface: Name::default(),
            sync_id: 0,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        };
        for attribute in attributes.clone() {
            let attribute = attribute?;
            match attribute.kind {
                IPVS_DAEMON_ATTR_MCAST_IFN => {
                    daemon.interface = Name::lossy(attribute.payload);
                }
                IPVS_DAEMON_ATTR_SYNC_ID => {
                    let id = attribute.u32()?;
                    daemon.sync_id = u8::try_from(id).map_err(|_| ParseError::Value {
                        kind: attribute.kind,
                        value: id.into(),
                    })?;
                }
                IPVS_DAEMON_ATTR_SYNC_MAXLEN => daemon.max_length = Some(attribute.u16()?),
                IPVS_DAEMON_ATTR_MCAST_GROUP => {
                    daemon.group = Some(attribute.address(AddressFamily::Inet)?);
                }
                IPVS_DAEMON_ATTR_MCAST_GROUP6 => {
                    daemon.group = Some(attribute.address(AddressFamily::Inet6)?);
                }
                IPVS_DAEMON_ATTR_MCAST_PORT => daemon.port = Some(attribute.u16()?),
                IPVS_DAEMON_ATTR_MCAST_TTL => daemon.ttl = Some(attribute.u8()?),
                _ => {}
            }
        }
        Ok(daemon)
    }
}

pub(crate) fn pack_role(role: DaemonRole, writer: &mut Writer<'_>) {
    writer.u32(IPVS_DAEMON_ATTR_STATE, role.number());
}

pub(crate) fn unpack_role(attributes: &Attributes<'_>) -> Result<DaemonRole, ParseError> {
    let kind = IPVS_DAEMON_ATTR_STATE;
    match attributes
        .find(kind)?
        .ok_or(ParseError::Missing { kind })?
        .u32()?
    {
        IP_VS_STATE_MASTER => Ok(DaemonRole::Master),
        IP_VS_STATE_BACKUP => Ok(DaemonRole::Backup),
        value => Err(ParseError::Value {
            kind,
            value: value.into(),
        }),
    }
}
