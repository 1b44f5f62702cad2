//! A scripted AWS: each line of a script is a call that must come, in this order, and the answer that it gets.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_types::body::SdkBody;
use mcplambda::deploy::{
    Architecture, Aws, Code, Deployed, Failed, HookError, LogFormat, Mode, Operation, Published,
    Role, Tracing, Wanted, converge,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// One answer of AWS.
#[derive(Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// JSON, as Lambda, CloudWatch Logs and SQS answer.
pub(crate) fn ok(body: Value) -> Answer {
    Answer {
        status: 200,
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.to_string(),
    }
}

/// An answer whose content does not matter.
pub(crate) fn done() -> Answer {
    ok(json!({}))
}

pub(crate) fn lambda_error(status: u16, code: &str, message: &str) -> Answer {
    Answer {
        status,
        headers: vec![
            ("x-amzn-errortype", code.to_owned()),
            ("x-amzn-requestid", "request-1".to_owned()),
        ],
        body: json!({"Message": message}).to_string(),
    }
}

/// Lambda has no such function, version or alias.
pub(crate) fn no_function() -> Answer {
    lambda_error(404, "ResourceNotFoundException", "Function not found")
}

/// CloudWatch Logs.
pub(crate) fn json_error(code: &str, message: &str) -> Answer {
    Answer {
        status: 400,
        headers: vec![("x-amzn-requestid", "request-1".to_owned())],
        body: json!({"__type": code, "message": message}).to_string(),
    }
}

/// SQS names its errors twice: in the old way in a header, in the new way in the body.
pub(crate) fn sqs_error(old_code: &str, new_code: &str, message: &str) -> Answer {
    let mut answer = json_error(&format!("com.amazonaws.sqs#{new_code}"), message);
    answer
        .headers
        .push(("x-amzn-query-error", format!("{old_code};Sender")));
    answer
}

pub(crate) fn no_queue() -> Answer {
    sqs_error(
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "The specified queue does not exist.",
    )
}

/// `result` is what stands inside `<ActionResult>`.
pub(crate) fn iam(action: &str, result: &str) -> Answer {
    Answer {
        status: 200,
        headers: vec![],
        body: format!(
            "<{action}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><{action}Result>{result}</{action}Result>\
             <ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata></{action}Response>"
        ),
    }
}

pub(crate) fn iam_error(status: u16, code: &str, message: &str) -> Answer {
    Answer {
        status,
        headers: vec![],
        body: format!(
            "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>{code}</Code>\
             <Message>{message}</Message></Error><RequestId>request-1</RequestId></ErrorResponse>"
        ),
    }
}

/// S3: XML, and what its headers tell.
pub(crate) fn s3(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    Answer {
        status,
        headers: headers.collect(),
        body: body.to_owned(),
    }
}

pub(crate) fn s3_error(status: u16, code: &str, message: &str) -> Answer {
    s3(
        status,
        &[("x-amz-request-id", "request-1")],
        &format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"),
    )
}

pub(crate) fn no_role() -> Answer {
    iam_error(404, "NoSuchEntity", "The role cannot be found.")
}

pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/time-eu-central-1";
pub(crate) const BROUGHT: &str = "arn:aws:iam::123456789012:role/path/brought";
pub(crate) const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:time-dlq";
pub(crate) const QUEUE_URL: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/time-dlq";
pub(crate) const SHA: &str = "c2hhMjU2IG9mIHRoZSB6aXA=";
pub(crate) const OTHER_SHA: &str = "c2hhMjU2IG9mIGFub3RoZXI=";

/// A role as IAM describes it, with these tags and this trust policy.
pub(crate) fn role(action: &str, arn: &str, tags: &[(&str, &str)], trust: &Value) -> Answer {
    let name = arn.rsplit('/').next().expect("a name after the last slash");
    let tags: String = tags
        .iter()
        .map(|(key, value)| format!("<member><Key>{key}</Key><Value>{value}</Value></member>"))
        .collect();
    let trust = percent_encoding::utf8_percent_encode(
        &trust.to_string(),
        percent_encoding::NON_ALPHANUMERIC,
    )
    .to_string();
    iam(
        action,
        &format!(
            "<Role><Path>/</Path><RoleName>{name}</RoleName><RoleId>AROA1</RoleId><Arn>{arn}</Arn>\
             <CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{trust}</AssumeRolePolicyDocument>\
             <Tags>{tags}</Tags></Role>"
        ),
    )
}

pub(crate) const OUR_ROLE_TAGS: [(&str, &str); 3] = [
    ("mcplambda:function", "time"),
    ("mcplambda:region", "eu-central-1"),
    ("team", "clocks"),
];

/// Inline policies by name, as `ListRolePolicies` answers.
pub(crate) fn inline_policies(names: &[&str]) -> Answer {
    let members: String = names
        .iter()
        .map(|name| format!("<member>{name}</member>"))
        .collect();
    iam(
        "ListRolePolicies",
        &format!("<PolicyNames>{members}</PolicyNames><IsTruncated>false</IsTruncated>"),
    )
}

pub(crate) fn inline_policy(name: &str, document: &Value) -> Answer {
    let document = percent_encoding::utf8_percent_encode(
        &document.to_string(),
        percent_encoding::NON_ALPHANUMERIC,
    )
    .to_string();
    iam(
        "GetRolePolicy",
        &format!(
            "<RoleName>time-eu-central-1</RoleName><PolicyName>{name}</PolicyName>\
             <PolicyDocument>{document}</PolicyDocument>"
        ),
    )
}

pub(crate) fn attached_policies(arns: &[&str]) -> Answer {
    let members: String = arns
        .iter()
        .map(|arn| {
            format!("<member><PolicyName>p</PolicyName><PolicyArn>{arn}</PolicyArn></member>")
        })
        .collect();
    iam(
        "ListAttachedRolePolicies",
        &format!("<AttachedPolicies>{members}</AttachedPolicies><IsTruncated>false</IsTruncated>"),
    )
}

pub(crate) fn log_groups(groups: &[(&str, Option<i32>)]) -> Answer {
    let groups: Vec<Value> = groups
        .iter()
        .map(|(name, days)| json!({"logGroupName": name, "retentionInDays": days}))
        .collect();
    ok(json!({"logGroups": groups}))
}

pub(crate) fn our_log_group_tags() -> Answer {
    ok(json!({"tags": {"mcplambda:function": "time", "team": "clocks"}}))
}

/// What Lambda says about `$LATEST` or a version that is as [`wanted`] wants it.
pub(crate) fn function(version: &str) -> Value {
    json!({
        "FunctionName": "time",
        "FunctionArn": "arn:aws:lambda:eu-central-1:123456789012:function:time",
        "Version": version,
        "Description": "tells the time",
        "Runtime": "python3.13",
        "Handler": "mcplambda.handler",
        "Role": BROUGHT,
        "Architectures": ["x86_64"],
        "MemorySize": 1024,
        "Timeout": 60,
        "EphemeralStorage": {"Size": 512},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/time"},
        "TracingConfig": {"Mode": "PassThrough"},
        "Environment": {"Variables": {"SECRET": "hunter2"}},
        "CodeSha256": SHA,
        "CodeSize": 3,
        "PackageType": "Zip",
        "State": "Active",
        "LastUpdateStatus": "Successful"
    })
}

/// [`function`] with some fields set otherwise.
pub(crate) fn function_but(version: &str, fields: Value) -> Value {
    let mut function = function(version);
    let target = function.as_object_mut().expect("an object");
    for (key, value) in fields.as_object().expect("an object") {
        target.insert(key.clone(), value.clone());
    }
    function
}

/// `GetFunction`'s answer around a description.
pub(crate) fn get_function(configuration: Value, unfinished: bool) -> Answer {
    let mut tags = json!({"mcplambda:function": "time", "team": "clocks"});
    if unfinished {
        tags["mcplambda:unfinished"] = json!("true");
    }
    ok(json!({"Configuration": configuration, "Tags": tags}))
}

pub(crate) fn alias(version: &str) -> Answer {
    ok(json!({"Name": "live", "FunctionVersion": version}))
}

/// A small server with a brought role: the fewest calls.
pub(crate) fn wanted() -> Wanted {
    Wanted {
        function_name: "time".to_owned(),
        description: "tells the time".to_owned(),
        role: Role::Brought(BROUGHT.to_owned()),
        runtime: Some("python3.13".to_owned()),
        handler: Some("mcplambda.handler".to_owned()),
        architecture: Architecture::X86_64,
        memory: 1024,
        timeout: 60,
        ephemeral_storage: 512,
        environment: BTreeMap::from([("SECRET".to_owned(), "hunter2".to_owned())]),
        layers: Vec::new(),
        vpc: None,
        dead_letter_queue: false,
        reserved_concurrency: None,
        log_retention_days: Some(14),
        log_format: LogFormat::Text,
        tracing: Tracing::PassThrough,
        alias: "live".to_owned(),
        url: None,
        tags: BTreeMap::from([("team".to_owned(), "clocks".to_owned())]),
        repository: None,
        code: Some(Code::Zip(b"zip".to_vec())),
        artifact_bucket: None,
        code_sha256: SHA.to_owned(),
    }
}

/// The log group as wanted.
pub(crate) fn log_group_as_wanted() -> Vec<(&'static str, Answer)> {
    vec![
        (
            "logs DescribeLogGroups",
            log_groups(&[("/aws/lambda/time", Some(14))]),
        ),
        ("logs ListTagsForResource", our_log_group_tags()),
    ]
}

/// Nothing is left over of a role or queue that is not wanted.
pub(crate) fn nothing_left_over() -> Vec<(&'static str, Answer)> {
    vec![("iam GetRole", no_role()), ("sqs GetQueueUrl", no_queue())]
}

/// No image repository is left over.
pub(crate) fn no_image_repository() -> Vec<(&'static str, Answer)> {
    vec![(
        "ecr DescribeRepositories",
        json_error(
            "RepositoryNotFoundException",
            "The repository does not exist",
        ),
    )]
}

/// The alias has no URL, and its policy none of our statements.
pub(crate) fn no_url() -> Vec<(&'static str, Answer)> {
    vec![
        ("lambda GetFunctionUrlConfig:live", no_function()),
        ("lambda GetPolicy:live", no_function()),
    ]
}

/// A script that is being played.
pub(crate) struct Stage {
    pub(crate) aws: Aws,
    pub(crate) op: Operation,
    http: StaticReplayClient,
    script: Vec<&'static str>,
}

/// Scripts are written in pieces.
pub(crate) fn stage(script: impl IntoIterator<Item = Vec<(&'static str, Answer)>>) -> Stage {
    let script: Vec<_> = script.into_iter().flatten().collect();
    // One answer more than is written: a call too many is recorded, and fails `assert_played`.
    let too_many = lambda_error(418, "CallTooMany", "the script has ended");
    let events = script
        .iter()
        .map(|(_, answer)| answer)
        .chain([&too_many])
        .map(|answer| {
            let mut response = http::Response::builder().status(answer.status);
            for (name, value) in &answer.headers {
                response = response.header(*name, value);
            }
            ReplayEvent::new(
                http::Request::builder()
                    .uri("https://example.com")
                    .body(SdkBody::empty())
                    .expect("a request"),
                response
                    .body(SdkBody::from(answer.body.clone()))
                    .expect("a response"),
            )
        })
        .collect();
    let http = StaticReplayClient::new(events);
    macro_rules! client {
        ($sdk:ident $(, $setting:ident($value:expr))?) => {
            $sdk::Client::from_conf(
                $sdk::Config::builder()$(.$setting($value))?
                    .behavior_version($sdk::config::BehaviorVersion::latest())
                    .region($sdk::config::Region::new("eu-central-1"))
                    .credentials_provider($sdk::config::Credentials::new(
                        "AKIDEXAMPLE",
                        "secret",
                        None,
                        None,
                        "test",
                    ))
                    .retry_config($sdk::config::retry::RetryConfig::disabled())
                    .http_client(http.clone())
                    .build(),
            )
        };
    }
    Stage {
        aws: Aws {
            lambda: client!(aws_sdk_lambda),
            iam: client!(aws_sdk_iam),
            logs: client!(aws_sdk_cloudwatchlogs),
            sqs: client!(aws_sdk_sqs),
            ecr: client!(aws_sdk_ecr),
            // So that the host names the service, as elsewhere.
            s3: client!(aws_sdk_s3, force_path_style(true)),
            account_id: "123456789012".to_owned(),
            region: "eu-central-1".to_owned(),
            partition: "aws".to_owned(),
        },
        op: Operation::new(CancellationToken::new(), Duration::from_secs(600)),
        http,
        script: script.iter().map(|(call, _)| *call).collect(),
    }
}

impl Stage {
    /// Every line of the script was played, and nothing else was asked for.
    #[track_caller]
    pub(crate) fn assert_played(&self) {
        let calls: Vec<_> = self.requests().into_iter().map(|(call, _)| call).collect();
        assert_eq!(calls, self.script);
    }

    /// The body of the only call of this name.
    #[track_caller]
    pub(crate) fn body(&self, call: &str) -> Value {
        let mut bodies = self.bodies(call);
        assert_eq!(bodies.len(), 1, "calls of {call}");
        bodies.remove(0)
    }

    /// The bodies of all requests of a call.
    pub(crate) fn bodies(&self, call: &str) -> Vec<Value> {
        let requests = self.requests().into_iter();
        requests
            .filter(|(name, _)| name == call)
            .map(|(_, body)| body)
            .collect()
    }

    /// Name and body of each request; IAM's forms as objects.
    pub(crate) fn requests(&self) -> Vec<(String, Value)> {
        self.http
            .actual_requests()
            .map(|request| {
                let body = request.body().bytes().unwrap_or_default();
                let uri = request.uri().parse::<http::Uri>().expect("a URI");
                let host = uri.host().unwrap_or_default();
                // ECR's alone begins with a word more.
                let service = host.strip_prefix("api.").unwrap_or(host);
                let service = service.split('.').next().unwrap_or_default();
                match (service, request.headers().get("x-amz-target")) {
                    ("iam", _) => form(body),
                    ("s3", _) => {
                        let sha256 = request.headers().get("x-amz-checksum-sha256");
                        s3_call(request.method(), &uri, (body, sha256))
                    }
                    (_, Some(target)) => {
                        let (_, action) = target.split_once('.').expect("service.action");
                        (
                            format!("{service} {action}"),
                            serde_json::from_slice(body).expect("a JSON body"),
                        )
                    }
                    _ => (
                        lambda_call(request.method(), &uri),
                        serde_json::from_slice(body).unwrap_or(Value::Null),
                    ),
                }
            })
            .collect()
    }

    /// Converges with a hook that accepts.
    pub(crate) async fn converge(&self, wanted: &Wanted, mode: Mode) -> Result<Deployed, Failed> {
        converge(&self.aws, wanted, mode, accept, &self.op).await
    }
}

pub(crate) async fn accept(_: Published) -> Result<(), HookError> {
    Ok(())
}

fn form(body: &[u8]) -> (String, Value) {
    let text = std::str::from_utf8(body).expect("a form");
    let mut fields: serde_json::Map<String, Value> = text
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| {
            let value = percent_encoding::percent_decode_str(value)
                .decode_utf8()
                .expect("UTF-8");
            (key.to_owned(), Value::String(value.into_owned()))
        })
        .collect();
    fields.remove("Version");
    let action = fields.remove("Action").expect("an action");
    let action = action.as_str().expect("text").to_owned();
    (format!("iam {action}"), Value::Object(fields))
}

/// S3's REST interface: the operation, what it is about, and what is uploaded with which checksum.
fn s3_call(
    method: &str,
    uri: &http::Uri,
    (body, sha256): (&[u8], Option<&str>),
) -> (String, Value) {
    let path = uri.path().trim_matches('/');
    let query = uri.query().unwrap_or_default();
    let parameters: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.starts_with("x-id="))
        .collect();
    let operation = match (method, path.contains('/')) {
        ("GET", false) if query.contains("versions") => "ListObjectVersions",
        ("HEAD", false) => "HeadBucket",
        ("HEAD", true) => "HeadObject",
        ("PUT", true) => "PutObject",
        ("DELETE", true) => "DeleteObject",
        other => panic!("not a call that this room makes: {other:?} {uri}"),
    };
    let mut about = json!({"path": path, "query": parameters.join("&")});
    if operation == "PutObject" {
        about["body"] = json!(String::from_utf8_lossy(body));
        about["sha256"] = json!(sha256);
    }
    (format!("s3 {operation}"), about)
}

