//! Checks of agents whose models hear and speak.

use super::agents::{Native, TurnDetection};
use super::check::Report;
use super::models::Provider;
use super::{Agent, Config, RecogniserEngine, script};
use crate::graph::verb::Verb;

/// Checks an agent whose model hears and speaks.
pub(super) fn check(name: &str, agent: &Native, config: &Config, report: &mut Report<'_>) {
    if !config.models.contains_key(&agent.model) {
        let place = ["agents", name, "model"];
        report.unknown(&place, "model", &agent.model, config.models.keys(), &["models"]);
    }
    let words = [
        ("instructions", Some(&agent.instructions)),
        ("greeting", agent.greeting.as_ref()),
        ("arrival", agent.arrival.as_ref()),
        ("idle", agent.idle.as_ref()),
    ];
    script::words_of(name, words, report);
    let is_known = |tool: &str| {
        let is_server = config.mcp_servers.contains_key(tool);
        config.tools.contains_key(tool) || Verb::of(tool).is_some() || is_server
    };
    script::tools_of(name, &agent.tools, is_known, config, report);
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

/// Says which agents are deaf among others that hear by themselves: nobody needs a recogniser for those, and it is
/// forgotten for these.
pub(super) fn advise(config: &Config, report: &mut Report<'_>) {
    let natives = config.agents.values().any(|agent| matches!(agent, Agent::Native(_)));
    if !natives || config.speech.recogniser.engine != RecogniserEngine::None {
        return;
    }
    for (name, agent) in &config.agents {
        let hears = match agent {
            Agent::Native(_) | Agent::Echo(_) => true,
            Agent::Model(_) => false,
            Agent::Scripted(scripted) => scripted.intents.is_empty(),
        };
        if !hears {
            let what = format!("`{name}` does not hear what callers say: there is no recogniser");
            let remedy =
                "set `speech.recogniser.engine`; agents of kind `native` need none, others do";
            report.tell(&["agents", name], what, remedy);
        }
    }
}
