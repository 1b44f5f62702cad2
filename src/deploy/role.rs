//! The managed execution role, `<function>-<region>`: made, kept exact, removed. A role of that name without our tags is an error.
//!
//! An update has two halves, because two versions run with the role while the alias moves: [`widen`] before grants what the new version
//! needs, [`narrow`] afterwards takes what only the old one needed. The one exception is the user's own policy, which is replaced at
//! once: the new version is verified with it.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::types::Tag;
use percent_encoding::percent_decode_str;

use super::found::{Drift, DriftKind, FoundRole};
use super::names;
use super::policy::{self, Needs};
use super::retry::{self, Call, Expect, Fault};
use super::tags::{self, Tags};
use super::{Aws, DeployError, Operation};

#[derive(Clone, Debug)]
pub(crate) struct RoleState {
    pub(crate) arn: String,
    pub(crate) trust: String,
    pub(crate) permissions_boundary: Option<String>,
    /// Name to document, decoded.
    pub(crate) inline: BTreeMap<String, String>,
    pub(crate) attached: BTreeSet<String>,
    pub(crate) tags: Tags,
    pub(crate) ours: bool,
}

/// What the managed role should be; the fields of [`Role::Managed`](super::Role::Managed), with the tags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WantedRole<'a> {
    pub(crate) function_name: &'a str,
    pub(crate) policy_json: Option<&'a str>,
    pub(crate) managed_policy_arns: &'a [String],
    pub(crate) permissions_boundary: Option<&'a str>,
    pub(crate) users_tags: &'a Tags,
}

impl RoleState {
    /// What differs from what would be made for a function with these needs.
    pub(crate) fn drift(&self, aws: &Aws, function_name: &str, needs: &Needs) -> Vec<Drift> {
        let arn = &self.arn;
        let mut details = Vec::new();
        if !policy::same(&self.trust, &policy::trust().to_string()) {
            details.push(format!("the trust policy of the role {arn} was changed"));
        }
        let base = policy::base(aws, function_name, needs).to_string();
        match self.inline.get(policy::BASE) {
            Some(document) if policy::same(document, &base) => {}
            Some(_) => details.push(format!(
                "the inline policy `{}` of the role {arn} was changed",
                policy::BASE
            )),
            None => details.push(format!(
                "the inline policy `{}` of the role {arn} is missing",
                policy::BASE
            )),
        }
        for name in self.strange_policies() {
            details.push(format!(
                "the role {arn} has an inline policy `{name}` that was not made here"
            ));
        }
        details
            .into_iter()
            .map(|detail| Drift {
                kind: DriftKind::RoleChanged,
                detail,
            })
            .collect()
    }

    fn strange_policies(&self) -> impl Iterator<Item = &String> {
        self.inline
            .keys()
            .filter(|name| *name != policy::BASE && *name != policy::USER)
    }
}

impl From<RoleState> for FoundRole {
    fn from(mut state: RoleState) -> Self {
        Self::Managed {
            arn: state.arn,
            policy_json: state.inline.remove(policy::USER),
            managed_policy_arns: state.attached,
            permissions_boundary: state.permissions_boundary,
        }
    }
}

/// The role of our name, whoever made it; `None` when there is none.
pub(crate) async fn read(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    expect: Expect,
) -> Result<Option<RoleState>, DeployError> {
    let name = names::role_name(function_name, &aws.region);
    match look(aws, op, function_name, &name).await {
        Ok(state) => Ok(Some(state)),
        Err(fault) if fault.is_not_found() => Ok(None),
        Err(fault) if expect == Expect::Perhaps && fault.is_access_denied() => {
            tracing::warn!(
                name,
                "not allowed to look for a left-over role: taking it that there is none"
            );
            Ok(None)
        }
        Err(fault) => Err(fault.into()),
    }
}

async fn look(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    name: &str,
) -> Result<RoleState, Fault> {
    let call = Call::iam("GetRole", name);
    let answer = retry::call(op, &call, || aws.iam.get_role().role_name(name).send()).await?;
    let role = call.field(answer.role, "Role")?;
    let tags: Tags = role
        .tags
        .unwrap_or_default()
        .into_iter()
        .map(|tag| (tag.key, tag.value))
        .collect();
    let ours = tags::are_ours_for_role(&tags, function_name, &aws.region);
    let mut state = RoleState {
        arn: role.arn,
        trust: decoded(&role.assume_role_policy_document.unwrap_or_default()),
        permissions_boundary: role
            .permissions_boundary
            .and_then(|boundary| boundary.permissions_boundary_arn),
        inline: BTreeMap::new(),
        attached: BTreeSet::new(),
        tags,
        ours,
    };
    // A role that is not ours is not looked into any further.
    if ours {
        state.inline = inline_policies(aws, op, name).await?;
        state.attached = attached_policies(aws, op, name).await?;
    }
    Ok(state)
}

