//! Tools of MCP servers: the official ones, one that misbehaves, and every row of docs/tools.md about them.
//!
//! `scripts/setup.sh mcp` installs the servers.

mod outside;
mod program;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use antiphon::config::Config;
use outside::{Reached, fifo, until_closed};
use program::Desk;
use serde_json::{Value, json};

const SECRET: &str = "k3y-that-nobody-may-see";

/// How long something is waited for that comes.
const PATIENCE: Duration = Duration::from_secs(20);

fn peers() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/mcp");
    let installed = folder.join("node_modules/made-from.json");
    assert!(installed.is_file(), "the MCP servers are not installed; run scripts/setup.sh mcp");
    folder
}

/// The program of an official server.
fn official(name: &str) -> String {
    let path =
        peers().join(format!("node_modules/@modelcontextprotocol/server-{name}/dist/index.js"));
    path.display().to_string()
}

/// A server `moody`, with more keys.
fn moody(more: &str) -> String {
    let script = peers().join("moody.mjs").display().to_string();
    format!("mcp_servers:\n  moody: {{ command: node, args: ['{script}'] {more} }}\n")
}

fn names(config: &Config) -> Vec<&str> {
    config.tools.keys().map(String::as_str).collect()
}

#[test]
fn the_official_server_is_reached_over_standard_input_and_output() {
    let yaml = format!(
        "mcp_servers:\n  every: {{ command: node, args: ['{}', stdio], env: {{ TOKEN: '${{KEY}}' }} }}\n",
        official("everything")
    );
    let desk = Reached::new(&yaml, &[("KEY", SECRET)]);
    everything(&desk);
    // It has been given its own variables, and none of ours.
    let Value::String(env) = desk.value("get_env", json!({})) else { panic!("no text") };
    let env: Value = serde_json::from_str(&env).unwrap();
    assert_eq!(env["TOKEN"], SECRET);
    assert!(env.as_object().unwrap().keys().all(|name| !name.starts_with("CARGO")), "{env}");
    let shown = format!("{:?} {:?} {}", desk.remote, desk.tools, desk.config.to_json());
    assert!(!shown.contains(SECRET), "{shown}");
}

/// What is found at the official server, and what it answers.
fn everything(desk: &Reached) {
    assert!(desk.warnings.is_empty(), "{:?}", desk.warnings);
    let sum = &desk.config.tools["get_sum"];
    assert_eq!(sum.mcp.as_ref().map(|mcp| mcp.tool.as_str()), Some("get-sum"));
    assert!(!sum.description.is_empty());
    assert_eq!(sum.parameters["properties"]["a"]["type"], "number");
    assert_eq!(desk.value("echo", json!({ "message": "hi" })), json!("Echo: hi"));
    let Value::String(text) = desk.value("get_sum", json!({ "a": 2, "b": 40 })) else {
        panic!("no text")
    };
    assert!(text.contains("42"), "{text}");
    let weather = desk.value("get_structured_content", json!({ "location": "New York" }));
    assert!(weather["temperature"].is_number(), "{weather}");
    let parts = desk.value("get_tiny_image", json!({}));
    let picture = parts.as_array().unwrap().iter().find(|part| part["type"] == "image").unwrap();
    assert!(picture["data"].as_str().unwrap().ends_with("left out"), "{picture}");
    // Arguments are checked before the server is asked.
    let (kind, message) = desk.failure("get_sum", json!({ "a": "two", "b": 40 }));
    assert_eq!(kind, antiphon::tool::FailureKind::InvalidArguments, "{message}");
}

/// The official server over HTTP, ended when it is dropped.
struct Served(Child, String);

