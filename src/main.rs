//! The `antiphon` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    antiphon::cli::App::default().run()
}
