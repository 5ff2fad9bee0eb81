//! The Label Studio that the server works with.

use std::path::PathBuf;

use clap::Args;
use thiserror::Error;

use crate::label_studio::LabelStudioOptions;
use crate::outbound::{AllowedHost, HttpUrl};
use crate::store::ModelName;

/// The Label Studio that the server works with.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Label Studio")]
pub struct LabelStudioArgs {
    /// The Label Studio whose projects train and use models: images and annotations are fetched from there [default: none, so that
    /// nothing is fetched]
    #[arg(long, env = "GRAFT_LABEL_STUDIO_URL", value_name = "URL", requires = "label_studio_base")]
    label_studio_url: Option<HttpUrl>,

    /// The access token of a user of that Label Studio. A file keeps it out of the list of processes
    #[arg(
        long,
        env = "GRAFT_LABEL_STUDIO_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        conflicts_with = "label_studio_token_file"
    )]
    label_studio_token: Option<String>,

    /// A file with that token
    #[arg(long, env = "GRAFT_LABEL_STUDIO_TOKEN_FILE", value_name = "FILE")]
    label_studio_token_file: Option<PathBuf>,

    /// The model that fine-tunes for Label Studio are grafted upon
    #[arg(long, env = "GRAFT_LABEL_STUDIO_BASE", value_name = "MODEL")]
    label_studio_base: Option<ModelName>,

    /// Another host that images of tasks may be fetched from, `HOST` or `HOST:PORT`; may be given more than once
    #[arg(
        long = "label-studio-image-host",
        env = "GRAFT_LABEL_STUDIO_IMAGE_HOSTS",
        value_name = "HOST",
        value_delimiter = ','
    )]
    label_studio_image_hosts: Vec<AllowedHost>,
}

/// The settings cannot be used.
#[derive(Debug, Error)]
#[error("the file of the Label Studio token {}", .path.display())]
pub struct LabelStudioConfigError {
    path: PathBuf,
    source: std::io::Error,
}

impl LabelStudioArgs {
    /// The Label Studio, if there is one.
    ///
    /// # Errors
    /// [`LabelStudioConfigError`].
    pub fn resolve(&self) -> Result<Option<LabelStudioOptions>, LabelStudioConfigError> {
        let (Some(url), Some(base)) = (self.label_studio_url.clone(), self.label_studio_base.clone()) else {
            return Ok(None);
        };
        let token = match &self.label_studio_token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|source| LabelStudioConfigError { path: path.clone(), source })?;
                Some(text.trim().to_owned())
            }
            None => self.label_studio_token.clone(),
        };
        Ok(Some(LabelStudioOptions { url, token, base, image_hosts: self.label_studio_image_hosts.clone() }))
    }
}
