//! What a model has cost so far.
//!
//! **Invariant:** a record counts once, and a lost connection changes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::UsageRecord;
use crate::think::chat::Usage;

/// Scopes at most; what comes of further ones is counted under [`OTHER`].
const SCOPES_MAX: usize = 32;

/// The scope of what has no room for one of its own.
pub const OTHER: &str = "other";

/// What was used, by scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    sums: BTreeMap<String, Usage>,
    totals: BTreeMap<String, Usage>,
}

impl Ledger {
    /// Takes a record.
    pub fn take(&mut self, record: &UsageRecord) {
        let (book, scope) = match record {
            UsageRecord::Delta { scope, .. } => (&mut self.sums, scope),
            UsageRecord::Total { scope, .. } => (&mut self.totals, scope),
        };
        let room = book.len() < SCOPES_MAX || book.contains_key(scope);
        let scope = if room { scope.as_str() } else { OTHER };
        let entry = book.entry(scope.to_owned()).or_default();
        *entry = match record {
            UsageRecord::Delta { usage, .. } => entry.and(*usage),
            UsageRecord::Total { usage, .. } => *usage,
        };
    }

    /// The sum of the records of a scope.
    #[must_use]
    pub fn sum(&self, scope: &str) -> Usage {
        self.sums.get(scope).copied().unwrap_or_default()
    }

    /// The last total of a scope.
    #[must_use]
    pub fn total(&self, scope: &str) -> Usage {
        self.totals.get(scope).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(prompt: u64) -> Usage {
        Usage { prompt: Some(prompt), ..Usage::default() }
    }

    #[test]
    fn records_add_up_and_of_totals_the_last_counts() {
        let mut ledger = Ledger::default();
        for prompt in [3, 4] {
            ledger.take(&UsageRecord::Delta { scope: "response".into(), usage: usage(prompt) });
            ledger.take(&UsageRecord::Total { scope: "minutes".into(), usage: usage(prompt) });
        }
        assert_eq!((ledger.sum("response"), ledger.total("minutes")), (usage(7), usage(4)));
        assert_eq!(ledger.sum("minutes"), Usage::default());
    }

    #[test]
    fn scopes_are_bounded_and_nothing_is_lost() {
        let mut ledger = Ledger::default();
        for n in 0..1_000 {
            ledger.take(&UsageRecord::Delta { scope: n.to_string(), usage: usage(1) });
        }
        assert_eq!(ledger.sums.len(), SCOPES_MAX + 1);
        assert_eq!(ledger.sum(OTHER), usage(1_000 - SCOPES_MAX as u64));
    }
}
