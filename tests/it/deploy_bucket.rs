//! Packages that are too large for a request: through the bucket, checked, and removed when Lambda has them.

use mcplambda::deploy::artifact_bucket::remove;
use mcplambda::deploy::{Code, DeployError, Mode, Wanted, destroy};
use serde_json::{Value, json};

use crate::deploy_replay::*;

const KEY: &str = "mcplambda/123456789012/time/736861323536206f6620746865207a6970.zip";
const OLD_KEY: &str = "mcplambda/123456789012/time/00.zip";
const PREFIX: &str = "versions&prefix=mcplambda%2F123456789012%2Ftime%2F";

/// A zip that is to go through `artifacts`.
fn large() -> Wanted {
    Wanted {
        code: Some(Code::ZipThrough {
            bucket: "artifacts".to_owned(),
            zip: b"zip".to_vec(),
        }),
        artifact_bucket: Some("artifacts".to_owned()),
        ..wanted()
    }
}

/// What lies in the bucket: key, version and bytes; no bytes mark a deletion.
fn objects(objects: &[(&str, &str, Option<i64>)]) -> Answer {
    page(objects, false)
}

/// A part of it.
fn page(objects: &[(&str, &str, Option<i64>)], more: bool) -> Answer {
    let entries: String = objects
        .iter()
        .map(|(key, version, size)| match size {
            Some(size) => format!(
                "<Version><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>true</IsLatest><Size>{size}</Size></Version>"
            ),
            None => format!(
                "<DeleteMarker><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>true</IsLatest></DeleteMarker>"
            ),
        })
        .collect();
    s3(
        200,
        &[],
        &format!(
            "<ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>{more}</IsTruncated>{entries}\
             </ListVersionsResult>"
        ),
    )
}

fn put(version: Option<&'static str>) -> Answer {
    let headers = version.map(|version| ("x-amz-version-id", version));
    s3(200, headers.as_slice(), "")
}

fn deleted() -> Answer {
    s3(204, &[], "")
}

fn served_for_the_first_time() -> Vec<(&'static str, Answer)> {
    let mut script = vec![
        ("lambda PublishVersion", ok(function("1"))),
        ("lambda CreateAlias", done()),
    ];
    script.extend(nothing_left_over());
    script.push(("lambda UntagResource", done()));
    script
}

/// What was asked of S3.
fn asked(stage: &Stage) -> Vec<Value> {
    let requests = stage.requests().into_iter();
    requests
        .filter(|(call, _)| call.starts_with("s3 "))
        .map(|(_, about)| about)
        .collect()
}

fn about(path: &str, query: &str) -> Value {
    json!({"path": path, "query": query})
}

#[tokio::test(start_paused = true)]
async fn a_large_package_goes_through_the_bucket_and_is_removed_when_lambda_has_it() {
    let stage = stage([
        vec![
            ("lambda GetFunction", no_function()),
            ("s3 ListObjectVersions", objects(&[])),
        ],
        log_group_as_wanted(),
        vec![
            ("s3 PutObject", put(None)),
            ("lambda CreateFunction", ok(function("$LATEST"))),
            ("s3 ListObjectVersions", objects(&[(KEY, "null", Some(3))])),
            ("s3 DeleteObject", deleted()),
        ],
        served_for_the_first_time(),
    ]);

    let deployed = stage
        .converge(&large(), Mode::Create)
        .await
        .expect("created");

    stage.assert_played();
    assert_eq!(deployed.left_in_bucket, None);
    let object = format!("artifacts/{KEY}");
    assert_eq!(
        asked(&stage),
        [
            about("artifacts", PREFIX),
            json!({"path": object, "query": "", "body": "zip", "sha256": SHA}),
            about("artifacts", PREFIX),
            about(&object, "versionId=null"),
        ]
    );
    assert_eq!(
        stage.body("lambda CreateFunction")["Code"],
        json!({"S3Bucket": "artifacts", "S3Key": KEY})
    );
}

