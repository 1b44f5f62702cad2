//! What layers bring is found by programs and scripts, and layers are changed in place.

use std::io::Write;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::LayerVersionContentInput;
use serde_json::json;

use crate::custom::SHELL;
use crate::harness::aws::{Aws, REGION};
use crate::harness::local_aws::LocalAws;
use crate::harness::workspace::Workspace;

/// Publishes a version of the layer `tools` with one program, and returns its ARN.
fn publish(aws: &Aws, path: &str, text: &str) -> String {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    zip.start_file(path, options).expect("an entry");
    zip.write_all(text.as_bytes()).expect("its text");
    let zip = zip.finish().expect("a zip").into_inner();
    let content = LayerVersionContentInput::builder()
        .zip_file(Blob::new(zip))
        .build();
    let published = aws.run(
        aws.lambda
            .publish_layer_version()
            .layer_name("tools")
            .content(content)
            .send(),
    );
    published
        .expect("a layer is published")
        .layer_version_arn
        .expect("it has an ARN")
}

#[test]
fn a_program_that_a_layer_brings_is_started_and_layers_change_in_place() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let greets =
        |greeting: &str| SHELL.replace("cat data/greeting.txt", &format!("echo {greeting}"));
    let (first, second) = (
        publish(&aws, "bin/greeter", &greets("hello")),
        publish(&aws, "bin/greeter", &greets("goodbye")),
    );
    let main = |layers: &str| {
        format!(
            r#"
            resource "mcplambda_server" "layered" {{
              name    = "layered"
              command = "greeter"
              args    = ["world"]
              layers  = {layers}
            }}
            "#
        )
    };
    let with = |arn: &str| main(&format!("[{arn:?}]"));
    let workspace = Workspace::new(&local, None, &with(&first));
    workspace.converge();
    let made = workspace.resource("mcplambda_server.layered");
    let arn = made["qualified_arn"].as_str().expect("an ARN");
    let greet = || aws.tool_text(arn, "greet", &json!({}));
    assert_eq!(greet(), "hello world");

    workspace.write(&with(&second));
    workspace
        .plan()
        .changes(&[("mcplambda_server.layered", "update")]);
    workspace.converge();
    assert_eq!(greet(), "goodbye world");
    let changed = workspace.resource("mcplambda_server.layered");
    assert_eq!(changed["layers"], json!([second]));
    assert_eq!(changed["code_sha256"], made["code_sha256"]);

    // Someone else publishes a version with other layers, and has it served.
    aws.run(
        aws.lambda
            .update_function_configuration()
            .function_name("mcp-server-layered")
            .layers(&first)
            .send(),
    )
    .expect("changed by hand");
    aws.wait_until_updated("mcp-server-layered");
    let published = aws
        .run(
            aws.lambda
                .publish_version()
                .function_name("mcp-server-layered")
                .send(),
        )
        .expect("published by hand");
    aws.run(
        aws.lambda
            .update_alias()
            .function_name("mcp-server-layered")
            .name("live")
            .set_function_version(published.version)
            .send(),
    )
    .expect("moved by hand");
    workspace
        .plan()
        .changes(&[("mcplambda_server.layered", "update")]);
    workspace.apply().repaired();
    workspace.plan().is_empty();
    assert_eq!(greet(), "goodbye world");

    // Nothing brings the program any more.
    workspace.write(&main("[]"));
    let error = workspace.plan().error();
    assert_eq!(
        (error.summary.as_str(), error.line.as_str()),
        ("Invalid server", r#"command = "greeter""#)
    );
    workspace.write(&main(r#"["tools"]"#));
    let error = workspace.plan().error();
    assert!(
        error
            .detail
            .contains("must be the ARN of a version of a layer"),
        "{}",
        error.detail
    );
}

#[test]
fn a_script_imports_what_a_layer_brings() {
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let library = crate::harness::mcp_server::Server::new("layered", "4.0.0").source();
    let layer = publish(&aws, "python/layered.py", &library);
    let workspace = Workspace::new(
        &local,
        None,
        &format!(
            r#"
            resource "mcplambda_server" "script" {{
              name       = "script"
              command    = "python3"
              args       = ["main.py"]
              source_dir = "app"
              layers     = [{layer:?}]
            }}
            "#
        ),
    );
    std::fs::create_dir(workspace.path("app")).expect("made");
    workspace.file("app/main.py", "import layered\n\nlayered.main()\n");
    workspace.converge();
    let made = workspace.resource("mcplambda_server.script");
    let arn = made["qualified_arn"].as_str().expect("an ARN");
    assert_eq!(aws.tool_text(arn, "version", &json!({})), "4.0.0");
    assert_eq!(made["resolved_packages"], json!({}));
}
