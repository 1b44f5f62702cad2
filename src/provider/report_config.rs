//! Tells the user what is wrong with the provider's configuration.
//!
//! Enters: a [`ConfigError`]. Leaves: a diagnostic that points at the attribute.

use super::config_error::{Attribute, ConfigError};
use crate::plugin::{Diagnostic, Path};

/// The diagnostic for `error`.
#[must_use]
pub fn config_error(error: &ConfigError) -> Diagnostic {
    let diagnostic = Diagnostic::error(error.summary(), capitalised(&error.to_string()));
    match error.attribute() {
        Some(attribute) => diagnostic.at(path(attribute)),
        None => diagnostic,
    }
}

fn path(attribute: Attribute) -> Path {
    match attribute {
        Attribute::Region => Path::from("region"),
        Attribute::Profile => Path::from("profile"),
        Attribute::AssumeRole(index) => {
            Path::from("assume_role").index(index).attribute("role_arn")
        }
        Attribute::StsEndpoint => Path::from("endpoints.sts"),
        Attribute::AllowedAccountIds => Path::from("allowed_account_ids"),
        Attribute::ForbiddenAccountIds => Path::from("forbidden_account_ids"),
    }
}

/// Errors begin small so that they can be quoted within a sentence; here they are one. Quoted words and ARNs stay.
fn capitalised(text: &str) -> String {
    match text.split_once(' ') {
        Some((first, rest)) if first.chars().all(|letter| letter.is_ascii_lowercase()) => {
            format!("{}{} {rest}", first[..1].to_ascii_uppercase(), &first[1..])
        }
        _ => text.to_owned(),
    }
}
