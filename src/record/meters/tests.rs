use super::*;

#[test]
fn all_meters_are_on_the_wire_in_order_and_at_zero() {
    let text = Meters::new().text(Format::Prometheus);
    let types: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let expected: Vec<_> = METERS
        .iter()
        .map(|meter| match meter.kind {
            // That format has no such kind.
            Kind::Info => format!("{} gauge", meter.name),
            kind => format!("{} {kind}", meter.name),
        })
        .collect();
    assert_eq!(types, expected);
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(samples[0].starts_with("antiphon_build_info{version="), "{text}");
    assert!(samples[1..].iter().all(|line| line.ends_with(" 0") || line.ends_with(" 0.0")));
}

#[test]
fn a_tick_longer_than_a_tick_is_an_overrun() {
    let meters = Meters::new();
    let len = TickLen::from_ms(20).unwrap();
    for step_ns in [1, 20_000_000, 20_000_001] {
        meters.timing(len, Timing { lateness_ns: Some(0), step_ns, skipped: 0 });
    }
    let in_virtual_time = Timing { lateness_ns: None, step_ns: u64::MAX / 2, skipped: 0 };
    meters.timing(len, in_virtual_time);
    let text = meters.text(Format::OpenMetrics);
    for line in [
        "antiphon_ticks_total 4",
        "antiphon_tick_overruns_total 1",
        "antiphon_tick_step_seconds_count 4",
        "antiphon_tick_step_seconds_bucket{le=\"0.02\"} 2",
        "antiphon_tick_lateness_seconds_count 3",
        "# UNIT antiphon_tick_lateness_seconds seconds",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

/// The samples that are not zero.
fn counted(meters: &Meters) -> Vec<String> {
    let text = meters.text(Format::Prometheus);
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket"));
    let zero = |line: &&str| line.ends_with(" 0") || line.ends_with(" 0.0");
    lines.filter(|line| !zero(line)).skip(1).map(str::to_owned).collect()
}

#[test]
fn each_observation_is_counted_where_it_belongs() {
    let len = TickLen::from_ms(20).unwrap();
    for (found, sample) in [
        (Observation::Turn, "turns_total 1"),
        (Observation::Interruption, "interruptions_total 1"),
        (Observation::FalseInterruption, "false_interruptions_total 1"),
        (Observation::Backchannel, "backchannels_total 1"),
        (Observation::HandOver, "hand_overs_total 1"),
        (Observation::ToolDone, "tool_calls_total{outcome=\"done\"} 1"),
        (Observation::ToolFailure, "tool_calls_total{outcome=\"failed\"} 1"),
        (Observation::ToolDeferred, "tool_deferred_total 1"),
        (Observation::RecogniserFailure, "recogniser_failures_total 1"),
        (Observation::SynthesiserFailure, "synthesiser_failures_total 1"),
        (Observation::LimitReached, "limits_reached_total 1"),
        (Observation::JournalLost, "journal_lost_total 1"),
        (Observation::Skipped(7), "tick_skipped_total 7"),
        (Observation::Answered(40), "user_end_to_agent_start_seconds_sum 0.8"),
        (Observation::Yielded(25), "interrupt_to_silence_seconds_sum 0.5"),
    ] {
        let meters = Meters::new();
        meters.note(len, found);
        assert_eq!(counted(&meters)[0], format!("antiphon_{sample}"), "{found:?}");
    }
    for found in [Observation::ToolCall, Observation::AgentTurn, Observation::AnsweredTyped(3)] {
        let meters = Meters::new();
        meters.note(len, found);
        assert!(counted(&meters).is_empty(), "{found:?}");
    }
    let meters = std::sync::Arc::new(Meters::new());
    SessionMeter::begin(&meters).overrun();
    let stopped = "antiphon_sessions_total{end=\"stopped\"} 1";
    assert_eq!(counted(&meters), [stopped, "antiphon_tool_overruns_total 1"]);
}

#[test]
fn a_session_is_active_until_it_ends_and_forgotten_ones_were_stopped() {
    let meters = std::sync::Arc::new(Meters::new());
    let [first, second, third] = [0; 3].map(|_| SessionMeter::begin(&meters));
    first.end(SessionEnd::Ended);
    second.end(SessionEnd::Panicked);
    let line = |line: &str| meters.text(Format::Prometheus).lines().any(|l| l == line);
    assert!(line("antiphon_sessions_active 1"));
    drop(third);
    assert!(line("antiphon_sessions_active 0"));
    for end in ["ended", "stopped", "panicked"] {
        assert!(line(&format!("antiphon_sessions_total{{end=\"{end}\"}} 1")), "{end}");
    }
}

#[test]
fn the_table_above_says_what_the_meters_say() {
    let page = include_str!("mod.rs");
    for Meter { name, kind, unit, help } in METERS {
        let gap = if unit.is_empty() { "" } else { " " };
        let row = format!("//! | `{name}` | {kind} |{gap}{unit} | {help} |\n");
        assert!(page.contains(&row), "the table has no row {row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("//! | `"));
    assert_eq!(rows.count(), METERS.len());
}
