//! Strict mode: the RFC, without the extensions that operators are used to.

use std::fmt;

use super::{AddressListCheck, Authentication, InstanceConfig, Preempt};
use crate::types::Version;

/// What strict mode changed in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrictChange {
    /// The authentication was dropped.
    Authentication,
    /// The preemption delay was dropped.
    PreemptDelay,
    /// The down timer is three advertisements.
    DownAdverts,
    /// Packets to the addresses are not accepted, as the instance does not own them.
    NoAccept,
    /// A router that yields does not answer.
    AnswerHigher,
    /// Version 2 does not answer a lower priority; version 3 does.
    AnswerLower,
    /// No gratuitous ARP after an advertisement of lower priority.
    AnnounceLower,
    /// The owner ignores advertisements.
    OwnerIgnores,
    /// The list of addresses is looked at.
    AddressList,
}

impl fmt::Display for StrictChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authentication => "authentication is dropped",
            Self::PreemptDelay => "the preemption delay is dropped",
            Self::DownAdverts => "the down timer is three advertisements",
            Self::NoAccept => "packets to the addresses are not accepted",
            Self::AnswerHigher => "an advertisement of higher priority is not answered",
            Self::AnswerLower => "an advertisement of lower priority is not answered",
            Self::AnnounceLower => "addresses are not announced after a lower priority",
            Self::OwnerIgnores => "the owner ignores advertisements",
            Self::AddressList => "the list of addresses is looked at",
        })
    }
}

impl InstanceConfig {
    /// Makes the instance follow the RFC to the letter, and says what had to change.
    ///
    /// Source: keepalived.conf(5) `vrrp_strict`; RFC 3768 and RFC 9568 section 6.4.
    pub fn make_strict(&mut self) -> Vec<StrictChange> {
        let owner = self.priority.is_owner();
        let mut changes = Vec::new();
        let mut set = |changed: bool, change| {
            if changed {
                changes.push(change);
            }
        };
        set(
            self.authentication != Authentication::None,
            StrictChange::Authentication,
        );
        self.authentication = Authentication::None;
        set(
            matches!(self.preempt, Preempt::After(_)),
            StrictChange::PreemptDelay,
        );
        if let Preempt::After(_) = self.preempt {
            self.preempt = Preempt::AtOnce;
        }
        set(self.down_adverts != 3, StrictChange::DownAdverts);
        self.down_adverts = 3;
        set(self.accept && !owner, StrictChange::NoAccept);
        self.accept = owner;
        set(self.answer_higher, StrictChange::AnswerHigher);
        self.answer_higher = false;
        let answer_lower = self.version == Version::V3;
        set(
            self.answer_lower && !answer_lower,
            StrictChange::AnswerLower,
        );
        self.answer_lower = answer_lower;
        set(self.announce.lower_repeat > 0, StrictChange::AnnounceLower);
        self.announce.lower_repeat = 0;
        set(owner && !self.owner_ignores, StrictChange::OwnerIgnores);
        self.owner_ignores = owner;
        set(
            self.address_list == AddressListCheck::Skip,
            StrictChange::AddressList,
        );
        if self.address_list == AddressListCheck::Skip {
            self.address_list = AddressListCheck::Report;
        }
        changes
    }
}
