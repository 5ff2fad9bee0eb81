//! A server that is killed around publishing, and the version that its job publishes all the same.

#![expect(clippy::print_stdout, reason = "the figures of a run by hand")]

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests::images::{color_folders, tiny_base_model, write};
use tests::server::{Sandbox, json, text};

/// About as long as a version takes to be written, and about as long as its job takes to succeed then.
const AROUND_PUBLISHING: Duration = Duration::from_millis(50);

#[test]
fn a_job_whose_server_is_killed_around_publishing_has_one_version() {
    kill_around_publishing(3);
}

#[test]
#[ignore = "takes minutes: cargo test --test publishing -- --ignored --nocapture"]
fn twenty_jobs_whose_servers_are_killed_around_publishing_have_one_version_each() {
    kill_around_publishing(20);
}

/// Each job is of a model of its own, and each server is killed at another moment: by turns behind the beginning of its
/// version and behind the version's publication.
fn kill_around_publishing(jobs: u64) {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos() as u64;
    println!("seed {seed}");
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let pictures = color_folders(sandbox.path("pictures"), 6);
    let start = || sandbox.serve(&["--job-lease-seconds", "3"]);
    let mut server = start();
    let mut visible = 0;
    for number in 0..jobs {
        let name = format!("colors{number}");
        let request = json!({
            "base_model": "base",
            "name": name,
            "dataset": {"layout": "folder", "path": pictures},
            "options": {"epochs": 5},
        });
        let id = json(server.post_json("/finetune", &request))["id"].as_str().expect("an id").to_owned();
        let model = sandbox.path("data/models").join(&name);
        let is_near = || if number % 2 == 0 { model.exists() } else { !versions(&model).is_empty() };
        while !is_near() {
            sleep(Duration::from_millis(1));
        }
        sleep(moment(seed, number));
        visible += usize::from(!versions(&model).is_empty());
        server.kill();
        server = start();
        let job = server.finished(&id);
        assert_eq!((&job["state"], &job["result"]["version"]), (&json!("succeeded"), &json!(1)), "{job}");
        assert_eq!(versions(&model), [id], "job {number}, seed {seed}");
    }
    println!("{jobs} servers were killed around publishing, {visible} of them behind it");
}

/// A moment of the time around publishing, by a hash of its number (the finalizer of `MurmurHash3`).
fn moment(seed: u64, number: u64) -> Duration {
    let mut hash = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53, 1] {
        hash = (hash ^ hash >> 33).wrapping_mul(factor);
    }
    Duration::from_micros(hash % AROUND_PUBLISHING.as_micros() as u64)
}

/// The jobs that the versions of a model name, one a version.
fn versions(model: &Path) -> Vec<String> {
    let entries = fs::read_dir(model).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()));
    let manifests = folders.map(|folder| fs::read(folder.path().join("manifest.json")).expect("a manifest"));
    let jobs = manifests.map(|text| serde_json::from_slice::<Value>(&text).expect("JSON")["job"]["id"].clone());
    jobs.map(|id| id.as_str().unwrap_or("no job").to_owned()).collect()
}
