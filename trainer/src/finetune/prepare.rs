//! Stage 1: the images, and the base with a new head.

use models::Network;
use models::graph::GraftedGraph;
use rayon::prelude::*;

use super::base::head_alone;
use super::image::ImageFile;
use super::stage::{BadFiles, Progress};
use super::{Base, FinetuneError, HEAD, Task};
use crate::data::{BadFile, Checksum, Dataset, DatasetSummary, OpenOptions, check_classes, duplicates};
use crate::events::{Event, Observer, Phase};

/// Images read at a time: enough to keep every thread busy, few enough to fit in memory.
const CHUNK: usize = 64;

/// What the other stages work with.
pub(super) struct Preparation {
    /// The images as they are listed, bad ones included.
    pub(super) dataset: Dataset,
    /// The base's graph with the new head.
    pub(super) grafted: GraftedGraph,
    /// The frozen part, from pixels to features, as an ONNX file.
    pub(super) prefix: Vec<u8>,
    /// The images whose headers can be read.
    pub(super) images: Vec<ImageFile>,
}

/// Checks the options, lists the data set, grafts a head of as many classes, and reads every image file.
pub(super) fn prepare(task: &Task<'_>, observer: &mut dyn Observer) -> Result<Preparation, FinetuneError> {
    task.options.validate()?;
    if matches!(task.base, Base::File(_)) {
        head_alone(task.base_name, task.options.strategy)?;
    }
    let options = OpenOptions { archives: Some(&task.folders.archives), access: task.access, ..OpenOptions::default() };
    let dataset = task.source.list_in(&options)?;
    let split = dataset.split(task.options.partition(), task.options.seed);
    observer.event(Event::Dataset { summary: Box::new(DatasetSummary::new(&dataset, &split)) });
    let images = read(&dataset, task, observer)?;
    check_classes(&dataset.labels, images.iter().map(|image| &image.sample))?;
    let base = task.base.network();
    let grafted = base.graph.graft(HEAD, dataset.labels.len())?;
    let spec = base.spec.with_head(None);
    let prefix = task.base.export(&Network::new(grafted.graph.prefix(grafted.features), &base.params, spec)?)?;
    Ok(Preparation { dataset, grafted, prefix, images })
}

/// Reads every file and its header, so that all bad files are named before any work is done on the good ones.
fn read(dataset: &Dataset, task: &Task<'_>, observer: &mut dyn Observer) -> Result<Vec<ImageFile>, FinetuneError> {
    let (mut images, mut bad) = (Vec::new(), BadFiles::new(task.options.bad_files));
    for fault in dataset.account.faults() {
        bad.add(fault.clone(), observer);
    }
    for chunk in dataset.samples.chunks(CHUNK) {
        let files: Vec<_> = chunk.par_iter().map(|sample| sample.read(&task.options.limits())).collect();
        for (sample, bytes) in chunk.iter().zip(files) {
            match bytes {
                Ok(bytes) => images.push(ImageFile { sample: sample.clone(), checksum: Checksum::of(&bytes) }),
                Err(error) => bad.add(BadFile::new(&sample.path, &error), observer),
            }
        }
        Progress { phase: Phase::Data, done: images.len(), total: dataset.samples.len() }.report(observer)?;
    }
    bad.refuse()?;
    for warning in duplicates(images.iter().map(|image| (&image.checksum, &image.sample))) {
        observer.event(Event::Warning { message: warning.to_string() });
    }
    Ok(images)
}
