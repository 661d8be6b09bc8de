//! What a configuration asks for and this version does not do.
//!
//! # Design
//! Keywords that are read but not acted on are dangerous: an operator who moves here from keepalived
//! must not find out by an outage. So each is named in the log when a configuration is taken. A line
//! goes from here when the thing is done.

use kconf_parser::{Analysis, Config};

/// A sentence for each thing that is asked for in vain, in the order of their weight.
#[must_use]
pub fn notes(analysis: &Analysis) -> Vec<String> {
    settings(&analysis.config)
}

/// Settings that have no effect.
fn settings(config: &Config) -> Vec<String> {
    let instances = &config.vrrp.instances;
    let addresses = instances.iter().flat_map(|instance| {
        let all = instance.addresses.iter();
        all.chain(&instance.excluded_addresses)
    });
    let asked = [
        (
            instances
                .iter()
                .filter_map(|it| it.virtual_interface.as_ref())
                .any(|it| it.for_addresses)
                || addresses.clone().any(|it| it.options().use_vmac),
            "virtual MACs of single addresses: they have the MAC address of their interface",
        ),
        (
            instances.iter().any(|it| it.auth_hmac.is_some()),
            "auth_hmac: advertisements are not signed",
        ),
        (
            instances.iter().any(|it| it.vrf.is_some()),
            "vrf of an instance without interface",
        ),
        (
            !config.vrrp.track_groups.is_empty(),
            "track_group: static items are put back, but no instance faults when that fails",
        ),
    ];
    asked
        .into_iter()
        .filter(|(is_asked, _)| *is_asked)
        .map(|(_, note)| format!("Without effect in this version - {note}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use kconf_parser::loader::MemoryLoader;

    use super::*;

    fn notes_of(text: &str) -> Vec<String> {
        let files = MemoryLoader::default().with("/k.conf", text);
        let analysis = kconf_parser::analyze("/k.conf".as_ref(), &Default::default(), &files);
        notes(&analysis)
    }

    #[test]
    fn settings_without_effect_are_named_and_others_are_not() {
        let signed = "vrrp_instance v {\ninterface eth0\nvirtual_router_id 1\nversion 3\n\
                      auth_hmac {\nkey 1 secret\n}\nvirtual_ipaddress {\n192.0.2.1\n}\n}\n";
        assert_eq!(notes_of(signed).len(), 1);
        let group = "vrrp_instance v {\ninterface eth0\nvirtual_router_id 1\n\
                     virtual_ipaddress {\n192.0.2.1\n}\n}\ntrack_group g {\ngroup {\nv\n}\n}\n";
        assert_eq!(notes_of(group).len(), 1);
        assert_eq!(
            notes_of("global_defs {\n router_id x\n}\n"),
            Vec::<String>::new()
        );
    }
}
