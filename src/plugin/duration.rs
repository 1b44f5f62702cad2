//! Durations as Terraform's users write them: `"30m"`, `"1h30m"`, `"1.5s"`.
//!
//! Source of the notation: Go's `time.ParseDuration`. Refuses: signs, and anything that is not longer than zero.

use std::time::Duration;

/// Reads a duration in Go's notation; units `ns us µs ms s m h`.
///
/// # Errors
///
/// A text for the user, when `text` is not such a duration, or zero, or longer than 10 years.
pub fn parse(text: &str) -> Result<Duration, String> {
    let refuse = || {
        format!(
            "\"{text}\" is not a duration: write a number and a unit (\"h\", \"m\" or \"s\"), such as \"30m\" or \"1h30m\""
        )
    };
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let factor = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(refuse()),
        };
        let number: f64 = number.parse().map_err(|_| refuse())?;
        seconds += number * factor;
        rest = after;
    }
    const TEN_YEARS: f64 = 10.0 * 365.0 * 24.0 * 3600.0;
    match Duration::try_from_secs_f64(seconds) {
        _ if text.is_empty() => Err(refuse()),
        Ok(duration) if duration.is_zero() => Err(format!("\"{text}\" must be longer than zero")),
        Ok(duration) if seconds <= TEN_YEARS => Ok(duration),
        _ => Err(format!("\"{text}\" is longer than 10 years")),
    }
}

/// Writes whole seconds in the same notation: `1h30m`.
#[must_use]
pub fn format(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    for (count, unit) in [(hours, 'h'), (minutes, 'm'), (rest, 's')] {
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(parse("30m"), Ok(Duration::from_secs(1800)));
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(
            parse("2h0.5m3s4ms"),
            Ok(Duration::from_millis(2 * 3_600_000 + 33_004))
        );
        assert_eq!(format(Duration::from_secs(5400)), "1h30m");
    }

    #[test]
    fn what_is_no_positive_duration_is_refused() {
        for text in [
            "",
            "30",
            "m",
            "-5m",
            "5 m",
            "1d",
            "0s",
            "1..5s",
            "h30",
            "999999999h",
            "1e3s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
