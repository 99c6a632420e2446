//! Microphone and speaker, in a program without devices.

use super::DoctorArgs;
use super::finding::Finding;

pub(super) fn audio(_args: &DoctorArgs) -> Finding {
    Finding::skipped(
        "this program was built without devices",
        "build it with the feature `device`, if calls are to be held at this machine",
    )
}