impl Served {
    fn start() -> Self {
        use std::io::BufRead;
        // A port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new("node")
            .args([&official("everything"), "streamableHttp"])
            .env("PORT", port.to_string())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("node runs");
        let lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
        let (tell, told) = std::sync::mpsc::sync_channel(100);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                drop(tell.send(line));
            }
        });
        let mut said = String::new();
        while !said.contains("listening on port") {
            said = told.recv_timeout(PATIENCE).expect("it listens");
        }
        Self(child, format!("http://127.0.0.1:{port}/mcp"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn the_official_server_is_reached_over_streamable_http() {
    let server = Served::start();
    let yaml = "mcp_servers:\n  every: { url: '${AT}', headers: { Authorization: 'Bearer ${KEY}' }, timeout_ms: 5000 }\n";
    let desk = Reached::new(yaml, &[("AT", &server.1), ("KEY", SECRET)]);
    everything(&desk);
    assert_eq!(desk.config.tools["echo"].timeout_ms, 5_000);
    drop(server);
    let (_, message) = desk.failure("echo", json!({ "message": "hi" }));
    assert!(message.contains("the MCP server `every`"), "{message}");
    assert!(!message.contains(SECRET), "{message}");
}

#[test]
fn files_are_listed_and_read_by_the_official_server_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("note.txt"), "Call Ann back.").unwrap();
    let at = folder.path().canonicalize().unwrap().display().to_string();
    let yaml = format!(
        "mcp_servers:\n  files: {{ command: node, args: ['{}', '{at}'], tools: [read_text_file, list_directory] }}\n",
        official("filesystem")
    );
    let desk = Reached::new(&yaml, &[]);
    assert_eq!(names(&desk.config), ["list_directory", "read_text_file"]);
    let read = desk.value("read_text_file", json!({ "path": format!("{at}/note.txt") }));
    assert!(read.to_string().contains("Call Ann back."), "{read}");
    desk.fails("read_text_file", json!({ "path": "/etc/passwd" }), "Access denied");
}

#[test]
fn a_model_is_told_of_all_tools_of_a_server_that_its_agent_lists() {
    let yaml = moody("").replace("moody:", "inner:")
        + "models: { m: { provider: canned, replies: [{ say: Hi. }] } }\ntools: { own: {} }\n";
    let text = format!(
        "name: a\nstart: a\nagents: {{ a: {{ kind: model, model: m, tools: [own, inner], stop_after: [hang] }} }}\n{yaml}"
    );
    let config =
        antiphon::config::parse(text.as_bytes(), "a").unwrap_or_else(|all| panic!("{all}"));
    let remote = antiphon::remote::Remote::start(&config, &|_| None).unwrap();
    let (resolved, _) = remote.resolved();
    // It is a configuration like any other, and so is what a journal has of it.
    let again = antiphon::config::parse(resolved.to_json().as_bytes(), "again");
    assert_eq!(again.unwrap_or_else(|all| panic!("{all}")), resolved);
    let plan = antiphon::session::plan::Plan::new(resolved).unwrap();
    let antiphon::session::plan::AgentKind::Model(thinker) = &plan.agents[0].kind else {
        panic!("no model")
    };
    let told: Vec<&str> =
        thinker.options.tools.iter().map(|tool| tool.declaration.name.as_str()).collect();
    assert_eq!(told.first(), Some(&"own"));
    assert!(told.contains(&"grow") && told.contains(&"hang"), "{told:?}");
    let grow = thinker.options.tools.iter().find(|tool| tool.declaration.name == "grow").unwrap();
    assert_eq!(grow.declaration.description, "does grow");
    assert_eq!(grow.declaration.parameters.0["required"], json!(["name"]));
}

#[test]
fn a_list_that_changes_is_followed() {
    let desk = Reached::new(&moody(""), &[]);
    assert!(!names(&desk.config).contains(&"dance"));
    let changes = desk.remote.changes();
    desk.value("grow", json!({ "name": "dance" }));
    let more = changes.recv_timeout(PATIENCE).expect("a configuration follows");
    assert!(names(&more).contains(&"dance"), "{:?}", names(&more));
    let mut tools = antiphon::tool::Registry::default();
    desk.remote.add_to(&more, &mut tools).unwrap();
    let desk = Reached { tools, config: more, ..desk };
    assert_eq!(desk.value("dance", json!({})), json!("dance"));
    desk.value("shrink", json!({ "name": "dance" }));
    let fewer = changes.recv_timeout(PATIENCE).expect("a configuration follows");
    assert!(!names(&fewer).contains(&"dance"), "{:?}", names(&fewer));
    // Who still calls it is told.
    desk.fails("dance", json!({}), "no tool dance");
}

#[test]
fn a_call_is_known_again_by_its_meta() {
    let desk = Reached::new(&moody(""), &[]);
    let meta = desk.value("meta", json!({}));
    assert_eq!(meta[antiphon::remote::IDEMPOTENCY_META], "session-7-call-3");
}

#[test]
fn whatever_a_server_answers_becomes_an_outcome() {
    let desk = Reached::new(&moody(", timeout_ms: 4000"), &[]);
    desk.fails("fail", json!({ "text": "no such\norder" }), "no such order");
    desk.fails("refuse", json!({ "text": "not today" }), "the MCP server `moody` refuses: ");
    desk.fails("fail", json!({ "text": "x".repeat(100_000) }), "xxx …");
    desk.fails(
        "long",
        json!({ "bytes": (1 << 20) + 1 }),
        "the result is longer than 1048576 bytes",
    );
    desk.fails("deep", json!({ "levels": 101 }), "nested deeper than 100");
    assert_eq!(desk.value("chatter", json!({})), json!("all the same"));
    // So deep that no reader of JSON takes it: it is as if there had been no answer.
    desk.fails("deep", json!({ "levels": 5_000 }), "has not answered within 4000 ms");
    assert_eq!(desk.value("long", json!({ "bytes": 3 })), json!("xxx"));
}

