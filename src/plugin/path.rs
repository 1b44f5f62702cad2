//! Where in a value something is: `vpc_config.subnet_ids[0]`.
//!
//! Paths start at the resource's (or provider's) root object. Elements of a set have no address in Terraform's protocol:
//! [`Step::Element`] marks them, and on the wire a path ends before its first such step.

use std::fmt;

/// A place inside a value; the empty path is the whole value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<Step>);

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// An attribute of an object, or a nested block.
    Attribute(String),
    /// A key of a map.
    Key(String),
    /// A position in a list or tuple.
    Index(i64),
    /// Some element of a set.
    Element,
}

impl Path {
    /// The whole value.
    pub const ROOT: Self = Self(Vec::new());

    /// The steps from the root.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether this is the whole value.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The attribute `name` of the object here.
    #[must_use]
    pub fn attribute(&self, name: impl Into<String>) -> Self {
        self.then(Step::Attribute(name.into()))
    }

    /// The entry `key` of the map here.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.then(Step::Key(key.into()))
    }

    /// The element at `index` (from 0) of the list here.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(i64::try_from(index).unwrap_or(i64::MAX)))
    }

    /// Some element of the set here.
    #[must_use]
    pub fn element(&self) -> Self {
        self.then(Step::Element)
    }

    /// The path without its last step; the root stays the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        let mut steps = self.0.clone();
        steps.pop();
        Self(steps)
    }

    /// This path followed by `rest`.
    #[must_use]
    pub fn join(&self, rest: &Self) -> Self {
        Self(self.0.iter().chain(&rest.0).cloned().collect())
    }

    /// The path up to, and without, its first step into a set: what Terraform can address.
    #[must_use]
    pub fn addressable(&self) -> Self {
        Self(
            self.0
                .iter()
                .take_while(|step| **step != Step::Element)
                .cloned()
                .collect(),
        )
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl From<&str> for Path {
    /// Attribute names joined by dots: `"vpc_config.subnet_ids"`.
    fn from(attributes: &str) -> Self {
        Self(
            attributes
                .split('.')
                .map(|name| Step::Attribute(name.to_owned()))
                .collect(),
        )
    }
}

impl From<&String> for Path {
    fn from(attributes: &String) -> Self {
        Self::from(attributes.as_str())
    }
}

impl From<&Path> for Path {
    fn from(path: &Path) -> Self {
        path.clone()
    }
}

impl fmt::Display for Path {
    /// As HCL would write it; a set element is `[*]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Attribute(name) if position == 0 => f.write_str(name)?,
                Step::Attribute(name) => write!(f, ".{name}")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Element => f.write_str("[*]")?,
            }
        }
        Ok(())
    }
}
