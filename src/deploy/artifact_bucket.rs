//! The bucket through which zips travel that are too large for a request: `mcplambda/<account>/<function>/<SHA-256 of the zip>.zip`.
//!
//! Lambda copies what it is given, so a zip lies there only from its upload until Lambda has taken it, and what a run that was killed left
//! is removed by the next one, every version of it. S3 compares the upload with its SHA-256. The bucket is the user's: nothing of it is
//! changed, and only keys of the function's own are looked at. It must be in the function's region.

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode};

use super::names;
use super::retry::{self, Call, Expect, Fault};
use super::{Aws, DeployError, Operation};

/// Version id of objects in a bucket that keeps no versions.
const NO_VERSION: &str = "null";

/// A zip in the bucket, as Lambda's requests name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// `None` in a bucket that keeps no versions.
    pub(crate) version: Option<String>,
}

/// A version of an object of the function's own, or a mark that one was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    key: String,
    version: String,
    /// Bytes, if it is what the key stands for now.
    size: Option<i64>,
}

impl From<&Stored> for Left {
    fn from(stored: &Stored) -> Self {
        let version = stored.version.as_deref().unwrap_or(NO_VERSION);
        Self {
            key: stored.key.clone(),
            version: version.to_owned(),
            size: None,
        }
    }
}

/// What lies in the bucket of the function's own. [`Expect::Perhaps`]: a bucket that cannot be looked into holds nothing.
pub(crate) async fn read(
    aws: &Aws,
    op: &Operation,
    bucket: &str,
    function_name: &str,
    expect: Expect,
) -> Result<Vec<Left>, DeployError> {
    match list(aws, op, bucket, function_name).await {
        Ok((left, _)) => Ok(left),
        Err(fault @ Fault::Refused(_)) if expect == Expect::Perhaps => {
            tracing::debug!(
                bucket,
                ?fault,
                "not able to look for left-over packages: taking it that there are none"
            );
            Ok(Vec::new())
        }
        Err(fault) => Err(explain(aws, bucket, fault).await),
    }
}

