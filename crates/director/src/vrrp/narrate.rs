//! Log lines of the virtual routers: keepalived's where it has one, with the reason in brackets.

use std::collections::{BTreeSet, HashMap};
use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use tracing::{debug, info, warn};
use vrrp_proto::instance::{FaultCause, Heard};
use vrrp_proto::{Event, Name, Output, Reason, RouterOutput, State, Time, Transition};

use super::news::Did;

/// How many lines of one kind an instance has in a [`WINDOW`] because of what others send.
const MOST: u32 = 5;

/// The same for adverts of virtual routers that are not configured, on one interface: where these are
/// asked for, and where they are detail.
const MOST_UNKNOWN: u32 = 30;
const MOST_UNKNOWN_IN_DETAIL: u32 = 1;

/// See [`MOST`].
const WINDOW: Duration = Duration::from_secs(60);

/// Writes the lines. What strangers send must not fill a disk, so it holds some of them back.
#[derive(Debug, Default)]
pub(super) struct Narrator {
    /// Whether adverts of virtual routers that are not configured are more than detail.
    pub(super) logs_unknown: bool,
    limits: HashMap<(Name, Discriminant<Event>), Limit>,
    /// By interface.
    unclaimed: HashMap<Name, Limit>,
}

/// The lines of one kind.
#[derive(Debug)]
struct Limit {
    since: Time,
    written: u32,
    held_back: u64,
}

impl Narrator {
    /// Logs a step of the machine; `now` is what the ends of delays are counted from, `masters` who
    /// was master before it.
    pub(super) fn step(&mut self, step: &RouterOutput, now: Time, masters: &BTreeSet<Name>) {
        match step {
            RouterOutput::Instance { instance, output } => match output {
                Output::StateChanged(transition) => state(instance, transition),
                Output::Event(happened) if self.lets_pass(instance, happened, now) => {
                    event(instance, happened, now, masters.contains(instance));
                }
                _ => {}
            },
            RouterOutput::GroupSyncing { group, to, .. } => {
                info!("VRRP_Group({group}) Syncing instances to {to} state");
            }
            RouterOutput::GroupChanged { .. } => {}
            RouterOutput::Unclaimed {
                interface,
                source,
                vrid,
                reason,
            } => {
                let most = match self.logs_unknown {
                    true => MOST_UNKNOWN,
                    false => MOST_UNKNOWN_IN_DETAIL,
                };
                let limit = self.unclaimed.entry(interface.clone());
                let limit = limit.or_insert_with(|| Limit::new(now));
                let Some(held_back) = limit.occur(now, most) else {
                    return;
                };
                if held_back > 0 && self.logs_unknown {
                    info!("{interface}: {held_back} more lines like the following were held back");
                }
                let source = source.map_or("an unknown sender".to_owned(), |it| it.to_string());
                match (vrid, self.logs_unknown) {
                    (Some(vrid), true) => info!(
                        "Unknown VRID({vrid}) received on interface({interface}). ignoring... (from {source})"
                    ),
                    (Some(vrid), false) => debug!(
                        "Packet of {source} on {interface} with VRID {vrid} is for no instance ({reason})"
                    ),
                    (None, _) => {
                        debug!("Packet of {source} on {interface} is for no instance ({reason})");
                    }
                }
            }
        }
    }

    /// Whether an event is written now; one that tells of what was held back says so first.
    fn lets_pass(&mut self, instance: &Name, event: &Event, now: Time) -> bool {
        if !is_caused_by_others(event) {
            return true;
        }
        let kind = (instance.clone(), discriminant(event));
        let limit = self.limits.entry(kind);
        let limit = limit.or_insert_with(|| Limit::new(now));
        let held_back = limit.occur(now, MOST);
        if let Some(count @ 1..) = held_back {
            info!("({instance}) {count} more lines like the following were held back");
        }
        held_back.is_some()
    }
}

impl Limit {
    const fn new(now: Time) -> Self {
        Self {
            since: now,
            written: 0,
            held_back: 0,
        }
    }

    /// Counts one occurrence; if it is to be written, as one of at most so many, how many before it
    /// were not.
    fn occur(&mut self, now: Time, most: u32) -> Option<u64> {
        if now.since(self.since) >= WINDOW {
            self.since = now;
            self.written = 0;
        }
        if self.written >= most {
            self.held_back += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.held_back))
    }
}

