//! The rules that the compiler cannot check: which layer may know which, and what keeps the tree
//! pleasant to read.
//!
//! Each rule is a test of its own and complains with `file:line: what is wrong; what to do`. The
//! last tests show the rules small sources that break them, since a rule that sees nothing also
//! finds nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from low to high: one may use those before it, never one after it.
///
/// Each is `src/<layer>.rs` or `src/<layer>/`. `lib.rs` and `main.rs` stand above them all.
const LAYERS: [&str; 26] = [
    "clock", "id", "seed", "pcm", "talk", "tool", "graph", "config", "think", "work", "session",
    "journal", "slot", "sim", // the core ends here
    "model", "host", "generate", "provider", "remote", "record", "livekit", "device", "store",
    "web", "eval", "cli",
];

/// The highest layer of the core, which knows no clock, thread, socket or disk.
const CORE_TOP: &str = "sim";

/// What the core must not mention: the path's root, what follows it, and where that belongs.
const NOT_IN_CORE: [(&str, &str, &str); 5] = [
    ("std", "net", "sockets belong to an edge"),
    ("std", "fs", "files belong to an edge: take and return values"),
    ("std", "thread", "threads belong to `host` and the edges"),
    ("Instant", "now", "the core takes `Tick`"),
    ("SystemTime", "now", "wall time is an input of the session"),
];

const LINES_MAX: usize = 600;

/// Endings of file names that say nobody has found the noun.
const NAMELESS: [&str; 10] = [
    "util", "utils", "helper", "helpers", "common", "misc", "manager", "handler", "handlers",
    "service",
];

#[test]
fn imports_point_downward() {
    check("src", upward_imports);
}

#[test]
fn the_core_knows_no_clock_thread_socket_or_disk() {
    check("src", core_reaching_out);
}

#[test]
fn files_stay_readable() {
    check("src", too_long);
}

#[test]
fn files_are_named_after_what_they_hold() {
    check("src", nameless);
}

#[test]
fn tests_wait_for_events_not_for_time() {
    check("tests", bare_sleeps);
}

#[test]
fn nothing_is_left_for_later() {
    check("src", left_for_later);
}

#[test]
fn the_tree_names_no_machine_and_no_registry() {
    let root = root();
    let ignored = Ignored::read(&root);
    let mut complaints = BTreeSet::new();
    for path in walk(&root, &|path, is_dir| ignored.covers(path, is_dir)) {
        let found = foreign_names(&String::from_utf8_lossy(&read(&root.join(&path))));
        complaints.extend(found.into_iter().map(|(line, what)| format!("{path}:{line}: {what}")));
    }
    complain(complaints);
}

#[test]
fn modules_begin_with_what_they_are() {
    check("src", without_front_page);
}

fn check(folder: &str, rule: fn(&Source) -> Vec<Complaint>) {
    let mut complaints = BTreeSet::new();
    for file in sources(folder) {
        let found = rule(&file).into_iter();
        complaints.extend(found.map(|(line, what)| format!("{}:{line}: {what}", file.path)));
    }
    complain(complaints);
}

fn complain(complaints: BTreeSet<String>) {
    let list: Vec<String> = complaints.into_iter().collect();
    assert!(list.is_empty(), "\n\n{}\n", list.join("\n"));
}

// ---- The rules: a source in, complaints out. ----------------------------------------------------

/// The line, what is wrong there and what to do.
type Complaint = (usize, String);

fn upward_imports(file: &Source) -> Vec<Complaint> {
    let Some(layer) = file.layer() else { return Vec::new() };
    let Some(own) = rank(layer) else {
        return vec![(
            1,
            format!("`{layer}` is no layer; give it a place in LAYERS, tests/tidy.rs"),
        )];
    };
    let mut complaints = Vec::new();
    let mut names = names_after(&file.code, "crate");
    names.extend(file.names_after_supers());
    for (line, name) in names {
        let is_root_item = name.starts_with(|c: char| c.is_uppercase() || c == '*');
        if rank(&name).is_some_and(|used| used > own) {
            let remedy = "move what both need down, or pass a value in";
            complaints.push((line, format!("`{layer}` uses `{name}`, a layer above it; {remedy}")));
        } else if is_root_item {
            let remedy = "name the module it comes from";
            complaints.push((line, format!("`crate::{name}` hides its layer; {remedy}")));
        }
    }
    complaints
}

