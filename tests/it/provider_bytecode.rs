//! Whether a package has bytecode, as the real binary plans it: by the machine where the user does not say it, and never by itself.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use mcplambda::plugin::tfplugin6::{
    ClientCapabilities, apply_resource_change, configure_provider, plan_resource_change,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fake_sts::FakeSts;
use crate::framework_core::diagnostics;
use crate::package_support::{Index, Wheel, uv};
use crate::tfclient::schema::Schemas;
use crate::tfclient::value::{decode, null, unknown};
use crate::tfclient::{Plugin, Start};

const TYPE: &str = "mcplambda_server";

/// What a machine without a Python 3.13 says.
const NONE_HERE: &str = "`compile_bytecode` needs a Python 3.13 on this machine, as `python3.13` is; there is none on PATH, none of pyenv, and none \
                         that `uv` knows. Install one (`uv python install 3.13`), or set `compile_bytecode = false`: the server then starts later, \
                         and no otherwise";

/// A machine: a provider that runs on it, and the interpreters on its PATH.
struct Machine {
    plugin: Plugin,
    schemas: Schemas,
    asked: PathBuf,
    _home: TempDir,
    _sts: FakeSts,
}

impl Machine {
    /// With a Python 3.13, or without any.
    async fn start(index: &Index, has_python: bool) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let sts = FakeSts::of_account("123456789012");
        let (bin, asked) = (home.path().join("bin"), home.path().join("asked"));
        std::fs::create_dir(&bin).expect("a directory");
        if has_python {
            interpreter(&bin.join("python3.13"), &asked);
        }
        let plugin = Start::default()
            .env("HOME", home.path())
            .env("PATH", &bin)
            .env("UV_DEFAULT_INDEX", index.url())
            .env("UV_NO_CONFIG", "1")
            .env("AWS_ENDPOINT_URL_STS", &sts.url)
            .start()
            .await;
        let schemas = plugin.schemas().await;
        let config = json!({
            "region": "eu-north-1", "access_key": "AKID", "secret_key": "secret", "skip_credentials_validation": true,
            "uv_path": uv(), "cache_dir": home.path().join("cache"),
        });
        let request = configure_provider::Request {
            terraform_version: "1.16.0".to_owned(),
            config: Some(schemas.provider(&config)),
            client_capabilities: Some(ClientCapabilities::default()),
        };
        let answer = plugin.provider().configure_provider(request).await;
        let diagnostics = answer.expect("an answer").into_inner().diagnostics;
        assert_eq!(diagnostics, []);
        Self {
            plugin,
            schemas,
            asked,
            _home: home,
            _sts: sts,
        }
    }

    /// How often the interpreter was asked which it is.
    fn looks(&self) -> usize {
        let asked = std::fs::read_to_string(&self.asked).unwrap_or_default();
        asked.lines().count()
    }

    async fn create(&self, further: &Value, first: Option<&[u8]>) -> Planned {
        let config = config(further);
        let request = plan_resource_change::Request {
            prior_state: Some(null()),
            proposed_new_state: Some(self.schemas.proposed_new(TYPE, &config)),
            planned_private: first.unwrap_or_default().to_vec().into(),
            ..plan_resource_change::Request::default()
        };
        self.plan(&config, request).await
    }

    async fn update(&self, Deployed { state, private }: &Deployed, further: &Value) -> Planned {
        let config = config(further);
        let mut proposed = state.clone();
        for (name, value) in config.as_object().expect("an object") {
            proposed[name] = value.clone();
        }
        let request = plan_resource_change::Request {
            prior_state: Some(self.schemas.resource(TYPE, state)),
            proposed_new_state: Some(self.schemas.resource(TYPE, &proposed)),
            prior_private: private.to_string().into_bytes().into(),
            ..plan_resource_change::Request::default()
        };
        self.plan(&config, request).await
    }

    async fn plan(&self, config: &Value, request: plan_resource_change::Request) -> Planned {
        let request = plan_resource_change::Request {
            type_name: TYPE.to_owned(),
            config: Some(self.schemas.resource(TYPE, config)),
            client_capabilities: Some(ClientCapabilities {
                store_planned_private: true,
                ..ClientCapabilities::default()
            }),
            ..request
        };
        let answer = self.plugin.provider().plan_resource_change(request).await;
        let answer = answer.expect("an answer").into_inner();
        Planned {
            value: decode(answer.planned_state.as_ref()),
            private: answer.planned_private.to_vec(),
            said: diagnostics(&answer.diagnostics),
        }
    }
}

