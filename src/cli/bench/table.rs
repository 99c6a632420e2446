//! The figures as a person reads them.

use std::fmt::Write as _;

use super::contender::Contender;
use super::figures::{Figures, Quantiles, Ratios, Spread};
use super::pacing::Setting;

/// Width of the first column, of a count, and of the others.
const NAME: usize = 12;
const COUNT: usize = 9;
const CELL: usize = 20;

/// Where there is nothing to tell.
const NONE: &str = "–";

/// Where a loop had no time to sleep.
const NEVER_SLEPT: &str = "never slept";

/// All tables.
pub(super) fn text(setting: &Setting, figures: &[Figures]) -> String {
    let mut text = head(setting);
    quantiles(
        &mut text,
        "wake lateness: from the deadline to the thread running, where it had slept",
        ["wakes", "skipped"],
        figures.iter().map(|of| (of.contender.name(), of.wake, skipped(of))),
    );
    quantiles(
        &mut text,
        "session start lateness: from the deadline to the session's step",
        ["steps", "skipped"],
        working(figures).map(|of| (of.contender.name(), of.start, skipped(of))),
    );
    quantiles(
        &mut text,
        "work of a session's tick, with its edges and its journal",
        ["steps", ""],
        working(figures).map(|of| (of.contender.name(), of.work, String::new())),
    );
    for of in figures.iter().filter(|of| !of.phases.is_empty()) {
        let title = format!("work by phase, {}", of.contender.name());
        let phases = of.phases.iter();
        let rows = phases.map(|(phase, of)| (phase.name(), Some(*of), String::new()));
        quantiles(&mut text, &title, ["steps", ""], rows);
    }
    keeping(&mut text, figures);
    ratios(&mut text, figures);
    text
}

fn working(figures: &[Figures]) -> impl Iterator<Item = &Figures> {
    figures.iter().filter(|of| of.contender.works())
}

/// Ticks that were never late, because they were not.
fn skipped(of: &Figures) -> String {
    if of.contender.works() { of.skipped.to_string() } else { NONE.to_owned() }
}

/// Nothing if there is no bare loop to compare with.
fn ratios(text: &mut String, figures: &[Figures]) {
    if !figures.iter().any(|of| of.contender == Contender::Bare && of.wake.is_some()) {
        return;
    }
    let title = "wake lateness as a multiple of the bare loop's, where both slept";
    row(text, title, &["p50", "p99", "repetitions"]);
    for of in working(figures) {
        let name = of.contender.name();
        match of.to_bare {
            Some(Ratios { slept, of, p50, p99 }) => {
                row(text, name, &[cell(p50, times), cell(p99, times), format!("{slept} of {of}")]);
            }
            None => row(text, name, &[NEVER_SLEPT]),
        }
    }
    text.push('\n');
}

fn head(setting: &Setting) -> String {
    let Setting { len, ticks, sessions, busy, class, cores, only } = setting;
    let mut text = format!(
        "{ticks} ticks of {} ms a loop, {sessions} {}, {busy} busy threads, class {class}, {cores} cores\n",
        len.ms(),
        if *sessions == 1 { "session" } else { "sessions" },
    );
    text += match only {
        Some(_) => {
            "In one piece; times in µs, k for thousands: the median of its five fifths (least–most).\n"
        }
        None => {
            "Five interleaved repetitions; times in µs, k for thousands: their median (least–most).\n"
        }
    };
    text += "No loop's thread has timer slack.\n\n";
    let shown = only.map_or(Contender::ALL.to_vec(), |only| vec![only]);
    for contender in shown {
        let _ = writeln!(text, "  {:<NAME$}{}", contender.name(), contender.is());
    }
    text.push('\n');
    text
}

/// Percentiles with the count that they are of, and one more column.
fn quantiles<'a>(
    text: &mut String,
    title: &str,
    [count, last]: [&str; 2],
    rows: impl Iterator<Item = (&'a str, Option<Quantiles>, String)>,
) {
    let _ = writeln!(text, "{title}");
    let names = ["p50", "p90", "p99", "p99.9", "max"].map(str::to_owned);
    wide(text, "", count, &names, last);
    for (name, of, last) in rows {
        let Some(of) = of else {
            let cells = [NEVER_SLEPT, NONE, NONE, NONE, NONE].map(str::to_owned);
            wide(text, name, "0", &cells, &last);
            continue;
        };
        let cells = of.named().map(|(_, spread)| {
            spread.map_or_else(|| NONE.to_owned(), |spread| cell(spread, number))
        });
        wide(text, name, &of.count.to_string(), &cells, &last);
    }
    text.push('\n');
}

