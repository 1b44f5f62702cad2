//! From a configuration to AWS clients, with the question "who am I, and may I be here" answered once.
//!
//! Enters: [`ProviderConfig`], known and checked. Leaves: [`Clients`], which hands out the clients of a region. Refuses:
//! no region, no credentials, credentials that STS does not accept, an account outside the user's lists. Every
//! refusal comes within seconds and says what was tried.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig as SdkProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::identity::SharedIdentityCache;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tokio::sync::OnceCell;

use super::config::{DEFAULT_MAX_RETRIES, ProviderConfig, check_region};
use super::config_error::ConfigError;
use super::credentials::{self, AssumedRole, Explained};
use super::http_client::{
    self, GiveUpOnAbsentHost, HostUnreachable, RememberHost, UserAgent, chain_of, find_source,
};
use super::{downloads, tool_files};
use crate::deploy::Aws;
use crate::package::fetched_tools::{self, Pins};
use crate::package::{Downloads, MinimumAge, PackageError, Tool, Tools};

/// Attempts the SDK makes when neither environment nor profile says otherwise.
const SDK_DEFAULT_ATTEMPTS: u32 = 3;

/// Attempts of the calls that stand before everything else: enough for a hiccup, few enough to fail in seconds.
const SIGN_IN_ATTEMPTS: u32 = 4;

/// How long STS may take to answer one request.
const SIGN_IN_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How long fetching credentials may take in all: a `credential_process` may ask its user for a code.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(120);

/// Whose credentials these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account_id: String,
    /// `aws`, `aws-cn`, `aws-us-gov` …
    pub partition: String,
    /// ARN of the user or role session.
    pub arn: String,
}

/// AWS clients by region, sharing one set of credentials and one pool of connections.
#[derive(Debug)]
pub struct Clients {
    config: ProviderConfig,
    sdk: SdkConfig,
    region: String,
    user_agent: UserAgent,
    caller: OnceCell<Caller>,
    regions: Mutex<BTreeMap<String, Arc<Aws>>>,
    downloads: Downloads,
}

/// Resolves region and credentials and, unless told to skip that, asks STS whose they are.
///
/// # Errors
/// Every variant of [`ConfigError`] but `InvalidRegion` for a resource's own region.
pub async fn connect(config: ProviderConfig) -> Result<Clients, ConfigError> {
    let http = http_client::from_environment()?;
    let lookup = SdkProviderConfig::without_region().with_http_client(http.clone());
    let metadata = credentials::metadata_client(&lookup);
    let region = region(&config, &lookup, &metadata).await?;
    let lookup = lookup.with_region(Some(Region::new(region.clone())));
    let user_agent = UserAgent(http_client::user_agent_suffix());

    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new(region.clone()))
        .profile_files(credentials::profile_files(&config))
        .identity_cache(identity_cache())
        .credentials_provider(credentials::base(&config, &lookup, metadata));
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
    }
    let loaded = loader.load().await;
    let retries = retry_config(&config, &loaded);
    let mut sdk = loaded.into_builder().retry_config(retries).build();
    for (index, role) in config.assume_role.iter().cloned().enumerate() {
        let sts = sign_in_client(&sdk, &config, &user_agent, None);
        let provider = SharedCredentialsProvider::new(AssumedRole { sts, index, role });
        sdk = sdk
            .into_builder()
            .credentials_provider(provider)
            .identity_cache(identity_cache())
            .build();
    }

    let skip = config.skip_credentials_validation;
    let clients = Clients {
        config,
        sdk,
        region,
        user_agent,
        caller: OnceCell::new(),
        regions: Mutex::new(BTreeMap::new()),
        downloads: downloads::over_http(),
    };
    if !skip {
        clients.caller().await?;
    }
    Ok(clients)
}

