//! Which devices there are, and which one is meant.

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{BufferSize, SampleFormat, StreamConfig, SupportedBufferSize};

use super::server;
use super::trouble::{Side, Trouble, choices};

/// What stands for no device at all.
pub const NULL: &str = "null";

/// The rate that is asked for where it can be had: what sound hardware and rooms have.
const RATE_HZ: u32 = 48_000;

/// How much a device is asked to hand over at a time, in milliseconds.
pub const PERIOD_MS: u32 = 10;

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The kind of sound system, by its name; the system's usual one otherwise.
    pub host: Option<String>,
    /// The microphone, by its name or a part of it; [`NULL`] for none; the default one otherwise.
    pub input: Option<String>,
    /// The speaker, in the same way.
    pub output: Option<String>,
    /// The rate of both, in Hz; the best that each has otherwise.
    pub rate_hz: Option<u32>,
}

impl Choice {
    /// What is asked for on one side.
    #[must_use]
    pub fn of(&self, side: Side) -> Option<&str> {
        match side {
            Side::Input => self.input.as_deref(),
            Side::Output => self.output.as_deref(),
        }
    }

    /// Whether no device is wanted there.
    #[must_use]
    pub fn is_null(&self, side: Side) -> bool {
        self.of(side).is_some_and(|name| name.eq_ignore_ascii_case(NULL))
    }
}

/// A device, and how it is to be used.
#[derive(Debug, Clone)]
pub struct Picked {
    /// The device.
    pub device: cpal::Device,
    /// Its name, for people.
    pub name: String,
    /// Its identity, by which a change of the default is seen.
    pub id: String,
    /// Rate, channels and period.
    pub config: StreamConfig,
    /// The format of its samples.
    pub format: SampleFormat,
}

/// A host by its name or a part of it, or the usual one.
///
/// # Errors
/// There is none of that name, or it does not answer.
pub fn host(choice: &Choice) -> Result<cpal::Host, String> {
    let Some(wanted) = &choice.host else { return Ok(cpal::default_host()) };
    let known = cpal::available_hosts();
    let all: Vec<_> = cpal::ALL_HOSTS.iter().map(|id| id.name().to_lowercase()).collect();
    let found =
        cpal::ALL_HOSTS.iter().find(|id| id.name().to_lowercase().contains(&wanted.to_lowercase()));
    let Some(&id) = found else {
        return Err(format!("--host: there is no `{wanted}`; there are: {}", all.join(", ")));
    };
    let why_not = |error: &dyn std::fmt::Display| {
        let remedy = server::elsewhere();
        let remedy = remedy.unwrap_or_else(|| "start its server, or leave out --host".to_owned());
        format!("--host: {} does not answer ({error}): {remedy}", id.name())
    };
    if !known.contains(&id) {
        return Err(why_not(&"it is not running"));
    }
    cpal::host_from_id(id).map_err(|error| why_not(&error))
}

/// Has ALSA's complaints kept from the terminal while this is held, for the calling thread: each is an error that is
/// told in other words, or of a plugin that nobody asked for.
#[must_use]
pub fn hushed() -> Hushed {
    Hushed {
        #[cfg(target_os = "linux")]
        _output: alsa::Output::local_error_handler().ok(),
    }
}

/// See [`hushed`].
pub struct Hushed {
    #[cfg(target_os = "linux")]
    _output: Option<std::rc::Rc<std::cell::RefCell<alsa::Output>>>,
}

impl std::fmt::Debug for Hushed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hushed")
    }
}

/// A device's name, for people.
#[must_use]
pub fn name(device: &cpal::Device) -> String {
    device.description().map_or_else(|_| "unnamed".to_owned(), |told| told.name().to_owned())
}

/// A device's identity.
#[must_use]
pub fn id(device: &cpal::Device) -> String {
    device.id().map_or_else(|_| String::new(), |id| id.id().to_owned())
}

/// All devices of a side, with their names and identities.
#[must_use]
pub fn all(host: &cpal::Host, side: Side) -> Vec<(cpal::Device, String, String)> {
    let devices: Vec<_> = match side {
        Side::Input => host.input_devices().map(Iterator::collect).unwrap_or_default(),
        Side::Output => host.output_devices().map(Iterator::collect).unwrap_or_default(),
    };
    let named = |device: cpal::Device| {
        let (name, id) = (name(&device), id(&device));
        (device, name, id)
    };
    devices.into_iter().map(named).collect()
}

