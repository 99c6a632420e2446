//! The LiveKit server, in a program without rooms.

use super::DoctorArgs;
use super::finding::Finding;

pub(super) fn livekit(_args: &DoctorArgs) -> Finding {
    Finding::skipped(
        "this program was built without rooms",
        "build it with the feature `livekit`, if calls are to be held in rooms",
    )
}
