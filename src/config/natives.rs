//! Checks of agents whose models hear and speak.

use super::agents::{Native, TurnDetection};
use super::check::Report;
use super::models::Provider;
use super::{Agent, Config, RecogniserEngine, SynthesiserEngine, models};

/// Checks an agent whose model hears and speaks.
pub(super) fn check(name: &str, agent: &Native, config: &Config, report: &mut Report<'_>) {
    let words = [
        ("instructions", Some(&agent.instructions)),
        ("greeting", agent.greeting.as_ref()),
        ("arrival", agent.arrival.as_ref()),
        ("idle", agent.idle.as_ref()),
    ];
    models::of_agent(name, (&agent.model, words, &agent.tools), config, report);
    let canned = config.models.get(&agent.model).is_some_and(|it| it.provider == Provider::Canned);
    if canned && agent.turn_detection != TurnDetection::Own {
        let what = format!("`{}` is canned: it does not find out when anybody speaks", agent.model);
        let place = ["agents", name, "turn_detection"];
        report.tell(&place, what, "write `turn_detection: own`");
    }
    if agent.turn_detection != TurnDetection::Own && !config.turn.barge_in {
        let what = "nobody may interrupt, and a provider that detects turns interrupts by itself";
        let place = ["agents", name, "turn_detection"];
        report.tell(&place, what, "write `turn_detection: own`, or remove `turn.barge_in: false`");
    }
    let is_deaf = config.speech.recogniser.engine == RecogniserEngine::None;
    if is_deaf && agent.transcription.is_empty() {
        for (index, tool) in agent.tools.iter().enumerate() {
            if config.tools.get(tool).is_some_and(|tool| tool.approval.is_some()) {
                let what = format!(
                    "`{tool}` needs approval, and nobody writes down whether the user says yes"
                );
                let place = ["agents", name, "tools", &index.to_string()];
                report.tell(&place, what, "name a model in `transcription`, or remove the tool");
            }
        }
    }
    if agent.turn_detection != TurnDetection::Own {
        // A provider that answers by itself goes on before anybody can say no.
        for (index, tool) in agent.tools.iter().enumerate() {
            if config.tools.get(tool).is_some_and(|tool| tool.approval.is_some()) {
                let what = format!(
                    "`{tool}` needs approval, and a provider that detects turns answers before it is given"
                );
                let place = ["agents", name, "tools", &index.to_string()];
                report.tell(&place, what, "write `turn_detection: own`, or remove the tool");
            }
        }
    }
}

/// Says what others lack beside agents that hear and speak by themselves, which lack nothing: it is easily forgotten.
pub(super) fn advise(config: &Config, report: &mut Report<'_>) {
    let natives = config.agents.values().any(|agent| matches!(agent, Agent::Native(_)));
    if !natives {
        return;
    }
    let is_deaf = config.speech.recogniser.engine == RecogniserEngine::None;
    let is_mute = config.speech.synthesiser.engine == SynthesiserEngine::None;
    for (name, agent) in &config.agents {
        let (hears, speaks) = match agent {
            Agent::Native(native) => {
                fallbacks(name, native, config, report);
                continue;
            }
            Agent::Echo(_) => continue,
            Agent::Model(_) => (true, true),
            Agent::Scripted(scripted) => (!scripted.intents.is_empty(), true),
        };
        if hears && is_deaf {
            let what = format!("`{name}` does not hear what callers say: there is no recogniser");
            let remedy =
                "set `speech.recogniser.engine`; agents of kind `native` need none, others do";
            report.tell(&["agents", name], what, remedy);
        }
        if speaks && is_mute {
            let what = format!("nobody hears what `{name}` says: there is no synthesiser");
            let remedy =
                "set `speech.synthesiser.engine`; agents of kind `native` need none, others do";
            report.tell(&["agents", name], what, remedy);
        }
    }
    for (index, transition) in config.transitions.iter().enumerate() {
        let leaves = matches!(config.agents.get(&transition.from), Some(Agent::Native(_)));
        if leaves && is_mute && transition.say.is_some() {
            let what = "nobody hears this: a model may be gone before it could say it, and there is no synthesiser";
            let remedy =
                "set `speech.synthesiser.engine`, or let the model say it in its `instructions`";
            report.tell(&["transitions", &index.to_string(), "say"], what, remedy);
        }
    }
}

fn fallbacks(name: &str, native: &Native, config: &Config, report: &mut Report<'_>) {
    if config.models.get(&native.model).is_some_and(|model| !model.fallbacks.is_empty()) {
        let what = format!("`{name}` speaks by itself: nobody takes over from its model in a call");
        let place = ["models", native.model.as_str(), "fallbacks"];
        report.tell(&place, what, "remove them; a lost connection is made again");
    }
}
