//! Reads WAV files: prompts, ringing tones, recorded test callers.
//!
//! [`read`] takes the bytes of a file and gives mono 16-bit samples at the file's own rate. It is
//! generous with what recorders and streaming servers leave behind (unknown chunks, headers that
//! were never completed, a file cut short) and strict with what it cannot play: the error then says
//! what the file looks like and how to convert it.
//!
//! **Invariant:** no bytes make it panic, and it allocates at most twice their number.

use std::{fmt, ops::RangeInclusive};

use super::g711::{from_a_law, from_mu_law};
use super::resample::RATES_HZ;

/// The channel counts accepted; they are averaged to one.
pub const CHANNELS: RangeInclusive<u16> = 1..=8;

/// No recording is longer: at 48 kHz this is 1.4 GB of samples, and surely a mistake beyond it.
pub const SECONDS_MAX: u64 = 4 * 3_600;

/// Writers to a pipe, which cannot go back to the header, leave 0 (see `data_of`), 0xFFFFFFFF
/// (ffmpeg) or 0x7FFFF000 and a little (SoX) as the size.
const STREAMED_SIZE_MIN: u32 = 0x7FFF_F000;

/// A recording read into memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wav {
    /// Samples per second, within [`RATES_HZ`].
    pub rate_hz: u32,
    /// How many channels the file had, within [`CHANNELS`].
    pub channels: u16,
    /// The channels' average, at least one sample.
    pub pcm: Vec<i16>,
    /// Present where the header promised more than the file holds.
    pub truncated: Option<Truncated>,
}

/// By how much a file is shorter than its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated {
    /// Frames (one sample per channel) according to the header.
    pub expected_frames: u64,
    /// Frames in the file.
    pub got_frames: u64,
}

/// Why a file cannot be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WavError {
    /// There are no bytes.
    Empty,
    /// The file does not begin as a RIFF/WAVE file does.
    NotWav {
        /// What it looks like instead, to go after "it looks like".
        looks_like: String,
    },
    /// There is no complete `fmt ` chunk.
    MissingFmt,
    /// There is no `data` chunk.
    MissingData,
    /// The `data` chunk holds less than one frame.
    NoAudio,
    /// The samples are in a form which this reader does not know.
    Unsupported {
        /// The form's name.
        format: String,
    },
    /// The rate is outside [`RATES_HZ`].
    RateOutOfRange {
        /// What the header says.
        rate_hz: u32,
    },
    /// The recording is longer than [`SECONDS_MAX`].
    TooLong {
        /// Its length.
        seconds: u64,
    },
}

impl std::error::Error for WavError {}

impl fmt::Display for WavError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A command everybody can run, for whatever can be played at all.
        const CONVERT: &str =
            "convert it, e.g. ffmpeg -i IN -ac 1 -ar 16000 -c:a pcm_s16le OUT.wav";
        match self {
            Self::Empty => write!(f, "the file is empty; was its recording or download finished?"),
            Self::NotWav { looks_like } => {
                write!(f, "not a WAV file: it looks like {looks_like}; if it is audio, {CONVERT}")
            }
            Self::MissingFmt => write!(
                f,
                "the WAV file has no complete \"fmt \" chunk, so its rate and format are unknown; \
                 export it again"
            ),
            Self::MissingData => write!(
                f,
                "the WAV file ends before its \"data\" chunk; export it again or copy it completely"
            ),
            Self::NoAudio => write!(f, "the WAV file holds no audio (0 frames); record it again"),
            Self::Unsupported { format } => {
                write!(f, "the WAV file has {format}, which is not supported; {CONVERT}")
            }
            Self::RateOutOfRange { rate_hz } => write!(
                f,
                "the WAV file has {rate_hz} samples per second, outside {} to {}; {CONVERT}",
                RATES_HZ.start(),
                RATES_HZ.end()
            ),
            Self::TooLong { seconds } => write!(
                f,
                "the WAV file is {seconds} s long, more than {SECONDS_MAX} s (4 hours); cut it"
            ),
        }
    }
}

