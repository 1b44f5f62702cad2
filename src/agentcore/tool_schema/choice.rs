//! Enters: one level of a schema with its choices: `anyOf`, `oneOf`. Leaves: the level with what the branches have in common
//! merged in, and words for what sets them apart. Refuses: nothing; a choice that nests too deeply is told as any value.

use super::emit::Emitter;
use super::flatten::{Choice, Flat, Schema};
use super::kind::{Kind, add};
use super::reference::Unresolvable;
use super::summary::keys;
use super::words;

/// Choices inside choices inside choices: more than this are told as any value.
pub(super) const DEEPEST_CHOICE: usize = 16;

impl<'a> Emitter<'a> {
    /// Merges the choices of `flat` into it: what all branches have in common, and words for what sets them apart.
    pub(super) fn settle(
        &mut self,
        mut flat: Flat<'a>,
        is_root: bool,
        nesting: usize,
    ) -> Result<Flat<'a>, Unresolvable> {
        let choices = std::mem::take(&mut flat.choices);
        if nesting > DEEPEST_CHOICE && !choices.is_empty() {
            flat.flaws
                .push("choices nest too deeply; told as any value".to_owned());
            return Ok(flat);
        }
        for (choice, schemas) in choices {
            let mut null_branch = false;
            let mut branches = Vec::new();
            for schema in &schemas {
                let branch = self.flattener.flatten(schema)?;
                let branch = self.settle(branch, is_root, nesting + 1)?;
                if kinds(&branch) == [Kind::Null] {
                    null_branch = true;
                } else if !branch.impossible {
                    branches.push(branch);
                }
            }
            let only_null = null_branch && branches.is_empty();
            flat.nullable |= null_branch && !only_null;
            match <[Flat<'a>; 1]>::try_from(branches) {
                Ok([only]) => flat.merge(only),
                Err(branches) if only_null => {
                    debug_assert!(branches.is_empty());
                    flat.merge(Flat {
                        types: Some(vec![Kind::Null]),
                        ..Flat::default()
                    });
                }
                Err(branches) if branches.is_empty() => flat.impossible = true,
                Err(branches) => self.join(&mut flat, choice, branches, is_root)?,
            }
        }
        Ok(flat)
    }

    /// Merges several branches, none of them null, into `flat`.
    fn join(
        &mut self,
        flat: &mut Flat<'a>,
        choice: Choice,
        mut branches: Vec<Flat<'a>>,
        is_root: bool,
    ) -> Result<(), Unresolvable> {
        let own = kinds(flat);
        let mut all = Vec::new();
        let mut unknown = false;
        for branch in &branches {
            let branch_kinds = kinds(branch);
            flat.nullable |= branch.nullable || branch_kinds.contains(&Kind::Null);
            unknown |= branch_kinds.is_empty() && own.is_empty();
            let effective = if branch_kinds.is_empty() {
                &own
            } else {
                &branch_kinds
            };
            for kind in effective.iter().filter(|kind| **kind != Kind::Null) {
                add(&mut all, *kind);
            }
        }
        if let Some(values) = allowed_values(&branches) {
            flat.words
                .push(format!("Allowed values: {}.", words::list(values)));
            flat.merge(Flat {
                types: Some(all),
                ..Flat::default()
            });
            return Ok(());
        }
        let mut summaries = Vec::new();
        for branch in &branches {
            let summary = self.summary_of(branch, 0)?;
            if !summaries.contains(&summary) {
                summaries.push(summary);
            }
        }
        let alternatives = summaries.join(" or ");
        let picked = match all[..] {
            _ if unknown && !is_root => {
                // One branch admits any type.
                flat.words.push(format!("Accepts {alternatives}."));
                return Ok(());
            }
            [] => return Ok(()),
            [only] => only,
            _ if is_root => Kind::Object,
            _ => pick(&all),
        };
        if all.len() > 1 || picked != Kind::Object && summaries.len() > 1 {
            flat.words
                .push(format!("Accepts {}.", words::shorten(&alternatives)));
        }
        if all.len() > 1 {
            flat.flaws.push(format!(
                "takes {}; told as {}",
                words::shorten(&alternatives),
                picked.name()
            ));
        }
        branches.retain(|branch| {
            let kinds = kinds(branch);
            kinds.is_empty() || kinds.contains(&picked)
        });
        let items: Vec<Schema<'a>> = branches
            .iter()
            .filter_map(|branch| branch.items.clone())
            .collect();
        let mut joined = Flat {
            types: Some(vec![picked]),
            ..Flat::default()
        };
        match picked {
            Kind::Object => join_objects(&mut joined, choice, branches),
            Kind::Array if !items.is_empty() => joined.items = Some(Schema::any(items)),
            _ => {}
        }
        flat.merge(joined);
        Ok(())
    }
}

