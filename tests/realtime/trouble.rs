//! What goes wrong with a socket, and what is made of it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;

use antiphon::think::chat::ErrorKind;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use stand::Line;

fn troubles(call: &Call) -> Vec<(ErrorKind, String)> {
    let trouble = |event: &NativeEvent| match event {
        NativeEvent::Trouble(error) | NativeEvent::Lost { error, .. } => {
            Some((error.kind, error.message.clone()))
        }
        _ => None,
    };
    call.events.iter().filter_map(trouble).collect()
}

#[test]
fn a_socket_that_drops_in_the_middle_of_audio_is_renewed_and_the_talk_goes_on() {
    let (first, second) = (noise(11, 12_000), noise(12, 9_600));
    let (one, two) = (first.clone(), second.clone());
    let stand = Stand::start(move |listener| {
        let mut line = accept(&listener, Names::General).ready();
        line.until("response.create");
        line.begin("r", "i");
        line.words("r", "i", "One two");
        line.say("r", "i", &one);
        line.cut();
        let mut line = accept(&listener, Names::General).ready();
        line.until("response.create");
        // What was played before is not what is played again.
        line.answer("r-2", "i-2", "three.", &two);
        line.ended()
    });
    let mut call = Call::begin(&talker(&stand), hasty(Turns::default()), 16_000);
    assert!(call.talk.write("Count."));
    call.until("both", |call| call.played.len() >= 21_600);
    call.until("silence", |call| call.results.last().is_some_and(|tick| !tick.is_speech));
    call.hang_up();
    let (closed, sent) = stand.end();
    assert_eq!(call.played, [first, second].concat());
    assert_eq!(call.readies(), [false, true]);
    let [(lost, false)] = &call.lost()[..] else { panic!("{:?}", call.lost()) };
    assert!(lost.starts_with("`voice` at 127.0.0.1:") && lost.contains("connection"), "{lost}");
    assert!(closed);
    let told: Vec<_> =
        sent.iter().filter(|event| event["type"] == "conversation.item.create").collect();
    let text = |event: &Value| event["item"]["content"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(told.iter().map(|event| text(event)).collect::<Vec<_>>(), ["Count.", "One two"]);
    assert_eq!(kinds(&sent).last(), Some(&"response.create"));
}

#[test]
fn a_session_that_is_too_old_is_followed_by_another_in_a_pause() {
    let stand = Stand::start(|listener| {
        let mut line = accept(&listener, Names::General).ready();
        line.until("response.create");
        line.answer("r", "i", "One.", &noise(1, 4_800));
        let (closed, _) = line.ended();
        let mut line = accept(&listener, Names::General).ready();
        let told = [line.until("conversation.item.create"), line.until("conversation.item.create")];
        (closed, told, line.ended().0)
    });
    let mut settings = hasty(Turns::default());
    settings.times.renew_ms = 400;
    let mut call = Call::begin(&talker(&stand), settings, 16_000);
    assert!(call.talk.write("Count."));
    call.until("another session", |call| call.readies().len() == 2);
    call.hang_up();
    let (closed, told, again) = stand.end();
    assert!(closed && again);
    assert_eq!(told[1]["item"]["content"][0]["text"], "One.");
    assert_eq!((call.readies(), call.lost()), (vec![false, true], Vec::new()));
    assert_eq!(call.played, noise(1, 4_800));
}

#[test]
fn an_expired_session_is_followed_by_another() {
    let stand = Stand::start(|listener| {
        let mut line = accept(&listener, Names::General).ready();
        line.error("invalid_request_error", "session_expired", "after 60 minutes", None);
        drop(line.ended());
        accept(&listener, Names::General).ready().ended().0
    });
    let mut call = Call::begin(&talker(&stand), hasty(Turns::default()), 16_000);
    call.until("another session", |call| call.readies().len() == 2);
    call.hang_up();
    assert!(stand.end());
}

#[test]
fn garbage_ends_nothing_and_errors_are_told_without_the_key() {
    let stand = Stand::start(|listener| {
        let mut line = accept(&listener, Names::General).ready();
        for text in ["", "{", "[]", "{\"type\":7}", "{\"type\":\"response.hologram\"}"] {
            line.raw(Message::text(text));
        }
        line.raw(Message::binary(vec![0xff; 100]));
        line.raw(Message::Ping(vec![1].into()));
        let asked = line.until("response.create");
        let id = asked["event_id"].as_str().unwrap().to_owned();
        line.error("server_error", "odd", &format!("bad {KEY} planted-header-value"), Some(&id));
        line.until("response.create");
        line.answer("r", "i", "Yes.", &noise(1, 4_800));
        line.ended().0
    });
    let mut call = Call::begin(&talker(&stand), hasty(Turns::default()), 16_000);
    assert!(call.talk.ask(None));
    call.until("the error", |call| !troubles(call).is_empty());
    assert!(call.talk.ask(None));
    call.until("the answer", |call| call.played.len() >= 4_800);
    call.hang_up();
    assert!(stand.end());
    let troubles = troubles(&call);
    let [(ErrorKind::Provider, message)] = &troubles[..] else { panic!("{troubles:?}") };
    assert!(message.starts_with("`voice` at 127.0.0.1:") && message.contains("odd"), "{message}");
    assert!(message.contains("[secret]") && !message.contains("planted"), "{message}");
    assert_eq!(call.lost(), []);
}

#[test]
fn a_message_that_is_longer_than_anybody_sends_ends_the_socket_and_not_the_call() {
    let stand = Stand::start(|listener| {
        let mut line = accept(&listener, Names::General).ready();
        line.too_much((4 << 20) + 1);
        accept(&listener, Names::General).ready().ended().0
    });
    let mut call = Call::begin(&talker(&stand), hasty(Turns::default()), 16_000);
    call.until("another session", |call| call.readies().len() == 2);
    call.hang_up();
    assert!(stand.end());
    assert!(call.lost()[0].0.contains("longer than"), "{:?}", call.lost());
}

#[test]
fn an_answer_of_which_nothing_more_comes_is_given_up_and_the_call_goes_on() {
    let stand = Stand::start(|listener| {
        let mut line = accept(&listener, Names::General).ready();
        line.until("response.create");
        line.begin("r", "i");
        line.say("r", "i", &noise(1, 2_400));
        let cancelled = line.until("response.cancel");
        line.until("response.create");
        line.answer("r-2", "i-2", "Two.", &noise(2, 4_800));
        drop(line.ended());
        cancelled
    });
    let mut settings = hasty(Turns::default());
    settings.times.patience_ms = 200;
    let mut call = Call::begin(&talker(&stand), settings, 16_000);
    assert!(call.talk.ask(None));
    call.until("the stall", |call| !troubles(call).is_empty());
    assert_eq!(troubles(&call)[0].0, ErrorKind::Stalled);
    assert!(call.talk.ask(None));
    call.until("the other answer", |call| call.played.len() >= 7_200);
    call.hang_up();
    assert_eq!(stand.end()["response_id"], "r");
    assert_eq!(call.played, [noise(1, 2_400), noise(2, 4_800)].concat());
}

#[test]
fn a_socket_without_a_sign_of_life_is_given_up() {
    let stand = Stand::start(|listener| {
        // It reads nothing, so it answers no ping.
        let line = accept(&listener, Names::General).ready();
        let again = accept(&listener, Names::General).ready();
        drop(line);
        again.ended().0
    });
    let bounds = Bounds { ping_ms: 100, dead_ms: 600, ..Bounds::default() };
    let mut call = Call::begin(&talker(&stand).bounded(bounds), hasty(Turns::default()), 16_000);
    call.until("another session", |call| call.readies().len() == 2);
    call.hang_up();
    assert!(stand.end());
    assert!(call.lost()[0].0.contains("no sign of life for 600 ms"), "{:?}", call.lost());
}

/// Answers a request for a socket with a page.
fn refuse(listener: &TcpListener, status: &str, body: &str) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    let mut piece = [0; 1_024];
    while !request.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut piece).unwrap();
        request.extend_from_slice(&piece[..read]);
    }
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .unwrap();
}

