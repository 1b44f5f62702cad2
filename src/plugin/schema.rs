//! What a provider, resource or data source can be configured with, declared once.
//!
//! A [`Schema`] is built by its author, read by the documentation generator (every field is public), sent to Terraform,
//! and drives decoding, validation and planning. [`Schema::problems`] finds what Terraform would refuse.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::duration;
use super::model::ToValue;
use super::validators::{self, Validator};
use super::value::Value;
use super::value_type::ValueType;

/// The schema of a provider, resource or data source.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Version of the state's layout; a higher one makes Terraform's states pass through `upgrade`.
    pub version: i64,
    /// The root: attributes and blocks.
    pub block: Block,
}

/// Attributes and blocks, in the order of declaration.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Attributes by name.
    pub attributes: Attributes,
    /// Blocks by name.
    pub blocks: Vec<(String, NestedBlock)>,
    /// Markdown.
    pub description: String,
    /// Markdown; when set, using it warns.
    pub deprecated: Option<String>,
}

/// Attributes by name, in the order of declaration.
#[derive(Clone, Debug, Default)]
pub struct Attributes(pub Vec<(String, Attribute)>);

/// A block inside a block.
#[derive(Clone, Debug)]
pub struct NestedBlock {
    /// How often it may occur and how it is addressed.
    pub nesting: BlockNesting,
    /// Its content.
    pub block: Block,
    /// How many must be there, at least.
    pub min_items: i64,
    /// How many may be there, at most; 0: any number.
    pub max_items: i64,
    /// Run on the collection of blocks; on the object for [`BlockNesting::Single`].
    pub validators: Vec<Validator>,
}

/// How blocks of one name make a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockNesting {
    /// At most one; an object, or null.
    Single,
    /// A list of objects, empty when there is none.
    List,
    /// A set of objects, empty when there is none.
    Set,
}

/// How objects of a nested attribute make a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// One object.
    Single,
    /// A list of objects.
    List,
    /// A set of objects.
    Set,
    /// A map of objects.
    Map,
}

/// What an attribute's values look like.
#[derive(Clone, Debug)]
pub enum AttributeKind {
    /// A value of this type.
    Plain(ValueType),
    /// Objects with attributes of their own, which have flags, descriptions and validators of their own.
    Nested(Nesting, Attributes),
}

/// One attribute. Built by a constructor for its type and then by adjectives:
/// `Attribute::string().required().requires_replace()`.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// Its type.
    pub kind: AttributeKind,
    /// The user must set it.
    pub required: bool,
    /// The user may set it.
    pub optional: bool,
    /// The provider may set it.
    pub computed: bool,
    /// Terraform hides it in output.
    pub sensitive: bool,
    /// Never stored in state or plan; only the configuration has it.
    pub write_only: bool,
    /// Markdown; when set, using it warns.
    pub deprecated: Option<String>,
    /// Markdown.
    pub description: String,
    /// What it is when the user does not set it.
    pub default: Option<Value>,
    /// Run on values that are known and not null.
    pub validators: Vec<Validator>,
    /// When it would become unknown in the plan of an update, it keeps its value from the state.
    pub use_state_for_unknown: bool,
    /// When a change of it replaces the resource.
    pub requires_replace: Option<RequiresReplace>,
    /// For an entry of `timeouts`: how long the operation takes at most when the user does not say.
    pub timeout_default: Option<Duration>,
}

/// When a changed attribute replaces the resource.
#[derive(Clone)]
pub enum RequiresReplace {
    /// Always.
    Always,
    /// When the user set the attribute.
    IfConfigured,
    /// When the function says so.
    If(Arc<str>, ReplaceCondition),
}

/// Decides from the value in state and the planned value, both of the attribute.
pub type ReplaceCondition = Arc<dyn Fn(&Value, &Value) -> bool + Send + Sync>;

impl fmt::Debug for RequiresReplace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

impl RequiresReplace {
    /// Markdown, continuing "Changing it replaces the resource".
    #[must_use]
    pub fn description(&self) -> &str {
        match self {
            Self::Always => "always",
            Self::IfConfigured => "if it is set in the configuration",
            Self::If(description, _) => description,
        }
    }
}

