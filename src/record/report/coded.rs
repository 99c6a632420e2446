//! Ogg Opus, the smallest that every browser plays: users left, agent right.
//!
//! The encoder is the one of low delay without prediction, which costs a fifth of the one for speech and
//! at this rate is not told from the original by ear. A packet is 20 ms, a page of the file a second, so
//! that a player finds a place at once.
//!
//! **Invariant:** positions count samples of 48 kHz from the start of the call, after what the decoder is
//! told to skip: the time of the file is the time of the call.

use std::io::{self, Error};

use ogg::writing::{PacketWriteEndInfo, PacketWriter};
use opus::{Application, Bitrate, Channels, Encoder};

use crate::clock::Rate;

/// The longest call whose sound goes into its page: 15 minutes are 6 MB, and some seconds of coding.
pub const SECONDS_MAX: u64 = 15 * 60;

/// Bits a second for both sides together.
const BITRATE_BPS: i32 = 48_000;

/// What the encoder tries: a minute takes it 0.2 s. More takes longer and gains little at this rate.
const COMPLEXITY: i32 = 0;

/// Positions count in this rate, whatever that of the samples.
const POSITION_HZ: u32 = 48_000;

/// Positions of a packet of 20 ms.
const PACKET: u64 = 960;

/// Packets of a page: a second.
const PAGE: u64 = 50;

/// The largest packet that an encoder gives for a frame.
const PACKET_MAX: usize = 1_500;

/// The number of the stream; there is one.
const SERIAL: u32 = 1;

/// A coded file.
pub(super) struct Coded {
    pub(super) mime: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// Codes a recording frame by frame.
pub(super) struct Coder {
    encoder: Encoder,
    writer: PacketWriter<'static, Vec<u8>>,
    frame: usize,
    /// Positions that a decoder has to skip at the start.
    skip: u64,
    /// Positions of the samples that were pushed.
    pushed: u64,
    packets: u64,
    /// Coded and not written: the last packet of a file is written otherwise.
    waiting: Option<Vec<u8>>,
    bytes: Box<[u8; PACKET_MAX]>,
    scale: u64,
}

impl Coder {
    pub(super) fn new(rate: Rate) -> io::Result<Self> {
        let mut encoder = Encoder::new(rate.hz(), Channels::Stereo, Application::LowDelay)
            .map_err(Error::other)?;
        encoder.set_bitrate(Bitrate::Bits(BITRATE_BPS)).map_err(Error::other)?;
        encoder.set_complexity(COMPLEXITY).map_err(Error::other)?;
        let scale = u64::from(POSITION_HZ / rate.hz());
        let skip = encoder.get_lookahead().map_err(Error::other)? as u64 * scale;
        let mut writer = PacketWriter::new(Vec::new());
        writer.write_packet(head(rate, skip), SERIAL, PacketWriteEndInfo::EndPage, 0)?;
        writer.write_packet(tags(), SERIAL, PacketWriteEndInfo::EndPage, 0)?;
        Ok(Self {
            encoder,
            writer,
            frame: rate.frame(),
            skip,
            pushed: 0,
            packets: 0,
            waiting: None,
            bytes: Box::new([0; PACKET_MAX]),
            scale,
        })
    }

    /// Codes up to 20 ms of interleaved samples. Only the last may be shorter.
    pub(super) fn push(&mut self, stereo: &[i16]) -> io::Result<()> {
        self.pushed += stereo.len() as u64 / 2 * self.scale;
        if stereo.len() == 2 * self.frame {
            return self.encode(stereo);
        }
        let mut whole = vec![0; 2 * self.frame];
        whole[..stereo.len()].copy_from_slice(stereo);
        self.encode(&whole)
    }

    fn encode(&mut self, stereo: &[i16]) -> io::Result<()> {
        let len = self.encoder.encode(stereo, &mut self.bytes[..]).map_err(Error::other)?;
        let packet = self.bytes[..len].to_vec();
        if let Some(before) = self.waiting.replace(packet) {
            self.packets += 1;
            let ends_page = self.packets.is_multiple_of(PAGE);
            let end = if ends_page {
                PacketWriteEndInfo::EndPage
            } else {
                PacketWriteEndInfo::NormalPacket
            };
            self.writer.write_packet(before, SERIAL, end, self.packets * PACKET)?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Coded> {
        let end = self.skip + self.pushed;
        // What the encoder still holds comes out with silence.
        let silence = vec![0; 2 * self.frame];
        while self.waiting.is_none() || (self.packets + 1) * PACKET < end {
            self.encode(&silence)?;
        }
        // The last position is that of the last sample: players drop what is beyond.
        let last = self.waiting.take().unwrap_or_default();
        self.writer.write_packet(last, SERIAL, PacketWriteEndInfo::EndStream, end)?;
        Ok(Coded { mime: "audio/ogg; codecs=opus", bytes: self.writer.into_inner() })
    }
}

/// The first packet of RFC 7845.
fn head(rate: Rate, skip: u64) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x02".to_vec();
    head.extend((skip as u16).to_le_bytes());
    head.extend(rate.hz().to_le_bytes());
    // No gain, and the mapping of stereo.
    head.extend([0, 0, 0]);
    head
}

/// The second: who has made it, and no comments.
fn tags() -> Vec<u8> {
    let vendor = b"antiphon";
    let mut tags = b"OpusTags".to_vec();
    tags.extend((vendor.len() as u32).to_le_bytes());
    tags.extend(vendor);
    tags.extend(0_u32.to_le_bytes());
    tags
}

#[cfg(test)]
mod tests {
    use ogg::reading::PacketReader;
    use opus::Decoder;
    use std::io::Cursor;

