//! What somebody may have meant.

/// The name that takes the fewest letters changed, added, left out or swapped to come from this one, unless it takes more
/// than a third of them.
pub(super) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.into_iter().map(|candidate| (distance(name, candidate), candidate)).min()?;
    let length = name.chars().count().max(near.1.chars().count());
    (near.0 * 3 <= length).then_some(near.1)
}

/// Optimal string alignment (Levenshtein's distance, and neighbours that are swapped).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found_and_the_far_is_not() {
        let names = ["n_epoch", "snapshot_step", "snapshot_epoch", "batch_size"];
        assert_eq!(nearest("n_epochs", names), Some("n_epoch"));
        assert_eq!(nearest("batchsize", names), Some("batch_size"));
        assert_eq!(nearest("snapshot_setp", names), Some("snapshot_step"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!((distance("ab", "ba"), distance("", "abc"), distance("abc", "abc")), (1, 3, 0));
    }
}
