//! A provider that uses every feature of the framework, for a cloud that is a map in memory.
//!
//! What goes wrong is asked for by the configuration: the attribute `fault` of `sink_thing`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mcplambda::model;
use mcplambda::plugin::{
    Arguments, Attr, Attribute, Attributes, Block, Change, ConfigureContext, Context, DataSource,
    DataSourceContext, Diagnostic, Diagnostics, Function, FunctionError, IdentitySchema, ImportId,
    MoveSource, NestedBlock, Number, Offers, Parameter, PlanContext, Provider, RawState, Resource,
    Schema, Signature, Value, ValueType, validators,
};

model! {
    /// The provider's configuration.
    pub(crate) struct Config {
        pub token: String,
        pub region: String,
        pub mirror: Vec<Mirror>,
    }

    pub(crate) struct Mirror {
        pub url: String,
    }

    /// Every kind of attribute and block.
    pub(crate) struct Thing {
        pub id: String,
        pub name: String,
        pub r#type: String,
        pub note: String,
        pub size: i64,
        pub ratio: f64,
        pub big: Number,
        pub etag: String,
        pub kind: String,
        pub zone: String,
        pub fault: String,
        pub secret: String,
        pub secret_version: i64,
        pub tags: BTreeMap<String, String>,
        pub labels: BTreeSet<String>,
        pub ports: Vec<u32>,
        pub enabled: bool,
        pub anything: Value,
        pub shape: Shape,
        pub endpoint: Endpoint,
        pub rules: Vec<Rule>,
        pub members: Vec<Member>,
        pub routes: BTreeMap<String, Route>,
        pub status: Status,
        pub timeouts: Timeouts,
        pub network: Network,
        pub disk: Vec<Disk>,
        pub peer: Vec<Peer>,
    }

    pub(crate) struct Shape {
        pub corners: u32,
        pub color: String,
    }

    pub(crate) struct Endpoint {
        pub host: String,
        pub port: i64,
        pub url: String,
        pub password: String,
    }

    pub(crate) struct Rule {
        pub pattern: String,
        pub id: String,
    }

    pub(crate) struct Member {
        pub user: String,
        pub role: String,
        pub joined: String,
    }

    pub(crate) struct Route {
        pub target: String,
        pub weight: i64,
    }

    pub(crate) struct Status {
        pub phase: String,
        pub detail: String,
    }

    pub(crate) struct Timeouts {
        pub create: String,
        pub delete: String,
    }

    pub(crate) struct Network {
        pub subnet: String,
        pub address: String,
    }

    pub(crate) struct Disk {
        pub size: i64,
        pub device: String,
    }

    pub(crate) struct Peer {
        pub address: String,
        pub state: String,
    }

    pub(crate) struct ThingIdentity {
        pub id: String,
    }

    /// The least that a resource can have.
    pub(crate) struct Marker {
        pub text: String,
    }

    pub(crate) struct Lookup {
        pub key: String,
        pub case: String,
        pub found: String,
        pub region: String,
    }
}

/// What exists at the far end.
#[derive(Default)]
pub(crate) struct Remote {
    pub things: BTreeMap<String, Thing>,
    /// Write-only values as they arrived.
    pub secrets: BTreeMap<String, String>,
    /// Seconds that operations were given, by operation.
    pub deadlines: BTreeMap<&'static str, u64>,
    created: usize,
}

/// The far end, shared with the test.
#[derive(Clone, Default)]
pub(crate) struct Cloud(Arc<Mutex<Remote>>);

impl Cloud {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Remote> {
        self.0.lock().expect("no test panics while it holds this")
    }
}

pub(crate) struct SinkProvider(pub Cloud);

/// What `configure` makes.
pub(crate) struct Session {
    cloud: Cloud,
    region: String,
}

impl Provider for SinkProvider {
    type Config = Config;
    type Data = Session;

    fn name(&self) -> &str {
        "sink"
    }

