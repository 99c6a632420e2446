//! What came of tests as JUnit XML, which build servers read.
//!
//! A file is a `testsuite`, a call a `testcase`; its `time` is what it took to hold it, and the length of
//! the call is a property of it.

use std::collections::BTreeMap;
use std::io;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use super::tested::{Ran, Verdict};

/// What could not be held: a file, or a test in it.
pub(super) struct Wrong {
    /// The test file.
    pub(super) file: String,
    /// The test in it.
    pub(super) test: String,
    /// Why, in full.
    pub(super) told: String,
}

/// What there is to tell of one file.
#[derive(Default)]
struct Told<'a> {
    ran: Vec<&'a Ran>,
    wrong: Vec<&'a Wrong>,
}

/// The text of the file.
pub(super) fn xml(all: &[Ran], wrong: &[Wrong]) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Nothing can go wrong where the text is in memory.
    drop(suites(&mut writer, all, wrong));
    let text = String::from_utf8(writer.into_inner()).unwrap_or_default();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}\n")
}

fn suites(writer: &mut Writer<Vec<u8>>, all: &[Ran], wrong: &[Wrong]) -> io::Result<()> {
    let mut files: BTreeMap<&str, Told<'_>> = BTreeMap::new();
    for ran in all {
        files.entry(&ran.file).or_default().ran.push(ran);
    }
    for wrong in wrong {
        files.entry(&wrong.file).or_default().wrong.push(wrong);
    }
    let [tests, failures, errors, time] = counts(all.iter(), wrong.len());
    writer
        .create_element("testsuites")
        .with_attribute(("name", "antiphon"))
        .with_attribute(("tests", &*tests))
        .with_attribute(("failures", &*failures))
        .with_attribute(("errors", &*errors))
        .with_attribute(("time", &*time))
        .write_inner_content(|writer| {
            for (file, told) in &files {
                suite(writer, file, told)?;
            }
            Ok(())
        })?;
    Ok(())
}

fn suite(writer: &mut Writer<Vec<u8>>, file: &str, told: &Told<'_>) -> io::Result<()> {
    let [tests, failures, errors, time] = counts(told.ran.iter().copied(), told.wrong.len());
    writer
        .create_element("testsuite")
        .with_attribute(("name", &*sound(file)))
        .with_attribute(("tests", &*tests))
        .with_attribute(("failures", &*failures))
        .with_attribute(("errors", &*errors))
        .with_attribute(("skipped", "0"))
        .with_attribute(("time", &*time))
        .write_inner_content(|writer| {
            told.wrong.iter().try_for_each(|wrong| error(writer, wrong))?;
            told.ran.iter().try_for_each(|ran| case(writer, ran))
        })?;
    Ok(())
}

fn error(writer: &mut Writer<Vec<u8>>, wrong: &Wrong) -> io::Result<()> {
    let (name, class) = (sound(&wrong.test), sound(&wrong.file));
    writer
        .create_element("testcase")
        .with_attribute(("name", &*name))
        .with_attribute(("classname", &*class))
        .with_attribute(("time", "0"))
        .write_inner_content(|writer| {
            let message = wrong.told.lines().next().unwrap_or_default();
            writer
                .create_element("error")
                .with_attribute(("message", &*sound(message)))
                .with_attribute(("type", "input"))
                .write_text_content(BytesText::new(&sound(&wrong.told)))?;
            Ok(())
        })?;
    Ok(())
}

fn case(writer: &mut Writer<Vec<u8>>, ran: &Ran) -> io::Result<()> {
    let seconds = format!("{:.3}", ran.wall.as_secs_f64());
    let (name, class) = (sound(&ran.test), sound(&ran.file));
    let call = format!("{:.2}", ran.call_ms as f64 / 1_000.0);
    writer
        .create_element("testcase")
        .with_attribute(("name", &*name))
        .with_attribute(("classname", &*class))
        .with_attribute(("time", &*seconds))
        .write_inner_content(|writer| {
            writer.create_element("properties").write_inner_content(|writer| {
                writer
                    .create_element("property")
                    .with_attribute(("name", "call_seconds"))
                    .with_attribute(("value", &*call))
                    .write_empty()?;
                Ok(())
            })?;
            if let Verdict::Failed { short, told } = &ran.verdict {
                writer
                    .create_element("failure")
                    .with_attribute(("message", &*sound(short)))
                    .with_attribute(("type", "expectation"))
                    .write_text_content(BytesText::new(&sound(told)))?;
            }
            Ok(())
        })?;
    Ok(())
}

fn counts<'r>(all: impl Iterator<Item = &'r Ran> + Clone, errors: usize) -> [String; 4] {
    let failed = all.clone().filter(|ran| !ran.verdict.is_ok()).count();
    let seconds: f64 = all.clone().map(|ran| ran.wall.as_secs_f64()).sum();
    let tests = all.count() + errors;
    [tests.to_string(), failed.to_string(), errors.to_string(), format!("{seconds:.3}")]
}

/// A text without the characters that no XML may hold.
fn sound(text: &str) -> String {
    let is_sound = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().filter(is_sound).filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect()
}
