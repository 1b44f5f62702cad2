//! Typed models: values in, structs out, and errors that say where.

use std::collections::{BTreeMap, BTreeSet};

use mcplambda::model;
use mcplambda::plugin::{Attr, FromValue, FromValueError, Model, Number, Path, ToValue, Value};

model! {
    struct Outer {
        r#type: String,
        count: u32,
        signed: i32,
        ratio: f64,
        names: BTreeSet<String>,
        tags: BTreeMap<String, String>,
        exact: Vec<Attr<String>>,
        inner: Vec<Inner>,
        anything: Value,
    }

    struct Inner {
        flag: bool,
    }
}

fn outer() -> Outer {
    Outer {
        r#type: "t".into(),
        count: Attr::Known(7),
        signed: Attr::Known(-7),
        ratio: Attr::Known(0.1),
        names: Attr::Known(BTreeSet::from(["b".to_owned(), "a".to_owned()])),
        tags: Attr::Known(BTreeMap::from([("k".to_owned(), "v".to_owned())])),
        exact: Attr::Known(vec!["x".into(), Attr::Unknown, Attr::Null]),
        inner: Attr::Known(vec![Inner {
            flag: Attr::Unknown,
        }]),
        anything: Attr::Known(Value::from("any")),
    }
}

#[test]
fn a_model_is_an_object_with_its_fields_names() {
    assert_eq!(
        Outer::FIELDS,
        [
            "type", "count", "signed", "ratio", "names", "tags", "exact", "inner", "anything"
        ]
    );
    let number = |text: &str| Value::Number(text.parse().expect("a number"));
    let value = Value::object([
        ("type", Value::from("t")),
        ("count", number("7")),
        ("signed", number("-7")),
        ("ratio", number("0.1")),
        ("names", Value::set([Value::from("a"), Value::from("b")])),
        (
            "tags",
            Value::Map(BTreeMap::from([("k".to_owned(), Value::from("v"))])),
        ),
        (
            "exact",
            Value::List(vec![Value::from("x"), Value::UNKNOWN, Value::Null]),
        ),
        (
            "inner",
            Value::List(vec![Value::object([("flag", Value::UNKNOWN)])]),
        ),
        ("anything", Value::from("any")),
    ]);
    assert_eq!(outer().to_value(), value);
    assert_eq!(Outer::from_value(&value, &Path::ROOT), Ok(outer()));
}

#[test]
fn a_collection_with_an_unknown_element_is_unknown_unless_the_model_looks_closer() {
    let list = Value::List(vec![Value::from("x"), Value::UNKNOWN]);
    assert_eq!(
        Attr::<Vec<String>>::from_value(&list, &Path::ROOT),
        Ok(Attr::Unknown)
    );
    assert_eq!(
        Attr::<Vec<Attr<String>>>::from_value(&list, &Path::ROOT),
        Ok(Attr::Known(vec!["x".into(), Attr::Unknown]))
    );
}

#[test]
fn what_does_not_fit_is_an_error_with_its_place() {
    let cases = [
        (
            "count",
            Value::from(-1),
            "count must be a whole number from 0 to 4294967295, but is -1",
        ),
        (
            "count",
            Value::Number(Number::from(u64::MAX)),
            "count must be a whole number from 0 to 4294967295, but is 18446744073709551615",
        ),
        (
            "type",
            Value::Bool(true),
            "type must be a string, but is a bool",
        ),
        (
            "names",
            Value::set([Value::Bool(true)]),
            "names[*] must be a string, but is a bool",
        ),
        (
            "tags",
            Value::Map(BTreeMap::from([("k".to_owned(), Value::Null)])),
            "tags[\"k\"] must not be null",
        ),
        (
            "inner",
            Value::List(vec![Value::object([("flag", Value::from(1))])]),
            "inner[0].flag must be a bool, but is a number",
        ),
        // An error of shape counts more than something unknown beside it.
        (
            "inner",
            Value::List(vec![Value::UNKNOWN, Value::from("x")]),
            "inner[1] must be an object, but is a string",
        ),
    ];
    for (attribute, wrong, expected) in cases {
        let Value::Object(mut object) = outer().to_value() else {
            panic!("a model is an object")
        };
        object.insert(attribute.to_owned(), wrong);
        let error =
            Outer::from_value(&Value::Object(object), &Path::ROOT).expect_err("it does not fit");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_model_and_a_schema_that_differ_are_found_out() {
    let missing = Inner::from_value(&Value::object::<&str>([]), &Path::ROOT);
    assert!(
        matches!(missing, Err(FromValueError::Mismatch { path, .. }) if path == Path::from("flag"))
    );
    let extra = Value::object([("flag", Value::Null), ("more", Value::Null)]);
    let extra = Inner::from_value(&extra, &Path::ROOT);
    assert!(
        matches!(extra, Err(FromValueError::Mismatch { path, .. }) if path == Path::from("more"))
    );
}