/// Whether every packet of somebody else can be the cause of such an event. The machine itself
/// limits those of packets that it rejects.
const fn is_caused_by_others(event: &Event) -> bool {
    matches!(
        event,
        Event::MasterChanged { .. }
            | Event::IntervalLearnt { .. }
            | Event::IntervalRestored { .. }
            | Event::LowerPriorityDiscarded { .. }
            | Event::LowerPriorityHeard { .. }
            | Event::GoodbyeHeard { .. }
            | Event::LastWordUnanswered { .. }
            | Event::ResignationHeard { .. }
            | Event::PreemptDelayStarted { .. }
            | Event::PreemptDelayStopped
            | Event::ChecksumDiffers { .. }
            | Event::SecondMaster { .. }
            | Event::SecondMasterGone { .. }
    )
}

/// Logs that an interface has gone up or down.
pub(super) fn interface(name: &Name, is_up: bool) {
    info!(
        "Netlink reports {name} {}",
        if is_up { "up" } else { "down" }
    );
}

/// Logs detail.
pub(super) fn did(did: &Did) {
    match did {
        Did::Announcing(instance, interface, address) => {
            let what = match address.is_ipv4() {
                true => "gratuitous ARPs",
                false => "Unsolicited Neighbour Adverts",
            };
            debug!("({instance}) Sending/queueing {what} on {interface} for {address}");
        }
        Did::Seen(interface, address, true) => {
            debug!("Assigned address {address} for interface {interface}");
        }
        Did::Seen(interface, address, false) => {
            debug!("Deassigned address {address} from interface {interface}");
        }
        Did::Installing(instance) => debug!("({instance}) setting VIPs."),
        Did::Removing(instance) => debug!("({instance}) removing VIPs."),
        Did::Announced(interface, address) if address.is_ipv4() => {
            debug!("Sending gratuitous ARP on {interface} for {address}");
        }
        Did::Announced(interface, address) => {
            debug!("Sending unsolicited Neighbour Advert on {interface} for {address}");
        }
    }
}

fn state(instance: &Name, change: &Transition) {
    let Transition {
        from, to, reason, ..
    } = change;
    if let Reason::Fault { cause } = reason {
        fault(instance, cause);
    }
    if matches!(reason, Reason::MasterSilent { .. }) {
        debug!("({instance}) Receive advertisement timeout");
    }
    match (to, from, reason) {
        (State::Initialize, ..) => info!("({instance}) Stopped ({reason})"),
        (State::Backup, State::Initialize, Reason::Started) => {
            info!("({instance}) Entering BACKUP STATE (init)");
        }
        (State::Fault, State::Initialize, _) => {
            info!("({instance}) Entering FAULT STATE (init) ({reason})");
        }
        _ => info!("({instance}) Entering {to} STATE ({reason})"),
    }
    match reason {
        Reason::Outranked { by, ours } if by.priority == *ours => debug!(
            "({instance}) Master received advert from {} with same priority {ours} but higher IP \
             address than ours",
            by.address
        ),
        Reason::Outranked { by, ours } => info!(
            "({instance}) Master received advert from {} with higher priority {}, ours {ours}",
            by.address, by.priority
        ),
        _ => {}
    }
    if let (State::Master, State::Fault | State::Initialize) = (from, to) {
        debug!("({instance}) sent 0 priority");
    }
}

/// keepalived's line for the cause of a fault, before that of the state.
fn fault(instance: &Name, cause: &FaultCause) {
    match cause {
        FaultCause::InterfaceDown { interface } => {
            info!("({instance}): entering FAULT state (interface {interface} down)");
        }
        FaultCause::Tracked { tracker, .. } => {
            match tracker.as_str().split_once(' ').unwrap_or_default() {
                ("interface", name) => {
                    info!("({instance}): entering FAULT state (interface {name} down)");
                }
                ("script", name) => {
                    info!("({instance}): entering FAULT state due to script {name}")
                }
                ("file", name) => info!("({instance}): tracked file {name} now FAULT state"),
                ("source", _) => {
                    info!("({instance}): entering FAULT state (src address not configured)");
                }
                _ => {}
            }
        }
        _ => {}
    }
}

