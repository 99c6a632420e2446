//! Who is cut, by what, and what becomes of what was not said.

#[expect(dead_code, reason = "each file of tests uses its part of the stage")]
mod stage;

use antiphon::id::{ItemId, LaneId};
use antiphon::pcm::Clip;
use antiphon::session::input::Inbound;
use antiphon::sim::caller::{Part, When};
use antiphon::sim::replay::{Replayed, replay};
use serde_json::{Value, json};
use stage::{Hears, POLICY, SHOP, Scene, Stage, caller, goes_on_alike, plays, plays_first, types};

/// Asks for the long answer, and does something a second into it.
fn over_the_policy(yaml: &str, line: (When, stage::Line), hears: Hears) -> Scene {
    let lines = [types(When::Start(200), "what is the return policy"), line];
    Stage::new(yaml).caller(caller("ann"), lines).hears([hears]).play()
}

fn tick_of(event: &Value) -> u64 {
    event["tick"].as_u64().unwrap()
}

#[test]
fn barge_in_is_confirmed_by_voiced_time_and_the_agent_is_silent_at_once() {
    let barge_in = plays(When::AgentSpoke(1_000), "caller-02-hours");
    let scene = over_the_policy(SHOP, barge_in, Hears::Words("what are your opening hours"));
    let cut = scene.one("agent.interrupted");
    let (since, at) = (cut["since"].as_u64().unwrap(), tick_of(&cut));
    let voiced =
        scene.ticks[since as usize..=at as usize].iter().filter(|seen| seen.user_speech).count();
    assert_eq!((voiced, &cut["voiced_ms"]), (25, &json!(500)), "500 ms of voiced ticks, no more");
    assert_eq!(since, tick_of(&scene.one("user.speech_started")));

    let next = tick_of(&scene.all("agent.speech_started")[1]);
    assert!(scene.audio_at(at - 1).iter().any(|sample| *sample != 0));
    assert!((at + 1..next).all(|tick| scene.audio_at(tick).iter().all(|sample| *sample == 0)));
    assert!((at + 1..next).all(|tick| !scene.ticks[tick as usize].agent_speech));
    assert!(scene.was_heard("From nine to six."));
}

#[test]
fn barge_in_keeps_only_what_was_heard() {
    let barge_in = plays(When::AgentSpoke(1_000), "caller-02-hours");
    let scene = over_the_policy(SHOP, barge_in, Hears::Words("what are your opening hours"));
    let cut = scene.one("agent.interrupted");
    let (spoken, unspoken) = (cut["spoken"].as_str().unwrap(), cut["unspoken"].as_str().unwrap());
    assert_eq!(format!("{spoken}{unspoken}"), POLICY);
    let started = tick_of(&scene.all("agent.speech_started")[0]);
    assert_eq!(cut["played_ms"].as_u64().unwrap(), (tick_of(&cut) - started) * 20);
    // The text follows the share of the samples that were played.
    let all_ms = POLICY.split(' ').map(|word| word.len() as u64 * 60 + 80).sum::<u64>();
    let share = cut["played_ms"].as_u64().unwrap() * POLICY.len() as u64;
    assert_eq!(spoken.len() as u64, share.div_ceil(all_ms));
    assert_eq!(
        scene.transcript,
        ["what is the return policy", spoken, "what are your opening hours", "From nine to six."]
    );
}

#[test]
fn a_cut_fades_whatever_its_cause() {
    let voice = plays(When::AgentSpoke(1_000), "caller-02-hours");
    let text = types(When::AgentSpoke(1_000), "what are your opening hours");
    for (line, cause) in [(voice, "voice"), (text, "text")] {
        let scene = over_the_policy(SHOP, line, Hears::Words("what are your opening hours"));
        let cut = scene.one("agent.interrupted");
        assert_eq!(cut["cause"], cause);
        let (before, at) = (scene.audio_at(tick_of(&cut) - 1), scene.audio_at(tick_of(&cut)));
        assert_ne!(before[319], 0, "the cut falls into a tone");
        assert!(
            at[..80].iter().any(|sample| *sample != 0),
            "cut by {cause}: a click instead of a fade"
        );
        assert!(at[160..].iter().all(|sample| *sample == 0), "10 ms");
    }
}

