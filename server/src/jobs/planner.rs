//! Plans of fine-tunes and checks of data sets, made by a process of their own: reading and timing take the processor and memory
//! that serving needs.

use std::io;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::Semaphore;

use super::attempt::not_started;
use super::error::JobsError;
use super::process::{ChildCommand, Process, describe};
use super::protocol::{ChildMessage, ControlMessage};
use super::record::JobError;
use crate::finetune::{CheckSpec, DatasetCheck, FinetunePlan, FinetuneSpec};

/// How many plans and checks are made at a time.
const AT_A_TIME: usize = 1;

/// Makes plans and checks; cheap to clone.
#[derive(Debug, Clone)]
pub struct Planner {
    command: Arc<ChildCommand>,
    permits: Arc<Semaphore>,
}

/// Why there is no plan, or no check.
#[derive(Debug, Error)]
pub enum PlanError {
    /// Another plan or check is being made.
    #[error("another plan or check is being made")]
    Busy,
    /// It cannot be done as asked.
    #[error("{}", .0.message)]
    Refused(JobError),
    /// The process failed.
    #[error("{}", .0.message)]
    Process(JobError),
    /// It could not be told what to do.
    #[error(transparent)]
    Protocol(#[from] JobsError),
    /// It could not be heard.
    #[error("the process that plans cannot be heard")]
    Report(#[from] io::Error),
}

impl Planner {
    /// A planner that starts this command.
    #[must_use]
    pub fn new(command: ChildCommand) -> Self {
        Self { command: Arc::new(command), permits: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// Makes a plan. Whoever does not wait for it ends its process.
    ///
    /// # Errors
    /// [`PlanError`].
    pub async fn plan(&self, spec: &FinetuneSpec) -> Result<FinetunePlan, PlanError> {
        let order = ControlMessage::Plan { spec: Box::new(spec.clone()) };
        let plan = |message| if let ChildMessage::Planned { plan } = message { Some(*plan) } else { None };
        self.ask(&order, plan).await
    }

    /// Checks a data set. Whoever does not wait for it ends its process.
    ///
    /// # Errors
    /// [`PlanError`].
    pub async fn check(&self, spec: &CheckSpec) -> Result<DatasetCheck, PlanError> {
        let order = ControlMessage::Check { spec: Box::new(spec.clone()) };
        let check = |message| if let ChildMessage::Checked { check } = message { Some(*check) } else { None };
        self.ask(&order, check).await
    }

    /// Has a process do what is ordered. Its last line is the answer; others say how far it is.
    async fn ask<T>(&self, order: &ControlMessage, answer: impl Fn(ChildMessage) -> Option<T>) -> Result<T, PlanError> {
        let Ok(_permit) = self.permits.try_acquire() else { return Err(PlanError::Busy) };
        let spawned = Process::spawn(&self.command).map_err(|error| PlanError::Process(not_started(&error)));
        let mut process = spawned?;
        process.send(order).await.map_err(JobsError::from)?;
        loop {
            match process.report().await? {
                Some(ChildMessage::Failed { error }) => return Err(PlanError::Refused(error)),
                Some(message) => {
                    if let Some(answer) = answer(message) {
                        return Ok(answer);
                    }
                }
                None => {
                    let message = describe(process.end(std::time::Duration::from_secs(1)).await?);
                    return Err(PlanError::Process(JobError { code: "process_died".to_owned(), message }));
                }
            }
        }
    }
}
