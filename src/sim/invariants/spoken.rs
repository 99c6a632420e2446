//! The account of what the agent says: announced, received, played, cut, told.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checked, hold};
use crate::clock::Tick;
use crate::id::{AgentId, ItemId, NativeId};
use crate::pcm::Clip;
use crate::pcm::playout::Played;
use crate::session::Session;
use crate::session::event::{Event, EventKind};
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output};
use crate::session::plan::{AgentKind, Plan};
use crate::talk::transcript::Speaker;
use crate::think::native::event::NativeEvent;
use crate::think::native::wish::NativeWish;

/// All items that are not over, and what the transcript has of those that are.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    items: BTreeMap<ItemId, Item>,
    next: u32,
    /// Samples that the fade of a cut may still take.
    fade: usize,
    /// Audio of a model that speaks by itself, by its own names, which are told when an item begins.
    came: Vec<(NativeId, Came)>,
    sources: Vec<(String, ItemId)>,
    /// Conversations that are over: what still comes of them is for nobody.
    gone: BTreeSet<NativeId>,
    opened: BTreeSet<NativeId>,
    /// Entries that the transcript has had so far.
    told: u64,
}

/// What came of a model that speaks by itself, of an item by its own name.
#[derive(Debug)]
enum Came {
    Audio(String, Clip),
    Whole(String),
    Gone,
}

#[derive(Debug, Default)]
struct Item {
    agent: AgentId,
    text: String,
    pcm: Vec<i16>,
    /// No more audio will come.
    last: bool,
    /// A model speaks it by itself.
    native: bool,
    /// The model that speaks it has said so.
    ended: bool,
    played: usize,
    started: bool,
    /// Where the text ends that counts as spoken.
    shown: usize,
    /// So many characters may count as spoken.
    allowed: usize,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be played, or being played.
    #[default]
    Due,
    /// Cut, and not resumed or dropped.
    Cut,
    /// Played to its end.
    Finished,
    /// Dropped: by an interruption, a failure, or the end of the call.
    Dropped,
}

impl State {
    const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Dropped)
    }
}

impl Spoken {
    pub(super) fn arrived(&mut self, input: &Input) {
        for value in &input.inbound {
            if let Inbound::Speech { item, pcm, last } = value
                && let Some(item) = self.items.get_mut(item).filter(|item| !item.last)
            {
                item.pcm.extend_from_slice(&pcm.0);
                item.last = *last;
            }
            let Inbound::Native { native, event } = value else { continue };
            self.came.extend(match event {
                NativeEvent::Audio { item, pcm } => {
                    Some((*native, Came::Audio(item.clone(), pcm.clone())))
                }
                NativeEvent::ItemDone { item } => Some((*native, Came::Whole(item.clone()))),
                NativeEvent::Lost { last: true, .. } => Some((*native, Came::Gone)),
                _ => None,
            });
        }
    }

    pub(super) fn ticked(
        &mut self,
        plan: &Plan,
        now: Tick,
        session: &Session,
        out: &Output,
    ) -> Checked {
        for event in &out.events {
            self.happened(plan, now, session.agent(), event)?;
        }
        self.came(out);
        self.asked(out)?;
        let from = self.played(out)?;
        let fade = self.fade.min(out.audio.len());
        self.fade -= fade;
        let echo = matches!(plan.agent(session.agent()).kind, AgentKind::Echo { .. });
        self.sounds(out, &from, fade, echo)?;
        self.has_no_hole(out, fade)?;
        self.announced(out)?;
        self.transcript(plan, session)?;
        self.items.retain(|_, item| !item.state.is_over());
        Ok(())
    }

