//! A slab: things with a number each, numbers given anew after a removal.

use std::ops::{Index, IndexMut};

/// Things by number.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    things: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab {
            things: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    /// An empty slab with room for so many things.
    pub(crate) fn with_capacity(things: usize) -> Slab<T> {
        Slab {
            things: Vec::with_capacity(things),
            free: Vec::new(),
        }
    }

    /// The things with their numbers. Only for a slab from which nothing was removed.
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = (u32, &T)> {
        debug_assert!(self.free.is_empty());
        let numbered = |(id, thing)| (id as u32, thing);
        self.things.iter().enumerate().map(numbered)
    }

    /// Gives back the room that was taken ahead.
    pub(crate) fn shrink(&mut self) {
        self.things.shrink_to_fit();
    }

    /// The number that the next thing gets.
    #[inline]
    pub(crate) fn next(&self) -> u32 {
        let new = || u32::try_from(self.things.len());
        let free = self.free.last().map_or_else(new, |id| Ok(*id));
        free.expect("memory ends before four billion things")
    }

    #[inline]
    pub(crate) fn insert(&mut self, thing: T) -> u32 {
        let id = self.next();
        if self.free.pop().is_some() {
            self.things[id as usize] = thing;
            return id;
        }
        if self.things.len() == self.things.capacity() {
            // Doubling would leave up to half of a large slab unused.
            self.things.reserve_exact(64 + self.things.len() / 8);
        }
        self.things.push(thing);
        id
    }

    /// Gives the number up. The thing itself stays until the number is given again.
    pub(crate) fn remove(&mut self, id: u32) {
        self.free.push(id);
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, id: u32) -> &T {
        &self.things[id as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, id: u32) -> &mut T {
        &mut self.things[id as usize]
    }
}
