//! Workers: threads that run tools which may wait, shared by sessions.
//!
//! Calls wait in one bounded queue, in the order in which they were made. One whose tool is at work as often as
//! its `max_concurrent` allows is put aside and holds no worker; who has finished a call of that tool goes on
//! with the one put aside first. A worker whose call has timed out is left behind and another started; the one
//! left behind ends when its call does.
//!
//! **Invariant:** a call that was dropped in the queue is never run; no more calls of a tool run at the same time
//! than it allows. The thread of a tick takes no lock that a worker could hold.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::ink::Mark;
use super::pace::pause;
use crate::clock::Tick;
use crate::id::CallId;
use crate::tool::{FailureKind, Outcome, Registry, ToolCall, ToolContext};

/// Workers of a pool: as many slow calls can be under way at once.
pub const WORKERS: usize = 8;

/// Calls that wait for a worker at most, and so many more for others of their tool; beyond, a call fails at once
/// and says so.
const CALLS_WAITING: usize = 64;

/// Workers left behind at most: each keeps a thread that is stuck in somebody's code.
const ABANDONED_MAX: usize = 32;

/// How long a call waits for its journal at most, in milliseconds.
const WRITTEN_MAX_MS: u32 = 1_000;

/// Where a call is: it waits for a worker, a worker has it, it is done, nobody wanted it any more while it
/// waited, or while it ran.
const QUEUED: u8 = 0;
const RUNNING: u8 = 1;
const DONE: u8 = 2;
const DROPPED: u8 = 3;
const ABANDONED: u8 = 4;

/// The place of a call, known to its session and to its worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Place(Arc<AtomicU8>);

impl Place {
    /// Moves a call on; false if it was not where it was thought to be.
    fn moves(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn is_dropped(&self) -> bool {
        self.0.load(Ordering::Acquire) == DROPPED
    }
}

/// A call on its way to a worker.
#[derive(Debug)]
struct Work {
    number: u64,
    tools: Registry,
    context: ToolContext,
    call: ToolCall,
    place: Place,
    reply: Sender<(CallId, Outcome)>,
    written: Option<Written>,
}

/// Where it has to be written that a call is made, before it is.
#[derive(Debug, Clone)]
pub(super) struct Written {
    /// The session's journal.
    pub mark: Mark,
    /// The tick of the call.
    pub tick: Tick,
}

impl Written {
    /// Waits until it is, or the disk has had its time; whether it is.
    fn wait(&self) -> bool {
        (0..WRITTEN_MAX_MS).any(|_| {
            let is_written = self.mark.has(self.tick);
            if !is_written {
                pause(1);
            }
            is_written
        })
    }
}

/// A bounded number of workers, shared by sessions.
#[derive(Debug, Clone)]
pub struct Workers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tools: RwLock<Registry>,
    /// Counts the registries.
    generation: AtomicU64,
    number: AtomicU64,
    calls: (Sender<Work>, Receiver<Work>),
    aside: Arc<Mutex<Aside>>,
    abandoned: Arc<AtomicUsize>,
}

/// The calls of tools that allow so many at the same time.
#[derive(Debug, Default)]
struct Aside {
    running: BTreeMap<String, u32>,
    waiting: BTreeMap<String, VecDeque<Work>>,
}

impl Aside {
    /// A call that a worker has taken from the queue, if it may be run now.
    fn admit(&mut self, work: Work) -> Option<Work> {
        let max = work.tools.spec(&work.call.name).and_then(|spec| spec.max_concurrent);
        let Some(max) = max else { return Some(work) };
        let running = self.running.entry(work.call.name.clone()).or_default();
        if *running < max {
            *running += 1;
            return Some(work);
        }
        for list in self.waiting.values_mut() {
            list.retain(|other| !other.place.is_dropped());
        }
        if self.waiting.values().map(VecDeque::len).sum::<usize>() >= CALLS_WAITING {
            let why = format!("too many calls of `{}` wait already", work.call.name);
            // Not waited for with the lock in hand: one that is lost times out.
            drop(work.reply.try_send((work.call.id, Outcome::failed(FailureKind::NoWorker, why))));
            return None;
        }
        let list = self.waiting.entry(work.call.name.clone()).or_default();
        // Two workers may have taken two calls at once.
        let at = list.partition_point(|other| other.number < work.number);
        list.insert(at, work);
        None
    }

    /// A call of this tool is over: the next of them, if one waits.
    fn next(&mut self, tool: &str) -> Option<Work> {
        let running = self.running.get_mut(tool)?;
        let waiting = self.waiting.get_mut(tool);
        let next = waiting.and_then(|list| {
            std::iter::from_fn(|| list.pop_front()).find(|work| !work.place.is_dropped())
        });
        if next.is_none() {
            *running = running.saturating_sub(1);
            if *running == 0 {
                self.running.remove(tool);
            }
            self.waiting.remove(tool);
        }
        next
    }
}

