//! What somebody may have meant.

/// The name that takes the fewest letters changed, added, left out or swapped to come from this one, unless it takes more
/// than a third of them.
#[must_use]
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.into_iter().map(|candidate| (strsim::osa_distance(name, candidate), candidate)).min()?;
    let length = name.chars().count().max(near.1.chars().count());
    (near.0 * 3 <= length).then_some(near.1)
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
    }
}
