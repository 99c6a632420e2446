//! The wake lateness of each loop as a picture: one SVG file, light or dark as its reader is.
//!
//! The percentile goes up, and each nine of it takes as much room as the one before, so that the tail is
//! seen; the lateness goes to the right, by powers of ten. Further left is better, and a steep line is a
//! loop that is always alike.

use std::fmt::Write as _;

use super::contender::Contender;
use super::figures::{Figures, us};
use super::pacing::Setting;

const WIDTH: f64 = 840.0;
const HEIGHT: f64 = 500.0;

/// The plot within the picture: left, right, top, bottom.
const LEFT: f64 = 76.0;
const RIGHT: f64 = WIDTH - 44.0;
const TOP: f64 = 112.0;
const BOTTOM: f64 = HEIGHT - 58.0;

/// Points of a line.
const POINTS: u32 = 240;

/// Labelled powers of ten of the lateness, in microseconds.
const DECADES: [(i32, &str); 9] = [
    (0, "1 µs"),
    (1, "10 µs"),
    (2, "100 µs"),
    (3, "1 ms"),
    (4, "10 ms"),
    (5, "100 ms"),
    (6, "1 s"),
    (7, "10 s"),
    (8, "100 s"),
];

const STYLE: &str = "
  svg { --page: #fff; --ink: #1c2230; --dim: #667085; --grid: #e4e7ec;
        --shard: #0a7d4f; --bare: #475467; --tokio: #b54708; --sleep: #6941c6; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #12151c; --ink: #f0f2f6; --dim: #98a2b3; --grid: #2a303c;
          --shard: #3ccb91; --bare: #a6b0c0; --tokio: #f79009; --sleep: #a48afb; }
  }
  text { font: 13px system-ui, sans-serif; fill: var(--dim); }
  .title { font-size: 18px; font-weight: 600; fill: var(--ink); }
  .name { fill: var(--ink); }
  .page { fill: var(--page); }
  .grid { stroke: var(--grid); stroke-width: 1; }
  .line { fill: none; stroke-width: 2.25; stroke-linejoin: round; stroke-linecap: round; }
  .bare { stroke-dasharray: 7 5; }
";

/// The picture.
pub(super) fn svg(setting: &Setting, figures: &[Figures]) -> String {
    let shown: Vec<&Figures> = figures.iter().filter(|of| !of.all_wakes.is_empty()).collect();
    let scale = Scale::new(&shown);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-labelledby=\"title\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\"/>\n"
    );
    let Setting { len, ticks, sessions, busy, class, cores, .. } = setting;
    let told = format!(
        "{ticks} ticks of {} ms a loop · {sessions} {} · {busy} busy threads on {cores} cores · class {class}",
        len.ms(),
        if *sessions == 1 { "session" } else { "sessions" },
    );
    label(&mut svg, (24.0, 34.0), "id=\"title\" class=\"title\"", "How late a loop wakes");
    label(&mut svg, (24.0, 56.0), "", &told);
    legend(&mut svg, &shown);
    scale.grid(&mut svg);
    for of in &shown {
        scale.line(&mut svg, of);
    }
    svg.push_str("</svg>\n");
    svg
}

/// From values to places.
struct Scale {
    /// Powers of ten of microseconds at both ends.
    from: f64,
    to: f64,
    /// Nines of the percentile at the top.
    nines: f64,
}

impl Scale {
    fn new(figures: &[&Figures]) -> Self {
        let least = figures.iter().map(|of| us(&of.all_wakes, 0.0)).fold(f64::MAX, f64::min);
        let most = figures.iter().map(|of| us(&of.all_wakes, 1.0)).fold(1.0, f64::max);
        let count = figures.iter().map(|of| of.all_wakes.len()).max().unwrap_or(1);
        let from = least.clamp(1.0, most).log10().floor();
        Self {
            from,
            to: most.log10().ceil().max(from + 1.0),
            nines: (count as f64).log10().max(1.0),
        }
    }

    fn x(&self, us: f64) -> f64 {
        let at = (us.max(1.0).log10() - self.from) / (self.to - self.from);
        LEFT + at.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    /// Of a percentile with so many nines: 1 is 90 %, 2 is 99 %.
    fn y(&self, nines: f64) -> f64 {
        BOTTOM - nines / self.nines * (BOTTOM - TOP)
    }

    fn grid(&self, svg: &mut String) {
        for (power, name) in DECADES {
            if f64::from(power) >= self.from && f64::from(power) <= self.to {
                let x = self.x(10_f64.powi(power));
                rule(svg, (x, TOP), (x, BOTTOM));
                label(svg, (x, BOTTOM + 22.0), "text-anchor=\"middle\"", name);
            }
        }
        let percents = [(0.0, "0 %"), (0.5_f64, "50 %"), (0.9, "90 %"), (0.99, "99 %")];
        let tails = [(0.999, "99.9 %"), (0.9999, "99.99 %"), (0.99999, "99.999 %")];
        for (percent, name) in percents.into_iter().chain(tails) {
            let nines = -(1.0 - percent).log10();
            if nines <= self.nines {
                let y = self.y(nines);
                rule(svg, (LEFT, y), (RIGHT, y));
                label(svg, (LEFT - 10.0, y + 4.5), "text-anchor=\"end\"", name);
            }
        }
        let middle = f64::midpoint(LEFT, RIGHT);
        let what = "from the deadline to the thread running";
        label(svg, (middle, HEIGHT - 14.0), "text-anchor=\"middle\"", what);
    }

    fn line(&self, svg: &mut String, of: &Figures) {
        let most = (of.all_wakes.len() as f64).log10().min(self.nines);
        let mut points = String::new();
        for point in 0..=POINTS {
            let nines = most * f64::from(point) / f64::from(POINTS);
            let us = us(&of.all_wakes, 1.0 - 10_f64.powf(-nines));
            let _ = write!(points, "{:.1},{:.1} ", self.x(us), self.y(nines));
        }
        let name = of.contender.name();
        let _ = writeln!(
            svg,
            "<polyline class=\"line {name}\" style=\"stroke: var(--{name})\" points=\"{}\"/>",
            points.trim_end()
        );
    }
}

/// Each loop's line and name, in two rows.
fn legend(svg: &mut String, figures: &[&Figures]) {
    for (at, of) in figures.iter().enumerate() {
        let name = of.contender.name();
        let x = 24.0 + (at % 2) as f64 * 400.0;
        let y = 78.0 + (at / 2) as f64 * 18.0;
        let _ = writeln!(
            svg,
            "<line class=\"line {name}\" style=\"stroke: var(--{name})\" x1=\"{x}\" y1=\"{y}\" x2=\"{}\" \
             y2=\"{y}\"/>",
            x + 26.0
        );
        label(svg, (x + 34.0, y + 4.5), "class=\"name\"", legend_of(of.contender));
    }
}

const fn legend_of(contender: Contender) -> &'static str {
    match contender {
        Contender::Shard => "Antiphon's shard",
        Contender::Bare => "clock_nanosleep and no work: the limit",
        Contender::Tokio => "tokio::time::interval",
        Contender::Sleep => "sleeping for the rest of the tick",
    }
}

fn rule(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line class=\"grid\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn label(svg: &mut String, (x, y): (f64, f64), attributes: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{text}</text>");
}
