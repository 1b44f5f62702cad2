//! The ECR repository of a function that is a container image, in the function's region: one of its own, `mcplambda/<function>`, or one that
//! the user brought.
//!
//! The managed one is scanned on push, and a rule keeps the newest images and removes what is older; never one that is served or about to be,
//! which a tag says. One of that name without our tag is an error: its images are not ours. One that was brought is only signed in to.

use aws_sdk_ecr::types::{
    ImageIdentifier, ImageScanningConfiguration, ImageTagMutability, ListImagesFilter, Tag,
    TagStatus,
};
use base64::Engine;
use serde_json::{Value, json};

use super::found::{Drift, DriftKind};
use super::names;
use super::repository_url::RepositoryUrl;
use super::retry::{self, Call, Expect};
use super::tags::{self, Tags};
use super::{Aws, DeployError, Operation};

/// Images that are kept whatever they are: enough to go back to.
const KEPT: u32 = 10;

/// Begins the tags of images that the rule must not have; `-<hexadecimal digits of the digest>` follows.
const KEEP: &str = "keep-";

/// More images than a repository may have (ECR's service quotas, "Images per repository").
const NEVER: u32 = 100_000;

/// Tags, or images, that one request removes (API reference, `BatchDeleteImage`, `imageIds`).
const MAX_REMOVED: usize = 100;

/// The tag that keeps the rule from an image, from its push until another one is served. `digest` is `sha256:…`, or its digits alone.
pub fn keep_tag(digest: &str) -> String {
    format!("{KEEP}{}", digest.trim_start_matches("sha256:"))
}

/// Where images lie, and with what that is spoken to.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageRepository {
    /// `<account>.dkr.ecr.<region>.amazonaws.com/<name>`.
    pub uri: String,
    pub user: String,
    pub password: String,
}

/// The password is nobody's business.
impl std::fmt::Debug for ImageRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageRepository")
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

/// Makes the managed repository of a function, or brings it to what it should be, and signs in to it.
///
/// # Errors
///
/// [`DeployError`] as any call; [`DeployError::NotOurs`] for a repository that somebody else made.
pub async fn managed(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    users_tags: &Tags,
) -> Result<ImageRepository, DeployError> {
    let uri = ensure(aws, op, function_name, users_tags).await?;
    sign_in(aws, op, uri).await
}

/// Signs in to a repository that the user brought.
///
/// # Errors
///
/// [`DeployError`] as any call; [`DeployError::RepositoryUnusable`] when ECR does not know it. Credentials that may not look at it are
/// no error: they may be able to push all the same.
pub async fn brought(
    aws: &Aws,
    op: &Operation,
    url: &RepositoryUrl,
) -> Result<ImageRepository, DeployError> {
    let unusable = |reason: String| DeployError::RepositoryUnusable {
        repository: url.to_string(),
        reason,
    };
    let call = Call::ecr("DescribeRepositories", url.to_string());
    let answer = retry::call(op, &call, || {
        aws.ecr
            .describe_repositories()
            .set_registry_id(url.account_id().map(str::to_owned))
            .repository_names(url.name())
            .send()
    })
    .await;
    match answer {
        Ok(answer) => {
            let found = answer.repositories.unwrap_or_default();
            let uri = found
                .into_iter()
                .find_map(|repository| repository.repository_uri);
            let uri = call.field(uri, "repositoryUri")?;
            if uri != url.to_string() {
                return Err(unusable(format!("ECR's repository of that name is {uri}")));
            }
        }
        Err(fault) if fault.is_not_found() => {
            return Err(unusable(
                "it does not exist. Create it, or correct the name".to_owned(),
            ));
        }
        Err(fault) if fault.is_access_denied() => {
            tracing::info!(%url, "not allowed to look at the repository: going on without");
        }
        Err(fault) => return Err(fault.into()),
    }
    sign_in(aws, op, url.to_string()).await
}

