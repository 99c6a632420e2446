//! The tools of MCP servers, made tools of a configuration.
//!
//! **Invariant:** a name that a tool was given stays its own as long as the process runs, whatever else servers
//! list later; a tool that the configuration declares itself is never replaced.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::config::{Config, McpTool, Tool, is_identifier};
use crate::graph::verb::Verb;
use crate::tool::is_deeper;

/// The longest description that is taken over, in characters: as long as one in a configuration.
const DESCRIPTION_MAX: usize = 4_000;

/// The longest schema that is taken over, in bytes: a model reads it with every request.
const SCHEMA_MAX: usize = 1 << 16;

/// The deepest schema that is taken over.
const SCHEMA_DEPTH_MAX: usize = 40;

/// The most tools of a configuration, as in its schema.
const TOOLS_MAX: usize = 1_000;

/// A tool that a server has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// As the server calls it.
    pub(super) tool: String,
    pub(super) description: String,
    pub(super) parameters: Value,
}

/// What all servers have listed, beside the configuration that asks for it.
#[derive(Debug)]
pub(super) struct Shelf {
    config: Config,
    lists: BTreeMap<String, Vec<Found>>,
    names: BTreeMap<(String, String), String>,
}

impl Shelf {
    pub(super) const fn new(config: Config) -> Self {
        Self { config, lists: BTreeMap::new(), names: BTreeMap::new() }
    }

    /// Whether a server has listed its tools.
    pub(super) fn has(&self, server: &str) -> bool {
        self.lists.contains_key(server)
    }

    /// Puts what a server lists in the place of what it has listed before; false if it is the same.
    pub(super) fn put(&mut self, server: &str, mut found: Vec<Found>) -> bool {
        // Their order says nothing, and some servers change it.
        found.sort_by(|a, b| a.tool.cmp(&b.tool));
        found.dedup_by(|a, b| a.tool == b.tool);
        self.lists.insert(server.to_owned(), found.clone()) != Some(found)
    }

    /// The configuration with all tools that are there, and what could not be taken over.
    pub(super) fn resolved(&mut self) -> (Config, Vec<String>) {
        let (mut config, mut warnings) = (self.config.clone(), Vec::new());
        let declared: BTreeSet<(String, String)> = self.declared();
        for (name, tool) in &mut config.tools {
            let Some(mcp) = &tool.mcp else { continue };
            let Some(list) = self.lists.get(&mcp.server) else { continue };
            let Some(found) = list.iter().find(|found| found.tool == mcp.tool) else {
                let (server, wanted) = (&mcp.server, &mcp.tool);
                warnings.push(format!(
                    "tools.{name}: the MCP server `{server}` has no tool `{wanted}`; calls fail"
                ));
                continue;
            };
            if tool.description.is_empty() {
                tool.description = shortened(&found.description);
            }
            if tool.parameters == json!({ "type": "object" }) {
                match schema(&found.parameters) {
                    Ok(schema) => tool.parameters = schema,
                    Err(why) => warnings.push(format!("tools.{name}: its parameters are {why}")),
                }
            }
        }
        let mut found: Vec<(String, Found)> = Vec::new();
        for (server, list) in &self.lists {
            let wanted =
                self.config.mcp_servers.get(server).and_then(|server| server.tools.as_ref());
            for name in wanted.into_iter().flatten() {
                if !list.iter().any(|found| found.tool == *name) {
                    warnings.push(format!("mcp_servers.{server}: it has no tool `{name}`"));
                }
            }
            let is_wanted = |found: &&Found| {
                wanted.is_none_or(|wanted| wanted.contains(&found.tool))
                    && !declared.contains(&(server.clone(), found.tool.clone()))
            };
            found.extend(list.iter().filter(is_wanted).map(|one| (server.clone(), one.clone())));
        }
        self.name(&found);
        for (server, found) in found {
            let Some(name) = self.names.get(&(server.clone(), found.tool.clone())) else {
                continue;
            };
            let parameters = match schema(&found.parameters) {
                Ok(parameters) => parameters,
                Err(why) => {
                    warnings.push(format!(
                        "mcp_servers.{server}: the tool `{}` is left out: its parameters are {why}",
                        found.tool
                    ));
                    continue;
                }
            };
            if config.tools.len() >= TOOLS_MAX {
                warnings.push(format!(
                    "mcp_servers.{server}: the tool `{}` is left out: there are {TOOLS_MAX} already",
                    found.tool
                ));
                continue;
            }
            let timeout_ms =
                self.config.mcp_servers.get(&server).map_or(30_000, |server| server.timeout_ms);
            let tool = Tool {
                description: shortened(&found.description),
                parameters,
                timeout_ms,
                mcp: Some(McpTool { server, tool: found.tool }),
                ..Tool::default()
            };
            config.tools.insert(name.clone(), tool);
        }
        (config, warnings)
    }

