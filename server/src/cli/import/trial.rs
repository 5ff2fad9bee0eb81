//! `--verify`: which way of preparing images a network was trained with, by trying them on labelled photographs.

use std::path::Path;

use anyhow::{Context, Result, bail};
use models::labels::imagenet_classes;
use models::preprocess::{ImageBatch, Limits, PreparedImage, Preset};
use models::scores::top_k;
use models::{Labels, ModelSpec};
use onnx::{Engine, engine};
use rayon::prelude::*;
use server::runtime::SelectedEngine;
use trainer::data::{Dataset, DatasetSource, Layout, Sample};

use super::preparation::Preparation;
use crate::cli::output;

/// Images decoded and run at a time.
const BATCH: usize = 8;
/// How much better another preparation must be to be worth a warning: a share of the images.
const NOTABLE: f64 = 0.05;

/// A way of preparing images and how often it was right.
struct Trial {
    name: String,
    preparation: Preparation,
    top1: f64,
    top5: f64,
}

/// Makes an ONNX file, and its spec, of the network with its images prepared like this.
type File<'f> = &'f dyn Fn(&Preparation) -> Result<(Vec<u8>, ModelSpec)>;

/// What is tried, and on which images.
pub(super) struct PreparationTrials<'a> {
    /// A labelled folder.
    pub(super) folder: &'a Path,
    /// The preparation that is taken unless another fits much better.
    pub(super) chosen: &'a Preparation,
    /// Height and width of the network's input.
    pub(super) size: [u32; 2],
    /// Runs the network.
    pub(super) selected: &'a SelectedEngine,
}

impl PreparationTrials<'_> {
    /// Classifies the folder under every preset, shows the result and answers the best.
    pub(super) fn best(&self, file: File<'_>) -> Result<Preparation> {
        let Self { folder, chosen, size, selected } = *self;
        let dataset = DatasetSource::new(Layout::ClassFolders, folder).list()?;
        if dataset.samples.is_empty() {
            bail!("{} holds no images; it should have a folder of images for each class", folder.display());
        }
        let mut tried = Vec::new();
        for (name, preparation) in candidates(chosen, size) {
            let (bytes, spec) = file(&preparation)?;
            let labels =
                spec.labels.as_ref().context("a network without classes cannot be tried on labelled images")?;
            let classes = classes(&dataset, labels)?;
            let mut engine = engine::open(selected.kind, &bytes, selected.threads)?;
            let (top1, top5) = accuracy(engine.as_mut(), &spec, &dataset, &classes)?;
            tried.push(Trial { name, preparation, top1, top5 });
        }
        let images = dataset.samples.len();
        let rows: Vec<[String; 3]> = tried.iter().map(|tried| row(tried, chosen)).collect();
        output::line(format_args!("{images} images under every preset, on {}:", selected.kind))?;
        output::table(["PREPROCESS", "TOP-1", "TOP-5"], &rows)?;
        let best = tried.iter().reduce(|best, other| if other.top1 > best.top1 { other } else { best });
        let best = best.context("there is no preset")?;
        let mine = tried.iter().find(|tried| tried.preparation == *chosen).map_or(0.0, |tried| tried.top1);
        if best.top1 - mine > NOTABLE {
            output::line(format_args!("`{}` fits best; the network was probably trained with it", best.name))?;
        } else {
            output::line(format_args!("nothing fits better than what was chosen"))?;
            return Ok(chosen.clone());
        }
        Ok(Preparation { origin: "as fits the labelled images best".to_owned(), ..best.preparation.clone() })
    }
}

/// The presets, and what was chosen if it is none of them.
fn candidates(chosen: &Preparation, [height, width]: [u32; 2]) -> Vec<(String, Preparation)> {
    let mut candidates: Vec<(String, Preparation)> = Preset::ALL
        .into_iter()
        .map(|preset| {
            let (preprocess, order) = (preset.preprocess(height, width), preset.channel_order());
            (preset.to_string(), Preparation { preprocess, order, origin: chosen.origin.clone() })
        })
        .collect();
    if !candidates.iter().any(|(_, candidate)| candidate == chosen) {
        candidates.push(("the chosen one".to_owned(), chosen.clone()));
    }
    candidates
}

