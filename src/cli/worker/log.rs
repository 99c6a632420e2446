//! What a worker tells of itself: a line for each thing that happens to a job.

use serde_json::{Map, Value};

use crate::cli::view::{line, plain};
use crate::host::pace::wall_ms;
use crate::record::stamp::rfc3339;

/// How it is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log {
    /// An object a line.
    pub(super) json: bool,
    /// For a person who develops: without the date.
    pub(super) friendly: bool,
}

impl Log {
    /// Something happened, in words and in fields.
    pub(super) fn tell(self, kind: &str, text: &str, fields: &[(&str, Value)]) {
        let stamp = stamp();
        let text = &plain(text);
        self.write(kind, text, &stamp, fields);
    }

    /// The same for a text of several lines, of this program's own.
    pub(super) fn lines(self, kind: &str, text: &str, fields: &[(&str, Value)]) {
        self.write(kind, text, &stamp(), fields);
    }

    fn write(self, kind: &str, text: &str, stamp: &str, fields: &[(&str, Value)]) {
        if self.json {
            let mut object = Map::new();
            object.insert("type".to_owned(), kind.into());
            object.insert("time".to_owned(), stamp.into());
            for (name, value) in fields {
                object.insert((*name).to_owned(), value.clone());
            }
            line(Value::Object(object));
        } else if self.friendly {
            line(text);
        } else {
            line(format_args!("{stamp} {text}"));
        }
    }
}

fn stamp() -> String {
    rfc3339(wall_ms()).iter().map(|&byte| char::from(byte)).collect()
}
