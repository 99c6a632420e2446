//! What the agent says, and what becomes of it.

use std::collections::BTreeMap;

use super::dialogue::Heard as HeardOf;
use super::event::{CutCause, EndReason, EventKind};
use super::hear::clip;
use super::output::{Effect, Output};
use super::plan::Plan;
use super::{Life, Session, Speaking};
use crate::clock::Tick;
use crate::id::ItemId;
use crate::pcm::playout::Heard;
use crate::talk::transcript::{Said, Speaker};
use crate::think::script::render;

impl Session {
    /// Announces a text of the current agent and asks for its audio.
    pub(super) fn say(&mut self, plan: &Plan, now: Tick, text: String, out: &mut Output) {
        if text.trim().is_empty() {
            return;
        }
        self.take_off_hold(now, out);
        // Who speaks by itself says it itself.
        if !self.ask_to_say(plan, now, Some(&text), out) {
            self.announce(plan, now, text, false, out);
        }
    }

    /// Says what the current agent says in leaving: its model may be gone before it could.
    pub(super) fn say_in_leaving(
        &mut self,
        plan: &Plan,
        now: Tick,
        text: String,
        out: &mut Output,
    ) {
        if !text.trim().is_empty() {
            self.take_off_hold(now, out);
            self.announce(plan, now, text, false, out);
        }
    }

    /// The item of what is to be played next; none where too much is announced already.
    pub(super) fn next_item(&mut self, plan: &Plan, now: Tick, out: &mut Output) -> Option<ItemId> {
        // What a cut keeps may yet be played.
        if self.playout.held() >= plan.limits.items {
            self.limit(now, "items", out);
            return None;
        }
        let item = ItemId(self.items);
        self.items += 1;
        Some(item)
    }

    /// Announces a clip and asks for its audio; none where too much is announced already.
    pub(super) fn play_clip(
        &mut self,
        plan: &Plan,
        now: Tick,
        clip: String,
        out: &mut Output,
    ) -> Option<ItemId> {
        let item = self.next_item(plan, now, out)?;
        self.event(now, EventKind::ClipPlayed { item, clip: clip.clone() }, out);
        self.playout.queue(item, self.agent, String::new(), now, 0);
        out.effects.push(Effect::Play { item, clip });
        self.speaking.insert(item, Speaking { from: now, text: String::new(), apology: true });
        Some(item)
    }

    /// Ends a clip, wherever it is.
    pub(super) fn stop_clip(&mut self, item: ItemId, out: &mut Output) {
        if self.playout.remove(item).is_some() {
            self.speaking.remove(&item);
            out.effects.push(Effect::SpeakDrop { item });
        }
    }

    /// Says the apology, unless one is waiting to be heard already. It goes before all that has not
    /// begun.
    pub(super) fn apologise(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        if let Some(item) = self.apology(plan, now, out) {
            self.playout.prefer(item);
        }
    }

    /// Says the apology after all that is announced.
    pub(super) fn apologise_at_last(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        self.apology(plan, now, out);
    }

    fn apology(&mut self, plan: &Plan, now: Tick, out: &mut Output) -> Option<ItemId> {
        if self.speaking.values().any(|speaking| speaking.apology && !speaking.text.is_empty()) {
            return None;
        }
        let text = render(&plan.apology, &BTreeMap::new(), &self.facts, None);
        self.announce(plan, now, text, true, out)
    }

    pub(super) fn announce(
        &mut self,
        plan: &Plan,
        now: Tick,
        text: String,
        apology: bool,
        out: &mut Output,
    ) -> Option<ItemId> {
        let item = self.next_item(plan, now, out)?;
        let agent = plan.agent(self.agent);
        let message =
            EventKind::AgentMessage { item, agent: agent.name.clone(), text: text.clone() };
        self.event(now, message, out);
        self.spoke(plan, now, out);
        if plan.synthesiser.is_none() {
            // Without a voice, what is written is said.
            self.floor.agent_heard(now);
            self.note_said(plan, None, &text);
            let speaker = Speaker::Agent(self.agent);
            self.transcript.push(Said { speaker, text, from: now, to: now, interrupted: false });
            return None;
        }
        self.note_said(plan, Some(item), &text);
        let expected = plan.character() * text.chars().count() as u64;
        self.playout.queue(item, self.agent, text.clone(), now, expected);
        let voice = agent.voice.clone();
        // An apology that names facts is not at hand: its rendering was made without them.
        let ready = apology && plan.apology.placeholders().next().is_none();
        out.effects.push(Effect::Speak { item, text: text.clone(), voice, apology: ready });
        self.speaking.insert(item, Speaking { from: now, text, apology });
        Some(item)
    }

