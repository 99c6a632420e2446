//! The figures of a call, for a person.

use crate::record::Metrics;
use crate::record::metrics::Latency;

/// A few lines that say how a call went.
pub(super) fn summary(metrics: &Metrics) -> String {
    let mut lines = vec![
        format!(
            "{:.1} s, {} turns, {} hand-overs, {} tool calls ({} deferred, {} failed)",
            metrics.call_ms as f64 / 1_000.0,
            metrics.turns,
            metrics.hand_overs,
            metrics.tool_calls,
            metrics.deferred,
            metrics.tool_failures,
        ),
        format!(
            "interruptions {}, of them false {}; backchannels {}",
            metrics.interruptions, metrics.false_interruptions, metrics.backchannels
        ),
    ];
    lines.extend(latency("end of speech → answer", &metrics.response_latency_ms));
    lines.extend(latency("talked over → silent", &metrics.yield_latency_ms));
    if let Some(late) = &metrics.lateness_us {
        lines.push(format!(
            "ticks late by p50 {:.0} µs, p99 {:.0} µs, p99.9 {:.0} µs, at most {:.0} µs; {} skipped",
            late.p50, late.p99, late.p999, late.max, metrics.skipped_ticks
        ));
    }
    for (tool, count) in &metrics.overruns {
        lines.push(format!("inline tool {tool} took longer than its budget {count} times"));
    }
    lines.join("\n")
}

fn latency(name: &str, latency: &Latency) -> Option<String> {
    let (p50, max) = (latency.p50?, latency.max?);
    Some(format!("{name}: p50 {p50} ms, at most {max} ms"))
}
