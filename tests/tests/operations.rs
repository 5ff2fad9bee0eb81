//! What an operator's bad day does to a server: full disks, logs that nobody reads, damaged files, wrong settings.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::{Value, json};
use tests::images::{color_folders, example, tiny_base_model, write};
use tests::server::{Sandbox, Server, json, text};

/// A sandbox with a stored base model, and a request for a fine-tune on it.
fn sandbox() -> (Sandbox, Value) {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = color_folders(sandbox.path("pictures"), 6);
    let dataset = json!({"kind": "folder", "path": data});
    (sandbox, json!({"base_model": "base", "name": "colors", "dataset": dataset, "options": {"epochs": 20}}))
}

fn classifies(server: &Server) {
    let answer = json(server.post("/classify/bytes?model=base", "image/bmp", example("red")));
    assert!(answer["results"][0]["predictions"].is_array(), "{answer}");
}

fn trains(server: &Server, request: &Value) {
    let id = json(server.post_json("/finetune", request))["id"].as_str().expect("an id").to_owned();
    let job = server.finished(&id);
    assert_eq!(job["state"], "succeeded", "{job}");
}

#[test]
fn without_a_folder_for_temporary_files_a_model_serves_one_image_at_a_time() {
    if fixtures::Library::OnnxRuntime.path().is_none() {
        return;
    }
    let (sandbox, _request) = sandbox();
    for (folder, warnings) in [("nowhere", 1), ("", 0)] {
        let log = sandbox.path("log");
        let mut command = sandbox.command(&["serve", "--engine", "ort"]);
        command.env("GRAFT_THREADS", "2").env("TMPDIR", sandbox.path(folder));
        let server = sandbox.serve_command(command, fs::File::create(&log).expect("a log").into());
        classifies(&server);
        let log = fs::read_to_string(&log).expect("the log");
        assert_eq!(log.matches("its images run one after another").count(), warnings, "{log}");
    }
}

#[test]
fn a_log_that_takes_nothing_stops_neither_requests_nor_jobs() {
    let (sandbox, request) = sandbox();
    let full = fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let (reader, closed) = std::io::pipe().expect("a pipe");
    drop(reader);
    // A reader that never reads: the pipe is full after some thousand lines.
    let (_idle, stuck) = std::io::pipe().expect("a pipe");
    for (name, log) in
        [("a full disk", full.into()), ("a reader that has gone", closed.into()), ("a stuck one", stuck.into())]
    {
        let log: Stdio = log;
        let server = sandbox.serve_with_log(&["--log", "debug"], log);
        for _ in 0..300 {
            classifies(&server);
        }
        trains(&server, &request);
        kill_process(Pid::from_child(server.child()), Signal::TERM).expect("SIGTERM");
        let mut server = server;
        let status = server.child_mut().wait().expect("an end");
        assert!(status.success(), "{name}: {status}");
    }
}

/// Each request writes a line, and the start of the server some more.
#[test]
fn lines_that_the_log_did_not_take_are_counted() {
    const REQUESTS: u64 = 20;
    let (sandbox, _) = sandbox();
    let full = fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let whole = fs::File::create(sandbox.path("whole.log")).expect("a file");
    for (name, log, expected) in [("a full disk", full, REQUESTS..10 * REQUESTS), ("a file", whole, 0..1)] {
        let server = sandbox.serve_with_log(&["--log", "info"], log.into());
        for _ in 0..REQUESTS {
            classifies(&server);
        }
        // Another thread writes the lines, after the answers.
        server.wait(name, || Some(lost_lines(&server)).filter(|lost| expected.contains(lost)));
    }
}

fn lost_lines(server: &Server) -> u64 {
    let metrics = server.get("/metrics").text().expect("text");
    let line = metrics.lines().find_map(|line| line.strip_prefix("graft_log_lines_lost_total "));
    line.expect("the metric").parse().expect("a count")
}

/// From the moment that it has read its command line, long before it listens.
#[test]
fn a_hangup_while_the_server_starts_ends_nothing() {
    let (sandbox, _) = sandbox();
    for _ in 0..3 {
        let mut command = sandbox.command(&["serve", "--port", "0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a process");
        let process = Pid::from_child(&child);
        while !ignores_hangups(child.id()) {
            assert!(child.try_wait().expect("its state").is_none(), "it has ended by itself");
            thread::sleep(Duration::from_millis(1));
        }
        kill_process(process, Signal::HUP).expect("SIGHUP");
        let greeting = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        assert!(greeting.take(20).any(|line| line.contains("http://127.0.0.1")), "it does not greet");
        kill_process(process, Signal::TERM).expect("SIGTERM");
        assert!(child.wait().expect("an end").success());
    }
}

/// Or catches them. The first bit of each mask of signals is SIGHUP's (proc(5)).
fn ignores_hangups(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let masks = status.lines().filter_map(|line| line.strip_prefix("SigIgn:").or(line.strip_prefix("SigCgt:")));
    masks.filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok()).any(|mask| mask & 1 == 1)
}

#[test]
fn sighup_reloads_and_ends_nothing() {
    let (sandbox, _) = sandbox();
    let config = sandbox.path("graft.toml");
    fs::write(&config, "log = 'warn'\n").expect("a file");
    let log = fs::File::create(sandbox.path("log")).expect("a file");
    let mut command = sandbox.command(&["serve", "--config", text(&config)]);
    command.env_remove("GRAFT_LOG");
    let server = sandbox.serve_command(command, log.into());
    let logged = |text: &str| fs::read_to_string(sandbox.path("log")).is_ok_and(|log| log.contains(text));
    let hang_up = || kill_process(Pid::from_child(server.child()), Signal::HUP).expect("SIGHUP");

    classifies(&server);
    fs::write(&config, "log = 'info'\n").expect("a file");
    hang_up();
    server.wait("the filter has changed", || logged("the configuration is reloaded").then_some(()));
    fs::write(&config, "lgo = 'debug'\n").expect("a file");
    hang_up();
    server.wait("the error is told", || logged("did you mean `log`?").then_some(()));
    classifies(&server);
}

