//! Policy documents: of the managed role, least privilege, whole; and of a function URL that everybody may call. Pure.
//!
//! Which secrets a version reads stands in its environment, in the launch contract: so what a role must permit is the same for what is
//! wanted and for what is found.

use std::collections::{BTreeMap, BTreeSet};

use mcplambda_bridge::launch::{ENV_SERVER, ServerCommand};
use mcplambda_bridge::secret_reference::{SecretReference, Store};
use serde_json::{Value, json};

use super::Aws;
use super::found::Configuration;
use super::wanted::Tracing;

/// Name of the inline policy that is ours.
pub const BASE: &str = "mcplambda";
/// Name of the inline policy that is the user's `policy_json`.
pub const USER: &str = "user";

/// The service that assumes the role; the same in every partition.
const LAMBDA: &str = "lambda.amazonaws.com";

/// What Lambda does with network interfaces when a function is in a VPC.
/// Source: AWS Lambda Developer Guide, "Giving Lambda functions access to resources in an Amazon VPC", required permissions.
const NETWORK_ACTIONS: [&str; 6] = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
];

/// What the role must permit beyond logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub queue: bool,
    pub vpc: bool,
    pub tracing: bool,
    /// What the bridge reads for the server.
    pub secrets: Vec<SecretReference>,
}

impl Needs {
    /// What a published configuration needs. `queue_arn` is that of our queue: other dead letter targets are not our concern.
    pub fn of(configuration: &Configuration, queue_arn: &str) -> Self {
        Self {
            queue: configuration.dead_letter_target_arn.as_deref() == Some(queue_arn),
            vpc: configuration.vpc.is_some(),
            tracing: configuration.tracing == Tracing::Active,
            secrets: secrets(&configuration.environment),
        }
    }

    /// What either of two configurations needs: both versions work while the alias moves from one to the other.
    pub fn or(self, other: Self) -> Self {
        Self {
            queue: self.queue || other.queue,
            vpc: self.vpc || other.vpc,
            tracing: self.tracing || other.tracing,
            secrets: self.secrets.into_iter().chain(other.secrets).collect(),
        }
    }
}

/// What the launch contract in a function's environment refers to. An environment that holds none refers to nothing.
fn secrets(environment: &BTreeMap<String, String>) -> Vec<SecretReference> {
    let command = environment
        .get(ENV_SERVER)
        .and_then(|text| ServerCommand::parse(text).ok());
    let references = command.map(|command| command.secrets).unwrap_or_default();
    references
        .values()
        .filter_map(|reference| SecretReference::parse(reference).ok())
        .collect()
}

/// Who may assume the role: Lambda.
pub fn trust() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": LAMBDA},
            "Action": "sts:AssumeRole"
        }]
    })
}

/// What the function may do: write to its own log group, and what [`Needs`] adds.
pub fn base(aws: &Aws, function_name: &str, needs: &Needs) -> Value {
    let mut statements = vec![json!({
        "Sid": "Logs",
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": format!("{}:*", aws.log_group_arn(function_name))
    })];
    if needs.queue {
        statements.push(json!({
            "Sid": "DeadLetterQueue",
            "Effect": "Allow",
            "Action": "sqs:SendMessage",
            "Resource": aws.queue_arn(function_name)
        }));
    }
    if needs.vpc {
        statements.push(json!({
            "Sid": "NetworkInterfaces",
            "Effect": "Allow",
            "Action": NETWORK_ACTIONS,
            "Resource": "*"
        }));
        // Lambda needs these, the server's own code does not: AWS sets this key only on calls from inside the function.
        statements.push(json!({
            "Sid": "NetworkInterfacesNotFromCode",
            "Effect": "Deny",
            "Action": NETWORK_ACTIONS,
            "Resource": "*",
            "Condition": {"ArnEquals": {"lambda:SourceFunctionArn": aws.function_arn(function_name)}}
        }));
    }
    if needs.tracing {
        // Source: AWS Lambda Developer Guide, "Visualize Lambda function invocations using AWS X-Ray". Neither action knows resources.
        statements.push(json!({
            "Sid": "Traces",
            "Effect": "Allow",
            "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
            "Resource": "*"
        }));
    }
    statements.extend(reading(&needs.secrets));
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// Statements that let exactly these secrets be read, and decrypted by the service that keeps them and by nobody else.
///
/// Which keys encrypt them is not known here, and the keys that AWS manages need no permission: `kms:Decrypt` is bound to the services
/// and to the ARNs that they put into the encryption context instead.
/// Source: AWS Secrets Manager User Guide, "Secret encryption and decryption"; AWS Systems Manager User Guide, "AWS KMS encryption for
/// AWS Systems Manager Parameter Store SecureString parameters".
fn reading(secrets: &[SecretReference]) -> Vec<Value> {
    let mut statements = Vec::new();
    for (sid, service, action, context) in [
        (
            "Secrets",
            "secretsmanager",
            "secretsmanager:GetSecretValue",
            "SecretARN",
        ),
        ("Parameters", "ssm", "ssm:GetParameter", "PARAMETER_ARN"),
    ] {
        let kept: Vec<_> = secrets
            .iter()
            .filter(|secret| matches!(secret.store, Store::ParameterStore) == (service == "ssm"))
            .collect();
        if kept.is_empty() {
            continue;
        }
        let arns: BTreeSet<_> = kept.iter().map(|secret| secret.arn.as_str()).collect();
        let via: BTreeSet<_> = kept
            .iter()
            .map(|secret| {
                format!(
                    "{service}.{}.{}",
                    secret.region, secret.partition.dns_suffix
                )
            })
            .collect();
        statements.push(json!({"Sid": sid, "Effect": "Allow", "Action": action, "Resource": arns}));
        statements.push(json!({
            "Sid": format!("{sid}Decrypted"),
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": "*",
            "Condition": {"StringEquals": {
                "kms:ViaService": via,
                format!("kms:EncryptionContext:{context}"): arns
            }}
        }));
    }
    statements
}

/// A statement of an alias's policy that everybody needs to call a function URL without authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Ours alone.
    pub id: &'static str,
    pub action: &'static str,
    /// Holds for calls through a function URL; else for URLs without authentication.
    pub via_url: bool,
    /// As Lambda keeps it.
    pub document: Value,
}

