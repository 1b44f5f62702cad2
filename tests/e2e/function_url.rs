//! The function URL of a server: made, changed in place, put right, taken away and imported; and of the alias's policy nothing
//! that is not the provider's.

use aws_sdk_lambda::types;
use serde_json::{Value, json};

use crate::harness::aws::{Aws, REGION};
use crate::harness::http;
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::workspace::Workspace;

const ADDRESS: &str = "mcplambda_server.tools";
const FUNCTION: &str = "mcp-server-tools";
const OURS: [&str; 2] = ["mcplambda-function-url", "mcplambda-function-url-invoke"];
const CORS: &str = r#"  function_url = {
    auth_type       = "NONE"
    invoke_mode     = "RESPONSE_STREAM"
    allowed_origins = ["https://example.com", "https://example.org"]
    cors = {
      allow_origins  = ["https://example.com"]
      allow_methods  = ["POST"]
      allow_headers  = ["Content-Type", "mcp-protocol-version"]
      expose_headers = ["mcp-session-id"]
      max_age        = 600
    }
  }"#;

/// The resource with these further lines.
fn server(lines: &str) -> String {
    format!(
        "resource \"mcplambda_server\" \"tools\" {{\n  name = \"tools\"\n  command = \"uvx\"\n  args = [\"tiny-tools\"]\n{lines}\n}}\n"
    )
}

struct Scene {
    workspace: Workspace,
    aws: Aws,
    local: LocalAws,
    index: Index,
}

/// A server with these lines, applied.
fn applied(lines: &str) -> Scene {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(&local, Some(&index), &server(lines));
    workspace.converge();
    Scene {
        workspace,
        aws: Aws::new(&local, REGION),
        local,
        index,
    }
}

impl Scene {
    /// The alias's URL as AWS has it: authentication, invoke mode and CORS; `None` when there is none.
    fn url(&self) -> Option<(String, String, Option<types::Cors>)> {
        let call = self
            .aws
            .lambda
            .get_function_url_config()
            .function_name(FUNCTION)
            .qualifier("live")
            .send();
        match self.aws.run(call) {
            Ok(url) => Some((
                url.auth_type.as_str().to_owned(),
                url.invoke_mode
                    .map_or_else(String::new, |mode| mode.as_str().to_owned()),
                url.cors,
            )),
            Err(error) => {
                let error = error.into_service_error();
                assert!(error.is_resource_not_found_exception(), "{error:?}");
                None
            }
        }
    }

    /// Ids of the statements in the alias's policy.
    fn statements(&self) -> Vec<String> {
        let call = self
            .aws
            .lambda
            .get_policy()
            .function_name(FUNCTION)
            .qualifier("live")
            .send();
        let policy = match self.aws.run(call) {
            Ok(answer) => answer.policy.expect("a policy"),
            Err(error) => {
                let error = error.into_service_error();
                assert!(error.is_resource_not_found_exception(), "{error:?}");
                return Vec::new();
            }
        };
        let policy: Value = serde_json::from_str(&policy).expect("JSON");
        let mut ids: Vec<String> = policy["Statement"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|statement| statement["Sid"].as_str().expect("an id").to_owned())
            .collect();
        ids.sort();
        ids
    }

    /// Puts a statement of somebody else into the alias's policy.
    fn let_the_gateway_in(&self) {
        self.aws
            .run(
                self.aws
                    .lambda
                    .add_permission()
                    .function_name(FUNCTION)
                    .qualifier("live")
                    .statement_id("gateway")
                    .action("lambda:InvokeFunction")
                    .principal("bedrock-agentcore.amazonaws.com")
                    .send(),
            )
            .expect("added");
    }

    /// The status that a request for the tools gets, and the tools' names.
    fn tools(&self, signed: bool) -> (u16, Vec<String>) {
        let url = self.workspace.resource(ADDRESS)["url"].clone();
        let mut headers = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2025-06-18"),
        ];
        // local-aws looks whether there is a signature, not whether it is right.
        if signed {
            headers.push((
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-central-1/lambda/aws4_request, SignedHeaders=host, Signature=0",
            ));
        }
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        let url = url.as_str().expect("an address");
        let (status, body) = http::request_with("POST", url, &headers, &request.to_string());
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        let tools = body["result"]["tools"].as_array().cloned();
        let name = |tool: &Value| tool["name"].as_str().expect("a name").to_owned();
        (status, tools.unwrap_or_default().iter().map(name).collect())
    }

    /// What the bridge is told about HTTP.
    fn http(&self) -> Value {
        let environment = self.aws.configuration(FUNCTION).environment;
        let variables = environment.and_then(|environment| environment.variables);
        let server = &variables.expect("variables")["MCPLAMBDA_SERVER"];
        let server: Value = serde_json::from_str(server).expect("JSON");
        server["http"].clone()
    }
}