impl Clients {
    /// The clients of `region`, or of the provider's region when `None`. Made once per region.
    ///
    /// # Errors
    /// [`ConfigError::InvalidRegion`], and with `skip_credentials_validation` whatever [`Clients::caller`] may say.
    pub async fn for_region(&self, region: Option<&str>) -> Result<Arc<Aws>, ConfigError> {
        let region = region.unwrap_or(&self.region);
        check_region(region).map_err(|complaint| ConfigError::InvalidRegion {
            region: region.to_owned(),
            complaint,
        })?;
        let caller = self.caller().await?;
        // Poisoned only if building a client panicked; the map itself is whole.
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(
            regions
                .entry(region.to_owned())
                .or_insert_with(|| Arc::new(self.build(region, caller))),
        ))
    }

    /// Region of resources that name none.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Tags for every object, under those of the resource.
    #[must_use]
    pub fn default_tags(&self) -> &BTreeMap<String, String> {
        &self.config.default_tags
    }

    /// Bucket of resources that name none.
    #[must_use]
    pub fn artifact_bucket(&self) -> Option<&str> {
        self.config.artifact_bucket.as_deref()
    }

    /// What packages are resolved and installed with, as configured, on PATH, or fetched; `tool` is there, if one is named. Releases are chosen
    /// that are at least `minimum_age` old.
    ///
    /// # Errors
    /// [`PackageError`] about a tool that is missing and cannot be fetched.
    pub async fn tools_for(
        &self,
        tool: Option<Tool>,
        minimum_age: Option<MinimumAge>,
    ) -> Result<Tools, PackageError> {
        let tools = Tools {
            minimum_age,
            ..self.tools()
        };
        let Some(tool) = tool else {
            return Ok(tools);
        };
        let environment = Arc::new(tools.environment.clone());
        fetched_tools::complete(tools, tool, &Pins::here(), move |archive| {
            let environment = Arc::clone(&environment);
            async move { tool_files::fetch(archive, &environment, Path::new(".")).await }
        })
        .await
    }

    /// What packages are resolved and installed with, as configured.
    pub fn tools(&self) -> Tools {
        // The tools run in folders of their own, where a relative path would mean something else.
        let absolute = |path: &Option<PathBuf>| {
            let path = path.clone()?;
            Some(std::path::absolute(&path).unwrap_or(path))
        };
        Tools {
            uv_path: absolute(&self.config.uv_path),
            npm_path: absolute(&self.config.npm_path),
            cache_dir: absolute(&self.config.cache_dir),
            environment: std::env::vars_os().collect(),
            minimum_age: None,
            now: SystemTime::now(),
            downloads: Some(self.downloads.clone()),
        }
    }

    /// The configuration that the clients were made from.
    #[must_use]
    pub fn config(&self) -> &ProviderConfig {
        &self.config
    }

    /// Whose credentials these are; STS is asked once, whoever asks first.
    ///
    /// # Errors
    /// What [`connect`] says of credentials and accounts.
    pub async fn caller(&self) -> Result<&Caller, ConfigError> {
        self.caller.get_or_try_init(|| self.identify()).await
    }

    async fn identify(&self) -> Result<Caller, ConfigError> {
        let remembered = RememberHost::default();
        let sts = sign_in_client(
            &self.sdk,
            &self.config,
            &self.user_agent,
            Some(remembered.clone()),
        );
        let answer = sts.get_caller_identity().send().await.map_err(|error| {
            let host = remembered
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            self.sign_in_error(&error, host)
        })?;
        let (Some(account_id), Some(arn)) = (answer.account, answer.arn) else {
            return Err(ConfigError::UnknownCaller {
                reason: "STS answered without an account".to_owned(),
            });
        };
        let partition = match arn.split(':').nth(1) {
            Some(partition) if partition.starts_with("aws") => partition.to_owned(),
            _ => {
                return Err(ConfigError::UnknownCaller {
                    reason: format!("STS answered with the ARN \"{arn}\""),
                });
            }
        };
        let ProviderConfig {
            allowed_account_ids,
            forbidden_account_ids,
            ..
        } = &self.config;
        if forbidden_account_ids.contains(&account_id) {
            return Err(ConfigError::AccountForbidden { account_id });
        }
        if !allowed_account_ids.is_empty() && !allowed_account_ids.contains(&account_id) {
            return Err(ConfigError::AccountNotAllowed {
                account_id,
                allowed: allowed_account_ids.clone(),
            });
        }
        tracing::debug!(
            account_id,
            arn,
            region = self.region,
            "credentials accepted"
        );
        Ok(Caller {
            account_id,
            partition,
            arn,
        })
    }

    fn sign_in_error<E>(
        &self,
        error: &SdkError<E, HttpResponse>,
        host: Option<String>,
    ) -> ConfigError
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        if let Some(error) = find_source::<CredentialsError>(error) {
            return match credentials::explain(error) {
                Explained::NoCredentials(tried) => ConfigError::NoCredentials {
                    tried,
                    missing_files: self.missing_files(),
                    profile: self.config.profile.clone(),
                },
                Explained::Refused {
                    index,
                    role_arn,
                    reason,
                } => ConfigError::AssumeRole {
                    index,
                    role_arn,
                    reason,
                },
                Explained::Other(reason) => ConfigError::CredentialsFailed { reason },
            };
        }
        let region = self.region.clone();
        match error {
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => ConfigError::Unreachable {
                endpoint: host.unwrap_or_else(|| format!("its endpoint in {region}")),
                region,
                reason: match find_source::<HostUnreachable>(error) {
                    Some(unreachable) => unreachable.to_string(),
                    None => chain_of(error),
                },
                endpoint_configured: self.config.endpoints.sts.is_some(),
            },
            _ => {
                let code = error.code().unwrap_or_default().to_owned();
                let message = error.message().unwrap_or("no message").to_owned();
                match code.as_str() {
                    "ExpiredToken" | "ExpiredTokenException" => {
                        ConfigError::Expired { code, message }
                    }
                    "InvalidClientTokenId"
                    | "UnrecognizedClientException"
                    | "SignatureDoesNotMatch"
                    | "InvalidSignatureException"
                    | "RegionDisabledException" => ConfigError::Rejected {
                        code,
                        message,
                        region,
                    },
                    _ => ConfigError::UnknownCaller {
                        reason: describe(error),
                    },
                }
            }
        }
    }

    fn missing_files(&self) -> Vec<String> {
        let ProviderConfig {
            shared_config_files,
            shared_credentials_files,
            ..
        } = &self.config;
        shared_config_files
            .iter()
            .chain(shared_credentials_files)
            .filter(|file| !credentials::expand_home(file).exists())
            .cloned()
            .collect()
    }

    fn build(&self, region: &str, caller: &Caller) -> Aws {
        let sdk = self
            .sdk
            .clone()
            .into_builder()
            .region(Region::new(region.to_owned()))
            .build();
        let endpoints = &self.config.endpoints;
        macro_rules! client {
            ($service:ident, $endpoint:expr $(, $setting:ident($value:expr))*) => {{
                let mut builder = $service::config::Builder::from(&sdk)
                    .interceptor(self.user_agent.clone())
                    .interceptor(GiveUpOnAbsentHost)
                    .retry_partition(retry_partition())$(.$setting($value))*;
                if let Some(url) = &$endpoint {
                    builder = builder.endpoint_url(url);
                }
                $service::Client::from_conf(builder.build())
            }};
        }
        Aws {
            lambda: client!(aws_sdk_lambda, endpoints.lambda),
            iam: client!(aws_sdk_iam, endpoints.iam),
            logs: client!(aws_sdk_cloudwatchlogs, endpoints.logs),
            sqs: client!(aws_sdk_sqs, endpoints.sqs),
            ecr: client!(aws_sdk_ecr, endpoints.ecr),
            // An endpoint of one's own seldom has a name for each bucket.
            s3: client!(
                aws_sdk_s3,
                endpoints.s3,
                force_path_style(endpoints.s3.is_some())
            ),
            account_id: caller.account_id.clone(),
            region: region.to_owned(),
            partition: caller.partition.clone(),
        }
    }
}