#[test]
fn a_fade_longer_than_a_tick_goes_on_in_the_next() {
    let slow = SHOP.replace("turn: {}", "turn: { fade_ms: 50 }");
    let voice = plays(When::AgentSpoke(1_000), "caller-02-hours");
    let scene = over_the_policy(&slow, voice, Hears::Words("what are your opening hours"));
    let at = tick_of(&scene.one("agent.interrupted"));
    let loudest = |tick| scene.audio_at(tick).iter().map(|sample| sample.abs()).max().unwrap();
    let ticks = [at - 1, at, at + 1, at + 2].map(loudest);
    assert!(ticks.is_sorted_by(|a, b| a >= b) && ticks[1] > ticks[2] && ticks[2] > 0, "{ticks:?}");
    assert!(scene.audio_at(at + 2)[160..].iter().all(|sample| *sample == 0), "50 ms");
    // From one sample to the next the tone itself jumps; its height must not.
    let (end, next) = (scene.audio_at(at)[319].abs(), scene.audio_at(at + 1)[0].abs());
    assert!(end - next < 10, "{end}, then {next}: the fade has a step");
}

#[test]
fn a_hum_and_a_cough_do_not_stop_the_agent() {
    for (clip, hears) in [
        ("mm-hmm", Hears::Words("mm-hmm")),
        ("mm-hmm", Hears::Words("Okay, right.")),
        ("cough", Hears::Unsure("stop", 0.3)),
        ("cough", Hears::Words("")),
    ] {
        let scene = over_the_policy(SHOP, plays(When::AgentSpoke(1_000), clip), hears);
        assert!(scene.all("agent.interrupted").is_empty(), "{clip}, {hears:?}");
        assert!(scene.was_heard(POLICY));
        assert_eq!(scene.all("user.message").len(), 1, "{clip} is no turn");
        assert_eq!(scene.one("user.speech_stopped")["utterance"], 0, "{clip} was heard");
        assert_eq!(scene.all("user.backchannel").len(), usize::from(clip == "mm-hmm"));
    }
}

#[test]
fn a_false_interruption_resumes_at_the_very_sample() {
    let voice = plays(When::AgentSpoke(1_000), "caller-02-hours");
    let cut = over_the_policy(SHOP, voice, Hears::Words(""));
    let whole = over_the_policy(SHOP, types(When::AgentSilent(500), "stop"), Hears::Words(""));
    let (at, resumed) =
        (tick_of(&cut.one("agent.interrupted")), tick_of(&cut.one("agent.resumed")));
    let (at, resumed) = (at as usize * 320, resumed as usize * 320);
    let rejoined: Vec<i16> = cut.agent[..at].iter().chain(&cut.agent[resumed..]).copied().collect();
    let end = whole.all("agent.speech_finished")[0]["tick"].as_u64().unwrap() as usize * 320;
    assert!(rejoined[..end] == whole.agent[..end], "the same samples apart from fade and pause");
    let (fade, under) = (&cut.agent[at..at + 160], &whole.agent[at..at + 160]);
    assert!(fade.iter().zip(under).all(|(fade, full)| fade.abs() <= full.abs()));
    assert!(cut.agent[at + 160..resumed].iter().all(|sample| *sample == 0));
    assert!(cut.was_heard(POLICY));
}

#[test]
fn without_words_in_time_the_agent_resumes_by_itself() {
    // The recogniser never answers; the agent does not wait for it.
    let voice = plays(When::AgentSpoke(1_000), "caller-02-hours");
    let scene = over_the_policy(SHOP, voice, Hears::Hangs);
    let last_voiced = scene.ticks.iter().rposition(|seen| seen.user_speech).unwrap() as u64;
    assert_eq!(tick_of(&scene.one("agent.resumed")), last_voiced + 100, "2 s after the last voice");
    assert!(scene.was_heard(POLICY));
}

#[test]
fn an_interruption_that_a_recogniser_gives_up_ends_with_the_apology() {
    // Its patience is over before the agent's is.
    let yaml =
        SHOP.replace("latency_ms: 20 }\n  synth", "latency_ms: 20, timeout_ms: 500 }\n  synth");
    let voice = plays(When::AgentSpoke(1_000), "caller-02-hours");
    let scene = over_the_policy(&yaml, voice, Hears::Hangs);
    assert!(scene.all("agent.resumed").is_empty(), "the answer and the apology would mix");
    assert!(scene.was_heard("Sorry about that."));
}

#[test]
fn an_agent_told_never_to_resume_does_not() {
    let never = SHOP.replace("turn: {}", "turn: { false_interruption_ms: 0 }");
    let voice = plays(When::AgentSpoke(1_000), "caller-02-hours");
    let scene = over_the_policy(&never, voice, Hears::Words(""));
    assert_eq!(scene.one("agent.interrupted")["cause"], "voice");
    assert!(scene.all("agent.resumed").is_empty());
}

#[test]
fn a_short_word_over_the_agent_interrupts_by_its_words() {
    let stop = plays_first(When::AgentSpoke(1_000), "caller-02-hours", 400);
    let scene = over_the_policy(SHOP, stop, Hears::Words("stop"));
    let voiced = scene.one("user.speech_stopped")["voiced_ms"].as_u64().unwrap();
    assert!(voiced < 500, "too short to interrupt by voice: {voiced} ms");
    let cut = scene.one("agent.interrupted");
    assert_eq!(cut["cause"], "words");
    let words = scene.all("user.transcript").into_iter().find(|event| event["last"] == true);
    assert_eq!(cut["tick"], words.unwrap()["tick"]);
    assert!(scene.was_heard("Of course."));
    assert!(scene.all("agent.resumed").is_empty());
}

