//! Lambda's Node runtimes: `runtime` in, one runtime out, and whether a package's `engines.node` admits it. Refuses what Lambda
//! does not offer.
//!
//! Runtimes: AWS Lambda Developer Guide, "Lambda runtimes" (read November 2026).

use nodejs_semver::{Range, Version};

use crate::package::PackageError;
use crate::package::error::Attribute;

/// A Node runtime of Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeRuntime {
    /// `24` for Node 24.
    pub(crate) major: u16,
}

/// Oldest first. All run on Amazon Linux 2023, whose C library is glibc.
const RUNTIMES: [NodeRuntime; 2] = [NodeRuntime { major: 22 }, NodeRuntime { major: 24 }];

/// The runtime that most servers are tested with.
const DEFAULT: NodeRuntime = NodeRuntime { major: 22 };

/// What a range of Node versions says about a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Fits,
    /// Every version that the range admits is newer.
    TooOld,
    /// Excluded otherwise: by an upper bound, or a hole.
    Excluded,
}

impl NodeRuntime {
    /// Lambda's identifier.
    pub(crate) fn name(self) -> String {
        format!("nodejs{}.x", self.major)
    }

    /// Whether `range`, a package's `engines.node`, admits some release of this runtime. AWS keeps runtimes at recent minor
    /// versions, so one that only asks for a newer minor fits. A range that cannot be read says nothing.
    pub(crate) fn admission(self, range: &str) -> Admission {
        let own = format!("^{}.0.0", self.major);
        let (Ok(range), Ok(own)) = (Range::parse(range), Range::parse(own)) else {
            return Admission::Fits;
        };
        if range.allows_any(&own) {
            return Admission::Fits;
        }
        let first: Version = (u64::from(self.major) + 1, 0, 0).into();
        match range.min_version() {
            Some(least) if least >= first => Admission::TooOld,
            _ => Admission::Excluded,
        }
    }

    /// The newest runtime that `range` admits.
    pub(crate) fn for_engines(range: &str) -> Option<Self> {
        RUNTIMES
            .into_iter()
            .rev()
            .find(|runtime| runtime.admission(range) == Admission::Fits)
    }
}

/// The runtime that `runtime` names, else the default.
pub(crate) fn choose(runtime: Option<&str>) -> Result<NodeRuntime, PackageError> {
    let Some(name) = runtime else {
        return Ok(DEFAULT);
    };
    RUNTIMES
        .into_iter()
        .find(|known| known.name() == name)
        .ok_or_else(|| PackageError::Invalid {
            attribute: Attribute::whole("runtime"),
            reason: format!(
                "`{name}` is not a runtime that a Node server can run on; use one of {}",
                RUNTIMES.map(NodeRuntime::name).join(", ")
            ),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_admit_a_runtime_whose_major_version_they_admit() {
        let node22 = NodeRuntime { major: 22 };
        for (range, expected) in [
            (">=18", Admission::Fits),
            ("*", Admission::Fits),
            ("", Admission::Fits),
            ("^20.19.0 || >=22.12.0", Admission::Fits),
            (">= 18.0.0 < 23", Admission::Fits),
            ("22.x", Admission::Fits),
            (">=24", Admission::TooOld),
            ("^24.1 || ^26", Admission::TooOld),
            ("^18 || ^20", Admission::Excluded),
            ("<22", Admission::Excluded),
            ("^20 || ^24", Admission::Excluded),
            ("whatever runs", Admission::Fits),
        ] {
            assert_eq!(node22.admission(range), expected, "{range}");
        }
        assert_eq!(
            NodeRuntime::for_engines(">=24"),
            Some(NodeRuntime { major: 24 })
        );
        assert_eq!(NodeRuntime::for_engines("^22 || >=26"), Some(node22));
        assert_eq!(NodeRuntime::for_engines(">=26"), None);
    }
}
