//! The function.

use super::{Aws, DeployError};

/// Presigned address of the zip of a version, alias or `$LATEST`; good for ten minutes.
///
/// # Errors
///
/// [`DeployError`] as any call.
pub async fn code_location(
    _aws: &Aws,
    _function_name: &str,
    _qualifier: &str,
) -> Result<String, DeployError> {
    unimplemented!()
}
