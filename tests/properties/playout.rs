//! Playout beside a model that keeps every sample in a list.

use antiphon::clock::Tick;
use antiphon::id::{AgentId, ItemId};
use antiphon::pcm::Clip;
use antiphon::pcm::playout::Playout;
use proptest::prelude::*;

/// Samples in a tick, and under the fade of a cut.
const TICK: usize = 48;
const FADE: usize = 7;

#[derive(Debug, Clone)]
enum Act {
    Announce(u8),
    /// A piece for the item at this place among all that were announced; whether it is the last.
    Push(usize, usize, bool),
    Pull(bool),
    Cut,
    Resume,
    Forget,
    Prefer(usize),
    Remove(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        2 => (0..60_u8).prop_map(Act::Announce),
        5 => (0..12_usize, 0..200_usize, any::<bool>()).prop_map(|(n, len, last)| Act::Push(n, len, last)),
        8 => prop::bool::weighted(0.8).prop_map(Act::Pull),
        1 => Just(Act::Cut),
        1 => Just(Act::Resume),
        1 => Just(Act::Forget),
        1 => (0..12_usize).prop_map(Act::Prefer),
        1 => (0..12_usize).prop_map(Act::Remove),
    ];
    prop::collection::vec(act, 0..200)
}

/// An item with all its samples, played ones included.
#[derive(Debug, Clone)]
struct Item {
    id: ItemId,
    text: String,
    pcm: Vec<i16>,
    at: usize,
    last: bool,
    begun: bool,
}

/// Of an item in a tick: its samples, and whether it began and ended.
type Part = (ItemId, usize, bool, bool);

/// The model: what is due, what a cut keeps, and the samples of a fade.
#[derive(Debug, Default)]
struct Model {
    due: Vec<Item>,
    kept: Vec<Item>,
    fade: Vec<i16>,
}

impl Model {
    fn item(&mut self, id: ItemId) -> Option<&mut Item> {
        self.due.iter_mut().chain(&mut self.kept).find(|item| item.id == id)
    }

    /// The samples of a tick, and what they are of.
    fn pull(&mut self, may_start: bool) -> (Vec<i16>, Vec<Part>) {
        let mut out: Vec<i16> = self.fade.drain(..self.fade.len().min(TICK)).collect();
        let mut played = Vec::new();
        while let Some(item) = self.due.first_mut().filter(|item| item.begun || may_start) {
            let len = (item.pcm.len() - item.at).min(TICK - out.len());
            out.extend(&item.pcm[item.at..item.at + len]);
            item.at += len;
            let ends = item.last && item.at == item.pcm.len();
            let begins = !item.begun && (len > 0 || ends);
            item.begun |= begins;
            if len > 0 || ends {
                played.push((item.id, len, begins, ends));
            }
            if !ends {
                break;
            }
            self.due.remove(0);
        }
        out.resize(TICK, 0);
        (out, played)
    }

    fn cut(&mut self) {
        self.kept = std::mem::take(&mut self.due);
        self.fade.clear();
        if let Some(item) = self.kept.first().filter(|item| item.begun) {
            let rest = item.pcm[item.at..].iter().take(FADE).enumerate();
            let faded =
                |(n, s): (usize, &i16)| (i32::from(*s) * (FADE - n) as i32 / FADE as i32) as i16;
            self.fade = rest.map(faded).collect();
        }
    }
}