impl Schema {
    /// An empty schema, version 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the version of the state's layout.
    #[must_use]
    pub fn version(mut self, version: i64) -> Self {
        self.version = version;
        self
    }

    /// Sets the description, in Markdown.
    #[must_use]
    pub fn description(mut self, markdown: impl Into<String>) -> Self {
        self.block.description = markdown.into();
        self
    }

    /// Marks all of it as deprecated, with what to use instead.
    #[must_use]
    pub fn deprecated(mut self, markdown: impl Into<String>) -> Self {
        self.block.deprecated = Some(markdown.into());
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, name: &str, attribute: Attribute) -> Self {
        self.block = self.block.attribute(name, attribute);
        self
    }

    /// Adds a block.
    #[must_use]
    pub fn block(mut self, name: &str, block: NestedBlock) -> Self {
        self.block = self.block.block(name, block);
        self
    }

    /// The type of the values that this schema describes.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        self.block.value_type()
    }

    /// The default of `timeouts.<operation>`, if the schema has it.
    #[must_use]
    pub fn timeout_default(&self, operation: &str) -> Option<Duration> {
        let AttributeKind::Nested(_, operations) = &self.block.attributes.get("timeouts")?.kind
        else {
            return None;
        };
        operations.get(operation)?.timeout_default
    }
}

impl Block {
    /// An empty block.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the description, in Markdown.
    #[must_use]
    pub fn description(mut self, markdown: impl Into<String>) -> Self {
        self.description = markdown.into();
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, name: &str, attribute: Attribute) -> Self {
        self.attributes = self.attributes.attribute(name, attribute);
        self
    }

    /// Adds a block.
    #[must_use]
    pub fn block(mut self, name: &str, block: NestedBlock) -> Self {
        self.blocks.push((name.to_owned(), block));
        self
    }

    /// The type of the block's value: an object of its attributes and blocks.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        let ValueType::Object(mut types) = self.attributes.value_type() else {
            return ValueType::Dynamic;
        };
        types.extend(
            self.blocks
                .iter()
                .map(|(name, block)| (name.clone(), block.value_type())),
        );
        ValueType::Object(types)
    }
}

impl Attributes {
    /// No attributes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, name: &str, attribute: Attribute) -> Self {
        self.0.push((name.to_owned(), attribute));
        self
    }

    /// The attribute of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.iter()
            .find(|(candidate, _)| *candidate == name)
            .map(|(_, attribute)| attribute)
    }

    /// The attributes in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Attribute)> {
        self.0
            .iter()
            .map(|(name, attribute)| (name.as_str(), attribute))
    }

    /// The type of the object with these attributes.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        ValueType::Object(
            self.iter()
                .map(|(name, attribute)| (name.to_owned(), attribute.value_type()))
                .collect(),
        )
    }
}

impl NestedBlock {
    /// A block that occurs at most once.
    #[must_use]
    pub fn single(block: Block) -> Self {
        Self {
            nesting: BlockNesting::Single,
            block,
            min_items: 0,
            max_items: 1,
            validators: Vec::new(),
        }
    }

    /// Blocks whose order counts.
    #[must_use]
    pub fn list(block: Block) -> Self {
        Self {
            nesting: BlockNesting::List,
            max_items: 0,
            ..Self::single(block)
        }
    }

    /// Blocks whose order does not count.
    #[must_use]
    pub fn set(block: Block) -> Self {
        Self {
            nesting: BlockNesting::Set,
            max_items: 0,
            ..Self::single(block)
        }
    }

    /// How many must be there, at least; 1 makes a single block required.
    #[must_use]
    pub fn min(mut self, count: i64) -> Self {
        self.min_items = count;
        self
    }

    /// How many may be there, at most.
    #[must_use]
    pub fn max(mut self, count: i64) -> Self {
        self.max_items = count;
        self
    }

    /// Adds a validator of the collection of blocks; of the object for a single block.
    #[must_use]
    pub fn validate(mut self, validator: Validator) -> Self {
        self.validators.push(validator);
        self
    }

