//! Which of the server's tools callers see, and under which names. Pure: text in, text out.
//!
//! Enters: the filter of the launch contract; raw results of `tools/list` and raw `params` of `tools/call`. Leaves: the same, with hidden tools left out, names
//! prefixed, and prefixes taken off again. Refuses calls of tools that callers do not see: to them such a tool does not exist. Where nothing is to be changed
//! nothing is copied.
//!
//! It also takes `x-mcp-header` out of the schemas that are passed on. That annotation asks clients to repeat an argument in an HTTP header, which whoever
//! offers it has to check against the body (MCP specification 2026-07-28, Streamable HTTP, "Custom Headers from Tool Parameters"); without it there is nothing
//! to check, and a call is its body alone.

use crate::glob::{Glob, GlobError};
use crate::json::{self, Object};
use crate::launch::ToolFilter;

const HEADER_ANNOTATION: &str = "x-mcp-header";

/// The filter, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    include: Vec<Glob>,
    exclude: Vec<Glob>,
    prefix: String,
}

/// A call names no tool that callers see: the name as they gave it, or `None` when they gave none that is a string.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownTool(pub(crate) Option<String>);

impl Tools {
    /// Reads the filter's globs.
    ///
    /// # Errors
    ///
    /// The first glob that is none.
    pub(crate) fn new(filter: &ToolFilter) -> Result<Self, GlobError> {
        let globs = |patterns: &[String]| {
            patterns
                .iter()
                .map(|text| Glob::parse(text))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            include: globs(&filter.include)?,
            exclude: globs(&filter.exclude)?,
            prefix: filter.prefix.clone(),
        })
    }

    /// Whether every tool is shown as it is.
    fn shows_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty() && self.prefix.is_empty()
    }

    /// Whether callers see the tool that the server calls `name`.
    pub(crate) fn shows(&self, name: &str) -> bool {
        let matched = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(name));
        (self.include.is_empty() || matched(&self.include)) && !matched(&self.exclude)
    }

    /// The server's own name of the tool that callers know as `exposed`; `None` when they see no such tool.
    pub(crate) fn server_name<'n>(&self, exposed: &'n str) -> Option<&'n str> {
        exposed
            .strip_prefix(self.prefix.as_str())
            .filter(|name| self.shows(name))
    }

    /// A `result` of `tools/list` as callers get it; `None` when it can stay as it is.
    pub(crate) fn list_for_caller(&self, result: &str) -> Option<String> {
        let annotated = result.contains(HEADER_ANNOTATION);
        if self.shows_all() && !annotated {
            return None;
        }
        let mut list = Object::parse(result.as_bytes())?;
        let tools = json::elements(list.get("tools")?)?;
        let mut shown = Vec::with_capacity(tools.len());
        for text in tools {
            let Some(mut tool) = Object::parse(text.as_bytes()) else {
                // Nothing that could be called.
                if self.shows_all() {
                    shown.push(text.to_owned());
                }
                continue;
            };
            if !self.shows_all() {
                let Some(name) = tool
                    .get("name")
                    .and_then(json::string)
                    .filter(|name| self.shows(name))
                    .map(|name| format!("{}{name}", self.prefix))
                else {
                    continue;
                };
                tool.set("name", json::quote(&name));
            }
            if annotated && let Some(schema) = tool.get("inputSchema").and_then(without_annotation)
            {
                tool.set("inputSchema", schema);
            }
            shown.push(tool.to_text());
        }
        let tools = format!("[{}]", shown.join(","));
        list.set("tools", tools);
        Some(list.to_text())
    }

    /// `params` of a `tools/call` as the server gets them; `None` when they can stay as they are.
    ///
    /// # Errors
    ///
    /// [`UnknownTool`] when the caller does not see the tool.
    pub(crate) fn call_for_server(
        &self,
        params: Option<&str>,
    ) -> Result<Option<String>, UnknownTool> {
        if self.shows_all() {
            return Ok(None);
        }
        let mut params = params
            .and_then(|params| Object::parse(params.as_bytes()))
            .ok_or(UnknownTool(None))?;
        let exposed = params
            .get("name")
            .and_then(json::string)
            .ok_or(UnknownTool(None))?
            .into_owned();
        let Some(name) = self.server_name(&exposed) else {
            return Err(UnknownTool(Some(exposed)));
        };
        // Written once, however often the caller wrote it: a server that reads the first of two names must not find one that was not looked at.
        let name = json::quote(name);
        params.remove("name");
        params.set("name", name);
        Ok(Some(params.to_text()))
    }
}