    fn schema(&self) -> Schema {
        let mirror = Block::new().attribute("url", Attribute::string().required());
        Schema::new()
            .description("A provider for tests.")
            .attribute("token", Attribute::string().optional().sensitive())
            .attribute("region", Attribute::string().default("home"))
            .block("mirror", NestedBlock::list(mirror).max(2))
    }

    fn validate(&self, config: &Config, diagnostics: &mut Diagnostics) {
        if config.token.as_str() == Some("wrong") {
            diagnostics.attribute_error("token", "Wrong token", "Use another one.");
        }
    }

    async fn configure(
        &self,
        context: &mut ConfigureContext,
        config: Config,
    ) -> Result<Option<Session>, Diagnostics> {
        if config.token.as_str() == Some("refused") {
            return Err(Diagnostic::error("Token refused", "Use another one.")
                .at("token")
                .into());
        }
        if context.terraform_version.is_empty() {
            context
                .diagnostics
                .warning("No version", "The caller does not say what it is.");
        }
        Ok(match (config.token, config.region) {
            (Attr::Unknown, _) | (_, Attr::Unknown) => None,
            (_, region) => Some(Session {
                cloud: self.0.clone(),
                region: region.into_known().expect("it has a default"),
            }),
        })
    }

    fn offers(&self) -> Offers<Session> {
        Offers::new()
            .resource(ThingResource)
            .resource(MarkerResource)
            .data_source(LookupSource)
            .function(Join)
            .function(Echo)
    }
}

struct ThingResource;

pub(crate) fn thing_schema() -> Schema {
    let endpoint = Attributes::new()
        .attribute(
            "host",
            Attribute::string()
                .required()
                .validate(validators::not_empty()),
        )
        .attribute("port", Attribute::integer().default(443))
        .attribute("url", Attribute::string().computed())
        .attribute("password", Attribute::string().optional().write_only());
    let rule = Attributes::new()
        .attribute("pattern", Attribute::string().required())
        .attribute("id", Attribute::string().computed().use_state_for_unknown());
    let member = Attributes::new()
        .attribute("user", Attribute::string().required())
        .attribute("role", Attribute::string().default("reader"))
        .attribute("joined", Attribute::string().computed());
    let route = Attributes::new()
        .attribute("target", Attribute::string().required())
        .attribute("weight", Attribute::integer().optional().computed());
    let status = Attributes::new()
        .attribute("phase", Attribute::string().computed())
        .attribute("detail", Attribute::string().computed());
    let network = Block::new()
        .attribute("subnet", Attribute::string().required().requires_replace())
        .attribute("address", Attribute::string().computed());
    let disk = Block::new()
        .attribute(
            "size",
            Attribute::integer()
                .required()
                .validate(validators::at_least(1)),
        )
        .attribute("device", Attribute::string().computed());
    let peer = Block::new()
        .attribute("address", Attribute::string().required())
        .attribute("state", Attribute::string().computed());
    let shrinks = |prior: &Value, planned: &Value| match (prior, planned) {
        (Value::Number(prior), Value::Number(planned)) => planned < prior,
        _ => false,
    };
    Schema::new()
        .version(2)
        .description("A thing.")
        .attribute("id", Attribute::string().computed().use_state_for_unknown())
        .attribute(
            "name",
            Attribute::string()
                .required()
                .requires_replace()
                .validate(validators::length_between(1, 16))
                .validate(validators::regex(
                    "^[a-z-]*$",
                    "must be made of a to z and dashes",
                )),
        )
        .attribute(
            "type",
            Attribute::string()
                .optional()
                .validate(validators::one_of(&["small", "large"])),
        )
        .attribute("note", Attribute::string().optional())
        .attribute(
            "size",
            Attribute::integer()
                .default(10_i64)
                .validate(validators::between(1, 100))
                .requires_replace_if("if it shrinks", shrinks),
        )
        .attribute("ratio", Attribute::number().optional())
        .attribute("big", Attribute::number().optional())
        .attribute(
            "etag",
            Attribute::string()
                .computed()
                .description("Changes with each update."),
        )
        .attribute(
            "kind",
            Attribute::string()
                .optional()
                .computed()
                .requires_replace_if_configured(),
        )
        .attribute(
            "zone",
            Attribute::string()
                .optional()
                .computed()
                .use_state_for_unknown()
                .requires_replace(),
        )
        .attribute("fault", Attribute::string().optional())
        .attribute(
            "secret",
            Attribute::string()
                .optional()
                .sensitive()
                .write_only()
                .validate(validators::length_at_most(8)),
        )
        .attribute("secret_version", Attribute::integer().optional())
        .attribute(
            "tags",
            Attribute::map(ValueType::String)
                .optional()
                .validate(validators::each_key(validators::not_empty()))
                .validate(validators::each(validators::length_at_most(8))),
        )
        .attribute("labels", Attribute::set(ValueType::String).optional())
        .attribute(
            "ports",
            Attribute::list(ValueType::Number)
                .optional()
                .deprecated("Use `endpoint`.")
                .validate(validators::items_between(1, 3))
                .validate(validators::conflicts_with(&["endpoint"])),
        )
        .attribute("enabled", Attribute::bool().optional())
        .attribute("anything", Attribute::dynamic().optional())
        .attribute(
            "shape",
            Attribute::object([("corners", ValueType::Number), ("color", ValueType::String)])
                .optional(),
        )
        .attribute("endpoint", Attribute::single_nested(endpoint).optional())
        .attribute("rules", Attribute::list_nested(rule).optional())
        .attribute("members", Attribute::set_nested(member).optional())
        .attribute("routes", Attribute::map_nested(route).optional())
        .attribute("status", Attribute::single_nested(status).computed())
        .attribute(
            "timeouts",
            Attribute::timeouts(&[
                ("create", Duration::from_secs(600)),
                ("delete", Duration::from_secs(1200)),
            ]),
        )
        .block("network", NestedBlock::single(network))
        .block("disk", NestedBlock::list(disk).max(3))
        .block("peer", NestedBlock::set(peer))
}

