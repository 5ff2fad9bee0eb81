//! Where fine-tunes are recorded.

use clap::Args;

use crate::outbound::HttpUrl;
use crate::tracking::TrackingOptions;

/// Where fine-tunes are recorded.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Tracking")]
pub struct TrackingArgs {
    /// An `MLflow` tracking server that gets a run for each fine-tune, such as `http://mlflow:5000` [default: none]
    #[arg(long, env = "GRAFT_MLFLOW_URL", value_name = "URL")]
    mlflow_url: Option<HttpUrl>,

    /// The experiment of these runs, made if it is not there
    #[arg(long, env = "GRAFT_MLFLOW_EXPERIMENT", value_name = "NAME", default_value = "graft")]
    mlflow_experiment: String,
}

impl TrackingArgs {
    /// Where fine-tunes are recorded, if anywhere.
    #[must_use]
    pub fn resolve(&self) -> Option<TrackingOptions> {
        let url = self.mlflow_url.clone()?;
        Some(TrackingOptions { url, experiment: self.mlflow_experiment.clone() })
    }
}
