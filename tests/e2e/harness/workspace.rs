//! A directory with a configuration in which the real terraform runs.
//!
//! Each has its own CLI configuration, home and log. When one goes, its log must not hold a complaint of Terraform's
//! core about values that the provider returned.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::aws::{ACCESS_KEY, REGION};
use super::index::Index;
use super::local_aws::LocalAws;
use super::prerequisites::tools;

/// Phrases of core's messages about a provider that broke the protocol's rules, and of a provider that did not end
/// when told. Source: Terraform 1.11, `internal/terraform` and go-plugin.
const COMPLAINTS: [&str; 8] = [
    "produced an unexpected new value",
    "produced an invalid plan",
    "planned an invalid value",
    "inconsistent final plan",
    "inconsistent result after apply",
    "invalid result object",
    "legacy plugin SDK",
    "plugin failed to exit gracefully",
];

/// A directory, a configuration, a state.
pub(crate) struct Workspace {
    directory: TempDir,
    environment: BTreeMap<String, String>,
}

/// What a run of terraform came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Planned actions by address: `("mcplambda_server.time", "update")`.
    pub(crate) changes: Vec<(String, String)>,
    /// All that was printed.
    pub(crate) output: String,
}

/// A message to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) severity: String,
    pub(crate) summary: String,
    pub(crate) detail: String,
    /// The configuration's line that the message points at, trimmed; empty when it points at none.
    pub(crate) line: String,
}

impl Workspace {
    /// A workspace with this `main.tf`, initialised.
    pub(crate) fn new(aws: &LocalAws, index: Option<&Index>, main: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut workspace = Self {
            directory,
            environment: environment(aws),
        };
        if let Some(index) = index {
            workspace.set("UV_DEFAULT_INDEX", &index.url);
        }
        workspace.file(
            "cli.tfrc",
            &format!(
                "provider_installation {{\n  filesystem_mirror {{\n    path = {:?}\n  }}\n}}\n",
                tools().mirror
            ),
        );
        workspace.file(
            "terraform.tf",
            "terraform {\n  required_providers {\n    mcplambda = {\n      source = \"mcplambda/mcplambda\"\n    }\n  }\n}\n",
        );
        workspace.write(main);
        let run = workspace.run(&["init", "-no-color"]);
        assert_eq!(run.status, 0, "init: {}", run.output);
        workspace
    }

    /// Replaces `main.tf`.
    pub(crate) fn write(&self, main: &str) {
        self.file("main.tf", main);
    }

    /// Writes any file of the workspace.
    pub(crate) fn file(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the workspace can be written to");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Sets an environment variable of all further runs.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Takes an environment variable away from all further runs.
    pub(crate) fn unset(&mut self, name: &str) {
        self.environment.remove(name);
    }

    /// Runs terraform and waits for it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        finish(self.start(arguments))
    }

    /// Starts terraform; [`finish`] waits for it.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let output = std::fs::File::create(self.path("output.txt"))
            .expect("the workspace can be written to");
        drop(output);
        Command::new(&tools().terraform)
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(&self.environment)
            .env("HOME", self.directory.path())
            .env("TF_CLI_CONFIG_FILE", self.path("cli.tfrc"))
            .env("TF_LOG_PATH", self.path("terraform.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("terraform starts")
    }

    pub(crate) fn apply(&self) -> Run {
        self.run(&["apply", "-json", "-auto-approve"])
    }

    /// Plans; status 0 means no changes, 2 changes.
    pub(crate) fn plan(&self) -> Run {
        self.run(&["plan", "-json", "-detailed-exitcode"])
    }

    pub(crate) fn destroy(&self) -> Run {
        self.run(&["destroy", "-json", "-auto-approve"])
    }

    /// The attributes of a resource in state.
    ///
    /// # Panics
    ///
    /// When the state has no such resource.
    pub(crate) fn resource(&self, address: &str) -> Value {
        let resources = self.state();
        let found = resources
            .iter()
            .find(|resource| resource["address"] == address);
        found.unwrap_or_else(|| panic!("{address} is not in state: {resources:?}"))["values"]
            .clone()
    }

    /// The root module's resources in state.
    pub(crate) fn state(&self) -> Vec<Value> {
        let run = self.run(&["show", "-json"]);
        assert_eq!(run.status, 0, "{}", run.output);
        let state: Value = serde_json::from_str(&run.output).expect("show prints JSON");
        state["values"]["root_module"]["resources"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// Applies and requires success; then requires that the next plan is empty.
    pub(crate) fn converge(&self) {
        self.apply().succeeded();
        self.plan().is_empty();
    }

    /// Core's complaints about the provider so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.path("terraform.log")).unwrap_or_default();
        log.lines()
            .filter(|line| {
                COMPLAINTS
                    .iter()
                    .any(|complaint| line.to_lowercase().contains(&complaint.to_lowercase()))
            })
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(
                self.complaints(),
                Vec::<String>::new(),
                "core complains about the provider"
            );
        }
    }
}

/// Waits for a run that [`Workspace::start`] began.
pub(crate) fn finish(child: Child) -> Run {
    let finished = child.wait_with_output().expect("terraform ends");
    let mut output = String::from_utf8_lossy(&finished.stdout).into_owned();
    output.push_str(&String::from_utf8_lossy(&finished.stderr));
    let mut diagnostics = Vec::new();
    let mut changes = Vec::new();
    for message in output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match message["type"].as_str() {
            Some("diagnostic") => {
                let diagnostic = &message["diagnostic"];
                diagnostics.push(Diagnostic {
                    severity: text(&diagnostic["severity"]),
                    summary: text(&diagnostic["summary"]),
                    detail: text(&diagnostic["detail"]),
                    line: text(&diagnostic["snippet"]["code"]).trim().to_owned(),
                });
            }
            Some("planned_change") => {
                let change = &message["change"];
                changes.push((text(&change["resource"]["addr"]), text(&change["action"])));
            }
            _ => {}
        }
    }
    // None when a signal ended it.
    Run {
        status: finished.status.code().unwrap_or(-1),
        diagnostics,
        changes,
        output,
    }
}

