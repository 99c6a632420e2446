//! A server: a socket, a thread, and pages.
//!
//! Everything a client can spend is bounded: [`CONNECTIONS_MAX`] at a time, each for
//! [`CONNECTION_TIME`] and one request, whose head comes within [`HEAD_TIME`] and [`HEAD_LEN_MAX`] bytes.
//! Who comes when all places are taken waits in the system's queue until one is free, or somebody who sends no
//! request has to give his up (`places`): those who only hold places do not keep a scraper from one.
//!
//! **Invariant:** the socket is there before [`Server::start`] returns, and gone, with its thread, when
//! the server is.

use std::fmt::{self, Display};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{sleep, timeout};

use super::access::{Token, guarded};
use super::places::{self, Admission, Id, Places};
use crate::host::pace::Clock;

/// Connections at a time at most: a few scrapers and a few people.
pub const CONNECTIONS_MAX: usize = places::MAX;

/// How many may wait in the system's queue: who does not get in there tries again only after a second.
const QUEUE: u32 = 1_024;

/// How long a connection may last. A page is some kilobytes, so that even a bad network is faster.
pub const CONNECTION_TIME: Duration = Duration::from_secs(5);

/// How long the head of a request may take.
pub const HEAD_TIME: Duration = Duration::from_secs(2);

/// The longest head of a request, in bytes: a browser's are a tenth.
pub const HEAD_LEN_MAX: usize = 16 << 10;

/// How long a page under way is waited for at the end.
const LAST_PAGES: Duration = Duration::from_millis(500);

/// The pause after the system had no socket for a client: others will be closed by then.
const NO_SOCKET: Duration = Duration::from_millis(100);

/// Why there is no server: what is wrong, and where.
#[derive(Debug)]
pub enum StartError {
    /// Other machines could ask, and there is no token.
    Unguarded(SocketAddr),
    /// The system gives no socket, thread or timer.
    System(SocketAddr, io::Error),
}

impl Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unguarded(address) => {
                write!(f, "{address} can be reached from other machines, so it needs a token")
            }
            Self::System(address, error) => {
                let (what, remedy) = match error.kind() {
                    io::ErrorKind::AddrInUse => ("the port is taken", "choose another, or 0"),
                    io::ErrorKind::PermissionDenied => {
                        ("there is no permission for this port", "choose one above 1023")
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        ("this machine has no such address", "choose one of its own")
                    }
                    _ => return write!(f, "{address} cannot be served: {error}"),
                };
                write!(f, "{address} cannot be served: {what}; {remedy}")
            }
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unguarded(_) => None,
            Self::System(_, error) => Some(error),
        }
    }
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves pages at an address; with a token, to those who send it. Port 0 is one that is free.
    ///
    /// # Errors
    /// The address is not of this machine alone and there is no token, or it cannot be had.
    pub fn start(
        address: SocketAddr,
        token: Option<Token>,
        pages: Router,
    ) -> Result<Self, StartError> {
        let pages = match token {
            Some(token) => guarded(pages, token),
            None if address.ip().is_loopback() => pages,
            None => return Err(StartError::Unguarded(address)),
        };
        Self::start_open(address, pages)
    }

    /// The same for pages of which those that need a token ask for it themselves: see [`guarded`].
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn start_open(address: SocketAddr, pages: Router) -> Result<Self, StartError> {
        Self::bind(address, pages).map_err(|error| StartError::System(address, error))
    }

    fn bind(address: SocketAddr, pages: Router) -> io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let listener = {
            let _in_runtime = runtime.enter();
            listen(address)?
        };
        let address = listener.local_addr()?;
        let thread = std::thread::Builder::new()
            .name("web".to_owned())
            .spawn(move || runtime.block_on(serve(listener, pages, stopped)))?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Takes no more connections, gives those under way a moment, and ends the thread.
impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// As the standard library does it, but with a longer queue.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // The port of a server that has just ended is free.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

async fn serve(listener: TcpListener, pages: Router, stopped: oneshot::Receiver<()>) {
    let door = Arc::new(Door::default());
    let accepting = tokio::spawn(accept(listener, pages, Arc::clone(&door)));
    // It is told by dropping its other end.
    stopped.await.ok();
    accepting.abort();
    timeout(LAST_PAGES, door.all_left()).await.ok();
}

async fn accept(listener: TcpListener, pages: Router, door: Arc<Door>) {
    let mut inside: Vec<(Id, AbortHandle)> = Vec::with_capacity(CONNECTIONS_MAX);
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            sleep(NO_SOCKET).await;
            continue;
        };
        if let Some((id, shown_out)) = door.admit(from).await {
            inside.retain(|(id, task)| {
                if Some(*id) == shown_out {
                    task.abort();
                }
                !task.is_finished() && Some(*id) != shown_out
            });
            let held = Held { door: Arc::clone(&door), id };
            let task = tokio::spawn(answer(stream, pages.clone(), held));
            inside.push((id, task.abort_handle()));
        }
        // Those inside have their turn, however many wait outside.
        yield_now().await;
    }
}

/// One connection, one request. What becomes of it is the client's business.
async fn answer(stream: TcpStream, pages: Router, held: Held) {
    let pages = TowerToHyperService::new(pages);
    let asked = service_fn(|request| {
        held.asked();
        pages.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_LEN_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), asked);
    drop(timeout(CONNECTION_TIME, connection).await);
}

/// The places, and a bell that rings when somebody leaves.
#[derive(Debug, Default)]
struct Door {
    clock: Clock,
    places: Mutex<Places>,
    left: Notify,
}

impl Door {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for who comes, and who is shown out for it; none if he has too many. Waits for one.
    async fn admit(&self, from: SocketAddr) -> Option<(Id, Option<Id>)> {
        loop {
            let admission = self.places().admit(from.ip(), self.clock.now());
            match admission {
                Admission::Taken(id, shown_out) => return Some((id, shown_out)),
                Admission::Surplus => return None,
                Admission::Full(ns) => {
                    timeout(Duration::from_nanos(ns), self.left.notified()).await.ok();
                }
            }
        }
    }

    async fn all_left(&self) {
        while !self.places().is_empty() {
            self.left.notified().await;
        }
    }
}

/// A connection's place, for as long as it lasts.
#[derive(Debug)]
struct Held {
    door: Arc<Door>,
    id: Id,
}

impl Held {
    fn asked(&self) {
        self.door.places().asked(self.id);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.door.places().leave(self.id);
        self.door.left.notify_one();
    }
}
