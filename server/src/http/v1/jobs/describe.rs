//! The addresses of a kind of job with their description, from its row of the table.

use axum::routing::{MethodRouter, get, post};
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, Required, ResponseBuilder, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::JobQuery;
use super::endpoint::{self, JobCreation, JobResource};
use super::table::JobTexts;
use crate::http::problem::{Code, PROBLEM, documented};
use crate::http::state::AppState;
use crate::http::v1::follow::{EventsQuery, JobEventPage};

const JSON: &str = "application/json";

/// The addresses of jobs of a kind, but for the one that asks for them.
pub fn routes<R: JobResource>() -> OpenApiRouter<AppState> {
    let texts = &R::TEXTS;
    let address = format!("/{}", texts.kind.name());
    OpenApiRouter::new()
        .routes(described(&address, list::<R>(texts), get(endpoint::list::<R>)))
        .routes(described(&format!("{address}/{{id}}"), show::<R>(texts), get(endpoint::get::<R>)))
        .routes(described(&format!("{address}/{{id}}/events"), events(texts), get(endpoint::list_events::<R>)))
        .routes(described(&format!("{address}/{{id}}/cancel"), cancel::<R>(texts), post(endpoint::cancel::<R>)))
}

/// The same with the one that asks for them.
pub fn routes_with_creation<R: JobCreation>() -> OpenApiRouter<AppState> {
    let address = format!("/{}", R::TEXTS.kind.name());
    routes::<R>().routes(described(&address, create::<R>(), post(endpoint::create::<R>)))
}

/// An operation, and the schemas that it names.
struct DescribedOperation {
    method: HttpMethod,
    operation: Operation,
    schemas: Vec<(String, RefOr<Schema>)>,
}

fn described(
    address: &str,
    DescribedOperation { method, operation, schemas }: DescribedOperation,
    handler: MethodRouter<AppState>,
) -> UtoipaMethodRouter<AppState> {
    let mut paths = Paths::new();
    paths.paths.insert(address.to_owned(), PathItem::new(method, operation));
    (schemas, paths, handler)
}

fn create<R: JobCreation>() -> DescribedOperation {
    let (texts, creation) = (&R::TEXTS, R::CREATION);
    let body = RequestBodyBuilder::new()
        .content(JSON, ContentBuilder::new().schema(Some(reference::<R::Request>())).build())
        .required(Some(Required::True));
    let location = HeaderBuilder::new()
        .schema(Some(String::schema()))
        .description(Some(format!("The address of the {}.", texts.noun)))
        .build();
    let accepted = answer("Accepted.").content(JSON, content::<R>()).header("Location", location);
    let operation = operation(texts, &format!("create_{}", texts.operation), &format!("Start {}", texts.one))
        .description(Some(creation.description))
        .parameter(idempotency_key(texts))
        .request_body(Some(body.build()))
        .response("202", accepted.build());
    let mut schemas = schemas::<R>();
    schemas.extend(self::schemas::<R::Request>());
    DescribedOperation { method: HttpMethod::Post, operation: with_errors(operation, creation.errors), schemas }
}

fn list<R: JobResource>(texts: &JobTexts) -> DescribedOperation {
    let page = answer(&format!("A page of {}.", texts.many))
        .content(JSON, ContentBuilder::new().schema(Some(Ref::from_schema_name(texts.list))).build());
    let operation = operation(texts, &format!("list_{}s", texts.operation), &format!("List the {}", texts.many))
        .description(Some("Newest first."))
        .parameters(Some(JobQuery::into_params(|| Some(ParameterIn::Query))))
        .response("200", page.build());
    let jobs = ArrayBuilder::new().items(reference::<R>()).description(Some(texts.page));
    let more = ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .description(Some("Whether there are older ones; ask for them with `after`."));
    let schema = ObjectBuilder::new()
        .description(Some(format!("A page of {}.", texts.many)))
        .property("data", jobs)
        .required("data")
        .property("has_more", more)
        .required("has_more");
    let mut schemas = schemas::<R>();
    schemas.push((texts.list.to_owned(), schema.into()));
    let errors = [Code::InvalidParameter, Code::JobsUnavailable];
    DescribedOperation { method: HttpMethod::Get, operation: with_errors(operation, &errors), schemas }
}

fn show<R: JobResource>(texts: &JobTexts) -> DescribedOperation {
    let operation = operation(texts, &format!("get_{}", texts.operation), &format!("Describe {}", texts.one))
        .description(Some(texts.description))
        .parameter(id(texts))
        .response("200", answer(&format!("The {}.", texts.noun)).content(JSON, content::<R>()).build());
    let errors = [Code::JobNotFound, Code::JobsUnavailable];
    DescribedOperation { method: HttpMethod::Get, operation: with_errors(operation, &errors), schemas: schemas::<R>() }
}

fn events(texts: &JobTexts) -> DescribedOperation {
    let summary = format!("List or follow the events of {}", texts.one);
    let page = answer("A page of events, or all of them as they happen.")
        .content(JSON, content::<JobEventPage>())
        .content("text/event-stream", ContentBuilder::new().schema(Some(String::schema())).build());
    let over = answer("To a stream that goes on: it has ended, and the client has had every event.");
    let parameters = std::iter::once(id(texts)).chain(EventsQuery::into_params(|| Some(ParameterIn::Query)));
    let operation = operation(texts, &format!("list_{}_events", texts.operation), &summary)
        .description(Some(texts.events))
        .parameters(Some(parameters))
        .response("200", page.build())
        .response("204", over.build());
    let errors =
        [Code::InvalidParameter, Code::JobNotFound, Code::JobsUnavailable, Code::TooManyStreams, Code::ShuttingDown];
    let schemas = schemas::<JobEventPage>();
    DescribedOperation { method: HttpMethod::Get, operation: with_errors(operation, &errors), schemas }
}

fn cancel<R: JobResource>(texts: &JobTexts) -> DescribedOperation {
    let operation = operation(texts, &format!("cancel_{}", texts.operation), &format!("Cancel {}", texts.one))
        .description(Some(texts.cancel))
        .parameter(id(texts))
        .response("202", answer("It will end.").content(JSON, content::<R>()).build());
    let errors = [Code::JobNotFound, Code::JobFinished, Code::JobsUnavailable, Code::StorageFull];
    DescribedOperation { method: HttpMethod::Post, operation: with_errors(operation, &errors), schemas: schemas::<R>() }
}

fn operation(texts: &JobTexts, name: &str, summary: &str) -> OperationBuilder {
    OperationBuilder::new().tag(texts.tag).operation_id(Some(name)).summary(Some(summary))
}

fn with_errors(operation: OperationBuilder, codes: &[Code]) -> Operation {
    let responses = documented(codes, &PROBLEM).into_iter();
    responses.fold(operation, |operation, (status, response)| operation.response(status, response)).build()
}

fn answer(description: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(description)
}

fn content<T: ToSchema>() -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(reference::<T>())).build()
}

fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

/// The schema of a type and those that it names.
fn schemas<T: ToSchema>() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas
}

fn id(texts: &JobTexts) -> Parameter {
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(format!("The {}'s id.", texts.noun)))
        .schema(Some(String::schema()))
        .build()
}

/// The header that names a request, so that it can be sent again.
fn idempotency_key(texts: &JobTexts) -> Parameter {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some("^[!-~]+$"));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(format!("Two equal requests with the same key are one {}.", texts.noun)))
        .schema(Some(text))
        .build()
}
