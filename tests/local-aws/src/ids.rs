//! Random ids, and instants in the notations that AWS uses.

use std::time::{SystemTime, UNIX_EPOCH};

/// A random (version 4) UUID.
pub(crate) fn uuid() -> String {
    let mut bytes = [0_u8; 16];
    random(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// `2 * bytes` random hexadecimal digits.
pub(crate) fn random_hex(bytes: usize) -> String {
    let mut random_bytes = vec![0_u8; bytes];
    random(&mut random_bytes);
    hex(&random_bytes)
}

/// `Root=1-TIME-ID;Parent=ID;Sampled=0`, as X-Ray's header is written.
pub(crate) fn trace_id() -> String {
    let seconds = epoch_ms(SystemTime::now()) / 1000;
    format!(
        "Root=1-{seconds:08x}-{};Parent={};Sampled=0",
        random_hex(12),
        random_hex(8)
    )
}

fn random(bytes: &mut [u8]) {
    // SAFETY: the pointer and length describe `bytes`, which outlives the call.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    // Requests of up to 256 bytes cannot be interrupted or cut short (getrandom(2)).
    assert_eq!(
        usize::try_from(filled),
        Ok(bytes.len()),
        "getrandom gives what is asked"
    );
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Milliseconds since 1970.
pub(crate) fn epoch_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A calendar instant in UTC.
struct Utc {
    date: (u64, u64, u64),
    time: (u64, u64, u64),
    ms: u64,
}

fn utc(at: SystemTime) -> Utc {
    let ms = epoch_ms(at);
    let seconds = ms / 1000;
    // Civil date from a day count, counted from 0000-03-01 so that the leap day ends the year
    // (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    Utc {
        date: (year, month, day),
        time: (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60),
        ms: ms % 1000,
    }
}

/// `2026-11-22T20:00:42.123+0000`, as Lambda writes `LastModified`.
pub(crate) fn last_modified(at: SystemTime) -> String {
    iso(at, "+0000")
}

/// `2026-11-22T20:00:42.123Z`.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    iso(at, "Z")
}

fn iso(at: SystemTime, zone: &str) -> String {
    let Utc {
        date: (year, month, day),
        time: (hour, minute, second),
        ms,
    } = utc(at);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}{zone}")
}

/// `22/Nov/2026:20:00:42 +0000`, as HTTP events tell the time.
pub(crate) fn log_time(at: SystemTime) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let Utc {
        date: (year, month, day),
        time: (hour, minute, second),
        ..
    } = utc(at);
    let month = usize::try_from(month).map_or("", |month| MONTHS[month - 1]);
    format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
}

/// `2026/11/22`, as Lambda begins the names of log streams.
pub(crate) fn log_stream_date(at: SystemTime) -> String {
    let (year, month, day) = utc(at).date;
    format!("{year:04}/{month:02}/{day:02}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn instants_are_written_as_aws_writes_them() {
        let at = |seconds: u64, ms| UNIX_EPOCH + Duration::from_millis(seconds * 1000 + ms);
        assert_eq!(last_modified(at(0, 0)), "1970-01-01T00:00:00.000+0000");
        assert_eq!(rfc3339(at(951_782_400, 7)), "2000-02-29T00:00:00.007Z");
        assert_eq!(rfc3339(at(1_795_377_642, 123)), "2026-11-22T20:00:42.123Z");
        assert_eq!(
            log_time(at(1_583_348_638, 390)),
            "04/Mar/2020:19:03:58 +0000"
        );
        assert_eq!(log_stream_date(at(1_767_225_599, 0)), "2025/12/31");
    }

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        let id = uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]), "{id}");
        assert_ne!(id, uuid());
    }
}
