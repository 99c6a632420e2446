use proptest::prelude::*;

use super::*;
use crate::think::chat::Usage;

/// Eight samples a millisecond and 200 ms: 1,600 samples a tick.
const RULES: Rules = Rules::new(8_000, 200);

fn adapter() -> Adapter {
    let mut adapter = Adapter::new(RULES, true).unwrap();
    assert!(!adapter.connect());
    adapter
}

fn audio(item: &str, samples: usize) -> NativeEvent {
    NativeEvent::Audio { item: item.into(), pcm: Clip::from(vec![7; samples]) }
}

fn words(item: &str, text: &str) -> NativeEvent {
    NativeEvent::Words { item: item.into(), text: text.into() }
}

fn done(item: &str) -> NativeEvent {
    NativeEvent::ItemDone { item: item.into() }
}

const fn speech(at_ms: u64) -> NativeEvent {
    NativeEvent::SpeechStarted { at_ms: Some(at_ms) }
}

/// A tick of these events, in which a tick of the user's audio is sent.
fn tick(adapter: &mut Adapter, events: impl IntoIterator<Item = NativeEvent>) -> TickResult {
    let mut out = TickResult::default();
    for event in events {
        adapter.take(event);
    }
    adapter.tick(1_600, &mut out).unwrap();
    assert_eq!(out.audio.len(), 1_600);
    out
}

/// Samples that sound, and the words told.
fn heard(out: &TickResult) -> (usize, &str) {
    let sounding = out.audio.iter().filter(|&&sample| sample != 0).count();
    assert!(out.audio[sounding..].iter().all(|&sample| sample == 0), "silence is at the end");
    (sounding, &out.transcript)
}

#[test]
fn n63_rules_without_a_tick_or_a_rate_are_refused() {
    assert_eq!(Adapter::new(Rules::new(8_000, 0), true).unwrap_err(), WrongRules::Tick);
    assert_eq!(Adapter::new(Rules::new(0, 200), true).unwrap_err(), WrongRules::Rate);
    assert_eq!(Rules::new(8_000, 33).samples_per_tick(), 264);
    assert_eq!(Rules::new(24_000, 1).samples_per_tick(), 24);
    assert!(WrongRules::Rate.to_string().contains("8,000"));
}

#[test]
fn n64_what_is_left_of_a_tick_comes_first_in_the_next() {
    let mut adapter = adapter();
    let first = Clip::from((1..=2_000).collect::<Vec<i16>>());
    let out = tick(&mut adapter, [NativeEvent::Audio { item: "a".into(), pcm: first }]);
    assert_eq!((out.audio[1_599], out.buffered), (1_600, 400));
    let out = tick(&mut adapter, [audio("a", 1_600)]);
    assert_eq!(
        (out.audio[0], out.audio[399], out.audio[400], out.buffered),
        (1_601, 2_000, 7, 400)
    );
}

#[test]
fn n64_the_users_audio_advances_by_what_was_sent() {
    let mut adapter = adapter();
    let mut out = TickResult::default();
    for (sent, at) in [(1_600, 0), (800, 200), (0, 300), (1_600, 300)] {
        adapter.tick(sent, &mut out).unwrap();
        assert_eq!((out.user_ms_at_start, out.sent_ms()), (at, sent / 8));
    }
    assert_eq!(adapter.user_ms(), 500);
}

#[test]
fn n66_results_wait_for_the_beginning_of_the_next_tick() {
    let mut adapter = adapter();
    let output = crate::think::chat::ToolOutput::Text("sunny".into());
    for call in ["a", "b"] {
        adapter.replies.push(call.into(), output.clone());
    }
    let told: Vec<bool> = adapter.replies.flush().map(|reply| reply.goes_on).collect();
    assert_eq!(told, [false, true]);
}

#[test]
fn n67_a_tick_is_always_full_and_speech_is_what_came() {
    let mut adapter = adapter();
    let out = tick(&mut adapter, [audio("a", 300), words("a", "Hm")]);
    assert_eq!((heard(&out), out.is_speech), ((300, "Hm"), true));
    let out = tick(&mut adapter, []);
    assert_eq!((heard(&out), out.is_speech), ((0, ""), false));
    let silence = NativeEvent::Audio { item: "a".into(), pcm: Clip::from(vec![0; 100]) };
    assert!(tick(&mut adapter, [silence]).is_speech, "what came is silence, but it came");
}

