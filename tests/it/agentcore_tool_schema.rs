//! Lowering of JSON Schema to what a gateway target accepts: one row of the translation per test, whole values compared, and
//! a property test that whatever comes in, what goes out is legal.

use mcplambda::agentcore::tool_schema::{Tool, first_violation, is_legal, lower};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn tool(name: &str, input_schema: Value) -> Tool {
    Tool {
        name: name.to_owned(),
        title: None,
        description: Some("Does it.".to_owned()),
        input_schema,
        output_schema: None,
    }
}

/// The lowered root schema of one tool, and the notes without the tool's name.
fn lowered(input_schema: Value) -> (Value, Vec<String>) {
    let lowered = lower(&[tool("t", input_schema)]);
    assert_eq!(first_violation(&lowered.json), None, "{:#}", lowered.json);
    let notes = lowered
        .notes
        .iter()
        .map(|note| note.trim_start_matches("tool `t`: ").to_owned())
        .collect();
    (lowered.json[0]["inputSchema"].clone(), notes)
}

/// Asserts what property `p` of a tool becomes when its schema is `schema`, and that nothing is noted.
#[track_caller]
fn check(schema: Value, expected: Value) {
    check_noted(schema, expected, &[]);
}

#[track_caller]
fn check_noted(schema: Value, expected: Value, notes: &[&str]) {
    let (root, noted) = lowered(json!({ "type": "object", "properties": { "p": schema } }));
    assert_eq!(root["properties"]["p"], expected);
    assert_eq!(noted, notes);
}

#[test]
fn a_real_servers_tool_comes_out_whole() {
    let time = Tool {
        name: "convert_time".to_owned(),
        title: None,
        description: Some("Convert time between timezones".to_owned()),
        input_schema: json!({
            "type": "object",
            "properties": {
                "source_timezone": {
                    "type": "string",
                    "description": "Source IANA timezone name (e.g., 'America/New_York')."
                },
                "time": { "type": "string", "description": "Time to convert in 24-hour format (HH:MM)" }
            },
            "required": ["source_timezone", "time"]
        }),
        output_schema: Some(json!({ "type": "object" })),
    };
    let expected = json!([{
        "name": "convert_time",
        "description": "Convert time between timezones",
        "inputSchema": time.input_schema
    }]);
    let lowered = lower(&[time]);
    assert_eq!(lowered.json, expected);
    assert_eq!(lowered.notes, [""; 0]);
}

#[test]
fn a_tool_without_description_gets_its_title_or_its_name() {
    let mut tools = [
        tool("a", json!({})),
        tool("b", json!({})),
        tool("c", json!({})),
    ];
    tools[0].description = None;
    tools[1].description = Some("  ".to_owned());
    tools[1].title = Some("The B tool".to_owned());
    let descriptions: Vec<Value> = lower(&tools)
        .json
        .as_array()
        .expect("a list")
        .iter()
        .map(|tool| tool["description"].clone())
        .collect();
    assert_eq!(
        descriptions,
        [json!("Tool a."), json!("The B tool"), json!("Does it.")]
    );
}

#[test]
fn a_tool_named_twice_is_left_out_and_noted() {
    let lowered = lower(&[tool("a", json!({})), tool("a", json!({ "type": "object" }))]);
    assert_eq!(
        lowered.json,
        json!([{ "name": "a", "description": "Does it.", "inputSchema": { "type": "object" } }])
    );
    assert_eq!(
        lowered.notes,
        [
            "tool `a`: left out, because a gateway needs a name that is not empty and not given twice"
        ]
    );
}

#[test]
fn a_root_that_is_no_object_becomes_one() {
    let object = json!({ "type": "object" });
    for any in [
        json!({ "type": "object", "title": "get_current_timeArguments" }),
        json!(true),
        json!({}),
        object.clone(),
        json!({ "type": "object", "additionalProperties": false }),
    ] {
        assert_eq!(lowered(any), (object.clone(), vec![]));
    }
    assert_eq!(
        lowered(json!({ "type": "string" })),
        (
            object,
            vec!["arguments: its root is not an object; told as one".to_owned()]
        )
    );
}

#[test]
fn boolean_schemas_become_a_string_or_vanish() {
    check(
        json!(true),
        json!({ "type": "string", "description": "Any JSON value." }),
    );
    let schema = json!({ "type": "object", "properties": { "a": false, "b": { "type": "string" } }, "required": ["a", "b"] });
    let expected =
        json!({ "type": "object", "properties": { "b": { "type": "string" } }, "required": ["b"] });
    assert_eq!(lowered(schema), (expected, vec![]));
}