fn core_reaching_out(file: &Source) -> Vec<Complaint> {
    if file.layer().is_none_or(|layer| rank(layer) > rank(CORE_TOP)) {
        return Vec::new();
    }
    let tokio = words(&file.code, "tokio").into_iter().map(|(at, _)| {
        (line_of(&file.code, at), "the core mentions tokio; waiting belongs to an edge".into())
    });
    let mut complaints: Vec<Complaint> = tokio.collect();
    for (root, item, reason) in NOT_IN_CORE {
        let names = names_after(&file.code, root).into_iter().filter(|(_, name)| name == item);
        complaints.extend(
            names.map(|(line, _)| (line, format!("the core mentions `{root}::{item}`; {reason}"))),
        );
    }
    complaints
}

fn too_long(file: &Source) -> Vec<Complaint> {
    let lines = file.text.lines().count();
    if lines <= LINES_MAX {
        return Vec::new();
    }
    vec![(lines, format!("longer than {LINES_MAX} lines; split it where its state splits"))]
}

fn nameless(file: &Source) -> Vec<Complaint> {
    let is_nameless = |part: &&str| {
        NAMELESS.iter().any(|ending| part == ending || part.ends_with(&format!("_{ending}")))
    };
    let parts = file.path.trim_end_matches(".rs").split('/').filter(is_nameless);
    parts.map(|part| (1, format!("`{part}` names nothing; name it after what it holds"))).collect()
}

fn bare_sleeps(file: &Source) -> Vec<Complaint> {
    // A method of that name is a scenario's own, in virtual time.
    let is_bare = |&(at, after): &(usize, usize)| {
        let (before, behind) = (file.code[..at].trim_end(), file.code[after..].trim_start());
        let is_call = behind.starts_with('(') && !before.ends_with('.') && !before.ends_with("fn");
        before.ends_with("::") || is_call
    };
    let remedy = "a bare sleep; use virtual time, or wait for an event with a deadline";
    let found = words(&file.code, "sleep").into_iter().filter(is_bare);
    found.map(|(at, _)| (line_of(&file.code, at), remedy.into())).collect()
}

fn left_for_later(file: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for mark in ["TODO", "FIXME", "todo!", "unimplemented!"] {
        for (at, _) in words(&file.text, mark) {
            complaints.push((line_of(&file.text, at), format!("{mark}; do it, or open an issue")));
        }
    }
    complaints
}

fn foreign_names(text: &str) -> Vec<Complaint> {
    // Cut in two, so that this file passes its own rule.
    let whole = |cut: &str| -> Vec<String> {
        cut.split_whitespace().map(|name| name.replace('|', "")).collect()
    };
    let hosts = whole(
        "crates|.io npmjs|.org npmjs|.com yarnpkg|.com pypi|.org pythonhosted|.org rubygems|.org
         proxy.golang|.org maven|.org deb.debian|.org archive.ubuntu|.com",
    );
    let folders = whole("/wo|rk/ /ro|ot/ /ho|me/ /Us|ers/");

    let mut complaints = Vec::new();
    for host in &hosts {
        for (at, _) in text.match_indices(host.as_str()) {
            // The lock file's source id goes on like this; it is the name of a source, no host.
            if !text[at + host.len()..].starts_with("-index") {
                let what = format!("names the registry host {host}; tools know their registries");
                complaints.push((line_of(text, at), what));
            }
        }
    }
    let begins_path = |c: char| c.is_whitespace() || "\"'`(<[{=:;,|>".contains(c);
    for folder in &folders {
        for (at, _) in text.match_indices(folder.as_str()) {
            let before = &text[..at];
            if before.is_empty() || before.ends_with(begins_path) || before.ends_with("file://") {
                let what = format!("names a machine's own path, {folder}…; use a relative path");
                complaints.push((line_of(text, at), what));
            }
        }
    }
    complaints
}

fn without_front_page(file: &Source) -> Vec<Complaint> {
    let is_front = file.path.ends_with("/mod.rs") || file.path.matches('/').count() == 1;
    if !is_front || file.text.starts_with("//!") {
        return Vec::new();
    }
    vec![(1, "does not start with `//!`; say what it is, and its one invariant".into())]
}

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|name| *name == layer)
}

// ---- Sources, read just well enough. ------------------------------------------------------------