/// A schema without the annotation, at any depth; `None` when it holds none.
fn without_annotation(schema: &str) -> Option<String> {
    if !schema.contains(HEADER_ANNOTATION) {
        return None;
    }
    if let Some(elements) = json::elements(schema) {
        let edited: Vec<Option<String>> =
            elements.iter().copied().map(without_annotation).collect();
        if edited.iter().all(Option::is_none) {
            return None;
        }
        let texts: Vec<&str> = elements
            .iter()
            .zip(&edited)
            .map(|(old, new)| new.as_deref().unwrap_or(old))
            .collect();
        return Some(format!("[{}]", texts.join(",")));
    }
    let mut object = Object::parse(schema.as_bytes())?;
    // As an annotation it is a string; a property of that name has a schema, and what stands in these keywords is data.
    let is_annotation = object
        .get(HEADER_ANNOTATION)
        .is_some_and(|value| value.starts_with('"'));
    let removed = is_annotation && object.remove(HEADER_ANNOTATION);
    let edited = object.edit(|key, value| {
        if matches!(key, "const" | "enum" | "default" | "examples") {
            return None;
        }
        without_annotation(value)
    });
    (removed || edited).then(|| object.to_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(include: &[&str], exclude: &[&str], prefix: &str) -> Tools {
        let owned = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
        Tools::new(&ToolFilter {
            include: owned(include),
            exclude: owned(exclude),
            prefix: prefix.to_owned(),
        })
        .expect("globs")
    }

    /// The names of a list of `get_a`, `get_b`, `put_a` and a nameless tool that a caller sees.
    fn seen(tools: &Tools) -> Vec<String> {
        let list = r#"{"tools":[{"name":"get_a"},{"name":"get_b","x":1},{"name":"put_\u0061"},{"title":"t"},7],"nextCursor":"n"}"#;
        let result: serde_json::Value = serde_json::from_str(
            &tools
                .list_for_caller(list)
                .unwrap_or_else(|| list.to_owned()),
        )
        .expect("JSON");
        assert_eq!(result["nextCursor"], "n");
        result["tools"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|tool| tool["name"].as_str().map(str::to_owned))
            .collect()
    }

    #[test]
    fn only_what_is_included_and_not_excluded_is_seen() {
        assert_eq!(seen(&tools(&[], &[], "")), ["get_a", "get_b", "put_a"]);
        assert_eq!(seen(&tools(&["get_*"], &[], "")), ["get_a", "get_b"]);
        assert_eq!(seen(&tools(&["get_*", "put_a"], &["*_a"], "")), ["get_b"]);
        assert_eq!(seen(&tools(&[], &["get_?"], "")), ["put_a"]);
        assert!(seen(&tools(&["nothing"], &[], "")).is_empty());
    }

    #[test]
    fn names_are_prefixed_and_everything_else_of_a_tool_is_kept() {
        let list = r#"{"_meta":{"k": 1.0},"tools":[{"title":"T","name":"a","inputSchema":{"type": "object"}}],"nextCursor":"c"}"#;
        assert_eq!(
            tools(&[], &[], "x_").list_for_caller(list).as_deref(),
            Some(
                r#"{"_meta":{"k": 1.0},"tools":[{"title":"T","name":"x_a","inputSchema":{"type": "object"}}],"nextCursor":"c"}"#
            )
        );
    }

    #[test]
    fn without_a_filter_nothing_is_touched() {
        let all = Tools::default();
        assert_eq!(all.list_for_caller(r#"{"tools":[{"name":"a"},7]}"#), None);
        assert_eq!(all.call_for_server(Some(r#"{"name":7}"#)), Ok(None));
        assert_eq!(all.call_for_server(None), Ok(None));
    }

    #[test]
    fn a_result_that_is_no_list_is_passed_on() {
        let filter = tools(&["a"], &[], "");
        for result in [r#"{"tools":7}"#, "{}", "7", r#"{"resultType":"x"}"#] {
            assert_eq!(filter.list_for_caller(result), None, "{result}");
        }
    }

    #[test]
    fn a_call_goes_to_the_servers_own_name() {
        let filter = tools(&["get_*"], &["get_b"], "x_");
        let call = |name: &str| {
            filter.call_for_server(Some(&format!(
                r#"{{"name":{name},"arguments":{{"n": 1.0}}}}"#
            )))
        };
        assert_eq!(
            call(r#""x_get_a""#),
            Ok(Some(
                r#"{"arguments":{"n": 1.0},"name":"get_a"}"#.to_owned()
            ))
        );
        for hidden in ["get_a", "x_put_a", "x_get_b", "x_", "", "X_get_a"] {
            assert_eq!(
                call(&json::quote(hidden)),
                Err(UnknownTool(Some(hidden.to_owned()))),
                "{hidden}"
            );
        }
        assert_eq!(call("7"), Err(UnknownTool(None)));
        assert_eq!(filter.call_for_server(None), Err(UnknownTool(None)));
        assert_eq!(filter.server_name("x_get_c"), Some("get_c"));
    }

    #[test]
    fn a_name_written_twice_cannot_smuggle_a_hidden_tool_in() {
        let filter = tools(&["get"], &[], "");
        assert_eq!(
            filter.call_for_server(Some(r#"{"name":"put","n\u0061me":"get"}"#)),
            Ok(Some(r#"{"name":"get"}"#.to_owned()))
        );
        assert_eq!(
            filter.call_for_server(Some(r#"{"name":"get","name":"put"}"#)),
            Err(UnknownTool(Some("put".to_owned())))
        );
    }

    #[test]
    fn header_annotations_are_taken_out_of_schemas_and_of_nothing_else() {
        let list = concat!(
            r#"{"tools":[{"name":"a","inputSchema":{"type":"object","properties":{"r":{"type":"string","x-mcp-header":"Region"},"#,
            r#""x-mcp-header":{"type":"object","properties":{"deep":{"x-mcp-header":"D"}}},"list":{"items":[{"x-mcp-header":"I"},{}]}},"#,
            r#""default":{"x-mcp-header":"data"}},"description":"x-mcp-header"},{"name":"b","inputSchema":{"n": 1.0}}]}"#
        );
        let expected = concat!(
            r#"{"tools":[{"name":"a","inputSchema":{"type":"object","properties":{"r":{"type":"string"},"#,
            r#""x-mcp-header":{"type":"object","properties":{"deep":{}}},"list":{"items":[{},{}]}},"#,
            r#""default":{"x-mcp-header":"data"}},"description":"x-mcp-header"},{"name":"b","inputSchema":{"n": 1.0}}]}"#
        );
        assert_eq!(
            Tools::default().list_for_caller(list).as_deref(),
            Some(expected)
        );
        assert_eq!(
            tools(&["b"], &[], "").list_for_caller(list).as_deref(),
            Some(r#"{"tools":[{"name":"b","inputSchema":{"n": 1.0}}]}"#)
        );
    }

    #[test]
    fn a_glob_that_is_none_is_told() {
        let filter = ToolFilter {
            exclude: vec!["a[".to_owned()],
            ..ToolFilter::default()
        };
        assert!(matches!(Tools::new(&filter), Err(GlobError::Open { pattern }) if pattern == "a["));
    }
}
