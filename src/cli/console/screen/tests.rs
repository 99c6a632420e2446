//! Screens of made-up calls, kept in `tests/snapshots`, and the keys.

use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::json;

use super::*;
use crate::config;
use crate::graph::Cause;
use crate::id::TurnId;
use crate::record::Timing;
use crate::session::event::{CutCause, EndReason};
use crate::session::output::Saying;
use crate::tool::{FailureKind, Json};

const SHOP: &str = "
name: shop
speech: { synthesiser: { engine: tone } }
start: desk
agents:
  desk: { greeting: Hello. }
  bills: { greeting: Hello. }
transitions:
  - { from: desk, to: bills, when: { intent: bill } }
";

fn plan(yaml: &str) -> Arc<Plan> {
    let config = config::parse(yaml.as_bytes(), "shop.yaml").unwrap_or_else(|it| panic!("{it}"));
    Arc::new(Plan::new(config).unwrap())
}

fn look(audio: bool) -> Look {
    Look { audio, color: false, releases: false }
}

fn screen(audio: bool) -> Screen {
    let yaml =
        SHOP.replace("transitions:\n  - { from: desk, to: bills, when: { intent: bill } }", "");
    let yaml = yaml.replace("  bills: { greeting: Hello. }\n", "");
    Screen::new(&plan(&yaml), look(audio))
}

/// A call, told tick by tick.
struct Told {
    screen: Screen,
    now: u64,
    seq: u64,
}

impl Told {
    fn event(&mut self, ms: u64, kind: EventKind) -> &mut Self {
        self.now = self.now.max(ms / 20);
        let event = Event { seq: self.seq, tick: Tick(self.now), kind };
        self.seq += 1;
        self.screen.event(&event);
        self
    }

    fn beat(&mut self, ms: u64, beat: impl Fn(&mut Beat)) -> &mut Self {
        self.now = self.now.max(ms / 20);
        let mut told = Beat {
            now: Tick(self.now),
            user_peak: 0,
            agent_peak: 0,
            user_speech: false,
            agent_speech: false,
            agent: AgentState::Listening,
            saying: None,
            timing: Timing { lateness_ns: Some(90_000 + self.now * 1_000), step_ns: 0, skipped: 0 },
        };
        beat(&mut told);
        self.screen.beat(&told);
        self
    }

    fn says(&mut self, ms: u64, item: u32, agent: &str, text: &str) -> &mut Self {
        let item = ItemId(item);
        let (agent, text) = (agent.to_owned(), text.to_owned());
        self.event(ms, EventKind::AgentMessage { item, agent, text })
            .event(ms + 100, EventKind::AgentSpeechStarted { item })
    }

    fn said(&mut self, ms: u64, item: u32, text: &str) {
        let finished = EventKind::AgentSpeechFinished { item: ItemId(item) };
        self.says(ms, item, "bills", text).event(ms, finished);
    }

    fn hears(&mut self, ms: u64, text: &str, intent: Option<&str>) -> &mut Self {
        let (lane, intent) = (LaneId(0), intent.map(str::to_owned));
        let (text, last_voiced) = (text.to_owned(), Tick(0));
        let turn = TurnId(0);
        self.event(
            ms,
            EventKind::UserMessage { turn, lane, text, intent, typed: true, last_voiced },
        )
    }
}

const POLICY: &str =
    "You may return anything within thirty days, as long as it is clean and in its original box.";