/// A Rust file: as written, and as code alone.
struct Source {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
    /// `text` with comments, literals and test-only items blanked; lines keep their numbers.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let is_test = path.starts_with("src/")
            && path.split('/').any(|part| part == "tests.rs" || part == "tests");
        let code = if is_test { String::new() } else { without_test_items(&code_of(text)) };
        Self { path: path.into(), text: text.into(), code }
    }

    /// The layer a file of `src/` belongs to; the front page and the program belong to none.
    fn layer(&self) -> Option<&str> {
        let inner = self.path.strip_prefix("src/")?;
        let first = inner.split('/').next()?.trim_end_matches(".rs");
        (!matches!(inner, "lib.rs" | "main.rs")).then_some(first)
    }

    /// Names reached through as many `super::` as lead to the crate's root.
    fn names_after_supers(&self) -> Vec<(usize, String)> {
        let depth = self.path.trim_end_matches(".rs").trim_end_matches("/mod").matches('/').count();
        let chain = vec!["super"; depth].join("::");
        let mut names = names_after(&self.code, &chain);
        names.retain(|(_, name)| name != "super" && name != "*" && rank(name).is_some());
        names
    }
}

/// Every Rust file below a folder of the repository, in order of path.
fn sources(folder: &str) -> Vec<Source> {
    let root = root();
    let mut files = Vec::new();
    for path in walk(&root.join(folder), &|_, _| false) {
        if path.ends_with(".rs") && path != "tidy.rs" {
            let path = format!("{folder}/{path}");
            let bytes = read(&root.join(&path));
            files.push(Source::new(&path, &String::from_utf8_lossy(&bytes)));
        }
    }
    assert!(folder != "src" || !files.is_empty(), "no Rust file in src/: nothing was checked");
    files
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Files below `top`, as sorted relative paths; `skip` is asked about each file and folder.
fn walk(top: &Path, skip: &dyn Fn(&str, bool) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(top.join(&folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        for entry in entries {
            let entry = entry.unwrap_or_else(|error| panic!("{folder}: {error}"));
            let kind = entry.file_type().unwrap_or_else(|error| panic!("{folder}: {error}"));
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            match () {
                () if skip(&path, kind.is_dir()) => {}
                () if kind.is_dir() => folders.push(path),
                () if kind.is_file() => found.push(path),
                () => {} // a link shows what is elsewhere
            }
        }
    }
    found.sort();
    found
}

/// What is not committed: `.git`, and what `.gitignore` names in its simple forms.
struct Ignored(Vec<String>);

impl Ignored {
    fn read(root: &Path) -> Self {
        let text = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let always = ["/.git", "/target/", "/.tools/"].map(String::from);
        let listed =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(always.into_iter().chain(listed.map(String::from)).collect())
    }

    fn covers(&self, path: &str, is_dir: bool) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.0.iter().any(|pattern| {
            let folder_only = pattern.ends_with('/');
            let plain = pattern.trim_end_matches('/');
            let matches = match (plain.strip_prefix('/'), plain.strip_prefix('*')) {
                (Some(anchored), _) => anchored == path,
                (None, Some(suffix)) => name.ends_with(suffix),
                (None, None) => plain == name,
            };
            matches && (is_dir || !folder_only)
        })
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Where `word` stands by itself: start and end of each.
fn words(text: &str, word: &str) -> Vec<(usize, usize)> {
    let part_of_name = |c: char| c == '_' || c.is_alphanumeric();
    text.match_indices(word)
        .map(|(at, _)| (at, at + word.len()))
        .filter(|&(at, end)| {
            !text[..at].ends_with(part_of_name)
                && (word.ends_with('!') || !text[end..].starts_with(part_of_name))
        })
        .collect()
}

/// The names that directly follow `root::`, in a path or in a group, with their lines.
///
/// `use crate::{clock::Tick, pcm::{Frame, Gain}}` has `clock` and `pcm` after `crate`;
/// `std::fs::read` has `fs` after `std`.
fn names_after(code: &str, root: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    for (_, end) in words(code, root) {
        let rest = code[end..].trim_start();
        let Some(rest) = rest.strip_prefix("::") else { continue };
        let rest = rest.trim_start();
        let start = code.len() - rest.len();
        if !rest.starts_with('{') {
            names.extend(name_at(code, start));
            continue;
        }
        let (mut depth, mut expected) = (0, false);
        for (offset, c) in rest.char_indices() {
            match c {
                '{' => (depth, expected) = (depth + 1, depth == 0),
                '}' => depth -= 1,
                ',' => expected = depth == 1,
                c if expected && !c.is_whitespace() => {
                    names.extend(name_at(code, start + offset));
                    expected = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

fn name_at(code: &str, start: usize) -> Option<(usize, String)> {
    let rest = &code[start..];
    let rest = rest.strip_prefix("r#").unwrap_or(rest);
    let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
    let name = if rest.starts_with('*') { "*" } else { &rest[..end] };
    (!name.is_empty()).then(|| (line_of(code, start), name.to_owned()))
}

/// Blanks comments and the insides of literals; newlines stay, so that lines keep their numbers.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let in_name = code.ends_with(|c: char| c == '_' || c.is_alphanumeric());
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if c == '"' {
            string(rest)
        } else if let Some(length) = raw_string(rest).filter(|_| !in_name) {
            length
        } else if c == '\'' {
            character(rest)
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        let (blanked, after) = rest.split_at(length);
        code.extend(blanked.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        rest = after;
    }
    code
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        match () {
            () if rest.starts_with(b"/*") => (depth, at) = (depth + 1, at + 2),
            () if rest.starts_with(b"*/") => (depth, at) = (depth - 1, at + 2),
            () => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let inner = text
        .strip_prefix("br")
        .or_else(|| text.strip_prefix("cr"))
        .or_else(|| text.strip_prefix('r'))?;
    let hashes = inner.len() - inner.trim_start_matches('#').len();
    let body = inner[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = text.len() - body.len();
    Some(body.find(&end).map_or(text.len(), |at| begin + at + end.len()))
}

/// A character's length, or that of the quote alone when it begins a lifetime.
fn character(text: &str) -> usize {
    let mut inner = text.char_indices().skip(1);
    match (inner.next(), inner.next()) {
        (Some((_, '\\')), Some((escape, _))) => {
            let rest = &text[escape..];
            rest.char_indices()
                .skip(1)
                .find(|(_, c)| *c == '\'')
                .map_or(1, |(at, _)| escape + at + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// Blanks each item under `#[cfg(test)]`, up to the line that closes it at the same indentation, as
/// rustfmt sets it.
fn without_test_items(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let attribute = line.trim_start();
        if !attribute.starts_with("#[cfg(test") && !attribute.starts_with("#[cfg(all(test") {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        kept.push('\n');
        let indent = line.len() - attribute.len();
        let mut is_open = false;
        for line in lines.by_ref() {
            kept.push('\n');
            let body = line.trim();
            let is_inside = line.len() - line.trim_start().len() > indent;
            let is_attribute = !is_open && (body.starts_with("#[") || body.starts_with([')', ']']));
            if body.is_empty() || is_inside || is_attribute {
                continue;
            }
            if body.ends_with([';', ',']) || body.ends_with('}') || body.starts_with('}') {
                break;
            }
            is_open = true;
        }
    }
    kept
}

// ---- The rules see what they should. ------------------------------------------------------------

/// The lines a rule complains about in a source, whose lines are parted by ` / `.
fn seen(rule: fn(&Source) -> Vec<Complaint>, path: &str, text: &str) -> Vec<usize> {
    let file = Source::new(path, &text.replace(" / ", "\n"));
    rule(&file).into_iter().map(|(line, _)| line).collect()
}

#[test]
fn an_upward_import_is_seen_in_every_form() {
    let seen = |path, text| seen(upward_imports, path, text);
    assert_eq!(seen("src/pcm/mix.rs", "use crate::clock::Tick; / use crate::session::X;"), [2]);
    assert_eq!(seen("src/pcm/mix.rs", "use crate::{ / clock::Tick, / host::{id, X}, / };"), [3]);
    assert_eq!(seen("src/clock.rs", "fn f() { crate::host::pace() }"), [1]);
    assert_eq!(seen("src/clock.rs", "use super::host::Shard;"), [1]);
    assert_eq!(seen("src/pcm/mod.rs", "use super::host::Shard;"), [1]);
    assert_eq!(seen("src/pcm/mix.rs", "use super::super::host::X; / use super::session;"), [1]);
    assert_eq!(seen("src/pcm/mod.rs", "use crate::Session; / use crate::*;"), [1, 2]);
    assert_eq!(seen("src/sundries.rs", ""), [1]);
    assert_eq!(seen("src/lib.rs", "pub use crate::cli::run;"), []);
    assert_eq!(seen("src/cli/mod.rs", "use crate::host::X; / use self::x; / crate::check!();"), []);
}

#[test]
fn comments_literals_and_tests_are_no_code() {
    assert_eq!(seen(upward_imports, "src/pcm/tests.rs", "use crate::sim;"), []);
    let seen = |text| seen(upward_imports, "src/pcm/mix.rs", text);
    assert_eq!(seen("//! [`crate::host`] / /* /* crate::host */ crate::host */"), []);
    assert_eq!(
        seen(r##"const A: &str = "\"crate::host"; / const B: &str = r#""crate::host"#;"##),
        []
    );
    assert_eq!(
        seen(r"const C: char = '\''; / const D: char = '\u{1f}'; / use crate::host; // '"),
        [3]
    );
    assert_eq!(seen(r#"fn f<'a>(x: &'a str) { '"'; 'é'; crate::host::x() }"#), [1]);
    assert_eq!(seen("#[cfg(test)] / mod tests; / use crate::sim;"), [3]);
    assert_eq!(seen("#[cfg(test)] / mod tests { /   use crate::sim; /   fn f() { /   } / }"), []);
    assert_eq!(seen("#[cfg(test)] / mod tests { /   use crate::sim; / } / use crate::sim;"), [5]);
    assert_eq!(seen("#[cfg(all(test, unix))] / #[x] / use crate::sim::{ /   World, / };"), []);
}

#[test]
fn the_core_reaching_out_is_seen() {
    let seen = |path, text| seen(core_reaching_out, path, text);
    assert_eq!(seen("src/sim/mod.rs", "use std::{fmt, fs, net::IpAddr};"), [1, 1]);
    assert_eq!(
        seen("src/talk/floor.rs", "std::time::Instant::now(); / SystemTime::now();"),
        [1, 2]
    );
    assert_eq!(seen("src/id.rs", "use tokio::time; / std::thread::spawn(f);"), [1, 2]);
    assert_eq!(seen("src/host/mod.rs", "use std::fs; / use tokio::time;"), []);
    assert_eq!(seen("src/id.rs", "//! Knows nothing of tokio. / use std::fmt;"), []);
}

#[test]
fn names_lengths_sleeps_marks_and_front_pages_are_seen() {
    assert_eq!(seen(nameless, "src/host/call_manager.rs", ""), [1]);
    assert_eq!(seen(nameless, "src/utils/mod.rs", ""), [1]);
    assert_eq!(seen(nameless, "src/host/shard.rs", ""), []);
    assert_eq!(seen(too_long, "src/id.rs", &"\n".repeat(LINES_MAX + 1)), [LINES_MAX + 1]);
    assert_eq!(seen(too_long, "src/id.rs", &"\n".repeat(LINES_MAX)), []);
    assert_eq!(
        seen(bare_sleeps, "tests/x.rs", "std::thread::sleep(d); / thread::sleep(d)"),
        [1, 2]
    );
    assert_eq!(seen(bare_sleeps, "tests/x.rs", "use tokio::time::{sleep}; / sleep(d).await"), [2]);
    assert_eq!(
        seen(bare_sleeps, "tests/x.rs", "caller.sleep(3); / fn sleep() {} / let sleep = 1;"),
        []
    );
    assert_eq!(
        seen(left_for_later, "src/id.rs", "// TODO: x / add_todo(); / todo!() / TODOS"),
        [1, 3]
    );
    assert_eq!(seen(without_front_page, "src/pcm/mod.rs", "use x;"), [1]);
    assert_eq!(seen(without_front_page, "src/pcm/mix.rs", "use x;"), []);
}

#[test]
fn machine_paths_and_registries_are_seen_where_they_are_absolute() {
    let found = |text: &str| foreign_names(&text.replace('|', "")).len();
    assert_eq!(found("cd /wo|rk/x && ls '/ro|ot/' file:///ho|me/x"), 3);
    assert_eq!(found("src/work/mod.rs and ../work/ and https://example.com/home/x"), 0);
    assert_eq!(found("https://index.crates|.io/x and github.com/rust-lang/crates|.io-index"), 1);
}

#[test]
fn ignored_files_are_those_that_are_not_committed() {
    let ignored = Ignored::parse("# a note\n/out/\n*.sqlite\n.env\n");
    for folder in [".git", "target", "out"] {
        assert!(ignored.covers(folder, true), "{folder}");
    }
    for file in [".git", "a/b.sqlite", "a/.env"] {
        assert!(ignored.covers(file, false), "{file}");
    }
    assert!(!ignored.covers("src/out", true), "a leading slash means the top");
    for file in ["out", ".gitignore", "a.sqlite3"] {
        assert!(!ignored.covers(file, false), "{file}");
    }
}
