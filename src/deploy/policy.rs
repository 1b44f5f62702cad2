//! Policy documents of the managed role: least privilege, whole. Pure.

use serde_json::{Value, json};

use super::Aws;
use super::found::Configuration;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub queue: bool,
    pub vpc: bool,
}

impl Needs {
    /// What a published configuration needs. `queue_arn` is that of our queue: other dead letter targets are not our concern.
    pub fn of(configuration: &Configuration, queue_arn: &str) -> Self {
        Self {
            queue: configuration.dead_letter_target_arn.as_deref() == Some(queue_arn),
            vpc: configuration.vpc.is_some(),
        }
    }

    /// What either of two configurations needs: both versions work while the alias moves from one to the other.
    pub fn or(self, other: Self) -> Self {
        Self {
            queue: self.queue || other.queue,
            vpc: self.vpc || other.vpc,
        }
    }
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
pub fn base(aws: &Aws, function_name: &str, needs: Needs) -> Value {
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
    json!({"Version": "2012-10-17", "Statement": statements})
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