/// Samples that say whose they are and where.
fn piece(item: &Item, len: usize) -> Vec<i16> {
    (item.pcm.len()..item.pcm.len() + len)
        .map(|at| (item.id.0 * 400 + at as u32 % 397 + 1) as i16)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_is_cut_resumed_and_dropped_comes_out_to_the_sample(acts in acts()) {
        let (mut playout, mut model) = (Playout::default(), Model::default());
        let (mut tick, mut ids) = (Tick(0), 0);
        for act in acts {
            match act {
                Act::Announce(chars) => {
                    let (id, text) = (ItemId(ids), "é".repeat(usize::from(chars)));
                    ids += 1;
                    playout.queue(id, AgentId(0), text.clone(), tick, 100);
                    let pcm = Vec::new();
                    model.due.push(Item { id, text, pcm, at: 0, last: false, begun: false });
                }
                Act::Push(n, len, last) => {
                    let id = ItemId(n as u32);
                    let known = model.item(id).filter(|item| !item.last);
                    let pcm = known.as_ref().map_or(vec![9; len], |item| piece(item, len));
                    prop_assert_eq!(playout.push(id, Clip::from(pcm.clone()), last), known.is_some());
                    if let Some(item) = known {
                        item.pcm.extend(pcm);
                        item.last = last;
                    }
                }
                Act::Pull(may_start) => {
                    let (mut out, mut played) = (vec![-7; TICK], Vec::new());
                    playout.pull(tick, may_start, &mut out, &mut played, &mut Vec::new());
                    tick = tick.after(1);
                    let texts = model.due.clone();
                    let (samples, expected) = model.pull(may_start);
                    prop_assert_eq!(out, samples);
                    let told = played.iter().map(|p| (p.item, p.samples as usize, p.started, p.finished));
                    prop_assert_eq!(told.collect::<Vec<_>>(), expected);
                    for played in played {
                        let text = &texts.iter().find(|item| item.id == played.item).unwrap().text;
                        let spoken = text.get(played.from as usize..played.to as usize);
                        prop_assert!(spoken.is_some(), "the text spoken goes on, in whole characters");
                    }
                }
                Act::Cut => {
                    let mut spent = Vec::new();
                    while playout.forget(&mut spent).is_some() {}
                    let mut heard = Vec::new();
                    playout.cut(FADE, &mut heard);
                    model.cut();
                    let told = heard.iter().map(|h| (h.item, h.samples as usize)).collect::<Vec<_>>();
                    let kept = model.kept.iter().map(|i| (i.id, i.at)).collect::<Vec<_>>();
                    prop_assert_eq!(told, kept);
                    for (heard, item) in heard.iter().zip(&model.kept) {
                        prop_assert_eq!(format!("{}{}", heard.spoken, heard.unspoken), &item.text[..]);
                    }
                }
                Act::Resume => {
                    prop_assert_eq!(playout.resume(tick), !model.kept.is_empty());
                    model.fade.clear();
                    let due = std::mem::take(&mut model.due);
                    model.due = std::mem::take(&mut model.kept);
                    model.due.extend(due);
                }
                Act::Forget => {
                    let forgotten = playout.forget(&mut Vec::new());
                    prop_assert_eq!(forgotten, model.kept.pop().map(|item| item.id));
                }
                Act::Prefer(n) => {
                    let id = ItemId(n as u32);
                    playout.prefer(id);
                    if let Some(at) = model.due.iter().position(|item| item.id == id) {
                        let item = model.due.remove(at);
                        let first = model.due.iter().position(|item| !item.begun);
                        model.due.insert(first.unwrap_or(model.due.len()), item);
                    }
                }
                Act::Remove(n) => {
                    let id = ItemId(n as u32);
                    let heard = playout.remove(id).map(|heard| heard.samples as usize);
                    prop_assert_eq!(heard, model.item(id).map(|item| item.at));
                    model.due.retain(|item| item.id != id);
                    model.kept.retain(|item| item.id != id);
                }
            }
            prop_assert_eq!(playout.len(), model.due.len());
            prop_assert_eq!(playout.held(), model.due.len() + model.kept.len());
            prop_assert_eq!(playout.has_kept(), !model.kept.is_empty());
            prop_assert_eq!(playout.is_speaking(), model.due.first().is_some_and(|item| item.begun));
        }
    }

    #[test]
    fn what_goes_in_comes_out_however_it_is_cut_into_pieces(
        pieces in prop::collection::vec(0..500_usize, 1..20),
        ticks in 1..300_usize,
    ) {
        let mut playout = Playout::default();
        playout.queue(ItemId(0), AgentId(0), "all of it".into(), Tick(0), 0);
        let mut all = Vec::new();
        for (n, &len) in pieces.iter().enumerate() {
            let pcm: Vec<i16> = (all.len()..all.len() + len).map(|at| at as i16 + 1).collect();
            all.extend(&pcm);
            playout.push(ItemId(0), Clip::from(pcm), n + 1 == pieces.len());
        }
        let (mut heard, mut sum) = (Vec::new(), 0);
        for tick in 0..=all.len().div_ceil(ticks) {
            let (mut out, mut played) = (vec![0; ticks], Vec::new());
            playout.pull(Tick(tick as u64), true, &mut out, &mut played, &mut Vec::new());
            sum += played.iter().map(|played| played.samples as usize).sum::<usize>();
            heard.extend(out);
        }
        prop_assert_eq!(sum, all.len());
        prop_assert!(heard.starts_with(&all) && heard[all.len()..].iter().all(|s| *s == 0));
        prop_assert!(playout.is_idle());
    }
}
