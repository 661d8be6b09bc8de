//! What can be asked of IPVS, as values.
//!
//! Design: a change is a value before it is bytes, so that a plan can be printed, a batch can name
//! what failed, and the answering end can offer it to a dataplane before it happens.

use std::fmt;

use neli::consts::nl::NlmF;
use serde::{Deserialize, Serialize};

use crate::codec::Writer;
use crate::daemon::{DaemonRole, SyncDaemon, pack_role};
use crate::destination::{Destination, DestinationKey};
use crate::service::{ServiceKey, VirtualService};
use crate::timeouts::TimeoutsUpdate;
use crate::uapi::*;

/// A change of the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Adds a service without destinations.
    AddService(VirtualService),
    /// Replaces everything of a service but its key, destinations and counters.
    EditService(VirtualService),
    /// Deletes a service with its destinations.
    DeleteService(ServiceKey),
    /// Adds a destination at the head of the service's list.
    AddDestination {
        /// The service.
        service: ServiceKey,
        /// What to add.
        destination: Destination,
    },
    /// Replaces everything of a destination but its key and counters.
    EditDestination {
        /// The service.
        service: ServiceKey,
        /// What it shall be.
        destination: Destination,
    },
    /// Takes a destination out of a service. Its connections live on.
    DeleteDestination {
        /// The service.
        service: ServiceKey,
        /// Which one.
        destination: DestinationKey,
    },
    /// Deletes all services.
    Flush,
    /// Sets the counters of one service and its destinations, or of all, to zero.
    Zero(Option<ServiceKey>),
    /// Changes timeouts.
    SetTimeouts(TimeoutsUpdate),
    /// Starts a sync daemon.
    StartDaemon(SyncDaemon),
    /// Stops a sync daemon.
    StopDaemon(DaemonRole),
}

impl Command {
    /// Which kind of command it is.
    pub fn kind(&self) -> CommandKind {
        match self {
            Self::AddService(_) => CommandKind::AddService,
            Self::EditService(_) => CommandKind::EditService,
            Self::DeleteService(_) => CommandKind::DeleteService,
            Self::AddDestination { .. } => CommandKind::AddDestination,
            Self::EditDestination { .. } => CommandKind::EditDestination,
            Self::DeleteDestination { .. } => CommandKind::DeleteDestination,
            Self::Flush => CommandKind::Flush,
            Self::Zero(_) => CommandKind::Zero,
            Self::SetTimeouts(_) => CommandKind::SetTimeouts,
            Self::StartDaemon(_) => CommandKind::StartDaemon,
            Self::StopDaemon(_) => CommandKind::StopDaemon,
        }
    }

    /// Writes the request; with `acknowledge` success is answered too, not only failure.
    pub(crate) fn pack(
        &self,
        writer: &mut Writer<'_>,
        family: u16,
        sequence: u32,
        acknowledge: bool,
    ) {
        let flags = if acknowledge {
            NlmF::REQUEST | NlmF::ACK
        } else {
            NlmF::REQUEST
        };
        let number = self.kind().number();
        writer.generic(family, flags, sequence, 0, number, |writer| {
            self.pack_body(writer)
        });
    }

    fn pack_body(&self, writer: &mut Writer<'_>) {
        match self {
            Self::AddService(service) | Self::EditService(service) => {
                writer.nest(IPVS_CMD_ATTR_SERVICE, |writer| service.pack(writer));
            }
            Self::DeleteService(key) | Self::Zero(Some(key)) => pack_service(key, writer),
            Self::AddDestination {
                service,
                destination,
            }
            | Self::EditDestination {
                service,
                destination,
            } => {
                pack_service(service, writer);
                writer.nest(IPVS_CMD_ATTR_DEST, |writer| destination.pack(writer));
            }
            Self::DeleteDestination {
                service,
                destination,
            } => {
                pack_service(service, writer);
                writer.nest(IPVS_CMD_ATTR_DEST, |writer| destination.pack(writer));
            }
            Self::Flush | Self::Zero(None) => {}
            Self::SetTimeouts(update) => update.pack(writer),
            Self::StartDaemon(daemon) => {
                writer.nest(IPVS_CMD_ATTR_DAEMON, |writer| daemon.pack(writer));
            }
            Self::StopDaemon(role) => {
                writer.nest(IPVS_CMD_ATTR_DAEMON, |writer| pack_role(*role, writer));
            }
        }
    }
}

