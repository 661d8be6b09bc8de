//! The ordered destination list of a service, and the removed ones that may return.
//!
//! # Design
//!
//! The kernel's list order decides ties in most schedulers, so it is kept exactly: a destination
//! goes to the **head** when it is added and stays where it is when it is edited. Schedulers want a
//! slice to walk, connections want to find their destination by id at once; hence two vectors
//! (listed, removed) and a slot per entry that says where the entry is.
//!
//! A removed entry keeps its counts, its mark and its id, and comes back when the same address and
//! port is added again. The kernel keeps it while anything refers to it. Here an idle one (no
//! connection, no template) is kept as well, until more than [`IDLE_REMOVED_KEPT`] of them have
//! gathered, when the one removed first is forgotten. That differs from the kernel only in what
//! lblc remembers of a server that was away while very many others were removed.

use std::net::IpAddr;

use crate::{Destination, DestinationConfig, DestinationId, overload};

/// How many removed destinations without connections are remembered.
pub const IDLE_REMOVED_KEPT: usize = 1024;

/// The destinations of one service in the kernel's order, head first, and the removed ones.
#[derive(Clone, Debug, Default)]
pub struct Destinations {
    listed: Vec<Destination>,
    removed: Vec<Destination>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    hidden: Vec<Hidden>,
}

/// What a destination was before it was hidden.
#[derive(Clone, Copy, Debug)]
struct Hidden {
    id: DestinationId,
    weight: u32,
    overloaded: bool,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Listed(usize),
    Removed(usize),
    Free,
}

impl Destinations {
    /// The destinations in the service, in the kernel's order, head (added last) first.
    #[must_use]
    pub fn listed(&self) -> &[Destination] {
        &self.listed
    }

    /// The removed destinations that are still remembered, the one removed first in front.
    #[must_use]
    pub fn removed(&self) -> &[Destination] {
        &self.removed
    }

    /// The entry of this id, in the service or removed.
    #[must_use]
    pub fn get(&self, id: DestinationId) -> Option<&Destination> {
        match self.place(id)? {
            Place::Listed(position) => self.listed.get(position),
            Place::Removed(position) => self.removed.get(position),
            Place::Free => None,
        }
    }

    /// The entry of this id if it is in the service.
    #[must_use]
    pub fn available(&self, id: DestinationId) -> Option<&Destination> {
        self.listed.get(self.position(id)?)
    }

    /// Where in [`listed`](Self::listed) the entry stands; `None` if it is not in the service.
    #[must_use]
    pub fn position(&self, id: DestinationId) -> Option<usize> {
        match self.place(id)? {
            Place::Listed(position) => Some(position),
            Place::Removed(_) | Place::Free => None,
        }
    }

    /// The position of the destination with this address and port.
    #[must_use]
    pub fn find(&self, address: IpAddr, port: u16) -> Option<usize> {
        self.listed
            .iter()
            .position(|d| d.address == address && d.port == port)
    }

    /// Puts a destination at the head: the removed entry of this address and port if it is
    /// remembered, a new one otherwise. The caller has made sure that it is not listed.
    pub(crate) fn insert(
        &mut self,
        address: IpAddr,
        port: u16,
        config: &DestinationConfig,
    ) -> DestinationId {
        let known = self
            .removed
            .iter()
            .position(|d| d.address == address && d.port == port);
        let mut entry = match known {
            Some(position) => {
                let entry = self.removed.remove(position);
                self.reindex_removed(position);
                entry
            }
            None => Destination {
                id: self.new_id(),
                address,
                port,
                weight: 0,
                last_weight: 0,
                upper_threshold: 0,
                lower_threshold: 0,
                active_conns: 0,
                inactive_conns: 0,
                persist_conns: 0,
                overloaded: false,
            },
        };
        write_config(&mut entry, config);
        entry.last_weight = config.weight;
        let id = entry.id;
        self.listed.insert(0, entry);
        self.reindex_listed(0);
        id
    }

