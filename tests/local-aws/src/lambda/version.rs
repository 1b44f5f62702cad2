//! Overlays on what a function has several of: versions and aliases; and on its reserved
//! concurrency.

use std::time::Instant;

use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request};
use serde_json::{Map, Value, json};

use super::book::{self, Alias, Book, Function, FunctionKey, Pace, Version};
use super::route::Action;
use super::{Incoming, Lambda, Stop, internal, object, page, validate};
use crate::ids;
use crate::reply::{self, AwsError, Reply};

impl Lambda {
    pub(super) async fn publish_version(
        &self,
        key: &FunctionKey,
        incoming: Incoming,
    ) -> Result<Reply, Stop> {
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

    /// Overlay: moto publishes a second, equal version after a change that came before the first
    /// one, and takes a number again after a deletion.
    pub(super) async fn publish(
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

    pub(super) async fn list_versions(
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

    pub(super) async fn put_alias(
        &self,
        key: &FunctionKey,
        incoming: Incoming,
    ) -> Result<Reply, Stop> {
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

    pub(super) async fn read_alias(
        &self,
        key: &FunctionKey,
        incoming: Incoming,
    ) -> Result<Reply, Stop> {
        let mut book = self.book.lock().await;
        let deletes = incoming.route.action == Action::DeleteAlias;
        let (status, mut answer) = self.ask(incoming.request).await?;
        let Some(function) = book.functions.get_mut(key) else {
            return Ok(reply::json(status, &answer));
        };
        if deletes {
            let name = incoming.route.item.as_deref().unwrap_or_default();
            function.aliases.remove(name);
            function.urls.remove(name);
            function.policies.remove(name);
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

    pub(super) async fn concurrency(
        &self,
        key: &FunctionKey,
        incoming: Incoming,
    ) -> Result<Reply, Stop> {
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
