//! The page: markup, style, script and data in one file.
//!
//! The data is one JSON text in an element that browsers do not run. Every `<` in it is written as
//! `\u003c`, so that no text of a call can end the element or begin a comment. The policy names the
//! one style and the one script by a number that only this page has; nothing may be fetched.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use super::answers::Answer;
use super::calls::Call;
use super::cuts::Cut;
use super::lateness::Bin;
use super::moves::{Fate, Move};
use super::overlaps::Overlap;
use super::path::Shown;
use super::prose::Prose;
use super::{Report, Sound, Story};
use crate::clock::{Tick, TickLen};
use crate::record::drawing;
use crate::record::metrics::{Durations, Latency};
use crate::record::stamp::rfc3339;
use crate::record::turns::Turn;
use crate::session::checkpoint::BUILD;
use crate::tool::Outcome;

const HTML: &str = include_str!("page.html");
const CSS: &str = include_str!("page.css");
const JS: &str =
    concat!(include_str!("page.js"), include_str!("timeline.js"), include_str!("lists.js"));

/// Turns that the page shows; a transcript beyond it is in `transcript.json`.
const TURNS_MAX: usize = 5_000;

/// All that the script knows.
#[derive(Serialize)]
struct Data<'a> {
    name: &'a str,
    description: &'a str,
    /// The date of tick 0.
    date: String,
    live: bool,
    build: &'a str,
    seed: String,
    end: &'a str,
    tick_ms: u32,
    ticks: u64,
    call_ms: u64,
    counterfactual_from_ms: Option<u64>,
    rules: Rules,
    figures: Figures<'a>,
    cell_ms: u64,
    tracks: Vec<Track>,
    agents: Vec<Span>,
    calls: Vec<Bar<'a>>,
    turns: &'a [Turn],
    hand_overs: Vec<Card>,
    path: &'a Option<Shown>,
    interruptions: Vec<Card>,
    overlaps: Vec<Card>,
    answers: Vec<Parts<'a>>,
    lateness: Option<Late<'a>>,
    left_out: Vec<String>,
    sound: Heard<'a>,
}

/// The delays that the page refers to.
#[derive(Serialize)]
struct Rules {
    end_silence_min_ms: u32,
    end_silence_max_ms: u32,
    barge_in_ms: u32,
}

#[derive(Serialize)]
struct Figures<'a> {
    turns: u64,
    agent_turns: u64,
    response_latency_ms: &'a Latency,
    typed_response_latency_ms: &'a Latency,
    yield_latency_ms: &'a Latency,
    interruptions: u64,
    false_interruptions: u64,
    backchannels: u64,
    hand_overs: u64,
    tool_calls: u64,
    tool_failures: u64,
    deferred: u64,
    recogniser_failures: u64,
    synthesiser_failures: u64,
}

/// A waveform.
#[derive(Serialize)]
struct Track {
    name: String,
    side: &'static str,
    /// A byte a cell, in base64.
    cells: String,
}

/// An agent's time with the call.
#[derive(Serialize)]
struct Span {
    name: String,
    from_ms: u64,
    to_ms: u64,
}

/// A tool's time.
#[derive(Serialize)]
struct Bar<'a> {
    tool: &'a str,
    agent: &'a str,
    arguments: &'a Value,
    from_ms: u64,
    to_ms: Option<u64>,
    deferred: bool,
    result: Option<&'a Value>,
    failure: Option<String>,
}

/// Something that happened and why.
#[derive(Serialize)]
struct Card {
    from_ms: u64,
    at_ms: u64,
    title: String,
    badge: String,
    /// Whether it came to nothing: a false interruption, a refused hand-over.
    void: bool,
    told: Prose,
}

/// A turn and what its answer waited for.
#[derive(Serialize)]
struct Parts<'a> {
    who: &'a str,
    agent: &'a str,
    text: &'a str,
    typed: bool,
    from_ms: u64,
    total_ms: u64,
    silence_ms: u64,
    recogniser_ms: u64,
    turn_ms: u64,
    thinking_ms: u64,
    voice_ms: u64,
}

/// What was measured of the clock.
#[derive(Serialize)]
struct Late<'a> {
    bins: Vec<Bin>,
    skipped: u64,
    lateness_us: &'a Option<Durations>,
    step_us: &'a Option<Durations>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "where")]
