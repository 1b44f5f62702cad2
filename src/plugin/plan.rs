//! Plans a create or update: pure functions on values.
//!
//! Enters: configuration, state and core's proposal. Leaves: the planned value and the paths that force a replacement.
//! The steps: write-only attributes nulled, defaults filled in, computed attributes made unknown when anything differs,
//! those that keep their state restored; then the resource's own [`plan`](super::Resource::plan); then replacement flags
//! evaluated. Refuses a plan that core would refuse, naming the attribute: a configured value changed, an attribute set
//! that is not the provider's to set.
//!
//! Source of the rules: Terraform core's plan validity check, v1.11 to v1.16.

use std::sync::Arc;

use super::conform;
use super::diagnostics::{Diagnostic, Diagnostics};
use super::path::Path;
use super::schema::{
    Attribute, AttributeKind, Attributes, Block, BlockNesting, NestedBlock, Nesting,
    RequiresReplace, Schema,
};
use super::value::Value;
use super::value_type::ValueType;

/// What a plan starts from.
#[derive(Debug)]
pub(super) struct PlanBasis {
    pub(super) schema: Arc<Schema>,
    pub(super) value_type: ValueType,
    /// The configuration; may be unknown in places.
    pub(super) config: Value,
    /// The state, null for a create.
    pub(super) prior: Value,
}

/// What [`PlanBasis::finish`] made.
#[derive(Debug, PartialEq)]
pub(super) struct Planned {
    pub(super) value: Value,
    pub(super) requires_replace: Vec<Path>,
}

impl PlanBasis {
    /// The framework's plan, from core's proposal.
    pub(super) fn propose(&self, proposed: Value) -> Value {
        let planned = self.walk(
            null_write_only(&self.schema.block, proposed),
            &mut |place, planned| match &place.attribute.default {
                Some(default) if place.config.is_null() => Visit::Done(default.clone()),
                _ if place.attribute.computed && place.config.is_null() => Visit::Done(planned),
                _ => Visit::Descend(planned),
            },
        );
        let planned = self.fit(planned, &mut Diagnostics::new());
        if planned == self.prior {
            planned
        } else {
            self.mark_computed_unknown(&planned)
        }
    }

    /// Makes computed attributes unknown that the configuration leaves open, except those that keep their state.
    pub(super) fn mark_computed_unknown(&self, planned: &Value) -> Value {
        let marked = self.walk(planned.clone(), &mut |place, planned| {
            if place.attribute.computed && place.config.is_null() {
                Visit::Done(if place.attribute.default.is_some() {
                    planned
                } else {
                    Value::UNKNOWN
                })
            } else {
                Visit::Descend(planned)
            }
        });
        self.walk(marked, &mut |place, planned| {
            let keeps = place.attribute.use_state_for_unknown
                && planned.is_unknown()
                && !place.config.is_unknown();
            if keeps && !place.prior.is_null() {
                Visit::Done(place.prior.clone())
            } else {
                Visit::Descend(planned)
            }
        })
    }

    /// Completes the plan that the resource made of `offered`: `authored`, with the paths that it wants to force a
    /// replacement.
    pub(super) fn finish(
        &self,
        offered: &Value,
        authored: Value,
        requires_replace: &[Path],
        diagnostics: &mut Diagnostics,
    ) -> Planned {
        let value = self.fit(conform::restore(offered, authored), diagnostics);
        let value = null_write_only(&self.schema.block, value);
        Check {
            diagnostics,
            subject: "plan",
        }
        .object(
            &self.schema.block.attributes,
            &self.schema.block.blocks,
            &self.config,
            &self.prior,
            &value,
            &Path::ROOT,
        );
        let requires_replace = if self.prior.is_null() {
            Vec::new()
        } else {
            self.replacements(&value, requires_replace, diagnostics)
        };
        Planned {
            value,
            requires_replace,
        }
    }

    fn fit(&self, value: Value, diagnostics: &mut Diagnostics) -> Value {
        conform::to_schema(&self.schema, &self.value_type, value, diagnostics)
    }

    fn replacements(
        &self,
        planned: &Value,
        wanted: &[Path],
        diagnostics: &mut Diagnostics,
    ) -> Vec<Path> {
        let mut paths: Vec<Path> = Vec::new();
        for path in wanted {
            let path = path.addressable();
            // Core refuses the whole plan for a path that leads nowhere.
            if planned.at(&path).is_none() && self.prior.at(&path).is_none() {
                diagnostics.error(
                    "Provider produced an invalid plan",
                    format!("The provider wants {path} to force a replacement, which is not there. This is a bug in the provider."),
                );
            } else if !paths.contains(&path) {
                paths.push(path);
            }
        }
        self.walk(planned.clone(), &mut |place, planned| {
            let replaces = match &place.attribute.requires_replace {
                _ if planned == *place.prior => false,
                None => false,
                Some(RequiresReplace::Always) => true,
                Some(RequiresReplace::IfConfigured) => !place.config.is_null(),
                Some(RequiresReplace::If(_, condition)) => condition(place.prior, &planned),
            };
            let path = place.path.addressable();
            if replaces && !paths.contains(&path) {
                paths.push(path);
            }
            Visit::Descend(planned)
        });
        paths
    }

