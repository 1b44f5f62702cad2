//! What a user should know of a package that can be made all the same. Facts are fields; the text carries the next step.

use std::fmt;

use super::error::Attribute;

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A package's `engines.node` excludes the runtime, though not because it is too old.
    Engines {
        package: String,
        engines: String,
        runtime: String,
    },
    /// Packages have install scripts, and the configuration does not say whether they run.
    ScriptsNotRun {
        packages: Vec<String>,
        /// What brings them.
        attribute: Attribute,
    },
    /// The index says that nobody should use a release that is asked for.
    Yanked {
        /// Name and version.
        package: String,
        /// Empty when the index gives none.
        reason: String,
        /// What asks for it.
        attribute: Attribute,
    },
    /// The authors of packages advise against them.
    Deprecated {
        /// Each with what they say.
        packages: Vec<(String, String)>,
        /// What brings them.
        attribute: Attribute,
    },
}

impl Notice {
    /// A few words.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Engines { .. } => "Server not made for this runtime",
            Self::ScriptsNotRun { .. } => "Install scripts not run",
            Self::Yanked { .. } => "Yanked release",
            Self::Deprecated { .. } => "Deprecated packages",
        }
    }

    /// The attribute of the configuration that answers it.
    pub fn attribute(&self) -> Attribute {
        match self {
            Self::Engines { .. } => Attribute::whole("runtime"),
            Self::ScriptsNotRun { attribute, .. }
            | Self::Yanked { attribute, .. }
            | Self::Deprecated { attribute, .. } => *attribute,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engines {
                package,
                engines,
                runtime,
            } => write!(
                f,
                "`{package}` says that it runs on Node {engines}, which {runtime} is not. It is installed all the same; another \
                 `runtime` may fit it better."
            ),
            Self::Yanked {
                package, reason, ..
            } => {
                write!(
                    f,
                    "`{package}` was yanked: its publishers say that nobody should use it"
                )?;
                if !reason.is_empty() {
                    write!(f, " ({})", reason.trim_end_matches('.'))?;
                }
                f.write_str(". It is installed all the same, as it was asked for by its version; ask for another one.")
            }
            Self::Deprecated { packages, .. } => {
                let told = packages
                    .iter()
                    .map(|(package, words)| format!("{package} ({})", words.trim_end_matches('.')));
                write!(
                    f,
                    "Their authors advise against these packages: {}. They are installed all the same; a newer release of what needs them may do \
                     without.",
                    told.collect::<Vec<_>>().join(", ")
                )
            }
            Self::ScriptsNotRun { packages, .. } => write!(
                f,
                "These packages have scripts that npm would run after installing them, which may fetch or build what they need: {}. \
                 They are installed without. If the server needs them, name their packages in `allow_scripts`; if not, \
                 `allow_scripts = []` says so.",
                packages.join(", ")
            ),
        }
    }
}
