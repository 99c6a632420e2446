//! A call whose signalling breaks: audio goes on, and what could not be said is said afterwards.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rooms::agent::Agent;
use rooms::peer::Peer;
use rooms::{audio, room, shared};
use serde_json::json;

/// A way to the server's signalling that can be broken and mended.
#[derive(Debug, Default)]
struct Gate {
    /// Both ends of every connection; nothing while the way is broken.
    open: Mutex<Option<Vec<TcpStream>>>,
}

impl Gate {
    /// A way to a port, and where it begins.
    fn to(port: u16) -> (Arc<Self>, u16) {
        let gate = Arc::new(Self { open: Mutex::new(Some(Vec::new())) });
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let begins = listener.local_addr().expect("it is bound").port();
        let keeper = Arc::clone(&gate);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut open = keeper.open.lock().expect("no test panics while it holds it");
                let Some(ends) = open.as_mut() else { continue };
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    ends.push(from.try_clone().unwrap());
                    std::thread::spawn(move || carry(from, to));
                }
            }
        });
        (gate, begins)
    }

    /// Breaks the way: what is open is closed, and nothing new gets through.
    fn break_off(&self) {
        let ends = self.open.lock().expect("no test panics while it holds it").take();
        for end in ends.into_iter().flatten() {
            drop(end.shutdown(Shutdown::Both));
        }
    }

    fn mend(&self) {
        *self.open.lock().expect("no test panics while it holds it") = Some(Vec::new());
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 4_096];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..len]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
}

#[test]
fn a_call_goes_on_while_the_server_cannot_be_reached() {
    let (server, room) = (shared(), room("resume"));
    let (gate, port) = Gate::to(server.port());
    let url = format!("ws://127.0.0.1:{port}");
    let mut agent = Agent::start(&server, &room, "configs/demo.yaml", &["--url", &url], &[]);
    agent.event("room.joined", |_| true);
    let mut ann = Peer::join(&server, &room, "ann");
    ann.publish(None);
    let state = |state: &'static str| {
        move |event: &serde_json::Value| {
            event["identity"] == "agent" && event["changed"]["lk.agent.state"] == state
        }
    };
    ann.event("attributes", state("speaking"));
    ann.event("attributes", state("listening"));

    // Ann is heard and answered although the server cannot be reached.
    gate.break_off();
    agent.event("connection.lost", |_| true);
    let shown =
        |ann: &Peer| ann.history().iter().filter(|event| event["event"] == "attributes").count();
    let before = shown(&ann);
    ann.forget();
    ann.play(&audio("caller-02-hours.wav"));
    agent.event("user.message", |event| event["intent"] == "hours");
    let said = agent.event("agent.message", |event| {
        event["text"].as_str().is_some_and(|text| text.contains("nine to six"))
    });
    agent.event("agent.speech_finished", |event| event["item"] == said["item"]);
    assert_eq!(shown(&ann), before, "attributes go by way of the server's signalling");

    // What was not seen is seen now, in its order, and attributes can be set again.
    gate.mend();
    agent.event("connection.restored", |_| true);
    ann.event("attributes", state("speaking"));
    ann.event("attributes", state("listening"));
    ann.play(&audio("caller-10-goodbye.wav"));
    agent.event("user.message", |event| event["intent"] == "goodbye");
    let code = agent.ends(rooms::PATIENCE);
    assert_eq!(code, Some(0), "{:?}", agent.events("room.left"));
    assert_eq!(agent.events("room.left")[0]["reason"], json!("the agent left the room"));
}
