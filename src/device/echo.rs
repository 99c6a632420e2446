//! Echo: what the speaker plays comes back through the microphone, and is not the user.
//!
//! The canceller is `sonora`, a port of the audio processing of WebRTC: it learns the way from the speaker to the
//! microphone from what was really sent to the speaker, takes the echo out, suppresses what is left of it and steady
//! noise, and brings the voice to a good level. Without it the call is half duplex: the microphone is closed while the
//! speaker is heard.
//!
//! **Invariant:** what goes in as a tick comes out as a tick.

#[cfg(feature = "aec")]
use sonora::config::{
    AdaptiveDigital, EchoCanceller, GainController2, HighPassFilter, MaxProcessingRate,
    NoiseSuppression, Pipeline,
};
#[cfg(feature = "aec")]
use sonora::{AudioProcessing, Config, StreamConfig};

/// What is done about echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// It is cancelled.
    Cancelled,
    /// The microphone is closed while the speaker is heard.
    HalfDuplex,
    /// Nothing: whoever wears headphones has none. Noise is suppressed all the same.
    Headphones,
    /// Nothing, and the microphone is heard as it is.
    Off,
}

/// Frames are handed to the canceller in pieces of 10 ms, as WebRTC has them.
const PIECES_A_SECOND: u32 = 100;

/// The gain that a quiet voice is given at most, in dB, and how fast it changes in a second: what a laptop's microphone
/// needs at arm's length. WebRTC's own 50 dB make a voice of somebody in the next room.
#[cfg(feature = "aec")]
const GAIN_MAX_DB: f32 = 24.0;
#[cfg(feature = "aec")]
const GAIN_FIRST_DB: f32 = 6.0;

/// A microphone that is closed stays so for so long after the speaker was heard, in milliseconds: what is in
/// buffers on the way, and the room's reverberation.
const CLOSED_MS: u32 = 350;

/// Until the canceller has heard so much of the speaker, in milliseconds, it does not know the way to the microphone yet,
/// and the microphone stays closed while the speaker is heard.
const LEARNING_MS: u32 = 1_500;

/// What counts as heard: louder than -60 dBFS.
const HEARD: f32 = 0.001;

/// The rate at which echo is taken out, for sessions of this rate: one of WebRTC's own, so that nothing is resampled
/// inside.
#[must_use]
pub const fn rate_hz(session_hz: u32) -> u32 {
    if session_hz <= 16_000 { 16_000 } else { 48_000 }
}

/// The delay of echo cancellation and noise suppression at that rate, in milliseconds, as it was measured: the test below
/// holds it. Noise suppression has frames of 10 ms and an overlap; at 48 kHz the bands are split besides.
#[must_use]
pub fn delay_ms(rate_hz: u32) -> f64 {
    match (IS_BUILT, rate_hz) {
        (false, _) => 0.0,
        (true, 16_000) => 14.0,
        (true, _) => 15.0,
    }
}

/// Takes the echo of one direction out of the other.
pub struct Echo {
    treatment: Treatment,
    #[cfg(feature = "aec")]
    processing: Option<AudioProcessing>,
    piece: Vec<f32>,
    rate_hz: u32,
    /// Samples for which the microphone stays closed.
    closed: u32,
    /// Samples of the speaker that are still to be heard until the microphone is open all the time.
    learning: u32,
}

impl std::fmt::Debug for Echo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Echo({:?})", self.treatment)
    }
}

/// How well echo is taken out: for meters.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Suppression {
    /// By how much the echo is weaker by the canceller's linear filter, in dB.
    pub enhancement_db: Option<f64>,
    /// The way from the speaker to the microphone, in milliseconds.
    pub delay_ms: Option<i32>,
}

/// Whether echo can be cancelled: this program was built with `aec`.
pub const IS_BUILT: bool = cfg!(feature = "aec");

