//! The bounds of options in the description of the interface, from the tables that their validation reads.

use trainer::evaluate::EvaluateOptions;
use trainer::finetune::{FinetuneOptions, TuningOptions};
use trainer::options::{Bound, Limit};
use trainer::quantize::QuantizeOptions;
use utoipa::Number;
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::{OpenApi, RefOr, Required};

/// Writes the bounds of each option into its schema.
pub(super) fn describe(openapi: &mut OpenApi) {
    apply(openapi, "FinetuneOptions", FinetuneOptions::BOUNDS);
    apply(openapi, "TuningOptions", TuningOptions::BOUNDS);
    apply(openapi, "EvaluateOptions", EvaluateOptions::BOUNDS);
    apply(openapi, "QuantizeOptions", QuantizeOptions::BOUNDS);
    plain_references(openapi);
    optional_bodies(openapi);
    // Generators of clients take no object as a default, and each of its fields has its own.
    if let Some(RefOr::Ref(tuning)) = property(openapi, "FinetuneOptions", "tuning") {
        tuning.default = None;
    }
}

/// Says that the bodies of requests to the repository may be left out: a schema that is optional would be described as one that
/// may be null.
fn optional_bodies(openapi: &mut OpenApi) {
    let paths = openapi.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/v2/repository/"));
    for (_, item) in paths {
        let body = item.post.as_mut().and_then(|operation| operation.request_body.as_mut());
        if let Some(RefOr::T(body)) = body {
            body.required = Some(Required::False);
        }
    }
}

/// Takes the descriptions off references that stand for each other: with one beside it, the generator of TypeScript clients does
/// not import what a reference names.
fn plain_references(openapi: &mut OpenApi) {
    let schemas = openapi.components.iter_mut().flat_map(|components| components.schemas.values_mut());
    for schema in schemas {
        let RefOr::T(Schema::OneOf(choices)) = schema else { continue };
        for item in &mut choices.items {
            if let RefOr::Ref(reference) = item {
                reference.description.clear();
            }
        }
    }
}

fn apply<O>(openapi: &mut OpenApi, schema: &str, bounds: &[Bound<O>]) {
    for Bound { option, interval, .. } in bounds {
        let name = option.rsplit('.').next().unwrap_or(option);
        let Some(RefOr::T(Schema::Object(object))) = property(openapi, schema, name) else { continue };
        let Object { minimum, exclusive_minimum, maximum, exclusive_maximum, .. } = object;
        (*minimum, *exclusive_minimum) = ends(Some(interval.lower));
        (*maximum, *exclusive_maximum) = ends(interval.upper);
    }
}

/// The inclusive and the exclusive form of a limit.
fn ends(limit: Option<Limit>) -> (Option<Number>, Option<Number>) {
    match limit {
        None => (None, None),
        Some(Limit::Inclusive(limit)) => (Some(number(limit)), None),
        Some(Limit::Exclusive(limit)) => (None, Some(number(limit))),
    }
}

/// Whole numbers without a point, as the bounds of integers have to be.
fn number(value: f64) -> Number {
    if value.fract() == 0.0 { Number::Int(value as isize) } else { Number::Float(value) }
}

fn property<'a>(openapi: &'a mut OpenApi, schema: &str, name: &str) -> Option<&'a mut RefOr<Schema>> {
    match openapi.components.as_mut()?.schemas.get_mut(schema)? {
        RefOr::T(Schema::Object(object)) => object.properties.get_mut(name),
        _ => None,
    }
}
