//! Heads on cached features: which is chosen, how good it is on test images, and CPU seconds.
//!
//! ```sh
//! FEATURES=~/.local/share/graft/cache/features OXFORD17=oxford17 cargo bench --package trainer --bench heads
//! ```
//!
//! A fine-tune with `--views 2` fills the cache. Networks whose features are not there of all images are left out. `SEEDS=6`
//! draws as many splits; `VIEWS=1` takes the plain views alone.

#![expect(clippy::print_stdout, reason = "a bench reports on the standard output")]
#![expect(
    clippy::disallowed_methods,
    reason = "cargo bench takes the flags for itself; the environment is what is left"
)]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use models::ops::Shape;
use rustix::time::{ClockId, clock_gettime};
use safetensors::SafeTensors;
use trainer::data::augment::View;
use trainer::data::{Checksum, DatasetSource, Layout};
use trainer::events::Unobserved;
use trainer::finetune::features::{CacheKey, FeatureCache};
use trainer::finetune::head::LabeledFeatures;
use trainer::finetune::{FeatureTransform, FinetuneOptions, ProbeTask, probe};
use trainer::metrics::Evaluation;

const VIEWS: [View; 2] = [View::Plain, View::Mirrored];
/// VGG's last feature map.
const MAP: [usize; 3] = [512, 7, 7];

fn main() -> Result<()> {
    let [root, photographs] = ["FEATURES", "OXFORD17"].map(std::env::var_os);
    let (Some(root), Some(photographs)) = (root, photographs) else {
        println!("FEATURES and OXFORD17 name the folders of cached features and of photographs");
        return Ok(());
    };
    let seeds: u64 = std::env::var("SEEDS").map_or(Ok(6), |seeds| seeds.parse())?;
    let count: usize = std::env::var("VIEWS").map_or(Ok(VIEWS.len()), |views| views.parse())?;
    let dataset = DatasetSource::new(Layout::Oxford17, PathBuf::from(photographs)).list()?;
    let checksums = dataset.samples.iter().map(|sample| Ok(Checksum::of(&std::fs::read(&sample.path)?)));
    let checksums = checksums.collect::<Result<Vec<_>>>()?;
    let classes: Vec<usize> = dataset.samples.iter().map(|sample| sample.class).collect();
    for entry in std::fs::read_dir(&root)? {
        let folder = entry?.path();
        let images = Images { views: &VIEWS[..count.clamp(1, VIEWS.len())], checksums: &checksums, classes: &classes };
        let Some(views) = features(&folder, &images)? else { continue };
        let width = views[0].width();
        let shape = if width == MAP.iter().product::<usize>() { Shape::new(MAP) } else { Shape::vector(width) };
        let transforms = FeatureTransform::all(&shape);
        println!("{width} features ({})", folder.display());
        let (mut top1s, mut costs) = (vec![], vec![]);
        for seed in 0..seeds {
            let options = FinetuneOptions { seed, ..FinetuneOptions::default() };
            let split = dataset.split(options.partition(), seed);
            let training = LabeledFeatures::concat(views.iter().map(|view| view.rows(&split.train)));
            let task = ProbeTask {
                training: &training,
                validation: &LabeledFeatures::default(),
                shape: &shape,
                views: views.len(),
                classes: dataset.labels.len(),
                sets: None,
                weights: None,
                transforms: &transforms,
                options: options.head(),
            };
            let start = cpu_seconds();
            let trained = probe(&task, &mut Unobserved)?;
            costs.push(cpu_seconds() - start);
            let test = views[0].rows(&split.test);
            let logits = trained.logits(&shape, &test.features);
            top1s.push(100.0 * Evaluation::new(&logits, &test.classes, dataset.labels.len()).top1);
            println!("  seed {seed}: {:.1} %, {:.1} CPU s", top1s[top1s.len() - 1], costs[costs.len() - 1]);
            for candidate in trained.choice.iter().flat_map(|choice| &choice.candidates) {
                let (strength, top1, loss) = (candidate.strength, 100.0 * candidate.top1, candidate.loss);
                println!("    {top1:.1} %, loss {loss:.4}, strength {strength:6}: {}", candidate.transform);
            }
        }
        let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
        println!("  mean {:.2} %, {:.1} CPU s", mean(&top1s), mean(&costs));
    }
    Ok(())
}

/// The images of the bench.
struct Images<'a> {
    views: &'a [View],
    checksums: &'a [Checksum],
    classes: &'a [usize],
}

/// The features of each view of all images, if the cache has them.
fn features(folder: &Path, images: &Images<'_>) -> Result<Option<Vec<LabeledFeatures>>> {
    let (root, identity) = (folder.parent(), folder.file_name().and_then(|name| name.to_str()));
    let (root, identity) = root.zip(identity).context("a folder of features")?;
    let cache = FeatureCache::open(root, identity, width(folder)?)?;
    let mut views = Vec::new();
    for &view in images.views {
        let mut features = Vec::new();
        for checksum in images.checksums {
            let Some(row) = cache.get(&CacheKey::new(checksum, view)?) else { return Ok(None) };
            features.extend_from_slice(row);
        }
        views.push(LabeledFeatures { features, classes: images.classes.to_vec() });
    }
    Ok(Some(views))
}

/// How many numbers an image has in a cache.
fn width(folder: &Path) -> Result<usize> {
    for entry in std::fs::read_dir(folder)? {
        let bytes = std::fs::read(entry?.path())?;
        if let Ok(file) = SafeTensors::deserialize(&bytes) {
            return Ok(file.tensor("features")?.shape()[1]);
        }
    }
    Ok(0)
}

/// CPU seconds of the process, all threads.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
