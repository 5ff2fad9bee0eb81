//! The loader as a training loop sees it.

use std::num::NonZeroUsize;
use std::time::Duration;

use models::preprocess::{Crop, Resize};
use tempfile::TempDir;

use super::queue::Queue;
use super::*;
use crate::data::augment::AugmentationPolicy;
use crate::data::testing::{picture, planes};

/// So many pictures in a folder; those at `bad` are no images.
fn pictures(count: usize, bad: &[usize]) -> (TempDir, Arc<[Sample]>) {
    let folder = tempfile::tempdir().unwrap();
    let sample = |number: usize| {
        let path = folder.path().join(format!("{number:03}.bmp"));
        let bytes = if bad.contains(&number) { b"no image".to_vec() } else { picture(number) };
        std::fs::write(&path, bytes).unwrap();
        Sample::file(path, number % 3)
    };
    let samples = (0..count).map(sample).collect();
    (folder, samples)
}

fn spec(policy: AugmentationPolicy) -> TransformSpec {
    let (resize, crop) = (Resize::None, Some(Crop { height: 32, width: 32 }));
    let preprocess = Preprocess { resize, crop, ..Preprocess::torchvision(32, 32) };
    TransformSpec { preprocess, augmentation: policy.augmentation(), values: PixelValues::Levels, seed: 11 }
}

fn number(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

fn resources(threads: usize) -> Resources {
    Resources { threads: number(threads), ahead: number(2), ..Resources::default() }
}

fn all(loader: &Loader, order: Vec<usize>, epoch: u64) -> Vec<Batch> {
    loader.epoch(order, epoch, number(4)).map(Result::unwrap).collect()
}

#[test]
fn batches_come_in_the_order_asked_for_channels_last() {
    let (_folder, samples) = pictures(10, &[]);
    let loader = Loader::new(samples, spec(AugmentationPolicy::None), resources(3)).unwrap();
    let order = vec![9, 0, 3, 3, 7, 1, 2];
    let batches = all(&loader, order.clone(), 0);
    assert_eq!(batches.iter().map(|batch| batch.shape).collect::<Vec<_>>(), [[4, 32, 32, 3], [3, 32, 32, 3]]);
    assert_eq!(batches.iter().flat_map(|batch| batch.samples.clone()).collect::<Vec<_>>(), order);
    assert_eq!(batches.iter().flat_map(|batch| batch.classes.clone()).collect::<Vec<_>>(), [0, 0, 0, 0, 1, 1, 2]);
    let (third, planes) = (&batches[1].images[..3 * 1024], planes(7));
    for pixel in 0..1024 {
        let expected = [0, 1, 2].map(|channel| f32::from(planes[channel * 1024 + pixel]));
        assert_eq!(third[3 * pixel..][..3], expected);
    }
}

#[test]
fn neither_threads_nor_memory_change_a_bit() {
    let (_folder, samples) = pictures(30, &[]);
    let order: Vec<usize> = (0..30).rev().collect();
    let expected =
        all(&Loader::new(samples.clone(), spec(AugmentationPolicy::Strong), resources(1)).unwrap(), order.clone(), 2);
    for (threads, memory) in [(2, 0), (5, 4000), (8, usize::MAX)] {
        let resources = Resources { memory, ..resources(threads) };
        let loader = Loader::new(samples.clone(), spec(AugmentationPolicy::Strong), resources).unwrap();
        assert_ne!(all(&loader, order.clone(), 1), expected);
        // The second epoch finds in memory what the first has left there.
        assert_eq!(all(&loader, order.clone(), 2), expected, "{threads} threads, {memory} bytes");
    }
}

#[test]
fn levels_are_normalized_as_in_the_network() {
    let (_folder, samples) = pictures(1, &[]);
    let normalize = Normalize { mean: vec![100.0, 0.0, 50.0], std: vec![2.0, 1.0, 4.0] };
    let spec = TransformSpec { values: PixelValues::Normalized(normalize), ..spec(AugmentationPolicy::None) };
    let loader = Loader::new(samples.clone(), spec.clone(), resources(1)).unwrap();
    let planes = planes(0).map(f32::from);
    let expected = [(planes[0] - 100.0) / 2.0, planes[1024], (planes[2048] - 50.0) / 4.0];
    assert_eq!(all(&loader, vec![0], 0)[0].images[..3], expected);
    let gray = PixelValues::Normalized(Normalize { mean: vec![0.0], std: vec![1.0] });
    let refused = Loader::new(samples, TransformSpec { values: gray, ..spec }, resources(1)).unwrap_err();
    assert!(matches!(refused, LoaderError::Channels { means: 1, deviations: 1 }));
}

#[test]
fn the_first_bad_file_in_order_ends_the_epoch_and_is_named() {
    let (_folder, samples) = pictures(20, &[13, 6]);
    let loader = Loader::new(samples, spec(AugmentationPolicy::None), resources(4)).unwrap();
    let mut batches = loader.epoch((0..20).collect(), 0, number(4));
    assert!(batches.next().unwrap().is_ok());
    let error = batches.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("006.bmp"), "{error}");
    assert!(batches.next().is_none());
}

