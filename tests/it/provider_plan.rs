//! The plan of a server through the real binary: where Terraform hands private state back to later plans, versions are planned and stay; elsewhere they are left to apply.

use std::path::PathBuf;

use mcplambda::plugin::tfplugin6::{ClientCapabilities, configure_provider, plan_resource_change};
use serde_json::{Value, json};

use crate::framework_core::diagnostics;
use crate::package_support::{Index, Wheel, uv};
use crate::tfclient::value::{decode, null, unknown};
use crate::tfclient::{Plugin, Start};

const TYPE: &str = "mcplambda_server";

fn release(index: &Index, version: &str) -> String {
    index.release(&Wheel::new("tiny-server", version).script("tiny-server", "tiny_server:main"))
}

async fn started(index: &Index, home: &std::path::Path) -> Plugin {
    let start = Start::default()
        .env("UV_DEFAULT_INDEX", index.url())
        .env("UV_NO_CONFIG", "1");
    started_with(start, Some(uv()), home).await
}

async fn started_with(start: Start, uv: Option<PathBuf>, home: &std::path::Path) -> Plugin {
    let plugin = start.env("HOME", home).start().await;
    let config = json!({
        "region": "eu-north-1", "access_key": "AKID", "secret_key": "secret", "skip_credentials_validation": true,
        "uv_path": uv, "cache_dir": home.join("cache"),
    });
    let request = configure_provider::Request {
        terraform_version: "1.16.0".to_owned(),
        config: Some(plugin.schemas().await.provider(&config)),
        client_capabilities: Some(ClientCapabilities::default()),
    };
    let answer = plugin.provider().configure_provider(request).await;
    let diagnostics = answer.expect("an answer").into_inner().diagnostics;
    assert_eq!(diagnostics, []);
    plugin
}

/// Plans the creation of a server; `first` is what the first plan of the same change left in private state.
async fn plan(plugin: &Plugin, keeps_private: bool, first: Option<&[u8]>) -> (Value, Vec<u8>) {
    plan_with(plugin, &json!({}), keeps_private, first).await
}

/// As [`plan`], with further attributes.
async fn plan_with(
    plugin: &Plugin,
    further: &Value,
    keeps_private: bool,
    first: Option<&[u8]>,
) -> (Value, Vec<u8>) {
    let answer = answer(plugin, further, keeps_private, first).await;
    assert_eq!(answer.diagnostics, []);
    (
        decode(answer.planned_state.as_ref()),
        answer.planned_private.to_vec(),
    )
}

async fn answer(
    plugin: &Plugin,
    further: &Value,
    keeps_private: bool,
    first: Option<&[u8]>,
) -> plan_resource_change::Response {
    let mut config = json!({"name": "tiny", "command": "uvx", "args": ["tiny-server"]});
    let attributes = config.as_object_mut().expect("an object");
    attributes.extend(further.as_object().expect("an object").clone());
    let schemas = plugin.schemas().await;
    let request = plan_resource_change::Request {
        type_name: TYPE.to_owned(),
        prior_state: Some(null()),
        proposed_new_state: Some(schemas.proposed_new(TYPE, &config)),
        config: Some(schemas.resource(TYPE, &config)),
        client_capabilities: Some(ClientCapabilities {
            store_planned_private: keeps_private,
            ..ClientCapabilities::default()
        }),
        planned_private: first.unwrap_or_default().to_vec().into(),
        ..plan_resource_change::Request::default()
    };
    let answer = plugin.provider().plan_resource_change(request).await;
    answer.expect("an answer").into_inner()
}

#[tokio::test]
async fn where_private_state_is_kept_the_versions_of_the_first_plan_stay() {
    let (index, home) = (Index::start(), tempfile::tempdir().expect("a directory"));
    let hash = release(&index, "1.0");
    let (planned, private) = plan(&started(&index, home.path()).await, true, None).await;
    assert_eq!(
        planned["lock"],
        format!("tiny-server==1.0 --hash=sha256:{hash}\n")
    );
    assert_eq!(planned["resolved_packages"], json!({"tiny-server": "1.0"}));
    let sbom: Value = serde_json::from_str(planned["sbom_json"].as_str().expect("text"))
        .expect("a bill of materials");
    assert_eq!(
        sbom["components"],
        json!([{
            "type": "library",
            "bom-ref": "pkg:pypi/tiny-server@1.0",
            "name": "tiny-server",
            "version": "1.0",
            "hashes": [{"alg": "SHA-256", "content": hash}],
            "purl": "pkg:pypi/tiny-server@1.0",
        }])
    );

    // Plan runs again inside apply, in another process, after the index has released a newer version.
    release(&index, "2.0");
    let empty = tempfile::tempdir().expect("a directory");
    let (again, _) = plan(&started(&index, empty.path()).await, true, Some(&private)).await;
    assert_eq!(again, planned);
}

#[tokio::test]
async fn where_private_state_is_not_kept_versions_are_left_to_apply() {
    let (index, home) = (Index::start(), tempfile::tempdir().expect("a directory"));
    release(&index, "1.0");
    let (planned, _) = plan(&started(&index, home.path()).await, false, None).await;
    assert_eq!(planned["lock"], unknown());
    assert_eq!(planned["resolved_packages"], unknown());
    assert_eq!(planned["sbom_json"], unknown());
    assert_eq!(planned["function_name"], "mcp-server-tiny");
    assert_eq!(planned["runtime"], "python3.13");
}