/// The first region that is given: configuration, environment, profile, instance metadata.
async fn region(
    config: &ProviderConfig,
    lookup: &SdkProviderConfig,
    metadata: &aws_config::imds::Client,
) -> Result<String, ConfigError> {
    let region = match &config.region {
        Some(region) => region.clone(),
        None => {
            let mut profile = ProfileFileRegionProvider::builder()
                .configure(lookup)
                .profile_files(credentials::profile_files(config));
            if let Some(name) = &config.profile {
                profile = profile.profile_name(name);
            }
            let metadata = ImdsRegionProvider::builder()
                .configure(lookup)
                .imds_client(metadata.clone())
                .build();
            let found = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(profile.build())
                .or_else(metadata)
                .region()
                .await;
            found
                .map(|region| region.to_string())
                .ok_or(ConfigError::NoRegion)?
        }
    };
    match check_region(&region) {
        Ok(()) => Ok(region),
        Err(complaint) => Err(ConfigError::InvalidRegion { region, complaint }),
    }
}

/// The user's `max_retries`, else what environment or profile say, else the AWS provider's default.
fn retry_config(config: &ProviderConfig, loaded: &SdkConfig) -> RetryConfig {
    let theirs = loaded
        .retry_config()
        .cloned()
        .unwrap_or_else(RetryConfig::standard);
    let is_theirs = std::env::var_os("AWS_MAX_ATTEMPTS").is_some()
        || theirs.max_attempts() != SDK_DEFAULT_ATTEMPTS;
    match config.max_retries {
        Some(retries) => theirs.with_max_attempts(retries.saturating_add(1)),
        None if is_theirs => theirs,
        None => theirs.with_max_attempts(DEFAULT_MAX_RETRIES + 1),
    }
}

