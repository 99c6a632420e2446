//! The recording inside the page, or beside it.
//!
//! A page of which nothing can get lost has its sound inside, as a coded file in base64. Coding costs
//! some hundred times less time than the call takes; so that a long call in virtual time does not wait
//! for it, what is longer than [`SECONDS_MAX`] stays in `conversation.wav` beside the page.
//!
//! **Invariant:** the same samples give the same bytes, and the sample of a time in the call is heard at
//! that time of the file.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::coded::{self, Coded};
use crate::clock::Rate;

pub use super::coded::SECONDS_MAX;

/// The bytes before the samples of `conversation.wav`.
const HEADER_LEN: usize = 44;

/// Where the sound of a page is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sound {
    /// In the page itself.
    Inside {
        /// What kind of file it is.
        mime: &'static str,
        /// The file.
        bytes: Vec<u8>,
    },
    /// In a file beside the page.
    Beside {
        /// Its name.
        name: String,
        /// Why it is not in the page, and how it gets there.
        why: String,
    },
    /// Nowhere.
    None {
        /// Why.
        why: String,
    },
}

impl Sound {
    /// The sound of a recording that [`Folder`](crate::record::Folder) has written, inside the page if
    /// it lasts no longer than `seconds_max` and beside it otherwise.
    #[must_use]
    pub fn of_file(path: &Path, seconds_max: u64) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match read(path, seconds_max) {
            Ok(Some(Coded { mime, bytes })) => Self::Inside { mime, bytes },
            Ok(None) => Self::Beside {
                why: format!(
                    "The call is longer than {} minutes, so its sound is in {name} beside this \
                     page: keep the two together. `antiphon report --embed` on the folder makes a \
                     page with the sound inside.",
                    seconds_max / 60
                ),
                name,
            },
            Err(error) => Self::None { why: format!("{name} cannot be read: {error}") },
        }
    }

    /// The sound of users and agent, sample by sample, inside the page.
    ///
    /// # Errors
    /// The codec cannot be set up.
    pub fn of_samples(rate: Rate, stereo: &[i16]) -> io::Result<Self> {
        let mut coder = coded::Coder::new(rate)?;
        stereo.chunks(2 * rate.frame()).try_for_each(|frame| coder.push(frame))?;
        let Coded { mime, bytes } = coder.finish()?;
        Ok(Self::Inside { mime, bytes })
    }
}

/// Reads and codes a recording; nothing if it is too long.
fn read(path: &Path, seconds_max: u64) -> io::Result<Option<Coded>> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut header = [0; HEADER_LEN];
    file.read_exact(&mut header)?;
    let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| header[at + n]));
    let is_ours = header.starts_with(b"RIFF")
        && header[8..16] == *b"WAVEfmt "
        && header[20..24] == [1, 0, 2, 0]
        && header[36..40] == *b"data";
    let rate = Rate::from_hz(word(24)).filter(|_| is_ours);
    let Some(rate) = rate else {
        let what = "it is not as a run has written it: 16 bits, stereo, one of four rates";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    };
    let bytes = u64::from(word(40));
    if bytes > seconds_max * u64::from(rate.hz()) * 4 {
        return Ok(None);
    }
    let mut samples = file.take(bytes);
    let mut coder = coded::Coder::new(rate)?;
    let mut raw = vec![0; rate.frame() * 4];
    let mut frame = Vec::with_capacity(rate.frame() * 2);
    loop {
        let got = fill(&mut samples, &mut raw)?;
        frame.clear();
        frame.extend(raw[..got].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
        if frame.is_empty() {
            return coder.finish().map(Some);
        }
        coder.push(&frame)?;
    }
}

/// Fills a buffer as far as the file goes.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            got => filled += got,
        }
    }
    Ok(filled)
}
