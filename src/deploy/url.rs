//! The function URL: an HTTPS endpoint of the alias, and the statements of the alias's policy that let everybody call one that asks for
//! no authentication.
//!
//! It belongs to the alias as the alias belongs to the function, and has no tags of its own. In the policy only the statements with our
//! ids are touched. Statements come after the URL and go before it: at no moment more callers are let in than is wanted. Lambda keeps
//! the URL of an alias that is deleted, and may give that of a function that is deleted to the next one of its name, so a URL goes
//! before either.
//!
//! Source: AWS Lambda Developer Guide, "Creating and managing function URLs" and "Control access to function URLs".

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_lambda::types;
use serde_json::Value;

use super::found::{Drift, DriftKind, FoundUrl};
use super::policy::{self, PublicUrl};
use super::retry::{self, Call, Expect, Fault};
use super::wanted::{Cors, FunctionUrl, InvokeMode, UrlAuth};
use super::{Aws, DeployError, Operation};

/// The URL of an alias, and those of its policy's statements that bear our ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct UrlState {
    pub(crate) url: Option<FoundUrl>,
    /// Id to statement.
    statements: BTreeMap<String, Value>,
}

impl UrlState {
    /// Statements that differ from those that a URL like this one has.
    pub(crate) fn drift(&self, aws: &Aws, function_name: &str, alias: &str) -> Vec<Drift> {
        let public = self
            .url
            .as_ref()
            .is_some_and(|url| url.config.auth == UrlAuth::None);
        policy::public_url(aws, function_name, alias)
            .into_iter()
            .filter_map(|statement| {
                let id = statement.id;
                let told = match (public, self.statements.get(id)) {
                    (true, Some(found)) if statement.says(found) => return None,
                    (false, None) => return None,
                    (true, Some(_)) => "was changed",
                    (true, None) => "is missing",
                    (false, Some(_)) => "is there, which lets everybody call a public function URL",
                };
                Some(Drift {
                    kind: DriftKind::UrlPermission,
                    detail: format!(
                        "the statement `{id}` in the policy of {function_name}:{alias} {told}"
                    ),
                })
            })
            .collect()
    }
}

/// What there is. With [`Expect::Perhaps`], not being allowed to look for a URL counts as "there is none".
pub(crate) async fn read(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    alias: &str,
    expect: Expect,
) -> Result<UrlState, DeployError> {
    let unseen = |fault: &Fault| expect == Expect::Perhaps && fault.is_access_denied();
    let url = match look(aws, op, function_name, alias).await {
        Ok(found) => Some(found),
        Err(fault) if fault.is_not_found() => None,
        Err(fault) if unseen(&fault) => {
            tracing::warn!(
                function_name,
                alias,
                "not allowed to look for a function URL: taking it that there is none"
            );
            None
        }
        Err(fault) => return Err(fault.into()),
    };
    let statements = match own_statements(aws, op, function_name, alias).await {
        Ok(statements) => statements,
        Err(fault) if url.is_none() && unseen(&fault) => BTreeMap::new(),
        Err(fault) => return Err(fault.into()),
    };
    Ok(UrlState { url, statements })
}

async fn look(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    alias: &str,
) -> Result<FoundUrl, Fault> {
    let call = Call::lambda("GetFunctionUrlConfig", format!("{function_name}:{alias}"));
    let answer = retry::call(op, &call, || {
        aws.lambda
            .get_function_url_config()
            .function_name(function_name)
            .qualifier(alias)
            .send()
    })
    .await?;
    Ok(FoundUrl {
        address: answer.function_url,
        config: FunctionUrl {
            auth: auth(&call, &answer.auth_type)?,
            invoke_mode: invoke_mode(&call, answer.invoke_mode.as_ref())?,
            cors: answer.cors.and_then(cors),
        },
    })
}

/// An alias without a policy has no statements.
async fn own_statements(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    alias: &str,
) -> Result<BTreeMap<String, Value>, Fault> {
    let call = Call::lambda("GetPolicy", format!("{function_name}:{alias}"));
    let answer = retry::call(op, &call, || {
        aws.lambda
            .get_policy()
            .function_name(function_name)
            .qualifier(alias)
            .send()
    })
    .await;
    let policy = match answer {
        Ok(answer) => call.field(answer.policy, "Policy")?,
        Err(fault) if fault.is_not_found() => return Ok(BTreeMap::new()),
        Err(fault) => return Err(fault),
    };
    let policy: Value = serde_json::from_str(&policy).unwrap_or_default();
    let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
    let own = statements.into_iter().filter_map(|statement| {
        let id = statement["Sid"].as_str()?.to_owned();
        policy::is_public_url(&id).then_some((id, statement))
    });
    Ok(own.collect())
}

