//! What a request has tried already.

/// Most candidates that one request tries: `retry.max_attempts` is at most 10.
const MOST_TRIED: usize = 16;

/// What a request has tried already.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    list: [(u16, u16); MOST_TRIED],
    len: u16,
}

impl Tried {
    /// Adds a key of a target.
    pub fn add(&mut self, target: usize, key: usize) {
        if let Some(slot) = self.list.get_mut(usize::from(self.len)) {
            *slot = (target as u16, key as u16);
            self.len += 1;
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Whether nothing was tried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn has(&self, target: usize, key: usize) -> bool {
        self.list.iter().take(self.len.into()).any(|tried| *tried == (target as u16, key as u16))
    }
}
