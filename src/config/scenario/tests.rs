use std::fs::File;

use proptest::prelude::*;

use super::*;

/// A sound file, of which the table changes one line at a time.
const SOUND: &str = r#"name: dana
noise: noise.wav
noise_gain_db: -12
patience_ms: 15000
cues:
  - { play: caller-08-barge-in.wav, after: { agent_spoke_ms: 3000 } }
  - { type: "how much do I owe", after: { previous_ms: 500 } }
  - play: caller-10-goodbye.wav
    gain_db: 3.5
"#;

fn complaints(text: &str) -> String {
    parse(text.as_bytes(), "f").err().map_or_else(String::new, |all| all.to_string())
}

/// What is changed in [`SOUND`], into what, and all that is said about it.
#[rustfmt::skip] // a row is a line: what is changed, into what, what is said
const TABLE: &[(&str, &str, &str)] = &[
    // what to do
    ("type: \"how", "tpye: \"how", "f:7:7: cues[1]: unknown key `tpye`; did you mean `type`?"),
    ("type: \"how", "say: \"how", "f:7:7: cues[1]: unknown key `say`; the keys here are `after`, `digits`, `event`, `expect`, `gain_db`, `play`, `type`"),
    ("type: \"how much do I owe\", ", "", "f:7:5: cues[1]: expected exactly one of the keys `play`, `type`, `digits`, `event`, found none"),
    ("type: \"how", "play: a.wav, type: \"how", "f:7:5: cues[1]: expected exactly one of the keys `play`, `type`, `digits`, `event`, found `play`, `type`; keep one"),
    ("type: \"how much do I owe\"", "type: 4217", "f:7:13: cues[1].type: expected a text, found the number 4217; put it in quotes: \"4217\""),
    ("type: \"how much do I owe\"", "type: ''", "f:7:13: cues[1].type: the text is empty; write something, or remove the key"),
    ("play: caller-08-barge-in.wav", "play:", "f:6:11: cues[0].play: expected a text, found nothing; write a value, or remove the key"),
    ("cues:\n", "cues:\n  - hello.wav\n", "f:6:5: cues[0]: expected a map, found the text `hello.wav`; write it as `play: …`"),
    ("cues:\n", "cues:\n  - [hello.wav]\n", "f:6:5: cues[0]: expected a map, found a list; write it as `play: …`"),
    ("cues:\n", "cues:\n  -\n", "f:6:4: cues[0]: expected a map, found nothing; write it as `play: …`"),
    ("cues:\n", "cues:\n  - { }\n", "f:6:5: cues[0]: expected exactly one of the keys `play`, `type`, `digits`, `event`, found none"),
    // when
    ("agent_spoke_ms: 3000", "agent_spoke: 3000", "f:6:44: cues[0].after: expected exactly one of the keys `start_ms`, `previous_ms`, `agent_spoke_ms`, `agent_silent_ms`, `agent_done_ms`, found `agent_spoke`; did you mean `agent_spoke_ms`?"),
    ("agent_spoke_ms: 3000", "agent_spoke_ms: 3000, start_ms: 1", "f:6:44: cues[0].after: expected exactly one of the keys `start_ms`, `previous_ms`, `agent_spoke_ms`, `agent_silent_ms`, `agent_done_ms`, found `agent_spoke_ms`, `start_ms`; keep one"),
    ("{ agent_spoke_ms: 3000 }", "{ }", "f:6:44: cues[0].after: expected exactly one of the keys `start_ms`, `previous_ms`, `agent_spoke_ms`, `agent_silent_ms`, `agent_done_ms`, found none"),
    ("{ agent_spoke_ms: 3000 }", "3000", "f:6:44: cues[0].after: expected exactly one of the keys `start_ms`, `previous_ms`, `agent_spoke_ms`, `agent_silent_ms`, `agent_done_ms`, found the number 3000; write it as `start_ms: …`"),
    ("agent_spoke_ms: 3000", "agent_spoke_ms: 3s", "f:6:62: cues[0].after.agent_spoke_ms: expected a whole number, found the text `3s`; write the milliseconds as a number alone"),
    ("agent_spoke_ms: 3000", "agent_spoke_ms: -1", "f:6:62: cues[0].after.agent_spoke_ms: expected a number from 0 to 600000, found -1; the nearest is 0"),
    ("previous_ms: 500", "previous_ms: 600001", "f:7:56: cues[1].after.previous_ms: expected a number from 0 to 600000, found 600001; the nearest is 600000"),
    ("previous_ms: 500", "previous_ms: 0.5", "f:7:56: cues[1].after.previous_ms: expected a whole number, found the number 0.5"),
    ("after: { previous_ms", "aftr: { previous_ms", "f:7:34: cues[1]: unknown key `aftr`; did you mean `after`?"),
    // keys
    ("type: \"how much do I owe\"", "digits: 12", "f:7:15: cues[1].digits: expected a text, found the number 12; put it in quotes: \"12\""),
    ("type: \"how much do I owe\"", "digits: \"\"", "f:7:15: cues[1].digits: the text `` is no row of keys; write 0 to 9, A to D, `*` and `#`, 1 to 32 of them"),
    ("type: \"how much do I owe\"", "digits: \"1 2\"", "f:7:15: cues[1].digits: the text `1 2` is no row of keys; write 0 to 9, A to D, `*` and `#`, 1 to 32 of them"),
    ("type: \"how much do I owe\"", "digits: \"a\"", "f:7:15: cues[1].digits: the text `a` is no row of keys; write 0 to 9, A to D, `*` and `#`, 1 to 32 of them"),
    ("type: \"how much do I owe\"", "digits: \"123456789012345678901234567890123\"", "f:7:15: cues[1].digits: the text `123456789012345678901234567890123` is no row of keys; write 0 to 9, A to D, `*` and `#`, 1 to 32 of them"),
    ("type: \"how much", "digits: \"1\", type: \"how much", "f:7:5: cues[1]: expected exactly one of the keys `play`, `type`, `digits`, `event`, found `digits`, `type`; keep one"),
    ("owe\",", "owe\", digit: \"1\",", "f:7:34: cues[1]: unknown key `digit`; did you mean `digits`?"),
    ("type: \"how much do I owe\"", "digits: \"1\", gain_db: 1", "f:7:29: cues[1].gain_db: keys have no gain; remove it, or use `play`"),
    // what is told
    ("type: \"how much do I owe\"", "event: paid", "f:7:14: cues[1].event: expected a map, found the text `paid`; write `key: value` lines below it"),
    ("type: \"how much do I owe\"", "event: { }", "f:7:14: cues[1].event: missing key `name`; add `name: …`"),
    ("type: \"how much do I owe\"", "event: { name: '' }", "f:7:22: cues[1].event.name: the text is empty; write something, or remove the key"),
    ("type: \"how much do I owe\"", "event: { name: paid, type: paid }", "f:7:28: cues[1].event: unknown key `type`; the keys here are `data`, `name`"),
    ("type: \"how much do I owe\"", "event: { name: user_message }", "f:7:22: cues[1].event.name: `user.message` is not told from outside; write `type: …`"),
    ("type: \"how much do I owe\"", "event: { name: sip_dtmf_received }", "f:7:22: cues[1].event.name: `user.digit` is not told from outside; write `digits: …`"),
    ("type: \"how much do I owe\"", "event: { name: user.left }", "f:7:22: cues[1].event.name: `user.left` is not told from outside; the caller comes before its first cue, and hangs up `hang_up_ms` after its last"),
    ("type: \"how much do I owe\"", "event: { name: connected }", "f:7:22: cues[1].event.name: `session.created` is not told from outside; these are: `custom`, `data.received`, `user.attributes`, `user.metadata`, `room.metadata`; an event of your own with this name is `custom`, with `data: { name: connected }`"),
    ("type: \"how much do I owe\"", "event: { name: data.recieved }", "f:7:22: cues[1].event.name: `data.recieved` is nearly an event of the vocabulary; did you mean `data.received`? an event of your own with this name is `custom`, with `data: { name: data.recieved }`"),
    ("type: \"how much do I owe\"", "event: { name: data.received }", "f:7:14: cues[1].event: this event holds a map; write `topic` and `text`"),
    ("type: \"how much do I owe\"", "event: { name: data.received, data: { topic: a } }", "f:7:43: cues[1].event.data: it has no `text`; add it"),
    ("type: \"how much do I owe\"", "event: { name: data.received, data: { topic: a, text: 1 } }", "f:7:61: cues[1].event.data.text: it is no text; put it in quotes"),
    ("type: \"how much do I owe\"", "event: { name: data.received, data: { topic: a, txt: b } }", "f:7:60: cues[1].event.data.txt: this event holds no `txt`; did you mean `text`?"),
    ("type: \"how much do I owe\"", "event: { name: user.attributes, data: { changed: { vip: yes, a: 1 } } }", "f:7:71: cues[1].event.data.changed.a: it is no text; put it in quotes"),
    ("type: \"how much do I owe\"", "event: { name: custom, data: { name: '' } }", "f:7:44: cues[1].event.data.name: the text is empty; name the event"),
    ("type: \"how much do I owe\"", "event: { name: paid }, gain_db: 1", "f:7:39: cues[1].gain_db: an event has no gain; remove it, or use `play`"),
    // how loud
    ("gain_db: 3.5", "gain_db: 20.5", "f:9:14: cues[2].gain_db: expected a number from -60 to 20, found 20.5; the nearest is 20"),
    ("gain_db: 3.5", "gain_db: loud", "f:9:14: cues[2].gain_db: expected a number, found the text `loud`"),
    ("owe\",", "owe\", gain_db: 0,", "f:7:43: cues[1].gain_db: a typed text has no gain; remove it, or use `play`"),
    ("noise_gain_db: -12", "noise_gain_db: -61", "f:3:16: noise_gain_db: expected a number from -60 to 20, found -61; the nearest is -60"),
    ("noise: noise.wav\n", "", "f:2:16: noise_gain_db: there is no `noise`; add `noise: …`, or remove it"),
    // the rest
    ("name: dana", "name: ''", "f:1:7: name: the text is empty; write something, or remove the key"),
    ("name: dana", "nmae: dana", "f:1:1: unknown key `nmae`; did you mean `name`?"),
    ("name: dana", "epoch: today", "f:1:1: unknown key `epoch`; the keys here are `config`, `cues`, `hang_up_ms`, `models`, `name`, `noise`, `noise_gain_db`, `opening`, `patience_ms`, `seed`, `speech`, `tests`, `tools`"),
    ("patience_ms: 15000", "patience_ms: 600001", "f:4:14: patience_ms: expected a number from 0 to 600000, found 600001; the nearest is 600000"),
    ("patience_ms: 15000", "hang_up_ms: 600001", "f:4:13: hang_up_ms: expected a number from 0 to 600000, found 600001; the nearest is 600000"),
    ("cues:\n", "name: dana\ncues:\n", "f:5:1: key `name` is written twice; remove one of the two"),
    ("cues:\n", "cuse:\n", "f:5:1: unknown key `cuse`; did you mean `cues`?"),
    ("cues:\n", "---\ncues:\n", "f:5:1: a second document begins; a file holds one scenario; remove `---`"),
];

