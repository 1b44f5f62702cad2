//! What the bridge and Lambda are told beside the command line: secrets by reference, the tool filter, logs, metrics and traces.

use serde_json::{Value, json};

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::workspace::Workspace;

const ADDRESS: &str = "mcplambda_server.tools";
const FUNCTION: &str = "mcp-server-tools";
const ROLE: &str = "mcp-server-tools-eu-central-1";
const VALUE: &str = "a-value-that-nobody-else-sees";

/// The resource with these further lines.
fn server(lines: &str) -> String {
    format!(
        "resource \"mcplambda_server\" \"tools\" {{\n  name = \"tools\"\n  command = \"uvx\"\n  args = [\"tiny-tools\"]\n{lines}\n}}\n"
    )
}

fn index() -> Index {
    Index::with([Server::new("tiny-tools", "1.0.0")])
}

/// A secret whose JSON holds [`VALUE`] under `key`, and a parameter that is [`VALUE`]: their ARNs.
fn secrets(local: &LocalAws) -> (String, String) {
    let secret = json!({"Name": "tools/key", "SecretString": json!({"key": VALUE}).to_string()});
    let secret = local.call("secretsmanager", "secretsmanager.CreateSecret", &secret);
    let parameter = json!({"Name": "/tools/token", "Value": VALUE, "Type": "SecureString"});
    local.call("ssm", "AmazonSSM.PutParameter", &parameter);
    let parameter = local.call(
        "ssm",
        "AmazonSSM.GetParameter",
        &json!({"Name": "/tools/token"}),
    );
    let arn = |arn: &Value| arn.as_str().expect("an ARN").to_owned();
    (arn(&secret["ARN"]), arn(&parameter["Parameter"]["ARN"]))
}

/// Statements of the managed role's own policy.
fn statements(aws: &Aws) -> Vec<Value> {
    let call = aws
        .iam
        .get_role_policy()
        .role_name(ROLE)
        .policy_name("mcplambda");
    let document = aws.run(call.send()).expect("a policy").policy_document;
    let document = percent_encoding::percent_decode_str(&document);
    let document: Value =
        serde_json::from_str(&document.decode_utf8().expect("text")).expect("JSON");
    document["Statement"].as_array().expect("a list").clone()
}