    use super::*;
    use crate::seed::Seed;

    /// Decodes a file as a player does: from the skip to the last position, at 48 kHz.
    fn play(bytes: Vec<u8>) -> Vec<i16> {
        let mut reader = PacketReader::new(Cursor::new(bytes));
        let head = reader.read_packet_expected().unwrap();
        assert!(head.data.starts_with(b"OpusHead\x01\x02"), "two channels");
        let skip = usize::from(u16::from_le_bytes([head.data[10], head.data[11]]));
        let tags = reader.read_packet_expected().unwrap();
        assert!(tags.data.starts_with(b"OpusTags"));
        let mut decoder = Decoder::new(POSITION_HZ, Channels::Stereo).unwrap();
        let (mut pcm, mut end) = (Vec::new(), 0);
        while let Some(packet) = reader.read_packet().unwrap() {
            let mut frame = [0; 2 * PACKET as usize];
            assert_eq!(decoder.decode(&packet.data, &mut frame, false).unwrap(), PACKET as usize);
            pcm.extend(frame);
            end = packet.absgp_page() as usize;
        }
        pcm.truncate(2 * end);
        pcm.drain(..2 * skip);
        pcm
    }

    /// Bursts of noise at places that nobody expects, left and right by turns.
    fn recording(rate: Rate, samples: usize) -> Vec<i16> {
        let mut seed = Seed::new(7);
        let hz = rate.hz() as usize;
        let mut stereo = vec![0; 2 * samples];
        for (n, at) in [hz / 7, hz, hz * 9 / 4, hz * 5 / 2, hz * 16 / 5].into_iter().enumerate() {
            let mut held = 0;
            for place in at..(at + hz / 20).min(samples) {
                // Smooth enough for any rate.
                held += ((seed.below(16_001) as i32 - 8_000) - held) / 3;
                stereo[2 * place + n % 2] = held as i16;
            }
        }
        stereo
    }

    /// How many samples later than in `original` the same is heard in `played`.
    fn lag(original: &[i16], played: &[i16], at: usize, len: usize) -> i64 {
        let likeness = |lag: i64| {
            let from = (at as i64 + lag) as usize;
            let pairs = original[at..at + len].iter().zip(&played[from..from + len]);
            pairs.map(|(&a, &b)| i64::from(a) * i64::from(b)).sum::<i64>()
        };
        (-400..=400).max_by_key(|&lag| likeness(lag)).unwrap()
    }

    #[test]
    fn a_place_of_the_file_is_that_place_of_the_call() {
        for hz in [8_000, 16_000, 24_000, 48_000] {
            let rate = Rate::from_hz(hz).unwrap();
            // It ends within a frame.
            let samples = hz as usize * 7 / 2 + 123;
            let stereo = recording(rate, samples);
            let mut coder = Coder::new(rate).unwrap();
            stereo.chunks(2 * rate.frame()).for_each(|frame| coder.push(frame).unwrap());
            let coded = coder.finish().unwrap();
            let played = play(coded.bytes);
            let scale = (POSITION_HZ / hz) as usize;
            assert_eq!(played.len(), 2 * samples * scale, "{hz} Hz: the length");
            for (n, at) in [hz / 7, hz, hz * 9 / 4, hz * 5 / 2].into_iter().enumerate() {
                let side = |pcm: &[i16], every: usize| -> Vec<i16> {
                    pcm.chunks_exact(2).step_by(every).map(|pair| pair[n % 2]).collect()
                };
                let (original, heard) = (side(&stereo, 1), side(&played, scale));
                let lag = lag(&original, &heard, at as usize, hz as usize / 20);
                assert!(lag.abs() <= 1, "{hz} Hz, burst {n}: {lag} samples late");
            }
        }
    }

    #[test]
    fn the_same_sound_gives_the_same_file() {
        let coded = || {
            let stereo = recording(Rate::SPEECH, 32_000);
            let mut coder = Coder::new(Rate::SPEECH).unwrap();
            stereo.chunks(640).for_each(|frame| coder.push(frame).unwrap());
            coder.finish().unwrap().bytes
        };
        assert!(coded() == coded());
        // A call without a tick is a file, too.
        assert!(play(Coder::new(Rate::SPEECH).unwrap().finish().unwrap().bytes).is_empty());
    }
}