pub(crate) fn pack_service(key: &ServiceKey, writer: &mut Writer<'_>) {
    writer.nest(IPVS_CMD_ATTR_SERVICE, |writer| key.pack(writer));
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind())?;
        match self {
            Self::AddService(service) | Self::EditService(service) => write!(f, " {}", service.key),
            Self::DeleteService(key) | Self::Zero(Some(key)) => write!(f, " {key}"),
            Self::AddDestination {
                service,
                destination,
            }
            | Self::EditDestination {
                service,
                destination,
            } => {
                let weight = destination.weight;
                write!(f, " {} weight {weight} of {service}", destination.key())
            }
            Self::DeleteDestination {
                service,
                destination,
            } => {
                write!(f, " {destination} of {service}")
            }
            Self::Flush | Self::Zero(None) | Self::SetTimeouts(_) => Ok(()),
            Self::StartDaemon(SyncDaemon { role, .. }) | Self::StopDaemon(role) => match role {
                DaemonRole::Master => f.write_str(" master"),
                DaemonRole::Backup => f.write_str(" backup"),
            },
        }
    }
}

/// The kinds of requests, as errors name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CommandKind {
    /// `IPVS_CMD_NEW_SERVICE`.
    AddService,
    /// `IPVS_CMD_SET_SERVICE`.
    EditService,
    /// `IPVS_CMD_DEL_SERVICE`.
    DeleteService,
    /// `IPVS_CMD_GET_SERVICE`, of one service or as a dump.
    GetService,
    /// `IPVS_CMD_NEW_DEST`.
    AddDestination,
    /// `IPVS_CMD_SET_DEST`.
    EditDestination,
    /// `IPVS_CMD_DEL_DEST`.
    DeleteDestination,
    /// `IPVS_CMD_GET_DEST`.
    GetDestinations,
    /// `IPVS_CMD_NEW_DAEMON`.
    StartDaemon,
    /// `IPVS_CMD_DEL_DAEMON`.
    StopDaemon,
    /// `IPVS_CMD_GET_DAEMON`.
    GetDaemons,
    /// `IPVS_CMD_SET_CONFIG`.
    SetTimeouts,
    /// `IPVS_CMD_GET_CONFIG`.
    GetTimeouts,
    /// `IPVS_CMD_GET_INFO`.
    GetInfo,
    /// `IPVS_CMD_ZERO`.
    Zero,
    /// `IPVS_CMD_FLUSH`.
    Flush,
    /// The connection list, for which netlink has no command.
    GetConnections,
    /// The search for the family itself, `CTRL_CMD_GETFAMILY`.
    FindFamily,
}

impl CommandKind {
    /// The number of the command in its family; 0 for the connection list.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::AddService => IPVS_CMD_NEW_SERVICE,
            Self::EditService => IPVS_CMD_SET_SERVICE,
            Self::DeleteService => IPVS_CMD_DEL_SERVICE,
            Self::GetService => IPVS_CMD_GET_SERVICE,
            Self::AddDestination => IPVS_CMD_NEW_DEST,
            Self::EditDestination => IPVS_CMD_SET_DEST,
            Self::DeleteDestination => IPVS_CMD_DEL_DEST,
            Self::GetDestinations => IPVS_CMD_GET_DEST,
            Self::StartDaemon => IPVS_CMD_NEW_DAEMON,
            Self::StopDaemon => IPVS_CMD_DEL_DAEMON,
            Self::GetDaemons => IPVS_CMD_GET_DAEMON,
            Self::SetTimeouts => IPVS_CMD_SET_CONFIG,
            Self::GetTimeouts => IPVS_CMD_GET_CONFIG,
            Self::GetInfo => IPVS_CMD_GET_INFO,
            Self::Zero => IPVS_CMD_ZERO,
            Self::Flush => IPVS_CMD_FLUSH,
            Self::GetConnections => IPVS_CMD_UNSPEC,
            Self::FindFamily => neli::consts::genl::CtrlCmd::Getfamily.into(),
        }
    }
}

impl fmt::Display for CommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AddService => "add service",
            Self::EditService => "edit service",
            Self::DeleteService => "delete service",
            Self::GetService => "get service",
            Self::AddDestination => "add destination",
            Self::EditDestination => "edit destination",
            Self::DeleteDestination => "delete destination",
            Self::GetDestinations => "get destinations",
            Self::StartDaemon => "start daemon",
            Self::StopDaemon => "stop daemon",
            Self::GetDaemons => "get daemons",
            Self::SetTimeouts => "set timeouts",
            Self::GetTimeouts => "get timeouts",
            Self::GetInfo => "get info",
            Self::Zero => "zero",
            Self::Flush => "flush",
            Self::GetConnections => "get connections",
            Self::FindFamily => "find IPVS",
        })
    }
}
