//! Recipes on images: that what happens is what the recipe reproduces.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use models::ops::{Conv2d, Flatten, GlobalAvgPool, Linear, Op, Padding, Shape};
use models::preprocess::Limits;
use models::spec::ScoreSpec;
use models::{Graph, GraphBuilder, Labels, ModelSpec, Network, Params, Preprocess, Tensor, zoo};
use trainer::backend::{ComputeBackend, CpuExecutor};
use trainer::data::{BadFilePolicy, DatasetSource, Layout};
use trainer::events::Unobserved;
use trainer::fit::{Examples, FitOptions, Logs, Task, fit};
use trainer::optim::{Groups, Parameter};
use trainer::recipe::{LoadOptions, Plan, Recipe, RecipeError, Setting, Teacher, TeacherOptions, find};

/// A BMP file of one colour, red, green, blue, whose width is a multiple of four.
fn bmp(side: u32, [red, green, blue]: [u8; 3]) -> Vec<u8> {
    let pixels = 3 * side * side;
    let mut file = b"BM".to_vec();
    [54 + pixels, 0, 54, 40, side, side].iter().for_each(|number| file.extend(number.to_le_bytes()));
    file.extend([1, 0, 24, 0]);
    [0, pixels, 0, 0, 0, 0].iter().for_each(|number| file.extend(number.to_le_bytes()));
    (0..side * side).for_each(|_| file.extend([blue, green, red]));
    file
}

/// Two classes of so many images of one colour each.
fn dataset(folder: &Path, images: usize, colors: [[u8; 3]; 2]) {
    for (class, color) in ["a", "b"].iter().zip(colors) {
        fs::create_dir_all(folder.join(class)).expect("a folder for a class");
        (0..images)
            .for_each(|n| fs::write(folder.join(class).join(format!("{n}.bmp")), bmp(32, color)).expect("an image"));
    }
}

fn recipe(name: &str, settings: &[&str]) -> Recipe {
    let settings: Vec<Setting> = settings.iter().map(|text| text.parse().expect("a setting")).collect();
    Recipe::parse(find(name).expect("a recipe").text, &settings).expect("a recipe with these settings")
}

fn plan(recipe: &Recipe, folder: &Path) -> Result<Plan, RecipeError> {
    let loading =
        LoadOptions { threads: NonZeroUsize::MIN, bad_files: BadFilePolicy::Refuse, limits: Limits::default() };
    Plan::new(recipe, DatasetSource::new(Layout::Auto, folder).open()?, loading)
}

#[test]
fn the_border_of_a_padded_image_is_minus_the_mean() {
    let folder = tempfile::tempdir().unwrap();
    // Of one colour alone, so that centred pixels are zero.
    let color = [200, 100, 50];
    dataset(folder.path(), 4, [color; 2]);
    let recipe = recipe("tflearn-resnet-cifar10", &["validation_set=0"]);
    let plan = plan(&recipe, folder.path()).unwrap();
    let mean = color.map(|level| f32::from(level) / 255.0);
    for (actual, expected) in plan.preprocess.mean.iter().zip(mean) {
        assert!((actual - expected).abs() < 1e-6);
    }
    let batch = plan.training.epoch((0..8).collect(), 0, 128).next().unwrap().unwrap();
    // The network's first node centres.
    let (first, _) = plan.graph.iter().nth(1).unwrap();
    assert!(matches!(plan.graph.node(first).op, Op::Normalize(_)));
    let centered =
        CpuExecutor::new(&plan.graph.prefix(first), &plan.params).unwrap().infer_nhwc(&batch.inputs).unwrap();
    let (mut borders, mut inner) = (0, 0);
    for pixel in centered.as_chunks::<3>().0 {
        let near = |wanted: [f32; 3]| pixel.iter().zip(wanted).all(|(x, wanted)| (x - wanted).abs() < 1e-5);
        borders += usize::from(near(mean.map(|mean| -mean)));
        inner += usize::from(near([0.0; 3]));
    }
    // Four pixels of border all around, of which a crop sees up to 8 rows and 8 columns.
    assert!(borders > 0 && borders + inner == 8 * 32 * 32, "{borders} {inner}");
}

/// Those that are compiled in.
fn backends() -> Vec<ComputeBackend> {
    vec![
        ComputeBackend::Rust,
        #[cfg(feature = "candle")]
        ComputeBackend::Candle(trainer::backend::CandleDevice::cpu(), trainer::backend::Precision::F32),
    ]
}

/// The weights after one step of all images on the same first weights.
fn stepped(plan: &Plan, options: &FitOptions, backend: &ComputeBackend) -> Params {
    let task = Task {
        graph: &plan.graph,
        params: &plan.params,
        trains: &|_| true,
        training: &plan.training,
        label_sets: None,
        teacher: plan.soft_targets.as_ref(),
        validation: None,
        options,
        backend,
        checkpoints: None,
        logs: Logs::default(),
    };
    fit(task, &mut Unobserved).expect("a step").params
}

