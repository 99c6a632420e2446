//! The report of a call, in a real browser: what it says, that it plays, and that it keeps to itself.

#[expect(dead_code, reason = "each file of tests uses its part of the browser")]
mod browser;
#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use std::path::PathBuf;
use std::sync::Arc;

use antiphon::clock::Tick;
use antiphon::id::LaneId;
use antiphon::record::{Folder, Sound, Story, Timing};
use antiphon::session::event::{Event, EventKind};
use antiphon::session::output::Output;
use antiphon::sim::caller::When;
use browser::{Browser, DESKTOP, Look, PHONE};
use serde_json::{Value, json};
use stage::{Hears, Stage, caller, plays, types};
use tempfile::TempDir;

/// A shop of two desks: one hands over by a tool's result, the other by words.
const CALL: &str = "
name: corner
description: A shop of two desks.
audio: { tick_ms: 20, rate_hz: 16000 }
speech:
  recogniser: { engine: pocketsphinx, latency_ms: 20 }
  synthesiser: { engine: tone, latency_ms: 20 }
start: desk
tools:
  stock: { latency_ms: 600, canned: { otherwise: { left: 0 } } }
  mail: { run: inline, canned: { otherwise: {}, fails_first: 1, failure: the mail server is busy } }
agents:
  desk:
    tools: [stock]
    intents:
      - { name: hours, phrases: [what are your opening hours], say: From nine to six. }
      - { name: stock, phrases: [is it in stock], say: Let me see., call: { tool: stock } }
      - { name: goodbye, phrases: [goodbye], say: Goodbye., end_call: true }
      - { name: policy, phrases: [what is the return policy], say: You may return anything within thirty
          days as long as it is clean and in its box and please keep the receipt and put the label on the
          outside and bring the parcel to any post office and we pay for it. }
  orders:
    arrival: Orders.
    tools: [mail]
    intents:
      - { name: invoice, phrases: [send me the invoice], call: { tool: mail }, failed: 'No, {error}.' }
      - { name: back, phrases: [go back] }
transitions:
  - { from: desk, to: orders, when: { tool_result: { tool: stock, key: left, value: 0 } }, say: I pass you on. }
  - { from: orders, to: desk, when: { intent: back }, say: Back you go. }
";

/// A name and a text that would be heard of, were they taken for markup.
const NASTY: &str = "Ann </script><img src=x onerror='window.hit=1'>";

/// The report of a call, and what happened in it.
struct Report {
    page: PathBuf,
    events: Vec<Value>,
    _dir: TempDir,
}

/// Holds the call; `diverged` says from when on it is told as a fork of itself.
fn hold(diverged: Option<Tick>) -> Report {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let lines = [
        types(When::Start(200), "what is the return policy"),
        plays(When::AgentSpoke(800), "caller-02-hours"),
        plays(When::AgentSpoke(800), "mm-hmm"),
        plays(When::AgentSpoke(800), "caller-02-hours"),
        types(When::AgentSilent(300), NASTY),
        types(When::AgentSilent(300), "is it in stock"),
        types(When::AgentSilent(1_000), "send me the invoice"),
        types(When::AgentSilent(300), "go back"),
        types(When::AgentSilent(300), "goodbye"),
    ];
    let hears = ["", "mm-hmm", "what are your opening hours"].map(Hears::Words);
    let stage = Stage::new(CALL).caller(caller(NASTY), lines).hears(hears);
    let mut folder =
        Folder::create(dir.path(), Arc::clone(&stage.plan), true).expect("it can be written");
    diverged.into_iter().for_each(|from| folder.diverge(from));
    stage.play_before(|now, out| folder.tick(now, out, Timing::default()));
    let (_, troubles) = folder.finish("ended");
    assert_eq!(troubles, [""; 0]);
    let events = std::fs::read_to_string(dir.path().join("events.jsonl"));
    let events = events.expect("a folder has its events");
    let events = events.lines().map(|line| serde_json::from_str(line).expect("it is JSON"));
    Report { page: dir.path().join("report.html"), events: events.collect(), _dir: dir }
}

impl Report {
    fn count(&self, name: &str) -> usize {
        self.events.iter().filter(|event| event["type"] == name).count()
    }
}

