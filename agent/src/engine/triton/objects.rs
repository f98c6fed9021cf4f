//! What is known of a library's objects, by their addresses. Bounded: an address is reused when its object is gone, but not
//! every end is seen.

use std::collections::BTreeMap;

/// Objects of one kind, and what is known of each.
pub(super) struct Objects<T> {
    most: usize,
    made: u64,
    held: BTreeMap<u64, (u64, T)>,
}

/// Whether there was room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Left,
    /// There was none: the older half was forgotten.
    Made,
}

impl<T> Objects<T> {
    /// Holds at most `most` objects.
    pub fn new(most: usize) -> Objects<T> {
        Objects { most, made: 0, held: BTreeMap::new() }
    }

    /// An object at `address`; what was known of an earlier one there is over.
    pub fn insert(&mut self, address: u64, known: T) -> Room {
        self.held.remove(&address);
        let room = self.make_room();
        self.made = self.made.saturating_add(1);
        self.held.insert(address, (self.made, known));
        room
    }

    /// The object at `address`, which nobody saw being made.
    pub fn found(&mut self, address: u64, make: impl FnOnce() -> T) -> (&mut T, Room) {
        let known = self.held.contains_key(&address);
        let room = if known { Room::Left } else { self.make_room() };
        self.made = self.made.saturating_add(u64::from(!known));
        let made = self.made;
        (&mut self.held.entry(address).or_insert_with(|| (made, make())).1, room)
    }

    /// What is known of the object at `address`.
    pub fn get(&self, address: u64) -> Option<&T> {
        self.held.get(&address).map(|(_, known)| known)
    }

    /// The same, to learn more of it.
    pub fn get_mut(&mut self, address: u64) -> Option<&mut T> {
        self.held.get_mut(&address).map(|(_, known)| known)
    }

    /// The object at `address` is gone.
    pub fn remove(&mut self, address: u64) -> Option<T> {
        self.held.remove(&address).map(|(_, known)| known)
    }

    fn make_room(&mut self) -> Room {
        if self.held.len() < self.most {
            return Room::Left;
        }
        let young = self.made.saturating_sub(self.most as u64 / 2);
        self.held.retain(|_, (made, _)| *made > young);
        Room::Made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_half_gives_way() {
        let mut objects = Objects::new(4);
        for address in [50, 40, 30, 20] {
            assert_eq!(objects.insert(address, address), Room::Left);
        }
        assert_eq!(objects.insert(40, 41), Room::Left, "the same place again");
        assert_eq!(objects.insert(10, 10), Room::Made);
        let left: Vec<_> = [50, 40, 30, 20, 10].into_iter().filter(|address| objects.get(*address).is_some()).collect();
        assert_eq!(left, [40, 20, 10]);
        assert_eq!(objects.get(40), Some(&41));
        assert_eq!(objects.found(40, || 0), (&mut 41, Room::Left));
        assert_eq!(objects.found(5, || 5), (&mut 5, Room::Left));
        assert_eq!(objects.found(6, || 6), (&mut 6, Room::Made));
    }
}
