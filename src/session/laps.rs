//! Marks within a tick: where its time goes, for whoever has a clock.
//!
//! The core has none. It says when a phase is over, and a [`Laps`] of an edge may look at a clock then; the
//! ordinary [`Unmarked`] does nothing, and is compiled to nothing.
//!
//! **Invariant:** a mark changes nothing: a session steps alike whoever listens.

/// A part of a tick, in the order in which they come: the slot's, with the session's eight among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The edges give what has arrived.
    Give,
    /// What arrived is taken in.
    Admit,
    /// Each participant is heard.
    Hear,
    /// Delays that are over.
    Wake,
    /// The agent answers.
    Think,
    /// Tool calls.
    Work,
    /// The agent graph.
    Route,
    /// A tick of audio is made.
    Speak,
    /// The digest.
    Seal,
    /// The journal's entry: in two pieces, before the step and after it.
    Journal,
    /// The edges take what came of it.
    Take,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 11] = [
        Self::Give,
        Self::Admit,
        Self::Hear,
        Self::Wake,
        Self::Think,
        Self::Work,
        Self::Route,
        Self::Speak,
        Self::Seal,
        Self::Journal,
        Self::Take,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Give => "give",
            Self::Admit => "admit",
            Self::Hear => "hear",
            Self::Wake => "wake",
            Self::Think => "think",
            Self::Work => "work",
            Self::Route => "route",
            Self::Speak => "speak",
            Self::Seal => "seal",
            Self::Journal => "journal",
            Self::Take => "take",
        }
    }
}

/// Is told when a phase is over.
pub trait Laps {
    /// This phase is over: what has passed since the last mark belongs to it.
    fn lap(&mut self, phase: Phase);
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unmarked;

impl Laps for Unmarked {
    fn lap(&mut self, _phase: Phase) {}
}
