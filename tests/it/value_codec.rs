//! The MessagePack codec: core's own bytes, every value both ways, and nothing that bytes could do to the process.

use std::collections::BTreeMap;

use mcplambda::plugin::{Number, Refinement, Value, ValueType, json, msgpack};
use proptest::prelude::*;
use proptest::strategy::Union;

fn number(text: &str) -> Value {
    Value::Number(text.parse().expect("a number"))
}

fn refined(refinement: Refinement) -> Value {
    Value::Unknown(Some(Box::new(refinement)))
}

/// Any type, three levels deep at most.
fn types() -> impl Strategy<Value = ValueType> {
    let leaf = prop_oneof![
        Just(ValueType::Bool),
        Just(ValueType::Number),
        Just(ValueType::String),
        Just(ValueType::Dynamic),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(ValueType::list),
            inner
                .clone()
                .prop_filter("core has no sets of dynamic values", |inner| !inner
                    .contains_dynamic())
                .prop_map(ValueType::set),
            inner.clone().prop_map(ValueType::map),
            prop::collection::vec(inner.clone(), 0..3).prop_map(ValueType::Tuple),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..3).prop_map(ValueType::Object),
        ]
    })
}

fn numbers() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        any::<f64>().prop_filter_map("a number", |float| Number::from_f64_exact(float).ok()),
        ("-?[0-9]{1,40}(\\.[0-9]{1,40})?", -50..50).prop_map(|(mantissa, exponent)| {
            format!("{mantissa}e{exponent}").parse().expect("a decimal")
        }),
    ]
}

fn refinements(value_type: &ValueType) -> BoxedStrategy<Option<Box<Refinement>>> {
    let bound = || prop::option::of((numbers(), any::<bool>()));
    let null = prop::option::of(any::<bool>());
    let refinement = match value_type {
        ValueType::String => (null, prop::option::of("\\PC{1,20}"))
            .prop_map(|(null, prefix)| Refinement {
                null,
                prefix,
                ..Refinement::default()
            })
            .boxed(),
        ValueType::Number => (null, bound(), bound())
            .prop_map(|(null, number_lower, number_upper)| Refinement {
                null,
                number_lower,
                number_upper,
                ..Refinement::default()
            })
            .boxed(),
        ValueType::List(_) | ValueType::Set(_) | ValueType::Map(_) => (
            null,
            prop::option::of(0_i64..9),
            prop::option::of(9_i64..99),
        )
            .prop_map(|(null, length_lower, length_upper)| Refinement {
                null,
                length_lower,
                length_upper,
                ..Refinement::default()
            })
            .boxed(),
        _ => null
            .prop_map(|null| Refinement {
                null,
                ..Refinement::default()
            })
            .boxed(),
    };
    refinement
        .prop_map(|refinement| (refinement != Refinement::default()).then(|| Box::new(refinement)))
        .boxed()
}

/// Any value of a type. `unknowns`: whether parts of it may be unknown.
fn values(value_type: &ValueType, unknowns: bool) -> BoxedStrategy<Value> {
    let known = match value_type {
        ValueType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        ValueType::Number => numbers()
            .prop_filter("JSON has no infinity", move |number| {
                unknowns || number.is_finite()
            })
            .prop_map(Value::Number)
            .boxed(),
        ValueType::String => any::<String>().prop_map(Value::String).boxed(),
        ValueType::Dynamic => prop_oneof![
            Just(ValueType::String),
            Just(ValueType::list(ValueType::Number))
        ]
        .prop_flat_map(move |inner| {
            let typed = inner.clone();
            values(&inner, unknowns).prop_map(move |value| Value::dynamic(typed.clone(), value))
        })
        // In JSON a null in a dynamic place has no type.
        .prop_filter("typed nulls are for MessagePack", move |value| {
            unknowns || !value.is_null()
        })
        .boxed(),
        ValueType::List(element) => prop::collection::vec(values(element, unknowns), 0..4)
            .prop_map(Value::List)
            .boxed(),
        ValueType::Set(element) => prop::collection::vec(values(element, unknowns), 0..4)
            .prop_map(Value::set)
            .boxed(),
        ValueType::Map(element) => {
            prop::collection::btree_map(any::<String>(), values(element, unknowns), 0..4)
                .prop_map(Value::Map)
                .boxed()
        }
        ValueType::Tuple(elements) => {
            let elements: Vec<_> = elements
                .iter()
                .map(|element| values(element, unknowns))
                .collect();
            elements.prop_map(Value::Tuple).boxed()
        }
        ValueType::Object(attributes) => {
            let attributes: Vec<_> = attributes
                .iter()
                .map(|(name, attribute)| (Just(name.clone()), values(attribute, unknowns)))
                .collect();
            attributes
                .prop_map(|attributes| Value::Object(attributes.into_iter().collect()))
                .boxed()
        }
    };
    let mut cases = vec![(6, known), (1, Just(Value::Null).boxed())];
    if unknowns {
        cases.push((1, refinements(value_type).prop_map(Value::Unknown).boxed()));
    }
    Union::new_weighted(cases).boxed()
}

