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
    ("type: \"how", "say: \"how", "f:7:7: cues[1]: unknown key `say`; the keys here are `after`, `gain_db`, `play`, `type`"),
    ("type: \"how much do I owe\", ", "", "f:7:5: cues[1]: expected exactly one of the keys `play`, `type`, found none"),
    ("type: \"how", "play: a.wav, type: \"how", "f:7:5: cues[1]: expected exactly one of the keys `play`, `type`, found `play`, `type`; keep one"),
    ("type: \"how much do I owe\"", "type: 4217", "f:7:13: cues[1].type: expected a text, found the number 4217; put it in quotes: \"4217\""),
    ("type: \"how much do I owe\"", "type: ''", "f:7:13: cues[1].type: the text is empty; write something, or remove the key"),
    ("play: caller-08-barge-in.wav", "play:", "f:6:11: cues[0].play: expected a text, found nothing; write a value, or remove the key"),
    ("cues:\n", "cues:\n  - hello.wav\n", "f:6:5: cues[0]: expected a map, found the text `hello.wav`; write it as `play: …`"),
    ("cues:\n", "cues:\n  - [hello.wav]\n", "f:6:5: cues[0]: expected a map, found a list; write it as `play: …`"),
    ("cues:\n", "cues:\n  -\n", "f:6:4: cues[0]: expected a map, found nothing; write it as `play: …`"),
    ("cues:\n", "cues:\n  - { }\n", "f:6:5: cues[0]: expected exactly one of the keys `play`, `type`, found none"),
    // when
    ("agent_spoke_ms: 3000", "agent_spoke: 3000", "f:6:44: cues[0].after: expected exactly one of the keys `start_ms`, `previous_ms`, `agent_spoke_ms`, `agent_silent_ms`, found `agent_spoke`; did you mean `agent_spoke_ms`?"),
    ("agent_spoke_ms: 3000", "agent_spoke_ms: 3000, start_ms: 1", "f:6:44: cues[0].after: expected exactly one of the keys `start_ms`, `previous_ms`, `agent_spoke_ms`, `agent_silent_ms`, found `agent_spoke_ms`, `start_ms`; keep one"),
    ("{ agent_spoke_ms: 3000 }", "{ }", "f:6:44: cues[0].after: expected exactly one of the keys `start_ms`, `previous_ms`, `agent_spoke_ms`, `agent_silent_ms`, found none"),
    ("{ agent_spoke_ms: 3000 }", "3000", "f:6:44: cues[0].after: expected exactly one of the keys `start_ms`, `previous_ms`, `agent_spoke_ms`, `agent_silent_ms`, found the number 3000; write it as `start_ms: …`"),
    ("agent_spoke_ms: 3000", "agent_spoke_ms: 3s", "f:6:62: cues[0].after.agent_spoke_ms: expected a whole number, found the text `3s`; write the milliseconds as a number alone"),
    ("agent_spoke_ms: 3000", "agent_spoke_ms: -1", "f:6:62: cues[0].after.agent_spoke_ms: expected a number from 0 to 600000, found -1; the nearest is 0"),
    ("previous_ms: 500", "previous_ms: 600001", "f:7:56: cues[1].after.previous_ms: expected a number from 0 to 600000, found 600001; the nearest is 600000"),
    ("previous_ms: 500", "previous_ms: 0.5", "f:7:56: cues[1].after.previous_ms: expected a whole number, found the number 0.5"),
    ("after: { previous_ms", "aftr: { previous_ms", "f:7:34: cues[1]: unknown key `aftr`; did you mean `after`?"),
    // how loud
    ("gain_db: 3.5", "gain_db: 20.5", "f:9:14: cues[2].gain_db: expected a number from -60 to 20, found 20.5; the nearest is 20"),
    ("gain_db: 3.5", "gain_db: loud", "f:9:14: cues[2].gain_db: expected a number, found the text `loud`"),
    ("owe\",", "owe\", gain_db: 0,", "f:7:43: cues[1].gain_db: a typed text has no gain; remove it, or use `play`"),
    ("noise_gain_db: -12", "noise_gain_db: -61", "f:3:16: noise_gain_db: expected a number from -60 to 20, found -61; the nearest is -60"),
    ("noise: noise.wav\n", "", "f:2:16: noise_gain_db: there is no `noise`; add `noise: …`, or remove it"),
    // the rest
    ("name: dana", "name: ''", "f:1:7: name: the text is empty; write something, or remove the key"),
    ("name: dana", "nmae: dana", "f:1:1: unknown key `nmae`; did you mean `name`?"),
    ("name: dana", "epoch: today", "f:1:1: unknown key `epoch`; the keys here are `cues`, `hang_up_ms`, `name`, `noise`, `noise_gain_db`, `patience_ms`"),
    ("patience_ms: 15000", "patience_ms: 600001", "f:4:14: patience_ms: expected a number from 0 to 600000, found 600001; the nearest is 600000"),
    ("patience_ms: 15000", "hang_up_ms: 600001", "f:4:13: hang_up_ms: expected a number from 0 to 600000, found 600001; the nearest is 600000"),
    ("cues:\n", "name: dana\ncues:\n", "f:5:1: key `name` is written twice; remove one of the two"),
    ("cues:\n", "cuse:\n", "f:5:1: unknown key `cuse`; did you mean `cues`?"),
    ("cues:\n", "---\ncues:\n", "f:5:1: a second document begins; a file holds one list of cues; remove `---`"),
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
        ("name: a", "f:1:1: missing key `cues`; add `cues: …`"),
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
    let cues = parse(b"cues: [{ play: a.wav }]", "f").unwrap();
    let cue =
        Cue { act: Act::Play("a.wav".into()), after: After::AgentSilentMs(600), gain_db: 0.0 };
    let expected = Scenario {
        name: None,
        noise: None,
        noise_gain_db: 0.0,
        patience_ms: 20_000,
        hang_up_ms: 6_000,
        cues: vec![cue],
    };
    assert_eq!(cues, expected);
}

#[test]
fn written_and_parsed_again_cues_are_the_same() {
    let whole = "cues: [{ type: a, after: { start_ms: 20.0 } }, { play: b, gain_db: -3 }]";
    for text in [SOUND, whole] {
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
