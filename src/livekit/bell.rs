//! How a shard wakes the network's thread: a flag for each room, and one byte for them all.
//!
//! **Invariant:** ringing takes no lock, allocates nothing and never waits, and costs a system call only
//! when the network's thread may be asleep.

use std::cell::RefCell;
#[cfg(unix)]
use std::future::poll_fn;
use std::io;
#[cfg(unix)]
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// The bell of a network thread.
#[derive(Debug)]
pub struct Bell {
    rung: AtomicBool,
    #[cfg(unix)]
    sound: std::os::unix::net::UnixStream,
    #[cfg(not(unix))]
    sound: Notify,
}

/// A room's cord of the bell.
#[derive(Debug, Clone)]
pub struct Cord {
    flag: Arc<AtomicBool>,
    bell: Arc<Bell>,
}

impl Cord {
    /// A cord of a bell.
    #[must_use]
    pub fn new(bell: &Arc<Bell>) -> Self {
        Self { flag: Arc::default(), bell: Arc::clone(bell) }
    }

    /// Wakes the room's task.
    pub fn ring(&self) {
        self.flag.store(true, Ordering::Release);
        if self.bell.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        #[cfg(unix)]
        {
            use std::io::Write;
            // A full socket has been heard already.
            drop((&self.bell.sound).write(&[0]));
        }
        #[cfg(not(unix))]
        self.bell.sound.notify_one();
    }
}

/// The other end, on the network's thread.
#[derive(Debug)]
pub struct Belfry {
    bell: Arc<Bell>,
    #[cfg(unix)]
    ear: RefCell<tokio::net::UnixStream>,
    rooms: RefCell<Vec<Room>>,
}

#[derive(Debug)]
struct Room {
    flag: Arc<AtomicBool>,
    wake: Rc<Notify>,
}

/// A room's ear for its cord; without it, nobody listens any more.
#[derive(Debug)]
pub struct Ear {
    flag: Arc<AtomicBool>,
    wake: Rc<Notify>,
    belfry: Rc<Belfry>,
}

impl Belfry {
    /// A bell and who hears it; within the network's runtime.
    ///
    /// # Errors
    /// The system has no socket.
    pub fn new() -> io::Result<Rc<Self>> {
        #[cfg(unix)]
        {
            let (sound, ear) = std::os::unix::net::UnixStream::pair()?;
            sound.set_nonblocking(true)?;
            ear.set_nonblocking(true)?;
            let ear = RefCell::new(tokio::net::UnixStream::from_std(ear)?);
            let bell = Arc::new(Bell { rung: AtomicBool::new(false), sound });
            Ok(Rc::new(Self { bell, ear, rooms: RefCell::default() }))
        }
        #[cfg(not(unix))]
        {
            let bell = Arc::new(Bell { rung: AtomicBool::new(false), sound: Notify::new() });
            Ok(Rc::new(Self { bell, rooms: RefCell::default() }))
        }
    }

    /// The bell itself, for cords.
    #[must_use]
    pub const fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// An ear for a cord.
    #[must_use]
    pub fn listen_for(self: &Rc<Self>, cord: &Cord) -> Ear {
        let (flag, wake) = (Arc::clone(&cord.flag), Rc::new(Notify::new()));
        self.rooms.borrow_mut().push(Room { flag: Arc::clone(&flag), wake: Rc::clone(&wake) });
        if flag.swap(false, Ordering::AcqRel) {
            // It was pulled before anybody listened.
            wake.notify_one();
        }
        Ear { flag, wake, belfry: Rc::clone(self) }
    }

    /// Listens, and wakes the rooms that are meant; never ends.
    pub async fn listen(&self) {
        loop {
            #[cfg(unix)]
            {
                use tokio::io::{AsyncRead, ReadBuf};
                let mut sounds = [0; 16];
                // Where less comes than there is room for, that no more is there needs no other system call.
                let heard = poll_fn(|context| {
                    let mut ear = self.ear.borrow_mut();
                    Pin::new(&mut *ear).poll_read(context, &mut ReadBuf::new(&mut sounds))
                });
                if heard.await.is_err() {
                    return;
                }
            }
            #[cfg(not(unix))]
            self.bell.sound.notified().await;
            // Before the flags are read: who rings after this is heard the next time.
            self.bell.rung.swap(false, Ordering::AcqRel);
            for room in self.rooms.borrow().iter() {
                if room.flag.swap(false, Ordering::AcqRel) {
                    room.wake.notify_one();
                }
            }
        }
    }
}

impl Ear {
    /// Waits until the cord was pulled. May be dropped while it waits.
    pub async fn heard(&self) {
        self.wake.notified().await;
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let mut rooms = self.belfry.rooms.borrow_mut();
        rooms.retain(|room| !Arc::ptr_eq(&room.flag, &self.flag));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_room_hears_its_own_cord_from_another_thread() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let belfry = Belfry::new().unwrap();
            let listener = Rc::clone(&belfry);
            let listening = tokio::task::spawn_local(async move { listener.listen().await });
            let [first, second] = [(); 2].map(|()| Cord::new(belfry.bell()));
            let (first_ear, second_ear) = (belfry.listen_for(&first), belfry.listen_for(&second));
            for _ in 0..100 {
                let (first, second) = (first.clone(), second.clone());
                let ringing = std::thread::spawn(move || {
                    first.ring();
                    second.ring();
                });
                first_ear.heard().await;
                second_ear.heard().await;
                ringing.join().unwrap();
            }
            drop(first_ear);
            assert_eq!(belfry.rooms.borrow().len(), 1);
            listening.abort();
        });
    }
}
