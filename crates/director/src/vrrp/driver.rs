//! The thread that keeps the virtual routers' time.
//!
//! # Design
//! One thread, one `ppoll` with a deadline in nanoseconds on the kernel's high-resolution timers. The
//! machine ([`Router`]) decides; this moves values: what came in goes into the machine, what it asks
//! for is done in its order, and what could not be done goes back into it. Sockets are read before
//! deadlines are looked at, because what the master said counts more than that it seemed silent.
//! Nothing here waits: lines, files and scripts are the other thread's ([`aide`](super::aide)).
//!
//! - `wait`: how it sleeps.
//! - `hear`: what comes in.
//! - `links`: what the machine is told of interfaces and addresses.
//! - `configure`: a new configuration.
//! - `perform`: what the machine asks for.

mod configure;
mod hear;
mod links;
mod perform;
mod wait;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use netif::{NetifError, RECEIVE_SIZE};
use vrrp_proto::{Input, Name, Record, Router, RouterOutput, Time, Trouble};

use super::clock;
use super::interfaces::Interfaces;
use super::kernel::Kernel;
use super::mailbox::Mailbox;
use super::news::{Desk, News};
use super::order::{Order, WasMaster};
use super::sockets::Sockets;
use crate::scheduling;
use crate::wiring::vrrp::VrrpPlan;

/// Everything that the thread has.
pub(super) struct Driver {
    router: Router,
    plan: VrrpPlan,
    kernel: Kernel,
    sockets: Sockets,
    interfaces: Interfaces,
    /// The source addresses that are tracked, and whether they are there.
    sources: BTreeMap<IpAddr, bool>,
    orders: Mailbox<Order>,
    desk: Desk,
    /// Said once, after the first configuration.
    resume: Vec<WasMaster>,
    troubles: Vec<(Name, Trouble)>,
    /// When the sockets were last found empty.
    awake_at: Time,
    /// When packets were last read.
    heard_at: Time,
    /// Whether those before them came just before.
    in_succession: bool,
    buffer: Box<[u8]>,
    /// The real-time priority; 0 for none.
    real_time: u8,
    keeps: bool,
    is_done: bool,
}

impl Driver {
    /// With nothing configured. `keeps`: what is set stays when the process stops.
    pub(super) fn new(
        orders: Mailbox<Order>,
        desk: Desk,
        resume: Vec<WasMaster>,
        keeps: bool,
    ) -> Result<Self, NetifError> {
        let plan = VrrpPlan::default();
        Ok(Self {
            router: Router::new(),
            kernel: Kernel::open(&plan.holdings)?,
            plan,
            sockets: Sockets::default(),
            interfaces: Interfaces::default(),
            sources: BTreeMap::new(),
            orders,
            desk,
            resume,
            troubles: Vec::new(),
            awake_at: clock::now(),
            heard_at: Time::ZERO,
            in_succession: false,
            buffer: vec![0; RECEIVE_SIZE].into(),
            real_time: 0,
            keeps,
            is_done: false,
        })
    }

    /// Works until it is told to stop, in a thread of this real-time priority.
    pub(super) fn run(&mut self, real_time: u8) {
        self.real_time = real_time;
        while !self.is_done {
            let deadlines = [self.router.poll_timeout(), self.interfaces.poll_timeout()];
            let deadline = deadlines.into_iter().flatten().min();
            let ready = self.wait(deadline);
            self.hear(ready);
            let now = clock::now();
            self.awake_at = now;
            if let Some(deadline) = deadline.filter(|at| *at < now) {
                self.mind_lateness(now.since(deadline));
            }
            if self.interfaces.poll_timeout().is_some_and(|at| at <= now) {
                self.interfaces.handle_timeout(now);
                self.tell_interfaces(now);
            }
            if self.router.poll_timeout().is_some_and(|at| at <= now) {
                self.input(now, &Input::Timeout);
            }
            self.settle();
        }
        self.desk.tell(News::Stopped);
    }

    /// Who is too late takes a higher priority, if that is permitted.
    fn mind_lateness(&mut self, late: Duration) {
        let Some((most, limit)) = self.plan.automatic_priority else {
            return;
        };
        if late < limit || self.real_time >= most {
            return;
        }
        // A reload may have given it another one.
        let next = self.real_time.max(scheduling::real_time()) + 1;
        match scheduling::set_real_time(next) {
            Ok(()) => self.desk.tell(News::Remark(format!(
                "The VRRP process was {} ms late, its real-time priority is {next} now",
                late.as_millis()
            ))),
            // It is not tried again.
            Err(error) => self.desk.warn(format!(
                "Unable to raise the real-time priority of the VRRP process to {next} - {error}"
            )),
        }
        self.real_time = next;
    }

    /// Hands an input to the machine, and to the recording.
    fn input(&mut self, now: Time, input: &Input<'_>) {
        if self.desk.records {
            let input = owned(input);
            self.desk.tell(News::Input(Record { at: now, input }));
        }
        if let Err(refused) = self.router.handle(now, input) {
            // The plan was checked by the same rules.
            self.desk.warn(format!("Configuration refused - {refused}"));
        }
    }

    fn settle(&mut self) {
        while let Some(step) = self.next_step() {
            self.perform(step, None);
        }
    }

    fn settle_with(&mut self, before: &VrrpPlan) {
        while let Some(step) = self.next_step() {
            self.perform(step, Some(before));
        }
    }

    /// What the machine asks for next; what could not be done is told when it asks for nothing.
    fn next_step(&mut self) -> Option<RouterOutput> {
        loop {
            if let Some(step) = self.router.poll_output() {
                return Some(step);
            }
            if self.troubles.is_empty() {
                return None;
            }
            let now = clock::now();
            for (instance, trouble) in std::mem::take(&mut self.troubles) {
                self.input(now, &Input::Trouble { instance, trouble });
            }
        }
    }

    /// Gives everything back. The machine resigns first, so the next master need not wait for more.
    fn stop(&mut self, now: Time) {
        self.is_done = true;
        self.input(now, &Input::Stop);
        self.settle();
        if !self.keeps {
            let (lines, problems) = self.kernel.undo();
            self.remark(lines);
            self.complain(None, problems);
        }
    }

    fn remark(&self, lines: Vec<String>) {
        for line in lines {
            self.desk.tell(News::Remark(line));
        }
    }

    fn complain(&self, instance: Option<&Name>, problems: Vec<String>) {
        for problem in problems {
            match instance {
                Some(name) => self.desk.warn(format!("({name}) {problem}")),
                None => self.desk.warn(problem),
            }
        }
    }
}

/// An input with bytes of its own.
fn owned(input: &Input<'_>) -> Input<'static> {
    match input {
        Input::Datagram {
            interface,
            datagram,
        } => Input::Datagram {
            interface: interface.clone(),
            datagram: datagram.clone().into_owned(),
        },
        Input::Configure(config) => Input::Configure(config.clone()),
        Input::Resume {
            instance,
            silent_for,
        } => Input::Resume {
            instance: instance.clone(),
            silent_for: *silent_for,
        },
        Input::Interface { interface, state } => Input::Interface {
            interface: interface.clone(),
            state: state.clone(),
        },
        Input::Track(report) => Input::Track(report.clone()),
        Input::Trouble { instance, trouble } => Input::Trouble {
            instance: instance.clone(),
            trouble: trouble.clone(),
        },
        Input::Announce { instance } => Input::Announce {
            instance: instance.clone(),
        },
        Input::Timeout => Input::Timeout,
        Input::Stop => Input::Stop,
    }
}
