//! Lambda's control plane: moto's answers, with what moto drops or falsifies put right.
//!
//! Enters: Lambda calls. Leaves: answers as AWS gives them. Each overlay is named where it is made; which there are, and
//! what moto 5.2.5 does without them, is listed in the README. What has no overlay goes to moto as it came.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request};
use serde_json::{Map, Value, json};

mod book;
mod code;
mod invoke;
mod role;
pub(crate) mod route;
mod validate;

pub(crate) use book::Pace;
use book::{Alias, Book, Function, FunctionKey, Version};
use code::{Code, Codes};
use route::{Action, FunctionRef, Route};

use crate::call::{Call, form_value};
use crate::functions::runtimes::Runtimes;
use crate::functions::{Functions, VersionKey};
use crate::ids;
use crate::moto::Moto;
use crate::reply::{self, AwsError, Protocol, Reply};

/// A Lambda call on its way.
pub(crate) struct Incoming {
    pub(crate) call: Call,
    pub(crate) route: Route,
    pub(crate) request: Request<Bytes>,
    /// How long a state change takes and how it ends.
    pub(crate) pace: Pace,
}

pub(crate) struct Lambda {
    moto: Moto,
    /// `http://127.0.0.1:PORT`, as clients reach local-aws.
    endpoint: String,
    codes: Codes,
    pub(crate) functions: Functions,
    runtimes: Runtimes,
    /// One control-plane operation at a time, because each is a question to moto and a change here.
    book: tokio::sync::Mutex<Book>,
    setups: std::sync::Mutex<HashMap<VersionKey, Arc<crate::functions::Setup>>>,
    accounts: std::sync::Mutex<HashMap<String, String>>,
}

/// Why an operation ends early.
enum Stop {
    /// moto's own refusal.
    Answer(Reply),
    Refuse(AwsError),
}

impl From<AwsError> for Stop {
    fn from(error: AwsError) -> Self {
        Self::Refuse(error)
    }
}

impl Lambda {
    pub(crate) fn new(
        moto: Moto,
        endpoint: String,
        work: &std::path::Path,
        functions: Functions,
        runtimes: Runtimes,
    ) -> std::io::Result<Self> {
        Ok(Self {
            moto,
            endpoint,
            codes: Codes::new(work.join("code"))?,
            functions,
            runtimes,
            book: tokio::sync::Mutex::default(),
            setups: std::sync::Mutex::default(),
            accounts: std::sync::Mutex::default(),
        })
    }

    /// Answers a Lambda call.
    pub(crate) async fn handle(self: &Arc<Self>, incoming: Incoming) -> Reply {
        match self.dispatch(incoming).await {
            Ok(reply) | Err(Stop::Answer(reply)) => reply,
            Err(Stop::Refuse(error)) => error.reply(Protocol::RestJson),
        }
    }

    async fn dispatch(self: &Arc<Self>, incoming: Incoming) -> Result<Reply, Stop> {
        let key = self.key(&incoming).await?;
        match incoming.route.action {
            Action::CreateFunction => self.create(key, incoming).await,
            Action::GetFunction => self.get(&key, incoming).await,
            Action::GetFunctionConfiguration => self.get_configuration(&key, incoming).await,
            Action::UpdateFunctionConfiguration => self.update_configuration(&key, incoming).await,
            Action::UpdateFunctionCode => self.update_code(&key, incoming).await,
            Action::PublishVersion => self.publish_version(&key, incoming).await,
            Action::ListVersionsByFunction => self.list_versions(&key, incoming).await,
            Action::ListFunctions => self.list_functions(&key, incoming).await,
            Action::DeleteFunction => self.delete(&key, incoming).await,
            Action::CreateAlias | Action::UpdateAlias => self.put_alias(&key, incoming).await,
            Action::GetAlias | Action::ListAliases | Action::DeleteAlias => {
                self.read_alias(&key, incoming).await
            }
            Action::PutFunctionConcurrency
            | Action::DeleteFunctionConcurrency
            | Action::GetFunctionConcurrency => self.concurrency(&key, incoming).await,
            Action::Invoke => self.invoke(&key, incoming).await,
            _ => self.pass(incoming.request).await,
        }
    }

