//! `antiphon demo`: a spoken conversation, from one command.
//!
//! The configuration and the caller's clips are part of the program, so that it runs anywhere.

use std::process::ExitCode;

use super::args::DemoArgs;
use super::call::{Call, With, hold};
use super::failure::Failure;
use super::load;
use crate::config::{self, scenario};
use crate::tool::Registry;

const CONFIG: &[u8] = include_bytes!("../../configs/demo.yaml");
const CUES: &[u8] = include_bytes!("../../audio/demo.yaml");

macro_rules! clips {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../audio/", $name)))),+]
    };
}

const CLIPS: &[(&str, &[u8])] = clips![
    "caller-01-order.wav",
    "caller-02-hours.wav",
    "caller-03-billing.wav",
    "caller-04-owe.wav",
    "caller-05-invoice.wav",
    "caller-06-return.wav",
    "caller-07-policy.wav",
    "caller-08-barge-in.wav",
    "caller-09-refund.wav",
    "caller-10-goodbye.wav",
    "cough.wav",
    "mm-hmm.wav",
    "noise.wav",
];

pub(super) fn demo(args: &DemoArgs, tools: Registry) -> Result<ExitCode, Failure> {
    let refused = |complaints: config::Complaints| Failure::input(complaints.to_string());
    let config = config::parse(CONFIG, "configs/demo.yaml").map_err(refused)?;
    let (plan, tools) = load::plan(config, tools)?;
    let cues = scenario::parse(CUES, "audio/demo.yaml").map_err(refused)?;
    let open = |name: &str| {
        let clip = CLIPS.iter().find(|(known, _)| *known == name);
        clip.map(|(_, bytes)| bytes.to_vec())
            .ok_or_else(|| Failure::input(format!("the demo has no clip {name}")))
    };
    let part = load::part(&cues.cases("caller")[0], "caller", &open, &plan, &mut |text| {
        eprintln!("{text}");
    })?;
    hold(Call {
        seed: plan.config.seed,
        plan,
        tools,
        outside: None,
        with: With::Callers(vec![part]),
        out: args.out.clone(),
        journal: None,
        fast: args.fast,
        opus: args.opus,
        json: args.json,
        metering: args.metrics.start()?,
    })
}
