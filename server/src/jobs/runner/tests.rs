//! What becomes of a job whose process, server or client does something.

use std::sync::Arc;

use super::*;
use crate::inference::testing::{colors, options, publish};
use crate::jobs::options::JobOptions;
use crate::jobs::record::{JobRecord, JobState};
use crate::jobs::store::Submission;
use crate::jobs::store::tests::{create, jobs, request};
use crate::store::{Artifacts, JobOrigin, ModelContent, ModelStore, Publication};

/// Waits for the word to stop, in either form, and obeys.
const PATIENT: &str = r#"while read -r line; do case "$line" in *stop*) break;; esac; done
    echo '{"report": "stopped"}'"#;
const PUBLISHES: &str = r#"read -r line
    echo 'not a report'
    echo '{"report": "event", "event": {"type": "phase", "phase": "training"}}'
    echo '{"report": "finished", "result": {"model": "flowers", "version": 4, "metrics": {"test_top1": 0.9}}}'"#;

/// Runs a shell script in the place of the process.
fn runner(jobs: &Jobs, folder: &tempfile::TempDir, script: &str) -> Arc<Runner> {
    let store = ModelStore::open(&folder.path().join("models")).unwrap();
    let open = Arc::new(|_: &[u8]| Err(onnx::EngineError::NotLoaded));
    let registry = Registry::with_opener(store, open, options(1, 1));
    let command = ChildCommand { program: "sh".into(), arguments: vec!["-c".into(), script.into()] };
    let lease = Duration::from_millis(900);
    let options = JobOptions { lease, retry_delay: Duration::from_millis(10), ..jobs.options };
    Arc::new(Runner::new(Jobs { options, ..jobs.clone() }, registry, command, None))
}

/// Lets the runner work until the job is as it should be.
async fn until(
    jobs: &Jobs,
    runner: &Arc<Runner>,
    job: &JobRecord,
    right: impl Fn(&JobRecord) -> bool,
) -> (JobRecord, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
    let (stop, stopped) = watch::channel(false);
    let runner = runner.clone();
    let task = tokio::spawn(async move { runner.run(stopped).await });
    for _ in 0..500 {
        let now = jobs.get(job.id).await.unwrap();
        if right(&now) {
            return (now, stop, task);
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", jobs.get(job.id).await);
}

fn over(job: &JobRecord) -> bool {
    job.state.is_over()
}

async fn messages(jobs: &Jobs, job: &JobRecord) -> Vec<String> {
    let events = jobs.events(job.id, 0, 100).await.unwrap().data;
    let messages = events.into_iter().filter_map(|event| match event.event {
        Event::Warning { message } => Some(message),
        _ => None,
    });
    messages.collect()
}

#[tokio::test]
async fn what_the_process_reports_becomes_the_jobs() {
    let (folder, jobs) = jobs().await;
    let job = create(&jobs, "flowers").await;
    let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, PUBLISHES), &job, over).await;
    let result = job.result.clone().unwrap();
    assert_eq!((job.state, result.version, &result.metrics["test_top1"]), (JobState::Succeeded, 4, &0.9.into()));
    assert_eq!(jobs.events(job.id, 0, 10).await.unwrap().data.len(), 1);
}

#[tokio::test]
async fn a_process_that_dies_is_begun_again_until_the_job_has_failed_with_its_signal() {
    let (folder, jobs) = jobs().await;
    let job = create(&jobs, "flowers").await;
    let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, "kill -9 $$"), &job, over).await;
    let error = job.error.clone().unwrap();
    assert_eq!((job.state, error.code.as_str(), job.attempt), (JobState::Failed, "process_died", 3));
    let said = [error.message.contains("signal 9 (SIGKILL"), error.message.ends_with("(attempt 3 of 3)")];
    assert_eq!(said, [true, true], "{}", error.message);
    let messages = messages(&jobs, &job).await;
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].starts_with("attempt 1 of 3: the process of the job was ended by signal 9"), "{messages:?}");
}

