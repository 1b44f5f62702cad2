//! Enters: the schema of a tool's arguments. Leaves: the same in the five keywords of a gateway, and notes on what became
//! less exact. Refuses: what [`super::flatten`] refuses.

use serde_json::{Map, Value, json};

use super::choice::{kinds, pick};
use super::flatten::{Flat, Flattener, Schema};
use super::kind::Kind;
use super::reference::Unresolvable;
use super::words;

/// Schemas looked at for one tool before a tighter attempt is made; real tools need tens to hundreds.
const ALLOWANCE: usize = 4000;
/// How often a definition is entered on one way, and how deep the result may nest; the next pair is tried where the
/// allowance did not suffice. Recursive definitions that refer to each other grow exponentially with both.
const ATTEMPTS: [(usize, usize); 5] = [(2, 32), (1, 32), (1, 8), (1, 5), (1, 3)];

/// What became of a schema.
pub(super) struct Emitted {
    pub(super) schema: Map<String, Value>,
    /// What became less exact, each with its place.
    pub(super) notes: Vec<String>,
}

/// Says the schema of a tool's arguments in the keywords of a gateway.
pub(super) fn input_schema(root: &Value) -> Result<Emitted, Unresolvable> {
    let mut last = None;
    for (unroll, deepest) in ATTEMPTS {
        let flattener = Flattener::new(root, unroll, ALLOWANCE);
        let mut emitter = Emitter {
            flattener,
            deepest,
            notes: Vec::new(),
        };
        let schema = emitter.root()?;
        let exhausted = emitter.flattener.exhausted;
        let emitted = last.insert(Emitted {
            schema,
            notes: emitter.notes,
        });
        if !exhausted {
            break;
        }
        emitted.notes.push(format!(
            "more than {ALLOWANCE} schemas; some of its parts are told as any value"
        ));
    }
    // ATTEMPTS is not empty.
    last.map_or_else(|| unreachable!("at least one attempt"), Ok)
}

/// Works on one tool.
pub(super) struct Emitter<'a> {
    pub(super) flattener: Flattener<'a>,
    deepest: usize,
    notes: Vec<String>,
}

/// Where a schema stands below the root: `filter.tags[]`.
#[derive(Clone, Copy)]
struct Place<'p> {
    path: &'p str,
    depth: usize,
}

impl Place<'_> {
    fn is_root(self) -> bool {
        self.depth == 0
    }
}

/// A schema of a gateway, and whether its value can be left out although it is required (it can only be null).
struct Node {
    schema: Map<String, Value>,
    only_null: bool,
}

impl<'a> Emitter<'a> {
    fn root(&mut self) -> Result<Map<String, Value>, Unresolvable> {
        let root = self.flattener.root();
        let node = self.emit(&root, Place { path: "", depth: 0 })?;
        Ok(node.map_or_else(
            || {
                self.notes.push(
                    "its schema admits no arguments at all; told as an object without properties"
                        .to_owned(),
                );
                Map::from_iter([("type".to_owned(), json!("object"))])
            },
            |node| node.schema,
        ))
    }

    /// `None` for what must not be given: a `false` schema, or a read-only property.
    fn emit(
        &mut self,
        schema: &Schema<'a>,
        place: Place<'_>,
    ) -> Result<Option<Node>, Unresolvable> {
        let flat = self.flattener.flatten(schema)?;
        let mut flat = self.settle(flat, place.is_root(), 0)?;
        let read_only = flat.first("readOnly") == Some(&Value::Bool(true));
        if flat.impossible || read_only && !place.is_root() {
            return Ok(None);
        }
        let mut kinds = kinds(&flat);
        if kinds == [Kind::Null] && !place.is_root() {
            flat.words.push("Always null; omit it.".to_owned());
            let schema = self.assemble(flat, Kind::String, Map::new(), place);
            return Ok(Some(Node {
                schema,
                only_null: true,
            }));
        }
        flat.nullable |= kinds.contains(&Kind::Null);
        kinds.retain(|kind| *kind != Kind::Null);
        let kind = self.one_kind(&kinds, &mut flat, place);
        if flat.nullable && !place.is_root() && !kinds.is_empty() {
            flat.words.push("May be null.".to_owned());
        }
        if let Some(name) = &flat.recursion {
            flat.words.push(format!(
                "Recursive: same structure as {}.",
                words::shorten(name)
            ));
            flat.flaws.push(format!(
                "recursive definition {} is told to a fixed depth",
                words::shorten(name)
            ));
        }
        let body = match kind {
            Kind::Object => self.object(&mut flat, place)?,
            Kind::Array => self.array(&mut flat, place)?,
            _ => Map::new(),
        };
        let schema = self.assemble(flat, kind, body, place);
        Ok(Some(Node {
            schema,
            only_null: false,
        }))
    }

    /// The single type that a gateway is told.
    fn one_kind(&self, kinds: &[Kind], flat: &mut Flat<'a>, place: Place<'_>) -> Kind {
        if place.is_root() {
            if !kinds.is_empty() && !kinds.contains(&Kind::Object) {
                flat.flaws
                    .push("its root is not an object; told as one".to_owned());
            }
            return Kind::Object;
        }
        match kinds {
            [] => {
                flat.words.push("Any JSON value.".to_owned());
                Kind::String
            }
            [only] => *only,
            several => {
                let picked = pick(several);
                let names = several
                    .iter()
                    .map(|kind| kind.name())
                    .collect::<Vec<_>>()
                    .join(" or ");
                flat.words.push(format!("Accepts {names}."));
                flat.flaws
                    .push(format!("takes {names}; told as {}", picked.name()));
                picked
            }
        }
    }

