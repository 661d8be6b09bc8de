//! `keepalived.stats`.

use super::{Cleared, Counted, Survey, since};

pub(super) fn text(survey: &Survey, cleared: &Cleared) -> String {
    let blocks = survey.instances.iter().map(|instance| {
        let counted = since(&instance.statistics, cleared.get(&instance.name));
        block(instance.name.as_str(), counted)
    });
    blocks.collect()
}

fn block(name: &str, counted: Counted) -> String {
    let Counted {
        received,
        sent,
        became_master,
        released_master,
        length,
        ttl,
        kind,
        interval,
        addresses,
        auth_unknown,
        auth_mismatch,
        auth_failed,
        zero_received,
        zero_sent,
    } = counted;
    format!(
        "VRRP Instance: {name}
  Advertisements:
    Received: {received}
    Sent: {sent}
  Became master: {became_master}
  Released master: {released_master}
  Packet Errors:
    Length: {length}
    TTL: {ttl}
    Invalid Type: {kind}
    Advertisement Interval: {interval}
    Address List: {addresses}
  Authentication Errors:
    Invalid Type: {auth_unknown}
    Type Mismatch: {auth_mismatch}
    Failure: {auth_failed}
  Priority Zero:
    Received: {zero_received}
    Sent: {zero_sent}
"
    )
}
