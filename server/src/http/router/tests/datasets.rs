//! Stored data sets.

use std::io::Read;

use ::models::preprocess::test_card;
use zip::ZipArchive;

use super::*;

impl TestServer {
    /// A server with an empty data set.
    pub(super) async fn with_flowers() -> Self {
        let server = Self::new().await;
        server.post_json("/datasets", &json!({"name": "flowers"})).await.ok();
        server
    }

    /// Images with their labels.
    pub(super) async fn add(&self, images: &[(&str, &str, Vec<u8>)]) -> TestResponse {
        let labels = images.iter().map(|(label, ..)| ("label", "", label.as_bytes()));
        let files = images.iter().map(|(_, name, bytes)| ("image", *name, bytes.as_slice()));
        let parts: Vec<(&str, &str, &[u8])> = files.chain(labels).collect();
        self.post_form("/datasets/flowers/images", &parts).await
    }

    pub(super) async fn raw(&self, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, Vec<u8>) {
        let (parts, body) = router(self.state.clone()).oneshot(request).await.unwrap().into_parts();
        (parts.status, parts.headers, to_bytes(body, usize::MAX).await.unwrap().to_vec())
    }

    pub(super) async fn change(&self, method: Method, address: &str, body: &Value) -> TestResponse {
        let request = Request::builder().method(method).uri(address).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(super) async fn delete(&self, address: &str) -> TestResponse {
        self.send(Request::delete(address).body(Body::empty()).unwrap()).await
    }
}

pub(super) fn card(seed: u64) -> Vec<u8> {
    test_card(seed, 12, 8)
}

fn id(seed: u64) -> String {
    trainer::data::Checksum::of(&card(seed)).to_string()
}

#[tokio::test]
async fn a_data_set_is_made_described_and_deleted() {
    let server = TestServer::new().await;
    let made = server.post_json("/datasets", &json!({"name": "flowers"})).await;
    assert_eq!(
        (made.status, &made.headers[header::LOCATION]),
        (StatusCode::CREATED, &"/datasets/flowers".parse().unwrap())
    );
    assert_eq!((&made.body["name"], &made.body["images"]), (&json!("flowers"), &json!(0)));
    server.post_json("/datasets", &json!({"name": "flowers"})).await.is(Code::DatasetExists);
    for name in ["", "../x", ".hidden", "a b"] {
        let detail = server.post_json("/datasets", &json!({"name": name})).await.is(Code::InvalidBody).to_owned();
        assert!(detail.contains("is not a name of a data set"), "{detail}");
    }
    let list = server.get("/datasets").await.ok().clone();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    let detail = server.get("/datasets/flowers").await.ok().clone();
    assert_eq!((&detail["classes"], &detail["snapshots"]), (&json!([]), &json!([])));
    assert_eq!(server.delete("/datasets/flowers").await.status, StatusCode::NO_CONTENT);
    for address in
        ["/datasets/flowers", "/datasets/flowers/images", "/datasets/flowers/archive", "/datasets/..%2f..%2fetc"]
    {
        server.get(address).await.is(Code::DatasetNotFound);
    }
    server.delete("/datasets/flowers").await.is(Code::DatasetNotFound);
}

#[tokio::test]
async fn images_are_added_by_form_and_what_is_no_image_is_refused_by_name() {
    let server = TestServer::with_flowers().await;
    let files = [("rose", "a.png", card(0)), ("tulip", "b.png", b"text".to_vec()), ("tulip", "c.png", card(1))];
    let results = server.add(&files).await.ok()["results"].as_array().unwrap().clone();
    assert_eq!(results[0], json!({"file_name": "a.png", "id": id(0), "state": "added"}));
    assert_eq!((&results[1]["file_name"], &results[1]["problem"]["code"]), (&json!("b.png"), &json!("not_an_image")));
    assert_eq!(results[2]["id"], id(1));
    // One label for all, and the same once more.
    let (again, third) = (card(0), card(2));
    let parts: [(&str, &str, &[u8]); 3] = [("label", "", b"rose"), ("image", "a.png", &again), ("image", "", &third)];
    let results = server.post_form("/datasets/flowers/images", &parts).await.ok()["results"].clone();
    assert_eq!((&results[0]["state"], &results[1]["state"]), (&json!("present"), &json!("added")));
    let detail = server.get("/datasets/flowers").await.ok().clone();
    assert_eq!(detail["classes"], json!([{"label": "rose", "images": 2}, {"label": "tulip", "images": 1}]));
    assert_eq!(detail["bytes"], json!((0..3).map(|seed| card(seed).len()).sum::<usize>()));
}

#[tokio::test]
async fn a_form_that_says_too_little_or_nothing_of_use_is_refused() {
    let server = TestServer::with_flowers().await;
    let address = "/datasets/flowers/images";
    let picture = card(0);
    let form = async |parts: &[(&str, &str, &[u8])]| server.post_form(address, parts).await;
    let detail = form(&[("image", "a", &picture)]).await.is(Code::InvalidMultipart).to_owned();
    assert!(detail.contains("1 parts named `image` and 0 named `label`"), "{detail}");
    form(&[("label", "", b"rose")]).await.is(Code::ImageMissing);
    let detail = form(&[("image", "a", &picture), ("labels", "", b"rose")]).await.is(Code::InvalidMultipart).to_owned();
    assert_eq!(detail, "there is a part named `labels`; only `image` and `label` are taken");
    form(&[("image", "a", &picture), ("label", "", b"../rose")]).await.is(Code::InvalidLabel);
    server.add(&[("rose", "a", b"text".to_vec())]).await.is(Code::NotAnImage);
    server.add(&[("rose", "a", vec![])]).await.is(Code::ImageEmpty);
    server.add(&[("rose", "a", card(0)[..60].to_vec())]).await.is(Code::ImageTruncated);
    server.add(&vec![("rose", "a", card(0)); 6]).await.is(Code::TooManyImages);
    server.post(address, "image/png", picture).await.is(Code::UnsupportedMediaType);
    server.add(&[("rose", "a", card(0))]).await.ok();
    let detail = server.add(&[("tulip", "a", card(0))]).await.is(Code::ImageLabeledOtherwise).to_owned();
    assert!(detail.contains("with the label `rose`"), "{detail}");
    let four: Vec<_> = (1..5).map(|seed| ("rose", "a", card(seed))).collect();
    server.add(&four).await.ok();
    let more: Vec<_> = (5..7).map(|seed| ("rose", "a", card(seed))).collect();
    assert!(server.add(&more).await.is(Code::DatasetLimit).contains("--max-dataset-images"));
    assert_eq!(server.get("/datasets/flowers").await.ok()["images"], 5);
}

#[tokio::test]
async fn images_are_listed_shown_relabeled_and_removed() {
    let server = TestServer::with_flowers().await;
    server.add(&[("rose", "a.png", card(0)), ("rose", "", card(1)), ("tulip", "c.png", card(2))]).await.ok();
    let page = server.get("/datasets/flowers/images?limit=2").await.ok().clone();
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (2, &json!(true)));
    let first = &page["data"][0];
    assert_eq!((&first["id"], &first["label"], &first["file_name"]), (&json!(id(0)), &json!("rose"), &json!("a.png")));
    assert_eq!((&first["width"], &first["height"], page["data"][1].get("file_name")), (&json!(12), &json!(8), None));
    let next = server.get(&format!("/datasets/flowers/images?after={}", page["data"][1]["seq"])).await.ok().clone();
    assert_eq!((&next["data"][0]["id"], &next["has_more"]), (&json!(id(2)), &json!(false)));
    let tulips = server.get("/datasets/flowers/images?label=tulip").await.ok().clone();
    assert_eq!(tulips["data"].as_array().unwrap().len(), 1);
    server.get("/datasets/flowers/images?limit=0").await.is(Code::InvalidParameter);
    server.get("/datasets/flowers/images?after=-1").await.is(Code::InvalidParameter);