fn locked(aside: &Mutex<Aside>) -> MutexGuard<'_, Aside> {
    aside.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Workers {
    /// Starts workers for these tools.
    #[must_use]
    pub fn start(tools: Registry, count: usize) -> Self {
        let workers = Self {
            shared: Arc::new(Shared {
                tools: RwLock::new(tools),
                generation: AtomicU64::new(0),
                number: AtomicU64::new(0),
                calls: bounded(CALLS_WAITING),
                aside: Arc::default(),
                abandoned: Arc::default(),
            }),
        };
        for _ in 0..count {
            workers.add();
        }
        workers
    }

    fn add(&self) {
        let shared = Arc::downgrade(&self.shared);
        let calls = self.shared.calls.1.clone();
        let aside = Arc::clone(&self.shared.aside);
        let abandoned = Arc::clone(&self.shared.abandoned);
        let thread = std::thread::Builder::new().name("tool worker".to_owned());
        // Without a thread there is a worker less; a full queue says so when it matters.
        drop(thread.spawn(move || {
            while shared.strong_count() > 0 {
                let Ok(work) = calls.recv_timeout(Duration::from_secs(1)) else { continue };
                let (mut next, mut is_left_behind) = (locked(&aside).admit(work), false);
                while let Some(Work { tools, context, call, place, reply, written, .. }) = next {
                    let may = written.is_none_or(|written| written.wait());
                    // Told to have failed, it must not happen after all.
                    if place.moves(QUEUED, RUNNING) {
                        let outcome = if may {
                            tools.execute(&context, &call)
                        } else {
                            let why = "the journal does not keep up: the call was not made";
                            Outcome::failed(FailureKind::Interrupted, why)
                        };
                        is_left_behind |= !place.moves(RUNNING, DONE);
                        // A session that is gone does not want it any more.
                        drop(reply.send((call.id, outcome)));
                    }
                    next = locked(&aside).next(&call.name);
                }
                if is_left_behind {
                    abandoned.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
            }
        }));
    }

    /// The tools as they are now. They cost next to nothing to copy.
    #[must_use]
    pub fn tools(&self) -> Registry {
        self.shared.tools.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Other tools from now on: a session has them from its next tick, and calls under way end as they were
    /// begun.
    pub fn renew(&self, tools: Registry) {
        *self.shared.tools.write().unwrap_or_else(PoisonError::into_inner) = tools;
        self.shared.generation.fetch_add(1, Ordering::Release);
    }

    /// The tools, if they are others than those of this generation, and nobody is just exchanging them.
    pub(super) fn renewed(&self, generation: &mut u64) -> Option<Registry> {
        let now = self.shared.generation.load(Ordering::Acquire);
        if now == *generation {
            return None;
        }
        let tools = self.shared.tools.try_read().ok()?.clone();
        *generation = now;
        Some(tools)
    }

    /// Hands a call to a worker; none if the queue is full.
    pub(super) fn submit(
        &self,
        tools: Registry,
        (context, call): (ToolContext, ToolCall),
        reply: Sender<(CallId, Outcome)>,
        written: Option<Written>,
    ) -> Option<Place> {
        let number = self.shared.number.fetch_add(1, Ordering::Relaxed);
        let place = Place::default();
        let work = Work { number, tools, context, call, place: place.clone(), reply, written };
        self.shared.calls.0.try_send(work).is_ok().then_some(place)
    }

    /// Nobody waits for a call any more: one that still waits is not run, and the worker of one that runs is
    /// left behind.
    pub(super) fn give_up(&self, place: &Place) {
        if place.moves(QUEUED, DROPPED) {
            return;
        }
        let abandoned = &self.shared.abandoned;
        if abandoned.load(Ordering::Relaxed) < ABANDONED_MAX && place.moves(RUNNING, ABANDONED) {
            abandoned.fetch_add(1, Ordering::Relaxed);
            self.add();
        }
    }
}

#[cfg(test)]
mod tests {

    use serde_json::{Value, json};

    use super::*;
    use crate::tool::{Json, ToolSpec};

    type Reply = (Sender<(CallId, Outcome)>, Receiver<(CallId, Outcome)>);

    /// Tools of which at most `max` calls run at the same time; each tells that it has begun, and ends when it is
    /// allowed to.
    struct Stage {
        workers: Workers,
        begun: Receiver<(String, u64)>,
        go: BTreeMap<String, Sender<()>>,
        reply: Reply,
    }

    impl Stage {
        fn new(limits: &[(&str, Option<u32>)], count: usize) -> Self {
            let ((begin, begun), mut go) = (bounded(100), BTreeMap::new());
            let mut tools = Registry::default();
            for (name, max) in limits {
                let (begin, (allow, allowed)) = (begin.clone(), bounded::<()>(100));
                go.insert((*name).to_owned(), allow);
                let spec = ToolSpec { max_concurrent: *max, ..ToolSpec::new(name, "") };
                let name = (*name).to_owned();
                let tool = move |_: &ToolContext, arguments: &Value| {
                    begin.send((name.clone(), arguments["n"].as_u64().unwrap())).unwrap();
                    allowed.recv().map_err(|error| error.to_string())?;
                    Ok(arguments["n"].clone())
                };
                tools.add(spec, tool).unwrap();
            }
            Self { workers: Workers::start(tools, count), begun, go, reply: bounded(200) }
        }

        fn call(&self, name: &str, n: u32) -> Place {
            let context = ToolContext {
                session: "s".into(),
                call: n.to_string(),
                occurrence: n,
                pause: |_| (),
            };
            let arguments = Json(json!({ "n": n }));
            let (id, name) = (CallId(n), name.to_owned());
            let call = ToolCall { id, name, arguments, occurrence: n, lane: None };
            let reply = self.reply.0.clone();
            let tools = self.workers.tools();
            self.workers.submit(tools, (context, call), reply, None).expect("there is room")
        }

        fn begins(&self) -> (String, u64) {
            self.begun.recv_timeout(Duration::from_secs(10)).expect("a call begins")
        }

        fn ends(&self, tool: &str) -> CallId {
            self.go[tool].send(()).unwrap();
            self.reply.1.recv_timeout(Duration::from_secs(10)).expect("a call ends").0
        }
    }

    #[test]
    fn so_many_calls_of_a_tool_run_at_once_and_others_are_not_held_up() {
        let stage = Stage::new(&[("slow", Some(1)), ("free", None)], 3);
        stage.call("slow", 0);
        assert_eq!(stage.begins(), ("slow".to_owned(), 0));
        // More than there are workers: those put aside hold none.
        for n in 1..6 {
            stage.call("slow", n);
        }
        stage.call("free", 6);
        assert_eq!(stage.begins(), ("free".to_owned(), 6));
        assert!(stage.begun.is_empty(), "a second call of `slow` has begun");
        assert_eq!(stage.ends("free"), CallId(6));
        for n in 0..5 {
            assert_eq!(stage.ends("slow"), CallId(n));
            let next = ("slow".to_owned(), u64::from(n) + 1);
            assert_eq!(stage.begins(), next, "in the order of the queue");
            assert!(stage.begun.is_empty(), "two calls of `slow` run");
        }
        assert_eq!(stage.ends("slow"), CallId(5));
    }

    #[test]
    fn a_call_that_was_given_up_while_it_waited_is_never_run() {
        let stage = Stage::new(&[("slow", Some(1))], 2);
        stage.call("slow", 0);
        stage.begins();
        let given_up = stage.call("slow", 1);
        stage.call("slow", 2);
        stage.workers.give_up(&given_up);
        stage.ends("slow");
        assert_eq!(stage.begins(), ("slow".to_owned(), 2));
        assert_eq!(stage.ends("slow"), CallId(2));
    }

    #[test]
    fn too_many_calls_of_a_tool_are_refused() {
        let stage = Stage::new(&[("slow", Some(1))], 2);
        stage.call("slow", 0);
        stage.begins();
        let mut refused = None;
        for n in 1..=200 {
            // The queue itself is emptied by a free worker, which puts each call aside.
            while stage.workers.shared.calls.0.len() > CALLS_WAITING / 2 {
                std::thread::yield_now();
            }
            stage.call("slow", n);
            if let Ok((id, outcome)) = stage.reply.1.try_recv() {
                refused = Some((id, outcome));
                break;
            }
        }
        let (_, outcome) = refused.expect("one is refused");
        let Outcome::Failed(failure) = outcome else { panic!("it is done") };
        assert_eq!(failure.kind, FailureKind::NoWorker);
    }

    #[test]
    fn a_worker_that_was_left_behind_ends_with_its_call() {
        let stage = Stage::new(&[("stuck", None)], 1);
        let (tell, told) = bounded(1);
        let place = stage.call("stuck", 0);
        stage.begins();
        stage.workers.give_up(&place);
        assert_eq!(stage.workers.shared.abandoned.load(Ordering::Relaxed), 1);
        // Another has taken its place.
        stage.call("stuck", 1);
        assert_eq!(stage.begins(), ("stuck".to_owned(), 1));
        stage.ends("stuck");
        stage.ends("stuck");
        let shared = Arc::clone(&stage.workers.shared);
        std::thread::spawn(move || {
            while shared.abandoned.load(Ordering::Relaxed) > 0 {
                std::thread::yield_now();
            }
            tell.send(()).unwrap();
        });
        told.recv_timeout(Duration::from_secs(10)).expect("the one left behind has ended");
    }
}