#[test]
fn n68_a_cut_plays_up_to_where_the_user_began() {
    for (at_ms, sounding) in [(150, 0), (200, 0), (250, 400), (399, 1_592), (900, 1_600)] {
        let mut adapter = adapter();
        tick(&mut adapter, [audio("a", 8_000), words("a", "abcdefghij")]);
        let out = tick(&mut adapter, [speech(at_ms)]);
        assert_eq!(heard(&out).0, sounding, "at {at_ms} ms");
        assert!(out.truncated && out.interruption_ms == Some(at_ms) && out.buffered == 0);
        assert_eq!(out.truncated_samples, 6_400 - sounding as u64);
        assert_eq!((out.skipping.as_deref(), out.user_ms_at_start), (Some("a"), 200));
    }
}

#[test]
fn n68_what_is_cut_never_sounds_and_the_next_item_does() {
    let mut adapter = adapter();
    tick(&mut adapter, [audio("a", 3_200), audio("b", 1_600)]);
    let out = tick(&mut adapter, [speech(200), audio("b", 500), audio("a", 100)]);
    assert_eq!((heard(&out).0, out.truncated_samples), (0, 3_200 + 600));
    let out = tick(&mut adapter, [audio("b", 500)]);
    assert_eq!((heard(&out).0, out.truncated_samples, out.truncated), (0, 500, false));
    assert_eq!(out.skipping.as_deref(), Some("b"));
    let out = tick(&mut adapter, [audio("c", 900), audio("b", 500)]);
    assert_eq!((heard(&out).0, out.truncated_samples), (900, 500));
    assert_eq!(out.skipping, None);
}

#[test]
fn n68_an_item_that_comes_in_the_tick_of_a_cut_begins_in_the_next() {
    let mut adapter = adapter();
    tick(&mut adapter, [audio("a", 3_200)]);
    let out = tick(&mut adapter, [speech(250), audio("b", 700)]);
    assert_eq!((heard(&out).0, out.buffered), (400, 700));
    assert_eq!(heard(&tick(&mut adapter, [])).0, 700);
}

#[test]
fn n68_nothing_to_play_is_nothing_to_cut() {
    let mut adapter = adapter();
    let out = tick(&mut adapter, [speech(0), audio("a", 100)]);
    assert_eq!((out.truncated, heard(&out).0), (false, 100));
    assert_eq!(out.speech, [Speech::Started { at_ms: Some(0) }]);
    let mut polite = Adapter::new(Rules { yields: false, ..RULES }, true).unwrap();
    polite.connect();
    let out = tick(&mut polite, [audio("a", 3_200), speech(0)]);
    assert_eq!((out.truncated, out.buffered), (false, 1_600), "somebody else decides");
    polite.cut(None);
    assert!(tick(&mut polite, []).truncated);
}

#[test]
fn n69_what_is_cut_is_counted_once_and_told_as_far_as_it_was_played() {
    let mut adapter = adapter();
    tick(&mut adapter, [audio("a", 2_000), words("a", "0123456789"), audio("b", 4_000)]);
    let out = tick(&mut adapter, [words("b", "abcdefghij"), speech(350)]);
    // 400 of the first item, and 800 of the second's 4,000.
    assert_eq!(heard(&out), (1_200, "89 ab"));
    assert_eq!(out.truncated_samples, 3_200);
    let cut = Cut { item: "b".into(), samples: 800, audio_end_ms: 100, spoken: "ab".into() };
    assert_eq!(out.cuts, [cut]);
    let out = tick(&mut adapter, [audio("b", 10)]);
    assert_eq!((out.truncated_samples, out.cuts.len(), heard(&out)), (10, 0, (0, "")));
}

#[test]
fn n69_an_item_that_never_began_was_played_for_no_time() {
    let mut adapter = adapter();
    tick(&mut adapter, [audio("a", 1_700), audio("b", 100), words("b", "never")]);
    let out = tick(&mut adapter, [NativeEvent::Interrupted]);
    let ends: Vec<(&str, u64)> =
        out.cuts.iter().map(|cut| (cut.item.as_str(), cut.audio_end_ms)).collect();
    assert_eq!(ends, [("a", 200), ("b", 0)]);
}

