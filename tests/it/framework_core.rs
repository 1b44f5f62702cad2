//! The part of Terraform core that decides what a provider is asked and what it may answer, for tests.
//!
//! [`Core`] speaks to the sink provider over a real gRPC connection in memory. It proposes states as core does, refuses
//! plans and results as core does, and plans once more inside each apply. Values are JSON, as [`value`] writes them.

use hyper_util::rt::TokioIo;
use mcplambda::plugin::Server;
use mcplambda::plugin::tfplugin6::provider_client::ProviderClient;
use mcplambda::plugin::tfplugin6::provider_server::ProviderServer;
use mcplambda::plugin::tfplugin6::schema::nested_block::NestingMode as BlockNesting;
use mcplambda::plugin::tfplugin6::schema::object::NestingMode;
use mcplambda::plugin::tfplugin6::schema::{Attribute, Block};
use mcplambda::plugin::tfplugin6::{self as proto, DynamicValue};
use serde_json::{Map, Value, json};
use tonic::transport::{Channel, Endpoint};

use crate::sink_provider::{Cloud, SinkProvider};
use crate::tfclient::schema::{Schemas, complete};
use crate::tfclient::value;

/// The resource type of nearly all tests.
pub(crate) const THING: &str = "sink_thing";

/// A connection to a sink provider of its own.
pub(crate) struct Core {
    pub(crate) client: ProviderClient<Channel>,
    pub(crate) schemas: Schemas,
    pub(crate) cloud: Cloud,
}

/// What a plan came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) prior: Value,
    pub(crate) config: Value,
    pub(crate) planned: Value,
    /// As [`path`] writes them.
    pub(crate) requires_replace: Vec<String>,
    /// The private state for apply, JSON.
    pub(crate) private: Value,
    /// `severity: path: summary: detail`
    pub(crate) diagnostics: Vec<String>,
}

/// What an operation left.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Left {
    pub(crate) state: Value,
    pub(crate) private: Value,
    pub(crate) identity: Value,
    pub(crate) diagnostics: Vec<String>,
}

