//! A server that is a container image: from `docker run` in a configuration to tools that answer, without Docker.

use std::process::Command;

use serde_json::json;

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::workspace::Workspace;
use crate::registry::{TestImage, TestRegistry};

/// An MCP server of a shell's builtins alone: the image holds nothing else.
const SERVER: &str = r#"#!/bin/sh
while read -r line; do
  id=${line#*'"id":'}
  [ "$id" != "$line" ] || continue
  id=${id%%[,\}]*}
  case $line in
    *'"initialize"'*) result='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"boxed","version":"1"}}' ;;
    *'"tools/list"'*) result='{"tools":[{"name":"greet","description":"Greets.","inputSchema":{"type":"object"}}]}' ;;
    *'"tools/call"'*) result='{"content":[{"type":"text","text":"'"$GREETING $1 in $PWD with $BAKED"'"}],"isError":false}' ;;
    *) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}\n' "$id"; continue ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
"#;

/// `/bin/sh` of this machine and the libraries that it needs, with the server in front.
pub(crate) fn image() -> TestImage {
    let output = Command::new("ldd").arg("/bin/sh").output();
    let output = String::from_utf8(output.expect("ldd runs").stdout).expect("text");
    let libraries = output
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    let mut image = TestImage::new("amd64", SERVER.as_bytes());
    for path in libraries.chain(["/bin/sh"]) {
        let content = std::fs::read(path).expect("a file of the shell");
        image.files.push((path[1..].to_owned(), content));
    }
    image.settings = json!({
        "Entrypoint": ["/app/server"], "Cmd": ["world"], "WorkingDir": "/app", "Env": ["BAKED=flour", "PATH=/bin"],
    });
    image
}

fn main_of(image: &str, options: &str, args: &str) -> String {
    main_with(image, options, args, "")
}

/// With a further line.
fn main_with(image: &str, options: &str, args: &str, line: &str) -> String {
    format!(
        r#"
resource "mcplambda_server" "boxed" {{
  name    = "boxed"
  command = "docker"
  args    = ["run", "-i", "--rm", "-e", "GREETING=hello"{options}, "{image}"{args}]
  {line}
}}
"#
    )
}

const ADDRESS: &str = "mcplambda_server.boxed";
const FUNCTION: &str = "mcp-server-boxed";
const REPOSITORY: &str = "repository mcplambda/mcp-server-boxed";

/// A registry with [`image`], and the image's name.
fn registry() -> (TestRegistry, String) {
    let registry = TestRegistry::start();
    registry.put_image("mcp/boxed", Some("1"), &image());
    let name = format!("{}/mcp/boxed:1", registry.host);
    (registry, name)
}

fn greet(aws: &Aws) -> String {
    aws.tool_text(&format!("{FUNCTION}:live"), "greet", &json!({}))
}

/// A repository of the user's own: its address.
fn own_repository(aws: &Aws) -> String {
    let made = aws.run(
        aws.ecr
            .create_repository()
            .repository_name("team/servers")
            .send(),
    );
    let made = made.expect("made").repository.expect("a repository");
    made.repository_uri.expect("an address")
}

/// Where the function's image lies.
fn image_uri(aws: &Aws) -> String {
    let found = aws.run(aws.lambda.get_function().function_name(FUNCTION).send());
    let code = found.expect("there").code.expect("code");
    code.image_uri.expect("an image")
}

#[test]
fn an_image_runs_as_its_readme_says() {
    let registry = TestRegistry::start();
    let digest = registry.put_image("mcp/boxed", Some("1"), &image());
    let name = format!("{}/mcp/boxed:1", registry.host);
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let workspace = Workspace::new(&local, None, &main_of(&name, "", ""));
    workspace.converge();

    let made = workspace.resource("mcplambda_server.boxed");
    assert_eq!(made["package_type"], "Image");
    assert_eq!(made["runtime"], json!(null));
    assert_eq!(
        made["lock"],
        format!("{}/mcp/boxed@{digest}", registry.host)
    );
    assert_eq!(made["verification"]["server_name"], "boxed");
    let arn = made["qualified_arn"].as_str().expect("an ARN");
    let greet = || aws.tool_text(arn, "greet", &json!({}));
    assert_eq!(greet(), "hello world in /app with flour");

    // The command line is no part of the image: nothing is read from its registry, and nothing sent.
    let before = registry.requests().len();
    workspace.write(&main_of(&name, "", ", \"moon\""));
    workspace.converge();
    assert_eq!(greet(), "hello moon in /app with flour");
    let changed = workspace.resource("mcplambda_server.boxed");
    assert_eq!(changed["code_sha256"], made["code_sha256"]);
    assert_eq!(registry.requests().len(), before);

    workspace.write(&main_of(&name, ", \"-w\", \"/\"", ""));
    workspace.converge();
    assert_eq!(greet(), "hello world in / with flour");

    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
}

