//! The digest: one number for everything that a session has decided and sounded.

use serde::Serialize;
use xxhash_rust::xxh3::Xxh3;

use super::Session;
use super::event::Event;
use super::output::{Effect, Output};
use super::plan::Plan;
use crate::clock::Tick;
use crate::pcm::playout::Played;

/// What a tick's digest covers besides audio.
#[derive(Serialize)]
struct Sealed<'a> {
    before: u64,
    tick: Tick,
    events: &'a [Event],
    effects: &'a [Effect],
    played: &'a [Played],
    speech: (bool, bool),
}

/// Feeds a hash with what serde writes, so that nothing is collected first.
struct Feed(Xxh3);

impl postcard::ser_flavors::Flavor for Feed {
    type Output = Xxh3;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.update(&[byte]);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.update(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Xxh3> {
        Ok(self.0)
    }
}

impl Session {
    /// Chains this tick to the digest of all before it. The tools' calls and results are events.
    pub(super) fn seal(&mut self, _plan: &Plan, now: Tick, out: &mut Output) {
        let sealed = Sealed {
            before: self.digest,
            tick: now,
            events: &out.events,
            effects: &out.effects,
            played: &out.played,
            speech: (out.user_speech, out.agent_speech),
        };
        let fed = postcard::serialize_with_flavor(&sealed, Feed(Xxh3::new()));
        debug_assert!(fed.is_ok(), "every event and effect has a compact form");
        let mut hash = fed.unwrap_or_default();
        for samples in [&out.audio, &out.heard, &out.frames] {
            digest_pcm(&mut hash, samples);
        }
        self.digest = hash.digest();
        out.digest = self.digest;
    }
}

/// Hashes samples as little-endian bytes.
pub(crate) fn digest_pcm(hash: &mut Xxh3, samples: &[i16]) {
    for run in samples.chunks(256) {
        let mut bytes = [0; 512];
        for (pair, sample) in bytes.chunks_exact_mut(2).zip(run) {
            pair.copy_from_slice(&sample.to_le_bytes());
        }
        hash.update(&bytes[..run.len() * 2]);
    }
}
