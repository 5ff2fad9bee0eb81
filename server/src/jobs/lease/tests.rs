//! Claims, leases and fenced writes.

use std::collections::HashSet;

use serde_json::json;
use trainer::events::Phase;

use super::*;
use crate::jobs::options::JobOptions;
use crate::jobs::record::JobState;
use crate::jobs::store::tests::{create, jobs};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

/// The same database, for a server whose claims last so long.
fn leasing(jobs: &Jobs, lease: Duration) -> Jobs {
    Jobs { options: JobOptions { lease, ..jobs.options }, ..jobs.clone() }
}

async fn claim(jobs: &Jobs, lease: Duration) -> Claim {
    leasing(jobs, lease).claim("worker", JobQueue::Images).await.unwrap().unwrap()
}

async fn run_out() {
    tokio::time::sleep(3 * SHORT).await;
}

fn warning(text: &str) -> Event {
    Event::Warning { message: text.to_owned() }
}

#[tokio::test]
async fn each_job_is_claimed_once() {
    let (_folder, jobs) = jobs().await;
    for number in 0..12 {
        create(&jobs, &format!("job{number}")).await;
    }
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..4 {
        let jobs = jobs.clone();
        workers.spawn(async move {
            let mut claimed = Vec::new();
            while let Some(claim) = jobs.claim(&format!("worker{worker}"), JobQueue::Images).await.unwrap() {
                claimed.push(claim.job.id);
            }
            claimed
        });
    }
    let claimed: Vec<JobId> = workers.join_all().await.concat();
    assert_eq!(claimed.len(), 12);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 12);
}

#[tokio::test]
async fn a_server_that_comes_back_too_late_changes_nothing() {
    let (_folder, jobs) = jobs().await;
    let id = create(&jobs, "a").await.id;
    let first = claim(&jobs, SHORT).await;
    assert!(!first.reclaimed && jobs.record(&first, &warning("one")).await.unwrap());
    run_out().await;
    let second = claim(&jobs, LONG).await;
    assert_eq!((second.job.id, second.job.attempt, second.reclaimed), (id, 2, true));

    assert_eq!(jobs.heartbeat(&first).await.unwrap(), Heartbeat::Lost);
    assert!(!jobs.record(&first, &warning("late")).await.unwrap());
    let result = JobResult::new("a", 1);
    assert!(!jobs.note_result(&first, &result).await.unwrap());
    let error = JobError { code: "x".to_owned(), message: "y".to_owned() };
    assert!(!jobs.fail(&first, &error).await.unwrap());
    assert!(!jobs.succeed(&first).await.unwrap());
    assert!(!jobs.cancelled(&first).await.unwrap());
    assert!(!jobs.release(&first).await.unwrap());
    let job = jobs.get(id).await.unwrap();
    assert_eq!((job.state, job.attempt, job.result, job.error), (JobState::Running, 2, None, None));
    let events = jobs.events(id, 0, 10).await.unwrap().data;
    assert_eq!(events.iter().map(|event| (event.attempt, &event.event)).collect::<Vec<_>>(), [(1, &warning("one"))]);
}

#[tokio::test]
async fn a_heartbeat_keeps_the_job() {
    let (_folder, jobs) = jobs().await;
    create(&jobs, "a").await;
    let mine = claim(&jobs, SHORT).await;
    let beat = leasing(&jobs, LONG).heartbeat(&mine).await.unwrap();
    let Heartbeat::Ours { lease_until, order: ClientOrder::Run } = beat else { panic!("{beat:?}") };
    assert!(lease_until > mine.lease_until + 50_000);
    run_out().await;
    assert_eq!(jobs.claim("other", JobQueue::Images).await.unwrap(), None);
    jobs.cancel(mine.job.id).await.unwrap();
    assert!(matches!(
        leasing(&jobs, LONG).heartbeat(&mine).await.unwrap(),
        Heartbeat::Ours { order: ClientOrder::Cancel, .. }
    ));
}

#[tokio::test]
async fn attempts_count_unless_the_server_was_told_to_stop() {
    let (_folder, jobs) = jobs().await;
    let id = create(&jobs, "a").await.id;
    for attempt in 1..=3 {
        let mine = claim(&jobs, LONG).await;
        assert_eq!((mine.job.attempt, mine.counted_attempt, mine.reclaimed), (attempt, 1, false));
        assert!(jobs.release(&mine).await.unwrap());
        assert_eq!(jobs.get(id).await.unwrap().state, JobState::Queued);
    }
    for counted in 1..=3 {
        let mine = claim(&jobs, SHORT).await;
        assert_eq!((mine.counted_attempt, mine.reclaimed), (counted, counted > 1));
        run_out().await;
    }
}

