//! What was measured, and what it means beside what is promised.
//!
//! **Invariant:** a promise is judged only where it speaks of what was measured; of everything else nothing is said.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Lateness from which a tick is late, in microseconds: a tick.
const TICK_US: f64 = 20_000.0;

/// The loss below which a run is good.
pub(super) const LOSS_MAX: f64 = 0.005;

/// What one measurement came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) depth: String,
    pub(super) sessions: u32,
    /// The share of the time for which each participant talks.
    pub(super) talk: f64,
    pub(super) seconds: u32,
    pub(super) complexity: u8,
    /// Who answers in rooms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) agent: Option<String>,
    /// Whether the threads of ticks were in the real-time class, and how often one was put back from it.
    pub(super) real_time: bool,
    pub(super) demotions: u32,
    /// Of processors, per session and tick, in microseconds.
    pub(super) cpu_us: f64,
    /// The share of a core that all sessions take.
    pub(super) cores: f64,
    /// The same work in bare Opus, before and after; none where no packet is decoded or encoded.
    pub(super) bare_us: Option<[f64; 2]>,
    /// The same while the sessions ran, where others have the processors with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bare_meanwhile_us: Option<f64>,
    /// Of processors by thread, per session and tick, in microseconds, where another process is measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) threads_us: Vec<(String, f64)>,
    /// Of the thread of ticks by phase of a tick, per session and tick, in microseconds by the clock, where the sessions are
    /// this process's own: what waits for a processor is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) phases_us: Vec<(String, f64)>,
    pub(super) memory: Option<Memory>,
    pub(super) lateness: Lateness,
    pub(super) ticks: u64,
    pub(super) turns: u64,
    pub(super) packets: Packets,
    /// Of those that were lost, what became of them, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) losses: BTreeMap<String, u64>,
    /// What real clients heard, where they are asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<String>,
    #[serde(default)]
    pub(super) content_right: Option<bool>,
}

/// How late ticks were, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Lateness {
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    pub(super) max_us: f64,
    /// Ticks that began a tick or more late.
    pub(super) late: u64,
    /// Ticks that were jumped over.
    pub(super) skipped: u64,
}

/// What became of packets, both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Packets {
    /// With speech, from participants and from agents.
    pub(super) decoded: u64,
    pub(super) encoded: u64,
    /// All.
    pub(super) sent: u64,
    pub(super) lost: u64,
}

/// What the process holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// Before any session.
    pub(super) base_kib: u64,
    /// More for each session beyond the first few; none where there are no more.
    pub(super) session_kib: Option<f64>,
}

impl Packets {
    /// The share that was lost.
    pub(super) fn loss(&self) -> f64 {
        self.lost as f64 / (self.sent as f64).max(1.0)
    }
}

/// A promise, and whether it was kept.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli::bench) struct Verdict {
    pub(in crate::cli::bench) says: String,
    pub(in crate::cli::bench) holds: bool,
}

impl Figures {
    /// What bare Opus would take, per session and tick.
    pub(super) fn bare(&self) -> Option<f64> {
        self.bare_us.map(|[before, after]| f64::midpoint(before, after))
    }

    /// The processor's time as a multiple of bare Opus's.
    pub(super) fn ratio(&self) -> Option<f64> {
        self.bare().filter(|bare| *bare > 0.0).map(|bare| self.cpu_us / bare)
    }

    /// Whether all ticks came as they should, but for one in a thousand, and nearly all packets.
    pub(super) fn is_good(&self) -> bool {
        self.lateness.p999_us < TICK_US
            && self.lateness.skipped == 0
            && self.packets.loss() < LOSS_MAX
    }

