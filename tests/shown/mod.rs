//! What the program shows, compared with what it showed when somebody last looked at it.
//!
//! A text that is shown is kept in `tests/snapshots/NAME.snap`. Where it differs, the test fails and
//! prints the difference. If the new text is better, `INSTA_UPDATE=always cargo test --all-features`
//! writes it, and `git diff tests/snapshots` is what a reviewer reads. A new text is a line:
//!
//! ```text
//! snapshot("check", &session(&desk, ["check desk.yaml"]), &[]);
//! snapshot("transcript", &read("call/transcript.json"), &[(r"[0-9a-f]{16}", "DIGEST")]);
//! ```

use super::program::{Desk, ran};

/// The width at which help is wrapped, and at which snapshots are taken.
const COLUMNS: &str = "80";

/// Compares a text with the one that is kept under this name.
///
/// What differs from run to run has to be replaced first; `filters` are regular expressions and what
/// stands for whatever they match.
#[track_caller]
pub(crate) fn snapshot(name: &str, text: &str, filters: &[(&str, &str)]) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // Trailing blanks do not show, and editors remove them.
    settings.add_filter(r"(?m)[ \t]+$", "");
    for (pattern, stands) in filters {
        settings.add_filter(pattern, *stands);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// The commands as a terminal shows them, each with what it printed and the code that it exited with.
pub(crate) fn session<'a>(desk: &Desk, commands: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for words in commands {
        let mut command = desk.command(env!("CARGO_BIN_EXE_antiphon"), words);
        let ran = ran(command.env("COLUMNS", COLUMNS).env("NO_COLOR", "1"));
        let code = match ran.code {
            Some(0) => String::new(),
            Some(code) => format!("[exit code {code}]\n"),
            None => "[ended by a signal]\n".into(),
        };
        text += &format!("$ antiphon {words}\n{}{}{code}\n", ran.stdout, ran.stderr);
    }
    text
}
