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
        let stamp = rfc3339(wall_ms());
        let stamp: String = stamp.iter().map(|&byte| char::from(byte)).collect();
        if self.json {
            let mut object = Map::new();
            object.insert("type".to_owned(), kind.into());
            object.insert("time".to_owned(), stamp.into());
            for (name, value) in fields {
                object.insert((*name).to_owned(), value.clone());
            }
            line(Value::Object(object));
        } else if self.friendly {
            line(plain(text));
        } else {
            line(format_args!("{stamp} {}", plain(text)));
        }
    }
}