fn typed_values(unknowns: bool) -> impl Strategy<Value = (ValueType, Value)> {
    types().prop_flat_map(move |value_type| {
        let values = values(&value_type, unknowns);
        (Just(value_type), values)
    })
}

proptest! {
    #[test]
    fn every_value_comes_back_from_messagepack((value_type, value) in typed_values(true)) {
        let bytes = msgpack::encode(&value, &value_type).expect("a value of its type");
        prop_assert_eq!(msgpack::decode(&bytes, &value_type), Ok(value));
    }

    #[test]
    fn every_known_value_comes_back_from_json((value_type, value) in typed_values(false)) {
        let bytes = json::encode(&value, &value_type).expect("a known value of its type");
        prop_assert_eq!(json::decode(&bytes, &value_type, json::Missing::Refuse), Ok(value));
    }

    #[test]
    fn every_type_comes_back_from_its_notation(value_type in types()) {
        prop_assert_eq!(ValueType::from_json(&value_type.to_json()), Ok(value_type));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(value_type in types(), bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        // The result is an error for nearly all of them; which, the other tests say.
        let _ = msgpack::decode(&bytes, &value_type);
        let _ = json::decode(&bytes, &value_type, json::Missing::Null);
        let _ = ValueType::from_json(&bytes);
    }

    #[test]
    fn no_damage_makes_the_decoder_panic(
        (value_type, value) in typed_values(true),
        position in any::<prop::sample::Index>(),
        damage in any::<u8>(),
    ) {
        let mut bytes = msgpack::encode(&value, &value_type).expect("a value of its type");
        let position = position.index(bytes.len());
        prop_assert!(msgpack::decode(&bytes[..position], &value_type).is_err(), "truncated");
        bytes[position] = damage;
        if let Ok(other) = msgpack::decode(&bytes, &value_type) {
            prop_assert!(msgpack::encode(&other, &value_type).is_ok());
        }
    }
}

#[test]
fn values_are_written_as_core_writes_them() {
    let string = ValueType::String;
    let object = ValueType::object([("b", ValueType::Bool), ("a", ValueType::String)]);
    let cases: &[(Value, ValueType, &[u8])] = &[
        (Value::Null, string.clone(), b"\xc0"),
        (Value::UNKNOWN, string.clone(), b"\xd4\x00\x00"),
        (Value::Bool(true), ValueType::Bool, b"\xc3"),
        (Value::from("é"), string.clone(), b"\xa2\xc3\xa9"),
        (number("0"), ValueType::Number, b"\x00"),
        (number("-1"), ValueType::Number, b"\xff"),
        (number("128"), ValueType::Number, b"\xcc\x80"),
        (number("-129"), ValueType::Number, b"\xd1\xff\x7f"),
        (
            number("9223372036854775807"),
            ValueType::Number,
            b"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff",
        ),
        (
            number("1.5"),
            ValueType::Number,
            b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00",
        ),
        (number("0.1"), ValueType::Number, b"\xa30.1"),
        (
            number("18446744073709551615"),
            ValueType::Number,
            b"\xb418446744073709551615",
        ),
        (
            number("12345678901234567890123"),
            ValueType::Number,
            b"\xb712345678901234567890123",
        ),
        (
            Value::List(vec![Value::from("x")]),
            ValueType::list(string.clone()),
            b"\x91\xa1x",
        ),
        (
            Value::set([Value::from("y"), Value::from("x")]),
            ValueType::set(string.clone()),
            b"\x92\xa1x\xa1y",
        ),
        (
            Value::Map(BTreeMap::from([("k".to_owned(), Value::Null)])),
            ValueType::map(string.clone()),
            b"\x81\xa1k\xc0",
        ),
        (
            Value::object([("b", Value::Bool(false)), ("a", Value::Null)]),
            object,
            b"\x82\xa1a\xc0\xa1b\xc2",
        ),
        (
            Value::dynamic(string.clone(), Value::from("x")),
            ValueType::Dynamic,
            b"\x92\xc4\x08\"string\"\xa1x",
        ),
        (
            Value::dynamic(string.clone(), Value::Null),
            ValueType::Dynamic,
            b"\x92\xc4\x08\"string\"\xc0",
        ),
        (Value::Null, ValueType::Dynamic, b"\xc0"),
        (Value::UNKNOWN, ValueType::Dynamic, b"\xd4\x00\x00"),
        (
            refined(Refinement {
                null: Some(false),
                ..Refinement::default()
            }),
            string.clone(),
            b"\xc7\x03\x0c\x81\x01\xc2",
        ),
        (
            refined(Refinement {
                null: Some(false),
                prefix: Some("ab".to_owned()),
                ..Refinement::default()
            }),
            string,
            b"\xc7\x07\x0c\x82\x01\xc2\x02\xa2ab",
        ),
    ];
    for (value, value_type, bytes) in cases {
        let written = msgpack::encode(value, value_type).expect("a value of its type");
        assert_eq!(written, *bytes, "{value:?}");
        assert_eq!(msgpack::decode(bytes, value_type).as_ref(), Ok(value));
    }
}

#[test]
fn other_ways_to_write_the_same_are_read_too() {
    let cases: &[(&[u8], ValueType, Value)] = &[
        // Numbers of any width, as floats, as text.
        (
            b"\xd3\x00\x00\x00\x00\x00\x00\x00\x05",
            ValueType::Number,
            number("5"),
        ),
        (
            b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
            ValueType::Number,
            number("18446744073709551615"),
        ),
        (b"\xca\x3f\x00\x00\x00", ValueType::Number, number("0.5")),
        (b"\xa41e+3", ValueType::Number, number("1000")),
        // The type of a dynamic value as a string.
        (
            b"\x92\xa6\"bool\"\xc3",
            ValueType::Dynamic,
            Value::dynamic(ValueType::Bool, Value::Bool(true)),
        ),
        // Unknowns with any code, and refinements from the future.
        (b"\xc7\x00\x00", ValueType::String, Value::UNKNOWN),
        (b"\xd5\x63\x01\x02", ValueType::String, Value::UNKNOWN),
        (
            b"\xc7\x0b\x0c\x82\x63\x92\x81\xa1k\x91\xc0\x01\x01\xc2",
            ValueType::String,
            refined(Refinement {
                null: Some(false),
                ..Refinement::default()
            }),
        ),
        // Keys in any order.
        (
            b"\x82\xa1b\xc2\xa1a\xc3",
            ValueType::object([("a", ValueType::Bool), ("b", ValueType::Bool)]),
            Value::object([("a", Value::Bool(true)), ("b", Value::Bool(false))]),
        ),
    ];
    for (bytes, value_type, value) in cases {
        assert_eq!(
            msgpack::decode(bytes, value_type).as_ref(),
            Ok(value),
            "{bytes:x?}"
        );
    }
}

#[test]
fn what_does_not_fit_the_type_is_refused_at_its_place() {
    let object = ValueType::object([
        ("a", ValueType::list(ValueType::String)),
        ("b", ValueType::Bool),
    ]);
    let cases: &[(&[u8], &ValueType, &str)] = &[
        (
            b"\x81\xa1a\xc0",
            &object,
            "an object with 2 attributes is required (1 given)",
        ),
        (
            b"\x82\xa1a\xc0\xa1c\xc0",
            &object,
            "c: unsupported attribute",
        ),
        (
            b"\x82\xa1a\xc0\xa1a\xc0",
            &object,
            "a: the attribute is there twice",
        ),
        (
            b"\x82\xa1a\x92\xa1x\x05\xa1b\xc0",
            &object,
            "a[1]: string is required, not a number",
        ),
        (
            b"\xc3",
            &ValueType::String,
            "string is required, not a bool",
        ),
        (
            b"\xa1x",
            &ValueType::Number,
            "a number is required: not a decimal number",
        ),
        (
            b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
            &ValueType::Number,
            "a number is required: not a decimal number",
        ),
        (b"\xa2\xff\xff", &ValueType::String, "a string is not UTF-8"),
        (
            b"\x91\xc0",
            &ValueType::Tuple(Vec::new()),
            "a tuple of length 0 is required",
        ),
        (
            b"\x92\xc4\x03\"x\"\xc0",
            &ValueType::Dynamic,
            "not a Terraform type expression: unknown type name",
        ),
        (b"\xc1", &ValueType::Bool, "the data is not MessagePack"),
        (b"", &ValueType::Bool, "the data ends too early"),
        (b"\xc3\xc3", &ValueType::Bool, "1 bytes after the value"),
        (
            b"\xd4\x0c\x05",
            &ValueType::Bool,
            "the refinement of an unknown value is malformed",
        ),
    ];
    for (bytes, value_type, expected) in cases {
        let error = msgpack::decode(bytes, value_type).expect_err("it does not fit");
        assert_eq!(error.to_string(), *expected, "{bytes:x?}");
    }
}

#[test]
fn announced_lengths_take_no_memory() {
    // Each announces more than four thousand million elements, and holds none.
    for (bytes, value_type) in [
        (b"\xdd\xff\xff\xff\xff", ValueType::list(ValueType::String)),
        (b"\xdf\xff\xff\xff\xff", ValueType::map(ValueType::String)),
        (b"\xdb\xff\xff\xff\xff", ValueType::String),
        (b"\xc9\xff\xff\xff\xff", ValueType::String),
    ] {
        let error = msgpack::decode(bytes, &value_type).expect_err("nothing follows");
        assert_eq!(error.reason, "the data ends too early");
    }
}

#[test]
fn depth_is_bounded() {
    // A dynamic value in a dynamic value in …: the bytes decide how deep.
    let mut bytes = Vec::new();
    for _ in 0..100_000 {
        bytes.extend(b"\x92\xa9\"dynamic\"");
    }
    bytes.push(0xc0);
    let error = msgpack::decode(&bytes, &ValueType::Dynamic).expect_err("too deep");
    assert_eq!(error.reason, "nested deeper than 128 levels");

    let deep_type = [
        b"[\"list\",".repeat(100_000),
        b"\"bool\"".to_vec(),
        b"]".repeat(100_000),
    ]
    .concat();
    assert!(ValueType::from_json(&deep_type).is_err());

    let mut text = String::new();
    for _ in 0..100_000 {
        text.push_str("{\"type\":\"dynamic\",\"value\":");
    }
    assert!(json::decode(text.as_bytes(), &ValueType::Dynamic, json::Missing::Null).is_err());
    let closed = format!("{text}1{}", "}".repeat(100_000));
    assert!(json::decode(closed.as_bytes(), &ValueType::Dynamic, json::Missing::Null).is_err());

    // Refinements are skipped without recursion.
    let mut refinement = b"\x81\x63".to_vec();
    refinement.extend([0x91].repeat(100_000));
    let mut bytes = b"\xc9".to_vec();
    bytes.extend(
        u32::try_from(refinement.len())
            .expect("short")
            .to_be_bytes(),
    );
    bytes.push(12);
    bytes.extend(refinement);
    assert!(msgpack::decode(&bytes, &ValueType::String).is_err());
}

#[test]
fn refinements_never_exceed_what_core_accepts() {
    let digits = "9".repeat(600);
    let refinement = Refinement {
        prefix: Some("é".repeat(200)),
        number_lower: Some((format!("-{digits}").parse().expect("a number"), true)),
        number_upper: Some((digits.parse().expect("a number"), false)),
        ..Refinement::default()
    };
    let bytes = msgpack::encode(&refined(refinement), &ValueType::String).expect("an unknown");
    assert!(bytes.len() <= 1024 + 4, "{}", bytes.len());
    let Ok(Value::Unknown(Some(read))) = msgpack::decode(&bytes, &ValueType::String) else {
        panic!("an unknown with refinements");
    };
    assert_eq!(read.prefix, Some("é".repeat(128)));
}

#[test]
fn a_value_of_another_type_is_not_written() {
    let cases = [
        (Value::from("x"), ValueType::Bool),
        (
            Value::object([("a", Value::Null)]),
            ValueType::object([("b", ValueType::Bool)]),
        ),
        (
            Value::Tuple(vec![]),
            ValueType::Tuple(vec![ValueType::Bool]),
        ),
        (Value::from("x"), ValueType::Dynamic),
    ];
    for (value, value_type) in cases {
        assert!(msgpack::encode(&value, &value_type).is_err(), "{value:?}");
        assert!(json::encode(&value, &value_type).is_err(), "{value:?}");
    }
}
