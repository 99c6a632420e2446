//! Writes WAV files: recordings of calls, one frame after another.
//!
//! **Invariant:** whatever has been written at any moment is a playable file. The header is brought
//! up to date once per second of audio, so a killed process loses at most the last second from
//! players that trust the header (the samples themselves are there). Marks come after the samples, so
//! that a player which knows none plays the file alike.

use std::io::{self, Seek, SeekFrom, Write};

/// A RIFF head, a `fmt ` chunk of 16 bytes and the head of the `data` chunk.
const HEADER_LEN: u32 = 44;

/// Sizes in the header have 32 bits, and RIFF's counts all but its own 8 bytes.
const DATA_LEN_MAX: u32 = u32::MAX - (HEADER_LEN - 8);

/// A 16-bit WAV file being written to `sink`, from where the sink stood at the beginning.
#[derive(Debug)]
pub struct WavWriter<W: Write + Seek> {
    sink: W,
    start: u64,
    rate_hz: u32,
    channels: u16,
    data_len: u32,
    /// What the header on the sink says.
    header_data_len: u32,
    data_len_max: u32,
    /// Frames with something to be said of them.
    marks: Vec<(u32, String)>,
    /// Bytes after the samples.
    tail_len: u32,
}

/// Marks of a file at most: a few places, no log.
const MARKS_MAX: usize = 16;

impl<W: Write + Seek> WavWriter<W> {
    /// Begins a file of `channels` interleaved channels at `rate_hz` by writing its header.
    ///
    /// A buffered sink saves system calls: one frame is only 640 bytes at 16 kHz.
    ///
    /// # Errors
    /// The sink's, or `InvalidInput` if `rate_hz` or `channels` is 0 or too large for a header.
    pub fn new(mut sink: W, rate_hz: u32, channels: u16) -> io::Result<Self> {
        let byte_rate = rate_hz.checked_mul(2 * u32::from(channels));
        // The frame length, too, has 16 bits.
        if rate_hz == 0 || channels == 0 || channels > u16::MAX / 2 || byte_rate.is_none() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a WAV header cannot hold {channels} channels at {rate_hz} Hz"),
            ));
        }
        let start = sink.stream_position()?;
        let mut writer = Self {
            sink,
            start,
            rate_hz,
            channels,
            data_len: 0,
            header_data_len: 0,
            data_len_max: DATA_LEN_MAX - DATA_LEN_MAX % (2 * u32::from(channels)),
            marks: Vec::new(),
            tail_len: 0,
        };
        writer.write_header()?;
        Ok(writer)
    }

    /// Appends interleaved samples, a whole number of frames.
    ///
    /// # Errors
    /// The sink's; `InvalidInput` if `pcm` ends within a frame, and `FileTooLarge` if it would grow
    /// the file beyond 4 GiB: then nothing of `pcm` is written and the file stays playable.
    pub fn write(&mut self, pcm: &[i16]) -> io::Result<()> {
        if !pcm.len().is_multiple_of(usize::from(self.channels)) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} samples are no whole frames of {} channels", pcm.len(), self.channels),
            ));
        }
        let room = (self.data_len_max - self.data_len) as usize;
        if pcm.len() > room / 2 {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!(
                    "the WAV file has {} bytes of audio and cannot grow by {} more (its limit is \
                     4 GiB); finish it and continue in another file",
                    self.data_len,
                    pcm.len() * 2
                ),
            ));
        }
        let mut bytes = [0; 2_048];
        for part in pcm.chunks(bytes.len() / 2) {
            for (pair, sample) in bytes.chunks_exact_mut(2).zip(part) {
                pair.copy_from_slice(&sample.to_le_bytes());
            }
            self.sink.write_all(&bytes[..part.len() * 2])?;
            self.data_len += part.len() as u32 * 2;
        }
        let second = self.rate_hz * 2 * u32::from(self.channels);
        if self.data_len - self.header_data_len >= second {
            self.flush_header()?;
        }
        Ok(())
    }

    /// How many frames (one sample per channel) have been written.
    #[must_use]
    pub fn frames(&self) -> u64 {
        u64::from(self.data_len) / (2 * u64::from(self.channels))
    }

    /// Marks the next frame with a label, which players and editors show as a cue point. It is written
    /// by [`finish`](Self::finish); what is beyond 16 marks is not.
    pub fn mark(&mut self, label: &str) {
        if self.marks.len() < MARKS_MAX {
            let frame = self.data_len / (2 * u32::from(self.channels));
            self.marks.push((frame, label.to_owned()));
        }
    }

    /// Brings the header up to date and flushes the sink.
    ///
    /// # Errors
    /// The sink's.
    pub fn flush_header(&mut self) -> io::Result<()> {
        // Audio first: the header must never promise what a killed process did not write.
        self.sink.flush()?;
        self.sink.seek(SeekFrom::Start(self.start))?;
        self.write_header()?;
        self.sink
            .seek(SeekFrom::Start(self.start + u64::from(HEADER_LEN) + u64::from(self.data_len)))?;
        self.sink.flush()
    }

    /// Completes the file and gives the sink back.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(mut self) -> io::Result<W> {
        let tail = cue_chunks(&self.marks);
        let fits = tail.len() <= (DATA_LEN_MAX - self.data_len) as usize;
        if fits && !tail.is_empty() {
            self.sink.write_all(&tail)?;
            self.tail_len = tail.len() as u32;
        }
        self.flush_header()?;
        Ok(self.sink)
    }

    fn write_header(&mut self) -> io::Result<()> {
        let frame_len = 2 * self.channels;
        let mut header = [0; HEADER_LEN as usize];
        header[..4].copy_from_slice(b"RIFF");
        let riff_len = self.data_len + HEADER_LEN - 8 + self.tail_len;
        header[4..8].copy_from_slice(&riff_len.to_le_bytes());
        header[8..16].copy_from_slice(b"WAVEfmt ");
        header[16..20].copy_from_slice(&16_u32.to_le_bytes());
        header[20..22].copy_from_slice(&1_u16.to_le_bytes());
        header[22..24].copy_from_slice(&self.channels.to_le_bytes());
        header[24..28].copy_from_slice(&self.rate_hz.to_le_bytes());
        header[28..32].copy_from_slice(&(self.rate_hz * u32::from(frame_len)).to_le_bytes());
        header[32..34].copy_from_slice(&frame_len.to_le_bytes());
        header[34..36].copy_from_slice(&16_u16.to_le_bytes());
        header[36..40].copy_from_slice(b"data");
        header[40..].copy_from_slice(&self.data_len.to_le_bytes());
        self.sink.write_all(&header)?;
        self.header_data_len = self.data_len;
        Ok(())
    }
}

