//! A network whose answers are known by arithmetic, on small folders of images.

use std::num::NonZeroUsize;
use std::path::Path;

use models::ops::{Flatten, GlobalAvgPool, Linear, Normalize, Shape};
use models::preprocess::{Filter, Resize};
use models::scores::ScoreKind;
use models::spec::{ScoreSpec, TrainingRecord};
use models::{GraphBuilder, Labels, ModelSpec, Network, Params, Preprocess, Tensor};
use onnx::{EngineKind, EngineSpec, ExportOptions};
use serde_json::json;

use super::{EvaluateError, EvaluateOptions, EvaluateTask, EvaluatedSubset, EvaluationReport, evaluate};
use crate::data::testing::write;
use crate::data::{BadFilePolicy, Checksum, DatasetError, DatasetSource, FileAccess, Layout, checksum};
use crate::events::{Event, Observer};
use crate::finetune::FinetuneOptions;

const RED: [u8; 3] = [250, 10, 20];
const GREEN: [u8; 3] = [10, 240, 20];
const BLUE: [u8; 3] = [10, 20, 230];

/// The logit of each class is the mean of a channel over 50: of `red`, `green` and `blue`.
fn network() -> Network {
    let preprocess = Preprocess {
        version: Preprocess::VERSION,
        resize: Resize::Exact { width: 8, height: 8 },
        filter: Filter::Bilinear,
        crop: None,
        mean: [0.0; 3],
        std: [1.0; 3],
        decoding: Default::default(),
    };
    let mut graph = GraphBuilder::new("input", Shape::image(3, 8, 8));
    let input = graph.input();
    let x = graph.push("normalize", Normalize::for_bytes(&preprocess.mean, &preprocess.std), &[input]).unwrap();
    let x = graph.push("pool", GlobalAvgPool, &[x]).unwrap();
    let x = graph.push("flatten", Flatten, &[x]).unwrap();
    let x = graph.push("head", Linear::new(3, 3), &[x]).unwrap();
    let mut params = Params::default();
    // Pixels reach the network as 0..1.
    let weight = |i: usize| if i.is_multiple_of(4) { 255.0 / 50.0 } else { 0.0 };
    params.insert("head.weight", Tensor::new([3, 3], (0..9).map(weight).collect()));
    params.insert("head.bias", Tensor::new([3], vec![0.0; 3]));
    let labels = Labels::new(["red", "green", "blue"].map(str::to_owned).to_vec());
    Network::new(graph.finish(x), &params, ModelSpec::new("colors", Some(labels), preprocess)).unwrap()
}

/// An image of one color as a 24-bit BMP, 4 x 4 pixels, and a byte behind it that makes it another file.
fn bmp([red, green, blue]: [u8; 3], number: u8) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    for word in [54 + 48_u32, 0, 54, 40, 4, 4, 1 | 24 << 16, 0, 48, 0, 0, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([blue, green, red].repeat(16));
    file.push(number);
    file
}

#[derive(Default)]
struct Warnings(Vec<String>);

impl Observer for Warnings {
    fn event(&mut self, event: Event) {
        if let Event::Warning { message } = event {
            self.0.push(message);
        }
    }

    fn stopped(&self) -> bool {
        false
    }
}

struct Run {
    options: EvaluateOptions,
    spec: ModelSpec,
}

impl Default for Run {
    fn default() -> Self {
        Self { options: EvaluateOptions::default(), spec: network().spec }
    }
}

impl Run {
    fn on(&self, folder: &Path) -> Result<(EvaluationReport, Vec<String>), EvaluateError> {
        let onnx = onnx::export(&network(), &ExportOptions::default()).unwrap();
        let source = DatasetSource::new(Layout::Auto, folder);
        let task = EvaluateTask {
            model: "colors",
            version: Some(2),
            onnx: &onnx,
            spec: &self.spec,
            source: &source,
            access: &FileAccess::Everywhere,
            archives: folder,
            options: self.options,
            engine: EngineSpec::plain(EngineKind::Tract, NonZeroUsize::MIN),
        };
        let mut warnings = Warnings::default();
        let report = evaluate(&task, &mut warnings)?;
        Ok((report, warnings.0))
    }
}

/// Two red images, one of them really green, and a green one.
fn three(folder: &Path) {
    write(folder, [("red/1.bmp", bmp(RED, 1)), ("red/2.bmp", bmp(GREEN, 2)), ("green/1.bmp", bmp(GREEN, 3))]);
}

#[test]
fn classes_are_matched_by_name_whatever_their_order() {
    let folder = tempfile::tempdir().unwrap();
    three(folder.path());
    let (report, warnings) = Run::default().on(folder.path()).unwrap();
    assert_eq!(report.result.confusion, [[1, 1, 0], [0, 1, 0], [0, 0, 0]]);
    assert_eq!((report.images.evaluated, report.absent_classes.as_slice()), (3, &["blue".to_owned()][..]));
    assert_eq!((report.subset, report.version, warnings.len()), (EvaluatedSubset::All, Some(2), 0));
    // e^(240/50) / (e^(10/50) + e^(240/50) + e^(20/50)): f32 pixels and weights.
    let score = 4.8_f64.exp() / (0.2_f64.exp() + 4.8_f64.exp() + 0.4_f64.exp());
    let [mistake] = &report.answers.mistakes[..] else { panic!("{:?}", report.answers) };
    assert_eq!((&*mistake.image, &*mistake.truth, &*mistake.predicted), ("red/2.bmp", "red", "green"));
    assert!((mistake.score - score).abs() < 1e-5, "{mistake:?}");
}