#[test]
fn what_an_image_cannot_be_is_told_before_anything_is_made() {
    let registry = TestRegistry::start();
    registry.put_image("mcp/arm", Some("1"), &TestImage::new("arm64", b"x"));
    let local = LocalAws::start();
    let host = &registry.host;
    let server = |args: &str| {
        format!(
            "resource \"mcplambda_server\" \"boxed\" {{\n  name    = \"boxed\"\n  command = \"docker\"\n  args    = [\"run\", {args}]\n}}\n"
        )
    };
    let workspace = Workspace::new(&local, None, "");
    for (args, phrases) in [
        (
            "\"-e\", \"TOKEN\", \"mcp/x\"".to_owned(),
            ["`-e TOKEN`", "neither `env` nor `secrets`"],
        ),
        (
            "\"-v\", \"/a:/b\", \"mcp/x\"".to_owned(),
            ["`--volume`", "sees no directory of this machine"],
        ),
        (
            format!("\"{host}/mcp/none\""),
            ["/mcp/none:latest` does not exist", "docker login"],
        ),
        (
            format!("\"{host}/mcp/arm:1\""),
            ["is not there for x86_64", "Set architecture = \"arm64\""],
        ),
    ] {
        workspace.write(&server(&args));
        local.clear_calls();
        let error = workspace.apply().error();
        let text = format!("{}\n{}", error.summary, error.detail);
        for phrase in phrases {
            assert!(text.contains(phrase), "{phrase:?} is not in {text:?}");
        }
        assert!(error.line.starts_with("args"), "{:?}: {text}", error.line);
        assert_eq!(local.changes(), Vec::<String>::new());
    }
}

#[test]
fn an_image_goes_to_the_repository_that_is_given_and_the_managed_one_goes_when_it_is_not_used() {
    let (_registry, name) = registry();
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let own = own_repository(&aws);
    let given = format!("image_repository_url = \"{own}\"");
    let workspace = Workspace::new(&local, None, &main_with(&name, "", "", &given));
    workspace.converge();
    assert_eq!(greet(&aws), "hello world in /app with flour");
    assert!(image_uri(&aws).starts_with(&format!("{own}@")), "{own}");
    let made = workspace.resource(ADDRESS);
    let list = aws.ecr.list_images().repository_name("team/servers");
    let tags = aws.run(list.send()).expect("a list").image_ids().to_vec();
    let tags: Vec<_> = tags.iter().map(|image| image.image_tag()).collect();
    assert_eq!(tags, [made["code_sha256"].as_str()]);
    assert_eq!(made["image_repository_url"], own.as_str());
    assert!(!aws.everything().contains(&REPOSITORY.to_owned()));

    // A version for each: the one that is served names the repository that its image lies in.
    workspace.write(&main_of(&name, "", ""));
    workspace.converge();
    assert_eq!(greet(&aws), "hello world in /app with flour");
    assert!(image_uri(&aws).contains("/mcplambda/mcp-server-boxed@"));
    let managed = workspace.resource(ADDRESS);
    assert_eq!(managed["code_sha256"], made["code_sha256"]);
    assert_ne!(managed["version"], made["version"]);
    assert!(aws.everything().contains(&REPOSITORY.to_owned()));

    workspace.write(&main_with(&name, "", "", &given));
    workspace.converge();
    assert_eq!(greet(&aws), "hello world in /app with flour");
    assert!(image_uri(&aws).starts_with(&format!("{own}@")), "{own}");
    assert!(!aws.everything().contains(&REPOSITORY.to_owned()));

    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), ["repository team/servers"]);
}

