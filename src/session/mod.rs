//! The session: one conversation, as a deterministic state machine.
//!
//! [`Session::step`] turns a tick and what arrived for it into a tick of audio, events and effects.
//! Its eight phases follow each other in a fixed order:
//!
//! ```text
//! admit   what arrived, in arrival order; a hand-over of the last tick becomes effective
//! hear    a lane per participant → voice → floor
//! wake    delays that are over: end of turn, false interruption, overdue engines and tools
//! think   the agent answers turns and tool outcomes
//! work    tool calls, synchronously, in order
//! route   the agent graph: at most one move, effective at the next tick
//! speak   playout → exactly one tick of audio
//! seal    the digest
//! ```
//!
//! Under [strain], `think`, `work` and `route` are for one of a few ticks; all else is for every one.
//!
//! **Invariant:** no clock, no I/O, no threads, no locks: equal plans and inputs give equal outputs,
//! bit for bit, and a session serialised at any tick goes on alike.

mod admit;
mod agents;
pub mod checkpoint;
pub mod context;
mod dialogue;
pub mod event;
mod hear;
pub mod held;
mod hold;
pub mod input;
pub mod lane;
pub mod laps;
mod mind;
mod native;
pub mod output;
pub mod plan;
mod policy;
pub mod reload;
mod request;
mod route;
mod seal;
mod speak;
mod state;
pub mod strain;
mod think;
mod verbs;
mod wake;
mod work;

pub(crate) use seal::digest_pcm;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::clock::Tick;
use crate::graph::Results;
use crate::graph::facts::Facts;
use crate::id::{AgentId, CallId, ItemId, LaneId, NativeId, RequestId, UtteranceId};
use crate::pcm::playout::Playout;
use crate::seed::Seed;
use crate::talk::floor::{Floor, TurnEnd};
use crate::talk::transcript::{Said, Transcript};
use crate::think::echo::Echo;
use crate::think::script::Asked;
use crate::tool::{Hands, Json, Outcome, ToolCall};

use agents::{Caller, Next, Tenure};
use context::Memory;
use dialogue::Dialogue;
use event::{EndReason, Event, EventKind};
use hold::OnHold;
use input::Input;
use lane::Lane;
use laps::{Laps, Phase, Unmarked};
use mind::Mind;
use native::Native;
use output::Output;
use plan::{AgentKind, Plan};
use policy::Used;
use strain::Strain;

/// One conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    life: Life,
    /// The next tick.
    tick: Tick,
    seed: Seed,
    digest: u64,
    events: u64,
    lanes: Vec<Lane>,
    floor: Floor,
    playout: Playout,
    transcript: Transcript,
    /// What the items say that are announced, for the transcript.
    speaking: BTreeMap<ItemId, Speaking>,
    echo: Option<Echo>,
    agent: AgentId,
    /// Who takes over at the next tick.
    next: Option<Next>,
    /// Of the current agent: since when, and what has come since.
    tenure: Tenure,
    moves_in_turn: u32,
    /// Transitions that were refused in this turn.
    refused: Vec<u32>,
    /// Turns of the user.
    turn_count: u32,
    /// The turn that the user is having by voice.
    talk: Talk,
    /// The agents that have called another one and wait for its value, outermost first.
    callers: Vec<Caller>,
    facts: Facts,
    /// What is told of the call to who asks for its context.
    memory: Memory,
    /// What is used of the policies.
    used: Used,
    /// The user is on hold.
    hold: Option<OnHold>,
    /// Idle prompts without an answer.
    idle_prompts: u32,
    /// When the last one came.
    prompted: Tick,
    items: u32,
    calls: u32,
    occurrences: BTreeMap<String, u32>,
    pending: Vec<Pending>,
    /// What models do for agents, in the order in which they have begun.
    minds: Vec<Mind>,
    /// The conversation with the current agent's model, if it hears and speaks.
    native: Option<Native>,
    /// The conversation of the agent before, as long as words of it are awaited.
    leaving: Option<native::Leaving>,
    /// What the current agent begins with, once those words are there.
    entering: Option<agents::Entering>,
    /// Conversations with models that hear and speak.
    natives: u32,
    /// The words of an utterance that is not over.
    interim: Option<(LaneId, UtteranceId, String)>,
    /// Runs of models that have begun.
    runs: u32,
    /// Questions to models.
    asks: u32,
    /// Questions for approval.
    approvals: u32,
    /// When the first utterance began of what the users are saying.
    began: Tick,
    /// What was said and called, as models are told it.
    dialogue: Dialogue,
    answered: Vec<Answered>,
    /// Requests of participants that are not answered.
    requests: Vec<Request>,
    /// The calls that requests of this tick lead to; empty between ticks, but under strain.
    requested: Vec<Wanted>,
    /// Since when nobody has been there who was there before.
    alone_since: Option<Tick>,
    /// What was heard of items that were cut, until it is known that they are not resumed.
    cut_off: Vec<(ItemId, Said)>,
    /// Turns that ended in this tick; empty between ticks, but under strain.
    turns: Vec<Ended>,
    /// What came of the configurations of this tick; empty between ticks.
    #[serde(skip)]
    reloads: VecDeque<EventKind>,
    /// What is no audio is not done in every tick.
    strain: Option<Strain>,
}

