//! Streams: the code that a device's thread runs.
//!
//! Samples of any format and number of channels become one `f32` a frame, and the other way round; nothing else is
//! done there.
//!
//! **Invariant:** no lock, no allocation, no system call but for the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{FromSample, Sample, SampleFormat, SizedSample, StreamConfig};

use super::capture::Feed;
use super::choice::Picked;
use super::playback::Drain;
use crate::host::pace::{Clock, Moment};
use crate::host::watchdog::{Enlisted, enlist};

/// How long a device is waited for until it gives a stream.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

/// Is told of what goes wrong with a stream.
pub(super) type Tell = Box<dyn FnMut(cpal::Error) + Send>;

/// Calls `$run::<T>($args)` with the type that a format stands for.
macro_rules! with_samples {
    ($format:expr, $run:ident($($arg:expr),*)) => {
        match $format {
            SampleFormat::I8 => $run::<i8>($($arg),*),
            SampleFormat::I16 => $run::<i16>($($arg),*),
            SampleFormat::I24 => $run::<cpal::I24>($($arg),*),
            SampleFormat::I32 => $run::<i32>($($arg),*),
            SampleFormat::I64 => $run::<i64>($($arg),*),
            SampleFormat::U8 => $run::<u8>($($arg),*),
            SampleFormat::U16 => $run::<u16>($($arg),*),
            SampleFormat::U24 => $run::<cpal::U24>($($arg),*),
            SampleFormat::U32 => $run::<u32>($($arg),*),
            SampleFormat::U64 => $run::<u64>($($arg),*),
            SampleFormat::F64 => $run::<f64>($($arg),*),
            // `choice::is_known` lets no other format come here.
            _ => $run::<f32>($($arg),*),
        }
    };
}

/// What every call of a device's thread begins with.
struct Calls {
    clock: Clock,
    count: Arc<AtomicU32>,
    /// Its place in the real-time class, once it was asked for.
    enlisted: Option<Option<Enlisted>>,
}

impl Calls {
    const fn new(clock: Clock, count: Arc<AtomicU32>) -> Self {
        Self { clock, count, enlisted: None }
    }

    /// Counts a call, and says when it is. The first puts the thread into the real-time class, where that is permitted:
    /// what it has to do is little, and nobody can wait for it.
    fn one(&mut self) -> Moment {
        self.enlisted.get_or_insert_with(enlist);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.clock.now()
    }
}

/// Opens a microphone, and starts it; its calls are counted.
///
/// # Errors
/// The device's.
pub(super) fn input(
    picked: &Picked,
    feed: Feed,
    calls: Arc<AtomicU32>,
    tell: Tell,
) -> Result<cpal::Stream, cpal::Error> {
    with_samples!(picked.format, input_of(&picked.device, picked.config, feed, calls, tell))
}

fn input_of<T>(
    device: &cpal::Device,
    config: StreamConfig,
    mut feed: Feed,
    calls: Arc<AtomicU32>,
    tell: Tell,
) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let mut calls = Calls::new(Clock::default(), calls);
    let channels = usize::from(config.channels);
    let share = 1.0 / channels as f32;
    let stream = device.build_input_stream::<T, _, _>(
        config,
        move |samples, _| {
            let now = calls.one();
            let frames = samples.chunks_exact(channels).map(|frame| {
                frame.iter().map(|&sample| f32::from_sample(sample)).sum::<f32>() * share
            });
            feed.put(frames, now);
        },
        tell,
        Some(PATIENCE),
    )?;
    stream.play()?;
    Ok(stream)
}

/// Opens a speaker, and starts it; what it plays is put into `played`, too.
///
/// # Errors
/// The device's.
pub(super) fn output(
    picked: &Picked,
    drain: Drain,
    played: Feed,
    calls: Arc<AtomicU32>,
    tell: Tell,
) -> Result<cpal::Stream, cpal::Error> {
    with_samples!(
        picked.format,
        output_of(&picked.device, picked.config, drain, played, calls, tell)
    )
}

fn output_of<T>(
    device: &cpal::Device,
    config: StreamConfig,
    mut drain: Drain,
    mut played: Feed,
    calls: Arc<AtomicU32>,
    tell: Tell,
) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample + FromSample<f32>,
    f32: FromSample<T>,
{
    let mut calls = Calls::new(Clock::default(), calls);
    let channels = usize::from(config.channels);
    let stream = device.build_output_stream::<T, _, _>(
        config,
        move |samples, _| {
            let now = calls.one();
            let mut frames = samples.chunks_exact_mut(channels);
            drain.take(frames.len(), now, |sample| {
                if let Some(frame) = frames.next() {
                    frame.fill(T::from_sample(sample));
                }
            });
            // Exactly what the device is given, after its format has had its way with it.
            let frames = samples.chunks_exact(channels);
            played.put(frames.map(|frame| f32::from_sample(frame[0])), now);
        },
        tell,
        Some(PATIENCE),
    )?;
    stream.play()?;
    Ok(stream)
}