#[test]
fn a_repository_that_cannot_take_the_image_is_told_before_anything_is_made() {
    let (_registry, name) = registry();
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let own = own_repository(&aws);
    let workspace = Workspace::new(&local, None, "");
    for (url, phrases) in [
        (
            "ghcr.io/team/servers".to_owned(),
            [
                "is not a repository of Amazon ECR",
                "Lambda takes images from nowhere else",
            ],
        ),
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/servers".to_owned(),
            [
                "lies in us-east-1, and the function in eu-central-1",
                "set region",
            ],
        ),
        (format!("{own}:1"), ["names an image", own.as_str()]),
        (
            own.replace("team/servers", "mcplambda/mcp-server-boxed"),
            [
                "made for this server when none is given",
                "remove `image_repository_url`",
            ],
        ),
        (
            own.replace("servers", "server"),
            ["does not exist", "Create it, or correct the name"],
        ),
    ] {
        workspace.write(&main_with(
            &name,
            "",
            "",
            &format!("image_repository_url = \"{url}\""),
        ));
        local.clear_calls();
        let error = workspace.apply().error();
        let text = format!("{}\n{}", error.summary, error.detail);
        for phrase in phrases {
            assert!(text.contains(phrase), "{phrase:?} is not in {text:?}");
        }
        assert!(
            error.line.starts_with("image_repository_url"),
            "{:?}: {text}",
            error.line
        );
        assert_eq!(local.changes(), Vec::<String>::new());
        assert_eq!(workspace.state(), Vec::<serde_json::Value>::new());
    }
    workspace.write(&format!(
        "resource \"mcplambda_server\" \"boxed\" {{\n  name = \"boxed\"\n  command = \"uvx\"\n  args = [\"tiny-tools\"]\n  \
         image_repository_url = \"{own}\"\n}}\n"
    ));
    let error = workspace.plan().error();
    assert_eq!(
        (error.summary.as_str(), error.detail.as_str()),
        (
            "Repository without an image",
            "Only a server that `docker` starts is an image, which needs a repository. Remove `image_repository_url`."
        )
    );
    assert!(
        error.line.starts_with("image_repository_url"),
        "{:?}",
        error.line
    );
}

/// The tags in the managed repository of a function.
pub(crate) fn tags(aws: &Aws, function: &str) -> Vec<String> {
    let list = aws.ecr.list_images();
    let list = list.repository_name(format!("mcplambda/{function}")).send();
    let found = aws.run(list).expect("a list").image_ids.unwrap_or_default();
    let mut tags: Vec<String> = found
        .into_iter()
        .filter_map(|image| image.image_tag)
        .collect();
    tags.sort();
    tags
}

/// The tags of images, the last of which are kept from the rule.
fn tags_of(images: &[&str], kept: &[&str]) -> Vec<String> {
    let own = images.iter().map(|image| (*image).to_owned());
    let mut tags: Vec<String> = own
        .chain(kept.iter().map(|image| format!("keep-{image}")))
        .collect();
    tags.sort();
    tags
}

#[test]
fn the_rule_of_the_repository_never_has_what_is_served_or_may_be() {
    let (registry, name) = registry();
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let workspace = Workspace::new(&local, None, &main_of(&name, "", ""));
    workspace.converge();
    let served = || {
        let made = workspace.resource(ADDRESS);
        made["code_sha256"].as_str().expect("a digest").to_owned()
    };
    let first = served();
    assert_eq!(tags(&aws, FUNCTION), tags_of(&[&first], &[&first]));

    // As it would be if it had been made without such a tag, and with a rule for everything.
    let repository = "mcplambda/mcp-server-boxed";
    let tag = aws_sdk_ecr::types::ImageIdentifier::builder().image_tag(format!("keep-{first}"));
    let untag = aws.ecr.batch_delete_image().repository_name(repository);
    aws.run(untag.image_ids(tag.build()).send()).expect("gone");
    let rule = json!({"rules": [{
        "rulePriority": 1,
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10},
        "action": {"type": "expire"},
    }]});
    let put = aws.ecr.put_lifecycle_policy().repository_name(repository);
    let put = put.lifecycle_policy_text(rule.to_string());
    aws.run(put.send()).expect("put");

    // An update that fails keeps both.
    let mut broken = image();
    broken.server = b"#!/bin/sh\nexit 1\n".to_vec();
    let failing = registry.put_image("mcp/boxed", None, &broken);
    let other = |digest: &str| main_of(&format!("{}/mcp/boxed@{digest}", registry.host), "", "");
    workspace.write(&other(&failing));
    workspace.apply().error();
    let uri = image_uri(&aws);
    let (_, second) = uri.split_once("@sha256:").expect("a digest");
    assert_ne!(second, first);
    assert_eq!(
        tags(&aws, FUNCTION),
        tags_of(&[&first, second], &[&first, second])
    );
    let get = aws.ecr.get_lifecycle_policy().repository_name(repository);
    let policy = aws.run(get.send()).expect("there").lifecycle_policy_text;
    let policy: serde_json::Value = serde_json::from_str(&policy.expect("a policy")).expect("JSON");
    let selections: Vec<_> = policy["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| rule["selection"].clone())
        .collect();
    assert_eq!(
        selections,
        [
            json!({"tagStatus": "tagged", "tagPrefixList": ["keep-"], "countType": "imageCountMoreThan", "countNumber": 100_000}),
            json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10}),
        ]
    );

    // One that succeeds leaves the others to the rule.
    let mut better = image();
    better.settings["Cmd"] = json!(["sun"]);
    let working = registry.put_image("mcp/boxed", None, &better);
    workspace.write(&other(&working));
    workspace.apply().repaired();
    workspace.plan().is_empty();
    assert_eq!(greet(&aws), "hello sun in /app with flour");
    let third = served();
    let all = [first.as_str(), second, third.as_str()];
    assert_eq!(tags(&aws, FUNCTION), tags_of(&all, &[&third]));

    // So does going back, to what lies there already.
    workspace.write(&main_of(&name, "", ""));
    workspace.converge();
    assert_eq!(served(), first);
    assert_eq!(tags(&aws, FUNCTION), tags_of(&all, &[&first]));
    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
}