#[test]
fn n70_words_follow_the_samples_of_their_item() {
    let mut adapter = adapter();
    // 11 characters over 4,800 samples: 3.67, 7.33 and 11 at the ends of three ticks.
    let out = tick(&mut adapter, [audio("a", 4_800), words("a", "Grüße, Anna")]);
    assert_eq!(heard(&out).1, "Grüß");
    assert_eq!(heard(&tick(&mut adapter, [])).1, "e, A");
    assert_eq!(heard(&tick(&mut adapter, [])).1, "nna");
}

#[test]
fn n70_words_never_go_back_and_late_ones_wait_for_audio() {
    let mut adapter = adapter();
    let out = tick(&mut adapter, [audio("a", 1_600), words("a", "all of it")]);
    assert_eq!(heard(&out).1, "all of it");
    let out = tick(&mut adapter, [audio("a", 14_400)]);
    assert_eq!(heard(&out).1, "", "more audio makes what was told no less");
    let out = tick(&mut adapter, [words("a", ", and then some more of it")]);
    // 4,800 of 16,000 of 35 characters: 11.
    assert_eq!(heard(&out).1, ", ");
    let mut silent = super::tests::adapter();
    tick(&mut silent, [audio("a", 1_600), words("a", "x")]);
    assert_eq!(heard(&tick(&mut silent, [words("a", "y")])).1, "", "it gets no audio");
}

#[test]
fn n70_items_of_one_tick_are_parted_by_a_space() {
    let mut adapter = adapter();
    let events = ["eins", "zwei", "drei"].map(|item| [audio(item, 400), words(item, item)]);
    let out = tick(&mut adapter, events.into_iter().flatten());
    assert_eq!(heard(&out), (1_200, "eins zwei drei"));
}

#[test]
fn n72_a_provider_that_is_silent_for_too_long_has_stalled() {
    let mut adapter = adapter();
    let stalled: Vec<u64> = (0..450)
        .filter_map(|_| Some(tick(&mut adapter, [])).filter(|out| out.stalled).map(|out| out.tick))
        .collect();
    assert_eq!(stalled, [199, 399], "40 s are 200 ticks, and the count begins anew");
    tick(&mut adapter, [words("a", "a sign of life")]);
    assert!((0..199).all(|_| !tick(&mut adapter, []).stalled));
    assert!(tick(&mut adapter, []).stalled);
    let mut patient = Adapter::new(Rules { stall_ms: 0, ..RULES }, true).unwrap();
    patient.connect();
    assert!((0..1_000).all(|_| !tick(&mut patient, []).stalled));
}

#[test]
fn n72_a_tick_has_30_s_more_than_it_lasts() {
    assert_eq!((RULES.is_overdue(30_200), RULES.is_overdue(30_201)), (false, true));
}

#[test]
fn n72_no_tick_before_there_is_a_connection_and_only_who_owns_it_closes_it() {
    let mut adapter = Adapter::new(RULES, true).unwrap();
    let mut out = TickResult::default();
    adapter.take(audio("a", 10));
    assert_eq!(adapter.tick(0, &mut out), Err(NotConnected));
    assert_eq!(out.audio, [0; 1_600]);
    assert!(NotConnected.to_string().contains("connect it"));
    assert!(!adapter.connect(), "the first");
    assert!(adapter.connect(), "again");
    assert_eq!(heard(&tick(&mut adapter, [audio("a", 3_200)])).0, 1_600);
    assert!(adapter.stop());
    assert_eq!(heard(&tick(&mut adapter, [])).0, 1_600, "what has come may still be played");
    assert_eq!(heard(&tick(&mut adapter, [])).0, 10);
    assert_eq!(adapter.tick(0, &mut out), Err(NotConnected));
    let mut lent = Adapter::new(RULES, false).unwrap();
    lent.connect();
    assert!(!lent.stop(), "its connection is somebody else's");
    lent.tick(0, &mut out).unwrap();
}