impl PublicUrl {
    /// Whether a statement says the same.
    pub fn says(&self, found: &Value) -> bool {
        let mut found = found.clone();
        // Two spellings of "everybody".
        if found["Principal"] == json!({"AWS": "*"}) {
            found["Principal"] = json!("*");
        }
        found == self.document
    }
}

const URL: &str = "mcplambda-function-url";
const URL_INVOKE: &str = "mcplambda-function-url-invoke";

/// Whether a statement id is one of [`public_url`]'s.
pub fn is_public_url(id: &str) -> bool {
    [URL, URL_INVOKE].contains(&id)
}

/// The statements for a function URL that everybody may call: since October 2025 Lambda asks for both permissions.
/// Source: AWS Lambda Developer Guide, "Control access to function URLs".
pub fn public_url(aws: &Aws, function_name: &str, alias: &str) -> [PublicUrl; 2] {
    let statement = |id, action, via_url, condition: Value| PublicUrl {
        id,
        action,
        via_url,
        document: json!({
            "Sid": id,
            "Effect": "Allow",
            "Principal": "*",
            "Action": action,
            "Resource": aws.qualified_arn(function_name, alias),
            "Condition": condition
        }),
    };
    [
        statement(
            URL,
            "lambda:InvokeFunctionUrl",
            false,
            json!({"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}),
        ),
        statement(
            URL_INVOKE,
            "lambda:InvokeFunction",
            true,
            json!({"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}),
        ),
    ]
}

/// Whether a trust policy has a statement that could allow Lambda to assume the role.
///
/// Only a clear "no" is of use: conditions and denials are not judged, and text that is not a policy counts as "yes".
pub fn may_trust_lambda(document: &str) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(document) else {
        return true;
    };
    one_or_many(&document["Statement"]).any(|statement| {
        statement["Effect"] == "Allow"
            && matches(&statement["Action"], &["sts:assumerole", "sts:*", "*"])
            && (statement["Principal"] == "*"
                || matches(&statement["Principal"]["AWS"], &["*"])
                || matches(&statement["Principal"]["Service"], &[LAMBDA, "*"]))
    })
}

/// Whether two documents say the same, whatever their spacing and key order. Texts that are not JSON are compared as text.
pub fn same(a: &str, b: &str) -> bool {
    match (
        serde_json::from_str::<Value>(a),
        serde_json::from_str::<Value>(b),
    ) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

fn matches(value: &Value, accepted: &[&str]) -> bool {
    one_or_many(value).any(|value| {
        value
            .as_str()
            .is_some_and(|text| accepted.contains(&text.to_lowercase().as_str()))
    })
}

fn one_or_many(value: &Value) -> impl Iterator<Item = &Value> {
    match value {
        Value::Array(values) => values.iter(),
        one => std::slice::from_ref(one).iter(),
    }
}
