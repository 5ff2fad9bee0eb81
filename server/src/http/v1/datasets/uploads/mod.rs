//! Archives that are uploaded in pieces, by tus 1.0 (<https://tus.io/protocols/resumable-upload>): its core and the extensions
//! creation, termination and expiration.

mod headers;

use std::pin::Pin;

use axum::Json;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use trainer::data::Layout;
use utoipa::ToSchema;
use uuid::Uuid;

use super::path::{DatasetPath, dataset};
use crate::datasets::stored::{ImportOutcome, Reception, UploadReading, UploadRecord};
use crate::failure::is_full_disk;
use crate::http::extract::Path;
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use headers::{
    EXTENSIONS, TUS_EXTENSION, TUS_MAX_SIZE, TUS_RESUMABLE, TUS_VERSION, UPLOAD_EXPIRES, UPLOAD_LENGTH, UPLOAD_OFFSET,
    VERSION, check_version, http_date, new_upload, whole_number,
};

/// The content type of the pieces.
const PIECE: &str = "application/offset+octet-stream";
/// An archive of images that comes in pieces.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Upload {
    /// What its address ends in.
    #[schema(example = "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55")]
    pub id: String,
    /// What the client calls the archive.
    #[schema(example = "flowers.zip")]
    pub file_name: String,
    /// How its images are arranged.
    pub layout: Layout,
    /// How far it is.
    pub state: UploadState,
    /// How many bytes have come.
    #[schema(example = 1_048_576)]
    pub offset: u64,
    /// How many there will be.
    #[schema(example = 2_147_483_648_u64)]
    pub length: u64,
    /// When it is removed unless more comes.
    #[schema(value_type = String, format = DateTime, example = "2026-11-24T18:52:32.104Z")]
    pub expires_at: Timestamp,
    /// What became of its images, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub outcome: Option<ImportOutcome>,
}

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// Bytes are missing.
    Receiving,
    /// All bytes are there, and the images are being read.
    Importing,
    /// The images are in the data set.
    Imported,
    /// None of them is in the data set.
    Failed,
}

/// The uploads of a data set.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UploadList {
    /// Oldest first.
    pub data: Vec<Upload>,
}

/// The bytes of a piece of an upload.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes the body that is streamed")]
pub struct UploadPiece(Vec<u8>);

/// How to read an archive that was not understood.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// How the images are arranged.
    #[serde(default)]
    layout: Layout,
    /// The classes: folders of these names, wherever they are.
    #[serde(default)]
    #[schema(example = json!(["rose", "tulip"]))]
    classes: Vec<String>,
}

documents! {
    /// Nothing of its own.
    DescribeUploadsErrors:
}

documents! {
    /// The errors of `POST /datasets/{name}/uploads`.
    CreateUploadErrors:
        InvalidParameter, DatasetNotFound, TusVersionMismatch, UploadTooLarge, DatasetLimit, DatasetsUnavailable, StorageFull
}

documents! {
    /// The errors of `GET /datasets/{name}/uploads`.
    ListUploadsErrors: DatasetNotFound, DatasetsUnavailable
}

documents! {
    /// The errors of `GET /datasets/{name}/uploads/{id}`.
    GetUploadErrors: DatasetNotFound, UploadNotFound, DatasetsUnavailable
}

documents! {
    /// The errors of `HEAD /datasets/{name}/uploads/{id}`.
    HeadUploadErrors: DatasetNotFound, UploadNotFound, TusVersionMismatch, DatasetsUnavailable
}

documents! {
    /// The errors of `PATCH /datasets/{name}/uploads/{id}`.
    AppendUploadErrors:
        InvalidParameter, BodyUnreadable, DatasetNotFound, UploadNotFound, BodyTimeout, UploadOffsetMismatch,
        TusVersionMismatch, UploadTooLarge, BodyTooLarge, UnsupportedMediaType, UploadLocked, DatasetsUnavailable, StorageFull
}