/// The repository that the images of a function lie in: `brought`, else the managed one.
///
/// # Errors
///
/// As [`brought()`], and [`DeployError::RepositoryUnusable`] when the managed one is missing.
pub async fn of(
    aws: &Aws,
    function_name: &str,
    url: Option<&RepositoryUrl>,
) -> Result<ImageRepository, DeployError> {
    let op = &Operation::reading();
    if let Some(url) = url {
        return brought(aws, op, url).await;
    }
    match read(aws, op, function_name, Expect::Present).await? {
        Some(found) if found.ours => sign_in(aws, op, found.uri).await,
        _ => Err(DeployError::RepositoryUnusable {
            repository: names::repository_name(function_name),
            reason: "it is missing, or was not made here".to_owned(),
        }),
    }
}

/// Makes the managed repository or adopts ours, with its rule, scan and tags: its address.
///
/// # Errors
///
/// As [`managed()`].
pub(crate) async fn ensure(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    users_tags: &Tags,
) -> Result<String, DeployError> {
    let name = names::repository_name(function_name);
    let wanted_tags = tags::with_ours(users_tags, function_name);
    let found = match read(aws, op, function_name, Expect::Present).await? {
        Some(found) => found,
        None => create(aws, op, function_name, &wanted_tags).await?,
    };
    if !found.ours {
        return Err(DeployError::NotOurs {
            object: "ECR repository",
            name,
            function_name: function_name.to_owned(),
        });
    }
    set_tags(aws, op, &found, &wanted_tags).await?;
    if !found.scanned {
        let call = Call::ecr("PutImageScanningConfiguration", &name);
        retry::call(op, &call, || {
            aws.ecr
                .put_image_scanning_configuration()
                .repository_name(&name)
                .image_scanning_configuration(scan_on_push())
                .send()
        })
        .await?;
    }
    let call = Call::ecr("PutLifecyclePolicy", &name);
    retry::call(op, &call, || {
        aws.ecr
            .put_lifecycle_policy()
            .repository_name(&name)
            .lifecycle_policy_text(lifecycle())
            .send()
    })
    .await?;
    Ok(found.uri)
}

/// Leaves all images but the served one to the rule. They lose one of their two tags; an image whose last one is removed is deleted.
pub(crate) async fn release_others(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    served: &str,
) -> Result<(), DeployError> {
    let name = names::repository_name(function_name);
    let kept = keep_tag(served);
    let mut tags = kept_tags(aws, op, &name).await?;
    tags.retain(|tag| *tag != kept);
    for some in tags.chunks(MAX_REMOVED) {
        let call = Call::ecr("BatchDeleteImage", &name);
        let images = some
            .iter()
            .map(|tag| ImageIdentifier::builder().image_tag(tag).build());
        let images: Vec<_> = images.collect();
        retry::call(op, &call, || {
            aws.ecr
                .batch_delete_image()
                .repository_name(&name)
                .set_image_ids(Some(images.clone()))
                .send()
        })
        .await?;
    }
    Ok(())
}

/// The tags that keep the rule from images.
async fn kept_tags(aws: &Aws, op: &Operation, name: &str) -> Result<Vec<String>, DeployError> {
    let call = Call::ecr("ListImages", name);
    let tagged = ListImagesFilter::builder().tag_status(TagStatus::Tagged);
    let tagged = tagged.build();
    let (mut tags, mut next) = (Vec::new(), None);
    loop {
        let page = retry::call(op, &call, || {
            aws.ecr
                .list_images()
                .repository_name(name)
                .filter(tagged.clone())
                .set_next_token(next.clone())
                .send()
        })
        .await?;
        let found = page.image_ids.unwrap_or_default().into_iter();
        tags.extend(
            found
                .filter_map(|image| image.image_tag)
                .filter(|tag| tag.starts_with(KEEP)),
        );
        next = page.next_token.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(tags);
        }
    }
}

/// Deletes the managed repository with its images, if it is ours.
pub(crate) async fn remove(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    expect: Expect,
) -> Result<(), DeployError> {
    match read(aws, op, function_name, expect).await? {
        Some(found) if found.ours => {}
        _ => return Ok(()),
    }
    let name = names::repository_name(function_name);
    tracing::info!(name, "deleting the image repository");
    let call = Call::ecr("DeleteRepository", &name);
    let deleted = retry::call(op, &call, || {
        aws.ecr
            .delete_repository()
            .repository_name(&name)
            .force(true)
            .send()
    })
    .await;
    match deleted {
        Err(fault) if !fault.is_not_found() => Err(fault.into()),
        _ => Ok(()),
    }
}

