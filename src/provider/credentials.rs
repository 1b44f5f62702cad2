//! Where credentials come from: the configuration, a profile, or the AWS SDK's default chain, then any roles.
//!
//! Enters: [`ProviderConfig`]. Leaves: one provider of credentials that the SDK's clients share. Refuses: to search
//! for long (instance metadata gets two seconds) and to fail without saying what was tried.

use std::fmt;
use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig as SdkProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{
    ProvideCredentials, Result as CredentialsResult, SharedCredentialsProvider, future,
};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};

use super::config::{AssumeRole, ProviderConfig};
use super::http_client::chain_of;

/// Session name of an assumed role when the configuration gives none; it is what CloudTrail shows.
pub const DEFAULT_SESSION_NAME: &str = "terraform-provider-mcplambda";

/// The last place that is asked.
const METADATA: &str = "EC2 instance metadata";

/// None of the places that were looked at had credentials.
#[derive(Debug)]
pub struct NoCredentials {
    /// Place and reason, in the order tried.
    pub tried: Vec<(String, String)>,
}

impl fmt::Display for NoCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no AWS credentials found")?;
        for (place, reason) in &self.tried {
            write!(f, "\n  - {place}: {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for NoCredentials {}

/// STS refused one of the `assume_role` blocks.
#[derive(Debug, thiserror::Error)]
#[error("the role {role_arn} cannot be assumed: {reason}")]
pub struct AssumeRoleRefused {
    /// Position of the block, from 0.
    pub index: usize,
    pub role_arn: String,
    /// AWS's code and message.
    pub reason: String,
}

/// The files that profiles are read from, in the form the SDK wants.
///
/// A file of the configuration that does not exist is left out, as the AWS provider does: one configuration serves
/// machines with and without it. If that leaves nothing to sign in with, the error names the file.
#[must_use]
pub fn profile_files(config: &ProviderConfig) -> EnvConfigFiles {
    // The builder panics without any file; an empty one changes nothing.
    let mut files = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, "");
    if config.shared_config_files.is_empty() {
        files = files.include_default_config_file(true);
    }
    for file in existing(&config.shared_config_files) {
        files = files.with_file(EnvConfigFileKind::Config, file);
    }
    if config.shared_credentials_files.is_empty() {
        files = files.include_default_credentials_file(true);
    }
    for file in existing(&config.shared_credentials_files) {
        files = files.with_file(EnvConfigFileKind::Credentials, file);
    }
    files.build()
}

fn existing(files: &[String]) -> impl Iterator<Item = std::path::PathBuf> {
    files
        .iter()
        .map(|file| expand_home(file))
        .filter(|file| file.exists())
}

/// Replaces a leading `~/` by the home directory, as a shell would have.
#[must_use]
pub fn expand_home(file: &str) -> std::path::PathBuf {
    match (file.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => file.into(),
    }
}

/// A metadata client that gives up after two seconds: most machines that run Terraform are no EC2 instances.
#[must_use]
pub fn metadata_client(sdk: &SdkProviderConfig) -> imds::Client {
    imds::Client::builder()
        .configure(sdk)
        .max_attempts(1)
        .connect_timeout(Duration::from_secs(1))
        .read_timeout(Duration::from_secs(1))
        .operation_timeout(Duration::from_secs(2))
        .build()
}

/// The credentials before any role is assumed. Precedence as in the AWS provider: keys in the configuration, a
/// profile in the configuration, then the default chain.
#[must_use]
pub fn base(
    config: &ProviderConfig,
    sdk: &SdkProviderConfig,
    metadata: imds::Client,
) -> SharedCredentialsProvider {
    if let (Some(access_key), Some(secret_key)) = (&config.access_key, &config.secret_key) {
        return SharedCredentialsProvider::new(Credentials::new(
            access_key,
            secret_key,
            config.token.clone(),
            None,
            "provider configuration",
        ));
    }
    let mut profile = ProfileFileCredentialsProvider::builder()
        .configure(sdk)
        .profile_files(profile_files(config));
    if let Some(name) = &config.profile {
        profile = profile.profile_name(name);
        return SharedCredentialsProvider::new(Chain(vec![(
            format!("profile \"{name}\" of the configuration"),
            Box::new(profile.build()),
        )]));
    }
    SharedCredentialsProvider::new(Chain(vec![
        (
            "environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)".to_owned(),
            Box::new(EnvironmentVariableCredentialsProvider::new()),
        ),
        (
            "profile (shared configuration and credentials files)".to_owned(),
            Box::new(profile.build()),
        ),
        (
            "web identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN)".to_owned(),
            Box::new(
                WebIdentityTokenCredentialsProvider::builder()
                    .configure(sdk)
                    .build(),
            ),
        ),
        (
            "container (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, AWS_CONTAINER_CREDENTIALS_FULL_URI)".to_owned(),
            Box::new(EcsCredentialsProvider::builder().configure(sdk).build()),
        ),
        (
            METADATA.to_owned(),
            Box::new(
                imds::credentials::ImdsCredentialsProvider::builder()
                    .configure(sdk)
                    .imds_client(metadata)
                    .build(),
            ),
        ),
    ]))
}

/// Asks one place after the other. Unlike the SDK's own chain it keeps each place's reason for the error.
#[derive(Debug)]
struct Chain(Vec<(String, Box<dyn ProvideCredentials>)>);

impl Chain {
    async fn first(&self) -> CredentialsResult {
        let mut tried = Vec::with_capacity(self.0.len());
        for (place, provider) in &self.0 {
            match provider.provide_credentials().await {
                Ok(credentials) => {
                    tracing::debug!(place, "found credentials");
                    return Ok(credentials);
                }
                // Nothing there, or (the last place) nothing usable there: go on, and tell at the end.
                Err(error @ CredentialsError::CredentialsNotLoaded(_)) => {
                    tried.push((place.clone(), reason(&error)))
                }
                Err(error) if place == METADATA => tried.push((place.clone(), reason(&error))),
                // Something is there and broken: going on would use credentials that nobody meant.
                Err(error) => {
                    tried.push((place.clone(), reason(&error)));
                    break;
                }
            }
        }
        Err(CredentialsError::not_loaded(NoCredentials { tried }))
    }
}

impl ProvideCredentials for Chain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.first())
    }
}