fn event(instance: &Name, event: &Event, now: Time, is_master: bool) {
    match event {
        Event::PriorityChanged { from, to } => {
            info!("({instance}) Changing effective priority from {from} to {to}");
        }
        Event::MasterChanged { from, to } => match from {
            Some(from) => debug!("({instance}) master changed from {from} to {}", to.address),
            None => debug!("({instance}) master is {}", to.address),
        },
        Event::IntervalLearnt { from, to, .. } => info!(
            "({instance}) advertisement interval updated from {}ms to {}ms by master",
            from.as_millis(),
            to.as_duration().as_millis()
        ),
        Event::IntervalRestored { from, to } => info!(
            "({instance}) changing advert interval from {}ms to locally configured {}ms",
            from.as_millis(),
            to.as_duration().as_millis()
        ),
        Event::LowerPriorityDiscarded { master } => info!(
            "({instance}) received lower priority ({}) advert from {} - discarding",
            master.priority, master.address
        ),
        Event::LowerPriorityHeard { rival, ours } => info!(
            "({instance}) Received advert from {} with lower priority {}, ours {ours}, forcing new \
             election",
            rival.address, rival.priority
        ),
        Event::GoodbyeHeard { rival } => {
            let Heard { address, priority } = rival;
            debug!("({instance}) last advert of {address}, the master before, priority {priority}");
        }
        Event::LastWordUnanswered { master } => warn!(
            "({instance}) {}, to which we have yielded, does not answer our adverts: it may not hear \
             us, or was told not to answer",
            master.address
        ),
        Event::ResignationHeard { from } if is_master => {
            debug!("({instance}) Master received priority 0 message from {from}");
        }
        Event::ResignationHeard { from } => {
            debug!("({instance}) Backup received priority 0 advertisement from {from}");
        }
        Event::PreemptDelayStarted { until } => debug!(
            "({instance}) start preempt delay ({:.6})",
            until.since(now).as_secs_f64()
        ),
        Event::PreemptDelayStopped => debug!("({instance}) stop preempt delay"),
        Event::Rejected {
            source,
            reason,
            count,
        } => {
            let source = source.map_or("an unknown sender".to_owned(), |it| it.to_string());
            let others = match count {
                0 | 1 => String::new(),
                count => format!(", {count} of this kind since the last such line"),
            };
            warn!("({instance}) advert of {source} ignored: {reason}{others}");
        }
        Event::AddressListDiffers { source } => warn!(
            "({instance}) the addresses in the advert of {source} are not ours; accepted all the same"
        ),
        Event::ChecksumDiffers { source, rule } => {
            info!(
                "({instance}) the checksum of {source} follows another rule ({rule:?}), accepted"
            );
        }
        Event::SecondMaster { address, suspicion } => {
            warn!("({instance}) {address} acts as master, too: {suspicion}");
        }
        Event::SecondMasterGone { address, since } => info!(
            "({instance}) {address} does not act as master any more, after {:.1} s",
            now.since(*since).as_secs_f64()
        ),
        Event::SameAddress { address } => warn!(
            "({instance}) WARNING - equal priority advert received from remote host with our IP \
             address {address}."
        ),
        Event::OwnerConflict { address } => warn!(
            "({instance}) CONFIGURATION ERROR: local instance and {address} are both configured as \
             address owner, please resolve"
        ),
        Event::Stalled { late, listen_until } => {
            let listens = match listen_until {
                Some(until) => format!(
                    ", listening for {} ms before taking over",
                    until.since(now).as_millis()
                ),
                None => String::new(),
            };
            warn!(
                "({instance}) this process was not scheduled for {} ms{listens}",
                late.as_millis()
            );
        }
        Event::AddressesMissing { addresses } => {
            let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            warn!(
                "({instance}) {} removed by something else, put back",
                list.join(", ")
            );
        }
        Event::AddressNotInstalled { address, detail } => {
            warn!("({instance}) {address} cannot be set - {detail}");
        }
        Event::AddressClaimed { address, hardware } => {
            warn!("({instance}) {address} is claimed by {hardware}, announced again");
        }
        Event::SendFailed { detail } => warn!("({instance}) cannot send - {detail}"),
        Event::FaultCausesChanged { causes } => {
            let list: Vec<_> = causes.iter().map(ToString::to_string).collect();
            info!(
                "({instance}) in FAULT state now because of: {}",
                list.join("; ")
            );
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_lines_of_a_kind_in_a_minute_and_the_next_one_tells_of_the_others() {
        let mut narrator = Narrator::default();
        let (one, two): (Name, Name) = ("VI".into(), "VJ".into());
        let event = Event::PreemptDelayStopped;
        let mut passed = |name: &Name, event: &Event, at: u64| {
            narrator.lets_pass(name, event, Time::from_secs(at))
        };
        let count = (0..1000).filter(|_| passed(&one, &event, 7)).count();
        assert_eq!(count, 5);
        assert!(passed(&two, &event, 7));
        assert!(passed(
            &one,
            &Event::AddressesMissing { addresses: vec![] },
            7
        ));
        assert!(!passed(&one, &event, 66));
        assert!(passed(&one, &event, 67));
        let mut limit = Limit {
            since: Time::from_secs(5),
            written: MOST,
            held_back: 0,
        };
        assert_eq!(limit.occur(Time::from_secs(6), MOST), None);
        assert_eq!(limit.occur(Time::from_secs(7), MOST), None);
        assert_eq!(limit.occur(Time::from_secs(65), MOST), Some(2));
        assert_eq!(limit.occur(Time::from_secs(65), MOST), Some(0));
    }
}