/// Whether an image's address lies in the managed repository of a function. None of the user's own may have its name.
pub(crate) fn is_managed(image_uri: &str, function_name: &str) -> bool {
    let repository = repository_of(image_uri);
    let name = repository.split_once('/').map(|(_, name)| name);
    name == Some(&names::repository_name(function_name))
}

/// An image's address without tag and digest.
pub(crate) fn repository_of(image_uri: &str) -> &str {
    let named = image_uri.split('@').next().unwrap_or(image_uri);
    match named.rsplit_once(':') {
        // Else it is the registry's port.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => named,
    }
}

/// What differs from what would be made for a function whose image lies at `image_uri`.
pub(crate) async fn drift(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    image_uri: &str,
) -> Result<Option<Drift>, DeployError> {
    let used = is_managed(image_uri, function_name);
    let found = read(aws, op, function_name, Expect::present_if(used)).await?;
    let name = names::repository_name(function_name);
    let (kind, detail) = match (used, found) {
        (true, None) => (
            DriftKind::RepositoryMissing,
            format!("the image repository {name} is missing"),
        ),
        (true, Some(found)) if !found.ours => (
            DriftKind::RepositoryMissing,
            format!(
                "the image repository {name} lacks the tag {} = {function_name}",
                tags::FUNCTION
            ),
        ),
        (false, Some(found)) if found.ours => (
            DriftKind::RepositoryLeft,
            format!("the image repository {name} is left, and {function_name} does not use it"),
        ),
        _ => return Ok(None),
    };
    Ok(Some(Drift { kind, detail }))
}

/// The managed repository, or another of its name.
pub(crate) struct RepositoryState {
    pub(crate) uri: String,
    pub(crate) arn: String,
    tags: Tags,
    scanned: bool,
    pub(crate) ours: bool,
}

/// `None` when there is none.
pub(crate) async fn read(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    expect: Expect,
) -> Result<Option<RepositoryState>, DeployError> {
    let name = names::repository_name(function_name);
    let call = Call::ecr("DescribeRepositories", &name);
    let answer = retry::call(op, &call, || {
        aws.ecr
            .describe_repositories()
            .repository_names(&name)
            .send()
    })
    .await;
    let repository = match answer {
        Ok(answer) => answer.repositories.unwrap_or_default().into_iter().next(),
        Err(fault) if fault.is_not_found() => return Ok(None),
        Err(fault) if expect == Expect::Perhaps && fault.is_access_denied() => {
            tracing::warn!(
                name,
                "not allowed to look for a left-over image repository: taking it that there is none"
            );
            return Ok(None);
        }
        Err(fault) => return Err(fault.into()),
    };
    let repository = call.field(repository, "repositories")?;
    let arn = call.field(repository.repository_arn, "repositoryArn")?;
    let uri = call.field(repository.repository_uri, "repositoryUri")?;
    let scanned = repository
        .image_scanning_configuration
        .is_some_and(|scanning| scanning.scan_on_push);
    let call = Call::ecr("ListTagsForResource", &name);
    let listed = retry::call(op, &call, || {
        aws.ecr.list_tags_for_resource().resource_arn(&arn).send()
    })
    .await;
    let listed = match listed {
        Ok(listed) => listed,
        // Deleted between the two calls.
        Err(fault) if fault.is_not_found() => return Ok(None),
        Err(fault) => return Err(fault.into()),
    };
    let tags: Tags = listed
        .tags
        .unwrap_or_default()
        .into_iter()
        .map(|tag| (tag.key, tag.value))
        .collect();
    Ok(Some(RepositoryState {
        uri,
        arn,
        ours: tags::are_ours(&tags, function_name),
        tags,
        scanned,
    }))
}