#[test]
fn bad_files_are_skipped_and_reported_if_so_wanted() {
    let (_folder, samples) = pictures(12, &[4, 5, 6, 7, 9]);
    let resources = Resources { bad_files: BadFilePolicy::Skip, ..resources(3) };
    let loader = Loader::new(samples, spec(AugmentationPolicy::None), resources).unwrap();
    for epoch in 0..2 {
        let batches = all(&loader, (0..12).collect(), epoch);
        let samples: Vec<_> = batches.into_iter().map(|batch| batch.samples).collect();
        assert_eq!(samples, [vec![0, 1, 2, 3], vec![8, 10, 11]]);
    }
    let skipped = loader.skipped();
    assert_eq!(skipped.len(), 5);
    assert!(skipped[4].reason.contains("009.bmp"), "{}", skipped[4].reason);
}

#[test]
fn a_consumer_may_leave_at_any_time() {
    let (_folder, samples) = pictures(40, &[]);
    let loader = Loader::new(samples, spec(AugmentationPolicy::Standard), resources(4)).unwrap();
    for taken in 0..5 {
        let mut batches = loader.epoch((0..40).collect(), 0, number(4));
        assert_eq!(batches.by_ref().take(taken).count(), taken);
        // Dropping joins the threads: this would hang if one of them waited for room that never comes.
        drop(batches);
    }
    assert_eq!(loader.epoch(vec![], 0, number(4)).count(), 0);
    let error = loader.epoch(vec![40], 0, number(4)).next().unwrap().unwrap_err();
    assert!(matches!(error, LoaderError::Position { index: 40, samples: 40 }));
}

#[test]
fn no_more_is_begun_than_so_many_batches_ahead() {
    let queue = Queue::new(100, 3, 2, 1);
    let begun: Vec<usize> = (0..6).map(|_| queue.next().unwrap()).collect();
    assert_eq!(begun, [0, 1, 2, 3, 4, 5]);
    std::thread::scope(|scope| {
        let next = scope.spawn(|| queue.next());
        std::thread::sleep(Duration::from_millis(50));
        assert!(!next.is_finished());
        begun.iter().rev().for_each(|&position| queue.put(position, Ok(None)));
        assert_eq!(queue.take().unwrap().len(), 3);
        assert_eq!(next.join().unwrap(), Some(6));
    });
}

#[test]
fn threads_that_vanish_end_the_waiting() {
    let queue = Queue::new(10, 3, 2, 2);
    std::thread::scope(|scope| {
        let taken = scope.spawn(|| queue.take());
        queue.leave();
        queue.leave();
        assert!(taken.join().unwrap().is_none());
    });
}

#[test]
fn the_idle_share_is_that_of_the_waiting() {
    let (_folder, samples) = pictures(8, &[]);
    let loader = Loader::new(samples, spec(AugmentationPolicy::None), resources(2)).unwrap();
    let mut batches = loader.epoch((0..8).collect(), 0, number(4));
    for batch in batches.by_ref() {
        batch.unwrap();
        std::thread::sleep(Duration::from_millis(40));
    }
    let waiting = batches.waiting();
    assert!(waiting.total >= Duration::from_millis(80) && waiting.waited < waiting.total, "{waiting:?}");
    assert!((0.0..1.0).contains(&waiting.share()));
    let half = WaitingTime { waited: Duration::from_secs(1), total: Duration::from_secs(2) };
    assert_eq!(half.share(), 0.5);
}

#[test]
fn images_of_different_sizes_make_no_batch() {
    let (_folder, samples) = pictures(1, &[]);
    let mut spec = spec(AugmentationPolicy::None);
    spec.preprocess.crop = None;
    assert!(matches!(Loader::new(samples, spec, resources(1)), Err(LoaderError::Size)));
}
