//! How well heads do on real photographs. Minutes of work, so it is run by hand:
//! `cargo test --workspace --test flowers -- --ignored --nocapture`, with `ORT_DYLIB_PATH` set.

use serde_json::Value;
use tests::server::{Sandbox, text};

/// A base with the mean test top-1 that its head must reach. One seed varies by 1.5 points; these are the means of seeds 0-5.
struct Base {
    file: &'static str,
    /// How its images are prepared, where that is not as torchvision does.
    preprocess: &'static [&'static str],
    least: f64,
}

const BASES: [Base; 4] = [
    Base { file: "imagenet/squeezenet1.1_imagenet.onnx", preprocess: &[], least: 0.955 },
    Base {
        file: "efficientnet_lite0/efficientnet_lite0_imagenet.onnx",
        preprocess: &["--filter", "bicubic", "--pixel-max", "255", "--mean", "127,127,127", "--std", "128,128,128"],
        least: 0.97,
    },
    Base { file: "imagenet/resnet50v2_backbone_stage3.onnx", preprocess: &[], least: 0.96 },
    Base {
        file: "vgg16/vgg16_imagenet_features.safetensors",
        preprocess: &["--preprocess", "caffe-bgr"],
        least: 0.955,
    },
];

const SEEDS: u32 = 6;

#[test]
#[ignore = "24 fine-tunes of real networks on 1360 photographs"]
#[expect(clippy::print_stderr, reason = "the figures are what it is run for")]
fn heads_on_oxford17_are_as_good_as_linear_probes() {
    let Some(flowers) = fixtures::real_data("oxford17") else { return };
    for Base { file: base, preprocess, least } in BASES {
        let Some(file) = fixtures::real_data(base) else { return };
        let sandbox = Sandbox::default();
        let _output = sandbox.succeed(&[&["import", text(&file), "--name", "base"], preprocess].concat());
        let mut sum = 0.0;
        for seed in 0..SEEDS {
            let arguments =
                ["finetune", "--base", "base", "--data", text(&flowers), "--name", "flowers", "--views", "2"];
            let _output = sandbox.succeed(&[&arguments[..], &["--seed", &seed.to_string()]].concat());
            let report = sandbox.path(&format!("data/models/flowers/{}/report.json", seed + 1));
            let report: Value = serde_json::from_slice(&std::fs::read(report).expect("a report")).expect("JSON");
            let images = &report["images"];
            assert_eq!([&images["train"], &images["validation"], &images["test"]], [60 * 17, 0, 20 * 17]);
            let top1 = report["test"]["top1"].as_f64().expect("a share");
            eprintln!("{base} seed {seed}: test top-1 {top1:.4}, seconds {}", report["seconds"]);
            sum += top1;
        }
        let mean = sum / f64::from(SEEDS);
        eprintln!("{base}: mean test top-1 {mean:.4}");
        assert!(mean >= least, "{base}: {mean:.4}, expected at least {least}");
    }
}
