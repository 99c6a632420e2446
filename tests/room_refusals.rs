//! Who is not let in, and why: wrong servers, keys and tokens, each with an outcome that has a name.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod program;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use livekit_token::VideoGrants;
use program::{Desk, Ran, ran};
use rooms::server::Server;
use rooms::{room, shared};

const CONFIG: &str = "name: echo\nagents:\n  echo: { kind: echo }\n";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("echo.yaml", CONFIG);
    desk
}

fn connect(desk: &Desk, words: &str) -> Command {
    let mut command =
        desk.command(env!("CARGO_BIN_EXE_antiphon"), &format!("connect echo.yaml {words}"));
    for name in ["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"] {
        command.env_remove(name);
    }
    command
}

fn at(server: &Server, desk: &Desk, words: &str) -> Command {
    let mut command = connect(desk, words);
    command
        .env("LIVEKIT_URL", server.url())
        .env("LIVEKIT_API_KEY", server.key())
        .env("LIVEKIT_API_SECRET", server.secret());
    command
}

#[track_caller]
fn refused(ran: &Ran, why: &[&str]) {
    assert_eq!(ran.code, Some(2), "{ran:?}");
    for why in why {
        assert!(ran.stderr.contains(why), "{why:?} is not in {:?}", ran.stderr);
    }
}

/// A token of a room with these grants.
fn token(server: &Server, room: &str, kind: &str, grants: VideoGrants) -> String {
    let grants = VideoGrants { room_join: true, room: room.to_owned(), ..grants };
    let token = server.token().with_identity("someone").with_kind(kind).with_grants(grants);
    token.to_jwt().expect("it names a room and an identity")
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let desk = desk();
    let ran = ran(&mut connect(&desk, ""));
    refused(
        &ran,
        &["no server: give --url", "no room: give --room", "no key: set LIVEKIT_API_KEY"],
    );
    let ran = program::ran(&mut connect(
        &desk,
        "--url ftp://x --room r --api-key k --api-secret s --ca none.pem",
    ));
    refused(&ran, &["--url: `ftp` is no scheme of LiveKit's", "--ca: none.pem"]);
    let ran = program::ran(&mut connect(&desk, "--url ws://127.0.0.1:1 --token a.b.c"));
    refused(&ran, &["--token: this is not a LiveKit token"]);
    assert!(!desk.dir.path().join("out").exists(), "nothing was written");
}

#[test]
fn a_wrong_secret_is_the_servers_word_and_is_not_repeated() {
    let (server, desk) = (shared(), desk());
    let mut command = at(&server, &desk, &format!("--room {}", room("secret")));
    command.env("LIVEKIT_API_SECRET", "a-wrong-secret-of-thirty-two-characters");
    let ran = ran(&mut command);
    refused(&ran, &["does not accept the token", "check the API key and secret"]);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!all.contains("a-wrong-secret"), "{all}");
}

#[test]
fn a_server_that_is_none_or_nowhere_is_named() {
    let desk = desk();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let keys = "--room r --api-key k --api-secret not-a-secret";
    let ran = ran(&mut connect(&desk, &format!("--url ws://127.0.0.1:{port} {keys}")));
    refused(&ran, &[&format!("ws://127.0.0.1:{port}: the server cannot be reached")]);

    // Something that is no LiveKit server.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let mut head = [0; 4_096];
        let read = stream.read(&mut head).unwrap();
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
        String::from_utf8_lossy(&head[..read]).into_owned()
    });
    let ran = program::ran(&mut connect(&desk, &format!("--url ws://127.0.0.1:{port} {keys}")));
    refused(&ran, &["does not know `/rtc/v1`"]);
    let head = answering.join().unwrap();
    assert!(!head.lines().next().unwrap().contains("not-a-secret"), "{head}");
}

#[test]
fn a_token_for_less_than_an_agent_needs_is_named() {
    let (server, desk) = (shared(), desk());
    let room = room("less");
    let mute = VideoGrants { can_publish: Some(false), ..VideoGrants::default() };
    let mute = token(&server, &room, "agent", mute);
    let ran = ran(&mut at(&server, &desk, &format!("--token {mute}")));
    refused(&ran, &["forbids to publish (canPublish)"]);
    let deaf = VideoGrants { can_subscribe: Some(false), ..VideoGrants::default() };
    let deaf = token(&server, &room, "agent", deaf);
    let ran = program::ran(&mut at(&server, &desk, &format!("--token {deaf} --room other")));
    refused(
        &ran,
        &[
            "forbids to subscribe (canSubscribe)",
            &format!("for the room `{room}`, not for `other`"),
        ],
    );
    assert!(!ran.stderr.contains(&deaf), "{}", ran.stderr);
}

#[test]
fn a_token_without_kind_or_attributes_goes_on_and_says_what_is_missing() {
    let (server, desk) = (shared(), desk());
    let room = room("plain");
    let plain = token(&server, &room, "standard", VideoGrants::default());
    desk.put("agent.token", format!("{plain}\n"));
    let mut command = at(&server, &desk, "--token-file agent.token --json");
    let mut agent =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let (stdout, stderr) = (agent.stdout.take().unwrap(), agent.stderr.take().unwrap());
    let told = rooms::told::Told::by(stdout, Some);
    let complained = rooms::told::Told::by(stderr, Some);
    let wait = |told: &rooms::told::Told<String>, text: &str| {
        let found = |_, line: &String| line.contains(text).then_some(());
        told.wait(0, rooms::PATIENCE, found)
            .unwrap_or_else(|_| panic!("{text:?} is not in {:?}", told.look(<[String]>::to_vec)));
    };
    wait(&told, "room.joined");
    wait(&complained, "kind is not `agent`");
    wait(&complained, "forbids to set attributes (canUpdateOwnMetadata)");
    // The room is deleted before anybody came: the program ends, and says why.
    server.ask("RoomService/DeleteRoom", &room, &serde_json::json!({ "room": room }));
    wait(&complained, "the room was deleted");
    assert_eq!(agent.wait().unwrap().code(), Some(1));
}
