//! A way to a server's signalling that a test can break and mend.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A way to the server's signalling that can be broken and mended.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Both ends of every connection; nothing while the way is broken.
    open: Mutex<Option<Vec<TcpStream>>>,
}

impl Gate {
    /// A way to a port, and where it begins.
    pub(crate) fn to(port: u16) -> (Arc<Self>, u16) {
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
    pub(crate) fn break_off(&self) {
        let ends = self.open.lock().expect("no test panics while it holds it").take();
        for end in ends.into_iter().flatten() {
            drop(end.shutdown(Shutdown::Both));
        }
    }

    /// Lets what is new through again.
    pub(crate) fn mend(&self) {
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
