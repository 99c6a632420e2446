//! The model's voice, at the rate of whoever plays it.
//!
//! An item has a stream of its own through the converter, so that none has the end of another in it.
//!
//! **Invariant:** positions that are told come back as those of the format, and what was played to its end counts as all.

use std::collections::VecDeque;

use crate::pcm::Clip;
use crate::pcm::resample::{Resampler, ResamplerTable};
use crate::think::native::adapter::TickResult;
use crate::think::native::event::NativeEvent;
use crate::think::native::realtime::Realtime;

/// Converts what is said, and what is told of it.
pub(super) struct Voice {
    table: ResamplerTable,
    /// The item that is being converted.
    item: Option<(String, Resampler)>,
    /// What comes before the next event.
    due: VecDeque<NativeEvent>,
}

impl Voice {
    pub(super) fn new(format_hz: u32, said_hz: u32) -> Self {
        Self { table: ResamplerTable::new(format_hz, said_hz), item: None, due: VecDeque::new() }
    }

    /// Samples a second of what is said.
    pub(super) fn hz(&self) -> u32 {
        self.table.to_hz()
    }

    fn is_same(&self) -> bool {
        self.table.from_hz() == self.table.to_hz()
    }

    /// What has happened next.
    pub(super) fn next(&mut self, machine: &mut Realtime) -> Option<NativeEvent> {
        if let Some(event) = self.due.pop_front() {
            return Some(event);
        }
        let event = machine.poll_event()?;
        if self.is_same() {
            return Some(event);
        }
        match event {
            NativeEvent::Audio { item, pcm } => {
                if self.item.as_ref().is_none_or(|(of, _)| *of != item) {
                    self.end();
                    self.item = Some((item.clone(), Resampler::new(&self.table)));
                }
                let mut said = Vec::with_capacity(self.room(pcm.0.len()));
                if let Some((_, stream)) = &mut self.item {
                    stream.push(&self.table, &pcm.0, &mut said);
                }
                self.due.push_back(NativeEvent::Audio { item, pcm: Clip::from(said) });
            }
            NativeEvent::ItemDone { item } => {
                if self.item.as_ref().is_some_and(|(of, _)| *of == item) {
                    self.end();
                }
                self.due.push_back(NativeEvent::ItemDone { item });
            }
            other => self.due.push_back(other),
        }
        self.due.pop_front()
    }

    /// Samples that so many become, at most.
    fn room(&self, samples: usize) -> usize {
        samples * self.table.to_hz() as usize / self.table.from_hz() as usize + 2
    }

    /// What is still inside of the converter belongs to the item, too.
    fn end(&mut self) {
        let Some((item, mut stream)) = self.item.take() else { return };
        let mut rest = Vec::new();
        stream.flush(&self.table, &mut rest);
        self.due.push_back(NativeEvent::Audio { item, pcm: Clip::from(rest) });
    }

    /// What was played, in samples of the format.
    pub(super) fn read(&self, result: &mut TickResult) {
        if self.is_same() {
            return;
        }
        let (from, to) = (u64::from(self.table.from_hz()), u64::from(self.table.to_hz()));
        for played in &mut result.played {
            // An item that is over was played whole, whatever rounding makes of it.
            played.total = match played.finished && played.total > 0 {
                true => u64::MAX,
                false => played.total.saturating_mul(from) / to,
            };
        }
        for cut in &mut result.cuts {
            cut.samples = cut.samples.saturating_mul(from) / to;
        }
    }
}