    /// What an agent says is part of what models are told, where there are any.
    fn note_said(&mut self, plan: &Plan, item: Option<ItemId>, text: &str) {
        if plan.has_models {
            self.dialogue.agent(item, text);
        }
    }

    /// Fills the tick with what the agent says.
    pub(super) fn speak(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        out.audio.resize(plan.samples(), 0);
        // The agent does not begin while somebody speaks, though a call that is ending waits for nobody;
        // nor while what it was saying may go on, which would come before.
        let talks = self.floor.user_speaks() && !self.is_talked_over();
        let waits = talks && self.life == Life::Running && !self.provider_decides(plan);
        let may_start = !waits && !self.is_undecided();
        self.playout.pull(now, may_start, &mut out.audio, &mut out.played, &mut out.spent);
        out.agent_speech = out.played.iter().any(|played| played.samples > 0);
        self.note_played(now, out);
        // An echo lets the agent before it finish.
        if let Some(echo) = self.echo.as_mut().filter(|_| !out.agent_speech) {
            echo.reflect(&out.heard, &mut out.audio);
            out.agent_speech = out.user_speech;
        }
        if out.agent_speech {
            self.floor.agent_heard(now);
        }
        self.end_if_done(plan, now, out);
    }

    /// The call is to end, for a reason that is not the conversation's: what is being said is cut, and the goodbye is
    /// said instead. One that is ending already ends as it was going to.
    pub(super) fn say_goodbye(&mut self, plan: &Plan, now: Tick, reason: String, out: &mut Output) {
        if self.life != Life::Running {
            return;
        }
        self.take_off_hold(now, out);
        self.cut(plan, now, CutCause::Closed, (now, 0), out);
        self.forget_cut(plan, now, out);
        self.floor.decided();
        self.end_minds(now, out);
        self.close_native(plan, now, out);
        let goodbye = plan.config.call.goodbye.trim();
        if !goodbye.is_empty() {
            self.announce(plan, now, goodbye.to_owned(), false, out);
        }
        self.close(EndReason::Closed(reason));
    }

    fn note_played(&mut self, now: Tick, out: &mut Output) {
        for at in 0..out.played.len() {
            let played = out.played[at];
            self.native_played(played.item, played.samples, played.finished, out);
            if played.started {
                if let Some(speaking) = self.speaking.get_mut(&played.item) {
                    speaking.from = now;
                }
                self.note_begun(now, played.item);
                self.event(now, EventKind::AgentSpeechStarted { item: played.item }, out);
            }
            if played.finished {
                // A text of which no sample came ends as it begins: nobody has heard it.
                let speaking = self.speaking.remove(&played.item);
                self.dialogue.heard(played.item, HeardOf::All);
                let speaking = speaking.filter(|it| played.to > 0 && !it.text.is_empty());
                if let Some(Speaking { from, text, .. }) = speaking {
                    let speaker = Speaker::Agent(played.agent);
                    self.transcript.push(Said { speaker, text, from, to: now, interrupted: false });
                }
                self.event(now, EventKind::AgentSpeechFinished { item: played.item }, out);
            }
        }
    }

    fn end_if_done(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        let Life::Closing(reason) = &self.life else { return };
        let waits = match reason {
            // Nobody hears the rest, or there is none.
            EndReason::HungUp(_) | EndReason::Alone | EndReason::Silence => false,
            EndReason::MaxLength | EndReason::Policy(_) => self.playout.is_speaking(),
            EndReason::AgentEnded
            | EndReason::Agent(_)
            | EndReason::Closed(_)
            | EndReason::Transferred(_)
            | EndReason::Idle => !self.playout.is_idle() || self.is_undecided(),
        };
        if waits {
            return;
        }
        let reason = reason.clone();
        self.forget_cut(plan, now, out);
        self.end_calls(now, out);
        self.end_minds(now, out);
        self.close_native(plan, now, out);
        self.entering = None;
        self.end_leaving(plan, now, out);
        self.life = Life::Ended;
        out.ended = true;
        self.event(now, EventKind::SessionEnded { reason }, out);
    }

