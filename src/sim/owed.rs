//! What a session has asked for and not got: followed tick by tick, so that somebody else can give it.
//!
//! Whoever goes on with a call has new engines and new workers, which know nothing of it. What the session still waits
//! for is asked of them again where that does no harm: an utterance is told from its beginning, a text whose audio has
//! not begun is given to a synthesiser, a question of which no answer has begun to a model, a call of an idempotent
//! tool to a worker. For everything else the session is told that it has failed.
//!
//! **Invariant:** nothing is asked again of which a part has come, and no call of a tool that is not idempotent.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{AskId, CallId, ItemId, LaneId, NativeId, UtteranceId};
use crate::session::input::{Inbound, Input};
use crate::session::output::{Effect, Output, SPEECH_FRAME};
use crate::think::chat::{ErrorKind, ModelError};
use crate::think::native::event::NativeEvent;
use crate::tool::{Called, FailureKind, Outcome, ToolCall};

/// Why something has failed that was under way.
pub const GONE: &str = "the process that held the call is gone";

/// The longest utterance that is told again, in frames, from its end: what a recogniser's queue has room for at once.
const FRAMES_MAX: usize = 480;

/// What a session waits for.
#[derive(Debug, Default)]
pub struct Owed {
    utterances: BTreeMap<(LaneId, UtteranceId), Utterance>,
    items: BTreeMap<ItemId, Asked>,
    asks: BTreeMap<AskId, Asked>,
    natives: BTreeSet<NativeId>,
    calls: BTreeMap<CallId, ToolCall>,
}

#[derive(Debug, Default)]
struct Utterance {
    frames: Vec<i16>,
    ended: bool,
}

#[derive(Debug)]
struct Asked {
    effect: Effect,
    /// A part of it has come.
    begun: bool,
}

/// What is to be done about it.
#[derive(Debug, Default)]
pub struct Again {
    /// For the engines, as if the session had asked in this tick.
    pub output: Output,
    /// For the session: what has failed.
    pub told: Vec<Inbound>,
    /// For the tools.
    pub calls: Vec<ToolCall>,
}

