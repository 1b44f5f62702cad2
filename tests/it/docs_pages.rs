//! The Registry's pages: what a reader finds on them.

use std::collections::BTreeMap;
use std::time::Duration;

use mcplambda::plugin::docs::{DocsError, pages};
use mcplambda::plugin::{
    Arguments, Attribute, Attributes, Block, Change, ConfigureContext, Context, DataSource,
    DataSourceContext, Diagnostics, Empty, Function, FunctionError, IdentitySchema, NestedBlock,
    Offers, Parameter, Provider, Resource, Schema, Signature, Value, ValueType, validators,
};

/// A provider with one of everything that has a page.
struct Sink;

impl Provider for Sink {
    type Config = Empty;
    type Data = ();

    fn name(&self) -> &str {
        "sink"
    }

    fn schema(&self) -> Schema {
        let account = Block::new()
            .description("Where sinks are billed.\nOne block per account.")
            .attribute(
                "id",
                Attribute::string().required().description("Its number"),
            );
        Schema::new()
            .description("Manages sinks.\n\nAnd what is in them.")
            .attribute(
                "region",
                Attribute::string().optional().description("Where"),
            )
            .block("account", NestedBlock::list(account).min(1).max(2))
    }

    async fn configure(
        &self,
        _context: &mut ConfigureContext,
        _config: Empty,
    ) -> Result<Option<()>, Diagnostics> {
        Ok(Some(()))
    }

    fn offers(&self) -> Offers<()> {
        Offers::new()
            .resource(Bucket)
            .data_source(Buckets)
            .function(Fill)
    }
}

struct Bucket;

impl Resource for Bucket {
    type Model = Empty;
    type Data = ();

    fn type_name(&self) -> &str {
        "sink_bucket"
    }

    fn schema(&self) -> Schema {
        let handle = Attributes::new()
            .attribute(
                "kind",
                Attribute::string().required().description("`steel`"),
            )
            .attribute(
                "grips",
                Attribute::list_nested(Attributes::new().attribute(
                    "width",
                    Attribute::number().optional().description("Centimetres."),
                ))
                .optional()
                .description("Where to hold it."),
            );
        Schema::new()
            .description("A bucket.")
            .deprecated("use a `sink_tub`")
            .attribute(
                "name",
                Attribute::string()
                    .required()
                    .description("How it is called.\n\nUnique.")
                    .validate(validators::length_at_most(64))
                    .requires_replace(),
            )
            .attribute(
                "size",
                Attribute::integer().default(10).description("Litres"),
            )
            .attribute(
                "labels",
                Attribute::map(ValueType::list(ValueType::String))
                    .optional()
                    .sensitive()
                    .deprecated("use `tags`")
                    .description("Labels."),
            )
            .attribute(
                "handle",
                Attribute::single_nested(handle)
                    .optional()
                    .description("Its handle."),
            )
            .attribute(
                "timeouts",
                Attribute::timeouts(&[("create", Duration::from_secs(90))]),
            )
            .attribute(
                "id",
                Attribute::integer().computed().description("Its number."),
            )
    }

    fn identity_schema(&self) -> Option<IdentitySchema> {
        let identity =
            IdentitySchema::new().required("name", ValueType::String, "How it is called");
        Some(identity.optional("shelf", ValueType::Number, "Where it stands"))
    }

    async fn create(
        &self,
        _context: &mut Context<()>,
        _change: &Change<Empty>,
        _state: &mut Empty,
    ) -> Result<(), Diagnostics> {
        Ok(())
    }

    async fn read(
        &self,
        _context: &mut Context<()>,
        state: Empty,
    ) -> Result<Option<Empty>, Diagnostics> {
        Ok(Some(state))
    }

    async fn delete(&self, _context: &mut Context<()>, _state: Empty) -> Result<(), Diagnostics> {
        Ok(())
    }
}

struct Buckets;

impl DataSource for Buckets {
    type Model = Empty;
    type Data = ();