impl Core {
    /// Starts a provider and connects to it. Not configured.
    pub(crate) async fn connect() -> Self {
        let cloud = Cloud::default();
        let service = ProviderServer::new(Server::new(SinkProvider(cloud.clone())));
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(tokio_stream::once(Ok::<_, std::io::Error>(theirs))),
        );
        let mut ours = Some(ours);
        let connector = tower::service_fn(move |_| {
            let stream = ours
                .take()
                .ok_or_else(|| std::io::Error::other("connected once already"));
            async move { stream.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://memory")
            .connect_with_connector(connector)
            .await;
        let mut client = ProviderClient::new(channel.expect("a connection in memory"));
        let response = client
            .get_provider_schema(proto::get_provider_schema::Request {})
            .await;
        let schemas = Schemas {
            response: response.expect("schemas").into_inner(),
        };
        Self {
            client,
            schemas,
            cloud,
        }
    }

    /// Starts a provider, connects to it and configures it.
    pub(crate) async fn start() -> Self {
        let core = Self::connect().await;
        assert_eq!(core.configure(json!({})).await, Vec::<String>::new());
        core
    }

    pub(crate) async fn configure(&self, config: Value) -> Vec<String> {
        let request = proto::configure_provider::Request {
            terraform_version: "1.11.4".to_owned(),
            config: Some(self.schemas.provider(&config)),
            client_capabilities: None,
        };
        let response = self
            .client
            .clone()
            .configure_provider(request)
            .await
            .expect("an answer");
        diagnostics(&response.into_inner().diagnostics)
    }

    pub(crate) fn block(&self) -> &Block {
        self.schemas.response.resource_schemas[THING]
            .block
            .as_ref()
            .expect("a block")
    }

    /// The full object that stands for `config`.
    pub(crate) fn complete(&self, config: &Value) -> Value {
        complete(self.block(), config)
    }

    pub(crate) async fn validate(&self, config: Value) -> Vec<String> {
        let request = proto::validate_resource_config::Request {
            type_name: THING.to_owned(),
            config: Some(self.schemas.resource(THING, &config)),
            client_capabilities: Some(proto::ClientCapabilities {
                write_only_attributes_allowed: true,
                ..Default::default()
            }),
        };
        let response = self
            .client
            .clone()
            .validate_resource_config(request)
            .await
            .expect("an answer");
        diagnostics(&response.into_inner().diagnostics)
    }

    /// Plans a change from `prior` (null: a create) to `config` (null: a destroy) and refuses what core would refuse.
    pub(crate) async fn plan(&self, prior: &Value, config: Value, private: &Value) -> Plan {
        self.plan_request(prior, config, private, |_| {}).await
    }

    /// As [`Self::plan`], with a request that differs in some respect.
    pub(crate) async fn plan_request(
        &self,
        prior: &Value,
        config: Value,
        private: &Value,
        differ: impl FnOnce(&mut proto::plan_resource_change::Request),
    ) -> Plan {
        let config = self.complete(&config);
        let prior = self.complete(prior);
        let proposed = if config.is_null() {
            Value::Null
        } else {
            propose(self.block(), &prior, &config)
        };
        let mut request = proto::plan_resource_change::Request {
            type_name: THING.to_owned(),
            prior_state: Some(value::encode(&prior)),
            proposed_new_state: Some(value::encode(&proposed)),
            config: Some(value::encode(&config)),
            prior_private: private_bytes(private).into(),
            ..Default::default()
        };
        differ(&mut request);
        let response = self
            .client
            .clone()
            .plan_resource_change(request)
            .await
            .expect("an answer");
        let response = response.into_inner();
        let plan = Plan {
            planned: value::decode(response.planned_state.as_ref()),
            requires_replace: response.requires_replace.iter().map(path).collect(),
            private: private_json(&response.planned_private),
            diagnostics: diagnostics(&response.diagnostics),
            prior,
            config,
        };
        if !plan.failed() {
            assert_eq!(
                plan.config.is_null(),
                plan.planned.is_null(),
                "planned for existence as configured"
            );
            check_object(self.block(), &plan.config, &plan.prior, &plan.planned, "");
        }
        plan
    }

    /// Applies a plan, after planning once more, and refuses results that core would refuse.
    pub(crate) async fn apply(&self, plan: &Plan) -> Left {
        assert!(!plan.failed(), "the plan failed: {:?}", plan.diagnostics);
        let left = self.apply_request(plan).await;
        if !left.failed() {
            conforms(&plan.planned, &left.state, "");
            assert!(
                !has_unknown(&left.state),
                "an unknown remains: {}",
                left.state
            );
        }
        left
    }

    /// Applies a plan whose result core would complain about.
    pub(crate) async fn apply_request(&self, plan: &Plan) -> Left {
        let request = proto::apply_resource_change::Request {
            type_name: THING.to_owned(),
            prior_state: Some(value::encode(&plan.prior)),
            planned_state: Some(value::encode(&plan.planned)),
            config: Some(value::encode(&plan.config)),
            planned_private: private_bytes(&plan.private).into(),
            ..Default::default()
        };
        let response = self
            .client
            .clone()
            .apply_resource_change(request)
            .await
            .expect("an answer");
        let response = response.into_inner();
        Left {
            state: value::decode(response.new_state.as_ref()),
            private: private_json(&response.private),
            identity: identity(response.new_identity),
            diagnostics: diagnostics(&response.diagnostics),
        }
    }

    /// Creates a thing and returns what core would save.
    pub(crate) async fn create(&self, config: Value) -> Left {
        let plan = self.plan(&Value::Null, config.clone(), &Value::Null).await;
        let again = self.plan(&Value::Null, config, &Value::Null).await;
        assert_eq!(plan, again, "the plan within apply is the same");
        let left = self.apply(&plan).await;
        assert_eq!(left.diagnostics, Vec::<String>::new());
        left
    }

    /// Plans and applies an update of `before`.
    pub(crate) async fn update(&self, before: &Left, config: Value) -> Left {
        let plan = self
            .plan(&before.state, config.clone(), &before.private)
            .await;
        let again = self.plan(&before.state, config, &before.private).await;
        assert_eq!(plan, again, "the plan within apply is the same");
        self.apply(&plan).await
    }

    pub(crate) async fn read(&self, before: &Left) -> Left {
        let request = proto::read_resource::Request {
            type_name: THING.to_owned(),
            current_state: Some(value::encode(&before.state)),
            private: private_bytes(&before.private).into(),
            ..Default::default()
        };
        let response = self
            .client
            .clone()
            .read_resource(request)
            .await
            .expect("an answer")
            .into_inner();
        Left {
            state: value::decode(response.new_state.as_ref()),
            private: private_json(&response.private),
            identity: identity(response.new_identity),
            diagnostics: diagnostics(&response.diagnostics),
        }
    }
}

impl Plan {
    pub(crate) fn failed(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.starts_with("error"))
    }
}

impl Left {
    pub(crate) fn failed(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.starts_with("error"))
    }
}

