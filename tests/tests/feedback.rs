//! Classified images that are kept, and what people say that they show.

use serde_json::{Value, json};
use tests::images::{base_model, color_folders, example, plain, tiny_base_model, write};
use tests::server::{Request, Sandbox, Server, json, text};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    sandbox
}

fn classify(server: &Server, color: &str) -> Value {
    json(server.post("/classify/bytes?keep=true", "image/bmp", example(color)))
}

fn inbox(server: &Server) -> Vec<Value> {
    json(server.get("/inbox"))["data"].as_array().expect("a list").clone()
}

fn say(server: &Server, answer: &Value, label: &str) -> (u16, Value) {
    let answer = server.post_json("/feedback", &json!({"request_id": answer["request_id"], "label": label}));
    (answer.status().as_u16(), json(answer))
}

#[test]
fn what_somebody_says_of_a_classified_image_is_in_the_next_snapshot() {
    let sandbox = sandbox();
    let server = sandbox.serve(&["--collect", "corrected"]);
    let plain = json(server.post("/classify/bytes", "image/bmp", example("red")));
    assert_eq!((plain["results"][0].get("kept"), inbox(&server).len()), (None, 0), "nothing is kept that need not be");

    let form = [("a.bmp", example("red")), ("b.bmp", example("blue"))];
    let both = json(server.post_images("/classify?keep=true", &form));
    assert_eq!([&both["results"][0]["kept"], &both["results"][1]["kept"]], [&json!(true), &json!(true)]);
    let waiting = inbox(&server);
    assert_eq!(waiting.len(), 2);
    assert_eq!((&waiting[1]["request_id"], &waiting[1]["image"]), (&both["request_id"], &json!(1)));
    assert_eq!((&waiting[1]["file_name"], &waiting[1]["model"]), (&json!("b.bmp"), &json!("base")));
    let bytes = server.get(&format!("/inbox/{}", waiting[1]["id"])).bytes().expect("bytes");
    assert_eq!(bytes, example("blue"));
    // As after kill -9: what was answered as kept is there.
    server.kill();

    let server = sandbox.serve(&["--collect", "corrected"]);
    assert_eq!(inbox(&server), waiting);
    assert_eq!(json(server.get("/inbox"))["dataset"], "corrected");
    let word = json!({"request_id": both["request_id"], "image": 1, "label": "sky"});
    let taken = json(server.post_json("/feedback", &word));
    assert_eq!((&taken["dataset"], &taken["label"]), (&json!("corrected"), &json!("sky")), "{taken}");
    assert_eq!(inbox(&server).len(), 1);
    assert_eq!(server.post_json("/feedback", &word).status(), 404, "it has been said");
    let snapshot = json(server.post_json("/datasets/corrected/snapshots", &json!({})));
    assert_eq!(snapshot["classes"], json!([{"label": "sky", "images": 1}]));

    let again = classify(&server, "blue");
    let (status, problem) = say(&server, &again, "sea");
    assert_eq!((status, &problem["code"]), (409, &json!("image_labeled_otherwise")), "{problem}");
    let id = inbox(&server)[0]["id"].clone();
    let path = format!("/inbox/{id}");
    let delete =
        || server.request(Request { method: "DELETE", path: &path, headers: &[], body: vec![] }).status().as_u16();
    assert_eq!([delete(), delete()], [204, 404]);
}

#[test]
fn the_policy_and_the_bounds_decide_what_is_kept() {
    let sandbox = sandbox();
    let server = sandbox.serve(&[]);
    let refused = server.post("/classify/bytes?keep=true", "image/bmp", example("red"));
    assert_eq!((refused.status().as_u16(), &json(refused)["code"]), (422, &json!("collection_off")));
    drop(server);

    let server = sandbox.serve(&["--collect", "corrected", "--max-inbox-images", "2"]);
    for color in ["red", "green", "blue"] {
        assert_eq!(classify(&server, color)["results"][0]["kept"], true);
    }
    assert_eq!(inbox(&server).len(), 2, "the oldest has made room");
    drop(server);

    let server = sandbox.serve(&["--collect", "corrected", "--collect-policy", "sampled:0"]);
    let answer = classify(&server, "red");
    assert_eq!(answer["results"][0].get("kept"), None, "{answer}");
    drop(server);

    // The only classifier is sure of nothing: ten classes with random weights.
    let server = sandbox.serve(&["--collect", "corrected", "--collect-policy", "uncertain"]);
    let answer = classify(&server, "red");
    let sure = answer["results"][0]["predictions"][0]["score"].as_f64().expect("a score") >= 0.7;
    assert_eq!(answer["results"][0]["kept"] == true, !sure, "{answer}");
}

