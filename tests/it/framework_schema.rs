//! What the provider says of itself, and what is wrong with a schema before any user sees it.

use mcplambda::plugin::tfplugin6 as proto;
use mcplambda::plugin::tfplugin6::schema::nested_block::NestingMode as BlockNesting;
use mcplambda::plugin::tfplugin6::schema::object::NestingMode;
use mcplambda::plugin::{
    Attribute, Attributes, Block, NestedBlock, Schema, SchemaUse, Server, ValueType,
};

use crate::framework_core::{Core, THING};
use crate::sink_provider::{Cloud, SinkProvider};

#[test]
fn the_sink_provider_has_no_problems() {
    assert_eq!(
        Server::new(SinkProvider(Cloud::default())).problems(),
        Vec::<String>::new()
    );
}

#[test]
fn a_schema_that_core_would_refuse_is_found_out() {
    let dynamic = || Block::new().attribute("any", Attribute::dynamic().optional());
    let schema = Schema::new()
        .attribute("neither", Attribute::string())
        .attribute("both", Attribute::string().required().computed())
        .attribute("Upper", Attribute::string().optional())
        .attribute("count", Attribute::string().optional())
        .attribute("twice", Attribute::string().optional())
        .attribute("twice", Attribute::string().optional())
        .attribute(
            "secret",
            Attribute::string().optional().computed().write_only(),
        )
        .attribute("wrong_default", Attribute::bool().default("yes"))
        .attribute(
            "never_unknown",
            Attribute::string().optional().use_state_for_unknown(),
        )
        .attribute("dynamic_set", Attribute::set(ValueType::Dynamic).optional())
        .attribute(
            "set",
            Attribute::set_nested(
                Attributes::new().attribute("w", Attribute::string().optional().write_only()),
            )
            .optional(),
        )
        .block("range", NestedBlock::list(Block::new()).min(3).max(2))
        .block("many", NestedBlock::single(Block::new()).max(2))
        .block("any_list", NestedBlock::list(dynamic()))
        .block("any_set", NestedBlock::set(dynamic()));
    let mut problems = schema.problems(SchemaUse::Resource);
    problems.sort();
    assert_eq!(
        problems,
        [
            "Upper: the name is not made of a-z, 0-9 and _, starting with a letter",
            "any_list: list blocks cannot have dynamic attributes; use a nested attribute",
            "any_set.any: a dynamic type cannot be in a set",
            "both: required excludes optional and computed",
            "count: the name is reserved by Terraform",
            "dynamic_set: a set's elements cannot be dynamic",
            "many: a single block is there at most once",
            "neither: neither required nor optional nor computed",
            "never_unknown: only a computed attribute can keep its state",
            "range: the limits of the number of blocks contradict each other",
            "secret: a write-only attribute cannot be computed",
            "set.w: a write-only attribute cannot be in a set",
            "twice: the name is there twice",
            "wrong_default: the default is not of the attribute's type",
        ]
    );
    let provider = Schema::new()
        .attribute("version", Attribute::string().optional())
        .attribute("secret", Attribute::string().optional().write_only())
        .attribute("made", Attribute::string().computed());
    assert_eq!(
        provider.problems(SchemaUse::Provider),
        [
            "version: the name is reserved by Terraform",
            "secret: only a managed resource can have write-only attributes",
            "made: a provider's attribute cannot be computed",
        ]
    );
}

