//! A server as Label Studio's ML backend, with the very bytes that Label Studio sends (its `ml/api_connector.py`).

use serde_json::{Value, json};
use tests::images::{color_folders, example, tiny_base_model, write};
use tests::receiver::{Received, Receiver, base64};
use tests::server::{Sandbox, json, text};

const CONFIG: &str = r#"<View>
  <Image name="image" value="$image"/>
  <Choices name="choice" toName="image">
    <Choice value="blue"/>
    <Choice value="red"/>
  </Choices>
</View>"#;

/// Label Studio with twelve annotated tasks of two colors, one that was skipped, and their images.
fn label_studio(folder: &std::path::Path) -> Receiver {
    let folder = folder.to_owned();
    let task = |(number, label): (usize, &str)| {
        let choice =
            json!({"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": [label]}});
        json!({
            "id": number,
            "data": {"image": format!("/data/upload/7/{label}/{:03}.bmp", number / 2)},
            "annotations": [{"id": number, "was_cancelled": false, "result": [choice]}],
        })
    };
    let labels = ["blue", "red"].into_iter().cycle().take(12);
    let mut tasks: Vec<Value> = labels.enumerate().map(task).collect();
    tasks.push(json!({
        "id": 99, "data": {"image": "/data/upload/7/none.bmp"},
        "annotations": [{"id": 99, "was_cancelled": true, "result": []}],
    }));
    let tasks = json!(tasks).to_string().into_bytes();
    Receiver::start(move |request: &Received| {
        if request.headers.get("authorization").map(String::as_str) != Some("Token abc123") {
            return (401, vec![]);
        }
        match request.path.strip_prefix("/data/upload/7/") {
            Some(file) => std::fs::read(folder.join(file)).map_or((404, vec![]), |bytes| (200, bytes)),
            None if request.path == "/api/projects/7/export?exportType=JSON" => (200, tasks.clone()),
            None => (404, vec![]),
        }
    })
}

#[test]
fn a_project_trains_a_model_and_gets_its_predictions() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let pictures = color_folders(sandbox.path("pictures"), 6);
    let studio = label_studio(&pictures);
    let flags = ["--label-studio-url", studio.url(), "--label-studio-token", "abc123", "--label-studio-base", "base"];
    let server = sandbox.serve(&flags);
    let post = |verb: &str, body: &Value| server.post_json(&format!("/label-studio/colors/{verb}"), body);

    let health = json(server.get("/label-studio/colors/health"));
    assert_eq!((&health["status"], &health["model_class"]), (&json!("UP"), &json!("graft")));
    let setup = json!({
        "project": "7.1764000000", "schema": CONFIG, "hostname": "http://evil.example", "access_token": "theirs",
        "extra_params": null,
    });
    assert_eq!(json(post("setup", &setup)), json!({"model_version": ""}), "nothing is trained yet");
    let task = |image: String| json!({"id": 1, "data": {"image": image}});
    let tasks = |tasks: Vec<Value>| {
        json!({
            "tasks": tasks, "model_version": null, "project": "7.1764000000", "label_config": CONFIG,
            "params": {"login": null, "password": null, "context": null},
        })
    };
    let path = "/data/upload/7/red/003.bmp".to_owned();
    let early = json(post("predict", &tasks(vec![task(path.clone())])));
    assert_eq!(early["results"][0]["result"], json!([]));

    let event = json!({"action": "START_TRAINING", "project": {"id": 7, "title": "Colors", "label_config": CONFIG}});
    let taken = post("webhook", &event);
    assert_eq!((taken.status().as_u16(), json(taken)), (201, json!({"status": "ok"})));
    let training = server.wait("a fine-tune is queued", || {
        let training = json(server.get("/label-studio/colors/health"))["training"].clone();
        (training["state"] != "importing").then_some(training)
    });
    assert_eq!(
        (&training["state"], &training["images"], &training["left_out"]),
        (&json!("submitted"), &json!(12), &json!(1)),
        "{training}"
    );
    let job = server.finished(training["job"].as_str().expect("a job"));
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(job["dataset"], json!({"kind": "stored", "name": "label-studio-7", "snapshot": 1}));

    let inline = format!("data:image/bmp;base64,{}", base64(&example("blue")));
    let elsewhere = "http://169.254.169.254/latest/meta-data".to_owned();
    let answer = json(post("predict", &tasks(vec![task(path), task(inline), task(elsewhere)])));
    let results = answer["results"].as_array().expect("results");
    let choice = |at: usize| &results[at]["result"][0]["value"]["choices"];
    assert_eq!((choice(0), choice(1)), (&json!(["red"]), &json!(["blue"])), "{answer}");
    assert_eq!((&results[0]["model_version"], &results[2]["result"]), (&json!("colors-1"), &json!([])));
    let result = &results[0]["result"][0];
    assert_eq!(
        (&result["from_name"], &result["to_name"], &result["type"]),
        (&json!("choice"), &json!("image"), &json!("choices"))
    );
    let created = json!({"action": "ANNOTATION_CREATED", "project": {"id": 7, "label_config": CONFIG}});
    assert_eq!(post("webhook", &created).status(), 201);
    assert_eq!(json(server.get("/finetune"))["data"].as_array().map(Vec::len), Some(1), "which trains nothing");
}