#[test]
fn at_every_width_and_in_both_colours_the_page_is_whole_and_keeps_to_itself() {
    let report = hold(None);
    let mut browser = Browser::start();
    let narrow = Look { width: 360, height: 640, ..PHONE };
    let mut papers = Vec::new();
    for look in [DESKTOP, PHONE, narrow] {
        for look in [look, Look { dark: true, ..look }] {
            browser.open(&report.page, look);
            assert_eq!(browser.value("document.documentElement.dataset.ready"), "true");
            let [page, window] = ["document.documentElement.scrollWidth", "innerWidth"]
                .map(|what| browser.value(what).as_u64().unwrap());
            assert!(page <= window, "{look:?}: the page is {page} wide");
            let inner = browser.value(
                "document.querySelector('#zoom-in').click(); [scroller.scrollWidth > \
                 scroller.clientWidth, document.documentElement.scrollWidth <= innerWidth]",
            );
            assert_eq!(inner, json!([true, true]), "{look:?}: the timeline scrolls inside itself");
            papers.push(browser.value("getComputedStyle(document.body).backgroundColor"));
            // The waveforms are there, in more than one colour.
            let painted = "new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, \
                           canvas.width, canvas.height).data.buffer)).size";
            assert!(browser.value(painted).as_u64().unwrap() > 8, "{look:?}: an empty timeline");
            assert_eq!(browser.complaints(), [&Value::Null; 0], "{look:?}");
            let outside = |url: &&str| !url.starts_with("file:///") && !url.starts_with("blob:");
            let requests = browser.requests();
            assert_eq!(requests.iter().filter(|url| outside(url)).count(), 0, "{requests:?}");
            let files = requests.iter().filter(|url| url.starts_with("file:")).count();
            assert_eq!(files, 1, "the page itself: {requests:?}");
        }
    }
    for pair in papers.chunks_exact(2) {
        assert_ne!(pair[0], pair[1], "light and dark");
    }
}

#[test]
fn a_stranger_reads_why_everything_happened_and_no_text_is_markup() {
    let report = hold(None);
    assert_eq!(report.count("transition.executed"), 2);
    assert_eq!(report.count("agent.interrupted"), 2);
    let mut browser = Browser::start();
    browser.open(&report.page, DESKTOP);
    let cards = |browser: &mut Browser, list: &str| {
        let texts =
            format!("[...document.querySelectorAll('#{list} .card')].map(c => c.innerText)");
        let texts = browser.value(&texts);
        let text = |text: &Value| text.as_str().unwrap().replace('\n', " ");
        texts.as_array().unwrap().iter().map(text).collect::<Vec<_>>()
    };
    let expect = |texts: &[String], expected: &[&[&str]]| {
        assert_eq!(texts.len(), expected.len(), "{texts:#?}");
        for (text, parts) in texts.iter().zip(expected) {
            for part in *parts {
                assert!(text.contains(part), "{part:?} is not in {text:?}");
            }
        }
    };
    expect(
        &cards(&mut browser, "moves"),
        &[
            &[
                "desk → orders",
                "desk learnt what the tool stock, called at",
                "typed “is it in stock”",
                "{\"left\":0}",
                "fires when left in the result of stock is 0, and it was 0.",
                "desk announced it: “I pass you on.” orders had the call from",
            ],
            &[
                "orders → desk",
                "typed “go back”, which orders understood as the intent back.",
                "(number 1 of the configuration) fires on that intent.",
            ],
        ],
    );
    expect(
        &cards(&mut browser, "cuts"),
        &[
            &[
                "false: the agent went on",
                "desk was saying “You may return anything within thirty days",
                "After 500 ms of voice over the agent (this configuration interrupts after 500 ms)",
                "But the recogniser made out no words in it: a false interruption, so at",
                "desk went on where it was cut, with “",
            ],
            &[
                "by voice",
                "the words were known, “what are your opening hours”: that confirmed the interruption",
                "as the intent hours.",
            ],
        ],
    );
    expect(
        &cards(&mut browser, "overlaps"),
        &[&["said “mm-hmm” while desk was saying", "It only shows attention"]],
    );
    // The path through the agents: the picture and the list have the same two steps.
    let path = browser.value("[...document.querySelectorAll('#path li')].map(l => l.innerText)");
    let path = path.as_array().expect("a list");
    assert_eq!(path.len(), 2, "{path:?}");
    for (step, parts) in
        path.iter().zip([["desk → orders", "left of stock is 0"], ["orders → desk", "intent back"]])
    {
        for part in parts {
            assert!(step.as_str().unwrap().contains(part), "{part:?} is not in {step:?}");
        }
    }
    let drawn = browser.value(
        "[...document.querySelectorAll('#picture .edge')].map(e => [e.querySelector('title').textContent, \
         e.classList.contains('taken'), [...e.querySelectorAll('.step')].map(s => s.textContent)])",
    );
    assert_eq!(
        drawn,
        json!([
            ["desk → orders: left of stock is 0", true, ["1"]],
            ["orders → desk: intent back", true, ["2"]],
        ])
    );
    let visited = browser.value("document.querySelectorAll('#picture .agent.visited').length");
    assert_eq!(visited, json!(2));
    let transcript = browser.text("#transcript");
    for line in ["Let me see.", "stock {}, deferred", "mail failed", "the mail server is busy"] {
        assert!(transcript.contains(line), "{line:?} is not in:\n{transcript}");
    }
    // What was typed is shown letter by letter, and does nothing.
    assert!(transcript.contains(NASTY), "{transcript}");
    assert_eq!(
        browser.value("[document.images.length, window.hit === undefined]"),
        json!([0, true])
    );
    let answered = browser.value("document.querySelectorAll('#answers tbody tr').length");
    assert_eq!(answered, json!(report.count("user.message")), "every turn was answered");

    // The table of events has them all, and finds one.
    let filter = "document.querySelector('#filter-text').value = 'busy'; \
                  document.querySelector('#filter-text').dispatchEvent(new Event('input')); \
                  [...document.querySelectorAll('#events .kind')].map(k => k.innerText)";
    assert_eq!(browser.value(filter), json!(["tool.result", "agent.message"]));

    let forked = hold(Some(Tick(500)));
    browser.open(&forked.page, DESKTOP);
    assert!(browser.text("#fork").starts_with("Counterfactual from 10.00 s."));
    let marked = browser.value("document.querySelectorAll('.line.other').length");
    assert!(marked.as_u64().unwrap() > 3, "turns from there on are marked");
    assert_eq!(browser.complaints(), [&Value::Null; 0]);
}

