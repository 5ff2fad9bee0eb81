//! Models that are sent, as far as the interface goes: no runner takes these imports but the test.

use tokio::time::timeout;

use super::*;
use crate::jobs::{JobError, JobQueue, JobResult, Jobs};

const FORM: [(&str, &str, &[u8]); 3] =
    [("name", "", b"sent"), ("file", "model.onnx", b"some bytes"), ("labels", "", b"a\nb\n")];

impl TestServer {
    fn jobs(&self) -> Jobs {
        self.state.jobs.ready().unwrap()
    }

    async fn send_model(&self, headers: &[(&str, &str)], parts: &[(&str, &str, &[u8])]) -> TestResponse {
        let request = Request::post("/models").header(header::CONTENT_TYPE, "multipart/form-data; boundary=XX");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(request.body(form(parts).into()).unwrap()).await
    }

    /// The folders of uploads, after what nobody owns is gone.
    async fn uploads(&self) -> usize {
        self.state.imports.clean(&self.jobs()).await.unwrap();
        std::fs::read_dir(DataDir::new(self.folder.path()).incoming_dir()).unwrap().count()
    }
}

impl TestResponse {
    #[track_caller]
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// Does what a runner does with the oldest import: ends it like this.
async fn work(jobs: Jobs, end: Result<JobResult, JobError>) {
    let claim = loop {
        if let Some(claim) = jobs.claim("worker", JobQueue::Imports).await.unwrap() {
            break claim;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    match end {
        Ok(result) => assert!(jobs.note_result(&claim, &result).await.unwrap() && jobs.succeed(&claim).await.unwrap()),
        Err(error) => assert!(jobs.fail(&claim, &error).await.unwrap()),
    }
}

#[tokio::test]
async fn who_does_not_wait_gets_the_job() {
    let server = TestServer::new().await;
    let answer = server.send_model(&[("prefer", "respond-async")], &FORM).await;
    assert_eq!((answer.status, answer.header("preference-applied")), (StatusCode::ACCEPTED, "respond-async"));
    let address = answer.header("location").to_owned();
    let id = answer.body["id"].as_str().unwrap();
    assert_eq!((address.as_str(), &answer.body["state"]), (format!("/import/{id}").as_str(), &json!("queued")));
    assert_eq!((&answer.body["name"], &answer.body["remarks"]), (&json!("sent"), &json!([])));
    // `printf 'some bytes' | sha256sum`
    let checksum = "0d22cdcc10e6d049dbe1af5123d50873fdfc1a4f58306e58cb6241be9472014d";
    let file = &answer.body["files"][0];
    assert_eq!(file, &json!({"name": "model.onnx", "bytes": 10, "sha256": checksum}));
    assert_eq!(answer.body["labels"]["name"], "labels.txt");
    assert_eq!(server.get(&address).await.ok(), &answer.body);
    let list = server.get("/import").await;
    assert_eq!((list.ok()["data"][0]["id"].as_str(), list.body["data"][0].get("remarks")), (Some(id), None));
    assert_eq!(server.get(&format!("{address}/events")).await.ok(), &json!({"data": [], "has_more": false}));
    for other in ["finetune", "evaluate", "quantize"] {
        let detail = server.get(&format!("/{other}/{id}")).await.is(Code::JobNotFound).to_owned();
        assert!(detail.contains(&address), "{detail}");
    }
    assert_eq!(server.uploads().await, 1, "the job owns its files");
    let cancelled = server.post(&format!("{address}/cancel"), "text/plain", "").await;
    assert_eq!((cancelled.status, &cancelled.body["state"]), (StatusCode::ACCEPTED, &json!("cancelled")));
    server.post(&format!("{address}/cancel"), "text/plain", "").await.is(Code::JobFinished);
    assert_eq!(server.uploads().await, 0);
}

#[tokio::test]
async fn who_waits_for_so_long_gets_the_job_then() {
    let server = TestServer::new().await;
    let answer = server.send_model(&[("prefer", "wait=1")], &FORM).await;
    assert_eq!((answer.status, answer.header("preference-applied")), (StatusCode::ACCEPTED, "wait=1"));
    // A client's own deadline is told with the job too, and not with an error that hides it.
    let hurried = server.send_model(&[("x-request-timeout-ms", "3000")], &FORM).await;
    assert_eq!((hurried.status, hurried.headers.get("preference-applied")), (StatusCode::ACCEPTED, None));
    let (state, job) = (server.state.clone(), server.send_model(&[], &FORM));
    let drain = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        state.draining.begin();
    };
    let (answer, ()) = timeout(Duration::from_secs(10), async { tokio::join!(job, drain) }).await.unwrap();
    assert_eq!(answer.status, StatusCode::ACCEPTED, "a server that stops lets nobody wait");
    assert_eq!(server.uploads().await, 3);
}

#[tokio::test]
async fn who_waits_gets_the_version_or_the_reason_why_there_is_none() {
    let server = TestServer::new().await;
    let end = async |end| {
        let (answer, ()) = tokio::join!(server.send_model(&[], &FORM), work(server.jobs(), end));
        answer
    };
    let answer = end(Ok(JobResult::new("colors", 1))).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::CREATED, "/models/colors/versions/1"));
    assert_eq!((&answer.body["version"], &answer.body["model"]["name"]), (&json!(1), &json!("colors")));
    let failed = |code: &str| Err(JobError { code: code.to_owned(), message: "model.onnx: this is text".to_owned() });
    assert_eq!(end(failed("model_refused")).await.is(Code::ModelRefused), "model.onnx: this is text");
    end(failed("storage_full")).await.is(Code::StorageFull);
    end(failed("store_failed")).await.is(Code::Internal);
    // A request that is sent again may be answered when its model is deleted already.
    assert!(end(Ok(JobResult::new("deleted", 1))).await.is(Code::ModelNotFound).contains("`deleted`, which is gone"));
    let cancel = async {
        let id = loop {
            if let Some(job) = server.get("/import?limit=1").await.ok()["data"][0].as_object()
                && job["state"] == "queued"
            {
                break job["id"].as_str().unwrap().to_owned();
            }
        };
        server.post(&format!("/import/{id}/cancel"), "text/plain", "").await.ok();
    };
    let (answer, ()) = tokio::join!(server.send_model(&[], &FORM), cancel);
    assert!(answer.is(Code::JobFinished).contains("was cancelled by another request"));
    assert_eq!(server.uploads().await, 0);
}

