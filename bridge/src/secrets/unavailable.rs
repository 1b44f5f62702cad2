//! Takes the place of `store` in a bridge that was built without its feature `secrets`: such a bridge says so, instead of starting a server without them.

use std::time::Instant;

use super::{Unreadable, Values, Variables, Wanted};

/// Reads nothing.
///
/// # Errors
///
/// Always, for the first of `wanted`.
pub(super) fn read(
    wanted: &[Wanted],
    _: &Variables,
    _: Instant,
) -> Result<Values, Vec<Unreadable>> {
    let first: Vec<&Wanted> = wanted.iter().take(1).collect();
    let reason = "this bridge was built without its feature `secrets`".to_owned();
    Err(vec![Unreadable::new(&first, reason)])
}
