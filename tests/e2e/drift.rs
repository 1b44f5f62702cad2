//! Someone else changed something: the plan says so, and the apply puts it right.

use crate::harness::aws::{Aws, REGION};
use crate::harness::index::Index;
use crate::harness::local_aws::LocalAws;
use crate::harness::mcp_server::Server;
use crate::harness::workspace::Workspace;

const ADDRESS: &str = "mcplambda_server.tools";
const FUNCTION: &str = "mcp-server-tools";
const ROLE: &str = "mcp-server-tools-eu-central-1";
const MAIN: &str = r#"
resource "mcplambda_server" "tools" {
  name                 = "tools"
  command              = "uvx"
  args                 = ["tiny-tools"]
  dead_letter_queue    = true
  reserved_concurrency = 2
  log_retention_days   = 7
  tags                 = { team = "tools" }
  policy_json = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "s3:GetObject", Resource = "*" }]
  })
}
"#;

/// Applies, meddles, and requires that the plan updates in place and the apply ends with an empty plan.
fn repairs(meddle: impl FnOnce(&Aws)) -> (Workspace, Aws, LocalAws, Index) {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(&local, Some(&index), MAIN);
    workspace.converge();
    let aws = Aws::new(&local, REGION);
    meddle(&aws);
    workspace.plan().changes(&[(ADDRESS, "update")]);
    workspace.apply().repaired();
    workspace.plan().is_empty();
    (workspace, aws, local, index)
}

#[test]
fn another_memory_size_is_set_back() {
    let (_workspace, aws, _local, _index) = repairs(|aws| {
        aws.run(
            aws.lambda
                .update_function_configuration()
                .function_name(FUNCTION)
                .memory_size(3008)
                .send(),
        )
        .expect("updated");
    });
    assert_eq!(aws.configuration(FUNCTION).memory_size, Some(1024));
}

#[test]
fn another_environment_is_set_back() {
    let (_workspace, aws, _local, _index) = repairs(|aws| {
        let environment = aws_sdk_lambda::types::Environment::builder()
            .variables("MCPLAMBDA_SERVER", "{}")
            .build();
        aws.run(
            aws.lambda
                .update_function_configuration()
                .function_name(FUNCTION)
                .environment(environment)
                .send(),
        )
        .expect("updated");
    });
    let variables = aws
        .configuration(FUNCTION)
        .environment
        .and_then(|environment| environment.variables);
    let variables = variables.expect("the bridge needs variables");
    assert_ne!(variables["MCPLAMBDA_SERVER"], "{}");
    assert_eq!(
        variables["AWS_LAMBDA_EXEC_WRAPPER"],
        "/var/task/mcplambda-bridge"
    );
}

#[test]
fn an_alias_that_was_moved_is_moved_back() {
    let (_workspace, aws, _local, _index) = repairs(|aws| {
        aws.run(
            aws.lambda
                .update_function_configuration()
                .function_name(FUNCTION)
                .description("other")
                .send(),
        )
        .expect("updated");
        aws.wait_until_updated(FUNCTION);
        let version = aws
            .run(aws.lambda.publish_version().function_name(FUNCTION).send())
            .expect("published");
        let version = version.version.expect("a number");
        aws.run(
            aws.lambda
                .update_alias()
                .function_name(FUNCTION)
                .name("live")
                .function_version(version)
                .send(),
        )
        .expect("moved");
    });
    let version = aws.alias(FUNCTION, "live");
    let configuration = aws.configuration(&format!("{FUNCTION}:{version}"));
    assert_ne!(configuration.description.as_deref(), Some("other"));
}

#[test]
fn an_alias_that_was_deleted_is_made_again() {
    repairs(|aws| {
        aws.run(
            aws.lambda
                .delete_alias()
                .function_name(FUNCTION)
                .name("live")
                .send(),
        )
        .expect("deleted");
    });
}

#[test]
fn code_that_was_replaced_is_uploaded_again() {
    let (workspace, aws, _local, _index) = repairs(|aws| {
        let zip = Server::new("other", "1.0.0").wheel();
        let blob = aws_sdk_lambda::primitives::Blob::new(zip);
        aws.run(
            aws.lambda
                .update_function_code()
                .function_name(FUNCTION)
                .zip_file(blob)
                .send(),
        )
        .expect("uploaded");
    });
    let hash = aws.configuration(FUNCTION).code_sha256;
    assert_eq!(
        hash.as_deref(),
        workspace.resource(ADDRESS)["code_sha256"].as_str()
    );
}

#[test]
fn a_policy_that_was_widened_is_narrowed_again() {
    let wide =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let (_workspace, aws, _local, _index) = repairs(|aws| {
        let names = aws
            .run(aws.iam.list_role_policies().role_name(ROLE).send())
            .expect("listed")
            .policy_names;
        let name = names
            .first()
            .expect("the managed role has an inline policy");
        aws.run(
            aws.iam
                .put_role_policy()
                .role_name(ROLE)
                .policy_name(name)
                .policy_document(wide)
                .send(),
        )
        .expect("put");
    });
    let names = aws
        .run(aws.iam.list_role_policies().role_name(ROLE).send())
        .expect("listed")
        .policy_names;
    for name in names {
        let policy = aws
            .run(
                aws.iam
                    .get_role_policy()
                    .role_name(ROLE)
                    .policy_name(&name)
                    .send(),
            )
            .expect("got");
        assert!(
            !policy.policy_document.contains("%22%2A%22%2C%22Resource"),
            "{}",
            policy.policy_document
        );
    }
}

