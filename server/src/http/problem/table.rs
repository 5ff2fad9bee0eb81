//! The one table of errors.

use axum::http::StatusCode;

macro_rules! codes {
    ($($variant:ident: $status:ident, $name:literal, $title:literal, $remedy:literal;)*) => {
        /// What can go wrong, as far as a client can tell it apart.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The row of the table.
            #[must_use]
            pub fn entry(self) -> ErrorEntry {
                match self {
                    $(Code::$variant => ErrorEntry {
                        name: $name,
                        status: StatusCode::$status,
                        title: $title,
                        remedy: $remedy,
                    },)*
                }
            }
        }
    };
}

/// What is said about a code, in answers and in their documentation alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorEntry {
    /// The code in an answer; clients may rely on it.
    pub name: &'static str,
    /// The status of the answer.
    pub status: StatusCode,
    /// The kind of error in a few words.
    pub title: &'static str,
    /// What the client can do about it.
    pub remedy: &'static str,
}

codes! {
    // Requests in general.
    RouteNotFound: NOT_FOUND, "route_not_found", "No such address", "`GET /openapi.json` lists the addresses.";
    MethodNotAllowed: METHOD_NOT_ALLOWED, "method_not_allowed", "The address does not take this method", "The header `Allow` names the methods it takes.";
    HttpsRequired: BAD_REQUEST, "https_required", "The server speaks HTTPS", "Send the request to the same address with `https://`.";
    InvalidParameter: BAD_REQUEST, "invalid_parameter", "A parameter is invalid", "Correct the parameter that is named.";
    InvalidJson: BAD_REQUEST, "invalid_json", "The body is not JSON", "Correct the syntax at the place that is named.";
    InvalidBody: UNPROCESSABLE_ENTITY, "invalid_body", "The body is not what the operation takes", "Correct the field that is named.";
    InvalidMultipart: BAD_REQUEST, "invalid_multipart", "The form is invalid", "Send `multipart/form-data` with one or more parts named `image`.";
    UnsupportedMediaType: UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body has the wrong content type", "Send the content type that the operation documents.";
    BodyUnreadable: BAD_REQUEST, "body_unreadable", "The body broke off", "Send it again.";
    BodyTooLarge: PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large", "Send fewer or smaller images; the server's `--max-body-mb` is the limit, `--max-json-kb` for JSON.";
    BodyTimeout: REQUEST_TIMEOUT, "body_timeout", "The body arrived too slowly", "Send it again over a faster connection; the server's `--body-timeout-seconds` is the limit.";
    ServerBusy: SERVICE_UNAVAILABLE, "server_busy", "The server holds as many bytes of requests as it may", "Try again after the seconds in `Retry-After`.";
    TooManyConnections: SERVICE_UNAVAILABLE, "too_many_connections", "The server has too many connections", "Close connections that are not used, or try again; the server's `--max-connections` is the limit.";
    TooManyStreams: SERVICE_UNAVAILABLE, "too_many_streams", "The server has too many clients that follow jobs", "Ask for pages of events instead, or try again after the seconds in `Retry-After`; the server's `--max-event-streams` is the limit.";
    DeadlineExceeded: GATEWAY_TIMEOUT, "deadline_exceeded", "The answer came too late", "Allow more time in `X-Request-Timeout-Ms`, or send fewer requests.";

    // Callers.
    Unauthorized: UNAUTHORIZED, "unauthorized", "The API key is missing or unknown", "Send a key as `Authorization: Bearer …` or `X-API-Key: …`.";
    Forbidden: FORBIDDEN, "forbidden", "The API key has not the role", "Use a key with the role that is named.";
    RateLimited: TOO_MANY_REQUESTS, "rate_limited", "The API key sends too many requests", "Send fewer; try again after the seconds in `Retry-After`.";
    HostNotAllowed: MISDIRECTED_REQUEST, "host_not_allowed", "The server does not answer for this host", "Use an address of the server, or start it with `--allowed-host`.";
    OriginNotAllowed: FORBIDDEN, "origin_not_allowed", "Pages of this origin may not call the server", "Start the server with `--cors-origin`.";

    // Images.
    ImageMissing: BAD_REQUEST, "image_missing", "There is no image", "Send at least one part named `image`.";
    ImageEmpty: BAD_REQUEST, "image_empty", "The image has no bytes", "Send the content of an image file.";
    NotAnImage: UNPROCESSABLE_ENTITY, "not_an_image", "The file is not an image", "Send a JPEG, PNG, WebP, GIF or BMP file.";
    ImageUnsupported: UNPROCESSABLE_ENTITY, "image_unsupported", "The image has a format that is not read", "Convert it to JPEG, PNG, WebP, GIF or BMP.";
    ImageTruncated: UNPROCESSABLE_ENTITY, "image_truncated", "The image file ends too early", "Send the whole file.";
    ImageCorrupt: UNPROCESSABLE_ENTITY, "image_corrupt", "The image does not decode", "Save it again with an ordinary encoder.";
    ImageTooLarge: UNPROCESSABLE_ENTITY, "image_too_large", "The image has too many pixels", "Make it smaller; it was refused by its header and not decoded.";
    ImageUrlRefused: BAD_REQUEST, "image_url_refused", "The server fetches no images", "Send the image itself, to the same address with `/image` in place of `/url`.";
    TooManyImages: UNPROCESSABLE_ENTITY, "too_many_images", "The request has more images than one may have", "Send them in several requests.";

    // Tensors.
    InvalidTensor: BAD_REQUEST, "invalid_tensor", "The tensor is not what the model takes", "`GET /v2/models/{model}` names the tensors with their types and shapes.";
    InvalidHeaderLength: BAD_REQUEST, "invalid_header_length", "The body is not as long as its parts", "Correct `Inference-Header-Content-Length` and the `binary_data_size` of each input.";

    // Models.
    ModelNotFound: NOT_FOUND, "model_not_found", "There is no such model", "`GET /models` lists the models.";
    VersionNotServed: NOT_FOUND, "version_not_served", "The version does not answer", "Leave the version out, or name the one that answers.";
    ReportNotFound: NOT_FOUND, "report_not_found", "The version has no report", "Only versions that a fine-tune made have one; `POST /evaluate` measures any.";
    VariantNotFound: NOT_FOUND, "variant_not_found", "The model has no such variant", "Leave `variant` out, or make one with `POST /quantize`.";
    ModelNotNamed: BAD_REQUEST, "model_not_named", "The model must be named", "Add `?model=` with one of the names in the answer.";
    NotAClassifier: UNPROCESSABLE_ENTITY, "not_a_classifier", "The model is a backbone without classes", "Fine-tune it first: `POST /finetune` with it as `base_model`.";
    DefaultNotFound: NOT_FOUND, "default_not_found", "There is no default model", "Choose one with `PUT /default-model`.";
    VersionRefused: UNPROCESSABLE_ENTITY, "version_refused", "The version cannot serve", "The version before it goes on answering; the detail says what is wrong with this one.";
    NoMemory: CONFLICT, "no_memory", "The memory budget has no room for both versions", "Raise the server's `--memory-budget`, or unload the model first.";
    VersionIsLive: CONFLICT, "version_is_live", "The version is live", "Make another version live first, or add `?force=true`.";
    ModelIsBuiltIn: CONFLICT, "model_is_built_in", "The model comes with graft and is read-only", "Choose another name, or leave it as it is; with `--no-starter` a new data folder has none.";
    LabelsRefused: UNPROCESSABLE_ENTITY, "labels_refused", "The classes cannot be called so", "Send a name of its own for each class, in their order.";
    ShadowRefused: UNPROCESSABLE_ENTITY, "shadow_refused", "The version cannot be a shadow", "Choose a version that is not live.";
    ShadowNotFound: NOT_FOUND, "shadow_not_found", "The model has no shadow", "Begin one with `PUT /models/{name}/shadow`.";
    ModelRefused: UNPROCESSABLE_ENTITY, "model_refused", "The model cannot be imported", "Correct the file, the class names or the option that is named.";
    ModelUnloaded: SERVICE_UNAVAILABLE, "model_unloaded", "The model is unloaded", "Load it with `POST /models/{name}/load`.";
    RangeNotSatisfiable: RANGE_NOT_SATISFIABLE, "range_not_satisfiable", "The file has no such bytes", "Ask for a range within its length, or for all of it.";
    NotExplainable: UNPROCESSABLE_ENTITY, "not_explainable", "The model cannot show where it looks", "Leave out `explain`, or ask a model that graft's own executor runs; `graft check` says which those are.";
    ModelLoading: SERVICE_UNAVAILABLE, "model_loading", "The model is being loaded", "Try again after the seconds in `Retry-After`.";
    ModelFailed: SERVICE_UNAVAILABLE, "model_failed", "The model cannot serve", "`GET /models/{name}` gives the reason.";
    Overloaded: TOO_MANY_REQUESTS, "overloaded", "The wait for the model would be too long", "Try again after the seconds in `Retry-After`.";
    NotReady: SERVICE_UNAVAILABLE, "not_ready", "The server is not ready", "Try again; models are being loaded.";
    ShuttingDown: SERVICE_UNAVAILABLE, "shutting_down", "The server is shutting down", "Try again; another server may answer.";

    // Fine-tunes, evaluations, quantizations and imports.
    FinetuneRefused: UNPROCESSABLE_ENTITY, "finetune_refused", "The fine-tune cannot be done as asked", "Correct the option, data set or file that is named.";
    WebhookRefused: UNPROCESSABLE_ENTITY, "webhook_refused", "The webhook is not allowed", "Leave `webhook` out, or have its host listed by the server's `--webhook-host`.";
    LabelStudioOff: UNPROCESSABLE_ENTITY, "label_studio_off", "The server knows no Label Studio", "Start it with `--label-studio-url`, a token and `--label-studio-base`.";
    PlannerBusy: SERVICE_UNAVAILABLE, "planner_busy", "Another plan or check is being made", "Try again after the seconds in `Retry-After`.";
    EvaluationRefused: UNPROCESSABLE_ENTITY, "evaluation_refused", "The evaluation cannot be done as asked", "Correct the model, option or data set that is named.";
    QuantizationRefused: UNPROCESSABLE_ENTITY, "quantization_refused", "The quantization cannot be done as asked", "Correct the model, option or data set that is named.";
    IdempotencyKeyReused: CONFLICT, "idempotency_key_reused", "The `Idempotency-Key` belongs to another request", "Use a new key for a new request.";
    JobNotFound: NOT_FOUND, "job_not_found", "There is no such job", "`GET /finetune`, `GET /evaluate`, `GET /quantize` and `GET /import` list the jobs.";
    TooManyJobs: TOO_MANY_REQUESTS, "too_many_jobs", "Too many jobs are waiting", "Try again after the seconds in `Retry-After`; `GET /finetune`, `GET /evaluate`, `GET /quantize` and `GET /import` list the jobs.";
    JobsUnavailable: SERVICE_UNAVAILABLE, "jobs_unavailable", "The server has no jobs for now", "The file that is named has to be repaired or moved away on the server; models are served meanwhile.";
    StorageFull: INSUFFICIENT_STORAGE, "storage_full", "The server's disk is full", "Nothing was accepted. Free space on the server's disk, then send it again.";
    JobFinished: CONFLICT, "job_finished", "The job is over already", "There is nothing left to stop; `POST …/retry` runs a job again that failed or was cancelled.";
    JobState: CONFLICT, "job_state", "The job's state does not allow that", "`GET` on the job says its state; the one that is wanted is named.";

    // Data sets.
    DatasetNotFound: NOT_FOUND, "dataset_not_found", "There is no such data set", "`GET /datasets` lists the data sets.";
    DatasetExists: CONFLICT, "dataset_exists", "There is a data set of this name", "Add images to it, or choose another name.";
    DatasetInUse: CONFLICT, "dataset_in_use", "A job uses the data set", "Wait until the job that is named has ended, or cancel it.";
    DatasetLimit: UNPROCESSABLE_ENTITY, "dataset_limit", "As much is stored as may be", "Delete what is not needed, or raise the limit that is named on the server.";
    InvalidLabel: UNPROCESSABLE_ENTITY, "invalid_label", "The text cannot be a label", "Use 1 to 200 characters without control characters, not beginning with a dot; slashes separate several labels.";
    ImageNotFound: NOT_FOUND, "image_not_found", "There is no such image", "`GET /datasets/{name}/images` lists the images.";
    ImageLabeledOtherwise: CONFLICT, "image_labeled_otherwise", "The image has another label already", "Change its label with `PATCH /datasets/{name}/images/{id}`.";
    InboxImageNotFound: NOT_FOUND, "inbox_image_not_found", "The image does not wait for feedback", "`GET /inbox` lists the images that wait.";
    CollectionOff: UNPROCESSABLE_ENTITY, "collection_off", "The server keeps no images", "Leave `keep` out, or start the server with `--collect`.";
    SnapshotNotFound: NOT_FOUND, "snapshot_not_found", "There is no such snapshot", "`GET /datasets/{name}` lists the snapshots.";
    UploadNotFound: NOT_FOUND, "upload_not_found", "There is no such upload", "`GET /datasets/{name}/uploads` lists the uploads; begin it anew.";
    UploadOffsetMismatch: CONFLICT, "upload_offset_mismatch", "The piece begins elsewhere than the bytes end", "Ask with HEAD where to go on.";
    UploadNotFailed: CONFLICT, "upload_not_failed", "The upload has not failed", "`GET` on the upload says how far it is.";
    UploadLocked: LOCKED, "upload_locked", "The upload is in use", "Wait until the other request has ended, then ask with HEAD where to go on.";
    UploadTooLarge: PAYLOAD_TOO_LARGE, "upload_too_large", "The upload is too large", "Send it as several archives; the server's `--max-upload-gb` is the limit.";
    TusVersionMismatch: PRECONDITION_FAILED, "tus_version_mismatch", "The request names another version of tus", "Send the header `Tus-Resumable: 1.0.0`.";
    DatasetsUnavailable: SERVICE_UNAVAILABLE, "datasets_unavailable", "The server has no data sets for now", "The file that is named has to be repaired or moved away on the server; models are served meanwhile.";

    // Us.
    Internal: INTERNAL_SERVER_ERROR, "internal", "The server failed", "The server's log has the cause under the `request_id`.";
}

impl Code {
    /// Whether the server refuses because of its load, so that the same request may succeed later or elsewhere.
    #[must_use]
    pub fn sheds_load(self) -> bool {
        let load = [
            Self::Overloaded,
            Self::RateLimited,
            Self::ServerBusy,
            Self::TooManyConnections,
            Self::TooManyStreams,
            Self::DeadlineExceeded,
        ];
        load.contains(&self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_unique_and_an_error() {
        let names: HashSet<&str> = Code::ALL.iter().map(|code| code.entry().name).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for entry in Code::ALL.iter().map(|code| code.entry()) {
            assert!(entry.status.is_client_error() || entry.status.is_server_error(), "{}", entry.name);
            assert!(!entry.title.ends_with('.') && entry.remedy.ends_with('.'), "{}", entry.name);
        }
    }
}