    let address = format!("/datasets/flowers/images/{}", id(0));
    let get = |address: &str| Request::get(address).body(Body::empty()).unwrap();
    let (_, headers, bytes) = server.raw(get(&address)).await;
    assert_eq!((&headers[header::CONTENT_TYPE], bytes), (&"image/png".parse().unwrap(), card(0)));
    for _ in 0..2 {
        let (_, headers, bytes) = server.raw(get(&format!("{address}/thumbnail"))).await;
        assert_eq!(headers[header::CONTENT_TYPE], "image/jpeg");
        let info = ::models::preprocess::probe(&bytes, &Limits::default()).unwrap();
        assert_eq!((info.width, info.height), (12, 8));
    }
    let changed = server.change(Method::PATCH, &address, &json!({"label": "tulip"})).await;
    assert_eq!((&changed.ok()["label"], &changed.body["id"]), (&json!("tulip"), &json!(id(0))));
    server.change(Method::PATCH, &address, &json!({"label": "a/../b"})).await.is(Code::InvalidLabel);
    server.change(Method::PATCH, &address, &json!({"labels": "a"})).await.is(Code::InvalidBody);
    assert_eq!(server.delete(&address).await.status, StatusCode::NO_CONTENT);
    for id in [id(0), id(9), "x".to_owned(), "../../x".replace('/', "%2f")] {
        let address = format!("/datasets/flowers/images/{id}");
        server.get(&address).await.is(Code::ImageNotFound);
        server.get(&format!("{address}/thumbnail")).await.is(Code::ImageNotFound);
        server.change(Method::PATCH, &address, &json!({"label": "a"})).await.is(Code::ImageNotFound);
        server.delete(&address).await.is(Code::ImageNotFound);
    }
    let detail = server.get("/datasets/flowers").await.ok().clone();
    assert_eq!(detail["classes"], json!([{"label": "rose", "images": 1}, {"label": "tulip", "images": 1}]));
}