#[test]
fn a_foreign_policy_on_the_managed_role_is_taken_off() {
    let wide =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let (_workspace, aws, _local, _index) = repairs(|aws| {
        aws.run(
            aws.iam
                .put_role_policy()
                .role_name(ROLE)
                .policy_name("backdoor")
                .policy_document(wide)
                .send(),
        )
        .expect("put");
    });
    let names = aws
        .run(aws.iam.list_role_policies().role_name(ROLE).send())
        .expect("listed")
        .policy_names;
    assert!(!names.contains(&"backdoor".to_owned()), "{names:?}");
}

#[test]
fn a_role_that_was_deleted_is_made_again() {
    let (_workspace, aws, _local, _index) = repairs(|aws| {
        let names = aws
            .run(aws.iam.list_role_policies().role_name(ROLE).send())
            .expect("listed")
            .policy_names;
        for name in names {
            aws.run(
                aws.iam
                    .delete_role_policy()
                    .role_name(ROLE)
                    .policy_name(name)
                    .send(),
            )
            .expect("deleted");
        }
        aws.run(aws.iam.delete_role().role_name(ROLE).send())
            .expect("deleted");
    });
    aws.run(aws.iam.get_role().role_name(ROLE).send())
        .expect("it is there again");
}

#[test]
fn another_log_retention_is_set_back() {
    let group = format!("/aws/lambda/{FUNCTION}");
    let (_workspace, aws, _local, _index) = repairs(|aws| {
        aws.run(
            aws.logs
                .put_retention_policy()
                .log_group_name(&group)
                .retention_in_days(3653)
                .send(),
        )
        .expect("put");
    });
    let groups = aws
        .run(
            aws.logs
                .describe_log_groups()
                .log_group_name_prefix(&group)
                .send(),
        )
        .expect("listed");
    assert_eq!(
        groups.log_groups.expect("a list")[0].retention_in_days,
        Some(7)
    );
}

#[test]
fn a_log_group_that_was_deleted_is_made_again() {
    let group = format!("/aws/lambda/{FUNCTION}");
    repairs(|aws| {
        aws.run(aws.logs.delete_log_group().log_group_name(&group).send())
            .expect("deleted");
    });
}

#[test]
fn a_queue_that_was_deleted_is_made_again() {
    let (_workspace, aws, _local, _index) = repairs(|aws| {
        let url = aws
            .run(
                aws.sqs
                    .get_queue_url()
                    .queue_name(format!("{FUNCTION}-dlq"))
                    .send(),
            )
            .expect("there");
        aws.run(
            aws.sqs
                .delete_queue()
                .queue_url(url.queue_url.expect("a URL"))
                .send(),
        )
        .expect("deleted");
    });
    aws.run(
        aws.sqs
            .get_queue_url()
            .queue_name(format!("{FUNCTION}-dlq"))
            .send(),
    )
    .expect("it is there again");
}

#[test]
fn a_reservation_that_was_removed_is_made_again() {
    let (_workspace, aws, _local, _index) = repairs(|aws| {
        aws.run(
            aws.lambda
                .delete_function_concurrency()
                .function_name(FUNCTION)
                .send(),
        )
        .expect("deleted");
    });
    let concurrency = aws
        .run(
            aws.lambda
                .get_function_concurrency()
                .function_name(FUNCTION)
                .send(),
        )
        .expect("got");
    assert_eq!(concurrency.reserved_concurrent_executions, Some(2));
}

#[test]
fn tags_that_were_changed_are_set_back() {
    let (workspace, aws, _local, _index) = repairs(|aws| {
        let arn = aws.configuration(FUNCTION).function_arn.expect("an ARN");
        aws.run(
            aws.lambda
                .tag_resource()
                .resource(&arn)
                .tags("team", "others")
                .tags("extra", "1")
                .send(),
        )
        .expect("tagged");
    });
    let arn = workspace.resource(ADDRESS)["arn"]
        .as_str()
        .expect("an ARN")
        .to_owned();
    let tags = aws
        .run(aws.lambda.list_tags().resource(arn).send())
        .expect("listed")
        .tags
        .unwrap_or_default();
    assert_eq!(
        (tags.get("team").map(String::as_str), tags.get("extra")),
        (Some("tools"), None)
    );
}

#[test]
fn a_function_that_was_deleted_is_made_again_around_what_is_left() {
    let (workspace, aws, _local, _index) = repairs(|aws| {
        aws.run(aws.lambda.delete_function().function_name(FUNCTION).send())
            .expect("deleted");
    });
    workspace.destroy().succeeded();
    assert_eq!(aws.everything(), Vec::<String>::new());
}

#[test]
fn a_server_of_which_nothing_is_left_is_planned_anew() {
    let local = LocalAws::start();
    let index = Index::with([Server::new("tiny-tools", "1.0.0")]);
    let workspace = Workspace::new(&local, Some(&index), MAIN);
    workspace.apply().succeeded();
    let twin = Workspace::new(&local, Some(&index), MAIN);
    let state = "terraform.tfstate";
    std::fs::copy(workspace.path(state), twin.path(state)).expect("copied");
    twin.destroy().succeeded();
    workspace.plan().changes(&[(ADDRESS, "create")]);
    workspace.converge();
}