#[test]
fn decay_is_a_part_of_the_gradient_of_convolutions_alone() {
    let folder = tempfile::tempdir().unwrap();
    dataset(folder.path(), 4, [[220, 40, 40], [40, 40, 220]]);
    let plan = plan(&recipe("tflearn-resnet-cifar10", &["validation_set=0", "n_epoch=1"]), folder.path()).unwrap();
    let with = &plan.options;
    assert_eq!(with.schedule.at(0), 0.1);
    let without = FitOptions { groups: Groups { weight_decay: 0.0, ..with.groups }, ..with.clone() };
    for backend in backends() {
        check_decay(&plan, [with, &without].map(|options| stepped(&plan, options, &backend)));
    }
    // What is added to the loss is wd·Σw²/2.
    let parameter = Parameter { weight_decay: 1e-4, ..Parameter::plain("w", 3) };
    assert!((parameter.penalty(&[1.0, 2.0, -3.0]) - 1e-4 * 14.0 / 2.0).abs() < 1e-12);
}

/// The weights after a step with decay and without.
fn check_decay(plan: &Plan, [decayed, plain]: [Params; 2]) {
    let (mut convolutions, mut others) = (0, 0);
    for node in plan.graph.nodes() {
        for (name, declared) in node.params() {
            let [start, decayed, plain] =
                [&plan.params, &decayed, &plain].map(|params| params.get(name).expect("the parameter").data());
            let is_kernel = matches!(node.op, Op::Conv2d(_)) && declared.role == "weight";
            if is_kernel {
                convolutions += 1;
                // d(wd/2·Σw²)/dw = wd·w, so the first step of momentum differs by rate·wd·w. Weights are up to about one,
                // and each of the two is rounded to 6e-8 of that.
                let difference = start.iter().zip(decayed.iter().zip(plain));
                let errors = difference.map(|(w, (a, b))| (f64::from(*a) - f64::from(*b) + 1e-5 * f64::from(*w)).abs());
                assert!(errors.fold(0.0, f64::max) < 2.5e-7, "{name}");
                assert_ne!(decayed, plain, "{name}");
            } else {
                others += 1;
                assert_eq!(decayed, plain, "{name} does not decay");
            }
        }
    }
    // 31 convolutions; their biases, 31 normalisations of four numbers, and the last layer.
    assert_eq!((convolutions, others), (31, 31 + 31 * 4 + 2));
}

/// The padding of every 3x3 convolution with stride 2.
fn halving(graph: &Graph) -> Vec<Padding> {
    let padding = |op: &Op| match op {
        Op::Conv2d(conv) if conv.stride == [2; 2] && conv.kernel == [3; 2] => Some(conv.padding),
        _ => None,
    };
    graph.nodes().iter().filter_map(|node| padding(&node.op)).collect()
}

#[test]
fn tflearns_convolutions_pad_as_tensorflow_does() {
    let graph = |name: &str| zoo::find(name).unwrap().graph([32; 2], 10).unwrap();
    let same = Padding { top: 0, left: 0, bottom: 1, right: 1 };
    assert_eq!(halving(&graph("tflearn_resnet32")), [same; 2]);
    let both = Padding { top: 1, left: 1, bottom: 1, right: 1 };
    assert_eq!(halving(&graph("resnet20_cifar")), [both; 2]);
    // A kernel of ones at stride 2 over the numbers 0 to 15 in four rows: the windows begin at rows and columns 0 and 2,
    // and what is behind the last of them is zero.
    let mut builder = GraphBuilder::new("x", Shape::image(1, 4, 4));
    let conv =
        Conv2d { padding: Padding::same([4; 2], [3; 2], [2; 2]), ..Conv2d::new(1, 1, 3).stride(2).without_bias() };
    let sums = builder.push("sums", conv, &[builder.input()]).unwrap();
    let ones = Params::from_iter([("sums.weight".to_owned(), Tensor::new([1, 1, 3, 3], vec![1.0; 9]))]);
    let numbers: Vec<f32> = (0..16).map(|number| number as f32).collect();
    let actual = CpuExecutor::new(&builder.finish(sums), &ones).unwrap().infer_nhwc(&numbers).unwrap();
    assert_eq!(actual, [45.0, 39.0, 66.0, 50.0]);
}

#[test]
fn what_a_recipe_wants_of_a_data_set_it_has_to_have() {
    let folder = tempfile::tempdir().unwrap();
    dataset(folder.path(), 10, [[220, 40, 40], [40, 40, 220]]);
    let error = plan(&recipe("tflearn-resnet-cifar10", &[]), folder.path()).err().unwrap().to_string();
    assert!(error.contains("test subset") && error.contains("validation_set=0.1"), "{error}");
    // 20 images, 3 of each class to validate, and steps that make epochs.
    let settings = ["validation.per-class=3", "training.steps=9", "batch_size=4", "training.accumulate=2"];
    let plan = plan(&recipe("he2015-cifar10", &settings), folder.path()).unwrap();
    let counts = plan.counts;
    assert_eq!((counts.training, counts.validation, counts.test), (14, 6, 0));
    assert_eq!((counts.steps_per_epoch, counts.steps, plan.options.epochs), (2, 9, 5));
}