#[tokio::test]
async fn attributes_carry_all_their_flags() {
    let core = Core::connect().await;
    let block = core.block();
    let attribute = |name: &str| {
        block
            .attributes
            .iter()
            .find(|attribute| attribute.name == name)
            .expect(name)
            .clone()
    };
    let markdown = i32::from(proto::StringKind::Markdown);
    let plain = |name: &str, value_type: &str| proto::schema::Attribute {
        name: name.to_owned(),
        r#type: value_type.as_bytes().to_vec().into(),
        description_kind: markdown,
        ..Default::default()
    };
    assert_eq!(
        attribute("name"),
        proto::schema::Attribute {
            required: true,
            ..plain("name", r#""string""#)
        }
    );
    assert_eq!(
        attribute("size"),
        proto::schema::Attribute {
            optional: true,
            computed: true,
            ..plain("size", r#""number""#)
        }
    );
    assert_eq!(
        attribute("etag"),
        proto::schema::Attribute {
            computed: true,
            description: "Changes with each update.".to_owned(),
            ..plain("etag", r#""string""#)
        }
    );
    assert_eq!(
        attribute("secret"),
        proto::schema::Attribute {
            optional: true,
            sensitive: true,
            write_only: true,
            ..plain("secret", r#""string""#)
        }
    );
    assert_eq!(
        attribute("ports"),
        proto::schema::Attribute {
            optional: true,
            deprecated: true,
            deprecation_message: "Use `endpoint`.".to_owned(),
            ..plain("ports", r#"["list","number"]"#)
        }
    );
    assert_eq!(
        attribute("shape"),
        proto::schema::Attribute {
            optional: true,
            ..plain(
                "shape",
                r#"["object",{"color":"string","corners":"number"}]"#
            )
        }
    );
    let nesting = |name: &str| {
        let attribute = attribute(name);
        assert!(
            attribute.r#type.is_empty(),
            "{name}: a type beside a nested type"
        );
        attribute.nested_type.expect("a nested type").nesting()
    };
    assert_eq!(nesting("endpoint"), NestingMode::Single);
    assert_eq!(nesting("rules"), NestingMode::List);
    assert_eq!(nesting("members"), NestingMode::Set);
    assert_eq!(nesting("routes"), NestingMode::Map);
    let blocks: Vec<_> = block
        .block_types
        .iter()
        .map(|block| {
            (
                block.type_name.as_str(),
                block.nesting(),
                block.min_items,
                block.max_items,
            )
        })
        .collect();
    assert_eq!(
        blocks,
        [
            ("network", BlockNesting::Single, 0, 0),
            ("disk", BlockNesting::List, 0, 3),
            ("peer", BlockNesting::Set, 0, 0),
        ]
    );
}

#[tokio::test]
async fn all_ways_to_ask_for_what_is_offered_agree() {
    let core = Core::connect().await;
    let mut client = core.client.clone();
    let schemas = core.schemas.response.clone();
    assert_eq!(schemas.diagnostics, []);
    assert_eq!(
        schemas.server_capabilities,
        Some(proto::ServerCapabilities {
            plan_destroy: true,
            get_provider_schema_optional: true,
            move_resource_state: true,
            generate_resource_config: false,
        })
    );
    assert_eq!(schemas.resource_schemas[THING].version, 2);
    let provider = schemas.provider.expect("always").block.expect("always");
    let computed: Vec<_> = provider
        .attributes
        .iter()
        .filter(|attribute| attribute.computed)
        .collect();
    assert_eq!(
        computed,
        Vec::<&proto::schema::Attribute>::new(),
        "a provider computes nothing"
    );

    let functions = client
        .get_functions(proto::get_functions::Request {})
        .await
        .expect("functions")
        .into_inner();
    assert_eq!(functions.functions, schemas.functions);
    let join = &functions.functions["join"];
    assert_eq!(
        join.r#return.as_ref().expect("always").r#type,
        br#""string""#.as_slice()
    );
    let parts = join.variadic_parameter.as_ref().expect("it is variadic");
    assert!(parts.allow_unknown_values && parts.allow_null_value);

    let metadata = client
        .get_metadata(proto::get_metadata::Request {})
        .await
        .expect("metadata")
        .into_inner();
    assert_eq!(metadata.server_capabilities, schemas.server_capabilities);
    let mut names: Vec<_> = metadata
        .resources
        .into_iter()
        .map(|resource| resource.type_name)
        .collect();
    names.extend(
        metadata
            .data_sources
            .into_iter()
            .map(|data_source| data_source.type_name),
    );
    names.extend(metadata.functions.into_iter().map(|function| function.name));
    assert_eq!(
        names,
        ["sink_marker", "sink_thing", "sink_lookup", "echo", "join"]
    );

    let identities = client
        .get_resource_identity_schemas(proto::get_resource_identity_schemas::Request {})
        .await
        .expect("identities")
        .into_inner();
    assert_eq!(
        identities.identity_schemas.keys().collect::<Vec<_>>(),
        [THING]
    );
    assert_eq!(
        identities.identity_schemas[THING].identity_attributes,
        [proto::resource_identity_schema::IdentityAttribute {
            name: "id".to_owned(),
            r#type: br#""string""#.to_vec().into(),
            required_for_import: true,
            optional_for_import: false,
            description: "The id.".to_owned(),
        }]
    );
}

#[tokio::test]
async fn what_is_not_offered_is_not_implemented() {
    let core = Core::connect().await;
    let mut client = core.client.clone();
    let status = client
        .get_states(proto::get_states::Request::default())
        .await
        .expect_err("no state stores");
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    let request = proto::open_ephemeral_resource::Request::default();
    let status = client
        .open_ephemeral_resource(request)
        .await
        .expect_err("no ephemeral resources");
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    let status = client
        .list_resource(proto::list_resource::Request::default())
        .await
        .expect_err("no lists");
    assert_eq!(status.code(), tonic::Code::Unimplemented);
}