/// A row of percentiles between two narrow columns.
fn wide(text: &mut String, name: &str, count: &str, cells: &[String; 5], last: &str) {
    let _ = write!(text, "  {name:<NAME$} {count:>COUNT$}");
    for cell in cells {
        let _ = write!(text, " {cell:>CELL$}");
    }
    let _ = write!(text, " {last:>COUNT$}");
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

fn keeping(text: &mut String, figures: &[Figures]) {
    let _ = writeln!(text, "drift, and ticks not kept");
    row(text, "", &["drift µs", "trend ppm", "overruns", "skipped"]);
    for of in figures {
        let drift = of.drift_us.map_or_else(String::new, |of| cell(of, number));
        let trend = of.trend_ppm.map_or_else(String::new, |of| cell(of, number));
        let [overruns, skipped] = if of.contender.works() {
            [of.overruns.to_string(), of.skipped.to_string()]
        } else {
            [NONE.to_owned(), NONE.to_owned()]
        };
        row(text, of.contender.name(), &[drift, trend, overruns, skipped]);
    }
    text.push('\n');
}

/// A name and cells; a name that is a sentence has a line of its own.
fn row(text: &mut String, name: &str, cells: &[impl AsRef<str>]) {
    if name.len() > NAME {
        let _ = writeln!(text, "{name}");
    }
    let _ = write!(text, "  {:<NAME$}", if name.len() > NAME { "" } else { name });
    for cell in cells {
        let _ = write!(text, " {:>CELL$}", cell.as_ref());
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

/// A median with its least and most.
fn cell(spread: Spread, shown: fn(f64) -> String) -> String {
    let Spread { median, min, max } = spread;
    let to = if min < 0.0 { " to " } else { "–" };
    format!("{} ({}{to}{})", shown(median), shown(min), shown(max))
}

/// A ratio.
fn times(value: f64) -> String {
    format!("{value:.2}")
}

/// A number as short as it can be: with a decimal where it is small, in thousands where it is large.
fn number(value: f64) -> String {
    let (value, unit) = if value.abs() < 9_999.5 { (value, "") } else { (value / 1_000.0, "k") };
    let digits = usize::from(value.abs() < 99.95);
    let text = format!("{value:.digits$}{unit}");
    if text == "-0.0" { "0.0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::recording::{Course, Recording, WARM_UP};
    use crate::clock::TickLen;

    #[test]
    fn a_shard_that_never_slept_is_in_the_tables() {
        let run = |wakes: bool| {
            let mut run = Recording::new(Course { ticks: 10, len_ns: 20_000_000, parts: 1 });
            for tick in WARM_UP..WARM_UP + 10 {
                if wakes {
                    run.woke(tick, 50_000);
                } else {
                    run.stepped(tick, 90_000_000, 25_000_000);
                    run.skipped(tick, 4);
                }
            }
            vec![run]
        };
        let (shard, bare) = (run(false), run(true));
        let figures = [
            Figures::new(Contender::Shard, &shard, &bare),
            Figures::new(Contender::Bare, &bare, &bare),
        ];
        let setting = Setting {
            len: TickLen::from_ms(20).unwrap(),
            ticks: 10,
            sessions: 1,
            busy: 0,
            class: "normal",
            cores: 2,
            only: None,
        };
        let text = text(&setting, &figures);
        let rows: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        let never: Vec<_> = rows.iter().filter(|row| row.ends_with(&["–", "40"])).collect();
        assert_eq!(never, [&["shard", "0", "never", "slept", "–", "–", "–", "–", "40"]], "{text}");
        assert!(rows.contains(&vec!["shard", "never", "slept"]), "no ratio:\n{text}");
        let started =
            rows.iter().find(|row| row.starts_with(&["shard", "10"])).expect("it started");
        assert_eq!(started.last(), Some(&"40"), "what was skipped is beside the lateness:\n{text}");
    }

    #[test]
    fn numbers_are_short_enough_for_a_cell() {
        let cases = [
            (0.0, "0.0"),
            (-0.01, "0.0"),
            (99.94, "99.9"),
            (99.96, "100"),
            (9_999.0, "9999"),
            (23_757.0, "23.8k"),
            (-338_952.0, "-339k"),
        ];
        for (value, shown) in cases {
            assert_eq!(number(value), shown, "{value}");
        }
        let spread = |median, min, max| cell(Spread { median, min, max }, number);
        assert_eq!(spread(338_952.0, 246_809.0, 404_226.0), "339k (247k–404k)");
        assert_eq!(spread(-2.9, -7.6, 7.8), "-2.9 (-7.6 to 7.8)");
    }
}
