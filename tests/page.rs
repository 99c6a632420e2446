//! The page to talk to an agent: what it is served with, whom it lets in, and what it says when there is trouble.
//!
//! The calls themselves, with an agent in a room of a real server, are in the tests of LiveKit rooms.

#[expect(dead_code, reason = "each file of tests uses its part of the browser")]
mod browser;
#[expect(dead_code, reason = "each file of tests uses its part of the visitor")]
#[path = "browser/visitor.rs"]
mod visitor;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use antiphon::livekit::address::Address;
use antiphon::livekit::token::{Key, TOKEN_TTL};
use antiphon::web::page::{MISSING, Options, html, pages};
use antiphon::web::server::Server;
use browser::{DESKTOP, Look, PHONE};
use livekit_token::{Claims, TokenVerifier};
use serde_json::{Value, json};
use visitor::{Microphone, Visitor};

const SECRET: &str = "correct-horse-battery-staple-of-32";

/// How long a test waits for a byte: far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn options(url: &str) -> Options {
    Options {
        server: url.parse::<Address>().expect("an address"),
        room: Some("the lobby".to_owned()),
        dispatch: None,
        agent: "Corner <shop> & {{room}}".to_owned(),
        key: Key::new("devkey", SECRET).expect("a key"),
    }
}

fn server(url: &str) -> Server {
    let address = "127.0.0.1:0".parse().expect("an address");
    Server::start(address, None, pages(options(url))).expect("it can be served")
}

