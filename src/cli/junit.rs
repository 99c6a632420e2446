//! What came of tests as JUnit XML, which build servers read.
//!
//! A file is a `testsuite`, a call a `testcase`; its `time` is what it took to hold it, and the length of
//! the call is a property of it.

use std::collections::BTreeMap;
use std::io;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use super::tested::{Ran, Verdict};

/// The text of the file.
pub(super) fn xml(all: &[Ran]) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Nothing can go wrong where the text is in memory.
    drop(suites(&mut writer, all));
    let text = String::from_utf8(writer.into_inner()).unwrap_or_default();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}\n")
}

fn suites(writer: &mut Writer<Vec<u8>>, all: &[Ran]) -> io::Result<()> {
    let mut files: BTreeMap<&str, Vec<&Ran>> = BTreeMap::new();
    for ran in all {
        files.entry(&ran.file).or_default().push(ran);
    }
    let [tests, failures, time] = counts(all.iter());
    writer
        .create_element("testsuites")
        .with_attribute(("name", "antiphon"))
        .with_attribute(("tests", &*tests))
        .with_attribute(("failures", &*failures))
        .with_attribute(("errors", "0"))
        .with_attribute(("time", &*time))
        .write_inner_content(|writer| {
            for (file, ran) in &files {
                suite(writer, file, ran)?;
            }
            Ok(())
        })?;
    Ok(())
}

fn suite(writer: &mut Writer<Vec<u8>>, file: &str, all: &[&Ran]) -> io::Result<()> {
    let [tests, failures, time] = counts(all.iter().copied());
    writer
        .create_element("testsuite")
        .with_attribute(("name", &*sound(file)))
        .with_attribute(("tests", &*tests))
        .with_attribute(("failures", &*failures))
        .with_attribute(("errors", "0"))
        .with_attribute(("skipped", "0"))
        .with_attribute(("time", &*time))
        .write_inner_content(|writer| all.iter().try_for_each(|ran| case(writer, ran)))?;
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

fn counts<'r>(all: impl Iterator<Item = &'r Ran> + Clone) -> [String; 3] {
    let failed = all.clone().filter(|ran| !ran.verdict.is_ok()).count();
    let seconds: f64 = all.clone().map(|ran| ran.wall.as_secs_f64()).sum();
    [all.count().to_string(), failed.to_string(), format!("{seconds:.3}")]
}

/// A text without the characters that no XML may hold.
fn sound(text: &str) -> String {
    let is_sound = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().filter(is_sound).filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect()
}