#[test]
fn local_references_are_inlined_and_siblings_win() {
    let schema = json!({
        "type": "object",
        "properties": {
            "pointer": { "$ref": "#/$defs/unit", "description": "Of the result." },
            "anchor": { "$ref": "#size" },
            "by%20id": { "$ref": "https://example.com/unit.json" }
        },
        "$defs": {
            "unit": { "$id": "https://example.com/unit.json", "type": "string", "description": "A unit." },
            "size": { "$anchor": "size", "type": "integer" }
        }
    });
    let expected = json!({
        "type": "object",
        "properties": {
            "pointer": { "type": "string", "description": "Of the result. A unit." },
            "anchor": { "type": "integer" },
            "by%20id": { "type": "string", "description": "A unit." }
        }
    });
    assert_eq!(lowered(schema), (expected, vec![]));
}

#[test]
fn draft_07_ignores_what_stands_beside_a_reference_but_its_words() {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": { "p": { "$ref": "#/definitions/d", "type": "string", "description": "Mine." } },
        "definitions": { "d": { "type": "integer" } }
    });
    let expected = json!({ "type": "object", "properties": { "p": { "type": "integer", "description": "Mine." } } });
    assert_eq!(lowered(schema), (expected, vec![]));
}

#[test]
fn a_recursive_definition_is_unrolled_to_a_fixed_depth() {
    let schema = json!({
        "type": "object",
        "properties": { "tree": { "$ref": "#/$defs/node" } },
        "$defs": { "node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/node" } } } }
    });
    let end = json!({ "type": "object", "description": "Recursive: same structure as node." });
    let twice = json!({ "type": "object", "properties": { "next": end } });
    let expected = json!({
        "type": "object",
        "properties": { "tree": { "type": "object", "properties": { "next": twice } } }
    });
    let note = "`tree.next.next`: recursive definition node is told to a fixed depth".to_owned();
    assert_eq!(lowered(schema), (expected, vec![note]));
}

#[test]
fn a_reference_outside_the_schema_leaves_the_tool_out() {
    for reference in [
        "https://example.com/x.json",
        "#/$defs/missing",
        "other.json#/a",
    ] {
        let lowered = lower(&[
            tool(
                "bad",
                json!({ "type": "object", "properties": { "p": { "$ref": reference } } }),
            ),
            tool("good", json!({ "type": "object" })),
        ]);
        let names: Vec<&Value> = lowered
            .json
            .as_array()
            .expect("a list")
            .iter()
            .map(|tool| &tool["name"])
            .collect();
        assert_eq!(names, ["good"]);
        let note = format!(
            "tool `bad`: left out: its schema refers to `{reference}`, which is not inside the schema; \
             the server has to inline it"
        );
        assert_eq!(lowered.notes, [note]);
    }
}

#[test]
fn all_of_is_merged() {
    check(
        json!({
            "description": "Both.",
            "allOf": [
                { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] },
                { "properties": { "a": { "minLength": 1 }, "b": { "type": "integer" } }, "required": ["a", "b"] }
            ]
        }),
        json!({
            "type": "object",
            "description": "Both.",
            "properties": { "a": { "type": "string", "description": "Length at least 1." }, "b": { "type": "integer" } },
            "required": ["a", "b"]
        }),
    );
    check(
        json!({ "allOf": [{ "type": "number" }, { "type": "integer", "minimum": 1 }] }),
        json!({ "type": "integer", "description": "At least 1." }),
    );
    check_noted(
        json!({ "allOf": [{ "type": "string" }, { "type": "integer" }] }),
        json!({ "type": "string" }),
        &["`p`: two parts of it demand different types; the first is told"],
    );
}

#[test]
fn a_nullable_value_keeps_its_type_and_stays_required() {
    let nullable = json!({ "type": "string", "description": "May be null." });
    for schema in [
        json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] }),
        json!({ "oneOf": [{ "type": "null" }, { "type": "string" }] }),
        json!({ "type": ["string", "null"] }),
        json!({ "type": "string", "nullable": true }),
    ] {
        check(schema.clone(), nullable.clone());
        let (root, _) =
            lowered(json!({ "type": "object", "properties": { "p": schema }, "required": ["p"] }));
        assert_eq!(root["required"], json!(["p"]));
    }
    check(
        json!({ "anyOf": [{ "type": "integer" }, { "type": "null" }], "default": null, "title": "Limit" }),
        json!({ "type": "integer", "description": "Limit. May be null. Default: null." }),
    );
}