    /// The type of the value made of these blocks.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        let object = self.block.value_type();
        match self.nesting {
            BlockNesting::Single => object,
            BlockNesting::List => ValueType::list(object),
            BlockNesting::Set => ValueType::set(object),
        }
    }
}

impl Attribute {
    fn of(kind: AttributeKind) -> Self {
        Self {
            kind,
            required: false,
            optional: false,
            computed: false,
            sensitive: false,
            write_only: false,
            deprecated: None,
            description: String::new(),
            default: None,
            validators: Vec::new(),
            use_state_for_unknown: false,
            requires_replace: None,
            timeout_default: None,
        }
    }

    /// An attribute of any type.
    #[must_use]
    pub fn plain(value_type: ValueType) -> Self {
        Self::of(AttributeKind::Plain(value_type))
    }

    /// `string`
    #[must_use]
    pub fn string() -> Self {
        Self::plain(ValueType::String)
    }

    /// `bool`
    #[must_use]
    pub fn bool() -> Self {
        Self::plain(ValueType::Bool)
    }

    /// `number`, with any fraction
    #[must_use]
    pub fn number() -> Self {
        Self::plain(ValueType::Number)
    }

    /// `number` without a fraction, within 64 bits.
    #[must_use]
    pub fn integer() -> Self {
        Self::number().validate(validators::integer())
    }

    /// `list(element)`
    #[must_use]
    pub fn list(element: ValueType) -> Self {
        Self::plain(ValueType::list(element))
    }

    /// `set(element)`
    #[must_use]
    pub fn set(element: ValueType) -> Self {
        Self::plain(ValueType::set(element))
    }

    /// `map(element)`
    #[must_use]
    pub fn map(element: ValueType) -> Self {
        Self::plain(ValueType::map(element))
    }

    /// `object({…})`, all attributes required in the configuration; see [`Self::single_nested`] for finer control.
    pub fn object<K: Into<String>>(attributes: impl IntoIterator<Item = (K, ValueType)>) -> Self {
        Self::plain(ValueType::object(attributes))
    }

    /// Any type.
    #[must_use]
    pub fn dynamic() -> Self {
        Self::plain(ValueType::Dynamic)
    }

    /// One object: `x = { … }`.
    #[must_use]
    pub fn single_nested(attributes: Attributes) -> Self {
        Self::of(AttributeKind::Nested(Nesting::Single, attributes))
    }

    /// A list of objects: `x = [{ … }]`.
    #[must_use]
    pub fn list_nested(attributes: Attributes) -> Self {
        Self::of(AttributeKind::Nested(Nesting::List, attributes))
    }

    /// A set of objects: `x = [{ … }]`.
    #[must_use]
    pub fn set_nested(attributes: Attributes) -> Self {
        Self::of(AttributeKind::Nested(Nesting::Set, attributes))
    }

    /// A map of objects: `x = { key = { … } }`.
    #[must_use]
    pub fn map_nested(attributes: Attributes) -> Self {
        Self::of(AttributeKind::Nested(Nesting::Map, attributes))
    }

    /// The conventional attribute `timeouts`: an optional object with one duration per operation, each with its default.
    /// Operations are `create`, `read`, `update` and `delete`; the framework turns them into deadlines. The model's
    /// field is a [`model!`](crate::model) with one `String` field for each.
    #[must_use]
    pub fn timeouts(operations: &[(&str, Duration)]) -> Self {
        let mut attributes = Attributes::new();
        for (operation, default) in operations {
            let mut attribute = Self::string().optional().validate(validators::duration()).description(format!(
                "How long the {operation} operation may take at most, such as `30m` or `1h30m`. Default `{}`.",
                duration::format(*default)
            ));
            attribute.timeout_default = Some(*default);
            attributes = attributes.attribute(operation, attribute);
        }
        Self::single_nested(attributes)
            .optional()
            .description("How long operations may take at most.")
    }

    /// The user must set it.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The user may set it.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The provider sets it (when the user does not).
    #[must_use]
    pub fn computed(mut self) -> Self {
        self.computed = true;
        self
    }