#[tokio::test]
async fn a_failed_attempt_is_repeated_after_its_delay_and_other_jobs_go_first() {
    let (_folder, jobs) = jobs().await;
    let (first, second) = (create(&jobs, "a").await.id, create(&jobs, "b").await.id);
    let mine = claim(&jobs, LONG).await;
    assert!(jobs.retry(&mine, LONG).await.unwrap());
    let other = claim(&jobs, LONG).await;
    assert_eq!((mine.job.id, other.job.id), (first, second));
    assert_eq!(jobs.claim("worker", JobQueue::Images).await.unwrap(), None);
    let job = jobs.get(first).await.unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Queued, 1));

    assert!(jobs.retry(&other, Duration::ZERO).await.unwrap());
    assert_eq!(claim(&jobs, LONG).await.counted_attempt, 2);
}

#[tokio::test]
async fn the_time_of_all_attempts_is_added_up() {
    let (_folder, jobs) = jobs().await;
    create(&jobs, "a").await;
    let first = claim(&jobs, SHORT).await;
    assert_eq!(first.spent, Duration::ZERO);
    run_out().await;
    let second = claim(&jobs, LONG).await;
    assert_eq!(second.spent, SHORT, "a server that has gone is taken to have worked to the end of its lease");
    run_out().await;
    assert!(jobs.release(&second).await.unwrap());
    assert!(claim(&jobs, LONG).await.spent >= 3 * SHORT);
}

#[tokio::test]
async fn a_published_result_is_not_lost_with_its_server() {
    let (_folder, jobs) = jobs().await;
    let id = create(&jobs, "a").await.id;
    let result = JobResult { metrics: json!({"test_top1": 0.5}), ..JobResult::new("a", 7) };
    assert!(jobs.note_result(&claim(&jobs, SHORT).await, &result).await.unwrap());
    run_out().await;
    let mine = claim(&jobs, LONG).await;
    assert_eq!(mine.job.result.as_ref(), Some(&result));
    assert!(jobs.succeed(&mine).await.unwrap());
    assert_eq!(jobs.get(id).await.unwrap().state, JobState::Succeeded);
}

#[tokio::test]
async fn a_job_has_a_bounded_number_of_events_of_bounded_length() {
    let (_folder, jobs) = jobs().await;
    let id = create(&jobs, "a").await.id;
    let jobs = Jobs { options: JobOptions { events: 3, ..jobs.options }, ..jobs };
    let mine = jobs.claim("worker", JobQueue::Images).await.unwrap().unwrap();
    assert!(jobs.record(&mine, &warning(&"ä".repeat(9000))).await.unwrap());
    for number in 0..10 {
        assert!(jobs.record(&mine, &warning(&number.to_string())).await.unwrap());
    }
    let metrics = Event::Metrics { metrics: json!({"test_top1": 0.5}) };
    assert!(jobs.record(&mine, &metrics).await.unwrap());
    let events: Vec<Event> = jobs.events(id, 0, 100).await.unwrap().data.into_iter().map(|event| event.event).collect();
    let long = warning(&format!("{}…", "ä".repeat(2048)));
    let note = warning("this job has had 3 events; the others are not stored");
    assert_eq!(events, [long, warning("0"), warning("1"), note, metrics]);
}

#[tokio::test]
async fn progress_is_part_of_the_job_and_events_come_in_pages() {
    let (_folder, jobs) = jobs().await;
    let id = create(&jobs, "a").await.id;
    let mine = claim(&jobs, LONG).await;
    let phase = Phase::Features;
    let progress = |done| RunProgress {
        phase,
        done,
        total: 9,
        fraction: 0.25,
        seconds_left: Some(1.5),
        images_per_second: Some(20.0),
    };
    assert!(jobs.record(&mine, &Event::Phase { phase }).await.unwrap());
    let event = Event::Progress { phase, done: 3, total: 9 };
    assert!(jobs.record_with(&mine, &event, Some(progress(3))).await.unwrap());
    assert!(jobs.record(&mine, &warning("three")).await.unwrap());
    assert_eq!(jobs.get(id).await.unwrap().progress, Some(progress(3)));
    assert!(jobs.progress(&mine, &progress(4)).await.unwrap());
    assert_eq!(jobs.get(id).await.unwrap().progress, Some(progress(4)));
    let page = jobs.events(id, 0, 2).await.unwrap();
    assert!(page.has_more && page.data[0].seq < page.data[1].seq);
    let rest = jobs.events(id, page.data[1].seq, 2).await.unwrap();
    assert_eq!((rest.has_more, &rest.data[0].event), (false, &warning("three")));
}