/// Lambda's REST interface, named as IAM names its actions; with `:qualifier` where one is given.
fn lambda_call(method: &str, uri: &http::Uri) -> String {
    let path: Vec<_> = uri.path().trim_matches('/').split('/').skip(1).collect();
    let action = match (method, path.as_slice()) {
        ("POST", ["functions"]) => "CreateFunction",
        ("GET", ["functions", _]) => "GetFunction",
        ("DELETE", ["functions", _]) => "DeleteFunction",
        ("GET", ["functions", _, "configuration"]) => "GetFunctionConfiguration",
        ("PUT", ["functions", _, "configuration"]) => "UpdateFunctionConfiguration",
        ("PUT", ["functions", _, "code"]) => "UpdateFunctionCode",
        ("PUT", ["functions", _, "concurrency"]) => "PutFunctionConcurrency",
        ("DELETE", ["functions", _, "concurrency"]) => "DeleteFunctionConcurrency",
        ("POST", ["functions", _, "versions"]) => "PublishVersion",
        ("GET", ["functions", _, "versions"]) => "ListVersionsByFunction",
        ("GET", ["functions", _, "aliases"]) => "ListAliases",
        ("POST", ["functions", _, "aliases"]) => "CreateAlias",
        ("GET", ["functions", _, "aliases", _]) => "GetAlias",
        ("PUT", ["functions", _, "aliases", _]) => "UpdateAlias",
        ("DELETE", ["functions", _, "aliases", _]) => "DeleteAlias",
        ("POST", ["functions", _, "url"]) => "CreateFunctionUrlConfig",
        ("GET", ["functions", _, "url"]) => "GetFunctionUrlConfig",
        ("PUT", ["functions", _, "url"]) => "UpdateFunctionUrlConfig",
        ("DELETE", ["functions", _, "url"]) => "DeleteFunctionUrlConfig",
        ("GET", ["functions", _, "policy"]) => "GetPolicy",
        ("POST", ["functions", _, "policy"]) => "AddPermission",
        ("DELETE", ["functions", _, "policy", _]) => "RemovePermission",
        ("POST", ["tags", _]) => "TagResource",
        ("DELETE", ["tags", _]) => "UntagResource",
        other => panic!("not a call that this room makes: {other:?}"),
    };
    let qualifier = uri
        .query()
        .and_then(|query| query.strip_prefix("Qualifier="))
        .map(|qualifier| format!(":{}", qualifier.replace("%24", "$")));
    format!("lambda {action}{}", qualifier.unwrap_or_default())
}