/// What the far end decides, given what was asked for.
fn fill(thing: &mut Thing) {
    let set = |attribute: &mut Attr<String>, text: &str| {
        if !attribute.is_known() {
            *attribute = text.into();
        }
    };
    set(&mut thing.kind, "plain");
    set(&mut thing.zone, "zone-a");
    if let Attr::Known(endpoint) = &mut thing.endpoint {
        let (host, port) = (
            endpoint.host.as_str().expect("required"),
            endpoint.port.known(),
        );
        endpoint.url = Attr::Known(format!("https://{host}:{}", port.expect("has a default")));
    }
    for (index, rule) in known_mut(&mut thing.rules).iter_mut().enumerate() {
        set(&mut rule.id, &format!("rule-{index}"));
    }
    for member in known_mut(&mut thing.members) {
        set(&mut member.joined, "today");
    }
    if let Attr::Known(routes) = &mut thing.routes {
        for route in routes.values_mut() {
            if !route.weight.is_known() {
                route.weight = Attr::Known(1);
            }
        }
    }
    thing.status = Attr::Known(Status {
        phase: "ready".into(),
        detail: Attr::Null,
    });
    if let Attr::Known(network) = &mut thing.network {
        set(&mut network.address, "10.0.0.1");
    }
    for (index, disk) in known_mut(&mut thing.disk).iter_mut().enumerate() {
        set(&mut disk.device, &format!("/dev/sd{index}"));
    }
    for peer in known_mut(&mut thing.peer) {
        set(&mut peer.state, "up");
    }
}

