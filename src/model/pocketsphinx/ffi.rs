//! The PocketSphinx library itself: all the unsafe code of hearing; what it hands out is safe.
//!
//! Two generations are about. Debian has 5prealpha, Homebrew 5.x; they differ in how settings are
//! made and agree on everything else that is called here. Both were tried.
//!
//! The library has no errors for some conditions, and ends the process instead: a model file that
//! is not there, and a lattice that makes no sense. Callers check for the first; the search that
//! makes lattices is switched off.
//!
//! **Invariant:** nothing is printed, no callback is given to the library, and no pointer of it
//! leaves this file.

#![expect(unsafe_code, reason = "this module is the border to a C library")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{Sound, SpeechError};
use crate::model::native::{self, Wanted};

type Object = *mut c_void;

/// Functions of the library; the signatures are those of `pocketsphinx.h`, the same in 5prealpha
/// and 5.x.
struct Sphinx {
    configure: Configure,
    init: unsafe extern "C" fn(Object) -> Object,
    free: unsafe extern "C" fn(Object) -> c_int,
    start_stream: unsafe extern "C" fn(Object) -> c_int,
    start_utt: unsafe extern "C" fn(Object) -> c_int,
    process_raw: unsafe extern "C" fn(Object, *const i16, usize, c_int, c_int) -> c_int,
    end_utt: unsafe extern "C" fn(Object) -> c_int,
    seg_iter: unsafe extern "C" fn(Object) -> Object,
    seg_next: unsafe extern "C" fn(Object) -> Object,
    seg_word: unsafe extern "C" fn(Object) -> *const c_char,
    seg_frames: unsafe extern "C" fn(Object, *mut c_int, *mut c_int),
}

/// How settings are made is where the two versions part.
enum Configure {
    /// 5prealpha, as in Debian: a command line is parsed.
    CommandLine {
        definitions: unsafe extern "C" fn() -> *const c_void,
        parse:
            unsafe extern "C" fn(Object, *const c_void, c_int, *mut *mut c_char, c_int) -> Object,
        free: unsafe extern "C" fn(Object) -> c_int,
    },
    /// 5.x, as in Homebrew: values are set by name.
    Named {
        new: unsafe extern "C" fn(*const c_void) -> Object,
        set_str: unsafe extern "C" fn(Object, *const c_char, *const c_char) -> *const c_void,
        set_bool: unsafe extern "C" fn(Object, *const c_char, c_int) -> *const c_void,
        free: unsafe extern "C" fn(Object) -> c_int,
    },
}

static SPHINX: OnceLock<Sphinx> = OnceLock::new();

/// Making a decoder reads numbers with a parser that keeps a free list without a lock.
static MAKING: Mutex<()> = Mutex::new(());

fn sphinx() -> Result<&'static Sphinx, SpeechError> {
    if let Some(sphinx) = SPHINX.get() {
        return Ok(sphinx);
    }
    let library = native::open(&Wanted {
        stem: "pocketsphinx",
        versions: &[3, 5],
        variable: "ANTIPHON_POCKETSPHINX_LIB",
        remedy: "install the Debian package libpocketsphinx3 (Homebrew: cmu-pocketsphinx)",
    })?;
    // SAFETY: each symbol is given the type its header declares; the library is never closed.
    let sphinx = unsafe {
        macro_rules! symbol {
            ($name:literal) => {
                *library.get($name).map_err(|error| {
                    SpeechError::Failed(format!(
                        "the PocketSphinx found is not a version known here (5prealpha, 5.x); \
                             install libpocketsphinx3: {error}"
                    ))
                })?
            };
        }
        let configure = if library.get::<Object>(b"ps_config_init\0").is_ok() {
            Configure::Named {
                new: symbol!(b"ps_config_init\0"),
                set_str: symbol!(b"ps_config_set_str\0"),
                set_bool: symbol!(b"ps_config_set_bool\0"),
                free: symbol!(b"ps_config_free\0"),
            }
        } else {
            Configure::CommandLine {
                definitions: symbol!(b"ps_args\0"),
                parse: symbol!(b"cmd_ln_parse_r\0"),
                free: symbol!(b"cmd_ln_free_r\0"),
            }
        };
        // Its log goes to stderr, which is not ours to fill. No file means no log.
        let quiet: unsafe extern "C" fn(Object) = symbol!(b"err_set_logfp\0");
        quiet(std::ptr::null_mut());
        Sphinx {
            configure,
            init: symbol!(b"ps_init\0"),
            free: symbol!(b"ps_free\0"),
            start_stream: symbol!(b"ps_start_stream\0"),
            start_utt: symbol!(b"ps_start_utt\0"),
            process_raw: symbol!(b"ps_process_raw\0"),
            end_utt: symbol!(b"ps_end_utt\0"),
            seg_iter: symbol!(b"ps_seg_iter\0"),
            seg_next: symbol!(b"ps_seg_next\0"),
            seg_word: symbol!(b"ps_seg_word\0"),
            seg_frames: symbol!(b"ps_seg_frames\0"),
        }
    };
    Ok(SPHINX.get_or_init(|| sphinx))
}

