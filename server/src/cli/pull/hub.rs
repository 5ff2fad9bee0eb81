//! Files from the Hugging Face Hub, or a server that speaks like it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use server::config::DataDir;
use sha2::{Digest, Sha256};

use super::progress::Download;

#[derive(Debug, Clone, Args)]
pub(super) struct HubArgs {
    /// The address of the hub, or of a mirror
    #[arg(long, env = "HF_ENDPOINT", value_name = "URL", default_value = "https://huggingface.co")]
    endpoint: String,

    /// The folder that downloads are kept in [default: `hub` in `HF_HOME`, which other programs use too]
    #[arg(long, env = "HF_HUB_CACHE", value_name = "DIR")]
    hub_cache: Option<PathBuf>,

    /// Where Hugging Face's programs keep everything [default: ~/.cache/huggingface]
    #[arg(long, env = "HF_HOME", value_name = "DIR", hide = true)]
    hf_home: Option<PathBuf>,

    /// A token for repositories that want one
    #[arg(long, env = "HF_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// The branch, tag or commit
    #[arg(long, env = "GRAFT_REVISION", default_value = "main", value_name = "NAME")]
    revision: String,
}

/// How often a transfer that breaks off is taken up again.
const RETRIES: usize = 3;

/// The hub with the folder that files are kept in.
pub(super) struct Hub {
    api: Api,
    cache: Cache,
    revision: String,
}

impl Hub {
    pub(super) fn new(args: &HubArgs, data: &DataDir) -> Result<Self> {
        let home = || dirs::home_dir().map(|home| home.join(".cache").join("huggingface").join("hub"));
        let folder = match (&args.hub_cache, &args.hf_home) {
            (Some(folder), _) => folder.clone(),
            (None, Some(home)) => home.join("hub"),
            (None, None) => home().unwrap_or_else(|| data.hub_dir()),
        };
        let cache = Cache::new(std::path::absolute(folder)?);
        let mut builder = ApiBuilder::from_cache(cache.clone())
            .with_endpoint(args.endpoint.trim_end_matches('/').to_owned())
            .with_retries(RETRIES)
            .with_progress(false)
            .with_user_agent("graft", env!("CARGO_PKG_VERSION"));
        if let Some(token) = args.token.as_ref().filter(|token| !token.is_empty()) {
            builder = builder.with_token(Some(token.clone()));
        }
        Ok(Self { api: builder.build()?, cache, revision: args.revision.clone() })
    }

    /// A small file; `None` when the repository has none of this name.
    pub(super) fn fetch_small(&self, repository: &str, file: &str) -> Result<Option<Vec<u8>>> {
        match self.download(repository, file) {
            Ok(path) => Ok(Some(fs::read(&path).with_context(|| path.display().to_string())?)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(self.explained(&error, repository, file)),
        }
    }

    /// A file, whole and as the hub describes it. A transfer that was broken off goes on where it was.
    pub(super) fn fetch(&self, repository: &str, file: &str) -> Result<PathBuf> {
        let first = match self.download(repository, file) {
            Ok(path) if is_intact(&path)? => return Ok(path),
            Ok(path) => {
                discard(&path)?;
                None
            }
            Err(error) if is_missing(&error) => return Err(self.explained(&error, repository, file)),
            Err(error) => Some(error),
        };
        // What was there of an earlier attempt may be what is wrong.
        if let Some(error) = first
            && !self.discard_parts(repository)?
        {
            return Err(self.explained(&error, repository, file));
        }
        match self.download(repository, file) {
            Ok(path) if is_intact(&path)? => Ok(path),
            Ok(path) => {
                discard(&path)?;
                bail!(
                    "{file} of {repository} does not have the checksum that the hub says; nothing was kept, try again"
                )
            }
            Err(error) => Err(self.explained(&error, repository, file)),
        }
    }

    fn download(&self, repository: &str, file: &str) -> Result<PathBuf, ApiError> {
        let repo = self.repo(repository);
        match self.cache.repo(repo.clone()).get(file) {
            Some(path) => Ok(path),
            None => self.api.repo(repo).download_with_progress(file, Download::new()),
        }
    }

    fn repo(&self, repository: &str) -> Repo {
        Repo::with_revision(repository.to_owned(), RepoType::Model, self.revision.clone())
    }

    /// Removes what is left of broken transfers; whether there was anything.
    fn discard_parts(&self, repository: &str) -> Result<bool> {
        let blob = self.cache.repo(self.repo(repository)).blob_path("x");
        let folder = blob.parent().unwrap_or(Path::new(""));
        let parts = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut any = false;
        for part in parts.filter(|path| path.extension().is_some_and(|ending| ending == "part")) {
            fs::remove_file(&part).with_context(|| part.display().to_string())?;
            any = true;
        }
        Ok(any)
    }

    fn explained(&self, error: &ApiError, repository: &str, file: &str) -> anyhow::Error {
        let url = self.api.repo(self.repo(repository)).url(file);
        let advice = if is_missing(error) {
            "there is no such file; is the repository's name right?"
        } else {
            "run the command again to go on where it stopped, or name a mirror with --endpoint"
        };
        anyhow::anyhow!("{url} cannot be fetched: {error}; {advice}")
    }
}

fn is_missing(error: &ApiError) -> bool {
    matches!(error, ApiError::RequestError(error) if matches!(**error, ureq::Error::StatusCode(404)))
}

/// Whether a file is what its name says. The hub names large files by their SHA-256 and small ones by a checksum of git's.
fn is_intact(path: &Path) -> Result<bool> {
    let blob = path.canonicalize().with_context(|| path.display().to_string())?;
    let name = blob.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if name.len() != 64 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(true);
    }
    let bytes = fs::read(&blob).with_context(|| blob.display().to_string())?;
    Ok(hex::encode(Sha256::digest(&bytes)) == name)
}

/// Removes a file from the cache, and the link to it.
fn discard(path: &Path) -> Result<()> {
    let blob = path.canonicalize()?;
    fs::remove_file(path).and_then(|()| if blob == *path { Ok(()) } else { fs::remove_file(&blob) })?;
    Ok(())
}