    /// Writes new settings to the entry at this position. Position and counts stay.
    pub(crate) fn write(
        &mut self,
        position: usize,
        config: &DestinationConfig,
    ) -> Option<DestinationId> {
        let entry = self.listed.get_mut(position)?;
        write_config(entry, config);
        if config.weight != 0 {
            entry.last_weight = config.weight;
        }
        Some(entry.id)
    }

    /// Takes the entry at this position out of the service; it stays remembered.
    pub(crate) fn take_out(&mut self, position: usize) -> Option<DestinationId> {
        if position >= self.listed.len() {
            return None;
        }
        let entry = self.listed.remove(position);
        let id = entry.id;
        self.reindex_listed(position);
        self.removed.push(entry);
        self.reindex_removed(self.removed.len() - 1);
        self.forget_oldest_idle();
        Some(id)
    }

    /// Makes these destinations ineligible in every scheduler's eyes until [`unhide`](Self::unhide).
    pub(crate) fn hide(&mut self, ids: &[DestinationId]) {
        for &id in ids {
            if let Some(d) = self.get_mut(id) {
                let was = Hidden {
                    id,
                    weight: d.weight,
                    overloaded: d.overloaded,
                };
                d.weight = 0;
                d.overloaded = true;
                self.hidden.push(was);
            }
        }
    }

    /// Undoes all of [`hide`](Self::hide), last first, as an id may have been given twice.
    pub(crate) fn unhide(&mut self) {
        while let Some(was) = self.hidden.pop() {
            if let Some(d) = self.get_mut(was.id) {
                d.weight = was.weight;
                d.overloaded = was.overloaded;
            }
        }
    }

    /// The entry of this id for writing, in the service or removed.
    pub(crate) fn get_mut(&mut self, id: DestinationId) -> Option<&mut Destination> {
        match self.place(id)? {
            Place::Listed(position) => self.listed.get_mut(position),
            Place::Removed(position) => self.removed.get_mut(position),
            Place::Free => None,
        }
    }

    fn place(&self, id: DestinationId) -> Option<Place> {
        let slot = self.slots.get(id.slot as usize)?;
        (slot.generation == id.generation).then_some(slot.place)
    }

    fn new_id(&mut self) -> DestinationId {
        if let Some(slot) = self.free.pop() {
            let generation = self.slots.get(slot as usize).map_or(0, |s| s.generation);
            return DestinationId { slot, generation };
        }
        // More than u32::MAX entries do not fit in memory.
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot {
            generation: 0,
            place: Place::Free,
        });
        DestinationId {
            slot,
            generation: 0,
        }
    }

    fn reindex_listed(&mut self, from: usize) {
        for (position, entry) in self.listed.iter().enumerate().skip(from) {
            if let Some(slot) = self.slots.get_mut(entry.id.slot as usize) {
                slot.place = Place::Listed(position);
            }
        }
    }

    fn reindex_removed(&mut self, from: usize) {
        for (position, entry) in self.removed.iter().enumerate().skip(from) {
            if let Some(slot) = self.slots.get_mut(entry.id.slot as usize) {
                slot.place = Place::Removed(position);
            }
        }
    }

    fn forget_oldest_idle(&mut self) {
        if self.removed.len() <= IDLE_REMOVED_KEPT {
            return;
        }
        let idle = |d: &Destination| d.total_conns() == 0 && d.persist_conns == 0;
        if self.removed.iter().filter(|d| idle(d)).count() <= IDLE_REMOVED_KEPT {
            return;
        }
        let Some(position) = self.removed.iter().position(idle) else {
            return;
        };
        let entry = self.removed.remove(position);
        if let Some(slot) = self.slots.get_mut(entry.id.slot as usize) {
            slot.place = Place::Free;
            // A slot that has run out of generations is not used again.
            if let Some(generation) = slot.generation.checked_add(1) {
                slot.generation = generation;
                self.free.push(entry.id.slot);
            }
        }
        self.reindex_removed(position);
    }
}

fn write_config(entry: &mut Destination, config: &DestinationConfig) {
    overload::on_write(entry, config.upper_threshold);
    entry.weight = config.weight;
    entry.upper_threshold = config.upper_threshold;
    entry.lower_threshold = config.lower_threshold;
}
