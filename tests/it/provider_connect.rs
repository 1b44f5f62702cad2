//! Signing in: what is asked of STS, and what each refusal tells the user.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mcplambda::provider::clients::connect;
use mcplambda::provider::config::{AssumeRole, Endpoints, ProviderConfig};
use mcplambda::provider::config_error::{Attribute, ConfigError};

use crate::fake_sts::{self, FakeSts};

const ACCOUNT: &str = "210987654321";

/// Static keys, so that nothing of the machine's own environment matters.
fn config(sts: &str) -> ProviderConfig {
    ProviderConfig {
        region: Some("eu-north-1".to_owned()),
        access_key: Some("AKIDBASE".to_owned()),
        secret_key: Some("secret".to_owned()),
        endpoints: Endpoints {
            sts: Some(sts.to_owned()),
            ..Endpoints::default()
        },
        ..ProviderConfig::default()
    }
}

async fn refusal(config: ProviderConfig) -> ConfigError {
    connect(config)
        .await
        .map(|_| ())
        .expect_err("the configuration is refused")
}

#[tokio::test]
async fn sts_is_asked_once_and_its_answer_reaches_every_region() {
    let sts = FakeSts::of_account(ACCOUNT);
    let clients = connect(config(&sts.url))
        .await
        .expect("the credentials are good");

    let here = clients
        .for_region(None)
        .await
        .expect("the provider's region");
    let there = clients
        .for_region(Some("us-west-2"))
        .await
        .expect("another region");

    assert_eq!(
        (
            here.region.as_str(),
            here.account_id.as_str(),
            here.partition.as_str()
        ),
        ("eu-north-1", ACCOUNT, "aws")
    );
    assert_eq!(
        (there.region.as_str(), there.account_id.as_str()),
        ("us-west-2", ACCOUNT)
    );
    assert!(std::sync::Arc::ptr_eq(
        &there,
        &clients.for_region(Some("us-west-2")).await.expect("again")
    ));
    let requests = sts.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(requests[0].access_key(), Some("AKIDBASE"));
    let user_agent = requests[0].header("user-agent").expect("a user agent");
    assert!(
        user_agent.contains(concat!(" mcplambda/", env!("CARGO_PKG_VERSION"))),
        "{user_agent}"
    );
}

#[tokio::test]
async fn without_validation_sts_is_asked_only_when_the_account_is_needed() {
    let sts = FakeSts::of_account(ACCOUNT);
    let config = ProviderConfig {
        skip_credentials_validation: true,
        ..config(&sts.url)
    };

    let clients = connect(config).await.expect("nothing is asked");
    assert_eq!(sts.requests().len(), 0);

    let aws = clients
        .for_region(None)
        .await
        .expect("the account is found");
    assert_eq!(aws.account_id, ACCOUNT);
    assert_eq!(sts.requests().len(), 1);
}

#[tokio::test]
async fn skipping_validation_does_not_skip_the_account_lists() {
    let sts = FakeSts::of_account(ACCOUNT);
    let config = ProviderConfig {
        skip_credentials_validation: true,
        forbidden_account_ids: vec![ACCOUNT.to_owned()],
        ..config(&sts.url)
    };
    let clients = connect(config).await.expect("nothing is asked");
    let error = clients
        .for_region(None)
        .await
        .expect_err("the account is forbidden");
    assert_eq!(error.attribute(), Some(Attribute::ForbiddenAccountIds));
}

#[tokio::test]
async fn an_account_outside_the_lists_is_refused_by_name() {
    let sts = FakeSts::of_account(ACCOUNT);
    let not_allowed = refusal(ProviderConfig {
        allowed_account_ids: vec!["111111111111".to_owned(), "222222222222".to_owned()],
        ..config(&sts.url)
    })
    .await;
    assert_eq!(not_allowed.attribute(), Some(Attribute::AllowedAccountIds));
    assert_eq!(
        not_allowed.to_string(),
        "the credentials belong to AWS account 210987654321, which is not in allowed_account_ids (111111111111, \
         222222222222). Use credentials of an allowed account, or add it."
    );

    let forbidden = refusal(ProviderConfig {
        forbidden_account_ids: vec![ACCOUNT.to_owned()],
        ..config(&sts.url)
    })
    .await;
    assert_eq!(forbidden.attribute(), Some(Attribute::ForbiddenAccountIds));
    assert_eq!(
        forbidden.to_string(),
        "the credentials belong to AWS account 210987654321, which forbidden_account_ids names. Use another account."
    );

    let allowed = ProviderConfig {
        allowed_account_ids: vec![ACCOUNT.to_owned()],
        ..config(&sts.url)
    };
    connect(allowed)
        .await
        .expect("an account in the list is allowed");
}

