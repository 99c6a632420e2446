//! A worker of a real LiveKit server: dispatch by itself and by name, choice of the configuration, and what is told of it.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use rooms::gate::Gate;
use rooms::peer::Peer;
use rooms::server::{Options, Server};
use rooms::worker::{Worker, dispatch};
use rooms::{PATIENCE, room};
use serde_json::{Value, json};

/// A desk that reads, has a soft tone for a voice, and says hello.
fn desk(name: &str, more: &str) -> String {
    format!(
        "
name: {name}
speech: {{ synthesiser: {{ engine: tone }} }}
call: {{ alone_ms: 300 }}
{more}
agents:
  desk:
    greeting: Hello from the {name} desk.
    intents:
      - {{ name: bye, phrases: [goodbye], say: Goodbye., end_call: true }}
"
    )
}

#[test]
fn an_agent_comes_to_every_room_by_itself() {
    let server = Server::start(&Options::default());
    let worker = Worker::start(&server, &[&desk("corner", "")], &[]);
    let (first, second) = (room("auto"), room("auto"));
    let mut ann = Peer::join(&server, &first, "ann");
    let mut bob = Peer::join(&server, &second, "bob");
    let joined = worker.of_room("job.joined", &first);
    let identity = joined["identity"].as_str().expect("it has one").to_owned();
    assert_eq!(identity, format!("agent-{}", joined["job"].as_str().unwrap_or_default()));
    ann.reads(&identity, "Hello from the corner desk.");
    worker.of_room("job.began", &second);
    ann.ask(json!({ "do": "chat", "text": "goodbye" }));
    let over = worker.of_room("job.over", &first);
    assert_eq!(
        (&over["end"], &over["reason"]),
        (&json!("ended"), &json!("the agent ended the call"))
    );
    ann.event("participant_left", |event| event["identity"] == identity.as_str());
    bob.ask(json!({ "do": "leave" }));
    let over = worker.of_room("job.over", &second);
    assert_eq!(over["reason"], "the last participant has left");
    worker.of_room("job.left", &second);
    let failed = worker.events("job.failed");
    assert!(failed.is_empty(), "{failed:?}");
}

/// The identity of the agent that has come to a room.
#[track_caller]
fn agent_in(worker: &Worker, room: &str) -> String {
    worker.of_room("job.joined", room)["identity"].as_str().expect("it has one").to_owned()
}