/// The life of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Life {
    /// It has not stepped.
    Ready,
    /// It goes on.
    Running,
    /// It ends when everything said has been played.
    Closing(EndReason),
    /// It is over.
    Ended,
}

/// An item that is announced and not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Speaking {
    from: Tick,
    text: String,
    apology: bool,
}

/// A call without an outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pending {
    call: CallId,
    name: String,
    since: Tick,
    timeout: u64,
    asker: Asker,
    deferred: bool,
    /// What becomes of its outcome, if the agent that asked has handed over.
    fate: Results,
    /// So long a model's turn waits for it; after that, the model goes on without it.
    patience: Option<u64>,
    /// Words for the time until it is there have been said.
    filled: bool,
    /// The policy that sets the timeout, if one does.
    policy: Option<String>,
    /// What it does to the call, if it is a verb that the room carries out.
    verb: Option<Doing>,
}

/// Who has asked for a call, and learns its outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Asker {
    /// An agent, by its script.
    Agent(Asked),
    /// A participant, by its request.
    Participant(RequestId),
    /// A model, in a run for an agent.
    Model { agent: AgentId, run: u32 },
    /// A model that hears and speaks for an agent.
    Native { agent: AgentId, native: NativeId },
}

impl Asker {
    /// The agent that has asked.
    fn agent(&self) -> Option<AgentId> {
        match self {
            Self::Agent(asked) => Some(asked.agent),
            Self::Model { agent, .. } | Self::Native { agent, .. } => Some(*agent),
            Self::Participant(_) => None,
        }
    }
}

/// A call that is to be made in this tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wanted {
    call: ToolCall,
    asker: Asker,
}

/// What a verb that the room carries out does to the call, once it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Doing {
    /// It is passed on.
    Transfer { to: String, warm: bool },
    /// Keys are pressed.
    Digits(String),
}

/// A participant's request that is not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    id: RequestId,
    since: Tick,
}

/// An outcome that the agent does not know yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Answered {
    call: CallId,
    name: String,
    asker: Asker,
    outcome: Outcome,
    fate: Results,
}

/// How long the user has been talking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Talk {
    /// It is not.
    #[default]
    Quiet,
    /// Since then.
    Since(Tick),
    /// For too long: it is answered as soon as its words are known.
    Cut,
    /// It is answered, though it may be still talking.
    Answered,
}

/// A turn of the user that is to be answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ended {
    turn: Option<TurnEnd>,
    typed: bool,
}

impl Session {
    /// A session of a plan, about to begin.
    #[must_use]
    pub fn new(plan: &Plan, seed: u64) -> Self {
        let echo = match plan.agent(plan.start).kind {
            AgentKind::Echo { delay } => Some(Echo::new(delay, plan.samples())),
            AgentKind::Scripted(_) | AgentKind::Model(_) | AgentKind::Native(_) => None,
        };
        Self {
            life: Life::Ready,
            tick: Tick(0),
            seed: Seed::new(seed),
            digest: 0,
            events: 0,
            lanes: Vec::new(),
            floor: Floor::new(),
            playout: Playout::default(),
            transcript: Transcript::new(plan.limits.transcript),
            speaking: BTreeMap::new(),
            echo,
            agent: plan.start,
            next: None,
            tenure: Tenure::default(),
            moves_in_turn: 0,
            refused: Vec::new(),
            turn_count: 0,
            talk: Talk::default(),
            callers: Vec::new(),
            facts: Facts::new(),
            memory: Memory::default(),
            used: Used::default(),
            hold: None,
            idle_prompts: 0,
            prompted: Tick(0),
            items: 0,
            calls: 0,
            occurrences: BTreeMap::new(),
            pending: Vec::new(),
            minds: Vec::new(),
            native: None,
            leaving: None,
            entering: None,
            natives: 0,
            interim: None,
            runs: 0,
            asks: 0,
            approvals: 0,
            began: Tick(0),
            dialogue: Dialogue::default(),
            answered: Vec::new(),
            requests: Vec::new(),
            requested: Vec::new(),
            alone_since: None,
            cut_off: Vec::new(),
            turns: Vec::new(),
            reloads: VecDeque::new(),
            strain: None,
        }
    }

    /// Does one tick. `input` is drained; `out` is cleared and filled. After the session has ended,
    /// nothing happens any more.
    ///
    /// # Panics
    /// If the tick is not the next one, allowing for those skipped: a fault of the driver.
    pub fn step(
        &mut self,
        plan: &Plan,
        input: &mut Input,
        hands: &mut dyn Hands,
        out: &mut Output,
    ) {
        self.step_marked(plan, input, hands, out, &mut Unmarked);
    }

