//! The page: what people see of the server. Everything in it goes through the public interface.

mod assets;
mod shell;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;
use assets::{ASSETS, Asset, Encoded};
use shell::Language;

/// Nothing but files of this server runs or is shown. Pictures of the reader's and those that were fetched with a key are blobs.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
                                       media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                                       frame-ancestors 'none'; require-trusted-types-for 'script'";
/// The address of a file has the checksum of all files in it.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// The page and its files.
pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/", get(page)).route("/ui/{version}/{*file}", get(file))
}

async fn page(headers: HeaderMap) -> Response {
    let language = Language::of(&headers);
    let mut response = encoded(language.shell(), &headers);
    let own = [
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_LANGUAGE, language.code()),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::VARY, "accept-encoding, accept-language, cookie"),
    ];
    for (name, value) in own {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn file(Path((version, file)): Path<(String, String)>, headers: HeaderMap) -> Result<Response, ApiError> {
    let asset = ASSETS.get(&version, &file).ok_or(Code::RouteNotFound)?;
    let mut response = encoded(asset, &headers);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(FOREVER));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}

fn encoded(asset: &'static Asset, headers: &HeaderMap) -> Response {
    let media_type = (header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    match asset.encoded(headers) {
        Encoded::Gzip(bytes) => {
            ([media_type, (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))], bytes).into_response()
        }
        Encoded::Plain(bytes) => ([media_type], bytes).into_response(),
    }
}
