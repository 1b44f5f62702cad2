//! What the resource remembers in private state: what no attribute shows and no later run could compute.

use serde_json::Value;

use crate::package::Source;
use crate::package::image::Startup;
use crate::plugin::{Attr, Private};

use super::model::Server;

/// [`Source::identity`](crate::package::Source::identity) that the lock in the state was resolved for.
const SOURCE: &str = "source";
/// What the package was made to start: `Source::start_identity`.
const START: &str = "start";
/// The command line up to the arguments for the server itself.
const LAUNCHER: &str = "launcher";
/// SHA-256 of the package that was deployed, to tell it from what is found.
const CODE: &str = "code_sha256";
/// How the image that was deployed is started.
const IMAGE: &str = "image";
/// Sentences about what the last read found changed.
const DRIFT: &str = "drift";
/// The lock that a plan resolved, for the plans of the same change that follow.
const PLANNED_LOCK: &str = "planned_lock";
/// The hash of the files that a plan saw, likewise.
const PLANNED_FILES: &str = "planned_files";
/// Whether a plan decided for bytecode, likewise.
const PLANNED_BYTECODE: &str = "planned_bytecode";

/// What an earlier operation left.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Remembered {
    pub(super) source: Option<String>,
    pub(super) start: Option<String>,
    pub(super) launcher: Option<Vec<String>>,
    pub(super) code_sha256: Option<String>,
    pub(super) image: Option<Startup>,
    pub(super) drift: Vec<String>,
}

impl Remembered {
    pub(super) fn read(private: &Private) -> Self {
        let words = |key| {
            private.get(key).and_then(Value::as_array).map(|words| {
                words
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
        };
        Self {
            source: private.get_str(SOURCE).map(str::to_owned),
            start: private.get_str(START).map(str::to_owned),
            launcher: words(LAUNCHER),
            code_sha256: private.get_str(CODE).map(str::to_owned),
            image: private
                .get(IMAGE)
                .and_then(|startup| serde_json::from_value(startup.clone()).ok()),
            drift: words(DRIFT).unwrap_or_default(),
        }
    }

    /// Replaces everything that is remembered.
    pub(super) fn write(&self, private: &mut Private) {
        private.remove(PLANNED_LOCK);
        private.remove(PLANNED_FILES);
        private.remove(PLANNED_BYTECODE);
        let entries = [
            (SOURCE, self.source.clone().map(Value::from)),
            (START, self.start.clone().map(Value::from)),
            (LAUNCHER, self.launcher.clone().map(Value::from)),
            (CODE, self.code_sha256.clone().map(Value::from)),
            (
                IMAGE,
                self.image
                    .as_ref()
                    .and_then(|startup| serde_json::to_value(startup).ok()),
            ),
            (
                DRIFT,
                (!self.drift.is_empty()).then(|| Value::from(self.drift.clone())),
            ),
        ];
        for (key, value) in entries {
            match value {
                Some(value) => private.set(key, value),
                None => _ = private.remove(key),
            }
        }
    }

    /// Whether another program of the same packages is to be started.
    pub(super) fn starts_another(&self, source: &Source) -> bool {
        let start = self.start.as_deref();
        start.is_some_and(|start| start != source.start_identity())
    }

    /// Whether the function has other code than was deployed, or it is not known what was.
    pub(super) fn code_drifted(&self, state: &Server) -> bool {
        match (&self.code_sha256, &state.code_sha256) {
            (Some(deployed), Attr::Known(found)) => deployed != found,
            _ => true,
        }
    }
}

pub(super) fn planned_lock(private: &Private) -> Option<String> {
    private.get_str(PLANNED_LOCK).map(str::to_owned)
}

pub(super) fn plan_lock(private: &mut Private, lock: &str) {
    private.set(PLANNED_LOCK, lock);
}

pub(super) fn planned_files(private: &Private) -> Option<String> {
    private.get_str(PLANNED_FILES).map(str::to_owned)
}

pub(super) fn plan_files(private: &mut Private, hash: &str) {
    private.set(PLANNED_FILES, hash);
}

pub(super) fn planned_bytecode(private: &Private) -> Option<bool> {
    private.get(PLANNED_BYTECODE).and_then(Value::as_bool)
}

pub(super) fn plan_bytecode(private: &mut Private, compiles: bool) {
    private.set(PLANNED_BYTECODE, compiles);
}
