//! A program with a tool of its own: everything that `antiphon` can do, and `dice` besides.
//!
//! ```text
//! cargo run --example own_tool -- run examples/dice.yaml --input examples/dice-caller.yaml --out out/dice --fast
//! ```

use std::process::ExitCode;

use antiphon::cli::App;
use antiphon::tool::{ToolContext, ToolSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

fn main() -> ExitCode {
    App::default().function(ToolSpec::new("dice", "Throws dice").inline(), throw).run()
}

/// What is thrown. Its schema is the tool's, descriptions and all.
#[derive(Deserialize, JsonSchema)]
struct Dice {
    /// How many dice: 1 to 9.
    #[schemars(regex(pattern = "^[1-9]$"))]
    count: String,
}

/// What came of it.
#[derive(Serialize)]
struct Thrown {
    throws: Vec<u32>,
    sum: u32,
}

/// Throws as many dice as the caller asks for; the same call throws the same, so that tests can rely on it.
fn throw(context: &ToolContext, Dice { count }: Dice) -> Result<Thrown, String> {
    let count: u32 = count.parse().map_err(|_| "no count")?;
    let throws: Vec<u32> =
        (0..count).map(|n| 1 + (context.occurrence * 5 + n * 3 + 2) % 6).collect();
    let sum = throws.iter().sum();
    Ok(Thrown { throws, sum })
}