/// The types that a level admits: as it says, else as its other keywords imply; empty for any.
pub(super) fn kinds(flat: &Flat<'_>) -> Vec<Kind> {
    if let Some(types) = &flat.types {
        return types.clone();
    }
    let mut kinds = Vec::new();
    if let Some(values) = flat.allowed() {
        for value in values {
            add(&mut kinds, Kind::of(value));
        }
        return kinds;
    }
    let has = |keywords: &[&str]| keywords.iter().any(|keyword| flat.first(keyword).is_some());
    let objects = [
        "additionalProperties",
        "minProperties",
        "maxProperties",
        "propertyNames",
        "dependentRequired",
    ];
    if !flat.properties.is_empty()
        || !flat.required.is_empty()
        || flat.others.is_some()
        || !flat.patterns.is_empty()
        || has(&objects)
    {
        kinds.push(Kind::Object);
    } else if flat.items.is_some()
        || !flat.tuple.is_empty()
        || has(&["minItems", "maxItems", "uniqueItems", "contains"])
    {
        kinds.push(Kind::Array);
    } else if has(&[
        "pattern",
        "format",
        "minLength",
        "maxLength",
        "contentEncoding",
        "contentMediaType",
    ]) {
        kinds.push(Kind::String);
    } else if has(&[
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
    ]) {
        kinds.push(Kind::Number);
    }
    kinds
}

/// A string can hold anything that a model can write; else the first that is named.
pub(super) fn pick(kinds: &[Kind]) -> Kind {
    if kinds.contains(&Kind::String) {
        Kind::String
    } else {
        kinds[0]
    }
}

/// The values of branches that are all `const` or `enum`, a title behind the value it belongs to.
fn allowed_values(branches: &[Flat<'_>]) -> Option<Vec<String>> {
    let mut told = Vec::new();
    for branch in branches {
        let values = branch.allowed()?;
        let meaning = branch.title.or(branch.descriptions.first().copied());
        match (&values[..], meaning) {
            ([only], Some(meaning)) => told.push(format!(
                "{} ({})",
                words::json(only),
                words::shorten(meaning)
            )),
            _ => told.extend(values.into_iter().map(words::json)),
        }
    }
    Some(told)
}

/// The union of the branches' properties; required is what all of them require.
fn join_objects<'a>(joined: &mut Flat<'a>, choice: Choice, branches: Vec<Flat<'a>>) {
    let forms: Vec<String> = branches
        .iter()
        .map(|branch| {
            let keys = keys(branch.required.iter().copied());
            branch.title.map_or(keys.clone(), |title| {
                format!("{} {keys}", words::shorten(title))
            })
        })
        .collect();
    if forms.iter().any(|form| *form != forms[0]) {
        let how_many = if choice == Choice::OneOf {
            "Exactly one"
        } else {
            "At least one"
        };
        joined.words.push(format!(
            "{how_many} of these forms: {}.",
            words::list(forms)
        ));
        joined
            .flaws
            .push("its alternative forms are told in words".to_owned());
    }
    let mut branches = branches.into_iter();
    if let Some(first) = branches.next() {
        joined.properties = first.properties;
        joined.required = first.required;
        joined.conditional = first.conditional;
        joined.others = first.others;
    }
    for branch in branches {
        for (name, schema) in branch.properties {
            joined.add_property(name, schema, Schema::either);
        }
        joined
            .required
            .retain(|name| branch.required.contains(name));
        joined.conditional.extend(branch.conditional);
        joined.others = joined.others.take().or(branch.others);
    }
}
