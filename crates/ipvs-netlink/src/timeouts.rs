//! How long connections without packets are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::{Attributes, ParseError, Writer};
use crate::service::seconds;
use crate::uapi::*;

/// The three timeouts of connections, as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Established TCP connections; whole seconds, 15 minutes by default.
    pub tcp: Duration,
    /// TCP connections of which one side has closed; whole seconds, 2 minutes by default.
    pub tcp_fin: Duration,
    /// UDP; whole seconds, 5 minutes by default.
    pub udp: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp: Duration::from_secs(900),
            tcp_fin: Duration::from_secs(120),
            udp: Duration::from_secs(300),
        }
    }
}

impl Timeouts {
    /// What they are after `update`.
    #[must_use]
    pub fn updated(self, update: &TimeoutsUpdate) -> Self {
        Self {
            tcp: update.tcp.unwrap_or(self.tcp),
            tcp_fin: update.tcp_fin.unwrap_or(self.tcp_fin),
            udp: update.udp.unwrap_or(self.udp),
        }
    }

    pub(crate) fn pack(&self, writer: &mut Writer<'_>) {
        writer.u32(IPVS_CMD_ATTR_TIMEOUT_TCP, seconds(self.tcp));
        writer.u32(IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, seconds(self.tcp_fin));
        writer.u32(IPVS_CMD_ATTR_TIMEOUT_UDP, seconds(self.udp));
    }

    pub(crate) fn unpack(attributes: &Attributes<'_>) -> Result<Self, ParseError> {
        let mut timeouts = Self {
            tcp: Duration::ZERO,
            tcp_fin: Duration::ZERO,
            udp: Duration::ZERO,
        };
        for attribute in attributes.clone() {
            let attribute = attribute?;
            let field = match attribute.kind {
                IPVS_CMD_ATTR_TIMEOUT_TCP => &mut timeouts.tcp,
                IPVS_CMD_ATTR_TIMEOUT_TCP_FIN => &mut timeouts.tcp_fin,
                IPVS_CMD_ATTR_TIMEOUT_UDP => &mut timeouts.udp,
                _ => continue,
            };
            *field = Duration::from_secs(attribute.u32()?.into());
        }
        Ok(timeouts)
    }
}

/// Which timeouts to change. `None` leaves one as it is, which the wire says with 0; so does a
/// timeout of zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct TimeoutsUpdate {
    /// Established TCP connections; whole seconds, rounded up.
    pub tcp: Option<Duration>,
    /// TCP connections of which one side has closed; whole seconds, rounded up.
    pub tcp_fin: Option<Duration>,
    /// UDP; whole seconds, rounded up.
    pub udp: Option<Duration>,
}

impl TimeoutsUpdate {
    pub(crate) fn pack(&self, writer: &mut Writer<'_>) {
        let value = |timeout: Option<Duration>| seconds(timeout.unwrap_or_default());
        writer.u32(IPVS_CMD_ATTR_TIMEOUT_TCP, value(self.tcp));
        writer.u32(IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, value(self.tcp_fin));
        writer.u32(IPVS_CMD_ATTR_TIMEOUT_UDP, value(self.udp));
    }

    pub(crate) fn unpack(attributes: &Attributes<'_>) -> Result<Self, ParseError> {
        let values = Timeouts::unpack(attributes)?;
        let given = |timeout: Duration| (!timeout.is_zero()).then_some(timeout);
        Ok(Self {
            tcp: given(values.tcp),
            tcp_fin: given(values.tcp_fin),
            udp: given(values.udp),
        })
    }
}