    /// What is promised of this depth, as far as this run can tell.
    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        let mut all = Vec::new();
        let mut judge = |holds: bool, says: String| all.push(Verdict { says, holds });
        let Packets { sent, lost, .. } = self.packets;
        if sent > 0 {
            let loss = self.packets.loss() * 100.0;
            judge(
                loss < LOSS_MAX * 100.0,
                format!("packets lost: {loss:.3} % ({lost} of {sent}), promised below 0.5 %"),
            );
        }
        let p999 = self.lateness.p999_us;
        judge(p999 < TICK_US, format!("lateness p99.9: {p999:.0} µs, promised below one tick"));
        let kib = self.memory.and_then(|memory| memory.session_kib);
        match self.depth.as_str() {
            "bare" => {
                if let Some(kib) = kib {
                    judge(
                        kib <= 64.0,
                        format!("memory: {kib:.1} KiB a session, promised at most 64"),
                    );
                }
            }
            "livekit" => {
                // Who is silent has no frames to encode, and nothing to be compared with.
                let speaks = self.talk >= 1.0 && self.agent.as_deref() == Some("echo");
                if let Some(ratio) = self.ratio().filter(|_| speaks) {
                    judge(
                        ratio <= 1.6,
                        format!(
                            "processor: {ratio:.2} × bare Opus a room, promised at most 1.6, goal 1.3"
                        ),
                    );
                }
                if let Some(kib) = kib {
                    judge(
                        kib <= 512.0,
                        format!("memory: {kib:.0} KiB a room, promised at most 512"),
                    );
                }
                if let Some(Memory { base_kib, .. }) = self.memory {
                    let mb = base_kib as f64 * 1_024.0 / 1e6;
                    judge(
                        mb <= 40.0,
                        format!(
                            "memory: {mb:.1} MB without a room, promised at most 40 (release build)"
                        ),
                    );
                }
                if let Some(right) = self.content_right {
                    judge(right, "content: real clients hear what they should".to_owned());
                }
            }
            _ => {}
        }
        all
    }

    /// As a person reads it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let Self { depth, sessions, talk, seconds, complexity, .. } = self;
        let class = if self.real_time { "real-time" } else { "ordinary" };
        let _ = writeln!(
            text,
            "depth {depth}: {sessions} sessions, each talked in {:.0} % of the time, {seconds} s, complexity \
             {complexity}, {class} class",
            talk * 100.0
        );
        let Self { cpu_us, cores, .. } = self;
        let _ = writeln!(
            text,
            "  processor     {cpu_us:8.1} µs a session and tick, {cores:.3} cores in all"
        );
        if let (Some([before, after]), Some(ratio)) = (self.bare_us, self.ratio()) {
            let _ = writeln!(
                text,
                "  bare Opus     {:8.1} µs for the same packets (before {before:.1}, after {after:.1}): {ratio:.2} ×",
                f64::midpoint(before, after)
            );
        }
        if let Some(us) = self.bare_meanwhile_us.filter(|us| *us > 0.0) {
            let _ = writeln!(
                text,
                "  bare Opus     {us:8.1} µs at the same time, with all others on the machine: {:.2} ×",
                self.cpu_us / us
            );
        }
        for (name, us) in &self.threads_us {
            let _ = writeln!(text, "    {name:<16}{us:6.1} µs");
        }
        if !self.phases_us.is_empty() {
            let each = self.phases_us.iter().map(|(name, us)| format!("{name} {us:.1}"));
            let _ = writeln!(text, "  phases, µs    {}", each.collect::<Vec<_>>().join(", "));
        }
        if let Some(Memory { base_kib, session_kib }) = self.memory {
            let each = session_kib.map_or("–".to_owned(), |kib| format!("{kib:.1}"));
            let _ = writeln!(
                text,
                "  memory        {each:>8} KiB a session, {:.1} MiB without any",
                base_kib as f64 / 1_024.0
            );
        }
        let Lateness { p50_us, p99_us, p999_us, max_us, late, skipped } = self.lateness;
        let _ = writeln!(
            text,
            "  lateness      p50 {p50_us:.0}, p99 {p99_us:.0}, p99.9 {p999_us:.0}, max {max_us:.0} µs; {late} of {} \
             ticks late, {skipped} skipped",
            self.ticks
        );
        let Packets { decoded, encoded, sent, lost } = self.packets;
        if sent > 0 {
            let _ = writeln!(
                text,
                "  packets       {sent} sent, {lost} lost; with speech {decoded} decoded, {encoded} encoded"
            );
        }
        for (name, count) in &self.losses {
            let _ = writeln!(text, "    {name:<22}{count:>8}");
        }
        if self.turns > 0 {
            let _ = writeln!(text, "  turns         {}", self.turns);
        }
        if let Some(content) = &self.content {
            let _ = writeln!(text, "  content       {content}");
        }
        if self.demotions > 0 {
            let _ = writeln!(text, "  put back from the real-time class {} times", self.demotions);
        }
        text
    }
}

/// Promises as a person reads them.
pub(in crate::cli::bench) fn told(verdicts: &[Verdict]) -> String {
    let word = |holds| if holds { "holds " } else { "BROKEN" };
    verdicts.iter().map(|of| format!("  {} {}\n", word(of.holds), of.says)).collect()
}
