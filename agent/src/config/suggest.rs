//! "Did you mean …?" for a mistyped word. Pure.

/// The known word that `found` most likely stands for, as the end of a sentence; "" where none is near.
#[must_use]
pub fn did_you_mean<'w>(found: &str, known: impl IntoIterator<Item = &'w str>) -> String {
    let nearest = known.into_iter().map(|word| (distance(found, word), word)).min();
    match nearest {
        // A third of the word may be wrong: `buket` is `buckets`, `foo` is not `log`.
        Some((distance, word)) if distance.saturating_mul(3) <= word.len().max(3) => {
            format!(", did you mean `{word}`?")
        }
        _ => String::new(),
    }
}

/// Insertions, deletions and replacements of bytes between two words (Levenshtein), one row at a time.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (deleted, from) in from.bytes().enumerate() {
        let mut diagonal = deleted;
        let mut left = deleted.saturating_add(1);
        for (cell, to) in row.iter_mut().skip(1).zip(to.bytes()) {
            let replaced = diagonal.saturating_add(usize::from(from != to));
            diagonal = *cell;
            left = replaced.min(left.saturating_add(1)).min(cell.saturating_add(1));
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = deleted.saturating_add(1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, expected) in [("", "", 0), ("abc", "abc", 0), ("kitten", "sitting", 3), ("listn", "listen", 1)] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
            assert_eq!(distance(to, from), expected, "{to} {from}");
        }
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["listen", "log", "labels"];
        assert_eq!(did_you_mean("lisen", known), ", did you mean `listen`?");
        assert_eq!(did_you_mean("label", known), ", did you mean `labels`?");
        assert_eq!(did_you_mean("foo", known), "");
    }
}
