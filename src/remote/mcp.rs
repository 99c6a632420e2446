//! Calls of tools of MCP servers.
//!
//! **Invariant:** a call is sent once at most: whether a server that went away has done it, nobody knows.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock};
use rmcp::service::ServiceError;
use serde_json::{Value, json};

use super::answer::{self, RESULT_MAX, excerpt};
use super::environment::Secrets;
use super::net::{Net, NoOutcome};
use super::server::Link;
use crate::config::McpTool;
use crate::tool::{DEPTH_MAX, Tool, ToolContext, ToolSpec, is_deeper};

/// The key in a request's `_meta` that holds what a server knows a call again by.
pub const IDEMPOTENCY_META: &str = "antiphon/idempotency-key";

/// A tool of an MCP server.
#[derive(Debug)]
pub(super) struct McpCaller {
    spec: ToolSpec,
    tool: McpTool,
    link: Link,
    secrets: Arc<Secrets>,
    net: Arc<Net>,
}

impl McpCaller {
    pub(super) const fn new(
        spec: ToolSpec,
        tool: McpTool,
        link: Link,
        secrets: Arc<Secrets>,
        net: Arc<Net>,
    ) -> Self {
        Self { spec, tool, link, secrets, net }
    }
}

impl Tool for McpCaller {
    fn call(&self, context: &ToolContext, arguments: &Value) -> Result<Value, String> {
        let McpTool { server, tool } = self.tool.clone();
        let mut params = CallToolRequestParams::new(tool);
        if let Value::Object(map) = arguments {
            params = params.with_arguments(map.clone());
        }
        let mut meta = serde_json::Map::new();
        meta.insert(IDEMPOTENCY_META.to_owned(), context.idempotency_key().into());
        params.meta = Some(meta.into());
        let mut link = self.link.clone();
        let limit = Duration::from_millis(u64::from(self.spec.timeout_ms));
        let called = self.net.wait(limit, async move {
            let peer = link.peer().await?;
            peer.call_tool_once(params).await.map_err(|error| why(&server, &error))
        });
        let scrubbed = |why: String| self.secrets.scrub(&why);
        match called {
            Ok(Ok(CallToolResponse::Complete(result))) => value(result).map_err(scrubbed),
            Ok(Ok(_)) => Err(format!(
                "the MCP server `{}` wants more than an answer from us, which nobody can give",
                self.tool.server
            )),
            Ok(Err(why)) => Err(scrubbed(why)),
            Err(NoOutcome::Late) => Err(format!(
                "the MCP server `{}` has not answered within {} ms",
                self.tool.server, self.spec.timeout_ms
            )),
            Err(NoOutcome::Gone) => Err("the call was broken off".to_owned()),
        }
    }
}

/// Why a server has not carried a call out.
pub(super) fn why(server: &str, error: &ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => {
            format!("the MCP server `{server}` refuses: {}", excerpt(&error.message, false))
        }
        ServiceError::TransportClosed => {
            format!("the MCP server `{server}` has gone away during the call")
        }
        ServiceError::TransportSend(error) => {
            let mut cause: &dyn std::error::Error = error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            // Its text may hold an address, and an address a secret: the caller scrubs it.
            let cause = excerpt(&cause.to_string(), false);
            format!("the MCP server `{server}` cannot be reached: {cause}")
        }
        other => format!("the MCP server `{server}`: {}", excerpt(&other.to_string(), false)),
    }
}

/// What an agent learns of a result: what is structured, or the text, or a list of the parts.
fn value(result: CallToolResult) -> Result<Value, String> {
    let texts: Option<Vec<&str>> = result
        .content
        .iter()
        .map(|block| match block {
            ContentBlock::Text(text) => Some(text.text.as_str()),
            _ => None,
        })
        .collect();
    if result.is_error == Some(true) {
        let said = texts.unwrap_or_default().join(" ");
        let said = excerpt(&said, false);
        return Err(if said.is_empty() { "it failed, and says no more".to_owned() } else { said });
    }
    let value = match (result.structured_content, texts) {
        (Some(value), _) => value,
        (None, Some(texts)) if texts.is_empty() => Value::Null,
        (None, Some(texts)) => Value::String(texts.join("\n")),
        (None, None) => {
            let parts = result
                .content
                .iter()
                .map(|block| serde_json::to_value(block).map(without_bytes).unwrap_or_default());
            parts.collect()
        }
    };
    let wrong = |why: String| format!("the result is {why}");
    if is_deeper(&value, DEPTH_MAX) {
        return Err(wrong(format!("nested deeper than {DEPTH_MAX}")));
    }
    let is_long = match &value {
        Value::String(text) => text.len() > RESULT_MAX,
        other => other.to_string().len() > RESULT_MAX,
    };
    if is_long { Err(wrong(answer::too_long())) } else { Ok(value) }
}

/// A part of a result without its picture or sound, which nobody here can look at or hear.
fn without_bytes(mut part: Value) -> Value {
    for home in ["", "/resource"] {
        let Some(Value::Object(map)) = part.pointer_mut(home) else { continue };
        for key in ["data", "blob"] {
            if let Some(Value::String(bytes)) = map.get(key) {
                let told = json!(format!("{} characters of base64, left out", bytes.len()));
                map.insert(key.to_owned(), told);
            }
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(result: Value) -> Result<Value, String> {
        value(serde_json::from_value(result).expect("a result"))
    }

    #[test]
    fn a_result_is_what_is_structured_or_its_text_or_its_parts() {
        let text = |text: &str| json!({ "type": "text", "text": text });
        let image = json!({ "type": "image", "data": "AAAA", "mimeType": "image/png" });
        assert_eq!(told(json!({ "content": [text("a"), text("b")] })), Ok(json!("a\nb")));
        assert_eq!(told(json!({ "content": [] })), Ok(Value::Null));
        let structured = json!({ "content": [text("x")], "structuredContent": { "n": 1 } });
        assert_eq!(told(structured), Ok(json!({ "n": 1 })));
        let parts = told(json!({ "content": [text("a"), image] })).unwrap();
        assert_eq!(parts[1]["data"], "4 characters of base64, left out");
        assert_eq!(parts[1]["mimeType"], "image/png");
        let failed = json!({ "content": [text("no such\nfile")], "isError": true });
        assert_eq!(told(failed), Err("no such file".to_owned()));
    }

    #[test]
    fn a_result_is_bounded() {
        let long = "x".repeat(RESULT_MAX + 1);
        let long = told(json!({ "content": [{ "type": "text", "text": long }] }));
        assert!(long.unwrap_err().contains("longer than"));
        let mut deep = json!(1);
        for _ in 0..=DEPTH_MAX {
            deep = json!([deep]);
        }
        let deep = told(json!({ "content": [], "structuredContent": deep }));
        assert!(deep.unwrap_err().contains("deeper than"));
    }
}
