//! Version, priority, state, interval and preemption, which depend on each other.

use std::time::Duration;

use crate::ast::{Block, Value};
use crate::config::{Family, InitialState, VrrpVersion};
use crate::diagnostic::Code;
use crate::keyword::BlockKind;

use super::globals::{byte, version};
use super::{Context, place_of};

/// The longest interval of version 3, 4095 hundredths of a second. Source: RFC 9568 section 5.2.7.
const LONGEST_V3: Duration = Duration::from_millis(40_950);

/// What decides who becomes master.
#[derive(Debug)]
pub(super) struct Election {
    pub(super) version: VrrpVersion,
    pub(super) state: InitialState,
    pub(super) priority: u8,
    pub(super) advert_int: Duration,
    pub(super) preempt: bool,
    pub(super) preempt_delay: Duration,
}

pub(super) fn election(
    context: &mut Context<'_, '_>,
    block: &Block,
    family: Family,
    strict: bool,
) -> Election {
    let version = chosen_version(context, block, family, strict);
    let says = |state: &str| {
        let mut states = block.all("state");
        states.any(|setting| matches!(setting.value, Some(Value::Choice(said)) if said == state))
    };
    // Once it is master, a second line does not change it.
    let master = says("MASTER");
    let mut said = block
        .all("state")
        .skip_while(|setting| !matches!(setting.value, Some(Value::Choice("MASTER"))));
    if let (Some(first), Some(second)) = (said.next(), said.next()) {
        let diagnostic = context
            .report
            .warning(Code::Repeated, second.span, "a second `state` is ignored")
            .also(context.report.place(first.span), "this one counts");
        context.report.push(diagnostic);
    }
    let priority = match byte(block, "priority") {
        Some(priority) => priority,
        None if master && !block.means("priority") => 255,
        None => 100,
    };
    let owner = priority == 255;
    if strict && block.setting("state").is_some() && master != owner {
        let message = match master {
            true => "strict mode has `state MASTER` for address owners only, with priority 255",
            false => "strict mode has `state MASTER` for an address owner",
        };
        let span = place_of(block, "state");
        context.warn(Code::StrictConflict, span, message, "the priority decides");
    }
    let state = match (master, says("BACKUP"), strict) {
        (_, _, true) => is_master(owner),
        (true, _, _) => InitialState::Master,
        (false, true, _) => InitialState::Backup,
        (false, false, _) => is_master(owner),
    };
    let state = match state {
        InitialState::Master if uses_header(block) && version == VrrpVersion::V2 => {
            InitialState::Backup
        }
        state => state,
    };
    let (preempt, preempt_delay) = preemption(context, block, master, owner, strict);
    Election {
        version,
        state,
        priority,
        advert_int: advert_int(context, block, version),
        preempt,
        preempt_delay,
    }
}

fn is_master(owner: bool) -> InitialState {
    match owner {
        true => InitialState::Master,
        false => InitialState::Backup,
    }
}

fn uses_header(block: &Block) -> bool {
    let mut blocks = block.children(BlockKind::Authentication);
    blocks.any(|auth| matches!(auth.value("auth_type"), Some(Value::Choice("AH"))))
}

fn chosen_version(
    context: &mut Context<'_, '_>,
    block: &Block,
    family: Family,
    strict: bool,
) -> VrrpVersion {
    let own = version(block, "version");
    match (family, own) {
        (Family::Inet, own) => own.unwrap_or(context.inherited.version),
        (Family::Inet6, Some(VrrpVersion::V2)) if !strict => {
            let message = "version 2 of VRRP is for IPv4; only keepalived understands this";
            let span = place_of(block, "version");
            let help = "leave the line out, or write `version 3`";
            context.warn(Code::VersionMismatch, span, message, help);
            VrrpVersion::V2
        }
        (Family::Inet6, Some(VrrpVersion::V2)) => {
            let message = "strict mode has no version 2 for IPv6, so version 3 is taken";
            let span = place_of(block, "version");
            context.error(Code::StrictConflict, span, message, "write `version 3`");
            VrrpVersion::V3
        }
        (Family::Inet6, _) => VrrpVersion::V3,
    }
}

fn advert_int(context: &mut Context<'_, '_>, block: &Block, version: VrrpVersion) -> Duration {
    let Some(written) = block.time("advert_int") else {
        return Duration::from_secs(1);
    };
    let used = match version {
        VrrpVersion::V2 => {
            let half = Duration::from_millis(500);
            Duration::from_secs((written + half).as_secs().max(1))
        }
        VrrpVersion::V3 => {
            let rounded = (written + Duration::from_millis(5)).as_millis() / 10 * 10;
            let rounded = Duration::from_millis(u64::try_from(rounded).unwrap_or(u64::MAX));
            rounded.clamp(Duration::from_millis(10), LONGEST_V3)
        }
    };
    if used != written {
        let (unit, version, help) = match version {
            VrrpVersion::V2 => (
                "whole seconds",
                2,
                "shorter intervals need version 3 on all directors",
            ),
            VrrpVersion::V3 if written > LONGEST_V3 => {
                ("at most 40.95 s", 3, "write a shorter interval")
            }
            VrrpVersion::V3 => ("steps of 10 ms", 3, "write two decimals"),
        };
        let message = format!(
            "version {version} has intervals of {unit}: {} becomes {} s",
            written.as_secs_f64(),
            used.as_secs_f64()
        );
        context.warn(Code::Rounded, place_of(block, "advert_int"), message, help);
    }
    used
}

/// Whether it preempts, and how late.
fn preemption(
    context: &mut Context<'_, '_>,
    block: &Block,
    master: bool,
    owner: bool,
    strict: bool,
) -> (bool, Duration) {
    let last = block
        .settings
        .iter()
        .rev()
        .find_map(|setting| match setting.keyword.name {
            "nopreempt" => Some(false),
            "preempt" => Some(true),
            _ => None,
        });
    let mut preempt = last.unwrap_or(true);
    let mut delay = block.time("preempt_delay").unwrap_or_default();
    if !preempt {
        let reason = match (owner, master) {
            (true, _) => Some("an address owner always takes over"),
            (false, true) => Some("it needs `state BACKUP`"),
            (false, false) => None,
        };
        if let Some(reason) = reason {
            let message = format!("`nopreempt` is ignored: {reason}");
            let help = "write `state BACKUP` on all directors; the priority decides who is master";
            let span = place_of(block, "nopreempt");
            context.error(Code::PreemptIgnored, span, message, help);
            preempt = true;
        }
    }
    if !delay.is_zero() {
        let reason = match (strict, master, preempt) {
            (true, _, _) => Some("strict mode has none"),
            (_, true, _) => Some("it needs `state BACKUP`"),
            (_, _, false) => Some("`nopreempt` never takes over from a living master"),
            _ => None,
        };
        if let Some(reason) = reason {
            let message = format!("`preempt_delay` is ignored: {reason}");
            let span = place_of(block, "preempt_delay");
            let help = "write `state BACKUP`, or delete the line";
            context.error(Code::PreemptIgnored, span, message, help);
            delay = Duration::ZERO;
        }
    }
    (preempt, delay)
}
