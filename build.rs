//! Tells the crate which target it is built for, since sessions of different targets need not be equal, and hands it
//! the page to talk to an agent, if `make page` has built it.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Where `make page` puts the page: a folder of its own.
const PAGES: &str = ".tools/page";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=ANTIPHON_TARGET={target}");
    if env::var_os("CARGO_FEATURE_LIVEKIT").is_some() {
        page();
    }
}

/// Without the page the crate gets an empty text, and says how to get it where it is asked for.
fn page() {
    // Cargo takes a path that is not there for one that has changed, and would build the crate each time; a folder
    // that is there and empty has not changed. Where none can be made (a package from a registry), none comes.
    if Path::new("page").is_dir() && fs::create_dir_all(PAGES).is_ok() {
        println!("cargo::rerun-if-changed={PAGES}");
    }
    let html = fs::read_to_string(Path::new(PAGES).join("index.html")).unwrap_or_default();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("page.html"), html).expect("OUT_DIR can be written to");
}
