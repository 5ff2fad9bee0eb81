//! A body of the interface as a JSON Schema of its own, from the description of the interface: OpenAPI 3.1 describes bodies in
//! JSON Schema 2020-12, with other addresses.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const COMPONENTS: &str = "#/components/schemas/";
const DEFINITIONS: &str = "#/$defs/";

/// The schema of this name, with all that it refers to. `None` where there is none of this name.
#[must_use]
pub(super) fn json_schema(openapi: &OpenApi, name: &str) -> Option<Value> {
    let components = serde_json::to_value(&openapi.components.as_ref()?.schemas).ok()?;
    let mut schema = components.get(name)?.clone();
    let (mut wanted, mut definitions) = (BTreeSet::new(), Map::new());
    localize(&mut schema, &mut wanted);
    while let Some(name) = wanted.pop_first() {
        if let Some(definition) = components.get(&name).filter(|_| !definitions.contains_key(&name)) {
            let mut definition = definition.clone();
            localize(&mut definition, &mut wanted);
            definitions.insert(name, definition);
        }
    }
    let fields = schema.as_object_mut()?;
    fields.insert("$schema".to_owned(), json!(DIALECT));
    fields.insert("title".to_owned(), json!(name));
    fields.insert("$defs".to_owned(), Value::Object(definitions));
    Some(schema)
}

/// Turns references to components into references to definitions, and collects their names. `example` is OpenAPI's word for the
/// first of `examples`.
fn localize(value: &mut Value, wanted: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix(COMPONENTS)) {
                let name = name.to_owned();
                fields.insert("$ref".to_owned(), json!(format!("{DEFINITIONS}{name}")));
                wanted.insert(name);
            }
            if let Some(example) = fields.remove("example") {
                fields.insert("examples".to_owned(), json!([example]));
            }
            fields.values_mut().for_each(|value| localize(value, wanted));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| localize(value, wanted)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::router::openapi;

    fn schema() -> Value {
        json_schema(&openapi(), "FinetuneRequest").unwrap()
    }

    #[test]
    fn a_schema_needs_nothing_but_itself() {
        let text = schema().to_string();
        assert!(text.contains(DIALECT) && !text.contains("#/components/"), "{text}");
        let schema = schema();
        let definitions = schema["$defs"].as_object().unwrap();
        let references: BTreeSet<&str> =
            text.split(DEFINITIONS).skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(references, definitions.keys().map(String::as_str).collect());
    }

    #[test]
    fn options_have_the_bounds_and_defaults_that_their_validation_has() {
        let schema = schema();
        let options = &schema["$defs"]["FinetuneOptions"]["properties"];
        // From the table of bounds and from `FinetuneOptions::default`.
        assert_eq!((&options["views"]["minimum"], &options["views"]["maximum"]), (&json!(1), &json!(64)));
        assert_eq!(options["views"]["default"], json!(1));
        assert_eq!(options["learning_rate"]["exclusiveMinimum"], json!(0));
        assert_eq!(schema["$defs"]["TuningOptions"]["properties"]["epochs"]["default"], json!(12));
        assert_eq!(schema["additionalProperties"], json!(false));
    }
}