#[test]
fn secrets_reach_the_server_and_nothing_else() {
    let (local, index) = (LocalAws::start(), index());
    let (secret, parameter) = secrets(&local);
    let main = server(&format!(
        "  secrets = {{\n    API_KEY = \"{secret}:key::\"\n    TOKEN = \"{parameter}\"\n  }}\n  secrets_ttl = 300"
    ));
    let workspace = Workspace::new(&local, Some(&index), &main);
    workspace.converge();
    let aws = Aws::new(&local, REGION);
    let arn = workspace.resource(ADDRESS)["qualified_arn"]
        .as_str()
        .expect("an ARN")
        .to_owned();
    for name in ["API_KEY", "TOKEN"] {
        assert_eq!(
            aws.tool_text(&arn, "environment", &json!({"name": name})),
            VALUE
        );
    }

    let state = std::fs::read_to_string(workspace.path("terraform.tfstate")).expect("a state");
    assert!(state.contains(&secret) && !state.contains(VALUE));
    let environment = aws.configuration(FUNCTION).environment;
    let variables = environment.and_then(|environment| environment.variables);
    let variables = variables.expect("variables");
    assert!(!format!("{variables:?}").contains(VALUE));
    assert!(!variables.contains_key("API_KEY"));
    let told: Vec<_> = statements(&aws)
        .into_iter()
        .filter(|statement| statement["Sid"] != "Logs")
        .map(|statement| (statement["Action"].clone(), statement["Resource"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            (json!("secretsmanager:GetSecretValue"), json!([secret])),
            (json!("kms:Decrypt"), json!("*")),
            (json!("ssm:GetParameter"), json!([parameter])),
            (json!("kms:Decrypt"), json!("*")),
        ]
    );

    // An import knows the references, and a server without them has no permission for them.
    let second = Workspace::new(&local, Some(&index), &main);
    let run = second.run(&["import", "-no-color", ADDRESS, FUNCTION]);
    assert_eq!(run.status, 0, "{}", run.output);
    second.plan().is_empty();
    workspace.write(&server(""));
    workspace.plan().changes(&[(ADDRESS, "update")]);
    workspace.converge();
    assert_eq!(statements(&aws).len(), 1);
    assert_eq!(
        aws.tool_text(&arn, "environment", &json!({"name": "API_KEY"})),
        ""
    );
}

#[test]
fn a_secret_that_is_not_there_is_told_by_variable_and_reference() {
    let (local, index) = (LocalAws::start(), index());
    let missing = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:missing-AbCdEf";
    let main = server(&format!("  secrets = {{ API_KEY = \"{missing}\" }}"));
    let workspace = Workspace::new(&local, Some(&index), &main);
    let error = workspace.apply().error();
    assert!(
        error.detail.contains("API_KEY") && error.detail.contains(missing),
        "{error:?}"
    );
}

#[test]
fn callers_see_the_tools_that_the_filter_shows() {
    let (local, index) = (LocalAws::start(), index());
    let main = server(
        "  include_tools = [\"e*\", \"pid\"]\n  exclude_tools = [\"environment\"]\n  tool_prefix = \"tiny_\"",
    );
    let workspace = Workspace::new(&local, Some(&index), &main);
    workspace.converge();
    let aws = Aws::new(&local, REGION);
    let made = workspace.resource(ADDRESS);
    let names: Vec<_> = made["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .map(|tool| tool["name"].clone())
        .collect();
    assert_eq!(names, [json!("tiny_echo"), json!("tiny_pid")]);
    let arn = made["qualified_arn"].as_str().expect("an ARN");
    assert_eq!(
        aws.tool_text(arn, "tiny_echo", &json!({"a": 1})),
        "{\"a\": 1}"
    );
    let hidden = aws.call_tool(arn, "tiny_environment", &json!({"name": "HOME"}));
    assert_ne!(hidden.payload["isError"], json!(false), "{hidden:?}");

    let second = Workspace::new(&local, Some(&index), &main);
    let run = second.run(&["import", "-no-color", ADDRESS, FUNCTION]);
    assert_eq!(run.status, 0, "{}", run.output);
    second.plan().is_empty();

    workspace.write(&server(""));
    workspace.converge();
    let tools = workspace.resource(ADDRESS)["tools"].clone();
    assert_eq!(tools.as_array().map(Vec::len), Some(4), "{tools}");
}

#[test]
fn logs_metrics_and_traces_are_set_found_changed_and_imported() {
    let (local, index) = (LocalAws::start(), index());
    let main = server("  log_format = \"JSON\"\n  metrics = true\n  tracing = \"Active\"");
    let workspace = Workspace::new(&local, Some(&index), &main);
    workspace.converge();
    let aws = Aws::new(&local, REGION);
    let seen = || {
        let configuration = aws.configuration(FUNCTION);
        let logging = configuration.logging_config.expect("a logging config");
        let tracing = configuration.tracing_config.expect("a tracing config");
        (
            logging.log_format.map(|format| format.as_str().to_owned()),
            logging.log_group,
            tracing.mode.map(|mode| mode.as_str().to_owned()),
        )
    };
    let wanted = (
        Some("JSON".to_owned()),
        Some(format!("/aws/lambda/{FUNCTION}")),
        Some("Active".to_owned()),
    );
    assert_eq!(seen(), wanted);
    assert!(
        statements(&aws)
            .iter()
            .any(|statement| statement["Sid"] == "Traces")
    );

    aws.run(
        aws.lambda
            .update_function_configuration()
            .function_name(FUNCTION)
            .logging_config(
                aws_sdk_lambda::types::LoggingConfig::builder()
                    .log_format(aws_sdk_lambda::types::LogFormat::Text)
                    .log_group("/elsewhere")
                    .build(),
            )
            .tracing_config(
                aws_sdk_lambda::types::TracingConfig::builder()
                    .mode(aws_sdk_lambda::types::TracingMode::PassThrough)
                    .build(),
            )
            .send(),
    )
    .expect("updated");
    aws.wait_until_updated(FUNCTION);
    workspace.plan().changes(&[(ADDRESS, "update")]);
    workspace.apply().repaired();
    workspace.plan().is_empty();
    assert_eq!(seen(), wanted);

    let second = Workspace::new(&local, Some(&index), &main);
    let run = second.run(&["import", "-no-color", ADDRESS, FUNCTION]);
    assert_eq!(run.status, 0, "{}", run.output);
    second.plan().is_empty();

    workspace.write(&server(""));
    workspace.converge();
    assert_eq!(
        seen(),
        (
            Some("Text".to_owned()),
            Some(format!("/aws/lambda/{FUNCTION}")),
            Some("PassThrough".to_owned())
        )
    );
    assert_eq!(statements(&aws).len(), 1);
}
