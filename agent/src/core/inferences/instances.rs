//! The instances of models in one process: which model each executes, and its number among that model's.
//!
//! Their addresses say neither. The model is learned from requests that name it; the number is the smallest that is free.

use crate::engine::inference::InstanceId;
use crate::event::Nanos;
use std::collections::{BTreeMap, BTreeSet};

/// Instances held at once.
const MAX_INSTANCES: usize = 4096;

/// All that are known.
#[derive(Default)]
pub(super) struct Instances {
    held: BTreeMap<InstanceId, Instance>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    pub model: String,
    /// Among the instances of its model.
    pub index: u32,
    /// When it last began to execute.
    pub began: Nanos,
    /// How long that took is not yet known.
    pub busy: bool,
}

/// Whether there was room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Left,
    /// The instance idle longest was forgotten.
    Made,
}

impl Instances {
    /// `id` begins to execute at `time`; `model` is what a request of the batch names, if one does.
    pub fn executing(&mut self, id: InstanceId, model: Option<&str>, time: Nanos) -> (Option<&Instance>, Room) {
        let known = self.held.get(&id).is_some_and(|held| model.is_none_or(|model| model == held.model));
        let mut room = Room::Left;
        if !known {
            let Some(model) = model else { return (None, room) };
            self.held.remove(&id);
            room = self.make_room();
            let (model, index) = (model.to_owned(), self.free_index(model));
            self.held.insert(id, Instance { model, index, began: time, busy: true });
        }
        let Some(instance) = self.held.get_mut(&id) else { return (None, room) };
        (instance.began, instance.busy) = (time, true);
        (Some(instance), room)
    }

    /// An execution that began at `begin` is over. Returns whose it was, the first time that it is said of one.
    pub fn executed(&mut self, id: InstanceId, begin: Option<Nanos>) -> Option<&Instance> {
        let instance = self.held.get_mut(&id)?;
        // Statistics may come late, behind the next execution's beginning.
        let earlier = begin.is_some_and(|begin| begin < instance.began);
        if earlier || !std::mem::take(&mut instance.busy) {
            return None;
        }
        Some(instance)
    }

    /// It is gone. Returns its model, where that has no instance left.
    pub fn remove(&mut self, id: InstanceId) -> Option<String> {
        let Instance { model, .. } = self.held.remove(&id)?;
        let others = self.held.values().any(|other| other.model == model);
        (!others).then_some(model)
    }

    fn free_index(&self, model: &str) -> u32 {
        let taken: BTreeSet<u32> =
            self.held.values().filter(|held| held.model == model).map(|held| held.index).collect();
        (0..).find(|index| !taken.contains(index)).unwrap_or(u32::MAX)
    }

    fn make_room(&mut self) -> Room {
        if self.held.len() < MAX_INSTANCES {
            return Room::Left;
        }
        let idlest = self.held.iter().min_by_key(|(_, instance)| instance.began).map(|(id, _)| *id);
        idlest.map(|id| self.held.remove(&id));
        Room::Made
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_index_is_the_smallest_that_is_free() {
        let mut instances = Instances::default();
        let executing = |instances: &mut Instances, id, model, time| {
            let (instance, _) = instances.executing(InstanceId(id), model, Nanos(time));
            instance.map(|instance| (instance.model.clone(), instance.index))
        };
        let own = |model: &str, index| Some((model.to_owned(), index));
        assert_eq!(executing(&mut instances, 9, None, 1), None, "nothing named its model yet");
        assert_eq!(executing(&mut instances, 9, Some("echo"), 2), own("echo", 0));
        assert_eq!(executing(&mut instances, 3, Some("echo"), 3), own("echo", 1));
        assert_eq!(executing(&mut instances, 4, Some("stream"), 4), own("stream", 0));
        assert_eq!(executing(&mut instances, 9, None, 5), own("echo", 0), "a step of an ensemble");
        assert_eq!(instances.remove(InstanceId(9)), None);
        assert_eq!(executing(&mut instances, 7, Some("echo"), 6), own("echo", 0));
        assert_eq!(executing(&mut instances, 3, Some("stream"), 7), own("stream", 1), "its address was used again");
        assert_eq!(instances.remove(InstanceId(7)), Some("echo".to_owned()));
    }

    #[test]
    fn an_execution_is_over_once() {
        let mut instances = Instances::default();
        let id = InstanceId(9);
        instances.executing(id, Some("echo"), Nanos(100));
        assert!(instances.executed(id, Some(Nanos(90))).is_none(), "of the execution before");
        assert!(instances.executed(id, Some(Nanos(101))).is_some());
        assert!(instances.executed(id, Some(Nanos(101))).is_none(), "of the next request of the batch");
    }

    #[test]
    fn the_idlest_gives_way() {
        let mut instances = Instances::default();
        for id in 0..MAX_INSTANCES as u64 {
            assert_eq!(instances.executing(InstanceId(id), Some("m"), Nanos(id)).1, Room::Left);
        }
        let (instance, room) = instances.executing(InstanceId(1 << 40), Some("m"), Nanos(1 << 40));
        assert_eq!((instance.unwrap().index, room), (0, Room::Made));
    }
}
