//! One session: its state, its timers, and what it says.
//!
//! | state | neighbor says Down | Init | Up | AdminDown | silence | disabled |
//! |---|---|---|---|---|---|---|
//! | Down | Init | Up | Down | Down | Down | AdminDown |
//! | Init | Init | Up | Up | Down | Down | AdminDown |
//! | Up | Down | Up | Up | Down | Down | AdminDown |
//! | AdminDown | dropped | dropped | dropped | dropped | AdminDown | |
//!
//! Source: RFC 5880 sections 6.2 and 6.8.6.
//!
//! # Design
//! No deadline is stored: each follows from when something happened last and from the intervals that
//! are in force, so a change of an interval counts at once, as section 6.8.3 wants it. A packet whose
//! content differs from the last one is sent at once, too; nothing else has to remember to do so.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU8;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg32;

use crate::config::{Name, SessionConfig};
use crate::packet::{Diagnostic, Discriminator, LENGTH, Packet, State};
use crate::rejected::{Rejected, Statistics};
use crate::time::{Interval, Time, micros};

/// A session with one neighbor. [`Node`](crate::Node) runs it; this is for looking at it.
#[derive(Clone, Debug)]
pub struct Session {
    name: Name,
    config: SessionConfig,
    local: Discriminator,
    now: Time,
    state: State,
    since: Time,
    diagnostic: Diagnostic,
    reason: Option<Reason>,
    remote: Option<Remote>,
    /// What our packets say.
    advertised: Timers,
    /// What we go by; differs from the above while a poll is under way.
    in_force: Timers,
    polling: bool,
    last_sent: Option<(Time, Packet)>,
    /// The part of the interval until the next packet, in millionths.
    pace: u32,
    random: Pcg32,
    statistics: Statistics,
    outputs: VecDeque<Output>,
}

/// The two intervals that a side tells the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timers {
    tx: Interval,
    rx: Interval,
}

/// What the neighbor has said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its name for the session.
    pub discriminator: Discriminator,
    /// Its state.
    pub state: State,
    /// Why it changed its state the last time.
    pub diagnostic: Diagnostic,
    /// Whether it wants no periodic packets while both are up.
    pub demand: bool,
    /// How many of its packets we may miss.
    pub multiplier: NonZeroU8,
    /// How fast it wants to send.
    pub desired_min_tx: Duration,
    /// How fast it can receive; zero: it wants no periodic packets.
    pub required_min_rx: Duration,
    /// When it said so.
    pub heard_at: Time,
}

/// Something that the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send these bytes along the session's path.
    Send(Transmit),
    /// The state is another one.
    StateChanged(Transition),
}

/// A packet to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// From where to where.
    pub path: crate::config::Path,
    /// TTL or hop limit to send it with.
    pub hop_limit: NonZeroU8,
    /// What.
    pub payload: [u8; LENGTH],
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Time,
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
    /// Why.
    pub reason: Reason,
}

/// Why the state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The neighbor is heard, in this state.
    Heard(State),
    /// The neighbor said nothing for as long as the detection time.
    Silence(Duration),
    /// The neighbor says that it is down, for this reason.
    NeighborDown(Diagnostic),
    /// The neighbor was taken out of service.
    NeighborAdminDown(Diagnostic),
    /// We were taken out of service: the session was removed, or the node stops.
    Disabled,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Heard(state) => write!(f, "neighbor is {state}"),
            Self::Silence(time) => write!(f, "nothing heard for {time:?}"),
            Self::NeighborDown(Diagnostic::NONE) => f.write_str("neighbor is Down"),
            Self::NeighborDown(why) => write!(f, "neighbor is Down: {why}"),
            Self::NeighborAdminDown(_) => f.write_str("neighbor is AdminDown"),
            Self::Disabled => f.write_str("taken out of service"),
        }
    }
}

impl Session {
    pub(crate) fn new(
        name: Name,
        config: SessionConfig,
        local: Discriminator,
        seed: u64,
        now: Time,
    ) -> Self {
        let timers = Timers {
            tx: idle_tx(&config),
            rx: config.min_rx,
        };
        Self {
            name,
            config,
            local,
            now,
            state: State::Down,
            since: now,
            diagnostic: Diagnostic::NONE,
            reason: None,
            remote: None,
            advertised: timers,
            in_force: timers,
            polling: false,
            last_sent: None,
            pace: MILLION,
            random: Pcg32::seed_from_u64(seed),
            statistics: Statistics::default(),
            outputs: VecDeque::new(),
        }
    }

    // === What comes in ===