    /// The same tick, and `laps` is told of the end of each phase.
    ///
    /// # Panics
    /// As [`Self::step`].
    pub fn step_marked<L: Laps>(
        &mut self,
        plan: &Plan,
        input: &mut Input,
        hands: &mut dyn Hands,
        out: &mut Output,
        laps: &mut L,
    ) {
        out.clear();
        if self.life == Life::Ended {
            out.audio.resize(plan.samples(), 0);
            out.heard.resize(plan.samples(), 0);
            out.ended = true;
            return;
        }
        let now = self.begin(input);
        self.admit(plan, now, input, out);
        laps.lap(Phase::Admit);
        self.hear(plan, now, input.skipped, out);
        laps.lap(Phase::Hear);
        self.wake(plan, now, out);
        laps.lap(Phase::Wake);
        let mut noted = 0;
        if self.has_its_turn(now) {
            let mut occasions = self.think(plan, now, out);
            laps.lap(Phase::Think);
            self.work(plan, now, hands, &mut occasions, out);
            laps.lap(Phase::Work);
            noted = self.route(plan, now, &mut occasions, out);
            self.ask_models(plan, now, &mut occasions, out);
            self.has_worked();
        }
        laps.lap(Phase::Route);
        self.speak(plan, now, out);
        self.show(plan, out);
        self.worked(plan, now, out);
        laps.lap(Phase::Speak);
        self.note(plan, noted, out);
        self.memorise(out);
        self.seal(plan, now, out);
        laps.lap(Phase::Seal);
    }

    fn begin(&mut self, input: &Input) -> Tick {
        let expected = self.tick.after(u64::from(input.skipped));
        assert_eq!(input.tick, expected, "a driver steps every tick, or says what it skipped");
        self.tick = input.tick.after(1);
        input.tick
    }

    /// Ends the session once everything said has been played; the first reason stands, but who hangs
    /// up waits for nothing.
    fn close(&mut self, reason: EndReason) {
        let hangs_up = matches!(reason, EndReason::HungUp(_)) && self.life != Life::Ended;
        if self.life == Life::Running || hangs_up {
            self.life = Life::Closing(reason);
        }
    }

    fn event(&mut self, tick: Tick, kind: EventKind, out: &mut Output) {
        out.events.push(Event { seq: self.events, tick, kind });
        self.events += 1;
    }

    fn limit(&mut self, now: Tick, limit: &str, out: &mut Output) {
        self.event(now, EventKind::LimitReached { limit: limit.to_owned() }, out);
    }

    /// Goes on with a plan that [succeeds](Plan::succeeding) the one it has run on. Delays that are
    /// under way and lanes that are open keep what they began with.
    pub fn replan(&mut self, plan: &Plan) {
        if self.life == Life::Ready {
            self.agent = plan.start;
        }
        // Of transitions that may be others now.
        self.refused.clear();
        self.tenure.failed.clear();
        self.echo = match (&plan.agent(self.agent).kind, self.echo.take()) {
            (AgentKind::Echo { delay }, None) => Some(Echo::new(*delay, plan.samples())),
            (AgentKind::Echo { .. }, echo) => echo,
            (AgentKind::Scripted(_) | AgentKind::Model(_) | AgentKind::Native(_), _) => None,
        };
    }

    /// The next tick.
    #[must_use]
    pub const fn tick(&self) -> Tick {
        self.tick
    }

    /// The digest of everything so far.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// Whether there is nothing that it waits for, and nothing that is being said: no engine, model or worker knows
    /// anything of it that it does not.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.life == Life::Running
            && self.playout.is_idle()
            && self.lanes.iter().all(|lane| !lane.is_listening())
            && (self.pending.is_empty() && self.answered.is_empty() && self.requests.is_empty())
            && self.turns.is_empty()
            && (self.minds.is_empty() && self.native.is_none() && self.leaving.is_none())
            && (self.next.is_none() && self.entering.is_none())
    }

    /// Whether it is over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.life == Life::Ended
    }

    /// The current agent.
    #[must_use]
    pub const fn agent(&self) -> AgentId {
        self.agent
    }

    /// What was said so far.
    #[must_use]
    pub const fn said(&self) -> &Transcript {
        &self.transcript
    }

    /// What the session remembers.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The agent that takes over at the next tick.
    #[must_use]
    pub fn next_agent(&self) -> Option<AgentId> {
        self.next.as_ref().map(|next| next.to)
    }

    /// The participants' lanes, in the order in which they joined.
    #[must_use]
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Randomness of this session.
    pub const fn seed(&mut self) -> &mut Seed {
        &mut self.seed
    }

    fn next_call(&mut self, name: &str, arguments: Json, lane: Option<LaneId>) -> ToolCall {
        let id = CallId(self.calls);
        self.calls += 1;
        let occurrence = self.occurrences.entry(name.to_owned()).or_insert(0);
        let call = ToolCall { id, name: name.to_owned(), arguments, occurrence: *occurrence, lane };
        *occurrence += 1;
        call
    }
}
