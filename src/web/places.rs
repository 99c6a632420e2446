//! The places of a server: who has one, and who has to give it up.
//!
//! A connection that has sent the head of its request is answered at once and then gone; what can hold a place
//! is one that does not send it. When all are taken, the oldest such connection makes room for the next, once
//! it has had [`GRACE_NS`]: whoever waits moves up by all places in that time, however many do nothing but come
//! back, and nobody who sends a request when he is connected is shown out.
//!
//! One client of another machine has [`OF_ONE_MAX`] places at most. On this machine all have one address, so that
//! there is nothing to tell them apart by.

use std::net::{IpAddr, Ipv6Addr};

use crate::host::pace::Moment;

/// Places in all: a few scrapers and a few people.
pub(super) const MAX: usize = 32;

/// Those of one client.
pub(super) const OF_ONE_MAX: usize = 8;

/// What the head of a request may take where others wait: it comes right behind the connection.
pub(super) const GRACE_NS: u64 = 50_000_000;

/// A connection's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(u64);

#[derive(Debug)]
struct Place {
    id: Id,
    client: IpAddr,
    since: Moment,
    has_asked: bool,
}

/// What becomes of one who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// He has a place; it was that of another one, who is to be shown out.
    Taken(Id, Option<Id>),
    /// He has as many as one may have.
    Surplus,
    /// All places are taken. He may ask again in so many nanoseconds, or when one is free.
    Full(u64),
}

/// Who has a place, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Vec<Place>,
    named: u64,
}

impl Places {
    /// Somebody comes.
    pub(super) fn admit(&mut self, from: IpAddr, now: Moment) -> Admission {
        let client = client(from);
        let own = self.taken.iter().filter(|place| place.client == client).count();
        if own >= OF_ONE_MAX && !client.is_loopback() {
            return Admission::Surplus;
        }
        let mut shown_out = None;
        if self.taken.len() >= MAX {
            let Some(at) = self.taken.iter().position(|place| !place.has_asked) else {
                return Admission::Full(GRACE_NS);
            };
            let had_ns = now.since_ns(self.taken[at].since);
            if had_ns < GRACE_NS {
                return Admission::Full(GRACE_NS - had_ns);
            }
            shown_out = Some(self.taken.remove(at).id);
        }
        let id = Id(self.named);
        self.named += 1;
        self.taken.push(Place { id, client, since: now, has_asked: false });
        Admission::Taken(id, shown_out)
    }

    /// A connection has sent the head of its request.
    pub(super) fn asked(&mut self, id: Id) {
        if let Some(place) = self.taken.iter_mut().find(|place| place.id == id) {
            place.has_asked = true;
        }
    }

    /// A connection is over, or was shown out before.
    pub(super) fn leave(&mut self, id: Id) {
        self.taken.retain(|place| place.id != id);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

/// Whom an address stands for: with the sixth version of the protocol, a network of 64 bits is one customer's.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::pace::Clock;

    fn ip(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    /// All places taken, one after another in a nanosecond each.
    fn full() -> (Places, Moment) {
        let (mut places, start) = (Places::default(), Clock::default().now());
        for at in 0..MAX as u64 {
            let admission = places.admit(ip("127.0.0.1"), start.after_ns(at));
            assert_eq!(admission, Admission::Taken(Id(at), None));
        }
        (places, start)
    }

    #[test]
    fn the_oldest_that_has_not_asked_makes_room_after_its_grace() {
        let (mut places, start) = full();
        places.asked(Id(0));
        let mut come = |ns| places.admit(ip("127.0.0.1"), start.after_ns(ns));
        assert_eq!(come(MAX as u64), Admission::Full(GRACE_NS + 1 - MAX as u64));
        assert_eq!(come(GRACE_NS), Admission::Full(1));
        assert_eq!(come(GRACE_NS + 1), Admission::Taken(Id(32), Some(Id(1))));
        assert_eq!(come(GRACE_NS + 1), Admission::Full(1), "the next had a nanosecond less");
    }

    #[test]
    fn who_has_asked_is_not_shown_out() {
        let (mut places, start) = full();
        (0..MAX as u64).for_each(|at| places.asked(Id(at)));
        let late = start.after_ns(100 * GRACE_NS);
        assert_eq!(places.admit(ip("127.0.0.1"), late), Admission::Full(GRACE_NS));
        places.leave(Id(7));
        assert_eq!(places.admit(ip("127.0.0.1"), late), Admission::Taken(Id(32), None));
    }

    #[test]
    fn one_client_of_another_machine_leaves_room_for_others() {
        for (own, other) in [
            (["192.0.2.1", "::ffff:192.0.2.1"], "192.0.2.2"),
            (["2001:db8:0:1::1", "2001:db8:0:1:2::2"], "2001:db8:0:2::1"),
        ] {
            let (mut places, now) = (Places::default(), Clock::default().now());
            for at in 0..OF_ONE_MAX {
                let admission = places.admit(ip(own[at % 2]), now);
                assert!(matches!(admission, Admission::Taken(_, None)), "{admission:?}");
            }
            assert_eq!(places.admit(ip(own[0]), now), Admission::Surplus);
            assert!(matches!(places.admit(ip(other), now), Admission::Taken(..)));
            places.leave(Id(0));
            assert!(matches!(places.admit(ip(own[1]), now), Admission::Taken(..)));
        }
    }
}
