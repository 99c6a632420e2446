//! `antiphon doctor` at a real LiveKit server: whether it would let an agent in, without a room.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod program;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use program::{Desk, Ran, ran};
use rooms::server::Server;
use rooms::shared;
use serde_json::{Value, json};

const ANTIPHON: &str = env!("CARGO_BIN_EXE_antiphon");

/// What a server is opened with that is not this one's.
const WRONG: &str = "planted-and-wrong-0123456789-0123456789";

fn asked(desk: &Desk, server: &Server, (key, secret): (&str, &str)) -> Ran {
    let mut command = desk.command(ANTIPHON, "doctor --only livekit --json");
    command.env("LIVEKIT_URL", server.url());
    ran(command.env("LIVEKIT_API_KEY", key).env("LIVEKIT_API_SECRET", secret))
}

fn finding(ran: &Ran) -> Value {
    let told: Value = serde_json::from_str(&ran.stdout).expect("the doctor's word is JSON");
    told["checks"][0].clone()
}

#[test]
fn a_server_that_would_let_an_agent_in_says_so_and_no_room_comes_to_be() {
    let (server, desk) = (shared(), Desk::new());
    let ran = asked(&desk, &server, (server.key(), server.secret())).exits(0);
    let found = finding(&ran);
    assert_eq!(found["state"], "ok", "{found}");
    let figures = &found["figures"];
    assert!(figures["answer_ms"].as_f64() >= figures["connect_ms"].as_f64(), "{found}");
    let ahead_ms = figures["clock_ahead_ms"].as_i64().expect("the server tells the time");
    assert!(ahead_ms.abs() < 5_000, "they have one clock: {found}");
    let rooms = server.ask("RoomService/ListRooms", "", &json!({}));
    assert_eq!(rooms["rooms"], json!([]), "nobody has joined anything");
    assert!(!ran.stdout.contains(server.secret()) && !ran.stdout.contains("eyJ"), "{ran:?}");
}

#[test]
fn encryption_that_a_server_does_not_speak_is_told_for_that() {
    let (server, desk) = (shared(), Desk::new());
    let mut command = desk.command(ANTIPHON, "doctor --only livekit --json");
    command.env("LIVEKIT_URL", server.url().replace("ws://", "wss://"));
    command.env("LIVEKIT_API_KEY", server.key()).env("LIVEKIT_API_SECRET", server.secret());
    let found = finding(&ran(&mut command).exits(1));
    let text = found["found"].as_str().unwrap_or_default();
    assert!(text.contains("no encrypted connection"), "{found}");
    let remedy = found["remedy"].as_str().unwrap_or_default();
    assert!(remedy.contains("ws://") && remedy.contains("--ca"), "{found}");
}

#[test]
fn a_wrong_secret_and_a_wrong_key_are_the_servers_word_and_are_not_repeated() {
    let (server, desk) = (shared(), Desk::new());
    for (pair, why) in
        [((server.key(), WRONG), "signature"), ((WRONG, server.secret()), "invalid API key")]
    {
        let ran = asked(&desk, &server, pair).exits(1);
        let found = finding(&ran);
        assert_eq!(found["state"], "failed", "{found}");
        let text = found["found"].as_str().unwrap_or_default();
        assert!(text.contains("does not accept the key") && text.contains(why), "{text}");
        let remedy = found["remedy"].as_str().unwrap_or_default();
        assert!(remedy.contains("LIVEKIT_API_SECRET"), "{remedy}");
        assert!(!ran.stdout.contains("eyJ"), "a token: {ran:?}");
        assert!(pair.1 != WRONG || !ran.stdout.contains(WRONG), "{ran:?}");
        assert!(!ran.stdout.contains(server.secret()), "{ran:?}");
    }
}
