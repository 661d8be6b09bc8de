//! Where things stand in a list, by their keys.

use std::collections::HashMap;
use std::hash::Hash;

/// Finds the entries of a list that grows at its end. As long as keys ascend it halves the list, and
/// takes no memory; from the first that does not, it has a map.
#[derive(Debug)]
#[allow(
    clippy::box_collection,
    reason = "there are many, mostly without a map"
)]
pub(super) struct Index<K>(Option<Box<HashMap<K, usize>>>);

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: Copy + Ord + Hash> Index<K> {
    /// Which entry of `list` has this key.
    pub(super) fn find<T>(&self, key: &K, list: &[T], key_of: fn(&T) -> K) -> Option<usize> {
        match &self.0 {
            Some(map) => map.get(key).copied(),
            None => list.binary_search_by_key(key, key_of).ok(),
        }
    }

    /// Takes the key of what is to be appended to `list`.
    ///
    /// # Errors
    ///
    /// Which entry has this key already.
    pub(super) fn add<T>(&mut self, key: K, list: &[T], key_of: fn(&T) -> K) -> Result<(), usize> {
        if self.0.is_none() && list.last().is_none_or(|last| key_of(last) < key) {
            return Ok(());
        }
        let map = self.0.get_or_insert_with(|| {
            let keys = list.iter().map(key_of);
            Box::new(keys.zip(0..).collect())
        });
        match map.get(&key) {
            Some(place) => Err(*place),
            None => {
                map.insert(key, list.len());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_search_finds(keys in prop::collection::vec(0_u8..40, 0..30), sort: bool) {
            let mut keys = keys;
            if sort {
                keys.sort_unstable();
            }
            let mut index = Index::default();
            let mut list = Vec::new();
            for key in keys {
                let first = list.iter().position(|one| *one == key);
                prop_assert_eq!(index.find(&key, &list, |key| *key), first);
                let added = index.add(key, &list, |key| *key);
                prop_assert_eq!(added.err(), first);
                if first.is_none() {
                    list.push(key);
                }
            }
        }
    }
}