    /// A packet that was found to be for this session, with its TTL or hop limit.
    pub(crate) fn handle_packet(&mut self, now: Time, hop_limit: Option<u8>, packet: &Packet) {
        let now = self.advance(now);
        if let Err(reason) = self.check(hop_limit) {
            self.statistics.rejected.count(reason);
            return;
        }
        self.remote = Some(Remote {
            discriminator: packet.my_discriminator,
            state: packet.state,
            diagnostic: packet.diagnostic,
            demand: packet.demand,
            multiplier: packet.multiplier,
            desired_min_tx: micros(packet.desired_min_tx_us),
            required_min_rx: micros(packet.required_min_rx_us),
            heard_at: now,
        });
        if self.polling && packet.is_final {
            self.polling = false;
            self.in_force = self.advertised;
        }
        if self.state == State::AdminDown {
            self.statistics.rejected.count(Rejected::AdminDown);
            return;
        }
        self.statistics.received += 1;
        self.follow(now, packet);
        self.settle();
        if packet.poll {
            self.send(now, true);
        }
        self.send_changes(now);
    }

    fn check(&self, hop_limit: Option<u8>) -> Result<(), Rejected> {
        match (self.config.least_hop_limit, hop_limit) {
            (0, _) => Ok(()),
            (least, Some(limit)) if limit >= least => Ok(()),
            _ => Err(Rejected::HopLimit),
        }
    }