    /// What came of models that speak by themselves, in its order.
    fn came(&mut self, out: &Output) {
        let hands_over =
            out.events.iter().any(|event| matches!(event.kind, EventKind::AgentStopped { .. }));
        if hands_over {
            self.gone.append(&mut self.opened);
        }
        for effect in &out.effects {
            if let Effect::Native { native, wish: NativeWish::Open { .. } } = effect {
                self.opened.insert(*native);
            }
        }
        for (native, came) in std::mem::take(&mut self.came) {
            if self.gone.contains(&native) {
                continue;
            }
            let (source, pcm) = match came {
                Came::Audio(source, pcm) => (source, Some(pcm)),
                Came::Whole(source) => (source, None),
                Came::Gone => {
                    self.gone.insert(native);
                    continue;
                }
            };
            let known = self.sources.iter().find(|(known, _)| *known == source);
            let known = known.map(|(_, item)| *item).and_then(|item| self.items.get_mut(&item));
            let Some(item) = known.filter(|item| !item.ended) else { continue };
            match pcm {
                Some(pcm) => item.pcm.extend_from_slice(&pcm.0),
                None => (item.last, item.ended) = (true, true),
            }
        }
    }

    /// What happens to items before anything of this tick is played.
    fn happened(&mut self, plan: &Plan, now: Tick, current: AgentId, event: &Event) -> Checked {
        match &event.kind {
            EventKind::AgentBegan { item, agent, source } => {
                hold!(item.0 == self.next, Speech, "{item} is not item {}", self.next);
                self.next += 1;
                let at = plan.agents.iter().position(|known| known.name == *agent);
                hold!(at.is_some(), Speech, "{item} is of {agent}, whom nobody knows");
                let agent = AgentId(at.unwrap_or_default() as u16);
                self.items.insert(*item, Item { agent, native: true, ..Item::default() });
                self.sources.retain(|(known, _)| known != source);
                self.sources.push((source.clone(), *item));
            }
            EventKind::AgentWords { item, text } => {
                let Some(known) = self.items.get_mut(item) else {
                    hold!(false, Speech, "{item} has words, and is over");
                    return Ok(());
                };
                known.text.push_str(text);
            }
            EventKind::AgentMessage { item, text, .. } if item.0 < self.next => {
                let known = self.items.get(item).is_some_and(|known| known.text == *text);
                hold!(known, Speech, "{item} is whole with other words");
            }
            EventKind::AgentMessage { item, agent, text } => {
                hold!(item.0 == self.next, Speech, "{item} is not item {}", self.next);
                self.next += 1;
                let at = plan.agents.iter().position(|known| known.name == *agent);
                hold!(at.is_some(), Speech, "{item} is of {agent}, whom nobody knows");
                let mut new = Item { text: text.clone(), ..Item::default() };
                new.agent = AgentId(at.unwrap_or_default() as u16);
                if plan.synthesiser.is_none() {
                    // Without a voice, what is written is said.
                    (new.shown, new.allowed) = (text.len(), usize::MAX);
                    (new.state, new.started) = (State::Finished, true);
                }
                self.items.insert(*item, new);
            }
            EventKind::ClipPlayed { item, .. } => {
                hold!(item.0 == self.next, Speech, "{item} is not item {}", self.next);
                self.next += 1;
                self.items.insert(*item, Item { agent: current, ..Item::default() });
            }
            EventKind::AgentInterrupted { item, since, played_ms, spoken, unspoken, .. } => {
                let known = self.items.get_mut(item).filter(|known| known.state == State::Due);
                let Some(known) = known else {
                    hold!(false, Speech, "{item} is cut, and was not due");
                    return Ok(());
                };
                known.state = State::Cut;
                if known.started {
                    self.fade = plan.fade;
                }
                let (so_far, rest) = known.text.split_at(known.shown);
                hold!(
                    (so_far, rest) == (spoken, unspoken),
                    Speech,
                    "{item}: “{so_far}” was spoken"
                );
                let ms = plan.rate.ms(known.played as u64);
                hold!(ms == *played_ms, Speech, "{item} was cut after {ms} ms, not {played_ms}");
                hold!(*since <= now, Speech, "{item} is cut by what comes at tick {since}");
            }
            EventKind::AgentResumed => {
                self.fade = 0;
                for item in self.items.values_mut().filter(|item| item.state == State::Cut) {
                    item.state = State::Due;
                }
            }
            EventKind::SynthesiserFailed { item, .. } => self.drop_item(*item)?,
            _ => {}
        }
        Ok(())
    }

