//! Dates: the epoch plus the time of a tick, as RFC 3339 in UTC with milliseconds.
//!
//! **Invariant:** no allocation and no table: the date is arithmetic on days, exact from 1970 to 9999.

/// The last instant with four digits of year; what is later is written as this.
const LAST_MS: u64 = 253_402_300_799_999;

/// The instant `unix_ms` milliseconds after 1970, as `2026-01-01T09:00:00.000Z`.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> [u8; 24] {
    let unix_ms = unix_ms.min(LAST_MS);
    let (year, month, day) = date(unix_ms / 86_400_000);
    let ms = unix_ms % 86_400_000;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put(&mut text[..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], ms / 3_600_000);
    put(&mut text[14..16], ms / 60_000 % 60);
    put(&mut text[17..19], ms / 1_000 % 60);
    put(&mut text[20..23], ms % 1_000);
    text
}

/// Year, month and day, so many days after 1970-01-01. Counted in years that begin in March, the leap
/// day is the last of its year, and months follow a line: 153 days are five of them.
const fn date(days: u64) -> (u64, u64, u64) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01; 146,097 days are 400 years.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + (month <= 2) as u64, month, day)
}

fn put(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Epoch;

    fn text(unix_ms: u64) -> String {
        String::from_utf8(rfc3339(unix_ms).to_vec()).unwrap()
    }

    #[test]
    fn dates_have_milliseconds_even_where_there_are_none() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_825_600_020), "2000-02-29T12:00:00.020Z");
        assert_eq!(text(1_767_258_000_000), "2026-01-01T09:00:00.000Z");
        assert_eq!(text(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn a_date_is_read_as_the_instant_it_was_written_for(unix_ms in 0..=LAST_MS) {
            let epoch: Epoch = text(unix_ms).parse().unwrap();
            prop_assert_eq!(epoch.unix_ms(), unix_ms);
        }
    }
}
