//! The alias: what callers use, and the only thing that decides which version they get.

use aws_sdk_lambda::types::AliasRoutingConfiguration;

use super::retry::{self, Call, Fault};
use super::{Aws, DeployError, Operation, url};

/// Where an alias points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AliasState {
    /// A number, or `$LATEST` if someone moved it there.
    pub(crate) version: String,
    /// A part of the calls goes to other versions; not made here.
    pub(crate) weighted: bool,
}

/// `None` when the alias, or the function, does not exist.
pub(crate) async fn read(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    alias: &str,
) -> Result<Option<AliasState>, DeployError> {
    let call = Call::lambda("GetAlias", format!("{function_name}:{alias}"));
    let answer = retry::call(op, &call, || {
        aws.lambda
            .get_alias()
            .function_name(function_name)
            .name(alias)
            .send()
    })
    .await;
    match answer {
        Ok(found) => Ok(Some(AliasState {
            version: call.field(found.function_version, "FunctionVersion")?,
            weighted: found
                .routing_config
                .and_then(|routing| routing.additional_version_weights)
                .is_some_and(|weights| !weights.is_empty()),
        })),
        Err(fault) if fault.is_not_found() => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

/// Points the alias at one version, wholly.
pub(crate) async fn point(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    alias: &str,
    version: &str,
    exists: bool,
) -> Result<(), DeployError> {
    tracing::info!(function_name, alias, version, "moving the alias");
    if !exists {
        let call = Call::lambda("CreateAlias", format!("{function_name}:{alias}"));
        let made = retry::call(op, &call, || {
            aws.lambda
                .create_alias()
                .function_name(function_name)
                .name(alias)
                .function_version(version)
                .send()
        })
        .await;
        match made {
            // It was made by an attempt whose answer was lost.
            Err(fault) if fault.is_already_there() => {}
            other => return other.map(drop).map_err(Fault::into),
        }
    }
    let call = Call::lambda("UpdateAlias", format!("{function_name}:{alias}"));
    retry::call(op, &call, || {
        aws.lambda
            .update_alias()
            .function_name(function_name)
            .name(alias)
            .function_version(version)
            .routing_config(
                AliasRoutingConfiguration::builder()
                    .set_additional_version_weights(Some([].into()))
                    .build(),
            )
            .send()
    })
    .await?;
    Ok(())
}

/// Removes an alias that is no longer wanted, with its URL, beside the one that serves; that it is gone already is fine.
///
/// # Errors
///
/// [`DeployError`] as any call.
pub async fn remove(
    aws: &Aws,
    function_name: &str,
    alias: &str,
    op: &Operation,
) -> Result<(), DeployError> {
    url::remove(aws, op, function_name, alias).await?;
    tracing::info!(function_name, alias, "removing the alias");
    let call = Call::lambda("DeleteAlias", format!("{function_name}:{alias}"));
    let removed = retry::call(op, &call, || {
        aws.lambda
            .delete_alias()
            .function_name(function_name)
            .name(alias)
            .send()
    })
    .await;
    match removed {
        Err(fault) if !fault.is_not_found() => Err(fault.into()),
        _ => Ok(()),
    }
}