    fn drop_item(&mut self, id: ItemId) -> Checked {
        let item = self.items.get_mut(&id).filter(|item| !item.state.is_over());
        let Some(item) = item else {
            hold!(false, Speech, "{id} is dropped, and was over");
            return Ok(());
        };
        item.state = State::Dropped;
        Ok(())
    }

    fn asked(&mut self, out: &Output) -> Checked {
        for effect in &out.effects {
            match effect {
                Effect::Speak { item, text, .. } => {
                    let known = self.items.get(item).is_some_and(|known| known.text == *text);
                    hold!(known, Speech, "audio is asked for {item} with another text");
                }
                // An item that failed is dropped as well, in the same tick.
                Effect::SpeakDrop { item }
                    if self.items.get(item).is_some_and(|item| item.state == State::Dropped) => {}
                Effect::SpeakDrop { item } => self.drop_item(*item)?,
                Effect::Listen { .. }
                | Effect::ListenEnd { .. }
                | Effect::ListenDrop { .. }
                | Effect::Answer { .. }
                | Effect::Ask { .. }
                | Effect::AskDrop { .. }
                | Effect::Native { .. }
                | Effect::Play { .. } => {}
            }
        }
        Ok(())
    }

    /// Plays what the tick says it has played; gives back where each piece begins in its item.
    fn played(&mut self, out: &Output) -> Result<Vec<usize>, Broke> {
        let mut from = Vec::with_capacity(out.played.len());
        for played in &out.played {
            let id = played.item;
            let begun = self
                .items
                .iter()
                .find(|(other, item)| **other != id && item.state == State::Due && item.started);
            hold!(begun.is_none(), Speech, "{id} is played within {:?}", begun.map(|(id, _)| id));
            let Some(item) = self.items.get_mut(&id) else {
                hold!(false, Speech, "{id} is played, and was never announced or is over");
                return Ok(from);
            };
            hold!(item.state == State::Due, Speech, "{id} is played, and was {:?}", item.state);
            from.push(item.played);
            item.play(played)?;
        }
        Ok(from)
    }

    /// Compares the samples of the tick with those that came for the items played, behind at most
    /// `fade` samples of a cut.
    fn sounds(&self, out: &Output, from: &[usize], fade: usize, echo: bool) -> Checked {
        let any = out.played.iter().any(|played| played.samples > 0);
        if echo && !any {
            return Ok(());
        }
        let pieces = || out.played.iter().zip(from);
        let fits = |mut at: usize| {
            for (played, from) in pieces() {
                let (len, item) = (played.samples as usize, &self.items[&played.item]);
                if out.audio.get(at..at + len) != item.pcm.get(*from..from + len) {
                    return false;
                }
                at += len;
            }
            out.audio[at.min(out.audio.len())..].iter().all(|sample| *sample == 0)
        };
        let sound = (0..=fade).any(fits);
        hold!(sound, Speech, "what sounds is not what came for {:?}", ids(&out.played));
        Ok(())
    }

    /// What has begun goes on as long as there is audio.
    fn has_no_hole(&self, out: &Output, fade: usize) -> Checked {
        let sounded: usize = out.played.iter().map(|played| played.samples as usize).sum();
        for (id, item) in &self.items {
            let stalls = item.state == State::Due && item.started && item.played < item.pcm.len();
            // The fade of a cut may have taken the rest of the tick.
            let full = sounded + fade >= out.audio.len();
            hold!(!stalls || full, Speech, "{id} has audio, and the tick is not full");
        }
        Ok(())
    }

