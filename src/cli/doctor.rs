//! `antiphon doctor`: whether this machine can do what calls need, and what to do if not.

use std::process::ExitCode;

use super::devices::ChoiceArgs;
use super::failure::Failure;
use super::view::line;
use crate::device::keeper::Keeper;
use crate::device::probe;

/// Says whether this machine can do what calls need.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Chirps to play.
    #[arg(long, value_name = "N", default_value_t = 5)]
    chirps: usize,
    #[command(flatten)]
    devices: ChoiceArgs,
}

pub(super) fn doctor(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let (keeper, ends, _) =
        Keeper::start(args.devices.choice(), probe::SHAPE).map_err(|wrong| {
            let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
            Failure::input(wrong.join("\n"))
        })?;
    for device in &keeper.devices {
        line(format_args!("{}: {} ({})", device.side.noun(), device.name, device.shape));
    }
    let heard = probe::probe(&ends, args.chirps);
    line(format_args!("{heard:#?}"));
    line(format_args!(
        "{:?} {:?} {:?}",
        heard.round_trip_ms(),
        heard.level_db(),
        heard.drift_ms_a_minute()
    ));
    Ok(ExitCode::SUCCESS)
}
