//! The part of `global_defs` that is about VRRP, and what instances inherit from it.

use std::net::IpAddr;
use std::time::Duration;

use crate::ast::{Block, Value};
use crate::config::{BfdGlobals, DynamicInterfaces, Firewall, Garp, VrrpGlobals, VrrpVersion};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;
use crate::report::Report;

use super::super::globals::{last, merged};

/// Globals of VRRP, and defaults of instances.
#[derive(Debug)]
pub(in crate::resolve) struct Inherited {
    pub(super) globals: VrrpGlobals,
    pub(super) version: VrrpVersion,
    pub(super) garp: Garp,
    pub(super) down_timer_adverts: u8,
    pub(super) lower_prio_no_advert: Option<bool>,
    pub(super) higher_prio_send_advert: bool,
    pub(super) check_unicast_src: bool,
    pub(super) skip_check_adv_addr: bool,
    pub(super) strict: bool,
    pub(super) owner_ignore_adverts: bool,
    pub(super) v3_checksum_as_v2: bool,
    pub(super) notify_priority_changes: bool,
}

pub(super) fn inherited(root: &Block, report: &mut Report<'_>) -> Inherited {
    let block = merged(root, BlockKind::GlobalDefs);
    for keyword in ["vrrp_mcast_group4", "vrrp_mcast_group6"] {
        not_multicast(&block, report, keyword);
    }
    let on = |keyword: &str| block.bool(keyword).unwrap_or(false);
    Inherited {
        globals: globals(&block, report),
        version: version(&block, "vrrp_version").unwrap_or(VrrpVersion::V2),
        garp: garp(&block),
        down_timer_adverts: byte(&block, "vrrp_down_timer_adverts").unwrap_or(3),
        lower_prio_no_advert: block.bool("vrrp_lower_prio_no_advert"),
        higher_prio_send_advert: on("vrrp_higher_prio_send_advert"),
        check_unicast_src: block.flag("vrrp_check_unicast_src"),
        skip_check_adv_addr: on("vrrp_skip_check_adv_addr"),
        strict: on("vrrp_strict"),
        owner_ignore_adverts: on("vrrp_owner_ignore_adverts"),
        v3_checksum_as_v2: block.flag("v3_checksum_as_v2"),
        notify_priority_changes: on("vrrp_notify_priority_changes"),
    }
}

/// Says of an address that it is none of a group.
fn not_multicast(block: &Block, report: &mut Report<'_>, keyword: &str) {
    let (Some(setting), Some(address)) = (block.setting(keyword), block.address(keyword)) else {
        return;
    };
    if address.is_multicast() {
        return;
    }
    let message = format!("{address} is not a multicast group, so the line is ignored");
    let diagnostic = report.error(Code::BadAddress, setting.span, message);
    report.push(diagnostic);
}

fn globals(block: &Block, report: &Report<'_>) -> VrrpGlobals {
    let usual = VrrpGlobals::default();
    let word = |keyword: &str| {
        let word = block.word(keyword)?;
        Some(word.value(report.text()).into_owned())
    };
    let time = |keyword: &str, usual| block.time(keyword).unwrap_or(usual);
    let micros = |keyword: &str| {
        let micros = u64::try_from(block.int(keyword)?).ok()?;
        Some(Duration::from_micros(micros))
    };
    let vmac_prefix = word("vmac_prefix").unwrap_or(usual.vmac_prefix);
    VrrpGlobals {
        multicast_group4: match block.address("vrrp_mcast_group4") {
            Some(IpAddr::V4(group)) if group.is_multicast() => group,
            _ => usual.multicast_group4,
        },
        multicast_group6: match block.address("vrrp_mcast_group6") {
            Some(IpAddr::V6(group)) if group.is_multicast() => group,
            _ => usual.multicast_group6,
        },
        default_interface: word("default_interface"),
        dynamic_interfaces: match block.value("dynamic_interfaces") {
            Some(Value::Choice(_)) => DynamicInterfaces::AllowChanges,
            Some(_) => DynamicInterfaces::Yes,
            None => DynamicInterfaces::No,
        },
        garp_interval: time("vrrp_garp_interval", usual.garp_interval),
        gna_interval: time("vrrp_gna_interval", usual.gna_interval),
        firewall: firewall(block, report),
        startup_delay: time("vrrp_startup_delay", usual.startup_delay),
        delay_after_boot: time("vrrp_delay_after_boot", usual.delay_after_boot),
        no_email_faults: block.flag("no_email_faults"),
        write_states_on_reload: block.flag("fifo_write_vrrp_states_on_reload"),
        log_unknown_vrids: block.flag("log_unknown_vrids"),
        disable_local_igmp: block.flag("disable_local_igmp"),
        priority: block
            .int("vrrp_priority")
            .and_then(|nice| i32::try_from(nice).ok())
            .unwrap_or(usual.priority),
        rt_priority: byte(block, "vrrp_rt_priority"),
        max_auto_priority: match block.value("max_auto_priority") {
            Some(Value::Int(most)) => u8::try_from(*most).ok().filter(|most| *most > 0),
            Some(_) => Some(99),
            None => None,
        },
        min_auto_priority_delay: micros("min_auto_priority_delay")
            .unwrap_or(usual.min_auto_priority_delay),
        cpu_affinity: cpus(block, "vrrp_cpu_affinity", report),
        rlimit_rttime: match last(block, &["vrrp_rlimit_rttime", "vrrp_rlimit_rtime"]) {
            Some(Value::Int(micros)) => Some(Duration::from_micros(micros.unsigned_abs())),
            _ => None,
        },
        no_swap: block.flag("vrrp_no_swap"),
        bfd: BfdGlobals {
            priority: block
                .int("bfd_priority")
                .and_then(|nice| i32::try_from(nice).ok())
                .unwrap_or(0),
            rt_priority: byte(block, "bfd_rt_priority"),
            cpu_affinity: cpus(block, "bfd_cpu_affinity", report),
            no_swap: block.flag("bfd_no_swap"),
        },
        vmac_address_prefix: word("vmac_addr_prefix").unwrap_or_else(|| vmac_prefix.clone()),
        vmac_prefix,
        json_version: byte(block, "json_version").unwrap_or(usual.json_version),
    }
}

