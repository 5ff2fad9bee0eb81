//! Folders and lists of images on the command line, and results in a file.

use std::fs;
use std::process::Stdio;

use serde_json::Value;
use tests::images::{color_folders, tiny_base_model, write};
use tests::server::{Sandbox, text};

/// A sandbox with a classifier and 36 images in folders.
fn sandbox() -> (Sandbox, String) {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = text(&color_folders(sandbox.path("pictures"), 12)).to_owned();
    (sandbox, data)
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn a_folder_becomes_a_table_with_a_row_for_each_image() {
    let (sandbox, data) = sandbox();
    write(&sandbox.path("pictures/red/Thumbs.db"), b"litter");
    write(&sandbox.path("pictures/red/torn.bmp"), b"BM");
    let out = sandbox.path("results.csv");
    let arguments = ["classify", "--model", "base", "--top-k", "2", "--output", "csv"];
    let output = sandbox.run(&[&arguments[..], &["--out", text(&out), &data]].concat());
    assert_eq!(output.status.code(), Some(3), "one image cannot be used");
    let table = fs::read_to_string(&out).unwrap();
    let rows = lines(&table);
    assert_eq!((rows[0], rows.len()), ("file,model,version,label_1,score_1,label_2,score_2,error,uncertain", 38));
    assert!(rows[1].starts_with(&format!("{data}/blue/000.bmp,base,1,thing ")), "{}", rows[1]);
    let torn = rows.iter().find(|row| row.contains("torn.bmp")).unwrap();
    assert!(torn.starts_with(&format!("{data}/red/torn.bmp,base,1,,,,,")) && torn.len() > 60, "{torn}");
    assert!(torn.ends_with(','), "no answer is no uncertain one: {torn}");
    // The same without a file.
    let shown = sandbox.run(&[&arguments[..], &[&data]].concat());
    assert_eq!(String::from_utf8_lossy(&shown.stdout), table);
}

#[test]
fn a_command_that_was_interrupted_goes_on_where_it_was() {
    let (sandbox, data) = sandbox();
    for (format, name) in [("csv", "results.csv"), ("jsonl", "results.jsonl")] {
        let out = sandbox.path(name);
        let arguments = ["classify", "--model", "base", "--format", format, "--out", text(&out), &data];
        let _output = sandbox.succeed(&arguments);
        let whole = fs::read_to_string(&out).unwrap();
        // Killed in the middle of a line.
        fs::write(&out, &whole[..whole.len() / 2]).unwrap();
        let output = sandbox.run(&arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && error.contains("of 36 images are answered already"), "{error}");
        assert_eq!(fs::read_to_string(&out).unwrap(), whole);
        // Nothing is left to do.
        let output = sandbox.run(&arguments);
        assert!(String::from_utf8_lossy(&output.stderr).contains("36 of 36 images are answered already"));
        assert_eq!(fs::read_to_string(&out).unwrap(), whole);
    }
}

#[test]
fn results_of_another_model_or_of_another_kind_are_not_added_to() {
    let (sandbox, data) = sandbox();
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "other"]);
    let out = sandbox.path("results.csv");
    let photo = format!("{data}/red/000.bmp");
    let run = |model: &str, more: &[&str]| {
        [&["classify", "--model", model, "--out", text(&out), &photo], more]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let fail = |arguments: Vec<String>| sandbox.fail(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let csv: Vec<String> = run("base", &["--format", "csv"]);
    let _output = sandbox.succeed(&csv.iter().map(String::as_str).collect::<Vec<_>>());
    let error = fail(run("other", &["--format", "csv"]));
    assert!(error.contains("it has answers of `base` version 1, and these are of `other` version 1"), "{error}");
    let error = fail(run("base", &["--format", "csv", "--top-k", "3"]));
    assert!(error.contains("no table of `graft classify` with the same `--top-k`"), "{error}");
    let error = fail(run("base", &["--format", "json"]));
    assert!(error.contains("line 1: it is no answer"), "{error}");
    let error = fail(run("base", &[]));
    assert!(error.contains("--format csv"), "{error}");
}

#[test]
fn a_device_takes_results_and_a_full_disk_is_an_error() {
    let (sandbox, data) = sandbox();
    let photo = format!("{data}/red/000.bmp");
    let arguments = ["classify", "--model", "base", "--format", "csv", &photo, "--out"];
    let _output = sandbox.succeed(&[&arguments[..], &["/dev/null"]].concat());
    let error = sandbox.fail(&[&arguments[..], &["/dev/full"]].concat());
    assert!(error.contains("/dev/full: No space left on device"), "{error}");
    let error = sandbox.fail(&[&arguments[..], &[&data]].concat());
    assert!(error.contains("Is a directory"), "{error}");
}

#[test]
fn a_list_names_images_from_a_file_or_from_standard_input() {
    let (sandbox, data) = sandbox();
    let paths = format!("{data}/red/000.bmp\r\n\n{data}/green/000.bmp");
    write(&sandbox.path("list.txt"), paths.as_bytes());
    let arguments = ["classify", "--model", "base", "--format", "jsonl", "--list"];
    let of_file = sandbox.succeed(&[&arguments[..], &[text(&sandbox.path("list.txt"))]].concat());
    let files: Vec<String> = lines(&of_file)
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["file"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(files, [format!("{data}/red/000.bmp"), format!("{data}/green/000.bmp")]);
    let mut command = sandbox.command(&[&arguments[..], &["-"]].concat());
    let input = fs::File::open(sandbox.path("list.txt")).unwrap();
    let output = command.stdin(Stdio::from(input)).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), of_file);
    fs::create_dir(sandbox.path("empty")).unwrap();
    let error = sandbox.fail(&["classify", "--model", "base", text(&sandbox.path("empty"))]);
    assert!(error.contains("holds no image"), "{error}");
}