#[test]
fn an_agent_that_may_not_be_interrupted_never_is() {
    let firm = SHOP.replace("turn: {}", "turn: { barge_in: false }");
    for line in [
        plays(When::AgentSpoke(1_000), "caller-02-hours"),
        types(When::AgentSpoke(1_000), "what are your opening hours"),
    ] {
        let scene = over_the_policy(&firm, line, Hears::Words("what are your opening hours"));
        assert!(scene.all("agent.interrupted").is_empty());
        assert!(scene.was_heard(POLICY));
        assert!(scene.was_heard("From nine to six."), "answered afterwards");
    }
}

#[test]
fn a_reply_that_is_ready_waits_for_the_user_to_finish() {
    let firm = SHOP.replace("turn: {}", "turn: { barge_in: false }");
    let typist = Part { audio: false, hang_up_ms: 60_000, ..caller("ben") };
    let scene = Stage::new(&firm)
        .caller(caller("ann"), [plays(When::Start(200), "caller-02-hours")])
        .caller(typist, [types(When::Start(1_000), "stop")])
        .play();
    let ready = tick_of(&scene.all("agent.message")[0]);
    let began = tick_of(&scene.all("agent.speech_started")[0]);
    assert_eq!(ready, 50);
    assert!(scene.ticks[50].user_speech, "Ann is speaking");
    let last_voiced = scene.ticks.iter().rposition(|seen| seen.user_speech).unwrap() as u64;
    // Ten ticks of gap may still belong to what Ann says.
    assert_eq!(began, last_voiced + 11);
}

#[test]
fn an_interruption_of_the_apology_is_not_the_last_apology() {
    let lines = [
        plays(When::Start(200), "caller-02-hours"),
        types(When::AgentSpoke(200), "stop"),
        plays(When::AgentSilent(1_000), "caller-02-hours"),
    ];
    let scene =
        Stage::new(SHOP).caller(caller("ann"), lines).hears([Hears::Fails, Hears::Fails]).play();
    assert_eq!(scene.one("agent.interrupted")["cause"], "text");
    assert_eq!(scene.all("recogniser.failed").len(), 2);
    let apologies = scene.messages().into_iter().filter(|text| text == "Sorry about that.").count();
    assert_eq!(apologies, 2, "the second failure is apologised for, too");
}

#[test]
fn what_was_cut_and_then_fails_is_told_once() {
    let lines = [
        types(When::Start(200), "what is the return policy"),
        plays(When::AgentSpoke(1_000), "caller-02-hours"),
    ];
    let failure = Inbound::SynthesiserFailed { item: ItemId(0), cause: "too late".into() };
    let scene = Stage::new(SHOP)
        .caller(caller("ann"), lines)
        .hears([Hears::Words("what are your opening hours")])
        .happens(120, [failure])
        .play();
    let cut = scene.one("agent.interrupted");
    let spoken = cut["spoken"].as_str().unwrap();
    assert!(tick_of(&cut) < 120 && tick_of(&scene.all("user.message")[1]) > 120, "undecided");
    assert_eq!(scene.transcript.iter().filter(|text| *text == spoken).count(), 1);
}

#[test]
fn a_text_that_made_no_sound_was_not_said() {
    let nothing = Inbound::Speech { item: ItemId(0), pcm: Clip::default(), last: true };
    let scene = Stage::new(SHOP)
        .caller(caller("ann"), [types(When::Start(200), "what are your opening hours")])
        .happens(11, [nothing])
        .play();
    assert_eq!(tick_of(&scene.one("agent.speech_finished")), 11);
    assert_eq!(scene.transcript, ["what are your opening hours"]);
}

/// A tool answers while it is open if what was cut goes on.
fn answered_while_undecided(call: &str, end_call: bool) -> Scene {
    let yaml = SHOP
        .replace("agents:", &format!("call: {{ {call} }}\ntools: {{ look: {{ latency_ms: 2500, canned: {{ otherwise: 7 }} }} }}\nagents:"))
        .replace("intents:", &format!("tools: [look]\n    intents:\n      - {{ name: look, phrases: [look it up], call: {{ tool: look }}, then: 'It is {{result}}.', end_call: {end_call} }}"))
        .replace("engine: pocketsphinx, latency_ms: 20", "engine: pocketsphinx, latency_ms: 2000");
    let text = |text: &str| Inbound::UserText { lane: LaneId(0), text: text.to_owned() };
    let scene = Stage::new(&yaml)
        .caller(caller("ann"), [plays(When::AgentSpoke(300), "caller-02-hours")])
        .hears([Hears::Words("")])
        .happens(5, [text("what is the return policy"), text("look it up")])
        .play();
    let (cut, answered) = (tick_of(&scene.one("agent.interrupted")), scene.one("tool.result"));
    assert!(cut < tick_of(&answered), "undecided");
    scene
}

