//! The TCP states of a balancer's connection entry, and how packets move it between them.
//!
//! # Design
//!
//! Three tables as in the kernel: packets from the client, packets from the server, and packets
//! from the client when the balancer sees only that direction (direct routing, tunnels). The tables
//! are written as one would read them, a row per kind of packet, a column per present state. The
//! state `SYNACK` is left out: it arises only under the sysctl `secure_tcp`, which is not followed.

use std::time::Duration;

/// State of a TCP entry. The order is that of the columns of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TcpState {
    None,
    Established,
    SynSent,
    SynRecv,
    FinWait,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
}

/// Who sent a packet, and whether the balancer can see both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Server,
    /// The client, and the server's packets do not pass the balancer.
    ClientAlone,
}

/// How long entries live after their last packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) established: Duration,
    pub(crate) fin_wait: Duration,
    pub(crate) udp: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            established: Duration::from_secs(900),
            fin_wait: Duration::from_secs(120),
            udp: Duration::from_secs(300),
        }
    }
}

impl TcpState {
    /// The state after a packet with these flags (letters as in a trace: S, A, F, R).
    pub(crate) fn after(self, sender: Sender, flags: &str) -> Self {
        use TcpState::{
            Close as CL, CloseWait as CW, Established as ES, FinWait as FW, LastAck as LA,
            Listen as LI, SynRecv as SR, SynSent as SS, TimeWait as TW,
        };
        // Present state:           NO  ES  SS  SR  FW  TW  CL  CW  LA  LI
        const CLIENT_S: [TcpState; 10] = [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR];
        const CLIENT_F: [TcpState; 10] = [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI];
        const CLIENT_A: [TcpState; 10] = [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI];
        const CLIENT_R: [TcpState; 10] = [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI];
        const SERVER_S: [TcpState; 10] = [SS, ES, SS, SR, SS, SS, SS, SS, SS, LI];
        const SERVER_F: [TcpState; 10] = [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI];
        const SERVER_A: [TcpState; 10] = [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES];
        const SERVER_R: [TcpState; 10] = [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL];
        const ALONE_F: [TcpState; 10] = [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI];
        const ALONE_R: [TcpState; 10] = [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI];
        let has = |flag| flags.contains(flag);
        let server = sender == Sender::Server;
        let alone = sender == Sender::ClientAlone;
        let row = if has('R') {
            if server {
                SERVER_R
            } else if alone {
                ALONE_R
            } else {
                CLIENT_R
            }
        } else if has('S') {
            if server { SERVER_S } else { CLIENT_S }
        } else if has('F') {
            if server {
                SERVER_F
            } else if alone {
                ALONE_F
            } else {
                CLIENT_F
            }
        } else if has('A') {
            if server { SERVER_A } else { CLIENT_A }
        } else {
            return CL;
        };
        row[self as usize] // ten states, ten columns
    }

    /// Does an entry in this state count as an active connection.
    pub(crate) fn is_active(self) -> bool {
        matches!(self, Self::Established | Self::SynSent | Self::SynRecv)
    }

    /// How long an entry in this state lives after its last packet.
    pub(crate) fn timeout(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::None => Duration::from_secs(2),
            Self::Established => timeouts.established,
            Self::FinWait => timeouts.fin_wait,
            Self::SynSent | Self::TimeWait | Self::Listen => Duration::from_secs(120),
            Self::SynRecv | Self::CloseWait => Duration::from_secs(60),
            Self::Close => Duration::from_secs(10),
            Self::LastAck => Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays packets (`c` from the client, `s` from the server) and gives the states passed.
    fn life(one_way: bool, packets: &str) -> Vec<TcpState> {
        let client = if one_way {
            Sender::ClientAlone
        } else {
            Sender::Client
        };
        let mut state = TcpState::None;
        let play = |packet: &str| {
            let (sender, flags) = packet.split_at(1);
            state = state.after(
                if sender == "c" {
                    client
                } else {
                    Sender::Server
                },
                flags,
            );
            state
        };
        packets.split(' ').map(play).collect()
    }

    #[test]
    fn the_usual_lives() {
        use TcpState::{Close, CloseWait, Established, FinWait, SynRecv, TimeWait};
        assert_eq!(
            life(false, "cS sSA cA cFA sFA cA"),
            [SynRecv, SynRecv, Established, CloseWait, TimeWait, TimeWait]
        );
        assert_eq!(
            life(false, "cS sSA cA sFA cFA"),
            [SynRecv, SynRecv, Established, FinWait, TimeWait]
        );
        assert_eq!(
            life(true, "cS cA cFA cFA"),
            [SynRecv, Established, FinWait, FinWait]
        );
        assert_eq!(life(false, "cS cR sR"), [SynRecv, SynRecv, Close]);
        assert_eq!(
            life(false, "cS cA cR cS"),
            [SynRecv, Established, Close, SynRecv]
        );
        assert_eq!(
            life(false, "cS c"),
            [SynRecv, Close],
            "no flag at all closes"
        );
    }
}
