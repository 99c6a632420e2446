//! The room: from the speaker back into the microphone.
//!
//! A thread reads what the speaker plays, as it plays it, and writes what the microphone hears. Its own clock may be
//! another one than the speaker's: then it writes more or fewer frames than it reads.

use std::f64::consts::TAU;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam_channel::Receiver;

use antiphon::host::pace::{Clock, pause};
use antiphon::pcm::resample::convert;
use antiphon::pcm::wav;
use antiphon::seed::Seed;

use super::{MICROPHONE, RATE_HZ, SPEAKER, Server, hardware};

/// Linux's `O_NONBLOCK`.
const NONBLOCK: i32 = 0o4000;

/// Frames that are read and written at a time: 5 ms.
const BLOCK: usize = 240;

/// The room's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acoustics {
    /// How much weaker the speaker is in the microphone; 0 for headphones.
    pub(crate) gain: f32,
    /// How long sound is under way, in milliseconds, beside the server's own delays.
    pub(crate) delay_ms: u32,
    /// How long reverberation takes to fall by 60 dB, in milliseconds; 0 for none.
    pub(crate) reverberation_ms: u32,
    /// By how much the microphone's clock is fast, in millionths.
    pub(crate) fast_ppm: f64,
    /// Noise of the room, as a share of full scale.
    pub(crate) noise: f32,
}

impl Acoustics {
    /// Headphones: nothing of the speaker is in the microphone.
    pub(crate) const HEADPHONES: Self =
        Self { gain: 0.0, delay_ms: 0, reverberation_ms: 0, fast_ppm: 0.0, noise: 0.0003 };

    /// A laptop on a table in a living room, with open speakers.
    pub(crate) const LAPTOP: Self =
        Self { gain: 0.4, delay_ms: 12, reverberation_ms: 300, fast_ppm: 120.0, noise: 0.0005 };
}

/// What was in the room: both sides, frame by frame, from the beginning.
#[derive(Debug, Default, Clone)]
pub(crate) struct Heard {
    /// What the speaker played, mono.
    pub(crate) played: Vec<f32>,
    /// What the microphone was given, by the speaker's clock.
    pub(crate) given: Vec<f32>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    /// Frames so far.
    frames: AtomicUsize,
    /// What somebody in the room is about to say, and how far.
    voice: Mutex<Vec<(Vec<f32>, usize)>>,
    speaking: AtomicBool,
    /// A steady tone: its frequency, how loud it is, and its phase.
    tone: Mutex<Option<(f64, f32, f64)>>,
}

/// A room, until it is dropped.
pub(crate) struct Room {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    recorder: Child,
    /// The room's thread waits for nobody who is interested in what was heard: blocks come one by one.
    heard: Mutex<(Receiver<Block>, Heard)>,
}

/// What was played, and given, for 5 ms.
type Block = (Vec<f32>, Vec<f32>);

impl Room {
    /// Opens the room between the server's devices.
    pub(crate) fn open(server: &Server, acoustics: Acoustics) -> Self {
        let (tell, told) = crossbeam_channel::bounded(1);
        // A quarter of an hour.
        let (note, noted) = crossbeam_channel::bounded(200_000);
        let mut command = recorder(server);
        let pipe = server.pipe();
        let shared = Arc::new(Shared::default());
        let within = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let _first = antiphon::host::watchdog::enlist();
            let mut recorder = command.spawn().unwrap_or_else(|error| {
                panic!("parec cannot be run: {error}; run scripts/setup.sh sound")
            });
            let mut speaker = recorder.stdout.take().expect("it is piped");
            drop(tell.send(recorder));
            let mut microphone =
                OpenOptions::new().write(true).custom_flags(NONBLOCK).open(&pipe).unwrap_or_else(
                    |error| {
                        panic!("{MICROPHONE}: {}: {error}", pipe.display());
                    },
                );
            let mut path = Path::new(acoustics);
            let mut bytes = [0; BLOCK * 2];
            let mut out = Vec::new();
            while !within.over.load(Ordering::Relaxed) && speaker.read_exact(&mut bytes).is_ok() {
                let (pairs, _) = bytes.as_chunks::<2>();
                let played: Vec<f32> = pairs
                    .iter()
                    .map(|&pair| f32::from(i16::from_le_bytes(pair)) / 32_768.0)
                    .collect();
                let mut given = path.through(&played);
                within.speak(&mut given);
                within.hum(&mut given);
                path.by_its_clock(&given, &mut out);
                let bytes: Vec<u8> = out
                    .drain(..)
                    .flat_map(|s: f32| ((s.clamp(-1.0, 1.0) * 32_767.0) as i16).to_le_bytes())
                    .collect();
                within.frames.fetch_add(played.len(), Ordering::Relaxed);
                drop(note.send((played, given)));
                // What nobody records is gone, as with any microphone.
                match microphone.write(&bytes) {
                    Err(error) if error.kind() != ErrorKind::WouldBlock => return,
                    _ => {}
                }
            }
        });
        let recorder = told.recv().expect("the recorder is started");
        let heard = Mutex::new((noted, Heard::default()));
        let room = Self { shared, thread: Some(thread), recorder, heard };
        let clock = Clock::default();
        let begin = clock.now();
        while room.frames() == 0 {
            assert!(clock.now().since_ns(begin) < 10_000_000_000, "the room stays closed");
            pause(5);
        }
        room
    }

    /// Somebody in the room says this, from a WAV file, this loud. Gives back at which frame it begins.
    pub(crate) fn say(&self, bytes: &[u8], gain: f32) -> usize {
        let read = wav::read(bytes).expect("the clip can be read");
        let pcm = convert(&read.pcm, read.rate_hz, RATE_HZ);
        let pcm = pcm.into_iter().map(|sample| f32::from(sample) / 32_768.0 * gain).collect();
        let mut voice = self.shared.voice.lock().expect("nobody panics in the room");
        self.shared.speaking.store(true, Ordering::Relaxed);
        voice.push((pcm, 0));
        self.frames()
    }

    /// A tone is heard from now on, to the end.
    pub(crate) fn hum(&self, hz: f64, loud: f32) {
        *self.shared.tone.lock().expect("nobody panics in the room") = Some((hz, loud, 0.0));
    }

    /// Whether somebody is still speaking.
    pub(crate) fn is_speaking(&self) -> bool {
        self.shared.speaking.load(Ordering::Relaxed)
    }

    /// Waits until nobody speaks any more.
    pub(crate) fn wait_for_silence(&self) {
        let clock = Clock::default();
        let begin = clock.now();
        while self.is_speaking() {
            assert!(clock.now().since_ns(begin) < 60_000_000_000, "somebody speaks for ever");
            pause(20);
        }
    }

    /// How many frames there were.
    pub(crate) fn frames(&self) -> usize {
        self.shared.frames.load(Ordering::Relaxed)
    }

    /// What was in the room so far.
    pub(crate) fn heard(&self) -> Heard {
        let mut heard = self.heard.lock().expect("nobody panics with it");
        let (noted, heard) = &mut *heard;
        for (played, given) in noted.try_iter() {
            heard.played.extend(played);
            heard.given.extend(given);
        }
        heard.clone()
    }
}