#[tokio::test]
async fn an_import_goes_on_when_its_client_goes() {
    let server = TestServer::new().await;
    let written_down = async {
        while server.get("/import").await.ok()["data"].as_array().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        answer = server.send_model(&[], &FORM) => panic!("{} before the import is done", answer.status),
        () = written_down => {}
    }
    assert_eq!(server.uploads().await, 1);
    work(server.jobs(), Ok(JobResult::new("colors", 1))).await;
    let list = server.get("/import").await;
    assert_eq!((&list.ok()["data"][0]["state"], &list.body["data"][0]["published"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(server.uploads().await, 0);
}

#[tokio::test]
async fn a_key_is_for_one_import_of_the_same_files() {
    let server = TestServer::new().await;
    let headers = [("prefer", "respond-async"), ("idempotency-key", "k")];
    let first = server.send_model(&headers, &FORM).await.ok()["id"].clone();
    assert_eq!(server.send_model(&headers, &FORM).await.ok()["id"], first);
    assert_eq!(server.uploads().await, 1, "what came again is not kept");
    let mut other = FORM;
    other[1].2 = b"same bytes";
    server.send_model(&headers, &other).await.is(Code::IdempotencyKeyReused);
    server.send_model(&[("idempotency-key", "a b")], &FORM).await.is(Code::InvalidParameter);
    assert_eq!(server.uploads().await, 1);
}