#[tokio::test]
async fn roles_are_assumed_one_after_the_other_with_everything_the_block_says() {
    let sts = FakeSts::start(
        |request| match (request.field("Action"), request.field("RoleArn")) {
            (Some("AssumeRole"), Some("arn:aws:iam::111111111111:role/first")) => {
                (200, fake_sts::assumed("AKIDFIRST"))
            }
            (Some("AssumeRole"), Some("arn:aws:iam::222222222222:role/second")) => {
                (200, fake_sts::assumed("AKIDSECOND"))
            }
            (Some("GetCallerIdentity"), None) => (200, fake_sts::identity("222222222222")),
            _ => (400, fake_sts::error("InvalidAction", "not expected here")),
        },
    );
    let first = AssumeRole {
        role_arn: "arn:aws:iam::111111111111:role/first".to_owned(),
        session_name: Some("deploy".to_owned()),
        external_id: Some("shared-word".to_owned()),
        duration: Some(Duration::from_secs(1800)),
        policy: Some("{}".to_owned()),
        policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
        tags: BTreeMap::from([("team".to_owned(), "tools".to_owned())]),
        source_identity: Some("someone".to_owned()),
    };
    let second = AssumeRole {
        role_arn: "arn:aws:iam::222222222222:role/second".to_owned(),
        ..AssumeRole::default()
    };
    let config = ProviderConfig {
        assume_role: vec![first, second],
        ..config(&sts.url)
    };

    let clients = connect(config).await.expect("both roles are assumed");
    assert_eq!(
        clients.caller().await.expect("known").account_id,
        "222222222222"
    );

    let requests = sts.requests();
    let steps: Vec<_> = requests
        .iter()
        .map(|request| (request.field("Action"), request.access_key()))
        .collect();
    assert_eq!(
        steps,
        [
            (Some("AssumeRole"), Some("AKIDBASE")),
            (Some("AssumeRole"), Some("AKIDFIRST")),
            (Some("GetCallerIdentity"), Some("AKIDSECOND")),
        ]
    );
    let mut fields: Vec<_> = requests[0]
        .form
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            ("Action", "AssumeRole"),
            ("DurationSeconds", "1800"),
            ("ExternalId", "shared-word"),
            ("Policy", "{}"),
            (
                "PolicyArns.member.1.arn",
                "arn:aws:iam::aws:policy/ReadOnlyAccess"
            ),
            ("RoleArn", "arn:aws:iam::111111111111:role/first"),
            ("RoleSessionName", "deploy"),
            ("SourceIdentity", "someone"),
            ("Tags.member.1.Key", "team"),
            ("Tags.member.1.Value", "tools"),
            ("Version", "2011-06-15"),
        ]
    );
    assert_eq!(
        requests[1].field("RoleSessionName"),
        Some("terraform-provider-mcplambda")
    );
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_named_with_its_block() {
    let sts = FakeSts::start(|request| match request.field("RoleArn") {
        Some("arn:aws:iam::111111111111:role/first") => (200, fake_sts::assumed("AKIDFIRST")),
        _ => (
            403,
            fake_sts::error(
                "AccessDenied",
                "User is not authorized to perform: sts:AssumeRole",
            ),
        ),
    });
    let role = |arn: &str| AssumeRole {
        role_arn: arn.to_owned(),
        ..AssumeRole::default()
    };
    let refused = |config| async move {
        let error = refusal(config).await;
        (error.attribute(), error.to_string())
    };

    let at_the_end = ProviderConfig {
        assume_role: vec![
            role("arn:aws:iam::111111111111:role/first"),
            role("arn:aws:iam::222222222222:role/second"),
        ],
        ..config(&sts.url)
    };
    let (attribute, text) = refused(at_the_end).await;
    assert_eq!(attribute, Some(Attribute::AssumeRole(1)));
    assert_eq!(
        text,
        "arn:aws:iam::222222222222:role/second cannot be assumed: AccessDenied: User is not authorized to perform: \
         sts:AssumeRole\n\nThe role must exist, its trust policy must name the caller (here the role of the block \
         before), and the caller must be allowed to call sts:AssumeRole on it."
    );

    let in_the_middle = ProviderConfig {
        assume_role: vec![
            role("arn:aws:iam::222222222222:role/second"),
            role("arn:aws:iam::111111111111:role/first"),
        ],
        ..config(&sts.url)
    };
    let (attribute, _) = refused(in_the_middle).await;
    assert_eq!(attribute, Some(Attribute::AssumeRole(0)));
}