    /// The tools of servers that the configuration declares itself.
    fn declared(&self) -> BTreeSet<(String, String)> {
        let tools = self.config.tools.values().filter_map(|tool| tool.mcp.as_ref());
        tools.map(|mcp| (mcp.server.clone(), mcp.tool.clone())).collect()
    }

    /// Gives names to those that have none yet.
    fn name(&mut self, found: &[(String, Found)]) {
        let unnamed: Vec<(String, String)> = found
            .iter()
            .map(|(server, found)| (server.clone(), found.tool.clone()))
            .filter(|tool| !self.names.contains_key(tool))
            .collect();
        let mut wished = BTreeMap::<String, usize>::new();
        for (_, tool) in &unnamed {
            *wished.entry(identifier(tool)).or_default() += 1;
        }
        for (server, tool) in unnamed {
            let plain = identifier(&tool);
            let is_contested = wished.get(&plain).is_some_and(|count| *count > 1);
            let name = if !is_contested && self.is_free(&plain) {
                plain
            } else {
                let long = identifier(&format!("{server}_{tool}"));
                let numbered = (2..).map(|n| {
                    let number = format!("_{n}");
                    format!("{}{number}", &long[..long.len().min(64 - number.len())])
                });
                std::iter::once(long.clone())
                    .chain(numbered)
                    .find(|name| self.is_free(name))
                    .unwrap_or(long)
            };
            self.names.insert((server, tool), name);
        }
    }

    fn is_free(&self, name: &str) -> bool {
        !self.config.tools.contains_key(name)
            && !self.config.mcp_servers.contains_key(name)
            && Verb::of(name).is_none()
            && !self.names.values().any(|taken| taken == name)
    }
}

/// A name that models and configurations take: letters, digits and `_`, 64 at most.
fn identifier(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut plain: String = name.chars().map(fits).collect();
    if !plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        plain.insert(0, '_');
    }
    plain.truncate(64);
    debug_assert!(is_identifier(&plain), "{plain}");
    plain
}

fn shortened(description: &str) -> String {
    description.chars().take(DESCRIPTION_MAX).collect()
}

