//! Puts the objects in order: from whatever an earlier run left, to what is wanted.
//!
//! Order: is it ours? - what lies in the bucket? - role (widened), log group, queue - function: configuration, then code (through the bucket, which is
//! emptied then) - concurrency, tags - version - the caller's hook - alias - its URL - then what is no longer needed: role (narrowed), queue, image repository, images, old versions - and the mark `unfinished`. A run that
//! is killed between any two calls leaves something that the next run finishes: every step compares before it acts.

use super::artifact_bucket::{self, Left};
use super::found::Configuration;
use super::function::{self, FunctionState, SentCode};
use super::names;
use super::policy::Needs;
use super::retry::Expect;
use super::role::{self, RoleState, WantedRole};
use super::snapshot::Snapshot;
use super::wait::{self, Until};
use super::wanted::{Code, Repository};
use super::{
    Aws, DeployError, Deployed, Failed, HookError, Mode, Operation, Published, Role, Wanted, alias,
    dead_letter, image_repo, log_group, tags, url, version,
};

/// Brings everything about a function to what is wanted, and returns what is deployed.
///
/// `verify` is called with the new version before the alias moves to it; not at all when the alias already serves what is wanted.
/// When it fails, the alias stays where it was.
///
/// # Errors
///
/// [`Failed`], with what exists. In [`Mode::Create`], [`DeployError::AlreadyExists`] comes after one reading call and nothing else.
pub async fn converge<V, F>(
    aws: &Aws,
    wanted: &Wanted,
    mode: Mode,
    verify: V,
    op: &Operation,
) -> Result<Deployed, Failed>
where
    V: FnOnce(Published) -> F + Send,
    F: Future<Output = Result<(), HookError>> + Send,
{
    let mut run = Run {
        aws,
        wanted,
        op,
        deployed: Deployed {
            arn: aws.function_arn(&wanted.function_name),
            qualified_arn: aws.qualified_arn(&wanted.function_name, &wanted.alias),
            invoke_arn: aws.invoke_arn(&wanted.function_name, &wanted.alias),
            version: None,
            role_arn: match &wanted.role {
                Role::Brought(arn) => arn.clone(),
                Role::Managed { .. } => aws.role_arn(&wanted.function_name),
            },
            log_group_name: names::log_group_name(&wanted.function_name),
            dead_letter_queue_arn: None,
            url: None,
            code_sha256: None,
            code_size: None,
            left_in_bucket: None,
        },
        left: Vec::new(),
        touched: false,
    };
    match run.all(mode, verify).await {
        Ok(()) => Ok(run.deployed),
        Err(error) => Err(Failed {
            partial: run.touched.then(|| Box::new(run.deployed)),
            error,
        }),
    }
}

/// Whether a function of that name can be made: for callers that make something for it before [`converge()`], which asks again.
///
/// # Errors
///
/// [`DeployError::AlreadyExists`] when there is a finished one; [`DeployError`] as any call.
pub async fn check_free(aws: &Aws, function_name: &str, op: &Operation) -> Result<(), DeployError> {
    match function::read(aws, op, function_name).await? {
        Some(found) => refuse_finished(&found, function_name),
        None => Ok(()),
    }
}

/// A function that was never finished is ours to go on with.
fn refuse_finished(found: &FunctionState, function_name: &str) -> Result<(), DeployError> {
    match tags::are_unfinished(&found.tags, function_name) {
        true => Ok(()),
        false => Err(DeployError::AlreadyExists {
            function_name: function_name.to_owned(),
        }),
    }
}

/// One run, with what is known to exist so far.
struct Run<'a> {
    aws: &'a Aws,
    wanted: &'a Wanted,
    op: &'a Operation,
    deployed: Deployed,
    /// What lies in the bucket for this function.
    left: Vec<Left>,
    /// Something exists that must be remembered.
    touched: bool,
}

/// The version that the alias pointed to when the run began.
struct Served {
    snapshot: Snapshot,
    /// The alias serves this version, and no other beside it.
    wholly: bool,
}

/// Which of our objects were in use when the run began.
struct Used {
    role: Expect,
    queue: Expect,
}