#[test]
fn who_takes_a_lane_does_not_rename_who_was_there_before() {
    let plan = Stage::new(CALL).plan;
    let mut story = Story::new(plan);
    let lane = LaneId(3);
    let joined = |name: &str| EventKind::UserJoined { lane, name: name.into() };
    for (tick, kind) in
        [joined("Ann"), EventKind::UserLeft { lane }, joined("Bob"), EventKind::UserLeft { lane }]
            .into_iter()
            .enumerate()
    {
        let (seq, tick) = (tick as u64, Tick(tick as u64));
        let mut out = Output::default();
        out.events.push(Event { seq, tick, kind });
        story.tick(tick, &out, Timing::default());
    }
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let page = dir.path().join("report.html");
    let html = story.finish("ended").html(&Sound::None { why: "nobody spoke".into() });
    std::fs::write(&page, html).expect("it can be written");
    let mut browser = Browser::start();
    browser.open(&page, DESKTOP);
    assert_eq!(browser.value("document.querySelector('#path-part').hidden"), json!(false));
    assert_eq!(browser.text("#path-note"), "The call stayed with desk.");
    let said = "[...document.querySelectorAll('#events .what')].map(k => k.firstChild.data.trim())";
    assert_eq!(
        browser.value(said),
        json!(["Ann joins.", "Ann leaves.", "Bob joins.", "Bob leaves."])
    );
}

#[test]
fn where_there_is_no_way_to_go_no_path_is_shown() {
    let plan = Stage::new("{ name: alone, agents: { desk: {} } }").plan;
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let page = dir.path().join("report.html");
    let html = Story::new(plan).finish("ended").html(&Sound::None { why: "nobody spoke".into() });
    std::fs::write(&page, html).expect("it can be written");
    let mut browser = Browser::start();
    browser.open(&page, DESKTOP);
    let shown =
        "[document.querySelector('#path-part').hidden, !!document.querySelector('#picture svg')]";
    assert_eq!(browser.value(shown), json!([true, false]));
    assert_eq!(browser.complaints(), [&Value::Null; 0]);
}

