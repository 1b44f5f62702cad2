//! Creates, updates and deletes: calls the resource, and sees to it that what it did is remembered.
//!
//! Enters: a planned change. Leaves: the state to save, always encodable and wholly known, and the diagnostics. After a
//! failed create or update that is what the resource left; after a failed delete what was there before.

use std::time::Instant;

use super::conform;
use super::diagnostics::{Diagnostic, Diagnostics};
use super::duration;
use super::path::Path;
use super::plan::null_write_only;
use super::resource::{Change, Context};
use super::server::ResourceEntry;
use super::value::Value;

/// What an operation left.
pub(super) struct Outcome<D> {
    /// Null when there is no remote object.
    pub(super) state: Value,
    /// Private state, identity and diagnostics, as left.
    pub(super) context: Context<D>,
}

/// Carries out the change from `prior` to `planned`; null means that there is none before or after.
pub(super) async fn apply<D: Send + Sync>(
    entry: &ResourceEntry<D>,
    mut context: Context<D>,
    config: Value,
    prior: Value,
    planned: Value,
) -> Outcome<D> {
    if planned.is_null() {
        return delete(entry, context, prior).await;
    }
    let creates = prior.is_null();
    let operation = if creates { "create" } else { "update" };
    context.deadline = deadline(entry, &planned, operation);
    let change = Change {
        config,
        prior: (!creates).then(|| prior.clone()),
        planned,
    };
    let mut state = if creates {
        change.planned.clone()
    } else {
        prior
    };
    let result = if creates {
        entry
            .resource
            .create(&mut context, &change, &mut state)
            .await
    } else {
        entry
            .resource
            .update(&mut context, &change, &mut state)
            .await
    };
    if let Err(errors) = result {
        context.diagnostics.append(errors);
    }
    let state = if creates && context.created_nothing && context.diagnostics.has_errors() {
        Value::Null
    } else {
        // A failed update leaves parts of what was there before.
        let originals: &[&Value] = match &change.prior {
            Some(prior) if context.diagnostics.has_errors() => &[&change.planned, prior],
            _ => &[&change.planned],
        };
        settle(entry, originals, state, &mut context.diagnostics)
    };
    Outcome { state, context }
}

async fn delete<D: Send + Sync>(
    entry: &ResourceEntry<D>,
    mut context: Context<D>,
    prior: Value,
) -> Outcome<D> {
    context.deadline = deadline(entry, &prior, "delete");
    if let Err(errors) = entry.resource.delete(&mut context, &prior).await {
        context.diagnostics.append(errors);
    }
    let state = if context.diagnostics.has_errors() {
        prior
    } else {
        Value::Null
    };
    Outcome { state, context }
}

/// Makes of `state`, left by a resource that was given `originals`, one that Terraform can save. What is still unknown becomes null; that is an
/// error unless there is one already.
pub(super) fn settle<D>(
    entry: &ResourceEntry<D>,
    originals: &[&Value],
    state: Value,
    diagnostics: &mut Diagnostics,
) -> Value {
    let failed = diagnostics.has_errors();
    let state = originals
        .iter()
        .fold(state, |state, original| conform::restore(original, state));
    let state = conform::to_schema(&entry.schema, &entry.value_type, state, diagnostics);
    let state = null_write_only(&entry.schema.block, state);
    match state.first_unknown() {
        None => state,
        Some(path) => {
            if !failed {
                diagnostics.push(
                    Diagnostic::error(
                        "Provider left a value unknown",
                        format!("{path} is still unknown after the operation. This is a bug in the provider."),
                    )
                    .at(path),
                );
            }
            conform::fill_blocks(&entry.schema.block, known(state))
        }
    }
}

/// The value with null for each unknown.
fn known(value: Value) -> Value {
    match value {
        Value::Unknown(_) => Value::Null,
        Value::Dynamic(typed) => Value::dynamic(typed.value_type, known(typed.value)),
        Value::List(elements) => Value::List(elements.into_iter().map(known).collect()),
        Value::Tuple(elements) => Value::Tuple(elements.into_iter().map(known).collect()),
        Value::Set(elements) => Value::set(elements.into_iter().map(known)),
        Value::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| (key, known(value)))
                .collect(),
        ),
        Value::Object(attributes) => Value::Object(
            attributes
                .into_iter()
                .map(|(name, value)| (name, known(value)))
                .collect(),
        ),
        value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => value,
    }
}

/// When `operation` is over, by the attribute `timeouts` of `state` or its default.
pub(super) fn deadline<D>(
    entry: &ResourceEntry<D>,
    state: &Value,
    operation: &str,
) -> Option<Instant> {
    let configured = match state.at(&Path::from("timeouts").attribute(operation)) {
        // Validated with the configuration.
        Some(Value::String(text)) => duration::parse(text).ok(),
        _ => None,
    };
    configured
        .or_else(|| entry.schema.timeout_default(operation))
        .map(|timeout| Instant::now() + timeout)
}