/// Puts a zip into the bucket, unless what lies there is the same. `code_sha256` is its SHA-256 in base64.
pub(crate) async fn ensure(
    aws: &Aws,
    op: &Operation,
    bucket: &str,
    function_name: &str,
    (zip, code_sha256): (&[u8], &str),
    left: &[Left],
) -> Result<Stored, DeployError> {
    let key = names::artifact_key(aws, function_name, code_sha256);
    let stored = |version: Option<&str>| Stored {
        bucket: bucket.to_owned(),
        key: key.clone(),
        version: version
            .filter(|version| *version != NO_VERSION)
            .map(str::to_owned),
    };
    let size = i64::try_from(zip.len()).ok();
    let same_size = left
        .iter()
        .find(|left| left.key == key && left.size.is_some() && left.size == size);
    if let Some(left) = same_size {
        let stored = stored(Some(&left.version));
        if is_same(aws, op, &stored, code_sha256).await {
            tracing::info!(bucket, key, "the package is in the bucket already");
            return Ok(stored);
        }
    }
    tracing::info!(bucket, key, bytes = zip.len(), "uploading the package");
    let call = Call::s3("PutObject", format!("{bucket}/{key}"));
    let body = SdkBody::from(zip.to_vec());
    let put = retry::call(op, &call, || {
        aws.s3
            .put_object()
            .bucket(bucket)
            .key(&key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_sha256(code_sha256)
            .content_type("application/zip")
            // Bytes in memory can be read any number of times.
            .set_body(body.try_clone().map(ByteStream::new))
            .send()
    })
    .await;
    match put {
        Ok(answer) => Ok(stored(answer.version_id())),
        Err(fault) => Err(explain(aws, bucket, fault).await),
    }
}

/// Removes all that lies in the bucket of the function's own. A bucket that is gone, or cannot be looked into, is taken to hold nothing.
///
/// # Errors
///
/// [`DeployError`] as any call; for lack of the permission to remove what was found, too.
pub async fn remove(
    aws: &Aws,
    op: &Operation,
    bucket: &str,
    function_name: &str,
) -> Result<(), DeployError> {
    loop {
        let (left, more) = match list(aws, op, bucket, function_name).await {
            Ok(page) => page,
            Err(Fault::Refused(refusal)) => {
                tracing::warn!(%refusal, "not able to look for packages in the bucket: taking it that there are none");
                return Ok(());
            }
            Err(fault) => return Err(fault.into()),
        };
        for Left { key, version, .. } in &left {
            tracing::info!(bucket, key, version, "removing a package from the bucket");
            let call = Call::s3("DeleteObjectVersion", format!("{bucket}/{key}"));
            let deleted = retry::call(op, &call, || {
                aws.s3
                    .delete_object()
                    .bucket(bucket)
                    .key(key)
                    .version_id(version)
                    .send()
            })
            .await;
            match deleted {
                Err(fault) if !fault.is_not_found() => return Err(fault.into()),
                _ => {}
            }
        }
        if !more {
            return Ok(());
        }
    }
}

/// The first versions that there are, and whether there are more.
async fn list(
    aws: &Aws,
    op: &Operation,
    bucket: &str,
    function_name: &str,
) -> Result<(Vec<Left>, bool), Fault> {
    let call = Call::s3("ListBucketVersions", bucket);
    let prefix = names::artifact_prefix(aws, function_name);
    let answer = retry::call(op, &call, || {
        aws.s3
            .list_object_versions()
            .bucket(bucket)
            .prefix(&prefix)
            .send()
    })
    .await?;
    let left = |key: Option<&str>, version: Option<&str>, size| {
        Ok::<_, DeployError>(Left {
            key: call.field(key, "Key")?.to_owned(),
            version: version.unwrap_or(NO_VERSION).to_owned(),
            size,
        })
    };
    let objects = answer.versions().iter().map(|object| {
        let size = object.size().filter(|_| object.is_latest() == Some(true));
        left(object.key(), object.version_id(), size)
    });
    let marks = answer
        .delete_markers()
        .iter()
        .map(|mark| left(mark.key(), mark.version_id(), None));
    let found = objects.chain(marks).collect::<Result<_, _>>()?;
    Ok((found, answer.is_truncated() == Some(true)))
}

/// Whether an object has this SHA-256; one that cannot be asked has another.
async fn is_same(aws: &Aws, op: &Operation, stored: &Stored, code_sha256: &str) -> bool {
    let Stored {
        bucket,
        key,
        version,
    } = stored;
    let call = Call::s3("GetObject", format!("{bucket}/{key}"));
    let answer = retry::call(op, &call, || {
        aws.s3
            .head_object()
            .bucket(bucket)
            .key(key)
            .set_version_id(version.clone())
            .checksum_mode(ChecksumMode::Enabled)
            .send()
    })
    .await;
    answer.is_ok_and(|answer| answer.checksum_sha256() == Some(code_sha256))
}

/// What a refusal of S3 means for the choice of the bucket.
async fn explain(aws: &Aws, bucket: &str, fault: Fault) -> DeployError {
    let bucket = bucket.to_owned();
    if fault.is(&["NoSuchBucket"]) {
        return DeployError::BucketMissing {
            bucket,
            region: aws.region.clone(),
        };
    }
    if fault.is(&[
        "PermanentRedirect",
        "TemporaryRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
    ]) {
        return DeployError::BucketElsewhere {
            found: region_of(aws, &bucket).await,
            bucket,
            region: aws.region.clone(),
        };
    }
    fault.into()
}

/// The bucket's region, which S3 tells everybody in a header.
async fn region_of(aws: &Aws, bucket: &str) -> Option<String> {
    let refused = aws.s3.head_bucket().bucket(bucket).send().await.err()?;
    let headers = refused.raw_response()?.headers();
    headers.get("x-amz-bucket-region").map(str::to_owned)
}
