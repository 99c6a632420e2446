//! An agent that thinks, in a room: LiveKit's own server and client, a model behind HTTP, and words that a stranger makes
//! out.

#[path = "rooms/answers.rs"]
mod answers;
#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of it")]
#[path = "providers/protocol.rs"]
mod protocol;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use std::process::Command;

use answers::{answered, journal, without};
use listen::{missed, words};
use protocol::{Answer, Server, Step, chunk, fragment, usage};
use rooms::agent::Agent;
use rooms::peer::Peer;
use rooms::{PATIENCE, audio, room, shared};
use serde_json::{Value, json};

/// Keys, which nothing but the model's server may see.
const KEY: &str = "sk-planted-key-8642";
const HEADER: &str = "planted-header-9753";

/// A shop with a model, a slow tool, and a colleague whose answers are a script's.
fn shop(url: &str) -> String {
    format!(
        "
name: shop
start: shop
speech:
  recogniser: {{ engine: pocketsphinx }}
  synthesiser: {{ engine: flite, voice: slt }}
  vocabulary:
    - hello where is my order four two one seven
    - what are your opening hours
    - I have a question about my bill
    - how much do I owe
    - what is the return policy
    - wait stop let me ask you something else
    - when will I get my refund
models:
  main: {{ base_url: '{url}', model: small, api_key_env: PLANTED_KEY, headers: {{ x-team: '${{PLANTED_HEADER}}' }} }}
agents:
  shop:
    kind: model
    model: main
    instructions: You serve in a shop.
    greeting: Hello. How can I help you?
    tools: [order_status, hand_over]
  billing:
    arrival: This is billing. What is your question?
    intents: [{{ name: goodbye, phrases: [thank you goodbye], say: Thank you for calling. Goodbye!, end_call: true }}]
transitions:
  - {{ from: shop, to: billing, when: {{ decision: {{}} }} }}
tools:
  order_status:
    description: Looks an order up.
    parameters: {{ type: object, required: [number], properties: {{ number: {{ type: string }} }} }}
    canned: {{ takes_ms: 1500, otherwise: {{ day: Monday }} }}
    filler: One moment please.
"
    )
}

/// Words as a model streams them, and what they have cost.
fn says(text: &str) -> Answer {
    let words = text.split_inclusive(' ').map(|word| chunk(&json!({ "content": word }), None));
    Answer::events(words.chain([chunk(&json!({}), Some("stop")), usage()]))
}

/// Words, and a call whose arguments come in pieces.
fn calls(text: &str, id: &str, name: &str, arguments: &str) -> Answer {
    let words = text.split_inclusive(' ').map(|word| chunk(&json!({ "content": word }), None));
    let call = std::iter::once(fragment(0, Some(id), Some(name), ""));
    let pieces = arguments.chars().map(|c| fragment(0, None, None, &c.to_string()));
    let end = [chunk(&json!({}), Some("tool_calls")), usage()];
    Answer::events(words.chain(call).chain(pieces).chain(end))
}