/// Reads a whole file.
///
/// Accepts RIFF/WAVE with 8-bit unsigned, 16, 24 and 32-bit signed, 32 and 64-bit float, A-law and
/// µ-law samples, plain or as `WAVE_FORMAT_EXTENSIBLE`. Samples finer than 16 bits are rounded half
/// up after the channels were averaged. A file whose header was never completed (streamed, or its
/// recorder killed) is played to its end.
///
/// # Errors
/// A [`WavError`] when nothing can be played; a file cut short is no error but [`Wav::truncated`].
pub fn read(bytes: &[u8]) -> Result<Wav, WavError> {
    let Opened { format, audio, promised } = open(bytes)?;
    let expected_frames = promised / format.frame_len() as u64;
    let got_frames = (audio.len() / format.frame_len()) as u64;
    Ok(Wav {
        rate_hz: format.rate_hz,
        channels: format.channels,
        pcm: audio.chunks_exact(format.frame_len()).map(|frame| format.mono(frame)).collect(),
        truncated: (got_frames < expected_frames)
            .then_some(Truncated { expected_frames, got_frames }),
    })
}

/// Reads the first two channels of a file apart; of a file with one, both are that one.
///
/// # Errors
/// Those of [`read`].
pub fn read_sides(bytes: &[u8]) -> Result<[Vec<i16>; 2], WavError> {
    let Opened { format, audio, .. } = open(bytes)?;
    let len = format.samples.len();
    let second = if format.channels == 1 { 0 } else { len };
    Ok([0, second].map(|at| {
        let frames = audio.chunks_exact(format.frame_len());
        frames.map(|frame| rounded(format.samples.widen(&frame[at..at + len]))).collect()
    }))
}

/// A file's audio, and how to read it.
struct Opened<'b> {
    format: Format,
    audio: &'b [u8],
    /// How many bytes of audio the file claims to have.
    promised: u64,
}

fn open(bytes: &[u8]) -> Result<Opened<'_>, WavError> {
    let riff = match bytes {
        [] => return Err(WavError::Empty),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', riff @ ..] => riff,
        _ => {
            return Err(WavError::NotWav { looks_like: looks_like(bytes) });
        }
    };
    let (mut format, mut data) = (None, None);
    let mut rest = riff;
    while let Some((id, size, body)) = chunk(rest) {
        match &id {
            b"fmt " if format.is_none() => format = Some(Format::parse(body, size)?),
            b"data" if data.is_none() => {
                let (promised, audio) = data_of(size, body);
                data = Some((promised, audio));
                rest = &body[audio.len()..];
                // An odd chunk is followed by a byte of padding.
                rest = rest.get(audio.len() % 2..).unwrap_or(&[]);
                continue;
            }
            _ => {}
        }
        rest = body.get((size as usize).saturating_add(size as usize % 2)..).unwrap_or(&[]);
    }
    let format = format.ok_or(WavError::MissingFmt)?;
    let (promised, audio) = data.ok_or(WavError::MissingData)?;
    let got_frames = (audio.len() / format.frame_len()) as u64;
    if got_frames == 0 {
        return Err(WavError::NoAudio);
    }
    check_length(got_frames, format.rate_hz)?;
    Ok(Opened { format, audio, promised })
}

fn check_length(frames: u64, rate_hz: u32) -> Result<(), WavError> {
    let seconds = frames / u64::from(rate_hz);
    if seconds > SECONDS_MAX { Err(WavError::TooLong { seconds }) } else { Ok(()) }
}

/// The chunk at the head of `bytes`: its id, the size it claims, and *everything* behind its head.
fn chunk(bytes: &[u8]) -> Option<([u8; 4], u32, &[u8])> {
    let (id, rest) = bytes.split_first_chunk()?;
    let (size, body) = rest.split_first_chunk()?;
    Some((*id, u32::from_le_bytes(*size), body))
}

/// How many bytes of audio a data chunk promises, and those that are there.
fn data_of(size: u32, body: &[u8]) -> (u64, &[u8]) {
    let there = body.len().min(size as usize);
    let streamed = match size {
        // Either a header never completed, or truly no audio and then perhaps more chunks.
        0 => !is_chunks(body),
        _ => size >= STREAMED_SIZE_MIN && there < size as usize,
    };
    if streamed { (body.len() as u64, body) } else { (u64::from(size), &body[..there]) }
}

/// Whether `bytes` are nothing but chunks with printable names, up to the last byte.
fn is_chunks(mut bytes: &[u8]) -> bool {
    while let Some((id, size, body)) = chunk(bytes) {
        let size = size as usize;
        if !id.iter().all(|&c| c == b' ' || c.is_ascii_graphic()) || size > body.len() {
            return false;
        }
        bytes = body.get(size.saturating_add(size % 2)..).unwrap_or(&[]);
    }
    bytes.is_empty()
}