#[test]
fn classes_that_the_model_does_not_know_are_left_out_and_told() {
    let folder = tempfile::tempdir().unwrap();
    three(folder.path());
    write(
        folder.path(),
        [("gren/1.bmp", bmp(GREEN, 4)), ("violet/1.bmp", bmp(BLUE, 5)), ("violet/2.bmp", bmp(BLUE, 6))],
    );
    let (report, warnings) = Run::default().on(folder.path()).unwrap();
    assert_eq!((report.images.evaluated, report.images.unknown_class), (3, 3));
    let unknown: Vec<_> =
        report.unknown_classes.iter().map(|class| (&*class.name, class.images, class.nearest.as_deref())).collect();
    assert_eq!(unknown, [("gren", 1, Some("green")), ("violet", 2, None)]);
    let advice = "left out 1 image(s) of `gren`, which is no class of the model; did you mean `green`?";
    assert!(warnings.iter().any(|warning| warning == advice), "{warnings:?}");
}

#[test]
fn images_of_other_classes_alone_are_refused_with_the_names_of_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), [("cat/1.bmp", bmp(RED, 1)), ("dog/1.bmp", bmp(GREEN, 2))]);
    let error = Run::default().on(folder.path()).unwrap_err().to_string();
    let expected = "none of the images' classes (`cat`, `dog`) is one of the model's (`red`, `green`, `blue`)";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn pictures_in_no_folder_of_a_class_are_refused_with_the_classes() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), [("violet/1.bmp", bmp(BLUE, 1))]);
    for data in [folder.path().to_owned(), folder.path().join("violet")] {
        let error = Run::default().on(&data).unwrap_err().to_string();
        let expected = "holds no folder of pictures that is called as a class of the model (`red`, `green`, `blue`)";
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn one_image_of_one_class_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), [("red/1.bmp", bmp(RED, 1))]);
    let (report, _) = Run::default().on(folder.path()).unwrap();
    assert_eq!((report.images.evaluated, report.result.top1), (1, 1.0));
}

#[test]
fn damaged_images_are_named_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    three(folder.path());
    let damaged = bmp(RED, 7)[..60].to_vec();
    write(folder.path(), [("red/torn.bmp", damaged)]);
    let error = Run::default().on(folder.path()).unwrap_err();
    let EvaluateError::Dataset(DatasetError::BadFiles { files }) = error else { panic!("{error}") };
    assert!(files.len() == 1 && files[0].path.ends_with("red/torn.bmp"), "{files:?}");
    let skip = EvaluateOptions { bad_files: BadFilePolicy::Skip, ..EvaluateOptions::default() };
    let (report, warnings) = Run { options: skip, ..Run::default() }.on(folder.path()).unwrap();
    assert_eq!((report.images.evaluated, report.images.unusable), (3, 1));
    assert!(warnings.iter().any(|warning| warning.contains("torn.bmp")), "{warnings:?}");
}

#[test]
fn test_images_that_the_data_set_gives_are_taken_and_subsets_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("train/red/1.bmp", bmp(RED, 1)),
        ("train/red/2.bmp", bmp(RED, 2)),
        ("train/green/1.bmp", bmp(GREEN, 3)),
        ("test/red/1.bmp", bmp(GREEN, 4)),
        ("test/green/1.bmp", bmp(GREEN, 5)),
    ];
    write(folder.path(), files);
    let evaluated = |subset| {
        let options = EvaluateOptions { subset, ..EvaluateOptions::default() };
        Run { options, ..Run::default() }.on(folder.path())
    };
    let counts = [EvaluatedSubset::Auto, EvaluatedSubset::All, EvaluatedSubset::Train].map(|subset| {
        let report = evaluated(subset).unwrap().0;
        (report.subset, report.images.evaluated, report.result.top1)
    });
    let expected = [(EvaluatedSubset::Test, 2, 0.5), (EvaluatedSubset::All, 5, 0.8), (EvaluatedSubset::Train, 3, 1.0)];
    assert_eq!(counts, expected);
    let error = evaluated(EvaluatedSubset::Validation).unwrap_err().to_string();
    assert!(error.starts_with("the data set gives no `validation` images"), "{error}");
}

