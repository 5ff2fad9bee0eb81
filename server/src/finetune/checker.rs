//! Checking requests for jobs while their clients wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{FinetuneFailure, FinetuneSpec, check};
use crate::evaluate::{self, EvaluateFailure, EvaluateSpec};
use crate::quantize::{self, QuantizeFailure, QuantizeSpec};
use crate::run_context::RunContext;

/// How long the check of a request may hold up its answer.
const CHECK_TIMEOUT: Duration = Duration::from_millis(500);
/// How many checks run at once. A file system that hangs holds as many threads and no more.
const CHECKS: usize = 4;

/// Refuses jobs that cannot succeed; cheap to clone.
#[derive(Debug, Clone)]
pub struct JobChecker {
    context: Arc<RunContext>,
    permits: Arc<Semaphore>,
}

impl JobChecker {
    /// Checks requests against this data folder and these data roots.
    #[must_use]
    pub fn new(context: RunContext) -> Self {
        Self { context: Arc::new(context), permits: Arc::new(Semaphore::new(CHECKS)) }
    }

    /// Checks a fine-tune as [`check`] does. A data set that takes too long to list is left to the job.
    ///
    /// # Errors
    /// [`FinetuneFailure`] naming the model, option, class or path.
    pub async fn check(&self, spec: FinetuneSpec) -> Result<(), FinetuneFailure> {
        // The numbers alone say so much, whatever the disks are doing.
        spec.options.validate()?;
        spec.deploy.validate()?;
        self.within_time(move |context| check(context, &spec)).await
    }

    /// Checks an evaluation as [`evaluate::check`] does, likewise.
    ///
    /// # Errors
    /// [`EvaluateFailure`] naming the model, option, class or path.
    pub async fn check_evaluation(&self, spec: EvaluateSpec) -> Result<(), EvaluateFailure> {
        spec.options.validate()?;
        self.within_time(move |context| evaluate::check(context, &spec)).await
    }

    /// Checks a quantization as [`quantize::check`] does, likewise.
    ///
    /// # Errors
    /// [`QuantizeFailure`] naming the model, option, class or path.
    pub async fn check_quantization(&self, spec: QuantizeSpec) -> Result<(), QuantizeFailure> {
        spec.options.validate()?;
        self.within_time(move |context| quantize::check(context, &spec)).await
    }

    async fn within_time<E: Send + 'static>(
        &self,
        check: impl FnOnce(&RunContext) -> Result<(), E> + Send + 'static,
    ) -> Result<(), E> {
        let (context, permits) = (self.context.clone(), self.permits.clone());
        let work = async move {
            let permit = permits.acquire_owned().await;
            // The thread keeps the permit for as long as it works, also when nobody waits for it any more.
            spawn_blocking(move || (check(&context), permit).0).await
        };
        match timeout(CHECK_TIMEOUT, work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => {
                tracing::error!("the check of a job panicked; the job checks it");
                Ok(())
            }
            Err(_elapsed) => {
                tracing::info!("the data set takes long to list; the job checks it");
                Ok(())
            }
        }
    }
}
