//! Somebody talks to the agent on its page: `antiphon connect --page`, LiveKit's own server, and LiveKit's unchanged
//! components in a real browser, whose microphone is a file.

#[expect(dead_code, reason = "each file of tests uses its part of the browser")]
mod browser;
#[expect(dead_code, reason = "each file of tests uses its part of the listening")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;
#[expect(dead_code, reason = "each file of tests uses its part of the visitor")]
#[path = "browser/visitor.rs"]
mod visitor;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use antiphon::pcm::wav;
use antiphon::pcm::wav_writer::WavWriter;
use browser::DESKTOP;
use serde_json::Value;
use tempfile::TempDir;
use visitor::{Line, Microphone, Visitor};

/// What the visitor waits before he speaks: the greeting is over by then.
const PATIENT_S: usize = 6;

/// A voice as it arrives, as a root of mean squares; the noise of a codec is a hundredth of it.
const VOICE_MIN: f64 = 0.02;

/// The program, in a room.
struct Agent {
    process: Child,
    said: BufReader<ChildStdout>,
    _out: TempDir,
}

impl Agent {
    /// The shop of the demonstration, in this room.
    fn start(server: &rooms::server::Server, room: &str) -> Self {
        let out = tempfile::tempdir().expect("a temporary folder can be made");
        let mut process = Command::new(env!("CARGO_BIN_EXE_antiphon"))
            .args(["connect", "configs/demo.yaml", "--page", "--json", "--room", room])
            .args(["--url", &server.url(), "--out"])
            .arg(out.path().join("call"))
            .env("LIVEKIT_API_KEY", server.key())
            .env("LIVEKIT_API_SECRET", server.secret())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let said = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, said, _out: out }
    }

    /// Waits until it says something of this type.
    fn until(&mut self, wanted: &str) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            self.said.read_line(&mut line).expect("text");
            assert!(!line.is_empty(), "it ended without {wanted}");
            let said: Value = serde_json::from_str(&line).expect("it is JSON");
            if said["type"] == wanted {
                return said;
            }
        }
    }
}

/// A test that fails leaves no agent behind.
impl Drop for Agent {
    fn drop(&mut self) {
        // Where it has ended, there is nothing to kill.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The microphone of one who listens first, and then says what is in a file of `audio`.
fn microphone(said: &str, folder: &Path) -> std::path::PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("audio").join(said);
    let wav = wav::read(&std::fs::read(&path).expect(said)).expect(said);
    let to = folder.join("microphone.wav");
    let mut writer = WavWriter::new(File::create(&to).expect("it can be made"), wav.rate_hz, 1)
        .expect("a header");
    writer.write(&vec![0; PATIENT_S * wav.rate_hz as usize]).expect("silence");
    writer.write(&wav.pcm).expect("what is said");
    writer.finish().expect("an end");
    to
}

#[test]
fn livekits_components_show_the_agent_hear_it_and_are_understood() {
    let server = rooms::shared();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut agent = Agent::start(&server, "corner-shop");
    let url = agent.until("page")["url"].as_str().expect("a text").to_owned();
    agent.until("room.joined");

    let speech = microphone("caller-02-hours.wav", folder.path());
    let mut visitor = Visitor::open(&url, Microphone::Plays(&speech), DESKTOP);
    visitor.join();
    visitor.states();
    visitor.until_heard(VOICE_MIN);
    visitor.until_said("agent", "Welcome to the corner shop. How can I help you?");
    visitor.until_said("you", "what are your opening hours");
    visitor.until_said("agent", "We are open from nine to six, Monday");
    // The picture of the page in docs is made like this.
    if let Some(picture) = std::env::var_os("ANTIPHON_PICTURE") {
        visitor.browser.picture(Path::new(&picture));
    }
    visitor.until_said("agent", "We are open from nine to six, Monday to Saturday.");
    visitor.until_state("listening");
    let states = visitor.states();
    for state in ["listening", "thinking", "speaking"] {
        assert!(states.iter().any(|was| was == state), "{state} is not among {states:?}");
    }
    let lines: Vec<(String, String)> =
        visitor.transcript().into_iter().map(|line| (line.from, line.words)).collect();
    let wanted = [
        ("agent", "Welcome to the corner shop. How can I help you?"),
        ("you", "what are your opening hours"),
        ("agent", "We are open from nine to six, Monday to Saturday."),
    ];
    assert_eq!(lines, wanted.map(|(from, words)| (from.to_owned(), words.to_owned())));
    assert_eq!(visitor.browser.complaints(), [&Value::Null; 0]);

    // What he types reaches the agent too, which says goodbye and goes.
    visitor.types("goodbye");
    let notice = visitor.notice();
    assert!(notice.contains("demo has left the room"), "{notice}");
    let typed =
        |line: &Line| line.typed && (line.from.as_str(), line.words.as_str()) == ("you", "goodbye");
    assert!(visitor.transcript().iter().any(typed), "{:?}", visitor.transcript());
    let summary = agent.until("summary");
    assert_eq!(agent.process.wait().expect("it is ours").code(), Some(0), "{summary}");
}