#[derive(Debug, Clone, Copy)]
struct Format {
    channels: u16,
    rate_hz: u32,
    samples: Samples,
}

#[derive(Debug, Clone, Copy)]
enum Samples {
    U8,
    S16,
    S24,
    S32,
    F32,
    F64,
    ALaw,
    MuLaw,
}

impl Format {
    /// Reads a `fmt ` chunk of `size` bytes, at the head of `body`.
    fn parse(body: &[u8], size: u32) -> Result<Self, WavError> {
        let fmt = &body[..body.len().min(size as usize)];
        let u16_at = |at: usize| fmt.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let (Some(mut tag), Some(channels), Some(frame_len), Some(bits)) =
            (u16_at(0), u16_at(2), u16_at(12), u16_at(14))
        else {
            return Err(WavError::MissingFmt);
        };
        let rate_hz = u32::from_le_bytes([fmt[4], fmt[5], fmt[6], fmt[7]]);
        // Extensible: the true tag is the head of a GUID at byte 24.
        if tag == 0xFFFE {
            tag = u16_at(24).ok_or(WavError::MissingFmt)?;
        }
        let samples = match (tag, bits) {
            (1, 8) => Samples::U8,
            (1, 16) => Samples::S16,
            (1, 24) => Samples::S24,
            (1, 32) => Samples::S32,
            (3, 32) => Samples::F32,
            (3, 64) => Samples::F64,
            (6, 8) => Samples::ALaw,
            (7, 8) => Samples::MuLaw,
            _ => return Err(unsupported(format!("{bits}-bit {} samples", tag_name(tag)))),
        };
        if !CHANNELS.contains(&channels) {
            return Err(unsupported(format!("{channels} channels (1 to 8 are)")));
        }
        // Some writers leave the frame length 0; another value means samples in wider containers.
        if frame_len != 0 && usize::from(frame_len) != samples.len() * usize::from(channels) {
            return Err(unsupported(format!(
                "{bits}-bit samples of {channels} channels in frames of {frame_len} bytes"
            )));
        }
        if !RATES_HZ.contains(&rate_hz) {
            return Err(WavError::RateOutOfRange { rate_hz });
        }
        Ok(Self { channels, rate_hz, samples })
    }

    /// Bytes of a frame of all channels.
    fn frame_len(self) -> usize {
        self.samples.len() * usize::from(self.channels)
    }

    /// The average of one frame's channels.
    fn mono(self, frame: &[u8]) -> i16 {
        let sum: i64 = frame.chunks_exact(self.samples.len()).map(|s| self.samples.widen(s)).sum();
        rounded(sum.div_euclid(i64::from(self.channels)))
    }
}

/// A sample of 32 bits in 16, rounded half up.
fn rounded(wide: i64) -> i16 {
    ((wide + 0x8000) >> 16).clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
}

