//! What somebody meets who has just installed graft, with an empty data folder and no network.

use std::process::{Command, Output, Stdio};

use serde_json::json;
use tests::server::{Sandbox, json as body, text};

/// Runs a newcomer's command, which must succeed, and returns what it printed.
fn newcomer(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = sandbox.newcomer(arguments).output().expect("graft starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "graft {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same for a command that must fail; returns the error.
fn refused(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = sandbox.newcomer(arguments).output().expect("graft starts");
    assert_eq!(status.code(), Some(1), "graft {arguments:?}");
    String::from_utf8_lossy(&stderr).into_owned()
}

#[test]
fn the_line_that_the_server_prints_for_curl_works_as_printed() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        return fixtures::say_skipped("install curl");
    }
    for engine in ["auto", "tract"] {
        let sandbox = Sandbox::default();
        let (server, greeting) = sandbox.greeted(sandbox.newcomer(&["--engine", engine, "serve"]));
        assert!(greeting.contains("model: starter\n"), "{greeting}");
        let line = greeting.lines().find_map(|line| line.strip_prefix("try it:  ")).unwrap();
        server.wait("the model answers", || {
            let ran = Command::new("sh").args(["-c", &format!("{line} --silent --fail")]).output().unwrap();
            let answer: serde_json::Value =
                serde_json::from_slice(&ran.stdout).ok().filter(|_| ran.status.success())?;
            assert_eq!((&answer["model"], &answer["version"]), (&json!("starter"), &json!(1)));
            assert_eq!(answer["results"][0]["predictions"].as_array().unwrap().len(), 5, "{answer}");
            Some(())
        });
        let models = body(server.get("/models"));
        let [model] = &models["data"].as_array().unwrap()[..] else { panic!("{models}") };
        assert_eq!(
            (&model["name"], &model["built_in"], &model["classes"]),
            (&json!("starter"), &json!(true), &json!(200))
        );
    }
}

#[test]
fn the_demo_learns_drawings_and_knows_those_that_it_has_not_seen() {
    let sandbox = Sandbox::default();
    let folder = sandbox.path("drawings");
    let said = newcomer(&sandbox, &["demo", "--out", text(&folder), "--pictures", "16"]);
    for thing in ["boat", "flower", "house", "tree"] {
        let found = std::fs::read_dir(folder.join("pictures").join(thing)).unwrap().count();
        assert_eq!(found, 16, "{thing}");
        let line = said.lines().find(|line| line.contains(&format!("unseen-{thing}.png"))).unwrap();
        assert!(line.contains(thing), "{line}");
    }
    assert!(said.contains("stored `demo` version 1"), "{said}");
    // A quarter of 64 drawings measures the result; the drawings differ in more than their noise, but four of a kind are easy.
    let top1 = said.lines().find_map(|line| line.strip_prefix("test top-1 ")?.split(' ').next()?.parse::<f64>().ok());
    assert!(top1.unwrap() >= 75.0, "{said}");
    assert!(said.contains("graft finetune --data FOLDER"), "{said}");

    let said = newcomer(&sandbox, &["demo", "--out", text(&folder), "--pictures", "8"]);
    assert!(said.contains("stored `demo` version 2"), "{said}");
    let shown = newcomer(&sandbox, &["models", "show", "demo", "--output", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["live"], 2, "the second demonstration shows what it has trained itself");
}

#[test]
fn a_folder_is_enough_to_train_and_the_result_answers_in_the_place_of_what_came_with_graft() {
    let sandbox = Sandbox::default();
    let drawings = sandbox.path("out");
    newcomer(&sandbox, &["demo", "--out", text(&drawings), "--pictures", "8", "--name", "first"]);
    let said = newcomer(&sandbox, &["finetune", "--data", text(&drawings.join("pictures"))]);
    assert!(said.contains("grafts `pictures` upon `starter`"), "{said}");

    let (_server, greeting) = sandbox.greeted(sandbox.newcomer(&["serve"]));
    assert!(greeting.contains("model: the one that a request names"), "{greeting}");
    newcomer(&sandbox, &["models", "delete", "first", "1", "--force"]);
    let (_server, greeting) = sandbox.greeted(sandbox.newcomer(&["serve"]));
    assert!(greeting.contains("model: pictures\n"), "{greeting}");
}

#[test]
fn what_came_with_graft_is_read_only() {
    let sandbox = Sandbox::default();
    assert!(newcomer(&sandbox, &["models"]).contains("starter (built in)"));
    assert!(newcomer(&sandbox, &["models", "show", "starter"]).contains("Tiny ImageNet"));
    let folder = sandbox.path("nothing");
    std::fs::create_dir(&folder).unwrap();
    let file = sandbox.path("starter.onnx");
    newcomer(&sandbox, &["export", "--model", "starter", "--out", text(&file)]);
    for arguments in [
        &["models", "delete", "starter", "1", "--force"][..],
        &["import", text(&file), "--name", "starter"],
        &["finetune", "--data", text(&folder), "--name", "starter"],
    ] {
        let error = refused(&sandbox, arguments);
        assert!(error.contains("`starter` comes with graft and is read-only"), "{arguments:?}: {error}");
    }
    let (server, _) = sandbox.greeted(sandbox.newcomer(&["serve"]));
    server.wait("the model is there", || server.get("/models/starter").status().is_success().then_some(()));
    let request = json!({
        "base_model": "starter", "name": "starter", "dataset": {"kind": "folder", "path": text(&folder)},
    });
    let answer = server.post_json("/finetune", &request);
    assert_eq!(answer.status().as_u16(), 422);
    assert!(answer.text().unwrap().contains("choose another name"));
}

#[test]
fn it_can_be_left_out_and_a_model_of_the_user_s_that_has_its_name_stays() {
    let sandbox = Sandbox::default();
    assert!(newcomer(&sandbox, &["models", "--no-starter"]).contains("no models in"));
    let file = sandbox.path("starter.onnx");
    let other = Sandbox::default();
    newcomer(&other, &["export", "--model", "starter", "--out", text(&file)]);
    newcomer(&sandbox, &["import", text(&file), "--name", "starter", "--no-starter"]);
    let listed = newcomer(&sandbox, &["models"]);
    assert!(listed.contains("starter") && !listed.contains("built in"), "{listed}");
    let said = newcomer(&sandbox, &["import", text(&file), "--name", "starter"]);
    assert!(said.contains("stored `starter` version 2"), "{said}");
}

#[test]
fn another_program_s_model_takes_the_place_of_the_older_one_also_after_a_kill_in_between() {
    let sandbox = Sandbox::default();
    newcomer(&sandbox, &["models"]);
    let path = sandbox.path("data/models/starter/model.json");
    let read = || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&path).unwrap()).unwrap();
    let write = |settings: &serde_json::Value| std::fs::write(&path, settings.to_string()).unwrap();
    // An older program's file was another.
    let mut settings = read();
    settings["built_in"]["checksum"] = json!("0".repeat(64));
    write(&settings);
    newcomer(&sandbox, &["models"]);
    let finished = read();
    assert_eq!((&finished["live"], &finished["built_in"]["version"]), (&json!(2), &json!(2)));
    // What is there when the program is killed between the version's rename and the choice of it.
    let mut killed = finished.clone();
    (killed["live"], killed["notes"], killed["built_in"]["unfinished"]) = (json!(1), json!("older"), json!(true));
    write(&killed);
    let (server, _) = sandbox.greeted(sandbox.newcomer(&["serve"]));
    server.wait("the newer one answers", || (body(server.get("/models/starter"))["version"] == 2).then_some(()));
    assert_eq!(read(), finished, "all of it is made up for, and no third version is published");
}
