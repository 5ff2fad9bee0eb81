//! How other programs' clients want errors written. Status, code and detail come from the table of errors all the same.

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{PROBLEM_JSON, Problem, RpcStatus};

/// How an interface writes its errors.
pub(crate) struct ErrorFormat {
    /// The name of the body's schema.
    pub(crate) schema: &'static str,
    pub(crate) content_type: &'static str,
    /// The interface's status for one of the table.
    pub(crate) status: fn(StatusCode) -> StatusCode,
    /// The body; the problem has the interface's status.
    pub(crate) body: fn(&Problem) -> Value,
}

/// The error of the Open Inference Protocol, TensorFlow Serving, Hugging Face and SageMaker.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorText {
    /// What is wrong, and what to do about it.
    #[schema(example = "there is no model `flower`; there are flowers, birds")]
    pub(crate) error: String,
}

/// A failure as Custom Vision words it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CustomVisionError {
    /// One of Custom Vision's codes.
    #[schema(example = "BadRequestImageFormat")]
    pub(crate) code: String,
    /// What is wrong, and what to do about it.
    #[schema(example = "not an image; send one of these formats: bmp, gif, jpeg, png, webp")]
    pub(crate) message: String,
}

/// The error of TorchServe.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TorchServeError {
    /// The status of the answer.
    #[schema(example = 404)]
    pub(crate) code: u16,
    /// One of TorchServe's exceptions.
    #[serde(rename = "type")]
    #[schema(example = "ModelNotFoundException")]
    pub(crate) kind: String,
    /// What is wrong, and what to do about it.
    #[schema(example = "there is no model `flower`; there are flowers, birds")]
    pub(crate) message: String,
}

/// The error of Google's interfaces.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GoogleError {
    pub(crate) error: GoogleErrorStatus,
}

/// What went wrong, in the words of Google's interfaces.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GoogleErrorStatus {
    /// The status of the answer.
    #[schema(example = 404)]
    pub(crate) code: u16,
    /// What is wrong, and what to do about it.
    #[schema(example = "there is no model `flower`; there are flowers, birds")]
    pub(crate) message: String,
    /// One of the codes of `google.rpc.Code`.
    #[schema(example = "NOT_FOUND")]
    pub(crate) status: String,
}

/// graft's own (RFC 9457).
pub(crate) const PROBLEM: ErrorFormat = ErrorFormat {
    schema: "Problem",
    content_type: PROBLEM_JSON,
    status: |status| status,
    body: |problem| json!(problem),
};

/// A text alone. Triton answers everything with 400 that is wrong with a request, which 422 is.
pub(crate) const ERROR_TEXT: ErrorFormat = ErrorFormat {
    schema: "ErrorText",
    content_type: "application/json",
    status: without_422,
    body: |problem| json!(ErrorText { error: problem.detail.clone() }),
};

pub(crate) const CUSTOM_VISION: ErrorFormat = ErrorFormat {
    schema: "CustomVisionError",
    content_type: "application/json",
    status: without_422,
    body: |problem| {
        json!(CustomVisionError { code: custom_vision_code(problem).to_owned(), message: problem.detail.clone() })
    },
};

pub(crate) const TORCH_SERVE: ErrorFormat = ErrorFormat {
    schema: "TorchServeError",
    content_type: "application/json",
    status: without_422,
    body: |problem| {
        json!(TorchServeError {
            code: problem.status,
            kind: torch_serve_exception(problem).to_owned(),
            message: problem.detail.clone()
        })
    },
};

pub(crate) const GOOGLE: ErrorFormat = ErrorFormat {
    schema: "GoogleError",
    content_type: "application/json",
    status: without_422,
    body: |problem| {
        let (code, message, status) =
            (problem.status, problem.detail.clone(), RpcStatus::of_http(problem.status).name().to_owned());
        json!(GoogleError { error: GoogleErrorStatus { code, message, status } })
    },
};

