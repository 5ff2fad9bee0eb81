//! Stage 1: the images, and the base with a new head.

use models::graph::GraftedGraph;
use models::preprocess::Limits;
use models::{Labels, ModelSpec, Network};
use rayon::prelude::*;

use super::base::head_alone;
use super::image::ImageFile;
use super::stage::{Progress, leave_out};
use super::{Base, FinetuneError, HEAD, Task};
use crate::data::{BadFile, BadFilePolicy, Checksum, Dataset, DatasetError, OpenOptions, duplicates};
use crate::events::{Event, Observer, Phase};

/// Images read at a time: enough to keep every thread busy, few enough to fit in memory.
const CHUNK: usize = 64;

/// What the other stages work with.
pub(super) struct Preparation {
    pub(super) labels: Labels,
    /// The base's graph with the new head.
    pub(super) grafted: GraftedGraph,
    /// The frozen part, from pixels to features, as an ONNX file.
    pub(super) prefix: Vec<u8>,
    /// The images whose headers can be read.
    pub(super) images: Vec<ImageFile>,
    /// How many images the data set lists, bad ones included.
    pub(super) listed: usize,
}

/// Checks the options, lists the data set, grafts a head of as many classes, and reads every image file.
pub(super) fn prepare(task: &Task<'_>, observer: &mut dyn Observer) -> Result<Preparation, FinetuneError> {
    task.options.validate()?;
    if matches!(task.base, Base::File(_)) {
        head_alone(task.base_name, task.options.strategy)?;
    }
    let options = OpenOptions { archives: Some(&task.folders.archives), access: task.access, ..OpenOptions::default() };
    let dataset = task.source.open_in(&options)?;
    let base = task.base.network();
    let grafted = base.graph.graft(HEAD, dataset.labels.len())?;
    let spec = ModelSpec { labels: None, training: None, ..base.spec.clone() };
    let prefix = task.base.export(&Network::new(grafted.graph.prefix(grafted.features), &base.params, spec)?)?;
    warn(&dataset, observer);
    let images = read(&dataset, task.options.bad_files, observer)?;
    Ok(Preparation { listed: dataset.samples.len(), labels: dataset.labels, grafted, prefix, images })
}

fn warn(dataset: &Dataset, observer: &mut dyn Observer) {
    if let [first, rest @ ..] = &dataset.ignored[..] {
        let message =
            format!("ignored {} and {} more file(s), whose names are not those of images", first.display(), rest.len());
        observer.event(Event::Warning { message });
    }
    for warning in &dataset.warnings {
        observer.event(Event::Warning { message: warning.to_string() });
    }
}

/// Reads every file and its header, so that a bad file is named before any work is done on the good ones.
fn read(
    dataset: &Dataset,
    policy: BadFilePolicy,
    observer: &mut dyn Observer,
) -> Result<Vec<ImageFile>, FinetuneError> {
    let (mut images, mut bad) = (Vec::new(), Vec::new());
    for chunk in dataset.samples.chunks(CHUNK) {
        let files: Vec<_> = chunk.par_iter().map(|sample| sample.read(&Limits::default())).collect();
        for (sample, bytes) in chunk.iter().zip(files) {
            match bytes {
                Ok(bytes) => images.push(ImageFile { sample: sample.clone(), checksum: Checksum::of(&bytes) }),
                Err(error) if policy == BadFilePolicy::Refuse => bad.push(BadFile::new(&sample.path, &error)),
                Err(error) => leave_out(error, policy, observer)?,
            }
        }
        Progress { phase: Phase::Data, done: images.len(), total: dataset.samples.len() }.report(observer)?;
    }
    if !bad.is_empty() {
        return Err(DatasetError::BadFiles { files: bad }.into());
    }
    for warning in duplicates(images.iter().map(|image| (&image.checksum, &image.sample))) {
        observer.event(Event::Warning { message: warning.to_string() });
    }
    Ok(images)
}