    /// The state machine. Source: RFC 5880 section 6.8.6.
    fn follow(&mut self, now: Time, packet: &Packet) {
        let heard = Reason::Heard(packet.state);
        match (self.state, packet.state) {
            (State::Init | State::Up, State::AdminDown) => {
                let reason = Reason::NeighborAdminDown(packet.diagnostic);
                self.change(now, State::Down, reason);
            }
            (State::Down, State::Down) => self.change(now, State::Init, heard),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.change(now, State::Up, heard);
            }
            (State::Up, State::Down) => {
                let reason = Reason::NeighborDown(packet.diagnostic);
                self.change(now, State::Down, reason);
            }
            (State::AdminDown, _)
            | (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up) => {}
        }
    }

    /// A deadline may have come.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        let now = self.advance(now);
        if self.detection_deadline().is_some_and(|at| at <= now) {
            let silence = Reason::Silence(self.detection_time().unwrap_or_default());
            // All that it has said is void, or one that wanted no packets would never get another.
            self.remote = None;
            if let State::Init | State::Up = self.state {
                self.change(now, State::Down, silence);
            }
            self.settle();
            self.send_changes(now);
        }
        if self.transmit_deadline().is_some_and(|at| at <= now) {
            self.send(now, false);
        }
    }

    /// The driver could not send a packet.
    pub(crate) fn handle_send_failure(&mut self) {
        self.statistics.send_failures += 1;
    }

    // === Commands ===

    /// Goes by another configuration, of the same path, from now on. While up the neighbor is polled
    /// for its consent before we send more slowly or expect it to be faster.
    pub(crate) fn reconfigure(&mut self, now: Time, config: SessionConfig) {
        let now = self.advance(now);
        self.config = config;
        self.settle();
        self.send_changes(now);
    }

    /// Takes the session out of service and tells the neighbor.
    pub(crate) fn disable(&mut self, now: Time) {
        let now = self.advance(now);
        if self.state != State::AdminDown {
            self.change(now, State::AdminDown, Reason::Disabled);
            self.settle();
            self.send_changes(now);
        }
    }

    // === What goes out ===

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `handle_timeout` has to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let both = [self.detection_deadline(), self.transmit_deadline()];
        both.into_iter().flatten().min()
    }

    // === Getters ===

    /// Its name.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// What it goes by.
    pub const fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// Our name for it on the wire.
    pub const fn discriminator(&self) -> Discriminator {
        self.local
    }

    /// Its state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Since when.
    pub const fn since(&self) -> Time {
        self.since
    }

    /// Why it changed its state the last time; `None` before the first change.
    pub const fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// The same as our packets say it.
    pub const fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    /// What the neighbor has said last; `None` when it has not been heard, or not for as long as the
    /// detection time.
    pub const fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// Whether new intervals wait for the neighbor's consent.
    pub const fn is_polling(&self) -> bool {
        self.polling
    }

    /// The time between our packets, before jitter. Source: RFC 5880 section 6.8.2.
    pub fn transmit_interval(&self) -> Duration {
        let wanted = self.in_force.tx.as_duration();
        let remote = self.remote.as_ref();
        wanted.max(remote.map_or(Duration::ZERO, |it| it.required_min_rx))
    }

    /// How long the neighbor may be silent; `None` as long as it was not heard. Source: RFC 5880
    /// section 6.8.4.
    pub fn detection_time(&self) -> Option<Duration> {
        let remote = self.remote.as_ref()?;
        let interval = remote.desired_min_tx.max(self.in_force.rx.as_duration());
        Some(interval * remote.multiplier.get().into())
    }

    /// Counters.
    pub const fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    pub(crate) fn count(&mut self, reason: Rejected) {
        self.statistics.rejected.count(reason);
    }

    // === Inside ===

    /// Time does not go back.
    fn advance(&mut self, now: Time) -> Time {
        self.now = self.now.max(now);
        self.now
    }

    fn change(&mut self, now: Time, to: State, reason: Reason) {
        let from = std::mem::replace(&mut self.state, to);
        self.since = now;
        self.reason = Some(reason);
        self.diagnostic = match reason {
            Reason::Silence(_) => Diagnostic::TIME_EXPIRED,
            Reason::NeighborDown(_) | Reason::NeighborAdminDown(_) => Diagnostic::NEIGHBOR_DOWN,
            Reason::Disabled => Diagnostic::ADMIN_DOWN,
            Reason::Heard(_) if to == State::Up => Diagnostic::NONE,
            Reason::Heard(_) => self.diagnostic,
        };
        self.statistics.ups += u64::from(to == State::Up);
        self.statistics.downs += u64::from(from == State::Up);
        let transition = Transition {
            at: now,
            from,
            to,
            reason,
        };
        self.outputs.push_back(Output::StateChanged(transition));
    }

    /// Makes our intervals those of the configuration and the state. Source: RFC 5880 section 6.8.3.
    fn settle(&mut self) {
        let is_up = self.state == State::Up;
        let wanted = Timers {
            tx: match is_up {
                true => self.config.min_tx,
                false => idle_tx(&self.config),
            },
            rx: self.config.min_rx,
        };
        if !is_up {
            // In force at once; the neighbor goes by what it hears, too.
            self.polling = false;
            self.advertised = wanted;
            self.in_force = wanted;
        } else if !self.polling && self.advertised != wanted {
            // One poll at a time, or its answer could be to the one before.
            self.polling = true;
            self.advertised = wanted;
            self.in_force = Timers {
                tx: self.in_force.tx.min(wanted.tx),
                rx: self.in_force.rx.max(wanted.rx),
            };
        }
    }

    /// Whether periodic packets are sent. Source: RFC 5880 section 6.8.7.
    fn may_transmit(&self) -> bool {
        match &self.remote {
            None => !self.config.passive,
            Some(remote) => {
                let both_up = self.state == State::Up && remote.state == State::Up;
                !remote.required_min_rx.is_zero() && (!remote.demand || !both_up || self.polling)
            }
        }
    }

    fn transmit_deadline(&self) -> Option<Time> {
        if !self.may_transmit() {
            return None;
        }
        let Some((last, _)) = self.last_sent else {
            return Some(self.since);
        };
        // An interval is below 2^32 us, so the product is below 2^63.
        let nanos = self.transmit_interval().as_micros() * u128::from(self.pace) / 1000;
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        Some(last + Duration::from_nanos(nanos))
    }

    fn detection_deadline(&self) -> Option<Time> {
        let heard_at = self.remote.as_ref()?.heard_at;
        Some(heard_at + self.detection_time()?)
    }

    fn packet(&self) -> Packet {
        Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: false,
            is_final: false,
            independent: false,
            demand: false,
            multiplier: self.config.multiplier,
            my_discriminator: self.local,
            your_discriminator: self.remote.as_ref().map(|it| it.discriminator),
            desired_min_tx_us: self.advertised.tx.as_micros(),
            required_min_rx_us: self.advertised.rx.as_micros(),
            required_min_echo_rx_us: 0,
        }
    }

    /// Sends at once what differs from what was sent last.
    fn send_changes(&mut self, now: Time) {
        let content = self.packet();
        let is_new = self.last_sent.is_some_and(|(_, last)| last != content);
        let may = self.may_transmit() || self.state == State::AdminDown;
        if is_new && may && (!self.config.passive || self.remote.is_some()) {
            self.send(now, false);
        }
    }

    fn send(&mut self, now: Time, is_final: bool) {
        let content = self.packet();
        let packet = Packet {
            poll: self.polling && !is_final,
            is_final,
            ..content
        };
        let transmit = Transmit {
            path: self.config.path,
            hop_limit: self.config.hop_limit,
            payload: packet.write(),
        };
        self.outputs.push_back(Output::Send(transmit));
        self.statistics.sent += 1;
        // An answer to a poll is outside of the rhythm.
        let at = match (is_final, self.last_sent) {
            (true, Some((at, _))) => at,
            _ => {
                self.pace = self.random.random_range(paces(self.config.multiplier));
                now
            }
        };
        self.last_sent = Some((at, content));
    }
}

const MILLION: u32 = 1_000_000;

/// How much of an interval may pass between two packets, in millionths: at random, so that many
/// sessions do not fall into step, and less when a single packet counts. Source: RFC 5880 section
/// 6.8.7.
fn paces(multiplier: NonZeroU8) -> std::ops::RangeInclusive<u32> {
    let most = if multiplier.get() == 1 {
        900_000
    } else {
        MILLION
    };
    750_000..=most
}

fn idle_tx(config: &SessionConfig) -> Interval {
    config.idle_tx.max(Interval::SLOW)
}

#[cfg(test)]
mod tests;
