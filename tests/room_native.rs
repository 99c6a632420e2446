//! An agent that hears and speaks by itself, in a room: LiveKit's own server and client, a model behind a WebSocket, and
//! words that a stranger makes out, on both sides.

#[path = "rooms/answers.rs"]
mod answers;
#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;
#[expect(dead_code, reason = "each file of tests uses its part of it")]
#[path = "realtime/stand.rs"]
mod stand;

use std::net::TcpListener;
use std::process::Command;

use answers::{answered, journal, without};
use antiphon::clock::Rate;
use antiphon::model::{offline, render};
use antiphon::pcm::mix::rms_dbfs;
use listen::{Sound, missed, words};
use rooms::agent::Agent;
use rooms::peer::Peer;
use rooms::{PATIENCE, audio, room, shared};
use serde_json::{Value, json};
use stand::{Line, Names, Stand, accept};

/// A key, which nothing but the model's server may see.
const KEY: &str = "sk-planted-key-1357";

const GREETING: &str = "Hello. How can I help you?";
const HOURS: &str = "We are open from nine to six, Monday to Saturday. What else?";
const MONDAY: &str = "It will arrive on Monday.";
const POLICY: &str = "You may return anything within thirty days. It has to be clean. It has to be in its box. Please keep \
     the receipt. Then we send you the money.";
const COURSE: &str = "Of course. What do you want to know?";
const BROKEN: &str = "You have to pay thirty euros, and you may do that";
const GOES_ON: &str = "in our shop on every day.";
const CONNECTS: &str = "I will connect you with billing.";
const BILLING: &str = "This is billing. What is your question?";
const GOODBYE: &str = "Thank you for calling. Goodbye.";

/// What is louder than this is speech, before and after any codec.
const LOUD_DBFS: f32 = -40.0;

/// A shop whose model hears and speaks; nobody else does.
fn shop(address: impl std::fmt::Display) -> String {
    format!(
        "
name: shop
start: shop
models:
  voice: {{ base_url: 'http://{address}/v1', model: talker-1, api_key_env: PLANTED_KEY }}
agents:
  shop:
    kind: native
    model: voice
    instructions: You serve in a shop.
    greeting: {GREETING}
    tools: [order_status, hand_over]
  billing:
    kind: native
    model: voice
    instructions: You know bills.
    tools: [end_call]
transitions:
  - {{ from: shop, to: billing, when: {{ decision: {{}} }} }}
tools:
  order_status:
    description: Looks an order up.
    parameters: {{ type: object, required: [number], properties: {{ number: {{ type: string }} }} }}
    canned: {{ takes_ms: 500, otherwise: {{ day: Monday }} }}
"
    )
}

/// How the model sounds.
fn voice(text: &str) -> Vec<i16> {
    let mut engine = offline::synthesiser().expect("flite is there: make setup");
    let clip = render(engine.as_mut(), text, "slt", Rate::from_hz(24_000).unwrap());
    clip.unwrap().0.to_vec()
}

/// What the model heard of a turn.
type Heard = Vec<Sound>;

/// What the model was told.
struct Told {
    session: Value,
    heard: Heard,
    cuts: Vec<Value>,
    /// The session after the one that was lost.
    again: Vec<Value>,
    /// The session of the agent that was handed over to.
    colleague: Vec<Value>,
}

/// A turn of the user's: it is committed, written down, and an answer is asked for.
fn turn(line: &mut Line, heard: &mut Heard, item: &str, text: &str) {
    line.heard.clear();
    line.until("input_audio_buffer.commit");
    heard.push(Sound { rate_hz: 24_000, pcm: line.heard.clone() });
    line.committed(item);
    line.written(item, text);
    line.until("response.create");
}