    fn type_name(&self) -> &str {
        "sink_buckets"
    }

    fn schema(&self) -> Schema {
        let names = Attribute::set(ValueType::String).computed();
        Schema::new()
            .description("All buckets.")
            .attribute("names", names.description("How they are called."))
    }

    async fn read(
        &self,
        _context: &mut DataSourceContext<()>,
        _state: &mut Empty,
    ) -> Result<(), Diagnostics> {
        Ok(())
    }
}

struct Fill;

impl Function for Fill {
    fn name(&self) -> &str {
        "fill"
    }

    fn signature(&self) -> Signature {
        let parameter = |name: &str, value_type| Parameter {
            name: name.to_owned(),
            value_type,
            allow_null: name == "with",
            allow_unknown: false,
            description: format!("The {name}."),
        };
        Signature::returning(ValueType::object([("litres", ValueType::Number)]))
            .description("Fills a bucket.")
            .parameter(parameter("bucket", ValueType::String))
            .variadic(parameter("with", ValueType::list(ValueType::Dynamic)))
    }

    async fn call(&self, _arguments: Arguments) -> Result<Value, FunctionError> {
        Ok(Value::Null)
    }
}

/// Examples for every page.
fn examples() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("provider/provider.tf", "provider \"sink\" {}\n"),
        (
            "resources/sink_bucket/resource.tf",
            "resource \"sink_bucket\" \"b\" {}\n",
        ),
        (
            "resources/sink_bucket/import.sh",
            "# By name.\nterraform import sink_bucket.b red\n",
        ),
        (
            "data-sources/sink_buckets/data-source.tf",
            "data \"sink_buckets\" \"all\" {}\n",
        ),
        ("functions/fill/function.tf", "# provider::sink::fill()\n"),
    ])
}

fn written(examples: &BTreeMap<&str, &str>) -> Result<BTreeMap<String, String>, DocsError> {
    pages(&Sink, |path| {
        examples.get(path).map(|text| (*text).to_owned())
    })
}

#[test]
fn each_thing_that_the_provider_offers_has_its_page() {
    let pages = written(&examples()).expect("pages");
    assert_eq!(
        pages.keys().collect::<Vec<_>>(),
        [
            "data-sources/buckets.md",
            "functions/fill.md",
            "index.md",
            "resources/bucket.md"
        ]
    );
}