struct Planned {
    value: Value,
    private: Vec<u8>,
    said: Vec<String>,
}

impl Planned {
    fn decision(self) -> (Value, Vec<String>) {
        (self.value["compile_bytecode"].clone(), self.said)
    }
}

/// A server in the state, as it was applied.
struct Deployed {
    state: Value,
    private: Value,
}

/// An interpreter of this machine that calls itself 3.13, and keeps a list of when it was asked.
fn interpreter(path: &Path, asked: &Path) {
    let real = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .expect("python3 runs");
    let real = String::from_utf8(real.stdout).expect("text");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*sys.implementation.name*releaselevel*) echo asked >>'{}'; echo cpython 3 13 final 3.13.1 ;;\n*) exec {} \"$@\" ;;\nesac\n",
        asked.display(),
        real.trim()
    );
    std::fs::write(path, script).expect("to write");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
}

fn index() -> Index {
    let index = Index::start();
    for name in ["tiny-server", "tiny-library"] {
        index.release(&Wheel::new(name, "1.0").script(name, "tiny:main"));
    }
    index
}

fn config(further: &Value) -> Value {
    let mut config = json!({
        "name": "tiny", "command": "uvx", "args": ["tiny-server"], "verify": false, "role_arn": "arn:aws:iam::123456789012:role/tiny",
    });
    let attributes = config.as_object_mut().expect("an object");
    attributes.extend(further.as_object().expect("an object").clone());
    config
}

/// The server of [`config`], applied with or without bytecode.
async fn deployed(index: &Index, compiled: bool) -> Deployed {
    let machine = Machine::start(index, compiled).await;
    let mut state = machine.create(&json!({}), None).await.value;
    assert_eq!(state["compile_bytecode"], compiled);
    for value in state.as_object_mut().expect("an object").values_mut() {
        if *value == unknown() {
            *value = Value::Null;
        }
    }
    for (name, value) in [
        ("version", json!("1")),
        ("code_sha256", json!("abc")),
        ("package_size", json!(1)),
    ] {
        state[name] = value;
    }
    let private = json!({
        "source": "uvx python3.13 x86_64\ntiny-server", "launcher": ["python3.13", "-c", "code"], "code_sha256": "abc",
    });
    Deployed { state, private }
}

#[tokio::test]
async fn a_server_is_planned_with_bytecode_where_its_python_is_at_hand() {
    let index = index();
    let (with, without) = (
        Machine::start(&index, true).await,
        Machine::start(&index, false).await,
    );
    for (further, on_with, on_without) in [
        (json!({}), true, false),
        (json!({"compile_bytecode": false}), false, false),
        (json!({"runtime": "python3.12"}), false, false),
        (
            json!({"command": "bash", "args": ["-c", "exit"]}),
            false,
            false,
        ),
        (
            json!({"command": "python3", "args": ["-m", "tiny"], "packages": ["tiny-server"]}),
            true,
            false,
        ),
    ] {
        for (machine, expected) in [(&with, on_with), (&without, on_without)] {
            let planned = machine.create(&further, None).await.decision();
            assert_eq!(planned, (json!(expected), Vec::new()), "{further}");
        }
    }
    let asked = json!({"compile_bytecode": true});
    assert_eq!(
        with.create(&asked, None).await.decision(),
        (json!(true), Vec::new())
    );
    assert_eq!(
        without.create(&asked, None).await.said,
        [format!(
            "error: compile_bytecode: Packaging tool not usable: {NONE_HERE}."
        )]
    );
}

#[tokio::test]
async fn what_decides_it_and_is_unknown_leaves_it_unknown() {
    let index = index();
    let machine = Machine::start(&index, true).await;
    for name in ["args", "command", "runtime", "compile_bytecode"] {
        let planned = machine.create(&json!({ name: unknown() }), None).await;
        assert_eq!(planned.decision(), (unknown(), Vec::new()), "{name}");
    }
    assert_eq!(machine.looks(), 0);
}

#[tokio::test]
async fn nothing_flips_by_itself_and_nobody_looks() {
    let index = index();
    for compiled in [true, false] {
        let deployed = deployed(&index, compiled).await;
        for has_python in [true, false] {
            let machine = Machine::start(&index, has_python).await;
            let again = machine.update(&deployed, &json!({})).await;
            assert_eq!(
                (again.value, again.said),
                (deployed.state.clone(), Vec::new())
            );
            // Other arguments need no other package.
            let changed = json!({"args": ["tiny-server", "--verbose"], "memory": 512});
            let planned = machine.update(&deployed, &changed).await;
            assert_eq!(planned.value["code_sha256"], "abc");
            assert_eq!(planned.value["version"], unknown());
            assert_eq!(planned.decision(), (json!(compiled), Vec::new()));
            assert_eq!(machine.looks(), 0);
        }
    }
}

