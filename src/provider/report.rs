//! Errors of the rooms below become what the user reads: a title, the facts with the next step, and the attribute concerned.
//!
//! In: the rooms' errors. Out: diagnostics. The only place where one turns into the other.

use crate::agentcore::discover::DiscoverError;
use crate::deploy::{DeployError, RepositoryUrlError};
use crate::package::image::ImageError;
use crate::package::{self, ErrorKind, Lock, Notice, PackageError, Source};
use crate::plugin::{Diagnostic, Diagnostics, Path};

use super::config_error::ConfigError;
use super::download::DownloadError;
use super::report_config;

/// A failure to find a tool or to read the command line.
pub(crate) fn package(error: &PackageError) -> Diagnostics {
    package_at(error, error.attribute())
}

/// A failure to resolve, install or pack `source`: at the very word that names the package, where there is one.
pub(crate) fn packaging(error: &PackageError, source: &Source) -> Diagnostics {
    package_at(error, error.locate(source))
}

fn package_at(error: &PackageError, attribute: Option<package::Attribute>) -> Diagnostics {
    let summary = match error.kind() {
        _ if matches!(error, PackageError::ToolNotFetched { .. }) => "Packaging tool not found",
        ErrorKind::Network => "Package index not reachable",
        ErrorKind::Input => "Invalid server",
        ErrorKind::Unresolvable => "Packages cannot be resolved",
        ErrorKind::NoWheel => "Package does not run on Lambda",
        ErrorKind::HashMismatch => "Package differs from its lock",
        ErrorKind::TooLarge => "Package too large",
        ErrorKind::Tool => "Packaging tool not usable",
        ErrorKind::Io => "Package could not be made",
    };
    let diagnostic = Diagnostic::error(summary, sentence(&chain(error)));
    match attribute {
        Some(attribute) => diagnostic.at(path(attribute)),
        None => diagnostic,
    }
    .into()
}

fn path(attribute: package::Attribute) -> Path {
    let path = Path::from(attribute.name);
    attribute
        .index
        .map_or(path.clone(), |index| path.index(index))
}

/// Reads a lock that the user gave.
///
/// # Errors
///
/// What is wrong with it, at `lock`.
pub(crate) fn lock(text: &str) -> Result<Lock, Diagnostics> {
    text.parse().map_err(|error| package(&error))
}

/// What a user should know of a package that can be made all the same.
pub(crate) fn notices(notices: &[Notice]) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    for notice in notices {
        let warning = Diagnostic::warning(notice.title(), sentence(&notice.to_string()));
        diagnostics.append(warning.at(path(notice.attribute())).into());
    }
    diagnostics
}

/// An image could not be put into its repository: the user's own (`brought`), or the one that is managed here.
pub(crate) fn pushing(error: &PackageError, source: &Source, brought: bool) -> Diagnostics {
    // Everything else is about the image that it is made of.
    let PackageError::Image(ImageError::NotTaken { .. }) = error else {
        return packaging(error, source);
    };
    let diagnostic = Diagnostic::error("Could not push the image", sentence(&chain(error)));
    match error.attribute().filter(|_| brought) {
        Some(attribute) => diagnostic.at(attribute.name),
        None => diagnostic,
    }
    .into()
}

/// The repository that the user names cannot take images for the function.
pub(crate) fn repository(error: &RepositoryUrlError) -> Diagnostics {
    Diagnostic::error("Invalid image repository", sentence(&error.to_string()))
        .at("image_repository_url")
        .into()
}

/// The repository that the user names has the name of the managed one.
pub(crate) fn repository_is_managed(name: &str) -> Diagnostics {
    Diagnostic::error(
        "Invalid image repository",
        format!(
            "`{name}` is the name of the repository that is made for this server when none is given, and removed with it. Use a repository \
             of another name, or remove `image_repository_url`."
        ),
    )
    .at("image_repository_url")
    .into()
}

/// There is no image to push.
pub(crate) fn repository_of_no_image() -> Diagnostics {
    Diagnostic::error(
        "Repository without an image",
        "Only a server that `docker` starts is an image, which needs a repository. Remove `image_repository_url`.",
    )
    .at("image_repository_url")
    .into()
}

/// The index did not answer while planning: apply needs it, the plan does not.
pub(crate) fn not_resolved_at_plan(error: &PackageError) -> Diagnostics {
    Diagnostic::warning(
        "Packages not checked",
        format!(
            "{} The plan goes on without; apply will need the index.",
            sentence(&chain(error))
        ),
    )
    .at("args")
    .into()
}

/// The index did not answer a search for upgrades: what is deployed stays.
pub(crate) fn no_upgrade_at_plan(error: &PackageError) -> Diagnostics {
    Diagnostic::warning(
        "Newer versions not looked for",
        format!(
            "{} The versions in the state are kept.",
            sentence(&chain(error))
        ),
    )
    .at("auto_upgrade")
    .into()
}

