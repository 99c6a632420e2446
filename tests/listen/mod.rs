//! What is to be heard in samples: how loud it is, when it begins, and which words it has in it.
//!
//! The words are made out by a second recogniser, `pocketsphinx_batch` with a model of general English, which knows
//! nothing of what is said. Who is understood by it is understood by a stranger.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use antiphon::pcm::mix::rms_dbfs;
use antiphon::pcm::resample::convert;
use antiphon::pcm::wav;

/// What the recogniser listens to.
const RATE_HZ: u32 = 16_000;

/// Quiet on both sides: recognisers want to hear a beginning and an end.
const QUIET_MS: u32 = 300;

/// The finest step in which a beginning is found.
const STEP_MS: u64 = 10;

/// Samples of one channel.
#[derive(Debug, Clone)]
pub(crate) struct Sound {
    pub(crate) rate_hz: u32,
    pub(crate) pcm: Vec<i16>,
}

impl Sound {
    /// What a WAV file holds.
    #[track_caller]
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let wav = wav::read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { rate_hz: wav.rate_hz, pcm: wav.pcm }
    }

    /// What sounds between two times, or up to the end if that is earlier.
    pub(crate) fn part(&self, from_ms: u64, to_ms: u64) -> Self {
        let at = |ms: u64| {
            let samples = ms.saturating_mul(u64::from(self.rate_hz)) / 1_000;
            usize::try_from(samples).map_or(self.pcm.len(), |samples| samples.min(self.pcm.len()))
        };
        Self {
            rate_hz: self.rate_hz,
            pcm: self.pcm[at(from_ms)..at(to_ms).max(at(from_ms))].into(),
        }
    }

    /// Its mean power, in dB of full scale.
    pub(crate) fn dbfs(&self) -> f32 {
        rms_dbfs(&self.pcm)
    }

    /// When it is first louder than a level, in milliseconds from its beginning.
    pub(crate) fn first_above(&self, dbfs: f32) -> Option<u64> {
        let step = usize::try_from(u64::from(self.rate_hz) * STEP_MS / 1_000).expect("a few");
        let at = self.pcm.chunks(step).position(|step| rms_dbfs(step) > dbfs)?;
        Some(at as u64 * STEP_MS)
    }
}

/// The words of each sound, in small letters with a space between.
pub(crate) fn words(sounds: &[Sound]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let put = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).expect("the temporary folder can be written");
    };
    let quiet = vec![0; (RATE_HZ * QUIET_MS / 1_000) as usize];
    let mut names = String::new();
    for (at, sound) in sounds.iter().enumerate() {
        let pcm = [&quiet, &*convert(&sound.pcm, sound.rate_hz, RATE_HZ), &quiet].concat();
        let bytes: Vec<u8> = pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        put(&format!("{at}.raw"), &bytes);
        names += &format!("{at}\n");
    }
    put("names", names.as_bytes());
    let model = general_english();
    let mut command = Command::new("pocketsphinx_batch");
    command.current_dir(folder.path());
    command.args(
        "-adcin yes -cepdir . -cepext .raw -ctl names -hyp heard -logfn log".split_whitespace(),
    );
    for (option, file) in
        [("-hmm", "en-us"), ("-lm", "en-us.lm.bin"), ("-dict", "cmudict-en-us.dict")]
    {
        command.arg(option).arg(model.join(file));
    }
    let is_there = command.output().map(|output| output.status.success());
    assert!(
        is_there.is_ok_and(|done| done),
        "pocketsphinx_batch does not run; install the Debian package pocketsphinx (make setup)"
    );
    let heard = fs::read_to_string(folder.path().join("heard")).expect("it writes what it hears");
    // A line is the words, the file and a score: `hello (0 -2345)`.
    let words = |line: &str| line.split('(').next().unwrap_or_default().trim().to_owned();
    let heard: Vec<String> = heard.lines().map(words).collect();
    assert_eq!(heard.len(), sounds.len(), "it heard less than every sound: {heard:?}");
    heard
}

/// Those of the words wanted that are not in what was heard.
pub(crate) fn missed<'a>(heard: &str, wanted: &[&'a str]) -> Vec<&'a str> {
    wanted.iter().copied().filter(|word| !heard.split(' ').any(|heard| heard == *word)).collect()
}

/// The folder of the general model: where the program looks for its acoustic one.
fn general_english() -> PathBuf {
    let named = std::env::var_os("ANTIPHON_POCKETSPHINX_MODEL").map(PathBuf::from);
    let usual = ["/usr", "/usr/local", "/opt/homebrew"]
        .map(|prefix| PathBuf::from(prefix).join("share/pocketsphinx/model/en-us"));
    let found = named.into_iter().chain(usual).find(|path| path.join("en-us.lm.bin").is_file());
    found.expect("no model of general English; install the Debian package pocketsphinx-en-us")
}
