//! The ONNX file of a version.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::UNIX_EPOCH;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::VersionPath;
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::http::written;
use crate::store::{ModelStore, StoreError};

/// The bytes of an ONNX file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes the answer")]
pub struct OnnxFile(Vec<u8>);

documents! {
    /// The errors of `GET /models/{name}/versions/{version}/onnx`.
    DownloadErrors: ModelNotFound, RangeNotSatisfiable
}

/// A file that is open, and what tells it from others.
struct OpenFile {
    file: File,
    length: u64,
    tag: String,
}

/// Get the ONNX file of a version
///
/// As it was published: classes that were called otherwise since have their first names in it. `Range` goes on after a break,
/// `If-None-Match` spares what the client has.
#[utoipa::path(
    get, path = "/models/{name}/versions/{version}/onnx", operation_id = "get_onnx", tag = "models",
    params(
        VersionPath,
        ("Range" = Option<String>, Header, nullable = false, description = "One range of bytes.", example = "bytes=1048576-"),
        ("If-Range" = Option<String>, Header, nullable = false, description = "The `ETag` that the range belongs to."),
        ("If-None-Match" = Option<String>, Header, nullable = false, description = "The `ETag` of the file that the client has."),
    ),
    responses(
        (status = 200, description = "The file.", body = OnnxFile, content_type = "application/octet-stream",
         headers(("ETag" = String, description = "Tells the file from others."))),
        (status = 206, description = "The range of it.", body = OnnxFile, content_type = "application/octet-stream"),
        (status = 304, description = "The client has it."),
        DownloadErrors
    )
)]
pub async fn get_onnx(
    State(state): State<AppState>,
    path: VersionPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let store = state.registry.store().clone();
    let file_name = format!("attachment; filename=\"{}-{}.onnx\"", path.name, path.version);
    let opened = spawn_blocking(move || open(&store, &path)).await.map_err(ApiError::internal)?;
    let OpenFile { mut file, length, tag } = opened?;
    let constant = [
        (header::ETAG, HeaderValue::try_from(&tag).map_err(ApiError::internal)?),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
    ];
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_NONE_MATCH)
        .is_some_and(|tags| tags.split(',').any(|other| [tag.as_str(), "*"].contains(&other.trim())))
    {
        return Ok((StatusCode::NOT_MODIFIED, constant).into_response());
    }
    let asked = text(header::RANGE).filter(|_| text(header::IF_RANGE).is_none_or(|other| other == tag));
    let (status, start, end) = match asked.map_or(Selection::Whole, |asked| select(asked, length)) {
        Selection::Whole => (StatusCode::OK, 0, length),
        Selection::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
        Selection::Nothing => {
            let detail = format!("the file has {length} bytes, and the range is outside of them");
            return Err(ApiError::new(Code::RangeNotSatisfiable, detail));
        }
    };
    let body = written::body(end - start, move |to| {
        file.seek(SeekFrom::Start(start))?;
        io::copy(&mut file.take(end - start), to).map(drop)
    });
    let mut response = (status, constant, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::try_from(file_name).map_err(ApiError::internal)?);
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {start}-{}/{length}", end - 1);
        headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(range).map_err(ApiError::internal)?);
    }
    Ok(response)
}

fn open(store: &ModelStore, VersionPath { name, version }: &VersionPath) -> Result<OpenFile, StoreError> {
    let path = store.model_file(name, *version)?;
    let open = || {
        let file = File::open(&path)?;
        let metadata = file.metadata()?;
        let changed = metadata.modified()?.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        // A version never changes, and no number is given twice.
        let tag = format!("\"{:x}-{:x}\"", metadata.len(), changed.as_nanos());
        Ok(OpenFile { file, length: metadata.len(), tag })
    };
    open().map_err(StoreError::io(&path))
}

/// What a range selects of a file.
#[derive(Debug, PartialEq, Eq)]
enum Selection {
    /// What is no range of bytes, or several, is to be ignored.
    Whole,
    /// The end is exclusive.
    Part { start: u64, end: u64 },
    /// It is outside of the file.
    Nothing,
}

/// As RFC 9110, section 14.1.2, reads a range.
fn select(text: &str, length: u64) -> Selection {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let bounds = text.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let part = bounds.and_then(|(first, last)| match (first.trim(), last.trim()) {
        ("", suffix) => Some((length.saturating_sub(number(suffix)?), length)),
        (start, "") => Some((number(start)?, length)),
        (start, last) => Some((number(start)?, number(last)?.saturating_add(1).min(length))),
    });
    match part {
        None => Selection::Whole,
        Some((start, end)) if start < end => Selection::Part { start, end },
        Some(_) => Selection::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        let part = |start, end| Selection::Part { start, end };
        // The examples of section 14.1.2, for a representation of 10000 bytes, and some that are none.
        for (text, expected) in [
            ("bytes=0-499", part(0, 500)),
            ("bytes=500-999", part(500, 1000)),
            ("bytes=-500", part(9500, 10_000)),
            ("bytes=9500-", part(9500, 10_000)),
            ("bytes=9500-20000", part(9500, 10_000)),
            ("bytes=-20000", part(0, 10_000)),
            ("bytes=10000-", Selection::Nothing),
            ("bytes=-0", Selection::Nothing),
            ("bytes=0-0,-1", Selection::Whole),
            ("items=0-1", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
        ] {
            assert_eq!(select(text, 10_000), expected, "{text}");
        }
    }
}
