//! `antiphon dev`: a server of its own, a page to talk from, and changes that are followed.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use std::io::{Read, Write};
use std::net::TcpStream;

use rooms::peer::Peer;
use rooms::program::Program;
use rooms::server::{Options, Server};
use rooms::worker::Worker;
use rooms::{PATIENCE, room};
use serde_json::{Value, json};

fn desk(greeting: &str) -> String {
    format!(
        "
name: desk
speech: {{ synthesiser: {{ engine: tone }} }}
call: {{ alone_ms: 300 }}
agents: {{ desk: {{ greeting: {greeting} }} }}
"
    )
}

#[test]
fn what_is_saved_is_for_calls_that_begin_from_then_on() {
    let server = Server::start(&Options::default());
    let worker =
        Worker::command("dev", &[&desk("First.")], &[], |command| Program::start(command, &server));
    worker.event("worker.registered", |_| true);
    let file = worker.folder().join("agent-0.yaml");
    let greets = |worker: &Worker, greeting: &str| {
        let room = room("dev");
        let mut ann = Peer::join(&server, &room, "ann");
        let joined = worker.of_room("job.joined", &room);
        ann.reads(joined["identity"].as_str().expect("it has one"), greeting);
        ann
    };
    let _ann = greets(&worker, "First.");

    std::fs::write(&file, desk("Second.")).expect("it can be written");
    worker.event("config.reloaded", |_| true);
    let _bob = greets(&worker, "Second.");

    std::fs::write(&file, "name: desk\nagents: { desk: { greeing: Third. } }\n")
        .expect("it can be written");
    let refused = worker.event("config.refused", |_| true);
    let wrong = refused["wrong"].as_str().unwrap_or_default();
    assert!(wrong.contains("greeing") && wrong.contains("greeting"), "{refused}");
    let _cleo = greets(&worker, "Second.");

    // What is said is shown, with the job that it is said in.
    let said = worker.events("agent.message");
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said.iter().all(|event| event["job"].as_str().is_some_and(|job| job.starts_with("AJ_")))
    );
}

/// Asks a page for a token, as the page itself does.
fn ticket(page: &str) -> Value {
    let address = page.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).expect("the page is served");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
    write!(
        stream,
        "POST /token HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    .expect("it reads a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
fn without_a_server_one_is_started_and_the_page_opens_a_room_to_which_the_agent_comes() {
    // A name, so that the agent has to be asked for.
    let config = format!("{}livekit: {{ agent_name: helper }}\n", desk("Welcome."));
    let mut worker = Worker::command("dev", &[&config], &[], |command| {
        let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/bin");
        let path = format!("{tools}:{}", std::env::var("PATH").unwrap_or_default());
        let unset = ["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"];
        for name in unset {
            command.env_remove(name);
        }
        Program::spawn(command.env("PATH", path))
    });
    let started = worker.event("server.started", |_| true);
    worker.event("worker.registered", |_| true);
    let page = worker.event("page", |_| true);
    let [first, second] = [(); 2].map(|()| ticket(page["url"].as_str().expect("it has one")));
    assert_ne!(first["room_name"], second["room_name"], "each visitor has a room of their own");
    assert_eq!(first["server_url"], started["url"]);
    let mut ann = Peer::start("ann");
    ann.ask(
        json!({ "do": "join", "url": first["server_url"], "token": first["participant_token"] }),
    );
    let joined = worker.of_room("job.joined", first["room_name"].as_str().expect("it has a name"));
    ann.reads(joined["identity"].as_str().expect("it has one"), "Welcome.");

    // One interrupt is enough here: calls say goodbye, and the server is gone with the worker.
    worker.signal("INT");
    assert_eq!(worker.stops(PATIENCE), Some(0), "{}", worker.complaints());
    let address =
        started["url"].as_str().unwrap_or_default().trim_start_matches("ws://").to_owned();
    assert!(TcpStream::connect(&address).is_err(), "the server at {address} is still there");
}