#[test]
fn who_is_refused_asks_again_where_that_may_help_and_says_why() {
    let body = format!("{{\"error\":{{\"message\":\"no {KEY}\",\"type\":\"t\"}}}}");
    for (status, kind, times, part) in [
        ("401 Unauthorized", ErrorKind::Unauthorised, 1, "check the key in KEY"),
        ("404 Not Found", ErrorKind::Refused, 1, "check `base_url`"),
        ("200 OK", ErrorKind::Refused, 1, "no WebSocket"),
        ("429 Too Many", ErrorKind::Limited, 3, "HTTP 429"),
        ("500 Oh", ErrorKind::Provider, 3, "HTTP 500"),
    ] {
        let body = body.clone();
        let stand = Stand::start(move |listener| {
            for _ in 0..times {
                refuse(&listener, status, &body);
            }
        });
        let mut call = Call::begin(&talker(&stand), hasty(Turns::default()), 16_000);
        call.until("the end", |call| call.talk.is_over());
        stand.end();
        let told = troubles(&call);
        assert_eq!(told.len(), times, "{status}: {told:?}");
        for (of, message) in told {
            assert_eq!(of, kind, "{message}");
            assert!(
                message.starts_with("`voice` at 127.0.0.1:") && message.contains(part),
                "{message}"
            );
            assert!(!message.contains("planted"), "{message}");
        }
        let lasts: Vec<bool> = call.lost().into_iter().map(|(_, last)| last).collect();
        assert_eq!(lasts.iter().position(|&last| last), Some(times - 1), "{status}");
    }
}

