//! From the machine's status to what the director says about it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use kconf_parser::config::Vrrp;
use vrrp_proto::instance::Heard;
use vrrp_proto::{Rejections, State, Statistics, Status, Time, Version};

use super::news::Survey;
use crate::status::{
    SecondMaster, VrrpCounters, VrrpGroupStatus, VrrpInstanceStatus, VrrpRouter, VrrpState,
    VrrpStatus, unix_ms,
};

/// The status of everything; `now` is the time of day of the survey.
pub(super) fn status(survey: &Survey, config: &Vrrp, now: SystemTime) -> VrrpStatus {
    let instances = survey.instances.iter();
    let instances = instances.map(|it| instance(it, config, survey.at, now));
    let groups = survey.groups.iter().map(|(name, state)| VrrpGroupStatus {
        name: name.to_string(),
        state: self::state(*state),
    });
    VrrpStatus {
        instances: instances.collect(),
        groups: groups.collect(),
        unclaimed: rejected(&survey.unclaimed),
    }
}

fn instance(status: &Status, config: &Vrrp, at: Time, now: SystemTime) -> VrrpInstanceStatus {
    let unix = |time: Time| {
        let time = now.checked_sub(at.since(time)).unwrap_or(now);
        unix_ms(time)
    };
    let configured = config.instance(status.name.as_str());
    let addresses = configured.into_iter().flat_map(|it| {
        let all = it.addresses.iter().chain(&it.excluded_addresses);
        all.map(|address| address.address.to_string())
    });
    let timers = &status.timers;
    let next = [
        timers.startup,
        timers.master_down,
        timers.advertisement,
        timers.restore,
        timers.retry,
    ];
    let next = next.into_iter().flatten().min();
    VrrpInstanceStatus {
        name: status.name.to_string(),
        interface: status.interface.as_ref().map(ToString::to_string),
        virtual_router_id: status.vrid.as_u8(),
        version: match status.version {
            Version::V2 => 2,
            Version::V3 => 3,
        },
        state: state(status.state),
        since_unix_ms: unix(status.since),
        reason: status.reason_text.clone(),
        faults: status.faults.iter().map(ToString::to_string).collect(),
        priority: status.priority.as_u8(),
        effective_priority: status.effective_priority.as_u8(),
        advert_interval_seconds: status.advert_interval.as_duration().as_secs_f64(),
        source: status.source,
        master: status.master.map(router),
        lower_master: status.discarded.map(router),
        second_master: status.rival.map(|rival| SecondMaster {
            address: rival.address,
            since_unix_ms: unix(rival.since),
            packets: rival.packets,
            suspicion: rival.suspicion.map(|it| it.to_string()),
        }),
        group: status.group.as_ref().map(ToString::to_string),
        addresses: addresses.collect(),
        next_seconds: next
            .map(|time| time.since(at))
            .as_ref()
            .map(Duration::as_secs_f64),
        counters: counters(&status.statistics),
    }
}

const fn state(state: State) -> VrrpState {
    match state {
        State::Initialize => VrrpState::Init,
        State::Backup => VrrpState::Backup,
        State::Master => VrrpState::Master,
        State::Fault => VrrpState::Fault,
    }
}

const fn router(heard: Heard) -> VrrpRouter {
    VrrpRouter {
        address: heard.address,
        priority: heard.priority.as_u8(),
    }
}

fn counters(from: &Statistics) -> VrrpCounters {
    VrrpCounters {
        received: from.received,
        sent: from.sent,
        became_master: from.became_master,
        released_master: from.released_master,
        priority_zero_received: from.priority_zero_received,
        priority_zero_sent: from.priority_zero_sent,
        announced: from.announced,
        stalls: from.stalls,
        send_failures: from.send_failures,
        rejected: rejected(&from.rejected),
    }
}

fn rejected(from: &Rejections) -> BTreeMap<String, u64> {
    let some = from.iter().filter(|(_, count)| *count > 0);
    some.map(|(reason, count)| (reason.to_string(), count))
        .collect()
}
