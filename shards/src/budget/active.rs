//! Which limits have something to do: of thousands, a tick looks only at these.

use super::LimitId;

/// A set of limits, in the order in which they came.
#[derive(Debug)]
pub(super) struct Active {
    ids: Vec<LimitId>,
    member: Vec<bool>,
}

impl Active {
    /// None of `limits` limits.
    pub(super) fn new(limits: usize) -> Self {
        Self { ids: Vec::new(), member: vec![false; limits] }
    }

    /// Adds a limit.
    pub(super) fn add(&mut self, id: LimitId) {
        if let Some(member) = self.member.get_mut(id as usize)
            && !std::mem::replace(member, true)
        {
            self.ids.push(id);
        }
    }

    /// Those in the set.
    pub(super) fn iter(&self) -> impl Iterator<Item = LimitId> + '_ {
        self.ids.iter().copied()
    }

    /// Keeps those for which `keep` says so.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(LimitId) -> bool) {
        let member = &mut self.member;
        self.ids.retain(|&id| {
            let keep = keep(id);
            if let Some(member) = member.get_mut(id as usize) {
                *member = keep;
            }
            keep
        });
    }
}