/// A decoder, owned.
pub(super) struct Decoder {
    sphinx: &'static Sphinx,
    object: NonNull<c_void>,
}

// SAFETY: a decoder has no ties to the thread that made it, and `&mut` keeps it to one thread at a
// time.
unsafe impl Send for Decoder {}

impl Decoder {
    pub(super) fn open(acoustic: &Path, words: &Path, phrases: &Path) -> Result<Self, SpeechError> {
        let sphinx = sphinx()?;
        let failed = |what: &str| {
            let place = acoustic.display();
            SpeechError::Failed(format!(
                "PocketSphinx {what} (model {place}); reinstall pocketsphinx-en-us if it is damaged"
            ))
        };
        let c = |text: &str| {
            CString::new(text).map_err(|_| failed("cannot take a path with a zero byte in it"))
        };
        let path =
            |path: &Path| path.to_str().map_or_else(|| Err(failed("needs paths in UTF-8")), c);
        let paths = [
            (c("-hmm")?, path(acoustic)?),
            (c("-dict")?, path(words)?),
            (c("-lm")?, path(phrases)?),
        ];
        // No third pass: it made two phrases in ninety better, and it builds a lattice, which
        // asserts (and so ends the process) when its scores don't add up. That was seen.
        let bestpath = (c("-bestpath")?, c("no")?);
        // 5.x leaves it out unless told; 5prealpha has it by default.
        let denoise = (c("-remove_noise")?, c("yes")?);

        let _one = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the strings outlive the calls, which copy them. `ps_init` takes a reference of
        // its own to the settings, so ours is given back whatever comes of it.
        let object = unsafe {
            match &sphinx.configure {
                Configure::CommandLine { definitions, parse, free } => {
                    let all = paths.iter().chain([&bestpath, &denoise]);
                    let mut line: Vec<*mut c_char> = all
                        .flat_map(|(name, value)| {
                            [name.as_ptr().cast_mut(), value.as_ptr().cast_mut()]
                        })
                        .collect();
                    let settings = parse(
                        std::ptr::null_mut(),
                        definitions(),
                        line.len() as c_int,
                        line.as_mut_ptr(),
                        1,
                    );
                    if settings.is_null() {
                        return Err(failed("refused its settings"));
                    }
                    let object = (sphinx.init)(settings);
                    free(settings);
                    object
                }
                Configure::Named { new, set_str, set_bool, free } => {
                    let settings = new(std::ptr::null());
                    if settings.is_null() {
                        return Err(failed("refused its settings"));
                    }
                    for (name, value) in &paths {
                        // The same names, without the hyphen.
                        set_str(settings, name.as_ptr().add(1), value.as_ptr());
                    }
                    set_bool(settings, bestpath.0.as_ptr().add(1), 0);
                    set_bool(settings, denoise.0.as_ptr().add(1), 1);
                    let object = (sphinx.init)(settings);
                    free(settings);
                    object
                }
            }
        };
        let object = NonNull::new(object).ok_or_else(|| failed("could not be started"))?;
        Ok(Self { sphinx, object })
    }

    /// Decodes a whole utterance.
    pub(super) fn decode(&mut self, pcm: &[i16]) -> Result<Vec<Sound>, SpeechError> {
        let (sphinx, object) = (self.sphinx, self.object.as_ptr());
        let mut sounds = Vec::new();
        // SAFETY: the decoder is live and ours; the samples are only read, during the call. An
        // iterator is freed by the step that finds its end, and its words belong to the dictionary,
        // which outlives it.
        unsafe {
            // A new stream forgets the noise level of the last utterance, and decoding all at once
            // (the last argument) takes the cepstral mean from this one: together they make the
            // result repeatable.
            if (sphinx.start_stream)(object) < 0 || (sphinx.start_utt)(object) < 0 {
                return Err(SpeechError::Failed(
                    "PocketSphinx could not begin an utterance".into(),
                ));
            }
            let decoded = (sphinx.process_raw)(object, pcm.as_ptr(), pcm.len(), 0, 1);
            if (sphinx.end_utt)(object) < 0 || decoded < 0 {
                let samples = pcm.len();
                return Err(SpeechError::Failed(format!(
                    "PocketSphinx gave up on an utterance of {samples} samples"
                )));
            }
            let mut segment = (sphinx.seg_iter)(object);
            while !segment.is_null() {
                let (mut first, mut last) = (0, 0);
                (sphinx.seg_frames)(segment, &mut first, &mut last);
                let word = (sphinx.seg_word)(segment);
                if !word.is_null() {
                    let name = CStr::from_ptr(word).to_string_lossy().into_owned();
                    sounds.push(Sound { name, frames: (last - first + 1).max(0).unsigned_abs() });
                }
                segment = (sphinx.seg_next)(segment);
            }
        }
        Ok(sounds)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: this is the only reference, and it is not used again.
        unsafe { (self.sphinx.free)(self.object.as_ptr()) };
    }
}