fn private_bytes(private: &Value) -> Vec<u8> {
    if private.is_null() {
        Vec::new()
    } else {
        private.to_string().into_bytes()
    }
}

fn private_json(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(bytes).expect("private state is JSON")
    }
}

pub(crate) fn identity(data: Option<proto::ResourceIdentityData>) -> Value {
    value::decode(data.and_then(|data| data.identity_data).as_ref())
}

/// Diagnostics as lines: `severity: path: summary: detail`.
pub(crate) fn diagnostics(diagnostics: &[proto::Diagnostic]) -> Vec<String> {
    let line = |diagnostic: &proto::Diagnostic| {
        let severity = match diagnostic.severity() {
            proto::diagnostic::Severity::Error => "error",
            proto::diagnostic::Severity::Warning => "warning",
            proto::diagnostic::Severity::Invalid => panic!("a diagnostic without severity"),
        };
        let at = diagnostic
            .attribute
            .as_ref()
            .map(|at| format!("{}: ", path(at)))
            .unwrap_or_default();
        format!(
            "{severity}: {at}{}: {}",
            diagnostic.summary, diagnostic.detail
        )
    };
    diagnostics.iter().map(line).collect()
}

/// A path as `a.b["key"][0]`.
pub(crate) fn path(path: &proto::AttributePath) -> String {
    use proto::attribute_path::step::Selector;
    let steps = path.steps.iter().map(|step| {
        match step.selector.as_ref().expect("a step leads somewhere") {
            Selector::AttributeName(name) => format!(".{name}"),
            Selector::ElementKeyString(key) => format!("[{key:?}]"),
            Selector::ElementKeyInt(index) => format!("[{index}]"),
        }
    });
    steps.collect::<String>().trim_start_matches('.').to_owned()
}

fn is_unknown(value: &Value) -> bool {
    value.get("$unknown").is_some()
}

fn has_unknown(value: &Value) -> bool {
    is_unknown(value)
        || match value {
            Value::Array(elements) => elements.iter().any(has_unknown),
            Value::Object(attributes) => attributes.values().any(has_unknown),
            _ => false,
        }
}

const NULL: &Value = &Value::Null;

fn at<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(NULL)
}

/// Core's `ProposedNew`: configuration where there is one, state where the provider decides.
fn propose(block: &Block, prior: &Value, config: &Value) -> Value {
    let mut proposed = propose_attributes(&block.attributes, prior, config);
    for nested in &block.block_types {
        let inner = nested.block.as_ref().expect("a block");
        let (prior, config) = (at(prior, &nested.type_name), at(config, &nested.type_name));
        let new = match nested.nesting() {
            _ if config.is_null() || is_unknown(config) => config.clone(),
            BlockNesting::Single => propose(inner, prior, config),
            BlockNesting::List => {
                each_in_list(prior, config, |prior, config| propose(inner, prior, config))
            }
            BlockNesting::Set => each_in_set(&inner.attributes, prior, config, |prior, config| {
                propose(inner, prior, config)
            }),
            other => panic!("the sink has no {other:?} blocks"),
        };
        proposed.insert(nested.type_name.clone(), new);
    }
    Value::Object(proposed)
}

