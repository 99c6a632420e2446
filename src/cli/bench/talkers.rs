//! Sessions to pace: in each a participant talks all the time and is said back what it says, so that
//! every tick is the work of a conversation, both ways, with a journal.

use std::sync::Arc;

use crossbeam_channel::bounded;

use crate::cli::failure::Failure;
use crate::clock::{Rate, TickLen};
use crate::config;
use crate::host::tools::{LiveTools, Workers};
use crate::id::LaneId;
use crate::journal::{Header, Scribe};
use crate::pcm::{resample, wav};
use crate::seed::Seed;
use crate::session::Session;
use crate::session::plan::Plan;
use crate::sim::caller::{Act, Caller, Cue, Part, When};
use crate::sim::network::{Faults, Network};
use crate::slot::Slot;
use crate::tool::Registry;

const CLIPS: [&[u8]; 4] = [
    include_bytes!("../../../audio/caller-01-order.wav"),
    include_bytes!("../../../audio/caller-03-billing.wav"),
    include_bytes!("../../../audio/caller-08-barge-in.wav"),
    include_bytes!("../../../audio/caller-10-goodbye.wav"),
];

/// Silence between two clips, in milliseconds: as between two sentences.
const PAUSE_MS: u32 = 300;

/// Makes sessions.
pub(super) struct Talkers {
    plan: Arc<Plan>,
    clips: Vec<Arc<[i16]>>,
    workers: Workers,
    header: Header,
}

impl Talkers {
    /// Sessions of ticks of this length.
    pub(super) fn new(len: TickLen) -> Result<Self, Failure> {
        let text = format!(
            "name: pacing\naudio: {{ tick_ms: {} }}\nturn: {{ away_ms: 0 }}\n\
             agents: {{ echo: {{ kind: echo, delay_ms: 500 }} }}\n",
            len.ms()
        );
        let broken = |why: String| Failure::broken(format!("the bench's own session: {why}"));
        let config = config::parse(text.as_bytes(), "pacing");
        let config = config.map_err(|why| broken(why.to_string()))?;
        let plan = Plan::new(config).map_err(|why| broken(why.to_string()))?;
        let header = Header { virtual_time: false, ..Header::new(&plan, 1) };
        let clips = clips(plan.rate).map_err(broken)?;
        let workers = Workers::start(Registry::default(), 1);
        Ok(Self { plan: Arc::new(plan), clips, workers, header })
    }

    /// So many sessions, in which there is talk for so many ticks. Each begins with another clip.
    pub(super) fn slots(&self, count: usize, ticks: u64) -> Vec<Slot> {
        (0..count).map(|at| self.slot(at, ticks)).collect()
    }

    fn slot(&self, at: usize, ticks: u64) -> Slot {
        let plan = &self.plan;
        let enough_ms = plan.len.span_ms(ticks);
        let mut told_ms = 0;
        let clips = self.clips.iter().cycle().skip(at % self.clips.len());
        let clips = clips.take_while(|clip| {
            let is_needed = told_ms <= enough_ms;
            told_ms += plan.rate.ms(clip.len() as u64) + u64::from(PAUSE_MS);
            is_needed
        });
        let cue = |clip: &Arc<[i16]>| Cue {
            when: When::Previous(PAUSE_MS),
            act: Act::Play(Arc::clone(clip)),
        };
        let part = Part {
            name: format!("talker-{at}"),
            cues: clips.map(cue).collect(),
            noise: Arc::default(),
            patience_ms: 0,
            hang_up_ms: u32::MAX,
            audio: true,
        };
        let network = Network::new(Faults::NONE, Seed::new(1));
        let caller = Caller::new(part, LaneId(0), plan.len, plan.rate, network);
        let tools = LiveTools::new(self.workers.clone(), "pacing".to_owned(), bounded(1).0);
        let session = Session::new(plan, at as u64);
        let scribe = Some(Scribe::new(&self.header));
        Slot::new(Arc::clone(plan), session, vec![Box::new(caller)], Box::new(tools), scribe)
    }
}

/// What callers of benches say, at a rate; what is wrong with the clips, if anything is.
pub(super) fn clips(rate: Rate) -> Result<Vec<Arc<[i16]>>, String> {
    let clip = |bytes: &&[u8]| {
        let wav = wav::read(bytes).map_err(|why| why.to_string())?;
        Ok(resample::convert(&wav.pcm, wav.rate_hz, rate.hz()).into())
    };
    CLIPS.iter().map(clip).collect()
}

/// What a journal's file would take of a slot; `block` keeps its room.
pub(super) fn drain(slot: &mut Slot, block: &mut Vec<u8>) {
    if let Some(scribe) = slot.scribe() {
        block.clear();
        scribe.take(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::Status;

    #[test]
    fn a_talker_talks_both_ways_for_as_long_as_it_is_to() {
        for (ms, ticks) in [(20, 1_000), (1_000, 60)] {
            let talkers = Talkers::new(TickLen::from_ms(ms).unwrap()).unwrap();
            let (mut users, mut agents) = (0, 0);
            let mut slots = talkers.slots(2, ticks);
            for slot in &mut slots {
                for _ in 0..ticks {
                    assert_eq!(*slot.tick(0), Status::Running);
                    users += u64::from(slot.output().user_speech);
                    agents += u64::from(slot.output().agent_speech);
                }
            }
            assert!(users > ticks && agents > ticks, "{users} and {agents} of {}", 2 * ticks);
        }
    }
}