#[tokio::test]
async fn what_the_bridge_and_lambda_are_told_is_planned_with_its_defaults() {
    let (index, home) = (Index::start(), tempfile::tempdir().expect("a directory"));
    release(&index, "1.0");
    let plugin = started(&index, home.path()).await;
    let (planned, _) = plan(&plugin, false, None).await;
    assert_eq!(
        [
            "log_format",
            "metrics",
            "tracing",
            "function_url",
            "url",
            "secrets",
            "tool_prefix"
        ]
        .map(|attribute| planned[attribute].clone()),
        [
            json!("Text"),
            json!(false),
            json!("PassThrough"),
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null
        ]
    );

    let secret = "arn:aws:secretsmanager:eu-north-1:123456789012:secret:key-AbCdEf:user::";
    let further = json!({
        "function_url": {"cors": {"allow_origins": ["https://example.com"]}},
        "secrets": {"KEY": secret},
        "secrets_ttl": 60,
        "include_tools": ["get_*"],
        "exclude_tools": ["get_secret"],
        "tool_prefix": "tiny_",
        "log_format": "JSON",
        "metrics": true,
        "tracing": "Active",
    });
    let (planned, _) = plan_with(&plugin, &further, false, None).await;
    assert_eq!(planned["url"], unknown());
    assert_eq!(
        planned["function_url"],
        json!({
            "auth_type": "AWS_IAM",
            "invoke_mode": "BUFFERED",
            "allowed_origins": null,
            "cors": {
                "allow_origins": ["https://example.com"],
                "allow_methods": null,
                "allow_headers": null,
                "expose_headers": null,
                "allow_credentials": false,
                "max_age": 0,
            },
        })
    );
    for attribute in [
        "secrets",
        "secrets_ttl",
        "include_tools",
        "exclude_tools",
        "tool_prefix",
        "log_format",
        "metrics",
        "tracing",
    ] {
        assert_eq!(planned[attribute], further[attribute], "{attribute}");
    }
}

#[tokio::test]
async fn releases_that_are_too_fresh_or_yanked_are_told_where_they_are_asked_for() {
    let (index, home) = (Index::start(), tempfile::tempdir().expect("a directory"));
    let wheel = |version: &str| {
        Wheel::new("tiny-server", version).script("tiny-server", "tiny_server:main")
    };
    index.release_at(&wheel("1.0"), "2020-01-01T00:00:00Z");
    index.yank(&wheel("1.0"), "broken on Mondays");
    index.release_at(&wheel("1.1"), "2020-01-01T00:00:00Z");
    // Of the future, and so of no age.
    index.release_at(&wheel("2.0"), "2100-01-01T00:00:00Z");
    let plugin = started(&index, home.path()).await;
    let said = async |further: Value| {
        let answer = answer(&plugin, &further, true, None).await;
        let planned = decode(answer.planned_state.as_ref());
        (
            diagnostics(&answer.diagnostics),
            planned["resolved_packages"].clone(),
        )
    };
    assert_eq!(
        said(json!({"minimum_package_age": 0.5})).await,
        (Vec::new(), json!({"tiny-server": "1.1"}))
    );
    assert_eq!(
        said(json!({"args": ["tiny-server==2.0"], "minimum_package_age": 7}))
            .await
            .0,
        [
            "error: args[0]: Packages cannot be resolved: `tiny-server 2.0` was published 0 hours ago, and `minimum_package_age` is 7 days. Ask for \
             an older release, or lower `minimum_package_age`"
        ]
    );
    assert_eq!(
        said(json!({"args": ["tiny-server==1.0"]})).await,
        (
            vec![
                "warning: args[0]: Yanked release: `tiny-server 1.0` was yanked: its publishers say that nobody should use it (broken on Mondays). It \
                 is installed all the same, as it was asked for by its version; ask for another one."
                    .to_owned()
            ],
            json!({"tiny-server": "1.0"})
        )
    );
    let image =
        json!({"command": "docker", "args": ["run", "mcp/fetch"], "minimum_package_age": 1});
    assert_eq!(
        said(image).await.0,
        [
            "error: minimum_package_age: Invalid server: Minimum_package_age: the packages in the image `docker.io/mcp/fetch:latest` were chosen when it was built, \
             and none is chosen here; remove it, and name a digest of the image if it is to stay the same."
        ]
    );
}

#[tokio::test]
async fn a_plan_of_a_node_folder_needs_no_npm() {
    let home = tempfile::tempdir().expect("a directory");
    let folder = home.path().join("app");
    std::fs::create_dir(&folder).expect("a folder");
    let integrity = format!("sha512-{}==", "A".repeat(86));
    let manifest = json!({"dependencies": {"lib": "^1"}});
    let lock = json!({"lockfileVersion": 3, "packages": {
        "": manifest, "node_modules/lib": {"version": "1.0.0", "integrity": integrity},
    }});
    for (name, text) in [
        ("server.js", "require('lib')\n".to_owned()),
        ("package.json", manifest.to_string()),
        ("package-lock.json", lock.to_string()),
    ] {
        std::fs::write(folder.join(name), text).expect("written");
    }
    // None is there, and none could be fetched.
    let start = Start::default()
        .env("PATH", "/nonexistent")
        .env("npm_config_registry", "http://127.0.0.1:9/");
    let plugin = started_with(start, None, home.path()).await;
    let further = json!({"command": "node", "args": ["server.js"], "source_dir": folder});
    let (planned, _) = plan_with(&plugin, &further, true, None).await;
    assert_eq!(planned["lock"], format!("lib@1.0.0 {integrity}\n"));
    assert_eq!(planned["resolved_packages"], json!({"lib": "1.0.0"}));
    assert!(!home.path().join("cache").exists());
}