/// The default device of a side.
#[must_use]
pub fn default(host: &cpal::Host, side: Side) -> Option<cpal::Device> {
    match side {
        Side::Input => host.default_input_device(),
        Side::Output => host.default_output_device(),
    }
}

/// The device that is meant on a side, and how to use it.
///
/// # Errors
/// There is none, none of that name, several, or none that can be used so.
pub fn pick(host: &cpal::Host, choice: &Choice, side: Side) -> Result<Picked, Trouble> {
    let noun = side.noun();
    let trouble = |what: String, passes| Trouble { side, what, passes };
    let device = match choice.of(side) {
        None => default(host, side).ok_or_else(|| trouble(no_default(host, side), true))?,
        Some(wanted) => named(host, wanted, side).map_err(|what| trouble(what, true))?,
    };
    let (name, id) = (name(&device), id(&device));
    let told = |error: &cpal::Error| {
        // ALSA has a default that stands for nothing where there is no sound card.
        if choice.of(side).is_none() && error.kind() == cpal::ErrorKind::DeviceNotAvailable {
            return trouble(no_default(host, side), true);
        }
        let names = shown(&all(host, side), side);
        Trouble::told(side, &name, error, &names)
    };
    let (config, format) = usage(&device, side, choice.rate_hz)
        .map_err(|error| told(&error))?
        .map_err(|what| trouble(format!("the {noun} `{name}` {what}"), false))?;
    Ok(Picked { device, name, id, config, format })
}

/// What there is instead of a default device, and what to do.
fn no_default(host: &cpal::Host, side: Side) -> String {
    let (noun, option) = (side.noun(), side.option());
    let instead = choices(side, &shown(&all(host, side), side));
    let remedy = server::elsewhere().unwrap_or_else(|| {
        let start = if cfg!(target_os = "linux") {
            ", start the sound server if this machine has one (`systemctl --user start pipewire pipewire-pulse`, or \
             `pulseaudio --start`)"
        } else {
            ""
        };
        format!("plug one in{start}, or choose one with {option}{instead}")
    });
    format!("there is no {noun}: {remedy}")
}

/// The devices that can be used on a side, by name and identity: ALSA lists plugins that stand for nothing here.
pub(super) fn shown(devices: &[(cpal::Device, String, String)], side: Side) -> Vec<String> {
    let can = |device: &cpal::Device| match side {
        Side::Input => device.supported_input_configs().is_ok_and(|mut all| all.next().is_some()),
        Side::Output => device.supported_output_configs().is_ok_and(|mut all| all.next().is_some()),
    };
    let usable = devices.iter().filter(|(device, ..)| can(device));
    usable.map(|(_, name, id)| format!("{name} ({id})")).collect()
}

/// The device that has this name or identity, or the only one that has it in a part.
fn named(host: &cpal::Host, wanted: &str, side: Side) -> Result<cpal::Device, String> {
    let devices = all(host, side);
    let pairs: Vec<_> = devices.iter().map(|(_, name, id)| (name.as_str(), id.as_str())).collect();
    let names = |devices: &[_]| shown(devices, side);
    match find(&pairs, wanted) {
        Found::One(at) => Ok(devices[at].0.clone()),
        Found::None => Err(format!(
            "{}: there is no {} `{wanted}`{}",
            side.option(),
            side.noun(),
            choices(side, &names(&devices))
        )),
        Found::Several(which) => {
            let which: Vec<_> = which.into_iter().map(|at| devices[at].clone()).collect();
            let which = names(&which);
            Err(format!(
                "{}: `{wanted}` may be any of several: give more of its name{}",
                side.option(),
                choices(side, &which)
            ))
        }
    }
}

/// What was found for a name.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    One(usize),
    None,
    Several(Vec<usize>),
}

/// Which of the pairs of name and identity is meant.
fn find(pairs: &[(&str, &str)], wanted: &str) -> Found {
    let lower = wanted.to_lowercase();
    let exact: Vec<_> = (0..pairs.len())
        .filter(|&at| {
            let (name, id) = pairs[at];
            id == wanted || name.to_lowercase() == lower || id.to_lowercase() == lower
        })
        .collect();
    if let Some(&first) = exact.first() {
        return Found::One(first);
    }
    let parts: Vec<_> = (0..pairs.len())
        .filter(|&at| {
            let (name, id) = pairs[at];
            name.to_lowercase().contains(&lower) || id.to_lowercase().contains(&lower)
        })
        .collect();
    match parts[..] {
        [] => Found::None,
        [one] => Found::One(one),
        _ => Found::Several(parts),
    }
}

