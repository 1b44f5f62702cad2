//! Overlay: the configuration of function URLs. moto has one per function whatever the qualifier,
//! says `Buffered`, ignores an update of the invoke mode, makes a second URL in place of the first,
//! and has no list; so they are kept here.
//!
//! Enters: the five operations on function URLs. Leaves: configurations whose `FunctionUrl` leads
//! to this machine: `http://127.0.0.1:PORT/`, a port for each URL, because a client here can
//! resolve no `lambda-url.REGION.on.aws` and has no certificate for it. It refuses what Lambda
//! refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::book::{Function, FunctionKey};
use super::policy::qualified;
use super::route::Action;
use super::url_server::Listening;
use super::{Incoming, Lambda, Stop, internal, object, page, qualifier, validate};
use crate::ids;
use crate::reply::{self, AwsError, Reply};
use crate::url::{Cors, Place};

/// The URL of a function or of one of its aliases.
#[derive(Clone, Debug)]
pub(crate) struct FunctionUrl {
    pub(super) place: Place,
    address: SocketAddr,
    pub(super) auth_type: String,
    /// As it was given; `None` without any.
    cors: Option<Value>,
    /// As it was given.
    invoke_mode: Option<String>,
    created: String,
    modified: String,
    /// Answers requests as long as this is there.
    _listening: Arc<Listening>,
}

impl FunctionUrl {
    /// Whether responses are streamed.
    pub(super) fn streams(&self) -> bool {
        self.invoke_mode.as_deref() == Some("RESPONSE_STREAM")
    }

    /// How it answers other origins, if it does.
    pub(super) fn cors(&self) -> Option<Cors> {
        // What was kept was checked.
        serde_json::from_value(self.cors.clone()?).ok()
    }

    fn take(&mut self, request: &Map<String, Value>) {
        if let Some(auth_type) = request.get("AuthType").and_then(Value::as_str) {
            auth_type.clone_into(&mut self.auth_type);
        }
        if let Some(mode) = request.get("InvokeMode").and_then(Value::as_str) {
            self.invoke_mode = Some(mode.to_owned());
        }
        if let Some(Value::Object(cors)) = request.get("Cors") {
            // An empty one takes it away.
            self.cors = (!cors.is_empty()).then(|| cors.clone().into());
        }
    }

    fn view(&self, arn: &str) -> Value {
        let mut view = json!({
            "FunctionUrl": format!("http://{}/", self.address),
            "FunctionArn": arn,
            "AuthType": self.auth_type,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
        });
        if let Some(cors) = &self.cors {
            view["Cors"] = cors.clone();
        }
        // The default is not told until somebody has set it.
        if let Some(mode) = &self.invoke_mode {
            view["InvokeMode"] = mode.as_str().into();
        }
        view
    }
}

impl Lambda {
    pub(super) async fn function_url(
        self: &Arc<Self>,
        key: &FunctionKey,
        incoming: Incoming,
    ) -> Result<Reply, Stop> {
        let request = object(&incoming.request)?;
        validate::function_url(&request)?;
        let qualifier = qualifier(&incoming.route).unwrap_or_default();
        validate::url_qualifier(&qualifier)?;
        let arn = qualified(key, &qualifier);
        let query = incoming.request.uri().query().unwrap_or_default();
        let mut book = self.book.lock().await;
        let Some(function) = book.functions.get_mut(key) else {
            return Err(not_found(&format!("Function not found: {}", key.arn())).into());
        };
        match incoming.route.action {
            Action::CreateFunctionUrlConfig => {
                let url = self.new_url(key, &qualifier, function, &request).await?;
                let view = url.view(&arn);
                function.urls.insert(qualifier, url);
                Ok(reply::json(201, &view))
            }
            Action::ListFunctionUrlConfigs => {
                let views = function
                    .urls
                    .iter()
                    .map(|(qualifier, url)| url.view(&qualified(key, qualifier)))
                    .collect();
                let mut answer = json!({});
                page(&mut answer, "FunctionUrlConfigs", views, query);
                Ok(reply::json(200, &answer))
            }
            Action::DeleteFunctionUrlConfig => match function.urls.remove(&qualifier) {
                Some(_) => Ok(reply::empty(204)),
                None => Err(missing().into()),
            },
            action => {
                let url = function.urls.get_mut(&qualifier).ok_or_else(missing)?;
                if action == Action::UpdateFunctionUrlConfig {
                    url.take(&request);
                    url.modified = ids::rfc3339(SystemTime::now());
                }
                Ok(reply::json(200, &url.view(&arn)))
            }
        }
    }

    async fn new_url(
        self: &Arc<Self>,
        key: &FunctionKey,
        qualifier: &str,
        function: &Function,
        request: &Map<String, Value>,
    ) -> Result<FunctionUrl, AwsError> {
        if !request.contains_key("AuthType") {
            return Err(validate::auth_type("").expect_err("it is none"));
        }
        if !qualifier.is_empty() && !function.aliases.contains_key(qualifier) {
            return Err(not_found(&format!(
                "Function not found: {}",
                qualified(key, qualifier)
            )));
        }
        if function.urls.contains_key(qualifier) {
            return Err(AwsError::new(
                409,
                "ResourceConflictException",
                format!(
                    "Failed to create function url config for [functionArn = {}]. Error message:  FunctionUrlConfig exists \
                     for this Lambda function",
                    qualified(key, qualifier)
                ),
            ));
        }
        let place = Place {
            account: key.account.clone(),
            region: key.region.clone(),
            id: ids::random_hex(16),
        };
        let (address, listening) = self
            .listen(key.clone(), qualifier.to_owned(), place.clone())
            .await
            .map_err(|error| internal(&format!("no port for a function URL: {error}")))?;
        let now = ids::rfc3339(SystemTime::now());
        let mut url = FunctionUrl {
            place,
            address,
            auth_type: String::new(),
            cors: None,
            invoke_mode: None,
            created: now.clone(),
            modified: now,
            _listening: Arc::new(listening),
        };
        url.take(request);
        Ok(url)
    }
}

fn missing() -> AwsError {
    not_found("The resource you requested does not exist.")
}

fn not_found(message: &str) -> AwsError {
    AwsError::new(404, "ResourceNotFoundException", message)
}