#[test]
fn a_named_agent_comes_where_it_is_asked_for_with_the_configuration_that_is_named() {
    let server = Server::start(&Options::default());
    let named = |name: &str, rooms: &str| {
        let livekit = format!("livekit: {{ agent_name: shop, rooms: [{rooms}] }}");
        let conversations =
            "conversations: { short: { start: desk, agents: [desk], rooms: ['brief-*'] } }";
        desk(name, &format!("{livekit}\n{conversations}"))
    };
    let configs = [named("shoes", "'shoes-*'"), named("hats", "'hats-*'"), named("rest", "")];
    let configs: Vec<&str> = configs.iter().map(String::as_str).collect();
    let worker = Worker::start(&server, &configs, &[]);
    let registered = worker.event("worker.registered", |_| true);
    assert_eq!((&registered["agent_name"], &registered["kind"]), (&json!("shop"), &json!("room")));

    // By the room's name, by metadata, and by neither.
    let brief = room("brief");
    for (room, metadata, config, conversation) in [
        (room("hats"), Value::Null, "hats", Value::Null),
        (room("hats"), json!({ "config": "shoes" }), "shoes", Value::Null),
        (room("lobby"), json!({ "conversation": "short" }), "rest", json!("short")),
        (brief, json!({ "config": "hats", "more": 7 }), "hats", json!("short")),
    ] {
        let mut ann = Peer::join(&server, &room, "ann");
        dispatch(&server, &room, "shop", &metadata);
        let agent = agent_in(&worker, &room);
        ann.reads(&agent, &format!("Hello from the {config} desk."));
        let joined = worker.of_room("job.joined", &room);
        assert_eq!((&joined["config"], &joined["conversation"]), (&json!(config), &conversation));
        ann.ask(json!({ "do": "leave" }));
        worker.of_room("job.left", &room);
    }

    // What is no name of a configuration is refused, and told; above all it is no path.
    for wrong in ["/etc/passwd", "../agent-0.yaml", "agent-0.yaml", "sheos"] {
        let room = room("wrong");
        let _ann = Peer::join(&server, &room, "ann");
        dispatch(&server, &room, "shop", &json!({ "config": wrong }));
        let refused = worker.of_room("job.refused", &room);
        let reason = refused["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(&format!("no configuration `{wrong}`")), "{reason}");
        assert!(wrong != "sheos" || reason.contains("did you mean `shoes`?"), "{reason}");
    }

    // Nobody comes by itself.
    let alone = room("alone");
    let _bob = Peer::join(&server, &alone, "bob");
    let last = room("last");
    let mut ann = Peer::join(&server, &last, "ann");
    dispatch(&server, &last, "shop", &Value::Null);
    ann.reads(&agent_in(&worker, &last), "Hello from the rest desk.");
    assert!(worker.events("job.joined").iter().all(|joined| joined["room"] != alone.as_str()));
}

#[test]
fn an_agent_for_each_who_comes_hears_that_one_alone() {
    let server = Server::start(&Options::default());
    let config = desk("clerk", "livekit: { job: participant }");
    let worker = Worker::start(&server, &[&config], &[]);
    assert_eq!(worker.event("worker.registered", |_| true)["kind"], "participant");
    let room = room("each");
    let mut ann = Peer::join(&server, &room, "ann");
    let first = agent_in(&worker, &room);
    ann.reads(&first, "Hello from the clerk desk.");
    let mut bob = Peer::join(&server, &room, "bob");
    let second = worker.event("job.joined", |event| event["identity"] != first.as_str());
    let second = second["identity"].as_str().expect("it has one").to_owned();
    worker.event("job.began", |event| second.ends_with(event["job"].as_str().unwrap_or("-")));
    bob.ask(json!({ "do": "chat", "text": "goodbye" }));
    let over = worker.event("job.over", |_| true);
    assert!(second.ends_with(over["job"].as_str().unwrap_or("-")), "{over}: {second} is bob's");
    ann.ask(json!({ "do": "leave" }));
    let over =
        worker.event("job.over", |event| first.ends_with(event["job"].as_str().unwrap_or("-")));
    assert_eq!(over["reason"], "the last participant has left");
}

#[test]
fn an_agent_for_who_publishes_comes_when_they_do() {
    let server = Server::start(&Options::default());
    let config = desk("clerk", "livekit: { job: publisher }");
    let worker = Worker::start(&server, &[&config], &[]);
    let room = room("publisher");
    let _listener = Peer::join(&server, &room, "listener");
    let mut ann = Peer::join(&server, &room, "ann");
    ann.publish(None);
    let agent = agent_in(&worker, &room);
    ann.reads(&agent, "Hello from the clerk desk.");
    assert_eq!(worker.events("job.joined").len(), 1, "nobody else has published");
}

#[test]
fn a_full_worker_takes_no_job_and_says_so_until_it_has_room_again() {
    let server = Server::start(&Options::default());
    let worker = Worker::start(&server, &[&desk("small", "")], &["--max-jobs", "1"]);
    assert_eq!(worker.page("/ready"), (200, "OK".into()));
    let (first, second) = (room("full"), room("full"));
    let mut ann = Peer::join(&server, &first, "ann");
    ann.reads(&agent_in(&worker, &first), "Hello from the small desk.");

    let health = |worker: &Worker| -> Value {
        serde_json::from_str(&worker.page("/worker").1).expect("it is JSON")
    };
    let full = health(&worker);
    assert_eq!((&full["active_jobs"], &full["busy"]), (&json!(1), &json!("full")), "{full}");
    assert!(
        full["worker_load"].as_f64().is_some_and(|load| (0.69..0.72).contains(&load)),
        "{full}"
    );
    assert_eq!(full["worker_type"], "JT_ROOM");
    assert_eq!(worker.page("/ready"), (503, "full".into()));
    assert_eq!(worker.page("/"), (200, "OK".into()), "a full worker is well");

    // The server was told, or is: it has nobody to ask, or hears no.
    let _bob = Peer::join(&server, &second, "bob");
    ann.ask(json!({ "do": "chat", "text": "goodbye" }));
    worker.of_room("job.left", &first);
    assert_eq!(worker.page("/ready"), (200, "OK".into()));
    assert!(worker.events("job.joined").iter().all(|joined| joined["room"] != second.as_str()));
    let third = room("full");
    let mut cleo = Peer::join(&server, &third, "cleo");
    cleo.reads(&agent_in(&worker, &third), "Hello from the small desk.");

    let (status, metrics) = worker.page("/metrics");
    assert_eq!(status, 200);
    for line in [
        "antiphon_jobs_active 1",
        "antiphon_jobs_total{outcome=\"done\"} 1",
        "antiphon_worker_registrations 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
}

#[test]
fn a_worker_whose_ticks_take_too_much_takes_no_job_until_they_do_not() {
    let server = Server::start(&Options::default());
    // Any call at all is more than that.
    let worker = Worker::start(&server, &[&desk("busy", "")], &["--max-load", "0.0005"]);
    let (first, second) = (room("busy"), room("busy"));
    let mut ann = Peer::join(&server, &first, "ann");
    ann.reads(&agent_in(&worker, &first), "Hello from the busy desk.");
    let full = worker.event("worker.overload", |told| told["stage"] == "full");
    assert_eq!((&full["before"], &full["jobs"]), (&json!("calm"), &json!(1)), "{full}");
    assert_eq!(worker.page("/ready"), (503, "full".into()));
    let (_, metrics) = worker.page("/metrics");
    assert!(metrics.lines().any(|line| line == "antiphon_overload_stage 1"), "{metrics}");
    let _bob = Peer::join(&server, &second, "bob");
    // Whoever is there is answered.
    ann.ask(json!({ "do": "chat", "text": "goodbye" }));
    assert_eq!(worker.of_room("job.over", &first)["end"], "ended");
    worker.event("worker.overload", |told| told["stage"] == "calm");
    assert!(worker.events("job.joined").iter().all(|joined| joined["room"] != second.as_str()));
}

#[test]
fn calls_go_on_while_the_server_cannot_be_reached_and_jobs_come_again_afterwards() {
    let server = Server::start(&Options::default());
    let (gate, port) = Gate::to(server.port());
    let url = format!("ws://127.0.0.1:{port}");
    let worker = Worker::start(&server, &[&desk("steady", "")], &["--url", &url]);
    let first = room("gate");
    let mut ann = Peer::join(&server, &first, "ann");
    ann.reads(&agent_in(&worker, &first), "Hello from the steady desk.");
    gate.break_off();
    worker.event("worker.lost", |_| true);
    let (status, why) = worker.page("/");
    assert_eq!(status, 503);
    assert!(why.contains("no connection to LiveKit"), "{why}");
    gate.mend();
    worker.event_after("worker.registered", 1);
    assert_eq!(worker.page("/"), (200, "OK".into()));
    let second = room("gate");
    let mut bob = Peer::join(&server, &second, "bob");
    bob.reads(&agent_in(&worker, &second), "Hello from the steady desk.");
    // The call that was under way is still there, and is answered.
    ann.ask(json!({ "do": "chat", "text": "goodbye" }));
    assert_eq!(worker.of_room("job.over", &first)["end"], "ended");
}

#[test]
fn health_is_for_everybody_and_metrics_are_not() {
    let server = Server::start(&Options::default());
    let worker = Worker::start(&server, &[&desk("open", "")], &["--http", "0.0.0.0:0"]);
    assert_eq!(worker.page("/"), (200, "OK".into()));
    assert_eq!(worker.page("/worker").0, 200);
    assert_eq!(worker.page("/metrics").0, 404, "without a token there are none");
    let token = worker.folder().join("token");
    std::fs::write(&token, "a-token-of-enough-characters\n").expect("it can be written");
    let file = token.to_str().expect("temporary folders have plain names");
    let arguments = ["--http", "0.0.0.0:0", "--metrics-token-file", file];
    let guarded = Worker::start(&server, &[&desk("open", "")], &arguments);
    assert_eq!(guarded.page("/metrics").0, 401);
    assert_eq!(guarded.page("/ready").0, 200);
}

#[test]
fn a_worker_that_cannot_begin_says_all_that_is_wrong() {
    let server = Server::start(&Options::default());
    let twice = desk("same", "");
    let arguments = ["--url", "http://[", "--ca", "missing.pem"];
    let mut worker = Worker::begin(&server, &[&twice, &twice], &arguments);
    assert_eq!(worker.stops(PATIENCE), Some(2));
    let complaints = worker.complaints();
    for part in ["--url: ", "--ca: "] {
        assert!(complaints.contains(part), "{part} is not in {complaints}");
    }
    let mut worker = Worker::begin(&server, &[&twice, &twice, "configs/missing.yaml"], &[]);
    assert_eq!(worker.stops(PATIENCE), Some(2));
    let complaints = worker.complaints();
    for part in ["`name` is the same as in", "missing.yaml"] {
        assert!(complaints.contains(part), "{part} is not in {complaints}");
    }
    let wrong = ["--api-secret", "this-is-another-secret-of-32-characters"];
    let mut worker = Worker::begin(&server, &[&twice], &wrong);
    assert_eq!(worker.stops(PATIENCE), Some(2));
    let complaints = worker.complaints();
    assert!(complaints.contains("does not accept the token"), "{complaints}");
    assert!(!complaints.contains("this-is-another-secret"), "{complaints}");
}

#[test]
fn a_server_that_restarts_gets_its_agent_back_and_no_second_one() {
    let mut server = Server::start(&Options::default());
    // Long enough for people to come back.
    let patient = desk("steady", "").replace("alone_ms: 300", "alone_ms: 10000");
    let worker = Worker::start(&server, &[&patient], &[]);
    let room = room("restart");
    let mut ann = Peer::join(&server, &room, "ann");
    let agent = agent_in(&worker, &room);
    ann.reads(&agent, "Hello from the steady desk.");
    server.dies();
    worker.of_room("job.away", &room);
    drop(ann);
    server.starts_again();
    worker.event_after("worker.registered", 1);
    worker.of_room("job.back", &room);
    let mut ann = Peer::join(&server, &room, "ann");
    ann.event("recording", |event| event["identity"] == agent.as_str());
    ann.ask(json!({ "do": "chat", "text": "goodbye" }));
    ann.reads(&agent, "Goodbye.");
    assert_eq!(worker.of_room("job.over", &room)["end"], "ended");
    let joined = worker.events("job.joined");
    assert_eq!(joined.len(), 1, "the call goes on as it was: {joined:?}");
    // The server has asked for an agent for what is a new room to it, and heard that it has one.
    assert_eq!(worker.events("job.known").len(), 1);
}

#[test]
fn a_tenant_has_as_many_jobs_as_it_may_and_others_have_theirs() {
    let server = Server::start(&Options::default());
    let named = desk("shared", "livekit: { agent_name: shared }");
    let limits = ["--tenant-max-jobs", "1", "--tenant-max-rate", "2"];
    let worker = Worker::start(&server, &[&named], &limits);
    let job_for = |tenant: Value| {
        let room = room("tenant");
        let peer = Peer::join(&server, &room, "ann");
        let metadata = if tenant.is_null() { json!({}) } else { json!({ "tenant": tenant }) };
        dispatch(&server, &room, "shared", &metadata);
        (peer, room)
    };
    let (mut ann, first) = job_for(json!("acme"));
    assert_eq!(worker.of_room("job.joined", &first)["tenant"], "acme");
    ann.reads(&agent_in(&worker, &first), "Hello from the shared desk.");
    let (_bob, second) = job_for(json!("acme"));
    let refused = worker.of_room("job.refused", &second);
    assert_eq!(refused["reason"], "tenant `acme` has 1 sessions, as many as it may have");
    // Somebody else's, and nobody's.
    let (_cleo, third) = job_for(json!("other"));
    let (_dan, fourth) = job_for(Value::Null);
    worker.of_room("job.joined", &third);
    assert_eq!(worker.of_room("job.joined", &fourth)["tenant"], "");

    // Two in a minute, and no third.
    ann.ask(json!({ "do": "chat", "text": "goodbye" }));
    worker.of_room("job.left", &first);
    let (mut eve, fifth) = job_for(json!("acme"));
    eve.reads(&agent_in(&worker, &fifth), "Hello from the shared desk.");
    eve.ask(json!({ "do": "chat", "text": "goodbye" }));
    worker.of_room("job.left", &fifth);
    let (_fay, sixth) = job_for(json!("acme"));
    let refused = worker.of_room("job.refused", &sixth);
    assert!(
        refused["reason"].as_str().is_some_and(|why| why.contains("within a minute")),
        "{refused}"
    );
}