#[test]
fn every_mistake_has_one_complaint_that_tells_how_to_mend_it() {
    assert_eq!(complaints(SOUND), "");
    for (sound, wrong, expected) in TABLE {
        assert!(SOUND.contains(sound), "the sound file does not hold {sound:?}");
        assert_eq!(&complaints(&SOUND.replacen(sound, wrong, 1)), expected, "{wrong:?}");
    }
}

#[test]
fn what_is_no_cue_file_gets_one_clear_complaint() {
    let table = [
        ("", "f: the file is empty; begin with `cues:`"),
        ("- play: a.wav", "f:1:1: expected a map, found a list; begin with `cues:`"),
        ("name: a", "f:1:1: expected exactly one of the keys `cues`, `tests`, found none"),
        ("cues: []", "f:1:7: cues: the list is empty; add an item"),
        (
            "cues: { play: a.wav }",
            "f:1:7: cues: expected a list, found a map; write each item after `- `",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(complaints(text), expected);
    }
    let many = format!("cues: [{}]", "{ play: a.wav }, ".repeat(1001));
    assert_eq!(complaints(&many), "f:1:7: cues: the list has more than 1000 items; shorten it");
    let absent = read(File::open("no/such.yaml"), "no/such.yaml").unwrap_err();
    assert_eq!(absent.to_string(), "no/such.yaml: there is no such file; check the path");
}

#[test]
fn all_mistakes_are_told_at_once_whatever_their_kind() {
    let text = SOUND
        .replace("noise: noise.wav", "patience: 1")
        .replace("play: caller-08", "ply: caller-08")
        .replace("owe\",", "owe\", gain_db: 1,")
        .replace("3.5", "35");
    let all = parse(text.as_bytes(), "f").unwrap_err();
    let lines: Vec<u32> = all.0.iter().map(|complaint| complaint.line).collect();
    assert_eq!(lines, [2, 6, 7, 9], "{all}");
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let alone = parse(b"cues: [{ play: a.wav }, { type: a }]", "f").unwrap();
    let cases = alone.cases("stem");
    let [case] = cases.as_slice() else { panic!("one case: {cases:?}") };
    assert_eq!((case.name, case.seed, case.opening), ("stem", None, None));
    assert_eq!((case.engines, case.patience_ms, case.hang_up_ms), (Engines::Real, 20_000, 6_000));
    assert_eq!((case.cues[0].gain_db, alone.noise_gain_db), (0.0, 0.0));
    assert_eq!(case.after(&case.cues[0]), After::AgentSilentMs(600));
    let tested = parse(b"config: c.yaml\ncues: [{ type: a }]", "f").unwrap();
    let cases = tested.cases("stem");
    assert_eq!(cases[0].engines, Engines::BuiltIn);
    assert_eq!(cases[0].after(&cases[0].cues[0]), After::AgentDoneMs(400));
}

#[test]
fn what_a_test_does_not_say_is_as_the_file_says() {
    let text = b"config: c.yaml
seed: 1
speech: built_in
hang_up_ms: 5
tools: { a: [{ value: 1 }], b: [{ value: 2 }] }
tests:
  - name: plain
    cues: [{ play: a.wav }]
  - name: own
    seed: 2
    speech: real
    hang_up_ms: 6
    tools: { b: [{ failure: no }] }
";
    let file = parse(text, "f").unwrap_or_else(|all| panic!("{all}"));
    let cases = file.cases("stem");
    let told = |case: &Case<'_>| (case.seed, case.engines, case.hang_up_ms, case.cues.len());
    assert_eq!(told(&cases[0]), (Some(1), Engines::BuiltIn, 5, 1));
    assert_eq!(told(&cases[1]), (Some(2), Engines::Real, 6, 0));
    assert_eq!(cases[1].tools["a"][0].value, Some(1.into()));
    assert_eq!(cases[1].tools["b"][0].failure.as_deref(), Some("no"));
}

#[test]
fn expressions_are_bounded_and_every_wrong_one_is_told() {
    let list = |count: usize, pattern: &str| {
        let says = vec![pattern; 100].join(", ");
        let cue = format!("{{ type: a, expect: {{ says: [{says}] }} }}");
        format!("cues: [{}]", vec![cue; count].join(", "))
    };
    let many = complaints(&list(21, "/a/"));
    assert!(many.starts_with("f:1:1: there are 2100 regular expressions"), "{many}");
    assert_eq!(complaints(&list(21, "a")), "");
    let wrong = complaints(&list(20, "/(/"));
    assert!(wrong.ends_with("there is more to mend; mend these first"), "{wrong}");
    // A mistake beside it does not hide it.
    let beside = "cues: [{ type: a, expect: { sayz: [a], says: ['/(/'] } }]";
    assert_eq!(complaints(beside).lines().count(), 2, "{}", complaints(beside));
}

#[test]
fn texts_are_compared_as_they_are_written() {
    let pattern = |yaml: &str| -> Pattern {
        let text = format!("cues: [{{ type: a, expect: {{ ends: {yaml} }} }}]");
        let file = parse(text.as_bytes(), "f").unwrap_or_else(|all| panic!("{all}"));
        let expect = file.cues[0].expect.as_ref().unwrap();
        expect.ends.clone().unwrap()
    };
    for (yaml, text, fits) in [
        ("Order 42 is shipped.", " Order 42 is shipped. ", true),
        ("Order 42 is shipped.", "Order 42 is shipped", false),
        ("'/^Order [0-9]+/'", "Order 42 is shipped.", true),
        ("/(?i)^order$/", "Order 42", false),
        ("[shipped, ORDER]", "Your order has been shipped!", true),
        ("[credit card]", "To your credit card.", true),
        ("[credit card]", "A card, on credit.", false),
        ("[ship]", "It is shipped.", false),
        ("/", "/", true),
    ] {
        assert_eq!(pattern(yaml).fits(text), fits, "{yaml} and {text:?}");
    }
    assert_eq!(pattern("[a, b, c]").missing("B, c"), ["a"]);
    for text in ["a", "/a/", "/^(/", "//"] {
        let exact = Pattern::exactly(text);
        assert!(exact.fits(text) && !exact.fits(&format!("{text} and more")), "{exact}");
    }
}

#[test]
fn written_and_parsed_again_cues_are_the_same() {
    let tests = "config: c.yaml
tools: { a: [{ value: null }, { failure: no, latency_ms: 3 }] }
tests:
  - { name: a, opening: { agent: b, says: [] }, cues: [{ type: c, expect: { says: [[d, e], /f/], facts: { g: 1.0 } } }] }
  - { name: b, seed: 18446744073709551615, cues: [{ play: d.wav, expect: { calls: [{ tool: h, with: { i: [1] }, outcome: done }] } }] }
";
    let whole = "cues: [{ type: a, after: { start_ms: 20.0 } }, { play: b, gain_db: -3 }]";
    let acts = "cues:
  - { digits: '0123456789*#ABCD' }
  - { event: { name: paid } }
  - { event: { name: paid, data: [null, { a: 1.0 }] } }
  - { event: { name: CUSTOM, data: { name: paid, data: 7 } } }
  - { event: { name: data:received, data: { topic: '', text: '{}' } } }
";
    for text in [SOUND, whole, tests, acts] {
        let cues = parse(text.as_bytes(), "f").unwrap_or_else(|all| panic!("{all}"));
        let written = serde_json::to_string(&cues).unwrap();
        let again = parse(written.as_bytes(), "f").unwrap_or_else(|all| panic!("{all}"));
        assert_eq!(again, cues);
    }
}

proptest! {
    #[test]
    fn random_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!parse(&bytes, "f").unwrap_err().0.is_empty());
    }

    /// One sign of a sound file is another: it is still sound, or every complaint has a place.
    #[test]
    fn a_slip_of_the_finger_never_panics(at in 0..SOUND.len(), sign in r#"[a-z{}:\-\[\]"'\n 0-9]"#) {
        let text = [&SOUND[..at], &sign, &SOUND[at + 1..]].concat();
        if let Err(all) = parse(text.as_bytes(), "f") {
            prop_assert!(all.0.iter().all(|complaint| complaint.line > 0), "{}", all);
        }
    }
}
