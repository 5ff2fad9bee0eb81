//! `graft train` and `graft lr-find` from outside, on small images of two colors.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// A BMP file of noise about a color, red, green, blue.
fn bmp(side: u32, color: [u8; 3], mut noise: u32) -> Vec<u8> {
    let pixels = 3 * side * side;
    let mut file = b"BM".to_vec();
    [54 + pixels, 0, 54, 40, side, side].iter().for_each(|number| file.extend(number.to_le_bytes()));
    file.extend([1, 0, 24, 0]);
    [0, pixels, 0, 0, 0, 0].iter().for_each(|number| file.extend(number.to_le_bytes()));
    for _ in 0..side * side {
        for channel in [2, 1, 0] {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            file.push(color[channel].saturating_add((noise >> 26) as u8));
        }
    }
    file
}

fn dataset(folder: &Path) {
    for (class, color) in [("blue", [60, 60, 150]), ("red", [150, 60, 60])] {
        fs::create_dir_all(folder.join(class)).expect("a folder for a class");
        for n in 0..24 {
            fs::write(folder.join(class).join(format!("{n}.bmp")), bmp(16, color, n)).expect("an image");
        }
    }
}

/// Sixteen epochs of eleven steps each, with a checkpoint after each step.
fn train(folder: &Path, id: &str) -> Command {
    train_for(folder, id, "16")
}

fn train_for(folder: &Path, id: &str, epochs: &str) -> Command {
    let mut command = graft(folder);
    command.args(["train", "--recipe", "he2015-cifar10", "--data", "data", "--out", "runs", "--run-id", id]);
    for setting in [
        "input.size=[16, 16]",
        "validation.per-class=2",
        "batch_size=4",
        "snapshot_step=1",
        "training.schedule.rate=0.01",
        "training.logging={ every_steps = 3, histograms = true }",
    ] {
        command.args(["--set", setting]);
    }
    command.args(["--epochs", epochs]);
    command
}

fn graft(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_graft"));
    command.current_dir(folder).args(["--data-dir", "graft", "--threads", "2"]).stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn done(command: &mut Command) -> String {
    let output = command.output().expect("graft starts");
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    text(&output)
}

fn refused(command: &mut Command) -> String {
    let output = command.output().expect("graft starts");
    assert!(!output.status.success(), "{command:?}: {}", text(&output));
    text(&output)
}

/// The last checkpoint.
fn newest(checkpoints: &Path) -> Option<OsString> {
    let names = fs::read_dir(checkpoints).ok()?.filter_map(|entry| Some(entry.ok()?.file_name()));
    names
        .filter(|name| name.to_string_lossy().starts_with("step-") && !name.to_string_lossy().ends_with("partial"))
        .max()
}

#[test]
fn a_run_that_is_killed_ten_times_writes_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    dataset(&folder.join("data"));
    let whole = done(&mut train(folder, "whole"));
    assert!(whole.contains("44 images train, 4 validate, 0 test; 11 steps an epoch"), "{whole}");
    assert!(whole.contains("waiting for images") && whole.contains("graft import"), "{whole}");

    let mut random = 7_u64;
    'kills: for kill in 0..10 {
        let before = newest(&folder.join("runs/killed/checkpoints"));
        let mut child = train(folder, "killed").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while newest(&folder.join("runs/killed/checkpoints")) == before {
            if child.try_wait().unwrap().is_some() {
                assert!(kill >= 5, "the run ended before kill {kill}");
                break 'kills;
            }
            sleep(Duration::from_millis(2));
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        sleep(Duration::from_micros((random >> 33) % 60_000));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let last = done(&mut train(folder, "killed"));
    assert!(last.contains("goes on in runs/killed from step"), "{last}");
    let file = |id: &str, name: &str| fs::read(folder.join("runs").join(id).join(name)).unwrap();
    let table = |id: &str| String::from_utf8(file(id, "metrics.csv")).unwrap();
    assert!(file("killed", "model.onnx") == file("whole", "model.onnx"), "the files of weights differ");
    assert_eq!(table("killed"), table("whole"));
    assert_eq!(table("whole").lines().count(), 17);
    let steps = |id: &str| String::from_utf8(file(id, "steps/steps.csv")).unwrap();
    assert_eq!(steps("killed"), steps("whole"));
    // 176 steps, of which each third has a row, behind the heading.
    assert_eq!(steps("whole").lines().count(), 1 + 58);

    // Another recipe in the same folder is no continuation, and where nothing was begun nothing goes on.
    let other = refused(train(folder, "killed").args(["--set", "training.seed=1"]));
    assert!(other.contains("started with other settings"), "{other}");
    let nothing = refused(train(folder, "new").arg("--resume"));
    assert!(nothing.contains("no checkpoint to resume from"), "{nothing}");
    // A run goes on for longer than it was meant to.
    let longer = done(train(folder, "killed").args(["--set", "show_metric=false", "--resume"]));
    assert!(longer.contains("from step 176, 16 epoch(s)"), "{longer}");

    let stored = done(graft(folder).args(["import", "runs/whole/model.onnx", "--name", "colors"]));
    assert!(stored.contains("stored `colors` version 1: resnet20_cifar, 2 classes"), "{stored}");
}

#[test]
fn an_interrupted_run_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    dataset(&folder.join("data"));
    let mut endless = train_for(folder, "stopped", "100000");
    let child = endless.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !fs::read_dir(folder.join("runs/stopped/checkpoints")).is_ok_and(|files| files.count() > 0) {
        sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("the same command goes on from it"), "{}", text(&output));
    assert!(fs::exists(folder.join("runs/stopped/recipe.toml")).unwrap());
}