#[test]
fn a_click_plays_from_there_and_keys_move() {
    let report = hold(None);
    let mut browser = Browser::start();
    browser.open(&report.page, DESKTOP);
    // What is under way is told by the player's own events.
    let playing = "new Promise((done) => { const look = () => !audio.paused && audio.currentTime > \
                   window.from + 0.1 && done(audio.currentTime); \
                   audio.addEventListener('timeupdate', look); look(); })";
    let sound = "document.querySelector('audio') || 1";
    assert!(browser.value(sound).is_object(), "there is sound");
    browser.value("window.audio = document.querySelector('audio'); window.from = 0; 0");
    let known = browser.value(
        "new Promise((done) => audio.readyState ? done(audio.duration) : \
         audio.addEventListener('loadedmetadata', () => done(audio.duration)))",
    );
    let seconds = report.events.last().unwrap()["ms"].as_f64().unwrap() / 1_000.0 + 0.02;
    assert!((known.as_f64().unwrap() - seconds).abs() < 0.05, "{known} s instead of {seconds}");

    // A line of the transcript.
    let lines = browser.value("[...document.querySelectorAll('.line')].map(l => l.dataset.ms)");
    let line = lines.as_array().unwrap().len() - 4;
    let at: f64 = lines[line].as_str().unwrap().parse::<f64>().unwrap() / 1_000.0;
    browser.value(&format!(
        "document.querySelectorAll('.line')[{line}].id = 'wanted'; window.from = {at}; 0"
    ));
    browser.click("#wanted");
    let heard = browser.value(playing).as_f64().unwrap();
    assert!(heard >= at && heard < at + 2.0, "{heard} s instead of {at}");
    assert_eq!(browser.value("!!document.querySelector('.line.on')"), json!(true));
    let label = browser.value("document.querySelector('#play').getAttribute('aria-label')");
    assert_eq!(label, "Pause");

    // A step of the path, in the picture and in the list.
    for step in ["#picture [data-step='2']", "#path li:nth-child(2) button"] {
        let ms = "document.querySelector('#path li:nth-child(2) button').dataset.ms";
        let at = browser.value(&format!("document.querySelector(\"{step}\").id = 'step'; {ms}"));
        let at = at.as_str().unwrap().parse::<f64>().unwrap() / 1_000.0;
        browser.value(&format!("window.from = {at}; audio.pause(); audio.currentTime = 0; 0"));
        browser.click("#step");
        let heard = browser.value(playing).as_f64().unwrap();
        assert!(heard >= at && heard < at + 2.0, "{heard} s instead of {at}");
        browser.value("document.querySelector('#step').removeAttribute('id'); 0");
    }

    // The space bar holds it, an arrow moves it by a second.
    browser.value("document.activeElement.blur(); document.querySelector('#scroller').focus(); 0");
    browser.key(" ", "Space");
    let before = browser.value("audio.paused && audio.currentTime").as_f64().unwrap();
    browser.key("ArrowRight", "ArrowRight");
    let after = browser.value("audio.currentTime").as_f64().unwrap();
    assert!((after - before - 1.0).abs() < 0.05, "from {before} to {after}");

    // A place on the timeline.
    let place = browser.value(
        "(() => { scroller.scrollIntoView({ behavior: 'instant', block: 'center' }); const b = \
         scroller.getBoundingClientRect(); window.from = audio.duration / 4; \
         return [b.left + b.width / 4, b.top + 80]; })()",
    );
    browser.press(&place[0], &place[1]);
    let heard = browser.value(playing).as_f64().unwrap();
    let quarter = seconds / 4.0;
    assert!(heard > quarter - 0.1 && heard < quarter + 2.0, "{heard} s instead of {quarter}");

    // A mark tells when it is reached.
    browser.value("document.querySelector('.mark.cut').focus(); 0");
    assert!(browser.text("#tip").contains("The agent is cut by voice"));
    // Zoomed in, the timeline scrolls inside itself.
    browser.click("#zoom-in");
    assert_eq!(browser.value("scroller.scrollWidth > 1.5 * scroller.clientWidth"), json!(true));
    assert_eq!(browser.complaints(), [&Value::Null; 0]);
}
