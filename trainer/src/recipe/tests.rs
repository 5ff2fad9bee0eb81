//! The recipes against what they reproduce. The numbers are those of the papers and of tflearn's examples.

use models::zoo;

use super::*;
use crate::data::augment::Transform;
use crate::finetune::FinetuneStrategy;
use crate::fit::{CheckpointOptions, ClassWeights, FitOptions, LossOptions, Sampling};
use crate::optim::schedule::Schedule;
use crate::optim::{Decayed, Groups, OptimizerKind};

fn named(name: &str, settings: &[&str]) -> Recipe {
    let settings: Vec<Setting> = settings.iter().map(|text| text.parse().unwrap()).collect();
    Recipe::parse(find(name).unwrap().text, &settings).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn refused(name: &str, settings: &[&str]) -> String {
    let settings: Vec<Setting> = settings.iter().map(|text| text.parse().unwrap()).collect();
    Recipe::parse(find(name).unwrap().text, &settings).unwrap_err().to_string()
}

fn parameters(recipe: &Recipe, classes: usize) -> u64 {
    let side = recipe.input.as_ref().unwrap().size.map(|side| side as usize);
    zoo::find(recipe.network.as_deref().unwrap()).unwrap().graph(side, classes).unwrap().counts().parameters
}

#[test]
fn every_recipe_is_understood_and_comes_back_from_its_own_text() {
    for BuiltinRecipe { name, text } in BUILTIN {
        let recipe = named(name, &[]);
        let written = toml::to_string(&recipe).unwrap();
        assert_eq!(Recipe::parse(&written, &[]).unwrap(), recipe, "{name}");
        assert!(text.starts_with("# ") && text.contains("# Traps:"), "{name} has a head");
        assert!(!recipe.summary.is_empty() && is_plain(name));
    }
}

#[test]
fn every_word_of_the_table_of_the_format_is_understood() {
    let words = [
        ("initialisation", &["he", "glorot", "tflearn"][..]),
        ("input.filter", &["bilinear", "bicubic", "lanczos"]),
        ("input.values", &["levels", "unit", "zero-centre-per-channel", "zero-centre", "imagenet"]),
        ("validation", &["none", "test"]),
        ("parts", &["given", "ignored"]),
        ("schedule_unit", &["steps", "epochs"]),
        ("training.groups.decayed", &["kernels", "convolutions", "everything"]),
        ("training.loss.class_weights", &["balanced"]),
        ("training.sampling", &["shuffled", "balanced", "listed"]),
    ];
    let format = include_str!("../../recipes/README.md");
    for (key, values) in words {
        let table = key.rsplit_once('.').map_or(key, |(_, last)| last);
        assert!(format.contains(table), "{key} is not in the table");
        for value in values {
            assert!(
                format.contains(&format!("`{value}`")) || format.contains(&format!("\"{value}\"")),
                "{key}: {value}"
            );
            named("he2015-cifar10", &[&format!("{key}={value}")]);
        }
    }
}

#[test]
fn tflearns_residual_network_is_as_the_example_has_it() {
    let recipe = named("tflearn-resnet-cifar10", &[]);
    assert_eq!(recipe.training.optimizer, OptimizerKind::Sgd { momentum: 0.9, nesterov: false });
    assert_eq!(
        recipe.training.groups,
        Groups { weight_decay: 1e-4, decayed: Decayed::Convolutions, ..Groups::default() }
    );
    assert_eq!(
        (recipe.training.epochs, recipe.training.batch_size, recipe.training.clip_norm, recipe.training.steps),
        (200, 128, None, None)
    );
    assert_eq!(recipe.training.checkpoints, CheckpointOptions { every_steps: Some(500), every_epoch: false, keep: 10 });
    assert_eq!((recipe.validation, recipe.run.id.as_deref()), (ValidationSource::Test, Some("resnet_cifar10")));
    let flip = Transform::HorizontalFlip { probability: 0.5 };
    assert_eq!(recipe.augmentation, Augmentation(vec![flip, Transform::PadAndCrop { padding: 4, fill: [0; 3] }]));
    assert_eq!(
        (recipe.input.as_ref().unwrap().values, recipe.initialization),
        (InputValues::ZeroCenterPerChannel, Scheme::TfLearn)
    );
    // 50,000 images: 391 steps an epoch, 78,200 in all, so that the second fall is at 64,000 and there is no third.
    let steps = recipe.training.steps_per_epoch(50_000);
    assert_eq!((steps, steps * recipe.training.epochs), (391, 78_200));
    let rate = |step| recipe.training.schedule.at(step);
    for (step, expected) in [(0, 0.1), (31_999, 0.1), (32_000, 0.01), (63_999, 0.01), (64_000, 0.001), (78_199, 0.001)]
    {
        assert!((rate(step) - expected).abs() < 1e-12, "{step}: {}", rate(step));
    }
    for (setting, expected) in [("n=5", 465_290), ("n=9", 855_050), ("n=18", 1_732_010)] {
        assert_eq!(parameters(&named("tflearn-resnet-cifar10", &[setting]), 10), expected, "{setting}");
    }
    assert!(refused("tflearn-resnet-cifar10", &["n=7"]).contains("`n` must be one of 5, 9, 18, not `7`"));
}

#[test]
fn tflearns_vgg_is_as_the_article_has_it() {
    let recipe = named("tflearn-vgg16-oxflower17", &[]);
    assert_eq!(recipe.training.optimizer, OptimizerKind::RmsProp { rho: 0.9, momentum: 0.0, epsilon: 1e-10 });
    assert_eq!(recipe.training.schedule, Schedule::Constant { rate: 1e-3 });
    assert_eq!((recipe.training.epochs, recipe.training.batch_size, recipe.training.clip_norm), (500, 32, Some(5.0)));
    assert_eq!(recipe.training.groups, Groups::default());
    assert_eq!(recipe.training.checkpoints, CheckpointOptions { every_steps: Some(500), every_epoch: false, keep: 1 });
    assert_eq!((recipe.validation, recipe.subsets), (ValidationSource::None, SubsetPolicy::Ignored));
    let preprocess = recipe.input.as_ref().unwrap().preprocess([0.5; 3]);
    assert_eq!((preprocess.mean, preprocess.std), ([0.0; 3], [1.0; 3]));
    assert_eq!((preprocess.resize, preprocess.filter), (Resize::Exact { width: 224, height: 224 }, Filter::Lanczos));
    let steps = recipe.training.steps_per_epoch(1360);
    assert_eq!((steps, steps * recipe.training.epochs), (43, 21_500));
    assert_eq!(parameters(&recipe, 17), 134_330_193);
    let dropped = zoo::find("vgg16").unwrap().graph([224; 2], 17).unwrap();
    let rates = dropped.nodes().iter().filter_map(|node| match &node.op {
        models::ops::Op::Dropout(dropout) => Some(dropout.p),
        _ => None,
    });
    assert_eq!(rates.collect::<Vec<_>>(), [0.5, 0.5]);
}

#[test]
fn the_recipe_that_learns_says_what_it_needs() {
    let recipe = named("vgg16-oxflower17", &[]);
    assert_eq!((recipe.base.as_deref(), recipe.strategy), (Some("vgg16"), Some(FinetuneStrategy::Staged)));
    let dataset = crate::data::Dataset {
        labels: models::Labels::new(vec!["a".to_owned(), "b".to_owned()]),
        label_sets: None,
        samples: vec![],
        layout: crate::data::Layout::ClassFolders,
        evidence: String::new(),
        account: crate::data::Account::default(),
        warnings: vec![],
        splits: vec![],
        snapshot: None,
    };
    let loading = LoadOptions {
        threads: std::num::NonZeroUsize::MIN,
        bad_files: crate::data::BadFilePolicy::Refuse,
        limits: models::preprocess::Limits::default(),
    };
    let error = Plan::new(&recipe, dataset, loading).err().unwrap().to_string();
    assert!(error.contains("graft pull vgg16"), "{error}");
}

#[test]
fn he_et_al_are_as_their_papers_have_them() {
    // Parameters: table 6 of arXiv 1512.03385, and the authors' file for pre-activation.
    let sizes = [
        ("he2015-cifar10", "depth=20", 269_722),
        ("he2015-cifar10", "depth=32", 464_154),
        ("he2015-cifar10", "depth=44", 658_586),
        ("he2015-cifar10", "depth=56", 853_018),
        ("he2015-cifar10", "depth=110", 1_727_962),
        ("he2015-cifar10", "depth=1202", 19_421_274),
        ("he2016-preact-cifar10", "depth=110", 1_727_962),
        ("he2016-preact-cifar10", "depth=164", 1_703_258),
        ("he2016-preact-cifar10", "depth=1001", 10_327_706),
    ];
    for (name, depth, expected) in sizes {
        let recipe = named(name, &[depth]);
        assert_eq!(parameters(&recipe, 10), expected, "{name} {depth}");
        let warm = name != "he2015-cifar10" || depth == "depth=110";
        let rate = |step| recipe.training.schedule.at(step);
        let begins = if warm { 0.01 } else { 0.1 };
        let rates = [(0, begins), (399, begins), (400, 0.1), (31_999, 0.1), (32_000, 0.01), (48_000, 0.001)];
        for (step, expected) in rates {
            assert!((rate(step) - expected).abs() < 1e-12, "{name} {depth} {step}: {}", rate(step));
        }
        assert_eq!((recipe.training.steps, recipe.training.batch_size), (Some(64_000), 128));
        assert_eq!((recipe.validation, recipe.initialization), (ValidationSource::PerClass(500), Scheme::He));
        let groups = Groups { weight_decay: 1e-4, decayed: Decayed::Everything, ..Groups::default() };
        assert_eq!((recipe.training.groups, recipe.training.clip_norm), (groups, None));
    }
    assert_eq!(named("he2016-preact-cifar10", &["depth=1001", "batch_size=64"]).training.batch_size, 64);
}

#[test]
fn imagenet_is_as_the_papers_have_it() {
    let vgg = named("vgg2014-imagenet", &[]);
    assert_eq!((vgg.training.steps, vgg.training.batch_size), (Some(370_000), 256));
    assert_eq!((vgg.training.groups.weight_decay, vgg.training.plateau.unwrap().rate), (5e-4, 0.01));
    assert_eq!(vgg.initialization, Scheme::Glorot);
    // 1,281,167 images less 50 of each of 1000 classes: 74 epochs are 370,000 steps of 256 of all of them.
    assert_eq!(370_000_u64.div_ceil(vgg.training.steps_per_epoch(1_281_167)), 74);
    for (setting, expected) in [("layers=11", 132_863_336), ("layers=16", 138_357_544), ("layers=19", 143_667_240)] {
        assert_eq!(parameters(&named("vgg2014-imagenet", &[setting]), 1000), expected, "{setting}");
    }
    let he = named("he2015-imagenet", &[]);
    assert_eq!((he.training.steps, he.training.batch_size), (Some(600_000), 256));
    assert_eq!((he.training.groups.weight_decay, he.training.plateau.unwrap().rate), (1e-4, 0.1));
    for (setting, expected) in [("depth=18", 11_689_512), ("depth=50", 25_557_032), ("depth=152", 60_192_808)] {
        assert_eq!(parameters(&named("he2015-imagenet", &[setting]), 1000), expected, "{setting}");
    }
}

#[test]
fn tflearns_names_mean_what_the_table_says() {
    let set = |text: &str| named("he2015-cifar10", &[text]);
    assert_eq!(set("n_epoch=3").training.epochs, 3);
    assert_eq!(set("shuffle=False").training.sampling, Sampling::Listed);
    assert_eq!(set("snapshot_step=500").training.checkpoints.every_steps, Some(500));
    assert_eq!(set("snapshot_step=None").training.checkpoints.every_steps, None);
    assert!(!set("snapshot_epoch=false").training.checkpoints.every_epoch);
    assert_eq!(set("max_checkpoints=10").training.checkpoints.keep, 10);
    assert_eq!(set("clip_gradients=5").training.clip_norm, Some(5.0));
    assert_eq!(set("clip_gradients=0.").training.clip_norm, None);
    assert_eq!(set("validation_set=0.1").validation, ValidationSource::Share(0.1));
    assert_eq!(set("validation_set=None").validation, ValidationSource::None);
    assert_eq!(set("run_id=mine").run.id.as_deref(), Some("mine"));
    assert!(!set("show_metric=False").run.show_metric);
    assert_eq!(set("checkpoint_path=model_vgg").run.checkpoints, "model_vgg");
    assert_eq!(set("best_checkpoint_path=best").run.model, "best");
    assert_eq!(set("best_val_accuracy=0.9").run.least_accuracy, Some(0.9));
    assert_eq!(set("tensorboard_verbose=0"), named("he2015-cifar10", &[]));
    assert!(refused("he2015-cifar10", &["tensorboard_verbose=3"]).contains("training.logging.histograms"));
    assert!(refused("he2015-cifar10", &["n_epoch=0"]).contains("`n_epoch` must be a whole number, at least 1"));
    assert!(refused("he2015-cifar10", &["run_id=../x"]).contains("plain name"));
}

#[test]
fn mixing_and_weights_of_classes_are_options() {
    let settings = [
        "training.mixup=0.2",
        "training.cutmix=1.0",
        "training.loss.class_weights=balanced",
        "training.loss.label_smoothing=0.1",
        "training.sampling={ weighted = [1, 2.5] }",
    ];
    let recipe = named("he2015-cifar10", &settings);
    let expected = FitOptions {
        mixup: Some(0.2),
        cutmix: Some(1.0),
        loss: LossOptions { label_smoothing: 0.1, class_weights: Some(ClassWeights::Balanced) },
        sampling: Sampling::Weighted(vec![1.0, 2.5]),
        ..named("he2015-cifar10", &[]).training
    };
    assert_eq!(recipe.training, expected);
    assert_eq!(Recipe::parse(&toml::to_string(&recipe).unwrap(), &[]).unwrap(), recipe);
    let listed = named("he2015-cifar10", &["training.loss.class_weights=[1, 0.5]"]).training.loss.class_weights;
    assert_eq!(listed, Some(ClassWeights::Listed(vec![1.0, 0.5])));
    let wrong = refused("he2015-cifar10", &["training.loss.class_weights=equal"]);
    assert!(wrong.contains("\"balanced\" or a list of a number for each class"), "{wrong}");
}

#[test]
fn the_documentation_has_every_name() {
    let readme = include_str!("../../recipes/README.md");
    for option in &tflearn::OPTIONS {
        assert!(readme.contains(&format!("| `{}` |", option.name)), "{}", option.name);
    }
    for named in BUILTIN {
        assert!(readme.contains(&format!("`{}`", named.name)), "{}", named.name);
    }
}

#[test]
fn a_base_knows_how_its_images_are_prepared() {
    let error = refused("vgg16-oxflower17", &["input={ size = [224, 224], values = \"unit\" }"]);
    assert!(error.contains("`input` must be left out where there is a `base`"), "{error}");
    let error = Recipe::parse("summary = \"\"\nnetwork = \"vgg16\"\n", &[]).unwrap_err().to_string();
    assert!(error.contains("`input` must be given where a `network` is trained"), "{error}");
}

#[test]
fn a_teacher_has_a_share_of_the_targets() {
    let recipe = named("starter", &["teacher={ model = 'efficientnet_lite0', share = 0.75 }"]);
    let teacher = TeacherOptions { model: "efficientnet_lite0".to_owned(), share: 0.75, temperature: 1.0 };
    assert_eq!(recipe.teacher, Some(teacher));
    assert_eq!(Recipe::parse(&toml::to_string(&recipe).unwrap(), &[]).unwrap(), recipe);
    for (setting, wanted) in [("share = 0", "above 0 and at most 1"), ("temperature = -1", "a positive number")] {
        let error = refused("starter", &[&format!("teacher={{ model = 'x', {setting} }}")]);
        assert!(error.contains(wanted), "{setting}: {error}");
    }
}

#[test]
fn unknown_options_are_refused_with_the_nearest() {
    for (setting, near) in [
        ("n_epochs=3", "did you mean `n_epoch`"),
        ("training.batch_sise=3", "did you mean `batch_size`"),
        ("snapshot_setp=3", "did you mean `snapshot_step`"),
        ("training.optimiser.momentun=0.5", "did you mean `momentum`"),
        ("dept=32", "did you mean `depth`"),
        ("initialisation=hee", "did you mean `he`"),
        ("network=resnet20_cifa", "did you mean `resnet20_cifar`"),
    ] {
        let error = refused("he2015-cifar10", &[setting]);
        assert!(error.contains(near), "{setting}: {error}");
    }
    let error = Recipe::open("tflearn-resnet-cifar", &[]).unwrap_err().to_string();
    assert!(error.contains("did you mean `tflearn-resnet-cifar10`"), "{error}");
    let twice = "n_epoch = 3\nsummary = \"\"\nnetwork = \"vgg16\"\n[training]\nepochs = 2\n[input]\nsize = [32, 32]\n\
                 values = \"unit\"\n";
    let error = Recipe::parse(twice, &[]).unwrap_err().to_string();
    assert!(error.contains("`n_epoch` and `training.epochs` say the same"), "{error}");
}