    /// Whether it is open if what was cut goes on.
    fn is_undecided(&self) -> bool {
        self.floor.awaits_words() && self.playout.has_kept()
    }

    /// Whether an item is being heard, or was until it was cut and may go on.
    pub(super) fn is_being_heard(&self, item: ItemId) -> bool {
        self.playout.saying().is_some_and(|(of, _)| of == item) || self.playout.is_kept(item)
    }

    /// Cuts everything the agent is saying or about to say, but for the goodbye of a call that is ended from outside:
    /// there will be no answer to whoever interrupts it.
    pub(super) fn cut(
        &mut self,
        plan: &Plan,
        now: Tick,
        cause: CutCause,
        (since, voiced_ms): (Tick, u64),
        out: &mut Output,
    ) {
        if matches!(self.life, Life::Closing(EndReason::Closed(_))) {
            return;
        }
        self.forget_cut(plan, now, out);
        let mut heard = Vec::new();
        self.playout.cut(plan.fade, &mut heard);
        for Heard { item, agent, samples, spoken, unspoken } in heard {
            let played_ms = plan.rate.ms(samples);
            let from = self.speaking.get(&item).map_or(now, |speaking| speaking.from);
            if samples > 0 && !spoken.is_empty() {
                let (speaker, text) = (Speaker::Agent(agent), spoken.clone());
                let said = Said { speaker, text, from, to: now, interrupted: true };
                self.cut_off.push((item, said));
            }
            let kind = EventKind::AgentInterrupted {
                item,
                cause,
                since,
                voiced_ms,
                played_ms,
                spoken,
                unspoken,
            };
            self.event(now, kind, out);
        }
    }

    /// What was cut is not resumed: it stands in the transcript as far as it was heard, and its
    /// audio is no longer wanted.
    pub(super) fn forget_cut(&mut self, plan: &Plan, now: Tick, out: &mut Output) {
        for (item, said) in self.cut_off.drain(..) {
            self.dialogue.heard(item, HeardOf::Part(said.text.clone()));
            self.transcript.push(said);
        }
        let mut gone = Vec::new();
        while let Some(item) = self.playout.forget(&mut out.spent) {
            self.speaking.remove(&item);
            self.dialogue.heard(item, HeardOf::Part(String::new()));
            self.unwanted(item, out);
            gone.push(item);
        }
        self.cut_for_good(plan, now, &gone, out);
    }

    /// The interruption was false: the agent goes on where it was cut.
    pub(super) fn resume(&mut self, now: Tick, out: &mut Output) {
        self.floor.decided();
        self.cut_off.clear();
        if self.playout.resume(now) {
            self.event(now, EventKind::AgentResumed, out);
        }
    }

    /// An item will get no (more) audio: the apology takes its place. An apology that fails is not
    /// apologised for.
    pub(super) fn synthesiser_failed(
        &mut self,
        plan: &Plan,
        now: Tick,
        item: ItemId,
        cause: String,
        out: &mut Output,
    ) {
        let Some(heard) = self.playout.remove(item) else { return };
        let speaking = self.speaking.remove(&item);
        let cause = clip(cause, plan.limits.text);
        self.event(now, EventKind::SynthesiserFailed { item, cause }, out);
        let from = speaking.as_ref().map_or(now, |speaking| speaking.from);
        self.heard_in_part(now, &heard, from);
        if speaking.is_some_and(|speaking| !speaking.apology) {
            self.apologise(plan, now, out);
        }
    }

    /// An item that is taken back stands where it is remembered as far as it was heard.
    pub(super) fn heard_in_part(&mut self, now: Tick, heard: &Heard, from: Tick) {
        // What was cut is told here, and not once more when the cut is decided.
        self.cut_off.retain(|(cut, _)| *cut != heard.item);
        self.dialogue.heard(heard.item, HeardOf::Part(heard.spoken.clone()));
        if heard.samples > 0 && !heard.spoken.is_empty() {
            let (speaker, text) = (Speaker::Agent(heard.agent), heard.spoken.clone());
            self.transcript.push(Said { speaker, text, from, to: now, interrupted: true });
        }
    }
}