impl Owed {
    /// Follows a tick: what came in, what became of its calls, and what was asked for.
    pub fn tick<'c>(
        &mut self,
        input: &Input,
        called: impl Iterator<Item = &'c (CallId, Called)>,
        out: &Output,
    ) {
        for value in &input.inbound {
            self.came(value);
        }
        for effect in &out.effects {
            self.asked(effect, out);
        }
        for (id, called) in called {
            if let (Called::Submitted, Some(call)) =
                (called, out.calls.iter().find(|call| call.id == *id))
            {
                self.calls.insert(*id, call.clone());
            }
        }
        for result in &out.results {
            self.calls.remove(&result.id);
        }
    }

    fn came(&mut self, value: &Inbound) {
        match value {
            Inbound::Transcript { lane, utterance, last: true, .. }
            | Inbound::RecogniserFailed { lane, utterance, .. } => {
                self.utterances.remove(&(*lane, *utterance));
            }
            Inbound::Speech { item, last: true, .. } | Inbound::SynthesiserFailed { item, .. } => {
                self.items.remove(item);
            }
            Inbound::Speech { item, last: false, .. } => begin(self.items.get_mut(item)),
            Inbound::ModelEnd { ask } | Inbound::ModelFailed { ask, .. } => {
                self.asks.remove(ask);
            }
            Inbound::Model { ask, .. } => begin(self.asks.get_mut(ask)),
            Inbound::Native { native, event: NativeEvent::Lost { last: true, .. } } => {
                self.natives.remove(native);
            }
            Inbound::ToolResult { call, .. } => {
                self.calls.remove(call);
            }
            _ => {}
        }
    }

    fn asked(&mut self, effect: &Effect, out: &Output) {
        match effect {
            Effect::Listen { lane, utterance, frame } => {
                let frames = &mut self.utterances.entry((*lane, *utterance)).or_default().frames;
                if frames.len() >= FRAMES_MAX * SPEECH_FRAME {
                    frames.drain(..SPEECH_FRAME);
                }
                frames.extend_from_slice(out.frame(*frame));
            }
            Effect::ListenEnd { lane, utterance } => {
                if let Some(utterance) = self.utterances.get_mut(&(*lane, *utterance)) {
                    utterance.ended = true;
                }
            }
            Effect::ListenDrop { lane, utterance } => {
                self.utterances.remove(&(*lane, *utterance));
            }
            Effect::Speak { item, .. } | Effect::Play { item, .. } => {
                let asked = Asked { effect: effect.clone(), begun: false };
                self.items.insert(*item, asked);
            }
            Effect::SpeakDrop { item } => drop(self.items.remove(item)),
            Effect::Ask { ask, .. } => {
                let asked = Asked { effect: effect.clone(), begun: false };
                self.asks.insert(*ask, asked);
            }
            Effect::AskDrop { ask } => drop(self.asks.remove(ask)),
            Effect::Native { native, wish } => {
                if wish.is_end() {
                    self.natives.remove(native);
                } else {
                    self.natives.insert(*native);
                }
            }
            // Nobody waits for what was answered.
            Effect::Answer { .. } => {}
        }
    }

    /// Whether it waits for nothing.
    #[cfg(test)]
    fn is_nothing(&self) -> bool {
        let Self { utterances, items, asks, natives, calls } = self;
        utterances.is_empty()
            && items.is_empty()
            && asks.is_empty()
            && natives.is_empty()
            && calls.is_empty()
    }

    /// What is to be done, by somebody who goes on with the session; `idempotent` says of a tool's name whether its
    /// calls may be made again.
    #[must_use]
    pub fn again(self, idempotent: impl Fn(&str) -> bool) -> Again {
        let mut again = Again::default();
        let Again { output, told, calls } = &mut again;
        for ((lane, utterance), Utterance { frames, ended }) in self.utterances {
            for pcm in frames.chunks_exact(SPEECH_FRAME) {
                let frame = (output.frames.len() / SPEECH_FRAME) as u32;
                output.frames.extend_from_slice(pcm);
                output.effects.push(Effect::Listen { lane, utterance, frame });
            }
            if ended {
                output.effects.push(Effect::ListenEnd { lane, utterance });
            }
        }
        for (item, Asked { effect, begun }) in self.items {
            if begun {
                told.push(Inbound::SynthesiserFailed { item, cause: GONE.to_owned() });
            } else {
                output.effects.push(effect);
            }
        }
        let gone = || ModelError::new(ErrorKind::Unreachable, GONE);
        for (ask, Asked { effect, begun }) in self.asks {
            if begun {
                told.push(Inbound::ModelFailed { ask, error: gone() });
            } else {
                output.effects.push(effect);
            }
        }
        for native in self.natives {
            let event = NativeEvent::Lost { error: gone(), last: true };
            told.push(Inbound::Native { native, event });
        }
        for (id, call) in self.calls {
            if idempotent(&call.name) {
                calls.push(call);
            } else {
                let why = format!("{GONE}; whether `{}` was done is not known", call.name);
                let outcome = Outcome::failed(FailureKind::Interrupted, why);
                told.push(Inbound::ToolResult { call: id, outcome });
            }
        }
        again
    }
}