/// Makes the role or adopts ours, and grants everything that is wanted; takes nothing away. Returns it as it is then, and whether it
/// was made.
pub(crate) async fn widen(
    aws: &Aws,
    op: &Operation,
    wanted: WantedRole<'_>,
    needs: &Needs,
) -> Result<(RoleState, bool), DeployError> {
    let function_name = wanted.function_name;
    let name = names::role_name(function_name, &aws.region);
    let (mut current, made) = match read(aws, op, function_name, Expect::Present).await? {
        Some(current) => (current, false),
        None => create(aws, op, wanted, &name).await?,
    };
    if !current.ours {
        return Err(DeployError::NotOurs {
            object: "IAM role",
            name,
            function_name: function_name.to_owned(),
        });
    }
    let trust = policy::trust().to_string();
    if !policy::same(&current.trust, &trust) {
        let call = Call::iam("UpdateAssumeRolePolicy", &name);
        retry::call_iam(op, &call, || {
            aws.iam
                .update_assume_role_policy()
                .role_name(&name)
                .policy_document(&trust)
                .send()
        })
        .await?;
    }
    set_boundary(aws, op, &name, &current, wanted.permissions_boundary).await?;
    let wanted_tags = tags::with_ours_for_role(wanted.users_tags, function_name, &aws.region);
    set_tags(aws, op, &name, &current.tags, &wanted_tags).await?;

    let base = policy::base(aws, function_name, needs).to_string();
    put_policy(aws, op, &name, &mut current, policy::BASE, &base).await?;
    if let Some(document) = wanted.policy_json {
        put_policy(aws, op, &name, &mut current, policy::USER, document).await?;
    }
    for arn in wanted.managed_policy_arns {
        if !current.attached.contains(arn) {
            tracing::info!(name, arn, "attaching a policy to the role");
            let call = Call::iam("AttachRolePolicy", &name);
            retry::call_iam(op, &call, || {
                aws.iam
                    .attach_role_policy()
                    .role_name(&name)
                    .policy_arn(arn)
                    .send()
            })
            .await?;
            current.attached.insert(arn.clone());
        }
    }
    Ok((current, made))
}

/// Takes away whatever is not wanted from what [`widen`] returned: after this the role is exactly as it would be made.
pub(crate) async fn narrow(
    aws: &Aws,
    op: &Operation,
    wanted: WantedRole<'_>,
    needs: &Needs,
    mut current: RoleState,
) -> Result<(), DeployError> {
    let function_name = wanted.function_name;
    let name = names::role_name(function_name, &aws.region);
    let base = policy::base(aws, function_name, needs).to_string();
    put_policy(aws, op, &name, &mut current, policy::BASE, &base).await?;
    if wanted.policy_json.is_none() && current.inline.contains_key(policy::USER) {
        delete_policy(aws, op, &name, policy::USER).await?;
    }
    for strange in current.strange_policies() {
        delete_policy(aws, op, &name, strange).await?;
    }
    for arn in &current.attached {
        if !wanted.managed_policy_arns.contains(arn) {
            detach(aws, op, &name, arn).await?;
        }
    }
    Ok(())
}

/// Deletes the role, with all that is attached to it, if it is ours.
pub(crate) async fn remove(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    expect: Expect,
) -> Result<(), DeployError> {
    let Some(current) = read(aws, op, function_name, expect).await? else {
        return Ok(());
    };
    let name = names::role_name(function_name, &aws.region);
    if !current.ours {
        tracing::info!(name, "keeping a role that was not made here");
        return Ok(());
    }
    tracing::info!(name, "deleting the role");
    for arn in &current.attached {
        detach(aws, op, &name, arn).await?;
    }
    for policy in current.inline.keys() {
        delete_policy(aws, op, &name, policy).await?;
    }
    let call = Call::iam("DeleteRole", &name);
    let deleted = retry::call(op, &call, || aws.iam.delete_role().role_name(&name).send()).await;
    gone_is_fine(deleted)
}

