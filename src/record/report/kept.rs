//! A list that takes so many and counts the rest.

/// The first of many things, and how many more there were.
#[derive(Debug, Clone)]
pub(super) struct Kept<T> {
    list: Vec<T>,
    max: usize,
    lost: u64,
}

impl<T> Kept<T> {
    pub(super) const fn new(max: usize) -> Self {
        Self { list: Vec::new(), max, lost: 0 }
    }

    /// Keeps it, or counts it. Returns where it stands.
    pub(super) fn push(&mut self, value: T) -> Option<usize> {
        if self.list.len() == self.max {
            self.lost += 1;
            return None;
        }
        self.list.push(value);
        Some(self.list.len() - 1)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.list.get_mut(at)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.list.iter()
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }
}
