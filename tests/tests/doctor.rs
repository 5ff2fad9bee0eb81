//! What `graft data check` finds in images that have something wrong with them.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tests::images::{base_model, color_folders, write};
use tests::server::{Sandbox, json, text};

fn checked(sandbox: &Sandbox, data: &str, more: &[&str]) -> Value {
    let output = sandbox.run(&[&["data", "check", data, "--format", "json"], more].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr));
    })
}

fn with_base(sandbox: &Sandbox) {
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
}

/// The names of the suspects, the most doubtful first.
fn suspects(report: &Value) -> Vec<&str> {
    let suspects = report["suspects"].as_array().expect("suspects");
    suspects.iter().map(|suspect| suspect["image"].as_str().expect("a name")).collect()
}

#[test]
fn flipped_labels_are_the_first_suspects() {
    let sandbox = Sandbox::default();
    with_base(&sandbox);
    let data = color_folders(sandbox.path("pictures"), 40);
    // Six of 120 images, 5 %, are moved into the folder of the next class.
    let mut flipped = Vec::new();
    for (number, class) in ["blue", "green", "red", "blue", "green", "red"].into_iter().enumerate() {
        let next = match class {
            "blue" => "green",
            "green" => "red",
            _ => "blue",
        };
        let name = format!("{next}/flipped-{number}.bmp");
        fs::rename(data.join(format!("{class}/{:03}.bmp", 5 * number)), data.join(&name)).unwrap();
        flipped.push(name);
    }
    let report = checked(&sandbox, text(&data), &["--base", "base"]);
    let first: Vec<&str> = suspects(&report).into_iter().take(12).collect();
    let found = flipped.iter().filter(|name| first.contains(&name.as_str())).count();
    // At least 80 % of the flipped among the first 10 %.
    assert!(found >= 5, "{first:?} of {flipped:?}");
    assert!(report["suspects"][0]["truth"] != report["suspects"][0]["predicted"], "{report}");
    let output = sandbox.succeed(&["data", "check", text(&data), "--base", "base"]);
    assert!(output.contains("LABELS TO CHECK") && output.contains("flipped-"), "{output}");
}

