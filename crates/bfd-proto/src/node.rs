//! All sessions of a system: who gets a packet, what a new configuration changes.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg32;

use crate::config::{self, ConfigError, Hops, Name, NamedSession};
use crate::packet::{Discriminator, Packet};
use crate::rejected::{Rejected, Rejections};
use crate::session::{Output, Session};
use crate::time::Time;

/// A packet as a socket gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who has sent it.
    pub source: IpAddr,
    /// Our address that it was sent to.
    pub destination: IpAddr,
    /// Its TTL or hop limit; `None` where the system does not tell, which fails every check of it.
    pub hop_limit: Option<u8>,
    /// The port that it came in on.
    pub hops: Hops,
    /// What UDP carries.
    pub payload: &'a [u8],
}

/// Something that the driver has to do for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOutput {
    /// The session.
    pub session: Name,
    /// What.
    pub output: Output,
}

/// A system that runs sessions.
///
/// The methods fall into four groups:
///
/// - What comes in: [`handle_datagram`](Self::handle_datagram),
///   [`handle_send_failure`](Self::handle_send_failure), [`handle_timeout`](Self::handle_timeout).
/// - Commands: [`configure`](Self::configure), [`stop`](Self::stop).
/// - What goes out: [`poll_output`](Self::poll_output), [`poll_timeout`](Self::poll_timeout).
/// - Getters: all others. They change nothing.
///
/// After any call of the first two groups, drain `poll_output` until it returns `None`, then arm a
/// timer for `poll_timeout`. When a timer and a socket are ready together, read the socket first:
/// what a neighbor said counts more than that it seemed silent. A `handle_timeout` that comes late,
/// early or twice is harmless. `now` that goes back counts as the latest `now`.
#[derive(Clone, Debug)]
pub struct Node {
    sessions: Vec<Session>,
    places: HashMap<Discriminator, usize>,
    unclaimed: Rejections,
    random: Pcg32,
    /// Of sessions that are gone, and of others before them.
    outputs: VecDeque<NodeOutput>,
}

impl Node {
    /// Without sessions. The seed decides on discriminators and jitter: take a random one, so that
    /// nobody can guess a discriminator.
    pub fn new(seed: u64) -> Self {
        Self {
            sessions: Vec::new(),
            places: HashMap::new(),
            unclaimed: Rejections::default(),
            random: Pcg32::seed_from_u64(seed),
            outputs: VecDeque::new(),
        }
    }

    // === What comes in ===

    /// A packet came in.
    pub fn handle_datagram(&mut self, now: Time, datagram: &Datagram<'_>) {
        let packet = match Packet::parse(datagram.payload) {
            Ok(packet) => packet,
            Err(error) => {
                // Whose it is cannot be told for sure, but it can be guessed for the counters.
                let reason = error.into();
                return match self.expecting(datagram) {
                    Some(session) => session.count(reason),
                    None => self.unclaimed.count(reason),
                };
            }
        };
        let Some(named) = packet.your_discriminator else {
            return match self.expecting(datagram) {
                Some(session) => session.handle_packet(now, datagram.hop_limit, &packet),
                None => self.unclaimed.count(Rejected::UnknownNeighbor),
            };
        };
        let place = self.places.get(&named);
        let Some(session) = place.and_then(|place| self.sessions.get_mut(*place)) else {
            return self.unclaimed.count(Rejected::UnknownSession);
        };
        if is_for(session, datagram) {
            session.handle_packet(now, datagram.hop_limit, &packet);
        } else {
            session.count(Rejected::OtherNeighbor);
        }
    }

    /// The driver could not send a packet of this session.
    pub fn handle_send_failure(&mut self, session: &str) {
        let mut all = self.sessions.iter_mut();
        if let Some(session) = all.find(|it| **it.name() == *session) {
            session.handle_send_failure();
        }
    }

    /// A deadline may have come.
    pub fn handle_timeout(&mut self, now: Time) {
        for session in &mut self.sessions {
            if session.poll_timeout().is_some_and(|at| at <= now) {
                session.handle_timeout(now);
            }
        }
    }

    // === Commands ===

    /// Runs exactly these sessions from now on. One whose name and path are as before goes on without
    /// a break; one that is gone, or has another path, tells its neighbor.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration; then nothing has changed.
    pub fn configure(&mut self, now: Time, wished: &[NamedSession]) -> Result<(), ConfigError> {
        config::check(wished)?;
        let mut before = std::mem::take(&mut self.sessions);
        let mut sessions = Vec::with_capacity(wished.len());
        for NamedSession { name, config } in wished {
            let is_same = |it: &Session| it.name() == name && it.config().path == config.path;
            match before.iter().position(is_same) {
                Some(place) => {
                    let mut session = before.swap_remove(place);
                    session.reconfigure(now, config.clone());
                    sessions.push(session);
                }
                None => {
                    let local = self.unused(&sessions, &before);
                    let seed = self.random.random();
                    let (name, config) = (name.clone(), config.clone());
                    sessions.push(Session::new(name, config, local, seed, now));
                }
            }
        }
        for mut gone in before {
            gone.disable(now);
            self.keep_outputs(&mut gone);
        }
        let places = sessions.iter().enumerate();
        self.places = places
            .map(|(place, it)| (it.discriminator(), place))
            .collect();
        self.sessions = sessions;
        Ok(())
    }

    /// Takes all sessions out of service, tells their neighbors, and forgets them.
    pub fn stop(&mut self, now: Time) {
        for mut session in std::mem::take(&mut self.sessions) {
            session.disable(now);
            self.keep_outputs(&mut session);
        }
        self.places.clear();
    }

    // === What goes out ===

    /// The next step for the driver.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<NodeOutput> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        self.sessions.iter_mut().find_map(|session| {
            let output = session.poll_output()?;
            let session = session.name().clone();
            Some(NodeOutput { session, output })
        })
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called next; `None` for never. Any call
    /// of the first two groups may change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.sessions.iter().filter_map(Session::poll_timeout).min()
    }

    // === Getters ===

    /// The sessions in the order of the configuration.
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// The session of this name.
    pub fn session(&self, name: &str) -> Option<&Session> {
        self.sessions.iter().find(|it| **it.name() == *name)
    }

    /// What was dropped and was for no session.
    pub const fn unclaimed(&self) -> &Rejections {
        &self.unclaimed
    }

    // === Inside ===

    /// The session that waits for packets from there.
    fn expecting(&mut self, datagram: &Datagram<'_>) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|it| is_for(it, datagram))
    }

    fn keep_outputs(&mut self, session: &mut Session) {
        while let Some(output) = session.poll_output() {
            let session = session.name().clone();
            self.outputs.push_back(NodeOutput { session, output });
        }
    }

    /// A discriminator that no session has, new or old.
    fn unused(&mut self, sessions: &[Session], before: &[Session]) -> Discriminator {
        loop {
            let Some(random) = Discriminator::new(self.random.random()) else {
                continue;
            };
            let mut all = sessions.iter().chain(before);
            if all.all(|it| it.discriminator() != random) {
                return random;
            }
        }
    }
}

fn is_for(session: &Session, datagram: &Datagram<'_>) -> bool {
    let path = &session.config().path;
    path.carries(datagram.source, datagram.destination, datagram.hops)
}