impl Echo {
    /// Treats ticks at [that rate](rate_hz).
    #[must_use]
    pub fn new(treatment: Treatment, rate_hz: u32) -> Self {
        Self {
            treatment,
            #[cfg(feature = "aec")]
            processing: (treatment != Treatment::Off)
                .then(|| processing(rate_hz, treatment == Treatment::Cancelled)),
            piece: vec![0.0; (rate_hz / PIECES_A_SECOND) as usize],
            rate_hz,
            closed: 0,
            learning: match treatment {
                Treatment::Cancelled => rate_hz * LEARNING_MS / 1_000,
                Treatment::HalfDuplex => u32::MAX,
                Treatment::Headphones | Treatment::Off => 0,
            },
        }
    }

    /// What is done.
    #[must_use]
    pub const fn treatment(&self) -> Treatment {
        self.treatment
    }

    /// Takes what of `played` is in `heard` out of it; both are whole pieces of 10 ms, of the same time.
    pub fn treat(&mut self, played: &[f32], heard: &mut [f32]) {
        #[cfg(feature = "aec")]
        if let Some(processing) = &mut self.processing {
            let len = self.piece.len();
            for (played, heard) in played.chunks_exact(len).zip(heard.chunks_exact_mut(len)) {
                // What comes out of the speaker's side is not needed.
                let _ = processing.process_render_f32(&[played], &mut [&mut self.piece]);
                let done = processing.process_capture_f32(&[heard], &mut [&mut self.piece]);
                if done.is_ok() {
                    heard.copy_from_slice(&self.piece);
                }
            }
        }
        if self.learning > 0 || self.closed > 0 {
            self.close(played, heard);
        }
    }

    fn close(&mut self, played: &[f32], heard: &mut [f32]) {
        let len = self.piece.len();
        for (played, heard) in played.chunks_exact(len).zip(heard.chunks_exact_mut(len)) {
            if self.learning > 0 && played.iter().any(|sample| sample.abs() > HEARD) {
                self.closed = self.rate_hz * CLOSED_MS / 1_000;
                if self.treatment == Treatment::Cancelled {
                    self.learning = self.learning.saturating_sub(len as u32);
                }
            }
            if self.closed > 0 {
                heard.fill(0.0);
            }
            self.closed = self.closed.saturating_sub(len as u32);
        }
    }

    /// The way from speaker to microphone is another one now: it is learned anew.
    pub fn forget(&mut self) {
        *self = Self::new(self.treatment, self.rate_hz);
    }

    /// How well it goes; nothing is known without the canceller.
    #[must_use]
    pub fn suppression(&self) -> Suppression {
        #[cfg(feature = "aec")]
        if let Some(processing) = &self.processing {
            let told = processing.statistics();
            return Suppression {
                enhancement_db: told.echo_return_loss_enhancement,
                delay_ms: told.delay_ms,
            };
        }
        Suppression::default()
    }
}

#[cfg(feature = "aec")]
fn processing(rate_hz: u32, cancels: bool) -> AudioProcessing {
    let config = Config {
        pipeline: Pipeline {
            maximum_internal_processing_rate: MaxProcessingRate::Rate48kHz,
            multi_channel_render: false,
            multi_channel_capture: false,
            ..Pipeline::default()
        },
        high_pass_filter: Some(HighPassFilter::default()),
        echo_canceller: cancels.then(EchoCanceller::default),
        noise_suppression: Some(NoiseSuppression::default()),
        gain_controller2: Some(GainController2 {
            adaptive_digital: Some(AdaptiveDigital {
                max_gain_db: GAIN_MAX_DB,
                initial_gain_db: GAIN_FIRST_DB,
                ..AdaptiveDigital::default()
            }),
            ..GainController2::default()
        }),
        ..Config::default()
    };
    let mono = StreamConfig::new(rate_hz, 1);
    AudioProcessing::builder().config(config).capture_config(mono).render_config(mono).build()
}

#[cfg(all(test, feature = "aec"))]
mod tests {
    use super::{Echo, Treatment};
    use crate::pcm::resample::convert;
    use crate::pcm::wav;
    use crate::seed::Seed;

    const RATE_HZ: u32 = 48_000;
    const TICK: usize = 960;

    fn clip(bytes: &[u8]) -> Vec<f32> {
        let read = wav::read(bytes).unwrap();
        let pcm = convert(&read.pcm, read.rate_hz, RATE_HZ);
        pcm.into_iter().map(|sample| f32::from(sample) / 32_768.0).collect()
    }