documents! {
    /// The errors of `DELETE /datasets/{name}/uploads/{id}`.
    DeleteUploadErrors: DatasetNotFound, UploadNotFound, TusVersionMismatch, UploadLocked, DatasetsUnavailable
}

documents! {
    /// The errors of `POST /datasets/{name}/uploads/{id}/import`.
    ImportUploadErrors:
        InvalidJson, BodyUnreadable, DatasetNotFound, UploadNotFound, UploadNotFailed, BodyTooLarge, UnsupportedMediaType,
        InvalidBody, UploadLocked, BodyTimeout, ServerBusy, DatasetsUnavailable, StorageFull
}

/// Say what uploads may be (tus)
///
/// The version of tus, its extensions, and the largest upload.
#[utoipa::path(
    options, path = "/datasets/{name}/uploads", operation_id = "describe_uploads", tag = "datasets",
    params(DatasetPath),
    responses((status = 204, description = "In the headers `Tus-Version`, `Tus-Extension` and `Tus-Max-Size`."), DescribeUploadsErrors)
)]
pub async fn describe_uploads(State(state): State<AppState>) -> Response {
    let headers = [
        (TUS_RESUMABLE, VERSION),
        (TUS_VERSION, VERSION),
        (TUS_EXTENSION, EXTENSIONS),
        (TUS_MAX_SIZE, HeaderValue::from(state.datasets.limits().upload_bytes)),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Begin an upload (tus)
///
/// Of a zip, tar or compressed tar archive of images. Send its bytes with PATCH to the address in `Location`, in as many
/// pieces as you like; after a break, HEAD says where to go on. When the last byte is there, the images are read as
/// `graft data check` reads them and added to the data set, all of them at once; GET says what became of them.
#[utoipa::path(
    post, path = "/datasets/{name}/uploads", operation_id = "create_upload", tag = "datasets",
    params(
        DatasetPath,
        ("Tus-Resumable" = String, Header, description = "`1.0.0`.", example = "1.0.0"),
        ("Upload-Length" = u64, Header, description = "The size of the archive in bytes.", example = 2_147_483_648_u64),
        (
            "Upload-Metadata" = Option<String>, Header, nullable = false,
            description = "Keys with values in Base64, separated by commas: `filename`, and, where they cannot be told from \
                           the files, `layout` and `classes` (separated by commas) as in `DatasetSource`."
        ),
    ),
    responses(
        (status = 201, description = "It is begun.",
         headers(
             ("Location" = String, description = "The address of the upload."),
             ("Upload-Expires" = String, description = "When it is removed unless more comes."),
             ("Tus-Resumable" = String, description = "`1.0.0`.")
         )),
        CreateUploadErrors
    )
)]
pub async fn create_upload(State(state): State<AppState>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let create = async {
        check_version(&headers)?;
        let name = dataset(&name)?;
        let length = whole_number(&headers, &UPLOAD_LENGTH)?;
        let upload = state.datasets.create_upload(&name, new_upload(length, &headers)?).await?;
        let location = HeaderValue::try_from(format!("/datasets/{name}/uploads/{}", upload.id));
        let location = location.map_err(ApiError::internal)?;
        if length == 0 {
            state.datasets.notify_completed();
        }
        Ok((StatusCode::CREATED, [(header::LOCATION, location), (UPLOAD_EXPIRES, http_date(upload.expires_at))]))
    };
    answer(create.await)
}

