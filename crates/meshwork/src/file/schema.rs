//! The published description of the swarm file.

use super::model::SwarmFile;

/// The JSON Schema (draft 2020-12) of the swarm file, made from the model: what is refused as not
/// built yet is not in it.
///
/// ```
/// use meshwork::file::json_schema;
///
/// let schema = json_schema();
/// assert_eq!(schema["title"], "meshwork swarm file");
/// assert!(schema["properties"]["tasks"].is_object());
/// ```
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with_transform(without_example);
    let mut schema = settings.into_generator().into_root_schema_for::<SwarmFile>().to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), "meshwork swarm file".into());
        // A file is checked for these with better words, but an editor should ask for them too.
        object.insert("required".to_owned(), serde_json::json!(["peers"]));
    }
    schema
}

/// What an editor shows are the words of the documentation, and not its examples in Rust.
fn without_example(schema: &mut schemars::Schema) {
    if let Some(serde_json::Value::String(text)) = schema.get_mut("description")
        && let Some(at) = text.find("\n\n```")
    {
        text.truncate(at);
    }
    schemars::transform::transform_subschemas(&mut without_example, schema);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::{decode::NOT_YET, tests::examples};
    use super::*;
    use serde_json::Value;

    #[test]
    fn descriptions_are_words() {
        let text = json_schema().to_string();
        assert!(text.contains("Votes on a result"), "descriptions are there");
        assert!(!text.contains("```"), "{text}");
    }

    /// Follows `$ref` and optional types to the part that describes the value itself.
    fn resolved<'a>(root: &'a Value, part: &'a Value) -> &'a Value {
        if let Some(path) = part.get("$ref").and_then(Value::as_str) {
            return resolved(root, root.pointer(path.trim_start_matches('#')).unwrap());
        }
        let any = part.get("anyOf").and_then(Value::as_array);
        match any.and_then(|any| any.iter().find(|one| one.get("$ref").is_some())) {
            Some(one) => resolved(root, one),
            None => part,
        }
    }

    /// Every key of `value` is one that the schema has at that place.
    fn fits(root: &Value, part: &Value, value: &Value, path: &str) {
        let part = resolved(root, part);
        match value {
            Value::Object(entries) => {
                let Some(properties) = part.get("properties") else {
                    return; // any keys: `input`, `env`
                };
                assert_eq!(part["additionalProperties"], false, "{path}");
                for (key, value) in entries {
                    let inner = properties.get(key);
                    let inner = inner.unwrap_or_else(|| panic!("{path}.{key} not in the schema"));
                    fits(root, inner, value, &format!("{path}.{key}"));
                }
            }
            Value::Array(items) => {
                let Some(inner) = part.get("items") else {
                    return;
                };
                for item in items {
                    fits(root, inner, item, path);
                }
            }
            Value::String(word) => {
                let words = part.get("enum").and_then(Value::as_array).cloned();
                let consts = part.get("oneOf").and_then(Value::as_array);
                let consts = consts.map(|all| all.iter().map(|one| one["const"].clone()).collect());
                if let Some(words) = words.or(consts) {
                    assert!(words.contains(&word.as_str().into()), "{path}: {word}");
                }
            }
            _ => {}
        }
    }

    #[test]
    fn the_examples_and_the_template_fit() {
        let schema = json_schema();
        let texts = examples();
        let texts = texts.iter().map(|path| std::fs::read_to_string(path).unwrap());
        for text in texts.chain([super::super::template().to_owned()]) {
            let value: Value = toml::from_str(&text).unwrap();
            fits(&schema, &schema, &value, "");
        }
    }

    #[test]
    fn what_is_not_built_yet_is_not_in_it() {
        let schema = json_schema();
        for (place, words) in NOT_YET {
            let part = match place {
                "SwarmFile" => &schema,
                _ => &schema["$defs"][place],
            };
            assert!(part.is_object(), "{place} is not in the schema");
            let text = part.to_string();
            for word in words {
                assert!(!text.contains(&format!("\"{word}\"")), "{place}.{word}");
            }
        }
    }

    #[test]
    fn everything_is_described() {
        let schema = json_schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let parts = schema["$defs"].as_object().unwrap().values().chain([&schema]);
        for part in parts {
            assert!(part["description"].is_string(), "{part}");
            let properties = part.get("properties").and_then(Value::as_object);
            for (key, property) in properties.into_iter().flatten() {
                assert!(property["description"].is_string(), "{key}");
            }
        }
        assert_eq!(schema["$defs"]["Task"]["properties"]["priority"]["default"], 5);
        assert_eq!(schema["$defs"]["Task"]["required"], serde_json::json!(["id"]));
    }
}
