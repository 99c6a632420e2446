//! Participants of rooms that a bench has in its own process: agents with sessions on a shard, and callers who
//! are stepped by the bench itself.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, never};
use livekit_protocol::CreateAgentDispatchRequest;

use super::server::Server;
use crate::cli::failure::Failure;
use crate::clock::Tick;
use crate::config;
use crate::host::codec::{OpusOutlet, OutletOptions};
use crate::host::pace::{Class, Clock, Moment};
use crate::host::packets::line;
use crate::host::shard::{Measured, Shard, Watch};
use crate::host::tools::{LiveTools, Workers};
use crate::livekit::api::ask;
use crate::livekit::edge::RoomEdge;
use crate::livekit::network::Network;
use crate::livekit::paths::Allowed;
use crate::livekit::room::{Line, News, Options, Room, Stamp};
use crate::livekit::telephone::Telephones;
use crate::livekit::tls;
use crate::session::Session;
use crate::session::input::{Inbound, Input};
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::slot::{Edge, Slot, Status};
use crate::tool::Registry;
use tokio_rustls::TlsConnector;

/// How long anything of a room may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Stamps that wait to be read at most.
const STAMPS_WAITING: usize = 65_536;

/// The identity of the agent in each room.
const AGENT: &str = "agent";

/// Everything that rooms share in a process.
pub(super) struct House {
    pub(super) server: Server,
    pub(super) network: Network,
    shard: Shard,
    workers: Workers,
    pub(super) tls: TlsConnector,
    clock: Clock,
}

fn broken(what: &str, why: impl std::fmt::Display) -> Failure {
    Failure::broken(format!("{what}: {why}"))
}

/// The plan of a bench's agents.
pub(super) fn plan(text: &str) -> Result<Arc<Plan>, Failure> {
    let config = config::parse(text.as_bytes(), "bench")
        .map_err(|why| broken("the bench's own plan", why))?;
    Plan::new(config).map(Arc::new).map_err(|why| broken("the bench's own plan", why))
}

/// A participant with its line, before the room.
struct Entered {
    edge: RoomEdge,
    room: Room,
    stamps: Receiver<Stamp>,
}

impl House {
    pub(super) fn new(server: Server) -> Result<Self, Failure> {
        Ok(Self {
            server,
            network: Network::start(Class::Normal)
                .map_err(|why| broken("no thread for the network", why))?,
            shard: Shard::start(Class::RealTime)
                .map_err(|why| broken("no thread for the sessions", why))?,
            workers: Workers::start(Registry::default(), 1),
            tls: tls::connector(None).map_err(Failure::input)?,
            clock: Clock::default(),
        })
    }

    /// How somebody enters a room: the agent, or a caller by this identity.
    pub(super) fn options(
        &self,
        plan: &Plan,
        room: &str,
        identity: Option<&str>,
    ) -> Result<Options, Failure> {
        let key = &self.server.key;
        let pass = match identity {
            None => key.agent(room, AGENT, AGENT),
            Some(identity) => key.visitor(room, identity, identity, None),
        };
        Ok(Options {
            address: self.server.address.clone(),
            pass: pass.map_err(Failure::broken)?,
            name: AGENT.to_owned(),
            // A caller hears the agent; an agent hears everybody but agents.
            listen_to: None,
            agents: identity.is_some(),
            red: plan.config.livekit.publish.red,
            dtx: true,
            tls: self.tls.clone(),
            allowed: Allowed::default(),
            rate: plan.rate,
            reorder: plan.reorder,
            telephones: Telephones { key: None, trunk: None },
            seats: None,
            insists: false,
        })
    }

    fn enter(
        &self,
        plan: &Plan,
        room: &str,
        identity: Option<&str>,
        stamped: bool,
    ) -> Result<Entered, Failure> {
        let options = self.options(plan, room, identity)?;
        let outlet = OpusOutlet::new(plan.rate, OutletOptions::default())
            .map_err(|why| broken("no codec", why))?;
        let (trunk, opus) = line(outlet, plan.len);
        let cord = self.network.cord();
        let (edge, notices, lost) = RoomEdge::new(opus, cord.clone());
        let (stamp, stamps) = bounded(if stamped { STAMPS_WAITING } else { 1 });
        let stamp = stamped.then_some(stamp);
        let line = Line { trunk, notices, lost, calls: never(), stamps: stamp };
        Ok(Entered { edge, room: Room::join(&self.network, options, line, cord), stamps })
    }

