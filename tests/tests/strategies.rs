//! How much of a base is trained: that each strategy changes what it says and nothing else, and that a run which is killed
//! ends as one that is not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use models::Params;
use tests::images::{base_model, color_folders, tiny_base_model, write};
use tests::server::{Sandbox, text};

/// A sandbox with a stored ResNet-18 and a data set of three plain colors.
fn sandbox() -> (Sandbox, String) {
    sandbox_with(&base_model())
}

/// The same with a ResNet-20 for CIFAR, for what does not depend on the network: its checkpoints are a fortieth as large.
fn tiny_sandbox() -> (Sandbox, String) {
    sandbox_with(&tiny_base_model())
}

fn sandbox_with(base: &[u8]) -> (Sandbox, String) {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), base);
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = color_folders(sandbox.path("pictures"), 12);
    (sandbox, text(&data).to_owned())
}

/// A fine-tune that is named after its strategy.
fn arguments<'a>(strategy: &'a str, data: &'a str) -> Vec<&'a str> {
    let base =
        ["finetune", "--base", "base", "--data", data, "--name", strategy, "--strategy", strategy, "--epochs", "20"];
    let tuning =
        ["--views", "2", "--tuning-epochs", "3", "--tuning-batch-size", "8", "--tuning-learning-rate", "0.001"];
    base.into_iter().chain(tuning).collect()
}

fn params(file: &Path) -> Params {
    onnx::import(fs::read(file).expect("a stored model")).expect("an ONNX file").params
}

/// Flags for each compute backend of this machine.
fn kernels() -> Vec<Vec<&'static str>> {
    let mut kernels = vec![vec!["--kernels", "rust"]];
    if fixtures::Library::OneDnn.path().is_some() {
        let precision = if fixtures::has_bf16() { "bf16" } else { "f32" };
        kernels.push(vec!["--kernels", "onednn", "--precision", precision]);
    }
    if cfg!(feature = "candle") {
        kernels.push(vec!["--device", "candle-cpu"]);
    }
    kernels
}

/// The first parts of the names of tensors that a strategy has changed, or added.
fn changed(sandbox: &Sandbox, strategy: &str) -> BTreeSet<String> {
    let [before, after] =
        ["base", strategy].map(|name| params(&sandbox.path(&format!("data/models/{name}/1/model.onnx"))));
    let differs = after.iter().filter(|(name, tensor)| before.get(name) != Some(tensor));
    differs.filter_map(|(name, _)| name.split('.').next().map(str::to_owned)).collect()
}

#[test]
fn each_strategy_changes_what_it_says() {
    let (sandbox, data) = sandbox();
    let table: [(&str, &[&str]); 4] = [
        ("head", &["graft"]),
        ("last_stage", &["graft", "layer4"]),
        ("staged", &["graft", "layer4"]),
        ("full", &["graft", "bn1", "conv1", "layer1", "layer2", "layer3", "layer4"]),
    ];
    for (strategy, expected) in table {
        let output = sandbox.succeed(&arguments(strategy, &data));
        // The file has been compared with the trained network by then, on every engine.
        assert!(output.contains("test top-1 100.0 %"), "{strategy}: {output}");
        let changed = changed(&sandbox, strategy);
        // Where batch normalisation is folded, there is no `bn1`.
        let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
        let folded = expected.iter().filter(|name| *name != "bn1").cloned().collect();
        assert!(changed == expected || changed == folded, "{strategy}: {changed:?}");
    }
    let more = [arguments("staged", &data), vec!["--stages", "9"]].concat();
    let refused = sandbox.fail(&more);
    assert!(refused.contains("tuning.stages"), "{refused}");
}

/// The share of the test images that a fine-tune's report names.
#[cfg(feature = "candle")]
fn top1(sandbox: &Sandbox, strategy: &str) -> f64 {
    let report = sandbox.path(&format!("data/models/{strategy}/1/report.json"));
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report).expect("a report")).expect("JSON");
    report["test"]["top1"].as_f64().expect("a share")
}