/// A schema as a configuration may have it, or what is wrong with it.
fn schema(found: &Value) -> Result<Value, String> {
    let mut schema = found.clone();
    let Value::Object(map) = &mut schema else { return Err("no JSON Schema".to_owned()) };
    // Which draft it is written for does not matter: it has to be right in the one that is used here.
    map.remove("$schema");
    if map.entry("type").or_insert_with(|| "object".into()) != "object" {
        return Err("no object".to_owned());
    }
    if is_deeper(&schema, SCHEMA_DEPTH_MAX) {
        return Err(format!("nested deeper than {SCHEMA_DEPTH_MAX}"));
    }
    if schema.to_string().len() > SCHEMA_MAX {
        return Err(format!("longer than {SCHEMA_MAX} bytes"));
    }
    let is_right = jsonschema::draft202012::meta::is_valid(&schema)
        && jsonschema::draft202012::new(&schema).is_ok();
    if is_right { Ok(schema) } else { Err("no valid JSON Schema (2020-12)".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn found(tool: &str) -> Found {
        Found { tool: tool.to_owned(), description: format!("does {tool}"), parameters: json!({}) }
    }

    fn shelf(yaml: &str) -> Shelf {
        let text = format!("name: a\nagents: {{ a: {{}} }}\n{yaml}");
        Shelf::new(parse(text.as_bytes(), "a.yaml").unwrap_or_else(|all| panic!("{all}")))
    }

    fn names(config: &Config) -> Vec<(&str, &str)> {
        let named = config.tools.iter().filter_map(|(name, tool)| {
            tool.mcp.as_ref().map(|mcp| (name.as_str(), mcp.tool.as_str()))
        });
        named.collect()
    }

    #[test]
    fn tools_get_names_that_fit_and_clashes_the_servers_name() {
        let mut shelf =
            shelf("mcp_servers: { a1: { command: x }, b: { command: x } }\ntools: { own: {} }\n");
        shelf.put("a1", ["get-sum", "echo", "own", "2.go"].map(found).to_vec());
        shelf.put("b", ["echo", "hand_over", "get.sum"].map(found).to_vec());
        let (config, warnings) = shelf.resolved();
        let wanted = [
            ("_2_go", "2.go"),
            ("a1_echo", "echo"),
            ("a1_get_sum", "get-sum"),
            ("a1_own", "own"),
            ("b_echo", "echo"),
            ("b_get_sum", "get.sum"),
            ("b_hand_over", "hand_over"),
        ];
        assert_eq!((names(&config), warnings), (wanted.to_vec(), Vec::new()));
        // It is a configuration like any other.
        let again =
            parse(config.to_json().as_bytes(), "resolved").unwrap_or_else(|all| panic!("{all}"));
        assert_eq!(again, config);
    }

    #[test]
    fn a_name_stays_with_its_tool_when_others_come_and_go() {
        let mut shelf = shelf("mcp_servers: { a1: { command: x }, b: { command: x } }\n");
        shelf.put("b", vec![found("echo")]);
        assert_eq!(names(&shelf.resolved().0), [("echo", "echo")]);
        assert!(!shelf.put("b", vec![found("echo")]), "nothing has changed");
        assert!(shelf.put("a1", vec![found("echo")]));
        let (config, _) = shelf.resolved();
        let server = |name: &str| config.tools[name].mcp.as_ref().unwrap().server.clone();
        assert_eq!((server("echo"), server("a1_echo")), ("b".to_owned(), "a1".to_owned()));
        shelf.put("b", Vec::new());
        assert_eq!(names(&shelf.resolved().0), [("a1_echo", "echo")]);
    }

    #[test]
    fn what_is_declared_is_filled_in_and_what_is_not_wanted_left_out() {
        let mut shelf = shelf(
            "mcp_servers: { s: { command: x, tools: [b, gone], timeout_ms: 700 } }
tools:
  mine: { mcp: { server: s, tool: a }, description: Mine. }
  lost: { mcp: { server: s, tool: nowhere } }
",
        );
        let parameters = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
        let a = Found { parameters: parameters.clone(), ..found("a") };
        shelf.put("s", vec![a, found("b"), found("c")]);
        let (config, warnings) = shelf.resolved();
        assert_eq!(names(&config), [("b", "b"), ("lost", "nowhere"), ("mine", "a")]);
        let mine = &config.tools["mine"];
        assert_eq!((mine.description.as_str(), &mine.parameters), ("Mine.", &parameters));
        assert_eq!((config.tools["b"].timeout_ms, mine.timeout_ms), (700, 30_000));
        let told = warnings.join("\n");
        assert!(told.contains("tools.lost: the MCP server `s` has no tool `nowhere`"), "{told}");
        assert!(told.contains("mcp_servers.s: it has no tool `gone`"), "{told}");
    }

    #[test]
    fn schemas_that_are_none_are_left_out_and_said() {
        let mut deep = json!({});
        for _ in 0..60 {
            deep = json!({ "items": deep });
        }
        let wrong = [
            json!(true),
            json!({ "type": "string" }),
            json!({ "properties": 7 }),
            json!({ "$ref": "https://elsewhere.example/schema" }),
            json!({ "properties": { "a": deep } }),
            json!({ "description": "x".repeat(SCHEMA_MAX) }),
        ];
        for parameters in wrong {
            let mut shelf = shelf("mcp_servers: { s: { command: x } }\n");
            shelf.put("s", vec![Found { parameters, ..found("a") }]);
            let (config, warnings) = shelf.resolved();
            assert!(config.tools.is_empty(), "{:?}", config.tools);
            assert!(warnings[0].contains("the tool `a` is left out"), "{warnings:?}");
        }
    }
}
