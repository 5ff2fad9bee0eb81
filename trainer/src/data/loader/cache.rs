//! Decoded images that are kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use models::preprocess::RgbImage;

/// Images by their positions, up to a number of bytes. The first to come stay: every epoch asks for each image once, and
/// to make room for the newest would throw out the one that is wanted soonest.
#[derive(Debug)]
pub(super) struct Cache {
    budget: usize,
    kept: Mutex<(HashMap<usize, Arc<RgbImage>>, usize)>,
}

impl Cache {
    pub(super) fn new(budget: usize) -> Self {
        Self { budget, kept: Mutex::default() }
    }

    pub(super) fn get(&self, index: usize) -> Option<Arc<RgbImage>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).0.get(&index).cloned()
    }

    /// Keeps an image if there is room for it.
    pub(super) fn offer(&self, index: usize, image: &Arc<RgbImage>) {
        let bytes = image.data().len();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (images, used) = &mut *kept;
        if *used + bytes <= self.budget && images.insert(index, image.clone()).is_none() {
            *used += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_and_the_rest_is_not() {
        let cache = Cache::new(25);
        let image = Arc::new(RgbImage::new(2, 2, vec![0; 12]).unwrap());
        (0..3).for_each(|index| cache.offer(index, &image));
        cache.offer(0, &image);
        assert_eq!([true, true, false], [0, 1, 2].map(|index| cache.get(index).is_some()));
    }
}
