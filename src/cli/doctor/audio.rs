//! Microphone and speaker: whether they can be opened, and what comes back of a chirp.

use crossbeam_channel::bounded;
use serde_json::{Value, json};

use super::DoctorArgs;
use super::finding::Finding;
use crate::cli::view::plain;
use crate::device::follow::Flow;
use crate::device::keeper::{InUse, Keeper};
use crate::device::probe::{self, Heard};
use crate::device::trouble::Side;
use crate::host::notice::Notice;
use crate::host::pace::sharpen;
use crate::host::watchdog::enlist;

/// The round trip may change by so much in a minute and from the first chirp to the last, in milliseconds: what is less is
/// that clocks are still being learnt, what is more makes echo cancellation lose track.
const DRIFT_MS: f64 = 30.0;
const CHANGE_MS: f64 = 3.0;

/// A crystal is within some tens of millionths; a clock that seems to be so far off is something else.
const OFF_PPM: f64 = 1_000.0;

/// A chirp that comes back weaker is hardly heard, in dB.
const WEAK_DB: f64 = -50.0;

/// A microphone that is louder while nobody speaks takes noise for voice, in dBFS.
const NOISE_DBFS: f64 = -35.0;

/// The share of ticks for which the microphone had nothing that is worth a word.
const MISSED_SHARE: f64 = 0.01;

/// Notices that wait to be read: what is lost meanwhile is told at once.
const NOTICES: usize = 64;

pub(super) fn audio(args: &DoctorArgs) -> Finding {
    let choice = args.devices.choice();
    let (input, output) = (choice.is_null(Side::Input), choice.is_null(Side::Output));
    if input && output {
        return Finding::skipped("no device was asked for", "leave out `--device null` to try one");
    }
    let (tell, notices) = bounded(NOTICES);
    let started = Keeper::start(choice, probe::SHAPE, tell);
    let (keeper, ends) = match started {
        Ok(started) => started,
        Err(wrong) => {
            let mut sides: Vec<_> = wrong.iter().map(|trouble| trouble.side.noun()).collect();
            sides.dedup();
            let remedies: Vec<_> = wrong.iter().map(ToString::to_string).collect();
            return Finding::failed(
                format!("{} cannot be opened", sides.join(" and ")),
                format!(
                    "{}\na server that holds calls in rooms needs none: --no-audio",
                    remedies.join("\n")
                ),
            );
        }
    };
    let chirps = args.chirps as usize;
    // As the thread of a call's ticks does it.
    let probing = std::thread::spawn(move || {
        sharpen();
        let enlisted = enlist();
        let heard = probe::probe(&ends, chirps);
        drop(enlisted);
        heard
    });
    let Ok(heard) = probing.join() else {
        return Finding::failed(
            "the measurement broke off",
            "run it again, and report it if that helps nothing",
        );
    };
    let lost = notices.try_iter().find_map(|notice| match notice {
        Notice::Warning(text) => Some(text),
        Notice::Info(_) => None,
    });
    judged(&heard, &keeper.devices, lost)
}

fn judged(heard: &Heard, devices: &[InUse], lost: Option<String>) -> Finding {
    let named: Vec<_> = devices.iter().map(named).collect();
    let named = named.join(", ");
    let with = |finding: Finding| finding.with(figures(heard, devices));
    if let Some(lost) = lost {
        // What follows is about calls.
        let lost = lost.split(". ").next().unwrap_or_default();
        let remedy = "plug it in again, see what else uses it, or choose another device";
        return with(Finding::warning(format!("{}; {named}", plain(lost)), remedy));
    }
    if devices.len() < 2 {
        let found = format!("{named}; with one of the two alone there is nothing to measure");
        return with(Finding::ok(found));
    }
    let Some(round_trip) = heard.round_trip_ms() else {
        return with(Finding::warning(
            format!(
                "none of {} chirps came back; noise {:.0} dBFS; {named}",
                heard.played, heard.noise_dbfs
            ),
            "turn the speaker up and see that it is not muted, take headphones off or hold the microphone to them, or \
             choose other devices with --input and --output (`antiphon devices`)",
        ));
    };
    let found = found(heard, round_trip, &named);
    let weak = heard.level_db().is_some_and(|level| level < WEAK_DB);
    let minutes = heard.found.last().map_or(0.0, |last| last.at_s / 60.0);
    let drift = heard.drift_ms_a_minute().map_or(0.0, f64::abs);
    let drift = drift > DRIFT_MS && drift * minutes > CHANGE_MS;
    let flows = [heard.input, heard.output].into_iter().flatten();
    let off = flows.clone().any(|flow| flow.off_ppm.abs() > OFF_PPM);
    let ticks = heard.played as f64 * 50.0;
    let calm = flows.clone().all(|flow| flow.missed == 0 && flow.jumps == 0);
    let missed = flows.map(|flow| flow.missed).max();
    let missed = missed.is_some_and(|missed| f64::from(missed) > MISSED_SHARE * ticks);
    let remedies = [
        (
            heard.found.len() < heard.played || weak,
            "chirps are hardly heard: turn the speaker up, or move the microphone nearer",
        ),
        (
            heard.noise_dbfs > NOISE_DBFS,
            "the microphone is loud while nobody speaks: turn its gain down, or find what makes the noise",
        ),
        (drift && calm, "the delay changes: try another --host, or devices that have one clock"),
        (
            drift && !calm,
            "the delay changes since audio was late, and is still being made good: try again on a machine at rest, with \
             more --chirps",
        ),
        (
            off,
            "no crystal is so far off: something else computes, or the sound server resamples; try again on a machine at \
             rest, with more --chirps",
        ),
        (
            missed,
            "audio is late: end what computes beside it, or let it have the real-time class (`class`)",
        ),
    ];
    let remedies: Vec<_> = remedies.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
    with(if remedies.is_empty() {
        Finding::ok(found)
    } else {
        Finding::warning(found, remedies.join("\n"))
    })
}

