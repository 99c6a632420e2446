//! Antiphon: a real-time voice agent gateway.
//!
//! A **session** is a deterministic state machine that turns *(tick, what arrived)* into *(audio to
//! play, effects to perform)*. A **shard** steps many sessions in real time, a **world** steps them in
//! virtual time, a **replay** steps them from a journal; everything that touches a clock, a disk, a
//! device or an engine is an **edge** that only carries values in and out.
//!
//! ```
//! use std::sync::Arc;
//! use antiphon::{clock::{Rate, TickLen}, config, id::LaneId, seed::Seed};
//! use antiphon::session::{Session, event::EventKind, plan::Plan};
//! use antiphon::sim::{caller::{Act, Caller, Cue, Part, When}, network::{Faults, Network}};
//! use antiphon::sim::{tools::{Latency, VirtualTools}, world};
//! use antiphon::slot::Slot;
//! use antiphon::tool::Registry;
//!
//! // An agent that understands one thing,
//! let config = config::parse(br#"
//! name: hello
//! agents:
//!   desk:
//!     intents:
//!       - { name: hours, phrases: [when are you open], say: From nine to six. }
//! "#, "hello.yaml").unwrap();
//! let plan = Arc::new(Plan::new(config).unwrap());
//!
//! // a caller who types it,
//! let part = Part {
//!     name: "ada".into(),
//!     cues: vec![Cue { when: When::Start(100), act: Act::Type("When are you open?".into()) }],
//!     noise: Arc::default(),
//!     patience_ms: 1_000,
//!     hang_up_ms: 1_000,
//!     audio: false,
//! };
//! let network = Network::new(Faults::NONE, Seed::new(1));
//! let caller = Caller::new(part, LaneId(0), plan.len, plan.rate, network);
//!
//! // and a world in which they talk.
//! let tools = VirtualTools::new(Registry::default(), Latency::Waited, plan.len, "hello".into());
//! let session = Session::new(&plan, 1);
//! let mut slot = Slot::new(plan, session, vec![Box::new(caller)], Box::new(tools), None);
//! let mut said = Vec::new();
//! world::run(&mut slot, 1_000, |slot| {
//!     said.extend(slot.output().events.iter().filter_map(|event| match &event.kind {
//!         EventKind::AgentMessage { text, .. } => Some(text.clone()),
//!         _ => None,
//!     }));
//!     true
//! });
//! assert_eq!(said, ["From nine to six."]);
//! ```
//!
//! The layers, from low to high; each uses only those before it:
//!
//! | layer | what it is |
//! |---|---|
//! | [`clock`], [`id`], [`seed`] | ticks, names, randomness: the vocabulary |
//! | [`pcm`] | frames: order, concealment, resampling, voice, mixing, playout, WAV |
//! | [`talk`] | transcript, floor, words |
//! | [`tool`] | tools, their registry, the one way to run them |
//! | [`graph`] | agents, and who hands over to whom |
//! | [`config`] | strict YAML, with every complaint at once |
//! | [`think`] | how agents decide |
//! | [`session`] | one conversation: [`session::Session::step`] |
//! | [`journal`] | everything that came from outside, with a digest a tick |
//! | [`slot`] | one session with everything around it |
//! | [`sim`] | virtual time: callers, networks, replay |
//! | [`model`] | engines: speech in, speech out |
//! | [`host`] | real time: shards, workers, journals on disk |
//! | `generate` | models and tools for programs without audio (feature `models`) |
//! | `provider` | models of others, over the network (feature `providers`) |
//! | `remote` | tools of HTTP servers, processes and MCP servers (feature `remote`) |
//! | [`record`] | the output folder of a run |
//! | `livekit` | LiveKit rooms (feature `livekit`) |
//! | `device` | this machine's microphone and speaker (feature `device`) |
//! | `web` | servers of this process (feature `web`) |
//! | `cli` | the command line (feature `cli`) |

pub mod clock;
pub mod id;
pub mod seed;

pub mod pcm;
pub mod talk;
pub mod tool;

pub mod config;
pub mod graph;
pub mod think;

pub mod session;

pub mod journal;
pub mod slot;

pub mod sim;

pub mod model;

#[cfg(feature = "models")]
pub mod generate;
pub mod host;
#[cfg(feature = "providers")]
pub mod provider;
pub mod record;
#[cfg(feature = "remote")]
pub mod remote;

#[cfg(feature = "livekit")]
pub mod livekit;

#[cfg(feature = "device")]
pub mod device;

#[cfg(feature = "web")]
pub mod web;

#[cfg(feature = "cli")]
pub mod cli;