fn known_mut<T>(list: &mut Attr<Vec<T>>) -> &mut [T] {
    match list {
        Attr::Known(list) => list,
        Attr::Null | Attr::Unknown => &mut [],
    }
}

fn seconds_left(context: &Context<Session>) -> u64 {
    let deadline = context.deadline.expect("the schema has timeouts");
    // Rounded up: some milliseconds have passed.
    (deadline - std::time::Instant::now()).as_secs() + 1
}

fn failed(what: &str) -> Diagnostics {
    Diagnostic::error("It failed", what).at("fault").into()
}

impl Resource for ThingResource {
    type Model = Thing;
    type Data = Session;

    fn type_name(&self) -> &str {
        "sink_thing"
    }

    fn schema(&self) -> Schema {
        thing_schema()
    }

    fn identity_schema(&self) -> Option<IdentitySchema> {
        Some(
            IdentitySchema::new()
                .version(1)
                .required("id", ValueType::String, "The id."),
        )
    }

    fn validate(&self, config: &Thing, diagnostics: &mut Diagnostics) {
        if config.note.as_str() == Some("warn") {
            diagnostics.attribute_warning("note", "A warning", "Only once.");
            diagnostics.attribute_warning("note", "A warning", "Only once.");
        }
    }

    async fn plan(
        &self,
        context: &mut PlanContext<Self>,
        planned: &mut Thing,
    ) -> Result<(), Diagnostics> {
        context.private.set("planned_for", planned.name.as_str());
        let choice = match (&context.planned_private, context.store_planned_private) {
            (Some(first), _) => first
                .get_str("choice")
                .map(|choice| format!("{choice}, kept")),
            (None, true) => Some("chosen".to_owned()),
            (None, false) => None,
        };
        if let Some(choice) = choice {
            context.private.set("choice", choice);
        }
        match context.config.note.as_str() {
            Some("replace") => context.requires_replace("note"),
            Some("replace nothing") => context.requires_replace("no_such_attribute"),
            Some("touch") => context.mark_computed_unknown(planned)?,
            Some("overstep") => planned.size = Attr::Known(99),
            Some("invent") => planned.enabled = Attr::Known(true),
            Some("know") => planned.etag = "known early".into(),
            Some("panic") => panic!("planned to"),
            Some("unconfigured") => drop(context.require_data()?),
            _ => {}
        }
        Ok(())
    }

    async fn plan_destroy(
        &self,
        context: &mut Context<Session>,
        prior: &Thing,
    ) -> Result<(), Diagnostics> {
        if prior.fault.as_str() == Some("keep") {
            return Err(failed("it is to be kept"));
        }
        context
            .diagnostics
            .warning("Gone for good", "There is no way back.");
        Ok(())
    }

    async fn create(
        &self,
        context: &mut Context<Session>,
        change: &Change<Thing>,
        state: &mut Thing,
    ) -> Result<(), Diagnostics> {
        let session = context.require_data()?;
        session
            .cloud
            .lock()
            .deadlines
            .insert("create", seconds_left(context));
        let fault = change.config.fault.as_str().unwrap_or_default();
        if fault == "before create" {
            context.created_nothing();
            return Err(failed("before anything was created"));
        }
        let id = {
            let mut remote = session.cloud.lock();
            remote.created += 1;
            format!("thing-{}", remote.created)
        };
        state.id = id.as_str().into();
        context.identity.set(&ThingIdentity {
            id: id.as_str().into(),
        });
        context.private.set("created", true);
        match fault {
            "in create" => return Err(failed("half-way")),
            "error in create" => {
                context
                    .diagnostics
                    .attribute_error("fault", "It failed", "said aside");
                return Ok(());
            }
            "panic in create" => panic!("half-way"),
            "forget in create" => return Ok(()),
            "wait in create" => {
                session
                    .cloud
                    .lock()
                    .secrets
                    .insert("waiting".to_owned(), String::new());
                context.cancel.cancelled().await;
                return Err(failed("interrupted"));
            }
            _ => {}
        }
        state.etag = "1".into();
        fill(state);
        let mut remote = session.cloud.lock();
        if let Some(secret) = change.config.secret.as_str() {
            remote.secrets.insert(id.clone(), secret.to_owned());
        }
        remote.things.insert(id, state.clone());
        Ok(())
    }

