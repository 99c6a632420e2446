//! Bare Opus: what decoding and encoding the participants' own packets costs, and nothing else.
//!
//! It is the limit of what a machine permits, and is measured in the same run, on a thread like a shard's, at a
//! shard's moments: as many streams as there are sessions, each with a decoder and an encoder of its own, so that
//! caches are as cold as they are for calls.
//!
//! **Invariant:** the encoder is that of [`OpusOutlet`](crate::host::codec::OpusOutlet), and what it encodes is what was
//! decoded.

use std::sync::Arc;
use std::thread;

use opus::{Channels, Decoder, Encoder};

use super::pattern::{Pattern, is_speech};
use crate::cli::failure::Failure;
use crate::clock::Rate;
use crate::host::codec::{OutletOptions, encoder};
use crate::host::pace::{Clock, sharpen};
use crate::host::packets::PACKET_MAX;
use crate::host::shard::phase_ns;
use crate::host::watchdog::{ThreadClock, enlist};
use crate::slot::message;

/// A tick, in nanoseconds.
const TICK_NS: u64 = 20_000_000;

/// One participant's decoder, and the encoder of who answers.
struct Stream {
    decoder: Decoder,
    encoder: Encoder,
    /// The next frame of the pattern.
    at: usize,
}

/// As many of them as there are sessions.
pub(super) struct Bare {
    streams: Vec<Stream>,
    pattern: Arc<Pattern>,
    rate: Rate,
}

/// What a frame of speech costs, in nanoseconds of a processor.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Cost {
    pub(super) decode_ns: f64,
    pub(super) encode_ns: f64,
}

impl Cost {
    /// Of frames decoded and encoded.
    pub(super) fn of(&self, decoded: u64, encoded: u64) -> f64 {
        self.decode_ns * decoded as f64 + self.encode_ns * encoded as f64
    }
}

impl Bare {
    pub(super) fn new(
        count: usize,
        pattern: &Arc<Pattern>,
        rate: Rate,
        options: OutletOptions,
    ) -> Result<Self, Failure> {
        let stream = |at| -> opus::Result<Stream> {
            let decoder = Decoder::new(rate.hz(), Channels::Mono)?;
            Ok(Stream { decoder, encoder: encoder(rate, options)?, at: pattern.begin(at, count) })
        };
        let streams = (0..count).map(stream).collect::<opus::Result<_>>();
        let streams = streams.map_err(|why| Failure::broken(format!("no codec: {why}")))?;
        Ok(Self { streams, pattern: Arc::clone(pattern), rate })
    }

    /// Decodes and encodes for so many ticks, on a thread of a shard's class.
    pub(super) fn run(&mut self, ticks: u64) -> Result<Cost, Failure> {
        let ran = thread::scope(|scope| {
            let thread = thread::Builder::new().name("bare opus".to_owned());
            let ran = thread.spawn_scoped(scope, || {
                sharpen();
                let _enlisted = enlist();
                self.paced(ticks)
            });
            ran.map(|running| running.join().map_err(|panic| message(&*panic)))
        });
        let ran = ran.map_err(|why| Failure::broken(format!("no thread for bare Opus: {why}")))?;
        let ran = ran.map_err(|why| Failure::broken(format!("bare Opus panicked: {why}")))?;
        ran.map_err(|why| Failure::broken(format!("bare Opus: {why}")))
    }

    fn paced(&mut self, ticks: u64) -> opus::Result<Cost> {
        let Self { streams, pattern, rate } = self;
        let mut order: Vec<(u64, usize)> =
            (0..streams.len()).map(|at| (phase_ns(at as u64, TICK_NS), at)).collect();
        order.sort_unstable();
        let (clock, cpu) = (Clock::default(), ThreadClock::this());
        let (mut decoding, mut encoding, mut frames) = (0_u64, 0_u64, 0_u64);
        let mut pcm = vec![0_i16; rate.frame()];
        let mut bytes = [0; PACKET_MAX];
        let (cpu_begun, begun) = (cpu.busy_ns(), clock.now());
        for tick in 0..ticks {
            for &(phase_ns, at) in &order {
                clock.sleep_until(begun.after_ns(tick * TICK_NS + phase_ns));
                let stream = &mut streams[at];
                let packet = pattern.packet(stream.at).filter(|packet| is_speech(packet));
                stream.at += 1;
                let Some(packet) = packet else { continue };
                let from = clock.now();
                stream.decoder.decode(packet, &mut pcm, false)?;
                let decoded = clock.now();
                stream.encoder.encode(&pcm, &mut bytes)?;
                encoding += clock.now().since_ns(decoded);
                decoding += decoded.since_ns(from);
                frames += 1;
            }
        }
        // Others may have interrupted it: what it took of a processor is what counts, divided as the time was.
        let cpu_ns = (cpu.busy_ns() - cpu_begun) as f64;
        let of_frame = |share: u64| {
            let all = (decoding + encoding).max(1) as f64;
            cpu_ns * share as f64 / all / frames.max(1) as f64
        };
        Ok(Cost { decode_ns: of_frame(decoding), encode_ns: of_frame(encoding) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::codec::OpusOutlet;

    #[test]
    fn bare_opus_does_what_an_outlet_does() {
        let (rate, options) = (Rate::from_hz(24_000).unwrap(), OutletOptions::default());
        let pattern = Pattern::new(rate, 1.0, options).unwrap();
        let mut decoder = Decoder::new(rate.hz(), Channels::Mono).unwrap();
        let mut bare = encoder(rate, options).unwrap();
        let mut outlet = OpusOutlet::new(rate, options).unwrap();
        let (mut pcm, mut bytes) = (vec![0; rate.frame()], [0; PACKET_MAX]);
        let spoken = (0..200).filter_map(|at| pattern.packet(at));
        for packet in spoken.filter(|packet| is_speech(packet)).take(100) {
            decoder.decode(packet, &mut pcm, false).unwrap();
            let len = bare.encode(&pcm, &mut bytes).unwrap();
            let sent = outlet.encode(&pcm).unwrap();
            assert_eq!(sent.packet.bytes(), &bytes[..len]);
        }
    }
}
