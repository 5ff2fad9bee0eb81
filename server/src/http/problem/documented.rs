//! The table of errors as documentation.

use std::collections::BTreeMap;

use utoipa::openapi::response::Response;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

use super::{Code, ErrorFormat, Problem};

/// Names a type that documents the errors of an operation, for the `responses(…)` of its handler: `Name: Code, …`, or
/// `Name as FORMAT: Code, …` where another program's clients read them.
macro_rules! documents {
    ($(#[$meta:meta])* $name:ident: $($code:ident),* $(,)?) => {
        $crate::http::problem::documents! { $(#[$meta])* $name as $crate::http::problem::PROBLEM: $($code),* }
    };
    ($(#[$meta:meta])* $name:ident as $format:path: $($code:ident),* $(,)?) => {
        $(#[$meta])*
        pub(crate) struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses()
            -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::response::Response>> {
                $crate::http::problem::documented(&[$($crate::http::problem::Code::$code),*], &$format)
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
pub(crate) fn documented(codes: &[Code], format: &ErrorFormat) -> BTreeMap<String, RefOr<Response>> {
    let mut statuses: BTreeMap<String, Vec<Code>> = BTreeMap::new();
    for &code in codes.iter().chain(COMMON) {
        let status = (format.status)(code.entry().status);
        statuses.entry(status.as_str().to_owned()).or_default().push(code);
    }
    statuses.into_iter().map(|(status, codes)| (status, response(&codes, format).into())).collect()
}

fn response(codes: &[Code], format: &ErrorFormat) -> Response {
    let lines = codes.iter().map(|code| {
        let entry = code.entry();
        format!("`{}`: {}. {}", entry.name, entry.title, entry.remedy)
    });
    let example = |&code: &Code| {
        let problem = Problem::of(code, None, "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55");
        (format.body)(&Problem { status: (format.status)(code.entry().status).as_u16(), ..problem })
    };
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(format.schema)))
        .example(codes.first().map(example))
        .build();
    let description = lines.collect::<Vec<_>>().join("\n\n");
    ResponseBuilder::new().description(description).content(format.content_type, content).build()
}
