//! What somebody may have meant.

/// The longest word that is compared: a hostile one costs no more.
const LONGEST: usize = 48;

/// The candidate that is nearest to `word` by single letters (inserted, removed, replaced, two swapped), if any is near
/// enough to be meant.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word: Vec<char> = word.chars().flat_map(char::to_lowercase).take(LONGEST + 1).collect();
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let allowed = match word.len() {
        0..=2 => 1,
        3..=5 => 2,
        _ => word.len() / 3,
    };
    let distances = candidates.into_iter().filter_map(|candidate| {
        let other: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
        // What differs in length by more than is allowed needs no table.
        (other.len().abs_diff(word.len()) <= allowed).then(|| (distance(&word, &other), candidate))
    });
    distances.filter(|(d, c)| *d <= allowed && *d < c.len()).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// The optimal string alignment distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last_a = None;
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        let mut last_b = None;
        for (j, &y) in b.iter().enumerate() {
            let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&above, j) + usize::from(x != y)).min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            if last_a == Some(y) && last_b == Some(x) {
                best = best.min(at(&before, j.wrapping_sub(1)) + 1);
            }
            row.push(best);
            last_b = Some(y);
        }
        before = std::mem::replace(&mut above, row);
        last_a = Some(x);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let words = ["encrypt", "decrypt", "sign", "verify"];
        for (typed, meant) in [
            ("encrpyt", Some("encrypt")),
            ("decript", Some("decrypt")),
            ("Sign", Some("sign")),
            ("verfy", Some("verify")),
            ("singn", Some("sign")),
            ("launch", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, words), meant, "{typed}");
        }
        assert_eq!(nearest(&"x".repeat(1_000_000), words), None);
    }
}