    fn walk(&self, planned: Value, visit: &mut Visitor<'_>) -> Value {
        let block = &self.schema.block;
        walk_object(
            &block.attributes,
            &block.blocks,
            (&self.config, &self.prior),
            planned,
            &Path::ROOT,
            visit,
        )
    }
}

/// The configuration with defaults filled in, for a provider or data source.
pub(super) fn fill_defaults(schema: &Schema, config: &Value) -> Value {
    let block = &schema.block;
    let beside = (config, &Value::Null);
    walk_object(
        &block.attributes,
        &block.blocks,
        beside,
        config.clone(),
        &Path::ROOT,
        &mut |place, value| match &place.attribute.default {
            Some(default) if value.is_null() => Visit::Done(default.clone()),
            _ => Visit::Descend(value),
        },
    )
}

/// Reports where `state`, read by a data source, is not what `config` says.
pub(super) fn check_kept(
    schema: &Schema,
    config: &Value,
    state: &Value,
    diagnostics: &mut Diagnostics,
) {
    let block = &schema.block;
    Check {
        diagnostics,
        subject: "result",
    }
    .object(
        &block.attributes,
        &block.blocks,
        config,
        &Value::Null,
        state,
        &Path::ROOT,
    );
}

/// Nulls write-only attributes, which neither plan nor state may hold.
pub(super) fn null_write_only(block: &Block, value: Value) -> Value {
    let nowhere = (&Value::Null, &Value::Null);
    walk_object(
        &block.attributes,
        &block.blocks,
        nowhere,
        value,
        &Path::ROOT,
        &mut |place, value| {
            if place.attribute.write_only {
                Visit::Done(Value::Null)
            } else {
                Visit::Descend(value)
            }
        },
    )
}

/// One attribute of a value on a walk, beside its counterparts.
struct Place<'a> {
    attribute: &'a Attribute,
    path: &'a Path,
    /// What the configuration has here; null where it has nothing.
    config: &'a Value,
    /// What the state has here; null where it has nothing.
    prior: &'a Value,
}

enum Visit {
    /// The new value; go on inside it.
    Descend(Value),
    /// The new value; leave its inside alone.
    Done(Value),
}

type Visitor<'v> = dyn FnMut(&Place<'_>, Value) -> Visit + 'v;

/// Configuration and state beside a planned value.
type Beside<'a> = (&'a Value, &'a Value);

const UNKNOWN: &Value = &Value::UNKNOWN;

/// The attribute of an object beside the planned one; unknown inside the unknown.
fn attribute_of<'a>(value: &'a Value, name: &str) -> &'a Value {
    if value.is_unknown() {
        UNKNOWN
    } else {
        value.get(name).unwrap_or(&Value::Null)
    }
}

fn element_of(value: &Value, index: usize) -> &Value {
    match value {
        Value::List(elements) => elements.get(index).unwrap_or(&Value::Null),
        Value::Unknown(_) => UNKNOWN,
        _ => &Value::Null,
    }
}

fn entry_of<'a>(value: &'a Value, key: &str) -> &'a Value {
    match value {
        Value::Map(entries) => entries.get(key).unwrap_or(&Value::Null),
        Value::Unknown(_) => UNKNOWN,
        _ => &Value::Null,
    }
}

fn walk_object(
    attributes: &Attributes,
    blocks: &[(String, NestedBlock)],
    (config, prior): Beside<'_>,
    planned: Value,
    path: &Path,
    visit: &mut Visitor<'_>,
) -> Value {
    let Value::Object(mut object) = planned else {
        return planned;
    };
    for (name, attribute) in attributes.iter() {
        let Some(planned) = object.get_mut(name) else {
            continue;
        };
        let path = path.attribute(name);
        let (config, prior) = (attribute_of(config, name), attribute_of(prior, name));
        let place = Place {
            attribute,
            path: &path,
            config,
            prior,
        };
        *planned = match (visit(&place, std::mem::take(planned)), &attribute.kind) {
            (Visit::Done(value), _) | (Visit::Descend(value), AttributeKind::Plain(_)) => value,
            (Visit::Descend(value), AttributeKind::Nested(_, attributes)) => {
                walk_elements(attributes, &[], (config, prior), value, &path, visit)
            }
        };
    }
    for (name, nested) in blocks {
        let Some(planned) = object.get_mut(name) else {
            continue;
        };
        let beside = (attribute_of(config, name), attribute_of(prior, name));
        let (attributes, blocks) = (&nested.block.attributes, &nested.block.blocks);
        *planned = walk_elements(
            attributes,
            blocks,
            beside,
            std::mem::take(planned),
            &path.attribute(name),
            visit,
        );
    }
    Value::Object(object)
}