impl Shared {
    fn hum(&self, given: &mut [f32]) {
        // Whoever sets it is done with it a moment later.
        let Ok(mut tone) = self.tone.try_lock() else { return };
        let Some((hz, loud, phase)) = tone.as_mut() else { return };
        for sample in given {
            *sample += *loud * phase.sin() as f32;
            *phase = (*phase + TAU * *hz / f64::from(RATE_HZ)) % TAU;
        }
    }

    fn speak(&self, given: &mut [f32]) {
        let Ok(mut voice) = self.voice.try_lock() else { return };
        for (pcm, at) in voice.iter_mut() {
            let to = (*at + given.len()).min(pcm.len());
            for (to, from) in given.iter_mut().zip(&pcm[*at..to]) {
                *to += from;
            }
            *at = to;
        }
        voice.retain(|(pcm, at)| *at < pcm.len());
        if voice.is_empty() {
            self.speaking.store(false, Ordering::Relaxed);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        drop(self.recorder.kill());
        drop(self.recorder.wait());
        if let Some(thread) = self.thread.take() {
            // A pipe that nobody reads holds it; the process ends without it.
            if thread.is_finished() {
                drop(thread.join());
            }
        }
    }
}

/// Records what the speaker plays.
fn recorder(server: &Server) -> Command {
    let mut command = hardware("parec");
    server.quiet(&mut command);
    let monitor = format!("{SPEAKER}.monitor");
    command
        .args(["--device", &monitor, "--raw", "--format=s16le", "--channels=1"])
        .args([&format!("--rate={RATE_HZ}"), "--latency-msec=10"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// The way from speaker to microphone.
struct Path {
    acoustics: Acoustics,
    /// What was played, as far back as reverberation reaches; the newest last.
    past: Vec<f32>,
    taps: Vec<(usize, f32)>,
    seed: Seed,
    /// The last sample, and where between it and the next the microphone's clock is.
    last: f32,
    phase: f64,
}

impl Path {
    fn new(acoustics: Acoustics) -> Self {
        let mut seed = Seed::new(11);
        let delay = (acoustics.delay_ms * RATE_HZ / 1_000) as usize;
        let mut taps = Vec::new();
        if acoustics.gain > 0.0 {
            taps.push((delay, acoustics.gain));
            let tail = (acoustics.reverberation_ms * RATE_HZ / 1_000) as usize;
            // Reflections some 3 ms apart, none where another one is.
            let mut at = 150;
            while at < tail {
                let fall = (-6.9 * at as f32 / tail as f32).exp();
                taps.push((delay + at, acoustics.gain * 0.25 * fall * uniform(&mut seed)));
                at += 90 + (seed.next_u64() % 120) as usize;
            }
        }
        let longest = taps.iter().map(|(delay, _)| *delay).max().unwrap_or(0);
        Self { acoustics, past: vec![0.0; longest + BLOCK], taps, seed, last: 0.0, phase: 0.0 }
    }

    fn through(&mut self, played: &[f32]) -> Vec<f32> {
        self.past.drain(..played.len());
        self.past.extend_from_slice(played);
        let mut given = vec![0.0; played.len()];
        let end = self.past.len();
        for &(delay, gain) in &self.taps {
            let from = &self.past[end - played.len() - delay..end - delay];
            for (to, from) in given.iter_mut().zip(from) {
                *to += gain * from;
            }
        }
        for sample in &mut given {
            *sample += self.acoustics.noise * uniform(&mut self.seed);
        }
        given
    }

    /// The same by the microphone's clock: a straight line between samples is good enough for what is below 4 kHz.
    fn by_its_clock(&mut self, given: &[f32], out: &mut Vec<f32>) {
        let step = 1.0 / (1.0 + self.acoustics.fast_ppm / 1e6);
        for &sample in given {
            while self.phase < 1.0 {
                out.push(self.last + (sample - self.last) * self.phase as f32);
                self.phase += step;
            }
            self.phase -= 1.0;
            self.last = sample;
        }
    }
}

/// From -1 to 1.
fn uniform(seed: &mut Seed) -> f32 {
    (seed.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0
}