#[test]
fn an_image_is_not_pushed_for_a_function_of_somebody_else() {
    let (_registry, name) = registry();
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let owner = Workspace::new(&local, None, &main_of(&name, "", ""));
    owner.apply().succeeded();
    let delete = aws.ecr.delete_repository().force(true);
    let gone = aws.run(delete.repository_name("mcplambda/mcp-server-boxed").send());
    gone.expect("deleted");
    let before = aws.everything();

    let other = Workspace::new(&local, None, &main_of(&name, "", ", \"moon\""));
    local.clear_calls();
    let error = other.apply().error();
    assert!(error.detail.contains("terraform import"), "{error:?}");
    assert_eq!(local.changes(), Vec::<String>::new());
    assert_eq!(aws.everything(), before);
    assert_eq!(other.state(), Vec::<serde_json::Value>::new());

    // What was taken from the owner comes back.
    owner.plan().changes(&[(ADDRESS, "update")]);
    owner.apply().repaired();
    owner.plan().is_empty();
    assert!(aws.everything().contains(&REPOSITORY.to_owned()));
}

#[test]
fn a_creation_that_fails_with_its_repository_made_leaves_nothing_behind() {
    let (_registry, name) = registry();
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    for service_and_action in [("ecr", "GetAuthorizationToken"), ("iam", "CreateRole")] {
        let (service, action) = service_and_action;
        let workspace = Workspace::new(&local, None, &main_of(&name, "", ""));
        let rule = json!({
            "kind": "error", "service": service, "action": action, "times": null,
            "status": 400, "code": "AccessDeniedException", "message": "not today",
        });
        local.fault(&rule);
        let error = workspace.apply().error();
        assert!(
            error.detail.contains(&format!("allow {service}:{action}")),
            "{error:?}"
        );
        assert_eq!(aws.everything(), [REPOSITORY]);

        local.clear_faults();
        let other = Workspace::new(&local, None, &main_of(&name, "", ""));
        std::fs::copy(
            workspace.path("terraform.tfstate"),
            other.path("terraform.tfstate"),
        )
        .expect("copied");
        other.destroy().succeeded();
        assert_eq!(aws.everything(), Vec::<String>::new());

        workspace.apply().succeeded();
        workspace.plan().is_empty();
        workspace.destroy().succeeded();
        assert_eq!(aws.everything(), Vec::<String>::new());
    }
}

#[test]
fn an_image_is_imported_with_its_lock() {
    let (registry, name) = registry();
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let own = own_repository(&aws);
    for line in [String::new(), format!("image_repository_url = \"{own}\"")] {
        let main = main_with(&name, "", ", \"moon\"", &line);
        let first = Workspace::new(&local, None, &main);
        first.apply().succeeded();
        // The tag moves on; what runs does not.
        registry.put_image("mcp/boxed", Some("1"), &TestImage::new("amd64", b"another"));
        let second = Workspace::new(&local, None, &main);
        let run = second.run(&["import", "-no-color", ADDRESS, FUNCTION]);
        assert_eq!(run.status, 0, "{}", run.output);
        second.plan().is_empty();
        let (made, imported) = (first.resource(ADDRESS), second.resource(ADDRESS));
        for attribute in [
            "args",
            "env",
            "cwd",
            "lock",
            "resolved_packages",
            "sbom_json",
            "code_sha256",
            "package_type",
            "image_repository_url",
        ] {
            assert_eq!(imported[attribute], made[attribute], "{attribute}");
        }

        // Nothing of the image is needed for another command line.
        let before = registry.requests().len();
        second.write(&main_with(&name, "", ", \"sun\"", &line));
        second.converge();
        assert_eq!(greet(&aws), "hello sun in /app with flour");
        assert_eq!(registry.requests().len(), before);
        second.destroy().succeeded();
        registry.put_image("mcp/boxed", Some("1"), &image());
    }
    assert_eq!(aws.everything(), ["repository team/servers"]);
}

