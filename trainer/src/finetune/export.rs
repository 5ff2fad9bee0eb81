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
    let images = table.samples.iter().map(|image| (&image.checksum, image.sample.class));
    let mut network = outcome.network.clone();
    network.spec.training = Some(TrainingRecord {
        base: task.base_name.to_owned(),
        base_sha256: task.base.sha256(),
        dataset_sha256: checksum(&table.preparation.labels, images),
        strategy: outcome.strategy.name().to_owned(),
        seed: task.options.seed,
        options: json!(task.options),
        metrics: metrics(outcome),
        created_by: concat!("graft ", env!("CARGO_PKG_VERSION")).to_owned(),
    });
    let file = task.base.export(&network)?;
    let golden = golden(task, &network, table, outcome)?;
    Ok(Export { network, file, golden })
}

/// The results by name; shares are 0..1.
pub(super) fn metrics(outcome: &Outcome) -> Value {
    let (validation, test) = (&outcome.validation.evaluation, &outcome.test.evaluation);
    json!({
        "test_top1": test.top1, "test_top5": test.top5, "test_images": test.images,
        "validation_top1": (validation.images > 0).then_some(validation.top1), "best_epoch": outcome.best_epoch,
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
    let step = test.len().div_ceil(GOLDEN_IMAGES).max(1);
    let files = files(test.iter().step_by(step).map(|&row| &table.samples[row].sample))?;
    Ok(match task.base {
        Base::Network(_) => golden::answers(network, files)?,
        Base::File(_) => {
            let classes = outcome.test.logits.len() / test.len().max(1);
            let logits = outcome.test.logits.chunks(classes.max(1)).step_by(step).flatten().copied();
            golden::recorded(files, &logits.collect::<Vec<f32>>())
        }
    })
}

/// The files of images, by names that tell no path.
fn files<'a>(samples: impl Iterator<Item = &'a Sample>) -> Result<Vec<(String, Vec<u8>)>, FinetuneError> {
    let files = samples.enumerate().map(|(number, sample)| {
        let ending = sample.path.extension().map_or_else(String::new, |ending| ending.to_string_lossy().to_lowercase());
        Ok((format!("{number}.{ending}"), sample.read(&Limits::default())?))
    });
    files.collect()
}