/// List the uploads of a data set
///
/// Those that are not complete, and those whose images are being read or were read of late.
#[utoipa::path(
    get, path = "/datasets/{name}/uploads", operation_id = "list_uploads", tag = "datasets",
    params(DatasetPath),
    responses((status = 200, description = "The uploads.", body = UploadList), ListUploadsErrors)
)]
pub async fn list_uploads(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<UploadList>, ApiError> {
    let uploads = state.datasets.uploads(&dataset(&name)?).await?;
    Ok(Json(UploadList { data: uploads.into_iter().map(Upload::from).collect() }))
}

/// Describe an upload
///
/// Its state and, in the end, what became of its images.
#[utoipa::path(
    get, path = "/datasets/{name}/uploads/{id}", operation_id = "get_upload", tag = "datasets",
    params(
        DatasetPath,
        ("id" = String, Path, description = "The upload's id."),
    ),
    responses((status = 200, description = "The upload.", body = Upload), GetUploadErrors)
)]
pub async fn get_upload(
    State(state): State<AppState>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<Upload>, ApiError> {
    Ok(Json(state.datasets.upload(&dataset(&name)?, upload_id(&id)?).await?.into()))
}

/// Ask how much of an upload has come (tus)
///
/// In the header `Upload-Offset`: the next piece begins there.
#[utoipa::path(
    head, path = "/datasets/{name}/uploads/{id}", operation_id = "get_upload_offset", tag = "datasets",
    params(
        DatasetPath,
        ("id" = String, Path, description = "The upload's id."),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`.", example = "1.0.0"),
    ),
    responses(
        (status = 200, description = "How much has come.",
         headers(
             ("Upload-Offset" = u64, description = "How many bytes have come."),
             ("Upload-Length" = u64, description = "How many there will be."),
             ("Upload-Expires" = String, description = "When it is removed unless more comes."),
             ("Tus-Resumable" = String, description = "`1.0.0`.")
         )),
        HeadUploadErrors
    )
)]
pub async fn get_upload_offset(
    State(state): State<AppState>,
    Path((name, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let head = async {
        check_version(&headers)?;
        let upload = state.datasets.upload(&dataset(&name)?, upload_id(&id)?).await?;
        let headers = [
            (UPLOAD_OFFSET, HeaderValue::from(upload.offset)),
            (UPLOAD_LENGTH, HeaderValue::from(upload.of.length)),
            (UPLOAD_EXPIRES, http_date(upload.expires_at)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        Ok((StatusCode::OK, headers))
    };
    answer(head.await)
}

/// Send a piece of an upload (tus)
///
/// From `Upload-Offset` on, as much as you like. What has come before a connection breaks stays.
#[utoipa::path(
    patch, path = "/datasets/{name}/uploads/{id}", operation_id = "append_upload", tag = "datasets",
    params(
        DatasetPath,
        ("id" = String, Path, description = "The upload's id."),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`.", example = "1.0.0"),
        ("Upload-Offset" = u64, Header, description = "How many bytes have come before.", example = 0),
    ),
    request_body(content = UploadPiece, content_type = "application/offset+octet-stream"),
    responses(
        (status = 204, description = "The piece is stored.",
         headers(
             ("Upload-Offset" = u64, description = "How many bytes have come."),
             ("Upload-Expires" = String, description = "When it is removed unless more comes."),
             ("Tus-Resumable" = String, description = "`1.0.0`.")
         )),
        AppendUploadErrors
    )
)]
pub async fn append_upload(
    State(state): State<AppState>,
    Path((name, id)): Path<(String, String)>,
    request: Request,
) -> Response {
    answer(append(&state, &name, &id, request).await)
}

async fn append(
    state: &AppState,
    name: &str,
    id: &str,
    request: Request,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 2]), ApiError> {
    let headers = request.headers();
    check_version(headers)?;
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media_type.trim() != PIECE {
        return Err(ApiError::new(Code::UnsupportedMediaType, format!("send the piece as `{PIECE}`")));
    }
    let offset = whole_number(headers, &UPLOAD_OFFSET)?;
    let (name, id) = (dataset(name)?, upload_id(id)?);
    let file = state.datasets.append(&name, id, offset).await?;
    let missing = file.missing()?;
    let received = receive(request.into_body(), &mut file.writer()?, missing).await;
    let reception = file.settle().await?;
    received?;
    if reception == Reception::Complete {
        state.datasets.notify_completed();
    }
    let upload = state.datasets.upload(&name, id).await?;
    let offset = HeaderValue::from(upload.offset);
    Ok((StatusCode::NO_CONTENT, [(UPLOAD_OFFSET, offset), (UPLOAD_EXPIRES, http_date(upload.expires_at))]))
}

