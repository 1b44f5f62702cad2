//! The Terraform Registry's pages, written from the schemas.
//!
//! Enters: a provider's schemas, and the examples beside it. Leaves: Markdown, one text per page, in
//! the layout that the Registry reads (`docs/`). Pure: reads and writes no file. Refuses: a page
//! without an example.
//!
//! What a person wrote stands in the schemas' descriptions and in the examples; what follows from the
//! schema (types, defaults, limits, replacement) is added here, so that it can neither be forgotten
//! nor be wrong.

mod items;
mod text;

use std::collections::BTreeMap;

use super::function::Signature;
use super::provider::Provider;
use super::schema::{IdentitySchema, Schema};
use super::value_type::ValueType;
use items::{Group, Item, NestedSchema, items};
use text::{indent, push, type_expression, type_label};

/// Why the pages cannot be written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocsError {
    /// A page shows by example, and there is none.
    #[error("the page {page} needs an example: write examples/{example}")]
    NoExample {
        /// The page, relative to `docs/`.
        page: String,
        /// The file, relative to `examples/`.
        example: String,
    },
    /// Something has no description.
    #[error("{item} on the page {page} has no description")]
    NoDescription {
        /// The page, relative to `docs/`.
        page: String,
        /// Path of the attribute, block or parameter; empty for the page's own description.
        item: String,
    },
}

/// All pages of a provider: path below `docs/`, and content.
///
/// `example` returns the content of a file below `examples/`, if there is one. Looked for are
/// `provider/provider.tf`, `resources/<type>/resource.tf` and `import.sh`,
/// `data-sources/<type>/data-source.tf` and `functions/<name>/function.tf`; all but `import.sh` must
/// be there.
///
/// # Errors
///
/// [`DocsError`] for the first thing that a reader would miss.
pub fn pages<P: Provider>(
    provider: &P,
    example: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, DocsError> {
    let name = provider.name();
    let offers = provider.offers();
    let mut pages = BTreeMap::new();
    let mut add = |page: Page| -> Result<(), DocsError> {
        let text = page.write(name, &example)?;
        pages.insert(page.path, text);
        Ok(())
    };
    add(Page {
        path: "index.md".to_owned(),
        title: format!("{name} Provider"),
        example: "provider/provider.tf".to_owned(),
        content: Content::Provider(provider.schema()),
    })?;
    for resource in &offers.resources {
        let full_name = resource.type_name();
        add(Page {
            path: format!("resources/{}.md", short_name(full_name, name)),
            title: format!("{full_name} (Resource)"),
            example: format!("resources/{full_name}/resource.tf"),
            content: Content::Resource {
                schema: resource.schema(),
                import: example(&format!("resources/{full_name}/import.sh")),
                identity: resource.identity_schema(),
                full_name: full_name.to_owned(),
            },
        })?;
    }
    for data_source in &offers.data_sources {
        let full_name = data_source.type_name();
        add(Page {
            path: format!("data-sources/{}.md", short_name(full_name, name)),
            title: format!("{full_name} (Data Source)"),
            example: format!("data-sources/{full_name}/data-source.tf"),
            content: Content::DataSource(data_source.schema()),
        })?;
    }
    for function in &offers.functions {
        let function_name = function.name();
        add(Page {
            path: format!("functions/{function_name}.md"),
            title: format!("{function_name} (Function)"),
            example: format!("functions/{function_name}/function.tf"),
            content: Content::Function(function_name.to_owned(), function.signature()),
        })?;
    }
    Ok(pages)
}

/// The Registry leaves the provider's name out of its file names.
fn short_name<'a>(full_name: &'a str, provider: &str) -> &'a str {
    full_name
        .strip_prefix(provider)
        .and_then(|rest| rest.strip_prefix('_'))
        .unwrap_or(full_name)
}

/// One page before it is written.
struct Page {
    path: String,
    title: String,
    example: String,
    content: Content,
}

enum Content {
    Provider(Schema),
    Resource {
        schema: Schema,
        import: Option<String>,
        identity: Option<IdentitySchema>,
        full_name: String,
    },
    DataSource(Schema),
    Function(String, Signature),
}

