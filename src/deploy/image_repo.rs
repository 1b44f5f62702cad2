//! The ECR repository of a function that is a container image, `mcplambda/<function>`: where its image lies, in the function's region.
//!
//! Scanned on push; a rule keeps the newest images and removes what is older. One of that name without our tag is an error: its images
//! are not ours.

use aws_sdk_ecr::types::{ImageScanningConfiguration, ImageTagMutability, Tag};
use base64::Engine;

use super::names;
use super::retry::{self, Call};
use super::tags::{self, Tags};
use super::{Aws, DeployError, Operation};

/// Images that are kept: the one that is served, and enough to go back to.
const KEPT: u32 = 10;

/// Where images are pushed to, and with what.
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

/// Makes the repository of a function, or brings it to what it should be, and signs in to it.
///
/// # Errors
///
/// [`DeployError`] as any call; [`DeployError::NotOurs`] for a repository that somebody else made.
pub async fn ensure(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    users_tags: &Tags,
) -> Result<ImageRepository, DeployError> {
    let name = names::repository_name(function_name);
    let wanted_tags = tags::with_ours(users_tags, function_name);
    let uri = match read(aws, op, function_name).await? {
        Some(found) if !found.ours => {
            return Err(DeployError::NotOurs {
                object: "ECR repository",
                name,
                function_name: function_name.to_owned(),
            });
        }
        Some(found) => {
            let (set, _) = tags::difference(&found.tags, &wanted_tags);
            if !set.is_empty() {
                let call = Call::ecr("TagResource", &name);
                let set = sdk_tags(&call, &set)?;
                retry::call(op, &call, || {
                    aws.ecr
                        .tag_resource()
                        .resource_arn(&found.arn)
                        .set_tags(Some(set.clone()))
                        .send()
                })
                .await?;
            }
            found.uri
        }
        None => create(aws, op, &name, &wanted_tags).await?,
    };
    let call = Call::ecr("PutLifecyclePolicy", &name);
    retry::call(op, &call, || {
        aws.ecr
            .put_lifecycle_policy()
            .repository_name(&name)
            .lifecycle_policy_text(lifecycle())
            .send()
    })
    .await?;
    let (user, password) = sign_in(aws, op, &name).await?;
    Ok(ImageRepository {
        uri,
        user,
        password,
    })
}

/// Deletes the repository with its images, if it is ours.
pub(crate) async fn remove(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
) -> Result<(), DeployError> {
    let name = names::repository_name(function_name);
    match read(aws, op, function_name).await? {
        Some(found) if found.ours => {}
        _ => return Ok(()),
    }
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
        Ok(_) => Ok(()),
        Err(fault) if fault.is_not_found() => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

struct Found {
    uri: String,
    arn: String,
    tags: Tags,
    ours: bool,
}

async fn read(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
) -> Result<Option<Found>, DeployError> {
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
        Err(fault) => return Err(fault.into()),
    };
    let repository = call.field(repository, "repositories")?;
    let arn = call.field(repository.repository_arn, "repositoryArn")?;
    let uri = call.field(repository.repository_uri, "repositoryUri")?;
    let call = Call::ecr("ListTagsForResource", &name);
    let listed = retry::call(op, &call, || {
        aws.ecr.list_tags_for_resource().resource_arn(&arn).send()
    })
    .await?;
    let tags: Tags = listed
        .tags
        .unwrap_or_default()
        .into_iter()
        .map(|tag| (tag.key, tag.value))
        .collect();
    Ok(Some(Found {
        uri,
        arn,
        ours: tags::are_ours(&tags, function_name),
        tags,
    }))
}

async fn create(
    aws: &Aws,
    op: &Operation,
    name: &str,
    wanted_tags: &Tags,
) -> Result<String, DeployError> {
    tracing::info!(name, "creating the image repository");
    let call = Call::ecr("CreateRepository", name);
    let tags = sdk_tags(&call, wanted_tags)?;
    let made = retry::call(op, &call, || {
        aws.ecr
            .create_repository()
            .repository_name(name)
            .image_scanning_configuration(
                ImageScanningConfiguration::builder()
                    .scan_on_push(true)
                    .build(),
            )
            // Tags are digests: none is ever to name another image.
            .image_tag_mutability(ImageTagMutability::Immutable)
            .set_tags(Some(tags.clone()))
            .send()
    })
    .await?;
    let uri = made
        .repository
        .and_then(|repository| repository.repository_uri);
    call.field(uri, "repositoryUri")
}

/// ECR's name and password for its registry, good for twelve hours.
async fn sign_in(aws: &Aws, op: &Operation, name: &str) -> Result<(String, String), DeployError> {
    let call = Call::ecr("GetAuthorizationToken", name);
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
    Ok((user.to_owned(), password.to_owned()))
}

fn sdk_tags(call: &Call, tags: &Tags) -> Result<Vec<Tag>, DeployError> {
    let tags = tags
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build());
    call.field(tags.collect::<Result<_, _>>().ok(), "tags")
}

fn lifecycle() -> String {
    serde_json::json!({"rules": [{
        "rulePriority": 1,
        "description": format!("keep the newest {KEPT}"),
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": KEPT},
        "action": {"type": "expire"},
    }]})
    .to_string()
}