/// Writes what comes, one chunk in memory at a time.
async fn receive(mut body: Body, file: &mut tokio::fs::File, missing: u64) -> Result<(), ApiError> {
    let failed = |error: std::io::Error| {
        let code = if is_full_disk(&error) { Code::StorageFull } else { Code::Internal };
        ApiError::from(code).caused_by(error)
    };
    let mut left = missing;
    let mut ended = Ok(());
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(frame) = frame else {
            ended = Err(ApiError::from(Code::BodyUnreadable));
            break;
        };
        let Ok(chunk) = frame.into_data() else { continue };
        if chunk.len() as u64 > left {
            ended = Err(ApiError::new(Code::UploadTooLarge, "the piece goes beyond `Upload-Length`"));
            break;
        }
        left -= chunk.len() as u64;
        file.write_all(&chunk).await.map_err(failed)?;
    }
    // Also what came before a break stays.
    file.flush().await.map_err(failed)?;
    ended
}

/// End an upload (tus)
///
/// What has come of it is removed. Images that it has brought stay.
#[utoipa::path(
    delete, path = "/datasets/{name}/uploads/{id}", operation_id = "delete_upload", tag = "datasets",
    params(
        DatasetPath,
        ("id" = String, Path, description = "The upload's id."),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`.", example = "1.0.0"),
    ),
    responses((status = 204, description = "It is ended."), DeleteUploadErrors)
)]
pub async fn delete_upload(
    State(state): State<AppState>,
    Path((name, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let end = async {
        check_version(&headers)?;
        state.datasets.end_upload(&dataset(&name)?, upload_id(&id)?).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    answer(end.await)
}

/// Read an upload in another way
///
/// After its images were not understood: with the layout or the classes that settle it. Nothing is sent again.
#[utoipa::path(
    post, path = "/datasets/{name}/uploads/{id}/import", operation_id = "import_upload", tag = "datasets",
    params(
        DatasetPath,
        ("id" = String, Path, description = "The upload's id."),
    ),
    request_body = ImportRequest,
    responses((status = 202, description = "It is read again.", body = Upload), ImportUploadErrors)
)]
pub async fn import_upload(
    State(state): State<AppState>,
    Path((name, id)): Path<(String, String)>,
    crate::http::extract::Json(request): crate::http::extract::Json<ImportRequest>,
) -> Result<(StatusCode, Json<Upload>), ApiError> {
    let ImportRequest { layout, classes } = request;
    let reading = UploadReading { layout, classes };
    let upload = state.datasets.import_again(&dataset(&name)?, upload_id(&id)?, reading).await?;
    state.datasets.notify_completed();
    Ok((StatusCode::ACCEPTED, Json(upload.into())))
}

impl From<UploadRecord> for Upload {
    fn from(upload: UploadRecord) -> Self {
        let UploadRecord { id, of, offset, expires_at, outcome } = upload;
        let state = match &outcome {
            Some(ImportOutcome::Imported { .. }) => UploadState::Imported,
            Some(ImportOutcome::Failed { .. }) => UploadState::Failed,
            None if offset == of.length => UploadState::Importing,
            None => UploadState::Receiving,
        };
        let (id, length) = (id.to_string(), of.length);
        Self { id, file_name: of.file_name, layout: of.layout, state, offset, length, expires_at, outcome }
    }
}

/// Every answer names the version of the protocol; one to another version names those that there are.
fn answer(result: Result<impl IntoResponse, ApiError>) -> Response {
    let mismatch = matches!(&result, Err(error) if error.code() == Code::TusVersionMismatch);
    let mut response = result.into_response();
    response.headers_mut().insert(TUS_RESUMABLE, VERSION);
    if mismatch {
        response.headers_mut().insert(TUS_VERSION, VERSION);
    }
    response
}

/// Parses the id in a path. A malformed one is that of no upload.
fn upload_id(text: &str) -> Result<Uuid, ApiError> {
    text.parse().map_err(|_| ApiError::new(Code::UploadNotFound, format!("there is no upload `{text}`")))
}
