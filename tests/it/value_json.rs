//! Values as stored JSON, and type expressions.

use mcplambda::plugin::{Value, ValueType, json};

fn read(text: &str, value_type: &ValueType, missing: json::Missing) -> Result<Value, String> {
    json::decode(text.as_bytes(), value_type, missing).map_err(|error| error.to_string())
}

#[test]
fn numbers_are_read_and_written_digit_by_digit() {
    let text = "12345678901234567890123.45678901234567890";
    let value = read(text, &ValueType::Number, json::Missing::Refuse).expect("a number");
    let written = json::encode(&value, &ValueType::Number).expect("a number");
    assert_eq!(
        String::from_utf8(written).expect("text"),
        "12345678901234567890123.4567890123456789"
    );
}

#[test]
fn a_dynamic_value_carries_its_type_in_either_order() {
    let expected = Value::dynamic(
        ValueType::list(ValueType::Bool),
        Value::List(vec![Value::Bool(true)]),
    );
    for text in [
        r#"{"value":[true],"type":["list","bool"]}"#,
        r#" { "type" : [ "list", "bool" ] , "value" : [ true ] } "#,
    ] {
        assert_eq!(
            read(text, &ValueType::Dynamic, json::Missing::Refuse),
            Ok(expected.clone())
        );
    }
    assert_eq!(
        read("null", &ValueType::Dynamic, json::Missing::Refuse),
        Ok(Value::Null)
    );
}

#[test]
fn objects_are_complete_or_completed() {
    let object = ValueType::object([
        ("a", ValueType::Bool),
        ("b", ValueType::object([("c", ValueType::String)])),
    ]);
    let text = r#"{"b":{"x":[1,{"y":null}]},"z":0}"#;
    assert_eq!(
        read(text, &object, json::Missing::Null),
        Ok(Value::object([
            ("a", Value::Null),
            ("b", Value::object([("c", Value::Null)]))
        ]))
    );
    assert_eq!(
        read(text, &object, json::Missing::Refuse),
        Err("a: the attribute is missing".to_owned())
    );
    assert_eq!(
        read(
            r#"{"a":null,"b":null,"z":0}"#,
            &object,
            json::Missing::Refuse
        ),
        Err("z: unsupported attribute".to_owned())
    );
}

#[test]
fn what_json_cannot_say_is_not_written() {
    let list = ValueType::list(ValueType::String);
    let value = Value::List(vec![Value::from("x"), Value::UNKNOWN]);
    let error = json::encode(&value, &list).expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "[1]: JSON cannot express an unknown value"
    );
}

#[test]
fn type_expressions_are_those_of_terraform() {
    let value_type = ValueType::object([
        ("a", ValueType::list(ValueType::String)),
        (
            "b",
            ValueType::Tuple(vec![ValueType::Number, ValueType::Dynamic]),
        ),
    ]);
    let text = r#"["object",{"a":["list","string"],"b":["tuple",["number","dynamic"]]}]"#;
    assert_eq!(String::from_utf8(value_type.to_json()).expect("text"), text);
    assert_eq!(
        value_type.to_string(),
        "object({a = list(string), b = tuple([number, dynamic])})"
    );
    assert_eq!(
        ValueType::from_json(br#"["object",{"a":"bool"},["a"]]"#),
        Ok(ValueType::object([("a", ValueType::Bool)]))
    );
    for wrong in [
        "",
        "\"text\"",
        "[]",
        "[\"list\"]",
        "[\"list\",\"bool\",1]",
        "[\"tuple\",\"bool\"]",
        "{}",
        "1",
    ] {
        assert!(ValueType::from_json(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