/// The first row whose beginning fits counts. `/v1/models` is TensorFlow Serving's, what else begins with `/v1` Vertex AI's.
const FORMATS: &[(&str, &ErrorFormat)] = &[
    ("/v2", &ERROR_TEXT),
    ("/v1/models", &ERROR_TEXT),
    ("/v1/", &GOOGLE),
    ("/customvision/", &CUSTOM_VISION),
    ("/hf/", &ERROR_TEXT),
    ("/invocations", &ERROR_TEXT),
    ("/endpoints/", &ERROR_TEXT),
    ("/ping", &TORCH_SERVE),
    ("/predictions/", &TORCH_SERVE),
];

impl ErrorFormat {
    /// How errors at an address are written.
    pub(crate) fn of_path(path: &str) -> &'static Self {
        FORMATS.iter().find(|(start, _)| path.starts_with(start)).map_or(&PROBLEM, |(_, format)| format)
    }
}

fn without_422(status: StatusCode) -> StatusCode {
    if status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { status }
}

/// The code that Custom Vision's own clients list.
fn custom_vision_code(problem: &Problem) -> &'static str {
    match (problem.code.as_str(), problem.status) {
        ("not_an_image" | "image_unsupported" | "image_corrupt" | "image_truncated", _) => "BadRequestImageFormat",
        ("image_empty" | "image_missing" | "body_unreadable", _) => "BadRequestImageStream",
        ("image_too_large", _) => "BadRequestImageDimensions",
        ("body_too_large", _) => "BadRequestImageSizeBytes",
        ("image_url_refused", _) => "BadRequestImageUrl",
        ("model_not_found" | "not_a_classifier", _) => "NotFoundIteration",
        (_, 403) => "Forbidden",
        (_, 404) => "NotFound",
        (_, 415) => "UnsupportedMediaType",
        (_, 400..500) => "BadRequest",
        _ => "ErrorInvalid",
    }
}

/// The exceptions of TorchServe's frontend.
fn torch_serve_exception(problem: &Problem) -> &'static str {
    match (problem.code.as_str(), problem.status) {
        ("model_not_found", _) => "ModelNotFoundException",
        ("version_not_served", _) => "ModelVersionNotFoundException",
        ("route_not_found", _) => "ResourceNotFoundException",
        ("method_not_allowed", _) => "MethodNotAllowedException",
        ("internal", _) => "InternalServerException",
        (_, 413) => "RequestEntityTooLargeException",
        (_, 429 | 500..) => "ServiceUnavailableException",
        _ => "BadRequestException",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::Code;

    fn written(path: &str, code: Code) -> (u16, Value) {
        let format = ErrorFormat::of_path(path);
        let status = (format.status)(code.entry().status);
        let problem = Problem { status: status.as_u16(), ..Problem::of(code, Some("what is wrong"), "id") };
        (status.as_u16(), (format.body)(&problem))
    }

    #[test]
    fn an_error_has_the_form_that_the_clients_of_its_address_read() {
        let text = json!({"error": "what is wrong"});
        for path in ["/v2/models/flowers/infer", "/v1/models/flowers:predict", "/hf/flowers", "/invocations"] {
            assert_eq!(written(path, Code::NotAnImage), (400, text.clone()), "{path}");
        }
        assert_eq!(
            written("/customvision/v3.1/prediction/x", Code::NotAnImage),
            (400, json!({"code": "BadRequestImageFormat", "message": "what is wrong"}))
        );
        assert_eq!(
            written("/predictions/flowers", Code::ModelNotFound),
            (404, json!({"code": 404, "type": "ModelNotFoundException", "message": "what is wrong"}))
        );
        assert_eq!(
            written("/v1/projects/p/locations/l/endpoints/flowers:predict", Code::Overloaded),
            (429, json!({"error": {"code": 429, "message": "what is wrong", "status": "RESOURCE_EXHAUSTED"}}))
        );
        assert_eq!(written("/classify", Code::NotAnImage).1["code"], "not_an_image");
    }
}
