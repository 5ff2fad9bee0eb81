//! Stage 5: the trained network as an ONNX file with its record, and images with the logits that it must reproduce.

use models::Network;
use models::preprocess::Limits;
use models::spec::TrainingRecord;
use serde_json::{Value, json};

use super::extract::FeatureTable;
use super::golden::{self, Golden};
use super::outcome::Outcome;
use super::{Base, FinetuneError, Task};
use crate::data::{Sample, checksum};

/// How many golden images a model carries.
const GOLDEN_IMAGES: usize = 4;

/// A model that is written and not yet compared with the trained network.
pub(super) struct Export {
    /// The trained network with its record.
    pub(super) network: Network,
    /// The ONNX file.
    pub(super) file: Vec<u8>,
    pub(super) golden: Vec<Golden>,
}

/// Writes the file, and computes the golden answers.
pub(super) fn export(task: &Task<'_>, table: &FeatureTable<'_>, outcome: &Outcome) -> Result<Export, FinetuneError> {
    let dataset = &table.preparation.dataset;
    let images = table.samples.iter().map(|image| (&image.checksum, dataset.labels_of(&image.sample)));
    let mut network = outcome.network.clone();
    network.spec.training = Some(TrainingRecord {
        base: task.base_name.to_owned(),
        base_sha256: task.base.sha256(),
        dataset_sha256: checksum(images),
        snapshot: dataset.snapshot.as_ref().map(ToString::to_string),
        strategy: outcome.strategy.name().to_owned(),
        seed: task.options.seed,
        options: json!(&task.options),
        metrics: metrics(outcome),
        created_by: concat!("graft ", env!("CARGO_PKG_VERSION")).to_owned(),
    });
    let file = task.base.export(&network)?;
    let golden = golden(task, &network, table, outcome)?;
    Ok(Export { network, file, golden })
}

/// The results by name; shares are 0..1.
pub(super) fn metrics(outcome: &Outcome) -> Value {
    let (validation, test) = (&outcome.validation.evaluation, &outcome.result().evaluation);
    json!({
        "test_top1": test.top1, "test_top5": test.top5, "test_images": test.images,
        "validation_top1": (validation.images > 0).then_some(validation.top1), "best_epoch": outcome.best_epoch,
        "test_macro_f1": test.macro_f1, "test_ece": test.reliability.as_ref().map(|reliability| reliability.ece),
        "temperature": outcome.calibration.map(|calibration| calibration.temperature),
        "folds": outcome.folds.as_ref().map(|folds| folds.folds.len()),
        "test_map": test.mean_average_precision, "test_micro_f1": test.micro_f1, "test_exact": test.exact,
    })
}

/// Test images of different classes. graft cannot run an opaque base by itself, so its logits are those of the head on the
/// cached features.
fn golden(
    task: &Task<'_>,
    network: &Network,
    table: &FeatureTable<'_>,
    outcome: &Outcome,
) -> Result<Vec<Golden>, FinetuneError> {
    let test = &table.split.test;
    let limits = Limits::default();
    let sample = |at: usize| &table.samples[test[at]].sample;
    // The server may read no larger images than these, whatever the training may.
    let servable = |at: &usize| task.options.limits() == limits || sample(*at).read(&limits).is_ok();
    let servable: Vec<usize> = (0..test.len()).filter(servable).collect();
    let step = servable.len().div_ceil(GOLDEN_IMAGES).max(1);
    let chosen: Vec<usize> = servable.into_iter().step_by(step).collect();
    let files = files(chosen.iter().map(|&at| sample(at)))?;
    let mut golden = match task.base {
        Base::Network(_) => golden::answers(network, files)?,
        Base::File(_) => {
            let classes = outcome.test.logits.len() / test.len().max(1);
            let logits = chosen.iter().flat_map(|&at| &outcome.test.logits[at * classes..(at + 1) * classes]).copied();
            golden::recorded(files, &logits.collect::<Vec<f32>>())
        }
    };
    let noise = outcome.noise();
    golden.iter_mut().for_each(|golden| golden.noise = noise);
    Ok(golden)
}

/// The files of images, by names that tell no path.
fn files<'a>(samples: impl Iterator<Item = &'a Sample>) -> Result<Vec<(String, Vec<u8>)>, FinetuneError> {
    let files = samples.enumerate().map(|(number, sample)| {
        let ending = sample.path.extension().map_or_else(String::new, |ending| ending.to_string_lossy().to_lowercase());
        Ok((format!("{number}.{ending}"), sample.read(&Limits::default())?))
    });
    files.collect()
}
