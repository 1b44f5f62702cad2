//! Log lines that Terraform understands: one JSON object per line on stderr, as hclog writes them.
//!
//! Enters: `tracing` events and spans. Leaves: lines with `@timestamp`, `@level`, `@message`,
//! `@module` and every field of the event and of the spans around it. Refuses: to log secrets.
//!
//! What is logged at which level is decided by the first of these variables that is set:
//! `TF_LOG_PROVIDER_<NAME>`, `TF_LOG_PROVIDER`, `TF_LOG`, with the values `TRACE`, `DEBUG`, `INFO`,
//! `WARN`, `ERROR`, `OFF` and `JSON` (which means `TRACE`). When none is set the host throws our
//! lines away, and only warnings and errors are written.
//!
//! Two things keep secrets out:
//! - Those levels concern our own code. Libraries are held at `WARN` whatever the variables say,
//!   because the AWS SDK and the HTTP stack write whole requests and responses at `DEBUG` and
//!   `TRACE`, with the credentials and the functions' environment in them.
//! - A field whose name speaks of a secret ([`is_secret`]) is logged as `***`.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// The host reads lines into a buffer of 64 KiB and treats what does not fit as plain text.
const MAX_LINE_BYTES: usize = 60 * 1024;

/// Text values are cut to the first of these lengths, in bytes, with which the line fits.
const VALUE_LIMITS: [usize; 3] = [16 * 1024, 1024, 128];

/// Our crates' names begin with this.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// How much to log, and what was wrong with the request, if something was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel {
    /// The most verbose level of our own code that is written.
    pub level: LevelFilter,
    /// A sentence for the log when a variable holds an unknown level.
    pub complaint: Option<String>,
}

impl LogLevel {
    /// Reads the level for the provider `name`. `variable` looks up an environment variable.
    ///
    /// An unknown level logs at `INFO` and leaves a complaint: a typing error in a variable for
    /// logs must not stop an apply.
    #[must_use]
    pub fn read(name: &str, variable: impl Fn(&str) -> Option<String>) -> Self {
        let own = format!(
            "TF_LOG_PROVIDER_{}",
            name.to_uppercase().replace(['-', '.'], "_")
        );
        let names = [own.as_str(), "TF_LOG_PROVIDER", "TF_LOG"];
        let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
        let Some((name, value)) = names.iter().find_map(|name| Some((name, set(name)?))) else {
            return Self::known(LevelFilter::WARN);
        };
        match value.to_ascii_uppercase().as_str() {
            "TRACE" | "JSON" => Self::known(LevelFilter::TRACE),
            "DEBUG" => Self::known(LevelFilter::DEBUG),
            "INFO" => Self::known(LevelFilter::INFO),
            "WARN" => Self::known(LevelFilter::WARN),
            "ERROR" => Self::known(LevelFilter::ERROR),
            "OFF" => Self::known(LevelFilter::OFF),
            _ => Self {
                level: LevelFilter::INFO,
                complaint: Some(format!(
                    "{name}=\"{value}\" is no log level; logging at INFO. Known levels: TRACE, \
                     DEBUG, INFO, WARN, ERROR, OFF, JSON"
                )),
            },
        }
    }

    fn known(level: LevelFilter) -> Self {
        Self {
            level,
            complaint: None,
        }
    }
}

/// Sends all logs of the process, and its panics, to stderr. Call once, before the first event.
///
/// # Errors
///
/// When the process already has a subscriber.
pub fn init(level: &LogLevel) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    let filter = Targets::new()
        .with_default(level.level.min(LevelFilter::WARN))
        .with_target(OURS, level.level)
        .with_target("terraform_provider_", level.level);
    let layer = HclogLayer {
        write: |line: &str| {
            // One write per line, so that lines of two threads cannot mix. A host that no longer
            // reads is no reason to fail.
            drop(std::io::stderr().lock().write_all(line.as_bytes()));
        },
        now: SystemTime::now,
    };
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
    tracing::subscriber::set_global_default(subscriber)?;
    std::panic::set_hook(Box::new(log_panic));
    if let Some(complaint) = &level.complaint {
        tracing::warn!("{complaint}");
    }
    Ok(())
}

/// A panic is a bug of ours: logged with what is needed to report it.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let payload = panic.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let location = panic.location().map(ToString::to_string);
    let backtrace = std::backtrace::Backtrace::force_capture();
    tracing::error!(
        location = location.as_deref().unwrap_or("unknown"),
        %backtrace,
        "panic: {message}"
    );
}

/// Whether a field of this name may hold a secret, and so is not written.
#[must_use]
pub fn is_secret(field: &str) -> bool {
    const SIGNS: [&str; 8] = [
        "secret",
        "token",
        "password",
        "passphrase",
        "credential",
        "authorization",
        "access_key",
        "private_key",
    ];
    let field = field.to_ascii_lowercase();
    field == "env" || field == "environment" || SIGNS.iter().any(|sign| field.contains(sign))
}