/// A call in which everything happens that a screen shows.
fn call(audio: bool) -> Told {
    let mut told = Told { screen: screen(audio), now: 0, seq: 0 };
    let done = |item| EventKind::AgentSpeechFinished { item: ItemId(item) };
    told.event(0, EventKind::SessionCreated { agent: "desk".into() })
        .event(0, EventKind::AgentStarted { agent: "desk".into() })
        .event(0, EventKind::UserJoined { lane: LaneId(0), name: "ann".into() })
        .says(0, 0, "desk", "Welcome to the corner shop. How can I help you?")
        .event(3_000, done(0))
        .hears(5_000, "where is my order 4217", Some("order"))
        .event(
            5_000,
            EventKind::ToolCalled {
                call: CallId(0),
                name: "order_status".into(),
                arguments: Json(json!({ "number": "4217" })),
                occurrence: 0,
            },
        )
        .event(
            5_000,
            EventKind::ToolResult {
                call: CallId(0),
                name: "order_status".into(),
                outcome: Outcome::Done(Json(json!({ "state": "shipped", "day": "Monday" }))),
                after_ticks: 0,
            },
        )
        .says(5_020, 1, "desk", "Order 4 2 1 7 is shipped. It will arrive on Monday.")
        .event(9_000, done(1))
        .hears(11_000, "what about my bill", None)
        .event(
            11_000,
            EventKind::TransitionExecuted {
                from: "desk".into(),
                to: "bills".into(),
                transition: 0,
                cause: Cause::Intent("bill".into()),
            },
        )
        .event(11_020, EventKind::AgentStarted { agent: "bills".into() })
        .event(
            11_020,
            EventKind::ToolCalled {
                call: CallId(1),
                name: "send_invoice".into(),
                arguments: Json(json!({})),
                occurrence: 0,
            },
        )
        .event(11_040, EventKind::ToolDeferred { call: CallId(1), name: "send_invoice".into() })
        .event(
            11_360,
            EventKind::ToolResult {
                call: CallId(1),
                name: "send_invoice".into(),
                outcome: Outcome::failed(FailureKind::Failed, "the mail server is busy"),
                after_ticks: 17,
            },
        )
        .says(12_000, 2, "bills", POLICY)
        .event(
            15_000,
            EventKind::AgentInterrupted {
                item: ItemId(2),
                cause: CutCause::Asked,
                since: Tick(750),
                voiced_ms: 0,
                played_ms: 2_900,
                spoken: POLICY[..57].into(),
                unspoken: POLICY[57..].into(),
            },
        )
        .event(15_000, EventKind::LimitReached { limit: "calls".into() })
        .event(
            61_000,
            EventKind::ToolCalled {
                call: CallId(2),
                name: "balance".into(),
                arguments: Json(json!({ "of": "ann" })),
                occurrence: 0,
            },
        )
        .event(61_020, EventKind::ToolDeferred { call: CallId(2), name: "balance".into() })
        .says(61_100, 3, "bills", "One moment, I am asking the accounts.");
    for tick in 0..50 {
        told.beat(61_200 + tick * 20, |beat| {
            beat.user_peak = if tick < 4 { 9_000 } else { 0 };
            (beat.agent_peak, beat.agent_speech) = (4_000, true);
            beat.agent = AgentState::Speaking;
            beat.saying = Some(Saying { item: ItemId(3), spoken: 17 });
        });
    }
    told
}

fn drawn(screen: &Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| -> String { (0..width).map(|x| buffer[(x, y)].symbol()).collect() };
    (0..height).map(|y| row(y).trim_end().to_owned() + "\n").collect()
}

#[track_caller]
fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn press(screen: &mut Screen, code: KeyCode) -> Option<Act> {
    screen.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn control(screen: &mut Screen, c: char) -> Option<Act> {
    screen.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL))
}

fn type_in(screen: &mut Screen, text: &str) {
    for c in text.chars() {
        assert_eq!(press(screen, KeyCode::Char(c)), None);
    }
}

#[test]
fn the_screen_of_a_call_at_three_sizes() {
    for (width, height) in [(80, 24), (120, 40), (30, 8)] {
        let mut told = call(true);
        told.screen.gauges("round trip 42 ms  echo -31 dB");
        snapshot(&format!("console-{width}x{height}"), &drawn(&told.screen, width, height));
    }
}

#[test]
fn the_screen_of_a_call_by_text_and_its_help() {
    let mut told = call(false);
    type_in(&mut told.screen, "what do I owe");
    snapshot("console-text", &drawn(&told.screen, 80, 24));
    press(&mut told.screen, KeyCode::Esc);
    press(&mut told.screen, KeyCode::Char('?'));
    snapshot("console-help", &drawn(&told.screen, 80, 16));
}

#[test]
fn no_size_is_too_small() {
    let mut told = call(true);
    told.event(62_000, EventKind::SessionEnded { reason: EndReason::AgentEnded });
    for audio in [true, false] {
        told.screen.look.audio = audio;
        for height in 0..30 {
            for width in [0, 1, 2, 3, 5, 8, 13, 21, 49, 50, 79, 200] {
                for _ in 0..2 {
                    drawn(&told.screen, width, height);
                    press(&mut told.screen, KeyCode::PageUp);
                }
                press(&mut told.screen, KeyCode::Char('?'));
                press(&mut told.screen, KeyCode::Char('t'));
                type_in(&mut told.screen, "漢字 and a long text that does not fit");
                drawn(&told.screen, width, height);
                press(&mut told.screen, KeyCode::Esc);
            }
        }
    }
}

