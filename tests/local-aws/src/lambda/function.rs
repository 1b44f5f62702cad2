//! Overlays on functions themselves: create, read, update, delete.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde_json::{Map, Value, json};

use super::book::{Function, FunctionKey, Version};
use super::code::{self, Code};
use super::{Incoming, Lambda, Stop, kept, members, object, page, qualifier, role, validate};
use crate::ids;
use crate::reply::{self, AwsError, Reply};

impl Lambda {
    pub(super) async fn create(&self, key: FunctionKey, incoming: Incoming) -> Result<Reply, Stop> {
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
        let mut configuration = kept::from_moto(&moto, &key.name);
        kept::take(&mut configuration, &request, &vpc);
        image_hash(&mut configuration, code.as_deref());
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

    pub(super) async fn get(&self, key: &FunctionKey, incoming: Incoming) -> Result<Reply, Stop> {
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
            .is_some_and(|version| version.code.as_ref().is_some_and(|code| !code.is_image))
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
    pub(super) async fn get_configuration(
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

    pub(super) async fn update_configuration(
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
        latest.configuration = kept::from_moto(&members(&answer), &key.name);
        kept::preserve(&mut latest.configuration, &old);
        kept::take(&mut latest.configuration, &request, &vpc);
        image_hash(&mut latest.configuration, latest.code.as_deref());
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

    pub(super) async fn update_code(
        &self,
        key: &FunctionKey,
        mut incoming: Incoming,
    ) -> Result<Reply, Stop> {
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
        image_hash(&mut latest.configuration, code.as_deref());
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

    pub(super) async fn list_functions(
        &self,
        key: &FunctionKey,
        incoming: Incoming,
    ) -> Result<Reply, Stop> {
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

    pub(super) async fn delete(
        &self,
        key: &FunctionKey,
        incoming: Incoming,
    ) -> Result<Reply, Stop> {
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
        function.policies.remove(&version);
        self.retire(|retired| retired.function == key.path() && retired.version == version)
            .await;
        Ok(reply::empty(204))
    }

    /// The code in a request, kept.
    pub(super) async fn code_of(
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
        if let Some(uri) = code["ImageUri"].as_str() {
            // Without a registry nothing was pushed, and nothing can be run.
            let Some(registry) = &self.registry else {
                return Ok(None);
            };
            let hex = registry
                .digest(uri)
                .map_err(|error| validate::invalid(&error))?;
            return Ok(Some(Arc::new(Code {
                sha256: hex.clone(),
                hex,
                is_image: true,
            })));
        }
        if let (Some(bucket), Some(object)) = (code["S3Bucket"].as_str(), code["S3Key"].as_str()) {
            if let Some(region) = self.moto.bucket_region(bucket).await
                && region != key.region
            {
                return Err(validate::invalid(&format!(
                    "Error occurred while GetObject. S3 Error Code: PermanentRedirect. S3 Error Message: The bucket is in this \
                     region: {region}. Please use this region to retry the request"
                )));
            }
            let object = (object, code["S3ObjectVersion"].as_str());
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
}

/// Overlay: moto makes the hash of an image up. Lambda's is the manifest's.
fn image_hash(configuration: &mut Map<String, Value>, code: Option<&Code>) {
    if let Some(code) = code.filter(|code| code.is_image) {
        configuration.insert("CodeSha256".to_owned(), code.sha256.clone().into());
        configuration.insert("CodeSize".to_owned(), 0.into());
    }
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
