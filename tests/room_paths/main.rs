//! The ways of audio to a room: UDP, TCP, TURN over UDP and over TLS, on LiveKit's own server; and encrypted signalling,
//! behind a TLS proxy. A caller by LiveKit's own client hears what the agent says back, which has heard the caller.

#[path = "../listen/mod.rs"]
#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[path = "../rooms/mod.rs"]
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

mod secured;

use std::time::Duration;

use antiphon::livekit::address::Address;
use antiphon::livekit::signal::Signal;
use antiphon::livekit::tls;
use antiphon::livekit::token::Pass;
use livekit_protocol::{ClientInfo, IceServer, JoinRequest, signal_response};
use serde_json::json;

use listen::{missed, words};
use rooms::agent::Agent;
use rooms::peer::Peer;
use rooms::server::{Options, Server, Turn};
use rooms::{PATIENCE, audio, room, shared};
use secured::{Authority, Proxy};

/// What a caller says, and words of it that a stranger must make out.
const ORDER: (&str, [&str; 4]) = ("caller-01-order.wav", ["my", "order", "two", "seven"]);

/// An agent that says back what it hears.
const ECHO: &str = "configs/echo.yaml";

/// How long it may take until it is said that there is no way.
const NO_WAY: Duration = Duration::from_secs(20);

/// A caller hears its own words from the agent, which therefore has heard them; what the agent printed.
#[track_caller]
fn talks(server: &Server, room: &str, arguments: &[&str], way: &str) -> String {
    let mut agent = Agent::start(server, room, ECHO, arguments, &[]);
    agent.event("room.joined", |_| true);
    let mut ann = Peer::join(server, room, "ann");
    ann.publish(None);
    ann.event("track_subscribed", |event| event["identity"] == "agent");
    agent.event("room.path", |event| event["path"] == way);
    ann.tell(json!({ "do": "play", "wav": audio(ORDER.0) }));
    let heard = ann.hear_out("agent", 0);
    let texts = words(&[heard.sound]);
    let missed = missed(&texts[0], &ORDER.1);
    assert!(missed.len() <= 1, "{texts:?} misses {missed:?}");
    ann.ask(json!({ "do": "leave" }));
    assert_eq!(agent.ends(PATIENCE), Some(0), "{}", agent.complaints());
    let paths = agent.events("room.path");
    assert_eq!(paths.len(), 1, "it went another way, too: {paths:?}");
    agent.complaints()
}

#[test]
fn audio_goes_over_udp_where_it_can() {
    let (server, room) = (shared(), room("udp"));
    talks(&server, &room, &[], "udp");
}

#[test]
fn audio_goes_over_tcp_if_it_must() {
    let (server, room) = (shared(), room("tcp"));
    talks(&server, &room, &["--path", "tcp"], "tcp");
}

#[test]
fn audio_goes_over_tcp_by_itself_where_there_is_no_udp() {
    let settings = json!({ "rtc": { "force_tcp": true } });
    let server = Server::start(&Options { turn: None, settings });
    let room = room("fallback");
    talks(&server, &room, &[], "tcp");
}

#[test]
fn audio_goes_by_way_of_a_turn_server_over_udp() {
    let server = Server::start(&Options { turn: Some(Turn::Udp), ..Options::default() });
    let room = room("turn-udp");
    talks(&server, &room, &["--path", "relay"], "relay/udp");
}

#[test]
fn audio_goes_by_way_of_a_turn_server_over_tls() {
    let authority = Authority::new();
    let (certificate, key) = authority.certify("localhost");
    // A server names its own TURN over TLS at port 443 alone; so it is another's that this one names.
    let turn = Server::start(&Options {
        turn: Some(Turn::Tls { certificate, key }),
        // Of one that listens for TLS it must have a dot; nobody looks it up here.
        settings: json!({ "turn": { "domain": "turn.example" } }),
    });
    let IceServer { username, credential, .. } = named(&turn);
    let settings = json!({ "rtc": { "turn_servers": [{
        "host": "localhost",
        "port": turn.turn_tls_port(),
        "protocol": "tls",
        "username": username,
        "credential": credential,
    }] } });
    let server = Server::start(&Options { turn: None, settings });
    let room = room("turn-tls");
    let ca = authority.file();

    let options = ["--path", "relay", "--ca", ca.to_str().unwrap()];
    let said = talks(&server, &room, &options, "relay/tls");
    assert!(!said.contains(&credential), "a password is printed");

    // Nothing is told to a TURN server that is not trusted.
    let error = refused(&server, &room, &["--path", "relay"]);
    assert!(error.contains("turns:localhost") && error.contains("--ca"), "{error}");
    assert!(!error.contains(&credential) && !error.contains(&username), "{error}");
}