#[tokio::test]
async fn expired_and_unknown_credentials_say_what_to_do() {
    let expired = FakeSts::start(|_| {
        (
            403,
            fake_sts::error(
                "ExpiredToken",
                "The security token included in the request is expired",
            ),
        )
    });
    assert_eq!(
        refusal(config(&expired.url)).await.to_string(),
        "the AWS session has expired (ExpiredToken: The security token included in the request is expired). Sign in \
         again (for example with \"aws sso login\")."
    );

    let unknown = FakeSts::start(|_| {
        (
            403,
            fake_sts::error(
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            ),
        )
    });
    assert_eq!(
        refusal(config(&unknown.url)).await.to_string(),
        "AWS does not accept these credentials in eu-north-1 (InvalidClientTokenId: The security token included in the \
         request is invalid.). Check that the access key exists, that it belongs to the partition of eu-north-1, and \
         that the region is enabled for the account."
    );
}

#[tokio::test]
async fn an_endpoint_that_nobody_serves_is_named_within_seconds() {
    // Bound and dropped: a port that refuses connections.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("an address");
    let started = Instant::now();
    let error = refusal(config(&format!("http://{closed}"))).await;
    assert_eq!(error.attribute(), Some(Attribute::StsEndpoint));
    assert!(
        error.to_string().starts_with(&format!(
            "AWS STS could not be reached at http://{closed}: "
        )),
        "{error}"
    );
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "took {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn other_services_give_up_on_an_absent_host_too_whatever_max_retries_says() {
    let sts = FakeSts::of_account(ACCOUNT);
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("an address");
    let mut config = config(&sts.url);
    config.endpoints.lambda = Some(format!("http://{closed}"));
    config.max_retries = Some(100);
    let aws = connect(config)
        .await
        .expect("STS answers")
        .for_region(None)
        .await
        .expect("clients");
    let started = Instant::now();
    let error = aws
        .lambda
        .get_function()
        .function_name("f")
        .send()
        .await
        .expect_err("nobody is there");
    let text = mcplambda::provider::clients::describe(&error);
    assert!(text.contains("Connection refused"), "{text}");
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "took {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_mistyped_region_is_refused_before_anything_is_asked() {
    let sts = FakeSts::of_account(ACCOUNT);
    let error = refusal(ProviderConfig {
        region: Some("us-esat-1".to_owned()),
        ..config(&sts.url)
    })
    .await;
    assert_eq!(error.attribute(), Some(Attribute::Region));
    assert_eq!(
        error.to_string(),
        "\"us-esat-1\" is not a valid region name; did you mean \"us-east-1\"?"
    );
    assert_eq!(sts.requests().len(), 0);
}

#[tokio::test]
async fn a_profile_in_the_configuration_is_read_from_the_given_files() {
    let sts = FakeSts::of_account(ACCOUNT);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (settings, keys) = (
        directory.path().join("config"),
        directory.path().join("keys"),
    );
    std::fs::write(&settings, "[profile work]\nregion = ap-south-2\n").expect("written");
    std::fs::write(
        &keys,
        "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n",
    )
    .expect("written");
    let config = ProviderConfig {
        profile: Some("work".to_owned()),
        access_key: None,
        secret_key: None,
        shared_config_files: vec![settings.display().to_string()],
        shared_credentials_files: vec![keys.display().to_string()],
        ..config(&sts.url)
    };
    connect(config).await.expect("the profile has keys");
    assert_eq!(sts.requests()[0].access_key(), Some("AKIDWORK"));
}

#[tokio::test]
async fn a_profile_that_does_not_exist_is_named_with_the_files_that_are_missing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let keys = directory.path().join("keys");
    std::fs::write(
        &keys,
        "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n",
    )
    .expect("written");
    let config = ProviderConfig {
        profile: Some("wrok".to_owned()),
        access_key: None,
        secret_key: None,
        shared_config_files: vec!["/nonexistent/config".to_owned()],
        shared_credentials_files: vec![keys.display().to_string()],
        ..config("http://127.0.0.1:1")
    };
    let error = refusal(config).await;
    assert_eq!(error.attribute(), Some(Attribute::Profile));
    assert_eq!(
        error.to_string(),
        "no AWS credentials were found. Tried, in this order:\n  - profile \"wrok\" of the configuration: profile \
         `wrok` was not defined: could not find source profile wrok referenced from the root profile\nFiles that do not exist: /nonexistent/config.\n\nSign \
         in (for example with \"aws sso login\"), export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile."
    );
}