/// Why a role cannot be assumed by Lambda, if IAM shows a reason that will not go away by itself. `None`: none is visible, or the
/// caller may not look.
pub(crate) async fn permanent_refusal(
    aws: &Aws,
    op: &Operation,
    role_arn: &str,
) -> Result<Option<DeployError>, DeployError> {
    // The name is what follows the last slash: roles may have a path.
    let Some((_, name)) = role_arn.rsplit_once('/') else {
        return Ok(None);
    };
    let call = Call::iam("GetRole", role_arn);
    match retry::call(op, &call, || aws.iam.get_role().role_name(name).send()).await {
        Ok(answer) => {
            let document = answer
                .role
                .and_then(|role| role.assume_role_policy_document)
                .unwrap_or_default();
            let trusted = policy::may_trust_lambda(&decoded(&document));
            Ok((!trusted).then(|| DeployError::RoleUntrusted {
                role_arn: role_arn.to_owned(),
            }))
        }
        Err(fault) if fault.is_not_found() => Ok(Some(DeployError::RoleMissing {
            role_arn: role_arn.to_owned(),
        })),
        Err(Fault::Final(
            error @ (DeployError::Cancelled { .. } | DeployError::Deadline { .. }),
        )) => Err(error),
        Err(_) => Ok(None),
    }
}

async fn create(
    aws: &Aws,
    op: &Operation,
    wanted: WantedRole<'_>,
    name: &str,
) -> Result<(RoleState, bool), DeployError> {
    let function_name = wanted.function_name;
    let wanted_tags = tags::with_ours_for_role(wanted.users_tags, function_name, &aws.region);
    let sdk_tags = sdk_tags(&wanted_tags)?;
    let trust = policy::trust().to_string();
    tracing::info!(name, "creating the role");
    let call = Call::iam("CreateRole", name);
    let made = retry::call(op, &call, || {
        aws.iam
            .create_role()
            .role_name(name)
            .assume_role_policy_document(&trust)
            .description(format!(
                "Execution role of the Lambda function {function_name}"
            ))
            .set_permissions_boundary(wanted.permissions_boundary.map(str::to_owned))
            .set_tags(Some(sdk_tags.clone()))
            .send()
    })
    .await;
    match made {
        Ok(answer) => {
            let role = call.field(answer.role, "Role")?;
            let state = RoleState {
                arn: role.arn,
                trust,
                permissions_boundary: wanted.permissions_boundary.map(str::to_owned),
                inline: BTreeMap::new(),
                attached: BTreeSet::new(),
                tags: wanted_tags,
                ours: true,
            };
            Ok((state, true))
        }
        // By an attempt whose answer was lost.
        Err(fault) if fault.is_already_there() => {
            match read(aws, op, function_name, Expect::Present).await? {
                Some(current) => Ok((current, true)),
                None => Err(fault.into()),
            }
        }
        Err(fault) => Err(fault.into()),
    }
}

async fn inline_policies(
    aws: &Aws,
    op: &Operation,
    name: &str,
) -> Result<BTreeMap<String, String>, Fault> {
    let call = Call::iam("ListRolePolicies", name);
    let mut policy_names = Vec::new();
    let mut marker = None;
    loop {
        let page = retry::call(op, &call, || {
            aws.iam
                .list_role_policies()
                .role_name(name)
                .set_marker(marker.clone())
                .send()
        })
        .await?;
        policy_names.extend(page.policy_names);
        marker = page.marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            break;
        }
    }
    let mut policies = BTreeMap::new();
    for policy_name in policy_names {
        let call = Call::iam("GetRolePolicy", name);
        let answer = retry::call(op, &call, || {
            aws.iam
                .get_role_policy()
                .role_name(name)
                .policy_name(&policy_name)
                .send()
        })
        .await?;
        policies.insert(policy_name, decoded(&answer.policy_document));
    }
    Ok(policies)
}

async fn attached_policies(
    aws: &Aws,
    op: &Operation,
    name: &str,
) -> Result<BTreeSet<String>, Fault> {
    let call = Call::iam("ListAttachedRolePolicies", name);
    let mut arns = BTreeSet::new();
    let mut marker = None;
    loop {
        let page = retry::call(op, &call, || {
            aws.iam
                .list_attached_role_policies()
                .role_name(name)
                .set_marker(marker.clone())
                .send()
        })
        .await?;
        arns.extend(
            page.attached_policies
                .unwrap_or_default()
                .into_iter()
                .filter_map(|policy| policy.policy_arn),
        );
        marker = page.marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            return Ok(arns);
        }
    }
}

