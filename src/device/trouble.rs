//! What can be wrong with a device, and what to do about it.

use cpal::ErrorKind;

/// Which way sound goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// From a microphone.
    Input,
    /// To a speaker.
    Output,
}

impl Side {
    /// What a person calls such a device.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Input => "microphone",
            Self::Output => "speaker",
        }
    }

    /// The option that chooses one.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            Self::Input => "--input",
            Self::Output => "--output",
        }
    }
}

/// A device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Which one, by the side it is on.
    pub side: Side,
    /// What is wrong with it, and what to do.
    pub what: String,
    /// Whether it may be well again by itself: it is unplugged, or taken.
    pub passes: bool,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Trouble {}

impl Trouble {
    /// What the library said of a device, in words that say what to do; `names` are those that there are instead.
    #[must_use]
    pub fn told(side: Side, device: &str, error: &cpal::Error, names: &[String]) -> Self {
        let noun = side.noun();
        let option = side.option();
        let instead = choices(side, names);
        let (what, passes) = match error.kind() {
            ErrorKind::DeviceBusy => (
                format!(
                    "the {noun} `{device}` is in use by another program: end that one, or choose another \
                     with {option}{instead}"
                ),
                true,
            ),
            ErrorKind::DeviceNotAvailable => (
                format!(
                    "the {noun} `{device}` is not there any more, or is in use by another program: plug it in, \
                     or choose another with {option}{instead}"
                ),
                true,
            ),
            ErrorKind::HostUnavailable => (
                format!(
                    "the sound server does not answer ({error}): start it (`systemctl --user start pipewire \
                     pipewire-pulse`, or `pulseaudio --start`), or go around it with --host alsa"
                ),
                true,
            ),
            ErrorKind::PermissionDenied => (
                format!("the {noun} `{device}` may not be used ({error}): {}", permission(side)),
                false,
            ),
            ErrorKind::UnsupportedConfig | ErrorKind::InvalidInput => (
                format!(
                    "the {noun} `{device}` cannot do that ({error}): leave out --rate, or give one that \
                     `antiphon devices` lists for it"
                ),
                false,
            ),
            ErrorKind::ResourceExhausted => (
                format!(
                    "the system has no room for another stream ({error}): end other programs that use sound"
                ),
                true,
            ),
            ErrorKind::StreamInvalidated
            | ErrorKind::DeviceChanged
            | ErrorKind::Xrun
            | ErrorKind::RealtimeDenied => {
                (format!("the {noun} `{device}` was interrupted ({error})"), true)
            }
            _ => (
                format!(
                    "the {noun} `{device}` cannot be used ({error}): try another with {option}{instead}, or \
                     another --host"
                ),
                true,
            ),
        };
        Self { side, what, passes }
    }
}

/// What gives a program the right to a device, by system.
fn permission(side: Side) -> String {
    let noun = side.noun();
    if cfg!(target_os = "macos") {
        format!("allow it for your terminal in System Settings, Privacy & Security, {noun}")
    } else if cfg!(target_os = "windows") {
        format!("allow it for desktop apps in Settings, Privacy, {noun}")
    } else {
        "be in the group `audio` (sudo usermod -aG audio $USER, then log in again), and run as the user whose \
         session the sound server belongs to"
            .to_owned()
    }
}

/// The devices that there are instead.
pub(super) fn choices(side: Side, names: &[String]) -> String {
    if names.is_empty() {
        return format!(
            "; there is no other {}: run without one by {} null, or `--text`",
            side.noun(),
            side.option()
        );
    }
    let names: Vec<_> = names.iter().map(|name| format!("\n  {name}")).collect();
    format!("; there are:{}", names.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_a_device_says_what_to_do() {
        let told = |kind, side| {
            let names = ["Jabra Speak (usb-jabra)".to_owned()];
            Trouble::told(side, "Built-in", &cpal::Error::new(kind), &names)
        };
        for (kind, remedy, passes) in [
            (ErrorKind::DeviceBusy, "end that one", true),
            (ErrorKind::DeviceNotAvailable, "plug it in", true),
            (ErrorKind::HostUnavailable, "start it", true),
            (ErrorKind::UnsupportedConfig, "leave out --rate", false),
            (ErrorKind::InvalidInput, "leave out --rate", false),
            (ErrorKind::ResourceExhausted, "end other programs", true),
            (ErrorKind::BackendError, "another --host", true),
        ] {
            let trouble = told(kind, Side::Output);
            assert!(trouble.what.contains(remedy), "{kind:?}: {trouble}");
            assert_eq!(trouble.passes, passes, "{kind:?}");
        }
        let denied = told(ErrorKind::PermissionDenied, Side::Input);
        assert!(denied.what.contains("may not be used") && !denied.passes, "{denied}");
        if cfg!(target_os = "linux") {
            assert!(denied.what.contains("the group `audio`"), "{denied}");
        }
        let busy = told(ErrorKind::DeviceBusy, Side::Input);
        assert!(busy.what.contains("--input; there are:\n  Jabra Speak"), "{busy}");
    }
}