impl Run<'_> {
    async fn all<V, F>(&mut self, mode: Mode, verify: V) -> Result<(), DeployError>
    where
        V: FnOnce(Published) -> F + Send,
        F: Future<Output = Result<(), HookError>> + Send,
    {
        let (aws, wanted, op) = (self.aws, self.wanted, self.op);
        let name = wanted.function_name.as_str();

        let existing = self.existing(mode).await?;
        let (alias_exists, served) = match &existing {
            Some(_) => self.served().await?,
            None => (false, None),
        };
        self.check_code(existing.as_ref())?;
        self.look_into_bucket(existing.as_ref()).await?;

        // Grants for what runs now and for what will run.
        let needs = Needs::of(&self.target(), &aws.queue_arn(name));
        let now: Vec<_> = [
            existing.as_ref().map(|function| &function.latest),
            served.as_ref().map(|served| &served.snapshot),
        ]
        .into_iter()
        .flatten()
        .map(|snapshot| &snapshot.configuration)
        .collect();
        let needs_now = now
            .iter()
            .map(|configuration| Needs::of(configuration, &aws.queue_arn(name)))
            .fold(needs.clone(), Needs::or);
        let used = Used {
            role: Expect::present_if(now.iter().any(|configuration| {
                names::is_role_of(&configuration.role_arn, name, &aws.region)
            })),
            queue: Expect::present_if(needs_now.queue),
        };

        self.touched = true;
        let mut role_made = false;
        let mut role = None;
        if let Some(wanted) = self.wanted_role() {
            let (state, made) = role::widen(aws, op, wanted, &needs_now).await?;
            role_made = made;
            self.deployed.role_arn = state.arn.clone();
            role = Some(state);
        }
        let target = self.target();
        // Where there is code, it was put there just now.
        if wanted.repository == Some(Repository::Managed) && wanted.code.is_none() {
            image_repo::ensure(aws, op, name, &wanted.tags).await?;
        }
        log_group::ensure(aws, op, name, wanted.log_retention_days, &wanted.tags).await?;
        if wanted.dead_letter_queue {
            dead_letter::ensure(aws, op, name, &wanted.tags).await?;
            self.deployed.dead_letter_queue_arn = Some(aws.queue_arn(name));
        }

        // An existing function whose role was made anew must be told: KMS knows roles by their identity, not by their name.
        let role_replaced = role_made && existing.is_some();
        let fresh = existing.is_none();
        let function = self.function(existing, &target, role_replaced).await?;
        self.empty_bucket().await;

        let publish = match &served {
            Some(served) => {
                // What a creation made must pass once, even if the run that made it was killed after the alias.
                mode == Mode::Create
                    || !served.wholly
                    || role_replaced
                    || served.snapshot.configuration != target
                    || served.snapshot.code_sha256 != wanted.code_sha256
            }
            None => true,
        };
        if publish {
            let verified = served
                .as_ref()
                .filter(|served| mode == Mode::Update && served.wholly);
            self.serve(verified, alias_exists, verify).await?;
        }

        self.url(fresh).await?;
        self.tidy(served.as_ref(), role, &needs, used).await?;
        // Last: until here a run that was killed is adopted by the next one.
        if function.tags.contains_key(tags::UNFINISHED) {
            let finished = tags::with_ours(&wanted.tags, name);
            function::set_tags(aws, op, name, &function.tags, &finished).await?;
        }
        Ok(())
    }

    /// The function as it is, at rest, if it is ours to change; in [`Mode::Create`] this comes before everything else.
    async fn existing(&mut self, mode: Mode) -> Result<Option<FunctionState>, DeployError> {
        let (aws, op) = (self.aws, self.op);
        let name = self.wanted.function_name.as_str();
        let Some(mut found) = function::read(aws, op, name).await? else {
            return Ok(None);
        };
        let unfinished = tags::are_unfinished(&found.tags, name);
        if mode == Mode::Create {
            refuse_finished(&found, name)?;
        }
        self.touched = true;
        self.deployed.code_sha256 = Some(found.latest.code_sha256.clone());
        self.deployed.code_size = Some(found.latest.code_size);
        found.latest = wait::until(aws, op, name, Until::Quiet, found.latest).await?;
        // Lambda cannot revive a function whose creation failed, nor make an image of a zip; nobody was ever served by this one.
        let failed = found.latest.state == Some(aws_sdk_lambda::types::State::Failed);
        let was = found.latest.configuration.package_type.as_str();
        if unfinished && (failed || was != self.wanted.package_type()) {
            tracing::info!(name, "deleting an unfinished function that is of no use");
            function::remove(aws, op, name).await?;
            if was == "Image" && self.wanted.repository.is_none() {
                image_repo::remove(aws, op, name, Expect::Perhaps).await?;
            }
            return Ok(None);
        }
        Ok(Some(found))
    }

    /// Whether the alias exists, and the version that it serves; an alias at `$LATEST` serves no version.
    async fn served(&mut self) -> Result<(bool, Option<Served>), DeployError> {
        let (aws, wanted, op) = (self.aws, self.wanted, self.op);
        let Some(found) = alias::read(aws, op, &wanted.function_name, &wanted.alias).await? else {
            return Ok((false, None));
        };
        self.deployed.version = Some(found.version.clone());
        if found.version == LATEST {
            return Ok((true, None));
        }
        let snapshot = function::describe(aws, op, &wanted.function_name, &found.version).await?;
        self.deployed.code_sha256 = Some(snapshot.code_sha256.clone());
        self.deployed.code_size = Some(snapshot.code_size);
        let served = Served {
            snapshot,
            wholly: !found.weighted,
        };
        Ok((true, Some(served)))
    }

    /// Refuses, before anything is changed, to go on without a zip that will be needed.
    fn check_code(&self, existing: Option<&FunctionState>) -> Result<(), DeployError> {
        if self.wanted.code.is_some() || existing.is_some_and(|found| self.has_code(found)) {
            return Ok(());
        }
        Err(DeployError::CodeNeeded {
            function_name: self.wanted.function_name.clone(),
            found: existing.map_or_else(
                || "not there".to_owned(),
                |function| function.latest.code_sha256.clone(),
            ),
            wanted: self.wanted.code_sha256.clone(),
        })
    }

    /// Finds what earlier runs have left in the bucket. Where the bucket is needed now, it must be one that Lambda can use: what is wrong
    /// with it is told before anything is changed.
    async fn look_into_bucket(
        &mut self,
        existing: Option<&FunctionState>,
    ) -> Result<(), DeployError> {
        let (aws, wanted, op) = (self.aws, self.wanted, self.op);
        let Some(bucket) = &wanted.artifact_bucket else {
            return Ok(());
        };
        let there = existing.is_some_and(|function| self.has_code(function));
        let needed = !there && matches!(wanted.code, Some(Code::ZipThrough { .. }));
        let (name, expect) = (wanted.function_name.as_str(), Expect::present_if(needed));
        self.left = artifact_bucket::read(aws, op, bucket, name, expect).await?;
        Ok(())
    }

    /// The code as Lambda's requests carry it: what is too large for one lies in the bucket then.
    async fn sent_code(&mut self) -> Result<SentCode, DeployError> {
        let (aws, wanted, op) = (self.aws, self.wanted, self.op);
        Ok(match &wanted.code {
            // `check_code` has seen to it that there is code.
            None => SentCode::default(),
            Some(Code::Zip(zip)) => SentCode::zip(zip),
            Some(Code::Image(uri)) => SentCode::image(uri),
            Some(Code::ZipThrough { bucket, zip }) => {
                let name = &wanted.function_name;
                let content = (zip.as_slice(), wanted.code_sha256.as_str());
                let stored =
                    artifact_bucket::ensure(aws, op, bucket, name, content, &self.left).await?;
                self.left.push(Left::from(&stored));
                SentCode::stored(stored)
            }
        })
    }

    /// Removes the packages from the bucket: Lambda has its own copy. Those that cannot be removed cost space, not correctness.
    async fn empty_bucket(&mut self) {
        let (aws, wanted, op) = (self.aws, self.wanted, self.op);
        let (Some(bucket), false) = (&wanted.artifact_bucket, self.left.is_empty()) else {
            return;
        };
        let name = wanted.function_name.as_str();
        if let Err(error) = artifact_bucket::remove(aws, op, bucket, name).await {
            tracing::warn!(name, bucket, %error, "packages were not removed from the bucket");
            self.deployed.left_in_bucket = Some(error.to_string());
        }
    }

    fn has_code(&self, found: &FunctionState) -> bool {
        // The same image may lie in another repository than it is to.
        let in_place = match (&self.wanted.code, &found.image_uri) {
            (Some(Code::Image(wanted)), Some(found)) => {
                image_repo::repository_of(wanted) == image_repo::repository_of(found)
            }
            _ => true,
        };
        in_place
            && found.latest.code_sha256 == self.wanted.code_sha256
            && found.latest.configuration.architecture == self.wanted.architecture
    }

    /// The configuration that is to be published.
    fn target(&self) -> Configuration {
        let wanted = self.wanted;
        Configuration {
            description: wanted.description.clone(),
            package_type: wanted.package_type().to_owned(),
            runtime: wanted.runtime.clone(),
            handler: wanted.handler.clone(),
            architecture: wanted.architecture,
            memory: wanted.memory,
            timeout: wanted.timeout,
            ephemeral_storage: wanted.ephemeral_storage,
            environment: wanted.environment.clone(),
            vpc: wanted.vpc.clone(),
            dead_letter_target_arn: wanted
                .dead_letter_queue
                .then(|| self.aws.queue_arn(&wanted.function_name)),
            role_arn: self.deployed.role_arn.clone(),
            log_format: wanted.log_format,
            log_group: self.deployed.log_group_name.clone(),
            tracing: wanted.tracing,
            layers: wanted.layers.clone(),
        }
    }

    fn wanted_role(&self) -> Option<WantedRole<'_>> {
        match &self.wanted.role {
            Role::Brought(_) => None,
            Role::Managed {
                policy_json,
                managed_policy_arns,
                permissions_boundary,
            } => Some(WantedRole {
                function_name: &self.wanted.function_name,
                policy_json: policy_json.as_deref(),
                managed_policy_arns,
                permissions_boundary: permissions_boundary.as_deref(),
                users_tags: &self.wanted.tags,
            }),
        }
    }

    /// Brings `$LATEST`, the concurrency and the tags to what is wanted. A function that is not served yet stays marked as unfinished.
    async fn function(
        &mut self,
        existing: Option<FunctionState>,
        target: &Configuration,
        role_replaced: bool,
    ) -> Result<FunctionState, DeployError> {
        let (aws, wanted, op) = (self.aws, self.wanted, self.op);
        let name = wanted.function_name.as_str();
        let mut function = match existing {
            Some(function) => self.update(function, target, role_replaced).await?,
            None => self.create(target).await?,
        };
        if function.latest.code_sha256 != wanted.code_sha256 {
            return Err(DeployError::CodeMismatch {
                function_name: name.to_owned(),
                found: function.latest.code_sha256,
                wanted: wanted.code_sha256.clone(),
            });
        }
        if function.reserved_concurrency != wanted.reserved_concurrency {
            function::set_concurrency(aws, op, name, wanted.reserved_concurrency).await?;
            function.reserved_concurrency = wanted.reserved_concurrency;
        }
        let mut wanted_tags = tags::with_ours(&wanted.tags, name);
        if let Some(mark) = function.tags.get(tags::UNFINISHED) {
            wanted_tags.insert(tags::UNFINISHED.to_owned(), mark.clone());
        }
        function::set_tags(aws, op, name, &function.tags, &wanted_tags).await?;
        function.tags = wanted_tags;
        Ok(function)
    }

    async fn create(&mut self, target: &Configuration) -> Result<FunctionState, DeployError> {
        let (aws, wanted, op) = (self.aws, self.wanted, self.op);
        let name = wanted.function_name.as_str();
        let mut first_tags = tags::with_ours(&wanted.tags, name);
        first_tags.insert(tags::UNFINISHED.to_owned(), "true".to_owned());
        let code = self.sent_code().await?;
        let latest = function::create(aws, op, name, target, &code, &first_tags).await?;
        self.deployed.code_sha256 = Some(latest.code_sha256.clone());
        self.deployed.code_size = Some(latest.code_size);
        let latest = wait::until(aws, op, name, Until::Active, latest).await?;
        Ok(FunctionState {
            latest,
            tags: first_tags,
            reserved_concurrency: None,
            image_uri: None,
        })
    }

    async fn update(
        &mut self,
        mut function: FunctionState,
        target: &Configuration,
        role_replaced: bool,
    ) -> Result<FunctionState, DeployError> {
        let (aws, wanted, op) = (self.aws, self.wanted, self.op);
        let name = wanted.function_name.as_str();
        let failed =
            function.latest.last_update == Some(aws_sdk_lambda::types::LastUpdateStatus::Failed);
        // The architecture goes with the code.
        let current = Configuration {
            architecture: target.architecture,
            ..function.latest.configuration.clone()
        };
        let upload = !self.has_code(&function);
        if failed || role_replaced || current != *target {
            let accepted = function::update_configuration(aws, op, name, &current, target).await?;
            function.latest = wait::until(aws, op, name, Until::Updated, accepted).await?;
        }
        if upload {
            let code = self.sent_code().await?;
            let accepted = function::update_code(aws, op, name, wanted.architecture, &code).await?;
            function.latest = wait::until(aws, op, name, Until::Updated, accepted).await?;
        }
        Ok(function)
    }

    /// Publishes `$LATEST`, has it verified, and moves the alias. `verified` is what the alias serves, if that needs no second look.
    async fn serve<V, F>(
        &mut self,
        verified: Option<&Served>,
        alias_exists: bool,
        verify: V,
    ) -> Result<(), DeployError>
    where
        V: FnOnce(Published) -> F + Send,
        F: Future<Output = Result<(), HookError>> + Send,
    {
        let (aws, wanted, op) = (self.aws, self.wanted, self.op);
        let name = wanted.function_name.as_str();
        let published = version::publish(aws, op, name, &wanted.code_sha256).await?;
        let published = wait::until(aws, op, name, Until::Active, published).await?;
        // Lambda gives the last version again if nothing changed.
        let already = verified.is_some_and(|verified| {
            verified.snapshot.version == published.version
                && verified.snapshot.code_sha256 == published.code_sha256
        });
        if !already {
            let doing = format!("verifying version {} of {name}", published.version);
            tracing::info!(name, published.version, "verifying the new version");
            let hook = verify(Published {
                function_name: name.to_owned(),
                version: published.version.clone(),
            });
            op.run(hook, &doing)
                .await?
                .map_err(|source| DeployError::Verify {
                    function_name: name.to_owned(),
                    version: published.version.clone(),
                    source,
                })?;
            alias::point(
                aws,
                op,
                name,
                &wanted.alias,
                &published.version,
                alias_exists,
            )
            .await?;
        }
        self.deployed.version = Some(published.version);
        self.deployed.code_sha256 = Some(published.code_sha256);
        self.deployed.code_size = Some(published.code_size);
        Ok(())
    }

    /// Gives the alias its URL, or takes it away. One that was made in this run (`fresh`) has none yet.
    async fn url(&mut self, fresh: bool) -> Result<(), DeployError> {
        let (aws, wanted, op) = (self.aws, self.wanted, self.op);
        let (name, alias) = (wanted.function_name.as_str(), wanted.alias.as_str());
        match &wanted.url {
            Some(url) => self.deployed.url = Some(url::ensure(aws, op, name, alias, url).await?),
            None if fresh => {}
            None => url::remove(aws, op, name, alias).await?,
        }
        Ok(())
    }

    /// Removes what the version that is served now does not use.
    async fn tidy(
        &mut self,
        served: Option<&Served>,
        role: Option<RoleState>,
        needs: &Needs,
        used: Used,
    ) -> Result<(), DeployError> {
        let (aws, wanted, op) = (self.aws, self.wanted, self.op);
        let name = wanted.function_name.as_str();
        match (self.wanted_role(), role) {
            (Some(wanted), Some(role)) => role::narrow(aws, op, wanted, needs, role).await?,
            _ => role::remove(aws, op, name, used.role).await?,
        }
        if !wanted.dead_letter_queue {
            dead_letter::remove(aws, op, name, used.queue).await?;
        }
        // The version that was served before may still name an image in it; it is not served any more.
        if wanted.repository == Some(Repository::Brought) {
            image_repo::remove(aws, op, name, Expect::Perhaps).await?;
        }
        // Only a push makes an image to be kept. Those that stay cost space, not correctness.
        if wanted.repository == Some(Repository::Managed)
            && wanted.code.is_some()
            && let Err(error) = image_repo::release_others(aws, op, name, &wanted.code_sha256).await
        {
            tracing::warn!(name, %error, "images were not left to the repository's rule");
        }
        let moved = served
            .filter(|served| self.deployed.version.as_deref() != Some(&served.snapshot.version));
        if let (Some(previous), Some(version)) = (moved, &self.deployed.version) {
            let previous = previous.snapshot.version.as_str();
            // What is served is right by now: versions that stay cost space, not correctness.
            if let Err(error) = version::delete_older(aws, op, name, version, previous).await {
                tracing::warn!(name, %error, "old versions were not deleted");
            }
        }
        Ok(())
    }
}

const LATEST: &str = "$LATEST";