    /// The events of playing say what the account of playing says.
    fn announced(&self, out: &Output) -> Checked {
        let started = out.played.iter().filter(|played| played.started).map(|played| played.item);
        let finished = out.played.iter().filter(|played| played.finished).map(|played| played.item);
        let told = |wanted: fn(&EventKind) -> Option<ItemId>| {
            out.events.iter().filter_map(move |event| wanted(&event.kind))
        };
        let starts = told(|kind| match kind {
            EventKind::AgentSpeechStarted { item } => Some(*item),
            _ => None,
        });
        let ends = told(|kind| match kind {
            EventKind::AgentSpeechFinished { item } => Some(*item),
            _ => None,
        });
        hold!(started.eq(starts), Speech, "an item begins without its event, or otherwise");
        hold!(finished.eq(ends), Speech, "an item ends without its event, or otherwise");
        let sounds = out.played.iter().any(|played| played.samples > 0);
        hold!(!sounds || out.agent_speech, Speech, "the agent is heard, and the tick denies it");
        Ok(())
    }

    /// What is new in the transcript is an item that is over, as far as it was played.
    fn transcript(&mut self, plan: &Plan, session: &Session) -> Checked {
        let transcript = session.said();
        let len = transcript.iter().count();
        let total = transcript.dropped() + len as u64;
        let new = (total - self.told) as usize;
        self.told = total;
        let mut over: Vec<&Item> = self.items.values().filter(|i| i.state.is_over()).collect();
        for said in transcript.iter().skip(len.saturating_sub(new)) {
            let Speaker::Agent(agent) = said.speaker else { continue };
            let at = over.iter().position(|item| {
                let whole = item.state == State::Finished;
                item.agent == agent
                    && item.text[..item.shown] == said.text
                    && said.interrupted != whole
                    && said.from <= said.to
            });
            let name = &plan.agent(agent).name;
            hold!(
                at.is_some(),
                Transcript,
                "“{}” of {name} was not played so, or twice",
                said.text
            );
            at.map(|at| over.remove(at));
        }
        // Where more was said in a tick than the transcript holds, the rest cannot be known.
        let missing = over.iter().find(|item| item.shown > 0).filter(|_| new <= len);
        let text = missing.map(|item| &item.text);
        hold!(missing.is_none(), Transcript, "{text:?} was heard, and is not told");
        Ok(())
    }
}

/// An invariant and what breaks it.
type Broke = (super::Invariant, String);

fn ids(played: &[Played]) -> Vec<ItemId> {
    played.iter().map(|played| played.item).collect()
}

impl Item {
    fn play(&mut self, played: &Played) -> Checked {
        let Played { item: id, agent, samples, from, to, started, finished } = *played;
        hold!(agent == self.agent, Speech, "{id} is of {}, not of {agent}", self.agent);
        hold!(started != self.started, Speech, "{id} begins twice, or goes on without a beginning");
        self.started = true;
        self.played += samples as usize;
        let got = self.pcm.len();
        hold!(self.played <= got, Speech, "{} samples of {id} are played of {got}", self.played);
        // A conversation that is over ends its items without a word.
        let whole = (self.last || self.native && finished) && self.played == got;
        hold!(finished == whole, Speech, "{id} ends before its last sample, or after it");
        let (from, to) = (from as usize, to as usize);
        hold!(from == self.shown, Speech, "{id}: byte {from} follows {}", self.shown);
        let spoken = self.text.get(from..to);
        hold!(spoken.is_some(), Speech, "{id}: there is no text from {from} to {to}");
        self.shown = to;
        let chars = self.text.chars().count();
        let share = (self.played as u128 * chars as u128).div_ceil(got.max(1) as u128) as usize;
        self.allowed = self.allowed.max(share);
        let (shown, allowed) = (self.text[..to].chars().count(), self.allowed);
        hold!(
            shown <= allowed,
            Transcript,
            "{id}: {shown} characters count, {allowed} were played"
        );
        if finished {
            self.state = State::Finished;
        }
        Ok(())
    }
}
