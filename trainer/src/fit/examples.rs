//! What a network learns from: images, or features that a frozen part has made of them.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::FitError;
use crate::data::BadFile;
use crate::data::loader::Loader;

/// Inputs of the network with their classes.
pub trait Examples: Sync {
    /// `[n]`: which class each example is of.
    fn classes(&self) -> &[usize];

    /// The examples at these positions in this order, in batches of this size; the last may be smaller.
    fn epoch(&self, order: Vec<usize>, epoch: u64, batch_size: usize) -> Box<dyn Batches + '_>;
}

/// One epoch's batches.
pub trait Batches: Iterator<Item = Result<Batch, FitError>> {
    /// How long the consumer has waited for them.
    fn waited(&self) -> Duration;
}

/// Some examples.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[n, …]`, channels last.
    pub inputs: Vec<f32>,
    /// `[n]`.
    pub classes: Vec<usize>,
    /// The position of each among the examples, `[n]`.
    pub examples: Vec<usize>,
}

/// Images that threads decode and augment.
pub struct ImageExamples {
    loader: Loader,
    classes: Vec<usize>,
}

impl ImageExamples {
    /// The loader's samples are of these classes.
    #[must_use]
    pub fn new(loader: Loader, classes: Vec<usize>) -> Self {
        Self { loader, classes }
    }

    /// The images that could not be decoded so far and were left out.
    #[must_use]
    pub fn skipped(&self) -> Vec<BadFile> {
        self.loader.skipped()
    }
}

impl Examples for ImageExamples {
    fn classes(&self) -> &[usize] {
        &self.classes
    }

    fn epoch(&self, order: Vec<usize>, epoch: u64, batch_size: usize) -> Box<dyn Batches + '_> {
        let batch_size = NonZeroUsize::new(batch_size).unwrap_or(NonZeroUsize::MIN);
        Box::new(LoadedBatches { loader: &self.loader, batches: self.loader.epoch(order, epoch, batch_size) })
    }
}

struct LoadedBatches<'l> {
    loader: &'l Loader,
    batches: crate::data::loader::Batches,
}

impl Iterator for LoadedBatches<'_> {
    type Item = Result<Batch, FitError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?;
        let batch = batch.map(|batch| Batch { inputs: batch.images, classes: batch.classes, examples: batch.samples });
        Some(batch.map_err(|error| self.loader.name_all(error).into()))
    }
}

impl Batches for LoadedBatches<'_> {
    fn waited(&self) -> Duration {
        self.batches.waiting().waited
    }
}

/// Features in memory, of one or several views of each image: in each epoch one of them is taken.
pub struct FeatureExamples {
    /// `[view][example][number]`, channels last.
    views: Vec<Vec<f32>>,
    classes: Vec<usize>,
    width: usize,
    seed: u64,
}

impl FeatureExamples {
    /// Of at least one view, each `[n, …]` for the `n` classes.
    #[must_use]
    pub fn new(views: Vec<Vec<f32>>, classes: Vec<usize>, seed: u64) -> Self {
        let width = views.first().map_or(0, Vec::len) / classes.len().max(1);
        Self { views, classes, width, seed }
    }

    /// Which view of an example an epoch sees.
    fn view(&self, example: usize, epoch: u64) -> &[f32] {
        let views = self.views.len() as u64;
        // Each example begins with another view and goes on through all of them.
        let first = (example as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(self.seed) >> 32;
        let view = (first % views + epoch % views) % views;
        &self.views[view as usize][example * self.width..][..self.width]
    }
}

impl Examples for FeatureExamples {
    fn classes(&self) -> &[usize] {
        &self.classes
    }

    fn epoch(&self, order: Vec<usize>, epoch: u64, batch_size: usize) -> Box<dyn Batches + '_> {
        Box::new(FeatureBatches { features: self, order, epoch, batch_size, behind: 0 })
    }
}

struct FeatureBatches<'f> {
    features: &'f FeatureExamples,
    order: Vec<usize>,
    epoch: u64,
    batch_size: usize,
    behind: usize,
}

impl Iterator for FeatureBatches<'_> {
    type Item = Result<Batch, FitError>;

    fn next(&mut self) -> Option<Self::Item> {
        let examples = self.order.get(self.behind..)?.chunks(self.batch_size).next()?.to_vec();
        self.behind += examples.len();
        let inputs = examples.iter().flat_map(|&example| self.features.view(example, self.epoch)).copied().collect();
        let classes = examples.iter().map(|&example| self.features.classes[example]).collect();
        Some(Ok(Batch { inputs, classes, examples }))
    }
}

impl Batches for FeatureBatches<'_> {
    fn waited(&self) -> Duration {
        Duration::ZERO
    }
}