fn propose_attributes(
    attributes: &[Attribute],
    prior: &Value,
    config: &Value,
) -> Map<String, Value> {
    let propose_one = |attribute: &Attribute| {
        let (prior, config) = (at(prior, &attribute.name), at(config, &attribute.name));
        if attribute.computed && config.is_null() {
            return prior.clone();
        }
        let Some(nested) = &attribute.nested_type else {
            return config.clone();
        };
        if config.is_null() || is_unknown(config) {
            return config.clone();
        }
        let object = |prior: &Value, config: &Value| {
            if config.is_object() && !is_unknown(config) {
                Value::Object(propose_attributes(&nested.attributes, prior, config))
            } else {
                config.clone()
            }
        };
        match nested.nesting() {
            NestingMode::Single => object(prior, config),
            NestingMode::List => each_in_list(prior, config, object),
            NestingMode::Set => each_in_set(&nested.attributes, prior, config, object),
            NestingMode::Map => {
                let config = config.as_object().expect("a map");
                config
                    .iter()
                    .map(|(key, config)| (key.clone(), object(at(prior, key), config)))
                    .collect()
            }
            NestingMode::Invalid => panic!("invalid nesting"),
        }
    };
    attributes
        .iter()
        .map(|attribute| (attribute.name.clone(), propose_one(attribute)))
        .collect()
}

fn each_in_list(prior: &Value, config: &Value, propose: impl Fn(&Value, &Value) -> Value) -> Value {
    let config = config.as_array().expect("a list").iter().enumerate();
    config
        .map(|(index, config)| propose(prior.get(index).unwrap_or(NULL), config))
        .collect()
}

fn each_in_set(
    attributes: &[Attribute],
    prior: &Value,
    config: &Value,
    propose: impl Fn(&Value, &Value) -> Value,
) -> Value {
    let mut unused: Vec<&Value> = prior
        .as_array()
        .map(|prior| prior.iter().collect())
        .unwrap_or_default();
    let mut elements = Vec::new();
    for config in config.as_array().expect("a set") {
        let matches = |prior: &&Value| {
            attributes.iter().all(|attribute| {
                let (prior, config) = (at(prior, &attribute.name), at(config, &attribute.name));
                (attribute.computed && config.is_null()) || prior == config
            })
        };
        let prior = unused
            .iter()
            .position(matches)
            .map_or(NULL, |index| unused.remove(index));
        elements.push(propose(prior, config));
    }
    Value::Array(elements)
}

/// Core's `AssertPlanValid`.
fn check_object(block: &Block, config: &Value, prior: &Value, planned: &Value, path: &str) {
    if planned.is_null() {
        return;
    }
    check_attributes(&block.attributes, config, prior, planned, path);
    for nested in &block.block_types {
        let inner = nested.block.as_ref().expect("a block");
        let path = format!("{path}.{}", nested.type_name);
        let [config, prior, planned] =
            [config, prior, planned].map(|value| at(value, &nested.type_name));
        assert!(
            !is_unknown(planned) || is_unknown(config),
            "{path}: blocks must not be unknown"
        );
        match (config, planned) {
            (Value::Array(config), Value::Array(planned)) => {
                assert_eq!(config.len(), planned.len(), "{path}: block count");
                if nested.nesting() == BlockNesting::List {
                    for (index, (config, planned)) in config.iter().zip(planned).enumerate() {
                        check_object(
                            inner,
                            config,
                            prior.get(index).unwrap_or(NULL),
                            planned,
                            &path,
                        );
                    }
                }
            }
            (Value::Object(_), Value::Object(_)) => {
                check_object(inner, config, prior, planned, &path)
            }
            (config, planned) => assert_eq!(config, planned, "{path}: blocks as configured"),
        }
    }
}