/// Walks an object, or each object of a collection beside the element that it corresponds to: by position in a list, by
/// key in a map, by what identifies it in a set.
fn walk_elements(
    attributes: &Attributes,
    blocks: &[(String, NestedBlock)],
    (config, prior): Beside<'_>,
    planned: Value,
    path: &Path,
    visit: &mut Visitor<'_>,
) -> Value {
    let mut walk = |beside: Beside<'_>, planned: Value, path: &Path| {
        walk_object(attributes, blocks, beside, planned, path, visit)
    };
    match planned {
        Value::Object(_) => walk((config, prior), planned, path),
        Value::List(elements) => Value::List(
            elements
                .into_iter()
                .enumerate()
                .map(|(index, element)| {
                    walk(
                        (element_of(config, index), element_of(prior, index)),
                        element,
                        &path.index(index),
                    )
                })
                .collect(),
        ),
        Value::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let value = walk(
                        (entry_of(config, &key), entry_of(prior, &key)),
                        value,
                        &path.key(&key),
                    );
                    (key, value)
                })
                .collect(),
        ),
        Value::Set(elements) => {
            let mut configured = Candidates::of(config);
            let mut stored = Candidates::of(prior);
            Value::set(elements.into_iter().map(|element| {
                let config = configured
                    .take(|candidate| configures(attributes, blocks, candidate, &element));
                let prior =
                    stored.take(|candidate| corresponds(attributes, config, candidate, &element));
                walk((config, prior), element, &path.element())
            }))
        }
        other => other,
    }
}

/// Elements of a set that have not been matched yet.
struct Candidates<'a> {
    elements: Vec<&'a Value>,
    otherwise: &'a Value,
}

impl<'a> Candidates<'a> {
    fn of(set: &'a Value) -> Self {
        match set {
            Value::Set(elements) => Self {
                elements: elements.iter().collect(),
                otherwise: &Value::Null,
            },
            Value::Unknown(_) => Self {
                elements: Vec::new(),
                otherwise: UNKNOWN,
            },
            _ => Self {
                elements: Vec::new(),
                otherwise: &Value::Null,
            },
        }
    }

    fn take(&mut self, matches: impl Fn(&Value) -> bool) -> &'a Value {
        match self
            .elements
            .iter()
            .position(|candidate| matches(candidate))
        {
            Some(position) => self.elements.remove(position),
            None => self.otherwise,
        }
    }
}

/// Whether `planned` can be what became of the configured object `config`: equal, but for what the provider may fill in.
fn configures(
    attributes: &Attributes,
    blocks: &[(String, NestedBlock)],
    config: &Value,
    planned: &Value,
) -> bool {
    let attributes_fit = attributes.iter().all(|(name, attribute)| {
        let (config, planned) = (attribute_of(config, name), attribute_of(planned, name));
        match (&attribute.kind, config, planned) {
            _ if config.is_null() && attribute.computed => true,
            _ if attribute.write_only => true,
            (
                AttributeKind::Nested(Nesting::Single, attributes),
                Value::Object(_),
                Value::Object(_),
            ) => configures(attributes, &[], config, planned),
            // Objects further inside may have computed attributes; position and number are all that can be compared.
            (AttributeKind::Nested(..), Value::List(config), Value::List(planned)) => {
                config.len() == planned.len()
            }
            (AttributeKind::Nested(..), Value::Map(config), Value::Map(planned)) => {
                config.keys().eq(planned.keys())
            }
            (AttributeKind::Nested(..), Value::Set(config), Value::Set(planned)) => {
                config.len() == planned.len()
            }
            _ => same(config, planned),
        }
    });
    attributes_fit
        && blocks.iter().all(|(name, _)| {
            match (attribute_of(config, name), attribute_of(planned, name)) {
                (Value::List(config), Value::List(planned)) => config.len() == planned.len(),
                (Value::Set(config), Value::Set(planned)) => config.len() == planned.len(),
                (config, planned) => config.is_null() == planned.is_null(),
            }
        })
}

