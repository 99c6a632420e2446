//! What must hold of any bytes that somebody gives to a reader: a function for each reader.
//!
//! The same functions are fuzzed with cargo-fuzz (`make fuzz`) and given the committed corpus by
//! `tests/corpus.rs`, on every run of the tests and with the stable compiler.

use antiphon::config::scenario::{self, Act, Scenario, Tell};
use antiphon::config::{self, Config};
use antiphon::graph::rules::{RuleSet, Variables};
use antiphon::graph::topology::{FAULTS_MAX, Lenience, Link, Policy, Topology};
use antiphon::journal::{CODEC, Journal, MAGIC};
use antiphon::pcm::{resample, wav};
use antiphon::session::Session;
use antiphon::session::checkpoint::BUILD;
use antiphon::session::input::Input;
use antiphon::session::output::Output;
use antiphon::session::plan::Plan;
use antiphon::sim::replay::replay;
use antiphon::sim::scenario::draft;
use antiphon::think::chat::{ErrorKind, ModelError, ToolOutput};
use antiphon::think::native::realtime::settings::Settings;
use antiphon::think::native::realtime::{Action, Realtime, server};
use antiphon::think::native::wire::Format;
use antiphon::think::native::{Adapter, NativeEvent, Rules, TickResult};
use antiphon::tool::NoHands;
use serde_json::Value;

/// So many ticks of a journal are replayed.
const TICKS_MAX: usize = 200;