#[test]
fn what_was_cut_goes_on_before_the_last_words_of_a_call_that_is_ending() {
    let scene = answered_while_undecided("max_ms: 0", true);
    let (starts, ends) = (scene.all("agent.speech_started"), scene.all("agent.speech_finished"));
    assert!(tick_of(&scene.one("tool.result")) < tick_of(&scene.one("agent.resumed")));
    assert_eq!(scene.each("agent.speech_started", "item"), [0, 1]);
    assert!(tick_of(&starts[1]) > tick_of(&ends[0]), "the answer follows what was cut");
    assert!(scene.was_heard(POLICY) && scene.was_heard("It is 7."));
    assert_eq!(scene.one("session.ended")["reason"], "agent_ended");
}

#[test]
fn a_call_that_is_as_long_as_it_may_be_begins_nothing_while_a_cut_is_undecided() {
    let scene = answered_while_undecided("max_ms: 2800", false);
    let end = scene.one("session.ended");
    assert_eq!((tick_of(&end), &end["reason"]), (140, &json!("max_length")));
    assert_eq!(scene.each("agent.speech_started", "item"), [0]);
}

fn asks_to_stop(lane: u16) -> [Inbound; 1] {
    [Inbound::Interrupt { lane: LaneId(lane) }]
}

#[test]
fn who_asks_the_agent_to_stop_needs_no_words_and_nothing_goes_on() {
    let typist = Part { audio: false, ..caller("ann") };
    let lines = [
        types(When::Start(200), "what is the return policy"),
        types(When::Start(200), "what are your opening hours"),
        types(When::Start(4_000), "where is my order 4217"),
    ];
    let scene = Stage::new(SHOP)
        .caller(typist, lines)
        .happens(30, asks_to_stop(0))
        .checkpoint_at(31)
        .play();
    let cuts = scene.all("agent.interrupted");
    let last = cuts.last().unwrap();
    assert_eq!((&last["cause"], tick_of(last)), (&json!("asked"), 30));
    assert!(scene.all("agent.resumed").is_empty());
    assert_eq!(scene.all("user.message").len(), 3, "it is no turn");
    assert!(scene.audio_at(30).iter().any(|sample| *sample != 0), "it fades");
    let next = tick_of(scene.all("agent.speech_started").last().unwrap());
    assert!((31..next).all(|tick| scene.audio_at(tick).iter().all(|sample| *sample == 0)));
    assert!(scene.was_heard("Order 4217 is on its way."), "what is said afterwards is answered");
    assert!(scene.timeline().contains("because the user wanted it to stop"));
    let ticks = scene.ticks.len() as u64;
    assert_eq!(replay(&scene.read_journal(), |_, _| {}), Ok(Replayed::Equal { ticks }));
    goes_on_alike(&scene.checkpoints[0], &scene.read_journal());
}

#[test]
fn nothing_comes_of_asking_where_nobody_speaks_may_be_interrupted_or_is_there() {
    let firm = SHOP.replace("turn: {}", "turn: { barge_in: false }");
    for (yaml, tick, lane) in [(firm.as_str(), 60, 0), (SHOP, 60, 1), (SHOP, 5, 0)] {
        let typist = Part { audio: false, ..caller("ann") };
        let scene = Stage::new(yaml)
            .caller(typist, [types(When::Start(200), "what is the return policy")])
            .happens(tick, asks_to_stop(lane))
            .play();
        assert!(scene.all("agent.interrupted").is_empty());
        assert!(scene.was_heard(POLICY));
    }
}

#[test]
fn what_a_voice_has_cut_does_not_go_on_when_it_is_asked_to_stop() {
    let scene = Stage::new(SHOP)
        .caller(
            caller("ann"),
            [
                types(When::Start(200), "what is the return policy"),
                plays(When::AgentSpoke(1_000), "caller-02-hours"),
            ],
        )
        .hears([Hears::Hangs])
        .happens(120, asks_to_stop(0))
        .play();
    let cut = scene.one("agent.interrupted");
    assert_eq!(cut["cause"], "voice");
    assert!(tick_of(&cut) < 120, "undecided");
    assert!(scene.all("agent.resumed").is_empty());
    let spoken = cut["spoken"].as_str().unwrap();
    assert_eq!(scene.transcript.iter().filter(|text| *text == spoken).count(), 1);
}