    async fn read(
        &self,
        context: &mut Context<Session>,
        state: Thing,
    ) -> Result<Option<Thing>, Diagnostics> {
        let session = context.require_data()?;
        if state.fault.as_str() == Some("in read") {
            return Err(failed("cannot read"));
        }
        let id = state.id.as_str().unwrap_or_default();
        context.identity.set(&ThingIdentity { id: id.into() });
        Ok(session.cloud.lock().things.get(id).cloned())
    }

    async fn update(
        &self,
        context: &mut Context<Session>,
        change: &Change<Thing>,
        state: &mut Thing,
    ) -> Result<(), Diagnostics> {
        let session = context.require_data()?;
        if change.config.fault.as_str() == Some("in update") {
            state.note = change.planned.note.clone();
            return Err(failed("after the note"));
        }
        let etag: u32 = state
            .etag
            .as_str()
            .and_then(|etag| etag.parse().ok())
            .unwrap_or(0);
        *state = change.planned.clone();
        if !state.etag.is_known() {
            state.etag = Attr::Known((etag + 1).to_string());
        }
        fill(state);
        let id = state.id.as_str().expect("kept by the plan").to_owned();
        session.cloud.lock().things.insert(id, state.clone());
        Ok(())
    }

    async fn delete(
        &self,
        context: &mut Context<Session>,
        state: Thing,
    ) -> Result<(), Diagnostics> {
        let session = context.require_data()?;
        session
            .cloud
            .lock()
            .deadlines
            .insert("delete", seconds_left(context));
        if state.fault.as_str() == Some("in delete") {
            return Err(failed("still in use"));
        }
        session
            .cloud
            .lock()
            .things
            .remove(state.id.as_str().unwrap_or_default());
        Ok(())
    }

    async fn import(
        &self,
        context: &mut Context<Session>,
        id: ImportId,
    ) -> Result<Thing, Diagnostics> {
        let id = match id {
            ImportId::Id(id) => Attr::Known(id),
            ImportId::Identity(identity) => {
                let identity = identity.get::<ThingIdentity>();
                identity
                    .ok()
                    .flatten()
                    .map(|identity| identity.id)
                    .unwrap_or_default()
            }
        };
        context.private.set("imported", true);
        Ok(Thing {
            id,
            ..Thing::default()
        })
    }

    /// Version 1 had `title` in place of `name`.
    async fn upgrade(&self, version: i64, state: &RawState) -> Result<Thing, Diagnostics> {
        if version != 1 {
            return Err(failed("nobody remembers this version"));
        }
        model! {
            struct OldThing {
                id: String,
                title: String,
                size: i64,
            }
        }
        let schema = Schema::new()
            .attribute("id", Attribute::string().computed())
            .attribute("title", Attribute::string().required())
            .attribute("size", Attribute::integer().optional());
        let old: OldThing = state.model(&schema)?;
        Ok(Thing {
            id: old.id,
            name: old.title,
            size: old.size,
            ..Thing::default()
        })
    }

    fn supports_move(&self) -> bool {
        true
    }

    async fn move_state(
        &self,
        context: &mut Context<Session>,
        source: &MoveSource,
    ) -> Result<Option<Thing>, Diagnostics> {
        if (source.type_name.as_str(), source.schema_version) != ("old_thing", 3) {
            return Ok(None);
        }
        let json = source.state.json()?;
        context
            .private
            .set("moved_from", source.provider_address.as_str());
        let id = json["identifier"].as_str().unwrap_or_default();
        context.identity.set(&ThingIdentity { id: id.into() });
        Ok(Some(Thing {
            id: id.into(),
            name: "moved".into(),
            ..Thing::default()
        }))
    }
}

