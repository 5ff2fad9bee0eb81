//! What is measured.

use std::num::NonZeroUsize;

use anyhow::Result;
use models::preprocess::{ImageBatch, Limits, RgbImage, decode, test_card};
use models::{Labels, ModelSpec, Network, Preprocess, init, zoo};
use mozjpeg::{ColorSpace, Compress};
use onnx::{EngineKind, ExportOptions, engine, export};
use trainer::backend::CpuExecutor;
use trainer::events::Unobserved;
use trainer::finetune::head::LabeledFeatures;
use trainer::finetune::{FeatureTransform, FinetuneOptions, ProbeTask, probe};

use super::networks;
use super::yardsticks::Yardstick;

/// Something that takes time.
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) yardstick: Yardstick,
    pub(crate) run: Box<dyn FnMut() -> Result<()>>,
}

/// All of them, in the order of the table.
pub(crate) fn all() -> Result<Vec<Measure>> {
    let mut all = preparing()?;
    all.extend(networks::training()?);
    all.push(head());
    all.extend(inference()?);
    Ok(all)
}

/// Images on their way to a network.
fn preparing() -> Result<Vec<Measure>> {
    let png = test_card(0, 1000, 750);
    let jpeg = jpeg(&decode(&png, &Limits::default())?)?;
    let measure = |name, bytes: Vec<u8>| Measure {
        name,
        yardstick: Yardstick::Hash,
        run: Box::new(move || {
            Preprocess::torchvision(224, 224).apply(&bytes, &Limits::default())?;
            Ok(())
        }),
    };
    Ok(vec![measure("jpeg", jpeg), measure("png", png)])
}

fn jpeg(image: &RgbImage) -> Result<Vec<u8>> {
    let mut encoder = Compress::new(ColorSpace::JCS_RGB);
    encoder.set_fastest_defaults();
    encoder.set_size(image.width() as usize, image.height() as usize);
    encoder.set_quality(90.0);
    let mut encoder = encoder.start_compress(Vec::new())?;
    encoder.write_scanlines(image.data())?;
    Ok(encoder.finish()?)
}

/// A logistic regression on features, whose products are narrow: a few classes, many features.
fn head() -> Measure {
    const IMAGES: usize = 300;
    const WIDTH: usize = 512;
    const CLASSES: usize = 17;
    let number = |at: usize| ((at * 7919) % 1009) as f32 / 504.5 - 1.0;
    let features =
        (0..IMAGES * WIDTH).map(|at| number(at) + f32::from(u8::from(at % WIDTH % CLASSES == at / WIDTH % CLASSES)));
    let training =
        LabeledFeatures { features: features.collect(), classes: (0..IMAGES).map(|row| row % CLASSES).collect() };
    let shape = models::ops::Shape::vector(WIDTH);
    let run = move || {
        let task = ProbeTask {
            training: &training,
            validation: &LabeledFeatures::default(),
            shape: &shape,
            views: 1,
            classes: CLASSES,
            sets: None,
            weights: None,
            transforms: &[] as &[FeatureTransform],
            options: FinetuneOptions::default().head(),
        };
        probe(&task, &mut Unobserved)?;
        Ok(())
    };
    Measure { name: "head", yardstick: Yardstick::Product, run: Box::new(run) }
}

/// A network from an ONNX file in tract, and by graft's own executor.
fn inference() -> Result<Vec<Measure>> {
    let preprocess = Preprocess::torchvision(64, 64);
    let graph = zoo::find("resnet18").expect("a row of the zoo").graph([64; 2], 10)?;
    let graph = graph.normalized(&preprocess.normalize())?;
    let batch = ImageBatch::from(preprocess.apply(&test_card(1, 64, 64), &Limits::default())?);
    let labels = (0..10).map(|class| class.to_string()).collect();
    let spec = ModelSpec::new("resnet18", Some(Labels::new(labels)), preprocess);
    let params = init::he(&graph, 0);
    let network = Network::new(graph, &params, spec)?;
    let mut tract = engine::open(EngineKind::Tract, &export(&network, &ExportOptions::default())?, NonZeroUsize::MIN)?;
    let executor = CpuExecutor::new(&network.graph, &network.params)?;
    let other = batch.clone();
    let run = move || {
        tract.run(&other)?;
        Ok(())
    };
    let own = move || {
        executor.infer_batch(&batch)?;
        Ok(())
    };
    Ok(vec![
        Measure { name: "tract", yardstick: Yardstick::Product, run: Box::new(run) },
        Measure { name: "executor", yardstick: Yardstick::Product, run: Box::new(own) },
    ])
}
