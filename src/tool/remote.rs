//! Tools that are carried out outside of this process, as a configuration declares them: by an HTTP server, by
//! a process, or by an MCP server.
//!
//! What a call means is said here; the edge `remote` does it.
//!
//! **Invariant:** no secret stands here, only the names of the environment variables that hold them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request to an HTTP server. What it answers is the result: JSON where it is JSON, and text otherwise.
/// `{argument}` is filled in from the call and `${NAME}` from the environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpTool {
    /// The method. Default `POST`.
    #[serde(default)]
    pub method: Method,
    /// The address. Arguments are percent-encoded, and stand after the server's name only.
    #[schemars(length(min = 1, max = 4000))]
    pub url: String,
    /// Headers of the request. One that is an argument alone is left out where the call has none. Default
    /// none.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 50), inner(length(max = 4000)))]
    pub headers: BTreeMap<String, String>,
    /// Parameters that are added to the address. One that is an argument alone is left out where the call has
    /// none. Default none.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 50), inner(length(max = 4000)))]
    pub query: BTreeMap<String, String>,
    /// The body, any JSON whose texts are filled in; a text that is an argument alone becomes its value.
    /// Without it, the arguments are the body of POST, PUT and PATCH. Not for GET and DELETE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// How often a request is made again: after no connection was made, and for an `idempotent` tool also
    /// after it was broken off or answered with 408, 429, 500, 502, 503 or 504: 0 to 10. Default 2.
    #[serde(default = "two")]
    #[schemars(range(min = 0, max = 10))]
    pub retries: u32,
    /// The part of the answer that is the result, as in `data.items.0`. Without it, all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 400))]
    pub result: Option<String>,
}

const fn two() -> u32 {
    2
}

/// A method of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Asks.
    Get,
    /// Does something.
    #[default]
    Post,
    /// Replaces something.
    Put,
    /// Changes a part of something.
    Patch,
    /// Removes something.
    Delete,
}

impl Method {
    /// Whether requests of it have a body.
    #[must_use]
    pub const fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

/// A process that is started for each call. It reads the arguments as one line of JSON on its standard input,
/// and writes the result as JSON on its standard output. With another exit code than 0 the call has failed, for
/// the reason that stands on its standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessTool {
    /// The program and its arguments. No shell is involved.
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 4000)))]
    pub command: Vec<String>,
    /// Variables of its environment, beside PATH, HOME, LANG and such; `${NAME}` is filled in from this
    /// process's own. Default none.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 100), inner(length(max = 4000)))]
    pub env: BTreeMap<String, String>,
    /// The folder that it runs in, relative to this file. Without it, the one that this process runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub cwd: Option<String>,
}

/// A tool of an MCP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpTool {
    /// The server: one of `mcp_servers`.
    #[schemars(length(min = 1, max = 64))]
    pub server: String,
    /// The tool, as the server calls it.
    #[schemars(length(min = 1, max = 200))]
    pub tool: String,
}
