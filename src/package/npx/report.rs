//! A complaint of `npm` in, what went wrong out.
//!
//! `npm` gives a code with each complaint; of its sentences only the package's name is read. What is not known here is shown as
//! `npm` wrote it, never guessed. Codes: npm 11, `lib/utils/error-message.js` and the packages that it drives.

use super::npm::{Complaint, Failure};
use crate::package::{PackageError, Tool};

/// Codes of Node and npm for a registry that does not answer.
const UNREACHABLE: [&str; 17] = [
    "ECONNREFUSED",
    "ECONNRESET",
    "ECONNABORTED",
    "EAI_AGAIN",
    "EAI_FAIL",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENOTFOUND",
    "ENOTCACHED",
    "EPIPE",
    "ETIMEDOUT",
    "EIDLETIMEOUT",
    "ERESPONSETIMEOUT",
    "ERR_SOCKET_TIMEOUT",
    "FETCH_ERROR",
    "E429",
    "ECONNECTIONTIMEOUT",
];

const REFUSED: [&str; 6] = ["E401", "E402", "E403", "E451", "ENEEDAUTH", "EOTP"];

/// Codes of TLS that speak of the server's certificate.
fn is_certificate(code: &str) -> bool {
    code.contains("CERT") || code.contains("SELF_SIGNED") || code.starts_with("ERR_TLS")
}

/// What the complaint says. `action` completes "`npm` failed to …", `target` is the function's platform.
pub(crate) fn read(failure: Failure, action: &'static str, target: &str) -> PackageError {
    let complaint = match failure {
        Failure::Unusable(error) => return error,
        Failure::Complaint(complaint) => complaint,
    };
    let Complaint {
        code,
        summary,
        detail,
        text,
        ..
    } = complaint;
    let said = || one_line(&summary, &code);
    match code.as_str() {
        "E404" => match quoted(&detail) {
            Some(package) => PackageError::NotInRegistry {
                package: package.to_owned(),
            },
            None => PackageError::RegistryRefused { detail: said() },
        },
        "ETARGET" | "ENOVERSIONS" => match unmet(&summary) {
            Some((package, wanted)) => PackageError::VersionNotFound {
                package: package.to_owned(),
                needed_by: String::new(),
                wanted: wanted.to_owned(),
                newest: String::new(),
            },
            None => failed(action, text),
        },
        "ERESOLVE" => PackageError::Conflict {
            explanation: indented(&detail),
        },
        "EINTEGRITY" => PackageError::HashMismatch {
            package: String::new(),
            detail: format!("  {}", said()),
        },
        "EBADPLATFORM" => PackageError::WrongPlatform {
            package: after(&summary, "platform for ").unwrap_or_default(),
            target: target.to_owned(),
            wanted: after(&summary, "wanted ").map_or_else(said, |wanted| {
                format!("for {}", wanted.trim_end_matches(&[' ', '('][..]))
            }),
        },
        code if REFUSED.contains(&code) => PackageError::RegistryRefused { detail: said() },
        code if UNREACHABLE.contains(&code) || code.starts_with("E5") || is_certificate(code) => {
            PackageError::RegistryUnreachable { detail: said() }
        }
        _ => failed(action, text),
    }
}

fn failed(action: &'static str, text: String) -> PackageError {
    PackageError::ToolFailed {
        tool: Tool::Npm,
        action,
        output: indented(&text),
    }
}

/// The first line, without the name of the error class.
fn one_line(summary: &str, code: &str) -> String {
    let line = summary.lines().next().unwrap_or_default().trim();
    let line = line.strip_prefix("FetchError: ").unwrap_or(line);
    match line.is_empty() {
        true => code.to_owned(),
        false => line.trim_end_matches('.').to_owned(),
    }
}

/// The name in `'name@range' …` or `… 'name@range' …`, without its version.
fn quoted(detail: &str) -> Option<&str> {
    let spec = detail.split('\'').nth(1)?;
    let (name, _) = split_spec(spec);
    (!name.is_empty()).then_some(name)
}