/// The chunks `cue ` and `LIST` of type `adtl`, which editors agree on; nothing without marks.
fn cue_chunks(marks: &[(u32, String)]) -> Vec<u8> {
    if marks.is_empty() {
        return Vec::new();
    }
    let chunk = |id: &[u8; 4], body: &[u8]| {
        let mut bytes = id.to_vec();
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend(body);
        // Chunks begin at even places.
        bytes.extend(vec![0; body.len() % 2]);
        bytes
    };
    let mut cues = (marks.len() as u32).to_le_bytes().to_vec();
    let mut labels = b"adtl".to_vec();
    for (n, (frame, label)) in (1_u32..).zip(marks) {
        for word in [n, *frame, u32::from_le_bytes(*b"data"), 0, 0, *frame] {
            cues.extend(word.to_le_bytes());
        }
        let mut body = n.to_le_bytes().to_vec();
        body.extend(label.as_bytes());
        body.push(0);
        labels.extend(chunk(b"labl", &body));
    }
    [chunk(b"cue ", &cues), chunk(b"LIST", &labels)].concat()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::pcm::wav;

    #[test]
    fn a_killed_recording_is_playable_to_its_last_second() {
        let mut file = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut file, 8_000, 1).expect("memory takes everything");
        for _ in 0..120 {
            writer.write(&[5; 160]).expect("memory takes everything");
        }
        // The process is killed here: `finish` is never called.
        let wav = wav::read(file.get_ref()).expect("a playable file");
        assert_eq!((wav.pcm.len(), wav.truncated), (16_000, None));
        assert_eq!(file.get_ref().len(), 44 + 120 * 320);
    }

    #[test]
    fn the_limit_of_four_gibibytes_refuses_and_stays_playable() {
        let mut writer = WavWriter::new(Cursor::new(Vec::new()), 8_000, 2).expect("memory");
        assert_eq!(writer.data_len_max, u32::MAX - 39);
        writer.data_len_max = 8;
        writer.write(&[1; 2]).expect("there is room");
        let error = writer.write(&[1; 4]).expect_err("there is none");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        writer.write(&[1; 2]).expect("there is room for one more frame");
        assert_eq!(writer.frames(), 2);
        let file = writer.finish().expect("memory takes everything").into_inner();
        assert_eq!(wav::read(&file).expect("a playable file").pcm, [1, 1]);
    }

    #[test]
    fn a_marked_file_plays_alike_and_has_its_cue() {
        let mut writer = WavWriter::new(Cursor::new(Vec::new()), 8_000, 2).expect("memory");
        writer.write(&[3; 20]).expect("memory takes everything");
        writer.mark("here");
        writer.write(&[4; 20]).expect("memory takes everything");
        let file = writer.finish().expect("memory takes everything").into_inner();
        let wav = wav::read(&file).expect("a playable file");
        assert_eq!((wav.pcm, wav.truncated), ([[3; 10], [4; 10]].concat(), None));
        assert_eq!(file.len() - 8, u32::from_le_bytes([4, 5, 6, 7].map(|at| file[at])) as usize);
        let tail = &file[44 + 80..];
        assert_eq!(tail[..12], *b"cue \x1c\0\0\0\x01\0\0\0");
        assert_eq!((&tail[16..20], &tail[32..36]), (&[10, 0, 0, 0][..], &[10, 0, 0, 0][..]));
        assert_eq!(&tail[36..], b"LIST\x16\0\0\0adtllabl\x09\0\0\0\x01\0\0\0here\0\0");
    }

    #[test]
    fn nonsense_is_refused() {
        for (rate_hz, channels) in [(0, 1), (8_000, 0), (8_000, 40_000), (u32::MAX, 2)] {
            assert!(WavWriter::new(Cursor::new(Vec::new()), rate_hz, channels).is_err());
        }
        let mut writer = WavWriter::new(Cursor::new(Vec::new()), 8_000, 2).expect("memory");
        assert!(writer.write(&[1; 3]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            pcm in prop::collection::vec(any::<i16>(), 1..3_000),
            rate_hz in 8_000_u32..=48_000,
            cut in 0_usize..3_000,
        ) {
            let mut writer = WavWriter::new(Cursor::new(Vec::new()), rate_hz, 1)?;
            let (head, tail) = pcm.split_at(cut.min(pcm.len()));
            writer.write(head)?;
            writer.flush_header()?;
            writer.write(tail)?;
            let wav = wav::read(writer.finish()?.get_ref()).expect("a playable file");
            prop_assert_eq!((wav.rate_hz, wav.channels, wav.truncated), (rate_hz, 1, None));
            prop_assert_eq!(wav.pcm, pcm);
        }
    }
}