/// A WAV file is read or refused; what is read can be played.
pub(crate) fn wav(bytes: &[u8]) {
    match wav::read(bytes) {
        Ok(file) => {
            assert!(resample::RATES_HZ.contains(&file.rate_hz));
            assert!(wav::CHANNELS.contains(&file.channels));
            assert!(!file.pcm.is_empty() && file.pcm.len() <= bytes.len());
            if let Some(truncated) = file.truncated {
                assert!(truncated.got_frames < truncated.expected_frames);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A configuration is refused with complaints, or a session can run on it.
pub(crate) fn config(bytes: &[u8]) {
    let config = match config::parse(bytes, "fuzz.yaml") {
        Ok(config) => config,
        Err(complaints) => return assert!(!complaints.to_string().is_empty()),
    };
    // As the journal writes it.
    let json = serde_json::to_string(&config).expect("a configuration can be written");
    let again: Config = serde_json::from_str(&json).expect("what is written can be read");
    assert!(again == config, "what is read again is the same");
    let plan = Plan::new(config).expect("what is accepted can be planned");
    let mut session = Session::new(&plan, 0);
    let (mut input, mut out) = (Input::default(), Output::default());
    for _ in 0..3 {
        input.clear(session.tick(), 0);
        session.step(&plan, &mut input, &mut NoHands, &mut out);
    }
}

/// What a scenario is compared with.
const SHOP: &[u8] =
    b"name: a\nstart: a\nagents: { a: { kind: echo }, b: {} }\ntools: { t: { canned: { otherwise: 1 } } }\n";

/// A scenario, or a list of cues, is refused with complaints, or is the same when written and read again.
pub(crate) fn cues(bytes: &[u8]) {
    let cues = match scenario::parse(bytes, "fuzz.yaml") {
        Ok(cues) => cues,
        Err(complaints) => return assert!(!complaints.to_string().is_empty()),
    };
    let json = serde_json::to_string(&cues).expect("cues can be written");
    let again: Scenario = serde_json::from_str(&json).expect("what is written can be read");
    assert!(again == cues, "what is read again is the same");
    scenario::parse(json.as_bytes(), "again.json").expect("JSON is YAML");
    for case in cues.cases("fuzz") {
        assert_eq!(case.expected().count(), case.cues.len() + 1);
        for cue in case.cues {
            assert!(!cue.act.to_string().is_empty());
            if let Act::Tell(event) = &cue.act {
                let told = event.told().expect("what is accepted can be told");
                assert!(Tell::of(&told).is_some_and(|tell| tell.told() == Ok(told)));
            }
        }
    }
    let shop = config::parse(SHOP, "shop.yaml").expect("it is sound");
    if let Err(complaints) = scenario::against(&cues, bytes, "fuzz.yaml", &shop, &["own"]) {
        assert!(!complaints.to_string().is_empty());
    }
    // As `antiphon scenario` writes it, which makes no file of several tests.
    if cues.tests.is_empty() && cues.config.is_some() {
        let text = draft::yaml(&cues);
        let again = scenario::parse(text.as_bytes(), "draft.yaml")
            .unwrap_or_else(|complaints| panic!("{complaints}\n{text}"));
        assert!(again.cues == cues.cues && again.opening == cues.opening, "{text}");
        assert!(again.tools == cues.tools && again.name == cues.name, "{text}");
    }
}

/// So many lines are read as links and policies.
const LINES_MAX: usize = 100;

/// A topology is refused with faults, or is the same when written and read again; so is each line that is
/// a link or a policy. In a configuration it is accepted or complained about.
pub(crate) fn topology(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines().take(LINES_MAX) {
        match line.parse::<Link>() {
            Ok(link) => assert_eq!(link.to_string().parse::<Link>(), Ok(link)),
            Err(fault) => assert!(!fault.to_string().is_empty()),
        }
        match line.parse::<Policy>() {
            Ok(policy) => assert_eq!(policy.to_string().parse::<Policy>(), Ok(policy)),
            Err(fault) => assert!(!fault.to_string().is_empty()),
        }
    }
    if let Ok(value) = serde_json::from_str::<Value>(&text) {
        for lenience in [Lenience::Strict, Lenience::Lenient] {
            read(&value, lenience);
        }
    }
    let agents = "agents: { a: { kind: echo }, b: {}, c: {} }";
    config(format!("name: a\n{agents}\nstart: a\ntopology:\n{}", indented(&text)).as_bytes());
}

fn read(value: &Value, lenience: Lenience) {
    let strictly = |value: &Value| Topology::read(value, Lenience::Strict).map(|(read, _)| read);
    match Topology::read(value, lenience) {
        Ok((topology, warnings)) => {
            assert!(warnings.iter().all(|warning| !warning.to_string().is_empty()));
            let _ = topology.analysis();
            let written = serde_json::to_value(&topology).expect("a topology can be written");
            for written in [written, topology.to_notation()] {
                assert_eq!(strictly(&written).as_ref(), Ok(&topology), "{written}");
            }
        }
        Err(faults) => {
            assert!((1..=FAULTS_MAX + 1).contains(&faults.len()));
            assert!(faults.iter().all(|fault| !fault.to_string().is_empty()));
        }
    }
}

/// The lines of a text below a key.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("        {line}\n")).collect()
}

/// What business rules are asked about.
struct Known(Value);

impl Variables for Known {
    fn user_input(&self) -> &str {
        "my invoice is wrong"
    }
    fn current_agent_name(&self) -> &str {
        "a"
    }
    fn current_agent_type(&self) -> &str {
        "general"
    }
    fn conversation_turn_count(&self) -> u64 {
        2
    }
    fn last_tool_name(&self) -> &str {
        "t"
    }
    fn last_tool_result(&self) -> &str {
        "{\"known\":false}"
    }
    fn fact(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

/// Business rules are refused with faults, or can be asked, and are the same when written and read again.
/// In a configuration they are accepted or complained about.
pub(crate) fn rules(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(value) = serde_json::from_str::<Value>(&text) {
        match RuleSet::new(&value) {
            Ok(rules) => {
                assert_eq!(RuleSet::new(&rules.to_value()).as_ref(), Ok(&rules));
                let facts =
                    serde_json::json!({ "tier": "gold", "age": 7, "vip": true, "orders": [1] });
                match rules.evaluate(&Known(facts)) {
                    Ok(Some(triggered)) => {
                        assert_eq!(triggered.actions, rules.rules()[triggered.rule].actions);
                        assert!(
                            triggered.transition().is_some() || triggered.updates().count() == 0
                        );
                    }
                    Ok(None) => {}
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
            }
            Err(faults) => {
                assert!(!faults.is_empty());
                assert!(faults.iter().all(|fault| !fault.to_string().is_empty()));
            }
        }
    }
    let agents = "agents: { a: { kind: echo }, b: {} }";
    let way = "transitions:\n  - from: a\n    to: b\n    when:\n      rules:\n";
    config(format!("name: a\n{agents}\nstart: a\n{way}{}", indented(&text)).as_bytes());
}

/// A journal is read or refused; what is read can be replayed, equal or not.
pub(crate) fn journal(bytes: &[u8]) {
    replays(bytes);
    if let Some(resealed) = resealed(bytes) {
        replays(&resealed);
    }
}

fn replays(bytes: &[u8]) {
    let mut journal = match Journal::read(bytes) {
        Ok(journal) => journal,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    journal.ticks.truncate(TICKS_MAX);
    // Whatever build and codec it claims.
    journal.header.build = BUILD.to_owned();
    journal.header.codec = CODEC.to_owned();
    if let Err(refused) = replay(&journal, |_, out| assert_eq!(out.audio.len(), out.heard.len())) {
        assert!(!refused.to_string().contains("panics"), "{refused}");
    }
}

/// The same bytes with lengths and checksums that fit, so that what is behind them is reached.
fn resealed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut sealed = bytes.get(..MAGIC.len() + 2)?.to_vec();
    let mut rest = &bytes[MAGIC.len() + 2..];
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) & 0x0FFF_FFFF;
        let (payload, after) = body.split_at((len as usize).min(body.len()));
        let mut check = 0xF;
        let mut digits = payload.len() as u32;
        while digits > 0 {
            check ^= digits & 0xF;
            digits >>= 4;
        }
        sealed.extend((payload.len() as u32 | check << 28).to_le_bytes());
        sealed.extend(crc32fast::hash(payload).to_le_bytes());
        sealed.extend(payload);
        rest = after;
    }
    Some(sealed)
}

/// What a provider of OpenAI's Realtime protocol sends is used or counted: a text a line. One that begins with `!`
/// is what happens besides: `!lost`, `!cancel`, and how many ticks pass.
pub(crate) fn realtime(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut realtime = Realtime::new(Settings { format: Format::MuLaw, ..Settings::default() });
    let mut adapter = Adapter::new(Rules::new(8_000, 20), true).expect("a tick and a rate");
    adapter.connect();
    realtime.start();
    let (mut now, mut calls, mut out) = (0, Vec::<String>::new(), TickResult::default());
    for line in text.lines().take(LINES_MAX) {
        match line.strip_prefix('!') {
            Some("lost") => realtime.lost(ModelError::new(ErrorKind::Unreachable, "gone")),
            Some("cancel") => realtime.cancel(),
            Some(ticks) => {
                for _ in 0..ticks.parse().unwrap_or(1).min(20) {
                    now += 20;
                    realtime.append(&[0; 160]);
                    realtime.tick(now);
                    adapter.tick(160, &mut out).expect("it is connected");
                    assert_eq!(out.audio.len(), 160);
                    realtime.heed(&out);
                }
            }
            None => {
                if let Err(why) = server::read(line) {
                    assert!(!why.to_string().is_empty());
                }
                realtime.received(line);
            }
        }
        for call in calls.drain(..) {
            realtime.tool_result(&call, &ToolOutput::Text("done".into()));
        }
        while let Some(action) = realtime.poll() {
            match action {
                Action::Connect => realtime.connected(),
                Action::Send { event_id, event } => {
                    let text = event.text(&event_id);
                    assert!(
                        serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_object())
                    );
                }
                Action::Close => {}
            }
        }
        while let Some(event) = realtime.poll_event() {
            if let NativeEvent::Call(call) = &event {
                assert!(call.arguments.0.is_object());
                calls.push(call.id.clone());
            }
            adapter.take(event);
        }
    }
}

/// What a network sends to a participant of a room is used or counted, and what is kept of it is bounded.
///
/// Pieces: a byte that says for whom it is, the length in two bytes, and the piece.
#[cfg(feature = "livekit")]
pub(crate) fn room(bytes: &[u8]) {
    use antiphon::host::pace::Clock;
    use antiphon::livekit::{address::Address, red, signal, stay, token::Pass, worker};
    use livekit_protocol::{JoinResponse, ParticipantInfo, Room};

    let now = Clock::default().now();
    let agent = stay::Agent { name: "a".into(), track: "cid".into(), ..stay::Agent::default() };
    let mut stay = stay::Stay::new(now, agent);
    let person = |identity: &str| ParticipantInfo {
        identity: identity.into(),
        sid: format!("PA_{identity}"),
        ..ParticipantInfo::default()
    };
    stay.joined(
        now,
        JoinResponse {
            room: Some(Room { sid: "RM".into(), ..Room::default() }),
            participant: Some(person("me")),
            other_participants: vec![person("ann")],
            ..JoinResponse::default()
        },
    );
    let mut rest = bytes;
    let mut pieces = 0;
    while let Some((&[whom, high, low], after)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (piece, left) = after.split_at(len);
        rest = left;
        pieces += 1;
        // A worker's messages are read by the same library.
        if let Ok(Some(job)) = worker::read(piece) {
            assert!(job.chars().count() <= antiphon::livekit::token::NAME_LEN_MAX);
        }
        match whom % 5 {
            0 => stay.data(now, whom & 8 == 0, piece),
            1 => {
                if let Ok(Some(message)) = signal::read(piece) {
                    stay.signal(now, message);
                }
            }
            2 => {
                if let Some(redundant) = red::read(piece) {
                    let repeated: usize = redundant.repeated.iter().map(|(_, b)| b.len()).sum();
                    assert!(redundant.primary.len() + repeated < piece.len());
                }
            }
            3 => {
                let text = String::from_utf8_lossy(piece);
                if let Err(why) = Pass::given(&text) {
                    assert!(text.len() < 16 || !why.contains(&*text), "a token is not repeated");
                }
            }
            _ => {
                if let Ok(address) = String::from_utf8_lossy(piece).parse::<Address>() {
                    assert_eq!(address.to_string().parse::<Address>(), Ok(address));
                }
            }
        }
    }
    let counts = stay.counts();
    assert!(counts.malformed + counts.unused + counts.oversized <= pieces);
    assert!(stay.out().packets.len() <= 512);
    assert!(stay.roster().present().len() <= 1_024);
}

/// Datagrams on a stream are the same however it is cut, none is longer than it may be, and nothing is read twice.
///
/// The first byte says how they are marked off and into what pieces the stream, which is the rest, is cut.
#[cfg(feature = "livekit")]
pub(crate) fn frames(bytes: &[u8]) {
    use antiphon::livekit::paths::frames::{DATAGRAM_MAX, Frames, Framing};

    let Some((&how, stream)) = bytes.split_first() else { return };
    let framing = if how & 1 == 0 { Framing::Length } else { Framing::Turn };
    let read = |piece: usize| {
        let mut frames = Frames::new(framing);
        let mut found = Vec::new();
        let mut rest = stream;
        loop {
            match frames.take() {
                Ok(Some(frame)) => found.push(frame.to_vec()),
                Ok(None) if rest.is_empty() => return (found, frames.oversized()),
                Ok(None) => {
                    let room = frames.room();
                    let (piece, after) = rest.split_at(piece.min(rest.len()).min(room.len()));
                    room[..piece.len()].copy_from_slice(piece);
                    frames.filled(piece.len());
                    rest = after;
                }
                Err(_) => return (found, frames.oversized()),
            }
        }
    };
    let (found, oversized) = read(usize::from(how >> 1) + 1);
    assert!(found.iter().all(|frame| (1..=DATAGRAM_MAX).contains(&frame.len())));
    assert!(found.iter().map(Vec::len).sum::<usize>() <= stream.len());
    assert_eq!((found, oversized), read(usize::MAX));
}
