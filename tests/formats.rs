//! Callers come in every usual WAV format and rate: all of them simply work.

mod program;

use std::sync::Mutex;

use antiphon::pcm::resample::convert;
use antiphon::pcm::wav;
use program::Desk;

/// Without a recogniser: a voice is detected, no words.
const DEAF: &str = "
name: deaf
agents:
  deaf: {}
";

const DESK: &str = "
name: desk
speech: { recogniser: { engine: pocketsphinx } }
agents:
  desk:
    intents:
      - { name: hours, phrases: [what are your opening hours], say: From nine to six., end_call: true }
      - { name: owe, phrases: [how much do I owe], say: Nothing. }
";

const RATES_HZ: [u32; 8] = [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

const SAMPLES: [Sample; 5] = [Sample::U8, Sample::I16, Sample::I24, Sample::I32, Sample::F32];

/// How a sample is written.
#[derive(Debug, Clone, Copy)]
enum Sample {
    U8,
    I16,
    I24,
    I32,
    F32,
}

/// A WAV file.
#[derive(Debug, Clone, Copy)]
struct Format {
    rate_hz: u32,
    channels: u16,
    sample: Sample,
}

impl Sample {
    const fn bytes(self) -> u16 {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
        }
    }

    fn put(self, bytes: &mut Vec<u8>, sample: i16) {
        let whole = i32::from(sample) << 16;
        match self {
            Self::U8 => bytes.push(((sample >> 8) + 128) as u8),
            Self::I16 => bytes.extend(sample.to_le_bytes()),
            Self::I24 => bytes.extend(&whole.to_le_bytes()[1..]),
            Self::I32 => bytes.extend(whole.to_le_bytes()),
            Self::F32 => bytes.extend((f32::from(sample) / 32_768.0).to_le_bytes()),
        }
    }
}

impl Format {
    fn name(self) -> String {
        let Self { rate_hz, channels, sample } = self;
        format!("{sample:?}-{channels}-{rate_hz}.wav").to_lowercase()
    }

    /// A file of this format in which a caller asks for the opening hours.
    fn file(self) -> Vec<u8> {
        let spoken =
            wav::read(include_bytes!("../audio/caller-02-hours.wav")).expect("it is a WAV");
        let mut data = Vec::new();
        for sample in convert(&spoken.pcm, spoken.rate_hz, self.rate_hz) {
            (0..self.channels).for_each(|_| self.sample.put(&mut data, sample));
        }
        let width = self.channels * self.sample.bytes();
        let tag: u16 = if matches!(self.sample, Sample::F32) { 3 } else { 1 };
        let mut file = b"RIFF".to_vec();
        file.extend((36 + data.len() as u32).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0");
        file.extend(tag.to_le_bytes());
        file.extend(self.channels.to_le_bytes());
        file.extend(self.rate_hz.to_le_bytes());
        file.extend((self.rate_hz * u32::from(width)).to_le_bytes());
        file.extend(width.to_le_bytes());
        file.extend((self.sample.bytes() * 8).to_le_bytes());
        file.extend(b"data");
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(data);
        file
    }
}

/// Runs a configuration on a file of each format, two at a time.
fn each(config: &str, formats: &[Format], check: impl Fn(&Desk, Format) + Sync) {
    let waiting = Mutex::new(formats.iter());
    let work = || {
        let desk = Desk::new();
        desk.put("desk.yaml", config);
        loop {
            let next = waiting.lock().map(|mut waiting| waiting.next().copied());
            let Ok(Some(format)) = next else { return };
            let name = format.name();
            desk.put(&name, format.file());
            let ran = desk.run(&format!("run desk.yaml --input {name} --out call --fast")).exits(0);
            // That nobody understands a voice is said of the configuration, not of the file.
            let mut told = ran.stderr.lines().filter(|line| !line.contains("engine is none"));
            assert_eq!(told.next(), None, "{name} is as good as any");
            check(&desk, format);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
}

#[test]
fn a_voice_is_heard_in_every_format() {
    let mut all = Vec::new();
    for rate_hz in RATES_HZ {
        for channels in [1, 2] {
            all.extend(SAMPLES.map(|sample| Format { rate_hz, channels, sample }));
        }
    }
    each(DEAF, &all, |desk, format| {
        let events = desk.events("call");
        let mut stopped = events.iter().filter(|event| event["type"] == "user.speech_stopped");
        let voiced_ms = stopped.next().and_then(|event| event["voiced_ms"].as_u64());
        // 2,100 ms at its own rate.
        let as_long = voiced_ms.is_some_and(|ms| (1_900..=2_300).contains(&ms));
        assert!(as_long && stopped.next().is_none(), "{format:?}: {voiced_ms:?}");
    });
}

/// Each rate from 16 kHz twice, each way to write a sample at least twice.
#[test]
fn words_are_understood_from_16_khz_upward() {
    let rates = RATES_HZ.into_iter().filter(|rate_hz| *rate_hz >= 16_000);
    let formats: Vec<_> = rates
        .flat_map(|rate_hz| [(rate_hz, 1), (rate_hz, 2)])
        .zip(SAMPLES.into_iter().cycle())
        .map(|((rate_hz, channels), sample)| Format { rate_hz, channels, sample })
        .collect();
    each(DESK, &formats, |desk, format| {
        let events = desk.events("call");
        let message = events.iter().find(|event| event["type"] == "user.message");
        let intent = message.map(|event| &event["intent"]);
        assert_eq!(intent, Some(&"hours".into()), "{format:?}");
    });
}
