//! Commands of the program as a terminal, an impatient user and a full disk treat them.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::{sleep, spawn};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tests::images::{base_model, color_folders, write};
use tests::server::{Sandbox, text};

/// A sandbox with a stored base model and pictures of three colors.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let _pictures = color_folders(sandbox.path("pictures"), 6);
    sandbox
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries.flatten().map(|entry| entry.file_name().display().to_string()).collect();
    names.sort();
    names
}

fn export(sandbox: &Sandbox, out: &Path) -> Command {
    sandbox.command(&["export", "--model", "base", "--out", text(out)])
}

fn is_whole(path: &Path) -> bool {
    onnx::ModelFile::decode(fs::read(path).expect("a file")).is_ok()
}

#[test]
fn an_export_that_is_interrupted_leaves_no_temporary_file() {
    let sandbox = sandbox();
    let folder = sandbox.path("exports");
    fs::create_dir(&folder).unwrap();
    let out = folder.join("base.onnx");
    let mut interrupted = 0;
    for signals in [&[Signal::INT][..], &[Signal::TERM], &[Signal::INT, Signal::INT]].into_iter().cycle().take(12) {
        let mut child = export(&sandbox, &out).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The file is there under its temporary name while it is written.
        while names(&folder).is_empty() && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_micros(200));
        }
        for signal in signals {
            // It may have ended already.
            kill_process(Pid::from_child(&child), *signal).ok();
            sleep(Duration::from_millis(1));
        }
        let status = child.wait().unwrap();
        match names(&folder)[..] {
            [] => {
                assert!(!status.success(), "{status}");
                interrupted += 1;
            }
            _ => {
                assert_eq!(names(&folder), ["base.onnx"], "{signals:?}: {status}");
                assert!(is_whole(&out));
                fs::remove_file(&out).unwrap();
            }
        }
    }
    assert!(interrupted > 0, "no export was interrupted in time");
}

#[test]
fn an_export_goes_to_where_a_link_leads_and_into_pipes_and_devices() {
    let sandbox = sandbox();
    let (old, link, pipe) = (sandbox.path("old.onnx"), sandbox.path("link.onnx"), sandbox.path("pipe"));
    fs::write(&old, "old").unwrap();
    symlink("old.onnx", &link).unwrap();
    assert!(export(&sandbox, &link).output().unwrap().status.success());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && is_whole(&old));

    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    assert!(export(&sandbox, &pipe).output().unwrap().status.success());
    assert!(reader.join().unwrap() == fs::read(&old).unwrap(), "the pipe carried another file");
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());

    assert!(export(&sandbox, Path::new("/dev/null")).output().unwrap().status.success());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let full = error(&export(&sandbox, Path::new("/dev/full")).output().unwrap());
    assert!(full.contains("/dev/full: No space left on device"), "{full}");
}

/// What a command writes to a terminal, standard output and error alike. The terminal is that of `script`, which every
/// Linux has.
#[cfg(target_os = "linux")]
fn on_terminal(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_str().expect("text").replace('\'', r"'\''")));
    let line = quoted.collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["--quiet", "--command", &line, "/dev/null"]).env("SHELL", "/bin/sh").stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    let output = script.output().expect("script starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether a text has colors or other styles: SGR of ECMA-48, 8.3.117. Cursors that move are no colors.
#[cfg(target_os = "linux")]
fn is_colored(text: &str) -> bool {
    let sequences = text.split("\u{1b}[").skip(1);
    sequences
        .filter_map(|rest| rest.find(|c: char| c.is_ascii_alphabetic()).map(|end| &rest[end..=end]))
        .any(|m| m == "m")
}

#[test]
#[cfg(target_os = "linux")]
fn no_color_is_honored_by_every_command_and_by_the_log() {
    let sandbox = sandbox();
    let pictures = sandbox.path("pictures");
    let (data, photo) = (text(&pictures), pictures.join("red/000.bmp"));
    let help = sandbox.succeed(&["--help"]);
    let list = help.split("Commands:").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list of commands");
    let commands = list.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    let commands: Vec<&str> = commands.filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase())).collect();
    assert!(commands.contains(&"serve") && commands.contains(&"health") && commands.len() > 15, "{commands:?}");
    let runs = commands.iter().flat_map(|command| [vec![*command, "--help"], vec![*command, "--no-such-option"]]);
    let mut runs: Vec<Vec<&str>> = runs.collect();
    runs.extend([
        vec!["--help"],
        vec!["models"],
        vec!["models", "--model", "none"],
        vec!["config"],
        vec!["data", "check", data],
        vec!["check", data],
        vec!["classify", "--model", "base", text(&photo)],
        vec!["finetune", "--base", "base", "--data", data, "--name", "colors", "--epochs", "2"],
        // A server whose log says that the port cannot be had.
        vec!["serve", "--host", "203.0.113.1", "--insecure"],
        vec!["health", "--port", "1"],
    ]);
    let run = |arguments: &[&str], no_color: &str| {
        let mut command = sandbox.command(arguments);
        command.env("TERM", "xterm-256color").env("GRAFT_LOG", "trace").env("NO_COLOR", no_color);
        for variable in ["CLICOLOR", "CLICOLOR_FORCE", "CI"] {
            command.env_remove(variable);
        }
        on_terminal(&command)
    };
    for arguments in &runs {
        let plain = run(arguments, "1");
        assert!(!plain.trim().is_empty(), "{arguments:?} says nothing");
        assert!(!is_colored(&plain), "{arguments:?}: {plain:?}");
    }
    // There are colors that could be left out: an empty value is none (no-color.org).
    let training = ["finetune", "--base", "base", "--data", data, "--name", "colors", "--epochs", "2"];
    for arguments in [&["--help"][..], &["models", "--no-such-option"], &training] {
        let colored = run(arguments, "");
        assert!(is_colored(&colored), "{arguments:?}: {colored:?}");
    }
}

fn error(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{:?} {error}", output.status);
    error
}

/// Lets no file of a process grow any more, as a full disk would.
fn fill_disk(child: &Child) {
    let limit = Rlimit { current: Some(1), maximum: None };
    prlimit(Some(Pid::from_child(child)), Resource::Fsize, limit).expect("a limit");
}

#[test]
fn a_fine_tune_that_finds_the_disk_full_says_so_and_leaves_nothing() {
    let sandbox = sandbox();
    let pictures = sandbox.path("pictures");
    let arguments = |epochs: &'static str| {
        ["finetune", "--base", "base", "--data", text(&pictures), "--name", "colors", "--epochs", epochs]
    };
    // Behind the features, in front of the model: many epochs are the time for the disk to fill.
    let mut command = sandbox.command(&arguments("300"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let features = sandbox.path("data/cache/features");
    let is_written = |path: &Path| path.extension().is_some_and(|ending| ending == "safetensors");
    let cached = || files(&features).into_iter().any(|path| is_written(&path));
    while !cached() && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(1));
    }
    fill_disk(&child);
    let error = error(&child.wait_with_output().unwrap());
    assert!(error.contains("File too large") && error.contains(text(&sandbox.path("data"))), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    let left: Vec<_> = files(&sandbox.path("data")).into_iter().filter(|path| is_unfinished(path)).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(sandbox.succeed(&["models"]).matches("colors").count(), 0);
    let _output = sandbox.succeed(&arguments("5"));
    assert!(names(&sandbox.path("data/models/colors")).contains(&"1".to_owned()));
}

/// All files below a folder; none if it is not there.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn is_unfinished(path: &Path) -> bool {
    path.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        name.starts_with(".staging-") || name.ends_with(".partial")
    })
}
