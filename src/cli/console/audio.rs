//! The microphone and the loudspeaker of a console.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use clap::ValueEnum;
use crossbeam_channel::{Sender, bounded};

use super::desk::LANE;
use super::{ConsoleArgs, Devices, Sound};
use crate::cli::failure::Failure;
use crate::device::echo::{self, Treatment};
use crate::device::follow::Flow;
use crate::device::keeper::Keeper;
use crate::device::line::{Account, Handles, Line, shape};
use crate::device::trouble::Side;
use crate::host::notice::Notice;
use crate::session::plan::Plan;

/// What is done about the agent's own voice in the microphone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum EchoArg {
    /// It is cancelled, noise is suppressed, and the voice is brought to a good level.
    Cancel,
    /// The microphone is closed while the agent is heard: nobody can interrupt it by voice.
    HalfDuplex,
    /// There is none, since you wear headphones; noise and level are seen to.
    Headphones,
    /// Nothing at all: the microphone is heard as it is.
    Off,
}

/// Notices that wait to be shown at most; what finds no room is lost to the screen.
const NOTICES: usize = 64;

/// How long devices are waited for at most until they run steadily, in milliseconds.
const SETTLE_MS: u32 = 1_000;

/// Opens what was chosen, and says what it is.
pub(super) fn audio(plan: &Plan, args: &ConsoleArgs) -> Result<Sound, Failure> {
    let choice = args.devices.choice();
    let (tell, notices) = bounded(NOTICES);
    let treatment = treatment(args.echo, choice.is_null(Side::Output), &tell);
    let started = Keeper::start(choice, shape(plan), tell.clone());
    let (keeper, ends) = started.map_err(|troubles| {
        let troubles: Vec<_> = troubles.iter().map(ToString::to_string).collect();
        Failure::input(troubles.join("\n"))
    })?;
    for device in &keeper.devices {
        let text = format!("{}: {} ({})", device.side.noun(), device.name, device.shape);
        let _ = tell.try_send(Notice::Info(text));
    }
    let (mut line, handles) = Line::new(plan, LANE, ends, treatment);
    line.settle(SETTLE_MS);
    let devices = Open { _keeper: keeper, handles };
    Ok(Sound { edges: vec![Box::new(line)], notices, devices: Some(Box::new(devices)) })
}

/// What is done about echo here: what was asked for, as far as this program can.
fn treatment(wanted: EchoArg, silent: bool, tell: &Sender<Notice>) -> Treatment {
    let warn = |text: &str| {
        let _ = tell.try_send(Notice::Warning(text.to_owned()));
    };
    match wanted {
        // Nothing is played that could come back.
        EchoArg::Cancel if silent => Treatment::Headphones,
        EchoArg::Cancel if echo::IS_BUILT => Treatment::Cancelled,
        EchoArg::Cancel => {
            warn(
                "this program was built without echo cancellation (the feature `aec`): half duplex. The microphone is \
                 closed while the agent speaks, so that it cannot be interrupted by voice; with headphones, say \
                 --echo off",
            );
            Treatment::HalfDuplex
        }
        EchoArg::HalfDuplex => {
            warn("half duplex: the microphone is closed while the agent speaks");
            Treatment::HalfDuplex
        }
        EchoArg::Headphones => Treatment::Headphones,
        EchoArg::Off => Treatment::Off,
    }
}

/// Devices that are open.
struct Open {
    _keeper: Keeper,
    handles: Handles,
}

impl Open {
    fn account(&self) -> Account {
        *self.handles.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Devices for Open {
    fn mute(&self, muted: bool) {
        self.handles.muted.store(muted, Ordering::Relaxed);
    }

    fn glance(&self) -> String {
        let Account { input, output, breakdown, suppression } = self.account();
        let mut parts = Vec::new();
        if let (Some(input), Some(output)) = (input, output) {
            parts.push(format!("added {:.0} ms", breakdown.total()));
            parts.push(format!("clocks {:+.0} {:+.0} ppm", input.off_ppm, output.off_ppm));
            let gaps = input.missed + input.jumps + output.missed;
            if gaps > 0 {
                parts.push(format!("gaps {gaps}"));
            }
        }
        parts.extend(suppression.delay_ms.map(|ms| format!("echo after {ms} ms")));
        parts.join("  ")
    }

    fn told(&self) -> Vec<String> {
        let Account { input, output, breakdown, suppression } = self.account();
        let mut lines = Vec::new();
        let flow = |what: &str, flow: Flow| {
            format!(
                "{what}: clock off by {:.0} ppm, {:.1} ms at a time, missed {}, jumped {}",
                flow.off_ppm, flow.period_ms, flow.missed, flow.jumps
            )
        };
        lines.extend(input.map(|input| flow("microphone", input)));
        lines.extend(output.map(|output| flow("loudspeaker", output)));
        if let (Some(db), Some(ms)) = (suppression.enhancement_db, suppression.delay_ms) {
            lines.push(format!("echo: {db:.0} dB taken out by the filter alone, {ms} ms late"));
        }
        if input.is_some() && output.is_some() {
            let parts = breakdown.named();
            let parts = parts.iter().filter(|(_, ms)| *ms > 0.0);
            let parts: Vec<_> = parts.map(|(name, ms)| format!("{name} {ms:.1}")).collect();
            lines.push(format!(
                "added between microphone and loudspeaker, beyond their own buffers: {:.1} ms ({})",
                breakdown.total(),
                parts.join(", ")
            ));
        }
        lines
    }

    fn figures(&self) -> serde_json::Value {
        let Account { input, output, breakdown, suppression } = self.account();
        let flow = |flow: Flow| {
            serde_json::json!({
                "off_ppm": flow.off_ppm, "period_ms": flow.period_ms, "held_ms": flow.held_ms,
                "missed": flow.missed, "jumps": flow.jumps
            })
        };
        let parts: serde_json::Map<_, _> =
            breakdown.named().into_iter().map(|(name, ms)| (name.to_owned(), ms.into())).collect();
        serde_json::json!({
            "type": "devices",
            "microphone": input.map(flow),
            "loudspeaker": output.map(flow),
            "echo": { "filter_db": suppression.enhancement_db, "delay_ms": suppression.delay_ms },
            "added_ms": { "total": breakdown.total(), "parts": parts },
        })
    }
}
