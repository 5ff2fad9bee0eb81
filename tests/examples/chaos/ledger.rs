//! What clients were told, and whether it is true.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, Response};
use serde_json::Value;

use super::Outcome;

/// Everything that was answered.
#[derive(Default)]
pub(super) struct Ledger {
    /// The jobs that were accepted.
    accepted: Mutex<Vec<String>>,
    submitted: AtomicU64,
    /// Answers to classifications by status; 0 for none.
    answers: Mutex<BTreeMap<u16, u64>>,
    /// Answers that no server should give.
    wrong: Mutex<Vec<String>>,
}

/// The end of a run without a fault of the server's.
pub(super) struct Report {
    accepted: usize,
    states: BTreeMap<String, u32>,
    answers: BTreeMap<u16, u64>,
}

/// Statuses that a server in trouble may answer with.
const TROUBLE: [u16; 4] = [429, 503, 504, 507];

impl Ledger {
    pub(super) fn submitted(&self) -> u64 {
        self.submitted.load(Ordering::Relaxed)
    }

    pub(super) fn submission(&self, answer: reqwest::Result<Response>) {
        self.submitted.fetch_add(1, Ordering::Relaxed);
        // Without an answer, nothing was promised.
        let Ok(answer) = answer else { return };
        let status = answer.status().as_u16();
        let Ok(text) = answer.text() else { return };
        let id = serde_json::from_str::<Value>(&text).ok().and_then(|job| job["id"].as_str().map(str::to_owned));
        match id {
            Some(id) if status == 202 => lock(&self.accepted).push(id),
            _ if TROUBLE.contains(&status) => {}
            _ => lock(&self.wrong).push(format!("a job: {status} {text}")),
        }
    }

    pub(super) fn classification(&self, class: &str, answer: reqwest::Result<Response>) {
        let (status, text) = match answer {
            Ok(answer) => (answer.status().as_u16(), answer.text().ok()),
            Err(_) => (0, None),
        };
        *lock(&self.answers).entry(status).or_default() += 1;
        let Some(text) = text else { return };
        let label = serde_json::from_str::<Value>(&text)
            .map(|body| body["results"][0]["predictions"][0]["label"].clone())
            .unwrap_or_default();
        let right = if status == 200 { label == class } else { TROUBLE.contains(&status) };
        if !right {
            lock(&self.wrong).push(format!("{class}: {status} {text}"));
        }
    }

    /// Waits until every accepted job has ended, and returns them.
    pub(super) fn settle(
        &self,
        client: &Client,
        address: &str,
        patience: Duration,
    ) -> Outcome<BTreeMap<String, Value>> {
        let started = Instant::now();
        let mut jobs = BTreeMap::new();
        for id in lock(&self.accepted).iter() {
            loop {
                let answer = client.get(format!("{address}/finetune/{id}")).send()?;
                let status = answer.status();
                if status != 200 {
                    return Err(format!("job {id} was accepted and is lost: {status}").into());
                }
                let job: Value = serde_json::from_str(&answer.text()?)?;
                if matches!(job["state"].as_str(), Some("succeeded" | "failed" | "cancelled")) {
                    jobs.insert(id.clone(), job);
                    break;
                }
                if started.elapsed() > patience {
                    return Err(format!("job {id} does not end: {job}").into());
                }
                thread::sleep(Duration::from_millis(200));
            }
        }
        Ok(jobs)
    }

    /// Each job that has succeeded has the one version that it names, and no other job has one.
    pub(super) fn verify(&self, jobs: &BTreeMap<String, Value>, models: &Path) -> Outcome<Report> {
        if let Some(wrong) = lock(&self.wrong).first() {
            return Err(format!("{} wrong answers, the first: {wrong}", lock(&self.wrong).len()).into());
        }
        let versions = published(models)?;
        let mut states: BTreeMap<String, u32> = BTreeMap::new();
        for (id, job) in jobs {
            let state = job["state"].as_str().unwrap_or_default();
            *states.entry(state.to_owned()).or_default() += 1;
            let own = versions.get(id).map_or(&[][..], Vec::as_slice);
            let named = match state {
                "succeeded" => vec![format!(
                    "{}/{}",
                    job["result"]["model"].as_str().unwrap_or_default(),
                    job["result"]["version"]
                )],
                _ => vec![],
            };
            if own != named {
                return Err(format!("job {id} is {state}, names {named:?} and has published {own:?}: {job}").into());
            }
            if state == "failed" {
                return Err(format!("job {id} failed: {}", job["error"]).into());
            }
        }
        if let Some((id, twice)) = versions.iter().find(|(_, versions)| versions.len() > 1) {
            return Err(format!("job {id} has published {twice:?}").into());
        }
        Ok(Report { accepted: jobs.len(), states, answers: lock(&self.answers).clone() })
    }
}

/// The versions of each job, by its id.
fn published(models: &Path) -> Outcome<BTreeMap<String, Vec<String>>> {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for model in fs::read_dir(models)?.flatten().filter(|entry| entry.path().is_dir()) {
        for version in fs::read_dir(model.path())?.flatten() {
            let number = version.file_name().to_string_lossy().into_owned();
            let visible = number.parse::<u32>().is_ok();
            let Ok(text) = fs::read(version.path().join("manifest.json")) else { continue };
            let manifest: Value = serde_json::from_slice(&text)?;
            if let (true, Some(id)) = (visible, manifest["job"]["id"].as_str()) {
                let name = format!("{}/{number}", model.file_name().to_string_lossy());
                versions.entry(id.to_owned()).or_default().push(name);
            }
        }
    }
    Ok(versions)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} jobs accepted, none lost, {:?}", self.accepted, self.states)?;
        write!(f, "; classifications by status, 0 for no answer: {:?}, all right", self.answers)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