#[tokio::test]
async fn many_images_are_moved_and_removed_at_once_or_none_of_them() {
    let server = TestServer::with_flowers().await;
    server.add(&[("rose", "a.png", card(0)), ("rose", "b.png", card(1)), ("tulip", "c.png", card(2))]).await.ok();
    let classes = async || server.get("/datasets/flowers").await.ok()["classes"].clone();
    let post = async |what: &str, body: Value| server.post_json(&format!("/datasets/flowers/{what}"), &body).await;

    let both = json!({"images": [id(0), id(1)], "label": "tulip", "subset": "test"});
    let moved = post("move", both).await.ok()["data"].clone();
    assert_eq!(
        (&moved[1]["id"], &moved[1]["label"], &moved[1]["subset"]),
        (&json!(id(1)), &json!("tulip"), &json!("test"))
    );
    assert_eq!(classes().await, json!([{"label": "tulip", "images": 3}]));
    // The one that is not there keeps the others where they are.
    post("move", json!({"images": [id(0), id(9)], "label": "rose"})).await.is(Code::ImageNotFound);
    post("remove", json!({"images": [id(0), id(9)]})).await.is(Code::ImageNotFound);
    assert_eq!(classes().await, json!([{"label": "tulip", "images": 3}]));
    post("move", json!({"images": [id(0)]})).await.is(Code::InvalidBody);
    post("move", json!({"images": [id(0)], "label": "a/../b"})).await.is(Code::InvalidLabel);

    // Snapshots keep what is removed. An image that is named twice is removed once.
    server.post_json("/datasets/flowers/snapshots", &json!({})).await.ok();
    assert_eq!(post("remove", json!({"images": [id(0), id(0), id(2)]})).await.status, StatusCode::NO_CONTENT);
    let detail = server.get("/datasets/flowers").await.ok().clone();
    assert_eq!((&detail["images"], &detail["bytes"]), (&json!(1), &json!(card(1).len())));
    assert_eq!(server.get("/datasets/flowers/snapshots/1").await.ok()["images"], 3);
}

#[tokio::test]
async fn an_archive_has_the_images_of_now_or_of_a_snapshot() {
    let server = TestServer::with_flowers().await;
    server.add(&[("rose", "a.png", card(0)), ("tulip", "b.png", card(1))]).await.ok();
    let snapshot = server.post_json("/datasets/flowers/snapshots", &json!({})).await;
    assert_eq!((&snapshot.ok()["number"], &snapshot.body["images"]), (&json!(1), &json!(2)));
    assert_eq!(snapshot.headers[header::LOCATION], "/datasets/flowers/snapshots/1");
    assert_eq!(server.get("/datasets/flowers/snapshots/1").await.ok(), &snapshot.body);
    server.get("/datasets/flowers/snapshots/2").await.is(Code::SnapshotNotFound);
    server.get("/datasets/flowers/archive?snapshot=2").await.is(Code::SnapshotNotFound);
    server.delete(&format!("/datasets/flowers/images/{}", id(0))).await;
    let members = async |address: &str| {
        let (status, headers, zip) = server.raw(Request::get(address).body(Body::empty()).unwrap()).await;
        assert_eq!((status, &headers[header::CONTENT_TYPE]), (StatusCode::OK, &"application/zip".parse().unwrap()));
        let mut archive = ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
        let count = archive.len();
        let member = |index| {
            let mut member = archive.by_index(index).unwrap();
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).unwrap();
            (member.name().unwrap().into_owned(), bytes)
        };
        (0..count).map(member).collect::<Vec<_>>()
    };
    let tulip = ("tulip/b.png".to_owned(), card(1));
    assert_eq!(members("/datasets/flowers/archive").await, std::slice::from_ref(&tulip));
    assert_eq!(members("/datasets/flowers/archive?snapshot=1").await, [("rose/a.png".to_owned(), card(0)), tulip]);
}