#[test]
fn a_package_becomes_an_image_and_an_image_a_package_by_replacing_the_function() {
    let (_registry, name) = registry();
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let zip = "resource \"mcplambda_server\" \"boxed\" {\n  name = \"boxed\"\n  command = \"uvx\"\n  args = [\"tiny-tools\"]\n}\n";
    let workspace = Workspace::new(&local, Some(&index), zip);
    workspace.converge();
    assert_eq!(workspace.resource(ADDRESS)["package_type"], "Zip");

    workspace.write(&main_of(&name, "", ""));
    workspace.plan().changes(&[(ADDRESS, "replace")]);
    workspace.converge();
    assert_eq!(workspace.resource(ADDRESS)["package_type"], "Image");
    assert_eq!(greet(&aws), "hello world in /app with flour");
    assert!(aws.everything().contains(&REPOSITORY.to_owned()));

    workspace.write(zip);
    workspace.plan().changes(&[(ADDRESS, "replace")]);
    workspace.converge();
    assert_eq!(workspace.resource(ADDRESS)["package_type"], "Zip");
    assert!(!aws.everything().contains(&REPOSITORY.to_owned()));

    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
}

#[test]
fn variables_that_no_function_can_have_are_told_at_their_word() {
    let local = LocalAws::start();
    let workspace = Workspace::new(
        &local,
        None,
        &main_of("mcp/boxed", ", \"-e\", \"AWS_REGION=x\"", ""),
    );
    let error = workspace.plan().error();
    assert_eq!(
        (error.summary.as_str(), error.detail.as_str()),
        (
            "Reserved variable",
            "`-e AWS_REGION` must not be set: AWS_REGION is reserved for Lambda or for the bridge. Leave it out."
        )
    );
    assert!(error.line.starts_with("args"), "{:?}", error.line);
}
/// [`SERVER`]'s little sister, for a processor that has no shell here.
const ARM_SERVER: &str = r##"
#include <stdio.h>
#include <string.h>
static char line[65536];
int main(void) {
  while (fgets(line, sizeof line, stdin)) {
    char *id = strstr(line, "\"id\":");
    if (!id) continue;
    id += 5;
    int length = strcspn(id, ",}");
    const char *result =
      strstr(line, "\"initialize\"") ? "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"armed\",\"version\":\"1\"}}"
      : strstr(line, "\"tools/list\"") ? "{\"tools\":[{\"name\":\"greet\",\"description\":\"Greets.\",\"inputSchema\":{\"type\":\"object\"}}]}"
      : strstr(line, "\"tools/call\"") ? "{\"content\":[{\"type\":\"text\",\"text\":\"hello from arm64\"}],\"isError\":false}" : 0;
    if (result) printf("{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":%s}\n", length, id, result);
    else printf("{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}\n", length, id);
    fflush(stdout);
  }
  return 0;
}
"##;

#[test]
fn an_image_for_arm64_runs_on_an_arm64_function() {
    let place = tempfile::tempdir().expect("a directory");
    let (source, program) = (place.path().join("server.c"), place.path().join("server"));
    std::fs::write(&source, ARM_SERVER).expect("written");
    let compiled = Command::new("aarch64-linux-gnu-gcc")
        .args(["-static", "-O1", "-o"])
        .args([&program, &source])
        .status()
        .expect("this test needs aarch64-linux-gnu-gcc (Debian and Ubuntu: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross)");
    assert!(compiled.success());
    let registry = TestRegistry::start();
    let server = std::fs::read(program).expect("compiled");
    registry.put_image("mcp/armed", Some("1"), &TestImage::new("arm64", &server));
    let local = LocalAws::start();
    let aws = Aws::new(&local, REGION);
    let name = format!("{}/mcp/armed:1", registry.host);
    let main = main_with(&name, "", "", "architecture = \"arm64\"");
    let workspace = Workspace::new(&local, None, &main);
    workspace.converge();
    assert_eq!(
        workspace.resource(ADDRESS)["verification"]["server_name"],
        "armed"
    );
    assert_eq!(greet(&aws), "hello from arm64");
    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
}