/// Makes the URL, or brings it and its statements to what is wanted. Returns its address.
pub(crate) async fn ensure(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    alias: &str,
    wanted: &FunctionUrl,
) -> Result<String, DeployError> {
    let current = read(aws, op, function_name, alias, Expect::Present).await?;
    let address = match current.url {
        Some(found) if found.config == *wanted => found.address,
        Some(found) => {
            update(aws, op, function_name, alias, &found.config, wanted).await?;
            found.address
        }
        None => create(aws, op, function_name, alias, wanted).await?,
    };
    for statement in policy::public_url(aws, function_name, alias) {
        let found = current.statements.get(statement.id);
        if wanted.auth == UrlAuth::None && found.is_some_and(|found| statement.says(found)) {
            continue;
        }
        if found.is_some() {
            revoke(aws, op, function_name, alias, statement.id).await?;
        }
        if wanted.auth == UrlAuth::None {
            grant(aws, op, function_name, alias, &statement).await?;
        }
    }
    Ok(address)
}

/// Removes the URL and its statements.
pub(crate) async fn remove(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    alias: &str,
) -> Result<(), DeployError> {
    let current = read(aws, op, function_name, alias, Expect::Perhaps).await?;
    for id in current.statements.keys() {
        revoke(aws, op, function_name, alias, id).await?;
    }
    if current.url.is_none() {
        return Ok(());
    }
    tracing::info!(function_name, alias, "deleting the function URL");
    let call = Call::lambda(
        "DeleteFunctionUrlConfig",
        format!("{function_name}:{alias}"),
    );
    let deleted = retry::call(op, &call, || {
        aws.lambda
            .delete_function_url_config()
            .function_name(function_name)
            .qualifier(alias)
            .send()
    })
    .await;
    gone_is_fine(deleted)
}

async fn create(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    alias: &str,
    wanted: &FunctionUrl,
) -> Result<String, DeployError> {
    tracing::info!(function_name, alias, "creating the function URL");
    let call = Call::lambda(
        "CreateFunctionUrlConfig",
        format!("{function_name}:{alias}"),
    );
    let made = retry::call(op, &call, || {
        aws.lambda
            .create_function_url_config()
            .function_name(function_name)
            .qualifier(alias)
            .auth_type(sdk_auth(wanted.auth))
            .invoke_mode(sdk_invoke_mode(wanted.invoke_mode))
            .set_cors(wanted.cors.as_ref().map(sdk_cors))
            .send()
    })
    .await;
    match made {
        Ok(answer) => Ok(answer.function_url),
        // By an attempt whose answer was lost.
        Err(fault) if fault.is_already_there() => {
            Ok(look(aws, op, function_name, alias).await?.address)
        }
        Err(fault) => Err(fault.into()),
    }
}

async fn update(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    alias: &str,
    current: &FunctionUrl,
    wanted: &FunctionUrl,
) -> Result<(), DeployError> {
    tracing::info!(function_name, alias, "updating the function URL");
    // What is not sent stays; an empty object is how Lambda is told to take CORS away.
    let cors = match (&wanted.cors, &current.cors) {
        (Some(wanted), _) => Some(sdk_cors(wanted)),
        (None, Some(_)) => Some(types::Cors::builder().build()),
        (None, None) => None,
    };
    let call = Call::lambda(
        "UpdateFunctionUrlConfig",
        format!("{function_name}:{alias}"),
    );
    retry::call(op, &call, || {
        aws.lambda
            .update_function_url_config()
            .function_name(function_name)
            .qualifier(alias)
            .auth_type(sdk_auth(wanted.auth))
            .invoke_mode(sdk_invoke_mode(wanted.invoke_mode))
            .set_cors(cors.clone())
            .send()
    })
    .await?;
    Ok(())
}

