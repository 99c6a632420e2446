//! The wall time at which a session's tick 0 stands.
//!
//! The core knows ticks only. Where a date has to be said or written, it is this instant plus the
//! ticks; so a replay next year still says the same day.
//!
//! **Invariant:** an [`Epoch`] is between 1970 and 9999 and is written the one way in which it is
//! read: `2026-01-01T09:00:00Z`, with `.250` for milliseconds where there are any.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The shape of an instant as a JSON Schema pattern; the calendar is checked apart.
pub(super) const EPOCH: &str =
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3})?Z$";

const DAY_MS: u64 = 86_400_000;

/// An instant in UTC, in milliseconds since 1970. Default 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch {
    unix_ms: u64,
}

impl Epoch {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        self.unix_ms
    }

    /// The instant so many milliseconds after 1970-01-01T00:00:00Z; the last one that can be written for
    /// those after it.
    #[must_use]
    pub fn from_unix_ms(unix_ms: u64) -> Self {
        // 9999-12-31T23:59:59.999Z.
        const LAST_MS: u64 = 253_402_300_799_999;
        Self { unix_ms: unix_ms.min(LAST_MS) }
    }

    /// The day of the week, in English.
    #[must_use]
    pub fn weekday(self) -> &'static str {
        // The first of January 1970 was a Thursday.
        const DAYS: [&str; 7] =
            ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
        DAYS[(self.unix_ms / DAY_MS % 7) as usize]
    }
}

/// Why a text is no instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochError(&'static str);

impl fmt::Display for EpochError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for EpochError {}

impl FromStr for Epoch {
    type Err = EpochError;

    fn from_str(text: &str) -> Result<Self, EpochError> {
        const SHAPE: EpochError = EpochError("it is not of the form 2026-01-01T09:00:00Z");
        let rest = text.strip_suffix('Z').ok_or(SHAPE)?;
        let (rest, fraction) =
            rest.split_once('.').map_or((rest, None), |(rest, fraction)| (rest, Some(fraction)));
        let (date, time) = rest.split_once('T').ok_or(SHAPE)?;
        let number = |text: &str, width: usize| -> Result<u64, EpochError> {
            let digits = text.len() == width && text.bytes().all(|b| b.is_ascii_digit());
            text.parse().ok().filter(|_| digits).ok_or(SHAPE)
        };
        let three = |text: &str, between: char, first: usize| -> Result<[u64; 3], EpochError> {
            let mut parts = text.split(between);
            let mut next = |width| number(parts.next().unwrap_or_default(), width);
            let numbers = [next(first)?, next(2)?, next(2)?];
            if parts.next().is_some() { Err(SHAPE) } else { Ok(numbers) }
        };
        let [year, month, day] = three(date, '-', 4)?;
        let [hour, minute, second] = three(time, ':', 2)?;
        let milli = match fraction {
            None => 0,
            Some(digits) if (1..=3).contains(&digits.len()) => {
                number(digits, digits.len())?
                    * 10_u64.pow(3 - u32::try_from(digits.len()).unwrap_or(3))
            }
            Some(_) => {
                return Err(EpochError("it does not have one to three digits after the point"));
            }
        };
        if year < 1970 {
            return Err(EpochError("it is before 1970"));
        }
        if !(1..=12).contains(&month) {
            return Err(EpochError("there is no such month"));
        }
        if !(1..=month_days(year, month)).contains(&day) {
            return Err(EpochError("there is no such day in that month"));
        }
        if hour > 23 || minute > 59 || second > 59 {
            return Err(EpochError("there is no such time of day"));
        }
        let days = (1970..year).map(year_days).sum::<u64>()
            + (1..month).map(|m| month_days(year, m)).sum::<u64>()
            + day
            - 1;
        Ok(Self { unix_ms: days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + milli })
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn year_days(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // At most 8029 years and 12 months are counted off; this is written once per session.
        let (mut year, mut month, mut days) = (1970, 1, self.unix_ms / DAY_MS);
        while days >= year_days(year) {
            days -= year_days(year);
            year += 1;
        }
        while days >= month_days(year, month) {
            days -= month_days(year, month);
            month += 1;
        }
        let (day, ms) = (days + 1, self.unix_ms % DAY_MS);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match ms % 1000 {
            0 => f.write_str("Z"),
            milli => write!(f, ".{milli:03}Z"),
        }
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <Cow<'_, str>>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Epoch {
    fn schema_name() -> Cow<'static, str> {
        "Epoch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "pattern": EPOCH,
            "description": "An instant in UTC from 1970 to 9999, as in 2026-01-01T09:00:00Z.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn instants_are_read_and_written_the_same_way() {
        let table = [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.250Z", 250),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("2026-01-01T09:00:00Z", 1_767_258_000_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ];
        for (text, unix_ms) in table {
            let epoch: Epoch = text.parse().unwrap();
            assert_eq!((epoch.unix_ms(), epoch.to_string().as_str()), (unix_ms, text));
        }
        assert_eq!(
            "2026-01-01T09:00:00.5Z".parse::<Epoch>().unwrap().to_string(),
            "2026-01-01T09:00:00.500Z"
        );
    }

    #[test]
    fn what_is_no_instant_is_refused_with_a_reason() {
        let table = [
            ("2026-01-01", "form"),
            ("2026-01-01T09:00:00+02:00", "form"),
            ("2026-1-01T09:00:00Z", "form"),
            ("+026-01-01T09:00:00Z", "form"),
            ("2026-01-01T09:00Z", "form"),
            ("2026-01-01T09:00:00.Z", "three digits"),
            ("2026-13-01T09:00:00Z", "month"),
            ("2026-02-29T09:00:00Z", "day"),
            ("2026-01-01T24:00:00Z", "time"),
            ("1969-12-31T23:59:59Z", "1970"),
        ];
        for (text, reason) in table {
            let error = text.parse::<Epoch>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_survives_writing(unix_ms in 0..=253_402_300_799_999_u64) {
            let epoch = Epoch { unix_ms };
            prop_assert_eq!(epoch.to_string().parse(), Ok(epoch));
        }
    }
}
