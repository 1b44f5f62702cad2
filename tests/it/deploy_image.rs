//! Functions that are container images: the repository that is made for them or brought, and when it is changed or removed.

use mcplambda::deploy::image_repo::{self, ImageRepository};
use mcplambda::deploy::{
    Code, DeployError, DriftKind, Mode, Repository, RepositoryUrl, Wanted, check_free, destroy,
    read, remnants,
};
use serde_json::{Value, json};

use crate::deploy_replay::*;

type Script = Vec<(&'static str, Answer)>;

const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
const ARN: &str = "arn:aws:ecr:eu-central-1:123456789012:repository/mcplambda/time";
const DIGEST: &str = "1111111111111111111111111111111111111111111111111111111111111111";

fn managed_uri() -> String {
    format!("{HOST}/mcplambda/time")
}

fn brought_url() -> RepositoryUrl {
    format!("{HOST}/team/servers").parse().expect("a URL")
}

fn repository(uri: &str, scanned: bool) -> Value {
    json!({
        "repositoryArn": ARN, "repositoryUri": uri, "repositoryName": "mcplambda/time",
        "imageScanningConfiguration": {"scanOnPush": scanned},
    })
}

fn no_repository() -> Answer {
    no_image_repository().remove(0).1
}

/// The managed repository with these tags.
fn there(scanned: bool, tags: &[(&str, &str)]) -> Script {
    let tags: Vec<Value> = tags
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    vec![
        (
            "ecr DescribeRepositories",
            ok(json!({"repositories": [repository(&managed_uri(), scanned)]})),
        ),
        ("ecr ListTagsForResource", ok(json!({"tags": tags}))),
    ]
}

const OUR_TAGS: [(&str, &str); 2] = [("mcplambda:function", "time"), ("team", "clocks")];

/// `AWS:secret`.
fn token() -> Script {
    vec![(
        "ecr GetAuthorizationToken",
        ok(json!({"authorizationData": [{"authorizationToken": "QVdTOnNlY3JldA=="}]})),
    )]
}

fn signed_in(uri: String) -> ImageRepository {
    ImageRepository {
        uri,
        user: "AWS".to_owned(),
        password: "secret".to_owned(),
    }
}

async fn managed(stage: &Stage) -> Result<ImageRepository, DeployError> {
    image_repo::managed(&stage.aws, &stage.op, "time", &wanted().tags).await
}

#[tokio::test(start_paused = true)]
async fn a_repository_is_made_with_scan_and_rule_and_tags() {
    let stage = stage([
        vec![
            ("ecr DescribeRepositories", no_repository()),
            (
                "ecr CreateRepository",
                ok(json!({"repository": repository(&managed_uri(), true)})),
            ),
            ("ecr PutLifecyclePolicy", done()),
        ],
        token(),
    ]);

    let made = managed(&stage).await.expect("made");

    stage.assert_played();
    assert_eq!(made, signed_in(managed_uri()));
    assert_eq!(
        stage.body("ecr CreateRepository"),
        json!({
            "repositoryName": "mcplambda/time",
            "tags": [{"Key": "mcplambda:function", "Value": "time"}, {"Key": "team", "Value": "clocks"}],
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": true},
        })
    );
    let policy = stage.body("ecr PutLifecyclePolicy");
    assert_eq!(policy["repositoryName"], "mcplambda/time");
    let rules: Value = serde_json::from_str(policy["lifecyclePolicyText"].as_str().expect("text"))
        .expect("a policy");
    assert_eq!(
        rules,
        json!({"rules": [
            {
                "rulePriority": 1,
                "description": "keep what is or may be served",
                "selection": {
                    "tagStatus": "tagged", "tagPrefixList": ["keep-"], "countType": "imageCountMoreThan", "countNumber": 100_000,
                },
                "action": {"type": "expire"},
            },
            {
                "rulePriority": 2,
                "description": "keep the newest 10",
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10},
                "action": {"type": "expire"},
            },
        ]})
    );
}