#[test]
fn words_are_shown_as_they_are_said_and_a_false_cut_goes_on() {
    let mut told = call(true);
    let shown = |told: &Told| drawn(&told.screen, 100, 30);
    assert!(shown(&told).contains("bills: One moment, I am …"), "{}", shown(&told));
    let cut = EventKind::AgentInterrupted {
        item: ItemId(3),
        cause: CutCause::Voice,
        since: Tick(3_100),
        voiced_ms: 500,
        played_ms: 500,
        spoken: "One moment, I a".into(),
        unspoken: "m asking the accounts.".into(),
    };
    told.event(62_400, cut);
    assert!(shown(&told).contains("One moment, I [cut] am asking"), "{}", shown(&told));
    told.event(62_800, EventKind::AgentResumed);
    told.beat(63_000, |beat| beat.saying = Some(Saying { item: ItemId(3), spoken: 27 }));
    assert!(shown(&told).contains("bills: One moment, I am asking the …"), "{}", shown(&told));
    told.event(63_400, EventKind::AgentSpeechFinished { item: ItemId(3) });
    assert!(shown(&told).contains("bills: One moment, I am asking the accounts.\n"));
    // What is being understood is shown until it is a turn.
    let (lane, utterance) = (LaneId(0), crate::id::UtteranceId(0));
    let (text, confidence) = ("how much".to_owned(), 0.0);
    told.event(
        64_000,
        EventKind::UserTranscript { lane, utterance, text, confidence, last: false },
    );
    assert!(shown(&told).contains("ann: how much …"));
    told.hears(65_000, "how much do I owe", Some("balance"));
    assert!(!shown(&told).contains("how much …") && shown(&told).contains("I owe  → balance"));
}

#[test]
fn words_of_a_model_that_speaks_by_itself_come_as_it_speaks() {
    let mut told = Told { screen: screen(true), now: 0, seq: 0 };
    let item = ItemId(0);
    told.event(0, EventKind::AgentBegan { item, agent: "desk".into(), source: "a".into() })
        .event(20, EventKind::AgentWords { item, text: "Good ".into() })
        .event(40, EventKind::AgentSpeechStarted { item })
        .beat(60, |beat| beat.saying = Some(Saying { item, spoken: 5 }))
        .event(80, EventKind::AgentWords { item, text: "morning.".into() });
    assert!(drawn(&told.screen, 80, 12).contains("desk: Good …"));
    let (agent, text) = ("desk".into(), "Good morning.".into());
    told.event(100, EventKind::AgentMessage { item, agent, text })
        .event(120, EventKind::AgentSpeechFinished { item });
    let shown = drawn(&told.screen, 80, 12);
    assert_eq!(shown.matches("Good morning.").count(), 1, "{shown}");
}

#[test]
fn nothing_is_drawn_when_nothing_has_changed() {
    let mut told = call(true);
    assert!(told.screen.take_changed());
    let quiet = |told: &mut Told, ms| {
        told.beat(ms, |beat| beat.timing.lateness_ns = Some(100_000));
        told.screen.take_changed()
    };
    // The meters fall, and the figures of the last seconds become those of silence.
    let drawn = (0..3_000).filter(|n| quiet(&mut told, 63_000 + n * 20)).count();
    let last = (3_000..3_500).filter(|n| quiet(&mut told, 63_000 + n * 20)).count();
    assert!(drawn < 400, "{drawn} of 3,000 ticks");
    assert!((10..=11).contains(&last), "once a second, for the time: {last}");
}

#[test]
fn no_text_of_a_call_commands_the_terminal() {
    let nasty = "a\u{1b}]0;title\u{7}\u{9b}2Jb\u{202e}c\r\n";
    let mut told = Told { screen: screen(false), now: 0, seq: 0 };
    told.event(0, EventKind::UserJoined { lane: LaneId(0), name: nasty.into() })
        .event(0, EventKind::AgentStarted { agent: nasty.into() })
        .hears(20, nasty, Some("x"))
        .says(40, 0, "desk", nasty)
        .event(
            60,
            EventKind::ToolCalled {
                call: CallId(0),
                name: "look".into(),
                arguments: Json(json!({ nasty: nasty })),
                occurrence: 0,
            },
        )
        .event(
            80,
            EventKind::ToolResult {
                call: CallId(0),
                name: "look".into(),
                outcome: Outcome::failed(FailureKind::Failed, nasty),
                after_ticks: 1,
            },
        )
        .event(100, EventKind::AgentError { agent: "desk".into(), cause: nasty.into() });
    told.screen.notice(&Notice::Warning(nasty.into()));
    told.screen.notice(&Notice::Info(nasty.into()));
    told.screen.gauges(nasty);
    told.screen.pasted(nasty);
    told.beat(120, |beat| beat.saying = Some(Saying { item: ItemId(0), spoken: 99 }));
    let shown = drawn(&told.screen, 120, 30);
    let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!shown.contains(bad), "{shown:?}");
}