/// The package that is served has bytecode, and the next one cannot: the plan says so, and goes on.
pub(crate) fn no_bytecode_any_more(error: &PackageError) -> Diagnostics {
    Diagnostic::warning(
        "Package without bytecode",
        format!(
            "The package in service has its bytecode, and the one that is made next will have none: {}",
            sentence(&chain(error))
        ),
    )
    .at("compile_bytecode")
    .into()
}

/// A plan decided for bytecode, and the machine that applies it cannot compile it.
pub(crate) fn planned_with_bytecode(error: &PackageError) -> Diagnostics {
    Diagnostic::error(
        "Bytecode cannot be compiled here",
        format!(
            "The plan was made where a Python of the runtime's version compiles the package, and this machine has none: {} Then plan again; \
             nothing was deployed.",
            sentence(&chain(error))
        ),
    )
    .at("compile_bytecode")
    .into()
}

/// A failure to use the provider's configuration, met by a resource or data source.
pub(crate) fn config(error: &ConfigError) -> Diagnostics {
    let mut diagnostic = report_config::config_error(error);
    // Only `region` means the same in a resource; the other paths are those of the provider block.
    if !matches!(error, ConfigError::InvalidRegion { .. }) {
        diagnostic.path = None;
    }
    diagnostic.into()
}

/// A package that Lambda names could not be fetched.
pub(crate) fn download(error: &DownloadError) -> Diagnostics {
    Diagnostic::error("Package not downloaded", sentence(&chain(error))).into()
}

/// A failure of a deployment step.
pub(crate) fn deploy(summary: &str, error: &DeployError) -> Diagnostics {
    let diagnostic = Diagnostic::error(summary, sentence(&chain(error)));
    match error.attribute() {
        Some(attribute) => diagnostic.at(attribute),
        None => diagnostic,
    }
    .into()
}

/// Lambda has taken a package from the bucket, where it lies now for nothing.
pub(crate) fn left_in_bucket(error: &str) -> Diagnostics {
    Diagnostic::warning(
        "Package left in the bucket",
        format!(
            "{} The server is deployed; the next apply that changes it, or its destruction, tries again to remove the package.",
            sentence(error)
        ),
    )
    .at("artifact_bucket")
    .into()
}

/// The deployed function does not answer as an MCP server.
pub(crate) fn not_verified(error: &DiscoverError) -> Diagnostics {
    Diagnostic::error("Server does not answer", sentence(&chain(error)))
        .at("verify")
        .into()
}

/// An imported function does not answer: it is imported all the same.
pub(crate) fn not_seen_at_import(error: &DiscoverError) -> Diagnostics {
    Diagnostic::warning(
        "Tools not read",
        format!(
            "{} The function is imported without its tools; the next update verifies it.",
            sentence(&chain(error))
        ),
    )
    .into()
}

/// A variable has two values.
pub(crate) fn secret_in_env(name: &str) -> Diagnostics {
    Diagnostic::error(
        "Variable given twice",
        format!("{name} is in `secrets` and in `env`. Remove it from one of them."),
    )
    .at(Path::from("secrets").key(name))
    .into()
}

/// No legal function name follows from the name.
pub(crate) fn unusable_name(name: &str) -> Diagnostics {
    Diagnostic::error(
        "No function name",
        format!(
            "No name of at most 64 characters for the Lambda function can be made from {name:?}. Shorten `name`, or set \
             `function_name`."
        ),
    )
    .at("name")
    .into()
}

/// This build of the provider carries no bridge for the architecture.
pub(crate) fn no_bridge(architecture: package::Architecture) -> Diagnostics {
    Diagnostic::error(
        "Architecture not supported by this build",
        sentence(&PackageError::NoBridge { architecture }.to_string()),
    )
    .at("architecture")
    .into()
}

/// Something that is needed is unknown when everything must be known.
pub(crate) fn unknown_at_apply() -> Diagnostics {
    Diagnostic::error(
        "Server not known",
        "`command`, `args`, `packages`, `allow_scripts`, `compile_bytecode`, `cwd`, `source_dir`, `source_excludes`, `runtime` or `architecture` is still unknown while it is applied. This is a defect of the \
         provider; please report it with the configuration.",
    )
    .into()
}

/// The server's own files are not those that were planned.
pub(crate) fn files_changed(planned: &str, found: &str) -> Diagnostics {
    Diagnostic::error(
        "Files changed after the plan",
        format!(
            "The files of `source_dir` changed between plan and apply: `source_hash` was {planned} when they were planned, and is {found} now. \
             Nothing was deployed. Plan again, so that what is reviewed is what runs. If something writes the folder during apply, take \
             `source_dir` from that resource, so that it is unknown while planning."
        ),
    )
    .at("source_dir")
    .into()
}

