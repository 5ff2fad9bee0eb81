//! What is checked before a fine-tune is accepted.

use super::*;

#[tokio::test]
async fn fine_tunes_are_checked_before_they_are_accepted() {
    let server = TestServer::new().await;
    let folder = server.folder.path().join("photos");
    let path = folder.to_str().unwrap();
    let body = |base: &str, path: &str| json!({"base_model": base, "dataset": {"kind": "folder", "path": path}, "name": "mine"});
    for (text, code) in
        [("{", Code::InvalidJson), ("[]", Code::InvalidBody), ("{\"base_model\": 3}", Code::InvalidBody)]
    {
        server.post("/finetune", "application/json", text).await.is(code);
    }
    server.post("/finetune", "text/plain", "{}").await.is(Code::UnsupportedMediaType);
    let mut misspelt = body("colors", path);
    misspelt["options"] = json!({"epoch": 3});
    assert!(server.post_json("/finetune", &misspelt).await.is(Code::InvalidBody).contains("unknown field `epoch`"));
    let mut wrong = body("colors", path);
    wrong["options"] = json!({"epochs": 0});
    assert!(server.post_json("/finetune", &wrong).await.is(Code::FinetuneRefused).contains("`epochs`"));
    assert!(server.post_json("/finetune", &body("no/name", path)).await.is(Code::InvalidBody).contains("no/name"));
    assert!(server.post_json("/finetune", &body("nope", path)).await.is(Code::FinetuneRefused).contains("`nope`"));
    assert!(server.post_json("/finetune", &body("colors", path)).await.is(Code::FinetuneRefused).contains(path));
    for class in ["a", "b"] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..3 {
            std::fs::write(folder.join(class).join(format!("{number}.bmp")), bmp(RED)).unwrap();
        }
        if class == "a" {
            let answer = server.post_json("/finetune", &body("colors", path)).await;
            assert!(answer.is(Code::FinetuneRefused).contains("1 folder(s) of pictures"));
        }
    }
    assert_eq!(server.get("/finetune").await.ok(), &json!({"data": [], "has_more": false}));

    // No image is read before the answer: a damaged one is the error of the job.
    std::fs::write(folder.join("b/1.bmp"), "no picture").unwrap();
    let answer = server.post_json("/finetune", &body("colors", path)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let job = answer.ok();
    assert_eq!((&job["state"], &job["attempt"]), (&json!("queued"), &json!(0)));
    // The server decodes a megapixel at most, and so does the job.
    let options = trainer::finetune::FinetuneOptions { max_megapixels: 1, ..Default::default() };
    assert_eq!(job["options"], json!(options));
    let address = answer.headers[header::LOCATION].to_str().unwrap();
    assert_eq!(address, format!("/finetune/{}", job["id"].as_str().unwrap()));
    assert_eq!(server.get(address).await.ok(), job);
    assert_eq!(server.get("/finetune?limit=1").await.ok(), &json!({"data": [job], "has_more": false}));
    assert_eq!(server.get(&format!("{address}/events")).await.ok(), &json!({"data": [], "has_more": false}));
    let cancel = format!("{address}/cancel");
    assert_eq!(server.post(&cancel, "text/plain", "").await.ok()["state"], "cancelled");
    assert!(server.post(&cancel, "text/plain", "").await.is(Code::JobFinished).contains("cancelled"));
}

#[tokio::test]
async fn a_compressed_tar_is_left_to_its_job() {
    let server = TestServer::new().await;
    let archive = server.folder.path().join("photos.tar.gz");
    std::fs::write(&archive, b"\x1f\x8bnot really").unwrap();
    let body = json!({"base_model": "colors", "dataset": {"kind": "folder", "path": archive}, "name": "mine"});
    assert_eq!(server.post_json("/finetune", &body).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn weights_of_classes_that_there_are_not_are_refused_with_the_nearest_name() {
    let server = TestServer::new().await;
    let folder = server.folder.path().join("photos");
    for class in ["rose", "tulip"] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..3 {
            std::fs::write(folder.join(class).join(format!("{number}.bmp")), bmp(RED)).unwrap();
        }
    }
    let body = |weights: serde_json::Value| {
        let options = json!({"class_weights": weights});
        json!({"base_model": "colors", "dataset": {"kind": "folder", "path": folder}, "name": "mine", "options": options})
    };
    for address in ["/finetune", "/finetune/plan"] {
        for (name, advice) in [("tulips", "; did you mean `tulip`?"), ("sunflower", "")] {
            let answer = server.post_json(address, &body(json!({"rose": 2, name: 3}))).await;
            let expected = format!("`class_weights` names `{name}`, which is no class of these images{advice}");
            assert_eq!(answer.is(Code::FinetuneRefused), expected, "{address}");
        }
    }
    let accepted = server.post_json("/finetune", &body(json!({"rose": 2, "tulip": 3}))).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
}