#[test]
fn a_url_is_made_with_the_server_changed_in_place_and_taken_away() {
    let scene = applied("  function_url = {}");
    let made = scene.workspace.resource(ADDRESS);
    let address = made["url"].as_str().expect("an address").to_owned();
    assert!(address.starts_with("http"), "{address}");
    assert_eq!(
        made["function_url"],
        json!({"auth_type": "AWS_IAM", "invoke_mode": "BUFFERED", "allowed_origins": null, "cors": null})
    );
    let (auth, mode, _) = scene.url().expect("a URL");
    assert_eq!((auth.as_str(), mode.as_str()), ("AWS_IAM", "BUFFERED"));
    assert_eq!(scene.statements(), Vec::<String>::new());
    assert_eq!(scene.http(), Value::Null);
    let tools = ["echo", "pid", "version", "environment"].map(str::to_owned);
    assert_eq!(scene.tools(false), (403, vec![]));
    assert_eq!(scene.tools(true), (200, tools.to_vec()));
    scene.let_the_gateway_in();

    scene.workspace.write(&server(CORS));
    scene.workspace.plan().changes(&[(ADDRESS, "update")]);
    scene.workspace.converge();
    let (auth, mode, cors) = scene.url().expect("a URL");
    assert_eq!((auth.as_str(), mode.as_str()), ("NONE", "RESPONSE_STREAM"));
    let cors = cors.expect("CORS");
    assert_eq!(cors.allow_origins(), ["https://example.com"]);
    assert_eq!(cors.max_age, Some(600));
    assert_eq!(scene.statements(), ["gateway", OURS[0], OURS[1]]);
    assert_eq!(scene.tools(false), (200, tools.to_vec()));
    assert_eq!(
        scene.http(),
        json!({"stream": true, "allowed_origins": ["https://example.com", "https://example.org"], "cors": false})
    );
    assert_eq!(scene.workspace.resource(ADDRESS)["url"], address.as_str());

    scene
        .workspace
        .write(&server("  function_url = { auth_type = \"AWS_IAM\" }"));
    scene.workspace.plan().changes(&[(ADDRESS, "update")]);
    scene.workspace.converge();
    assert_eq!(scene.statements(), ["gateway"]);
    assert_eq!(scene.tools(false), (403, vec![]));

    scene.workspace.write(&server(""));
    scene.workspace.plan().changes(&[(ADDRESS, "update")]);
    scene.workspace.converge();
    assert_eq!(scene.url(), None);
    assert_eq!(scene.statements(), ["gateway"]);
    assert_eq!(scene.workspace.resource(ADDRESS)["url"], Value::Null);
    scene.workspace.destroy().succeeded();
    assert_eq!(scene.aws.everything(), Vec::<String>::new());
}

/// Meddles with a public URL, and requires that the plan sees it and the apply puts it right.
fn repairs(meddle: impl FnOnce(&Aws)) {
    let scene = applied(CORS);
    let before = scene.url();
    meddle(&scene.aws);
    scene.workspace.plan().changes(&[(ADDRESS, "update")]);
    scene.workspace.apply().repaired();
    scene.workspace.plan().is_empty();
    assert_eq!(scene.url(), before);
    assert_eq!(scene.statements(), OURS);
}

#[test]
fn a_url_that_was_changed_is_set_back() {
    repairs(|aws| {
        aws.run(
            aws.lambda
                .update_function_url_config()
                .function_name(FUNCTION)
                .qualifier("live")
                .auth_type(types::FunctionUrlAuthType::AwsIam)
                .invoke_mode(types::InvokeMode::Buffered)
                .cors(types::Cors::builder().allow_origins("*").build())
                .send(),
        )
        .expect("updated");
    });
}

#[test]
fn a_url_that_was_deleted_is_made_again() {
    repairs(|aws| {
        aws.run(
            aws.lambda
                .delete_function_url_config()
                .function_name(FUNCTION)
                .qualifier("live")
                .send(),
        )
        .expect("deleted");
    });
}

#[test]
fn a_statement_that_was_removed_is_made_again() {
    repairs(|aws| {
        aws.run(
            aws.lambda
                .remove_permission()
                .function_name(FUNCTION)
                .qualifier("live")
                .statement_id(OURS[1])
                .send(),
        )
        .expect("removed");
    });
}

#[test]
fn an_import_recovers_the_url() {
    let scene = applied(CORS);
    let made = scene.workspace.resource(ADDRESS);
    // Lambda takes the names of headers in any spelling; an import gives them in lower case.
    let lines = CORS.replace("Content-Type", "content-type");
    let second = Workspace::new(&scene.local, Some(&scene.index), &server(&lines));
    let run = second.run(&["import", "-no-color", ADDRESS, FUNCTION]);
    assert_eq!(run.status, 0, "{}", run.output);
    second.plan().is_empty();
    let imported = second.resource(ADDRESS);
    assert_eq!(imported["url"], made["url"]);
    assert_eq!(
        imported["function_url"]["allowed_origins"],
        made["function_url"]["allowed_origins"]
    );
}

#[test]
fn a_url_goes_with_its_alias_to_another_one() {
    let scene = applied("  function_url = { auth_type = \"NONE\" }");
    let former = scene.workspace.resource(ADDRESS)["url"].clone();
    scene.workspace.write(&server(
        "  function_url = { auth_type = \"NONE\" }\n  alias = \"prod\"",
    ));
    scene.workspace.plan().changes(&[(ADDRESS, "update")]);
    scene.workspace.converge();
    assert_ne!(scene.workspace.resource(ADDRESS)["url"], former);
    assert_eq!(scene.url(), None);
    assert_eq!(scene.tools(false).0, 200);
}