/// `source_hash` is that of no files.
pub(crate) fn hash_of_nothing() -> Diagnostics {
    Diagnostic::error(
        "Hash without files",
        "There is no `source_dir` whose files could have this hash. Set `source_dir`, or remove `source_hash`.",
    )
    .at("source_hash")
    .into()
}

/// `docker run -e NAME` hands on what its caller has; here that is the configuration.
pub(crate) fn variable_not_given(name: &str, at: package::Attribute) -> Diagnostics {
    Diagnostic::error(
        "Variable not given",
        format!(
            "`-e {name}` hands on a variable of the environment, and neither `env` nor `secrets` has it. Add {name} to one of them."
        ),
    )
    .at(path(at))
    .into()
}

/// No function can have a variable of this name.
pub(crate) fn reserved_variable(name: &str, at: package::Attribute) -> Diagnostics {
    let path = Path::from(at.name);
    Diagnostic::error(
        "Reserved variable",
        format!("`-e {name}` must not be set: {name} is reserved for Lambda or for the bridge. Leave it out."),
    )
    .at(at.index.map_or(path.clone(), |index| path.index(index)))
    .into()
}

/// The function's environment is larger than Lambda takes, or cannot be written.
pub(crate) fn environment(error: &dyn std::error::Error) -> Diagnostics {
    Diagnostic::error("Environment not possible", sentence(&chain(error)))
        .at("env")
        .into()
}

/// Something that no attribute shows is not as it should be: changed by someone else, or by an update that failed.
pub(crate) fn drift(detail: &str) -> Diagnostics {
    Diagnostic::warning(
        "Server differs from what was applied",
        // Such a sentence begins with a name, so it is not capitalised.
        format!(
            "{}. The next apply restores it.",
            detail.trim_end_matches('.')
        ),
    )
    .into()
}

/// The command line in the function's environment is not the one that was deployed.
pub(crate) fn launcher_changed(function: &str) -> String {
    format!("the command line in the environment of {function} was changed")
}

/// What the bridge is told about the function URL is not what was deployed.
pub(crate) fn http_changed(function: &str) -> String {
    format!("the HTTP settings in the environment of {function} do not fit its function URL")
}

/// The function is gone, but not what belongs to it.
pub(crate) fn function_missing(function: &str) -> String {
    format!("the Lambda function {function} is missing")
}

/// There is no such function.
pub(crate) fn nothing_to_import(function: &str, region: &str) -> Diagnostics {
    Diagnostic::error(
        "Cannot import non-existent server",
        format!(
            "There is no Lambda function named {function} in {region}. The import id is the function's name; \
             `<function>@<region>` names another region, `<function>:<alias>` another alias than `live`."
        ),
    )
    .into()
}

/// The function was deployed by something else.
pub(crate) fn not_ours(function: &str, reason: &str) -> Diagnostics {
    Diagnostic::error(
        "Not a server of this provider",
        format!(
            "The Lambda function {function} cannot be managed as `mcplambda_server`: {}",
            sentence(reason)
        ),
    )
    .into()
}

/// Runtimes on Amazon Linux 2, which ended 2026-06-30, still run but should not be chosen.
pub(crate) fn ageing_runtime(runtime: &str) -> Diagnostics {
    match runtime {
        "python3.10" | "python3.11" => Diagnostic::warning(
            "Ageing runtime",
            format!("{runtime} runs on Amazon Linux 2, which is no longer maintained. Use python3.12 or later."),
        )
        .at("runtime")
        .into(),
        _ => Diagnostics::new(),
    }
}

/// The error and what caused it, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Begins with a capital letter and ends with a full stop, unless it ends in a quotation of something else.
fn sentence(text: &str) -> String {
    let mut characters = text.trim_end().chars();
    let mut sentence: String = characters
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    sentence.push_str(characters.as_str());
    let last_line = sentence.lines().next_back().unwrap_or_default();
    let quoted = sentence.contains('\n') && last_line.starts_with([' ', '|', '>']);
    if !quoted && !sentence.ends_with(['.', '!', '?', '`', '"', ')']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_text_becomes_a_sentence() {
        for (text, expected) in [
            ("no such package", "No such package."),
            ("Ends already.", "Ends already."),
            ("`uv` was not found", "`uv` was not found."),
            ("stderr:\n  Traceback", "Stderr:\n  Traceback"),
            ("", ""),
        ] {
            assert_eq!(
                sentence(text),
                if text.is_empty() {
                    ".".to_owned()
                } else {
                    expected.to_owned()
                },
                "{text:?}"
            );
        }
    }
}
