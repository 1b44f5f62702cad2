//! How the provider starts, and how it refuses to.

use serde_json::Value;

use crate::tfclient::connect::Address;
use crate::tfclient::{Ended, Start};

/// What a refusal said, after checking that it is one.
fn refusal(ended: Ended) -> String {
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.stdout, [""; 0], "a refusal prints nothing on stdout");
    ended.stderr.join("\n")
}

#[tokio::test]
async fn run_by_hand_it_explains_itself() {
    let by_hand = Start::default().env_remove("TF_PLUGIN_MAGIC_COOKIE");
    let told = refusal(by_hand.run().await);
    for part in [
        "Terraform starts it by itself",
        "source = \"mcplambda/mcplambda\"",
        "terraform init",
        "docs/index.md",
        "--version",
        "--debug",
    ] {
        assert!(told.contains(part), "{part:?} is missing in: {told}");
    }

    let wrong_cookie = Start::default().env("TF_PLUGIN_MAGIC_COOKIE", "chocolate chip");
    assert_eq!(refusal(wrong_cookie.run().await), told);
}

#[tokio::test]
async fn a_host_without_protocol_6_is_told_what_it_offers_and_what_is_needed() {
    let expected = |offered: &str| {
        format!(
            "terraform-provider-mcplambda: this provider speaks Terraform plugin protocol 6, but \
             the program that started it offers PLUGIN_PROTOCOL_VERSIONS=\"{offered}\"; use \
             Terraform 1.8 or OpenTofu 1.8, or newer"
        )
    };
    let old = Start::default().env("PLUGIN_PROTOCOL_VERSIONS", "4,5");
    assert_eq!(refusal(old.run().await), expected("4,5"));
    let silent = Start::default().env_remove("PLUGIN_PROTOCOL_VERSIONS");
    assert_eq!(refusal(silent.run().await), expected(""));
}

#[tokio::test]
async fn an_unreadable_client_certificate_is_refused_rather_than_ignored() {
    let garbage = Start::without_tls().env("PLUGIN_CLIENT_CERT", "garbage");
    let told = refusal(garbage.run().await);
    let expected = "terraform-provider-mcplambda: PLUGIN_CLIENT_CERT holds no readable PEM";
    assert!(told.starts_with(expected), "{told}");
}

#[tokio::test]
async fn unknown_arguments_are_refused_with_the_known_ones() {
    let ended = Start::default().arg("--serve").run().await;
    assert_eq!(ended.status.code(), Some(2));
    assert_eq!(ended.stdout, [""; 0]);
    let told = ended.stderr.join("\n");
    assert!(told.starts_with("terraform-provider-mcplambda: unknown arguments: --serve\n"));
    assert!(told.contains("--debug"), "{told}");
}

#[tokio::test]
async fn help_goes_to_stdout() {
    let ended = Start::default().arg("--help").run().await;
    assert!(ended.status.success());
    assert!(ended.stdout.join("\n").contains("--debug"));
    assert_eq!(ended.stderr, [""; 0]);
}

#[tokio::test]
async fn version_says_what_the_binary_is_made_of() {
    let ended = Start::default().arg("--version").run().await;
    assert!(ended.status.success());
    let expected = mcplambda::version::describe();
    assert_eq!(ended.stdout, expected.lines().collect::<Vec<_>>());
    assert_eq!(ended.stderr, [""; 0]);
}

#[tokio::test]
async fn the_handshake_line_is_all_that_is_ever_on_stdout() {
    // At the most talkative level, with calls of each service.
    let plugin = Start::default().env("TF_LOG", "TRACE").start().await;
    assert_eq!(plugin.line.core_protocol, "1");
    assert_eq!(plugin.line.app_protocol, "6");
    assert_eq!(plugin.line.transport, "grpc");
    assert_eq!(plugin.line.multiplex, None);
    assert!(plugin.line.certificate.is_some());
    let request = mcplambda::plugin::tfplugin6::get_metadata::Request {};
    plugin.provider().get_metadata(request).await.ok();

    let ended = plugin.shutdown().await;
    assert!(ended.status.success());
    assert_eq!(ended.stdout.len(), 1, "{:?}", ended.stdout);
}

#[tokio::test]
async fn a_host_that_knows_the_seventh_field_gets_it() {
    let asked = Start::default().env("PLUGIN_MULTIPLEX_GRPC", "true");
    let plugin = asked.start().await;
    assert_eq!(plugin.line.multiplex.as_deref(), Some("false"));
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn a_certificate_is_answered_with_one_and_its_absence_with_none() {
    let with = Start::default().start().await;
    assert!(with.line.certificate.is_some());
    assert!(matches!(with.line.address, Address::Unix(_)));
    assert!(with.shutdown().await.status.success());

    let without = Start::without_tls().start().await;
    assert_eq!(without.line.certificate, None);
    assert!(without.shutdown().await.status.success());
}

/// The lines on stderr, each of which must be what a Go host parses.
fn hclog_lines(ended: &Ended) -> Vec<Value> {
    let parse = |line: &String| {
        let value: Value = serde_json::from_str(line).expect("each line is JSON");
        for key in ["@timestamp", "@level", "@message", "@module"] {
            assert!(value[key].is_string(), "{key} is no string in {line}");
        }
        let timestamp = value["@timestamp"].as_str().expect("checked above");
        let shape: String = timestamp
            .chars()
            .map(|character| {
                if character.is_ascii_digit() {
                    '0'
                } else {
                    character
                }
            })
            .collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000000Z");
        let level = value["@level"].as_str().expect("checked above");
        assert!(["trace", "debug", "info", "warn", "error"].contains(&level));
        value
    };
    ended.stderr.iter().map(parse).collect()
}

#[tokio::test]
async fn log_lines_are_hclog_json_at_the_level_that_was_asked_for() {
    let level_of = async |name: &str, value: &str| {
        let plugin = Start::default().env(name, value).start().await;
        let lines = hclog_lines(&plugin.shutdown().await);
        let serving = lines.iter().find(|line| line["@message"] == "serving");
        (lines.len(), serving.cloned())
    };
    let (_, serving) = level_of("TF_LOG", "INFO").await;
    let serving = serving.expect("logged at INFO");
    assert_eq!(serving["@level"], "info");
    assert_eq!(serving["@module"], "mcplambda.plugin.serve");
    assert_eq!(serving["network"], "unix");
    assert_eq!(serving["tls"], true);

    assert_eq!(level_of("TF_LOG", "WARN").await, (0, None));
    assert_eq!(level_of("TF_LOG_PROVIDER", "OFF").await, (0, None));
    let (lines, serving) = level_of("TF_LOG_PROVIDER_MCPLAMBDA", "TRACE").await;
    assert!(serving.is_some() && lines > 1);
}

#[tokio::test]
async fn a_level_that_does_not_exist_is_complained_about_and_does_not_stop_the_work() {
    let plugin = Start::default().env("TF_LOG", "LOUD").start().await;
    let lines = hclog_lines(&plugin.shutdown().await);
    assert_eq!(lines[0]["@level"], "warn");
    let complaint = lines[0]["@message"].as_str().expect("text");
    assert!(complaint.starts_with("TF_LOG=\"LOUD\" is no log level"));
}