#[tokio::test(start_paused = true)]
async fn a_repository_of_ours_is_brought_to_what_it_should_be() {
    let stage = stage([
        there(
            false,
            &[
                ("mcplambda:function", "time"),
                ("team", "old"),
                ("gone", "1"),
            ],
        ),
        vec![
            ("ecr TagResource", done()),
            ("ecr UntagResource", done()),
            ("ecr PutImageScanningConfiguration", done()),
            ("ecr PutLifecyclePolicy", done()),
        ],
        token(),
    ]);

    assert_eq!(
        managed(&stage).await.expect("adopted"),
        signed_in(managed_uri())
    );

    stage.assert_played();
    assert_eq!(
        stage.body("ecr TagResource"),
        json!({"resourceArn": ARN, "tags": [{"Key": "team", "Value": "clocks"}]})
    );
    assert_eq!(
        stage.body("ecr UntagResource"),
        json!({"resourceArn": ARN, "tagKeys": ["gone"]})
    );
    assert_eq!(
        stage.body("ecr PutImageScanningConfiguration"),
        json!({"repositoryName": "mcplambda/time", "imageScanningConfiguration": {"scanOnPush": true}})
    );
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_somebody_else_made_is_refused_and_not_touched() {
    for tags in [&[][..], &[("mcplambda:function", "other")]] {
        let stage = stage([there(true, tags)]);

        let error = managed(&stage).await.expect_err("not ours");

        stage.assert_played();
        assert_eq!(error.attribute(), Some("function_name"));
        assert_eq!(
            error.to_string(),
            "the ECR repository mcplambda/time exists, but its tags do not say that it was made for the function time here; delete it, or \
             choose another function name"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_whose_creation_was_not_answered_is_found() {
    let stage = stage([
        vec![
            ("ecr DescribeRepositories", no_repository()),
            (
                "ecr CreateRepository",
                json_error("RepositoryAlreadyExistsException", "already exists"),
            ),
        ],
        there(true, &OUR_TAGS),
        vec![("ecr PutLifecyclePolicy", done())],
        token(),
    ]);

    assert_eq!(
        managed(&stage).await.expect("found"),
        signed_in(managed_uri())
    );

    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_was_brought_is_only_signed_in_to() {
    let url = brought_url();
    let stage = stage([
        vec![(
            "ecr DescribeRepositories",
            ok(json!({"repositories": [repository(&url.to_string(), false)]})),
        )],
        token(),
    ]);

    let opened = image_repo::brought(&stage.aws, &stage.op, &url).await;

    stage.assert_played();
    assert_eq!(opened.expect("opened"), signed_in(url.to_string()));
    assert_eq!(
        stage.body("ecr DescribeRepositories"),
        json!({"registryId": "123456789012", "repositoryNames": ["team/servers"]})
    );
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_may_not_be_looked_at_may_still_be_pushed_to() {
    let stage = stage([
        vec![(
            "ecr DescribeRepositories",
            json_error("AccessDeniedException", "not authorized"),
        )],
        token(),
    ]);

    let opened = image_repo::brought(&stage.aws, &stage.op, &brought_url()).await;

    stage.assert_played();
    assert_eq!(
        opened.expect("opened"),
        signed_in(brought_url().to_string())
    );
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_ecr_does_not_have_is_refused_at_its_attribute() {
    let elsewhere: RepositoryUrl = "127.0.0.1:5000/team/servers".parse().expect("a URL");
    for (url, answer, reason) in [
        (
            brought_url(),
            no_repository(),
            "it does not exist. Create it, or correct the name".to_owned(),
        ),
        (
            elsewhere,
            ok(json!({"repositories": [repository(&brought_url().to_string(), true)]})),
            format!("ECR's repository of that name is {}", brought_url()),
        ),
    ] {
        let stage = stage([vec![("ecr DescribeRepositories", answer)]]);

        let error = image_repo::brought(&stage.aws, &stage.op, &url)
            .await
            .expect_err("refused");

        stage.assert_played();
        assert_eq!(error.attribute(), Some("image_repository_url"));
        assert_eq!(
            error.to_string(),
            format!("the image repository {url} cannot be used: {reason}")
        );
    }
}

/// An image of this repository, as wanted.
fn image_in(repository: Repository) -> Wanted {
    let uri = match repository {
        Repository::Brought => brought_url().to_string(),
        Repository::Managed => managed_uri(),
    };
    Wanted {
        runtime: None,
        handler: None,
        repository: Some(repository),
        code: Some(Code::Image(format!("{uri}@sha256:{DIGEST}"))),
        code_sha256: DIGEST.to_owned(),
        ..wanted()
    }
}

fn image(version: &str) -> Value {
    function_but(
        version,
        json!({"PackageType": "Image", "Runtime": null, "Handler": null, "CodeSha256": DIGEST, "CodeSize": 0}),
    )
}

/// `GetFunction`'s answer for an image that lies in `repository`.
fn get_image(repository: &str) -> Answer {
    ok(json!({
        "Configuration": image("$LATEST"),
        "Tags": {"mcplambda:function": "time", "team": "clocks"},
        "Code": {"RepositoryType": "ECR", "ImageUri": format!("{repository}@sha256:{DIGEST}")},
    }))
}

fn served(repository: &str) -> Script {
    vec![
        ("lambda GetFunction", get_image(repository)),
        ("lambda GetAlias", alias("1")),
        ("lambda GetFunctionConfiguration:1", ok(image("1"))),
    ]
}

#[tokio::test(start_paused = true)]
async fn the_same_image_in_another_repository_is_deployed_from_there_and_then_the_managed_one_goes()
{
    let mut wanted = image_in(Repository::Brought);
    wanted
        .environment
        .insert("WHERE".to_owned(), "there".to_owned());
    let new = |version| {
        let mut new = image(version);
        new["Environment"]["Variables"]["WHERE"] = json!("there");
        new
    };
    let stage = stage([
        served(&managed_uri()),
        log_group_as_wanted(),
        vec![
            ("lambda UpdateFunctionConfiguration", ok(new("$LATEST"))),
            ("lambda UpdateFunctionCode", ok(new("$LATEST"))),
            ("lambda PublishVersion", ok(new("2"))),
            ("lambda UpdateAlias", done()),
        ],
        no_url(),
        nothing_left_over(),
        there(true, &OUR_TAGS),
        vec![
            ("ecr DeleteRepository", done()),
            (
                "lambda ListVersionsByFunction",
                ok(json!({"Versions": [{"Version": "$LATEST"}, {"Version": "1"}]})),
            ),
        ],
    ]);

    stage
        .converge(&wanted, Mode::Update)
        .await
        .expect("updated");

    stage.assert_played();
    assert_eq!(
        stage.body("lambda UpdateFunctionCode"),
        json!({"ImageUri": format!("{}@sha256:{DIGEST}", brought_url()), "Architectures": ["x86_64"]})
    );
    assert_eq!(
        stage.body("ecr DeleteRepository"),
        json!({"repositoryName": "mcplambda/time", "force": true})
    );
}

#[tokio::test(start_paused = true)]
async fn an_update_without_code_keeps_the_managed_repository_as_it_should_be() {
    let wanted = Wanted {
        code: None,
        ..image_in(Repository::Managed)
    };
    let stage = stage([
        served(&managed_uri()),
        there(true, &OUR_TAGS),
        vec![("ecr PutLifecyclePolicy", done())],
        log_group_as_wanted(),
        no_url(),
        nothing_left_over(),
    ]);

    stage
        .converge(&wanted, Mode::Update)
        .await
        .expect("updated");

    stage.assert_played();
}

/// An update to an image of the managed repository that was pushed just now, up to where the alias serves it.
fn update_to_pushed() -> (Wanted, Script) {
    let old = "2222222222222222222222222222222222222222222222222222222222222222";
    let was = |version: &str| {
        let mut was = image(version);
        was["CodeSha256"] = json!(old);
        was
    };
    let found = json!({
        "Configuration": was("$LATEST"),
        "Tags": {"mcplambda:function": "time", "team": "clocks"},
        "Code": {"RepositoryType": "ECR", "ImageUri": format!("{}@sha256:{old}", managed_uri())},
    });
    let script = [
        vec![
            ("lambda GetFunction", ok(found)),
            ("lambda GetAlias", alias("1")),
            ("lambda GetFunctionConfiguration:1", ok(was("1"))),
        ],
        log_group_as_wanted(),
        vec![
            ("lambda UpdateFunctionCode", ok(image("$LATEST"))),
            ("lambda PublishVersion", ok(image("2"))),
            ("lambda UpdateAlias", done()),
        ],
        no_url(),
        nothing_left_over(),
    ];
    (
        image_in(Repository::Managed),
        script.into_iter().flatten().collect(),
    )
}

fn versions() -> Script {
    vec![(
        "lambda ListVersionsByFunction",
        ok(json!({"Versions": [{"Version": "$LATEST"}, {"Version": "1"}]})),
    )]
}

#[tokio::test(start_paused = true)]
async fn once_an_image_is_served_all_others_are_left_to_the_rule() {
    let (wanted, script) = update_to_pushed();
    let tag = |tag: String| json!({"imageDigest": "sha256:0", "imageTag": tag});
    let others: Vec<String> = (0..101).map(|number| format!("keep-{number}")).collect();
    let first = others[..60].iter().cloned().map(tag).collect::<Vec<_>>();
    let rest = others[60..].iter().cloned().chain([
        format!("keep-{DIGEST}"),
        DIGEST.to_owned(),
        "mine".to_owned(),
    ]);
    let rest = rest.map(tag).collect::<Vec<_>>();
    let stage = stage([
        script,
        vec![
            (
                "ecr ListImages",
                ok(json!({"imageIds": first, "nextToken": "more"})),
            ),
            ("ecr ListImages", ok(json!({"imageIds": rest}))),
            ("ecr BatchDeleteImage", done()),
            ("ecr BatchDeleteImage", done()),
        ],
        versions(),
    ]);

    stage
        .converge(&wanted, Mode::Update)
        .await
        .expect("updated");

    stage.assert_played();
    assert_eq!(
        stage.bodies("ecr ListImages"),
        [
            json!({"repositoryName": "mcplambda/time", "filter": {"tagStatus": "TAGGED"}}),
            json!({"repositoryName": "mcplambda/time", "filter": {"tagStatus": "TAGGED"}, "nextToken": "more"}),
        ]
    );
    let removed = |tags: &[String]| {
        let images = tags.iter().map(|tag| json!({"imageTag": tag}));
        json!({"repositoryName": "mcplambda/time", "imageIds": images.collect::<Vec<_>>()})
    };
    assert_eq!(
        stage.bodies("ecr BatchDeleteImage"),
        [removed(&others[..100]), removed(&others[100..])]
    );
}

#[tokio::test(start_paused = true)]
async fn images_that_cannot_be_left_to_the_rule_stay_and_are_no_error() {
    let (wanted, script) = update_to_pushed();
    let stage = stage([
        script,
        vec![(
            "ecr ListImages",
            json_error("AccessDeniedException", "not authorized"),
        )],
        versions(),
    ]);

    let updated = stage.converge(&wanted, Mode::Update).await;

    stage.assert_played();
    assert_eq!(updated.expect("updated").version.as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn whether_a_function_can_be_made_is_known_before_anything_is_made_for_it() {
    let stage = stage([vec![
        ("lambda GetFunction", no_function()),
        (
            "lambda GetFunction",
            get_function(function("$LATEST"), true),
        ),
        (
            "lambda GetFunction",
            get_function(function("$LATEST"), false),
        ),
    ]]);
    let mut free = Vec::new();
    for _ in 0..3 {
        free.push(check_free(&stage.aws, "time", &stage.op).await);
    }
    stage.assert_played();
    assert!(
        matches!(
            free.as_slice(),
            [Ok(()), Ok(()), Err(DeployError::AlreadyExists { function_name })] if function_name == "time"
        ),
        "{free:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_removal_takes_the_repository_of_ours_after_the_function() {
    let stage = stage([
        vec![
            ("lambda GetFunction", get_image(&managed_uri())),
            ("lambda GetFunctionUrlConfig:live", no_function()),
            ("lambda GetPolicy:live", no_function()),
            ("lambda DeleteFunction", done()),
            ("lambda GetFunctionConfiguration", no_function()),
        ],
        there(true, &OUR_TAGS),
        vec![
            ("ecr DeleteRepository", no_repository()),
            ("logs DescribeLogGroups", log_groups(&[])),
            ("sqs GetQueueUrl", no_queue()),
            ("iam GetRole", no_role()),
        ],
    ]);

    destroy(&stage.aws, "time", "live", None, &stage.op)
        .await
        .expect("destroyed");

    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn a_removal_leaves_repositories_of_others() {
    let theirs = || there(true, &[]);
    let stage = stage([
        vec![("lambda GetFunction", no_function())],
        theirs(),
        vec![
            ("logs DescribeLogGroups", log_groups(&[])),
            ("sqs GetQueueUrl", no_queue()),
            ("iam GetRole", no_role()),
        ],
    ]);

    destroy(&stage.aws, "time", "live", None, &stage.op)
        .await
        .expect("destroyed");

    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn a_repository_without_its_function_is_a_remnant() {
    let stage = stage([
        vec![
            ("iam GetRole", no_role()),
            ("logs DescribeLogGroups", log_groups(&[])),
            ("sqs GetQueueUrl", no_queue()),
        ],
        there(true, &OUR_TAGS),
    ]);

    let left = remnants(&stage.aws, "time").await.expect("read");

    stage.assert_played();
    assert_eq!(
        left,
        [format!("the image repository {} is left", managed_uri())]
    );
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_is_missing_or_left_over_is_drift() {
    type Expected = Option<(DriftKind, String)>;
    let cases: [(String, Script, Expected); 4] = [
        (managed_uri(), there(true, &OUR_TAGS), None),
        (
            managed_uri(),
            vec![("ecr DescribeRepositories", no_repository())],
            Some((
                DriftKind::RepositoryMissing,
                "the image repository mcplambda/time is missing".to_owned(),
            )),
        ),
        (
            managed_uri(),
            there(true, &[]),
            Some((
                DriftKind::RepositoryMissing,
                "the image repository mcplambda/time lacks the tag mcplambda:function = time"
                    .to_owned(),
            )),
        ),
        (
            brought_url().to_string(),
            there(true, &OUR_TAGS),
            Some((
                DriftKind::RepositoryLeft,
                "the image repository mcplambda/time is left, and time does not use it".to_owned(),
            )),
        ),
    ];
    for (repository, script, expected) in cases {
        let stage = stage([
            served(&repository),
            log_group_as_wanted(),
            vec![("sqs GetQueueUrl", no_queue())],
            script,
            no_url(),
        ]);

        let found = read(&stage.aws, "time", "live")
            .await
            .expect("read")
            .expect("there");

        stage.assert_played();
        let drift: Vec<_> = found
            .drift
            .into_iter()
            .map(|drift| (drift.kind, drift.detail))
            .collect();
        assert_eq!(drift, expected.into_iter().collect::<Vec<_>>());
    }
}
