//! Parts of a configuration that are each allowed and stand in each other's way: two things said at once,
//! prompts that keep a silence from lasting, words that two intents claim.
//!
//! **Invariant:** each is told once, at the part that would be changed.

use std::collections::BTreeMap;

use super::check::Report;
use super::complaint::excerpt;
use super::transitions::{Transition, When};
use super::{Agent, Config, Intent, Scripted};

/// The transitions of an agent, with their places in the file.
type Ways<'a> = Vec<(usize, &'a Transition)>;

/// Tells all that stands in each other's way.
pub(super) fn look(config: &Config, report: &mut Report<'_>) {
    let mut leaving: BTreeMap<&str, Ways<'_>> = BTreeMap::new();
    for (index, way) in config.transitions.iter().enumerate() {
        leaving.entry(&way.from).or_default().push((index, way));
    }
    for (name, agent) in &config.agents {
        let Agent::Scripted(agent) = agent else { continue };
        if agent.idle.is_some() && config.turn.away_ms == 0 {
            let what = "it is never said: with `turn.away_ms: 0` nobody counts as away";
            report.tell(&["agents", name, "idle"], what, "write another `away_ms`, or remove it");
        }
        phrases(name, agent, report);
        let ways = leaving.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        for (at, intent) in agent.intents.iter().enumerate() {
            let place = ["agents", name, "intents", &at.to_string()];
            self::intent(&place, intent, ways, report);
        }
    }
    for (index, way) in config.transitions.iter().enumerate() {
        silence(&index.to_string(), way, config, report);
    }
}

/// The same words in two intents: the one listed first always wins.
fn phrases(name: &str, agent: &Scripted, report: &mut Report<'_>) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (at, intent) in agent.intents.iter().enumerate() {
        for (index, phrase) in intent.phrases.iter().enumerate() {
            let words = phrase.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
            let first = *seen.entry(words.join(" ")).or_insert(at);
            if first != at {
                let place =
                    ["agents", name, "intents", &at.to_string(), "phrases", &index.to_string()];
                let what = format!(
                    "`{}` is a phrase of `{}` as well, which is listed first and wins",
                    excerpt(phrase),
                    agent.intents[first].name
                );
                report.tell(&place, what, "remove one of the two, or add a word");
            }
        }
    }
}

/// What an intent does beside the transition that it causes.
fn intent(place: &[&str], intent: &Intent, ways: &[(usize, &Transition)], report: &mut Report<'_>) {
    let at = |key| [place, &[key]].concat();
    for (index, way) in ways {
        let on_result = match (&way.when, &intent.call) {
            (When::Intent(name), _) if *name == intent.name => false,
            (When::ToolResult(result), Some(call)) if call.tool == result.tool => true,
            _ => continue,
        };
        if intent.end_call {
            let what = format!(
                "the call ends with this intent, and transition {index} hands it over to `{}`",
                way.to
            );
            report.tell(&at("end_call"), what, "remove one of the two");
        }
        if let Some(said) = spoken(way).filter(|_| on_result && intent.then.is_some()) {
            let what = format!(
                "it is said as well as {said} when transition {index} fires on the same result"
            );
            report.tell(&at("then"), what, "say it in one place");
        }
    }
}

/// What is said at a hand-over by the transition itself.
fn spoken(way: &Transition) -> Option<&'static str> {
    match (&way.say, &way.arrival) {
        (Some(_), _) => Some("`say`"),
        (None, Some(_)) => Some("`arrival`"),
        (None, None) => None,
    }
}

/// A silence that the prompts of the agent do not let last.
fn silence(index: &str, way: &Transition, config: &Config, report: &mut Report<'_>) {
    let When::SilenceMs(silence) = way.when else { return };
    let Some(Agent::Scripted(from)) = config.agents.get(&way.from) else { return };
    let (away, prompts) = (config.turn.away_ms, config.call.max_idle_prompts);
    if from.idle.is_none() || away == 0 {
        return;
    }
    let place = ["transitions", index, "when", "silence_ms"];
    let remedy = format!("write less than `turn.away_ms`, which is {away}");
    // Without a bound there is one prompt, after which the silence lasts.
    if silence > away && prompts > 0 {
        let what = format!(
            "it never fires: after {away} ms `idle` of `{}` is said, and the silence begins anew",
            way.from
        );
        report.tell(&place, what, remedy);
    } else if silence == away {
        let what = format!("it fires at the moment at which `idle` of `{}` is said", way.from);
        report.tell(&place, what, remedy);
    }
}
