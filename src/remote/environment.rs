//! What the environment holds of a configuration's secrets.
//!
//! **Invariant:** a value is in no text that is printed: neither in `Debug` nor in a reason that went through
//! [`Secrets::scrub`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::config::Config;
use crate::tool::fill::{self, Environment, Fill};

/// Values that are shorter are too common to be looked for in a text: a port, a letter.
const SCRUBBED_MIN: usize = 5;

/// The variables of the environment that processes are given beside their own: what finds programs and folders,
/// and says in which language; nothing that anybody would hide.
const INHERITED: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "TERM",
    "SYSTEMROOT",
];

/// The values of all variables that a configuration names.
#[derive(Clone, Default)]
pub(super) struct Secrets {
    values: BTreeMap<String, String>,
}

/// The names alone.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Secrets {
    /// Takes them from the environment. The error names all that are missing, with the places that name them.
    pub(super) fn of(config: &Config, environment: Environment<'_>) -> Result<Self, String> {
        let (mut values, mut missing) = (BTreeMap::new(), BTreeMap::new());
        for (name, places) in variables(config) {
            match environment(&name) {
                Some(value) if !value.is_empty() => drop(values.insert(name, value)),
                _ => drop(missing.insert(name, places)),
            }
        }
        if missing.is_empty() {
            return Ok(Self { values });
        }
        let lines = missing.into_iter().map(|(name, places)| {
            let places: Vec<String> = places.into_iter().collect();
            let need = if places.len() == 1 { "needs" } else { "need" };
            format!("{name} is not set in the environment; {} {need} it", places.join(", "))
        });
        Err(lines.collect::<Vec<_>>().join("\n"))
    }

    /// A variable's value.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    /// A text without any of the values.
    pub(super) fn scrub(&self, text: &str) -> String {
        let values = self.values.values().map(String::as_str);
        fill::blotted(text, values.filter(|value| value.len() >= SCRUBBED_MIN), "…")
    }

    /// The environment of a process: a few variables of this one's, and those that are written, filled in.
    pub(super) fn process(&self, written: &BTreeMap<String, String>) -> Vec<(String, String)> {
        let inherited = INHERITED
            .iter()
            .filter_map(|name| std::env::var(name).ok().map(|value| ((*name).to_owned(), value)));
        let written = written.iter().filter_map(|(name, text)| {
            let value = Fill::parse(text).and_then(|fill| self.fill(&fill));
            value.ok().map(|value| (name.clone(), value))
        });
        inherited.chain(written).collect()
    }

    /// A text without arguments, filled in.
    pub(super) fn fill(&self, fill: &Fill) -> Result<String, String> {
        fill.fill(&serde_json::Value::Null, &|name| self.get(name), str::to_owned)
    }
}

/// The variables of the environment that a configuration's tools and servers name, each with the places.
#[must_use]
pub fn variables(config: &Config) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::<String, BTreeSet<String>>::new();
    for (place, text) in texts(config) {
        // A text that is no template has been refused when the configuration was read.
        let Ok(fill) = Fill::parse(text) else { continue };
        for name in fill.variables() {
            all.entry(name.to_owned()).or_default().insert(place.clone());
        }
    }
    all
}

/// Every text of a configuration that the environment may fill, with its place.
fn texts(config: &Config) -> Vec<(String, &str)> {
    let mut all = Vec::new();
    for (name, tool) in &config.tools {
        if let Some(http) = &tool.http {
            let home = format!("tools.{name}.http");
            all.push((format!("{home}.url"), http.url.as_str()));
            for (key, text) in &http.headers {
                all.push((format!("{home}.headers.{key}"), text));
            }
            for (key, text) in &http.query {
                all.push((format!("{home}.query.{key}"), text));
            }
            if let Some(body) = &http.body {
                fill::texts(body, &mut |text| all.push((format!("{home}.body"), text)));
            }
        }
        if let Some(process) = &tool.process {
            for (key, text) in &process.env {
                all.push((format!("tools.{name}.process.env.{key}"), text));
            }
        }
    }
    for (name, server) in &config.mcp_servers {
        let home = format!("mcp_servers.{name}");
        if let Some(url) = &server.url {
            all.push((format!("{home}.url"), url));
        }
        for (key, text) in &server.headers {
            all.push((format!("{home}.headers.{key}"), text));
        }
        for (key, text) in &server.env {
            all.push((format!("{home}.env.{key}"), text));
        }
    }
    all
}
