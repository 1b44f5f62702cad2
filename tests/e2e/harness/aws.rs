//! Looks at, and meddles with, the account behind local-aws, with the AWS SDK.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_lambda::client::Waiters;
use aws_sdk_lambda::primitives::Blob;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::local_aws::LocalAws;

/// Access key that every test and every terraform run signs with.
pub(crate) const ACCESS_KEY: &str = "AKIDEXAMPLE";

/// Region that tests work in unless they say otherwise.
pub(crate) const REGION: &str = "eu-central-1";

/// SDK clients of one region.
pub(crate) struct Aws {
    runtime: Runtime,
    pub(crate) lambda: aws_sdk_lambda::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    region: String,
    pub(crate) ecr: aws_sdk_ecr::Client,
}

/// What a function answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) payload: Value,
    /// `Unhandled` or `Handled` when the function failed.
    pub(crate) error: Option<String>,
}

impl Aws {
    pub(crate) fn new(local: &LocalAws, region: &str) -> Self {
        let credentials = Credentials::new(ACCESS_KEY, "secret", None, None, "tests");
        let config = aws_config::SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new(region.to_owned()))
            .endpoint_url(&local.endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            lambda: aws_sdk_lambda::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            s3: aws_sdk_s3::Client::new(&config),
            region: region.to_owned(),
            ecr: aws_sdk_ecr::Client::new(&config),
        }
    }

    /// Runs one call to its end.
    pub(crate) fn run<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    /// Calls a tool as an AgentCore gateway does.
    pub(crate) fn call_tool(&self, function: &str, tool: &str, arguments: &Value) -> Answer {
        let context = json!({"custom": {
            "bedrockAgentCoreMessageVersion": "1.0",
            "bedrockAgentCoreToolName": format!("target___{tool}"),
        }});
        let answer = self
            .run(
                self.lambda
                    .invoke()
                    .function_name(function)
                    .client_context(STANDARD.encode(context.to_string()))
                    .payload(Blob::new(arguments.to_string()))
                    .send(),
            )
            .unwrap_or_else(|error| panic!("{function} can be invoked: {error:?}"));
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        Answer {
            payload: serde_json::from_slice(&payload)
                .unwrap_or_else(|error| panic!("{:?}: {error}", String::from_utf8_lossy(&payload))),
            error: answer.function_error,
        }
    }

    /// The text that a tool answered.
    ///
    /// # Panics
    ///
    /// When it answered anything but one text.
    pub(crate) fn tool_text(&self, function: &str, tool: &str, arguments: &Value) -> String {
        let answer = self.call_tool(function, tool, arguments);
        match (&answer.error, answer.payload["content"][0]["text"].as_str()) {
            (None, Some(text)) => text.to_owned(),
            _ => panic!("{tool} answered {answer:?}"),
        }
    }

    /// A function's current configuration.
    pub(crate) fn configuration(
        &self,
        function: &str,
    ) -> aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput {
        self.run(
            self.lambda
                .get_function_configuration()
                .function_name(function)
                .send(),
        )
        .expect("the function exists")
    }

    /// Waits until an update of a function is through.
    pub(crate) fn wait_until_updated(&self, function: &str) {
        let limit = std::time::Duration::from_secs(60);
        self.run(
            self.lambda
                .wait_until_function_updated_v2()
                .function_name(function)
                .wait(limit),
        )
        .expect("the update ends");
    }

    /// Version that an alias points to.
    pub(crate) fn alias(&self, function: &str, alias: &str) -> String {
        let alias = self
            .run(
                self.lambda
                    .get_alias()
                    .function_name(function)
                    .name(alias)
                    .send(),
            )
            .expect("the alias exists");
        alias.function_version.expect("an alias has a version")
    }

    /// Makes a bucket in the region, with versions if they are to be kept.
    pub(crate) fn make_bucket(&self, bucket: &str, versions: bool) {
        use aws_sdk_s3::types;
        let place = types::CreateBucketConfiguration::builder()
            .location_constraint(self.region.as_str().into())
            .build();
        let make = self.s3.create_bucket().bucket(bucket);
        self.run(make.create_bucket_configuration(place).send())
            .expect("a bucket");
        if versions {
            let enabled = types::VersioningConfiguration::builder()
                .status(types::BucketVersioningStatus::Enabled)
                .build();
            let set = self.s3.put_bucket_versioning().bucket(bucket);
            self.run(set.versioning_configuration(enabled).send())
                .expect("versions are kept");
        }
    }

    /// The keys in a bucket, once for each version and for each mark of a deletion.
    pub(crate) fn objects(&self, bucket: &str) -> Vec<String> {
        let answer = self
            .run(self.s3.list_object_versions().bucket(bucket).send())
            .expect("a list");
        let objects = answer.versions().iter().map(|object| object.key());
        let marks = answer.delete_markers().iter().map(|mark| mark.key());
        let keys = objects.chain(marks).map(Option::unwrap_or_default);
        keys.map(str::to_owned).collect()
    }

    /// Everything of the kinds that the provider makes, by name, whoever made it.
    pub(crate) fn everything(&self) -> Vec<String> {
        let functions = self
            .run(self.lambda.list_functions().send())
            .expect("a list")
            .functions
            .unwrap_or_default();
        let roles = self
            .run(self.iam.list_roles().send())
            .expect("a list")
            .roles;
        let groups = self
            .run(self.logs.describe_log_groups().send())
            .expect("a list")
            .log_groups
            .unwrap_or_default();
        let queues = self
            .run(self.sqs.list_queues().send())
            .expect("a list")
            .queue_urls
            .unwrap_or_default();
        let repositories = self
            .run(self.ecr.describe_repositories().send())
            .expect("a list")
            .repositories
            .unwrap_or_default();
        let policies = self
            .run(
                self.iam
                    .list_policies()
                    .scope(aws_sdk_iam::types::PolicyScopeType::Local)
                    .send(),
            )
            .expect("a list")
            .policies
            .unwrap_or_default();
        let mut names: Vec<String> = functions
            .into_iter()
            .map(|function| format!("function {}", function.function_name.unwrap_or_default()))
            .chain(
                roles
                    .into_iter()
                    .map(|role| format!("role {}", role.role_name)),
            )
            .chain(
                groups
                    .into_iter()
                    .map(|group| format!("log group {}", group.log_group_name.unwrap_or_default())),
            )
            .chain(
                queues
                    .into_iter()
                    .map(|url| format!("queue {}", url.rsplit('/').next().unwrap_or_default())),
            )
            .chain(repositories.into_iter().map(|repository| {
                format!(
                    "repository {}",
                    repository.repository_name.unwrap_or_default()
                )
            }))
            .chain(
                policies
                    .into_iter()
                    .map(|policy| format!("policy {}", policy.policy_name.unwrap_or_default())),
            )
            .collect();
        names.sort();
        names
    }
}