impl Run {
    /// Requires success without a message of any kind.
    #[track_caller]
    pub(crate) fn succeeded(&self) {
        assert!(
            self.status == 0 && self.diagnostics.is_empty(),
            "{:#?}\n{}",
            self.diagnostics,
            self.output
        );
    }

    /// Requires success; the only message may be that the server differs from what was applied.
    #[track_caller]
    pub(crate) fn repaired(&self) {
        let others: Vec<_> = self
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.summary != "Server differs from what was applied")
            .collect();
        assert!(
            self.status == 0 && others.is_empty(),
            "{others:#?}\n{}",
            self.output
        );
    }

    /// Requires a plan without changes.
    #[track_caller]
    pub(crate) fn is_empty(&self) {
        assert!(
            self.status == 0 && self.changes.is_empty() && self.diagnostics.is_empty(),
            "{:?}\n{:#?}\n{}",
            self.changes,
            self.diagnostics,
            self.output
        );
    }

    /// Requires a plan with exactly these changes.
    #[track_caller]
    pub(crate) fn changes(&self, expected: &[(&str, &str)]) {
        let changes: Vec<_> = self
            .changes
            .iter()
            .map(|(address, action)| (address.as_str(), action.as_str()))
            .collect();
        assert_eq!(
            (self.status, changes.as_slice()),
            (2, expected),
            "{}",
            self.output
        );
    }

    /// Requires failure with exactly one error, and returns it.
    #[track_caller]
    pub(crate) fn error(&self) -> Diagnostic {
        let errors: Vec<_> = self
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == "error")
            .collect();
        assert!(
            self.status == 1 && errors.len() == 1,
            "status {}, {errors:#?}\n{}",
            self.status,
            self.output
        );
        errors[0].clone()
    }
}

fn environment(aws: &LocalAws) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    let path = std::env::var("PATH").unwrap_or_default();
    let cache = |tool: &str| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{tool}-cache"));
        directory.display().to_string()
    };
    for (name, value) in [
        // The venv first: its uv is the pinned one.
        ("PATH", format!("{}:{path}", tools().venv_bin.display())),
        ("UV_CACHE_DIR", cache("uv")),
        ("npm_config_cache", cache("npm")),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ENDPOINT_URL", aws.endpoint.clone()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("CHECKPOINT_DISABLE", "1".to_owned()),
        ("TF_IN_AUTOMATION", "1".to_owned()),
        ("TF_INPUT", "0".to_owned()),
        ("TF_LOG", "warn".to_owned()),
    ] {
        environment.insert(name.to_owned(), value);
    }
    // How this machine reaches the internet is its own affair.
    let inherited = |name: &str| {
        let upper = name.to_ascii_uppercase();
        upper.ends_with("_PROXY")
            || upper.starts_with("SSL_CERT_")
            || upper == "NODE_EXTRA_CA_CERTS"
            || upper == "TMPDIR"
            || upper == "LANG"
    };
    environment.extend(std::env::vars().filter(|(name, _)| inherited(name)));
    environment
}
