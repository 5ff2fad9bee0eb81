//! README's console blocks do what they say: each command is run as it stands, and prints the lines below it.

use std::fs;
use std::iter::Peekable;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tests::server::{Sandbox, graft};

/// A command of a block with the lines that it prints there.
struct Step {
    command: String,
    lines: Vec<String>,
}

/// The steps of the console blocks below a heading.
fn steps(heading: &str) -> Vec<Step> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("README.md");
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let section = section.split("\n## ").next().expect("a section");
    let blocks = section.split("```console\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), lines: vec![] }),
            (None, Some(step)) if step.command.ends_with('\\') => {
                step.command.pop();
                step.command += line.trim_start();
            }
            (None, Some(step)) => step.lines.push(line.to_owned()),
            (None, None) => panic!("a block begins with what no command has printed: {line}"),
        }
    }
    assert!(!steps.is_empty(), "there is no console block below {heading}");
    steps
}

/// What differs from machine to machine, and from one run to the next, left out: numbers, paths, remarks in parentheses.
fn shape(line: &str) -> String {
    let line = match (line.find('('), line.rfind(')')) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &line[..from], &line[to + 1..]),
        _ => line.to_owned(),
    };
    let words = line.split_whitespace().map(|word| if word.contains('/') { "PATH" } else { word });
    let words: Vec<String> =
        words.map(|word| word.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect()).collect();
    let mut text = words.join(" ");
    while text.contains("##") {
        text = text.replace("##", "#");
    }
    text.replace("#.#", "#")
}

/// Every line is printed, in this order; `…` stands for any lines.
#[track_caller]
fn assert_prints(step: &Step, output: &str) {
    let mut printed = output.lines().map(shape).peekable();
    let mut elided = false;
    for line in &step.lines {
        if line == "…" {
            elided = true;
            continue;
        }
        let expected = shape(line);
        let found = if elided { skip_to(&mut printed, &expected) } else { printed.next().as_ref() == Some(&expected) };
        assert!(found, "`{}` does not print `{line}`:\n{output}", step.command);
        elided = false;
    }
}

fn skip_to(printed: &mut Peekable<impl Iterator<Item = String>>, expected: &str) -> bool {
    printed.any(|line| line == expected)
}

/// A shell in the sandbox in which `graft` is the program, and the user's folder is the sandbox.
fn shell(sandbox: &Sandbox, command: &str) -> Command {
    let program = graft();
    let folder = program.parent().and_then(Path::to_str).expect("a folder");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("PATH='{folder}':\"$PATH\"\n{command}")]).current_dir(sandbox.path(""));
    shell.env("GRAFT_DATA_DIR", sandbox.path("data"));
    shell.env("GRAFT_LOG", "error").env("COLUMNS", "200");
    shell
}

fn run(sandbox: &Sandbox, step: &Step) {
    let output = shell(sandbox, &step.command).output().expect("sh");
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success(), "{}: {err}", step.command);
    assert_prints(step, &out);
}

#[test]
fn photographs_of_flowers_are_learned_as_the_readme_shows_it() {
    let Some(data) = fixtures::real_data("") else { return };
    let sandbox = Sandbox::default();
    let links = [
        ("efficientnet_lite0/efficientnet_lite0_imagenet.onnx", "efficientnet_lite0.onnx"),
        ("oxford17", "oxford17"),
        ("oxford17/jpg/image_0001.jpg", "PHOTO.jpg"),
    ];
    for (file, name) in links {
        symlink(data.join(file), sandbox.path(name)).expect("a link");
    }
    steps("Your own pictures").iter().for_each(|step| run(&sandbox, step));
}

#[test]
fn the_first_minute_and_the_server_after_it_are_as_the_readme_shows_them() {
    if Command::new("curl").arg("--version").output().is_err() {
        return fixtures::say_skipped("install curl");
    }
    // The lines are those of this engine.
    let Some(_library) = fixtures::Library::OnnxRuntime.path() else { return };
    let sandbox = Sandbox::default();
    steps("The first minute").iter().for_each(|step| run(&sandbox, step));
    let all = steps("Serve");
    let (serve, rest) = all.split_first().expect("a step");
    assert_eq!(serve.command, "graft");
    let (server, greeting) = sandbox.greeted(sandbox.newcomer(&["serve"]));
    assert_prints(serve, &greeting);
    server.wait("a model answers", || server.get("/health/ready").status().is_success().then_some(()));
    for step in rest {
        let command = step.command.replace("localhost:8080", server.address());
        run(&sandbox, &Step { command, lines: step.lines.clone() });
    }
}
