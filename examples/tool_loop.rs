//! A model with a tool, without audio: each piece is printed as it comes. A script stands in for the model.
//!
//! `cargo run --example tool_loop`

use std::error::Error;
use std::io::Write;

use antiphon::generate::scripted::Scripted;
use antiphon::generate::{StreamEvent, ToolLoopAgent};
use antiphon::think::chat::{Call, Message, ModelDelta, Response};
use antiphon::tool::{Registry, ToolContext, ToolSpec};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut tools = Registry::default();
    let parameters = json!({
        "type": "object",
        "properties": { "day": { "type": "string" } },
        "required": ["day"],
    });
    let spec = ToolSpec::new("opening_hours", "When the shop is open").parameters(parameters);
    tools.add(spec, |_: &ToolContext, arguments: &Value| match arguments["day"].as_str() {
        Some("sunday") => Err("it is closed".to_owned()),
        _ => Ok(json!({ "from": 9, "to": 18 })),
    })?;

    // A provider's model takes its place: whatever implements `LanguageModel`.
    let model = Scripted::new([
        Response::calling([Call::new("call-1", "opening_hours", json!({ "day": "monday" }))]),
        Response::saying("On Monday we are open from nine to six."),
    ]);
    let agent =
        ToolLoopAgent::new(model).with_system("You answer for a shop.").with_tools(tools)?;

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let mut run = agent.stream(vec![Message::user("When are you open on Monday?")]);
        while let Some(event) = run.next().await {
            match event? {
                StreamEvent::Delta(ModelDelta::Text(text)) => {
                    print!("{text}");
                    std::io::stdout().flush()?;
                }
                StreamEvent::ToolCall(call) => println!("[calls {} {}]", call.name, call.text()),
                StreamEvent::ToolResult(result) => println!("[it gives {}]", result.output.text()),
                StreamEvent::StepEnd { step } => println!("[step {step} is done]"),
                _ => {}
            }
        }
        Ok(())
    })
}