    /// An agent joins a room, with a session that begins at once; its edge may be put into another.
    pub(super) fn agent(
        &self,
        plan: &Arc<Plan>,
        room: &str,
        stamped: bool,
        around: impl FnOnce(RoomEdge, &Receiver<Stamp>) -> Box<dyn Edge>,
    ) -> Result<Agent, Failure> {
        let Entered { edge, room, stamps } = self.enter(plan, room, None, stamped)?;
        let edges = vec![around(edge, &stamps)];
        let (overruns, _) = bounded(1);
        let tools = LiveTools::new(self.workers.clone(), "bench".to_owned(), overruns);
        let session = Session::new(plan, 0);
        let slot = Slot::new(Arc::clone(plan), session, edges, Box::new(tools), None);
        let (stop, stopped) = bounded(1);
        let (tell, ended) = bounded(1);
        if !self.shard.admit(slot, Box::new(Until { stopped, tell })) {
            return Err(Failure::broken("the sessions' thread is gone"));
        }
        Ok(Agent { room, stop, ended })
    }

    /// Asks the server for an agent of this name, on the network's thread; what came of it is told.
    pub(super) fn dispatch(
        &self,
        room: &str,
        agent: &str,
        tell: Sender<Result<(), String>>,
    ) -> Result<(), Failure> {
        let request = CreateAgentDispatchRequest {
            agent_name: agent.to_owned(),
            room: room.to_owned(),
            ..CreateAgentDispatchRequest::default()
        };
        let (address, tls) = (self.server.address.clone(), self.tls.clone());
        let token = self.server.key.admin(room).map_err(Failure::broken)?;
        let spawned = self.network.spawn(move |_| async move {
            let with = (token.secret(), &request);
            let asked = ask(&address, &tls, "AgentDispatchService", "CreateDispatch", with).await;
            tell.try_send(asked.map(drop)).ok();
        });
        if spawned {
            Ok(())
        } else {
            Err(Failure::broken("the network's thread has too much to do"))
        }
    }

    /// A caller joins a room; it is stepped by who asked for it.
    pub(super) fn caller(
        &self,
        plan: &Arc<Plan>,
        room: &str,
        identity: &str,
    ) -> Result<Caller, Failure> {
        let joined = self.clock.now();
        let Entered { edge, room, stamps } = self.enter(plan, room, Some(identity), true)?;
        Ok(Caller {
            edge,
            room,
            stamps,
            joined,
            frame: plan.rate.frame(),
            tick: Tick(0),
            input: Input::default(),
            output: Output::default(),
        })
    }
}

/// Waits for news of a kind.
pub(super) fn until(room: &Room, wanted: impl Fn(&News) -> bool) -> Result<(), Failure> {
    loop {
        match room.news.recv_timeout(PATIENCE) {
            Ok(news) if wanted(&news) => return Ok(()),
            Ok(News::Refused(error)) => return Err(Failure::broken(error.to_string())),
            Ok(News::Ended(end, _)) => return Err(Failure::broken(end.to_string())),
            Ok(_) => {}
            Err(_) => return Err(Failure::broken("a room does not answer")),
        }
    }
}

/// Leaves a room, and waits until that is done.
pub(super) fn leave(room: &Room) -> Result<(), Failure> {
    room.leave();
    loop {
        match room.news.recv_timeout(PATIENCE) {
            Ok(News::Ended(..)) => return Ok(()),
            Ok(_) => {}
            Err(_) => return Err(Failure::broken("a room is not left")),
        }
    }
}

/// An agent in a room.
pub(super) struct Agent {
    pub(super) room: Room,
    stop: Sender<()>,
    ended: Receiver<()>,
}

impl Agent {
    /// Ends the session, and leaves the room.
    pub(super) fn leave(self) -> Result<(), Failure> {
        self.stop.try_send(()).ok();
        let over = self.ended.recv_timeout(PATIENCE);
        leave(&self.room)?;
        over.map_err(|_| Failure::broken("a session does not end"))
    }
}

/// Lets a session run until it is told to stop.
struct Until {
    stopped: Receiver<()>,
    tell: Sender<()>,
}

impl Watch for Until {
    fn ticked(&mut self, slot: &mut Slot, _: Measured) -> bool {
        slot.output_mut().spent.clear();
        self.stopped.is_empty()
    }

    fn ended(&mut self, slot: Slot, _: Status) {
        drop(slot);
        self.tell.try_send(()).ok();
    }
}

/// Somebody who is stepped by hand, a frame at a time.
pub(super) struct Caller {
    edge: RoomEdge,
    pub(super) room: Room,
    pub(super) stamps: Receiver<Stamp>,
    /// When it began to join.
    pub(super) joined: Moment,
    frame: usize,
    tick: Tick,
    input: Input,
    output: Output,
}

impl Caller {
    /// Says a frame, and gives what was heard meanwhile.
    pub(super) fn step(&mut self, said: impl FnOnce(&mut [i16])) -> &[i16] {
        self.input.clear(self.tick, 0);
        self.edge.give(self.tick, &mut self.input);
        self.input.inbound.retain(|value| matches!(value, Inbound::Audio { .. }));
        self.output.clear();
        self.output.audio.resize(self.frame, 0);
        said(&mut self.output.audio);
        self.edge.take(self.tick, &self.output);
        self.tick = self.tick.after(1);
        &self.input.pcm
    }

    pub(super) fn leave(self) -> Result<(), Failure> {
        leave(&self.room)
    }
}