impl Page {
    fn write(
        &self,
        provider: &str,
        example: impl Fn(&str) -> Option<String>,
    ) -> Result<String, DocsError> {
        let (description, deprecated) = match &self.content {
            Content::Provider(schema)
            | Content::Resource { schema, .. }
            | Content::DataSource(schema) => (&schema.block.description, &schema.block.deprecated),
            Content::Function(_, signature) => (&signature.description, &signature.deprecated),
        };
        self.require_description("", description)?;
        let code = example(&self.example).ok_or_else(|| DocsError::NoExample {
            page: self.path.clone(),
            example: self.example.clone(),
        })?;
        let first_paragraph = description.split("\n\n").next().unwrap_or_default();
        let mut out = String::new();
        out.push_str("---\n");
        let page_title = match &self.content {
            Content::Provider(_) => self.title.clone(),
            _ => format!("{} - {provider}", self.title.replace(['(', ')'], "")),
        };
        push(&mut out, format_args!("page_title: \"{page_title}\"\n"));
        out.push_str("subcategory: \"\"\ndescription: |-\n");
        push(
            &mut out,
            format_args!("{}\n", indent(first_paragraph.trim(), "  ", true)),
        );
        out.push_str("---\n\n");
        out.push_str(
            "<!-- Written from the schema and the examples: `make docs` writes it again. -->\n\n",
        );
        push(
            &mut out,
            format_args!("# {}\n\n{}\n", self.title, description.trim()),
        );
        if let Some(instead) = deprecated {
            push(
                &mut out,
                format_args!("\n~> **Deprecated:** {}\n", instead.trim()),
            );
        }
        push(
            &mut out,
            format_args!("\n## Example Usage\n\n```terraform\n{}\n```\n", code.trim()),
        );
        match &self.content {
            Content::Provider(schema) | Content::DataSource(schema) => {
                self.write_schema(&mut out, schema)?;
            }
            Content::Resource {
                schema,
                import,
                identity,
                full_name,
            } => {
                self.write_schema(&mut out, schema)?;
                write_import(&mut out, import.as_deref(), identity.as_ref(), full_name);
            }
            Content::Function(name, signature) => {
                self.write_signature(&mut out, name, signature)?;
            }
        }
        Ok(out)
    }

    fn require_description(&self, item: &str, description: &str) -> Result<(), DocsError> {
        if !description.trim().is_empty() {
            return Ok(());
        }
        Err(DocsError::NoDescription {
            page: self.path.clone(),
            item: item.to_owned(),
        })
    }

    fn write_schema(&self, out: &mut String, schema: &Schema) -> Result<(), DocsError> {
        out.push_str("\n## Schema\n");
        let mut nested = Vec::new();
        let items = items(&schema.block.attributes, &schema.block.blocks);
        self.write_items(out, "### ", "\n", &[], items, &mut nested)?;
        // Breadth first would scatter what belongs together: each nested schema is followed by its own.
        nested.reverse();
        while let Some(NestedSchema {
            anchor,
            path,
            items,
        }) = nested.pop()
        {
            push(
                out,
                format_args!(
                    "\n<a id=\"{anchor}\"></a>\n### Nested Schema for `{}`\n",
                    path.join(".")
                ),
            );
            let mut inner = Vec::new();
            self.write_items(out, "", ":\n", &path, items, &mut inner)?;
            nested.extend(inner.into_iter().rev());
        }
        Ok(())
    }

