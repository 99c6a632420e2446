//! Puts numbered media frames back into order and decides when a missing one is lost.
//!
//! One buffer sits ahead of each decoder (Opus packets) or lane (PCM frames). Whatever arrives is
//! pushed with its 16-bit sequence number, RTP's or our own; once per frame period one item is
//! pulled. Frames in order are there at the very next pull: the buffer adds delay only when one is
//! missing, by answering [`Pulled::Waiting`] while it may still come.
//!
//! - The first frame pushed begins the stream; what was sent before it is [`Pushed::Late`].
//! - A gap is seen by a pull that finds the next frame missing and a later one queued. It is given
//!   up as soon as `depth` later frames are queued or `depth` pulls were told to wait for it; then
//!   each missing number is [`Pulled::Lost`], once, one per pull. With nothing queued there is no
//!   gap: the sender may pause, and a pull waits for ever.
//! - Every pull that waited while the sender went on made the stream one frame later, up to `depth`
//!   frames, which then are the cushion for the next gap. A caller who concealed that period may
//!   pull again at once when it reads `Lost`, and is on time again. [`Reorder::trim`] takes back the
//!   rest: called once per period, it drops a frame after 50 periods above a target.
//! - A number `capacity` or more ahead restarts the stream there: the sender lost that much or
//!   began anew. A number more than `capacity` behind does so only when its successor follows at
//!   once (RFC 3550 A.1), since a single one is merely very late.
//!
//! **Invariant:** nothing here knows the clock or the network; numbers released only rise (and wrap)
//! but for restarts, and at most `capacity` items are held, in memory allocated once.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// How many periods in a row must be above the target before [`Reorder::trim`] drops a frame: 1 s
/// of 20 ms frames, so that one burst costs nothing and a lasting excess melts by 2 % of real time.
const TRIM_AFTER: u16 = 50;

/// What became of an item pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It waits for its turn.
    Queued,
    /// Its number is queued already; it was dropped.
    Duplicate,
    /// Its turn is over: released (a duplicate, then), given up or before the start; it was dropped.
    Late,
    /// It was too far away: everything queued was dropped and the stream goes on with this item.
    Overflow,
}

/// What a period brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulled<T> {
    /// The next item.
    Item(T),
    /// The next item is given up: conceal it, perhaps with the help of [`Reorder::peek_next`].
    Lost,
    /// There is nothing, or the next item is missing and may still come.
    Waiting,
}

/// What happened to a stream so far.
///
/// `received` = released + `trimmed` + still queued, and every push counts in exactly one of
/// `received`, `late` and `duplicate`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReorderCounts {
    /// Items taken into the queue.
    pub received: u64,
    /// Numbers given up.
    pub lost: u64,
    /// Items after their turn.
    pub late: u64,
    /// Items whose number was queued already.
    pub duplicate: u64,
    /// Items received but dropped unplayed, by [`Reorder::trim`] or a restart.
    pub trimmed: u64,
    /// Jumps to another range of numbers.
    pub restarts: u64,
}

/// A reordering buffer; see the module for its rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reorder<T> {
    depth: u16,
    /// As many slots as the capacity; the first one is `next`'s.
    slots: VecDeque<Option<T>>,
    queued: u16,
    /// The number to be released next; none before the first push.
    next: Option<u16>,
    /// Pulls that waited for the gap at `next`.
    waited: u16,
    /// Successor of a number far behind, which restarts the stream if pushed next.
    suspect: Option<u16>,
    /// Consecutive calls of `trim` above the target.
    above: u16,
    counts: ReorderCounts,
}

impl<T> Reorder<T> {
    /// Makes an empty buffer, with all the memory it will need.
    ///
    /// `depth` is how long to wait for a missing item, in items and in pulls; 0 gives up at once.
    /// `capacity` is how far ahead an item may be: 1 to 16,384.
    ///
    /// # Panics
    /// If `capacity` is outside that range (beyond it, ahead and behind cannot be told apart with
    /// 16 bits) or not above `depth`.
    #[must_use]
    pub fn new(depth: u16, capacity: u16) -> Self {
        assert!(
            (1..=16_384).contains(&capacity) && depth < capacity,
            "reorder depth {depth} and capacity {capacity}: need depth < capacity <= 16384"
        );
        Self {
            depth,
            slots: (0..capacity).map(|_| None).collect(),
            queued: 0,
            next: None,
            waited: 0,
            suspect: None,
            above: 0,
            counts: ReorderCounts::default(),
        }
    }