    fn assemble(
        &mut self,
        flat: Flat<'a>,
        kind: Kind,
        body: Map<String, Value>,
        place: Place<'_>,
    ) -> Map<String, Value> {
        let mut told = flat.words.clone();
        told.extend(words::sentences(&flat, kind, place.is_root()));
        let mut schema = Map::from_iter([("type".to_owned(), json!(kind.name()))]);
        if let Some(description) = words::description(&flat, &told, place.is_root()) {
            schema.insert("description".to_owned(), json!(description));
        }
        schema.extend(body);
        let subject = if place.is_root() {
            "arguments".to_owned()
        } else {
            format!("`{}`", place.path)
        };
        for flaw in flat.flaws {
            let note = format!("{subject}: {flaw}");
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        schema
    }

    fn object(
        &mut self,
        flat: &mut Flat<'a>,
        place: Place<'_>,
    ) -> Result<Map<String, Value>, Unresolvable> {
        self.add_conditional(flat)?;
        self.tell_other_keys(flat)?;
        if flat.properties.is_empty() && flat.required.is_empty() {
            return Ok(Map::new());
        }
        if place.depth >= self.deepest {
            flat.words.push(format!(
                "Keys: {}.",
                words::list(flat.properties.iter().map(|(name, _)| words::shorten(name)))
            ));
            flat.flaws
                .push("nests too deeply; its properties are only named".to_owned());
            return Ok(Map::new());
        }
        // A key that is required without being described is still required.
        for name in flat.required.clone() {
            if !flat.properties.iter().any(|(known, _)| *known == name) {
                flat.properties.push((name, Schema::anything()));
            }
        }
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (name, schema) in &flat.properties {
            let path = if place.path.is_empty() {
                (*name).to_owned()
            } else {
                format!("{}.{name}", place.path)
            };
            let below = Place {
                path: &path,
                depth: place.depth + 1,
            };
            let Some(node) = self.emit(schema, below)? else {
                continue;
            };
            if flat.required.contains(name) && !node.only_null {
                required.push(json!(name));
            }
            properties.insert((*name).to_owned(), Value::Object(node.schema));
        }
        let mut body = Map::from_iter([("properties".to_owned(), Value::Object(properties))]);
        if !required.is_empty() {
            body.insert("required".to_owned(), Value::Array(required));
        }
        Ok(body)
    }

    /// `then`, `else` and `dependentSchemas` may bring properties of their own, none of them always required.
    fn add_conditional(&mut self, flat: &mut Flat<'a>) -> Result<(), Unresolvable> {
        for schema in std::mem::take(&mut flat.conditional) {
            let branch = self.flattener.flatten(&schema)?;
            for (name, schema) in branch.properties {
                if !flat.properties.iter().any(|(known, _)| *known == name) {
                    flat.properties.push((name, schema));
                }
            }
            flat.flaws
                .push("conditions between its properties are told in words".to_owned());
        }
        Ok(())
    }

    fn tell_other_keys(&mut self, flat: &mut Flat<'a>) -> Result<(), Unresolvable> {
        if let Some(others) = flat.others.take() {
            let summary = self.summary(&others, 0)?;
            let subject = if flat.properties.is_empty() {
                "Map of string to"
            } else {
                "Other keys hold"
            };
            flat.words.push(format!("{subject} {summary}."));
            flat.flaws
                .push("what its free keys hold is told in words".to_owned());
        }
        for (pattern, schema) in std::mem::take(&mut flat.patterns) {
            let summary = self.summary(&schema, 0)?;
            flat.words.push(format!(
                "Keys matching /{}/ hold {summary}.",
                words::shorten(pattern)
            ));
            flat.flaws
                .push("what its free keys hold is told in words".to_owned());
        }
        Ok(())
    }

    fn array(
        &mut self,
        flat: &mut Flat<'a>,
        place: Place<'_>,
    ) -> Result<Map<String, Value>, Unresolvable> {
        let mut schemas = std::mem::take(&mut flat.tuple);
        if !schemas.is_empty() {
            let mut parts = Vec::new();
            for (index, schema) in schemas.iter().enumerate() {
                parts.push(format!("[{index}] {}", self.summary(schema, 0)?));
            }
            flat.words.push(format!("Tuple: {}.", words::list(parts)));
            flat.flaws
                .push("a tuple; told as a list of one type".to_owned());
        }
        schemas.extend(flat.items.take());
        let path = format!("{}[]", place.path);
        let below = Place {
            path: &path,
            depth: place.depth + 1,
        };
        let emitted = if schemas.is_empty() {
            self.emit(&Schema::anything(), below)?
        } else if place.depth >= self.deepest {
            flat.flaws
                .push("nests too deeply; its items are told as any value".to_owned());
            self.emit(&Schema::anything(), below)?
        } else {
            self.emit(&Schema::any(schemas), below)?
        };
        let items = emitted.map_or_else(
            || json!({ "type": "string", "description": "No item is allowed." }),
            |node| Value::Object(node.schema),
        );
        Ok(Map::from_iter([("items".to_owned(), items)]))
    }
}
