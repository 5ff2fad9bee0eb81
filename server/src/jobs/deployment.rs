//! What becomes of the version that a job has published.

use tokio::task::spawn_blocking;
use trainer::finetune::{DeployDecision, Deployment};

use super::record::JobResult;
use super::runner::{Runner, log};
use super::spec::JobSpec;
use crate::failure::chain;
use crate::finetune::{DeployOptions, FinetuneSpec};
use crate::inference::PromoteError;
use crate::store::{ModelName, StoreError};

impl Runner {
    /// Lets the new version be seen, and does what is to become of it. The result with what became of it, if that is not what was
    /// decided before. Doing it twice is doing it once, so that a server that goes on with another's job may.
    pub(super) async fn deploy(&self, spec: &JobSpec, result: &JobResult) -> Option<JobResult> {
        self.follow_store().await;
        let deployment = match spec {
            JobSpec::Finetune(spec) => self.deploy_trained(spec, result).await?,
            JobSpec::Quantize(spec) => self.deploy_quantized(&spec.model, result).await?,
            JobSpec::Evaluate(_) | JobSpec::Import(_) => return None,
        };
        Some(JobResult { deployment: Some(deployment), ..result.clone() })
    }

    /// A version with variants takes the place of the version that it was made of, if that is live.
    async fn deploy_quantized(&self, name: &ModelName, result: &JobResult) -> Option<Deployment> {
        let source = result.quantization.as_ref()?.version?;
        let (decision, reason) = match self.registry.replace(name, source, result.version).await {
            Ok(_) => {
                (DeployDecision::Promoted, format!("it is version {source} with its variants, and takes its place"))
            }
            Err(PromoteError::Superseded { live, .. }) => {
                let advice = format!("`graft models live {name} {}` lets the new one answer", result.version);
                (
                    DeployDecision::Stored,
                    format!("version {source} is not live; version {live} goes on answering, and {advice}"),
                )
            }
            Err(error) => (DeployDecision::Refused, chain(&error)),
        };
        Some(Deployment { decision, reason, gate: None })
    }

    /// What was decided about a fine-tuned version is done; another decision if that cannot be.
    async fn deploy_trained(&self, spec: &FinetuneSpec, result: &JobResult) -> Option<Deployment> {
        let deployment = result.deployment.as_ref()?;
        let reason = match deployment.decision {
            DeployDecision::Promoted => {
                let promoted = self.registry.promote(&spec.name, result.version).await;
                promoted.err().map(|error| chain(&error))
            }
            DeployDecision::Shadow => {
                let begun = self.begin_shadow(&spec.name, result.version, &spec.deploy).await;
                begun.err().map(|error| chain(&error))
            }
            DeployDecision::First | DeployDecision::Stored | DeployDecision::Refused => None,
        }?;
        Some(Deployment { decision: DeployDecision::Refused, reason, gate: deployment.gate })
    }

    async fn begin_shadow(&self, name: &ModelName, version: u32, options: &DeployOptions) -> Result<(), StoreError> {
        let (store, shadowed, share) = (self.registry.store().clone(), name.clone(), options.share());
        let begun = spawn_blocking(move || store.set_shadow(&shadowed, version, share)).await;
        begun.map_err(|error| StoreError::Io { path: "models".into(), source: std::io::Error::other(error) })??;
        self.follow_store().await;
        Ok(())
    }

    async fn follow_store(&self) {
        if let Err(error) = self.registry.scan().await {
            log(&error, "the model store cannot be read");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::store::tests::jobs;
    use super::*;
    use crate::inference::Registry;
    use crate::inference::testing::{EngineRecord, RecordingEngine, colors, golden, options, publish_only};
    use crate::jobs::ChildCommand;
    use crate::store::ModelStore;

    /// A runner whose store has two versions of `flowers`, the first of them live; the second is good or not.
    async fn runner(logit: f32) -> (tempfile::TempDir, Runner) {
        let (folder, jobs) = jobs().await;
        let store = ModelStore::open(&folder.path().join("models")).unwrap();
        let network = colors();
        publish_only(&store, "flowers", &network, &golden(&network));
        let mut expected = golden(&network);
        expected[0].logits[0] += logit;
        publish_only(&store, "flowers", &network, &expected);
        let open = Arc::new(|file: &[u8]| RecordingEngine::set(file, Arc::<std::sync::Mutex<EngineRecord>>::default()));
        let registry = Registry::with_opener(store, open, options(1, 1));
        let command = ChildCommand { program: "false".into(), arguments: vec![] };
        (folder, Runner::new(jobs, registry, command, None))
    }

    fn spec() -> JobSpec {
        let JobSpec::Finetune(spec) = super::super::store::tests::spec("flowers") else { panic!("another job") };
        JobSpec::Finetune(FinetuneSpec { deploy: DeployOptions::on_success(), ..spec })
    }

    fn result(decision: DeployDecision) -> JobResult {
        let deployment = Some(Deployment { decision, reason: "as the test says".to_owned(), gate: None });
        JobResult { deployment, ..JobResult::new("flowers", 2) }
    }

    fn live(runner: &Runner) -> (Option<u32>, Option<u32>) {
        let status = runner.registry.get("flowers").unwrap();
        (status.live, status.serving)
    }

    #[tokio::test]
    async fn a_version_that_was_promoted_answers_however_often_that_is_done() {
        let (_folder, runner) = runner(0.0).await;
        assert_eq!(runner.deploy(&spec(), &result(DeployDecision::Stored)).await, None);
        assert_eq!(live(&runner), (Some(1), Some(1)));
        for _ in 0..2 {
            assert_eq!(runner.deploy(&spec(), &result(DeployDecision::Promoted)).await, None);
            assert_eq!(live(&runner), (Some(2), Some(2)));
        }
    }

    #[tokio::test]
    async fn a_version_that_fails_its_self_test_is_refused_though_it_passed_its_gate() {
        let (_folder, runner) = runner(0.1).await;
        let changed = runner.deploy(&spec(), &result(DeployDecision::Promoted)).await.unwrap();
        let deployment = changed.deployment.unwrap();
        assert_eq!(deployment.decision, DeployDecision::Refused);
        assert!(deployment.reason.contains("golden image red.bmp: the logits differ"), "{}", deployment.reason);
        assert_eq!(live(&runner), (Some(1), Some(1)));
    }

    #[tokio::test]
    async fn a_shadow_begins_beside_the_live_version() {
        let (_folder, runner) = runner(0.0).await;
        assert_eq!(runner.deploy(&spec(), &result(DeployDecision::Shadow)).await, None);
        assert_eq!(live(&runner), (Some(1), Some(1)));
        assert_eq!(runner.registry.shadow(&"flowers".parse().unwrap()).unwrap().version, 2);
    }
}
