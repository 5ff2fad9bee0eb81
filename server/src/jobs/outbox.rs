//! Messages to the webhooks of jobs, until they are delivered.

use std::time::Duration;

use serde_json::json;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::error::JobsError;
use super::record::JobRecord;
use super::spec::JobSpec;
use super::store::Jobs;
use crate::database::{damaged, millis, now, number};
use crate::outbound::HttpUrl;

/// A message that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Names it in every try, so that a receiver can tell that it has it already.
    pub id: String,
    /// Where it goes.
    pub url: HttpUrl,
    /// JSON.
    pub body: String,
    /// Which try this is, from 1.
    pub attempt: u32,
}

/// Writes the message that a job has ended, if it has a webhook; in the transaction that ends it, so that neither is without
/// the other.
pub(super) async fn enqueue(connection: &mut SqliteConnection, job: &JobRecord) -> Result<(), JobsError> {
    let JobSpec::Finetune(spec) = &job.spec else { return Ok(()) };
    let Some(webhook) = &spec.webhook else { return Ok(()) };
    let body = json!({
        "type": format!("{}.{}", job.spec.kind().name(), job.state.as_str()),
        "timestamp": job.finished_at,
        "data": {
            "id": job.id.to_string(),
            "state": job.state,
            "attempt": job.attempt,
            "base_model": spec.base_model,
            "name": spec.name,
            "result": job.result,
            "error": job.error,
        },
    });
    let sql = concat!("INSERT INTO messages (id, url, body, not_before) VALUES ($1, $2, $3, ", now!(), ")");
    let query = sqlx::query(sql).bind(format!("msg_{}", Uuid::now_v7().simple())).bind(webhook.as_str());
    query.bind(body.to_string()).execute(connection).await?;
    Ok(())
}

impl Jobs {
    /// Takes the oldest message that is due. Nobody else gets it for so long, in which it has to be settled.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn take_message(&self, hold: Duration) -> Result<Option<Message>, JobsError> {
        // Without a message there is no write.
        let due = concat!("SELECT EXISTS (SELECT 1 FROM messages WHERE not_before <= ", now!(), ") AS due");
        if !sqlx::query(due).fetch_one(&self.pool).await?.try_get::<bool, _>("due")? {
            return Ok(None);
        }
        let sql = concat!(
            "UPDATE messages SET attempts = attempts + 1, not_before = ",
            now!(),
            " + $1 WHERE id = (SELECT id FROM messages WHERE not_before <= ",
            now!(),
            " ORDER BY not_before, id LIMIT 1) RETURNING *"
        );
        let mut transaction = self.begin().await?;
        let row = sqlx::query(sql).bind(millis(hold)).fetch_optional(&mut *transaction).await?;
        transaction.commit().await?;
        let Some(row) = row else { return Ok(None) };
        let url: String = row.try_get("url")?;
        Ok(Some(Message {
            id: row.try_get("id")?,
            url: url.parse().map_err(|_| damaged("url", &url))?,
            body: row.try_get("body")?,
            attempt: number(&row, "attempts")?,
        }))
    }

    /// Removes a message that is delivered or given up.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn drop_message(&self, message: &Message) -> Result<(), JobsError> {
        let mut transaction = self.begin().await?;
        sqlx::query("DELETE FROM messages WHERE id = $1").bind(&message.id).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Lets a message wait until it is tried again.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn delay_message(&self, message: &Message, delay: Duration) -> Result<(), JobsError> {
        let sql = concat!("UPDATE messages SET not_before = ", now!(), " + $2 WHERE id = $1");
        let mut transaction = self.begin().await?;
        sqlx::query(sql).bind(&message.id).bind(millis(delay)).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::record::{JobError, JobResult};
    use super::super::spec::JobQueue;
    use super::super::store::Submission;
    use super::super::store::tests::{jobs, request, spec};
    use super::*;

    const HOLD: Duration = Duration::from_secs(60);

    async fn create(jobs: &Jobs) -> JobRecord {
        let JobSpec::Finetune(spec) = spec("flowers") else { panic!() };
        let webhook = Some("https://hooks.example.org/graft".parse().unwrap());
        let spec = JobSpec::Finetune(crate::finetune::FinetuneSpec { webhook, ..spec });
        let Submission::New(job) = jobs.create(&request(&spec)).await.unwrap() else { panic!() };
        job
    }

    async fn taken(jobs: &Jobs) -> (Message, Value) {
        let message = jobs.take_message(HOLD).await.unwrap().expect("a message");
        let body = serde_json::from_str(&message.body).unwrap();
        (message, body)
    }

    #[tokio::test]
    async fn a_job_that_ends_leaves_one_message_whatever_its_end() {
        let (_folder, jobs) = jobs().await;
        let job = create(&jobs).await;
        let claim = jobs.claim("worker", JobQueue::Images).await.unwrap().unwrap();
        assert_eq!(jobs.take_message(HOLD).await.unwrap(), None, "it has not ended");
        jobs.note_result(&claim, &JobResult::new("flowers", 3)).await.unwrap();
        jobs.succeed(&claim).await.unwrap();
        let (message, body) = taken(&jobs).await;
        assert_eq!((message.attempt, message.url.as_str()), (1, "https://hooks.example.org/graft"));
        assert_eq!((&body["type"], &body["data"]["id"]), (&json!("finetune.succeeded"), &json!(job.id.to_string())));
        assert_eq!((&body["data"]["result"]["version"], &body["data"]["error"]), (&json!(3), &Value::Null));
        jobs.drop_message(&message).await.unwrap();

        create(&jobs).await;
        let claim = jobs.claim("worker", JobQueue::Images).await.unwrap().unwrap();
        let error = JobError { code: "training_failed".to_owned(), message: "it diverged".to_owned() };
        jobs.fail(&claim, &error).await.unwrap();
        let (message, body) = taken(&jobs).await;
        assert_eq!(
            (&body["type"], &body["data"]["error"]["code"]),
            (&json!("finetune.failed"), &json!("training_failed"))
        );
        jobs.drop_message(&message).await.unwrap();

        let waiting = create(&jobs).await;
        jobs.cancel(waiting.id).await.unwrap();
        let (message, body) = taken(&jobs).await;
        assert_eq!(body["type"], json!("finetune.cancelled"));
        jobs.drop_message(&message).await.unwrap();
        assert_eq!(jobs.take_message(HOLD).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_message_is_held_by_one_sender_and_comes_again_under_the_same_id() {
        let (_folder, jobs) = jobs().await;
        let job = create(&jobs).await;
        jobs.cancel(job.id).await.unwrap();
        let (first, _) = taken(&jobs).await;
        assert_eq!(jobs.take_message(HOLD).await.unwrap(), None, "another sender has it");
        jobs.delay_message(&first, Duration::ZERO).await.unwrap();
        let (second, _) = taken(&jobs).await;
        assert_eq!((&second.id, second.attempt), (&first.id, 2));
    }
}
