//! Which instance a packet is for.

use std::collections::HashMap;

use crate::config::{Delivery, InstanceConfig};
use crate::instance::Instance;
use crate::types::{Family, Name};
use crate::wire::ip::Carried;

/// Which instances a packet may be for.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    on: HashMap<Name, HashMap<(Family, u8), Vec<usize>>>,
    anywhere: HashMap<(Family, u8), Vec<usize>>,
}

impl Listeners {
    pub(super) fn of_all(instances: &[Instance]) -> Self {
        let mut listeners = Self::default();
        for (place, instance) in instances.iter().enumerate() {
            let config = instance.config();
            let keys = match &config.interface {
                Some(interface) => listeners.on.entry(interface.clone()).or_default(),
                None => &mut listeners.anywhere,
            };
            let key = (config.family, config.vrid.as_u8());
            keys.entry(key).or_default().push(place);
        }
        listeners
    }

    pub(super) fn of(&self, interface: &str, key: (Family, u8)) -> &[usize] {
        let here = self.on.get(interface).and_then(|keys| keys.get(&key));
        here.or_else(|| self.anywhere.get(&key))
            .map_or(&[], Vec::as_slice)
    }
}

/// Whether a packet was sent to where an instance listens.
pub(super) fn is_addressed(config: &InstanceConfig, carried: &Carried<'_>) -> bool {
    match &config.delivery {
        Delivery::Multicast { group } => carried.destination == *group,
        Delivery::Unicast { peers, .. } => {
            let here = config
                .source
                .is_none_or(|source| source == carried.destination);
            let peer = peers.iter().any(|peer| peer.address == carried.source);
            !carried.destination.is_multicast() && here && peer
        }
    }
}