fn row(tried: &Trial, chosen: &Preparation) -> [String; 3] {
    let mark = if tried.preparation == *chosen { " (chosen)" } else { "" };
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    [format!("{}{mark}", tried.name), percent(tried.top1), percent(tried.top5)]
}

/// The network's class of each folder.
fn classes(dataset: &Dataset, labels: &Labels) -> Result<Vec<usize>> {
    let find = |folder: &String| {
        class_of(folder, labels).with_context(|| {
            let some = labels.names().iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
            format!(
                "the folder `{folder}` is none of the network's classes ({some}, …); name folders as the classes, by \
                 their numbers, or by WordNet ids"
            )
        })
    };
    dataset.labels.names().iter().map(find).collect()
}

/// The class that a folder's name means: a number, a WordNet id where the classes are ImageNet's, or a class's name or
/// one of its synonyms.
fn class_of(folder: &str, labels: &Labels) -> Option<usize> {
    let plain = |text: &str| text.trim().to_lowercase().replace(['_', '-'], " ");
    let class = plain(folder);
    let is_class = |name: &String| plain(name) == class || name.split(',').any(|synonym| plain(synonym) == class);
    let synset = || imagenet_classes().position(|(id, _)| id == folder).filter(|_| labels.len() == 1000);
    let number = || folder.parse::<usize>().ok().filter(|&class| class < labels.len());
    labels.names().iter().position(is_class).or_else(synset).or_else(number)
}

/// The shares of images whose class is the best guess, and among the best five.
fn accuracy(engine: &mut dyn Engine, spec: &ModelSpec, dataset: &Dataset, classes: &[usize]) -> Result<(f64, f64)> {
    let (mut first, mut among) = (0, 0);
    for samples in dataset.samples.chunks(BATCH) {
        let input = |sample: &Sample| -> Result<PreparedImage> {
            let bytes = sample.read(&Limits::default())?;
            let input = spec.preprocess.apply(&bytes, &Limits::default());
            input.with_context(|| sample.path.display().to_string())
        };
        let inputs = samples.par_iter().map(input).collect::<Result<Vec<PreparedImage>>>()?;
        let outputs = engine.run(&ImageBatch::stack(&inputs)?)?;
        let logits = outputs.first()?.data();
        for (sample, logits) in samples.iter().zip(logits.chunks(logits.len() / samples.len())) {
            let best = top_k(logits, 5);
            first += usize::from(best.first() == Some(&classes[sample.class]));
            among += usize::from(best.contains(&classes[sample.class]));
        }
    }
    let images = dataset.samples.len() as f64;
    Ok((first as f64 / images, among as f64 / images))
}

#[cfg(test)]
mod tests {
    use models::channels::ChannelOrder;

    use super::*;

    #[test]
    fn a_folder_means_a_class_by_name_synonym_number_or_wordnet_id() {
        let labels =
            Labels::new(["tench, Tinca tinca", "great white shark", "colts' foot"].map(str::to_owned).to_vec());
        for (folder, class) in
            [("Tinca_tinca", Some(0)), ("great_white_shark", Some(1)), ("2", Some(2)), ("3", None), ("eel", None)]
        {
            assert_eq!(class_of(folder, &labels), class, "{folder}");
        }
        assert_eq!(class_of("n02099601", &Labels::imagenet()), Some(207));
        assert_eq!(class_of("n02099601", &labels), None);
    }

    #[test]
    fn what_was_chosen_is_tried_beside_the_presets() {
        let preset = |preset: Preset| Preparation {
            preprocess: preset.preprocess(32, 32),
            order: preset.channel_order(),
            origin: "asked".to_owned(),
        };
        assert_eq!(candidates(&preset(Preset::KerasTf), [32, 32]).len(), Preset::ALL.len());
        let mut chosen = preset(Preset::CaffeBgr);
        chosen.order = ChannelOrder::Rgb;
        assert_eq!(candidates(&chosen, [32, 32]).len(), Preset::ALL.len() + 1);
    }
}
