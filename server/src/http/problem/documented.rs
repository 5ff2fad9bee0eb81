//! The table of errors as documentation.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::openapi::response::Response;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

use super::{Code, PROBLEM_JSON, Problem};

/// Names a type that documents the errors of an operation, for the `responses(…)` of its handler.
macro_rules! documents {
    ($(#[$meta:meta])* $name:ident: $($code:ident),* $(,)?) => {
        $(#[$meta])*
        pub(crate) struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses()
            -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::response::Response>> {
                $crate::http::problem::documented(&[$($crate::http::problem::Code::$code),*])
            }
        }
    };
}

pub(crate) use documents;

/// What may happen to any request, whatever it asks for.
const COMMON: &[Code] = &[
    Code::Unauthorized,
    Code::Forbidden,
    Code::OriginNotAllowed,
    Code::HostNotAllowed,
    Code::RateLimited,
    Code::TooManyConnections,
    Code::DeadlineExceeded,
    Code::Internal,
];

/// One response a status, with the codes that it may carry.
pub(crate) fn documented(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut statuses: BTreeMap<String, Vec<Code>> = BTreeMap::new();
    for &code in codes.iter().chain(COMMON) {
        statuses.entry(code.entry().status.as_str().to_owned()).or_default().push(code);
    }
    statuses.into_iter().map(|(status, codes)| (status, response(&codes).into())).collect()
}

fn response(codes: &[Code]) -> Response {
    let lines = codes.iter().map(|code| {
        let entry = code.entry();
        format!("`{}`: {}. {}", entry.name, entry.title, entry.remedy)
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .example(codes.first().map(|&code| json!(Problem::of(code, None, "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55"))))
        .build();
    ResponseBuilder::new().description(lines.collect::<Vec<_>>().join("\n\n")).content(PROBLEM_JSON, content).build()
}