async fn create(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    wanted_tags: &Tags,
) -> Result<RepositoryState, DeployError> {
    let name = names::repository_name(function_name);
    tracing::info!(name, "creating the image repository");
    let call = Call::ecr("CreateRepository", &name);
    let sdk_tags = sdk_tags(&call, wanted_tags)?;
    let made = retry::call(op, &call, || {
        aws.ecr
            .create_repository()
            .repository_name(&name)
            .image_scanning_configuration(scan_on_push())
            // Tags are digests: none is ever to name another image.
            .image_tag_mutability(ImageTagMutability::Immutable)
            .set_tags(Some(sdk_tags.clone()))
            .send()
    })
    .await;
    let made = match made {
        Ok(made) => call.field(made.repository, "repository")?,
        // By an attempt whose answer was lost.
        Err(fault) if fault.is_already_there() => {
            return match read(aws, op, function_name, Expect::Present).await? {
                Some(found) => Ok(found),
                None => Err(fault.into()),
            };
        }
        Err(fault) => return Err(fault.into()),
    };
    Ok(RepositoryState {
        uri: call.field(made.repository_uri, "repositoryUri")?,
        arn: call.field(made.repository_arn, "repositoryArn")?,
        tags: wanted_tags.clone(),
        scanned: true,
        ours: true,
    })
}

async fn set_tags(
    aws: &Aws,
    op: &Operation,
    found: &RepositoryState,
    wanted: &Tags,
) -> Result<(), DeployError> {
    let arn = &found.arn;
    let (set, remove) = tags::difference(&found.tags, wanted);
    if !set.is_empty() {
        let call = Call::ecr("TagResource", arn);
        let set = sdk_tags(&call, &set)?;
        retry::call(op, &call, || {
            aws.ecr
                .tag_resource()
                .resource_arn(arn)
                .set_tags(Some(set.clone()))
                .send()
        })
        .await?;
    }
    if !remove.is_empty() {
        let call = Call::ecr("UntagResource", arn);
        retry::call(op, &call, || {
            aws.ecr
                .untag_resource()
                .resource_arn(arn)
                .set_tag_keys(Some(remove.clone()))
                .send()
        })
        .await?;
    }
    Ok(())
}

/// ECR's name and password for its registries, good for twelve hours.
async fn sign_in(aws: &Aws, op: &Operation, uri: String) -> Result<ImageRepository, DeployError> {
    let call = Call::ecr("GetAuthorizationToken", &uri);
    let answer = retry::call(op, &call, || aws.ecr.get_authorization_token().send()).await?;
    let token = answer
        .authorization_data
        .unwrap_or_default()
        .into_iter()
        .next()
        .and_then(|data| data.authorization_token);
    let token = call.field(token, "authorizationToken")?;
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(&token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (user, password) = call.field(pair, "authorizationToken")?;
    Ok(ImageRepository {
        uri,
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

fn scan_on_push() -> ImageScanningConfiguration {
    ImageScanningConfiguration::builder()
        .scan_on_push(true)
        .build()
}

fn sdk_tags(call: &Call, tags: &Tags) -> Result<Vec<Tag>, DeployError> {
    let tags = tags
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build());
    call.field(tags.collect::<Result<_, _>>().ok(), "tags")
}

/// An image that the first rule selects is out of reach for the second (ECR's user guide, "Lifecycle policy evaluation rules").
fn lifecycle() -> String {
    let rule = |priority: u32, description: String, selection: Value| {
        json!({
            "rulePriority": priority, "description": description, "selection": selection, "action": {"type": "expire"},
        })
    };
    let rules = [
        rule(
            1,
            "keep what is or may be served".to_owned(),
            json!({"tagStatus": "tagged", "tagPrefixList": [KEEP], "countType": "imageCountMoreThan", "countNumber": NEVER}),
        ),
        rule(
            2,
            format!("keep the newest {KEPT}"),
            json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": KEPT}),
        ),
    ];
    json!({"rules": rules}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_repository_is_its_address_without_tag_and_digest() {
        for (uri, repository) in [
            ("host/a/b@sha256:0", "host/a/b"),
            ("127.0.0.1:5000/a/b@sha256:0", "127.0.0.1:5000/a/b"),
            ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b"),
        ] {
            assert_eq!(repository_of(uri), repository);
        }
        assert!(is_managed("host:1/mcplambda/time@sha256:0", "Time"));
        assert!(!is_managed("host:1/mcplambda/time2@sha256:0", "Time"));
    }
}