#[test]
fn copies_tiny_images_damage_and_imbalance_are_named() {
    let sandbox = Sandbox::default();
    let data = color_folders(sandbox.path("pictures"), 9);
    for number in 2..9 {
        fs::remove_file(data.join(format!("blue/{number:03}.bmp"))).unwrap();
    }
    fs::copy(data.join("red/000.bmp"), data.join("green/copy.bmp")).unwrap();
    let whole = fs::read(data.join("red/001.bmp")).unwrap();
    write(&data.join("red/torn.bmp"), &whole[..whole.len() / 2]);
    write(&data.join("red/notes.jpg"), b"these are notes");
    let report = checked(&sandbox, text(&data), &[]);
    let bad: Vec<&str> =
        report["bad_files"].as_array().unwrap().iter().filter_map(|bad| bad["image"].as_str()).collect();
    assert_eq!(bad, ["red/notes.jpg", "red/torn.bmp"], "{report}");
    let group = &report["copies"][0];
    assert_eq!((&group["across_classes"], &group["images"][0]["class"]), (&true.into(), &"green".into()), "{report}");
    assert_eq!(
        (&report["imbalance"]["smallest"], &report["imbalance"]["smallest_images"]),
        (&"blue".into(), &2.into())
    );
    assert_eq!(report.get("suspects"), None, "only a base tells");
    let output = sandbox.run(&["data", "check", text(&data)]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "a fine-tune would refuse the damaged files");
    for part in ["red/torn.bmp", "red/notes.jpg", "the same image", "green/copy.bmp", "blue"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn a_stored_data_set_is_checked_over_http_and_its_findings_have_ids() {
    let sandbox = Sandbox::default();
    with_base(&sandbox);
    let data = color_folders(sandbox.path("pictures"), 12);
    // A red image among the blue ones, under a name that two classes have.
    fs::rename(data.join("red/003.bmp"), data.join("blue/200.bmp")).unwrap();
    let server = sandbox.serve(&[]);
    assert_eq!(server.post_json("/datasets", &serde_json::json!({"name": "colors"})).status(), 201);
    for class in ["blue", "green", "red"] {
        for file in fs::read_dir(data.join(class)).unwrap() {
            let file = file.unwrap().path();
            let image = ("same-name.bmp", fs::read(&file).unwrap());
            assert_eq!(server.post_labeled("/datasets/colors/images", image, class).status(), 200);
        }
    }
    let found = json(server.get("/datasets/colors/findings"));
    assert_eq!((&found["images"], found.get("suspects")), (&36.into(), None), "{found}");
    let checked = json(server.get("/datasets/colors/findings?base_model=base"));
    let suspect = &checked["suspects"][0];
    assert_eq!((&suspect["truth"], &suspect["predicted"]), (&"blue".into(), &"red".into()), "{checked}");
    // The id leads to the image, which the name does not.
    let id = suspect["id"].as_str().expect("an id");
    let bytes = server.get(&format!("/datasets/colors/images/{id}")).bytes().expect("bytes");
    assert_eq!(bytes, fs::read(data.join("blue/200.bmp")).unwrap());
    for (address, code) in [
        ("/datasets/nope/findings", "dataset_not_found"),
        ("/datasets/colors/findings?base_model=nope", "model_not_found"),
        ("/datasets/colors/findings?base=base", "invalid_parameter"),
    ] {
        assert_eq!(json(server.get(address))["code"], code, "{address}");
    }
}

#[test]
fn labels_are_not_checked_where_there_is_nothing_to_compare() {
    let sandbox = Sandbox::default();
    with_base(&sandbox);
    let data = color_folders(sandbox.path("pictures"), 3);
    let report = checked(&sandbox, text(&data), &["--base", "base"]);
    assert_eq!(report.get("suspects"), None, "{report}");
    let error = sandbox.fail(&["data", "check", text(&data), "--base", "nobody"]);
    assert!(error.contains("there is no model `nobody`"), "{error}");
}

/// Images of Oxford-17 under labels of which 5 % are wrong, as a table. Minutes of work, so it is run by hand:
/// `cargo test --workspace --test doctor -- --ignored --nocapture`, with `ORT_DYLIB_PATH` set.
#[test]
#[ignore = "features of 1360 photographs"]
#[expect(clippy::print_stderr, reason = "the figures are what it is run for")]
fn flipped_labels_of_oxford17_are_found() {
    let Some(flowers) = fixtures::real_data("oxford17/jpg") else { return };
    let Some(file) = fixtures::real_data("imagenet/squeezenet1.1_imagenet.onnx") else { return };
    let sandbox = Sandbox::default();
    let _output = sandbox.succeed(&["import", text(&file), "--name", "base"]);
    for seed in 0..3 {
        let mut table = "file,label\n".to_owned();
        let mut flipped = Vec::new();
        for image in 1..=1360_usize {
            let class = (image - 1) / 80;
            // A linear congruential generator (Knuth's MMIX): five in a hundred, and another class for each.
            let random = (image as u64 + 10_000 * seed)
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let path = Path::new(&flowers).join(format!("image_{image:04}.jpg"));
            let label = if (random >> 33).is_multiple_of(20) {
                flipped.push(format!("image_{image:04}.jpg"));
                (class + 1 + (random >> 40) as usize % 16) % 17
            } else {
                class
            };
            table += &format!("{},class-{label:02}\n", path.display());
        }
        write(&sandbox.path("dirty.csv"), table.as_bytes());
        let report = checked(&sandbox, text(&sandbox.path("dirty.csv")), &["--base", "base"]);
        let first: Vec<&str> = suspects(&report).into_iter().take(136).collect();
        let found = flipped.iter().filter(|name| first.iter().any(|path| path.ends_with(name.as_str()))).count();
        let share = found as f64 / flipped.len() as f64;
        eprintln!(
            "seed {seed}: {found} of {} flipped labels among the first 136 suspects, {:.1} %",
            flipped.len(),
            100.0 * share
        );
        assert!(share >= 0.8, "{share}");
    }
}
