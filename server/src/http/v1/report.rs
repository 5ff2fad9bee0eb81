//! The report of a version, for programs and for people.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use tokio::task::spawn_blocking;
use trainer::finetune::report::FinetuneReport;
use utoipa::ToSchema;

use crate::http::extract::Path;
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::report::ModelReport;
use crate::store::{ModelName, StoreError};

documents! {
    /// The name or the number names nothing, or what it names has no report.
    ReportErrors: ModelNotFound, ReportNotFound
}

/// Show the report of a version
///
/// What the fine-tune did and measured. With `Accept: text/html` it is one page with charts and pictures, which needs nothing
/// but itself; else JSON.
#[utoipa::path(
    get, path = "/models/{name}/versions/{version}/report", operation_id = "get_report", tag = "models",
    params(
        ("name" = String, Path, description = "The model's name.", example = "flowers"),
        ("version" = u32, Path, description = "The version.", minimum = 1, example = 3),
    ),
    responses(
        (status = 200, description = "The report.",
         content((FinetuneReport = "application/json"), (String = "text/html"))),
        ReportErrors
    )
)]
pub async fn get_report(
    State(state): State<AppState>,
    Path((name, version)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let missing = |detail: String| ApiError::new(Code::ModelNotFound, detail);
    let (Ok(name), Ok(version)) = (name.parse::<ModelName>(), version.parse::<u32>()) else {
        return Err(missing(format!("there is no version `{version}` of a model `{name}`")));
    };
    let store = state.registry.store().clone();
    let page = wants_page(&headers);
    let read = move || {
        let report = ModelReport::read(&store, &name, version)?;
        Ok::<_, StoreError>(report.map(|report| match page {
            true => Html(report.html(|file| store.picture(&name, version, file))).into_response(),
            false => Json(report.report).into_response(),
        }))
    };
    match spawn_blocking(read).await.map_err(ApiError::internal)? {
        Ok(Some(response)) => Ok(response),
        Ok(None) => Err(Code::ReportNotFound.into()),
        Err(error) => Err(error.into()),
    }
}

documents! {
    /// The errors of `GET /models/{name}/versions/{version}/pictures/{file}`.
    PictureErrors: ModelNotFound, ImageNotFound
}

/// The bytes of a picture.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes the answer")]
pub struct PictureContent(Vec<u8>);

/// Get a picture of a report
///
/// A small copy of an image that the report names, as a JPEG file.
#[utoipa::path(
    get, path = "/models/{name}/versions/{version}/pictures/{file}", operation_id = "get_report_picture", tag = "models",
    params(
        ("name" = String, Path, description = "The model's name.", example = "flowers"),
        ("version" = u32, Path, description = "The version.", minimum = 1, example = 3),
        ("file" = String, Path, description = "The `picture` of an answer in the report.", example = "17.jpg"),
    ),
    responses(
        (status = 200, description = "The picture.", body = PictureContent, content_type = "image/jpeg"),
        PictureErrors
    )
)]
pub async fn get_picture(
    State(state): State<AppState>,
    Path((name, version, file)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let (Ok(model), Ok(number)) = (name.parse::<ModelName>(), version.parse::<u32>()) else {
        let detail = format!("there is no version `{version}` of a model `{name}`");
        return Err(ApiError::new(Code::ModelNotFound, detail));
    };
    let (store, asked) = (state.registry.store().clone(), file.clone());
    let read = spawn_blocking(move || store.picture(&model, number, &asked)).await.map_err(ApiError::internal)?;
    let missing =
        || ApiError::new(Code::ImageNotFound, format!("version {number} of `{name}` has no picture `{file}`"));
    let bytes = read.ok_or_else(missing)?;
    // Versions never change.
    let headers =
        [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private, max-age=31536000, immutable")];
    Ok((headers, bytes).into_response())
}

/// Whether a page is wanted more than JSON (RFC 9110, section 12.5.1).
fn wants_page(headers: &HeaderMap) -> bool {
    let text =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",");
    // The most exact range that fits a type says how much it is wanted.
    let quality = |ranges: [&str; 3]| {
        let of = |wanted: &str| {
            text.split(',').find_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let fits = parts.next().is_some_and(|range| range.eq_ignore_ascii_case(wanted));
                let quality = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse::<f32>().ok());
                fits.then(|| quality.unwrap_or(1.0))
            })
        };
        ranges.into_iter().find_map(of).unwrap_or(0.0)
    };
    quality(["text/html", "text/*", "*/*"]) > quality(["application/json", "application/*", "*/*"])
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn browsers_get_the_page_and_programs_json() {
        let accepts = |accept: &'static str| {
            wants_page(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert!(accepts("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), "Firefox");
        assert!(accepts("text/html"));
        for program in
            ["*/*", "application/json", "application/json, text/html;q=0.5", "application/json, text/html", ""]
        {
            assert!(!accepts(program), "{program}");
        }
        assert!(!wants_page(&HeaderMap::new()));
    }
}
