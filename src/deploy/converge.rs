//! converge

use super::{Aws, Deployed, Failed, HookError, Mode, Operation, Published, Wanted};

/// Brings everything about a function to what is wanted, and returns what is deployed.
///
/// `verify` is called with the version before the alias moves to it; not at all when the alias already serves what is wanted.
///
/// # Errors
///
/// [`Failed`], with what exists.
pub async fn converge<V, F>(
    _aws: &Aws,
    _wanted: &Wanted,
    _mode: Mode,
    _verify: V,
    _op: &Operation,
) -> Result<Deployed, Failed>
where
    V: FnOnce(Published) -> F + Send,
    F: Future<Output = Result<(), HookError>> + Send,
{
    unimplemented!()
}
