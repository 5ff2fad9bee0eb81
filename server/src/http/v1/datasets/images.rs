//! The images of a data set.

use std::fs::File;
use std::io::{self, Read};

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use models::preprocess::{ImageError, ImageFormat};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use trainer::data::{Subset, labels_of};
use utoipa::{IntoParams, ToSchema};

use super::path::{DatasetPath, ImagePath};
use crate::datasets::stored::{
    Addition, ImageEdit, ImageFilter, ImageUpload, Label, StoredImage, SubsetChoice, file_name,
};
use crate::http::extract::{self, LabeledImages, Query};
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::http::v1::classify::refuse_all;
use crate::http::v1::result::ImageProblem;
use crate::http::v1::within;
use crate::http::written;

/// The bytes of an image never change under its checksum; they are nobody's but the caller's.
const FOREVER: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");
/// How many first bytes tell a format.
const HEAD: u64 = 64;

/// Image files with labels, as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `LabeledImages` reads")]
pub struct LabeledImagesForm {
    /// One part for each image file: JPEG, PNG, WebP, GIF or BMP.
    #[schema(value_type = Vec<String>, format = Binary, min_items = 1)]
    image: Vec<Vec<u8>>,
    /// The label of all images. Several labels of an image are separated by slashes, as in `rose/tulip`, and a slash alone is
    /// none; then the data set is of images with several classes each. A program that writes its forms itself may send a part for each image, in the same order.
    #[schema(example = "tulip")]
    label: String,
}

/// What became of the images of a form.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImageAdditions {
    /// One entry for each image, in the order of the request.
    pub results: Vec<ImageAddition>,
}

/// What became of one image, or why it was refused: `id` and `state`, or `problem`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImageAddition {
    /// The file name in the form, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "rose.jpg")]
    pub file_name: Option<String>,
    /// The image's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub id: Option<String>,
    /// Whether it is new or was there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub state: Option<AdditionState>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub problem: Option<ImageProblem>,
}

/// Whether an image is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdditionState {
    /// It is new.
    Added,
    /// It was there already, with the same label.
    Present,
}

/// An image of a data set.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DatasetImage {
    /// The SHA-256 of the file.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub id: String,
    /// Its place in the order in which images came, with gaps; `after` of the next request.
    #[schema(example = 42)]
    pub seq: i64,
    /// The class. Several are separated by slashes, and a slash alone is none.
    #[schema(example = "tulip")]
    pub label: String,
    /// The classes, sorted.
    #[schema(example = json!(["tulip"]))]
    pub labels: Vec<String>,
    /// What the file was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "rose.jpg")]
    pub file_name: Option<String>,
    /// The subset that an archive with subsets has it in: `train`, `validation` or `test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "test")]
    pub subset: Option<Subset>,
    /// The size of the file.
    #[schema(example = 42_810)]
    pub bytes: u64,
    /// In pixels, upright.
    #[schema(example = 640)]
    pub width: u32,
    /// In pixels, upright.
    #[schema(example = 480)]
    pub height: u32,
    /// When it came.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T18:52:32.104Z")]
    pub added_at: Timestamp,
}

/// Some of a data set's images.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DatasetImagePage {
    /// In the order in which they came.
    pub data: Vec<DatasetImage>,
    /// Whether there are more; ask for them with `after` set to the last `seq`.
    pub has_more: bool,
}

/// The page of images.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImagesQuery {
    /// Images of this class alone, or of this class and others.
    #[param(nullable = false, example = "tulip")]
    label: Option<String>,
    /// The `seq` of the last image of the previous page.
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    after: i64,
    /// The maximum number of images in the answer.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

/// A change of an image. What is left out stays.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageChange {
    /// The new label; several are separated by slashes, as in `rose/tulip`, and a slash alone is none.
    #[serde(default, deserialize_with = "extract::not_null")]
    #[schema(nullable = false, example = "tulip")]
    label: Option<String>,
    /// The new subset.
    #[serde(default, deserialize_with = "extract::not_null")]
    #[schema(nullable = false)]
    subset: Option<SubsetChoice>,
}

/// The bytes of an image file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes the answer")]
pub struct ImageContent(Vec<u8>);

documents! {
    /// The errors of `POST /datasets/{name}/images`.
    AddImagesErrors:
        InvalidMultipart, BodyUnreadable, ImageMissing, ImageEmpty, DatasetNotFound, ImageLabeledOtherwise, BodyTooLarge,
        UnsupportedMediaType, NotAnImage, ImageUnsupported, ImageTruncated, ImageCorrupt, ImageTooLarge, TooManyImages,
        InvalidLabel, DatasetLimit, BodyTimeout, ServerBusy, DatasetsUnavailable, StorageFull
}

documents! {
    /// The errors of `GET /datasets/{name}/images`.
    ListImagesErrors: InvalidParameter, DatasetNotFound, DatasetsUnavailable
}

documents! {
    /// The errors of `GET /datasets/{name}/images/{id}`.
    GetImageErrors: DatasetNotFound, ImageNotFound, DatasetsUnavailable
}