/// Retries are bounded by attempts alone. The SDK's shared budget of retries would let ten resources that are throttled
/// at once fail each other.
fn retry_partition() -> RetryPartition {
    RetryPartition::custom("mcplambda")
        .token_bucket(TokenBucket::unlimited())
        .build()
}

fn identity_cache() -> SharedIdentityCache {
    aws_config::identity::IdentityCache::lazy()
        .load_timeout(CREDENTIALS_TIMEOUT)
        .build()
}

/// A client for the calls that stand before everything else.
fn sign_in_client(
    sdk: &SdkConfig,
    config: &ProviderConfig,
    user_agent: &UserAgent,
    remember: Option<RememberHost>,
) -> aws_sdk_sts::Client {
    let attempts = sdk.retry_config().map_or(SIGN_IN_ATTEMPTS, |config| {
        config.max_attempts().min(SIGN_IN_ATTEMPTS)
    });
    let mut timeouts = TimeoutConfig::builder().read_timeout(SIGN_IN_READ_TIMEOUT);
    if let Some(theirs) = sdk.timeout_config() {
        timeouts = timeouts.take_unset_from(theirs.to_builder());
    }
    let mut builder = aws_sdk_sts::config::Builder::from(sdk)
        .retry_config(RetryConfig::standard().with_max_attempts(attempts))
        .timeout_config(timeouts.build())
        .interceptor(user_agent.clone())
        .interceptor(GiveUpOnAbsentHost);
    if let Some(remember) = remember {
        builder = builder.interceptor(remember);
    }
    if let Some(url) = &config.endpoints.sts {
        builder = builder.endpoint_url(url);
    }
    aws_sdk_sts::Client::from_conf(builder.build())
}

/// An SDK error for people: AWS's code and message, or the chain of causes where AWS was not reached.
pub fn describe<E, R>(error: &SdkError<E, R>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => match find_source::<HostUnreachable>(error) {
            Some(unreachable) => unreachable.to_string(),
            None => chain_of(error),
        },
    }
}