#[test]
fn an_answer_that_the_model_doubts_is_kept_however_high_its_score() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = color_folders(sandbox.path("pictures"), 12);
    let _output = sandbox.succeed(&["finetune", "--base", "base", "--data", text(&data), "--name", "colors"]);
    let server = sandbox.serve(&["--collect", "corrected", "--collect-policy", "uncertain"]);
    // From one color to the next: somewhere between, the model begins to doubt, and its scores are high for long.
    let shades = (0..=16_u8).flat_map(|step| {
        let (up, down) = (15 * step, 15 * (16 - step));
        [[up, down, 0], [0, up, down], [down, 0, up], [up, up, up]]
    });
    let (mut doubted, mut sure) = (0, 0);
    for shade in shades {
        let answer = json(server.post("/classify/bytes?model=colors&keep=true", "image/bmp", plain(shade)));
        let result = &answer["results"][0];
        let is_high = result["predictions"][0]["score"].as_f64().expect("a score") >= 0.7;
        let is_doubted = result["uncertain"].is_string();
        assert_eq!(result["kept"] == true, is_doubted || !is_high, "{shade:?} {answer}");
        doubted += usize::from(is_doubted && is_high);
        sure += usize::from(!is_doubted && is_high);
    }
    assert!(doubted > 0 && sure > 0, "{doubted} doubted and {sure} sure answers of high scores");
}

#[test]
fn images_move_between_subsets_by_http_and_by_command() {
    let sandbox = sandbox();
    let data = color_folders(sandbox.path("pictures"), 4);
    let _output = sandbox.succeed(&["data", "add", "colors", text(&data)]);
    let server = sandbox.serve(&[]);
    let images = json(server.get("/datasets/colors/images?label=red"))["data"].as_array().expect("images").clone();
    let ids: Vec<&Value> = images.iter().map(|image| &image["id"]).collect();
    let moved = json(server.post_json("/datasets/colors/move", &json!({"images": ids[..2], "subset": "test"})));
    assert!(
        moved["data"].as_array().is_some_and(|moved| moved.iter().all(|image| image["subset"] == "test")),
        "{moved}"
    );
    let missing = json!({"images": [ids[2], "0".repeat(64)], "subset": "test"});
    assert_eq!(server.post_json("/datasets/colors/move", &missing).status(), 404);
    let third = json(server.get(&format!("/datasets/colors/images?label=red&after={}", images[1]["seq"])));
    assert_eq!(third["data"][0].get("subset"), None, "all of them or none");

    let said = sandbox.succeed(&["data", "move", "colors", "--label", "blue", "--to", "train"]);
    assert!(said.contains("4 images are in `train` now"), "{said}");
    let file = data.join("green/000.bmp");
    let said = sandbox.succeed(&["data", "move", "colors", text(&file), "--to", "test"]);
    assert!(said.contains("1 images are in `test` now"), "{said}");
    let refused = sandbox.fail(&["data", "move", "colors", "nothing.bmp", "--to", "test"]);
    assert!(refused.contains("`nothing.bmp` is no id"), "{refused}");

    let first = format!("/datasets/colors/images/{}", ids[0].as_str().expect("an id"));
    let headers = [("content-type", "application/json".to_owned())];
    let body = json!({"subset": "none"}).to_string().into_bytes();
    let patched = json(server.request(Request { method: "PATCH", path: &first, headers: &headers, body }));
    assert_eq!((patched.get("subset"), &patched["label"]), (None, &json!("red")));
    let export = sandbox.path("colors.zip");
    let _output = sandbox.succeed(&["data", "export", "colors", "--out", text(&export)]);
    let checked = sandbox.succeed(&["data", "check", text(&export)]);
    assert!(checked.contains("(the data set gives"), "{checked}");
}
