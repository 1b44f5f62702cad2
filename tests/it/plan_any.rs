//! Whatever the configuration, before and after: a plan that core accepts, a result that is what was planned, and then
//! nothing left to do.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::framework_core::Core;
use crate::tfclient::value::unknown;

/// An attribute's value; unknown now and then, where `unknowns` allows it.
fn attribute(
    unknowns: bool,
    known: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<Value> {
    if unknowns {
        prop_oneof![6 => known, 1 => Just(unknown())].boxed()
    } else {
        known.boxed()
    }
}

fn text(unknowns: bool) -> BoxedStrategy<Value> {
    attribute(unknowns, "[a-c]".prop_map(Value::from))
}

fn number(unknowns: bool) -> BoxedStrategy<Value> {
    attribute(unknowns, (1_i64..4).prop_map(Value::from))
}

/// An object with the required attribute, and perhaps the others.
fn object(
    required: (&'static str, BoxedStrategy<Value>),
    optional: Vec<(&'static str, BoxedStrategy<Value>)>,
) -> BoxedStrategy<Value> {
    let optional: Vec<_> = optional
        .into_iter()
        .map(|(name, value)| (Just(name), option::of(value)))
        .collect();
    (required.1, optional)
        .prop_map(move |(value, optional)| {
            let mut object = Map::from_iter([(required.0.to_owned(), value)]);
            for (name, value) in optional {
                object.extend(value.map(|value| (name.to_owned(), value)));
            }
            Value::Object(object)
        })
        .boxed()
}

fn configurations(unknowns: bool) -> impl Strategy<Value = Value> {
    let text = || text(unknowns);
    let number = || number(unknowns);
    let list = |element: BoxedStrategy<Value>| vec(element, 0..3).prop_map(Value::from).boxed();
    // Elements that are the same but for what the provider fills in would become one.
    let set = |key: &'static str, optional: Vec<(&'static str, BoxedStrategy<Value>)>| {
        let optional: Vec<_> = optional
            .into_iter()
            .map(|(name, value)| (Just(name), option::of(value)))
            .collect();
        btree_map("[a-d]", optional, 0..4)
            .prop_map(move |elements| {
                let elements = elements.into_iter().map(|(name, optional)| {
                    let mut object = Map::from_iter([(key.to_owned(), Value::from(name))]);
                    for (name, value) in optional {
                        object.extend(value.map(|value| (name.to_owned(), value)));
                    }
                    Value::Object(object)
                });
                elements.collect::<Value>()
            })
            .boxed()
    };
    object(
        ("name", text()),
        vec![
            ("type", text()),
            ("size", number()),
            ("kind", text()),
            ("zone", text()),
            ("secret", Just(json!("s")).boxed()),
            ("ratio", attribute(unknowns, Just(json!("0.1")))),
            (
                "tags",
                attribute(
                    unknowns,
                    btree_map("[a-b]", text(), 0..3).prop_map(|tags| json!(tags)),
                ),
            ),
            (
                "labels",
                attribute(
                    unknowns,
                    btree_set("[a-c]", 0..3).prop_map(|labels| json!(labels)),
                ),
            ),
            ("ports", attribute(unknowns, list(number()))),
            (
                "anything",
                text()
                    .prop_map(|text| json!({ "$dynamic": ["string", text] }))
                    .boxed(),
            ),
            (
                "endpoint",
                attribute(
                    unknowns,
                    object(
                        ("host", text()),
                        vec![("port", number()), ("password", text())],
                    ),
                ),
            ),
            (
                "rules",
                attribute(unknowns, list(object(("pattern", text()), vec![]))),
            ),
            (
                "members",
                attribute(unknowns, set("user", vec![("role", text())])),
            ),
            (
                "routes",
                attribute(
                    unknowns,
                    btree_map(
                        "[a-c]",
                        object(("target", text()), vec![("weight", number())]),
                        0..3,
                    )
                    .prop_map(|routes| json!(routes)),
                ),
            ),
            ("network", object(("subnet", text()), vec![])),
            (
                "disk",
                attribute(unknowns, list(object(("size", number()), vec![]))),
            ),
            ("peer", set("address", vec![])),
        ],
    )
}

#[test]
fn any_configuration_is_planned_and_applied_as_core_wants_it() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let core = runtime.block_on(Core::start());
    let cases = (
        configurations(false),
        configurations(true),
        configurations(false),
    );
    let mut runner = TestRunner::new(Config {
        cases: 64,
        ..Config::default()
    });
    let outcome = runner.run(&cases, |(first, undecided, second)| {
        runtime.block_on(async {
            // `Core` panics at whatever core would refuse.
            let created = core.create(first.clone()).await;
            let again = core.plan(&created.state, first, &created.private).await;
            assert_eq!(again.planned, created.state, "nothing is left to do");

            let plan = core.plan(&created.state, undecided, &created.private).await;
            assert_eq!(plan.diagnostics, Vec::<String>::new());

            let updated = core.update(&created, second.clone()).await;
            assert_eq!(updated.diagnostics, Vec::<String>::new());
            let again = core.plan(&updated.state, second, &updated.private).await;
            assert_eq!(again.planned, updated.state, "nothing is left to do");
            assert_eq!(again.requires_replace, Vec::<String>::new());
        });
        Ok(())
    });
    outcome.expect("every configuration");
}
