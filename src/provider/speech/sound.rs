//! Samples out of bytes that come in pieces: bare ones, or those of a WAV file whose end nobody knows yet.
//!
//! The WAV reader of [`pcm`](crate::pcm::wav) wants the whole file; this one gives samples while it comes, and takes
//! the one form that servers send.
//!
//! **Invariant:** however the bytes are cut, the samples are the same; a header has at most [`HEADER_MAX`] bytes.

use super::Piece;

/// The longest header that is waited for, in bytes: a few chunks of text before the audio.
const HEADER_MAX: usize = 64 << 10;

/// Rates that voices have, in Hz.
pub(super) const fn is_rate(rate_hz: &u32) -> bool {
    matches!(*rate_hz, 8_000..=192_000)
}

#[derive(Clone, Copy, Debug)]
struct Layout {
    rate_hz: u32,
    channels: u16,
}

/// Audio that is being read.
#[derive(Debug)]
pub(super) struct Sound {
    /// Not known before the header has come.
    layout: Option<Layout>,
    /// Bytes that make no whole sample, or no whole header.
    rest: Vec<u8>,
    /// Bytes of audio that are still to come, if the header says so.
    left: Option<u64>,
}

impl Sound {
    pub(super) const fn pcm(rate_hz: u32) -> Self {
        Self { layout: Some(Layout { rate_hz, channels: 1 }), rest: Vec::new(), left: None }
    }

    pub(super) const fn wav() -> Self {
        Self { layout: None, rest: Vec::new(), left: None }
    }

    /// The samples that are whole with these bytes, if any is.
    ///
    /// # Errors
    /// It is not what was asked for, in words.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Option<Piece>, String> {
        self.rest.extend_from_slice(bytes);
        let layout = match self.layout {
            Some(layout) => layout,
            None => match header(&self.rest)? {
                Some(Header { layout, begins, length }) => {
                    self.layout = Some(layout);
                    self.left = length;
                    self.rest.drain(..begins);
                    layout
                }
                None if self.rest.len() > HEADER_MAX => {
                    return Err(format!("a WAV header of more than {HEADER_MAX} bytes"));
                }
                None => return Ok(None),
            },
        };
        let frame = usize::from(layout.channels) * 2;
        let mut whole = self.rest.len() / frame * frame;
        if let Some(left) = &mut self.left {
            // What follows the audio is not audio.
            whole = whole.min(usize::try_from(*left).unwrap_or(usize::MAX) / frame * frame);
            *left -= whole as u64;
        }
        let samples: Vec<i16> = self.rest[..whole].chunks_exact(frame).map(mono).collect();
        if self.left.is_some_and(|left| left < frame as u64) {
            self.rest.clear();
        } else {
            self.rest.drain(..whole);
        }
        Ok((!samples.is_empty()).then_some(Piece { rate_hz: layout.rate_hz, samples }))
    }

    /// What is wrong with an end now, if anything is.
    pub(super) fn ended(&self) -> Option<String> {
        match (self.layout, self.left) {
            (None, _) if self.rest.is_empty() => None,
            (None, _) => Some("the answer ended within the header of its WAV file".into()),
            // A sample cut in half is a connection that was.
            (Some(layout), Some(left)) if left >= u64::from(layout.channels) * 2 => {
                Some(format!("the answer ended {left} bytes before its audio does"))
            }
            _ => None,
        }
    }
}

fn mono(frame: &[u8]) -> i16 {
    let samples = frame.chunks_exact(2).map(|two| i32::from(i16::from_le_bytes([two[0], two[1]])));
    let count = (frame.len() / 2) as i32;
    (samples.sum::<i32>() / count) as i16
}

struct Header {
    layout: Layout,
    /// Where the audio begins.
    begins: usize,
    /// How long it is, if that was known when it began.
    length: Option<u64>,
}

