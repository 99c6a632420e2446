//! What a worker of another process tells of its ticks: its metrics, as whoever watches it in production reads them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::figures::Lateness;
use crate::cli::failure::Failure;

/// How long metrics may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// From which lateness on a tick is late, in seconds.
const TICK_S: f64 = 0.020;

/// The meters of a moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Scraped {
    pub(super) ticks: u64,
    pub(super) skipped: u64,
    pub(super) turns: u64,
    /// Ticks that were at most so many seconds late.
    lateness: Vec<(f64, u64)>,
}

impl Scraped {
    /// Asks a worker at this address, `http://HOST:PORT/`.
    pub(super) fn of(http: &str) -> Result<Self, Failure> {
        let failed = |why: &dyn std::fmt::Display| {
            Failure::broken(format!("metrics of the bench's worker: {why}"))
        };
        let host = http.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(host).map_err(|why| failed(&why))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|why| failed(&why))?;
        let asked = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(asked.as_bytes()).map_err(|why| failed(&why))?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(|why| failed(&why))?;
        let scraped = Self::read(&text);
        if scraped.lateness.is_empty() {
            return Err(failed(&"there is no lateness among them"));
        }
        Ok(scraped)
    }

    fn read(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.trim().parse::<f64>() else { continue };
            let count = value as u64;
            match name {
                "antiphon_ticks_total" => all.ticks = count,
                "antiphon_tick_skipped_total" => all.skipped = count,
                "antiphon_turns_total" => all.turns = count,
                _ => {
                    let bound = name.strip_prefix("antiphon_tick_lateness_seconds_bucket{le=\"");
                    let bound = bound.and_then(|rest| rest.strip_suffix("\"}"));
                    let bound = bound.map(|le| le.parse().unwrap_or(f64::INFINITY));
                    all.lateness.extend(bound.map(|bound| (bound, count)));
                }
            }
        }
        all
    }

    /// What happened from an earlier moment on.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let lateness = self.lateness.iter().zip(&earlier.lateness);
        Self {
            ticks: self.ticks - earlier.ticks,
            skipped: self.skipped - earlier.skipped,
            turns: self.turns - earlier.turns,
            lateness: lateness.map(|(now, then)| (now.0, now.1 - then.1)).collect(),
        }
    }

    /// The lateness of ticks, each rounded up to the bound of its bucket.
    pub(super) fn lateness(&self) -> Lateness {
        let all = self.lateness.last().map_or(0, |&(_, count)| count);
        let at = |share: f64| {
            let wanted = (all as f64 * share).ceil() as u64;
            let found = self.lateness.iter().find(|&&(_, count)| count >= wanted.max(1));
            let last = self.lateness.iter().rev().find(|(bound, _)| bound.is_finite());
            found.or(last).map_or(0.0, |&(bound, _)| bound.min(60.0) * 1e6)
        };
        let in_time = self.lateness.iter().rev().find(|(bound, _)| *bound <= TICK_S);
        Lateness {
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: at(1.0),
            late: all - in_time.map_or(0, |&(_, count)| count),
            skipped: self.skipped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_read_from_the_buckets_that_came_in_between() {
        let text = |counts: [u64; 4]| {
            let [a, b, c, d] = counts;
            let bucket = "antiphon_tick_lateness_seconds_bucket";
            format!(
                "HTTP/1.1 200 OK\r\n\r\n# TYPE x counter\nantiphon_ticks_total {d}\n{bucket}{{le=\"0.001\"}} {a}\n\
                 {bucket}{{le=\"0.02\"}} {b}\n{bucket}{{le=\"0.1\"}} {c}\n{bucket}{{le=\"+Inf\"}} {d}\n"
            )
        };
        let before = Scraped::read(&text([5, 5, 5, 5]));
        let between = Scraped::read(&text([995, 1_003, 1_005, 1_005])).since(&before);
        assert_eq!(between.ticks, 1_000);
        let Lateness { p50_us, p99_us, p999_us, max_us, late, .. } = between.lateness();
        assert_eq!([p50_us, p99_us, p999_us, max_us], [1e3, 1e3, 1e5, 1e5]);
        assert_eq!(late, 2);
    }
}