fn found(heard: &Heard, round_trip: f64, named: &str) -> String {
    let drift = heard.drift_ms_a_minute().map_or_else(
        || "unknown with fewer than four chirps".to_owned(),
        |drift| format!("{drift:+.1} ms a minute"),
    );
    let (least, most) = heard.round_trips_ms().unwrap_or((round_trip, round_trip));
    let level = heard.level_db().unwrap_or(f64::NEG_INFINITY);
    let (input, output) = (heard.input.unwrap_or_default(), heard.output.unwrap_or_default());
    format!(
        "round trip {round_trip:.1} ms ({least:.1} to {most:.1}), to which {:.1} are added here; drift {drift}; level {level:+.1} dB, noise {:.0} dBFS; \
         {} of {} chirps; clocks {:+.0} and {:+.0} ppm; {} and {} ticks missed; {named}",
        heard.added.total(),
        heard.noise_dbfs,
        heard.found.len(),
        heard.played,
        input.off_ppm,
        output.off_ppm,
        input.missed,
        output.missed,
    )
}

fn named(device: &InUse) -> String {
    format!("{} {} ({})", device.side.noun(), plain(&device.name), device.shape)
}

fn figures(heard: &Heard, devices: &[InUse]) -> Value {
    let tenths = |value: f64| (value * 10.0).round() / 10.0;
    let flow = |side: Side, flow: Option<Flow>| {
        let device = devices.iter().find(|device| device.side == side)?;
        let flow = flow.unwrap_or_default();
        Some(json!({
            "name": device.name,
            "shape": device.shape,
            "off_ppm": flow.off_ppm.round(),
            "period_ms": tenths(flow.period_ms),
            "held_ms": tenths(flow.held_ms),
            "missed": flow.missed,
            "jumps": flow.jumps,
        }))
    };
    let added: Vec<_> = heard
        .added
        .named()
        .iter()
        .filter(|(_, ms)| *ms > 0.0)
        .map(|(name, ms)| json!({ "what": name, "ms": tenths(*ms) }))
        .collect();
    json!({
        "chirps": heard.played,
        "chirps_heard": heard.found.len(),
        "round_trip_ms": heard.round_trip_ms().map(tenths),
        "round_trip_ms_min": heard.round_trips_ms().map(|(least, _)| tenths(least)),
        "round_trip_ms_max": heard.round_trips_ms().map(|(_, most)| tenths(most)),
        "drift_ms_a_minute": heard.drift_ms_a_minute().map(tenths),
        "level_db": heard.level_db().map(tenths),
        "noise_dbfs": tenths(heard.noise_dbfs),
        "added_ms": tenths(heard.added.total()),
        "added": added,
        "input": flow(Side::Input, heard.input),
        "output": flow(Side::Output, heard.output),
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use crate::device::probe::Found;

    fn devices() -> Vec<InUse> {
        let device =
            |side, name: &str| InUse { side, name: name.to_owned(), shape: "48000 Hz".to_owned() };
        vec![device(Side::Input, "Mic"), device(Side::Output, "Box")]
    }

    fn heard(level_db: f64, growing_ms: f64) -> Heard {
        let found = |n: u32| Found {
            at_s: f64::from(n),
            after_ms: f64::from(n).mul_add(growing_ms, 80.0),
            level_db,
        };
        Heard {
            played: 5,
            found: (0..5).map(found).collect(),
            noise_dbfs: -60.0,
            ..Heard::default()
        }
    }

    fn remedy(heard: &Heard) -> String {
        match judged(heard, &devices(), None).state {
            State::Warning(remedy) => remedy,
            state => panic!("{state:?}"),
        }
    }

    #[test]
    fn what_is_wrong_with_a_chirp_is_told_by_itself() {
        assert_eq!(judged(&heard(-20.0, 0.0), &devices(), None).state, State::Ok);
        assert!(remedy(&heard(-55.0, 0.0)).contains("nearer"));
        assert!(remedy(&heard(-20.0, 1.0)).contains("one clock"));
        let settling =
            Heard { input: Some(Flow { missed: 1, ..Flow::default() }), ..heard(-20.0, 1.0) };
        assert!(remedy(&settling).contains("at rest"));
        let silent = Heard { played: 5, ..Heard::default() };
        assert!(remedy(&silent).contains("not muted"));
        let noisy = Heard { noise_dbfs: -20.0, ..heard(-10.0, 0.0) };
        assert!(remedy(&noisy).contains("gain down"));
        let late =
            Heard { input: Some(Flow { missed: 9, ..Flow::default() }), ..heard(-20.0, 0.0) };
        assert!(remedy(&late).contains("real-time class"));
    }

    #[test]
    fn one_device_alone_can_be_opened_and_no_more() {
        let one = devices().split_off(1);
        let finding = judged(&Heard { played: 5, ..Heard::default() }, &one, None);
        assert_eq!(finding.state, State::Ok);
        assert!(finding.found.contains("Box") && finding.found.contains("nothing to measure"));
        let lost = judged(&heard(-20.0, 0.0), &devices(), Some("the speaker is lost".to_owned()));
        assert!(matches!(lost.state, State::Warning(_)));
    }
}