#[test]
fn a_full_disk_accepts_no_job_and_loses_none() {
    let (sandbox, mut request) = sandbox();
    // So that the job waits while others are asked for.
    request["options"]["epochs"] = json!(1_000_000);
    let server = sandbox.serve(&[]);
    let accepted = json(server.post_json("/finetune", &request))["id"].clone();
    let limit = |bytes| {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(Pid::from_child(server.child())), Resource::Fsize, limit).expect("a limit");
    };
    limit(Some(1));
    for _ in 0..3 {
        let answer = server.post_json("/finetune", &request);
        assert_eq!(answer.status(), 507);
        assert_eq!(json(answer)["code"], "storage_full");
    }
    classifies(&server);
    limit(None);
    let list = json(server.get("/finetune"));
    let ids: Vec<&Value> = list["data"].as_array().expect("a list").iter().map(|job| &job["id"]).collect();
    assert_eq!(ids, [&accepted]);
    assert_eq!(server.post_json("/finetune", &request).status(), 202);
}

#[test]
fn a_damaged_database_costs_the_jobs_alone() {
    let (sandbox, request) = sandbox();
    fs::write(sandbox.path("data/graft.sqlite"), vec![7; 5000]).expect("a file");
    let server = sandbox.serve(&[]);
    classifies(&server);
    let upload = server.post("/models", "multipart/form-data; boundary=XX", b"--XX--\r\n".to_vec());
    for answer in [server.post_json("/finetune", &request), server.get("/finetune"), upload] {
        assert_eq!(answer.status(), 503);
        let problem = json(answer);
        assert_eq!(problem["code"], "jobs_unavailable");
        assert!(problem["detail"].as_str().expect("a detail").contains("graft.sqlite"), "{problem}");
    }
}

#[test]
fn settings_come_from_flag_environment_file_and_default_in_this_order() {
    let sandbox = Sandbox::default();
    let config = sandbox.path("graft.toml");
    fs::write(&config, "port = 9000\nmax-batch = 4\nqueue = 5\ndata_root = ['/a', '/b']\n[models]\njson = true\n")
        .expect("a file");
    let arguments = ["config", "--config", text(&config), "--port", "1"];
    let output = sandbox.command(&arguments).env("GRAFT_MAX_BATCH", "2").output().expect("graft starts");
    let output = String::from_utf8(output.stdout).expect("text");
    for line in [
        "port = 1  # flag --port",
        "max-batch = 2  # environment GRAFT_MAX_BATCH",
        "queue = 5  # file",
        "data-root = [\"/a\", \"/b\"]  # file",
        "max-body-mb = 32  # default",
    ] {
        assert!(output.lines().any(|other| other == line), "{line}: {output}");
    }
    fs::write(sandbox.path("again.toml"), output).expect("a file");
    let _again = sandbox.succeed(&["config", "--config", text(&sandbox.path("again.toml"))]);
    assert_eq!(sandbox.succeed(&["models", "--config", text(&config)]).trim(), "[]", "a table is of its command");

    fs::write(&config, "prot = 9000\n").expect("a file");
    let refused = sandbox.fail(&["config", "--config", text(&config)]);
    assert!(refused.contains("`prot`, which is no option; did you mean `port`?"), "{refused}");
    fs::write(&config, "port = 'high'\n").expect("a file");
    let refused = sandbox.fail(&["config", "--config", text(&config)]);
    assert!(refused.contains("invalid value 'high'") && refused.contains("graft.toml sets `port`"), "{refused}");
    let missing = sandbox.fail(&["config", "--config", text(&sandbox.path("none.toml"))]);
    assert!(missing.contains("none.toml"), "{missing}");
}

#[test]
fn devices_are_no_data_sets_on_the_command_line_either() {
    let (sandbox, _) = sandbox();
    let pipe = sandbox.path("pipe.csv");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    for path in ["/dev/zero", text(&pipe)] {
        let refused = sandbox.fail(&["finetune", "--base", "base", "--data", path, "--kind", "csv", "--name", "x"]);
        let expected = format!("cannot read {path}: it is a device, pipe or socket, not a file");
        assert!(refused.contains(&expected), "{refused}");
    }
}

#[test]
fn old_versions_are_removed_on_request() {
    let (sandbox, _) = sandbox();
    let model = text(&sandbox.path("base.onnx")).to_owned();
    for _ in 0..3 {
        let _output = sandbox.succeed(&["import", &model, "--name", "base"]);
    }
    // The first version goes on answering, and stays, until another one is live.
    assert_eq!(sandbox.succeed(&["models", "prune", "--keep", "3"]), "");
    let _output = sandbox.succeed(&["models", "live", "base", "4"]);
    let output = sandbox.succeed(&["models", "prune", "--keep", "2"]);
    assert_eq!(output, "removed `base` version 1\nremoved `base` version 2\n");
    let refused = sandbox.fail(&["models", "prune", "--keep", "1", "--model", "bsae"]);
    assert!(refused.contains("there is no model `bsae`"), "{refused}");
}
