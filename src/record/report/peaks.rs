//! Waveforms that fit any call: one cell of a byte for each track and stretch of time.
//!
//! A cell has the loudest sample of its stretch and whether there was speech in it. Stretches are 40 ms
//! (a tick, where that is longer) until a track would have more than [`CELLS_MAX`] cells; then each two
//! become one, of twice the time. A day's call ends at stretches of 5 s or so, in the same memory.
//!
//! **Invariant:** all tracks have stretches of the same length, and no more than [`CELLS_MAX`] of them.

use crate::clock::{Tick, TickLen};
use crate::id::LaneId;

/// Cells of a track: 21 minutes at 40 ms, finer than a wide screen can show at once.
pub(super) const CELLS_MAX: u64 = 1 << 15;

/// Tracks of participants. As many as may be there at once have their own; whoever comes after so many
/// others shares the last.
const LANES_MAX: usize = 16;

/// Names of those who were on a lane, one after another; the rest are counted.
const NAMES_MAX: usize = 4;

/// The length of a stretch at first, in milliseconds: two ticks, about a pixel of a call of a minute.
const CELL_MS: u32 = 40;

/// Set in a cell in which there was speech. The other bits are the loudness.
const SPEECH: u8 = 0x80;

/// The largest loudness.
const LOUDEST: u32 = 0x7F;

/// Waveforms of everyone, from the start of the call.
#[derive(Debug, Clone)]
pub(super) struct Peaks {
    ticks_a_cell: u64,
    agent: Vec<u8>,
    lanes: Vec<Track>,
}

/// The waveform of a participant.
#[derive(Debug, Clone)]
pub(super) struct Track {
    /// Whose; the first of several who share it.
    lane: LaneId,
    /// Who was on that lane, one after another.
    pub(super) names: Vec<String>,
    /// How many more share it.
    pub(super) others: u64,
    /// One cell a stretch; it may end before the call does.
    pub(super) cells: Vec<u8>,
}

impl Peaks {
    pub(super) fn new(len: TickLen) -> Self {
        Self { ticks_a_cell: len.ticks_min_one(CELL_MS), agent: Vec::new(), lanes: Vec::new() }
    }

    /// Makes room for a participant.
    pub(super) fn join(&mut self, lane: LaneId, name: &str) {
        if let Some(track) = self.lanes.iter_mut().find(|track| track.lane == lane) {
            if track.names.iter().any(|known| known == name) {
                return;
            }
            match track.names.len() {
                NAMES_MAX => track.others += 1,
                _ => track.names.push(name.to_owned()),
            }
        } else if self.lanes.len() < LANES_MAX {
            let names = vec![name.to_owned()];
            self.lanes.push(Track { lane, names, others: 0, cells: Vec::new() });
        } else if let Some(last) = self.lanes.last_mut() {
            last.others += 1;
        }
    }

    /// Notes a participant's tick.
    pub(super) fn lane(&mut self, now: Tick, lane: LaneId, peak: u16, speech: bool) {
        let at = self.at(now);
        let own = self.lanes.iter().position(|track| track.lane == lane);
        let Some(last) = self.lanes.len().checked_sub(1) else { return };
        put(&mut self.lanes[own.unwrap_or(last)].cells, at, peak, speech);
    }

    /// Notes the agent's tick.
    pub(super) fn agent(&mut self, now: Tick, peak: u16, speech: bool) {
        let at = self.at(now);
        put(&mut self.agent, at, peak, speech);
    }

    pub(super) const fn ticks_a_cell(&self) -> u64 {
        self.ticks_a_cell
    }

    pub(super) fn lanes(&self) -> &[Track] {
        &self.lanes
    }

    pub(super) fn agent_cells(&self) -> &[u8] {
        &self.agent
    }

    fn at(&mut self, now: Tick) -> usize {
        while now.0 / self.ticks_a_cell >= CELLS_MAX {
            self.ticks_a_cell *= 2;
            halve(&mut self.agent);
            self.lanes.iter_mut().for_each(|track| halve(&mut track.cells));
        }
        (now.0 / self.ticks_a_cell) as usize
    }
}

fn put(cells: &mut Vec<u8>, at: usize, peak: u16, speech: bool) {
    if cells.len() <= at {
        cells.resize(at + 1, 0);
    }
    let cell = if speech { SPEECH } else { 0 } | loudness(peak);
    cells[at] = louder(cells[at], cell);
}

/// By the square root, so that quiet voices are seen; a fortieth of full scale is a sixth of the height.
fn loudness(peak: u16) -> u8 {
    (u32::from(peak) * LOUDEST * LOUDEST / 32_768).isqrt().min(LOUDEST) as u8
}

fn louder(a: u8, b: u8) -> u8 {
    ((a | b) & SPEECH) | (a & !SPEECH).max(b & !SPEECH)
}

fn halve(cells: &mut Vec<u8>) {
    let half = cells.len().div_ceil(2);
    for at in 0..half {
        cells[at] = louder(cells[2 * at], cells.get(2 * at + 1).copied().unwrap_or_default());
    }
    cells.truncate(half);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: LaneId = LaneId(3);

    #[test]
    fn a_day_fits_and_its_last_word_is_seen() {
        let mut peaks = Peaks::new(TickLen::from_ms(20).unwrap());
        peaks.join(ANN, "Ann");
        let day = 24 * 3_600 * 50;
        for tick in (0..day).step_by(10) {
            peaks.lane(Tick(tick), ANN, 100, false);
            peaks.agent(Tick(tick), 0, false);
        }
        peaks.lane(Tick(day), ANN, 32_768, true);
        let cells = &peaks.lanes()[0].cells;
        assert!(cells.len() as u64 <= CELLS_MAX && cells.len() as u64 > CELLS_MAX / 2);
        assert_eq!(cells.last(), Some(&0xFF));
        assert_eq!(cells[0], loudness(100));
        assert_eq!(peaks.ticks_a_cell() * (cells.len() as u64 - 1), day / 256 * 256);
    }

    #[test]
    fn a_jump_of_years_is_no_loop_and_no_flood() {
        let mut peaks = Peaks::new(TickLen::from_ms(20).unwrap());
        peaks.agent(Tick(0), 32_768, true);
        peaks.agent(Tick(u64::MAX / 2), 9, false);
        assert!(peaks.agent_cells().len() as u64 <= CELLS_MAX);
        assert_eq!(peaks.agent_cells()[0], 0xFF);
    }

    #[test]
    fn those_beyond_the_seats_share_the_last() {
        let mut peaks = Peaks::new(TickLen::from_ms(20).unwrap());
        for lane in 0..20 {
            peaks.join(LaneId(lane), "Ann");
            peaks.lane(Tick(u64::from(lane) * 2), LaneId(lane), 32_768, true);
        }
        assert_eq!(peaks.lanes().len(), LANES_MAX);
        assert_eq!(peaks.lanes()[15].others, 4);
        assert_eq!(peaks.lanes()[15].cells[15..20], [0xFF; 5]);
    }
}
