//! A program with a tool of its own: everything that `antiphon` can do, and `dice` besides.
//!
//! ```text
//! cargo run --example own_tool -- run examples/dice.yaml --input examples/dice-caller.yaml --out out/dice --fast
//! ```

use std::process::ExitCode;

use antiphon::cli::App;
use antiphon::tool::{ToolContext, ToolSpec};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let dice = ToolSpec::new("dice", "Throws dice").inline().parameters(json!({
        "type": "object",
        "properties": { "count": { "type": "string", "pattern": "^[1-9]$" } },
        "required": ["count"],
    }));
    App::default().tool(dice, throw).run()
}

/// Throws as many dice as the caller asks for; the same call throws the same, so that tests can rely on it.
fn throw(context: &ToolContext, arguments: &Value) -> Result<Value, String> {
    let count: u32 =
        arguments["count"].as_str().and_then(|count| count.parse().ok()).ok_or("no count")?;
    let throws: Vec<u32> =
        (0..count).map(|n| 1 + (context.occurrence * 5 + n * 3 + 2) % 6).collect();
    let sum: u32 = throws.iter().sum();
    Ok(json!({ "throws": throws, "sum": sum }))
}
