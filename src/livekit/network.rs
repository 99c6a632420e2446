//! The network's thread: one for many rooms, with everything that waits for a socket.
//!
//! **Invariant:** a room that ends, or panics, takes nothing of another's with it; when the network is
//! dropped, its rooms and its thread are gone.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::bell::{Belfry, Bell, Cord};
use crate::host::pace::{Class, Clock, Moment};
use crate::host::watchdog::{Rank, ThreadClock, enlist_for};

/// Rooms that wait to be joined at most.
const ORDERS_WAITING: usize = 1_024;

/// Something to do on the network's thread.
type Order = Box<dyn FnOnce(Rc<Belfry>) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// A thread for rooms.
#[derive(Debug)]
pub struct Network {
    orders: Option<mpsc::Sender<Order>>,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
    clock: ThreadClock,
}

impl Network {
    /// Starts the thread, in the real-time class where that is wanted and permitted, below all threads of ticks.
    ///
    /// # Errors
    /// The system gives no thread, socket or timer.
    pub fn start(wanted: Class) -> io::Result<Self> {
        let (orders, ordered) = mpsc::channel(ORDERS_WAITING);
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("livekit".to_owned()).spawn(move || {
            let pause = Arc::new(Pause::default());
            let paused = Arc::clone(&pause);
            let begun = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .on_thread_park(move || paused.before_waiting())
                .on_thread_unpark(move || pause.woken())
                .build();
            let local = LocalSet::new();
            // Where every core is busy, packets would wait for this thread longer than a far end does for them.
            let _enlisted = match wanted {
                Class::RealTime => enlist_for(Rank::Packets),
                Class::Normal => None,
            };
            let ready = begun.and_then(|runtime| {
                let _in_runtime = runtime.enter();
                Belfry::new().map(|belfry| (belfry, runtime))
            });
            match ready {
                Ok((belfry, runtime)) => {
                    drop(tell.send(Ok((Arc::clone(belfry.bell()), ThreadClock::this()))));
                    local.block_on(&runtime, serve(belfry, ordered));
                    drop(local);
                    // A name that is being looked up is not waited for.
                    runtime.shutdown_background();
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        })?;
        let gone = || Err(io::Error::other("the network's thread is gone"));
        let (bell, clock) = told.recv().unwrap_or_else(|_| gone())?;
        Ok(Self { orders: Some(orders), bell, thread: Some(thread), clock })
    }

    /// How long the thread has been on a processor, in nanoseconds.
    #[must_use]
    pub fn busy_ns(&self) -> u64 {
        self.clock.busy_ns()
    }

    /// A cord that wakes a task of the thread.
    #[must_use]
    pub fn cord(&self) -> Cord {
        Cord::new(&self.bell)
    }

    /// Has a task done on the network's thread. False if it has too much to do already.
    pub fn spawn<F>(&self, task: impl FnOnce(Rc<Belfry>) -> F + Send + 'static) -> bool
    where
        F: Future<Output = ()> + 'static,
    {
        let order: Order = Box::new(move |belfry| Box::pin(task(belfry)));
        self.orders.as_ref().is_some_and(|orders| orders.try_send(order).is_ok())
    }
}

/// Its rooms are left at once: whoever wants them to be left in good order ends them before.
impl Drop for Network {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// From one look at the sockets to the next at least where there is much to do, in nanoseconds: a fortieth of a tick of
/// 20 ms, which no ear and no far end's buffer notices.
const LOOKS_APART_NS: u64 = 500_000;

/// Keeps looks apart where one wakes the thread soon after the other: packets of many rooms are handled together then, each
/// of which would have woken it.
#[derive(Debug, Default)]
struct Pause {
    clock: Clock,
    begun: OnceLock<Moment>,
    // Only the thread itself reads and writes these; nanoseconds since it began.
    waits_since_ns: AtomicU64,
    woken_ns: AtomicU64,
    is_busy: AtomicBool,
}

impl Pause {
    fn now_ns(&self) -> u64 {
        let now = self.clock.now();
        now.since_ns(*self.begun.get_or_init(|| now))
    }

    fn woken(&self) {
        let woken_ns = self.now_ns();
        let waited_ns = woken_ns - self.waits_since_ns.load(Ordering::Relaxed);
        self.woken_ns.store(woken_ns, Ordering::Relaxed);
        self.is_busy.store(waited_ns < LOOKS_APART_NS, Ordering::Relaxed);
    }

    fn before_waiting(&self) {
        let mut now_ns = self.now_ns();
        let since_ns = now_ns - self.woken_ns.load(Ordering::Relaxed);
        let left_ns = LOOKS_APART_NS.saturating_sub(since_ns);
        if self.is_busy.load(Ordering::Relaxed) && left_ns > 0 {
            self.clock.sleep_until(self.clock.now().after_ns(left_ns));
            now_ns = self.now_ns();
        }
        self.waits_since_ns.store(now_ns, Ordering::Relaxed);
    }
}

async fn serve(belfry: Rc<Belfry>, mut ordered: mpsc::Receiver<Order>) {
    let listener = Rc::clone(&belfry);
    tokio::task::spawn_local(async move { listener.listen().await });
    while let Some(order) = ordered.recv().await {
        // A panic ends its own task.
        tokio::task::spawn_local(order(Rc::clone(&belfry)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_kept_apart_where_one_follows_the_other_at_once() {
        let pause = Pause::default();
        // It has waited for long: nobody waits for it afterwards.
        pause.before_waiting();
        pause.clock.sleep_until(pause.clock.now().after_ns(2 * LOOKS_APART_NS));
        pause.woken();
        assert!(!pause.is_busy.load(Ordering::Relaxed));
        // It comes back at once, and again: from now on half a millisecond lies between two looks.
        pause.before_waiting();
        pause.woken();
        let began_ns = pause.now_ns();
        for looks in 1..=10 {
            pause.before_waiting();
            assert!(pause.now_ns() - began_ns >= looks * LOOKS_APART_NS, "look {looks}");
            pause.woken();
        }
    }
}