struct MarkerResource;

impl Resource for MarkerResource {
    type Model = Marker;
    type Data = Session;

    fn type_name(&self) -> &str {
        "sink_marker"
    }

    fn schema(&self) -> Schema {
        Schema::new().attribute("text", Attribute::string().required())
    }

    async fn create(
        &self,
        _: &mut Context<Session>,
        _: &Change<Marker>,
        _: &mut Marker,
    ) -> Result<(), Diagnostics> {
        Ok(())
    }

    async fn read(
        &self,
        _: &mut Context<Session>,
        state: Marker,
    ) -> Result<Option<Marker>, Diagnostics> {
        Ok(Some(state))
    }

    async fn delete(&self, _: &mut Context<Session>, _: Marker) -> Result<(), Diagnostics> {
        Ok(())
    }
}

struct LookupSource;

impl DataSource for LookupSource {
    type Model = Lookup;
    type Data = Session;

    fn type_name(&self) -> &str {
        "sink_lookup"
    }

    fn schema(&self) -> Schema {
        Schema::new()
            .attribute(
                "key",
                Attribute::string()
                    .required()
                    .validate(validators::not_empty()),
            )
            .attribute("case", Attribute::string().default("lower"))
            .attribute("found", Attribute::string().computed())
            .attribute("region", Attribute::string().computed())
    }

    async fn read(
        &self,
        context: &mut DataSourceContext<Session>,
        state: &mut Lookup,
    ) -> Result<(), Diagnostics> {
        let session = context.require_data()?;
        let key = state.key.as_str().expect("required").to_owned();
        match key.as_str() {
            "nowhere" => {
                return Err(Diagnostic::error("Not found", "Look elsewhere.")
                    .at("key")
                    .into());
            }
            "panic" => panic!("looked into the abyss"),
            "elsewhere" => state.key = "here".into(),
            "later" => state.found = Attr::Unknown,
            key => {
                state.found = Attr::Known(format!(
                    "{key} in {}",
                    state.case.as_str().expect("default")
                ))
            }
        }
        state.region = session.region.as_str().into();
        Ok(())
    }
}

/// `join(separator, parts…)`
struct Join;

impl Function for Join {
    fn name(&self) -> &str {
        "join"
    }

    fn signature(&self) -> Signature {
        Signature::returning(ValueType::String)
            .parameter(Parameter::new(
                "separator",
                ValueType::String,
                "Goes between the parts.",
            ))
            .variadic(
                Parameter::new("parts", ValueType::String, "The parts.")
                    .allow_unknown()
                    .allow_null(),
            )
            .summary("Joins texts")
            .description("Joins *texts*.")
    }

    async fn call(&self, arguments: Arguments) -> Result<Value, FunctionError> {
        let separator: String = arguments.get(0)?;
        let mut parts = Vec::new();
        for index in 1..arguments.0.len() {
            match arguments.get::<Attr<String>>(index)? {
                Attr::Known(part) if part == "bad" => {
                    return Err(FunctionError::argument(index, "this part is bad"));
                }
                Attr::Known(part) if part == "panic" => panic!("in a function"),
                Attr::Known(part) => parts.push(part),
                Attr::Null => {}
                Attr::Unknown => return Ok(Value::UNKNOWN),
            }
        }
        Ok(Value::String(parts.join(&separator)))
    }
}

/// `echo(anything)`
struct Echo;

impl Function for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    fn signature(&self) -> Signature {
        let value = Parameter::new("value", ValueType::Dynamic, "Comes back.");
        Signature::returning(ValueType::Dynamic).parameter(value.allow_null().allow_unknown())
    }

    async fn call(&self, arguments: Arguments) -> Result<Value, FunctionError> {
        arguments.get(0)
    }
}