/// Why one place had nothing, without the SDK's own headline.
fn reason(error: &CredentialsError) -> String {
    match std::error::Error::source(error) {
        Some(source) => chain_of(source),
        None => "not configured".to_owned(),
    }
}

/// Credentials of an assumed role, asked for with the credentials that `sts` holds.
#[derive(Debug)]
pub struct AssumedRole {
    pub sts: aws_sdk_sts::Client,
    pub index: usize,
    pub role: AssumeRole,
}

impl AssumedRole {
    async fn assume(&self) -> CredentialsResult {
        let role = &self.role;
        let refused = |reason: String| AssumeRoleRefused {
            index: self.index,
            role_arn: role.role_arn.clone(),
            reason,
        };
        let mut tags = Vec::with_capacity(role.tags.len());
        for (key, value) in &role.tags {
            tags.push(
                Tag::builder()
                    .key(key)
                    .value(value)
                    .build()
                    .map_err(CredentialsError::invalid_configuration)?,
            );
        }
        let policies = role
            .policy_arns
            .iter()
            .map(|arn| PolicyDescriptorType::builder().arn(arn).build())
            .collect();
        let answer = self
            .sts
            .assume_role()
            .role_arn(&role.role_arn)
            .role_session_name(role.session_name.as_deref().unwrap_or(DEFAULT_SESSION_NAME))
            .set_external_id(role.external_id.clone())
            // At most 12 hours, so it fits.
            .set_duration_seconds(role.duration.map(|duration| duration.as_secs() as i32))
            .set_policy(role.policy.clone())
            .set_policy_arns(Some(policies).filter(|arns: &Vec<_>| !arns.is_empty()))
            .set_tags(Some(tags).filter(|tags: &Vec<_>| !tags.is_empty()))
            .set_source_identity(role.source_identity.clone())
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                // The credentials of the step before may be what failed; then that error is the one to show.
                if let Some(earlier) = super::http_client::find_source::<CredentialsError>(&error) {
                    return Err(CredentialsError::provider_error(EarlierStep(explain(
                        earlier,
                    ))));
                }
                return Err(CredentialsError::provider_error(refused(
                    super::clients::describe(&error),
                )));
            }
        };
        let Some(keys) = answer.credentials else {
            return Err(CredentialsError::provider_error(refused(
                "STS answered without credentials".to_owned(),
            )));
        };
        let expiry = std::time::SystemTime::try_from(keys.expiration)
            .map_err(|error| CredentialsError::provider_error(refused(error.to_string())))?;
        Ok(Credentials::new(
            keys.access_key_id,
            keys.secret_access_key,
            Some(keys.session_token),
            Some(expiry),
            "assumed role",
        ))
    }
}

/// Why there are no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explained {
    NoCredentials(Vec<(String, String)>),
    Refused {
        index: usize,
        role_arn: String,
        reason: String,
    },
    Other(String),
}

/// Finds the reason inside the SDK's wrapping.
#[must_use]
pub fn explain(error: &CredentialsError) -> Explained {
    if let Some(EarlierStep(earlier)) = super::http_client::find_source::<EarlierStep>(error) {
        return earlier.clone();
    }
    if let Some(none) = super::http_client::find_source::<NoCredentials>(error) {
        return Explained::NoCredentials(none.tried.clone());
    }
    if let Some(refused) = super::http_client::find_source::<AssumeRoleRefused>(error) {
        let AssumeRoleRefused {
            index,
            role_arn,
            reason,
        } = refused;
        return Explained::Refused {
            index: *index,
            role_arn: role_arn.clone(),
            reason: reason.clone(),
        };
    }
    Explained::Other(chain_of(error))
}

/// Carries an earlier step's failure through the SDK's error types.
#[derive(Debug)]
struct EarlierStep(Explained);

impl fmt::Display for EarlierStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an earlier step failed")
    }
}

impl std::error::Error for EarlierStep {}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}