#[test]
fn a_resource_page_tells_all_that_its_schema_knows() {
    let pages = written(&examples()).expect("pages");
    let expected = r#"---
page_title: "sink_bucket Resource - sink"
subcategory: ""
description: |-
  A bucket.
---

<!-- Written from the schema and the examples: `make docs` writes it again. -->

# sink_bucket (Resource)

A bucket.

~> **Deprecated:** use a `sink_tub`

## Example Usage

```terraform
resource "sink_bucket" "b" {}
```

## Schema

### Required

- `name` (String) How it is called.

  Unique. Must have at most 64 characters. Changing it replaces the resource.

### Optional

- `size` (Number) Litres. Must be a whole number. Default `10`.
- `labels` (Map of List of String, Sensitive, Deprecated) Labels. **Deprecated:** use `tags`.
- `handle` (Attributes) Its handle. (see [below for nested schema](#nestedatt--handle))
- `timeouts` (Attributes) How long operations may take at most. (see [below for nested schema](#nestedatt--timeouts))

### Read-Only

- `id` (Number) Its number.

<a id="nestedatt--handle"></a>
### Nested Schema for `handle`

Required:

- `kind` (String) `steel`.

Optional:

- `grips` (Attributes List) Where to hold it. (see [below for nested schema](#nestedatt--handle--grips))

<a id="nestedatt--handle--grips"></a>
### Nested Schema for `handle.grips`

Optional:

- `width` (Number) Centimetres.

<a id="nestedatt--timeouts"></a>
### Nested Schema for `timeouts`

Optional:

- `create` (String) How long the create operation may take at most, such as `30m` or `1h30m`. Default `1m30s`.

## Import

In Terraform 1.5 and later, with an `import` block:

```terraform
import {
  to = sink_bucket.b
  id = "red"
}
```

Or with the command `terraform import`:

```shell
# By name.
terraform import sink_bucket.b red
```

In Terraform 1.12 and later, by identity:

```terraform
import {
  to = sink_bucket.example
  identity = {
    name  = "…" # How it is called
    shelf = 0 # Where it stands (optional)
  }
}
```
"#;
    assert_eq!(pages["resources/bucket.md"], expected);
}

#[test]
fn the_providers_page_shows_its_blocks() {
    let pages = written(&examples()).expect("pages");
    let expected = r#"---
page_title: "sink Provider"
subcategory: ""
description: |-
  Manages sinks.
---

<!-- Written from the schema and the examples: `make docs` writes it again. -->

# sink Provider

Manages sinks.

And what is in them.

## Example Usage

```terraform
provider "sink" {}
```

## Schema

### Required

- `account` (Block List, Min: 1, Max: 2) Where sinks are billed.
  One block per account. (see [below for nested schema](#nestedblock--account))

### Optional

- `region` (String) Where.

<a id="nestedblock--account"></a>
### Nested Schema for `account`

Required:

- `id` (String) Its number.
"#;
    assert_eq!(pages["index.md"], expected);
}

#[test]
fn a_data_source_page_has_no_import() {
    let pages = written(&examples()).expect("pages");
    let page = &pages["data-sources/buckets.md"];
    let schema = page.split("## Schema").nth(1).expect("a schema");
    assert_eq!(
        schema,
        "\n\n### Read-Only\n\n- `names` (Set of String) How they are called.\n"
    );
}

#[test]
fn a_function_page_shows_its_signature_and_its_arguments() {
    let pages = written(&examples()).expect("pages");
    let page = &pages["functions/fill.md"];
    assert!(
        page.starts_with("---\npage_title: \"fill Function - sink\"\n"),
        "{page}"
    );
    let signature = page.split("## Signature").nth(1).expect("a signature");
    let expected = "\n\n```text\nfill(bucket string, with list(dynamic)...) object({litres = number})\n```\n\n\
                    ## Arguments\n\n\
                    1. `bucket` (String) The bucket.\n\
                    2. `with` (Variadic, List of Dynamic, Nullable) The with.\n";
    assert_eq!(signature, expected);
}

#[test]
fn a_page_without_an_example_is_not_written() {
    let mut examples = examples();
    examples.remove("resources/sink_bucket/import.sh");
    let pages = written(&examples).expect("import.sh is optional");
    assert!(!pages["resources/bucket.md"].contains("terraform import"));

    examples.remove("resources/sink_bucket/resource.tf");
    let error = written(&examples).expect_err("no example");
    assert_eq!(
        error.to_string(),
        "the page resources/bucket.md needs an example: write \
         examples/resources/sink_bucket/resource.tf"
    );
}

/// A provider whose author forgot a description.
struct Hasty;

impl Provider for Hasty {
    type Config = Empty;
    type Data = ();

    fn name(&self) -> &str {
        "hasty"
    }

    fn schema(&self) -> Schema {
        let inner = Attributes::new().attribute("b", Attribute::bool().optional());
        let outer = Attribute::single_nested(inner)
            .optional()
            .description("Outer.");
        Schema::new().description("Hasty.").attribute("a", outer)
    }

    async fn configure(
        &self,
        _context: &mut ConfigureContext,
        _config: Empty,
    ) -> Result<Option<()>, Diagnostics> {
        Ok(Some(()))
    }

    fn offers(&self) -> Offers<()> {
        Offers::new()
    }
}

#[test]
fn an_attribute_without_a_description_is_named() {
    let error = pages(&Hasty, |_| Some(String::new())).expect_err("no description");
    assert_eq!(
        error.to_string(),
        "a.b on the page index.md has no description"
    );
}