#[test]
fn a_socket_that_is_closed_for_its_key_is_not_tried_again() {
    let stand = Stand::start(|listener| {
        let mut line = accept(&listener, Names::General).ready();
        line.close(3_000, &format!("invalid_api_key {KEY}"));
        line.ended().0
    });
    let mut call = Call::begin(&talker(&stand), hasty(Turns::default()), 16_000);
    call.until("the end", |call| call.talk.is_over());
    assert!(stand.end());
    let [(message, true)] = &call.lost()[..] else { panic!("{:?}", call.lost()) };
    assert!(message.contains("3000") && message.ends_with("check the key"), "{message}");
    assert!(!message.contains("planted"), "{message}");
}

#[test]
fn nobody_there_is_tried_again_and_then_said() {
    let stand = Stand::start(drop::<TcpListener>);
    let talker = talker(&stand);
    stand.end();
    let mut call = Call::begin(&talker, hasty(Turns::default()), 16_000);
    call.until("the end", |call| call.talk.is_over());
    let lasts: Vec<bool> = call.lost().into_iter().map(|(_, last)| last).collect();
    assert_eq!(lasts, [false, false, true]);
    assert!(call.lost()[0].0.contains("is it running?"), "{:?}", call.lost());
}

#[test]
fn who_drops_the_handle_hangs_up() {
    let stand = Stand::start(|listener| accept(&listener, Names::General).ready().ended().0);
    let mut call = Call::begin(&talker(&stand), hasty(Turns::default()), 16_000);
    call.until("a session", |call| !call.readies().is_empty());
    let Call { talk, _network, .. } = call;
    drop(talk);
    assert!(stand.end());
}

#[test]
fn while_nobody_takes_events_the_provider_waits_and_nothing_is_lost() {
    let answer = noise(8, 24_000 * 90);
    let said = answer.clone();
    let stand = Stand::start(move |listener| {
        let mut line = accept(&listener, Names::General).ready();
        line.until("response.create");
        line.answer("r", "i", "Long.", &said);
        line.ended().0
    });
    let mut call = Call::begin(&talker(&stand), hasty(Turns::default()), 16_000);
    assert!(call.talk.ask(None));
    call.until("a session", |call| !call.readies().is_empty());
    // Longer than the ring and the bound on audio, in one go, without a tick.
    pause(500);
    call.until("all of it", |call| call.played.len() >= answer.len());
    call.hang_up();
    assert!(stand.end());
    assert!(find(&call.played, &answer) == Some(0) && call.lost().is_empty());
}

/// The authorities that are trusted are those of the environment, and a process has one: so a process of its own asks.
#[test]
fn a_socket_is_encrypted_where_the_address_says_so() {
    if let Ok(base) = std::env::var("ANTIPHON_TEST_WSS") {
        let talker = Talker::new("voice", &at(base), &env, &mut Clients::default()).unwrap();
        let mut call = Call::begin(&talker, hasty(Turns::default()), 16_000);
        call.until("an end", |call| !call.readies().is_empty() || call.talk.is_over());
        let lost = call.lost();
        call.hang_up();
        println!("ready {:?} lost {lost:?}", call.readies());
        return;
    }
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.pem");
    std::fs::write(&file, own.cert.pem()).unwrap();
    for trusted in [true, false] {
        let config = encrypted(&own);
        let stand = Stand::start(move |listener| {
            for _ in 0..if trusted { 1 } else { 3 } {
                let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
                let mut connection =
                    rustls::ServerConnection::new(Arc::new(config.clone())).unwrap();
                if connection.complete_io(&mut stream).is_err() {
                    continue;
                }
                let stream = rustls::StreamOwned::new(connection, stream);
                let line = Line::greet(stream, Names::General).ready();
                let key = line.header("authorization").map(str::to_owned);
                return (key, line.ended().0);
            }
            (None, false)
        });
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "--nocapture",
            "trouble::a_socket_is_encrypted_where_the_address_says_so",
        ]);
        command.env("ANTIPHON_TEST_WSS", format!("https://localhost:{}/v1", stand.address.port()));
        if trusted {
            command.env("SSL_CERT_FILE", &file);
        }
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        if trusted {
            assert!(told.contains("ready [false] lost []"), "{told}");
            assert_eq!(stand.end(), (Some(format!("Bearer {KEY}")), true));
        } else {
            assert!(told.contains("ready [] lost") && told.contains("SSL_CERT_FILE"), "{told}");
            assert_eq!(stand.end(), (None, false));
        }
    }
}