async fn put_policy(
    aws: &Aws,
    op: &Operation,
    name: &str,
    current: &mut RoleState,
    policy_name: &str,
    document: &str,
) -> Result<(), DeployError> {
    let unchanged = current
        .inline
        .get(policy_name)
        .is_some_and(|found| policy::same(found, document));
    if unchanged {
        return Ok(());
    }
    tracing::info!(name, policy_name, "writing a policy of the role");
    let call = Call::iam("PutRolePolicy", name);
    retry::call_iam(op, &call, || {
        aws.iam
            .put_role_policy()
            .role_name(name)
            .policy_name(policy_name)
            .policy_document(document)
            .send()
    })
    .await?;
    current
        .inline
        .insert(policy_name.to_owned(), document.to_owned());
    Ok(())
}

async fn delete_policy(
    aws: &Aws,
    op: &Operation,
    name: &str,
    policy_name: &str,
) -> Result<(), DeployError> {
    tracing::info!(name, policy_name, "deleting a policy of the role");
    let call = Call::iam("DeleteRolePolicy", name);
    let deleted = retry::call(op, &call, || {
        aws.iam
            .delete_role_policy()
            .role_name(name)
            .policy_name(policy_name)
            .send()
    })
    .await;
    gone_is_fine(deleted)
}

async fn detach(aws: &Aws, op: &Operation, name: &str, arn: &str) -> Result<(), DeployError> {
    tracing::info!(name, arn, "detaching a policy from the role");
    let call = Call::iam("DetachRolePolicy", name);
    let detached = retry::call(op, &call, || {
        aws.iam
            .detach_role_policy()
            .role_name(name)
            .policy_arn(arn)
            .send()
    })
    .await;
    gone_is_fine(detached)
}

async fn set_boundary(
    aws: &Aws,
    op: &Operation,
    name: &str,
    current: &RoleState,
    wanted: Option<&str>,
) -> Result<(), DeployError> {
    if current.permissions_boundary.as_deref() == wanted {
        return Ok(());
    }
    tracing::info!(name, wanted, "setting the role's permissions boundary");
    match wanted {
        Some(arn) => {
            let call = Call::iam("PutRolePermissionsBoundary", name);
            retry::call_iam(op, &call, || {
                aws.iam
                    .put_role_permissions_boundary()
                    .role_name(name)
                    .permissions_boundary(arn)
                    .send()
            })
            .await?;
        }
        None => {
            let call = Call::iam("DeleteRolePermissionsBoundary", name);
            let deleted = retry::call(op, &call, || {
                aws.iam
                    .delete_role_permissions_boundary()
                    .role_name(name)
                    .send()
            })
            .await;
            gone_is_fine(deleted)?;
        }
    }
    Ok(())
}

async fn set_tags(
    aws: &Aws,
    op: &Operation,
    name: &str,
    current: &Tags,
    wanted: &Tags,
) -> Result<(), DeployError> {
    let (set, remove) = tags::difference(current, wanted);
    if !set.is_empty() {
        let sdk_tags = sdk_tags(&set)?;
        let call = Call::iam("TagRole", name);
        retry::call(op, &call, || {
            aws.iam
                .tag_role()
                .role_name(name)
                .set_tags(Some(sdk_tags.clone()))
                .send()
        })
        .await?;
    }
    if !remove.is_empty() {
        let call = Call::iam("UntagRole", name);
        retry::call(op, &call, || {
            aws.iam
                .untag_role()
                .role_name(name)
                .set_tag_keys(Some(remove.clone()))
                .send()
        })
        .await?;
    }
    Ok(())
}

fn sdk_tags(tags: &Tags) -> Result<Vec<Tag>, DeployError> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<_, _>>()
        .map_err(|_| DeployError::Incomplete {
            service: "iam",
            action: "TagRole",
            field: "Tags",
        })
}

fn gone_is_fine<T>(result: Result<T, Fault>) -> Result<(), DeployError> {
    match result {
        Err(fault) if !fault.is_not_found() => Err(fault.into()),
        _ => Ok(()),
    }
}

/// IAM returns documents percent-encoded; one that is not is returned as it is.
fn decoded(document: &str) -> String {
    percent_decode_str(document)
        .decode_utf8()
        .map_or_else(|_| document.to_owned(), |text| text.into_owned())
}
