//! Names, ARNs, tags and policy documents, whole.

use std::collections::BTreeMap;

use mcplambda::deploy::policy::{self, Needs};
use mcplambda::deploy::{Aws, names, read, tags};
use serde_json::{Value, json};

use crate::deploy_replay::*;

fn aws(partition: &str, region: &str) -> Aws {
    let mut aws = stage([]).aws;
    aws.partition = partition.to_owned();
    aws.region = region.to_owned();
    aws
}

#[test]
fn a_plain_function_may_only_write_its_own_log() {
    assert_eq!(
        policy::base(&aws("aws", "eu-central-1"), "time", &Needs::default()),
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "Logs",
                "Effect": "Allow",
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/time:*"
            }]
        })
    );
}

#[test]
fn queue_and_vpc_add_what_they_need_in_the_partitions_own_arns() {
    let network = json!([
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses"
    ]);
    for (partition, region) in [
        ("aws", "eu-central-1"),
        ("aws-cn", "cn-north-1"),
        ("aws-us-gov", "us-gov-west-1"),
    ] {
        let needs = Needs {
            queue: true,
            vpc: true,
            ..Needs::default()
        };
        assert_eq!(
            policy::base(&aws(partition, region), "time", &needs),
            json!({
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "Logs",
                        "Effect": "Allow",
                        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                        "Resource": format!("arn:{partition}:logs:{region}:123456789012:log-group:/aws/lambda/time:*")
                    },
                    {
                        "Sid": "DeadLetterQueue",
                        "Effect": "Allow",
                        "Action": "sqs:SendMessage",
                        "Resource": format!("arn:{partition}:sqs:{region}:123456789012:time-dlq")
                    },
                    {"Sid": "NetworkInterfaces", "Effect": "Allow", "Action": network, "Resource": "*"},
                    {
                        "Sid": "NetworkInterfacesNotFromCode",
                        "Effect": "Deny",
                        "Action": network,
                        "Resource": "*",
                        "Condition": {"ArnEquals": {
                            "lambda:SourceFunctionArn": format!("arn:{partition}:lambda:{region}:123456789012:function:time")
                        }}
                    }
                ]
            })
        );
    }
}

/// What a version needs whose environment refers to these secrets.
fn needs(secrets: &[&str]) -> Needs {
    let configuration =
        |environment: Value| function_but("1", json!({"Environment": {"Variables": environment}}));
    let secrets: BTreeMap<String, &str> = (0..)
        .zip(secrets)
        .map(|(number, secret)| (format!("SECRET_{number}"), *secret))
        .collect();
    let server = json!({"argv": ["server"], "secrets": secrets}).to_string();
    let stage = stage([
        vec![
            (
                "lambda GetFunction",
                get_function(configuration(json!({"MCPLAMBDA_SERVER": server})), false),
            ),
            ("lambda GetAlias", no_function()),
        ],
        log_group_as_wanted(),
        vec![("sqs GetQueueUrl", no_queue())],
        no_url(),
    ]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let found = runtime
        .block_on(read(&stage.aws, "time", "live"))
        .expect("read")
        .expect("found");
    Needs::of(&found.configuration, "no queue")
}

#[test]
fn tracing_and_secrets_add_exactly_what_is_read() {
    let secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/key-AbCdEf";
    let china = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:key-AbCdEf";
    let parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/prod/token";
    let user = format!("{secret}:user::");
    let password = format!("{secret}:password:AWSPREVIOUS:");
    let needs = Needs {
        tracing: true,
        ..needs(&[&user, &password, china, parameter])
    };
    let policy = policy::base(&aws("aws", "eu-central-1"), "time", &needs);
    assert_eq!(
        policy["Statement"].as_array().expect("a list")[1..],
        [
            json!({
                "Sid": "Traces",
                "Effect": "Allow",
                "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
                "Resource": "*"
            }),
            json!({
                "Sid": "Secrets",
                "Effect": "Allow",
                "Action": "secretsmanager:GetSecretValue",
                "Resource": [china, secret]
            }),
            json!({
                "Sid": "SecretsDecrypted",
                "Effect": "Allow",
                "Action": "kms:Decrypt",
                "Resource": "*",
                "Condition": {"StringEquals": {
                    "kms:ViaService": ["secretsmanager.cn-north-1.amazonaws.com.cn", "secretsmanager.eu-central-1.amazonaws.com"],
                    "kms:EncryptionContext:SecretARN": [china, secret]
                }}
            }),
            json!({
                "Sid": "Parameters",
                "Effect": "Allow",
                "Action": "ssm:GetParameter",
                "Resource": [parameter]
            }),
            json!({
                "Sid": "ParametersDecrypted",
                "Effect": "Allow",
                "Action": "kms:Decrypt",
                "Resource": "*",
                "Condition": {"StringEquals": {
                    "kms:ViaService": ["ssm.eu-west-1.amazonaws.com"],
                    "kms:EncryptionContext:PARAMETER_ARN": [parameter]
                }}
            }),
        ]
    );
}

/// While the alias moves both versions read their secrets.
#[test]
fn two_versions_need_the_secrets_of_both_once() {
    let [a, b] =
        ["a", "b"].map(|name| format!("arn:aws:ssm:eu-west-1:123456789012:parameter/{name}"));
    let both = needs(&[&a]).or(needs(&[&a, &b]));
    let policy = policy::base(&aws("aws", "eu-central-1"), "time", &both);
    assert_eq!(policy["Statement"][1]["Resource"], json!([a, b]));
}

#[test]
fn only_lambda_may_assume_the_role() {
    assert_eq!(
        policy::trust(),
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole"
            }]
        })
    );
    assert!(policy::may_trust_lambda(&policy::trust().to_string()));
}

