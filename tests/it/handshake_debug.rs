//! Debug mode: a person starts the provider, and Terraform attaches to it.

use std::path::PathBuf;

use mcplambda::plugin::services::health::HealthCheckRequest;
use mcplambda::plugin::services::health::health_client::HealthClient;
use serde_json::{Value, json};

use crate::tfclient::connect::{Address, Security, connect};
use crate::tfclient::{Process, Start};

/// A provider in debug mode, and what the variable holds that it prints.
async fn debugged(option: &str) -> (Process, Value) {
    let mut start = Start::without_tls().arg(option);
    // A shell has none of a host's variables.
    for name in [
        "TF_PLUGIN_MAGIC_COOKIE",
        "PLUGIN_PROTOCOL_VERSIONS",
        "PLUGIN_MIN_PORT",
        "PLUGIN_MAX_PORT",
    ] {
        start = start.env_remove(name);
    }
    let mut process = Process::spawn(start.command());
    let line = process.first_line().await.expect("the variable");
    let quoted = line
        .strip_prefix("TF_REATTACH_PROVIDERS='")
        .and_then(|rest| rest.strip_suffix('\''))
        .unwrap_or_else(|| panic!("not an assignment: {line}"));
    let value = serde_json::from_str(quoted).expect("JSON");
    (process, value)
}

#[tokio::test]
async fn it_prints_how_to_attach_and_serves_until_ctrl_c() {
    for option in ["--debug", "-debug"] {
        let (process, value) = debugged(option).await;
        let address = &value["mcplambda/mcplambda"]["Addr"]["String"];
        let socket = PathBuf::from(address.as_str().expect("a path"));
        let expected = json!({
            "mcplambda/mcplambda": {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": process.id(),
                "Test": true,
                "Addr": { "Network": "unix", "String": socket },
            }
        });
        assert_eq!(value, expected);

        let channel = connect(Address::Unix(socket.clone()), Security::Plain).await;
        let mut health = HealthClient::new(channel.expect("it listens"));
        let request = HealthCheckRequest {
            service: "plugin".to_owned(),
        };
        health.check(request).await.expect("it answers");

        process.signal(libc::SIGINT);
        let ended = process.ended().await;
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(ended.stdout.len(), 1, "{:?}", ended.stdout);
        assert!(!socket.exists());
    }
}
