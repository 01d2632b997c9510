//! What an instance was before a decision, and how it becomes so again: by what its marks tell ([`watch`](super::watch)).

use wasmtime::{AsContextMut, Global, Instance, Memory, Store, Val};

use super::watch::{GLOBAL, GRAIN, MARKS, MOST_GLOBALS, REACH};
use crate::policy::host::{Failure, State};

/// A grain that nobody wrote to.
const EMPTY: [u8; GRAIN] = [0; GRAIN];

/// An instance as it was at some moment, which it can be put back to.
pub(super) struct Kept {
    memory: Memory,
    marks: Memory,
    globals: Vec<Global>,
    /// The memory at that moment, up to the last grain that is not empty.
    image: Box<[u8]>,
    values: Vec<Val>,
    /// Which layers it was put back to last, and the grains that they have.
    base: (Vec<u64>, Vec<usize>),
    /// How many layers there were.
    layers: u64,
    /// Grains to put back; used again.
    dirty: Vec<usize>,
}

/// What an instance wrote since it was put back: with it and the layers below, it can be put back to the moment after that.
pub(super) struct Layer {
    id: u64,
    /// In ascending order.
    grains: Vec<usize>,
    /// What is in them, one after the other.
    bytes: Vec<u8>,
    values: Vec<Val>,
}

impl Layer {
    fn grain(&self, number: usize) -> Option<&[u8]> {
        let place = self.grains.binary_search(&number).ok()?;
        self.bytes.get(place * GRAIN..)?.get(..GRAIN)
    }
}

impl Kept {
    /// Keeps an instance as it is; `None` where its module does not mark what it writes.
    pub(super) fn of(instance: &Instance, store: &mut Store<State>, memory: Memory) -> Option<Self> {
        let marks = instance.get_memory(&mut *store, MARKS)?;
        let globals: Vec<_> =
            (0..MOST_GLOBALS).map_while(|n| instance.get_global(&mut *store, &format!("{GLOBAL}{n}"))).collect();
        let bytes = memory.data(&*store);
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let mut image = bytes.get(..used)?.to_vec();
        image.resize(used.next_multiple_of(GRAIN), 0);
        let values = globals.iter().map(|global| global.get(&mut *store)).collect();
        marks.data_mut(&mut *store).fill(0);
        let (base, dirty) = Default::default();
        Some(Self { memory, marks, globals, image: image.into(), values, base, layers: 0, dirty })
    }

    /// Where it marks.
    pub(super) const fn marks(&self) -> Memory {
        self.marks
    }

    /// Puts the instance back to the moment after the last of these layers, each of which was laid on those before it.
    pub(super) fn put_back(&mut self, store: &mut Store<State>, layers: &[&Layer]) -> Result<(), Failure> {
        self.collect(store);
        if !self.base.0.iter().copied().eq(layers.iter().map(|layer| layer.id)) {
            self.dirty.append(&mut self.base.1);
            self.base.0.clear();
            for layer in layers {
                self.dirty.extend_from_slice(&layer.grains);
                self.base.0.push(layer.id);
                self.base.1.extend_from_slice(&layer.grains);
            }
        }
        let content = |grain: usize| {
            let layer = layers.iter().rev().find_map(|layer| layer.grain(grain));
            layer.or_else(|| self.image.get(grain * GRAIN..)?.get(..GRAIN)).unwrap_or(&EMPTY)
        };
        let bytes = self.memory.data_mut(&mut *store);
        for grain in &self.dirty {
            let mut place = bytes.get_mut(grain * GRAIN..).unwrap_or_default().chunks_mut(GRAIN);
            if let Some(place) = place.next() {
                place.copy_from_slice(content(*grain));
            }
            if let (Some(place), Some(reached)) = (place.next(), content(grain + 1).get(..REACH)) {
                place.get_mut(..REACH).unwrap_or_default().copy_from_slice(reached);
            }
        }
        let values = layers.last().map_or(&self.values, |layer| &layer.values);
        for (global, value) in self.globals.iter().zip(values) {
            global.set(&mut *store, *value).map_err(|e| Failure::Instance(e.to_string()))?;
        }
        Ok(())
    }

    /// What the instance wrote since it was put back, as a layer on those that it was put back to. It is put back to this
    /// one by that.
    pub(super) fn layer(&mut self, store: &mut Store<State>) -> Layer {
        self.collect(store);
        let mut grains: Vec<usize> = self.dirty.iter().flat_map(|grain| [*grain, grain + 1]).collect();
        grains.sort_unstable();
        grains.dedup();
        let memory = self.memory.data(&*store);
        grains.retain(|grain| memory.len() > grain * GRAIN);
        let mut bytes = Vec::with_capacity(grains.len() * GRAIN);
        for grain in &grains {
            bytes.extend_from_slice(memory.get(grain * GRAIN..).and_then(|rest| rest.get(..GRAIN)).unwrap_or(&EMPTY));
        }
        let values = self.globals.iter().map(|global| global.get(&mut *store)).collect();
        self.layers += 1;
        self.base.0.push(self.layers);
        self.base.1.extend_from_slice(&grains);
        Layer { id: self.layers, grains, bytes, values }
    }

    /// Empties the marks into the list of what is to be put back.
    fn collect(&mut self, store: &mut Store<State>) {
        self.dirty.clear();
        let grains = self.memory.data_size(&*store) / GRAIN;
        // Filling and copying mark the grain behind the last.
        let marks = self.marks.data_mut(store).get_mut(..=grains).unwrap_or_default();
        let (words, rest) = marks.as_chunks_mut::<8>();
        for (first, word) in (0..).step_by(8).zip(words) {
            if u64::from_ne_bytes(*word) != 0 {
                take(&mut self.dirty, first, word);
            }
        }
        take(&mut self.dirty, grains - grains % 8, rest);
    }
}

/// Adds the grains that are marked, of which `first` is the first, and takes the marks away.
fn take(grains: &mut Vec<usize>, first: usize, marks: &mut [u8]) {
    for (grain, mark) in (first..).zip(marks) {
        if std::mem::take(mark) != 0 {
            grains.push(grain);
        }
    }
}

/// Marks what the host writes into the memory of a guest.
pub(super) fn mark(marks: Memory, store: impl AsContextMut<Data = State>, start: usize, length: usize) {
    let mut store = store;
    let marks = marks.data_mut(&mut store);
    marks.get_mut(start / GRAIN..=start.saturating_add(length) / GRAIN).unwrap_or_default().fill(1);
}