async fn grant(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    alias: &str,
    statement: &PublicUrl,
) -> Result<(), DeployError> {
    tracing::info!(
        function_name,
        alias,
        statement.id,
        "letting everybody call the function URL"
    );
    let call = Call::lambda("AddPermission", format!("{function_name}:{alias}"));
    let added = retry::call(op, &call, || {
        aws.lambda
            .add_permission()
            .function_name(function_name)
            .qualifier(alias)
            .statement_id(statement.id)
            .action(statement.action)
            .principal("*")
            .set_function_url_auth_type(
                (!statement.via_url).then_some(types::FunctionUrlAuthType::None),
            )
            .set_invoked_via_function_url(statement.via_url.then_some(true))
            .send()
    })
    .await;
    match added {
        // By an attempt whose answer was lost: the policy was read just before.
        Err(fault) if !fault.is_already_there() => Err(fault.into()),
        _ => Ok(()),
    }
}

async fn revoke(
    aws: &Aws,
    op: &Operation,
    function_name: &str,
    alias: &str,
    id: &str,
) -> Result<(), DeployError> {
    tracing::info!(
        function_name,
        alias,
        id,
        "removing a statement of the policy"
    );
    let call = Call::lambda("RemovePermission", format!("{function_name}:{alias}"));
    let removed = retry::call(op, &call, || {
        aws.lambda
            .remove_permission()
            .function_name(function_name)
            .qualifier(alias)
            .statement_id(id)
            .send()
    })
    .await;
    gone_is_fine(removed)
}

fn gone_is_fine<T>(result: Result<T, Fault>) -> Result<(), DeployError> {
    match result {
        Err(fault) if !fault.is_not_found() => Err(fault.into()),
        _ => Ok(()),
    }
}

fn auth(call: &Call, found: &types::FunctionUrlAuthType) -> Result<UrlAuth, DeployError> {
    match found {
        types::FunctionUrlAuthType::AwsIam => Ok(UrlAuth::AwsIam),
        types::FunctionUrlAuthType::None => Ok(UrlAuth::None),
        other => Err(call.unknown("AuthType", other.as_str())),
    }
}

/// Lambda does not always tell its default.
fn invoke_mode(call: &Call, found: Option<&types::InvokeMode>) -> Result<InvokeMode, DeployError> {
    match found {
        None | Some(types::InvokeMode::Buffered) => Ok(InvokeMode::Buffered),
        Some(types::InvokeMode::ResponseStream) => Ok(InvokeMode::ResponseStream),
        Some(other) => Err(call.unknown("InvokeMode", other.as_str())),
    }
}

/// An object without content is what is left when CORS was taken away.
fn cors(found: types::Cors) -> Option<Cors> {
    let cors = Cors {
        allow_credentials: found.allow_credentials.unwrap_or(false),
        allow_headers: lower(found.allow_headers),
        allow_methods: found
            .allow_methods
            .unwrap_or_default()
            .into_iter()
            .collect(),
        allow_origins: found
            .allow_origins
            .unwrap_or_default()
            .into_iter()
            .collect(),
        expose_headers: lower(found.expose_headers),
        max_age: found.max_age.unwrap_or(0),
    };
    (cors != Cors::default()).then_some(cors)
}

/// Names of headers are the same in any case.
fn lower(names: Option<Vec<String>>) -> BTreeSet<String> {
    let names = names.unwrap_or_default();
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}

fn sdk_auth(wanted: UrlAuth) -> types::FunctionUrlAuthType {
    match wanted {
        UrlAuth::AwsIam => types::FunctionUrlAuthType::AwsIam,
        UrlAuth::None => types::FunctionUrlAuthType::None,
    }
}

fn sdk_invoke_mode(wanted: InvokeMode) -> types::InvokeMode {
    match wanted {
        InvokeMode::Buffered => types::InvokeMode::Buffered,
        InvokeMode::ResponseStream => types::InvokeMode::ResponseStream,
    }
}

fn sdk_cors(wanted: &Cors) -> types::Cors {
    let list = |set: &BTreeSet<String>| Some(set.iter().cloned().collect());
    types::Cors::builder()
        .allow_credentials(wanted.allow_credentials)
        .set_allow_headers(list(&wanted.allow_headers))
        .set_allow_methods(list(&wanted.allow_methods))
        .set_allow_origins(list(&wanted.allow_origins))
        .set_expose_headers(list(&wanted.expose_headers))
        .max_age(wanted.max_age)
        .build()
}
