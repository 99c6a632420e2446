//! Tells the crate which target it is built for: sessions of different targets need not be equal.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=ANTIPHON_TARGET={target}");
}
