//! A moment of a call on the command line: a tick, or a time.

use std::str::FromStr;

use crate::clock::{Tick, TickLen};

/// A moment of a call: a number is a tick; with `s` or `ms` behind it, or as minutes and seconds, it is
/// a time from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Tick(u64),
    Ms(u64),
}

impl Moment {
    /// The tick in which it is.
    pub(super) const fn tick(self, len: TickLen) -> Tick {
        match self {
            Self::Tick(tick) => Tick(tick),
            Self::Ms(ms) => Tick(ms / len.ms() as u64),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is no moment; write a tick (4021), or a time (80.42s, 500ms, 1:20.4)")
        };
        let ms = |text: &str, scale: f64| {
            let value: f64 = text.trim().parse().map_err(|_| wrong())?;
            // A hundred days: longer than any call.
            let in_range = value >= 0.0 && value * scale <= 8.64e9;
            if in_range { Ok((value * scale).round() as u64) } else { Err(wrong()) }
        };
        if let Some(text) = text.strip_suffix("ms") {
            return Ok(Self::Ms(ms(text, 1.0)?));
        }
        if let Some(text) = text.strip_suffix('s') {
            return Ok(Self::Ms(ms(text, 1_000.0)?));
        }
        if let Some((minutes, seconds)) = text.split_once(':') {
            let minutes: u64 = minutes.parse().map_err(|_| wrong())?;
            let seconds = ms(seconds, 1_000.0)?;
            return minutes
                .checked_mul(60_000)
                .and_then(|whole| whole.checked_add(seconds))
                .map(Self::Ms)
                .ok_or_else(wrong);
        }
        text.parse().map(Self::Tick).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_tick_or_a_time() {
        let read = |text: &str| text.parse::<Moment>();
        assert_eq!(read("4021"), Ok(Moment::Tick(4_021)));
        assert_eq!(read("80.42s"), Ok(Moment::Ms(80_420)));
        assert_eq!(read("500ms"), Ok(Moment::Ms(500)));
        assert_eq!(read("1:20.4"), Ok(Moment::Ms(80_400)));
        for wrong in ["", "-1", "8x", "s", "-3s", "1e99s", "nan ms", "9999999999999999999:1"] {
            assert!(read(wrong).unwrap_err().contains("is no moment"), "{wrong}");
        }
        let len = TickLen::from_ms(20).unwrap();
        assert_eq!(Moment::Ms(80_439).tick(len), Tick(4_021));
    }
}