#[tokio::test(start_paused = true)]
async fn in_a_bucket_that_keeps_versions_lambda_is_told_which_and_none_is_left() {
    let stage = stage([
        vec![
            (
                "lambda GetFunction",
                get_function(
                    function_but("$LATEST", json!({"CodeSha256": OTHER_SHA})),
                    false,
                ),
            ),
            ("lambda GetAlias", alias("1")),
            (
                "lambda GetFunctionConfiguration:1",
                ok(function_but("1", json!({"CodeSha256": OTHER_SHA}))),
            ),
            (
                "s3 ListObjectVersions",
                objects(&[(OLD_KEY, "a", Some(7)), (OLD_KEY, "b", None)]),
            ),
        ],
        log_group_as_wanted(),
        vec![
            ("s3 PutObject", put(Some("c"))),
            ("lambda UpdateFunctionCode", ok(function("$LATEST"))),
            (
                "s3 ListObjectVersions",
                objects(&[
                    (OLD_KEY, "a", Some(7)),
                    (KEY, "c", Some(3)),
                    (OLD_KEY, "b", None),
                ]),
            ),
            ("s3 DeleteObject", deleted()),
            ("s3 DeleteObject", deleted()),
            ("s3 DeleteObject", deleted()),
            ("lambda PublishVersion", ok(function("2"))),
            ("lambda UpdateAlias", done()),
        ],
        no_url(),
        nothing_left_over(),
        vec![("lambda ListVersionsByFunction", ok(json!({"Versions": []})))],
    ]);

    stage
        .converge(&large(), Mode::Update)
        .await
        .expect("updated");

    stage.assert_played();
    assert_eq!(
        stage.body("lambda UpdateFunctionCode"),
        json!({"Architectures": ["x86_64"], "S3Bucket": "artifacts", "S3Key": KEY, "S3ObjectVersion": "c"})
    );
    let removed: Vec<_> = asked(&stage).split_off(3);
    assert_eq!(
        removed,
        [
            about(&format!("artifacts/{OLD_KEY}"), "versionId=a"),
            about(&format!("artifacts/{KEY}"), "versionId=c"),
            about(&format!("artifacts/{OLD_KEY}"), "versionId=b"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_lies_in_the_bucket_is_not_sent_again_if_it_is_the_same() {
    for (sha256, sent) in [(SHA, false), (OTHER_SHA, true)] {
        let mut upload = vec![(
            "s3 HeadObject",
            s3(200, &[("x-amz-checksum-sha256", sha256)], ""),
        )];
        if sent {
            upload.push(("s3 PutObject", put(Some("b"))));
        }
        let stage = stage([
            vec![
                ("lambda GetFunction", no_function()),
                ("s3 ListObjectVersions", objects(&[(KEY, "a", Some(3))])),
            ],
            log_group_as_wanted(),
            upload,
            vec![
                ("lambda CreateFunction", ok(function("$LATEST"))),
                ("s3 ListObjectVersions", objects(&[(KEY, "a", Some(3))])),
                ("s3 DeleteObject", deleted()),
            ],
            served_for_the_first_time(),
        ]);
        stage
            .converge(&large(), Mode::Create)
            .await
            .expect("created");
        stage.assert_played();
        let version = if sent { "b" } else { "a" };
        assert_eq!(
            stage.body("lambda CreateFunction")["Code"],
            json!({"S3Bucket": "artifacts", "S3Key": KEY, "S3ObjectVersion": version})
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_lambda_cannot_use_is_refused_before_anything_is_changed() {
    let elsewhere = || s3_error(301, "PermanentRedirect", "use the specified endpoint");
    let told = s3(301, &[("x-amz-bucket-region", "us-west-2")], "");
    for (answers, message) in [
        (
            vec![(
                "s3 ListObjectVersions",
                s3_error(404, "NoSuchBucket", "The specified bucket does not exist"),
            )],
            "there is no S3 bucket named artifacts; create it in eu-central-1, or name another one in artifact_bucket",
        ),
        (
            vec![
                ("s3 ListObjectVersions", elsewhere()),
                ("s3 HeadBucket", told),
            ],
            "the S3 bucket artifacts is in us-west-2, and Lambda in eu-central-1 takes code only from buckets in eu-central-1; \
             name one there in artifact_bucket",
        ),
        (
            vec![
                ("s3 ListObjectVersions", elsewhere()),
                ("s3 HeadBucket", s3(403, &[], "")),
            ],
            "the S3 bucket artifacts is in another region, and Lambda in eu-central-1 takes code only from buckets in \
             eu-central-1; name one there in artifact_bucket",
        ),
        (
            vec![(
                "s3 ListObjectVersions",
                s3_error(403, "AccessDenied", "Access Denied"),
            )],
            "s3:ListBucketVersions on artifacts: AccessDenied: Access Denied (request id request-1); allow \
             s3:ListBucketVersions for the credentials that Terraform runs with",
        ),
    ] {
        let stage = stage([vec![("lambda GetFunction", no_function())], answers]);
        let failed = stage.converge(&large(), Mode::Create).await;
        let failed = failed.expect_err("refused");
        stage.assert_played();
        assert_eq!(
            (failed.error.to_string().as_str(), failed.error.attribute()),
            (message, Some("artifact_bucket"))
        );
        assert_eq!(failed.partial, None);
    }
}

#[tokio::test(start_paused = true)]
async fn what_lambda_says_of_the_bucket_is_told_without_advice_on_lambda() {
    let denied = "Your access has been denied by S3, please make sure your request credentials have permission to GetObject for \
                  artifacts/key. S3 Error Code: AccessDenied. S3 Error Message: Access Denied";
    let stage = stage([
        vec![
            ("lambda GetFunction", no_function()),
            ("s3 ListObjectVersions", objects(&[])),
        ],
        log_group_as_wanted(),
        vec![
            ("s3 PutObject", put(None)),
            (
                "lambda CreateFunction",
                lambda_error(403, "AccessDeniedException", denied),
            ),
        ],
    ]);
    let failed = stage.converge(&large(), Mode::Create).await;
    let error = failed.expect_err("refused").error;
    stage.assert_played();
    assert_eq!(
        (error.to_string(), error.attribute()),
        (
            format!(
                "lambda:CreateFunction on time: AccessDeniedException: {denied} (request id request-1)"
            ),
            Some("artifact_bucket")
        )
    );
}

/// A function that is as wanted, up to the look into the bucket.
fn as_wanted() -> Vec<(&'static str, Answer)> {
    vec![
        (
            "lambda GetFunction",
            get_function(function("$LATEST"), false),
        ),
        ("lambda GetAlias", alias("1")),
        ("lambda GetFunctionConfiguration:1", ok(function("1"))),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_run_left_is_removed_by_the_next_one_though_it_sends_nothing() {
    let wanted = Wanted {
        code: None,
        artifact_bucket: Some("artifacts".to_owned()),
        ..wanted()
    };
    let stage = stage([
        as_wanted(),
        vec![("s3 ListObjectVersions", objects(&[(KEY, "null", Some(3))]))],
        log_group_as_wanted(),
        vec![
            ("s3 ListObjectVersions", objects(&[(KEY, "null", Some(3))])),
            ("s3 DeleteObject", deleted()),
        ],
        no_url(),
        nothing_left_over(),
    ]);
    stage
        .converge(&wanted, Mode::Update)
        .await
        .expect("updated");
    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_not_needed_now_stands_in_nobodys_way() {
    let wanted = Wanted {
        artifact_bucket: Some("artifacts".to_owned()),
        ..wanted()
    };
    for refused in [
        s3_error(404, "NoSuchBucket", "The specified bucket does not exist"),
        s3_error(403, "AccessDenied", "Access Denied"),
        s3_error(301, "PermanentRedirect", "use the specified endpoint"),
    ] {
        let stage = stage([
            as_wanted(),
            vec![("s3 ListObjectVersions", refused)],
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
}

#[tokio::test(start_paused = true)]
async fn a_package_that_cannot_be_removed_is_told_when_all_else_is_done() {
    let stage = stage([
        vec![
            ("lambda GetFunction", no_function()),
            ("s3 ListObjectVersions", objects(&[])),
        ],
        log_group_as_wanted(),
        vec![
            ("s3 PutObject", put(None)),
            ("lambda CreateFunction", ok(function("$LATEST"))),
            ("s3 ListObjectVersions", objects(&[(KEY, "null", Some(3))])),
            (
                "s3 DeleteObject",
                s3_error(403, "AccessDenied", "Access Denied"),
            ),
        ],
        served_for_the_first_time(),
    ]);
    let deployed = stage
        .converge(&large(), Mode::Create)
        .await
        .expect("created");
    stage.assert_played();
    assert_eq!(
        deployed.left_in_bucket,
        Some(format!(
            "s3:DeleteObjectVersion on artifacts/{KEY}: AccessDenied: Access Denied (request id request-1); allow \
             s3:DeleteObjectVersion for the credentials that Terraform runs with"
        ))
    );
}

#[tokio::test(start_paused = true)]
async fn a_deletion_empties_the_bucket_first_and_takes_a_bucket_that_is_gone_for_empty() {
    let gone = || {
        vec![
            ("lambda GetFunction", no_function()),
            no_image_repository().remove(0),
            ("logs DescribeLogGroups", log_groups(&[])),
            ("sqs GetQueueUrl", no_queue()),
            ("iam GetRole", no_role()),
        ]
    };
    for in_the_bucket in [
        vec![
            ("s3 ListObjectVersions", objects(&[(KEY, "a", Some(3))])),
            ("s3 DeleteObject", deleted()),
        ],
        vec![(
            "s3 ListObjectVersions",
            s3_error(404, "NoSuchBucket", "The specified bucket does not exist"),
        )],
        vec![(
            "s3 ListObjectVersions",
            s3_error(403, "AccessDenied", "Access Denied"),
        )],
    ] {
        let stage = stage([in_the_bucket, gone()]);
        destroy(&stage.aws, "time", "live", Some("artifacts"), &stage.op)
            .await
            .expect("destroyed");
        stage.assert_played();
    }

    let stage = stage([vec![
        ("s3 ListObjectVersions", objects(&[(KEY, "a", Some(3))])),
        (
            "s3 DeleteObject",
            s3_error(403, "AccessDenied", "Access Denied"),
        ),
    ]]);
    let error = destroy(&stage.aws, "time", "live", Some("artifacts"), &stage.op).await;
    let error = error.expect_err("refused");
    stage.assert_played();
    assert!(matches!(error, DeployError::AccessDenied(_)), "{error}");
    assert_eq!(error.attribute(), Some("artifact_bucket"));
}

#[tokio::test(start_paused = true)]
async fn what_fills_more_than_one_list_is_removed_to_the_last() {
    let stage = stage([vec![
        (
            "s3 ListObjectVersions",
            page(&[(OLD_KEY, "a", Some(3)), (OLD_KEY, "b", None)], true),
        ),
        ("s3 DeleteObject", deleted()),
        ("s3 DeleteObject", deleted()),
        ("s3 ListObjectVersions", objects(&[(KEY, "c", Some(3))])),
        (
            "s3 DeleteObject",
            s3_error(404, "NoSuchVersion", "It is gone"),
        ),
    ]]);
    remove(&stage.aws, &stage.op, "artifacts", "time")
        .await
        .expect("removed");
    stage.assert_played();
}

#[tokio::test(start_paused = true)]
async fn an_s3_that_is_busy_is_waited_for() {
    let busy = |code| s3_error(503, code, "Please reduce your request rate.");
    let stage = stage([
        vec![
            ("lambda GetFunction", no_function()),
            ("s3 ListObjectVersions", busy("SlowDown")),
            ("s3 ListObjectVersions", busy("ServiceUnavailable")),
            ("s3 ListObjectVersions", objects(&[])),
        ],
        log_group_as_wanted(),
        vec![
            ("s3 PutObject", busy("SlowDown")),
            (
                "s3 PutObject",
                s3_error(
                    409,
                    "OperationAborted",
                    "A conflicting operation is in progress",
                ),
            ),
            ("s3 PutObject", put(None)),
            ("lambda CreateFunction", ok(function("$LATEST"))),
            ("s3 ListObjectVersions", objects(&[(KEY, "null", Some(3))])),
            ("s3 DeleteObject", deleted()),
        ],
        served_for_the_first_time(),
    ]);
    stage
        .converge(&large(), Mode::Create)
        .await
        .expect("created");
    stage.assert_played();
    let sent: Vec<_> = asked(&stage)
        .into_iter()
        .filter(|about| about["body"] == "zip" && about["sha256"] == SHA)
        .collect();
    assert_eq!(sent.len(), 3, "each attempt carries the whole package");
}
