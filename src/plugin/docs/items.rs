//! One line per attribute or block: what its author wrote, and what follows from the schema.

use super::text::{capitalized, hcl, push, sentence, type_label};
use crate::plugin::schema::{
    Attribute, AttributeKind, Attributes, BlockNesting, NestedBlock, Nesting, RequiresReplace,
};

/// A schema that is described further down on the page.
pub(super) struct NestedSchema<'s> {
    pub(super) anchor: String,
    pub(super) path: Vec<String>,
    pub(super) items: Vec<Item<'s>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Required,
    Optional,
    ReadOnly,
}

/// An attribute or a block, with its name.
pub(super) struct Item<'s> {
    pub(super) name: &'s str,
    what: What<'s>,
}

enum What<'s> {
    Attribute(&'s Attribute),
    Block(&'s NestedBlock),
}

pub(super) fn items<'s>(
    attributes: &'s Attributes,
    blocks: &'s [(String, NestedBlock)],
) -> Vec<Item<'s>> {
    let attributes = attributes.iter().map(|(name, attribute)| Item {
        name,
        what: What::Attribute(attribute),
    });
    let blocks = blocks.iter().map(|(name, block)| Item {
        name,
        what: What::Block(block),
    });
    attributes.chain(blocks).collect()
}

impl<'s> Item<'s> {
    pub(super) fn group(&self) -> Group {
        match self.what {
            What::Attribute(attribute) if attribute.required => Group::Required,
            What::Attribute(attribute) if attribute.optional => Group::Optional,
            What::Attribute(_) => Group::ReadOnly,
            What::Block(block) if block.min_items > 0 => Group::Required,
            What::Block(_) => Group::Optional,
        }
    }

    pub(super) fn description(&self) -> &str {
        match self.what {
            What::Attribute(attribute) => &attribute.description,
            What::Block(block) => &block.block.description,
        }
    }

    pub(super) fn nested_items(&self) -> Option<Vec<Item<'s>>> {
        match self.what {
            What::Attribute(attribute) => match &attribute.kind {
                AttributeKind::Plain(_) => None,
                AttributeKind::Nested(_, attributes) => Some(items(attributes, &[])),
            },
            What::Block(block) => Some(items(&block.block.attributes, &block.block.blocks)),
        }
    }

    pub(super) fn anchor_kind(&self) -> &'static str {
        match self.what {
            What::Attribute(_) => "nestedatt",
            What::Block(_) => "nestedblock",
        }
    }

    /// What stands in parentheses: the type and what sets it apart.
    pub(super) fn label(&self) -> String {
        match self.what {
            What::Attribute(attribute) => {
                let mut label = match &attribute.kind {
                    AttributeKind::Plain(value_type) => type_label(value_type),
                    AttributeKind::Nested(nesting, _) => match nesting {
                        Nesting::Single => "Attributes",
                        Nesting::List => "Attributes List",
                        Nesting::Set => "Attributes Set",
                        Nesting::Map => "Attributes Map",
                    }
                    .to_owned(),
                };
                for (flag, text) in [
                    (attribute.sensitive, ", Sensitive"),
                    (attribute.write_only, ", Write-only"),
                    (attribute.deprecated.is_some(), ", Deprecated"),
                ] {
                    if flag {
                        label.push_str(text);
                    }
                }
                label
            }
            What::Block(block) => {
                let mut label = match block.nesting {
                    BlockNesting::Single => "Block",
                    BlockNesting::List => "Block List",
                    BlockNesting::Set => "Block Set",
                }
                .to_owned();
                if block.nesting != BlockNesting::Single {
                    if block.min_items > 0 {
                        push(&mut label, format_args!(", Min: {}", block.min_items));
                    }
                    if block.max_items > 0 {
                        push(&mut label, format_args!(", Max: {}", block.max_items));
                    }
                }
                if block.block.deprecated.is_some() {
                    label.push_str(", Deprecated");
                }
                label
            }
        }
    }

    /// The description, and the facts that follow from the schema.
    pub(super) fn text(&self) -> String {
        let mut text = sentence(self.description());
        let (validators, deprecated) = match self.what {
            What::Attribute(attribute) => (&attribute.validators, &attribute.deprecated),
            What::Block(block) => (&block.validators, &block.block.deprecated),
        };
        // Nobody sets what is read-only; a timeout's description says how to write one already.
        let is_timeout =
            matches!(self.what, What::Attribute(attribute) if attribute.timeout_default.is_some());
        let tells_limits = self.group() != Group::ReadOnly && !is_timeout;
        // "must be …", written to complete a sentence about the value.
        for validator in validators.iter().filter(|_| tells_limits) {
            push(
                &mut text,
                format_args!(" {}", sentence(&capitalized(validator.description()))),
            );
        }
        if let What::Attribute(attribute) = self.what {
            if let Some(default) = attribute.default.as_ref().and_then(hcl) {
                push(&mut text, format_args!(" Default `{default}`."));
            }
            match &attribute.requires_replace {
                None => {}
                Some(RequiresReplace::Always) => {
                    text.push_str(" Changing it replaces the resource.")
                }
                Some(sometimes) => push(
                    &mut text,
                    format_args!(
                        " Changing it replaces the resource {}",
                        sentence(sometimes.description())
                    ),
                ),
            }
        }
        if let Some(instead) = deprecated {
            push(
                &mut text,
                format_args!(" **Deprecated:** {}", sentence(instead)),
            );
        }
        text
    }
}