/// Name and version of `No matching version found for name@range.` and its kin, which may go on after that.
fn unmet(summary: &str) -> Option<(&str, &str)> {
    let rest = summary
        .split_once(" found for ")
        .or_else(|| summary.split_once("available for "))?
        .1;
    let end = rest.find(" with a date before").unwrap_or(rest.len());
    let spec = rest[..end].lines().next()?.trim().trim_end_matches('.');
    let (name, wanted) = split_spec(spec);
    (!name.is_empty()).then_some((name, wanted))
}

/// Name and the rest of `@scope/name@range`; `*` where there is no range.
fn split_spec(spec: &str) -> (&str, &str) {
    let at = spec
        .char_indices()
        .skip(1)
        .find_map(|(at, c)| (c == '@').then_some(at));
    match at {
        Some(at) => (&spec[..at], &spec[at + 1..]),
        None => (spec, "*"),
    }
}

/// What stands between `start` and the next colon, or the opening of a remark, or the end.
fn after(text: &str, start: &str) -> Option<String> {
    let rest = text.split_once(start)?.1;
    let end = rest
        .find(": ")
        .into_iter()
        .chain(rest.find(" (current"))
        .min()
        .unwrap_or(rest.len());
    Some(rest[..end].trim().to_owned())
}

/// Two spaces before every line, as quotations of tools are shown.
pub(crate) fn indented(text: &str) -> String {
    let lines: Vec<String> = text
        .trim_end()
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| format!("  {line}"))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: &str, summary: &str, detail: &str) -> String {
        let complaint = Complaint {
            code: code.to_owned(),
            summary: summary.to_owned(),
            detail: detail.to_owned(),
            text: "what npm wrote".to_owned(),
            output: String::new(),
        };
        read(
            Failure::Complaint(complaint),
            "resolve the packages",
            "nodejs22.x for arm64",
        )
        .to_string()
    }

    #[test]
    fn each_code_becomes_an_error_that_says_what_to_do() {
        for (code, summary, detail, expected) in [
            (
                "E404",
                "Not Found - GET https://r.example/@s%2fx - Not found",
                "'@s/x@*' is not in this registry.",
                "package `@s/x` does not exist in the npm registry. Check its spelling",
            ),
            (
                "ETARGET",
                "No matching version found for @s/x@^9.1.",
                "",
                "there is no release of `@s/x` that satisfies `^9.1`. Ask for another version",
            ),
            (
                "ETARGET",
                "No matching version found for x@2 with a date before 11/1/2026, 1:00:00 AM.",
                "",
                "there is no release of `x` that satisfies `2`. Ask",
            ),
            (
                "E401",
                "Unable to authenticate, your authentication token seems to be invalid.",
                "",
                "the npm registry refuses the request: Unable to authenticate, your authentication token seems to be invalid. Check the",
            ),
            (
                "ENOTFOUND",
                "FetchError: request to http://r.example/x failed, reason: getaddrinfo ENOTFOUND r.example",
                "",
                "the npm registry could not be reached: request to http://r.example/x failed, reason: getaddrinfo ENOTFOUND r.example. Check",
            ),
            (
                "E503",
                "503 Service Unavailable - GET http://r.example/x",
                "",
                "the npm registry could not be reached: 503 Service Unavailable - GET http://r.example/x. Check",
            ),
            (
                "SELF_SIGNED_CERT_IN_CHAIN",
                "request to https://r.example failed",
                "",
                "the npm registry could not be reached: request to https://r.example failed. Check",
            ),
            (
                "EBADPLATFORM",
                "Unsupported platform for x@1.0.0: wanted {\"os\":\"darwin\"} (current: {\"os\":\"linux\"})",
                "",
                "`x@1.0.0` does not run on nodejs22.x for arm64: it is for {\"os\":\"darwin\"}. Use",
            ),
            (
                "ESOMETHING",
                "",
                "",
                "`npm` failed to resolve the packages:\n  what npm wrote",
            ),
        ] {
            let said = said(code, summary, detail);
            assert!(said.starts_with(expected), "{code}: {said}");
        }
    }
}