fn check_attributes(
    attributes: &[Attribute],
    config: &Value,
    prior: &Value,
    planned: &Value,
    path: &str,
) {
    for attribute in attributes {
        let path = format!("{path}.{}", attribute.name);
        let [config, prior, planned] =
            [config, prior, planned].map(|value| at(value, &attribute.name));
        if attribute.write_only {
            assert!(
                planned.is_null(),
                "{path}: planned value for write-only attribute is not null"
            );
            continue;
        }
        // The order of a set's elements says nothing.
        let is_set = attribute.r#type.starts_with(br#"["set""#);
        let same = |a: &Value, b: &Value| {
            a == b || (is_set && a.is_array() && b.is_array() && sorted(a) == sorted(b))
        };
        let fine = same(planned, config)
            || (is_unknown(planned) && is_unknown(config))
            || (config.is_null() && attribute.computed)
            || (!config.is_null() && !prior.is_null() && planned == prior);
        if fine {
            continue;
        }
        let Some(nested) = &attribute.nested_type else {
            panic!(
                "{path}: planned value {planned} does not match config value {config} nor prior value {prior}"
            );
        };
        match (nested.nesting(), config, planned) {
            (NestingMode::Single, Value::Object(_), Value::Object(_)) => {
                check_attributes(&nested.attributes, config, prior, planned, &path);
            }
            (NestingMode::List, Value::Array(config), Value::Array(planned)) => {
                assert_eq!(config.len(), planned.len(), "{path}: count");
                for (index, (config, planned)) in config.iter().zip(planned).enumerate() {
                    check_attributes(
                        &nested.attributes,
                        config,
                        prior.get(index).unwrap_or(NULL),
                        planned,
                        &path,
                    );
                }
            }
            (NestingMode::Set, Value::Array(config), Value::Array(planned)) => {
                assert_eq!(config.len(), planned.len(), "{path}: count");
            }
            (NestingMode::Map, Value::Object(config), Value::Object(planned)) => {
                assert!(
                    config.keys().all(|key| planned.contains_key(key)),
                    "{path}: keys"
                );
                assert_eq!(config.len(), planned.len(), "{path}: keys");
                for (key, config) in config {
                    check_attributes(
                        &nested.attributes,
                        config,
                        at(prior, key),
                        &planned[key],
                        &path,
                    );
                }
            }
            (_, config, planned) => panic!("{path}: planned {planned} for configured {config}"),
        }
    }
}

fn sorted(set: &Value) -> Vec<String> {
    let elements = set.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut elements: Vec<_> = elements.iter().map(ToString::to_string).collect();
    elements.sort();
    elements
}

/// Core's `AssertObjectCompatible`: what was planned is what is there.
fn conforms(planned: &Value, actual: &Value, path: &str) {
    if is_unknown(planned) {
        return;
    }
    match (planned, actual) {
        (Value::Object(planned), Value::Object(actual)) => {
            assert_eq!(planned.len(), actual.len(), "{path}: attributes");
            for (name, planned) in planned {
                conforms(planned, &actual[name], &format!("{path}.{name}"));
            }
        }
        (Value::Array(planned), Value::Array(actual)) => {
            assert_eq!(planned.len(), actual.len(), "{path}: length changed");
            // Elements of a set move when an unknown becomes known; compare them only where their order is certain.
            if !planned.iter().any(has_unknown) {
                assert_eq!(planned, actual, "{path}: was, but now is");
            }
        }
        (planned, actual) => assert_eq!(planned, actual, "{path}: was, but now is"),
    }
}

/// A stored state for `UpgradeResourceState` and the like.
pub(crate) fn raw(json: &Value) -> Option<proto::RawState> {
    Some(proto::RawState {
        json: json.to_string().into_bytes().into(),
        flatmap: Default::default(),
    })
}

/// Decodes a value of a response.
pub(crate) fn decoded(message: Option<DynamicValue>) -> Value {
    value::decode(message.as_ref())
}