#[test]
fn a_value_that_can_only_be_null_is_never_required() {
    let schema =
        json!({ "type": "object", "properties": { "p": { "type": "null" } }, "required": ["p"] });
    let expected = json!({
        "type": "object",
        "properties": { "p": { "type": "string", "description": "Always null; omit it." } }
    });
    assert_eq!(lowered(schema), (expected, vec![]));
}

#[test]
fn a_choice_of_values_becomes_a_list_of_allowed_values() {
    check(
        json!({ "oneOf": [{ "const": "a", "title": "First" }, { "const": "b", "description": "second one" }, { "enum": ["c", "d"] }] }),
        json!({ "type": "string", "description": "Allowed values: \"a\" (First), \"b\" (second one), \"c\", \"d\"." }),
    );
    check(
        json!({ "enum": [1, 2] }),
        json!({ "type": "integer", "description": "Allowed values: 1, 2." }),
    );
    check(
        json!({ "const": true }),
        json!({ "type": "boolean", "description": "Must be true." }),
    );
}

#[test]
fn a_choice_of_one_type_keeps_the_type() {
    check(
        json!({ "anyOf": [{ "type": "integer" }, { "type": "number" }] }),
        json!({ "type": "number", "description": "Accepts integer or number." }),
    );
    check(
        json!({ "anyOf": [{ "type": "string", "format": "date" }, { "type": "string", "format": "date-time" }] }),
        json!({ "type": "string", "description": "Accepts string (Format: date) or string (Format: date-time)." }),
    );
}

#[test]
fn a_choice_of_objects_becomes_their_union() {
    check_noted(
        json!({ "oneOf": [
            { "type": "object", "title": "Circle", "required": ["kind", "radius"],
              "properties": { "kind": { "const": "circle" }, "radius": { "type": "number" } } },
            { "type": "object", "required": ["kind", "side"],
              "properties": { "kind": { "const": "square" }, "side": { "type": "number" } } },
            { "type": "object", "required": ["kind"], "properties": { "kind": { "const": "dot" } } }
        ] }),
        json!({
            "type": "object",
            "description": "Exactly one of these forms: Circle {kind, radius}, {kind, side}, {kind}.",
            "properties": {
                "kind": { "type": "string", "description": "Allowed values: \"circle\", \"square\", \"dot\"." },
                "radius": { "type": "number" },
                "side": { "type": "number" }
            },
            "required": ["kind"]
        }),
        &["`p`: its alternative forms are told in words"],
    );
}

#[test]
fn a_choice_of_types_prefers_a_string_and_says_so() {
    check_noted(
        json!({ "anyOf": [{ "type": "array", "items": { "type": "string" } }, { "type": "string" }] }),
        json!({ "type": "string", "description": "Accepts array of string or string." }),
        &["`p`: takes array of string or string; told as string"],
    );
    check_noted(
        json!({ "type": ["integer", "boolean"] }),
        json!({ "type": "integer", "description": "Accepts integer or boolean." }),
        &["`p`: takes integer or boolean; told as integer"],
    );
    check_noted(
        json!({ "anyOf": [{ "type": "array", "items": { "type": "integer" } }, { "type": "boolean" }, { "type": "null" }] }),
        json!({
            "type": "array",
            "description": "Accepts array of integer or boolean. May be null.",
            "items": { "type": "integer" }
        }),
        &["`p`: takes array of integer or boolean; told as array"],
    );
}

#[test]
fn a_missing_type_is_inferred() {
    check(
        json!({ "minLength": 2, "maxLength": 2 }),
        json!({ "type": "string", "description": "Length exactly 2." }),
    );
    check(
        json!({ "minimum": 0 }),
        json!({ "type": "number", "description": "At least 0." }),
    );
    check(
        json!({ "items": { "type": "string" } }),
        json!({ "type": "array", "items": { "type": "string" } }),
    );
    check(
        json!({ "properties": { "a": { "type": "string" } } }),
        json!({ "type": "object", "properties": { "a": { "type": "string" } } }),
    );
}

