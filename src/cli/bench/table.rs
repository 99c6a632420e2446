//! The figures as a person reads them.

use std::fmt::Write as _;

use super::contender::Contender;
use super::figures::{Figures, Quantiles, Ratios, Spread};
use super::pacing::Setting;

/// Width of the first column, and of the others.
const NAME: usize = 12;
const CELL: usize = 20;

/// All tables.
pub(super) fn text(setting: &Setting, figures: &[Figures]) -> String {
    let mut text = head(setting);
    quantiles(
        &mut text,
        "wake lateness: from the deadline to the thread running, where it had slept",
        figures.iter().filter_map(|of| Some((of.contender.name(), of.wake?))),
    );
    quantiles(
        &mut text,
        "session start lateness: from the deadline to the session's step",
        figures.iter().filter_map(|of| Some((of.contender.name(), of.start?))),
    );
    quantiles(
        &mut text,
        "work of a session's tick, with its edges and its journal",
        figures.iter().filter_map(|of| Some((of.contender.name(), of.work?))),
    );
    for of in figures.iter().filter(|of| !of.phases.is_empty()) {
        let title = format!("work by phase, {}", of.contender.name());
        quantiles(&mut text, &title, of.phases.iter().map(|(phase, of)| (phase.name(), *of)));
    }
    keeping(&mut text, figures);
    let ratios: Vec<_> =
        figures.iter().filter_map(|of| Some((of.contender, of.to_bare?))).collect();
    if !ratios.is_empty() {
        row(&mut text, "wake lateness as a multiple of the bare loop's", &["p50", "p99"]);
        for (contender, Ratios { p50, p99 }) in ratios {
            row(&mut text, contender.name(), &[cell(p50, times), cell(p99, times)]);
        }
        text.push('\n');
    }
    text
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

fn quantiles<'a>(text: &mut String, title: &str, rows: impl Iterator<Item = (&'a str, Quantiles)>) {
    let mut rows = rows.peekable();
    let Some((_, first)) = rows.peek() else { return };
    let _ = writeln!(text, "{title}");
    row(text, "", &first.named().map(|(name, _)| name));
    for (name, of) in rows {
        row(text, name, &of.named().map(|(_, spread)| cell(spread, number)));
    }
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
            ["-".to_owned(), "-".to_owned()]
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