    /// Takes in an item.
    pub fn push(&mut self, seq: u16, item: T) -> Pushed {
        let next = *self.next.get_or_insert(seq);
        let suspect = self.suspect.take();
        let ahead = seq.wrapping_sub(next).cast_signed();
        if ahead < 0 {
            if usize::from(ahead.unsigned_abs()) <= self.slots.len() {
                self.counts.late += 1;
                return Pushed::Late;
            }
            if suspect != Some(seq) {
                self.suspect = Some(seq.wrapping_add(1));
                self.counts.late += 1;
                return Pushed::Late;
            }
        }
        let ahead = usize::try_from(ahead).unwrap_or(usize::MAX);
        match self.slots.get_mut(ahead) {
            Some(Some(_)) => {
                self.counts.duplicate += 1;
                Pushed::Duplicate
            }
            Some(slot) => {
                *slot = Some(item);
                self.queued += 1;
                self.counts.received += 1;
                Pushed::Queued
            }
            None => {
                self.restart(seq, item);
                Pushed::Overflow
            }
        }
    }

    /// Gives what this period brings; called once per frame period.
    pub fn pull(&mut self) -> Pulled<T> {
        if self.queued == 0 {
            return Pulled::Waiting;
        }
        if self.slots[0].is_none() && self.queued < self.depth && self.waited < self.depth {
            self.waited += 1;
            return Pulled::Waiting;
        }
        match self.advance() {
            Some(item) => {
                self.waited = 0;
                Pulled::Item(item)
            }
            // `waited` stays, so that the rest of the gap is given up without waiting again.
            None => {
                self.counts.lost += 1;
                Pulled::Lost
            }
        }
    }

    /// The item the next pull would release, if it is there: after [`Pulled::Lost`] the successor of
    /// the lost one, which for Opus may carry its error correction.
    #[must_use]
    pub fn peek_next(&self) -> Option<&T> {
        self.slots[0].as_ref()
    }

    /// The items that are queued, in order.
    pub fn queued(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten()
    }

    /// Bounds the delay; called once per frame period. When more than `target` items were queued at
    /// 50 calls in a row, gives up a gap at the head, if there is one, and drops the oldest item.
    /// It is returned, in case a decoder should see it. A target below `depth` takes away the cushion
    /// as well, and every gap builds it anew.
    pub fn trim(&mut self, target: u16) -> Option<T> {
        if self.queued <= target {
            self.above = 0;
            return None;
        }
        self.above += 1;
        if self.above < TRIM_AFTER {
            return None;
        }
        self.above = 0;
        self.waited = 0;
        // Something is queued, as it is more than `target`, so this ends within the capacity.
        loop {
            if let Some(item) = self.advance() {
                self.counts.trimmed += 1;
                return Some(item);
            }
            self.counts.lost += 1;
        }
    }

    /// The number after the last one that is queued, or the one that is released next; none before the first push.
    #[must_use]
    pub fn after_last(&self) -> Option<u16> {
        let queued = self.slots.iter().rposition(Option::is_some).map_or(0, |at| at + 1);
        self.next.map(|next| next.wrapping_add(queued as u16))
    }

    /// How many items can be queued.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// How many items are queued.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.queued)
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> ReorderCounts {
        self.counts
    }

    /// Steps over `next`, with the item if it is there.
    fn advance(&mut self) -> Option<T> {
        let item = self.slots.pop_front().flatten();
        self.slots.push_back(None);
        self.next = self.next.map(|seq| seq.wrapping_add(1));
        self.queued -= u16::from(item.is_some());
        item
    }

