//! A ring of things that have bytes with them: two rings, of which the one with the bytes is read as the other says.
//!
//! Packets of speech have some eighty bytes, and may have 1,275. A ring whose places are all as long as the longest
//! holds fifteen times what is ever in it, for each call.
//!
//! **Invariant:** bytes are there before what they belong to is; what finds no room for either comes back, and nobody
//! waits.

/// The end that things are put into.
#[derive(Debug)]
pub(super) struct Sender<T> {
    things: rtrb::Producer<(T, u16)>,
    bytes: rtrb::Producer<u8>,
}

/// The end that they are taken from.
#[derive(Debug)]
pub(super) struct Receiver<T> {
    things: rtrb::Consumer<(T, u16)>,
    bytes: rtrb::Consumer<u8>,
}

/// A ring with room for so many things, and so many bytes with all of them.
pub(super) fn ring<T>(things: usize, bytes: usize) -> (Sender<T>, Receiver<T>) {
    let (put, take) = rtrb::RingBuffer::new(things);
    let (write, read) = rtrb::RingBuffer::new(bytes);
    (Sender { things: put, bytes: write }, Receiver { things: take, bytes: read })
}

impl<T> Sender<T> {
    /// Puts in a thing with its bytes; it comes back if there is no room.
    pub(super) fn push(&mut self, thing: T, bytes: &[u8]) -> Result<(), T> {
        let Ok(len) = u16::try_from(bytes.len()) else { return Err(thing) };
        if self.things.is_full() || self.bytes.push_entire_slice(bytes).is_err() {
            return Err(thing);
        }
        self.things.push((thing, len)).map_err(|rtrb::PushError::Full((thing, _))| thing)
    }
}

impl<T> Receiver<T> {
    /// Takes out the next thing; its bytes are put at the begin of `into`, and their number comes with it.
    ///
    /// # Panics
    /// If `into` is shorter than they are.
    pub(super) fn pop(&mut self, into: &mut [u8]) -> Option<(T, usize)> {
        let (thing, len) = self.things.pop().ok()?;
        let len = usize::from(len);
        let read = self.bytes.pop_entire_slice(&mut into[..len]);
        debug_assert!(read.is_ok(), "bytes come before what they belong to");
        Some((thing, len))
    }

    /// How many things are there.
    pub(super) fn len(&self) -> usize {
        self.things.slots()
    }

    /// Whether nothing is there, and nobody is left who could put anything in.
    pub(super) fn is_over(&self) -> bool {
        self.things.is_abandoned() && self.things.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_with_what_they_belong_to_around_the_ring() {
        let (mut put, mut take) = ring(4, 10);
        let mut into = [0; 8];
        for round in 0..50_u8 {
            assert_eq!(put.push(round, &[round; 3]), Ok(()));
            assert_eq!(put.push(round + 100, &[]), Ok(()));
            assert_eq!(put.push(round + 50, &[round + 1; 6]), Ok(()));
            assert_eq!(take.pop(&mut into), Some((round, 3)));
            assert_eq!(into[..3], [round; 3]);
            assert_eq!(take.pop(&mut into), Some((round + 100, 0)));
            assert_eq!(take.pop(&mut into), Some((round + 50, 6)));
            assert_eq!(into[..6], [round + 1; 6]);
            assert_eq!(take.pop(&mut into), None);
        }
    }

    #[test]
    fn what_finds_no_room_comes_back_and_leaves_nothing_behind() {
        let (mut put, mut take) = ring(2, 10);
        let mut into = [0; 8];
        assert_eq!(put.push('a', &[1; 8]), Ok(()));
        assert_eq!(put.push('b', &[2; 3]), Err('b'), "no room for its bytes");
        assert_eq!(put.push('c', &[3; 2]), Ok(()));
        assert_eq!(put.push('d', &[]), Err('d'), "no room for itself");
        assert_eq!(take.pop(&mut into), Some(('a', 8)));
        assert_eq!(take.pop(&mut into), Some(('c', 2)));
        assert_eq!(into[..2], [3; 2]);
        assert!(!take.is_over());
        drop(put);
        assert!(take.is_over());
    }

    #[test]
    fn two_threads_agree_on_every_byte() {
        let (mut put, mut take) = ring::<u32>(8, 64);
        let sender = std::thread::spawn(move || {
            for number in 0..100_000_u32 {
                let bytes = [number as u8; 20];
                while put.push(number, &bytes[..number as usize % 20]).is_err() {
                    std::hint::spin_loop();
                }
            }
        });
        let mut into = [0; 20];
        let mut expected = 0;
        while expected < 100_000 {
            let Some((number, len)) = take.pop(&mut into) else { continue };
            assert_eq!((number, len), (expected, expected as usize % 20));
            assert!(into[..len].iter().all(|&byte| byte == number as u8));
            expected += 1;
        }
        sender.join().unwrap();
    }
}
