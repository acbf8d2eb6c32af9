//! `did you mean ...?`: the closest of a list of names.

/// Names longer than this are not compared: the work is quadratic and nobody mistypes so much.
const MAX_CHARS: usize = 64;

/// The candidate closest to `name`, if it is close enough to be a typing mistake: one edit in
/// three characters, ignoring case and the difference between `-` and `_`.
pub(super) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = fold(name);
    if name.is_empty() || name.len() > MAX_CHARS {
        return None;
    }
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let folded = fold(candidate);
            if folded.len() > MAX_CHARS {
                return None;
            }
            let edits = distance(&name, &folded);
            let allowed = (name.len().max(folded.len()) / 3).max(1);
            (edits <= allowed && edits < name.len()).then_some((edits, candidate))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

fn fold(name: &str) -> Vec<char> {
    name.chars().take(MAX_CHARS + 1).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Edit distance in which a swap of neighbours counts once (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    let mut a_last = None;
    for (i, &ca) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        let mut left = i + 1;
        row.push(left);
        let mut b_last = None;
        for (j, &cb) in b.iter().enumerate() {
            let at = |cells: &[usize], k: usize| cells.get(k).copied().unwrap_or(usize::MAX / 2);
            let mut best = at(&previous, j) + usize::from(ca != cb);
            best = best.min(at(&previous, j + 1) + 1).min(left + 1);
            if a_last == Some(cb) && b_last == Some(ca) {
                best = best.min(at(&before, j.wrapping_sub(1)) + 1);
            }
            row.push(best);
            left = best;
            b_last = Some(cb);
        }
        before = std::mem::replace(&mut previous, row);
        a_last = Some(ca);
    }
    previous.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_near_and_leaves_the_far() {
        let known = ["listen", "max_connections", "api_keys", "key", "id"];
        for (name, found) in [
            ("lisen", Some("listen")),
            ("Listen", Some("listen")),
            ("max-connections", Some("max_connections")),
            ("api_key", Some("api_keys")),
            ("apikeys", Some("api_keys")),
            ("kye", Some("key")),
            ("di", Some("id")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(closest(name, known), found, "{name}");
        }
        assert_eq!(closest(&"a".repeat(5000), known), None);
    }

    #[test]
    fn a_swap_is_one_edit() {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        for (a, b, edits) in [("abc", "acb", 1), ("", "abc", 3), ("kitten", "sitting", 3)] {
            assert_eq!(distance(&chars(a), &chars(b)), edits);
        }
    }
}