    fn restart(&mut self, seq: u16, item: T) {
        self.counts.trimmed += u64::from(self.queued);
        self.counts.restarts += 1;
        self.counts.received += 1;
        self.slots.iter_mut().for_each(|slot| *slot = None);
        self.slots[0] = Some(item);
        self.next = Some(seq);
        (self.queued, self.waited, self.above) = (1, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Pulled::*, *};

    /// Plays a script: a number is pushed, `.` pulls, `T` trims to 1; says what the pulls brought.
    fn play(depth: u16, capacity: u16, script: &str) -> String {
        let mut buffer = Reorder::new(depth, capacity);
        let mut heard = Vec::new();
        for word in script.split_whitespace() {
            match word {
                "." => heard.push(match buffer.pull() {
                    Item(seq) => format!("{seq}"),
                    Lost => "lost".into(),
                    Waiting => "-".into(),
                }),
                "T" => heard.extend(buffer.trim(1).map(|seq| format!("trim {seq}"))),
                seq => {
                    let seq = seq.parse().expect("a number");
                    match buffer.push(seq, seq) {
                        Pushed::Queued => {}
                        other => heard.push(format!("{other:?}")),
                    }
                }
            }
        }
        heard.join(" ")
    }

    #[test]
    fn frames_in_order_are_not_delayed() {
        assert_eq!(play(3, 8, "7 . 8 . 9 10 . . ."), "7 8 9 10 -");
    }

    #[test]
    fn swapped_frames_come_out_in_order() {
        assert_eq!(play(3, 8, "1 . 3 . 2 . . ."), "1 - 2 3 -");
    }

    #[test]
    fn a_missing_frame_is_lost_after_depth_pulls_or_depth_frames() {
        assert_eq!(play(2, 8, "1 . 3 . . . . ."), "1 - - lost 3 -");
        assert_eq!(play(2, 8, "1 . 3 . 4 . . ."), "1 - lost 3 4");
        assert_eq!(play(0, 8, "1 . 3 . ."), "1 lost 3");
    }

    #[test]
    fn a_burst_of_loss_is_waited_for_once() {
        assert_eq!(play(2, 8, "1 . 5 . . . . . ."), "1 - - lost lost lost 5");
    }

    #[test]
    fn a_pause_of_the_sender_is_no_loss() {
        assert_eq!(play(2, 8, "1 . . . . . . 2 ."), "1 - - - - - 2");
    }

    #[test]
    fn late_and_double_frames_are_told_apart_while_queued() {
        assert_eq!(play(0, 8, "1 . 3 3 . 2 . 3"), "1 Duplicate lost Late 3 Late");
    }

    #[test]
    fn a_jump_ahead_restarts_at_once_and_a_jump_back_with_the_second_frame() {
        assert_eq!(play(2, 8, "1 . 2 9999 . 10000 ."), "1 Overflow 9999 10000");
        assert_eq!(play(2, 8, "9999 . 5 . 6 . 7 ."), "9999 Late - Overflow 6 7");
        assert_eq!(play(2, 8, "9999 . 5 10000 6 . ."), "9999 Late Late 10000 -");
    }

    #[test]
    fn numbers_wrap() {
        assert_eq!(play(2, 8, "65534 0 65535 . . . 1 ."), "65534 65535 0 1");
    }

    #[test]
    fn the_packet_after_a_loss_can_be_looked_at() {
        let mut buffer = Reorder::new(1, 4);
        buffer.push(1, 'a');
        assert_eq!(buffer.pull(), Item('a'));
        buffer.push(3, 'c');
        assert_eq!((buffer.pull(), buffer.peek_next()), (Lost, Some(&'c')));
    }

    #[test]
    fn a_lasting_excess_is_trimmed_one_by_one() {
        assert_eq!(play(2, 8, &format!("1 2 3 {} . .", "T ".repeat(99))), "trim 1 2 3");
        let gap = format!("1 . 3 4 5 {} .", "T ".repeat(50));
        assert_eq!(play(6, 8, &gap), "1 trim 3 4");
    }

    #[test]
    fn a_restored_checkpoint_goes_on_identically() {
        let mut buffer = Reorder::new(2, 8);
        for seq in [65_535, 1, 2] {
            buffer.push(seq, u32::from(seq));
        }
        buffer.pull();
        let saved = serde_json::to_string(&buffer).expect("state is plain data");
        let mut restored: Reorder<u32> = serde_json::from_str(&saved).expect("just written");
        assert_eq!(restored, buffer);
        for _ in 0..5 {
            assert_eq!(restored.pull(), buffer.pull());
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Act {
        Push(u16),
        Pull,
        Trim(u16),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        // Numbers near a base that wraps, with rare jumps.
        let seq = prop_oneof![9 => 0_u16..60, 1 => any::<u16>()];
        prop::collection::vec(
            prop_oneof![
                4 => seq.prop_map(|n| Act::Push(65_500_u16.wrapping_add(n))),
                4 => Just(Act::Pull),
                1 => (0_u16..4).prop_map(Act::Trim),
            ],
            0..400,
        )
    }

    proptest! {
        /// The reference: a map of unwrapped positions, by which the rules are written down again.
        #[test]
        fn any_arrival_agrees_with_the_model(
            acts in acts(),
            depth in 0_u16..6,
            room in 1_u16..40,
        ) {
            let mut buffer = Reorder::new(depth, depth + room);
            let capacity = i64::from(depth + room);
            let mut queue: BTreeMap<i64, u16> = BTreeMap::new();
            let (mut next, mut waited) = (None::<i64>, 0);
            let (mut pushes, mut released) = (0, 0);
            for act in acts {
                let before = buffer.counts();
                match act {
                    Act::Push(seq) => {
                        pushes += 1;
                        let head = *next.get_or_insert(i64::from(seq));
                        let at = head + i64::from(seq.wrapping_sub(head as u16).cast_signed());
                        let far = at >= head + capacity || at < head - capacity;
                        let expected = match buffer.push(seq, seq) {
                            Pushed::Overflow => {
                                prop_assert!(far);
                                queue.clear();
                                (next, waited) = (Some(at), 0);
                                queue.insert(at, seq);
                                continue;
                            }
                            other => other,
                        };
                        prop_assert!(at < head + capacity);
                        prop_assert_eq!(expected == Pushed::Late, at < head);
                        prop_assert_eq!(expected == Pushed::Duplicate, queue.contains_key(&at));
                        if expected == Pushed::Queued {
                            queue.insert(at, seq);
                        }
                    }
                    Act::Pull => {
                        let give_up = queue.len() as u16 >= depth || waited >= depth;
                        let expected = match next {
                            Some(head) if queue.contains_key(&head) => {
                                (next, waited, released) = (Some(head + 1), 0, released + 1);
                                queue.remove(&head).map_or(Waiting, Item)
                            }
                            Some(head) if !queue.is_empty() && give_up => {
                                next = Some(head + 1);
                                Lost
                            }
                            _ => {
                                waited += u16::from(!queue.is_empty());
                                Waiting
                            }
                        };
                        prop_assert_eq!(buffer.pull(), expected);
                    }
                    Act::Trim(target) => {
                        if let Some(seq) = buffer.trim(target) {
                            let (at, oldest) = queue.pop_first().expect("only what is queued");
                            prop_assert_eq!(seq, oldest);
                            let gap = at - next.expect("begun");
                            prop_assert_eq!(buffer.counts().lost - before.lost, gap as u64);
                            (next, waited) = (Some(at + 1), 0);
                        }
                    }
                }
                prop_assert_eq!(buffer.len(), queue.len());
            }
            let counts = buffer.counts();
            prop_assert_eq!(pushes, counts.received + counts.late + counts.duplicate);
            prop_assert_eq!(counts.received, released + counts.trimmed + queue.len() as u64);
        }

        /// One sender, numbers in order but for loss, doubling and displacement by less than the
        /// capacity: each item at most once, in strictly rising order.
        #[test]
        fn any_permutation_comes_out_in_order(
            fates in prop::collection::vec((0_usize..6, 0_u8..3, 0_usize..3), 1..300),
            first: u16,
        ) {
            let mut arrivals = Vec::new();
            for (i, &(displaced, copies, _)) in fates.iter().enumerate() {
                arrivals.extend((0..copies).map(|copy| (i + displaced * usize::from(copy + 1), i)));
            }
            arrivals.sort_unstable();
            let mut buffer = Reorder::new(4, 64);
            let mut out = Vec::new();
            for (n, &(_, i)) in arrivals.iter().enumerate() {
                buffer.push(first.wrapping_add(i as u16), i);
                for _ in 0..fates[n % fates.len()].2 {
                    out.extend(match buffer.pull() { Item(i) => Some(i), Lost | Waiting => None });
                }
            }
            prop_assert!(out.is_sorted_by(|a, b| a < b), "{:?}", out);
            let counts = buffer.counts();
            // A run of losses longer than the capacity may restart; never otherwise.
            prop_assert_eq!(counts.received, (out.len() + buffer.len()) as u64 + counts.trimmed);
        }
    }
}