#[tokio::test]
async fn a_fine_tune_pins_a_snapshot_and_its_data_set_is_not_deleted_meanwhile() {
    let server = TestServer::with_flowers().await;
    let images: Vec<_> =
        (0..6).map(|seed| (if seed % 2 == 0 { "rose" } else { "tulip" }, "a.png", card(seed))).collect();
    for some in images.chunks(3) {
        server.add(some).await.ok();
    }
    let stored = json!({"kind": "stored", "name": "flowers"});
    let request = json!({"base_model": "bones", "dataset": stored, "name": "new"});
    let job = server.post_json("/finetune", &request).await.ok().clone();
    assert_eq!(job["dataset"], json!({"kind": "stored", "name": "flowers", "snapshot": 1}));
    server.delete(&format!("/datasets/flowers/images/{}", id(0))).await;
    assert!(server.delete("/datasets/flowers").await.is(Code::DatasetInUse).contains(job["id"].as_str().unwrap()));
    server.post_json(&format!("/finetune/{}/cancel", job["id"].as_str().unwrap()), &json!({})).await.ok();
    let images = server.get("/datasets/flowers/snapshots/1").await.ok()["images"].clone();
    assert_eq!(images, 6, "whatever has become of the data set");

    // The data set of now has too few images, and the snapshot enough.
    let detail = server.post_json("/finetune", &request).await.is(Code::FinetuneRefused).to_owned();
    assert!(detail.contains("class `rose` (2)"), "{detail}");
    let pinned = json!({"kind": "stored", "name": "flowers", "snapshot": 1});
    let request = json!({"base_model": "bones", "dataset": pinned, "name": "new"});
    let job = server.post_json("/finetune", &request).await.ok().clone();
    assert_eq!(job["dataset"], pinned);
    server.post_json(&format!("/finetune/{}/cancel", job["id"].as_str().unwrap()), &json!({})).await.ok();
    let mut misspelt = request.clone();
    misspelt["options"] = json!({"class_weights": {"rose": 2, "tulips": 3}});
    for address in ["/finetune", "/finetune/plan"] {
        let detail = server.post_json(address, &misspelt).await.is(Code::FinetuneRefused).to_owned();
        let expected = "`class_weights` names `tulips`, which is no class of these images; did you mean `tulip`?";
        assert!(detail.contains(expected), "{detail}");
    }
    for (dataset, code) in [
        (json!({"kind": "stored", "name": "nope"}), Code::DatasetNotFound),
        (json!({"kind": "stored", "name": "flowers", "snapshot": 9}), Code::SnapshotNotFound),
        (json!({"kind": "stored", "name": "../x"}), Code::InvalidBody),
        (json!({"kind": "stored", "name": "flowers", "path": "/etc"}), Code::InvalidBody),
    ] {
        server
            .post_json("/finetune", &json!({"base_model": "bones", "dataset": dataset, "name": "new"}))
            .await
            .is(code);
    }
    assert_eq!(server.delete("/datasets/flowers").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_request_that_is_repeated_after_the_data_set_has_changed_is_one_fine_tune() {
    let server = TestServer::with_flowers().await;
    for some in (0..6)
        .map(|seed| (if seed % 2 == 0 { "rose" } else { "tulip" }, "a.png", card(seed)))
        .collect::<Vec<_>>()
        .chunks(3)
    {
        server.add(some).await.ok();
    }
    let send = async |dataset: Value| {
        let body = json!({"base_model": "bones", "dataset": dataset, "name": "new"}).to_string();
        let request = Request::post("/finetune").header(header::CONTENT_TYPE, "application/json");
        server.send(request.header("idempotency-key", "k").body(Body::from(body)).unwrap()).await
    };
    let stored = json!({"kind": "stored", "name": "flowers"});
    let first = send(stored.clone()).await.ok()["id"].clone();
    server.change(Method::PATCH, &format!("/datasets/flowers/images/{}", id(0)), &json!({"label": "tulip"})).await.ok();
    assert_eq!(send(stored).await.ok()["id"], first);
    send(json!({"kind": "stored", "name": "flowers", "snapshot": 9})).await.is(Code::IdempotencyKeyReused);
}