/// An answer: its status, its head in lower case, and its body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends a request with these lines of a head beyond the first.
fn ask(server: &Server, first: &str, head: &[&str], body: &str) -> Answer {
    let mut stream = TcpStream::connect(server.address()).expect("the server is there");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    let lines: String = head.iter().flat_map(|line| [line, "\r\n"]).collect();
    let length = body.len();
    let request = format!(
        "{first} HTTP/1.1\r\n{lines}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect(head);
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// A request of the page's own.
fn own(server: &Server, first: &str, body: &str) -> Answer {
    let address = server.address();
    let head = [format!("Host: {address}"), format!("Origin: http://{address}")];
    ask(server, first, &head.each_ref().map(String::as_str), body)
}

fn claims(token: &str) -> Claims {
    TokenVerifier::with_api_key("devkey", SECRET).verify(token).expect("it is signed with the key")
}

// ---- Who gets a token, and for what -------------------------------------------------------------

#[test]
fn a_visitor_gets_a_token_for_this_room_and_no_more_than_a_visitor_needs() {
    let server = server("wss://livekit.example:444/of/mine");
    let answer =
        own(&server, "POST /token", r#"{ "participant_name": " Ada ", "room_name": "vault" }"#);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let ticket = answer.json();
    assert_eq!(ticket["server_url"], "wss://livekit.example:444/of/mine");
    assert_eq!([&ticket["participant_name"], &ticket["room_name"]], ["Ada", "the lobby"]);
    assert_eq!(ticket["agent_name"], "Corner <shop> & {{room}}");

    let claims = claims(ticket["participant_token"].as_str().expect("a text"));
    assert_eq!(
        (claims.sub.as_str(), claims.name.as_str()),
        (ticket["participant_identity"].as_str().unwrap(), "Ada")
    );
    let random = claims.sub.strip_prefix("visitor-").expect("a visitor");
    assert!(random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit()), "{random}");
    let granted = serde_json::to_value(&claims.video).expect("it can be written");
    let wanted = json!({
        "roomJoin": true, "room": "the lobby", "canPublish": true, "canPublishSources": ["microphone"],
        "canSubscribe": true, "canPublishData": true, "canUpdateOwnMetadata": true,
    });
    assert_eq!(granted, wanted);
    let good = claims.exp - claims.nbf;
    assert!((600..=601).contains(&good) && TOKEN_TTL.as_secs() == 600, "{good} s");

    let other = own(&server, "POST /token", "").json();
    assert_ne!(other["participant_identity"], ticket["participant_identity"]);
    assert_eq!(other["participant_name"], "", "nobody has to have a name");
}

#[test]
fn a_body_that_is_no_name_is_refused_with_a_reason() {
    let server = server("ws://127.0.0.1:1");
    let long = json!({ "participant_name": "a".repeat(65) }).to_string();
    for (body, status, why) in [
        ("Ada", 400, "the body is not"),
        ("[1]", 400, "the body is not"),
        (r#"{ "participant_name": 1 }"#, 400, "the body is not"),
        (long.as_str(), 400, "at most 64 characters"),
        (r#"{ "participant_name": "a\nb" }"#, 400, "on one line"),
        (&" ".repeat(4_096), 413, ""),
    ] {
        let answer = own(&server, "POST /token", body);
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert!(answer.body.contains(why), "{body}: {}", answer.body);
    }
    let answer = own(&server, "GET /token", "");
    assert_eq!(answer.status, 405);
    let answer = own(&server, "GET /elsewhere", "");
    assert_eq!((answer.status, answer.body.as_str()), (404, "there is no such page: see /\n"));
}

#[test]
fn a_foreign_page_and_a_foreign_name_of_this_machine_get_nothing() {
    let server = server("ws://127.0.0.1:1");
    let port = server.address().port();
    let (here, rebound) = (format!("Host: localhost:{port}"), "Host: rebound.example");
    let foreign = "Origin: http://foreign.example";
    for (first, head) in [
        ("GET /", vec![rebound]),
        ("GET /", vec![]),
        ("POST /token", vec![rebound, "Origin: http://rebound.example"]),
        ("POST /token", vec![&here, foreign]),
        ("POST /token", vec![&here, "Origin: null"]),
        ("OPTIONS /token", vec![&here, foreign, "Access-Control-Request-Method: POST"]),
    ] {
        let answer = ask(&server, first, &head, "");
        // Without a host, the server itself finds fault.
        assert!(matches!(answer.status, 400 | 403), "{first} {head:?}: {}", answer.body);
        assert!(!answer.body.contains("token\""), "{}", answer.body);
        assert!(!answer.head.contains("access-control-allow"), "{}", answer.head);
    }
    let own = format!("Origin: http://localhost:{port}");
    assert_eq!(ask(&server, "POST /token", &[&here, &own], "").status, 200);
    assert_eq!(ask(&server, "POST /token", &[&here], "").status, 200, "a program is no page");
}

#[test]
fn the_secret_is_in_no_answer_and_in_no_text() {
    let server = server("ws://127.0.0.1:1");
    let told = format!("{:?}", options("ws://127.0.0.1:1"));
    let page = own(&server, "GET /", "");
    let token = own(&server, "POST /token", "");
    let wrong = own(&server, "POST /token", "x");
    for text in [&told, &page.head, &page.body, &token.head, &token.body, &wrong.body] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

// ---- The page ------------------------------------------------------------------------------------

/// The tests below need what `make page` builds.
fn assert_built() {
    assert!(html().is_some(), "{MISSING}");
}

#[test]
fn the_page_is_held_to_itself_and_the_server_of_the_room() {
    assert_built();
    for (url, sources) in [
        ("ws://127.0.0.1:7880", "ws://127.0.0.1:7880 http://127.0.0.1:7880"),
        ("wss://livekit.example", "wss://livekit.example:443 https://livekit.example:443"),
        // A policy has no words for these.
        ("ws://[::1]:7880", "ws: http:"),
    ] {
        let server = server(url);
        let answer = own(&server, "GET /", "");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let (_, rest) =
            answer.body.split_once("<script type=\"module\" nonce=\"").expect("a script");
        let (nonce, _) = rest.split_once('"').expect("its nonce");
        assert_eq!(nonce.len(), 24);
        let policy = format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; \
             connect-src 'self' {sources}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        // The head is in lower case here.
        assert_eq!(answer.header("content-security-policy"), policy.to_lowercase());
        assert!(
            !own(&server, "GET /", "").body.contains(nonce),
            "each answer has a nonce of its own"
        );

        let shop = "content=\"Corner &#60;shop&#62; &#38; &#123;&#123;room&#125;&#125;\"";
        assert!(answer.body.contains(shop) && answer.body.contains("content=\"the lobby\""));
        assert!(!answer.body.contains("{{nonce}}"));
        assert!(answer.body.contains("livekit-client - "), "licences come with what they are of");
    }
}

#[test]
fn before_the_call_the_page_is_whole_at_every_width_and_asks_for_nothing_foreign() {
    assert_built();
    let server = server("ws://127.0.0.1:1");
    let url = format!("http://localhost:{}/", server.address().port());
    let mut visitor = Visitor::open(&url, Microphone::Refused, DESKTOP);
    let mut papers = Vec::new();
    for look in [DESKTOP, Look { width: 360, height: 640, ..PHONE }] {
        for look in [look, Look { dark: true, ..look }] {
            let browser = &mut visitor.browser;
            browser.visit(&url, look);
            browser.until("document.querySelector('#join') !== null");
            assert_eq!(browser.text("h1"), "Talk to Corner <shop> & {{room}}");
            assert_eq!(
                browser.value("document.documentElement.scrollWidth <= innerWidth"),
                true,
                "{look:?}"
            );
            papers
                .push(browser.value("getComputedStyle(document.documentElement).backgroundColor"));
            // Whoever sees no screen is told what everything is.
            let nameless = browser.value(
                "[...document.querySelectorAll('button, input')].filter(e => \
                 !(e.innerText || e.ariaLabel || e.labels?.[0]?.innerText)).length",
            );
            assert_eq!(nameless, 0);
            assert_eq!(browser.complaints(), [&Value::Null; 0]);
            let foreign =
                |url: &&str| !url.starts_with("http://localhost:") && !url.starts_with("data:");
            assert_eq!(browser.requests().into_iter().filter(foreign).collect::<Vec<_>>(), [""; 0]);
        }
    }
    assert_ne!(papers[0], papers[1], "dark is another colour");
}

#[test]
fn a_refused_microphone_and_an_absent_server_are_told_with_what_to_do() {
    assert_built();
    // Nobody listens at a port that was just given back.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it has one");
    let server = server(&format!("ws://{free}"));
    let url = format!("http://localhost:{}/", server.address().port());
    let mut visitor = Visitor::open(&url, Microphone::Refused, DESKTOP);
    visitor.browser.click("#join");
    let notice = visitor.notice();
    assert!(notice.starts_with("The microphone was refused."), "{notice}");
    assert!(notice.contains("address bar"), "{notice}");

    visitor.browser.click("#join-typing");
    let said = "document.querySelector('.lobby .notice')?.innerText.match(/^The room.*/)?.[0]";
    let notice = visitor.browser.until(said);
    let notice = notice.as_str().expect("a text");
    assert!(notice.contains("The LiveKit server does not answer"), "{notice}");

    let microphone = Path::new(env!("CARGO_MANIFEST_DIR")).join("audio/caller-02-hours.wav");
    let mut visitor = Visitor::open(&url, Microphone::Loops(&microphone), DESKTOP);
    drop(server);
    visitor.browser.click("#join");
    let notice = visitor.notice();
    assert!(notice.contains("Antiphon does not answer"), "{notice}");
}