#[test]
fn keys_type_interrupt_mute_and_end() {
    let mut screen = screen(true);
    assert_eq!(press(&mut screen, KeyCode::Char('i')), Some(Act::Interrupt));
    assert_eq!(press(&mut screen, KeyCode::Esc), Some(Act::Interrupt));
    assert_eq!(press(&mut screen, KeyCode::Char('m')), Some(Act::Mute(true)));
    assert!(drawn(&screen, 80, 24).contains("muted"));
    assert_eq!(press(&mut screen, KeyCode::Char('m')), Some(Act::Mute(false)));
    assert_eq!(press(&mut screen, KeyCode::Char('t')), None);
    type_in(&mut screen, "quit! no, qui");
    control(&mut screen, 'w');
    type_in(&mut screen, "hoürs");
    press(&mut screen, KeyCode::Left);
    press(&mut screen, KeyCode::Left);
    press(&mut screen, KeyCode::Backspace);
    type_in(&mut screen, "u");
    assert!(drawn(&screen, 80, 24).contains("> quit! no, hours"));
    let said = press(&mut screen, KeyCode::Enter);
    assert_eq!(said, Some(Act::Type("quit! no, hours".into())));
    assert_eq!(press(&mut screen, KeyCode::Enter), None, "Enter begins to type");
    assert_eq!(press(&mut screen, KeyCode::Enter), None, "nothing is not said");
    press(&mut screen, KeyCode::Char('t'));
    type_in(&mut screen, "q");
    assert_eq!(press(&mut screen, KeyCode::Esc), None, "it leaves the typing");
    assert_eq!(press(&mut screen, KeyCode::Char('q')), Some(Act::Quit));
    screen.leaving();
    assert!(drawn(&screen, 80, 24).contains("once more leaves at once"));
    press(&mut screen, KeyCode::Char('t'));
    assert_eq!(control(&mut screen, 'c'), Some(Act::Quit), "in every mode");
}

#[test]
fn push_to_talk_is_held_or_pressed_twice() {
    let space = |kind| KeyEvent::new_with_kind(KeyCode::Char(' '), KeyModifiers::NONE, kind);
    let mut screen = screen(true);
    // A terminal that tells no releases.
    assert_eq!(press(&mut screen, KeyCode::Char(' ')), None, "it was open");
    assert!(drawn(&screen, 80, 24).contains("push to talk: open"));
    assert_eq!(press(&mut screen, KeyCode::Char(' ')), Some(Act::Mute(true)));
    assert!(drawn(&screen, 80, 24).contains("push to talk: closed"));
    // One that does.
    assert_eq!(screen.key(space(KeyEventKind::Press)), Some(Act::Mute(false)));
    assert_eq!(screen.key(space(KeyEventKind::Repeat)), None);
    assert_eq!(screen.key(space(KeyEventKind::Release)), Some(Act::Mute(true)));
    assert_eq!(press(&mut screen, KeyCode::Char('m')), Some(Act::Mute(false)), "open again");
}

#[test]
fn where_a_key_can_do_nothing_it_says_so() {
    let mut screen = screen(false);
    press(&mut screen, KeyCode::Esc);
    assert_eq!(press(&mut screen, KeyCode::Char('m')), None);
    assert!(drawn(&screen, 80, 24).contains("no microphone"));
    screen.firm = true;
    assert_eq!(press(&mut screen, KeyCode::Char('i')), None);
    assert!(drawn(&screen, 80, 24).contains("turn.barge_in"));
    press(&mut screen, KeyCode::Char('t'));
    assert!(!drawn(&screen, 80, 24).contains("turn.barge_in"), "until the next key");
}

#[test]
fn what_was_said_before_can_be_looked_at_and_stays_where_it_is() {
    let mut told = call(false);
    press(&mut told.screen, KeyCode::Esc);
    for n in 0..40 {
        told.said(70_000 + n * 1_000, 10 + n as u32, &format!("number {n}."));
    }
    assert!(drawn(&told.screen, 80, 20).contains("number 39"));
    press(&mut told.screen, KeyCode::PageUp);
    let before = drawn(&told.screen, 80, 20);
    assert!(!before.contains("number 39") && before.contains("more below"), "{before}");
    told.said(120_000, 99, "one more");
    let after = drawn(&told.screen, 80, 20);
    let talk = |shown: &str| shown.lines().filter(|l| l.contains("number")).count();
    assert!(!after.contains("one more") && talk(&before) == talk(&after), "{after}");
    for _ in 0..3 {
        press(&mut told.screen, KeyCode::PageDown);
        drawn(&told.screen, 80, 20);
    }
    assert!(drawn(&told.screen, 80, 20).contains("one more"));
    // What is kept is bounded, and its beginning can be seen.
    for n in 0..1_200 {
        told.said(130_000 + n, 200 + n as u32, &format!("again {n}."));
    }
    assert_eq!(told.screen.entries.len(), ENTRIES_MAX);
    drawn(&told.screen, 80, 20);
    for _ in 0..300 {
        press(&mut told.screen, KeyCode::PageUp);
    }
    assert!(drawn(&told.screen, 80, 20).contains("again 200."));
}