documents! {
    /// The errors of `GET /datasets/{name}/images/{id}/thumbnail`.
    GetThumbnailErrors: DatasetNotFound, ImageNotFound, ImageTooLarge, DatasetsUnavailable, StorageFull
}

documents! {
    /// The errors of `PATCH /datasets/{name}/images/{id}`.
    ChangeImageErrors:
        InvalidJson, BodyUnreadable, DatasetNotFound, ImageNotFound, BodyTooLarge, UnsupportedMediaType, InvalidBody,
        InvalidLabel, BodyTimeout, ServerBusy, DatasetsUnavailable, StorageFull
}

documents! {
    /// The errors of `DELETE /datasets/{name}/images/{id}`.
    DeleteImageErrors: DatasetNotFound, ImageNotFound, DatasetsUnavailable, StorageFull
}

/// Add images
///
/// Takes one or more image files in parts named `image`, and their label in a part named `label`: one for all, or a
/// part for each image in the same order. Each image is decoded; one that cannot be used is refused by name and the others are added.
/// If none can be used, the answer is the error of the first. An image that is in the data set already is added once, so
/// that a request may be repeated.
#[utoipa::path(
    post, path = "/datasets/{name}/images", operation_id = "add_dataset_images", tag = "datasets",
    params(DatasetPath),
    request_body(content = LabeledImagesForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "What became of each; at least one is in the data set.", body = ImageAdditions),
        AddImagesErrors
    )
)]
pub async fn add_images(
    State(state): State<AppState>,
    DatasetPath { name }: DatasetPath,
    request: Request,
) -> Result<Json<ImageAdditions>, ApiError> {
    // Before the body is read.
    state.datasets.check(&name).await?;
    let LabeledImages(files) = LabeledImages::from_request(request, &state).await?;
    let names: Vec<Option<String>> = files.iter().map(|(upload, _)| upload.file_name.clone()).collect();
    let upload = |(upload, label): (extract::Upload, Label)| ImageUpload {
        label,
        file_name: upload.file_name.as_deref().and_then(file_name),
        subset: None,
        bytes: upload.bytes,
    };
    let uploads = files.into_iter().map(upload).collect();
    let added = state.datasets.add(&name, uploads, state.limits.image).await?;
    refuse_all(&names, &added)?;
    let results: Vec<ImageAddition> = names.into_iter().zip(added).map(|(name, file)| addition(name, file)).collect();
    let labeled = Code::ImageLabeledOtherwise;
    let mut problems = results.iter().filter_map(|result| result.problem.as_ref());
    match problems.find(|problem| problem.code == labeled.entry().name) {
        Some(problem) if results.iter().all(|result| result.id.is_none()) => {
            Err(ApiError::new(labeled, problem.detail.clone()))
        }
        _ => Ok(Json(ImageAdditions { results })),
    }
}

fn addition(file_name: Option<String>, file: Result<Addition, ImageError>) -> ImageAddition {
    let refused = ImageAddition { file_name, id: None, state: None, problem: None };
    match file {
        Ok(Addition::Added(id)) => {
            ImageAddition { id: Some(id.to_string()), state: Some(AdditionState::Added), ..refused }
        }
        Ok(Addition::Present(id)) => {
            ImageAddition { id: Some(id.to_string()), state: Some(AdditionState::Present), ..refused }
        }
        Ok(Addition::LabeledOtherwise { sha256, label }) => {
            let detail = format!(
                "the image is in the data set with the label `{label}`; change it with PATCH on the image {sha256}"
            );
            ImageAddition { problem: Some(ImageProblem::new(Code::ImageLabeledOtherwise, detail)), ..refused }
        }
        Err(error) => ImageAddition { problem: Some(ImageProblem::of(&error)), ..refused },
    }
}

/// List the images
///
/// As they are now, in the order in which they came.
#[utoipa::path(
    get, path = "/datasets/{name}/images", operation_id = "list_dataset_images", tag = "datasets",
    params(DatasetPath, ImagesQuery),
    responses((status = 200, description = "A page of images.", body = DatasetImagePage), ListImagesErrors)
)]
pub async fn list_images(
    State(state): State<AppState>,
    DatasetPath { name }: DatasetPath,
    Query(query): Query<ImagesQuery>,
) -> Result<Json<DatasetImagePage>, ApiError> {
    let limit = within("limit", query.limit, &(1..=1000))?;
    if query.after < 0 {
        return Err(ApiError::new(Code::InvalidParameter, "after: it must not be negative"));
    }
    let filter = ImageFilter { label: query.label.as_deref(), after: query.after, limit };
    let page = state.datasets.images(&name, &filter).await?;
    Ok(Json(DatasetImagePage {
        data: page.data.into_iter().map(DatasetImage::from).collect(),
        has_more: page.has_more,
    }))
}