#[test]
fn constraints_are_told_in_words_behind_the_servers_own() {
    check(
        json!({
            "type": "string", "description": "When", "format": "date-time", "pattern": "^2", "maxLength": 40,
            "default": "now", "examples": ["a", "b", "c"], "deprecated": true, "x-order": 3, "$comment": "no"
        }),
        json!({
            "type": "string",
            "description": "When. Format: date-time. Must match the regular expression ^2. Length at most 40. \
                            Default: \"now\". Example: \"a\", \"b\". Deprecated."
        }),
    );
    check(
        json!({ "type": "number", "minimum": 0, "exclusiveMaximum": 100, "multipleOf": 0.5 }),
        json!({ "type": "number", "description": "At least 0. Less than 100. Multiple of 0.5." }),
    );
    check(
        json!({ "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 10, "uniqueItems": true }),
        json!({ "type": "array", "description": "Items: 1 to 10. Items are unique.", "items": { "type": "string" } }),
    );
    check(
        json!({ "type": "string", "contentEncoding": "base64", "contentMediaType": "image/png" }),
        json!({ "type": "string", "description": "base64-encoded image/png." }),
    );
}

#[test]
fn free_keys_are_told_in_words() {
    check_noted(
        json!({ "type": "object", "additionalProperties": { "type": "array", "items": { "type": "string" } } }),
        json!({ "type": "object", "description": "Map of string to array of string." }),
        &["`p`: what its free keys hold is told in words"],
    );
    check_noted(
        json!({ "type": "object", "patternProperties": { "^x-": { "type": "string" } }, "additionalProperties": false }),
        json!({ "type": "object", "description": "Keys matching /^x-/ hold string. No other keys." }),
        &["`p`: what its free keys hold is told in words"],
    );
}

#[test]
fn conditions_bring_their_properties_and_are_told_in_words() {
    check_noted(
        json!({
            "type": "object",
            "properties": { "a": { "type": "integer" } },
            "if": { "required": ["a"] },
            "then": { "properties": { "b": { "type": "string" } }, "required": ["b"] },
            "dependentRequired": { "a": ["c"] }
        }),
        json!({
            "type": "object",
            "description": "If a is given, so must be c. If it matches the schema {\"required\":[\"a\"]}, then \
                            {\"properties\":{\"b\":{\"type\":\"string\"}},\"required\":[\"b\"]} holds.",
            "properties": { "a": { "type": "integer" }, "b": { "type": "string" } }
        }),
        &["`p`: conditions between its properties are told in words"],
    );
}

#[test]
fn arrays_always_have_items() {
    let any =
        json!({ "type": "array", "items": { "type": "string", "description": "Any JSON value." } });
    for schema in [
        json!({ "type": "array" }),
        json!({ "type": "array", "items": {} }),
        json!({ "type": "array", "items": true }),
    ] {
        check(schema, any.clone());
    }
    for keyword in ["prefixItems", "items"] {
        let mut schema = json!({ "type": "array" });
        schema[keyword] = json!([{ "type": "string" }, { "type": "integer" }]);
        check_noted(
            schema,
            json!({
                "type": "array",
                "description": "Tuple: [0] string, [1] integer.",
                "items": { "type": "string", "description": "Accepts string or integer." }
            }),
            &[
                "`p[]`: takes string or integer; told as string",
                "`p`: a tuple; told as a list of one type",
            ],
        );
    }
}

#[test]
fn read_only_properties_are_not_arguments() {
    let schema = json!({
        "type": "object",
        "properties": { "id": { "type": "string", "readOnly": true }, "name": { "type": "string" } },
        "required": ["id", "name"]
    });
    let expected = json!({ "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] });
    assert_eq!(lowered(schema), (expected, vec![]));
}

#[test]
fn a_required_key_that_is_not_described_stays_required() {
    let expected = json!({
        "type": "object",
        "properties": { "a": { "type": "string", "description": "Any JSON value." } },
        "required": ["a"]
    });
    assert_eq!(
        lowered(json!({ "type": "object", "required": ["a", "a"] })),
        (expected, vec![])
    );
}

#[test]
fn definitions_that_all_refer_to_each_other_end_in_bounded_work() {
    let names: Vec<String> = (0..12).map(|index| format!("d{index}")).collect();
    let properties: Map<String, Value> = names
        .iter()
        .map(|name| (name.clone(), json!({ "$ref": format!("#/$defs/{name}") })))
        .collect();
    let definitions: Map<String, Value> = names
        .iter()
        .map(|name| {
            (
                name.clone(),
                json!({ "type": "object", "properties": properties }),
            )
        })
        .collect();
    let (root, notes) =
        lowered(json!({ "type": "object", "properties": properties, "$defs": definitions }));
    assert_eq!(root["properties"].as_object().expect("an object").len(), 12);
    assert!(root.to_string().len() < 2_000_000);
    assert!(!notes.is_empty());
}

#[test]
fn references_that_only_refer_to_each_other_end() {
    let (root, _) = lowered(json!({
        "type": "object",
        "properties": { "p": { "$ref": "#/$defs/a" }, "self": { "$ref": "#" }, "all": { "allOf": [{ "$ref": "#/properties/all" }] } },
        "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "anyOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/b" }] } }
    }));
    let names: Vec<&String> = root["properties"]
        .as_object()
        .expect("an object")
        .keys()
        .collect();
    assert_eq!(names, ["p", "self", "all"]);
}

#[test]
fn the_validator_rejects_what_a_gateway_rejects() {
    let with = |schema: Value| json!([{ "name": "t", "description": "d", "inputSchema": schema }]);
    let in_object =
        |schema: Value| with(json!({ "type": "object", "properties": { "p": schema } }));
    for illegal in [
        json!({}),
        json!([{ "name": "t", "inputSchema": { "type": "object" } }]),
        json!([{ "name": "", "description": "d", "inputSchema": { "type": "object" } }]),
        json!([{ "name": "t", "description": "d", "inputSchema": { "type": "object" }, "title": "T" }]),
        with(json!({ "type": "string" })),
        with(json!({ "type": "object", "additionalProperties": false })),
        with(json!({ "type": "object", "required": ["p"] })),
        in_object(json!({})),
        in_object(json!({ "type": ["string", "null"] })),
        in_object(json!({ "type": "null" })),
        in_object(json!({ "type": "array" })),
        in_object(json!({ "type": "array", "items": {} })),
        in_object(json!({ "type": "string", "enum": ["a"] })),
        in_object(json!({ "type": "string", "description": 1 })),
        in_object(json!({ "type": "string", "properties": {} })),
    ] {
        assert!(!is_legal(&illegal), "{illegal}");
    }
    assert!(is_legal(&in_object(
        json!({ "type": "array", "description": "d", "items": { "type": "integer" } })
    )));
}

/// JSON that looks like JSON Schema, keywords in right and in wrong places.
fn schema_like() -> impl Strategy<Value = Value> {
    let keywords = [
        "type",
        "properties",
        "required",
        "items",
        "prefixItems",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "if",
        "then",
        "else",
        "$ref",
        "$defs",
        "enum",
        "const",
        "default",
        "format",
        "pattern",
        "minLength",
        "minimum",
        "exclusiveMinimum",
        "additionalProperties",
        "patternProperties",
        "dependentSchemas",
        "dependentRequired",
        "description",
        "title",
        "nullable",
        "readOnly",
        "examples",
        "$schema",
        "a",
        "b",
    ];
    let words = [
        "string",
        "object",
        "array",
        "integer",
        "number",
        "boolean",
        "null",
        "a",
        "b",
        "",
        "#",
        "#/$defs/a",
        "#/$defs/b",
        "#/properties/a",
        "http://json-schema.org/draft-07/schema#",
        "é…",
    ];
    let word = prop::sample::select(words.to_vec());
    let leaf = prop_oneof![
        4 => word.prop_map(|word| json!(word)),
        1 => any::<bool>().prop_map(|flag| json!(flag)),
        1 => any::<i8>().prop_map(|number| json!(number)),
        1 => any::<f32>().prop_map(|number| json!(number)),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(6, 80, 6, move |inner| {
        let object = prop::collection::vec((prop::sample::select(keywords.to_vec()), inner.clone()), 0..7);
        prop_oneof![
            4 => object.prop_map(|pairs| Value::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_legal_tools_come_out(root in schema_like(), definition in schema_like()) {
        let mut root = root;
        if let Value::Object(map) = &mut root {
            map.insert("$defs".to_owned(), json!({ "a": definition, "b": { "anyOf": [{ "$ref": "#" }, { "$ref": "#/$defs/a" }] } }));
        }
        let tools = [tool("t", root), tool("fine", json!({ "type": "object" }))];
        let lowered = lower(&tools);
        prop_assert_eq!(first_violation(&lowered.json), None);
        prop_assert_eq!(&lower(&tools), &lowered);
        prop_assert!(lowered.json.as_array().is_some_and(|tools| tools.last().is_some_and(|tool| tool["name"] == "fine")));
    }
}
