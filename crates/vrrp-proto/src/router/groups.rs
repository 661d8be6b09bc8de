//! Making the members of a sync group agree.

use super::{Router, RouterOutput};
use crate::instance::{Instance, Reason, State};
use crate::sync_group::{Decision, SyncGroup};
use crate::time::Time;
use crate::types::Name;

impl Router {
    /// A member has heard a lower Master: hosts may believe in it for the others' addresses, too.
    pub(super) fn announce_group(&mut self, now: Time, group: usize, but: usize) {
        let members = self.groups.get(group).map(|it| it.members.clone());
        for place in members.unwrap_or_default() {
            if place != but
                && let Some(instance) = self.instances.get_mut(place)
            {
                instance.announce_with_group(now);
                self.drain(now, place);
                self.rearm(place);
            }
        }
    }

    /// Makes the members of a group agree. `decided` is the one that something happened to.
    pub(super) fn coordinate(&mut self, now: Time, group: usize, decided: Option<usize>) {
        let Some(sync) = self.groups.get(group).cloned() else {
            return;
        };
        let faults = sync.faults(&self.instances);
        let fault = faults.iter().flatten().next().cloned();
        let mut followers = Followers::new(&sync, decided, &self.instances);
        if let Some(member) = &fault {
            followers.member = Some(member.clone());
        }
        for (place, fault) in sync.members.iter().zip(faults) {
            let follows = fault.is_some();
            self.follow(now, &mut followers, *place, State::Fault, follows, |it| {
                it.set_group_fault(now, fault);
            });
        }
        match sync.decide(&self.instances) {
            Decision::Nothing => {}
            Decision::Promote => {
                let first = decided.filter(|place| sync.members.contains(place));
                let first = first.or_else(|| sync.members.first().copied());
                let reason = first.and_then(|it| self.instances.get(it)?.readiness());
                if let (Some(first), Some(reason)) = (first, reason) {
                    self.member(now, first, |it| it.promote(now, reason));
                }
                for &place in &sync.members {
                    let reason = followers.reason(&sync);
                    self.follow(now, &mut followers, place, State::Master, true, |it| {
                        it.promote(now, reason);
                    });
                }
            }
            Decision::Demote => {
                for &place in &sync.members {
                    let reason = followers.reason(&sync);
                    self.follow(now, &mut followers, place, State::Backup, true, |it| {
                        it.demote(now, reason);
                    });
                }
            }
        }
        self.tell_group(group);
    }

    pub(super) fn member(&mut self, now: Time, place: usize, call: impl FnOnce(&mut Instance)) {
        if let Some(instance) = self.instances.get_mut(place) {
            call(instance);
            self.drain(now, place);
            self.rearm(place);
        }
    }

    /// Calls a member that has to follow; says so before the first one that changes.
    fn follow(
        &mut self,
        now: Time,
        followers: &mut Followers,
        place: usize,
        to: State,
        tell: bool,
        call: impl FnOnce(&mut Instance),
    ) {
        let Some(instance) = self.instances.get_mut(place) else {
            return;
        };
        let before = instance.state();
        call(instance);
        if tell && before != instance.state() && !followers.told {
            followers.told = true;
            if let Some(member) = followers.member.clone() {
                self.outputs.push_back(RouterOutput::GroupSyncing {
                    group: followers.group.clone(),
                    member,
                    to,
                });
            }
        }
        self.drain(now, place);
        self.rearm(place);
    }

    pub(super) fn tell_group(&mut self, place: usize) {
        let Some(group) = self.groups.get_mut(place) else {
            return;
        };
        let to = group.shared_state(&self.instances);
        let from = std::mem::replace(&mut group.state, to);
        if from != to {
            self.outputs.push_back(RouterOutput::GroupChanged {
                group: group.name.clone(),
                from,
                to,
            });
        }
    }
}

/// Who follows whom in one round of a group.
struct Followers {
    group: Name,
    member: Option<Name>,
    told: bool,
}

impl Followers {
    fn new(group: &SyncGroup, decided: Option<usize>, instances: &[Instance]) -> Self {
        let member = decided.or_else(|| group.members.first().copied());
        let member = member.and_then(|place| instances.get(place));
        Self {
            group: group.name.clone(),
            member: member.map(|it| it.name().clone()),
            told: false,
        }
    }

    fn reason(&self, group: &SyncGroup) -> Reason {
        group.follow(self.member.as_ref().unwrap_or(&group.name))
    }
}