#[test]
fn a_model_is_asked_by_voice_and_heard_interrupted_and_handed_over_from() {
    let long = "You may return anything within thirty days. It has to be clean. It has to be in its box. Please keep \
                the receipt. Then we send you the money.";
    let model = Server::start([
        says("We are open from nine to six, Monday to Saturday. What else?"),
        calls("Let me look. ", "call_1", "order_status", r#"{"number":"4217"}"#),
        says("It will arrive on Monday."),
        says(long),
        says("Of course. What do you want to know?"),
        calls("I will connect you with billing. ", "call_2", "hand_over", r#"{"to":"billing"}"#),
    ]);
    let (server, room) = (shared(), room("thinking"));
    let planted = [("PLANTED_KEY", KEY), ("PLANTED_HEADER", HEADER)];
    let mut agent = Agent::with_environment(&server, &room, &shop(&model.url()), &planted);
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

    // Talked over, it is cut; what was not heard it does not know of.
    ann.forget();
    ann.tell(json!({ "do": "play", "wav": audio("caller-07-policy.wav") }));
    ann.expect("the long answer", |event| {
        let text = event["text"].as_str().filter(|_| event["identity"] == "agent")?;
        text.contains("thirty days").then_some(())
    });
    ann.tell(json!({ "do": "play", "wav": audio("caller-08-barge-in.wav") }));
    answered(&mut ann, "want to know?");
    ann.forget();
    ann.tell(json!({ "do": "play", "wav": audio("caller-03-billing.wav") }));
    answered(&mut ann, "your question?");
    ann.forget();
    ann.tell(json!({ "do": "play", "wav": audio("caller-10-goodbye.wav") }));
    assert_eq!(agent.ends(3 * PATIENCE), Some(0));

    let heard = words(&[hours, order]);
    for (heard, wanted) in
        heard.iter().zip([&["open", "nine", "six", "saturday"][..], &["arrive", "monday"][..]])
    {
        let lost = missed(heard, wanted);
        assert!(lost.len() * 2 <= wanted.len(), "{heard:?} misses {lost:?}");
    }
    let texts: Vec<_> = agent.events("agent.message").iter().map(|it| it["text"].clone()).collect();
    for said in [
        "We are open from nine to six, Monday to Saturday.",
        "One moment please.",
        "I will connect you with billing.",
    ] {
        assert!(texts.contains(&json!(said)), "{texts:?}");
    }
    assert!(!agent.events("agent.interrupted").is_empty());
    let interrupted = told(&model, 4);
    let end = interrupted.last().unwrap();
    assert_eq!(end["role"], "user", "{end}");
    assert!(interrupted.iter().any(|message| text(message).contains("return anything within")));
    assert!(!interrupted.iter().any(|message| text(message).contains("money")), "{interrupted:?}");
    let outcome = told(&model, 2).into_iter().find(|message| message["role"] == "tool").unwrap();
    assert_eq!(
        (&outcome["tool_call_id"], text(&outcome)),
        (&json!("call_1"), r#"{"day":"Monday"}"#)
    );
    assert!(
        model.asked().iter().all(|asked| asked.headers["authorization"] == format!("Bearer {KEY}"))
    );

    // Its journal replays without network and key, and neither it nor anything else has a key.
    drop(model);
    let replay = Command::new(env!("CARGO_BIN_EXE_antiphon"))
        .arg("replay")
        .arg(journal(agent.folder()).expect("the call has a journal"))
        .env_remove("PLANTED_KEY")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&replay.stdout).into_owned();
    assert!(replay.status.success(), "{said}{}", String::from_utf8_lossy(&replay.stderr));
    for planted in [KEY, HEADER] {
        assert!(!agent.printed().contains(planted));
        without(agent.folder(), planted);
    }
}

/// The messages of a request to a model.
fn told(model: &Server, request: usize) -> Vec<Value> {
    let asked = model.asked().into_iter().filter(|asked| asked.method == "POST").nth(request);
    asked.unwrap().json()["messages"].as_array().unwrap().clone()
}

fn text(message: &Value) -> &str {
    message["content"].as_str().unwrap_or_default()
}

#[test]
fn a_model_that_breaks_off_in_a_room_is_apologised_for_and_the_talk_goes_on() {
    let words = |text: &str| chunk(&json!({ "content": text }), None);
    let broken = Answer::events_without_done([words("We are open from nine to six. On Sat")])
        .then(Step::Break);
    let model = Server::start([broken, says("Your order arrives on Monday.")]);
    let (server, room) = (shared(), room("broken"));
    let planted = [("PLANTED_KEY", KEY), ("PLANTED_HEADER", HEADER)];
    let agent = Agent::with_environment(&server, &room, &shop(&model.url()), &planted);
    let mut ann = Peer::join(&server, &room, "ann");
    ann.event("participant_joined", |event| event["identity"] == "agent");
    ann.publish(Some(&audio("noise.wav")));
    answered(&mut ann, "help you?");
    ann.tell(json!({ "do": "play", "wav": audio("caller-02-hours.wav") }));
    answered(&mut ann, "try again.");
    assert_eq!(agent.events("model.failed").len(), 1);
    let texts: Vec<_> = agent.events("agent.message").iter().map(|it| it["text"].clone()).collect();
    assert!(texts.contains(&json!("We are open from nine to six.")), "{texts:?}");
    ann.forget();
    ann.tell(json!({ "do": "play", "wav": audio("caller-01-order.wav") }));
    answered(&mut ann, "on Monday.");
}
