//! What a person reads when the server starts.

use std::io::{self, Write};
#[cfg(feature = "grpc")]
use std::net::SocketAddr;
use std::path::Path;

use crate::failure::chain;
use crate::http::state::AppState;
use crate::store::{Availability, ModelName, ModelStore, StoreError};

/// Tells a person where to go. The log is for machines and goes elsewhere.
pub(super) fn announce(address: &str, state: &AppState) {
    let (engine, keys) = (&state.engine, state.access.keys().len());
    let mut text = format!(
        "graft is listening on {address}\nengine: {} with {} thread(s) ({})\ndata: {}\n",
        engine.kind,
        engine.threads,
        engine.reason,
        state.data.root().display()
    );
    let access = if keys == 0 { ClientAccess::Open } else { ClientAccess::Keys };
    let first = first_request(state.registry.store()).unwrap_or_else(|error| {
        tracing::warn!(reason = chain(&error), "the models cannot be listed");
        FirstRequest::Choose
    });
    text.push_str(&first.describe(address, access));
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        tracing::warn!(%error, "standard output takes nothing; serving all the same");
    }
    let (kind, reason, threads) = (engine.kind, &engine.reason, engine.threads);
    let provider = &engine.providers.reason;
    tracing::info!(address, engine = %kind, reason, threads, keys, provider, "listening");
}

/// Tells a person where clients of gRPC go.
#[cfg(feature = "grpc")]
pub(super) fn announce_grpc(address: SocketAddr) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "grpc: {address}").and_then(|()| out.flush()) {
        tracing::warn!(%error, "standard output takes nothing; serving all the same");
    }
    tracing::info!(%address, "listening for gRPC");
}

/// Whether clients need a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientAccess {
    Open,
    Keys,
}

/// What can be asked first.
#[derive(Debug, PartialEq, Eq)]
enum FirstRequest {
    /// This model answers, and here is an image that it knows.
    Classify { model: ModelName, image: String },
    /// Requests name their model.
    Choose,
    /// There is no model.
    Import,
}

fn first_request(store: &ModelStore) -> Result<FirstRequest, StoreError> {
    let model = match store.answering_by_default()? {
        Some((model, Availability::Served)) => model,
        // It was unloaded by hand; another one has to be named.
        Some((_, Availability::Stopped)) => return Ok(FirstRequest::Choose),
        None if store.list()?.models.is_empty() => return Ok(FirstRequest::Import),
        None => return Ok(FirstRequest::Choose),
    };
    let image = store.sample_image(&model)?;
    let image = image.as_deref().map_or_else(|| "PHOTO.jpg".to_owned(), quoted);
    Ok(FirstRequest::Classify { model, image })
}

impl FirstRequest {
    fn describe(&self, address: &str, access: ClientAccess) -> String {
        let key = if access == ClientAccess::Keys { " -H \"Authorization: Bearer $GRAFT_KEY\"" } else { "" };
        let trust = if address.starts_with("https") { " --insecure" } else { "" };
        let curl = format!("curl{trust}{key}");
        let (model, first) = match self {
            Self::Classify { model, image } => (model.as_str(), format!("{curl} -F image=@{image} {address}/classify")),
            Self::Choose => (
                "the one that a request names; `graft models default NAME` chooses one for all others",
                format!("{curl} -F image=@PHOTO.jpg '{address}/classify?model=NAME'"),
            ),
            Self::Import => ("none yet", "graft import MODEL.onnx --name NAME".to_owned()),
        };
        format!("page: {address}/\nmodel: {model}\ntry it:  {first}\n")
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%".contains(c);
    // curl reads a semicolon or a comma in a file name as the end of it, and quotes keep it together.
    if text.chars().all(plain) { text } else { format!("'\"{}\"'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> FirstRequest {
        FirstRequest::Classify { model: "starter".parse().unwrap(), image: "/data/boat.png".to_owned() }
    }

    #[test]
    fn the_line_for_curl_carries_what_the_server_asks_for() {
        let plain = first().describe("http://127.0.0.1:8080", ClientAccess::Open);
        assert!(plain.ends_with("try it:  curl -F image=@/data/boat.png http://127.0.0.1:8080/classify\n"), "{plain}");
        let keys = first().describe("https://127.0.0.1:8080", ClientAccess::Keys);
        assert!(keys.contains("curl --insecure -H \"Authorization: Bearer $GRAFT_KEY\" -F"), "{keys}");
    }

    #[test]
    fn a_path_with_spaces_stays_one_word() {
        assert_eq!(quoted(Path::new("/a/b.png")), "/a/b.png");
        assert_eq!(quoted(Path::new("/a b/it's;c.png")), "'\"/a b/it'\\''s;c.png\"'");
    }
}
