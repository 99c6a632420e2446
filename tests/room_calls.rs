//! Calls in a room: `antiphon connect` on LiveKit's own server, with people who come by LiveKit's own client.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use std::collections::BTreeSet;

use listen::{Sound, missed, words};
use rooms::agent::Agent;
use rooms::peer::Peer;
use rooms::{PATIENCE, audio, room, shared};
use serde_json::{Value, json};

/// What a caller says, what is meant by it, and how the answer ends, or how far it comes.
const CALL: [(&str, &str, &str); 10] = [
    ("caller-01-order.wav", "order", "Monday."),
    ("caller-02-hours.wav", "hours", "Saturday."),
    ("caller-03-billing.wav", "bill", "your question?"),
    ("caller-04-owe.wav", "balance", "Friday."),
    ("caller-05-invoice.wav", "invoice", "again."),
    ("caller-06-return.wav", "return", "days."),
    ("caller-07-policy.wav", "policy", INTERRUPTED),
    ("caller-08-barge-in.wav", "question", "know?"),
    ("caller-09-refund.wav", "refund", "days."),
    ("caller-10-goodbye.wav", "goodbye", "Goodbye!"),
];

/// Of those so many must be understood.
const UNDERSTOOD_MIN: usize = 9;

/// What the agent has said of its long answer when the caller talks over it.
const INTERRUPTED: &str = "within thirty days,";

/// What is softer than this is no speech of the agent's.
const QUIET_DBFS: f32 = -50.0;

/// What the agent says when it does not understand.
const FALLBACK: &str = "Sorry, I did not";

/// Words of answers that a stranger must make out.
const HEARD: [(&str, &[&str]); 2] =
    [("Monday.", &["arrive", "monday"]), ("Saturday.", &["open", "nine", "six", "saturday"])];

/// Waits until the agent has said a text that ends like this, or has not understood; where the answer is in the
/// recording, or nothing.
#[track_caller]
fn answered(caller: &mut Peer, end: &str) -> Option<Sound> {
    let from = caller.recorded_ms("agent");
    let text =
        caller.expect_within(2 * PATIENCE, &format!("an answer that ends in {end:?}"), |event| {
            let is_said = event["event"] == "text_stream"
                && event["state"] == "closed"
                && event["topic"] == "lk.transcription"
                && event["identity"] == "agent";
            let text = event["text"].as_str().filter(|_| is_said)?;
            (text.ends_with(end) || text.starts_with(FALLBACK)).then(|| text.to_owned())
        });
    let to = caller.quiet("agent");
    text.ends_with(end).then(|| {
        let sound = caller.recording("agent", from, to);
        // Recognisers do not like seconds of nothing.
        let begins = sound.first_above(QUIET_DBFS).unwrap_or_default();
        sound.part(begins, u64::MAX)
    })
}

#[test]
fn a_caller_is_understood_over_noise_and_hears_and_reads_the_answers() {
    let (server, room) = (shared(), room("call"));
    let mut agent = Agent::connect(&server, &room, "configs/demo.yaml");
    let mut ann = Peer::join(&server, &room, "ann");
    let who = ann.event("participant_joined", |event| event["identity"] == "agent");
    assert_eq!(who["kind"], "agent");
    ann.publish(Some(&audio("noise.wav")));
    let mine = ann.event("published", |_| true)["sid"].clone();
    let voice = ann.event("track_published", |event| event["identity"] == "agent")["sid"].clone();
    answered(&mut ann, "help you?").expect("the greeting");

    let mut sounds = Vec::new();
    let mut understood = 0;
    for (clip, _, end) in CALL {
        ann.forget();
        ann.tell(json!({ "do": "play", "wav": audio(clip) }));
        if end == INTERRUPTED {
            let begun = ann.expect("the long answer", |event| {
                let text = event["text"].as_str().filter(|_| event["identity"] == "agent")?;
                let is_it = text.ends_with(end) || text.starts_with(FALLBACK);
                is_it.then(|| text.ends_with(end))
            });
            understood += usize::from(begun);
            continue;
        }
        let answer = answered(&mut ann, end);
        understood += usize::from(answer.is_some());
        sounds.extend(answer.map(|sound| (end, sound)));
    }
    let meant = agent.events("user.message");
    let meant: Vec<_> = meant.iter().map(|event| event["intent"].as_str().unwrap_or("-")).collect();
    println!("{understood} of {}: {meant:?}", CALL.len());
    assert!(understood >= UNDERSTOOD_MIN, "{understood} of {} are answered: {meant:?}", CALL.len());
    let wanted: BTreeSet<_> = CALL.map(|(_, intent, _)| intent).into();
    let right = wanted.iter().filter(|intent| meant.contains(intent)).count();
    assert!(right >= UNDERSTOOD_MIN, "{meant:?}");

    // Its voice is understood by a stranger.
    let texts = words(&sounds.iter().map(|(_, sound)| sound.clone()).collect::<Vec<_>>());
    for (end, key_words) in HEARD {
        if let Some(at) = sounds.iter().position(|(of, _)| *of == end) {
            let lost = missed(&texts[at], key_words);
            assert!(lost.len() * 2 <= key_words.len(), "{:?} misses {lost:?}", texts[at]);
        }
    }

    assert_eq!(agent.ends(PATIENCE), Some(0));
    let history = ann.history();
    states_follow_each_other(&history);
    transcripts_name_their_tracks(&history, "ann", &mine);
    transcripts_name_their_tracks(&history, "agent", &voice);
}

/// Listening, thinking, speaking, and listening again.
fn states_follow_each_other(history: &[Value]) {
    let states: Vec<_> = history
        .iter()
        .filter(|event| event["event"] == "attributes" && event["identity"] == "agent")
        .filter_map(|event| event["changed"]["lk.agent.state"].as_str())
        .collect();
    let mut rest = states.iter();
    for wanted in ["listening", "thinking", "speaking", "listening"] {
        assert!(rest.any(|state| *state == wanted), "no {wanted} where it has to be: {states:?}");
    }
}

/// Somebody's transcripts, all of the track that was heard, and the last version of each final.
fn transcripts_name_their_tracks(history: &[Value], identity: &str, track: &Value) {
    let closed: Vec<_> = history
        .iter()
        .filter(|event| event["event"] == "text_stream" && event["state"] == "closed")
        .filter(|event| event["topic"] == "lk.transcription" && event["identity"] == identity)
        .map(|event| &event["attributes"])
        .collect();
    assert!(!closed.is_empty(), "no transcript of {identity}");
    let mut segments = BTreeSet::new();
    let mut finals = BTreeSet::new();
    for attributes in closed {
        assert_eq!(attributes["lk.transcribed_track_id"], *track, "{identity}: {attributes}");
        let segment = attributes["lk.segment_id"].as_str().expect("a segment has an id");
        segments.insert(segment);
        if attributes["lk.transcription_final"] == "true" {
            finals.insert(segment);
        }
    }
    assert_eq!(segments, finals, "segments of {identity} without a final text");
}