impl Samples {
    /// Bytes per sample.
    fn len(self) -> usize {
        match self {
            Self::U8 | Self::ALaw | Self::MuLaw => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// One sample, scaled to 32 bits; `bytes` has [`Self::len`].
    fn widen(self, bytes: &[u8]) -> i64 {
        match (self, bytes) {
            (Self::U8, &[a]) => (i64::from(a) - 128) << 24,
            (Self::S16, &[a, b]) => i64::from(i16::from_le_bytes([a, b])) << 16,
            (Self::S24, &[a, b, c]) => i64::from(i32::from_le_bytes([0, a, b, c])),
            (Self::S32, &[a, b, c, d]) => i64::from(i32::from_le_bytes([a, b, c, d])),
            (Self::F32, &[a, b, c, d]) => from_float(f64::from(f32::from_le_bytes([a, b, c, d]))),
            (Self::F64, &[a, b, c, d, e, f, g, h]) => {
                from_float(f64::from_le_bytes([a, b, c, d, e, f, g, h]))
            }
            (Self::ALaw, &[a]) => i64::from(from_a_law(a)) << 16,
            (Self::MuLaw, &[a]) => i64::from(from_mu_law(a)) << 16,
            _ => unreachable!("a sample has the length of its format"),
        }
    }
}

/// ±1.0 is full scale; louder is clipped, NaN is silence.
fn from_float(sample: f64) -> i64 {
    i64::from((sample * 2_147_483_648.0) as i32)
}

fn unsupported(format: String) -> WavError {
    WavError::Unsupported { format }
}

fn tag_name(tag: u16) -> String {
    let name = match tag {
        1 => "PCM",
        2 => "Microsoft ADPCM",
        3 => "float",
        6 => "A-law",
        7 => "µ-law",
        0x11 => "IMA ADPCM",
        0x31 => "GSM 6.10",
        0x45 => "G.726 ADPCM",
        0x55 => "MP3",
        0xFF => "AAC",
        _ => return format!("format {tag:#06x}"),
    };
    name.into()
}

/// Names what is not a WAV file, by its first bytes.
fn looks_like(bytes: &[u8]) -> String {
    let known = match bytes {
        [b'I', b'D', b'3', ..] | [0xFF, 0xFB | 0xF3 | 0xF2, ..] => "MP3",
        [b'O', b'g', b'g', b'S', ..] => "Ogg (Opus or Vorbis)",
        [b'f', b'L', b'a', b'C', ..] => "FLAC",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "MP4 or M4A",
        [b'F', b'O', b'R', b'M', ..] => "AIFF",
        [0x1A, 0x45, 0xDF, 0xA3, ..] => "WebM or Matroska",
        [b'R', b'F', b'6', b'4', ..] => "RF64 (a WAV file for more than 4 GiB)",
        [b'R', b'I', b'F', b'F', ..] => "RIFF without WAVE (AVI, or cut within 12 bytes)",
        _ if bytes.starts_with(b"version https://git-lfs") => "a Git LFS pointer (git lfs pull)",
        _ if is_text(&bytes[..bytes.len().min(64)]) => "text",
        _ => "",
    };
    if !known.is_empty() {
        return known.into();
    }
    let head: Vec<String> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
    format!("something else, starting with bytes {}", head.join(" "))
}

/// Whether `head`, which may end within a character, is UTF-8 without control characters.
fn is_text(head: &[u8]) -> bool {
    let text = match str::from_utf8(head) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => str::from_utf8(&head[..e.valid_up_to()]).unwrap_or(""),
        Err(_) => return false,
    };
    !text.is_empty() && text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file with the given format and audio, between chunks that mean nothing.
    fn file(tag: u16, bits: u16, channels: u16, rate_hz: u32, audio: &[u8]) -> Vec<u8> {
        let mut fmt = Vec::new();
        fmt.extend(tag.to_le_bytes());
        fmt.extend(channels.to_le_bytes());
        fmt.extend(rate_hz.to_le_bytes());
        fmt.extend((rate_hz * u32::from(channels * bits / 8)).to_le_bytes());
        fmt.extend((channels * bits / 8).to_le_bytes());
        fmt.extend(bits.to_le_bytes());
        let mut out = b"RIFF\0\0\0\0WAVE".to_vec();
        for (id, body) in
            [(b"LIST", &b"odd"[..]), (b"fmt ", &fmt), (b"data", audio), (b"id3 ", &b"tail"[..])]
        {
            out.extend(id);
            out.extend((body.len() as u32).to_le_bytes());
            out.extend(body);
            out.extend(&[0][..body.len() % 2]);
        }
        out
    }

    fn pcm(bytes: &[u8]) -> Vec<i16> {
        read(bytes).expect("a playable file").pcm
    }

    /// The audio without the 12 bytes of the chunk behind it.
    fn without_tail(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(bytes.len() - 12);
        bytes
    }

    #[test]
    fn every_format_is_read() {
        let floats: Vec<u8> =
            [0.5_f32, -1.0, 2.0, f32::NAN].iter().flat_map(|s| s.to_le_bytes()).collect();
        let doubles: Vec<u8> = [0.25_f64, -2.0].iter().flat_map(|s| s.to_le_bytes()).collect();
        for (tag, bits, audio, expected) in [
            (1, 8, &[0, 128, 255][..], &[i16::MIN, 0, 127 << 8][..]),
            (1, 16, &[1, 0, 0, 0x80], &[1, i16::MIN]),
            (1, 24, &[0x80, 1, 0, 0xFF, 0xFF, 0x7F, 0, 0, 0x80], &[2, i16::MAX, i16::MIN]),
            (1, 32, &[0xFF, 0x7F, 1, 0, 0, 0, 0, 0x80], &[1, i16::MIN]),
            (3, 32, &floats, &[16_384, i16::MIN, i16::MAX, 0]),
            (3, 64, &doubles, &[8_192, i16::MIN]),
            (6, 8, &[0xD5, 0x55, 0xAA, 0x2A, 0x80], &[8, -8, 32_256, -32_256, 5_504]),
            (7, 8, &[0xFF, 0x7F, 0x80, 0x00, 0xCF], &[0, 0, 32_124, -32_124, 924]),
        ] {
            assert_eq!(pcm(&file(tag, bits, 1, 16_000, audio)), expected, "{bits}-bit {tag}");
        }
    }

    #[test]
    fn extensible_is_unwrapped() {
        let mut bytes = file(1, 16, 1, 48_000, &[7, 0]);
        let mut fmt = bytes[32..48].to_vec();
        fmt[..2].copy_from_slice(&0xFFFE_u16.to_le_bytes());
        fmt.extend([22, 0, 16, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 16, 0, 0x80, 0, 0, 0xAA, 0, 0x38]);
        fmt.extend([0x9B, 0x71]);
        bytes.splice(28..48, (fmt.len() as u32).to_le_bytes().into_iter().chain(fmt));
        let wav = read(&bytes).expect("extensible");
        assert_eq!((wav.rate_hz, wav.pcm), (48_000, vec![7]));
    }

    #[test]
    fn channels_are_averaged() {
        let audio: Vec<u8> =
            [100_i16, 201, i16::MIN, i16::MIN].iter().flat_map(|s| s.to_le_bytes()).collect();
        let wav = read(&file(1, 16, 2, 8_000, &audio)).expect("stereo");
        assert_eq!((wav.channels, wav.pcm), (2, vec![151, i16::MIN]));
        let sides = read_sides(&file(1, 16, 2, 8_000, &audio)).expect("stereo");
        assert_eq!(sides, [vec![100, i16::MIN], vec![201, i16::MIN]]);
        assert_eq!(pcm(&file(1, 16, 4, 8_000, &audio)), [-16_309]);
        assert_eq!(pcm(&file(1, 8, 8, 8_000, &[129; 8])), [256]);
    }

    #[test]
    fn a_file_cut_short_plays_what_is_there() {
        let mut bytes = without_tail(file(1, 16, 2, 8_000, &[1; 40]));
        bytes.truncate(bytes.len() - 7);
        let wav = read(&bytes).expect("8 of 10 frames");
        assert_eq!(wav.pcm, [257; 8]);
        assert_eq!(wav.truncated, Some(Truncated { expected_frames: 10, got_frames: 8 }));
    }

    #[test]
    fn a_streamed_file_is_read_to_its_end() {
        for size in [0, 0x7FFF_F024, u32::MAX] {
            let mut bytes = without_tail(file(1, 16, 1, 8_000, &[1; 40]));
            let at = bytes.len() - 44;
            bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
            let wav = read(&bytes).expect("a streamed file");
            assert_eq!((wav.pcm.len(), wav.truncated), (20, None));
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let png = [0x89, b'P', b'N', b'G', 0x0D];
        let whole = file(1, 16, 1, 8_000, &[1; 4]);
        for (bytes, expected) in [
            (&b""[..], "the file is empty"),
            (b"Hello there, caller.\n", "looks like text"),
            ("grüße".as_bytes(), "looks like text"),
            (&png, "starting with bytes 89 50 4e 47"),
            (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
            (b"OggS\0\x02", "looks like Ogg"),
            (&whole[..24], "no complete \"fmt \""),
            (&whole[..48], "ends before its \"data\""),
            (&file(1, 16, 1, 8_000, &[]), "0 frames"),
            (&file(0x55, 16, 1, 8_000, &[0]), "16-bit MP3 samples"),
            (&file(1, 16, 9, 8_000, &[0]), "9 channels"),
            (&file(1, 16, 1, 96_000, &[0]), "96000 samples per second"),
        ] {
            let message = read(bytes).expect_err(expected).to_string();
            assert!(message.contains(expected), "{message}");
        }
        let error = check_length(48_000 * 14_401, 48_000).expect_err("longer than four hours");
        assert!(error.to_string().contains("14401 s long"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            head in 0_usize..=60,
            flips in prop::collection::vec((0_usize..260, any::<u8>()), 0..4),
        ) {
            let _ = read(&bytes);
            let mut damaged = file(1, 16, 2, 8_000, &[3; 40]);
            damaged.truncate(head + 12);
            damaged.append(&mut bytes);
            for (at, value) in flips {
                let at = at % damaged.len();
                damaged[at] = value;
            }
            let _ = read(&damaged).map_err(|e| e.to_string());
        }
    }
}