/// The header of a WAV file; none if more of it has to come.
fn header(bytes: &[u8]) -> Result<Option<Header>, String> {
    let is_wav = |at: usize, name: &[u8]| {
        let known = &bytes[at.min(bytes.len())..(at + name.len()).min(bytes.len())];
        name.starts_with(known)
    };
    if !is_wav(0, b"RIFF") || !is_wav(8, b"WAVE") {
        return Err("what came is no WAV file; does the server know `response_format: wav`?".into());
    }
    let mut at: usize = 12;
    let mut layout = None;
    loop {
        let Some(head) = bytes.get(at..at + 8) else { return Ok(None) };
        let (name, size) = (&head[..4], u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        let begins = at + 8;
        if name == b"data" {
            let layout = layout.ok_or("the WAV file has audio before it says which")?;
            // Who streams does not know it yet, and writes one of these.
            let length = (size != 0 && size < u32::MAX - (64 << 10)).then_some(u64::from(size));
            return Ok(Some(Header { layout, begins, length }));
        }
        let size = size as usize;
        if size > HEADER_MAX {
            return Err(format!(
                "the WAV file has {size} bytes of something else before its audio"
            ));
        }
        if name == b"fmt " {
            let Some(format) = bytes.get(begins..begins + size) else { return Ok(None) };
            layout = Some(self::layout(format)?);
        }
        // Chunks begin at even places.
        at = begins + size + size % 2;
    }
}

fn layout(format: &[u8]) -> Result<Layout, String> {
    let two = |at: usize| {
        format.get(at..at + 2).map(|two| u16::from_le_bytes([two[0], two[1]])).unwrap_or_default()
    };
    // An extensible format has the old number at the beginning of its new one.
    let tag = if two(0) == 0xFFFE { two(24) } else { two(0) };
    let (channels, bits) = (two(2), two(14));
    let rate_hz = u32::from(two(4)) | u32::from(two(6)) << 16;
    if tag != 1 || bits != 16 || !(1..=8).contains(&channels) || !is_rate(&rate_hz) {
        return Err(format!(
            "a WAV file of {channels} channels, {bits} bits and {rate_hz} Hz in format {tag}; it has to have PCM of \
             16 bits, 1 to 8 channels, at 8 to 192 kHz"
        ));
    }
    Ok(Layout { rate_hz, channels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(channels: u16, size: u32, extra: bool, samples: &[i16]) -> Vec<u8> {
        let mut bytes = b"RIFF\xFF\xFF\xFF\xFFWAVE".to_vec();
        if extra {
            bytes.extend_from_slice(b"LIST\x03\0\0\0abc\0");
        }
        bytes.extend_from_slice(b"fmt \x10\0\0\0\x01\0");
        bytes.extend_from_slice(&channels.to_le_bytes());
        bytes.extend_from_slice(&22_050_u32.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&16_u16.to_le_bytes());
        bytes.extend_from_slice(b"data");
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        bytes
    }

    fn taken(mut sound: Sound, bytes: &[u8], step: usize) -> (u32, Vec<i16>, Option<String>) {
        let (mut rate_hz, mut samples) = (0, Vec::new());
        for piece in bytes.chunks(step) {
            if let Some(piece) = sound.take(piece).unwrap() {
                rate_hz = piece.rate_hz;
                samples.extend(piece.samples);
            }
        }
        (rate_hz, samples, sound.ended())
    }

    #[test]
    fn samples_are_the_same_however_they_are_cut() {
        let samples: Vec<i16> = (0..500).map(|n| n * 60 - 15_000).collect();
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        for step in [1, 2, 3, 7, 44, 1_000] {
            assert_eq!(taken(Sound::pcm(24_000), &bytes, step), (24_000, samples.clone(), None));
            for (size, extra) in [(0, false), (u32::MAX, true), (1_000, true)] {
                let file = wav(1, size, extra, &samples);
                assert_eq!(taken(Sound::wav(), &file, step), (22_050, samples.clone(), None));
            }
        }
    }

    #[test]
    fn several_channels_become_one_and_what_follows_the_audio_is_left_out() {
        let mut file = wav(2, 8, false, &[100, 300, -32_768, -32_768]);
        file.extend_from_slice(b"LIST\x04\0\0\0abcd");
        assert_eq!(taken(Sound::wav(), &file, 5), (22_050, vec![200, -32_768], None));
    }

    #[test]
    fn what_is_cut_or_something_else_is_said() {
        let file = wav(1, 8, false, &[1, 2]);
        assert!(taken(Sound::wav(), &file, 9).2.unwrap().contains("4 bytes before"));
        assert!(taken(Sound::wav(), &file[..30], 9).2.unwrap().contains("header"));
        assert!(Sound::wav().take(b"ID3\x04").unwrap_err().contains("no WAV"));
        let mut eight = wav(1, 8, false, &[1, 2]);
        eight[34] = 8;
        assert!(Sound::wav().take(&eight).unwrap_err().contains("8 bits"));
        let mut huge = wav(1, 8, true, &[]);
        huge[19] = 0x7F;
        assert!(Sound::wav().take(&huge).unwrap_err().contains("something else"));
    }
}
