//! `log_format`, `metrics` and `tracing`: what a function tells those who watch it.

use crate::plugin::schema::{Attribute, Schema};
use crate::plugin::validators;

pub(super) fn observability(schema: Schema) -> Schema {
    schema
        .attribute(
            "log_format",
            Attribute::string()
                .optional()
                .computed()
                .default("Text")
                .validate(validators::one_of(&["Text", "JSON"]))
                .description(
                    "How the function's log is written, what the server says on stderr included: `Text`, or `JSON` with an object for \
                     each line.",
                ),
        )
        .attribute(
            "metrics",
            Attribute::bool().optional().computed().default(false).description(
                "Whether each call leaves CloudWatch metrics, as a line of embedded metric format in the log: its milliseconds, cold \
                 starts, restarts of the server, errors of tools.",
            ),
        )
        .attribute(
            "tracing",
            Attribute::string()
                .optional()
                .computed()
                .default("PassThrough")
                .validate(validators::one_of(&["PassThrough", "Active"]))
                .description(
                    "AWS X-Ray tracing of the function. `PassThrough`: calls are traced when their caller traces. `Active`: Lambda samples \
                     calls itself; the managed role gets the permissions for it.",
                ),
        )
}
