//! `mh`, Maglev hashing: the client's address decides, and a change of the destinations moves few
//! clients. Kernel: `ip_vs_mh.c`.
//!
//! # Design
//!
//! 4093 places, filled by letting each destination in turn take its next free preferred place,
//! as often in a row as its share says. Shares come from the *last* weights: an edit to weight 0
//! leaves the table alone (the flows of the quiesced one are refused or fall back), while adding
//! with weight 0 gives no place. The hash is that of a 64-bit little-endian kernel.

use crate::{
    Change, Destination, DestinationId, Destinations, Flow, Scheduler, SchedulerFlags,
    SchedulerKind, Settings, hash,
};

/// The number of places. Kernel: the prime of `CONFIG_IP_VS_MH_TAB_INDEX` 12, the default.
pub const PLACES: u32 = 4093;

/// Shares are cut down to this many bits. Kernel: half of the table index.
const SHARE_BITS: u32 = 6;
const KEY1: u64 = 2_654_435_761;
const KEY2: u64 = 2_654_446_892;
/// A place that nobody has taken.
const FREE: u32 = u32::MAX;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Maglev {
    /// Position in the list per place; empty if nobody has a share.
    places: Vec<u32>,
    flags: SchedulerFlags,
}

impl Scheduler for Maglev {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::Maglev
    }

    fn update(&mut self, destinations: &Destinations, _: Change) {
        fill(&mut self.places, destinations.listed());
    }

    fn pick(&mut self, destinations: &Destinations, flow: &Flow) -> Option<DestinationId> {
        let port = if self.flags.port {
            u32::from(flow.src_port)
        } else {
            0
        };
        let client = hash::fold(flow.src).wrapping_add(port);
        let at = |value: u32| {
            let position = *self
                .places
                .get((hash::sip13(value, KEY1) % PLACES) as usize)?;
            destinations.listed().get(position as usize)
        };
        let first = at(client)?;
        if first.is_eligible() {
            return Some(first.id);
        }
        if !self.flags.fallback {
            return None;
        }
        let home = hash::sip13(client, KEY1) % PLACES;
        for offset in 0..PLACES {
            let next = at(client.wrapping_add((offset + home) % PLACES))?;
            if next.is_eligible() {
                return Some(next.id);
            }
        }
        None
    }

    fn configure(&mut self, settings: &Settings) {
        self.flags = settings.flags;
    }
}

/// A destination's way through the table.
struct Walker {
    position: u32,
    place: u32,
    skip: u32,
    turns: u32,
}

fn fill(places: &mut Vec<u32>, list: &[Destination]) {
    places.clear();
    let divisor = list.iter().map(|d| d.last_weight).fold(0, gcd);
    if divisor == 0 {
        return;
    }
    let largest = list
        .iter()
        .map(|d| d.last_weight / divisor)
        .max()
        .unwrap_or(0);
    let shift = (u32::BITS - largest.leading_zeros()).saturating_sub(SHARE_BITS);
    let mut walkers: Vec<Walker> = (0..PLACES)
        .zip(list)
        .filter(|(_, d)| d.last_weight != 0)
        .map(|(position, d)| {
            let name = hash::fold(d.address).wrapping_add(u32::from(d.port));
            Walker {
                position,
                place: hash::sip13(name, KEY1) % PLACES,
                skip: hash::sip13(name, KEY2) % (PLACES - 1) + 1,
                turns: ((d.last_weight / divisor) >> shift).max(1),
            }
        })
        .collect();
    places.resize(PLACES as usize, FREE);
    let mut left = PLACES;
    while left > 0 && !walkers.is_empty() {
        for walker in &mut walkers {
            for _ in 0..walker.turns.min(left) {
                // A prime number of places and a skip below it: every place is visited, and one
                // is free.
                while places
                    .get(walker.place as usize)
                    .is_some_and(|p| *p != FREE)
                {
                    walker.place = (walker.place + walker.skip) % PLACES;
                }
                if let Some(place) = places.get_mut(walker.place as usize) {
                    *place = walker.position;
                }
                left -= 1;
            }
        }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{edit, picks, pool, server};

    /// The places of servers 1, 2, 3 … of these weights, by server number.
    fn numbers(weights: &[u32]) -> Vec<usize> {
        let mut destinations = Destinations::default();
        for (number, weight) in (1..).zip(weights) {
            let config = crate::DestinationConfig::with_weight(*weight);
            destinations.insert(server(number), 8080, &config);
        }
        let mut places = Vec::new();
        fill(&mut places, destinations.listed());
        places
            .iter()
            .map(|position| weights.len() - *position as usize)
            .collect()
    }

    #[test]
    fn the_table_is_the_kernels() {
        let table = numbers(&[1, 2, 3]);
        assert_eq!(table[..12], [2, 3, 1, 3, 1, 2, 2, 3, 2, 1, 3, 2]);
        let held = |number| table.iter().filter(|n| **n == number).count();
        assert_eq!([held(1), held(2), held(3)], [682, 1364, 2047]);
        // 203.0.113.9 with port 12345 has place 3754.
        let flags = SchedulerFlags {
            port: true,
            fallback: false,
        };
        let mut pool = pool(SchedulerKind::Maglev, flags, &[1, 2, 3]);
        assert_eq!(picks(&mut pool, 1), [table[3754] as u8]);
    }

    #[test]
    fn offsets_and_skips_are_the_kernels() {
        for (number, offset, skip) in [(1, 1843, 1748), (2, 3411, 1322), (3, 3679, 267)] {
            let name = hash::fold(server(number)).wrapping_add(8080);
            assert_eq!(hash::sip13(name, KEY1) % PLACES, offset);
            assert_eq!(hash::sip13(name, KEY2) % (PLACES - 1) + 1, skip);
        }
    }

    #[test]
    fn an_edit_to_0_keeps_the_places_an_add_with_0_has_none() {
        let flags = SchedulerFlags {
            fallback: true,
            port: false,
        };
        let mut pool = pool(SchedulerKind::Maglev, flags, &[1, 1]);
        let [home] = picks(&mut pool, 1)[..] else {
            panic!("one pick")
        };
        edit(&mut pool, home, 0);
        assert_eq!(picks(&mut pool, 1), [3 - home], "falls back to the other");
        pool.set_settings(SchedulerFlags::default());
        assert_eq!(picks(&mut pool, 1), [0], "the places are still its own");
        assert!(numbers(&[0, 1]).iter().all(|number| *number == 2));
        assert!(numbers(&[0, 0]).is_empty());
    }

    #[test]
    fn very_unequal_weights_are_cut_to_six_bits() {
        let table = numbers(&[1, 1000]);
        let held = table.iter().filter(|number| **number == 1).count();
        // 1000 >> 4 is 62 turns to 1.
        assert_eq!(held, 4093 / 63);
    }
}
