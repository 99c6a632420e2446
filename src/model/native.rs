//! Finding the speech libraries on the machine.
//!
//! They are opened when a session first needs them and never at build time, so that Antiphon builds
//! and runs on a machine without them, and a missing one is an error with a remedy in it rather
//! than a program that won't start.
//!
//! **Invariant:** a library once opened stays open for the life of the process. Both keep global
//! state (logging, a list of voices) that would be left dangling by closing them.

#![expect(unsafe_code, reason = "a library's initialisers run when it is loaded")]

use std::path::{Path, PathBuf};

use libloading::Library;

use super::SpeechError;

/// A library to look for, and what to tell someone who hasn't got it.
pub(super) struct Wanted<'a> {
    /// Its name without `lib` and suffix: `pocketsphinx`.
    pub stem: &'a str,
    /// The versions of its binary interface this program can speak to, best first.
    pub versions: &'a [u32],
    /// The environment variable that names the library, or the folder it is in.
    pub variable: &'a str,
    /// How to install it.
    pub remedy: &'a str,
}

/// Folders beyond the system's own search path: a local build, Homebrew on Apple silicon, Homebrew
/// on Intel.
const FOLDERS: [&str; 2] = ["/usr/local/lib", "/opt/homebrew/lib"];

/// Opens a library by any of its names.
pub(super) fn open(wanted: &Wanted) -> Result<&'static Library, SpeechError> {
    let named = std::env::var_os(wanted.variable).map(PathBuf::from);
    let mut trouble = None;
    for path in candidates(wanted, named.as_deref()) {
        // SAFETY: the names are those of libraries whose initialisers do nothing but set up their
        // own data; a person who points the variable at another library vouches for it.
        match unsafe { Library::new(&path) } {
            Ok(library) => return Ok(Box::leak(Box::new(library))),
            // A file that is there but can't be loaded (another architecture, a lacking dependency)
            // says more than ten names which don't exist.
            Err(error) if trouble.is_none() || path.exists() => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                trouble = Some(cause.unwrap_or_else(|| error.to_string()));
            }
            Err(_) => {}
        }
    }
    let place = named
        .map_or(String::new(), |path| format!(" at {} (from {})", path.display(), wanted.variable));
    Err(SpeechError::Missing {
        what: format!("the library {}{place} ({})", wanted.stem, trouble.unwrap_or_default()),
        remedy: format!("{}, or set {} to where it is", wanted.remedy, wanted.variable),
    })
}

fn candidates(wanted: &Wanted, named: Option<&Path>) -> Vec<PathBuf> {
    let stem = wanted.stem;
    let names: Vec<String> = if cfg!(target_os = "macos") {
        let versioned = wanted.versions.iter().map(|version| format!("lib{stem}.{version}.dylib"));
        versioned.chain([format!("lib{stem}.dylib")]).collect()
    } else {
        let versioned = wanted.versions.iter().map(|version| format!("lib{stem}.so.{version}"));
        versioned.chain([format!("lib{stem}.so")]).collect()
    };
    match named {
        Some(folder) if folder.is_dir() => names.iter().map(|name| folder.join(name)).collect(),
        Some(file) => vec![file.to_owned()],
        None => {
            let elsewhere = FOLDERS
                .iter()
                .flat_map(|folder| names.iter().map(move |name| Path::new(folder).join(name)));
            names.iter().map(PathBuf::from).chain(elsewhere).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_says_what_to_install() {
        let wanted = Wanted {
            stem: "no-such-speech",
            versions: &[3],
            variable: "ANTIPHON_NO_SUCH_LIB",
            remedy: "install no-such-speech3",
        };
        let Err(SpeechError::Missing { what, remedy }) = open(&wanted) else {
            panic!("opened a library out of thin air")
        };
        assert!(what.starts_with("the library no-such-speech ("), "{what}");
        assert_eq!(remedy, "install no-such-speech3, or set ANTIPHON_NO_SUCH_LIB to where it is");
    }
}
