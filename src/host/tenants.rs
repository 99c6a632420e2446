//! Tenants: whoever a session is held for, and how much each may ask for.
//!
//! A tenant is a name that comes with a session. Each may have so many at the same time, and begin so many in a minute:
//! at first as many at once, and from then on one more with each part of a minute. Who names none has no bounds.
//!
//! ```
//! use antiphon::host::{pace::Clock, tenants::{Bounds, Tenants}};
//!
//! let mut tenants = Tenants::new(Bounds { sessions: Some(2), a_minute: Some(60) });
//! let now = Clock::default().now();
//! assert!(tenants.admit("acme", 1, now).is_ok());
//! let refused = tenants.admit("acme", 2, now).unwrap_err();
//! assert_eq!(refused.to_string(), "tenant `acme` has 2 sessions, as many as it may have");
//! assert!(tenants.admit("other", 0, now).is_ok(), "each has its own");
//! ```
//!
//! **Invariant:** what one tenant asks for takes nothing from what another one may ask for.

use std::collections::BTreeMap;

use super::pace::Moment;

/// Characters of a tenant's name at most.
pub const NAME_MAX: usize = 64;

/// Tenants that are remembered at most; beyond, those are forgotten that have asked for nothing for longest.
const KNOWN_MAX: usize = 10_000;

/// What each tenant may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Sessions at the same time; none: any number.
    pub sessions: Option<u32>,
    /// Sessions that begin in a minute; none: any number.
    pub a_minute: Option<u32>,
}

/// Why a tenant gets no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It has as many as it may have.
    Full(String, u32),
    /// It has begun too many in the last minute.
    TooFast(String, u32),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(name, most) => {
                write!(f, "tenant `{name}` has {most} sessions, as many as it may have")
            }
            Self::TooFast(name, most) => {
                write!(
                    f,
                    "tenant `{name}` has begun {most} sessions within a minute, as many as it may"
                )
            }
        }
    }
}

impl std::error::Error for Refused {}

/// How much each tenant has asked for.
#[derive(Debug, Default)]
pub struct Tenants {
    bounds: Bounds,
    /// Sessions that may begin, and as of when.
    left: BTreeMap<String, (f64, Moment)>,
}

impl Tenants {
    /// Nobody has asked for anything yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, left: BTreeMap::new() }
    }

    /// Whether a tenant that has so many sessions gets another one now; then it counts as begun.
    ///
    /// # Errors
    /// It does not.
    pub fn admit(&mut self, tenant: &str, sessions: usize, now: Moment) -> Result<(), Refused> {
        if tenant.is_empty() {
            return Ok(());
        }
        if let Some(most) = self.bounds.sessions.filter(|most| sessions >= *most as usize) {
            return Err(Refused::Full(tenant.to_owned(), most));
        }
        let Some(most) = self.bounds.a_minute else { return Ok(()) };
        self.forget();
        let full = f64::from(most);
        let (left, since) = self.left.entry(tenant.to_owned()).or_insert((full, now));
        let minutes = now.since_ns(*since) as f64 / 60e9;
        *left = (*left + full * minutes).min(full);
        *since = now;
        if *left < 1.0 {
            return Err(Refused::TooFast(tenant.to_owned(), most));
        }
        *left -= 1.0;
        Ok(())
    }

    fn forget(&mut self) {
        if self.left.len() < KNOWN_MAX {
            return;
        }
        let oldest = self.left.iter().min_by_key(|(_, (_, since))| *since);
        if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
            self.left.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::pace::Clock;

    #[test]
    fn a_tenant_begins_as_many_as_it_may_and_then_one_by_one() {
        let begun = Clock::default().now();
        let mut tenants = Tenants::new(Bounds { sessions: None, a_minute: Some(30) });
        assert!((0..30).all(|_| tenants.admit("a", 0, begun).is_ok()));
        let refused = tenants.admit("a", 0, begun).unwrap_err();
        assert!(refused.to_string().contains("30 sessions within a minute"), "{refused}");
        assert!(tenants.admit("b", 0, begun).is_ok());
        let later = begun.after_ns(2_000_000_001);
        assert!(tenants.admit("a", 0, later).is_ok(), "one more in two seconds");
        assert!(tenants.admit("a", 0, later).is_err());
    }

    #[test]
    fn who_names_no_tenant_has_no_bounds_and_names_are_forgotten() {
        let now = Clock::default().now();
        let mut tenants = Tenants::new(Bounds { sessions: Some(1), a_minute: Some(1) });
        assert!((0..100).all(|_| tenants.admit("", 1_000, now).is_ok()));
        for name in 0..2 * KNOWN_MAX as u64 {
            drop(tenants.admit(&name.to_string(), 0, now.after_ns(name)));
        }
        assert!(tenants.left.len() <= KNOWN_MAX);
    }
}
