//! The choice of at most one move.
//!
//! The transitions of the current agent are tried in their order, rules first, then by descending
//! priority, then as listed; the first whose condition is fulfilled is taken.
//!
//! **Invariant:** there is no move without an edge, and equal situations give equal moves.

use super::condition::{Cause, Condition, Occasion, Ruled, Rules, TurnsOf};
use super::rules::Variables;
use super::{AgentGraph, Transition};
use crate::clock::Tick;
use crate::id::AgentId;
use serde_json::Value;

/// What conditions look at.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// The tick.
    pub now: Tick,
    /// What happened since the graph was asked last, and since the current agent began.
    pub occasions: &'a [Occasion],
    /// For how many ticks the current agent has been that.
    pub current_for: u64,
    /// For how many ticks neither side was heard.
    pub silent_for: u64,
    /// How many turns the user has had since the current agent began.
    pub agent_turns: u32,
    /// How many turns the user has had in this call.
    pub call_turns: u32,
    /// The keys pressed since the current agent began.
    pub digits: &'a str,
    /// Transitions that were refused within this turn: they are not tried again.
    pub refused: &'a [u32],
    /// What business rules look at.
    pub variables: &'a dyn Variables,
    /// Whether rules are looked at although nothing has happened.
    pub second: bool,
}

/// Nothing is known.
struct Unknown;

impl Variables for Unknown {
    fn user_input(&self) -> &str {
        ""
    }

    fn current_agent_name(&self) -> &str {
        ""
    }

    fn current_agent_type(&self) -> &str {
        ""
    }

    fn conversation_turn_count(&self) -> u64 {
        0
    }

    fn last_tool_name(&self) -> &str {
        ""
    }

    fn last_tool_result(&self) -> &str {
        ""
    }

    fn fact(&self, _: &str) -> Option<&Value> {
        None
    }
}

impl Situation<'_> {
    /// A situation in which nothing has happened.
    #[must_use]
    pub const fn at(now: Tick) -> Self {
        Self {
            now,
            occasions: &[],
            current_for: 0,
            silent_for: 0,
            agent_turns: 0,
            call_turns: 0,
            digits: "",
            refused: &[],
            variables: &Unknown,
            second: false,
        }
    }

    /// Why a condition is fulfilled, if it is. Times are told in ticks: the session knows how long one is.
    fn fulfils(&self, condition: &Condition) -> Option<Cause> {
        match condition {
            Condition::Timer(ticks) => (self.current_for >= *ticks).then_some(Cause::Timer(*ticks)),
            Condition::Silence(ticks) => {
                let silent = self.silent_for.min(self.current_for);
                (silent >= *ticks).then_some(Cause::Silence(*ticks))
            }
            Condition::Turns { of, at_least } => {
                let turns = match of {
                    TurnsOf::Agent => self.agent_turns,
                    TurnsOf::Call => self.call_turns,
                };
                // Counted when something happens, so that a move that was refused is not tried in each tick.
                let asked = !self.occasions.is_empty();
                (asked && turns >= *at_least).then_some(Cause::Turns(turns))
            }
            Condition::Digits(digits) => {
                let pressed = !digits.is_empty() && self.digits.ends_with(digits.as_str());
                let asked = !self.occasions.is_empty();
                (asked && pressed).then(|| Cause::Digits(digits.clone()))
            }
            Condition::Never | Condition::Rules(_) => None,
            Condition::Intent(_)
            | Condition::ToolResult { .. }
            | Condition::Event { .. }
            | Condition::UserInput(_)
            | Condition::Decision { .. } => {
                self.occasions.iter().find_map(|occasion| condition.fulfilled(occasion))
            }
        }
    }
}

/// A move that is to be made.
#[derive(Debug, Clone)]
pub struct Move<'g> {
    /// The transition taken.
    pub transition: &'g Transition,
    /// The agent that takes over: that of the transition, unless its rules name another.
    pub to: AgentId,
    /// Why.
    pub cause: Cause,
    /// Facts that the rules set with the move.
    pub updates: Vec<(String, Value)>,
}

/// The move to make from `at`, if one is to be made. Rules that cannot be evaluated are no match, and
/// `failures` says which and why.
#[must_use]
pub fn route<'g>(
    graph: &'g AgentGraph,
    at: AgentId,
    situation: &Situation<'_>,
    failures: &mut Vec<(u32, String)>,
) -> Option<Move<'g>> {
    let open = graph.leaving(at).iter().filter(|t| !situation.refused.contains(&t.id));
    open.into_iter().find_map(|transition| {
        if let Condition::Rules(rules) = &transition.condition {
            return ruled(graph, at, transition, rules, situation, failures);
        }
        let cause = situation.fulfils(&transition.condition)?;
        Some(Move { transition, to: transition.to, cause, updates: Vec::new() })
    })
}

/// The move that rules lead to. An agent to which no transition leads is a failure of theirs.
fn ruled<'g>(
    graph: &AgentGraph,
    at: AgentId,
    transition: &'g Transition,
    rules: &Rules,
    situation: &Situation<'_>,
    failures: &mut Vec<(u32, String)>,
) -> Option<Move<'g>> {
    if situation.occasions.is_empty() && !situation.second {
        return None;
    }
    match rules.evaluate(situation.variables) {
        Ok(None) => None,
        Ok(Some(Ruled { rule, to, updates })) => {
            // To itself is no move, and no reason for none.
            if to == at {
                return None;
            }
            if graph.leaving(at).iter().any(|way| way.to == to) {
                return Some(Move { transition, to, cause: Cause::Rule(rule), updates });
            }
            failures.push((
                transition.id,
                format!("rule {rule} leads to {to}, to which no transition leads"),
            ));
            None
        }
        Err(why) => {
            failures.push((transition.id, why));
            None
        }
    }
}
