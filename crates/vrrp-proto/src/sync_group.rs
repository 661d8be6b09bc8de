//! Instances that share one state.
//!
//! | what the members are | what the group does |
//! |---|---|
//! | one has a fault of its own | all others go to Fault |
//! | none has one any more | all go to Backup |
//! | all would be Master | all become Master |
//! | one is Master and another one is not | all become Backup |
//!
//! So a member whose timer has run out waits until the timers of all have. Source:
//! keepalived.conf(5) `vrrp_sync_group`.

use crate::instance::{Instance, Reason, State};
use crate::types::Name;

/// A group at run time.
#[derive(Clone, Debug)]
pub(crate) struct SyncGroup {
    pub(crate) name: Name,
    /// Places of the members among the router's instances.
    pub(crate) members: Vec<usize>,
    /// Its state when it was last told.
    pub(crate) state: State,
}

/// What a group asks of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// They agree.
    Nothing,
    /// Those that are not become Master.
    Promote,
    /// Those that are not become Backup.
    Demote,
}

impl SyncGroup {
    /// For each member, in order, the first other member with a fault of its own.
    pub(crate) fn faults(&self, instances: &[Instance]) -> Vec<Option<Name>> {
        let faulty = |place: &usize| {
            let instance = instances.get(*place)?;
            let started = instance.state() != State::Initialize;
            let faulty = started && instance.own_faults().next().is_some();
            faulty.then(|| instance.name().clone())
        };
        let other = |place: &usize| {
            let mut others = self.members.iter().filter(|it| *it != place);
            others.find_map(faulty)
        };
        self.members.iter().map(other).collect()
    }

    /// What the members' states ask for.
    pub(crate) fn decide(&self, instances: &[Instance]) -> Decision {
        let members = || {
            self.members
                .iter()
                .filter_map(|place| instances.get(*place))
        };
        let masters = members().filter(|it| it.state() == State::Master).count();
        let ready = members().filter(|it| it.is_ready()).count();
        let waiting = members()
            .filter(|it| it.state() == State::Initialize)
            .count();
        match masters + ready {
            _ if masters == self.members.len() => Decision::Nothing,
            willing if willing == self.members.len() => Decision::Promote,
            willing if masters > 0 && willing + waiting < self.members.len() => Decision::Demote,
            _ => Decision::Nothing,
        }
    }

    /// The state that the members share, as far as they do.
    pub(crate) fn shared_state(&self, instances: &[Instance]) -> State {
        let states = || {
            let members = self
                .members
                .iter()
                .filter_map(|place| instances.get(*place));
            members.map(Instance::state)
        };
        if states().any(|state| state == State::Fault) {
            State::Fault
        } else if states().any(|state| state == State::Initialize) {
            State::Initialize
        } else if states().all(|state| state == State::Master) {
            State::Master
        } else {
            State::Backup
        }
    }

    /// Why a member follows another one.
    pub(crate) fn follow(&self, member: &Name) -> Reason {
        Reason::Group {
            group: self.name.clone(),
            member: member.clone(),
        }
    }
}
