//! Between the protocol's messages and the framework's own types. Only conversions; only `rpc` uses them.

mod schema;

pub(super) use schema::{function, identity_schema, provider_schema, schema};

use super::diagnostics::{Diagnostic, Diagnostics, Severity};
use super::msgpack::CodecError;
use super::path::{Path, Step};
use super::private::{Identity, Private};
use super::raw_state::RawState;
use super::tfplugin6 as proto;
use super::value::Value;
use super::value_type::ValueType;
use super::{json, msgpack};

/// Reads a value of type `value_type`; `what` names it in messages. An absent message is null.
///
/// # Errors
///
/// A diagnostic at the attribute that cannot be read.
pub(super) fn value(
    message: Option<&proto::DynamicValue>,
    value_type: &ValueType,
    what: &str,
) -> Result<Value, Diagnostics> {
    let decoded = match message {
        Some(message) if !message.msgpack.is_empty() => {
            msgpack::decode(&message.msgpack, value_type)
        }
        Some(message) if !message.json.is_empty() => {
            json::decode(&message.json, value_type, json::Missing::Refuse)
        }
        _ => Ok(Value::Null),
    };
    decoded.map_err(|error: CodecError| {
        let detail =
            format!("Terraform sent a {what} that does not fit the provider's schema: {error}.");
        Diagnostic::error("Value not readable", detail)
            .at(error.path)
            .into()
    })
}

/// Writes a value of type `value_type`; `what` names it in messages.
///
/// # Errors
///
/// A diagnostic when the value is not of that type, which is a bug of the framework.
pub(super) fn dynamic_value(
    value: &Value,
    value_type: &ValueType,
    what: &str,
) -> Result<proto::DynamicValue, Diagnostics> {
    match msgpack::encode(value, value_type) {
        Ok(bytes) => Ok(proto::DynamicValue {
            msgpack: bytes.into(),
            json: Default::default(),
        }),
        Err(error) => {
            let detail =
                format!("The {what} cannot be encoded: {error}. This is a bug in the provider.");
            Err(Diagnostic::error("Value not writable", detail)
                .at(error.path)
                .into())
        }
    }
}

/// Reads private state.
///
/// # Errors
///
/// A diagnostic when it is not what this framework writes.
pub(super) fn private(bytes: &[u8]) -> Result<Private, Diagnostics> {
    Private::from_bytes(bytes).map_err(|error| {
        Diagnostic::error("Private state not readable", format!("{error}.")).into()
    })
}

/// Reads an identity of type `value_type`; of a resource without identity schema there is none.
///
/// # Errors
///
/// A diagnostic when it does not fit.
pub(super) fn identity(
    message: Option<&proto::ResourceIdentityData>,
    value_type: Option<&ValueType>,
) -> Result<Identity, Diagnostics> {
    let (Some(message), Some(value_type)) = (message, value_type) else {
        return Ok(Identity::default());
    };
    value(
        message.identity_data.as_ref(),
        value_type,
        "resource identity",
    )
    .map(|value| Identity::new(Some(value)))
}

/// Writes an identity of type `value_type`, if it is set.
///
/// # Errors
///
/// A diagnostic when it does not fit the schema, which is a bug of the provider.
pub(super) fn identity_data(
    identity: &Identity,
    value_type: Option<&ValueType>,
) -> Result<Option<proto::ResourceIdentityData>, Diagnostics> {
    let (Some(value), Some(value_type)) = (identity.value(), value_type) else {
        return Ok(None);
    };
    let mut diagnostics = Diagnostics::new();
    let value = super::conform::to_type(value_type, value.clone(), &Path::ROOT, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let identity_data = Some(dynamic_value(&value, value_type, "resource identity")?);
    Ok(Some(proto::ResourceIdentityData { identity_data }))
}

/// Reads a stored state.
///
/// # Errors
///
/// A diagnostic when there is none, or only the format of Terraform 0.11 and before.
pub(super) fn raw_state(message: Option<proto::RawState>) -> Result<RawState, Diagnostics> {
    match message {
        Some(message) if !message.json.is_empty() => Ok(RawState::new(message.json)),
        Some(message) if !message.flatmap.is_empty() => Err(Diagnostic::error(
            "State of an old Terraform",
            "The state is in the format of Terraform 0.11 or before, which this provider never wrote.",
        )
        .into()),
        _ => Err(Diagnostic::error("No stored state", "Terraform sent no stored state.").into()),
    }
}

/// Writes messages for the user.
pub(super) fn diagnostics(diagnostics: &Diagnostics) -> Vec<proto::Diagnostic> {
    diagnostics
        .iter()
        .map(|diagnostic| proto::Diagnostic {
            severity: match diagnostic.severity {
                Severity::Error => proto::diagnostic::Severity::Error,
                Severity::Warning => proto::diagnostic::Severity::Warning,
            }
            .into(),
            summary: diagnostic.summary.clone(),
            detail: diagnostic.detail.clone(),
            attribute: diagnostic.path.as_ref().and_then(attribute_path),
        })
        .collect()
}

/// Writes a path as far as Terraform can address it; `None` for the root.
pub(super) fn attribute_path(path: &Path) -> Option<proto::AttributePath> {
    use proto::attribute_path::step::Selector;
    let steps: Vec<_> = path
        .steps()
        .iter()
        .map_while(|step| match step {
            Step::Attribute(name) => Some(Selector::AttributeName(name.clone())),
            Step::Key(key) => Some(Selector::ElementKeyString(key.clone())),
            Step::Index(index) => Some(Selector::ElementKeyInt(*index)),
            Step::Element => None,
        })
        .map(|selector| proto::attribute_path::Step {
            selector: Some(selector),
        })
        .collect();
    (!steps.is_empty()).then_some(proto::AttributePath { steps })
}