/// The layer. Generic over where lines go and what time it is, so that tests own both.
struct HclogLayer<W, N> {
    write: W,
    now: N,
}

/// A span's fields, kept with the span.
struct SpanFields(Map<String, Value>);

impl<S, W, N> Layer<S> for HclogLayer<W, N>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    W: Fn(&str) + 'static,
    N: Fn() -> SystemTime + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Map::new();
        attributes.record(&mut Collect(&mut fields));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(SpanFields(fields)) = span.extensions_mut().get_mut::<SpanFields>()
        {
            values.record(&mut Collect(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Map::new();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(SpanFields(outer)) = span.extensions().get::<SpanFields>() {
                // Innermost first: what is nearer to the event wins.
                for (key, value) in outer {
                    if !fields.contains_key(key) {
                        fields.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        event.record(&mut Collect(&mut fields));
        let message = match fields.shift_remove("message") {
            Some(Value::String(message)) => message,
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let mut line = line(
            &timestamp((self.now)()),
            *event.metadata().level(),
            &event.metadata().target().replace("::", "."),
            &message,
            &fields,
        );
        line.push('\n');
        (self.write)(&line);
    }
}

/// Collects fields as JSON values.
struct Collect<'a>(&'a mut Map<String, Value>);

impl Collect<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let value = if is_secret(name) {
            Value::from("***")
        } else {
            value
        };
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Collect<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN; it becomes null.
        self.put(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::from(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            // Writing to a `String` cannot fail.
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.put(field, Value::from(text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::from(format!("{value:?}")));
    }
}

/// One line, without the newline, that fits the host's buffer.
fn line(
    timestamp: &str,
    level: Level,
    module: &str,
    message: &str,
    fields: &Map<String, Value>,
) -> String {
    let level = match level {
        Level::TRACE => "trace",
        Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warn",
        Level::ERROR => "error",
    };
    let render = |message: &str, fields: Map<String, Value>| {
        let mut object = Map::new();
        // The host insists that the first three are strings.
        object.insert("@timestamp".to_owned(), Value::from(timestamp));
        object.insert("@level".to_owned(), Value::from(level));
        object.insert("@message".to_owned(), Value::from(message));
        object.insert("@module".to_owned(), Value::from(module));
        object.extend(fields);
        Value::Object(object).to_string()
    };
    for limit in VALUE_LIMITS {
        let cut_fields = fields.iter().map(|(key, value)| {
            let value = match value {
                Value::String(text) => Value::from(cut(text, limit)),
                other => other.clone(),
            };
            (key.clone(), value)
        });
        let line = render(&cut(message, limit), cut_fields.collect());
        if line.len() < MAX_LINE_BYTES {
            return line;
        }
    }
    // Only a great many fields lead here.
    let dropped = Map::from_iter([("dropped_fields".to_owned(), Value::from(fields.len()))]);
    render(&cut(message, VALUE_LIMITS[2]), dropped)
}

/// At most `limit` bytes of `text`, and how much is missing.
fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit)
        .rev()
        .find(|index| text.is_char_boundary(*index));
    let kept = &text[..end.unwrap_or(0)];
    format!("{kept}… ({} bytes cut)", text.len() - kept.len())
}

/// UTC with exactly six digits of fraction, which is the only form that hosts parse.
fn timestamp(time: SystemTime) -> String {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let micros = since_epoch.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// The calendar repeats every 400 years (146,097 days); counting years from March puts the leap
/// day at a year's end, where it disturbs no month's offset.
fn civil_date(days_since_epoch: u64) -> (u64, u64, u64) {
    const DAYS_PER_ERA: u64 = 146_097;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    let days = days_since_epoch + 719_468;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    /// What `act` logs, as JSON, with the clock standing still.
    fn logged(act: impl FnOnce()) -> Vec<Value> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let layer = HclogLayer {
            write: move |line: &str| sink.lock().expect("one thread").push(line.to_owned()),
            now: || UNIX_EPOCH + Duration::from_micros(1_785_542_399_000_120),
        };
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, act);
        let lines = lines.lock().expect("one thread");
        lines
            .iter()
            .map(|line| {
                assert!(line.len() < 64 * 1024, "a line of {} bytes", line.len());
                assert_eq!(line.find('\n'), Some(line.len() - 1), "more than one line");
                serde_json::from_str(line).expect("JSON")
            })
            .collect()
    }

    #[test]
    fn an_event_is_one_hclog_line_with_the_fields_of_its_spans() {
        let lines = logged(|| {
            let outer = tracing::info_span!("rpc", tf_rpc = "ReadResource", step = 1);
            let _outer = outer.enter();
            let inner = tracing::info_span!("deploy", step = 2, later = tracing::field::Empty);
            let _inner = inner.enter();
            inner.record("later", true);
            tracing::warn!(target: "mcplambda::deploy", ratio = 0.5, name = ?"a\"b", "it's\nlate");
        });
        let expected = json!({
            "@timestamp": "2026-07-31T23:59:59.000120Z",
            "@level": "warn",
            "@message": "it's\nlate",
            "@module": "mcplambda.deploy",
            "tf_rpc": "ReadResource",
            "step": 2,
            "later": true,
            "ratio": 0.5,
            "name": "\"a\\\"b\"",
        });
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn a_secret_is_never_written() {
        let lines = logged(|| {
            let span = tracing::info_span!("sign", secret_key = "s3cret");
            let _span = span.enter();
            tracing::error!(session_token = ?Some("t0ken"), env = "PASSWORD=x", tries = 2, "failed");
        });
        let fields = lines[0].as_object().expect("an object");
        assert_eq!(fields["secret_key"], "***");
        assert_eq!(fields["session_token"], "***");
        assert_eq!(fields["env"], "***");
        assert_eq!(fields["tries"], 2);
    }

    #[test]
    fn the_longest_line_fits_the_hosts_buffer_and_says_what_is_missing() {
        let long = "é".repeat(100_000);
        let control = "\u{1}".repeat(100_000);
        let lines = logged(|| {
            tracing::info!("{long}");
            tracing::info!(a = long, b = control, c = control, "short");
        });
        let message = lines[0]["@message"].as_str().expect("text");
        let kept = "é".repeat(8192);
        assert_eq!(message, format!("{kept}… (183616 bytes cut)"));
        assert_eq!(lines[1]["@message"], "short");
        let b = lines[1]["b"].as_str().expect("text");
        assert!(b.ends_with("… (98976 bytes cut)"), "{b:?}");

        let many = Map::from_iter((0..10_000).map(|n| (format!("field_{n}"), Value::from(n))));
        let line = line("t", Level::INFO, "m", "many", &many);
        let expected = json!({
            "@timestamp": "t", "@level": "info", "@message": "many", "@module": "m",
            "dropped_fields": 10_000,
        });
        assert_eq!(
            serde_json::from_str::<Value>(&line).expect("JSON"),
            expected
        );
    }

    #[test]
    fn an_error_is_logged_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot start")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("no socket"));
        let lines = logged(|| {
            tracing::error!(error = &error as &dyn std::error::Error, "stopped");
        });
        assert_eq!(lines[0]["error"], "cannot start: no socket");
    }

    #[test]
    fn a_panic_is_an_error_with_its_place() {
        // The hook belongs to the whole process; another test that panics meanwhile fails anyway.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(log_panic));
        let lines = logged(|| {
            for literal in [true, false] {
                let panicked = std::panic::catch_unwind(|| match literal {
                    true => panic!("no reason"),
                    false => panic!("{} reasons", 2),
                });
                assert!(panicked.is_err());
            }
        });
        std::panic::set_hook(hook);
        for (line, message) in lines.iter().zip(["panic: no reason", "panic: 2 reasons"]) {
            assert_eq!(line["@level"], "error");
            assert_eq!(line["@message"], message);
            let location = line["location"].as_str().expect("text");
            assert!(location.contains("log.rs:"), "{location}");
            assert!(line["backtrace"].is_string());
        }
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn dates_follow_the_calendar() {
        let written = |seconds| timestamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(written(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(written(951_782_399), "2000-02-28T23:59:59.000000Z");
        assert_eq!(written(951_782_400), "2000-02-29T00:00:00.000000Z");
        assert_eq!(written(951_868_800), "2000-03-01T00:00:00.000000Z");
        assert_eq!(written(4_107_542_400), "2100-03-01T00:00:00.000000Z");
        assert_eq!(written(1_735_689_599), "2024-12-31T23:59:59.000000Z");
    }

    #[test]
    fn the_most_particular_variable_decides_the_level() {
        let level = |variables: &[(&str, &str)]| {
            LogLevel::read("mcp-lambda", |name| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(level(&[]).level, LevelFilter::WARN);
        assert_eq!(level(&[("TF_LOG", "json")]).level, LevelFilter::TRACE);
        let two = [("TF_LOG", "trace"), ("TF_LOG_PROVIDER", "OFF")];
        assert_eq!(level(&two).level, LevelFilter::OFF);
        let three = [
            ("TF_LOG", "TRACE"),
            ("TF_LOG_PROVIDER", "INFO"),
            ("TF_LOG_PROVIDER_MCP_LAMBDA", "Debug"),
        ];
        assert_eq!(level(&three).level, LevelFilter::DEBUG);
        let unknown = level(&[("TF_LOG", "LOUD")]);
        assert_eq!(unknown.level, LevelFilter::INFO);
        assert_eq!(
            unknown.complaint.as_deref(),
            Some(
                "TF_LOG=\"LOUD\" is no log level; logging at INFO. Known levels: TRACE, DEBUG, \
                 INFO, WARN, ERROR, OFF, JSON"
            )
        );
    }
}
