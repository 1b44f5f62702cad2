//! read

use super::{Aws, DeployError, Found};

/// Everything managed for a function, seen through its alias; `None` when the function does not exist.
///
/// # Errors
///
/// [`DeployError`] as any call.
pub async fn read(
    _aws: &Aws,
    _function_name: &str,
    _alias: &str,
) -> Result<Option<Found>, DeployError> {
    unimplemented!()
}
