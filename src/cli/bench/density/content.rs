//! Whether what is heard is right: official Python clients in some of the rooms, who say a melody each and look for it
//! in what comes back.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde::Deserialize;

use crate::cli::bench::guest::House;
use crate::cli::failure::Failure;

const MELODY_PY: &str = include_str!("../../../../benches/peers/melody.py");

/// The share of what was heard that has to be right: on a busy machine the client itself stutters, and another's melody
/// is right now and then.
const RIGHT_MIN: f64 = 0.75;

/// A client in a room.
pub(super) struct Singer {
    process: Child,
    out: BufReader<ChildStdout>,
}

/// What one has heard, in pieces.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Listened {
    heard: u64,
    right: u64,
    seconds: f64,
}

impl Singer {
    /// Enters a room; the number is its melody.
    pub(super) fn enter(
        house: &House,
        python: &Path,
        room: &str,
        number: usize,
    ) -> Result<Self, Failure> {
        let failed = |why: String| Failure::broken(format!("the Python client: {why}"));
        let pass = house.server.key.visitor(room, "singer", "singer", None);
        let pass = pass.map_err(Failure::broken)?;
        let url = house.server.address.to_string();
        let mut process = Command::new(python)
            .args(["-c", MELODY_PY, &url, pass.secret(), &number.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|why| failed(why.to_string()))?;
        let out = process.stdout.take().ok_or_else(|| failed("no output".to_owned()))?;
        let mut singer = Self { process, out: BufReader::new(out) };
        let mut ready = String::new();
        singer.out.read_line(&mut ready).map_err(|why| failed(why.to_string()))?;
        if ready.trim() == "ready" {
            Ok(singer)
        } else {
            Err(failed("it does not start".to_owned()))
        }
    }

    /// Ends it; what it has heard.
    pub(super) fn ends(mut self) -> Result<Listened, Failure> {
        drop(self.process.stdin.take());
        let mut text = String::new();
        self.out.read_line(&mut text).map_err(|why| Failure::broken(why.to_string()))?;
        serde_json::from_str(&text)
            .map_err(|_| Failure::broken("the Python client ended without saying what it heard"))
    }
}

impl Drop for Singer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Listened {
    /// It has heard something for half of the time at least, and nearly all of it was right.
    pub(super) fn is_right(&self) -> bool {
        // Pieces of 100 ms, of which the first three seconds are not judged.
        let expected = (self.seconds - 3.0) * 10.0;
        self.heard as f64 >= expected / 2.0 && self.right as f64 >= self.heard as f64 * RIGHT_MIN
    }
}

/// What they have heard, in words.
pub(super) fn told(all: &[Listened]) -> String {
    let one =
        |of: &Listened| format!("{} of {} pieces right in {:.0} s", of.right, of.heard, of.seconds);
    format!(
        "two Python clients hear their own melodies: {}",
        all.iter().map(one).collect::<Vec<_>>().join("; ")
    )
}