#[test]
fn counts_of_epochs_become_counts_of_steps() {
    let folder = tempfile::tempdir().unwrap();
    dataset(folder.path(), 10, [[220, 40, 40], [40, 40, 220]]);
    let settings = [
        "validation_set=0",
        "batch_size=5",
        "training.schedule={ kind = 'step', rate = 1.0, milestones = [2] }",
        "schedule_unit=epochs",
    ];
    let plan = plan(&recipe("he2015-cifar10", &settings), folder.path()).unwrap();
    assert_eq!([7, 8].map(|step| plan.options.schedule.at(step)), [1.0, 0.1]);
}

/// A classifier that tells red from blue by the mean of an image: what it calls nothing, blue and red.
fn red_or_blue(labels: [&str; 3]) -> Network {
    let mut builder = GraphBuilder::new("x", Shape::image(3, 32, 32));
    let mean = builder.push("mean", GlobalAvgPool, &[builder.input()]).expect("a network of three layers");
    let flat = builder.push("flat", Flatten, &[mean]).expect("a network of three layers");
    let logits = builder.push("fc", Linear::new(3, 3), &[flat]).expect("a network of three layers");
    let weight = vec![0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    let params = Params::from_iter([
        ("fc.weight".to_owned(), Tensor::new([3, 3], weight)),
        ("fc.bias".to_owned(), Tensor::new([3], vec![0.0; 3])),
    ]);
    let spec = ModelSpec {
        architecture: "means".to_owned(),
        labels: Some(Labels::new(labels.map(str::to_owned).to_vec())),
        preprocess: Preprocess::torchvision(32, 32),
        scores: ScoreSpec::default(),
        training: None,
    };
    Network::new(builder.finish(logits), &params, spec).expect("a network of three layers")
}

fn asked(plan: &mut Plan, network: &Network, cache: &Path) -> Result<(), RecipeError> {
    let options = TeacherOptions { model: "colors".to_owned(), share: 1.0, temperature: 1.0 };
    let teacher = Teacher { options: &options, network, cache, backend: &ComputeBackend::Rust };
    plan.ask_teacher(teacher, &mut Unobserved)
}

#[test]
fn a_teacher_that_is_sure_of_the_classes_teaches_the_classes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    dataset(&data, 4, [[220, 40, 40], [40, 40, 220]]);
    let recipe = recipe("tflearn-resnet-cifar10", &["validation_set=0", "n_epoch=1"]);
    let mut plan = plan(&recipe, &data).unwrap();
    let alone = stepped(&plan, &plan.options, &ComputeBackend::Rust);
    let cache = folder.path().join("answers");
    // Its classes stand in another order, beside one that the images do not have. The lower of two logits is lower by 180,
    // and e^-180 is no number of f32.
    asked(&mut plan, &red_or_blue(["gray", "b", "a"]), &cache).unwrap();
    assert_eq!(plan.soft_targets.as_ref().unwrap().len(), 8);
    assert_eq!(stepped(&plan, &plan.options, &ComputeBackend::Rust), alone);
    // One that calls red blue teaches that.
    asked(&mut plan, &red_or_blue(["gray", "a", "b"]), &cache).unwrap();
    assert_ne!(stepped(&plan, &plan.options, &ComputeBackend::Rust), alone);
    let error = asked(&mut plan, &red_or_blue(["gray", "a", "c"]), &cache).unwrap_err().to_string();
    assert!(error.contains("no class `b` (1 of the 2 classes are missing)"), "{error}");
}

#[test]
fn a_teacher_is_asked_about_an_image_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    dataset(&data, 4, [[220, 40, 40], [40, 40, 220]]);
    let recipe = recipe("tflearn-resnet-cifar10", &["validation_set=0", "n_epoch=1"]);
    let mut plan = plan(&recipe, &data).unwrap();
    let (teacher, cache) = (red_or_blue(["gray", "b", "a"]), folder.path().join("answers"));
    asked(&mut plan, &teacher, &cache).unwrap();
    let written = || -> Vec<_> {
        let folders = fs::read_dir(&cache).unwrap().map(|folder| folder.unwrap().path());
        folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|file| file.unwrap().path())).collect()
    };
    let before = written();
    assert!(!before.is_empty());
    let first = plan.soft_targets.take();
    asked(&mut plan, &teacher, &cache).unwrap();
    assert_eq!((plan.soft_targets, written()), (first, before));
}
