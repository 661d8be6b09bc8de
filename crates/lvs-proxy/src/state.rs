//! The states of a TCP connection as IPVS names them, and their timeouts.
//!
//! # Design
//! A proxy ends one TCP connection and begins another, so it never sees the packets from which IPVS deduces its
//! states. It sees what they mean: connected, end of data, reset. [`TcpState::after`] is the part of the kernel's
//! transition table that these events can reach. A connection counts as active in [`TcpState::is_active`] states.

use std::time::Duration;

use crate::stats::Way;

/// What an IPVS entry of a TCP connection can be in, as far as a proxy gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TcpState {
    /// The client is connected, the real server not yet.
    SynRecv,
    /// Both sides are connected.
    Established,
    /// The real server ended its data first; the client may still send.
    FinWait,
    /// The client ended its data first; the real server may still send.
    CloseWait,
    /// Both sides ended their data. The entry lingers.
    TimeWait,
    /// A side reset the connection or could not be reached. The entry lingers.
    Close,
}

/// Something that happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TcpEvent {
    /// The chosen real server accepted.
    Connected,
    /// End of data from the side where data of this way comes from.
    Fin(Way),
    /// Reset by either side, or given up.
    Reset,
}

/// The timeouts that `ipvsadm --set` changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateTimeouts {
    /// ESTABLISHED; 900 s.
    pub(crate) tcp: Duration,
    /// FIN_WAIT; 120 s.
    pub(crate) tcp_fin: Duration,
    /// A UDP flow; 300 s.
    pub(crate) udp: Duration,
}

impl TcpState {
    /// The state after `event`. Closed states are final.
    #[must_use]
    pub(crate) fn after(self, event: TcpEvent) -> Self {
        match (self, event) {
            (Self::TimeWait | Self::Close, _) => self,
            (_, TcpEvent::Reset) => Self::Close,
            (Self::SynRecv, TcpEvent::Connected) => Self::Established,
            (Self::SynRecv, TcpEvent::Fin(_)) => Self::TimeWait,
            (Self::Established, TcpEvent::Fin(Way::In)) => Self::CloseWait,
            (Self::Established, TcpEvent::Fin(Way::Out)) => Self::FinWait,
            (Self::CloseWait, TcpEvent::Fin(Way::Out))
            | (Self::FinWait, TcpEvent::Fin(Way::In)) => Self::TimeWait,
            (_, TcpEvent::Connected | TcpEvent::Fin(_)) => self,
        }
    }

    /// Whether the connection counts as active at its destination; else it counts as inactive.
    #[must_use]
    pub(crate) fn is_active(self) -> bool {
        matches!(self, Self::SynRecv | Self::Established)
    }

    /// How long an entry in this state lasts without traffic.
    #[must_use]
    pub(crate) fn timeout(self, timeouts: &StateTimeouts) -> Duration {
        match self {
            Self::SynRecv | Self::CloseWait => Duration::from_secs(60),
            Self::Established => timeouts.tcp,
            Self::FinWait => timeouts.tcp_fin,
            Self::TimeWait => Duration::from_secs(120),
            Self::Close => Duration::from_secs(10),
        }
    }

    /// The kernel's name of the state, as in `/proc/net/ip_vs_conn`.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SynRecv => "SYN_RECV",
            Self::Established => "ESTABLISHED",
            Self::FinWait => "FIN_WAIT",
            Self::CloseWait => "CLOSE_WAIT",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
        }
    }
}

impl Default for StateTimeouts {
    fn default() -> Self {
        Self {
            tcp: Duration::from_secs(900),
            tcp_fin: Duration::from_secs(120),
            udp: Duration::from_secs(300),
        }
    }
}

#[cfg(test)]
mod tests {
    use TcpEvent::{Connected, Fin, Reset};
    use TcpState::{Close, CloseWait, Established, FinWait, SynRecv, TimeWait};

    use super::*;

    #[test]
    fn every_state_and_event() {
        let events = [Connected, Fin(Way::In), Fin(Way::Out), Reset];
        for (state, after) in [
            (SynRecv, [Established, TimeWait, TimeWait, Close]),
            (Established, [Established, CloseWait, FinWait, Close]),
            (FinWait, [FinWait, TimeWait, FinWait, Close]),
            (CloseWait, [CloseWait, CloseWait, TimeWait, Close]),
            (TimeWait, [TimeWait, TimeWait, TimeWait, TimeWait]),
            (Close, [Close, Close, Close, Close]),
        ] {
            assert_eq!(events.map(|event| state.after(event)), after, "{state:?}");
        }
    }

    #[test]
    fn timeouts_are_the_kernels_and_two_of_them_can_be_set() {
        let set = StateTimeouts {
            tcp: Duration::from_secs(1),
            tcp_fin: Duration::from_secs(2),
            udp: Duration::from_secs(3),
        };
        let all = [SynRecv, Established, FinWait, CloseWait, TimeWait, Close];
        let seconds = |t: &StateTimeouts| all.map(|state| state.timeout(t).as_secs());
        assert_eq!(
            seconds(&StateTimeouts::default()),
            [60, 900, 120, 60, 120, 10]
        );
        assert_eq!(seconds(&set), [60, 1, 2, 60, 120, 10]);
        assert_eq!(
            all.map(TcpState::is_active),
            [true, true, false, false, false, false]
        );
    }
}
