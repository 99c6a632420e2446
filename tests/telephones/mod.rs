//! A LiveKit server with telephones: the real one, and in front of it what stands in for its SIP service.
//!
//! The open-source server has SIP only with a database and a bridge beside it. What is asked of
//! `/twirp/livekit.SIP/…` is kept and answered here, by LiveKit's own messages; every other connection is
//! carried to the real server, byte for byte.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use livekit_protocol::{
    CreateSipParticipantRequest, SipParticipantInfo, TransferSipParticipantRequest,
};
use livekit_token::Claims;
use prost::Message;

/// The longest head of a request that is read.
const HEAD_MAX: usize = 64 << 10;

/// What was asked, and with what it was opened.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The call to be passed on, or the one to be made.
    pub(crate) what: Wanted,
    /// The claims of the token, which nobody has verified.
    pub(crate) claims: Claims,
}

/// What is wanted of the telephones.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// A caller is to be sent to another telephone.
    Transfer(TransferSipParticipantRequest),
    /// A telephone is to be brought into the room.
    Create(Box<CreateSipParticipantRequest>),
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Somebody picked up.
    PickedUp,
    /// Status and body of a refusal.
    Refused(u16, &'static str),
    /// The connection is closed without one.
    Closed,
}

/// The front.
#[derive(Debug)]
pub(crate) struct Telephones {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    asked: Vec<Asked>,
    answers: VecDeque<Answer>,
}

impl Telephones {
    /// Stands before a server, on its port of loopback, with answers in their order.
    pub(crate) fn before(port: u16, answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = State { answers: answers.iter().cloned().collect(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let kept = Arc::clone(&state);
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                thread::spawn(move || drop(serve(stream, port, &kept)));
            }
        });
        Self { address, state }
    }

    /// Where clients connect to.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Takes what was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().expect("no thread panicked").asked)
    }
}

fn serve(mut stream: TcpStream, port: u16, state: &Mutex<State>) -> io::Result<()> {
    let mut read = Vec::new();
    let head = loop {
        let mut some = [0; 4096];
        let count = stream.read(&mut some)?;
        read.extend_from_slice(&some[..count]);
        let end = read.windows(4).position(|four| four == b"\r\n\r\n");
        match end {
            Some(end) => break end + 4,
            None if count == 0 || read.len() > HEAD_MAX => return Ok(()),
            None => {}
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).into_owned();
    let Some(rest) = text.strip_prefix("POST /twirp/livekit.SIP/") else {
        return carry(stream, port, &read);
    };
    let method = rest.split(' ').next().unwrap_or_default();
    let header = |name: &str| {
        let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
    };
    let len = header("content-length").and_then(|len| len.parse().ok()).unwrap_or_default();
    let mut body = read.split_off(head);
    let had = body.len();
    body.resize(len, 0);
    stream.read_exact(&mut body[had..])?;
    let bearer = header("authorization").unwrap_or_default();
    let token = bearer.strip_prefix("Bearer ").expect("a token is sent");
    let claims = Claims::from_unverified(token).expect("it is one of LiveKit's");
    let (what, picked_up) = wanted(method, &body);
    let answer = {
        let mut state = state.lock().expect("no thread panicked");
        state.asked.push(Asked { what, claims });
        state.answers.pop_front().unwrap_or(Answer::PickedUp)
    };
    let (status, body) = match answer {
        Answer::PickedUp => (200, picked_up),
        Answer::Refused(status, body) => (status, body.as_bytes().to_vec()),
        Answer::Closed => return stream.shutdown(Shutdown::Both),
    };
    write!(stream, "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(&body)
}

/// Reads a request; what is answered to it when somebody picks up.
fn wanted(method: &str, body: &[u8]) -> (Wanted, Vec<u8>) {
    match method {
        "TransferSIPParticipant" => {
            let request = TransferSipParticipantRequest::decode(body).expect("it is the message");
            (Wanted::Transfer(request), Vec::new())
        }
        "CreateSIPParticipant" => {
            let request = CreateSipParticipantRequest::decode(body).expect("it is the message");
            let info = SipParticipantInfo {
                participant_id: "PA_telephone".to_owned(),
                participant_identity: request.participant_identity.clone(),
                room_name: request.room_name.clone(),
                sip_call_id: "SCL_1".to_owned(),
            };
            (Wanted::Create(Box::new(request)), info.encode_to_vec())
        }
        other => panic!("nobody asks for {other}"),
    }
}

/// Carries a connection to the server and back until either side closes it.
fn carry(mut client: TcpStream, port: u16, read: &[u8]) -> io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.write_all(read)?;
    let (mut back, mut to) = (server.try_clone()?, client.try_clone()?);
    let returning = thread::spawn(move || {
        drop(io::copy(&mut back, &mut to));
        drop(to.shutdown(Shutdown::Both));
    });
    drop(io::copy(&mut client, &mut server));
    drop(server.shutdown(Shutdown::Both));
    drop(returning.join());
    Ok(())
}