fn begin(asked: Option<&mut Asked>) {
    if let Some(asked) = asked {
        asked.begun = true;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pcm::Clip;
    use crate::think::chat::ModelDelta;
    use crate::tool::Json;

    fn speak(item: u32) -> Effect {
        let (text, voice) = ("Hello.".to_owned(), String::new());
        Effect::Speak { item: ItemId(item), text, voice, apology: false }
    }

    fn ask(ask: u32) -> Effect {
        Effect::Ask { ask: AskId(ask), model: "m".into(), request: Box::default() }
    }

    fn tick(owed: &mut Owed, inbound: Vec<Inbound>, effects: Vec<Effect>, frames: usize) {
        let mut out = Output::default();
        out.frames.resize(frames * SPEECH_FRAME, 7);
        out.effects.extend(effects);
        owed.tick(&Input { inbound, ..Input::default() }, [].iter(), &out);
    }

    #[test]
    fn what_has_not_begun_is_asked_again_and_what_has_is_over() {
        let mut owed = Owed::default();
        let (lane, utterance) = (LaneId(0), UtteranceId(1));
        let listen = |frame| Effect::Listen { lane, utterance, frame };
        tick(&mut owed, vec![], vec![listen(0), listen(1), speak(0), speak(1), ask(0)], 2);
        let pcm = || Clip::from(vec![1; 10]);
        let came = vec![
            Inbound::Speech { item: ItemId(0), pcm: pcm(), last: false },
            Inbound::Speech { item: ItemId(7), pcm: pcm(), last: true },
            Inbound::Model { ask: AskId(0), delta: ModelDelta::Text("So".into()) },
        ];
        tick(&mut owed, came, vec![ask(1), speak(2), Effect::SpeakDrop { item: ItemId(2) }], 0);
        let end = Effect::ListenEnd { lane, utterance };
        tick(&mut owed, vec![Inbound::ModelEnd { ask: AskId(9) }], vec![end.clone()], 0);
        assert!(!owed.is_nothing());
        let Again { output, told, calls } = owed.again(|_| true);
        assert_eq!(output.effects, [listen(0), listen(1), end, speak(1), ask(1)]);
        assert_eq!(output.frames, vec![7; 2 * SPEECH_FRAME]);
        assert_eq!(told.len(), 2);
        assert!(matches!(told[0], Inbound::SynthesiserFailed { item: ItemId(0), .. }), "{told:?}");
        assert!(matches!(told[1], Inbound::ModelFailed { ask: AskId(0), .. }), "{told:?}");
        assert!(calls.is_empty());
    }

    #[test]
    fn what_has_come_is_not_owed() {
        let mut owed = Owed::default();
        let (lane, utterance) = (LaneId(0), UtteranceId(1));
        tick(
            &mut owed,
            vec![],
            vec![Effect::Listen { lane, utterance, frame: 0 }, speak(0), ask(0)],
            1,
        );
        let came = vec![
            Inbound::RecogniserFailed { lane, utterance, cause: String::new() },
            Inbound::SynthesiserFailed { item: ItemId(0), cause: String::new() },
            Inbound::ModelEnd { ask: AskId(0) },
        ];
        tick(&mut owed, came, vec![], 0);
        assert!(owed.is_nothing());
    }

    #[test]
    fn calls_are_made_again_only_where_that_does_no_harm() {
        let mut owed = Owed::default();
        let call = |id, name: &str| ToolCall {
            id: CallId(id),
            name: name.to_owned(),
            arguments: Json(json!({})),
            occurrence: 0,
            lane: None,
        };
        let mut out = Output::default();
        out.calls.extend([call(0, "pay"), call(1, "look"), call(2, "look")]);
        let called: Vec<_> = (0..3).map(|id| (CallId(id), Called::Submitted)).collect();
        owed.tick(&Input::default(), called.iter(), &out);
        let outcome = Outcome::Done(Json::default());
        let result = Inbound::ToolResult { call: CallId(2), outcome };
        tick(&mut owed, vec![result], vec![], 0);
        let Again { told, calls, .. } = owed.again(|name| name == "look");
        assert_eq!(calls, [call(1, "look")]);
        let [Inbound::ToolResult { call: CallId(0), outcome: Outcome::Failed(failure) }] =
            &told[..]
        else {
            panic!("{told:?}")
        };
        assert_eq!(failure.kind, FailureKind::Interrupted);
        assert!(failure.message.contains("whether `pay` was done is not known"));
    }
}
