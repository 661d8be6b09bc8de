//! `keepalived.json`: the same keys in the same order, layouts 1 and 2. Passwords are not shown.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use kconf_parser::Config;
use kconf_parser::config::{
    Authentication, InitialState, NotifyDeleted, Script, SyncGroup, Tracked, Vrrp, VrrpInstance,
};
use serde::Serialize;
use vrrp_proto::{State, Status};

use super::{Cleared, Survey, since};
use crate::vrrp::clock;

pub(super) fn text(survey: &Survey, config: &Config, cleared: &Cleared) -> io::Result<String> {
    let vrrp = &config.vrrp;
    let items: Vec<Item<'_>> = survey
        .instances
        .iter()
        .filter_map(|status| {
            let instance = vrrp.instance(status.name.as_str())?;
            let counted = since(&status.statistics, cleared.get(&status.name));
            Some(Item {
                data: data(instance, status, vrrp),
                stats: Stats {
                    advert_rcvd: counted.received,
                    advert_sent: counted.sent,
                    become_master: counted.became_master,
                    release_master: counted.released_master,
                    packet_len_err: counted.length,
                    advert_interval_err: counted.interval,
                    ip_ttl_err: counted.ttl,
                    invalid_type_rcvd: counted.kind,
                    addr_list_err: counted.addresses,
                    invalid_authtype: counted.auth_unknown,
                    authtype_mismatch: counted.auth_mismatch,
                    auth_failure: counted.auth_failed,
                    pri_zero_rcvd: counted.zero_received,
                    pri_zero_sent: counted.zero_sent,
                },
            })
        })
        .collect();
    let text = match vrrp.globals.json_version {
        2 => serde_json::to_string(&Version2 {
            vrrp: items,
            track_process: Vec::new(),
        }),
        _ => serde_json::to_string(&items),
    };
    Ok(text?)
}

#[derive(Serialize)]
struct Version2<'a> {
    vrrp: Vec<Item<'a>>,
    track_process: Vec<String>,
}

#[derive(Serialize)]
struct Item<'a> {
    data: Data<'a>,
    stats: Stats,
}

/// Numbers stand where keepalived writes 0 and 1.
#[derive(Serialize)]
struct Data<'a> {
    iname: &'a str,
    dont_track_primary: u8,
    skip_check_adv_addr: u8,
    strict_mode: u8,
    vmac_ifname: String,
    ifp_ifname: &'a str,
    master_priority: u8,
    last_transition: f64,
    garp_delay: u64,
    garp_refresh: u64,
    garp_rep: u32,
    garp_refresh_rep: u32,
    garp_lower_prio_delay: u64,
    garp_lower_prio_rep: u32,
    lower_prio_no_advert: u8,
    higher_prio_send_advert: u8,
    vrid: u8,
    base_priority: u8,
    effective_priority: u8,
    vipset: bool,
    promote_secondaries: bool,
    adver_int: f64,
    master_adver_int: f64,
    accept: u8,
    nopreempt: bool,
    preempt_delay: f64,
    state: u8,
    wantstate: u8,
    version: u8,
    smtp_alert: bool,
    notify_deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_backup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_master: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_deleted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_master_rx_lower_pri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vroutes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vrules: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_ifp: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_script: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_process: Vec<&'a str>,
    auth_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_data: Option<&'static str>,
}

#[derive(Serialize)]
struct Stats {
    advert_rcvd: u64,
    advert_sent: u64,
    become_master: u64,
    release_master: u64,
    packet_len_err: u64,
    advert_interval_err: u64,
    ip_ttl_err: u64,
    invalid_type_rcvd: u64,
    addr_list_err: u64,
    invalid_authtype: u64,
    authtype_mismatch: u64,
    auth_failure: u64,
    pri_zero_rcvd: u64,
    pri_zero_sent: u64,
}

