//! How well heads do on real photographs. Minutes of work, so it is run by hand:
//! `cargo test --workspace --test flowers -- --ignored --nocapture`, with `ORT_DYLIB_PATH` set.

use serde_json::Value;
use tests::server::{Sandbox, text};

/// Bases with the mean test top-1 that they must reach. A plain linear probe in PyTorch on the same features reaches
/// 91.2 to 92.5 % and 94.2 to 95.4 %; one seed varies by 1.5 points.
const BASES: [(&str, f64); 2] =
    [("imagenet/squeezenet1.1_imagenet.onnx", 0.91), ("imagenet/resnet50v2_backbone_stage3.onnx", 0.94)];

const SEEDS: u32 = 6;

#[test]
#[ignore = "twelve fine-tunes of real networks on 1360 photographs"]
#[expect(clippy::print_stderr, reason = "the figures are what it is run for")]
fn heads_on_oxford17_are_as_good_as_linear_probes() {
    let Some(flowers) = fixtures::real_data("oxford17") else { return };
    for (base, least) in BASES {
        let Some(file) = fixtures::real_data(base) else { return };
        let sandbox = Sandbox::default();
        let _output = sandbox.succeed(&["import", text(&file), "--name", "base"]);
        let mut sum = 0.0;
        for seed in 0..SEEDS {
            let arguments = ["finetune", "--base", "base", "--data", text(&flowers), "--name", "flowers", "--seed"];
            let _output = sandbox.succeed(&[&arguments[..], &[&seed.to_string()]].concat());
            let report = sandbox.path(&format!("data/models/flowers/{}/report.json", seed + 1));
            let report: Value = serde_json::from_slice(&std::fs::read(report).expect("a report")).expect("JSON");
            let images = &report["images"];
            assert_eq!([&images["train"], &images["validation"], &images["test"]], [56 * 17, 4 * 17, 20 * 17]);
            let top1 = report["test"]["top1"].as_f64().expect("a share");
            eprintln!("{base} seed {seed}: test top-1 {top1:.4}, seconds {}", report["seconds"]);
            sum += top1;
        }
        let mean = sum / f64::from(SEEDS);
        eprintln!("{base}: mean test top-1 {mean:.4}");
        assert!(mean >= least, "{base}: {mean:.4}, expected at least {least}");
    }
}