/// What the model does in the whole call.
fn script(listener: &TcpListener) -> Told {
    let mut heard = Heard::new();
    let mut line = accept(listener, Names::General).ready();
    assert_eq!(line.header("authorization"), Some(&*format!("Bearer {KEY}")));
    let session = line.sent.iter().find(|event| event["type"] == "session.update").unwrap().clone();
    let greets = line.until("response.create");
    assert!(greets["response"]["instructions"].as_str().unwrap().contains(GREETING));
    line.answer("r0", "i0", GREETING, &voice(GREETING));

    turn(&mut line, &mut heard, "u1", "What are your opening hours?");
    line.answer("r1", "i1", HOURS, &voice(HOURS));

    turn(&mut line, &mut heard, "u2", "Where is my order four two one seven?");
    line.calls("r2", ("call_1", "order_status"), r#"{"number":"4217"}"#);
    let result = line.until("conversation.item.create");
    assert_eq!(result["item"]["output"], r#"{"day":"Monday"}"#);
    line.until("response.create");
    line.answer("r3", "i3", MONDAY, &voice(MONDAY));

    // The answer has not come to its end when the caller cuts in.
    turn(&mut line, &mut heard, "u3", "What is the return policy?");
    line.begin("r4", "i4");
    line.words("r4", "i4", POLICY);
    line.say("r4", "i4", &voice(POLICY));
    let cut = line.until("conversation.item.truncate");
    assert_eq!(cut["item_id"], "i4");
    line.until("response.cancel");
    line.over("r4", "cancelled", &[]);
    turn(&mut line, &mut heard, "u4", "Wait, stop, let me ask you something else.");
    line.answer("r5", "i5", COURSE, &voice(COURSE));

    // The line is cut in the midst of an answer.
    turn(&mut line, &mut heard, "u5", "How much do I owe?");
    line.begin("r6", "i6");
    line.words("r6", "i6", BROKEN);
    line.say("r6", "i6", &voice(BROKEN));
    let (sent, _) = line.cut();
    let mut line = accept(listener, Names::General).ready();
    line.until("response.create");
    let told = line.sent.clone();
    line.answer("r7", "i7", GOES_ON, &voice(GOES_ON));

    // A colleague's conversation is one of its own, which knows this one.
    turn(&mut line, &mut heard, "u6", "I have a question about my bill.");
    line.begin("r8", "i8");
    line.words("r8", "i8", CONNECTS);
    line.say("r8", "i8", &voice(CONNECTS));
    line.whole("r8", "i8");
    line.calls("r8", ("call_2", "hand_over"), r#"{"to":"billing"}"#);
    assert!(line.ended().0, "the conversation was not closed in order");
    let mut line = accept(listener, Names::General).ready();
    line.until("response.create");
    let colleague = line.sent.clone();
    line.answer("r9", "i9", BILLING, &voice(BILLING));

    turn(&mut line, &mut heard, "u7", "Thank you, goodbye.");
    line.begin("r10", "i10");
    line.words("r10", "i10", GOODBYE);
    line.say("r10", "i10", &voice(GOODBYE));
    line.whole("r10", "i10");
    line.calls("r10", ("call_3", "end_call"), "{}");
    assert!(line.ended().0, "the call was not closed in order");
    let truncated = sent.into_iter().filter(|event| event["type"] == "conversation.item.truncate");
    Told { session, heard, cuts: truncated.collect(), again: told, colleague }
}

#[test]
fn a_model_that_speaks_is_asked_by_voice_and_heard_interrupted_reconnected_and_handed_over_from() {
    let stand = Stand::start(|listener| script(&listener));
    let (server, room) = (shared(), room("native"));
    let planted = [("PLANTED_KEY", KEY)];
    let mut agent = Agent::with_environment(&server, &room, &shop(stand.address), &planted);
    let mut ann = Peer::join(&server, &room, "ann");
    ann.event("participant_joined", |event| event["identity"] == "agent");
    ann.publish(Some(&audio("noise.wav")));
    answered(&mut ann, "help you?");
    let mut ask = |clip: &str, end: &str| {
        ann.forget();
        ann.tell(json!({ "do": "play", "wav": audio(clip) }));
        answered(&mut ann, end)
    };
    let hours = ask("caller-02-hours.wav", "What else?");
    let order = ask("caller-01-order.wav", "on Monday.");

    // Talked over, it is cut, and what was not heard the model does not know of.
    ann.forget();
    ann.tell(json!({ "do": "play", "wav": audio("caller-07-policy.wav") }));
    ann.expect("the long answer", |event| {
        let text = event["text"].as_str().filter(|_| event["identity"] == "agent")?;
        text.contains("thirty days").then_some(())
    });
    ann.tell(json!({ "do": "play", "wav": audio("caller-08-barge-in.wav") }));
    answered(&mut ann, "want to know?");

    // What has come is heard, and what another session says follows it.
    ann.forget();
    ann.tell(json!({ "do": "play", "wav": audio("caller-04-owe.wav") }));
    let owe = answered(&mut ann, "every day.");
    // What the caller says is shown as it was written down.
    ann.expect("the caller's own words", |event| {
        let text = event["text"].as_str().filter(|_| event["identity"] == "ann")?;
        (text == "How much do I owe?").then_some(())
    });
    ann.forget();
    ann.tell(json!({ "do": "play", "wav": audio("caller-03-billing.wav") }));
    answered(&mut ann, "your question?");
    ann.forget();
    ann.tell(json!({ "do": "play", "wav": audio("caller-10-goodbye.wav") }));
    assert_eq!(agent.ends(3 * PATIENCE), Some(0));

    let Told { session, heard: asked, cuts, again, colleague } = stand.end();
    let input = &session["session"]["audio"]["input"];
    assert_eq!(input["turn_detection"], Value::Null);
    assert_eq!(input["transcription"]["model"], "gpt-4o-mini-transcribe");
    assert_eq!(session["session"]["instructions"], "You serve in a shop.");

    // Nothing of an answer is missing, and it has no hole.
    for (sound, text) in [(&hours, HOURS), (&order, MONDAY)] {
        let said = Sound { rate_hz: 24_000, pcm: voice(text) };
        let (heard, said) = (span_ms(sound), span_ms(&said));
        assert!(heard.abs_diff(said) <= 60, "{text:?} takes {heard} ms, and {said} as it was said");
    }
    // Both sides are understood by a stranger.
    let heard = words(&[hours, order, owe]);
    let wanted = [
        &["open", "nine", "six", "saturday"][..],
        &["arrive", "monday"],
        &["thirty", "shop", "day"],
    ];
    for (heard, wanted) in heard.iter().zip(wanted) {
        let lost = missed(heard, wanted);
        assert!(lost.len() * 2 <= wanted.len(), "{heard:?} misses {lost:?}");
    }
    // Those after them are too short for it, even as they were recorded.
    let heard = words(&asked);
    let wanted = [
        &["opening", "hours"][..],
        &["order", "four", "seven"],
        &["return", "policy"],
        &["wait", "something", "else"],
    ];
    assert_eq!(heard.len(), 7);
    for (heard, wanted) in heard.iter().zip(wanted) {
        let lost = missed(heard, wanted);
        assert!(lost.len() * 2 <= wanted.len(), "the model hears {heard:?}, without {lost:?}");
    }

    // What was cut is cut where it was heard, and another session knows no more of it.
    let cut = &agent.events("agent.interrupted")[0];
    let (at, played) =
        (cuts[0]["audio_end_ms"].as_u64().unwrap(), cut["played_ms"].as_u64().unwrap());
    assert!(at.abs_diff(played) <= 1, "{at} ms, and {played} were played");
    let told: Vec<String> = again.iter().filter_map(content).collect();
    for known in ["What are your opening hours?", HOURS, MONDAY, "How much do I owe?", BROKEN] {
        assert!(told.iter().any(|text| text == known), "{known:?} is not in {told:?}");
    }
    assert!(told.iter().any(|text| text.starts_with("You may return anything within")));
    assert!(!told.iter().any(|text| text.contains("money")), "{told:?}");
    let told: Vec<String> = colleague.iter().filter_map(content).collect();
    for known in ["What are your opening hours?", MONDAY, GOES_ON, CONNECTS] {
        assert!(told.iter().any(|text| text.contains(known)), "{known:?} is not in {told:?}");
    }
    assert!(!told.iter().any(|text| text.contains("money")), "{told:?}");
    let session = colleague.iter().find(|event| event["type"] == "session.update").unwrap();
    assert_eq!(session["session"]["instructions"], "You know bills.");

    let messages = agent.events("user.message");
    assert_eq!(messages.len(), 7);
    assert_eq!(messages[3]["text"], "Wait, stop, let me ask you something else.");
    assert_eq!(agent.events("model.disconnected").len(), 1);
    assert_eq!(agent.events("model.connected").len(), 3);
    assert!(agent.events("agent.error").is_empty());

    let replay = Command::new(env!("CARGO_BIN_EXE_antiphon"))
        .arg("replay")
        .arg(journal(agent.folder()).expect("the call has a journal"))
        .env_remove("PLANTED_KEY")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&replay.stdout).into_owned();
    assert!(replay.status.success(), "{said}{}", String::from_utf8_lossy(&replay.stderr));
    assert!(!agent.printed().contains(KEY));
    without(agent.folder(), KEY);
}

/// The words of an item that a session was told.
fn content(event: &Value) -> Option<String> {
    let content = &event["item"]["content"][0];
    let text = content["text"].as_str().or_else(|| content["transcript"].as_str())?;
    Some(text.to_owned())
}

/// How long a sound lasts from where it is first loud to where it is last, in milliseconds.
fn span_ms(sound: &Sound) -> u64 {
    let step = sound.rate_hz as usize / 100;
    let loud: Vec<bool> = sound.pcm.chunks(step).map(|step| rms_dbfs(step) > LOUD_DBFS).collect();
    let first = loud.iter().position(|loud| *loud).unwrap_or_default();
    let last = loud.iter().rposition(|loud| *loud).unwrap_or_default();
    (last - first) as u64 * 10
}
