//! Whether the speech libraries are there, and the sound files of a configuration.

use serde_json::json;

use super::finding::Finding;
use crate::cli::{engines, load};
use crate::config::{RecogniserEngine, SynthesiserEngine};
use crate::model::lexicon::Lexicon;
use crate::model::{SpeechError, offline};
use crate::session::plan::Plan;

/// Something that was found, or what is wrong with it and what to do.
type Looked = Result<String, (String, String)>;

pub(super) fn speech(plan: Option<&Plan>) -> Finding {
    let mut doubt = None;
    let (ear, mouth) = match plan {
        None => {
            let words = ["hello".to_owned()];
            let lexicon = Lexicon::new(&words, &std::collections::BTreeMap::new());
            let ear = lexicon.and_then(|lexicon| offline::recogniser(&lexicon)).map(drop);
            (Some(heard(ear)), Some(spoken()))
        }
        Some(plan) => (ear(plan, &mut doubt), mouth(plan)),
    };
    let figures = json!({
        "recogniser": ear.as_ref().map(Result::is_ok), "synthesiser": mouth.as_ref().map(Result::is_ok)
    });
    let (found, wrong): (Vec<_>, Vec<_>) = ear.into_iter().chain(mouth).partition(Result::is_ok);
    let mut found: Vec<String> = found.into_iter().filter_map(Result::ok).collect();
    let wrong: Vec<_> = wrong.into_iter().filter_map(Result::err).collect();
    let finding = if wrong.is_empty() {
        match doubt {
            Some((what, remedy)) => {
                Finding::warning([found, vec![what]].concat().join("; "), remedy)
            }
            None if found.is_empty() => Finding::ok("this configuration needs no library"),
            None => Finding::ok(found.join("; ")),
        }
    } else {
        let (what, mut remedies): (Vec<_>, Vec<_>) = wrong.into_iter().unzip();
        remedies.dedup();
        found.extend(what);
        let (found, remedy) = (found.join("\n"), remedies.join("\n"));
        // Without a configuration nobody needs them for certain.
        if plan.is_some() {
            Finding::failed(found, remedy)
        } else {
            Finding::warning(found, remedy)
        }
    };
    finding.with(figures)
}

fn heard(ear: Result<(), SpeechError>) -> Looked {
    ear.map(|()| "PocketSphinx hears, with its English model".to_owned()).map_err(parted)
}

fn spoken() -> Looked {
    let engine = offline::synthesiser().map_err(parted)?;
    Ok(format!("flite speaks, with the voices {}", engine.voices().join(", ")))
}

fn parted(error: SpeechError) -> (String, String) {
    match error {
        SpeechError::Missing { what, remedy } => (format!("{what} is missing"), remedy),
        SpeechError::Failed(why) => (why, "see what is wrong with it, or reinstall it".to_owned()),
    }
}

/// What hears in calls of this plan, if that is a library; what it cannot hear is in doubt.
fn ear(plan: &Plan, doubt: &mut Option<(String, String)>) -> Option<Looked> {
    match plan.config.speech.recogniser.engine {
        RecogniserEngine::None | RecogniserEngine::Model => None,
        RecogniserEngine::Pocketsphinx => {
            let ear = engines::lexicon(plan).and_then(|lexicon| offline::recogniser(&lexicon));
            Some(heard(ear.map(|(_, unknown)| {
                if !unknown.is_empty() {
                    let what =
                        format!("its dictionary has no pronunciation of {}", unknown.join(", "));
                    *doubt = Some((what, "write them otherwise, or expect them typed".to_owned()));
                }
            })))
        }
    }
}

/// What speaks in calls of this plan, if that is a library.
fn mouth(plan: &Plan) -> Option<Looked> {
    match plan.config.speech.synthesiser.engine {
        SynthesiserEngine::None | SynthesiserEngine::Model | SynthesiserEngine::Tone => None,
        SynthesiserEngine::Flite => Some(spoken().and_then(|found| {
            let mut wrong = Vec::new();
            let engine = offline::synthesiser().map_err(parted)?;
            engines::check_voices(plan, engine.as_ref(), &mut wrong);
            if wrong.is_empty() {
                return Ok(found);
            }
            Err((wrong.join("\n"), "name one that it has in `voice`".to_owned()))
        })),
    }
}

/// The sound files of a configuration.
pub(super) fn clips(plan: &Plan) -> Finding {
    let count = plan.config.clips.len();
    if count == 0 {
        return Finding::ok("this configuration has none");
    }
    let mut doubts = Vec::new();
    let loaded = load::clips(plan, &mut |text| doubts.push(text));
    let s = if count == 1 { "" } else { "s" };
    let finding = match loaded {
        Err(failure) => Finding::failed(
            failure.to_string(),
            "put the files where `clips` says, beside the configuration",
        ),
        Ok(_) if doubts.is_empty() => Finding::ok(format!("{count} file{s} can be played")),
        Ok(_) => Finding::warning(doubts.join("\n"), "make these files anew"),
    };
    finding.with(json!({ "clips": count }))
}