#[tokio::test]
async fn a_process_that_finds_no_room_on_the_disk_is_begun_again() {
    let (folder, jobs) = jobs().await;
    let job = create(&jobs, "flowers").await;
    let full = r#"echo '{"report": "failed", "error": {"code": "storage_full", "message": "no room"}}'"#;
    let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, full), &job, over).await;
    let error = job.error.clone().unwrap();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("storage_full", "no room (attempt 3 of 3)"));
}

#[tokio::test]
async fn a_process_that_cannot_be_started_fails_the_job() {
    let (folder, jobs) = jobs().await;
    let job = create(&jobs, "flowers").await;
    let mut runner = Arc::into_inner(runner(&jobs, &folder, "")).unwrap();
    runner.command.program = "/nowhere/graft".into();
    let (job, _stop, _task) = until(&jobs, &Arc::new(runner), &job, over).await;
    assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "process_not_started"));
}

#[tokio::test]
async fn a_running_job_is_called_off() {
    let (folder, jobs) = jobs().await;
    let job = create(&jobs, "flowers").await;
    let runner = runner(&jobs, &folder, PATIENT);
    let (job, _stop, _task) = until(&jobs, &runner, &job, |job| job.state == JobState::Running).await;
    assert_eq!(jobs.cancel(job.id).await.unwrap().state, JobState::Running);
    let (job, _stop, _task) = until(&jobs, &runner, &job, over).await;
    assert_eq!(job.state, JobState::Cancelled);
}

#[tokio::test]
async fn a_paused_job_frees_its_server_for_the_next() {
    let (folder, jobs) = jobs().await;
    let (first, next) = (create(&jobs, "flowers").await, create(&jobs, "birds").await);
    let runner = runner(&jobs, &folder, PATIENT);
    let (first, _stop, _task) = until(&jobs, &runner, &first, |job| job.state == JobState::Running).await;
    jobs.pause(first.id).await.unwrap();
    let begun = async {
        while jobs.get(next.id).await.unwrap().state != JobState::Running {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), begun).await.unwrap();
    assert_eq!(jobs.get(first.id).await.unwrap().state, JobState::Paused);
}

#[tokio::test]
async fn an_import_does_not_wait_for_a_training() {
    let (folder, jobs) = jobs().await;
    let training = create(&jobs, "flowers").await;
    let runner = runner(&jobs, &folder, PATIENT);
    let (_training, _stop, _task) = until(&jobs, &runner, &training, |job| job.state == JobState::Running).await;
    let spec = JobSpec::Import(crate::imports::tests::import("flowers", "upload-a"));
    let Submission::New(import) = jobs.create(&request(&spec)).await.unwrap() else { panic!() };
    let mut beside = runner.for_queue(JobQueue::Imports);
    beside.command.arguments = vec!["-c".into(), PUBLISHES.into()];
    let (import, ..) = until(&jobs, &Arc::new(beside), &import, over).await;
    assert_eq!((import.state, import.result.unwrap().version), (JobState::Succeeded, 4));
    let training = jobs.get(training.id).await.unwrap();
    assert_eq!((training.state, training.attempt), (JobState::Running, 1), "each queue has its own");
    jobs.cancel(training.id).await.unwrap();
    until(&jobs, &runner, &training, |job| job.state == JobState::Cancelled).await;
}

#[tokio::test]
async fn a_server_that_stops_puts_the_job_back() {
    let (folder, jobs) = jobs().await;
    let job = create(&jobs, "flowers").await;
    let runner = runner(&jobs, &folder, PATIENT);
    let (job, stop, task) = until(&jobs, &runner, &job, |job| job.state == JobState::Running).await;
    stop.send_replace(true);
    task.await.unwrap();
    let job = jobs.get(job.id).await.unwrap();
    assert_eq!(job.state, JobState::Queued);
    assert_eq!(messages(&jobs, &job).await, ["the server stops; the job goes on when it starts again"]);
    let (job, ..) = until(&jobs, &runner, &job, |job| job.state == JobState::Running).await;
    assert_eq!(job.attempt, 2);
}

