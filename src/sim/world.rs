//! The world: a slot stepped in virtual time until it ends.

use crate::slot::{Slot, Status};

/// How a run in virtual time went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Ticks stepped.
    pub ticks: u64,
    /// How it ended: running if the bound was reached first.
    pub status: Status,
}

/// Steps a slot until its session ends, at most `bound` ticks; `each` sees the slot after each tick
/// and may stop the run by answering false.
pub fn run(slot: &mut Slot, bound: u64, mut each: impl FnMut(&mut Slot) -> bool) -> Ran {
    for ticks in 1..=bound {
        let status = slot.tick(0).clone();
        let go_on = each(slot);
        if status != Status::Running || !go_on {
            return Ran { ticks, status };
        }
    }
    Ran { ticks: bound, status: Status::Running }
}
