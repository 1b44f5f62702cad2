//! How old a release must be to be chosen: `minimum_package_age` and the time in, the last moment of publication that will do out.
//!
//! Only what is resolved obeys: what a lock or a lock file pins was reviewed by its owner. Refuses nothing itself; a moment that a tool or a
//! registry writes in another way than expected is none.
//!
//! Source of the calendar: RFC 3339, in which `uv`, `npm` and their registries write moments.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 60 * 60;

/// How old a release must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinimumAge(Duration);

impl MinimumAge {
    /// `None` for no days at all, and for what is no number of days.
    #[must_use]
    pub fn days(days: f64) -> Option<Self> {
        let age = Duration::try_from_secs_f64(days * DAY as f64).ok()?;
        (!age.is_zero()).then_some(Self(age))
    }

    /// The last moment of publication that will do at `now`.
    pub(crate) fn last(self, now: SystemTime) -> SystemTime {
        now.checked_sub(self.0)
            .map_or(UNIX_EPOCH, |last| last.max(UNIX_EPOCH))
    }
}

/// `7 days`, `1 day`, `12 hours`.
impl fmt::Display for MinimumAge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&span(self.0))
    }
}

/// How long before `now` something was published, in days, or hours where it is less than two days: `3 days`.
pub(crate) fn age(published: SystemTime, now: SystemTime) -> String {
    span(now.duration_since(published).unwrap_or_default())
}

fn span(duration: Duration) -> String {
    let hours = duration.as_secs() / 3600;
    let (count, unit) = match hours {
        0..48 if !duration.as_secs().is_multiple_of(DAY) || hours == 0 => (hours, "hour"),
        _ => (duration.as_secs() / DAY, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// A moment as RFC 3339 has it, in whole seconds of UTC.
pub(crate) fn rfc3339(moment: SystemTime) -> String {
    let seconds = moment
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (mut days, second) = (seconds / DAY, seconds % DAY);
    let mut year = 1970;
    while days >= days_of(year) {
        days -= days_of(year);
        year += 1;
    }
    let mut month = 1;
    while days >= days_in(year, month) {
        days -= days_in(year, month);
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!(
        "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
        days + 1
    )
}

/// A moment as RFC 3339 has it, without its fraction of a second.
pub(crate) fn from_rfc3339(text: &str) -> Option<SystemTime> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let mut date = date.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    moment(year, month, day, time, zone)
}

/// A moment as JavaScript prints dates: `Tue Sep 01 2026 00:00:00 GMT+0000 (…)`.
pub(crate) fn from_javascript(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_whitespace().skip(1);
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (time, zone) = (words.next()?, words.next()?);
    moment(year, month, day, time, zone.trim_start_matches("GMT"))
}

/// `time` is `hh:mm:ss` with or without a fraction, `zone` is `Z`, `+hh:mm` or `+hhmm`.
fn moment(year: u64, month: u64, day: u64, time: &str, zone: &str) -> Option<SystemTime> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    if day < 1 || day > days_in(year, month) {
        return None;
    }
    let days: u64 = (1970..year).map(days_of).sum::<u64>()
        + (1..month).map(|month| days_in(year, month)).sum::<u64>()
        + day
        - 1;
    let mut time = time.split('.').next()?.split(':').map(str::parse::<u64>);
    let mut part = || time.next()?.ok();
    let seconds = part()? * 3600 + part()? * 60 + part()?;
    let at = UNIX_EPOCH + Duration::from_secs(days * DAY + seconds);
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    let offset = match digits.len() {
        0 => 0,
        4 => digits[..2].parse::<u64>().ok()? * 3600 + digits[2..].parse::<u64>().ok()? * 60,
        _ => return None,
    };
    let offset = Duration::from_secs(offset);
    match zone.starts_with('-') {
        true => at.checked_add(offset),
        false => at.checked_sub(offset),
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A length of time as ISO 8601 has it, of weeks, days, hours, minutes and seconds: `P2W`, `P1DT12H`.
pub(crate) fn from_iso_span(text: &str) -> Option<Duration> {
    let mut in_time = false;
    let mut number = String::new();
    let mut seconds = 0;
    for c in text.strip_prefix('P')?.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        if c == 'T' && !in_time && number.is_empty() {
            in_time = true;
            continue;
        }
        let unit = match (c, in_time) {
            ('W', false) => 7 * DAY,
            ('D', false) => DAY,
            ('H', true) => 3600,
            ('M', true) => 60,
            ('S', true) => 1,
            // Months and years have no one length.
            _ => return None,
        };
        seconds += number.parse::<u64>().ok()?.checked_mul(unit)?;
        number.clear();
    }
    number.is_empty().then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-26T07:10:00Z", 1_795_677_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            let moment = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(rfc3339(moment), text);
            assert_eq!(from_rfc3339(text), Some(moment), "{text}");
        }
        let moment = from_rfc3339("2026-11-26T07:10:00Z");
        for same in [
            "2026-11-26T07:10:00.631000+00:00",
            "2026-11-26T09:40:00.5+02:30",
            "2026-11-25t23:10:00-08:00",
        ] {
            assert_eq!(from_rfc3339(same), moment, "{same}");
        }
        for same in [
            "Thu Nov 26 2026 07:10:00 GMT+0000 (Coordinated Universal Time)",
            "Thu Nov 26 2026 02:10:00 GMT-0500",
        ] {
            assert_eq!(from_javascript(same), moment, "{same}");
        }
        for none in [
            "",
            "2026-11-26",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "soon",
        ] {
            assert_eq!(from_rfc3339(none), None, "{none}");
            assert_eq!(from_javascript(none), None, "{none}");
        }
    }

    #[test]
    fn ages_and_spans_are_told_in_days_or_hours() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_677_000);
        for (seconds, expected) in [
            (0, "0 hours"),
            (3600, "1 hour"),
            (20 * 3600, "20 hours"),
            (DAY, "1 day"),
            (30 * 3600, "30 hours"),
            (3 * DAY + 5, "3 days"),
        ] {
            assert_eq!(age(now - Duration::from_secs(seconds), now), expected);
        }
        for (days, expected) in [
            (7.0, Some("7 days")),
            (1.0, Some("1 day")),
            (0.5, Some("12 hours")),
            (0.0, None),
            (-1.0, None),
            (f64::NAN, None),
        ] {
            let shown = MinimumAge::days(days).map(|age| age.to_string());
            assert_eq!(shown.as_deref(), expected, "{days}");
        }
        let week = MinimumAge::days(7.0).expect("some days");
        assert_eq!(rfc3339(week.last(now)), "2026-11-19T07:10:00Z");
        for (text, expected) in [
            ("P2W", Some(14 * DAY)),
            ("P1DT12H", Some(36 * 3600)),
            ("PT1M30S", Some(90)),
            ("P1M", None),
            ("P1", None),
            ("7 days", None),
        ] {
            assert_eq!(
                from_iso_span(text),
                expected.map(Duration::from_secs),
                "{text}"
            );
        }
    }
}