#[test]
fn only_a_clear_no_counts_as_untrusting() {
    let statement = |effect: &str, principal: serde_json::Value, action: &str| {
        json!({"Statement": {"Effect": effect, "Principal": principal, "Action": action}})
            .to_string()
    };
    let lambda = || json!({"Service": ["edgelambda.amazonaws.com", "lambda.amazonaws.com"]});
    for yes in [
        statement("Allow", lambda(), "sts:AssumeRole"),
        statement("Allow", lambda(), "sts:*"),
        statement("Allow", json!("*"), "*"),
        "not a policy".to_owned(),
    ] {
        assert!(policy::may_trust_lambda(&yes), "{yes}");
    }
    for no in [
        statement("Deny", lambda(), "sts:AssumeRole"),
        statement("Allow", lambda(), "sts:TagSession"),
        statement(
            "Allow",
            json!({"Service": "ec2.amazonaws.com"}),
            "sts:AssumeRole",
        ),
        statement(
            "Allow",
            json!({"AWS": "arn:aws:iam::123456789012:root"}),
            "sts:AssumeRole",
        ),
        json!({"Statement": []}).to_string(),
    ] {
        assert!(!policy::may_trust_lambda(&no), "{no}");
    }
}

#[test]
fn documents_are_compared_by_meaning_not_by_spelling() {
    assert!(policy::same(r#"{"a": 1, "b": [2]}"#, r#"{"b":[2],"a":1}"#));
    assert!(!policy::same(r#"{"a": 1}"#, r#"{"a": 2}"#));
    assert!(policy::same("plain", "plain"));
}

#[test]
fn two_regions_never_share_a_role() {
    assert_eq!(
        names::role_name("time", "eu-central-1"),
        "time-eu-central-1"
    );
    // Exactly IAM's 64 characters.
    assert_eq!(
        names::role_name(&"f".repeat(51), "eu-central-1"),
        format!("{}-eu-central-1", "f".repeat(51))
    );
    let long = "f".repeat(64);
    let (here, there) = (
        names::role_name(&long, "eu-central-1"),
        names::role_name(&long, "us-east-1"),
    );
    assert_eq!(here, format!("{}-{}", "f".repeat(55), &here[56..]));
    assert_eq!((here.len(), there.len()), (64, 64));
    assert_ne!(here, there);
}

#[test]
fn arns_are_of_the_partition() {
    let aws = aws("aws-cn", "cn-north-1");
    assert_eq!(
        [
            aws.role_arn("time"),
            aws.queue_arn("time"),
            aws.invoke_arn("time", "live"),
        ],
        [
            "arn:aws-cn:iam::123456789012:role/time-cn-north-1",
            "arn:aws-cn:sqs:cn-north-1:123456789012:time-dlq",
            "arn:aws-cn:apigateway:cn-north-1:lambda:path/2015-03-31/functions/\
             arn:aws-cn:lambda:cn-north-1:123456789012:function:time:live/invocations",
        ]
    );
}

#[test]
fn users_see_neither_our_tags_nor_those_of_aws() {
    let all: BTreeMap<_, _> = [
        ("mcplambda:function", "time"),
        ("aws:cloudformation:stack-name", "x"),
        ("team", "clocks"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    assert_eq!(
        tags::users(&all),
        BTreeMap::from([("team".to_owned(), "clocks".to_owned())])
    );
    // And what AWS set is never removed, because nobody can.
    assert_eq!(
        tags::difference(&all, &tags::with_ours(&BTreeMap::new(), "time")),
        (BTreeMap::new(), vec!["team".to_owned()])
    );
}