#[test]
fn a_call_that_hangs_ends_at_its_time() {
    let desk = Reached::new(&moody(", timeout_ms: 500"), &[]);
    desk.fails("hang", json!({}), "the MCP server `moody` has not answered within 500 ms");
    assert_eq!(desk.value("long", json!({ "bytes": 1 })), json!("x"));
}

#[test]
fn a_server_that_dies_fails_its_call_and_is_started_anew() {
    let desk = Reached::new(&moody(""), &[]);
    desk.value("grow", json!({ "name": "dance" }));
    let changes = desk.remote.changes();
    changes.recv_timeout(PATIENCE).expect("the list is followed");
    desk.fails("die", json!({}), "the MCP server `moody` has gone away during the call");
    // It comes back without what it had grown, and says so by listing anew.
    let after = changes.recv_timeout(PATIENCE).expect("it is there again");
    assert!(!names(&after).contains(&"dance"));
    assert_eq!(desk.value("long", json!({ "bytes": 2 })), json!("xx"));
}

#[test]
fn a_server_that_cannot_be_had_is_told_at_once_with_what_it_says() {
    let script = peers().join("moody.mjs").display().to_string();
    let yaml = format!(
        "mcp_servers:
  broken: {{ command: node, args: ['{script}', --broken], env: {{ MOODY_KEY: '${{KEY}}' }} }}
  gone: {{ url: 'http://127.0.0.1:9/mcp' }}
  mute: {{ command: node, args: ['{script}', --mute], connect_timeout_ms: 1500 }}
  none: {{ command: no-such-program }}
"
    );
    let wrong = Reached::tried(&yaml, &[("KEY", SECRET)]).err().expect("none can be had");
    assert_eq!(wrong.len(), 4, "{wrong:?}");
    let wanted = [
        ("mcp_servers.broken: it cannot be talked to", "it says: no licence for …"),
        ("mcp_servers.gone: it cannot be talked to", ""),
        ("mcp_servers.mute: it has not listed its tools within 1500 ms", ""),
        ("mcp_servers.none: `no-such-program` cannot be started: there is no such program", ""),
    ];
    for (told, (begin, end)) in wrong.iter().zip(wanted) {
        assert!(told.starts_with(begin) && told.contains(end), "{told}");
        assert!(!told.contains(SECRET), "{told}");
    }
}

#[test]
fn when_nobody_needs_a_server_any_more_it_is_ended_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = fifo(folder.path());
    let desk = Reached::new(&moody(""), &[]);
    let path = pipe.display().to_string();
    let closed = std::thread::spawn(move || until_closed(pipe));
    desk.value("child", json!({ "fifo": path }));
    drop(desk);
    closed.join().unwrap();
}

#[test]
fn a_call_follows_a_list_that_changes_and_its_journal_replays_without_the_server() {
    let desk = Desk::new();
    let yaml = moody("")
        + "
name: desk
audio: { tick_ms: 20 }
tools:
  more: { mcp: { server: moody, tool: grow } }
agents:
  desk:
    tools: [more]
    intents:
      - { name: more, phrases: [one more], call: { tool: more, with: { name: dance } }, then: '{result}.' }
transitions: []
";
    desk.put("desk.yaml", yaml);
    desk.put(
        "caller.yaml",
        "cues:
  - { type: one more, after: { start_ms: 100 } }
  - { type: thanks, after: { previous_ms: 2500 } }
hang_up_ms: 500
",
    );
    desk.run("check desk.yaml").exits(0);
    desk.run("run desk.yaml --input caller.yaml --out out").exits(0);
    let events = desk.events("out");
    let result = events.iter().find(|event| event["type"] == "tool.result").expect("it was called");
    assert_eq!(result["outcome"]["Done"], "dance is there");
    assert!(
        events.iter().any(|event| event["type"] == "config.reloaded"),
        "the list was not followed"
    );
    // The journal has what was found, and needs nobody to be replayed.
    let replayed = desk
        .command(env!("CARGO_BIN_EXE_antiphon"), "replay out")
        .env("PATH", "")
        .output()
        .unwrap();
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
}