#[test]
fn a_run_that_finds_the_disk_full_says_so_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    dataset(&folder.join("data"));
    let checkpoints = folder.join("runs/full/checkpoints");
    let mut child = train(folder, "full").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while newest(&checkpoints).is_none() && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(2));
    }
    // No file grows any more, as on a full disk.
    let limit = rustix::process::Rlimit { current: Some(1), maximum: None };
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::prlimit(Some(pid), rustix::process::Resource::Fsize, limit).unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{:?} {error}", output.status);
    assert!(error.contains("runs/full") && error.contains("File too large"), "{error}");
    let unfinished = fs::read_dir(&checkpoints).unwrap().flatten();
    let unfinished = unfinished.filter(|entry| entry.file_name().to_string_lossy().ends_with("partial"));
    assert_eq!(unfinished.count(), 0);

    let last = done(&mut train(folder, "full"));
    assert!(last.contains("goes on in runs/full from step"), "{last}");
    done(&mut train(folder, "whole"));
    let model = |id: &str| fs::read(folder.join("runs").join(id).join("model.onnx")).unwrap();
    assert!(model("full") == model("whole"), "the files of weights differ");
}

#[test]
fn recipes_are_listed_shown_and_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let list = done(graft(folder.path()).args(["train", "--list"]));
    assert!(list.contains("tflearn-vgg16-oxflower17") && list.contains("stays at chance"), "{list}");
    let shown = done(graft(folder.path()).args(["train", "--show", "he2015-cifar10"]));
    assert!(shown.starts_with("# The CIFAR-10 networks of"), "{shown}");
    let error = refused(graft(folder.path()).args(["train", "--recipe", "he2015-cifar", "--data", "x"]));
    assert!(error.contains("did you mean `he2015-cifar10`?"), "{error}");
    let error = refused(graft(folder.path()).args(["train", "--recipe", "he2015-cifar10"]));
    assert!(error.contains("--data"), "{error}");
}

#[test]
fn rates_are_tried_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    dataset(&folder.join("data"));
    done(&mut train_for(folder, "pretrained", "1"));
    let mut command = graft(folder);
    command.args(["lr-find", "--recipe", "he2015-cifar10", "--data", "data", "--steps", "30"]);
    for setting in ["input.size=[16, 16]", "validation_set=0", "batch_size=8"] {
        command.args(["--set", setting]);
    }
    let found = done(&mut command);
    assert!(found.contains("RATE") && found.contains("wrote lr-find.csv"), "{found}");
    let table = fs::read_to_string(folder.join("lr-find.csv")).unwrap();
    assert!(table.starts_with("step,rate,loss,smoothed\n0,1e-7,") && table.lines().count() > 5, "{table}");

    // The same on a pretrained network, which a recipe names or the command line.
    done(graft(folder).args(["import", "runs/pretrained/model.onnx", "--name", "base"]));
    for setting in [["--base", "base"], ["--set", "base=base"]] {
        let mut command = graft(folder);
        command.args(["lr-find", "--recipe", "vgg16-oxflower17", "--data", "data", "--steps", "12"]);
        command.args(["--set", "stages=1"]).args(setting);
        assert!(done(&mut command).contains("RATE"));
    }
}

/// The parts of the network that a run upon `base` has changed: the first parts of its tensors' names.
fn changed(folder: &Path, run: &str) -> BTreeSet<String> {
    let model = |file: &str| onnx::import(fs::read(folder.join(file)).expect("a model")).expect("an ONNX file").params;
    let (before, after) = (model("runs/pretrained/model.onnx"), model(&format!("runs/{run}/model.onnx")));
    let differs = after.iter().filter(|(name, tensor)| before.get(name) != Some(tensor));
    differs.filter_map(|(name, _)| name.split('.').next().map(str::to_owned)).collect()
}

#[test]
fn a_recipe_upon_a_pretrained_network_trains_as_much_of_it_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    dataset(&folder.join("data"));
    let upon = |run: &str, settings: &[&str]| {
        let mut command = graft(folder);
        command.args(["train", "--recipe", "vgg16-oxflower17", "--data", "data", "--out", "runs", "--run-id", run]);
        let common = ["base=base", "batch_size=8", "training.schedule.rate=0.01", "run.model=model"];
        for setting in common.iter().chain(settings) {
            command.args(["--set", setting]);
        }
        command.args(["--epochs", "4"]);
        command
    };
    let refused = upon("early", &[]).output().unwrap();
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("no model of that name is stored; get it with `graft pull base`"), "{refused}");

    done(&mut train_for(folder, "pretrained", "1"));
    done(graft(folder).args(["import", "runs/pretrained/model.onnx", "--name", "base"]));
    let all = ["bn1", "conv1", "graft", "layer1", "layer2", "layer3"];
    let table: [(&str, &[&str], &[&str]); 3] = [
        ("head", &["strategy=head"], &["graft"]),
        ("staged", &["stages=1"], &["graft", "layer3"]),
        ("full", &["strategy=full"], &all),
    ];
    for (run, settings, expected) in table {
        let said = done(&mut upon(run, settings));
        assert!(said.contains("validation top-1 100.0 %"), "{run}: {said}");
        let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(changed(folder, run), expected, "{run}");
    }
    // Again, it goes on from its end: the head that comes first is the same.
    assert!(done(&mut upon("staged", &["stages=1"])).contains("goes on in runs/staged from step"));
}
