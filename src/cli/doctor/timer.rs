//! How late threads wake up that sleep until a moment, as those of ticks do.

use serde_json::{Value, json};

use super::finding::Finding;
use crate::host::pace::{Clock, sharpen};
use crate::host::watchdog::enlist;

/// How long is slept at a time, and how often: half a second for each class.
const SLEEP_NS: u64 = 2_000_000;
const SLEEPS: u64 = 250;

/// A hundredth of sleeps may be this late, in microseconds: a tenth of the shortest tick. Beyond that there is something
/// to be mended.
const LATE_US: f64 = 2_000.0;

/// So late a tick is over before it has begun, in microseconds.
const TICK_US: f64 = 20_000.0;

pub(super) fn timer() -> Finding {
    let (ordinary, real_time) = (measured(false), measured(true));
    let slack = std::fs::read_to_string("/proc/self/timerslack_ns");
    let slack_ns = slack.ok().and_then(|text| text.trim().parse().ok());
    judged(ordinary, real_time, slack_ns)
}

/// How late sleeps ended, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Lateness {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Lateness {
    fn of(mut all: Vec<f64>) -> Option<Self> {
        all.sort_by(f64::total_cmp);
        let at = |share: f64| all.get(((all.len() as f64 * share) as usize).min(all.len() - 1));
        let max = all.last()?;
        Some(Self { p50: *at(0.50)?, p99: *at(0.99)?, max: *max })
    }

    fn to_json(self) -> Value {
        let rounded = |us: f64| (us * 10.0).round() / 10.0;
        json!({ "p50": rounded(self.p50), "p99": rounded(self.p99), "max": rounded(self.max) })
    }
}

impl std::fmt::Display for Lateness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:.0} µs, p99 {:.0} µs, at most {:.0} µs", self.p50, self.p99, self.max)
    }
}

/// Of sleeps on a thread of its own; none where the class is not permitted.
fn measured(real_time: bool) -> Option<Lateness> {
    let sleeper = move || {
        sharpen();
        let enlisted = if real_time { Some(enlist()?) } else { None };
        let clock = Clock::default();
        let begin = clock.now();
        let late = (1..=SLEEPS).map(|number| {
            let due = begin.after_ns(number * SLEEP_NS);
            let woke = clock.sleep_until(due).unwrap_or_else(|| clock.now());
            woke.since_ns(due) as f64 / 1e3
        });
        let late = late.collect();
        drop(enlisted);
        Lateness::of(late)
    };
    std::thread::spawn(sleeper).join().ok()?
}

fn judged(
    ordinary: Option<Lateness>,
    real_time: Option<Lateness>,
    slack_ns: Option<u64>,
) -> Finding {
    let (class, other) = match (real_time, ordinary) {
        (Some(late), _) => (("real-time", late), ordinary),
        (None, Some(late)) => (("ordinary", late), None),
        (None, None) => {
            let remedy = "end other programs, or raise the limit of threads (`ulimit -u`)";
            return Finding::failed("no thread could be started", remedy);
        }
    };
    let (name, late) = class;
    let slack = slack_ns.map_or_else(String::new, |ns| {
        format!("; the system's slack of {} µs is taken off", ns / 1_000)
    });
    let other = other.map_or_else(String::new, |late| format!("; in the ordinary class {late}"));
    let found = format!("sleeps end late in the {name} class by {late}{other}{slack}");
    let remedy = if name == "ordinary" {
        "let it have the real-time class (see `class`), or end what computes beside it; give a virtual machine cores of \
         its own"
    } else {
        "give a virtual machine cores of its own, and look for what keeps the kernel (power saving, drivers: `cyclictest` \
         shows it)"
    };
    let finding = if late.p99 >= TICK_US {
        Finding::failed(format!("{found}: a tick of 20 ms would be over"), remedy)
    } else if late.p99 > LATE_US || late.max >= TICK_US {
        Finding::warning(found, remedy)
    } else {
        Finding::ok(found)
    };
    finding.with(json!({
        "ordinary_us": ordinary.map(Lateness::to_json),
        "real_time_us": real_time.map(Lateness::to_json),
        "slack_ns": slack_ns,
        "sleeps": SLEEPS,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn the_class_that_ticks_are_in_is_judged() {
        let late = |p99: f64| Some(Lateness { p50: p99 / 2.0, p99, max: p99 });
        assert_eq!(judged(late(90.0), None, Some(50_000)).state, State::Ok);
        assert_eq!(judged(late(9_000.0), late(90.0), None).state, State::Ok);
        let State::Warning(remedy) = judged(late(9_000.0), None, None).state else { panic!("ok") };
        assert!(remedy.contains("real-time class"), "{remedy}");
        let State::Failed(remedy) = judged(None, late(30_000.0), None).state else { panic!("ok") };
        assert!(remedy.contains("virtual machine"), "{remedy}");
        assert!(matches!(judged(None, None, None).state, State::Failed(_)));
    }

    #[test]
    fn percentiles_are_of_all_sleeps() {
        let all = (1..=100).rev().map(f64::from).collect();
        assert_eq!(Lateness::of(all), Some(Lateness { p50: 51.0, p99: 100.0, max: 100.0 }));
        assert_eq!(Lateness::of(Vec::new()), None);
    }
}
