//! Cue files: what a recorded caller does in a simulated call, and when.
//!
//! ```
//! use antiphon::config::cues::{Act, After, parse_cues};
//!
//! let text = br#"
//! noise: noise.wav
//! cues:
//!   - { play: caller-08-barge-in.wav, after: { agent_spoke_ms: 3000 } }
//!   - { type: "how much do I owe", after: { previous_ms: 500 } }
//!   - { play: caller-10-goodbye.wav }
//! "#;
//! let cues = parse_cues(text, "caller.yaml").unwrap().cues;
//! assert_eq!(cues[0].after, After::AgentSpokeMs(3000));
//! assert_eq!(cues[1].act, Act::Type("how much do I owe".into()));
//! assert_eq!(cues[2].after, After::AgentSilentMs(600));
//! ```
//!
//! A cue is written flat, with the key of what it does; `Line` is how it is written, [`Cue`] what
//! it means.
//!
//! **Invariant:** nothing here opens a file: the names of WAV files are not looked up. Written by
//! serde and parsed again, [`Cues`] that [`parse_cues`] returned are the same.

use std::io::{self, Read};
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::check::Report;
use super::complaint::{Complaint, Complaints};
use super::document::{self, Document, Shape};
use super::schema;
use super::yaml::Node;

/// What a recorded caller does in a simulated call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Cues of an Antiphon caller")]
pub struct Cues {
    /// The caller's name, 1 to 64 characters. Default none: whoever reads the file chooses one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub name: Option<String>,
    /// A WAV file that is heard all the time, relative to the cue file. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub noise: Option<String>,
    /// How much louder the noise is than its file, in decibels: -60 to 20; only with `noise`.
    /// Default 0.
    #[serde(default)]
    #[schemars(range(min = -60, max = 20))]
    pub noise_gain_db: f64,
    /// A cue that waits for the agent comes after so long in any case, in milliseconds: 0 to
    /// 600000. Default 20000.
    #[serde(default = "patience_ms")]
    #[schemars(range(min = 0, max = 600_000))]
    pub patience_ms: u32,
    /// After the last cue, how long nobody is heard before the caller hangs up, in milliseconds: 0
    /// to 600000. Default 6000.
    #[serde(default = "hang_up_ms")]
    #[schemars(range(min = 0, max = 600_000))]
    pub hang_up_ms: u32,
    /// What the caller does, in this order: 1 to 1000 cues.
    #[schemars(length(min = 1, max = 1000))]
    pub cues: Vec<Cue>,
}

fn patience_ms() -> u32 {
    20_000
}

fn hang_up_ms() -> u32 {
    6_000
}

/// Something that the caller does, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Line", into = "Line")]
pub struct Cue {
    /// What the caller does; in a file one of the keys `play` and `type`.
    pub act: Act,
    /// When. Default `{ agent_silent_ms: 600 }`.
    pub after: After,
    /// How much louder a clip is than its file, in decibels: -60 to 20; only with `play`. Default
    /// 0.
    pub gain_db: f64,
}

/// What a caller does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Plays a WAV file, whose name is relative to the cue file.
    Play(String),
    /// Types a text.
    Type(String),
}

