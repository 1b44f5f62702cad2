//! Tags: ours say what belongs to which function, the user's are passed on. Pure.

use std::collections::{BTreeMap, HashMap};

/// On everything that is made for a function; its value is the function's name.
pub const FUNCTION: &str = "mcplambda:function";
/// On the role, because IAM is global; its value is the region.
pub const REGION: &str = "mcplambda:region";
/// `true` on a function from its creation until it is served through its alias.
pub const UNFINISHED: &str = "mcplambda:unfinished";

/// Prefix of our keys. Users may not set such tags, and do not see them.
pub const OURS: &str = "mcplambda:";
/// Prefix of AWS's own keys: nobody else can set or remove them.
const AWS: &str = "aws:";

pub(crate) type Tags = BTreeMap<String, String>;

/// The user's tags with ours, for everything but the role.
pub fn with_ours(users: &Tags, function_name: &str) -> Tags {
    let mut tags = users.clone();
    tags.insert(FUNCTION.to_owned(), function_name.to_owned());
    tags
}

/// The user's tags with ours, for the role.
pub fn with_ours_for_role(users: &Tags, function_name: &str, region: &str) -> Tags {
    let mut tags = with_ours(users, function_name);
    tags.insert(REGION.to_owned(), region.to_owned());
    tags
}

/// Only what the user set.
pub fn users(tags: &Tags) -> Tags {
    tags.iter()
        .filter(|(key, _)| !key.starts_with(OURS) && !key.starts_with(AWS))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Whether tags name `function_name` as the one that an object was made for.
pub fn are_ours(tags: &Tags, function_name: &str) -> bool {
    tags.get(FUNCTION).is_some_and(|name| name == function_name)
}

/// Whether tags are of the role of `function_name` in `region`.
pub fn are_ours_for_role(tags: &Tags, function_name: &str, region: &str) -> bool {
    are_ours(tags, function_name) && tags.get(REGION).is_some_and(|name| name == region)
}

/// Whether tags say that we began to make the function and did not finish.
pub fn are_unfinished(tags: &Tags, function_name: &str) -> bool {
    are_ours(tags, function_name) && tags.get(UNFINISHED).is_some_and(|value| value == "true")
}

/// What leads from `current` to `wanted`: tags to set, and keys to remove.
pub fn difference(current: &Tags, wanted: &Tags) -> (Tags, Vec<String>) {
    let set = wanted
        .iter()
        .filter(|(key, value)| current.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let remove = current
        .keys()
        .filter(|key| !wanted.contains_key(*key) && !key.starts_with(AWS))
        .cloned()
        .collect();
    (set, remove)
}

/// As the SDKs return them, in an order that tests and logs can rely on.
pub(crate) fn sorted(tags: Option<&HashMap<String, String>>) -> Tags {
    tags.into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