fn data<'a>(instance: &'a VrrpInstance, status: &Status, vrrp: &'a Vrrp) -> Data<'a> {
    let notify = &instance.notify;
    let (auth_type, auth_data) = match &instance.authentication {
        None => (0, None),
        Some(Authentication::Password(_)) => (1, Some("********")),
        Some(Authentication::Header(_)) => (2, Some("********")),
    };
    let is_master = status.state == State::Master;
    let base = instance.interface.as_deref().unwrap_or_default();
    let on = |interface: &Option<String>| interface.clone().unwrap_or_else(|| base.to_owned());
    let addresses = |list: &[kconf_parser::config::Address]| {
        let shown = list.iter().map(|it| {
            let set = if is_master { " set" } else { "" };
            let label = it.options().label;
            let label = label.map_or(String::new(), |label| format!(" label {label}"));
            format!(
                "{} dev {} scope global{label}{set}",
                it.address,
                on(&it.interface)
            )
        });
        shown.collect()
    };
    let tracks = |of: fn(&kconf_parser::config::Tracking) -> &Vec<Tracked>| -> Vec<&'a str> {
        let group = vrrp
            .group_of(&instance.name)
            .map(|it: &SyncGroup| of(&it.tracking));
        let own = of(&instance.tracking)
            .iter()
            .chain(group.into_iter().flatten());
        own.map(|it| it.name.as_str()).collect()
    };
    Data {
        iname: &instance.name,
        dont_track_primary: (!instance.track_primary).into(),
        skip_check_adv_addr: instance.skip_check_adv_addr.into(),
        strict_mode: instance.strict.into(),
        vmac_ifname: match &instance.virtual_interface {
            Some(it) => it
                .name
                .clone()
                .unwrap_or_else(|| format!("{}.{}", vrrp.globals.vmac_prefix, instance.vrid)),
            None => String::new(),
        },
        ifp_ifname: base,
        master_priority: status.master.map_or(0, |it| it.priority.as_u8()),
        last_transition: last_transition(status),
        garp_delay: instance.garp.delay.map_or(0, |it| it.as_secs()),
        garp_refresh: instance.garp.refresh.map_or(0, |it| it.as_secs()),
        garp_rep: instance.garp.repeat,
        garp_refresh_rep: instance.garp.refresh_repeat,
        garp_lower_prio_delay: instance.garp.lower_prio_delay.map_or(0, |it| it.as_secs()),
        garp_lower_prio_rep: instance.garp.lower_prio_repeat,
        lower_prio_no_advert: instance.lower_prio_no_advert.into(),
        higher_prio_send_advert: instance.higher_prio_send_advert.into(),
        vrid: instance.vrid,
        base_priority: instance.priority,
        effective_priority: status.effective_priority.as_u8(),
        vipset: is_master,
        promote_secondaries: instance.promote_secondaries,
        adver_int: instance.advert_int.as_secs_f64(),
        master_adver_int: status.advert_interval.as_duration().as_secs_f64(),
        accept: instance.accept.into(),
        nopreempt: !instance.preempt,
        preempt_delay: instance.preempt_delay.as_secs_f64(),
        state: match status.state {
            State::Initialize => 0,
            State::Backup => 1,
            State::Master => 2,
            State::Fault => 3,
        },
        wantstate: match instance.initial_state {
            InitialState::Master => 2,
            InitialState::Backup => 1,
        },
        version: match status.version {
            vrrp_proto::Version::V2 => 2,
            vrrp_proto::Version::V3 => 3,
        },
        smtp_alert: instance.smtp_alert,
        notify_deleted: notify.deleted != NotifyDeleted::AsFault,
        script_backup: command(notify.backup.as_ref()),
        script_master: command(notify.master.as_ref()),
        script_fault: command(notify.fault.as_ref()),
        script_stop: command(notify.stop.as_ref()),
        script_deleted: match &notify.deleted {
            NotifyDeleted::Run(script) => command(Some(script)),
            _ => None,
        },
        script_master_rx_lower_pri: command(notify.rx_lower_priority.as_ref()),
        script: command(notify.any.as_ref()),
        vips: addresses(&instance.addresses),
        evips: addresses(&instance.excluded_addresses),
        vroutes: instance
            .routes
            .iter()
            .map(|it| it.destination.to_string())
            .collect(),
        vrules: instance
            .rules
            .iter()
            .map(|it| format!("{:?}", it.action))
            .collect(),
        track_ifp: tracks(|it| &it.interfaces),
        track_script: tracks(|it| &it.scripts)
            .into_iter()
            .filter_map(|name| command(vrrp.script(name).map(|it| &it.script)))
            .collect(),
        track_process: tracks(|it| &it.processes),
        auth_type,
        auth_data,
    }
}

/// Each word in single quotes, as keepalived shows commands.
fn command(script: Option<&Script>) -> Option<String> {
    let words = script?.argv.iter().map(|word| format!("'{word}'"));
    Some(words.collect::<Vec<_>>().join(" "))
}

fn last_transition(status: &Status) -> f64 {
    let ago = clock::now().since(status.since);
    let at = SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH);
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    // Whole microseconds, as keepalived has them.
    (since.as_secs_f64() * 1e6).round() / 1e6
}