    /// What the agent says: half a minute of the clips of a demo, again and again.
    fn agent(seconds: usize) -> Vec<f32> {
        let clips: [&[u8]; 4] = [
            include_bytes!("../../audio/caller-01-order.wav"),
            include_bytes!("../../audio/caller-03-billing.wav"),
            include_bytes!("../../audio/caller-06-return.wav"),
            include_bytes!("../../audio/caller-07-policy.wav"),
        ];
        let all: Vec<f32> = clips.into_iter().flat_map(clip).collect();
        all.iter().copied().cycle().take(seconds * RATE_HZ as usize).collect()
    }

    /// What a microphone hears of it: 45 ms later, 6 dB weaker, with the reverberation of a small room.
    fn room(played: &[f32]) -> Vec<f32> {
        let mut seed = Seed::new(9);
        let delay = 45 * RATE_HZ as usize / 1_000;
        let mut taps = vec![(delay, 0.5)];
        for at in (0..200 * RATE_HZ as usize / 1_000).step_by(97) {
            let noise = (seed.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0;
            // 60 dB in 250 ms.
            let seconds = at as f32 / RATE_HZ as f32;
            taps.push((delay + at, 0.12 * noise * (-6.9 * seconds / 0.25).exp()));
        }
        let mut heard = vec![0.0; played.len()];
        for (delay, gain) in taps {
            for (to, from) in heard[delay..].iter_mut().zip(played) {
                *to += gain * from;
            }
        }
        heard
    }

    fn power(pcm: &[f32]) -> f64 {
        pcm.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum::<f64>()
            / pcm.len() as f64
    }

    fn db(ratio: f64) -> f64 {
        10.0 * ratio.log10()
    }

    fn treated(played: &[f32], heard: &[f32]) -> Vec<f32> {
        let mut echo = Echo::new(Treatment::Cancelled, RATE_HZ);
        let mut out = heard.to_vec();
        for (played, heard) in played.chunks_exact(TICK).zip(out.chunks_exact_mut(TICK)) {
            echo.treat(played, heard);
        }
        out
    }

    #[test]
    fn after_three_seconds_echo_is_suppressed_by_25_db() {
        let played = agent(20);
        let heard = room(&played);
        let out = treated(&played, &heard);
        let from = 3 * RATE_HZ as usize;
        let by = db(power(&heard[from..]) / power(&out[from..]));
        assert!(by >= 25.0, "{by:.1} dB");
    }

    #[test]
    fn a_voice_over_the_agent_comes_through() {
        let played = agent(20);
        let mut heard = room(&played);
        let voice = clip(include_bytes!("../../audio/caller-08-barge-in.wav"));
        let at = 10 * RATE_HZ as usize;
        for (to, from) in heard[at..].iter_mut().zip(&voice) {
            *to += from;
        }
        let out = treated(&played, &heard);
        let range = at..at + voice.len();
        let kept = db(power(&out[range]) / power(&voice));
        assert!(kept > -6.0, "{kept:.1} dB");
    }

    #[test]
    fn its_delay_is_what_the_breakdown_says() {
        for rate_hz in [16_000, 48_000_u32] {
            let tick = rate_hz as usize / 50;
            let mut echo = Echo::new(Treatment::Cancelled, rate_hz);
            let silence = vec![0.0; tick];
            let mut seed = Seed::new(4);
            let noise: Vec<f32> = (0..tick * 200)
                .map(|_| ((seed.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0) * 0.2)
                .collect();
            let mut out = noise.clone();
            for heard in out.chunks_exact_mut(tick) {
                echo.treat(&silence, heard);
            }
            let from = tick * 100;
            let best = (0..tick).max_by(|&a, &b| {
                let at = |lag: usize| -> f32 {
                    (from..from + 20 * tick).map(|n| out[n] * noise[n - lag]).sum()
                };
                at(a).total_cmp(&at(b))
            });
            let ms = best.unwrap() as f64 / f64::from(rate_hz) * 1e3;
            assert!((ms - super::delay_ms(rate_hz)).abs() < 0.5, "{rate_hz}: {ms:.2} ms");
        }
    }
}