fn firewall(block: &Block, report: &Report<'_>) -> Firewall {
    let text = |word: crate::tree::Word| word.value(report.text()).into_owned();
    Firewall {
        iptables: words(block, "vrrp_iptables", report).map(|chains| {
            let mut chains = chains.into_iter();
            let input = chains.next().unwrap_or_else(|| "INPUT".to_owned());
            (input, chains.next().unwrap_or_else(|| "OUTPUT".to_owned()))
        }),
        ipsets: words(block, "vrrp_ipsets", report),
        nftables: block.value("nftables").map(|value| match value {
            Value::Word(table) => text(*table),
            _ => "keepalived".to_owned(),
        }),
        nftables_priority: block
            .int("nftables_priority")
            .and_then(|priority| i32::try_from(priority).ok()),
        nftables_ifindex: block.flag("nftables_ifindex"),
        nftables_counters: block.flag("nftables_counters"),
    }
}

/// The numbers of processors of a setting.
fn cpus(block: &Block, keyword: &str, report: &Report<'_>) -> Vec<u32> {
    let words = words(block, keyword, report).unwrap_or_default();
    words.iter().filter_map(|cpu| cpu.parse().ok()).collect()
}

/// The words of a setting; `None` without the setting.
fn words(block: &Block, keyword: &str, report: &Report<'_>) -> Option<Vec<String>> {
    match block.value(keyword)? {
        Value::Words(words) => {
            let text = |word: &crate::tree::Word| word.value(report.text()).into_owned();
            Some(words.iter().map(text).collect())
        }
        _ => Some(Vec::new()),
    }
}

/// A version that a setting says.
pub(super) fn version(block: &Block, keyword: &str) -> Option<VrrpVersion> {
    match block.int(keyword)? {
        2 => Some(VrrpVersion::V2),
        _ => Some(VrrpVersion::V3),
    }
}

/// A number that the table limits to a byte.
pub(super) fn byte(block: &Block, keyword: &str) -> Option<u8> {
    u8::try_from(block.int(keyword)?).ok()
}

fn garp(block: &Block) -> Garp {
    let least = block.bool("vrrp_min_garp").unwrap_or(false);
    let (delay, repeat) = match least {
        true => (Duration::ZERO, 1),
        false => (Duration::from_secs(5), 5),
    };
    let delay = block.time("vrrp_garp_master_delay").unwrap_or(delay);
    let repeat = block
        .u32("vrrp_garp_master_repeat")
        .unwrap_or(repeat)
        .max(1);
    let lower = block.time("vrrp_garp_lower_prio_delay").unwrap_or(delay);
    let (extra_all, extra_interface) =
        extra(block, "vrrp_garp_extra_if", "vrrp_vmac_garp_intvl").unwrap_or((false, None));
    Garp {
        delay: positive(delay),
        repeat,
        refresh: block.time("vrrp_garp_master_refresh").and_then(positive),
        refresh_repeat: block
            .u32("vrrp_garp_master_refresh_repeat")
            .unwrap_or(1)
            .max(1),
        lower_prio_delay: positive(lower),
        lower_prio_repeat: block.u32("vrrp_garp_lower_prio_repeat").unwrap_or(repeat),
        extra_interface,
        extra_all,
    }
}

/// What an instance says about its announcements.
pub(super) fn garp_of(block: &Block, usual: &Garp) -> Garp {
    let time = |keyword: &str, usual: Option<Duration>| match block.time(keyword) {
        Some(time) => positive(time),
        None => usual,
    };
    let count = |keyword: &str, usual: u32| block.u32(keyword).unwrap_or(usual);
    let (extra_all, extra_interface) = extra(block, "garp_extra_if", "vmac_garp_intvl")
        .unwrap_or((usual.extra_all, usual.extra_interface));
    Garp {
        delay: time("garp_master_delay", usual.delay),
        repeat: count("garp_master_repeat", usual.repeat).max(1),
        refresh: time("garp_master_refresh", usual.refresh),
        refresh_repeat: count("garp_master_refresh_repeat", usual.refresh_repeat).max(1),
        lower_prio_delay: time("garp_lower_prio_delay", usual.lower_prio_delay),
        lower_prio_repeat: count("garp_lower_prio_repeat", usual.lower_prio_repeat),
        extra_interface,
        extra_all,
    }
}

fn extra(block: &Block, new: &str, old: &str) -> Option<(bool, Option<Duration>)> {
    match last(block, &[new, old])? {
        Value::Extra { all, interval } => Some((*all, positive(*interval))),
        _ => None,
    }
}

/// 0 means that something does not happen.
fn positive(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}
