//! `antiphon devices`: this machine's microphones and speakers, and how they are chosen.

use std::process::ExitCode;

use cpal::traits::DeviceTrait;

use super::failure::Failure;
use super::view::{line, plain};
use crate::device::choice::{self, Choice, NULL};
use crate::device::trouble::Side;

/// Lists this machine's microphones and speakers.
///
/// Each has a name, an identity, the rates and channels that it has, and what it is used with unless something else is
/// asked for. `console` and `doctor` choose one by its name, its identity, or a part of either that no other has.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon devices
  antiphon devices --host alsa
  antiphon devices --json

Exit codes: 0 there are some, 1 there are none, 2 the sound system does not answer.")]
pub(super) struct DevicesArgs {
    /// The kind of sound system, by its name.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Prints an object instead of text.
    #[arg(long)]
    json: bool,
}

/// Which devices are used.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Devices")]
pub(super) struct ChoiceArgs {
    /// The microphone: its name, its identity, or a part of either (`antiphon devices`); `null` for none.
    #[arg(long, value_name = "NAME")]
    input: Option<String>,
    /// The speaker, in the same way.
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// Both, in the same way; `--device null` runs without hardware.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["input", "output"])]
    device: Option<String>,
    /// The kind of sound system, by its name, instead of the usual one.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// The rate of both in Hz, instead of 48,000 or the best that each has.
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(8_000..=384_000))]
    rate: Option<u32>,
}

impl ChoiceArgs {
    /// What is chosen.
    pub(super) fn choice(&self) -> Choice {
        Choice {
            host: self.host.clone(),
            input: self.input.clone().or_else(|| self.device.clone()),
            output: self.output.clone().or_else(|| self.device.clone()),
            rate_hz: self.rate,
        }
    }
}

/// A device as it is listed.
#[derive(Debug, serde::Serialize)]
struct Listed {
    side: &'static str,
    name: String,
    id: String,
    default: bool,
    /// What it would be used with.
    used: Option<String>,
    rates_hz: Vec<[u32; 2]>,
    channels: Vec<u16>,
    formats: Vec<String>,
}

pub(super) fn devices(args: &DevicesArgs) -> Result<ExitCode, Failure> {
    let _hushed = choice::hushed();
    let wanted = Choice { host: args.host.clone(), ..Choice::default() };
    let host = choice::host(&wanted).map_err(Failure::input)?;
    let mut all = Vec::new();
    for side in [Side::Input, Side::Output] {
        let default = choice::default(&host, side).map(|device| choice::id(&device));
        for (device, name, id) in choice::all(&host, side) {
            let is_default = default.as_ref() == Some(&id);
            let listed = listed(&host, &device, side, (name, id, is_default));
            // ALSA lists plugins that stand for nothing here; what is taken has its rates all the same, elsewhere.
            if !listed.rates_hz.is_empty() || is_default {
                all.push(listed);
            }
        }
    }
    let hosts: Vec<_> = cpal::available_hosts().iter().map(cpal::HostId::name).collect();
    if args.json {
        line(serde_json::json!({ "host": host.id().name(), "hosts": hosts, "devices": all }));
    } else {
        line(format_args!("sound system: {} (there are: {})", host.id().name(), hosts.join(", ")));
        for (side, title) in [("input", "microphones"), ("output", "speakers")] {
            line(format_args!("\n{title}"));
            let of_side: Vec<_> = all.iter().filter(|listed| listed.side == side).collect();
            if of_side.is_empty() {
                line(format_args!("  none: plug one in; `--{side} {NULL}` runs without"));
            }
            for listed in of_side {
                show(listed);
            }
        }
    }
    Ok(if all.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn listed(
    host: &cpal::Host,
    device: &cpal::Device,
    side: Side,
    (name, id, default): (String, String, bool),
) -> Listed {
    let ranges: Vec<_> = match side {
        Side::Input => device.supported_input_configs().map(Iterator::collect).unwrap_or_default(),
        Side::Output => {
            device.supported_output_configs().map(Iterator::collect).unwrap_or_default()
        }
    };
    let mut rates_hz: Vec<_> =
        ranges.iter().map(|range| [range.min_sample_rate(), range.max_sample_rate()]).collect();
    let mut channels: Vec<_> =
        ranges.iter().map(cpal::SupportedStreamConfigRange::channels).collect();
    let mut formats: Vec<_> =
        ranges.iter().map(|range| range.sample_format().to_string()).collect();
    rates_hz.sort_unstable();
    rates_hz.dedup();
    channels.sort_unstable();
    channels.dedup();
    formats.sort_unstable();
    formats.dedup();
    let exact = match side {
        Side::Input => Choice { input: Some(id.clone()), ..Choice::default() },
        Side::Output => Choice { output: Some(id.clone()), ..Choice::default() },
    };
    let used = choice::pick(host, &exact, side).ok().map(|picked| {
        let cpal::StreamConfig { channels, sample_rate, .. } = picked.config;
        format!("{sample_rate} Hz, {channels} channel{}, {}", s(channels), picked.format)
    });
    let side = match side {
        Side::Input => "input",
        Side::Output => "output",
    };
    Listed { side, name, id, default, used, rates_hz, channels, formats }
}

const fn s(count: u16) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn show(listed: &Listed) {
    let mark = if listed.default { "*" } else { " " };
    line(format_args!("{mark} {}", plain(&listed.name)));
    line(format_args!("    {}", plain(&listed.id)));
    let rates: Vec<_> = listed
        .rates_hz
        .iter()
        .map(
            |[least, most]| {
                if least == most { least.to_string() } else { format!("{least} to {most}") }
            },
        )
        .collect();
    let channels = match (listed.channels.first(), listed.channels.last()) {
        (Some(least), Some(most)) if least != most => format!("{least} to {most} channels"),
        (Some(one), _) => format!("{one} channel{}", s(*one)),
        _ => "no channels".to_owned(),
    };
    line(format_args!("    {} Hz, {channels}, {}", rates.join(", "), listed.formats.join(" ")));
    match &listed.used {
        Some(used) => line(format_args!("    used with {used}")),
        None => line(format_args!("    cannot be used now: it is taken, or not there")),
    }
}