    /// Writes the attributes and blocks of one level, grouped by who sets them.
    fn write_items<'s>(
        &self,
        out: &mut String,
        heading: &str,
        heading_end: &str,
        path: &[String],
        items: Vec<Item<'s>>,
        nested: &mut Vec<NestedSchema<'s>>,
    ) -> Result<(), DocsError> {
        for (group, title) in [
            (Group::Required, "Required"),
            (Group::Optional, "Optional"),
            (Group::ReadOnly, "Read-Only"),
        ] {
            let of_group: Vec<_> = items.iter().filter(|item| item.group() == group).collect();
            if of_group.is_empty() {
                continue;
            }
            push(out, format_args!("\n{heading}{title}{heading_end}\n"));
            for item in of_group {
                let mut path = path.to_vec();
                path.push(item.name.to_owned());
                self.require_description(&path.join("."), item.description())?;
                let link = item.nested_items().map(|items| {
                    let anchor = format!("{}--{}", item.anchor_kind(), path.join("--"));
                    let link = format!(" (see [below for nested schema](#{anchor}))");
                    nested.push(NestedSchema {
                        anchor,
                        path,
                        items,
                    });
                    link
                });
                push(
                    out,
                    format_args!(
                        "- `{}` ({}) {}{}\n",
                        item.name,
                        item.label(),
                        indent(&item.text(), "  ", false),
                        link.unwrap_or_default()
                    ),
                );
            }
        }
        Ok(())
    }

    fn write_signature(
        &self,
        out: &mut String,
        name: &str,
        signature: &Signature,
    ) -> Result<(), DocsError> {
        let mut parameters: Vec<_> = signature
            .parameters
            .iter()
            .map(|parameter| {
                format!(
                    "{} {}",
                    parameter.name,
                    type_expression(&parameter.value_type)
                )
            })
            .collect();
        if let Some(variadic) = &signature.variadic {
            let kind = type_expression(&variadic.value_type);
            parameters.push(format!("{} {kind}...", variadic.name));
        }
        push(
            out,
            format_args!(
                "\n## Signature\n\n```text\n{name}({}) {}\n```\n",
                parameters.join(", "),
                type_expression(&signature.returns)
            ),
        );
        let all = signature.parameters.iter().map(|parameter| (parameter, ""));
        let variadic = signature
            .variadic
            .iter()
            .map(|parameter| (parameter, "Variadic, "));
        for (index, (parameter, kind)) in all.chain(variadic).enumerate() {
            if index == 0 {
                out.push_str("\n## Arguments\n\n");
            }
            self.require_description(&parameter.name, &parameter.description)?;
            let null = if parameter.allow_null {
                ", Nullable"
            } else {
                ""
            };
            push(
                out,
                format_args!(
                    "{}. `{}` ({kind}{}{null}) {}\n",
                    index + 1,
                    parameter.name,
                    type_label(&parameter.value_type),
                    indent(parameter.description.trim(), "   ", false)
                ),
            );
        }
        Ok(())
    }
}

fn write_import(
    out: &mut String,
    import: Option<&str>,
    identity: Option<&IdentitySchema>,
    full_name: &str,
) {
    if import.is_none() && identity.is_none() {
        return;
    }
    out.push_str("\n## Import\n");
    if let Some(command) = import {
        // `import.sh` is `terraform import ADDRESS ID`, perhaps after comments.
        let words = command
            .lines()
            .find_map(|line| line.strip_prefix("terraform import "))
            .map(|rest| rest.split_whitespace().collect::<Vec<_>>());
        if let Some([address, id]) = words.as_deref() {
            let id = id.trim_matches(['"', '\'']);
            push(
                out,
                format_args!(
                    "\nIn Terraform 1.5 and later, with an `import` block:\n\n```terraform\nimport {{\n  \
                     to = {address}\n  id = \"{id}\"\n}}\n```\n"
                ),
            );
        }
        push(
            out,
            format_args!(
                "\nOr with the command `terraform import`:\n\n```shell\n{}\n```\n",
                command.trim()
            ),
        );
    }
    if let Some(identity) = identity {
        out.push_str("\nIn Terraform 1.12 and later, by identity:\n\n```terraform\nimport {\n");
        push(
            out,
            format_args!("  to = {full_name}.example\n  identity = {{\n"),
        );
        let width = identity
            .attributes
            .keys()
            .map(String::len)
            .max()
            .unwrap_or(0);
        for (name, attribute) in &identity.attributes {
            let optional = if attribute.required_for_import {
                ""
            } else {
                " (optional)"
            };
            push(
                out,
                format_args!(
                    "    {name:width$} = {} # {}{optional}\n",
                    match attribute.value_type {
                        ValueType::Number => "0",
                        ValueType::Bool => "false",
                        ValueType::List(_) => "[]",
                        _ => "\"…\"",
                    },
                    attribute.description
                ),
            );
        }
        out.push_str("  }\n}\n```\n");
    }
}
