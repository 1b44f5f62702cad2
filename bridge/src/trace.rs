//! From Lambda's trace header to the trace context that an MCP server reads. Pure: text in, text out.
//!
//! Enters: the tracing header of AWS X-Ray (`Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`), read leniently: fields in any order,
//! unknown ones skipped. Leaves: a W3C `traceparent` (`00-<32 hex>-<16 hex>-<flags>`), which `outgoing` puts into `_meta`, where MCP keeps it. Refuses what names
//! no trace and span: a context that was made up would join nothing. Sources: AWS X-Ray Developer Guide, "Tracing header"; W3C Trace Context, level 1,
//! section 3.2; MCP specification 2026-07-28, `_meta`.

use crate::era::Era;

/// The key in `_meta`, and the HTTP header of the same name.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The W3C form of an X-Ray tracing header; `None` when it names no trace or no parent. X-Ray's epoch and its random part, put together, are the trace id.
pub(crate) fn from_xray(header: &str) -> Option<String> {
    let (mut root, mut parent, mut sampled) = (None, None, false);
    for field in header.split(';') {
        let Some((key, value)) = field.split_once('=') else {
            continue;
        };
        let value = value.trim();
        match key.trim() {
            key if key.eq_ignore_ascii_case("Root") => root = Some(value),
            key if key.eq_ignore_ascii_case("Parent") => parent = Some(value),
            // `?` asks the receiver to decide; nobody here does.
            key if key.eq_ignore_ascii_case("Sampled") => sampled = value == "1",
            _ => {}
        }
    }
    let mut parts = root?.split('-');
    let (Some("1"), Some(epoch), Some(random), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let parent = parent?;
    if !(is_hex(epoch, 8) && is_hex(random, 24) && is_hex(parent, 16)) {
        return None;
    }
    let text =
        format!("00-{epoch}{random}-{parent}-{:02x}", u8::from(sampled)).to_ascii_lowercase();
    is_traceparent(&text).then_some(text)
}

/// Whether `text` is a `traceparent` that may be passed on: of version 00, or of a later one whose first four fields have the same form.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let fields: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags, more @ ..] = fields.as_slice() else {
        return false;
    };
    let lower = |text: &str, length| {
        is_hex(text, length) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    lower(version, 2)
        && *version != "ff"
        && (*version != "00" || more.is_empty())
        && lower(trace, 32)
        && !is_zero(trace)
        && lower(span, 16)
        && !is_zero(span)
        && lower(flags, 2)
}

/// Whether a request for `method` carries the context to a server of `era`. In the stateless era any may; older servers, some of which look closely at what
/// they get, are told of it where they do work on a caller's behalf.
pub(crate) fn is_carried_by(method: &str, era: Era) -> bool {
    era == Era::Modern || matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";
    const TRACE: &str = "5759e988bd862e3fe1be46a994272793";

    #[test]
    fn an_x_ray_header_becomes_a_traceparent() {
        for (header, flags) in [
            (format!("{ROOT};Parent=53995c3f42cd8ad8;Sampled=1"), "01"),
            (format!("{ROOT};Parent=53995c3f42cd8ad8;Sampled=0"), "00"),
            (format!("{ROOT};Parent=53995c3f42cd8ad8"), "00"),
            (format!("{ROOT};Parent=53995c3f42cd8ad8;Sampled=?"), "00"),
            (
                format!(
                    " Sampled=1 ; Self=1-2-3;Lineage=a:0|b:1; parent=53995C3F42CD8AD8 ;; {ROOT} ;x"
                ),
                "01",
            ),
        ] {
            assert_eq!(
                from_xray(&header),
                Some(format!("00-{TRACE}-53995c3f42cd8ad8-{flags}")),
                "{header}"
            );
        }
    }

    #[test]
    fn a_header_without_a_trace_or_a_parent_gives_none() {
        let parent = "Parent=53995c3f42cd8ad8";
        for header in [
            String::new(),
            "Root=1-2-3".to_owned(),
            ROOT.to_owned(),
            parent.to_owned(),
            format!("{ROOT};Parent="),
            format!("{ROOT};Parent=53995c3f42cd8ad"),
            format!("{ROOT};Parent=53995c3f42cd8adg"),
            format!("{ROOT};Parent=0000000000000000"),
            format!("Root=2-5759e988-bd862e3fe1be46a994272793;{parent}"),
            format!("Root=1-5759e988-bd862e3fe1be46a994272793-1;{parent}"),
            format!("Root=1-00000000-000000000000000000000000;{parent}"),
            format!("Root=1-5759e988-bd862e3fe1be46a99427279é;{parent}"),
        ] {
            assert_eq!(from_xray(&header), None, "{header}");
        }
    }

    #[test]
    fn only_a_well_formed_traceparent_is_one() {
        let good = format!("00-{TRACE}-53995c3f42cd8ad8-01");
        assert!(is_traceparent(&good));
        assert!(is_traceparent(&good.replacen("00", "cc", 1)));
        assert!(is_traceparent(&format!(
            "{}-more",
            good.replacen("00", "cc", 1)
        )));
        for bad in [
            "",
            "00",
            &format!("{good}-more"),
            &good.replacen("00", "ff", 1),
            &good.to_uppercase(),
            &good.replace(TRACE, &"0".repeat(32)),
            &good.replace("53995c3f42cd8ad8", "0000000000000000"),
            &good.replace("-01", "-1"),
            &format!(" {good}"),
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