#[tokio::test]
async fn a_package_that_is_made_anew_is_decided_anew() {
    let index = index();
    let warning = format!(
        "warning: compile_bytecode: Package without bytecode: The package in service has its bytecode, and the one that is made next will have \
         none: {NONE_HERE}."
    );
    for (compiled, has_python, expected, said) in [
        (false, true, true, Vec::new()),
        (true, true, true, Vec::new()),
        (true, false, false, vec![warning.clone()]),
        (false, false, false, Vec::new()),
    ] {
        let deployed = deployed(&index, compiled).await;
        let machine = Machine::start(&index, has_python).await;
        let changed = json!({"packages": ["tiny-library"]});
        let planned = machine.update(&deployed, &changed).await;
        assert_eq!(planned.value["code_sha256"], unknown());
        assert_eq!(planned.decision(), (json!(expected), said));
        assert_eq!(machine.looks(), usize::from(has_python));
    }
    // What the user says needs no other reason.
    let with = Machine::start(&index, true).await;
    let without = Machine::start(&index, false).await;
    let (plain, compiled) = (deployed(&index, false).await, deployed(&index, true).await);
    let planned = without
        .update(&compiled, &json!({"compile_bytecode": false}))
        .await;
    assert_eq!(planned.value["code_sha256"], unknown());
    assert_eq!(planned.decision(), (json!(false), Vec::new()));
    let planned = with
        .update(&plain, &json!({"compile_bytecode": true}))
        .await;
    assert_eq!(planned.value["code_sha256"], unknown());
    assert_eq!(planned.decision(), (json!(true), Vec::new()));
    // And with what is there already nobody looks.
    let planned = without
        .update(&compiled, &json!({"compile_bytecode": true}))
        .await;
    assert_eq!(planned.value["code_sha256"], "abc");
    assert_eq!(planned.decision(), (json!(true), Vec::new()));
}

/// A lock that is known only after apply may turn out to be the one that is there.
#[tokio::test]
async fn a_package_that_is_perhaps_made_keeps_its_bytecode_or_leaves_it_to_apply() {
    let index = index();
    for (compiled, has_python, expected) in [
        (true, true, json!(true)),
        (false, false, json!(false)),
        (false, true, unknown()),
        (true, false, unknown()),
    ] {
        let deployed = deployed(&index, compiled).await;
        let machine = Machine::start(&index, has_python).await;
        let planned = machine.update(&deployed, &json!({"lock": unknown()})).await;
        assert_eq!(planned.decision().0, expected, "{compiled} {has_python}");
    }
}

#[tokio::test]
async fn apply_holds_to_the_plan_or_says_why_it_cannot() {
    let index = index();
    let (with, without) = (
        Machine::start(&index, true).await,
        Machine::start(&index, false).await,
    );
    let refused = format!(
        "error: compile_bytecode: Bytecode cannot be compiled here: The plan was made where a Python of the runtime's version compiles the \
         package, and this machine has none: {NONE_HERE}. Then plan again; nothing was deployed."
    );
    // Terraform plans again inside apply.
    let compiled = with.create(&json!({}), None).await;
    let again = without.create(&json!({}), Some(&compiled.private)).await;
    assert_eq!(again.said, std::slice::from_ref(&refused));
    let plain = without.create(&json!({}), None).await;
    let again = with.create(&json!({}), Some(&plain.private)).await;
    assert_eq!(again.value, plain.value);

    let request = apply_resource_change::Request {
        type_name: TYPE.to_owned(),
        prior_state: Some(null()),
        planned_state: Some(without.schemas.resource(TYPE, &compiled.value)),
        config: Some(without.schemas.resource(TYPE, &config(&json!({})))),
        planned_private: compiled.private.into(),
        ..apply_resource_change::Request::default()
    };
    let answer = without
        .plugin
        .provider()
        .apply_resource_change(request)
        .await;
    let answer = answer.expect("an answer").into_inner();
    assert_eq!(diagnostics(&answer.diagnostics), [refused]);
    assert_eq!(decode(answer.new_state.as_ref()), Value::Null);
}