/// The TURN server that a server names, with the credentials for somebody who joins.
#[track_caller]
fn named(server: &Server) -> IceServer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let join = async {
        let address: Address = server.url().parse().unwrap();
        let pass = Pass::given(&server.user("named", "bob")).unwrap();
        let request = JoinRequest {
            client_info: Some(ClientInfo { protocol: 17, ..ClientInfo::default() }),
            ..JoinRequest::default()
        };
        let tls = tls::connector(None).unwrap();
        let mut signal = Signal::connect(&address, &pass, &tls, &request).await.unwrap();
        let first = signal.next().await.unwrap();
        signal.close().await;
        first
    };
    let signal_response::Message::Join(join) = runtime.block_on(join) else {
        panic!("a server begins with a join");
    };
    let has_password = |server: &IceServer| !server.credential.is_empty();
    join.ice_servers.into_iter().find(has_password).expect("a server with TURN names it")
}

/// What is said when there is no way; it must not take long, and is told by the exit code.
#[track_caller]
fn refused(server: &Server, room: &str, arguments: &[&str]) -> String {
    let mut agent = Agent::start(server, room, ECHO, arguments, &[]);
    assert_eq!(agent.ends(NO_WAY), Some(2), "{}", agent.complaints());
    let error = agent.complaints();
    assert!(error.contains("no way for audio"), "{error}");
    error
}

#[test]
fn what_was_tried_is_said_when_there_is_no_way() {
    let turn = Server::start(&Options { turn: Some(Turn::Udp), ..Options::default() });
    let IceServer { urls, username, credential } = named(&turn);
    let (_, address) = urls[0].split_once("127.0.0.1:").expect("it is on loopback");
    let (port, _) = address.split_once('?').expect("its transport is named");
    // It says that it is where nobody ever is (RFC 5737), and sends nothing over UDP itself.
    let settings = json!({ "rtc": {
        "node_ip": "192.0.2.1",
        "force_tcp": true,
        "turn_servers": [{
            "host": "127.0.0.1",
            "port": port.parse::<u16>().expect("a port is a number"),
            "protocol": "udp",
            "username": username,
            "credential": credential,
        }],
    } });
    let server = Server::start(&Options { turn: None, settings });
    let room = room("nowhere");
    let error = refused(&server, &room, &[]);
    for tried in ["UDP (no answer)", "TCP (192.0.2.1:", "TURN (turn:127.0.0.1:", "gives an address"]
    {
        assert!(error.contains(tried), "no {tried}: {error}");
    }
    let alone = refused(&shared(), &room, &["--path", "relay"]);
    assert!(alone.contains("TURN (the server names none)"), "{alone}");
}

#[test]
fn only_what_is_allowed_is_tried() {
    let settings = json!({ "rtc": { "force_tcp": true } });
    let server = Server::start(&Options { turn: None, settings });
    let room = room("allowed");
    let error = refused(&server, &room, &["--path", "udp"]);
    assert!(error.contains("UDP (no answer)") && !error.contains("TCP ("), "{error}");
}

#[test]
fn signalling_is_encrypted_to_who_is_trusted() {
    let server = shared();
    let authority = Authority::new();
    let proxy = Proxy::start(&authority.certify("localhost"), server.port());
    let url = format!("wss://localhost:{}", proxy.port());
    let ca = authority.file();
    let ca = ca.to_str().unwrap();

    // An authority that is named, and one of the system's.
    for (arguments, environment) in
        [(vec!["--ca", ca], vec![]), (vec![], vec![("SSL_CERT_FILE", ca)])]
    {
        let arguments = [vec!["--url", &url], arguments].concat();
        let agent = Agent::start(&server, &room("wss"), ECHO, &arguments, &environment);
        agent.event("room.joined", |_| true);
        agent.event("room.path", |event| event["path"] == "udp");
    }

    let error = untrusted(&server, &url, &[]);
    assert!(error.contains("not trusted") && error.contains("--ca"), "{error}");
}

#[test]
fn a_certificate_of_another_or_an_expired_one_is_refused() {
    let server = shared();
    let authority = Authority::new();
    let ca = authority.file();
    let ca = ca.to_str().unwrap();
    let other = Proxy::start(&authority.certify("livekit.example"), server.port());
    let old = Proxy::start(&authority.certified_once("localhost"), server.port());
    for (port, why) in [
        (other.port(), "not for localhost"),
        (old.port(), "has expired"),
        // It does not speak TLS at all.
        (server.port(), "no encrypted connection"),
    ] {
        let error = untrusted(&server, &format!("wss://localhost:{port}"), &["--ca", ca]);
        assert!(error.contains(why), "{why}: {error}");
    }
}

/// What is said of a server that is not joined because it is not trusted.
#[track_caller]
fn untrusted(server: &Server, url: &str, arguments: &[&str]) -> String {
    let arguments = [&["--url", url], arguments].concat();
    let mut agent = Agent::start(server, &room("untrusted"), ECHO, &arguments, &[]);
    assert_eq!(agent.ends(PATIENCE), Some(2), "{}", agent.complaints());
    agent.complaints()
}
