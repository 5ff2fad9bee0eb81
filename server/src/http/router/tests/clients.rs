//! The addresses of other services: requests as their clients send them, byte for byte, and the answers that those read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::access::{NewKey, Role};

/// `softmax` of the means of the channels as shares of 255, computed by Python for 250, 10, 20.
const RED_SCORES: [f64; 3] = [0.556_810_9, 0.217_250_1, 0.225_939];
/// A softmax in f32 and the same in f64, rounded to seven digits.
const TOLERANCE: f64 = 2e-6;

fn encoded(color: [u8; 3]) -> String {
    STANDARD.encode(bmp(color))
}

#[track_caller]
fn assert_scores(found: &Value, expected: [f64; 3]) {
    let found: Vec<f64> = found.as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
    assert!(found.len() == 3 && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= TOLERANCE), "{found:?}");
}

#[track_caller]
fn assert_refused(answer: &TestResponse, status: u16, body: &Value) {
    assert_eq!((answer.status.as_u16(), &answer.body), (status, body));
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
}

#[tokio::test]
async fn custom_vision_answers_a_published_iteration() {
    let server = TestServer::new().await;
    let address = "/customvision/v3.1/prediction/1ea5e1b4-3b0f-4a34-9c34-5f0a7d3e6b21/classify/iterations/colors/image";
    let octets = server.post(address, "application/octet-stream", bmp(RED)).await;
    let form = server.post_form(&format!("{address}/nostore"), &[("imageData", "a.bmp", &bmp(RED))]).await;
    let other =
        server.post(&address.replace("/prediction/", "/Prediction/"), "application/octet-stream", bmp(RED)).await;
    for answer in [&octets, &form, &other] {
        let body = answer.ok();
        assert_eq!(body["project"], "1ea5e1b4-3b0f-4a34-9c34-5f0a7d3e6b21");
        assert_eq!(body["id"], answer.headers["x-request-id"].to_str().unwrap());
        let predictions = body["predictions"].as_array().unwrap();
        let names: Vec<&str> = predictions.iter().map(|tag| tag["tagName"].as_str().unwrap()).collect();
        assert_eq!(names, ["red", "blue", "green"], "all tags, best first");
        let of_best = predictions[0]["probability"].as_f64().unwrap();
        assert!((of_best - RED_SCORES[0]).abs() <= TOLERANCE);
        for id in [&predictions[0]["tagId"], &body["iteration"]] {
            assert_eq!(id.as_str().unwrap().parse::<uuid::Uuid>().unwrap().get_version_num(), 5);
        }
        assert!(body["created"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!(octets.body["predictions"][0]["tagId"], form.body["predictions"][0]["tagId"], "ids stay the same");

    let broken = server.post(address, "application/octet-stream", "text").await;
    assert_eq!((broken.status.as_u16(), &broken.body["code"]), (400, &json!("BadRequestImageFormat")));
    let url = server.post_json(&address.replace("/image", "/url"), &json!({"url": "http://example.com/a.jpg"})).await;
    assert_eq!((url.status.as_u16(), &url.body["code"]), (400, &json!("BadRequestImageUrl")));
    let unknown = server.post(&address.replace("/colors/", "/nope/"), "application/octet-stream", bmp(RED)).await;
    assert_eq!((unknown.status.as_u16(), &unknown.body["code"]), (404, &json!("NotFoundIteration")));
}

#[tokio::test]
async fn hugging_face_takes_bytes_or_base64_with_parameters() {
    let server = TestServer::new().await;
    let labels = |body: &Value| -> Vec<String> {
        body.as_array().unwrap().iter().map(|class| class["label"].as_str().unwrap().to_owned()).collect()
    };
    let bytes = server.post("/hf/colors", "image/bmp", bmp(RED)).await;
    assert_eq!(labels(bytes.ok()), ["red", "blue", "green"]);
    let body = json!({"inputs": encoded(RED), "parameters": {"top_k": 2, "function_to_apply": "none"}});
    let logits = server.post_json("/hf/colors", &body).await;
    assert_eq!(labels(logits.ok()), ["red", "blue"]);
    // 250 / 255 and 20 / 255.
    for (class, expected) in logits.body.as_array().unwrap().iter().zip([250.0 / 255.0, 20.0 / 255.0]) {
        assert!((class["score"].as_f64().unwrap() - expected).abs() <= TOLERANCE, "{class}");
        assert_eq!(class.as_object().unwrap().len(), 2, "the JavaScript client wants label and score: {class}");
    }
    let sigmoid = json!({"inputs": encoded(RED), "parameters": {"function_to_apply": "sigmoid", "top_k": 1}});
    let score = server.post_json("/hf/colors", &sigmoid).await.ok()[0]["score"].as_f64().unwrap();
    // 1 / (1 + exp(-250 / 255)).
    assert!((score - 0.727_186_0).abs() <= TOLERANCE, "{score}");

    let refused = server.post_json("/hf/colors", &json!({"inputs": "not base64"})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.body["error"].as_str().unwrap().starts_with("inputs: it is not base64"), "{}", refused.body);
    let zero = server.post_json("/hf/colors", &json!({"inputs": encoded(RED), "parameters": {"top_k": 0}})).await;
    assert_refused(&zero, 400, &json!({"error": "top_k: 0 classes are no answer; send 1 or more"}));
}

#[tokio::test]
async fn sagemaker_invokes_the_default_model_or_the_endpoints() {
    let server = TestServer::new().await;
    server.get("/ping").await.ok();
    for (address, content_type) in
        [("/invocations", "application/x-image"), ("/endpoints/colors/invocations", "application/octet-stream")]
    {
        let answer = server.post(address, content_type, bmp(RED)).await;
        let body = answer.ok();
        assert_scores(&body["probabilities"], RED_SCORES);
        assert_eq!((&body["labels"], &body["predicted_label"]), (&json!(["red", "green", "blue"]), &json!("red")));
    }
    let targeted = |model: &str| {
        let request = Request::post("/endpoints/any/invocations").header("x-amzn-sagemaker-target-model", model);
        server.send(request.header(header::CONTENT_TYPE, "image/bmp").body(Body::from(bmp(GREEN))).unwrap())
    };
    assert_eq!(targeted("colors").await.ok()["predicted_label"], "green");
    let unknown = targeted("nope").await;
    assert_refused(&unknown, 404, &json!({"error": "there is no model `nope`; there are colors"}));
}

#[tokio::test]
async fn vertex_ai_answers_instances() {
    let server = TestServer::new().await;
    let body = json!({
        "instances": [{"content": encoded(RED)}, {"b64": encoded(GREEN)}],
        "parameters": {"confidenceThreshold": 0.22, "maxPredictions": 2},
    });
    for address in [
        "/v1/projects/p/locations/us-central1/endpoints/colors:predict",
        "/v1/endpoints/7365738345634201600/deployedModels/2991835172301144064:predict",
    ] {
        let answer = server.post_json(address, &body).await;
        let predictions = &answer.ok()["predictions"];
        assert_eq!(predictions[0]["displayNames"], json!(["red", "blue"]), "green is below the threshold");
        assert_eq!((&predictions[0]["ids"], &predictions[1]["ids"]), (&json!(["0", "2"]), &json!(["1", "2"])));
        let confidence = predictions[0]["confidences"][0].as_f64().unwrap();
        assert!((confidence - RED_SCORES[0]).abs() <= TOLERANCE);
        assert_eq!((&answer.body["deployedModelId"], &answer.body["modelVersionId"]), (&json!("colors"), &json!("1")));
    }
    server.get("/v1/endpoints/1/deployedModels/2").await.ok();
    let address = "/v1/projects/p/locations/l/endpoints/colors";
    let refused = server.post_json(&format!("{address}:predict"), &json!({"instances": [{"content": "?"}]})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let error = &refused.body["error"];
    assert_eq!((&error["code"], &error["status"]), (&json!(400), &json!("INVALID_ARGUMENT")));
    assert!(error["message"].as_str().unwrap().starts_with("instances[0].content: it is not base64"), "{error}");
    let explain = server.post_json(&format!("{address}:explain"), &body).await;
    assert_eq!((explain.status.as_u16(), &explain.body["error"]["status"]), (404, &json!("NOT_FOUND")));
}

#[tokio::test]
async fn tensorflow_serving_predicts_and_classifies() {
    let server = TestServer::new().await;
    let image = json!({"b64": encoded(RED)});
    for address in ["/v1/models/colors:predict", "/v1/models/colors/versions/1:predict"] {
        // What the documentation's `curl -d` sends.
        let body = json!({"instances": [image]}).to_string();
        let answer = server.post(address, "application/x-www-form-urlencoded", body).await;
        assert_scores(&answer.ok()["predictions"][0], RED_SCORES);
        assert!(answer.body.get("outputs").is_none());
    }
    let columns = server.post_json("/v1/models/colors:predict", &json!({"inputs": {"image_bytes": [image]}})).await;
    assert_scores(&columns.ok()["outputs"][0], RED_SCORES);
    let classes = server.post_json("/v1/models/colors:classify", &json!({"examples": [{"image": image}]})).await;
    let first = &classes.ok()["result"][0];
    assert_eq!((&first[0][0], &first[1][0], &first[2][0]), (&json!("red"), &json!("blue"), &json!("green")));

    let status = server.get("/v1/models/colors").await;
    let version = json!({"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}});
    assert_eq!(status.ok(), &json!({"model_version_status": [version]}));
    assert_eq!(server.get("/v1/models/colors/versions/1").await.ok(), status.ok());
    let metadata = server.get("/v1/models/colors/metadata").await;
    let signature = &metadata.ok()["metadata"]["signature_def"]["signature_def"]["serving_default"];
    assert_eq!(signature["inputs"]["image_bytes"]["dtype"], "DT_STRING");
    assert_eq!(signature["outputs"]["scores"]["tensor_shape"]["dim"][1]["size"], "3");
    assert_eq!(metadata.body["model_spec"]["version"], "1");
    server.get("/v1/models/colors/versions/1/metadata").await.ok();

    for (address, status) in [
        ("/v1/models/nope:predict", 404),
        ("/v1/models/colors/versions/9:predict", 404),
        ("/v1/models/colors:regress", 404),
        ("/v1/models/bones:predict", 400),
    ] {
        let answer = server.post_json(address, &json!({"instances": [image]})).await;
        assert_eq!(answer.status.as_u16(), status, "{address}: {}", answer.body);
        assert_eq!(answer.body.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"], "{address}");
    }
    let two = json!({"instances": [image, {"b64": "aGVsbG8="}]});
    let refused = server.post_json("/v1/models/colors:predict", &two).await;
    assert!(refused.body["error"].as_str().unwrap().starts_with("image 2 of 2: not an image"), "{}", refused.body);
}

#[tokio::test]
async fn torchserve_predicts_from_a_body_or_a_form() {
    let server = TestServer::new().await;
    assert_eq!(server.get("/ping").await.ok(), &json!({"status": "Healthy"}));
    let raw = server.post("/predictions/colors", "image/bmp", bmp(RED)).await;
    let form = server.post_form("/predictions/colors/1", &[("data", "a.bmp", &bmp(RED))]).await;
    let put = Request::put("/predictions/colors").body(Body::from(bmp(RED))).unwrap();
    for answer in [raw, form, server.send(put).await] {
        let classes = answer.ok().as_object().unwrap().clone();
        assert_eq!(classes.len(), 3);
        assert!((classes["red"].as_f64().unwrap() - RED_SCORES[0]).abs() <= TOLERANCE, "{classes:?}");
    }
    let unknown = server.post("/predictions/nope", "image/bmp", bmp(RED)).await;
    let message = "there is no model `nope`; there are colors";
    assert_refused(&unknown, 404, &json!({"code": 404, "type": "ModelNotFoundException", "message": message}));
    let other = server.post("/predictions/colors/7", "image/bmp", bmp(RED)).await;
    assert_eq!((other.status.as_u16(), &other.body["type"]), (404, &json!("ModelVersionNotFoundException")));
    let part = server.post_form("/predictions/colors", &[("picture", "a.bmp", &bmp(RED))]).await;
    assert!(part.body["message"].as_str().unwrap().contains("a part named `data`"), "{}", part.body);
}

#[tokio::test]
async fn a_key_is_sent_as_each_client_can() {
    let NewKey { secret: key, key: entry } = NewKey::generate("camera", vec![Role::Infer]).unwrap();
    let access = AccessArgs { key: vec![entry.to_string()], ..AccessArgs::default() };
    let server = TestServer::with_access(access).await;
    let vision = "/customvision/v3.1/prediction/0/classify/iterations/colors/image";
    let signature = format!("AWS4-HMAC-SHA256 Credential={key}/20261130/us-east-1/sagemaker/aws4_request, Signature=0");
    for (address, name, value) in [
        (vision, "prediction-key", key.clone()),
        ("/endpoints/colors/invocations", "authorization", signature),
        ("/hf/colors", "authorization", format!("Bearer {key}")),
        ("/predictions/colors", "x-api-key", key.clone()),
    ] {
        let request = |value: Option<&str>| {
            let builder = Request::post(address);
            let builder = value.iter().fold(builder, |builder, value| builder.header(name, *value));
            builder.header(header::CONTENT_TYPE, "image/bmp").body(Body::from(bmp(RED))).unwrap()
        };
        server.send(request(Some(&value))).await.ok();
        assert_eq!(server.send(request(None)).await.status, StatusCode::UNAUTHORIZED, "{address}");
    }
    server.get("/ping").await.ok();
    server.get("/v2/health/ready").await.ok();
    assert_eq!(server.get("/v2/models/colors").await.status, StatusCode::UNAUTHORIZED);
}