#[test]
fn n73_a_result_has_all_of_its_tick_and_nothing_of_another() {
    let mut adapter = adapter();
    let usage = Usage { total: Some(9), ..Usage::default() };
    let events = [
        speech(0),
        NativeEvent::SpeechStopped { at_ms: Some(100) },
        NativeEvent::Call(Call::written("c", "find", "{}")),
        NativeEvent::Usage(UsageRecord::Delta { scope: "response".into(), usage }),
        audio("a", 400),
        done("a"),
    ];
    let out = tick(&mut adapter, events);
    assert_eq!(
        (out.tick, out.tick_ms, out.hz, out.events, out.sent_samples),
        (0, 200, 8_000, 6, 1_600)
    );
    assert_eq!((out.speech.len(), out.calls.len(), out.usage.len(), out.refused), (2, 1, 1, 0));
    assert_eq!(
        (out.played[0].samples, out.played[0].total, out.played[0].finished),
        (400, 400, true)
    );
    let out = tick(&mut adapter, []);
    let nothing = TickResult {
        tick: 1,
        tick_ms: 200,
        hz: 8_000,
        audio: vec![0; 1_600],
        sent_samples: 1_600,
        user_ms_at_start: 200,
        ..TickResult::default()
    };
    assert_eq!(out, nothing);
}

#[test]
fn n74_what_was_used_outlives_the_connection() {
    let mut adapter = adapter();
    let usage = Usage { total: Some(9), ..Usage::default() };
    let record = NativeEvent::Usage(UsageRecord::Delta { scope: "response".into(), usage });
    assert_eq!(tick(&mut adapter, [record.clone()]).usage.len(), 1);
    adapter.stop();
    adapter.connect();
    assert_eq!(tick(&mut adapter, [record]).usage.len(), 1, "only the new one");
    assert_eq!(adapter.ledger.sum("response").total, Some(18));
}

#[test]
fn the_end_of_an_item_is_told_once_all_of_it_was_played() {
    let mut adapter = adapter();
    let out = tick(&mut adapter, [audio("a", 1_600)]);
    assert!(!out.played[0].finished, "more may come");
    let out = tick(&mut adapter, [done("a")]);
    assert_eq!((out.played[0].samples, out.played[0].finished), (0, true));
    assert!(tick(&mut adapter, [done("a"), audio("a", 5)]).played.is_empty());
}

#[test]
fn what_has_no_room_is_dropped_from_its_first_sample_on() {
    let mut adapter = Adapter::new(Rules { buffer_ms: 400, ..RULES }, true).unwrap();
    adapter.connect();
    let out =
        tick(&mut adapter, [audio("a", 3_000), audio("a", 300), audio("a", 100), words("a", "x")]);
    assert_eq!((out.truncated_samples, out.truncated), (400, false));
    let out = tick(&mut adapter, [audio("a", 10)]);
    assert_eq!((out.truncated_samples, heard(&out).0), (10, 1_400), "no gap: an end");
    assert!(out.played[0].finished);
    // Far more items than are known at a time, with text alone.
    for n in 0..1_000 {
        adapter.take(words(&n.to_string(), &"x".repeat(100_000)));
    }
    assert!(adapter.items.len() <= ITEMS_MAX && adapter.items.iter().all(|i| i.text.is_empty()));
    for n in 0..1_000 {
        adapter.take(NativeEvent::Call(Call::written(n.to_string(), "x", "")));
    }
    let out = tick(&mut adapter, []);
    assert_eq!((out.calls.len(), out.refused), (256, 744));
}

/// Something that happens to an adapter.
#[derive(Debug, Clone)]
enum Act {
    Audio(u8, usize),
    Words(u8, String),
    Done(u8),
    Speech(u64),
    Tick(u64),
    Lost,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0..6_u8, 0..900_usize).prop_map(|(item, len)| Act::Audio(item, len)),
        4 => (0..6_u8, "[a-zß ]{0,12}").prop_map(|(item, text)| Act::Words(item, text)),
        1 => (0..6_u8).prop_map(Act::Done),
        1 => (0..8_000_u64).prop_map(Act::Speech),
        6 => (0..400_u64).prop_map(Act::Tick),
        1 => Just(Act::Lost),
    ];
    prop::collection::vec(act, 0..120)
}

/// Samples that say which of an item they are.
fn numbered(item: u8, from: usize, len: usize) -> Vec<i16> {
    (from..from + len).map(|n| (i32::from(item) * 3_000 + (n % 3_000) as i32 + 1) as i16).collect()
}

