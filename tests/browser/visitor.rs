//! Somebody who talks to an agent on its page, in a real browser.
//!
//! He looks at what LiveKit's components make of the agent: its state, the transcript of both sides, its sound.
//! A file of tests that uses him declares him beside `mod browser`, by path.

use std::path::Path;

use serde_json::{Value, json};

use crate::browser::{Browser, Look};

/// What a browser gives the page for a microphone.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Microphone<'a> {
    /// A file, over and over: WAV, 48 kHz, 16 bits, one channel. It begins when the page opens the microphone.
    Loops(&'a Path),
    /// The same, once; silence follows.
    Plays(&'a Path),
    /// The user says no.
    Refused,
}

impl Microphone<'_> {
    fn flags(self) -> Vec<String> {
        const FAKE: &str = "--use-fake-device-for-media-stream";
        const ALLOWED: &str = "--use-fake-ui-for-media-stream";
        let file = |path: &Path, mode| {
            let path =
                path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            format!("--use-file-for-fake-audio-capture={}{mode}", path.display())
        };
        let mut flags = match self {
            Self::Loops(path) => vec![FAKE.to_owned(), ALLOWED.to_owned(), file(path, "")],
            Self::Plays(path) => vec![FAKE.to_owned(), ALLOWED.to_owned(), file(path, "%noloop")],
            Self::Refused => vec![FAKE.to_owned(), "--deny-permission-prompts".to_owned()],
        };
        // The sound of a page that nobody has clicked on is no concern of these tests.
        flags.push("--autoplay-policy=no-user-gesture-required".to_owned());
        flags
    }
}

/// A line of the transcript, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// `you`, `agent` or `other`.
    pub(crate) from: String,
    /// Typed, not spoken.
    pub(crate) typed: bool,
    /// No guess that may still change. LiveKit's hook tells of the agent's, which end with a mark, only when
    /// something else is said.
    pub(crate) is_final: bool,
    pub(crate) words: String,
}

/// He, and what he does.
pub(crate) struct Visitor {
    pub(crate) browser: Browser,
}

impl Visitor {
    /// Opens the page.
    pub(crate) fn open(url: &str, microphone: Microphone<'_>, look: Look) -> Self {
        let mut browser = Browser::start_with(&microphone.flags());
        browser.visit(url, look);
        browser.until("document.querySelector('#join') !== null");
        Self { browser }
    }

    /// Joins with the microphone, and waits until he is in the room.
    pub(crate) fn join(&mut self) {
        self.browser.click("#join");
        let came = self.browser.until(
            "document.querySelector('.call[data-connection=connected]') ? 'in' : \
             document.querySelector('.lobby .notice')?.innerText",
        );
        assert_eq!(came, "in");
    }

    /// What the page says is wrong, once it says something.
    pub(crate) fn notice(&mut self) -> String {
        let text = self.browser.until("document.querySelector('.notice')?.innerText");
        text.as_str().expect("a text").to_owned()
    }

    /// The agent's state, as `useAgent` has it.
    pub(crate) fn state(&mut self) -> String {
        let state = self.browser.value("document.querySelector('.call')?.dataset.agentState");
        state.as_str().unwrap_or_default().to_owned()
    }

    /// Waits for a state of the agent.
    pub(crate) fn until_state(&mut self, state: &str) {
        let state = json!(state);
        self.browser
            .until(&format!("document.querySelector('.call')?.dataset.agentState === {state}"));
    }

    /// The states that the agent has been in since this was asked for the first time, each once in a row: asked
    /// for early, it misses none, however short.
    pub(crate) fn states(&mut self) -> Vec<String> {
        let states = self.browser.value(
            "(() => { if (!window.agentStates) { const call = document.querySelector('.call'); \
             const states = window.agentStates = [call.dataset.agentState]; \
             new MutationObserver(() => { const state = call.dataset.agentState; \
             if (state !== states.at(-1)) states.push(state); }) \
             .observe(call, { attributes: true, attributeFilter: ['data-agent-state'] }); } \
             return window.agentStates; })()",
        );
        let states = states.as_array().expect("a list").iter();
        states.map(|state| state.as_str().expect("a text").to_owned()).collect()
    }

    /// All that both sides said and typed so far.
    pub(crate) fn transcript(&mut self) -> Vec<Line> {
        let lines = self.browser.value(
            "[...document.querySelectorAll('.transcript li')].map(line => [line.dataset.from, \
             line.dataset.kind === 'typed', line.dataset.final === 'true', \
             line.querySelector('.words').innerText])",
        );
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let line = |line: &Value| Line {
            from: text(&line[0]),
            typed: line[1] == true,
            is_final: line[2] == true,
            words: text(&line[3]),
        };
        lines.as_array().expect("a list").iter().map(line).collect()
    }

    /// Waits until somebody's line has these words in it, whatever the case, and is no guess.
    pub(crate) fn until_said(&mut self, from: &str, words: &str) {
        let (from, words) = (json!(from), json!(words.to_lowercase()));
        self.browser.until(&format!(
            "[...document.querySelectorAll('.transcript li')].some(line => line.dataset.from === {from} && \
             (line.dataset.final === 'true' || {from} === 'agent') && \
             line.querySelector('.words').innerText.toLowerCase().includes({words}))"
        ));
    }

    /// How loud the agent is where it is played, as a root of mean squares over 170 ms, where
    /// 1 is full scale.
    pub(crate) fn agent_level(&mut self) -> f64 {
        self.browser.value(&format!("({LEVEL})()")).as_f64().unwrap_or_default()
    }

    /// Waits until the agent is at least so loud.
    pub(crate) fn until_heard(&mut self, level_min: f64) {
        self.browser.until(&format!("({LEVEL})() >= {level_min}"));
    }

    /// Types to the agent, and sends it.
    pub(crate) fn types(&mut self, text: &str) {
        self.browser.click("#say");
        self.browser.write(text);
        self.browser.click(".composer button");
    }

    /// Presses the button that mutes, and that which unmutes.
    pub(crate) fn mute(&mut self) {
        self.browser.click("#mute");
    }

    /// Leaves, and waits until the page says so.
    pub(crate) fn leave(&mut self) {
        self.browser.click("#leave");
        self.browser.until("document.querySelector('#again') !== null");
    }
}

/// Measures the audio element that plays the agent, and nobody else; the analyser is made when there is one.
const LEVEL: &str = "() => { \
    const agent = document.querySelector('.call')?.dataset.agentTrack; \
    const streams = [...document.querySelectorAll('audio')].map(audio => audio.srcObject); \
    const stream = streams.find(stream => stream?.getAudioTracks()[0]?.id === agent); \
    if (!stream) return 0; \
    if (window.heard?.stream !== stream) { \
        const context = new AudioContext(); \
        const analyser = context.createAnalyser(); \
        analyser.fftSize = 8192; \
        context.createMediaStreamSource(stream).connect(analyser); \
        window.heard = { stream, analyser, samples: new Float32Array(8192) }; \
    } \
    const { analyser, samples } = window.heard; \
    analyser.getFloatTimeDomainData(samples); \
    return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length); \
}";