enum Heard<'a> {
    Inside { mime: &'a str, base64: String },
    Beside { name: &'a str, why: &'a str },
    None { why: &'a str },
}

/// The page of a call.
pub(super) fn html(report: &Report, sound: &Sound) -> Vec<u8> {
    let path = report.story.path.shown(&report.story.plan);
    let mut json = serde_json::to_vec(&data(report, sound, &path)).unwrap_or_default();
    debug_assert!(!json.is_empty(), "the data has a JSON form, and memory takes it");
    // The events are JSON already.
    json.pop();
    json.extend_from_slice(b",\"events\":[");
    json.extend_from_slice(&report.story.events.json);
    json.extend_from_slice(b"]}");
    let number = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&json));
    let [before_title, after] = cut(HTML, "{{title}}");
    let [before_css, after] = cut(after, "{{css}}");
    let [before_picture, after] = cut(after, "{{picture}}");
    let [before_data, after] = cut(after, "{{data}}");
    let [before_js, after] = cut(after, "{{js}}");
    let mut page =
        Vec::with_capacity(json.len() + json.len() / 64 + HTML.len() + CSS.len() + JS.len());
    let media = match sound {
        Sound::Inside { .. } | Sound::None { .. } => "blob:",
        // A file of the disk has no origin that it could share.
        Sound::Beside { .. } => "'self' file:",
    };
    let put = |page: &mut Vec<u8>, text: &str| {
        let text = text.replace("{{number}}", &number).replace("{{media}}", media);
        page.extend_from_slice(text.as_bytes());
    };
    put(&mut page, before_title);
    page.extend_from_slice(escaped(&report.story.plan.config.name).as_bytes());
    put(&mut page, before_css);
    page.extend_from_slice(CSS.as_bytes());
    page.extend_from_slice(drawing::CSS.as_bytes());
    put(&mut page, before_picture);
    page.extend_from_slice(path.as_ref().map_or("", |path| &path.svg).as_bytes());
    put(&mut page, before_data);
    for &byte in &json {
        match byte {
            b'<' => page.extend_from_slice(b"\\u003c"),
            byte => page.push(byte),
        }
    }
    put(&mut page, before_js);
    page.extend_from_slice(JS.as_bytes());
    put(&mut page, after);
    page
}

/// A text before and after a mark that is in it.
fn cut<'a>(text: &'a str, mark: &str) -> [&'a str; 2] {
    text.split_once(mark).map_or([text, ""], |(before, after)| [before, after])
}

/// A text as markup that shows it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn data<'a>(report: &'a Report, sound: &'a Sound, path: &'a Option<Shown>) -> Data<'a> {
    let Report { story, metrics, transcript } = report;
    let (plan, len) = (&*story.plan, story.plan.len);
    let config = &plan.config;
    let began = story.live_since_ms.unwrap_or_else(|| config.epoch.unix_ms());
    let measured = story.lateness.is_measured();
    Data {
        name: &config.name,
        description: &config.description,
        date: String::from_utf8_lossy(&rfc3339(began)).into_owned(),
        live: story.live_since_ms.is_some(),
        build: BUILD,
        // Numbers of 64 bits are no numbers to a browser.
        seed: story.seed.to_string(),
        end: &metrics.end,
        tick_ms: len.ms(),
        ticks: metrics.ticks,
        call_ms: metrics.call_ms,
        counterfactual_from_ms: story.diverged.map(|tick| len.start_ms(tick)),
        rules: Rules {
            end_silence_min_ms: config.turn.end_silence_min_ms,
            end_silence_max_ms: config.turn.end_silence_max_ms,
            barge_in_ms: config.turn.barge_in_ms,
        },
        figures: Figures {
            turns: metrics.turns,
            agent_turns: metrics.agent_turns,
            response_latency_ms: &metrics.response_latency_ms,
            typed_response_latency_ms: &metrics.typed_response_latency_ms,
            yield_latency_ms: &metrics.yield_latency_ms,
            interruptions: metrics.interruptions,
            false_interruptions: metrics.false_interruptions,
            backchannels: metrics.backchannels,
            hand_overs: metrics.hand_overs,
            tool_calls: metrics.tool_calls,
            tool_failures: metrics.tool_failures,
            deferred: metrics.deferred,
            recogniser_failures: metrics.recogniser_failures,
            synthesiser_failures: metrics.synthesiser_failures,
        },
        cell_ms: len.span_ms(story.peaks.ticks_a_cell()),
        tracks: tracks(story),
        agents: spans(story),
        calls: story.calls.list.iter().map(|call| bar(call, len)).collect(),
        turns: &transcript[..transcript.len().min(TURNS_MAX)],
        hand_overs: story.moves.list.iter().map(|made| hand_over(made, story)).collect(),
        path,
        interruptions: story.cuts.list.iter().map(|cut| interruption(cut, story)).collect(),
        overlaps: story.overlaps.list.iter().map(|overlap| overlapped(overlap, story)).collect(),
        answers: story.answers.list.iter().map(|answer| parts(answer, len)).collect(),
        lateness: measured.then(|| Late {
            bins: story.lateness.told(),
            skipped: story.lateness.skipped(),
            lateness_us: &metrics.lateness_us,
            step_us: &metrics.step_us,
        }),
        left_out: left_out(report),
        sound: match sound {
            Sound::Inside { mime, bytes } => Heard::Inside { mime, base64: STANDARD.encode(bytes) },
            Sound::Beside { name, why } => Heard::Beside { name, why },
            Sound::None { why } => Heard::None { why },
        },
    }
}