/// Get an image
///
/// The file as it came.
#[utoipa::path(
    get, path = "/datasets/{name}/images/{id}", operation_id = "get_dataset_image", tag = "datasets",
    params(ImagePath),
    responses(
        (status = 200, description = "The image file.", content(
            (ImageContent = "application/octet-stream"), (ImageContent = "image/bmp"), (ImageContent = "image/gif"),
            (ImageContent = "image/jpeg"), (ImageContent = "image/png"), (ImageContent = "image/webp"),
        )),
        GetImageErrors
    )
)]
pub async fn get_image(State(state): State<AppState>, ImagePath { name, id }: ImagePath) -> Result<Response, ApiError> {
    let path = state.datasets.file(&name, id).await?;
    let opened = spawn_blocking(move || {
        let mut head = Vec::new();
        File::open(&path)?.take(HEAD).read_to_end(&mut head)?;
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        Ok::<_, io::Error>((file, length, media_type(&head)))
    });
    let (mut file, length, media_type) =
        opened.await.map_err(ApiError::internal)?.map_err(|error| ApiError::internal(Box::new(error)))?;
    let body = written::body(length, move |to| io::copy(&mut file, to).map(drop));
    Ok((headers(media_type), body).into_response())
}

/// Get a small picture of an image
///
/// A JPEG no longer than 256 pixels on either side, made when it is first asked for.
#[utoipa::path(
    get, path = "/datasets/{name}/images/{id}/thumbnail", operation_id = "get_dataset_thumbnail", tag = "datasets",
    params(ImagePath),
    responses(
        (status = 200, description = "The picture.", body = ImageContent, content_type = "image/jpeg"),
        GetThumbnailErrors
    )
)]
pub async fn get_thumbnail(
    State(state): State<AppState>,
    ImagePath { name, id }: ImagePath,
) -> Result<Response, ApiError> {
    let bytes = state.datasets.thumbnail(&name, id, state.limits.image).await?;
    Ok((headers("image/jpeg"), bytes).into_response())
}

/// Change the label or the subset of an image
///
/// Snapshots keep what the image had when they were made. An image that is in a subset is only there; the subsets that no image is
/// given to are drawn for each run, as far as its options ask for them.
#[utoipa::path(
    patch, path = "/datasets/{name}/images/{id}", operation_id = "change_dataset_image", tag = "datasets",
    params(ImagePath),
    request_body = ImageChange,
    responses((status = 200, description = "The image.", body = DatasetImage), ChangeImageErrors)
)]
pub async fn change_image(
    State(state): State<AppState>,
    ImagePath { name, id }: ImagePath,
    extract::Json(change): extract::Json<ImageChange>,
) -> Result<Json<DatasetImage>, ApiError> {
    let label = new_label(change.label.as_deref(), change.subset)?;
    let edit = ImageEdit { label: label.as_ref(), subset: change.subset };
    let edited = state.datasets.edit(&name, &[id], &edit).await?.pop();
    let missing = || ApiError::new(Code::ImageNotFound, format!("there is no image `{id}`"));
    Ok(Json(edited.ok_or_else(missing)?.into()))
}

/// The label of a change that changes something.
pub(super) fn new_label(label: Option<&str>, subset: Option<SubsetChoice>) -> Result<Option<Label>, ApiError> {
    if label.is_none() && subset.is_none() {
        return Err(ApiError::new(Code::InvalidBody, "nothing is changed; send `label`, `subset` or both"));
    }
    let label = label.map(str::parse::<Label>).transpose();
    label.map_err(|error| ApiError::new(Code::InvalidLabel, error.to_string()))
}

/// Remove an image
///
/// Snapshots that have it keep it.
#[utoipa::path(
    delete, path = "/datasets/{name}/images/{id}", operation_id = "delete_dataset_image", tag = "datasets",
    params(ImagePath),
    responses((status = 204, description = "It is removed."), DeleteImageErrors)
)]
pub async fn delete_image(
    State(state): State<AppState>,
    ImagePath { name, id }: ImagePath,
) -> Result<StatusCode, ApiError> {
    state.datasets.remove(&name, &[id]).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<StoredImage> for DatasetImage {
    fn from(image: StoredImage) -> Self {
        Self {
            id: image.sha256.to_string(),
            seq: image.seq,
            labels: labels_of(&image.label).map(str::to_owned).collect(),
            label: image.label,
            file_name: image.file_name,
            subset: image.subset,
            bytes: image.bytes,
            width: image.width,
            height: image.height,
            added_at: image.added_at,
        }
    }
}

fn headers(media_type: &'static str) -> [(HeaderName, HeaderValue); 2] {
    [(header::CONTENT_TYPE, HeaderValue::from_static(media_type)), (header::CACHE_CONTROL, FOREVER)]
}

fn media_type(head: &[u8]) -> &'static str {
    match ImageFormat::of(head) {
        Ok(ImageFormat::Bmp) => "image/bmp",
        Ok(ImageFormat::Gif) => "image/gif",
        Ok(ImageFormat::Jpeg) => "image/jpeg",
        Ok(ImageFormat::Png) => "image/png",
        Ok(ImageFormat::WebP) => "image/webp",
        Err(_) => "application/octet-stream",
    }
}

fn default_limit() -> usize {
    100
}