#[cfg(feature = "candle")]
#[test]
fn each_strategy_ends_on_a_device_where_it_ends_on_the_processor() {
    let [(own, data), (device, same)] = [tiny_sandbox(), tiny_sandbox()];
    for strategy in ["head", "last_stage", "staged", "full"] {
        let _output = own.succeed(&[arguments(strategy, &data), vec!["--device", "cpu"]].concat());
        let output = device.succeed(&[arguments(strategy, &same), vec!["--device", "candle-cpu"]].concat());
        // A head alone is trained on features, which the engine computes.
        let said = output.contains("kernels candle on candle-cpu f32: chosen by --device candle-cpu");
        assert_eq!(said, strategy != "head", "{output}");
        let (own, device) = (top1(&own, strategy), top1(&device, strategy));
        assert!((own - device).abs() <= 0.005, "{strategy}: {own} and {device}");
    }
}

#[test]
fn auto_says_why() {
    let (sandbox, data) = sandbox();
    let output = sandbox.succeed(&arguments("auto", &data));
    // Eight of twelve images train: three measure, one chooses.
    assert!(output.contains("strategy head: 8 training images a class are fewer than the 15"), "{output}");
    let many = color_folders(sandbox.path("many"), 24);
    let output = sandbox.succeed(&arguments("auto", text(&many)));
    assert!(output.contains("strategy staged: 17 training images a class are enough"), "{output}");
}

/// The last checkpoint of the only run.
fn newest(sandbox: &Sandbox) -> Option<PathBuf> {
    let runs = fs::read_dir(sandbox.path("data/cache/runs")).ok()?;
    let files =
        runs.filter_map(|run| Some(fs::read_dir(run.ok()?.path()).ok()?.filter_map(|file| Some(file.ok()?.path()))));
    files.flatten().filter(|path| path.to_string_lossy().contains("step-")).max()
}

fn kill_at_a_checkpoint(sandbox: &Sandbox, arguments: &[&str]) {
    let mut child = sandbox.command(arguments).stdout(Stdio::null()).spawn().expect("a process");
    let start = Instant::now();
    while newest(sandbox).is_none() {
        assert!(
            child.try_wait().expect("its state").is_none() && start.elapsed() < Duration::from_secs(120),
            "no checkpoint"
        );
        sleep(Duration::from_millis(2));
    }
    child.kill().expect("killed");
    child.wait().expect("its end");
}

#[test]
fn auto_goes_on_with_what_it_began() {
    let (sandbox, _) = sandbox();
    let many = color_folders(sandbox.path("many"), 24);
    kill_at_a_checkpoint(&sandbox, &arguments("auto", text(&many)));
    let output = sandbox.succeed(&arguments("auto", text(&many)));
    assert!(output.contains("strategy staged: a staged run was interrupted, and resumes"), "{output}");
}

#[test]
fn a_run_that_is_killed_goes_on_and_ends_in_the_same_bits() {
    let runs = ["staged", "last_stage"].map(|strategy| kernels().into_iter().map(move |kernels| (strategy, kernels)));
    for (strategy, kernels) in runs.into_iter().flatten() {
        let [(whole, data), (killed, same)] = [tiny_sandbox(), tiny_sandbox()];
        let arguments = |data| [arguments(strategy, data), kernels.to_vec()].concat();
        let output = whole.succeed(&arguments(&data));
        assert!(output.contains("test top-1 100.0 %"), "{strategy} {kernels:?}: {output}");
        kill_at_a_checkpoint(&killed, &arguments(&same));
        assert!(!killed.path("data/models").join(strategy).exists(), "{strategy} ended before it was killed");
        let _output = killed.succeed(&arguments(&same));
        let [whole, killed] =
            [&whole, &killed].map(|sandbox| params(&sandbox.path(&format!("data/models/{strategy}/1/model.onnx"))));
        assert_eq!(whole.checksum(), killed.checksum(), "{strategy} {kernels:?}");
    }
}

#[test]
fn without_validation_images_the_last_epoch_is_kept() {
    let (sandbox, data) = tiny_sandbox();
    for strategy in ["head", "last_stage", "staged"] {
        let output = sandbox.succeed(&[arguments(strategy, &data), vec!["--validation", "0"]].concat());
        assert!(output.contains("no validation images, last epoch"), "{strategy}: {output}");
        assert!(output.contains("test top-1 100.0 %"), "{strategy}: {output}");
    }
}
