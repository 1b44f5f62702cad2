//! Terraform's values as JSON, and the bytes in which they travel.
//!
//! A second codec beside the one under test, so that a mistake in that one shows. It knows no
//! schema: the test writes complete objects, or has [`schema`](super::schema) complete them.
//!
//! What JSON cannot say is said by objects with one key: `{"$unknown": {}}` is an unknown value (its
//! refinements, by number, inside), `{"$dynamic": [type, value]}` a value of dynamic type.

use mcplambda::plugin::tfplugin6::DynamicValue;
use rmp::Marker;
use rmp::decode::{self, RmpRead as _};
use rmp::encode;
use serde_json::{Map, Number, Value, json};

const UNKNOWN: &str = "$unknown";
const DYNAMIC: &str = "$dynamic";

/// A value that is known only after apply.
pub fn unknown() -> Value {
    json!({ UNKNOWN: {} })
}

/// A value as Terraform sends it.
pub fn encode(value: &Value) -> DynamicValue {
    let mut msgpack = Vec::new();
    write(&mut msgpack, value);
    DynamicValue {
        msgpack: msgpack.into(),
        json: Default::default(),
    }
}

/// A null object, which Terraform sends for what does not exist.
pub fn null() -> DynamicValue {
    encode(&Value::Null)
}

/// A value as Terraform reads it. An absent message is null.
pub fn decode(value: Option<&DynamicValue>) -> Value {
    let Some(value) = value else {
        return Value::Null;
    };
    if value.msgpack.is_empty() {
        return match &value.json[..] {
            [] => Value::Null,
            json => serde_json::from_slice(json).expect("JSON"),
        };
    }
    let mut bytes = &value.msgpack[..];
    let read = read(&mut bytes);
    assert_eq!(bytes, b"", "bytes after the value {read}");
    read
}

/// Writing to a `Vec` cannot fail.
const TO_MEMORY: &str = "memory takes everything";

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => encode::write_nil(out).expect(TO_MEMORY),
        Value::Bool(value) => encode::write_bool(out, *value).expect(TO_MEMORY),
        Value::String(value) => encode::write_str(out, value).expect(TO_MEMORY),
        Value::Number(number) => write_number(out, number),
        Value::Array(values) => {
            encode::write_array_len(out, length(values.len())).expect(TO_MEMORY);
            for value in values {
                write(out, value);
            }
        }
        Value::Object(object) => match object.iter().next() {
            Some((key, _)) if key == UNKNOWN => {
                assert_eq!(object[UNKNOWN], json!({}), "refinements are only read");
                out.extend_from_slice(&[0xd4, 0x00, 0x00]);
            }
            Some((key, Value::Array(typed))) if key == DYNAMIC => {
                let [kind, value] = &typed[..] else {
                    panic!("{DYNAMIC} takes a type and a value: {typed:?}");
                };
                encode::write_array_len(out, 2).expect(TO_MEMORY);
                encode::write_bin(out, kind.to_string().as_bytes()).expect(TO_MEMORY);
                write(out, value);
            }
            _ => {
                encode::write_map_len(out, length(object.len())).expect(TO_MEMORY);
                let mut keys: Vec<_> = object.keys().collect();
                keys.sort();
                for key in keys {
                    encode::write_str(out, key).expect(TO_MEMORY);
                    write(out, &object[key]);
                }
            }
        },
    }
}

fn length(length: usize) -> u32 {
    length.try_into().expect("a test's collections are small")
}

fn write_number(out: &mut Vec<u8>, number: &Number) {
    if let Some(number) = number.as_i64() {
        encode::write_sint(out, number).expect(TO_MEMORY);
    } else if let Some(number) = number.as_u64() {
        // Beyond i64, Terraform sends decimals.
        encode::write_str(out, &number.to_string()).expect(TO_MEMORY);
    } else {
        let number = number.as_f64().expect("not an integer");
        encode::write_f64(out, number).expect(TO_MEMORY);
    }
}

fn read(bytes: &mut &[u8]) -> Value {
    let marker = Marker::from_u8(bytes[0]);
    match marker {
        Marker::Null => {
            decode::read_nil(bytes).expect("nil");
            Value::Null
        }
        Marker::True | Marker::False => Value::Bool(decode::read_bool(bytes).expect("bool")),
        Marker::F32 => Value::from(f64::from(decode::read_f32(bytes).expect("f32"))),
        Marker::F64 => Value::from(decode::read_f64(bytes).expect("f64")),
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            let length = decode::read_str_len(bytes).expect("a length");
            Value::from(String::from_utf8(take(bytes, length)).expect("UTF-8"))
        }
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
            let length = decode::read_array_len(bytes).expect("a length");
            if length == 2 && matches!(Marker::from_u8(bytes[0]), Marker::Bin8 | Marker::Bin16) {
                let kind_length = decode::read_bin_len(bytes).expect("a length");
                let kind: Value =
                    serde_json::from_slice(&take(bytes, kind_length)).expect("a type in JSON");
                return json!({ DYNAMIC: [kind, read(bytes)] });
            }
            (0..length).map(|_| read(bytes)).collect()
        }
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
            let length = decode::read_map_len(bytes).expect("a length");
            let entries = (0..length).map(|_| match read(bytes) {
                Value::String(key) => (key, read(bytes)),
                other => panic!("the key {other} is no string"),
            });
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Marker::FixExt1
        | Marker::FixExt2
        | Marker::FixExt4
        | Marker::FixExt8
        | Marker::FixExt16
        | Marker::Ext8
        | Marker::Ext16
        | Marker::Ext32 => read_unknown(bytes),
        _ => {
            let number: i64 = decode::read_int(bytes).expect("an integer");
            Value::from(number)
        }
    }
}

fn read_unknown(bytes: &mut &[u8]) -> Value {
    let meta = decode::read_ext_meta(bytes).expect("an extension");
    let payload = take(bytes, meta.size);
    let mut refinements = Map::new();
    match meta.typeid {
        0 => assert!(payload.len() <= 1, "Terraform refuses this unknown"),
        12 => {
            let mut payload = &payload[..];
            let length = decode::read_map_len(&mut payload).expect("refinements are a map");
            for _ in 0..length {
                let key: i64 = decode::read_int(&mut payload).expect("an integer key");
                refinements.insert(key.to_string(), read(&mut payload));
            }
        }
        other => panic!("Terraform refuses extension {other}"),
    }
    json!({ UNKNOWN: refinements })
}

fn take(bytes: &mut &[u8], length: u32) -> Vec<u8> {
    let mut taken = vec![0; length as usize];
    bytes
        .read_exact_buf(&mut taken)
        .expect("as many bytes as announced");
    taken
}
