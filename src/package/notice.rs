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
}

impl Notice {
    /// A few words.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Engines { .. } => "Server not made for this runtime",
            Self::ScriptsNotRun { .. } => "Install scripts not run",
        }
    }

    /// The attribute of the configuration that answers it.
    pub fn attribute(&self) -> Attribute {
        match self {
            Self::Engines { .. } => Attribute::whole("runtime"),
            Self::ScriptsNotRun { attribute, .. } => *attribute,
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
