//! Subsets of images that have several classes each.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::LabelSets;

/// Divides images among subsets of these shares, so that each class has them too (iterative stratification, Sechidis et al.
/// 2011): the rarest class first, each of its images to the subset that lacks it the most. Gives the number of each image's
/// subset. Every subset gets an image of a class that has as many as there are subsets.
pub(super) fn stratified(images: &[usize], sets: &LabelSets, shares: &[f64], rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.shuffle(rng);
    let counts = sets.counts(images);
    let mut missing = Missing::of_all(shares, images.len(), &counts);
    let mut subsets = vec![None; images.len()];
    let mut left = counts;
    loop {
        let rarest = (0..left.len()).filter(|&class| left[class] > 0).min_by_key(|&class| left[class]);
        let Some(class) = rarest else { break };
        for &image in order.iter().filter(|&&image| sets.has(images[image], class)) {
            if subsets[image].is_none() {
                let of = sets.get(images[image]);
                subsets[image] = Some(Missing::take(&mut missing, Some(class), of));
                of.iter().for_each(|&class| left[class] -= 1);
            }
        }
    }
    for &image in order.iter() {
        subsets[image].get_or_insert_with(|| Missing::take(&mut missing, None, &[]));
    }
    subsets.into_iter().map(Option::unwrap_or_default).collect()
}

/// What a subset lacks.
struct Missing {
    images: f64,
    /// Images of each class.
    classes: Vec<f64>,
}

impl Missing {
    /// What each subset lacks while it is empty. One that gets anything gets an image of each class, however small its share; the
    /// first has the rest.
    fn of_all(shares: &[f64], images: usize, counts: &[usize]) -> Vec<Self> {
        let of =
            |share: f64, count: usize| if share > 0.0 && count > 0 { (share * count as f64).max(1.0) } else { 0.0 };
        let missing = |&share: &f64| Self {
            images: share * images as f64,
            classes: counts.iter().map(|&count| of(share, count)).collect(),
        };
        let mut all: Vec<Self> = shares.iter().map(missing).collect();
        if let Some((first, others)) = all.split_first_mut() {
            for (class, lack) in first.classes.iter_mut().enumerate() {
                *lack = counts[class] as f64 - others.iter().map(|other| other.classes[class]).sum::<f64>();
            }
        }
        all
    }

    /// The subset that lacks this class the most, or, of equals, images; it lacks one less then.
    fn take(missing: &mut [Self], class: Option<usize>, classes: &[usize]) -> usize {
        let lack = |subset: &Self| (class.map_or(0.0, |class| subset.classes[class]), subset.images);
        let more = |a: (f64, f64), b: (f64, f64)| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).is_gt();
        let best = (0..missing.len())
            .reduce(|best, at| if more(lack(&missing[at]), lack(&missing[best])) { at } else { best });
        let best = best.unwrap_or_default();
        if let Some(subset) = missing.get_mut(best) {
            subset.images -= 1.0;
            classes.iter().for_each(|&class| subset.classes[class] -= 1.0);
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// Class `k` is on about every `k + 2`-nd of 400 images, each by itself; some images have none.
    fn images() -> (LabelSets, Vec<usize>) {
        let on = |image: usize, class: usize| ((image * 7919 + class * 104_729) % 10_007).is_multiple_of(class + 2);
        LabelSets::number(8, (0..400).map(|image| (0..8).filter(|&class| on(image, class)).collect()))
    }

    #[test]
    fn every_class_has_its_share_in_every_subset() {
        let (sets, images) = images();
        let shares = [0.7, 0.1, 0.2];
        let subsets = stratified(&images, &sets, &shares, &mut ChaCha8Rng::seed_from_u64(1));
        let all = sets.counts(&images);
        for (subset, share) in shares.iter().enumerate() {
            let members: Vec<usize> =
                (0..400).filter(|&image| subsets[image] == subset).map(|image| images[image]).collect();
            // Each image counts for several classes at once, so that shares cannot all be met: a fiftieth of the images.
            assert!((members.len() as f64 - share * 400.0).abs() <= 8.0, "{subset}: {}", members.len());
            for (class, (found, all)) in sets.counts(&members).into_iter().zip(&all).enumerate() {
                let wanted = share * *all as f64;
                assert!((found as f64 - wanted).abs() <= 1.0 + 0.1 * wanted, "{subset} {class}: {found} {wanted}");
            }
        }
    }

    #[test]
    fn a_class_of_three_images_is_in_all_three_subsets() {
        let (sets, images) = LabelSets::number(2, (0..60).map(|image| if image < 3 { vec![0, 1] } else { vec![1] }));
        let subsets = stratified(&images, &sets, &[0.7, 0.05, 0.25], &mut ChaCha8Rng::seed_from_u64(0));
        let mut of_rare = subsets[..3].to_vec();
        of_rare.sort_unstable();
        assert_eq!(of_rare, [0, 1, 2]);
    }
}
