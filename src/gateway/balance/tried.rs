//! What a request has tried already.

/// Most candidates that one request tries: `retry.max_attempts` is at most 10.
const MOST_TRIED: usize = 16;

/// What a request has tried already.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    list: [(u16, u16); MOST_TRIED],
    len: u16,
    /// Targets that cannot express the request, a bit for each of the first 64.
    unable: u64,
}

impl Tried {
    /// Adds a key of a target.
    pub fn add(&mut self, target: usize, key: usize) {
        if let Some(slot) = self.list.get_mut(usize::from(self.len)) {
            *slot = (target as u16, key as u16);
            self.len += 1;
        }
    }

    /// Leaves a target out for good: it cannot express the request. False for one too far behind to be noted.
    pub fn rule_out(&mut self, target: usize) -> bool {
        let bit = u32::try_from(target).ok().and_then(|target| 1u64.checked_shl(target)).unwrap_or(0);
        self.unable |= bit;
        bit != 0
    }

    /// Whether a target is left out for good.
    #[must_use]
    pub fn is_ruled_out(&self, target: usize) -> bool {
        u32::try_from(target).ok().and_then(|target| self.unable.checked_shr(target)).unwrap_or(0) & 1 == 1
    }

    /// Forgets what was tried, but not who is left out for good.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Whether nothing was tried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0 && self.unable == 0
    }

    pub(super) fn has(&self, target: usize, key: usize) -> bool {
        self.is_ruled_out(target)
            || self.list.iter().take(self.len.into()).any(|tried| *tried == (target as u16, key as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_express_a_request_stays_out() {
        let mut tried = Tried::default();
        assert!(tried.is_empty() && !tried.is_ruled_out(0));
        tried.add(1, 0);
        assert!(tried.rule_out(2) && tried.rule_out(63) && !tried.rule_out(64));
        for (target, key, wanted) in [(1, 0, true), (1, 1, false), (2, 0, true), (2, 9, true), (64, 0, false)]
        {
            assert_eq!(tried.has(target, key), wanted, "{target} {key}");
        }
        tried.clear();
        assert!(!tried.has(1, 0) && tried.has(63, 5) && !tried.is_empty());
    }
}