/// How a device is used best: at 48 kHz where it can, with few channels, and samples that lose nothing. The inner
/// error is about the rate that was asked for.
fn usage(
    device: &cpal::Device,
    side: Side,
    rate_hz: Option<u32>,
) -> Result<Result<(StreamConfig, SampleFormat), String>, cpal::Error> {
    let (usual, ranges): (_, Vec<_>) = match side {
        Side::Input => {
            (device.default_input_config()?, device.supported_input_configs()?.collect())
        }
        Side::Output => {
            (device.default_output_config()?, device.supported_output_configs()?.collect())
        }
    };
    let wanted = rate_hz.unwrap_or(RATE_HZ);
    let fits = ranges
        .iter()
        .filter(|range| range.contains_rate(wanted) && is_known(range.sample_format()))
        .max_by_key(|range| merit(range.channels(), range.sample_format(), usual.channels()));
    let (rate, channels, format, buffer) = match (fits, rate_hz) {
        (Some(range), _) => (wanted, range.channels(), range.sample_format(), *range.buffer_size()),
        (None, Some(rate)) => {
            let mut rates: Vec<_> = ranges
                .iter()
                .flat_map(|range| [range.min_sample_rate(), range.max_sample_rate()])
                .collect();
            rates.sort_unstable();
            rates.dedup();
            let rates: Vec<_> = rates.iter().map(ToString::to_string).collect();
            return Ok(Err(format!(
                "has no rate of {rate} Hz: leave out --rate, or give one of those it has, {}",
                rates.join(", ")
            )));
        }
        (None, None) => {
            (usual.sample_rate(), usual.channels(), usual.sample_format(), *usual.buffer_size())
        }
    };
    let period = (rate * PERIOD_MS / 1_000).max(1);
    let buffer_size = match buffer {
        SupportedBufferSize::Range { min, max } => BufferSize::Fixed(period.clamp(min.max(1), max)),
        SupportedBufferSize::Unknown => BufferSize::Default,
    };
    Ok(Ok((StreamConfig { channels, sample_rate: rate, buffer_size }, format)))
}

/// How good a way of using a device is.
fn merit(channels: u16, format: SampleFormat, usual: u16) -> (u8, u8) {
    // The device's own number of channels needs no mixing by somebody else; one or two are always understood.
    let channels = match channels {
        channels if channels == usual && channels <= 2 => 3,
        1 | 2 => 2,
        channels if channels == usual => 1,
        _ => 0,
    };
    let format = match format {
        SampleFormat::F32 => 4,
        SampleFormat::I32 | SampleFormat::I24 => 3,
        SampleFormat::I16 => 2,
        _ => 1,
    };
    (channels, format)
}

/// Whether samples of this format can be read.
#[must_use]
pub const fn is_known(format: SampleFormat) -> bool {
    matches!(
        format,
        SampleFormat::I8
            | SampleFormat::I16
            | SampleFormat::I24
            | SampleFormat::I32
            | SampleFormat::I64
            | SampleFormat::U8
            | SampleFormat::U16
            | SampleFormat::U24
            | SampleFormat::U32
            | SampleFormat::U64
            | SampleFormat::F32
            | SampleFormat::F64
    )
}

#[cfg(test)]
mod tests {
    use super::{Found, find};

    const PAIRS: [(&str, &str); 3] = [
        ("Built-in Audio Analog Stereo", "alsa_output.pci-0000_00_1f.3.analog-stereo"),
        (
            "Monitor of Built-in Audio Analog Stereo",
            "alsa_output.pci-0000_00_1f.3.analog-stereo.monitor",
        ),
        ("Jabra Speak", "alsa_output.usb-jabra"),
    ];

    #[test]
    fn a_device_is_named_by_any_part_that_only_it_has() {
        assert_eq!(find(&PAIRS, "jabra"), Found::One(2));
        assert_eq!(find(&PAIRS, "Monitor"), Found::One(1));
        assert_eq!(find(&PAIRS, "usb"), Found::One(2));
    }

    #[test]
    fn a_whole_name_is_meant_even_if_others_have_it_as_a_part() {
        assert_eq!(find(&PAIRS, "built-in audio analog stereo"), Found::One(0));
        assert_eq!(find(&PAIRS, "alsa_output.pci-0000_00_1f.3.analog-stereo"), Found::One(0));
    }

    #[test]
    fn what_may_be_several_is_asked_about() {
        assert_eq!(find(&PAIRS, "analog"), Found::Several(vec![0, 1]));
        assert_eq!(find(&PAIRS, "headset"), Found::None);
    }
}