    /// Terraform hides it in output; it is still plain in state.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Only the configuration ever has it: neither plan nor state stores it (Terraform 1.11 and later).
    #[must_use]
    pub fn write_only(mut self) -> Self {
        self.write_only = true;
        self
    }

    /// Marks it as deprecated, with what to use instead, in Markdown.
    #[must_use]
    pub fn deprecated(mut self, markdown: impl Into<String>) -> Self {
        self.deprecated = Some(markdown.into());
        self
    }

    /// Sets the description, in Markdown.
    #[must_use]
    pub fn description(mut self, markdown: impl Into<String>) -> Self {
        self.description = markdown.into();
        self
    }

    /// What it is when the user does not set it; makes it optional and computed, as Terraform wants it.
    #[must_use]
    pub fn default(mut self, value: impl ToValue) -> Self {
        self.optional = true;
        self.computed = true;
        self.default = Some(value.to_value());
        self
    }

    /// Adds a validator.
    #[must_use]
    pub fn validate(mut self, validator: Validator) -> Self {
        self.validators.push(validator);
        self
    }

    /// In the plan of an update it keeps its value from the state instead of becoming unknown. Right for what never
    /// changes once created, such as an id.
    #[must_use]
    pub fn use_state_for_unknown(mut self) -> Self {
        self.use_state_for_unknown = true;
        self
    }

    /// Changing it replaces the resource.
    #[must_use]
    pub fn requires_replace(mut self) -> Self {
        self.requires_replace = Some(RequiresReplace::Always);
        self
    }

    /// Changing it replaces the resource, when the configuration sets it.
    #[must_use]
    pub fn requires_replace_if_configured(mut self) -> Self {
        self.requires_replace = Some(RequiresReplace::IfConfigured);
        self
    }

    /// Changing it replaces the resource when `condition` holds for the value in state and the planned value;
    /// `description` continues "Changing it replaces the resource".
    #[must_use]
    pub fn requires_replace_if(
        mut self,
        description: &str,
        condition: impl Fn(&Value, &Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.requires_replace = Some(RequiresReplace::If(description.into(), Arc::new(condition)));
        self
    }

    /// The type of its values.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            AttributeKind::Plain(value_type) => value_type.clone(),
            AttributeKind::Nested(nesting, attributes) => {
                let object = attributes.value_type();
                match nesting {
                    Nesting::Single => object,
                    Nesting::List => ValueType::list(object),
                    Nesting::Set => ValueType::set(object),
                    Nesting::Map => ValueType::map(object),
                }
            }
        }
    }
}

/// What identifies a remote object of a resource, independent of its state (Terraform 1.12 and later).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentitySchema {
    /// Version of the layout.
    pub version: i64,
    /// Attributes by name.
    pub attributes: BTreeMap<String, IdentityAttribute>,
}

/// One attribute of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityAttribute {
    /// A primitive type, or a list of one.
    pub value_type: ValueType,
    /// Whether an import must give it; otherwise it may.
    pub required_for_import: bool,
    /// Plain text.
    pub description: String,
}

impl IdentitySchema {
    /// No attributes, version 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the version of the layout.
    #[must_use]
    pub fn version(mut self, version: i64) -> Self {
        self.version = version;
        self
    }

    /// Adds an attribute that an import must give.
    #[must_use]
    pub fn required(self, name: &str, value_type: ValueType, description: &str) -> Self {
        self.with(name, value_type, description, true)
    }

    /// Adds an attribute that an import may give.
    #[must_use]
    pub fn optional(self, name: &str, value_type: ValueType, description: &str) -> Self {
        self.with(name, value_type, description, false)
    }

    fn with(
        mut self,
        name: &str,
        value_type: ValueType,
        description: &str,
        required_for_import: bool,
    ) -> Self {
        let attribute = IdentityAttribute {
            value_type,
            required_for_import,
            description: description.to_owned(),
        };
        self.attributes.insert(name.to_owned(), attribute);
        self
    }

    /// The type of an identity.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        ValueType::object(
            self.attributes
                .iter()
                .map(|(name, attribute)| (name, attribute.value_type.clone())),
        )
    }
}
