//! Without the feature `device` there is no microphone, and no loudspeaker.

use super::{ConsoleArgs, Sound};
use crate::cli::failure::Failure;
use crate::session::plan::Plan;

pub(super) fn audio(_plan: &Plan, _args: &ConsoleArgs) -> Result<Sound, Failure> {
    Err(Failure::input(
        "this program was built without sound devices (the feature `device`): talk by keyboard with `--text`, or build \
         it with them",
    ))
}