#[test]
fn the_images_that_training_left_out_are_drawn_again_and_others_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["red", "green"] {
        for number in 0..8 {
            let color = if class == "red" { RED } else { GREEN };
            write(folder.path(), [(&*format!("{class}/{number}.bmp"), bmp(color, number + class.len() as u8 * 16))]);
        }
    }
    let dataset = DatasetSource::new(Layout::Auto, folder.path()).open().unwrap();
    let sums: Vec<Checksum> =
        dataset.samples.iter().map(|sample| Checksum::of(&std::fs::read(&sample.path).unwrap())).collect();
    let record = TrainingRecord {
        base: "base".to_owned(),
        base_sha256: String::new(),
        dataset_sha256: checksum(sums.iter().zip(dataset.samples.iter().map(|sample| dataset.labels_of(sample)))),
        snapshot: None,
        strategy: "head".to_owned(),
        seed: 3,
        options: json!(FinetuneOptions { seed: 3, ..FinetuneOptions::default() }),
        metrics: json!({}),
        created_by: "a test".to_owned(),
    };
    let run = |subset| Run {
        options: EvaluateOptions { subset, ..EvaluateOptions::default() },
        spec: ModelSpec { training: Some(record.clone()), ..network().spec },
    };
    // A quarter of each class measures, and a head takes no validation images.
    let (report, warnings) = run(EvaluatedSubset::Test).on(folder.path()).unwrap();
    assert_eq!((report.images.evaluated, warnings.len()), (4, 0));
    let (report, warnings) = run(EvaluatedSubset::Auto).on(folder.path()).unwrap();
    assert_eq!(report.images.evaluated, 16);
    assert!(warnings[0].starts_with("the model was trained on 12 of these 16 images"), "{warnings:?}");
    // Another image, another data set.
    write(folder.path(), [("red/new.bmp", bmp(RED, 99))]);
    assert!(matches!(run(EvaluatedSubset::Test).on(folder.path()), Err(EvaluateError::NoSubset("test"))));
}

#[test]
fn a_backbone_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    three(folder.path());
    let mut backbone = network().spec;
    backbone.labels = None;
    let error = Run { spec: backbone, ..Run::default() }.on(folder.path()).unwrap_err();
    assert!(matches!(error, EvaluateError::Backbone(_)), "{error}");
}

/// Scores of a channel that is on are above 0.99, and of one that is off 0.55 to 0.6.
fn multi_label(thresholds: Option<Vec<f32>>) -> Run {
    let mut spec = network().spec;
    spec.scores = ScoreSpec { kind: ScoreKind::Sigmoid, thresholds, ..ScoreSpec::default() };
    Run { spec, ..Run::default() }
}

/// An image of one class, one of two and one of none, and a class that the model does not know.
fn several(folder: &Path) {
    let yellow = [250, 240, 20];
    write(folder, [("1.bmp", bmp(RED, 1)), ("2.bmp", bmp(yellow, 2)), ("3.bmp", bmp([10, 10, 20], 3))]);
    write(
        folder,
        [("4.bmp", bmp(BLUE, 4)), ("labels.csv", b"file,labels\n1,red\n2,red|green|bright\n3,\n4,bright\n".to_vec())],
    );
}

#[test]
fn classes_beside_each_other_are_measured_at_the_thresholds_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    several(folder.path());
    let (report, warnings) = multi_label(Some(vec![0.9; 3])).on(folder.path()).unwrap();
    assert_eq!((report.images.evaluated, report.images.unknown_class), (3, 1));
    assert!(warnings[0].contains("2 image(s) of `bright`"), "{warnings:?}");
    let result = &report.result;
    assert_eq!((result.exact, result.mean_average_precision, result.micro_f1), (Some(1.0), Some(1.0), Some(1.0)));
    assert_eq!((result.classes[0].support, result.classes[1].support, result.classes[2].support), (2, 1, 0));
    assert_eq!((result.classes[0].threshold, result.classes[2].average_precision), (Some(0.9), None));
    assert!(report.answers.mistakes.is_empty() && result.confusion.is_empty());
    assert_eq!(report.answers.uncertain.len(), 3);
    // Without thresholds of its own each of nine answers is a yes, and three are right.
    let (report, _) = multi_label(None).on(folder.path()).unwrap();
    assert_eq!((report.result.micro_f1, report.result.exact), (Some(0.5), Some(0.0)));
    let wrong = &report.answers.mistakes[0];
    assert_eq!(wrong.predicted, "red, green, blue");
    assert!(report.answers.mistakes.iter().any(|answer| answer.truth == "none"), "{:?}", report.answers.mistakes);
}

#[test]
fn images_of_one_class_each_measure_a_model_whose_classes_stand_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    three(folder.path());
    let (report, _) = multi_label(Some(vec![0.9; 3])).on(folder.path()).unwrap();
    // One of the two reds is green: (1 + 2/3) / 2 for red, whose second is one of two equal scores, and 1/2 for green.
    let expected = (5.0 / 6.0 + 0.5) / 2.0;
    assert!((report.result.mean_average_precision.unwrap() - expected).abs() < 1e-9, "{:?}", report.result);
}

#[test]
fn images_of_several_classes_do_not_measure_a_model_whose_classes_exclude_each_other() {
    let folder = tempfile::tempdir().unwrap();
    several(folder.path());
    let error = Run::default().on(folder.path()).unwrap_err();
    assert!(matches!(error, EvaluateError::MultiLabel(_)), "{error}");
}