    /// Serves `Code.Location`: `/_local/code/ACCOUNT/REGION/NAME/VERSION`.
    pub(crate) async fn download(&self, path: &str) -> Option<Reply> {
        let mut parts = path.split('/').map(crate::call::percent_decode);
        let (account, region, name, version) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let book = self.book.lock().await;
        let function = book.functions.get(&FunctionKey {
            account,
            region,
            name,
        })?;
        let zip = self
            .codes
            .zip(function.version(&version)?.code.as_ref()?)
            .ok()?;
        Some(reply::text(200, "application/zip", zip))
    }

    async fn create(&self, key: FunctionKey, incoming: Incoming) -> Result<Reply, Stop> {
        let request = object(&incoming.request)?;
        validate::new_function(&request)?;
        let code = self
            .code_of(&key, request.get("Code").unwrap_or(&Value::Null), &incoming)
            .await?;
        let role = request
            .get("Role")
            .and_then(Value::as_str)
            .unwrap_or_default();
        role::check_trust(&self.moto, &key.account, role).await?;
        role::check_permissions(&self.moto, &key.account, role, &request).await?;
        let vpc = role::vpc_of(&self.moto, &key.account, &key.region, &request).await?;

        let mut book = self.book.lock().await;
        let (status, answer) = self.ask(incoming.request).await?;
        let moto = members(&answer);
        let mut configuration = book::from_moto(&moto, &key.name);
        set_kept(&mut configuration, &request, &vpc);
        configuration.insert(
            "LastModified".to_owned(),
            ids::last_modified(SystemTime::now()).into(),
        );
        let generation = book.next_generation();
        let now = Instant::now();
        let latest = Version::new(configuration, code, generation, &incoming.pace, now);
        let mut function = Function::new(latest.clone());
        let mut view = latest.view(&key.arn(), "$LATEST", now);
        if let Some(number) = moto
            .get("Version")
            .and_then(Value::as_str)
            .and_then(|version| version.parse::<u64>().ok())
        {
            let version = Version::new(
                latest.configuration,
                latest.code,
                book.next_generation(),
                &incoming.pace,
                now,
            );
            view = version.view(&key.arn(), &number.to_string(), now);
            function.publish(number, version);
        }
        book.functions.insert(key, function);
        Ok(reply::json(status, &Value::Object(view)))
    }

