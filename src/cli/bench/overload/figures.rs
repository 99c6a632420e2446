//! What a run came to, step by step.

use std::fmt::Write as _;

use serde::Serialize;

/// A run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Run {
    /// Whether the thread of ticks was in the real-time class, and how often it was put back from it.
    pub(super) real_time: bool,
    pub(super) demotions: u32,
    /// Threads that took the processors meanwhile.
    pub(super) burn: usize,
    pub(super) steps: Vec<Step>,
    /// The stages, in the order in which they were entered, with the milliseconds since the beginning.
    pub(super) stages: Vec<(u64, &'static str)>,
    /// Gaps in running audio, look by look.
    pub(super) gaps: Vec<Gap>,
    /// For how many ticks each session was under strain that was there all the time.
    pub(super) strained_ticks: Vec<u64>,
    /// How often sessions were put under strain, each.
    pub(super) episodes: u64,
}

/// A step of the ramp.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Step {
    pub(super) name: &'static str,
    /// Sessions at its end.
    pub(super) sessions: usize,
    /// The share of its time that the thread of ticks worked.
    pub(super) share: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) max_us: f64,
    /// The stage at its end.
    pub(super) stage: &'static str,
    /// Sessions that asked to come and were refused.
    pub(super) refused: usize,
    /// Pages that were left out.
    pub(super) shed: u64,
    /// Sessions that do less, at its end.
    pub(super) strained: u64,
    /// Ticks that were jumped over: gaps in audio.
    pub(super) skipped: u64,
    /// The share of the time for which the thread of ticks was ready and had no processor.
    pub(super) waited: f64,
}

/// Ticks that were jumped over between two looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Gap {
    /// Milliseconds since the beginning.
    pub(super) ms: u64,
    pub(super) skipped: u64,
    /// The stage when it happened.
    pub(super) stage: &'static str,
    /// For how long the thread of ticks had no processor, in this look and the one before, in milliseconds.
    pub(super) waited_ms: u64,
}

impl Run {
    /// As a person reads it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let class = if self.real_time { "real-time" } else { "ordinary" };
        let demoted = match self.demotions {
            0 => String::new(),
            times => format!(", demoted {times}×"),
        };
        let burn = match self.burn {
            0 => String::new(),
            burn => format!("; {burn} threads compute during the steps marked *"),
        };
        let row = |of: [&str; 11]| {
            let [name, rest @ ..] = of;
            let mut row = format!("{name:<14}");
            for cell in rest {
                write!(row, "{cell:>10}").expect("a string takes everything");
            }
            row.trim_end().to_owned() + "\n"
        };
        writeln!(text, "overload: one thread of ticks in the {class} class{demoted}{burn}\n")
            .expect("a string takes everything");
        text += &row([
            "step", "sessions", "share", "p50 µs", "p99 µs", "stage", "refused", "shed",
            "strained", "gaps", "no CPU",
        ]);
        for of in &self.steps {
            let percent = |share: f64| format!("{:.0} %", share * 100.0);
            text += &row([
                of.name,
                &of.sessions.to_string(),
                &percent(of.share),
                &format!("{:.0}", of.p50_us),
                &format!("{:.0}", of.p99_us),
                of.stage,
                &of.refused.to_string(),
                &of.shed.to_string(),
                &of.strained.to_string(),
                &of.skipped.to_string(),
                &percent(of.waited),
            ]);
        }
        let stages: Vec<String> = self
            .stages
            .iter()
            .map(|(ms, name)| format!("{name} at {:.1} s", *ms as f64 / 1e3))
            .collect();
        writeln!(text, "\nstages: {}", stages.join(", ")).expect("a string takes everything");
        text
    }
}