/// When a cue comes, in milliseconds: exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum After {
    /// So long after the start of the call, in milliseconds: 0 to 86400000, a day.
    StartMs(#[schemars(range(min = 0, max = 86_400_000))] u32),
    /// So long after the cue before it was over, or the call began, in milliseconds: 0 to 600000.
    PreviousMs(#[schemars(range(min = 0, max = 600_000))] u32),
    /// Once the agent has spoken for so long, in milliseconds: 0 to 600000.
    AgentSpokeMs(#[schemars(range(min = 0, max = 600_000))] u32),
    /// Once the agent has spoken and then been silent for so long, in milliseconds: 0 to 600000.
    AgentSilentMs(#[schemars(range(min = 0, max = 600_000))] u32),
}

/// The caller lets the agent finish: 600 ms is longer than a pause within a sentence.
impl Default for After {
    fn default() -> Self {
        Self::AgentSilentMs(600)
    }
}

/// A cue as it is written.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Cue", transform = one_act)]
struct Line {
    /// Plays this WAV file, relative to the cue file. Either this or `type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    play: Option<String>,
    /// Types this text. Either this or `play`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    r#type: Option<String>,
    /// When. Default `{ agent_silent_ms: 600 }`.
    #[serde(default)]
    after: After,
    /// How much louder the clip is than its file, in decibels: -60 to 20; only with `play`. Default
    /// 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -60, max = 20), extend("default" = 0))]
    gain_db: Option<f64>,
}

fn one_act(schema: &mut Schema) {
    schema.insert("oneOf".into(), json!([{"required": ["play"]}, {"required": ["type"]}]));
}

impl TryFrom<Line> for Cue {
    type Error = &'static str;

    fn try_from(line: Line) -> Result<Self, Self::Error> {
        let act = match (line.play, line.r#type) {
            (Some(file), None) => Act::Play(file),
            (None, Some(text)) => Act::Type(text),
            _ => return Err("a cue has exactly one of the keys `play`, `type`"),
        };
        Ok(Self { act, after: line.after, gain_db: line.gain_db.unwrap_or(0.0) })
    }
}

impl From<Cue> for Line {
    fn from(Cue { act, after, gain_db }: Cue) -> Self {
        match act {
            Act::Play(file) => {
                Self { play: Some(file), r#type: None, after, gain_db: Some(gain_db) }
            }
            Act::Type(text) => Self { play: None, r#type: Some(text), after, gain_db: None },
        }
    }
}

static SHAPE: LazyLock<Shape> = LazyLock::new(|| {
    let (schema, validator) = schema::derive::<Cues>();
    Shape {
        noun: "list of cues",
        opening: "`cues:`",
        others: &[("agents", "configuration")],
        reference: "`antiphon schema cues`",
        lent: None,
        misformed: |_| Vec::new(),
        schema,
        validator,
    }
});

impl Document for Cues {
    fn shape() -> &'static Shape {
        &SHAPE
    }

    fn check(&self, tree: &Node) -> Vec<Complaint> {
        let mut report = Report::new(tree);
        if self.noise.is_none() && self.noise_gain_db != 0.0 {
            report.tell(&["noise_gain_db"], "there is no `noise`", "add `noise: …`, or remove it");
        }
        for (index, cue) in self.cues.iter().enumerate() {
            let place = ["cues", &index.to_string(), "gain_db"];
            if matches!(cue.act, Act::Type(_)) && tree.get(&place).is_some() {
                report.tell(&place, "a typed text has no gain", "remove it, or use `play`");
            }
        }
        report.complaints
    }
}

/// The JSON Schema (2020-12) of a cue file.
#[must_use]
pub fn cues_schema() -> Value {
    SHAPE.schema.clone()
}

/// Reads a cue file from what an edge has opened, as [`read`](super::read) does a configuration.
///
/// # Errors
/// If it cannot be read, or for everything that [`parse_cues`] complains about.
pub fn read_cues(source: io::Result<impl Read>, file_name: &str) -> Result<Cues, Complaints> {
    document::read(source, file_name)
}

/// Reads cues from YAML text; `file_name` is what complaints call it.
///
/// # Errors
/// All that is wrong with them, at once and in the order of the file.
pub fn parse_cues(text: &[u8], file_name: &str) -> Result<Cues, Complaints> {
    document::parse(text, file_name)
}

#[cfg(test)]
mod tests {
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
        parse_cues(text.as_bytes(), "f").err().map_or_else(String::new, |all| all.to_string())
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
        let absent = read_cues(File::open("no/such.yaml"), "no/such.yaml").unwrap_err();
        assert_eq!(absent.to_string(), "no/such.yaml: there is no such file; check the path");
    }

    #[test]
    fn all_mistakes_are_told_at_once_whatever_their_kind() {
        let text = SOUND
            .replace("noise: noise.wav", "patience: 1")
            .replace("play: caller-08", "ply: caller-08")
            .replace("owe\",", "owe\", gain_db: 1,")
            .replace("3.5", "35");
        let all = parse_cues(text.as_bytes(), "f").unwrap_err();
        let lines: Vec<u32> = all.0.iter().map(|complaint| complaint.line).collect();
        assert_eq!(lines, [2, 6, 7, 9], "{all}");
    }

    #[test]
    fn what_is_left_out_has_the_documented_default() {
        let cues = parse_cues(b"cues: [{ play: a.wav }]", "f").unwrap();
        let cue =
            Cue { act: Act::Play("a.wav".into()), after: After::AgentSilentMs(600), gain_db: 0.0 };
        let expected = Cues {
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
            let cues = parse_cues(text.as_bytes(), "f").unwrap_or_else(|all| panic!("{all}"));
            let written = serde_json::to_string(&cues).unwrap();
            let again = parse_cues(written.as_bytes(), "f").unwrap_or_else(|all| panic!("{all}"));
            assert_eq!(again, cues);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!parse_cues(&bytes, "f").unwrap_err().0.is_empty());
        }

        /// One sign of a sound file is another: it is still sound, or every complaint has a place.
        #[test]
        fn a_slip_of_the_finger_never_panics(at in 0..SOUND.len(), sign in r#"[a-z{}:\-\[\]"'\n 0-9]"#) {
            let text = [&SOUND[..at], &sign, &SOUND[at + 1..]].concat();
            if let Err(all) = parse_cues(text.as_bytes(), "f") {
                prop_assert!(all.0.iter().all(|complaint| complaint.line > 0), "{}", all);
            }
        }
    }
}