fn tracks(story: &Story) -> Vec<Track> {
    let users = story.peaks.lanes().iter().map(|track| Track {
        name: match track.others {
            0 => track.names.join(", "),
            others => format!("{} and {others} more", track.names.join(", ")),
        },
        side: "user",
        cells: STANDARD.encode(&track.cells),
    });
    let agent = Track {
        name: "agent".into(),
        side: "agent",
        cells: STANDARD.encode(story.peaks.agent_cells()),
    };
    users.chain([agent]).collect()
}

fn spans(story: &Story) -> Vec<Span> {
    let starts = story.agents.iter();
    let ends = story.agents.iter().skip(1).map(|(tick, _)| *tick).chain([story.end]);
    let ms = |tick: Tick| story.plan.len.start_ms(tick);
    starts
        .zip(ends)
        .map(|((from, name), to)| Span { name: name.clone(), from_ms: ms(*from), to_ms: ms(to) })
        .collect()
}

fn bar(call: &Call, len: TickLen) -> Bar<'_> {
    let (result, failure) = match &call.result {
        Some((_, Outcome::Done(value))) => (Some(&value.0), None),
        Some((_, Outcome::Failed(failure))) => (None, Some(failure.to_string())),
        None => (None, None),
    };
    Bar {
        tool: &call.tool,
        agent: &call.agent,
        arguments: &call.arguments,
        from_ms: len.start_ms(call.at),
        to_ms: call.result.as_ref().map(|(tick, _)| len.start_ms(*tick)),
        deferred: call.deferred,
        result,
        failure,
    }
}

fn hand_over(made: &Move, story: &Story) -> Card {
    let at_ms = story.plan.len.start_ms(made.at);
    Card {
        from_ms: at_ms,
        at_ms,
        title: format!("{} → {}", made.from, made.to),
        badge: made.badge(),
        void: matches!(made.fate, Fate::Refused(_)),
        told: made.told(&story.plan),
    }
}

fn interruption(cut: &Cut, story: &Story) -> Card {
    let ms = |tick| story.plan.len.start_ms(tick);
    Card {
        from_ms: ms(cut.since),
        at_ms: ms(cut.at),
        title: format!("{} interrupted {}", cut.whose(), cut.agent),
        badge: cut.badge().into(),
        void: cut.was_false(),
        told: cut.told(&story.plan),
    }
}

fn overlapped(overlap: &Overlap, story: &Story) -> Card {
    let ms = |tick| story.plan.len.start_ms(tick);
    Card {
        from_ms: ms(overlap.since),
        at_ms: ms(overlap.since),
        title: format!("{} over {}", overlap.who, overlap.agent),
        badge: overlap.badge().into(),
        void: true,
        told: overlap.told(&story.plan),
    }
}

fn parts(answer: &Answer, len: TickLen) -> Parts<'_> {
    let span = |from: Tick, to: Tick| len.span_ms(to.since(from));
    let Answer { since, stopped, words, ended, known, heard, .. } = *answer;
    Parts {
        who: &answer.who,
        agent: &answer.agent,
        text: &answer.text,
        typed: answer.typed,
        from_ms: len.start_ms(since),
        total_ms: span(since, heard),
        silence_ms: span(since, stopped),
        recogniser_ms: span(stopped, words),
        turn_ms: span(words, ended),
        thinking_ms: span(ended, known),
        voice_ms: span(known, heard),
    }
}

/// What a bound has kept from the page, in sentences.
fn left_out(report: &Report) -> Vec<String> {
    let Report { story, transcript, .. } = report;
    let turns = transcript.len().saturating_sub(TURNS_MAX) as u64;
    let lost = [
        (story.events.lost, "events are in events.jsonl alone"),
        (turns, "turns are in transcript.json alone"),
        (story.moves.list.lost(), "hand-overs are not explained here"),
        (story.path.lost(), "steps of the path are not shown here"),
        (story.cuts.list.lost(), "interruptions are not explained here"),
        (story.overlaps.list.lost(), "overlaps are not explained here"),
        (story.calls.list.lost(), "tool calls are not shown here"),
        (story.agents.lost(), "changes of the active agent are not shown here"),
        (story.answers.list.lost(), "answers are not shown here"),
    ];
    let lost = lost.into_iter().filter(|(count, _)| *count > 0);
    lost.map(|(count, what)| format!("{count} {what}")).collect()
}
