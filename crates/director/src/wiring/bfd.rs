//! From the configuration's vocabulary to that of the BFD sessions.

use std::num::NonZeroU8;
use std::time::Duration;

use bfd_proto::{Hops, Interval, NamedSession, Path, SessionConfig};
use kconf_parser::config::BfdInstance;

/// The sessions of a configuration. What is wrong is left out and told, a phrase for each.
#[must_use]
pub fn sessions(instances: &[BfdInstance]) -> (Vec<NamedSession>, Vec<String>) {
    let mut sessions = Vec::new();
    let mut problems = Vec::new();
    for instance in instances {
        match session(instance) {
            Ok(session) => sessions.push(session),
            Err(problem) => problems.push(format!("({}) {problem}", instance.name)),
        }
    }
    (sessions, problems)
}

fn session(from: &BfdInstance) -> Result<NamedSession, String> {
    let hops = match from.multihop {
        true => Hops::Multi,
        false => Hops::Single,
    };
    let path = Path::try_new(from.neighbor, from.source, hops).map_err(|it| it.to_string())?;
    let interval = |time: Duration| Interval::try_from(time).map_err(|it| it.to_string());
    let defaults = SessionConfig::new(path);
    Ok(NamedSession {
        name: from.name.as_str().into(),
        config: SessionConfig {
            min_tx: interval(from.min_tx)?,
            min_rx: interval(from.min_rx)?,
            idle_tx: interval(from.idle_tx)?,
            multiplier: NonZeroU8::new(from.multiplier).unwrap_or(defaults.multiplier),
            passive: from.passive,
            // keepalived's default of 64 over IPv6 is dropped by those who follow the RFC.
            hop_limit: from.ttl.and_then(NonZeroU8::new).unwrap_or(NonZeroU8::MAX),
            least_hop_limit: least_hop_limit(from),
            ..defaults
        },
    })
}

/// What keepalived sends by default must be taken.
fn least_hop_limit(from: &BfdInstance) -> u8 {
    let usual = if from.neighbor.is_ipv4() { 255 } else { 64 };
    match u8::try_from(from.max_hops) {
        // 255 and -1.
        Ok(u8::MAX) | Err(_) => 0,
        Ok(most) => from.ttl.unwrap_or(usual).saturating_sub(most),
    }
}

#[cfg(test)]
mod tests {
    use kconf_parser::loader::MemoryLoader;

    use super::*;

    fn config(settings: &str) -> SessionConfig {
        let text = format!("bfd_instance b {{\n{settings}\n}}\n");
        let files = MemoryLoader::default().with("/k.conf", text);
        let analysis = kconf_parser::analyze("/k.conf".as_ref(), &Default::default(), &files);
        let (mut sessions, problems) = sessions(&analysis.config.vrrp.bfd_instances);
        assert_eq!(problems, Vec::<String>::new());
        sessions.remove(0).config
    }

    #[test]
    fn hop_limits_are_the_rfcs_and_keepalived_is_understood() {
        for (settings, sent, least) in [
            ("neighbor_ip 192.0.2.1", 255, 255),
            ("neighbor_ip 192.0.2.1\n max_hops 2", 255, 253),
            ("neighbor_ip 192.0.2.1\n ttl 60\n max_hops 2", 60, 58),
            ("neighbor_ip 192.0.2.1\n ttl 60\n max_hops 200", 60, 0),
            ("neighbor_ip 192.0.2.1\n max_hops 255", 255, 0),
            ("neighbor_ip 192.0.2.1\n max_hops -1", 255, 0),
            ("neighbor_ip fd00::1", 255, 64),
            ("neighbor_ip fd00::1\n hoplimit 255", 255, 255),
            ("neighbor_ip fd00::1\n hoplimit 10\n max_hops 1", 10, 9),
        ] {
            let config = config(settings);
            let got = (config.hop_limit.get(), config.least_hop_limit);
            assert_eq!(got, (sent, least), "{settings}");
        }
    }

    #[test]
    fn defaults_and_values_arrive() {
        let defaults = config("neighbor_ip 192.0.2.1");
        assert_eq!(defaults, SessionConfig::new(defaults.path));
        let all = config(
            "neighbor_ip 192.0.2.1\n source_ip 192.0.2.2\n min_rx 3.312\n min_tx 20\n \
             idle_tx 2000\n multiplier 3\n passive\n multihop",
        );
        assert_eq!(all.path.hops(), Hops::Multi);
        assert_eq!(all.path.source(), "192.0.2.2".parse().ok());
        assert_eq!(all.min_rx.as_micros(), 3312);
        assert_eq!(all.min_tx.as_micros(), 20_000);
        assert_eq!(all.idle_tx.as_micros(), 2_000_000);
        assert_eq!((all.multiplier.get(), all.passive), (3, true));
    }
}
