//! destroy

use super::{Aws, DeployError, Operation};

/// Removes everything that was made for a function, and nothing else; what is already gone is fine.
///
/// # Errors
///
/// [`DeployError`] as any call.
pub async fn destroy(
    _aws: &Aws,
    _function_name: &str,
    _alias: &str,
    _op: &Operation,
) -> Result<(), DeployError> {
    unimplemented!()
}