#[tokio::test]
async fn a_server_that_was_killed_is_mentioned() {
    let (folder, jobs) = jobs().await;
    let job = create(&jobs, "flowers").await;
    dies(&jobs).await;
    let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, PUBLISHES), &job, over).await;
    assert_eq!((job.state, job.attempt), (JobState::Succeeded, 2));
    assert_eq!(messages(&jobs, &job).await, ["attempt 2: the server that ran attempt 1 went away"]);
}

/// A server that claims a job and is not heard of again.
async fn dies(jobs: &Jobs) {
    let options = JobOptions { lease: Duration::ZERO, ..jobs.options };
    Jobs { options, ..jobs.clone() }.claim("dead", JobQueue::Images).await.unwrap().unwrap();
    // A lease lasts to the end of its millisecond.
    tokio::time::sleep(Duration::from_millis(2)).await;
}

#[tokio::test]
async fn servers_that_go_away_too_often_fail_the_job() {
    let (folder, jobs) = jobs().await;
    let job = create(&jobs, "flowers").await;
    for _ in 0..3 {
        dies(&jobs).await;
    }
    let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, PUBLISHES), &job, over).await;
    assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "server_lost"));
}

#[tokio::test]
async fn a_job_that_was_called_off_while_its_server_was_dead_is_not_begun_again() {
    let (folder, jobs) = jobs().await;
    let job = create(&jobs, "flowers").await;
    dies(&jobs).await;
    jobs.cancel(job.id).await.unwrap();
    let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, PUBLISHES), &job, over).await;
    assert_eq!((job.state, job.result), (JobState::Cancelled, None));
}

#[tokio::test]
async fn a_job_whose_servers_died_behind_publishing_succeeds_with_that_one_version() {
    let (folder, jobs) = jobs().await;
    let job = create(&jobs, "flowers").await;
    let runner = runner(&jobs, &folder, "exit 1");
    let store = ModelStore::open(&folder.path().join("models")).unwrap();
    let name: ModelName = "flowers".parse().unwrap();
    publish(&store, "flowers", &colors(), &[]);
    for attempt in 1..=3 {
        dies(&jobs).await;
        let origin = JobOrigin { id: job.id.to_string(), attempt };
        let content = ModelContent::Native(Box::new(colors()));
        let artifacts = Artifacts { content: &content, golden: &[], report: None, pictures: &[], quantized: None };
        let publication = Publication { origin, permitted: &|| true };
        assert_eq!(store.publish_once(&name, &artifacts, &publication).unwrap(), 2, "attempt {attempt}");
    }
    let (job, _stop, _task) = until(&jobs, &runner, &job, over).await;
    assert_eq!((job.state, job.result.unwrap().version), (JobState::Succeeded, 2));
    assert_eq!(store.latest(&name).unwrap(), Some(2));
}

#[tokio::test]
async fn a_process_that_is_killed_behind_publishing_has_published() {
    let (folder, jobs) = jobs().await;
    let job = create(&jobs, "flowers").await;
    let store = ModelStore::open(&folder.path().join("models")).unwrap();
    publish(&store, "flowers", &colors(), &[]);
    // What a process leaves that is killed between its rename and its last word.
    let manifest = json!({"published_at": "2026-11-29T12:00:00Z", "job": {"id": job.id.to_string(), "attempt": 1}});
    let version = folder.path().join("models/flowers/1");
    std::fs::write(version.join("manifest.json"), manifest.to_string()).unwrap();
    let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, "kill -9 $$"), &job, over).await;
    assert_eq!((job.state, job.attempt, job.result.unwrap().version), (JobState::Succeeded, 1, 1));
}

#[tokio::test]
async fn a_job_that_runs_for_too_long_fails_and_is_not_begun_again() {
    let (folder, jobs) = jobs().await;
    let job = create(&jobs, "flowers").await;
    let mut runner = Arc::into_inner(runner(&jobs, &folder, PATIENT)).unwrap();
    runner.jobs.options.timeout = Duration::from_millis(100);
    let (job, _stop, _task) = until(&jobs, &Arc::new(runner), &job, over).await;
    let error = job.error.unwrap();
    assert_eq!((job.state, error.code.as_str(), job.attempt), (JobState::Failed, "timed_out", 1));
    assert!(error.message.contains("--job-timeout"), "{}", error.message);
}
