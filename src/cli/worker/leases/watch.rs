//! The thread of leases: it says that the worker is there, and looks whether others are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::folder::{Found, Shared, highest};
use super::{GIVEN_UP, HELD, LOOK, Lease, News, Order, RENEWED};
use crate::host::pace::{Clock, Moment};
use crate::host::standby;

/// A pause between two looks after which nothing is believed of who was silent meanwhile, in nanoseconds.
const STALLED_NS: u64 = 1_000_000_000;

/// How long after that the file of its worker is removed.
const BURIED: Duration = Duration::from_secs(60);

struct Watcher<T> {
    shared: Shared,
    tell: T,
    clock: Clock,
    count: u64,
    renewed: Moment,
    /// When the folder was last seen.
    looked: Moment,
    /// What each worker said last, and since when.
    workers: BTreeMap<String, (String, Moment)>,
    /// Who holds each lease, once that was read.
    holders: BTreeMap<(String, u32), String>,
    /// The leases of this worker.
    own: BTreeMap<String, Lease>,
    /// Leases of this worker that were not to be seen.
    missed: BTreeSet<String>,
    /// What was complained of last: once is enough.
    trouble: Option<String>,
}

/// Does what is ordered until nobody gives orders any more.
pub(super) fn watch(shared: Shared, orders: &Receiver<Order>, tell: impl Fn(News)) {
    let clock = Clock::default();
    let now = clock.now();
    let mut watcher = Watcher {
        shared,
        tell,
        clock,
        count: 0,
        renewed: now,
        looked: now,
        workers: BTreeMap::new(),
        holders: BTreeMap::new(),
        own: BTreeMap::new(),
        missed: BTreeSet::new(),
        trouble: None,
    };
    watcher.renew(now);
    let mut looked = now;
    loop {
        match orders.recv_timeout(LOOK) {
            Ok(order) => watcher.ordered(order),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let now = watcher.clock.now();
        if now.since_ns(watcher.renewed) >= RENEWED.as_nanos() as u64 {
            watcher.renew(now);
        }
        if now.since_ns(looked) >= LOOK.as_nanos() as u64 {
            looked = now;
            watcher.look(now);
        }
    }
    // What is still held is anybody's now.
    let name = watcher.shared.name().to_owned();
    watcher.shared.bury(&name);
}

impl<T: Fn(News)> Watcher<T> {
    fn ordered(&mut self, order: Order) {
        match order {
            Order::Hold(call) => {
                let found = self.shared.look().unwrap_or_default();
                let number = highest(&found, &call.job.id).map_or(1, |number| number + 1);
                let worker = self.shared.name().to_owned();
                self.take(&Lease { number, worker, call: *call });
            }
            Order::Claim(free) => {
                let (number, worker) = (free.number + 1, self.shared.name().to_owned());
                let former = free.number;
                let lease = Lease { number, worker, ..*free };
                if self.take(&lease) {
                    // Whoever held it before finds that it does not, whether this is there or not.
                    (1..=former).for_each(|number| self.shared.remove(lease.id(), number));
                    self.renew(self.clock.now());
                    let age_ms = self.shared.age_ms(lease.id());
                    (self.tell)(News::Claimed(Box::new(lease), age_ms));
                }
            }
            Order::GiveBack(job) => {
                self.changed(&job, |lease| lease.worker.clear());
                self.shared.rights().held.remove(&job);
                self.own.remove(&job);
            }
            Order::Seats(job, seats) => self.changed(&job, |lease| lease.call.seats = seats),
            Order::Moved(job, room_sid) => {
                self.changed(&job, |lease| lease.call.job.room_sid = room_sid);
            }
            Order::Release(job) => {
                let mut rights = self.shared.rights();
                rights.held.remove(&job);
                rights.lost.remove(&job);
                drop(rights);
                if let Some(lease) = self.own.remove(&job) {
                    self.shared.remove(&job, lease.number);
                    standby::remove(&self.shared.journal(&job));
                }
            }
        }
    }

    fn changed(&mut self, job: &str, change: impl FnOnce(&mut Lease)) {
        let Some(lease) = self.own.get_mut(job) else { return };
        change(lease);
        let written = self.shared.write(lease);
        self.troubled(written.err());
    }

    /// Takes a lease, if nobody else has.
    fn take(&mut self, lease: &Lease) -> bool {
        match self.shared.put(lease) {
            Ok(true) => {
                self.own.insert(lease.id().to_owned(), lease.clone());
                true
            }
            Ok(false) => false,
            Err(error) => {
                self.troubled(Some(error));
                false
            }
        }
    }

    fn renew(&mut self, now: Moment) {
        self.renewed = now;
        self.count += 1;
        let renewed = self.shared.renew(self.count);
        self.troubled(renewed.err());
    }

    fn troubled(&mut self, error: Option<std::io::Error>) {
        let Some(error) = error.map(|error| error.to_string()) else { return };
        if self.trouble.as_ref() != Some(&error) {
            (self.tell)(News::Trouble(error.clone()));
            self.trouble = Some(error);
        }
    }

    fn look(&mut self, now: Moment) {
        let found = match self.shared.look() {
            Ok(found) => found,
            Err(error) => return self.troubled(Some(error)),
        };
        self.trouble = None;
        // Where this worker could not look, or not write, nobody else could say that they live.
        if now.since_ns(self.looked) > STALLED_NS {
            self.workers.values_mut().for_each(|(_, since)| *since = now);
        }
        self.looked = self.clock.now();
        for name in &found.workers {
            let says = self.shared.says(name);
            if self.workers.get(name).is_none_or(|(known, _)| *known != says) {
                self.workers.insert(name.clone(), (says, now));
            }
        }
        self.lost(&found);
        self.free(&found, now);
        self.bury(&found, now);
    }

    /// Calls that others have taken over, and perhaps brought to their end.
    fn lost(&mut self, found: &Found) {
        let Self { own, missed, .. } = self;
        let mut is_lost = |job: &str, own: u32| match highest(found, job) {
            Some(number) if number == own => {
                missed.remove(job);
                false
            }
            Some(number) if number > own => true,
            // A folder on a network may not know of it yet.
            Some(_) | None => !missed.insert(job.to_owned()),
        };
        let lost = own.extract_if(.., |job, lease| is_lost(job, lease.number));
        let lost: Vec<String> = lost.map(|(job, _)| job).collect();
        for job in lost {
            self.missed.remove(&job);
            let mut rights = self.shared.rights();
            rights.held.remove(&job);
            rights.lost.insert(job.clone());
            drop(rights);
            (self.tell)(News::Lost(job));
        }
    }

    /// Calls whose holder is dead.
    fn free(&mut self, found: &Found, now: Moment) {
        self.holders.retain(|(job, number), _| highest(found, job) == Some(*number));
        for (job, numbers) in &found.leases {
            let Some(&number) = numbers.last() else { continue };
            if self.own.contains_key(job) {
                continue;
            }
            let key = (job.clone(), number);
            let holder = self.holders.get(&key).cloned().or_else(|| {
                let holder = self.shared.read(job, number)?.worker;
                self.holders.insert(key, holder.clone());
                Some(holder)
            });
            // One that is not written yet has a holder that says nothing; so has one whose worker has no file.
            let holder = holder.unwrap_or_else(|| format!("{job}.{number}"));
            let (_, since) = self.workers.entry(holder).or_insert_with(|| (String::new(), now));
            let silent = silent(*since, now);
            if silent < HELD {
                continue;
            }
            if silent >= GIVEN_UP {
                numbers.iter().for_each(|number| self.shared.remove(job, *number));
                standby::remove(&self.shared.journal(job));
                continue;
            }
            // Whoever has made the last file may have died before it was written: what it held is in the one before.
            let lease = numbers.iter().rev().find_map(|&number| self.shared.read(job, number));
            if let Some(lease) = lease {
                (self.tell)(News::Free(Box::new(Lease { number, ..lease }), silent));
            }
        }
    }

    /// Removes what workers have left that are gone, and forgets them.
    fn bury(&mut self, found: &Found, now: Moment) {
        let own = self.shared.name().to_owned();
        // Not before its calls are given up: their silence counts from its last word.
        let gone = |since: Moment| silent(since, now) >= GIVEN_UP + BURIED;
        let long_gone: BTreeSet<String> = self
            .workers
            .iter()
            .filter(|(name, (_, since))| **name != own && gone(*since))
            .map(|(name, _)| name.clone())
            .collect();
        for name in long_gone {
            if found.workers.contains(&name) {
                self.shared.bury(&name);
            } else {
                self.workers.remove(&name);
            }
        }
    }
}

/// How long somebody has said nothing.
fn silent(since: Moment, now: Moment) -> Duration {
    Duration::from_nanos(now.since_ns(since))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use crossbeam_channel::{Receiver, bounded};

    use super::*;
    use crate::cli::worker::leases::{Call, Leases};
    use crate::livekit::roster::Seat;
    use crate::livekit::worker::Job;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn worker(folder: &Path) -> (Leases, Receiver<News>) {
        let (tell, told) = bounded(1_000);
        let leases = Leases::open(folder, move |news| drop(tell.try_send(news))).unwrap();
        (leases, told)
    }

    fn call(id: &str) -> Call {
        Call {
            job: Job { id: id.to_owned(), ..Job::default() },
            server: "ws://x".into(),
            config: "desk".into(),
            conversation: None,
            session: String::new(),
            build: String::new(),
            seats: Vec::new(),
        }
    }

    #[track_caller]
    fn claimed(told: &Receiver<News>) -> Lease {
        loop {
            match told.recv_timeout(PATIENCE).expect("there is news") {
                News::Claimed(lease, _) => return *lease,
                News::Trouble(why) => panic!("{why}"),
                News::Free(..) | News::Lost(_) => {}
            }
        }
    }

    #[track_caller]
    fn free(told: &Receiver<News>) -> Lease {
        loop {
            if let News::Free(lease, silent) = told.recv_timeout(PATIENCE).expect("there is news") {
                assert!(silent >= HELD);
                return *lease;
            }
        }
    }

    #[test]
    fn a_call_whose_worker_is_silent_is_anybodys_and_only_one_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let dead = Shared::open(folder.path()).unwrap();
        let seats = vec![Seat { identity: "ann".into(), sid: "PA_1".into() }];
        let lease =
            Lease { number: 1, worker: dead.name().into(), call: Call { seats, ..call("AJ_1") } };
        assert!(dead.put(&lease).unwrap());
        let (one, of_one) = worker(folder.path());
        let (two, of_two) = worker(folder.path());
        one.hold(call("AJ_2"));
        let found = free(&of_one);
        assert_eq!(found, lease);
        one.claim(found.clone());
        let own = claimed(&of_one);
        two.claim(found);
        assert_eq!((own.number, own.call.seats[0].sid.as_str()), (2, "PA_1"));
        // The second finds that there is a holder, who lives: in the end nothing is free any more.
        while let Ok(news) = of_two.recv_timeout(2 * HELD) {
            assert!(matches!(news, News::Free(..)), "nobody else has it: {news:?}");
        }
        assert!(one.right("AJ_1").holds());
        assert!(!dead.holds("AJ_1"), "who is not quite dead finds that it is not its own");
        one.release("AJ_1");
        one.release("AJ_2");
        drop((one, two));
        let left = dead.look().unwrap();
        assert!(left.leases.is_empty(), "{left:?}");
        assert_eq!(left.workers.len(), 1, "only that of the dead one: {left:?}");
    }

    #[test]
    fn who_has_lost_a_call_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (one, told) = worker(folder.path());
        one.hold(call("AJ_1"));
        let other = Shared::open(folder.path()).unwrap();
        let own = (0..1_000).find_map(|_| {
            crate::host::pace::pause(10);
            other.read("AJ_1", 1)
        });
        let own = own.expect("it is held");
        assert!(other.put(&Lease { number: 2, worker: other.name().into(), ..own }).unwrap());
        let lost = told.recv_timeout(PATIENCE).expect("there is news");
        assert!(matches!(lost, News::Lost(id) if id == "AJ_1"));
        assert!(!one.right("AJ_1").holds());
        one.release("AJ_1");
        drop(one);
        assert_eq!(other.look().unwrap().leases["AJ_1"].last(), Some(&2), "it is not given back");
    }

    #[test]
    fn what_is_no_lease_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in
            [("x.lease", ""), ("AJ_1.1.lease", "{"), ("AJ_2.one.lease", ""), ("a.worker", "")]
        {
            let leases = folder.path().join("leases");
            std::fs::create_dir_all(&leases).unwrap();
            std::fs::write(leases.join(name), text).unwrap();
        }
        let shared = Shared::open(folder.path()).unwrap();
        let found = shared.look().unwrap();
        assert_eq!(found.leases.keys().collect::<Vec<_>>(), ["AJ_1"]);
        assert_eq!(shared.read("AJ_1", 1), None);
    }
}
