//! Lambda's control plane: moto's answers, with what moto drops or falsifies put right.
//!
//! Enters: Lambda calls. Leaves: answers as AWS gives them. Each overlay is named where it is made;
//! which there are, and what moto 5.2.5 does without them, is listed in the README. What has no
//! overlay goes to moto as it came.

use std::collections::HashMap;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Bytes;
use serde_json::{Map, Value};

mod book;
mod code;
mod function;
mod function_url;
mod invoke;
mod kept;
mod layer;
mod policy;
mod role;
pub(crate) mod route;
mod url_server;
mod validate;
mod version;

pub(crate) use book::Pace;
use book::{Book, FunctionKey};
use code::Codes;
use route::{Action, FunctionRef, Route};

use crate::call::{Call, form_value, percent_encode};
use crate::functions::runtimes::Runtimes;
use crate::functions::{Functions, VersionKey};
use crate::moto::Moto;
use crate::registry::Registry;
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
    /// What was published, by the ARN of the layer's version.
    registry: Option<Arc<Registry>>,
    layers: std::sync::Mutex<HashMap<String, Arc<code::Code>>>,
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
        registry: Option<Arc<Registry>>,
    ) -> std::io::Result<Self> {
        Ok(Self {
            moto,
            endpoint,
            codes: Codes::new(work.join("code"))?,
            registry,
            functions,
            runtimes,
            book: tokio::sync::Mutex::default(),
            setups: std::sync::Mutex::default(),
            accounts: std::sync::Mutex::default(),
            layers: std::sync::Mutex::default(),
        })
    }

    /// Answers a Lambda call.
    pub(crate) async fn handle(self: &Arc<Self>, incoming: Incoming) -> Reply {
        match self.dispatch(incoming).await {
            Ok(reply) | Err(Stop::Answer(reply)) => reply,
            Err(Stop::Refuse(error)) => error.reply(Protocol::RestJson),
        }
    }

    async fn dispatch(self: &Arc<Self>, mut incoming: Incoming) -> Result<Reply, Stop> {
        let key = self.key(&incoming).await?;
        name_plainly(&mut incoming, &key.name);
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
            Action::AddPermission | Action::GetPolicy | Action::RemovePermission => {
                self.permission(&key, incoming).await
            }
            Action::CreateFunctionUrlConfig
            | Action::GetFunctionUrlConfig
            | Action::UpdateFunctionUrlConfig
            | Action::DeleteFunctionUrlConfig
            | Action::ListFunctionUrlConfigs => self.function_url(&key, incoming).await,
            Action::PublishLayerVersion => self.publish_layer(&key, incoming).await,
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

/// Overlay: moto does not know partial ARNs, nor a qualifier at the end of one in every place.
fn name_plainly(incoming: &mut Incoming, name: &str) {
    let uri = incoming.request.uri();
    let mut parts: Vec<&str> = uri.path().split('/').collect();
    // "", version, "functions", function, …
    if parts.get(2) != Some(&"functions") || parts.get(3).is_none_or(|part| part.is_empty()) {
        return;
    }
    parts[3] = name;
    let mut target = parts.join("/");
    let mut query = uri.query().unwrap_or_default().to_owned();
    if let (Some(qualifier), None) = (qualifier(&incoming.route), &incoming.route.qualifier) {
        let separator = if query.is_empty() { "" } else { "&" };
        query = format!("{query}{separator}Qualifier={}", percent_encode(&qualifier));
    }
    if !query.is_empty() {
        target = format!("{target}?{query}");
    }
    if let Ok(uri) = target.parse() {
        *incoming.request.uri_mut() = uri;
    }
}

/// The qualifier of a call: from the query, or at the end of the function's name.
fn qualifier(route: &Route) -> Option<String> {
    route
        .qualifier
        .clone()
        .or_else(|| FunctionRef::parse(route.resource.as_deref()?).qualifier)
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

fn internal(message: &str) -> AwsError {
    AwsError::new(500, "ServiceException", format!("local-aws: {message}"))
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing that holds these locks can panic half-way through a change.
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