    async fn get(&self, key: &FunctionKey, incoming: Incoming) -> Result<Reply, Stop> {
        let qualifier = qualifier(&incoming.route);
        let book = self.book.lock().await;
        let (status, mut answer) = self.ask(incoming.request).await?;
        let Some(function) = book.functions.get(key) else {
            return Ok(reply::json(status, &answer));
        };
        let moto_version = answer["Configuration"]["Version"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let (version, view) = resolved(key, function, &moto_version, qualifier.as_deref())?;
        answer["Configuration"] = Value::Object(view);
        if function
            .version(&version)
            .is_some_and(|version| version.code.is_some())
        {
            // Overlay: moto makes up an address from which nothing can be fetched.
            let location = format!(
                "{}/_local/code/{}/{}/{}/{version}",
                self.endpoint, key.account, key.region, key.name
            );
            answer["Code"] = json!({"RepositoryType": "S3", "Location": location});
        }
        // Overlay: moto leaves a reservation of 0 out.
        if let Some(reserved) = function.reserved_concurrency {
            answer["Concurrency"] = json!({"ReservedConcurrentExecutions": reserved});
        }
        Ok(reply::json(status, &answer))
    }

    /// Overlay: moto answers with the version's ARN where AWS answers with the alias's.
    async fn get_configuration(
        &self,
        key: &FunctionKey,
        incoming: Incoming,
    ) -> Result<Reply, Stop> {
        let qualifier = qualifier(&incoming.route);
        let book = self.book.lock().await;
        let (status, answer) = self.ask(incoming.request).await?;
        let Some(function) = book.functions.get(key) else {
            return Ok(reply::json(status, &answer));
        };
        let moto_version = answer["Version"].as_str().unwrap_or_default();
        let (_, view) = resolved(key, function, moto_version, qualifier.as_deref())?;
        Ok(reply::json(status, &Value::Object(view)))
    }

    async fn update_configuration(
        &self,
        key: &FunctionKey,
        incoming: Incoming,
    ) -> Result<Reply, Stop> {
        let request = object(&incoming.request)?;
        validate::configuration(&request)?;
        let mut book = self.book.lock().await;
        let Some(function) = book.functions.get(key) else {
            return self.pass(incoming.request).await;
        };
        let now = Instant::now();
        function.check_changeable(&key.arn(), now)?;
        function.check_revision(&request, now)?;
        let role = request
            .get("Role")
            .or_else(|| function.latest.configuration.get("Role"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        if request.contains_key("Role") {
            role::check_trust(&self.moto, &key.account, role).await?;
        }
        role::check_permissions(&self.moto, &key.account, role, &request).await?;
        let vpc = role::vpc_of(&self.moto, &key.account, &key.region, &request).await?;

        let (status, answer) = self.ask(incoming.request).await?;
        let generation = book.next_generation();
        let Some(function) = book.functions.get_mut(key) else {
            return Ok(reply::json(status, &answer));
        };
        let latest = &mut function.latest;
        let old = std::mem::take(&mut latest.configuration);
        latest.configuration = book::from_moto(&members(&answer), &key.name);
        keep_ours(&mut latest.configuration, &old);
        set_kept(&mut latest.configuration, &request, &vpc);
        latest.configuration.insert(
            "LastModified".to_owned(),
            ids::last_modified(SystemTime::now()).into(),
        );
        latest.changed(generation, &incoming.pace, now);
        let view = latest.view(&key.arn(), "$LATEST", now);
        self.retire(|retired| retired.function == key.path() && retired.version == "$LATEST")
            .await;
        Ok(reply::json(status, &Value::Object(view)))
    }

    async fn update_code(&self, key: &FunctionKey, mut incoming: Incoming) -> Result<Reply, Stop> {
        let mut request = object(&incoming.request)?;
        let mut book = self.book.lock().await;
        let Some(function) = book.functions.get(key) else {
            return self.pass(incoming.request).await;
        };
        let now = Instant::now();
        function.check_changeable(&key.arn(), now)?;
        function.check_revision(&request, now)?;
        let code = self
            .code_of(key, &Value::Object(request.clone()), &incoming)
            .await?;
        if request.get("DryRun") == Some(&json!(true)) {
            let mut view = function.latest.view(&key.arn(), "$LATEST", now);
            if let Some(code) = code {
                view.insert("CodeSha256".to_owned(), code.sha256.clone().into());
            }
            return Ok(reply::json(200, &Value::Object(view)));
        }
        // Publishing is done here, because moto publishes a version that it then calls changed.
        let publish = request.remove("Publish") == Some(json!(true));
        if publish {
            *incoming.request.body_mut() = Value::Object(request.clone()).to_string().into();
        }
        let headers = incoming.request.headers().clone();
        let (status, answer) = self.ask(incoming.request).await?;
        let generation = book.next_generation();
        let Some(function) = book.functions.get_mut(key) else {
            return Ok(reply::json(status, &answer));
        };
        let latest = &mut function.latest;
        for member in ["CodeSha256", "CodeSize"] {
            latest
                .configuration
                .insert(member.to_owned(), answer[member].clone());
        }
        // Overlay: moto ignores it.
        if let Some(architectures) = request.get("Architectures") {
            latest
                .configuration
                .insert("Architectures".to_owned(), architectures.clone());
        }
        latest.configuration.insert(
            "LastModified".to_owned(),
            ids::last_modified(SystemTime::now()).into(),
        );
        latest.code = code;
        latest.changed(generation, &incoming.pace, now);
        let mut view = latest.view(&key.arn(), "$LATEST", now);
        if publish {
            view = self
                .publish(&mut book, key, &headers, None, &incoming.pace)
                .await?;
        }
        self.retire(|retired| retired.function == key.path() && retired.version == "$LATEST")
            .await;
        Ok(reply::json(status, &Value::Object(view)))
    }

    async fn publish_version(&self, key: &FunctionKey, incoming: Incoming) -> Result<Reply, Stop> {
        let request = object(&incoming.request)?;
        let mut book = self.book.lock().await;
        let Some(function) = book.functions.get(key) else {
            return self.pass(incoming.request).await;
        };
        let now = Instant::now();
        function.check_changeable(&key.arn(), now)?;
        function.check_revision(&request, now)?;
        let current = function
            .latest
            .configuration
            .get("CodeSha256")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if let Some(given) = request.get("CodeSha256").and_then(Value::as_str)
            && !given.is_empty()
            && given != current
        {
            return Err(validate::invalid(&format!(
                "CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({current}). Please try again \
                 with the CodeSHA256 in $LATEST."
            ))
            .into());
        }
        let description = request
            .get("Description")
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty());
        let headers = incoming.request.headers().clone();
        let view = self
            .publish(&mut book, key, &headers, description, &incoming.pace)
            .await?;
        Ok(reply::json(201, &Value::Object(view)))
    }

    /// Overlay: moto publishes a second, equal version after a change that came before the first one, and takes
    /// a number again after a deletion.
    async fn publish(
        &self,
        book: &mut Book,
        key: &FunctionKey,
        headers: &HeaderMap,
        description: Option<&str>,
        pace: &Pace,
    ) -> Result<Map<String, Value>, Stop> {
        let now = Instant::now();
        let generation = book.next_generation();
        let not_found = || {
            AwsError::new(
                404,
                "ResourceNotFoundException",
                format!("Function not found: {}", key.arn()),
            )
        };
        let function = book.functions.get_mut(key).ok_or_else(not_found)?;
        if let Some(number) = function.unchanged_since() {
            let version = number.to_string();
            let unchanged = function.version(&version).ok_or_else(not_found)?;
            return Ok(unchanged.view(&format!("{}:{version}", key.arn()), &version, now));
        }
        let path = format!("/2015-03-31/functions/{}/versions", key.name);
        let (_, answer) = self
            .ask(as_caller(headers, Method::POST, &path, "{}"))
            .await?;
        let version = answer["Version"].as_str().unwrap_or_default().to_owned();
        let number = version
            .parse()
            .map_err(|_| internal(&format!("moto published {answer}")))?;
        let mut configuration = function.latest.configuration.clone();
        if let Some(description) = description {
            configuration.insert("Description".to_owned(), description.into());
        }
        let published = Version::new(
            configuration,
            function.latest.code.clone(),
            generation,
            pace,
            now,
        );
        let view = published.view(&format!("{}:{version}", key.arn()), &version, now);
        function.publish(number, published);
        Ok(view)
    }

    async fn list_versions(&self, key: &FunctionKey, incoming: Incoming) -> Result<Reply, Stop> {
        let query = incoming
            .request
            .uri()
            .query()
            .unwrap_or_default()
            .to_owned();
        let book = self.book.lock().await;
        let (status, mut answer) = self.ask(incoming.request).await?;
        let Some(function) = book.functions.get(key) else {
            // Overlay: moto has no versions for a function that it does not have.
            return Err(AwsError::new(
                404,
                "ResourceNotFoundException",
                format!("Function not found: {}", key.arn()),
            )
            .into());
        };
        let now = Instant::now();
        let latest = ("$LATEST".to_owned(), &function.latest);
        let versions: Vec<Value> = std::iter::once(latest)
            .chain(
                function
                    .versions
                    .iter()
                    .map(|(number, version)| (number.to_string(), version)),
            )
            .map(|(name, version)| {
                Value::Object(version.view(&format!("{}:{name}", key.arn()), &name, now))
            })
            .collect();
        page(&mut answer, "Versions", versions, &query);
        Ok(reply::json(status, &answer))
    }

    async fn list_functions(&self, key: &FunctionKey, incoming: Incoming) -> Result<Reply, Stop> {
        let query = incoming
            .request
            .uri()
            .query()
            .unwrap_or_default()
            .to_owned();
        let book = self.book.lock().await;
        let (status, mut answer) = self.ask(incoming.request).await?;
        let now = Instant::now();
        let mut functions = answer["Functions"].as_array().cloned().unwrap_or_default();
        for entry in &mut functions {
            let named = FunctionKey {
                name: entry["FunctionName"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                ..key.clone()
            };
            let Some(function) = book.functions.get(&named) else {
                continue;
            };
            let version = entry["Version"].as_str().unwrap_or("$LATEST").to_owned();
            let arn = entry["FunctionArn"].as_str().unwrap_or_default().to_owned();
            if let Some(known) = function.version(&version) {
                *entry = Value::Object(known.view(&arn, &version, now));
            }
        }
        page(&mut answer, "Functions", functions, &query);
        Ok(reply::json(status, &answer))
    }

    async fn delete(&self, key: &FunctionKey, incoming: Incoming) -> Result<Reply, Stop> {
        let qualifier = qualifier(&incoming.route);
        let mut book = self.book.lock().await;
        let Some(function) = book.functions.get_mut(key) else {
            return self.pass(incoming.request).await;
        };
        let Some(version) = qualifier else {
            let reply = self.pass(incoming.request).await?;
            if reply.status().is_success() {
                book.functions.remove(key);
                self.retire(|retired| retired.function == key.path()).await;
            }
            return Ok(reply);
        };
        if version == "$LATEST" {
            return Err(validate::invalid(
                "$LATEST version cannot be deleted without deleting the function.",
            )
            .into());
        }
        // Overlay: moto deletes a version to which an alias points.
        let mut aliases: Vec<&str> = function
            .aliases
            .iter()
            .filter(|(_, alias)| alias.version == version)
            .map(|(name, _)| name.as_str())
            .collect();
        aliases.sort_unstable();
        if !aliases.is_empty() {
            return Err(AwsError::new(
                409,
                "ResourceConflictException",
                format!(
                    "Unable to delete version because the following aliases reference it: [{}]",
                    aliases.join(", ")
                ),
            )
            .into());
        }
        let number = version.parse().unwrap_or_default();
        if function.versions.remove(&number).is_none() {
            let arn = format!("{}:{version}", key.arn());
            return Err(AwsError::new(
                404,
                "ResourceNotFoundException",
                format!("Function not found: {arn}"),
            )
            .into());
        }
        function.deleted.insert(number);
        self.retire(|retired| retired.function == key.path() && retired.version == version)
            .await;
        Ok(reply::empty(204))
    }

    async fn put_alias(&self, key: &FunctionKey, incoming: Incoming) -> Result<Reply, Stop> {
        let request = object(&incoming.request)?;
        let creates = incoming.route.action == Action::CreateAlias;
        let name = match &incoming.route.item {
            Some(name) => name.clone(),
            None => request
                .get("Name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        };
        validate::alias_name(&name)?;
        let mut book = self.book.lock().await;
        let Some(function) = book.functions.get_mut(key) else {
            return self.pass(incoming.request).await;
        };
        if let Some(version) = request.get("FunctionVersion").and_then(Value::as_str)
            && function.version(version).is_none()
        {
            let arn = format!("{}:{version}", key.arn());
            return Err(AwsError::new(
                404,
                "ResourceNotFoundException",
                format!("Function not found: {arn}"),
            )
            .into());
        }
        if let (Some(given), Some(alias)) = (
            request.get("RevisionId").and_then(Value::as_str),
            function.aliases.get(&name),
        ) && given != alias.revision
        {
            return Err(book::stale_revision("GetAlias").into());
        }
        if creates && function.aliases.contains_key(&name) {
            // Overlay: moto calls it ConflictException.
            let message = format!("Alias already exists: {}:{name}", key.arn());
            return Err(AwsError::new(409, "ResourceConflictException", message).into());
        }
        let (status, mut answer) = self.ask(incoming.request).await?;
        let version = answer["FunctionVersion"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        function.aliases.insert(
            name,
            Alias {
                version,
                revision: ids::uuid(),
            },
        );
        complete_alias(function, &mut answer);
        Ok(reply::json(status, &answer))
    }

    async fn read_alias(&self, key: &FunctionKey, incoming: Incoming) -> Result<Reply, Stop> {
        let mut book = self.book.lock().await;
        let deletes = incoming.route.action == Action::DeleteAlias;
        let (status, mut answer) = self.ask(incoming.request).await?;
        let Some(function) = book.functions.get_mut(key) else {
            return Ok(reply::json(status, &answer));
        };
        if deletes {
            function
                .aliases
                .remove(incoming.route.item.as_deref().unwrap_or_default());
            // Overlay: moto answers 201.
            return Ok(reply::empty(204));
        }
        match answer["Aliases"].as_array_mut() {
            Some(aliases) => aliases
                .iter_mut()
                .for_each(|alias| complete_alias(function, alias)),
            None => complete_alias(function, &mut answer),
        }
        Ok(reply::json(status, &answer))
    }

    async fn concurrency(&self, key: &FunctionKey, incoming: Incoming) -> Result<Reply, Stop> {
        let request = object(&incoming.request).unwrap_or_default();
        let mut book = self.book.lock().await;
        let reply = self.pass(incoming.request).await?;
        let Some(function) = book.functions.get_mut(key) else {
            return Ok(reply);
        };
        match incoming.route.action {
            Action::GetFunctionConcurrency => {
                let reserved = function.reserved_concurrency;
                let body = reserved.map_or(
                    json!({}),
                    |reserved| json!({"ReservedConcurrentExecutions": reserved}),
                );
                return Ok(reply::json(200, &body));
            }
            Action::PutFunctionConcurrency if reply.status().is_success() => {
                function.reserved_concurrency = request
                    .get("ReservedConcurrentExecutions")
                    .and_then(Value::as_u64);
            }
            _ if reply.status().is_success() => function.reserved_concurrency = None,
            _ => {}
        }
        Ok(reply)
    }

    /// The code in a request, kept.
    async fn code_of(
        &self,
        key: &FunctionKey,
        code: &Value,
        incoming: &Incoming,
    ) -> Result<Option<Arc<Code>>, AwsError> {
        if incoming.request.body().len() > code::MAX_REQUEST {
            let action = incoming.route.action.name();
            return Err(AwsError::new(
                413,
                "RequestEntityTooLargeException",
                format!(
                    "Request must be smaller than {} bytes for the {action} operation",
                    code::MAX_REQUEST
                ),
            ));
        }
        if let Some(zip) = code["ZipFile"].as_str() {
            return self.codes.keep_base64(zip).map(Some);
        }
        if let (Some(bucket), Some(object)) = (code["S3Bucket"].as_str(), code["S3Key"].as_str()) {
            // moto refuses what is not there, in its own words.
            let zip = self
                .moto
                .object(&key.account, &key.region, bucket, object)
                .await
                .ok();
            return zip.map(|zip| self.codes.keep(&zip)).transpose();
        }
        Ok(None)
    }

    /// The function that a call is about; its name is empty for ListFunctions.
    async fn key(&self, incoming: &Incoming) -> Result<FunctionKey, Stop> {
        let named = match &incoming.route.resource {
            Some(name) => name.clone(),
            None => incoming.call.resource.clone().unwrap_or_default(),
        };
        let access_key = &incoming.call.access_key;
        let known = lock(&self.accounts).get(access_key).cloned();
        let account = match known {
            Some(account) => account,
            None => {
                let account = self
                    .moto
                    .account_of(access_key)
                    .await
                    .map_err(|error| internal(&error))?;
                lock(&self.accounts).insert(access_key.clone(), account.clone());
                account
            }
        };
        Ok(FunctionKey {
            account,
            region: incoming.call.region.clone(),
            name: FunctionRef::parse(&named).name,
        })
    }

    async fn retire(&self, gone: impl Fn(&VersionKey) -> bool) {
        lock(&self.setups).retain(|key, _| !gone(key));
        self.functions.retire(gone).await;
    }

    async fn pass(&self, request: Request<Bytes>) -> Result<Reply, Stop> {
        Ok(self
            .moto
            .forward(request)
            .await
            .map_err(|error| internal(&error))?)
    }

    /// Forwards, and reads a success as JSON.
    async fn ask(&self, request: Request<Bytes>) -> Result<(u16, Value), Stop> {
        let reply = self.pass(request).await?;
        if !reply.status().is_success() {
            return Err(Stop::Answer(reply));
        }
        let status = reply.status().as_u16();
        let body = reply::body_of(reply).await;
        let value = if body.is_empty() {
            Ok(Value::Null)
        } else {
            serde_json::from_slice(&body)
        };
        Ok((
            status,
            value.map_err(|error| internal(&format!("moto's answer is no JSON: {error}")))?,
        ))
    }
}

/// The qualifier of a call: from the query, or at the end of the function's name.
fn qualifier(route: &Route) -> Option<String> {
    route
        .qualifier
        .clone()
        .or_else(|| FunctionRef::parse(route.resource.as_deref()?).qualifier)
}

/// The version that moto found for a qualifier, and how AWS shows it under that qualifier.
fn resolved(
    key: &FunctionKey,
    function: &Function,
    moto_version: &str,
    qualifier: Option<&str>,
) -> Result<(String, Map<String, Value>), AwsError> {
    let arn = qualifier.map_or_else(
        || key.arn(),
        |qualifier| format!("{}:{qualifier}", key.arn()),
    );
    // moto marks the unqualified function `$LATEST` only on this call.
    let version = if qualifier.is_none() {
        "$LATEST"
    } else {
        moto_version
    };
    let found = function.version(version).ok_or_else(|| {
        AwsError::new(
            404,
            "ResourceNotFoundException",
            format!("Function not found: {arn}"),
        )
    })?;
    Ok((
        version.to_owned(),
        found.view(&arn, version, Instant::now()),
    ))
}

/// Overlay: what CreateFunction and UpdateFunctionConfiguration carry and moto drops.
fn set_kept(configuration: &mut Map<String, Value>, request: &Map<String, Value>, vpc: &str) {
    for member in ["TracingConfig", "EphemeralStorage"] {
        if let Some(value) = request.get(member).filter(|value| !value.is_null()) {
            configuration.insert(member.to_owned(), value.clone());
        }
    }
    if let Some(key) = request.get("KMSKeyArn").and_then(Value::as_str) {
        configuration.insert("KMSKeyArn".to_owned(), key.into());
        configuration.retain(|name, value| name != "KMSKeyArn" || value != "");
    }
    if let Some(apply_on) = request
        .get("SnapStart")
        .and_then(|snap_start| snap_start.get("ApplyOn"))
    {
        configuration.insert(
            "SnapStart".to_owned(),
            json!({"ApplyOn": apply_on, "OptimizationStatus": "Off"}),
        );
    }
    if let Some(config) = request.get("DeadLetterConfig") {
        match config["TargetArn"].as_str() {
            // An empty ARN takes the target away.
            None | Some("") => configuration.remove("DeadLetterConfig"),
            Some(_) => configuration.insert("DeadLetterConfig".to_owned(), config.clone()),
        };
    }
    if let (Some(Value::Object(given)), Some(Value::Object(kept))) = (
        request.get("LoggingConfig"),
        configuration.get_mut("LoggingConfig"),
    ) {
        for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            kept.insert(name.clone(), value.clone());
        }
        if kept.get("LogFormat") == Some(&json!("JSON")) {
            kept.entry("ApplicationLogLevel").or_insert("INFO".into());
            kept.entry("SystemLogLevel").or_insert("INFO".into());
        } else {
            kept.retain(|name, _| !name.ends_with("LogLevel"));
        }
    }
    if let Some(Value::Object(network)) = configuration.get_mut("VpcConfig")
        && request.contains_key("VpcConfig")
    {
        // Overlay: moto makes up a VPC.
        network.insert("VpcId".to_owned(), vpc.into());
        for list in ["SubnetIds", "SecurityGroupIds"] {
            network.entry(list).or_insert(json!([]));
        }
        network
            .entry("Ipv6AllowedForDualStack")
            .or_insert(json!(false));
    }
}

/// Overlay: what moto would put back to its own idea with each update.
fn keep_ours(configuration: &mut Map<String, Value>, old: &Map<String, Value>) {
    for member in [
        "TracingConfig",
        "EphemeralStorage",
        "DeadLetterConfig",
        "LoggingConfig",
        "Architectures",
        "SnapStart",
        "KMSKeyArn",
    ] {
        if let Some(value) = old.get(member) {
            configuration.insert(member.to_owned(), value.clone());
        }
    }
    let vpc_id = old
        .get("VpcConfig")
        .and_then(|network| network.get("VpcId"))
        .cloned();
    if let (Some(vpc_id), Some(Value::Object(network))) =
        (vpc_id, configuration.get_mut("VpcConfig"))
    {
        network.insert("VpcId".to_owned(), vpc_id);
    }
}

/// Overlay: moto never changes an alias's revision id, and shows a routing that is not there.
fn complete_alias(function: &Function, alias: &mut Value) {
    let Some(members) = alias.as_object_mut() else {
        return;
    };
    members.retain(|_, value| !value.is_null());
    let known = members
        .get("Name")
        .and_then(Value::as_str)
        .and_then(|name| function.aliases.get(name));
    if let Some(known) = known {
        members.insert("RevisionId".to_owned(), known.revision.clone().into());
    }
}

/// Overlay: moto answers lists whole. Lambda gives 50 entries at a time, or as many as asked.
fn page(answer: &mut Value, list: &str, entries: Vec<Value>, query: &str) {
    let number =
        |name: &str| form_value(query.as_bytes(), name).and_then(|text| text.parse::<usize>().ok());
    let (start, size) = (
        number("Marker").unwrap_or(0),
        number("MaxItems").unwrap_or(50).clamp(1, 50),
    );
    let more = entries.len() > start + size;
    answer[list] = entries.into_iter().skip(start).take(size).collect();
    if more {
        answer["NextMarker"] = (start + size).to_string().into();
    }
}

fn object(request: &Request<Bytes>) -> Result<Map<String, Value>, AwsError> {
    if request.body().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(request.body()).map_err(|error| {
        AwsError::new(
            400,
            "SerializationException",
            format!("Could not parse request body: {error}"),
        )
    })
}

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// A request of our own in the name of the caller.
fn as_caller(
    headers: &HeaderMap,
    method: Method,
    path: &str,
    body: &'static str,
) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from_static(body.as_bytes()));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    for name in [AUTHORIZATION, HOST, CONTENT_TYPE] {
        if let Some(value) = headers.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    request
}

fn internal(message: &str) -> AwsError {
    AwsError::new(500, "ServiceException", format!("local-aws: {message}"))
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing that holds these locks can panic half-way through a change.
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