/// Whether the stored object `prior` is the one that `planned` goes on with: equal in all that the user decides.
fn corresponds(attributes: &Attributes, config: &Value, prior: &Value, planned: &Value) -> bool {
    attributes.iter().all(|(name, attribute)| {
        let decided_by_provider = attribute.computed && attribute_of(config, name).is_null();
        decided_by_provider
            || attribute.write_only
            || same(attribute_of(prior, name), attribute_of(planned, name))
    })
}

/// Equal, where one unknown is as good as another.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Unknown(_), Value::Unknown(_)) => true,
        (Value::Dynamic(a), Value::Dynamic(b)) => {
            a.value_type == b.value_type && same(&a.value, &b.value)
        }
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Set(a), Value::Set(b)) => {
            a == b || (a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)))
        }
        (Value::Map(a), Value::Map(b)) | (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|((a_key, a), (b_key, b))| a_key == b_key && same(a, b))
        }
        (a, b) => a == b,
    }
}

/// Looks for what core would refuse.
struct Check<'d> {
    diagnostics: &'d mut Diagnostics,
    /// What is checked, for messages: `plan` or `result`.
    subject: &'static str,
}

impl Check<'_> {
    fn refuse(&mut self, path: &Path, problem: &str) {
        self.diagnostics.push(
            Diagnostic::error(
                format!("Provider produced an invalid {}", self.subject),
                format!(
                    "{path}: the {} {problem}. This is a bug in the provider.",
                    self.subject
                ),
            )
            .at(path),
        );
    }

    fn object(
        &mut self,
        attributes: &Attributes,
        blocks: &[(String, NestedBlock)],
        config: &Value,
        prior: &Value,
        planned: &Value,
        path: &Path,
    ) {
        if config.is_unknown() {
            return;
        }
        for (name, attribute) in attributes.iter() {
            let [config, prior, planned] =
                [config, prior, planned].map(|value| attribute_of(value, name));
            self.attribute(attribute, config, prior, planned, &path.attribute(name));
        }
        for (name, nested) in blocks {
            let [config, prior, planned] =
                [config, prior, planned].map(|value| attribute_of(value, name));
            let (path, nesting) = (path.attribute(name), nested.nesting);
            if config.is_unknown() {
                continue;
            }
            match (nesting, config, planned) {
                (BlockNesting::Single, Value::Null, Value::Null) => {}
                (BlockNesting::Single, Value::Object(_), Value::Object(_)) => {
                    self.object(
                        &nested.block.attributes,
                        &nested.block.blocks,
                        config,
                        prior,
                        planned,
                        &path,
                    );
                }
                (BlockNesting::List, Value::List(config), Value::List(elements))
                    if config.len() == elements.len() =>
                {
                    for (index, (config, planned)) in config.iter().zip(elements).enumerate() {
                        let (attributes, blocks) = (&nested.block.attributes, &nested.block.blocks);
                        self.object(
                            attributes,
                            blocks,
                            config,
                            element_of(prior, index),
                            planned,
                            &path.index(index),
                        );
                    }
                }
                (BlockNesting::Set, Value::Set(config), Value::Set(elements))
                    if config.len() == elements.len() => {}
                _ => self.refuse(&path, "has other blocks than the configuration"),
            }
        }
    }

    fn attribute(
        &mut self,
        attribute: &Attribute,
        config: &Value,
        prior: &Value,
        planned: &Value,
        path: &Path,
    ) {
        let allowed = attribute.write_only
            || same(planned, config)
            || (config.is_null() && attribute.computed)
            || (!config.is_null() && !prior.is_null() && planned == prior);
        if allowed {
            return;
        }
        let AttributeKind::Nested(_, attributes) = &attribute.kind else {
            self.refuse(
                path,
                if config.is_null() {
                    "sets an attribute that the configuration leaves out and that is not computed"
                } else {
                    "changes a value of the configuration"
                },
            );
            return;
        };
        match (config, planned) {
            (Value::Object(_), Value::Object(_)) => {
                self.object(attributes, &[], config, prior, planned, path)
            }
            (Value::List(configured), Value::List(elements))
                if configured.len() == elements.len() =>
            {
                for (index, (config, planned)) in configured.iter().zip(elements).enumerate() {
                    self.object(
                        attributes,
                        &[],
                        config,
                        element_of(prior, index),
                        planned,
                        &path.index(index),
                    );
                }
            }
            (Value::Map(configured), Value::Map(entries))
                if configured.keys().eq(entries.keys()) =>
            {
                for (key, config) in configured {
                    self.object(
                        attributes,
                        &[],
                        config,
                        entry_of(prior, key),
                        &entries[key],
                        &path.key(key),
                    );
                }
            }
            (Value::Set(configured), Value::Set(elements))
                if configured.len() == elements.len() => {}
            _ => self.refuse(path, "has other objects than the configuration"),
        }
    }
}