/// Plays acts; audio and words come in pieces of `piece` samples and characters at most.
fn played(acts: &[Act], piece: usize) -> Vec<TickResult> {
    let mut adapter = Adapter::new(Rules::new(8_000, 40), true).unwrap();
    adapter.connect();
    let (mut sent, mut results) = ([0; 6], Vec::new());
    for act in acts {
        match act {
            Act::Audio(n, len) => {
                let pcm = numbered(*n, sent[usize::from(*n)], *len);
                sent[usize::from(*n)] += len;
                for pcm in pcm.chunks(piece) {
                    let pcm = Clip::from(pcm.to_vec());
                    adapter.take(NativeEvent::Audio { item: n.to_string(), pcm });
                }
            }
            Act::Words(n, text) => {
                for text in text.chars().collect::<Vec<_>>().chunks(piece) {
                    adapter.take(words(&n.to_string(), &text.iter().collect::<String>()));
                }
            }
            Act::Done(n) => adapter.take(done(&n.to_string())),
            Act::Speech(at_ms) => adapter.take(speech(*at_ms)),
            Act::Lost => drop(adapter.connect()),
            Act::Tick(user) => {
                let mut out = TickResult::default();
                adapter.tick(*user, &mut out).unwrap();
                // A restored one goes on alike.
                let bytes = postcard::to_allocvec(&adapter).unwrap();
                adapter = postcard::from_bytes(&bytes).unwrap();
                out.events = 0;
                results.push(out);
            }
        }
    }
    results
}

proptest! {
    #[test]
    fn however_pieces_are_cut_samples_and_words_are_the_same(acts in acts(), piece in 1..40_usize) {
        prop_assert_eq!(played(&acts, piece), played(&acts, usize::MAX));
    }

    #[test]
    fn whatever_happens_a_tick_is_a_tick_and_nothing_is_played_twice(acts in acts()) {
        let results = played(&acts, 333);
        let (mut sounded, mut told) = ([0_usize; 6], [0_usize; 6]);
        let mut cut = [false; 6];
        for out in &results {
            prop_assert_eq!(out.audio.len(), 320);
            let mut at = 0;
            for item in &out.played {
                let n = item.item.parse::<usize>().unwrap();
                let len = item.samples as usize;
                prop_assert!(!cut[n] || len == 0, "what was cut sounds");
                // The very next samples of the item: none twice, none left out.
                prop_assert_eq!(&out.audio[at..at + len], &numbered(n as u8, sounded[n], len)[..]);
                (sounded[n], told[n], at) = (sounded[n] + len, told[n] + item.text.chars().count(), at + len);
                prop_assert_eq!(item.total, sounded[n] as u64);
                prop_assert!(told[n] == 0 || sounded[n] > 0, "words without audio");
            }
            prop_assert!(out.audio[at..].iter().all(|&sample| sample == 0));
            for c in &out.cuts {
                let n = c.item.parse::<usize>().unwrap();
                prop_assert!(!std::mem::replace(&mut cut[n], true), "cut twice");
                prop_assert_eq!((c.samples, c.audio_end_ms), (sounded[n] as u64, sounded[n] as u64 / 8));
                prop_assert_eq!(c.spoken.chars().count(), told[n]);
            }
        }
    }

    #[test]
    fn what_comes_is_played_or_dropped_or_waits(acts in acts()) {
        let results = played(&acts, 100);
        let Some(last) = results.last() else { return Ok(()) };
        let end = acts.iter().rposition(|act| matches!(act, Act::Tick(_))).unwrap();
        let came: usize = acts[..end].iter().map(|act| match act {
            Act::Audio(_, len) => *len,
            _ => 0,
        }).sum();
        let played: u64 = results.iter().flat_map(|out| &out.played).map(|p| u64::from(p.samples)).sum();
        let dropped: u64 = results.iter().map(|out| out.truncated_samples).sum();
        prop_assert_eq!(came as u64, played + dropped + last.buffered);
    }

    #[test]
    fn words_are_told_in_proportion(chars in 0..2_000_usize, received in 0..1_000_000_u64, share in 0.0..1.5) {
        let played = (received as f64 * share) as u64;
        let told = shown(chars, played, received);
        prop_assert!(told <= chars && (told == chars || played < received || received == 0));
        // No more than one character ahead of the audio.
        prop_assert!(told == 0 || (told as u128 - 1) * u128::from(received) < chars as u128 * u128::from(played));
    }
}
