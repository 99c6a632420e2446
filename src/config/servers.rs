//! MCP servers: others who bring tools.
//!
//! **Invariant:** no secret stands here, only the names of the environment variables that hold them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::check::Report;
use super::complaint::excerpt;
use super::outside;
use crate::graph::verb::Verb;

/// An MCP server: a process that is started, or one that is reached over streamable HTTP. Its tools become tools
/// of this configuration when a session begins; an agent with a model that has the server's name among its
/// `tools` may call all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct McpServer {
    /// The program that is started, and spoken to over its standard input and output. This or `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub command: Option<String>,
    /// Its arguments. Default none.
    #[schemars(length(max = 100), inner(length(max = 4000)))]
    pub args: Vec<String>,
    /// Variables of its environment, beside PATH, HOME, LANG and such; `${NAME}` is filled in from this
    /// process's own. Default none.
    #[schemars(extend("maxProperties" = 100), inner(length(max = 4000)))]
    pub env: BTreeMap<String, String>,
    /// The folder that it runs in, relative to this file. Without it, the one that this process runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub cwd: Option<String>,
    /// The address of a server that is reached over streamable HTTP. `${NAME}` is filled in from the
    /// environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4000))]
    pub url: Option<String>,
    /// For `url`: further headers of each request. `${NAME}` is filled in from the environment. Default none.
    #[schemars(extend("maxProperties" = 50), inner(length(max = 4000)))]
    pub headers: BTreeMap<String, String>,
    /// The tools that are wanted of it, as it calls them. Without it, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("uniqueItems" = true), length(max = 200), inner(length(min = 1, max = 200)))]
    pub tools: Option<Vec<String>>,
    /// How long a result of a tool that was found there is waited for, in milliseconds: 1 to 600000. Default
    /// 30000.
    #[schemars(range(min = 1, max = 600_000))]
    pub timeout_ms: u32,
    /// How long it may take until it is connected and has listed its tools, in milliseconds: 1 to 600000.
    /// Default 20000.
    #[schemars(range(min = 1, max = 600_000))]
    pub connect_timeout_ms: u32,
}

impl Default for McpServer {
    fn default() -> Self {
        Self {
            command: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            url: None,
            headers: BTreeMap::new(),
            tools: None,
            timeout_ms: 30_000,
            connect_timeout_ms: 20_000,
        }
    }
}

/// Checks the MCP servers.
pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    for (name, server) in &config.mcp_servers {
        let at = |key| ["mcp_servers", name.as_str(), key];
        if config.tools.contains_key(name) || Verb::of(name).is_some() {
            let what = format!("`{name}` is a tool, too: agents could not tell which is meant");
            report.tell(&["mcp_servers", name], what, "give the server another name");
        }
        match (&server.command, &server.url) {
            (Some(_), Some(_)) => {
                let what =
                    format!("`{name}` has a `command` and a `url`: it is reached in one way");
                report.tell(&at("url"), what, "remove one of the two");
            }
            (None, None) => {
                let what = format!("nothing says how `{name}` is reached");
                let remedy = "add a `command` that starts it, or its `url`";
                report.tell(&["mcp_servers", name], what, remedy);
            }
            (Some(_), None) => {
                if !server.headers.is_empty() {
                    let what = "a process has no `headers`";
                    report.tell(&at("headers"), what, "write `env`, or remove them");
                }
            }
            (None, Some(url)) => {
                outside::address(&at("url"), url, None, report);
                let others = [
                    ("args", !server.args.is_empty()),
                    ("env", !server.env.is_empty()),
                    ("cwd", server.cwd.is_some()),
                ];
                for (key, _) in others.into_iter().filter(|(_, is_there)| *is_there) {
                    let what = format!("`{key}` is for a server that is started by `command`");
                    report.tell(&at(key), what, "remove it");
                }
            }
        }
        outside::headers(&at("headers"), &server.headers, None, report);
        outside::variables(&at("env"), &server.env, report);
        if let Some(tools) = &server.tools
            && tools.is_empty()
        {
            let what = format!("no tool of `{}` is wanted", excerpt(name));
            report.tell(&at("tools"), what, "name some, or remove the list for all of them");
        }
    }
}
