//! What must hold of any bytes that somebody gives to a reader: a function for each reader.
//!
//! The same functions are fuzzed with cargo-fuzz (`make fuzz`) and given the committed corpus by
//! `tests/corpus.rs`, on every run of the tests and with the stable compiler.

use antiphon::config::scenario::{self, Scenario};
use antiphon::config::{self, Config};
use antiphon::journal::{CODEC, Journal, MAGIC};
use antiphon::pcm::{resample, wav};
use antiphon::session::Session;
use antiphon::session::checkpoint::BUILD;
use antiphon::session::input::Input;
use antiphon::session::output::Output;
use antiphon::session::plan::Plan;
use antiphon::sim::replay::replay;
use antiphon::tool::NoHands;

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

/// A list of cues is refused with complaints, or is the same when written and read again.
pub(crate) fn cues(bytes: &[u8]) {
    match scenario::parse(bytes, "fuzz.yaml") {
        Ok(cues) => {
            let json = serde_json::to_string(&cues).expect("cues can be written");
            let again: Scenario = serde_json::from_str(&json).expect("what is written can be read");
            assert!(again == cues, "what is read again is the same");
            scenario::parse(json.as_bytes(), "again.json").expect("JSON is YAML");
        }
        Err(complaints) => assert!(!complaints.to_string().is_empty()),
    }
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

/// What a network sends to a participant of a room is used or counted, and what is kept of it is bounded.
///
/// Pieces: a byte that says for whom it is, the length in two bytes, and the piece.
#[cfg(feature = "livekit")]
pub(crate) fn room(bytes: &[u8]) {
    use antiphon::host::pace::Clock;
    use antiphon::livekit::{address::Address, red, signal, stay, token::Pass};
    use livekit_protocol::{JoinResponse, ParticipantInfo, Room};

    let now = Clock::default().now();
    let agent = stay::Agent { name: "a".into(), track: "cid".into(), listen_to: None };
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
