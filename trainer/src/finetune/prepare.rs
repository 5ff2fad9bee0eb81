//! Stage 1: the images, and the part of the base that stays.

use models::graph::{GraftedGraph, GraphError, NewHead, NodeId};
use models::ops::Shape;
use models::{Graph, Network};
use rayon::prelude::*;

use super::base::head_alone;
use super::image::ImageFile;
use super::stage::{BadFiles, Progress};
use super::{Base, FeatureTransform, FinetuneError, HEAD, LinearProbe, Task};
use crate::data::{BadFile, Checksum, Dataset, DatasetSummary, OpenOptions, check_classes, duplicates};
use crate::events::{Event, Observer, Phase};

/// Images read at a time: enough to keep every thread busy, few enough to fit in memory.
const CHUNK: usize = 64;

/// The most bytes of feature maps that a head's pooling is chosen from.
const MAPS: usize = 1 << 30;

/// What the other stages work with.
pub(super) struct Preparation {
    /// The images as they are listed, bad ones included.
    pub(super) dataset: Dataset,
    /// Where the base ends and the new head begins.
    pub(super) features: FeatureNode,
    /// The frozen part, from pixels to features, as an ONNX file.
    pub(super) prefix: Vec<u8>,
    /// The images whose headers can be read.
    pub(super) images: Vec<ImageFile>,
}

/// A node of the base whose output is computed once for each view of an image.
pub(super) struct FeatureNode {
    /// The base, or a part of it, maybe with pooling behind it.
    pub(super) graph: Graph,
    pub(super) node: NodeId,
}

impl FeatureNode {
    /// What the base's classifier reads: as a feature map, so that its pooling can be chosen, if that of all images fits
    /// into memory, else averaged.
    fn of(base: &Graph, images: usize) -> Result<Self, GraphError> {
        let fits = |&map: &NodeId| base.shape(map).len().saturating_mul(size_of::<f32>() * images) <= MAPS;
        match base.feature_map().filter(fits) {
            Some(node) => Ok(Self { graph: base.clone(), node }),
            None => {
                let GraftedGraph { graph, features: node, .. } = base.graft(HEAD, 1)?;
                Ok(Self { graph, node })
            }
        }
    }

    /// `[c, h, w]` or `[features]`.
    pub(super) fn shape(&self) -> &Shape {
        self.graph.shape(self.node)
    }

    /// The base with a new head on these features.
    pub(super) fn graft(&self, probe: &LinearProbe, classes: usize) -> Result<GraftedGraph, GraphError> {
        let steps = probe.steps(self.shape());
        self.graph.graft_behind(&NewHead { name: HEAD, classes, behind: self.node, steps: &steps })
    }

    /// The base with a new head on these features as they are, for measurements.
    pub(super) fn graft_plain(&self, classes: usize) -> Result<GraftedGraph, GraphError> {
        let steps = FeatureTransform::PLAIN.steps(self.shape());
        self.graph.graft_behind(&NewHead { name: HEAD, classes, behind: self.node, steps: &steps })
    }
}

/// Checks the options, lists the data set, finds where the base ends, and reads every image file.
pub(super) fn prepare(task: &Task<'_>, observer: &mut dyn Observer) -> Result<Preparation, FinetuneError> {
    task.options.validate()?;
    if matches!(task.base, Base::File(_)) {
        head_alone(task.base_name, task.options.strategy)?;
    }
    let options = OpenOptions { archives: Some(&task.folders.archives), access: task.access, ..OpenOptions::default() };
    let dataset = task.source.list_in(&options)?;
    let split = task.options.split(&dataset, &dataset.samples);
    observer.event(Event::Dataset { summary: Box::new(DatasetSummary::new(&dataset, &split)) });
    let images = read(&dataset, task, observer)?;
    check_classes(&dataset, images.iter().map(|image| &image.sample))?;
    let base = task.base.network();
    let features = FeatureNode::of(&base.graph, images.len() * task.options.views)?;
    let spec = base.spec.with_head(None);
    let prefix = task.base.export(&Network::new(features.graph.prefix(features.node), &base.params, spec)?)?;
    Ok(Preparation { dataset, features, prefix, images })
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
