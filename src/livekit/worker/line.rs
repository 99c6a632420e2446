//! The connection of a registration: made, kept, lost, and made again.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::talk::{self, Said};
use super::{News, Options, Order, Teller};
use crate::host::pace::wall_ms;
use crate::livekit::signal::SignalError;
use crate::livekit::socket::Socket;
use crate::seed::Seed;

/// The pause before a connection is tried again, at first and at most: half of it is chance, so that workers
/// that have lost the same server do not come back at once.
const PAUSE_MS: u64 = 500;
const PAUSE_MAX_MS: u64 = 20_000;

/// How often the server is asked whether it is there, in seconds.
const PING_S: u32 = 10;

/// How long nothing may be heard of it.
const SILENCE: Duration = Duration::from_secs(25);

/// How long it may take to register; the server's own limit.
const REGISTER_TIME: Duration = Duration::from_secs(10);

/// Registers until the owner is gone.
pub(super) async fn serve(options: Options, mut orders: mpsc::Receiver<Order>, tell: Teller) {
    let mut standing = None;
    let mut pause_ms = PAUSE_MS;
    let mut chance = Seed::new(wall_ms());
    let mut was_registered = false;
    loop {
        let mut line =
            Line { options: &options, standing: &mut standing, tell: &tell, registered: false };
        let lost = line.hold(&mut orders).await;
        if line.registered {
            was_registered = true;
            pause_ms = PAUSE_MS;
        }
        let Some(why) = lost else { return };
        if !was_registered && why.is_final() {
            tell(News::Refused(why));
            return;
        }
        let wait_ms = pause_ms / 2 + chance.below(pause_ms / 2 + 1);
        pause_ms = (2 * pause_ms).min(PAUSE_MAX_MS);
        tell(News::Lost(why, wait_ms));
        let again = Instant::now() + Duration::from_millis(wait_ms);
        while Instant::now() < again {
            tokio::select! {
                () = sleep_until(again) => {}
                order = orders.recv() => match order {
                    // Of jobs that the server knows nothing of any more.
                    Some(Order::Answer(..) | Order::Update(..)) => {}
                    Some(Order::Standing(new)) => standing = Some(new),
                    None => return,
                },
            }
        }
    }
}

struct Line<'a> {
    options: &'a Options,
    /// What was said last of how the worker is: a new connection begins with it.
    standing: &'a mut Option<super::Standing>,
    tell: &'a Teller,
    registered: bool,
}

impl Line<'_> {
    /// Holds a connection for as long as it goes. Why it ended; nothing if the owner is gone.
    async fn hold(&mut self, orders: &mut mpsc::Receiver<Order>) -> Option<SignalError> {
        let mut socket = match self.registered().await {
            Ok(socket) => socket,
            Err(why) => return Some(why),
        };
        let ended = self.carry(&mut socket, orders).await;
        socket.close().await;
        ended
    }

    async fn registered(&mut self) -> Result<Socket, SignalError> {
        let Options { address, key, tls, .. } = self.options;
        let token = key.worker().map_err(SignalError::Protocol)?;
        let mut socket =
            Socket::connect(address, &address.worker_url(), token.secret(), tls).await?;
        socket.send(talk::register(self.options, PING_S)).await?;
        let answer = async {
            loop {
                let bytes = socket.next().await?;
                if let Some(Said::News(news)) = read(&bytes)?
                    && matches!(*news, News::Registered { .. })
                {
                    return Ok(*news);
                }
            }
        };
        let news = timeout(REGISTER_TIME, answer).await.unwrap_or(Err(SignalError::TooSlow))?;
        self.registered = true;
        (self.tell)(news);
        if let Some(standing) = *self.standing {
            socket.send(talk::order(Order::Standing(standing))).await?;
        }
        Ok(socket)
    }

    async fn carry(
        &mut self,
        socket: &mut Socket,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Option<SignalError> {
        let mut heard = Instant::now();
        let every = Duration::from_secs(u64::from(PING_S));
        let mut ping = heard + every;
        loop {
            tokio::select! {
                bytes = socket.next() => {
                    heard = Instant::now();
                    let said = match bytes.and_then(|bytes| read(&bytes)) {
                        Ok(said) => said,
                        Err(why) => return Some(why),
                    };
                    match said {
                        Some(Said::GoAway) => return Some(SignalError::Closed),
                        Some(Said::News(news)) => (self.tell)(*news),
                        None => {}
                    }
                }
                order = orders.recv() => {
                    let order = order?;
                    if let Order::Standing(standing) = order {
                        *self.standing = Some(standing);
                    }
                    if let Err(why) = socket.send(talk::order(order)).await {
                        return Some(why);
                    }
                }
                () = sleep_until(ping) => {
                    ping += every;
                    if heard.elapsed() >= SILENCE {
                        return Some(SignalError::TooSlow);
                    }
                    if let Err(why) = socket.send(talk::ping(wall_ms())).await {
                        return Some(why);
                    }
                }
            }
        }
    }
}

fn read(bytes: &[u8]) -> Result<Option<Said>, SignalError> {
    talk::read(bytes).map_err(SignalError::Protocol)
}
