//! The protocol as others have written it: the official Python client (`tests/peers/models.py`), and the LiteLLM proxy,
//! whose mock mode answers without a model.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use antiphon::config;
use antiphon::provider::speech::{Format, Utterance};
use antiphon::provider::transcription::{Detail, Recording};
use antiphon::think::chat::{
    Call, CallResult, Declaration, ErrorKind, FinishReason, Message, ModelRequest, Params, Part,
    ResponseFormat, Role, ToolChoice, ToolOutput,
};
use antiphon::tool::Json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::audio::{speech, transcription};
use super::protocol::{Answer, Asked, Server, chunk, fragment, usage};
use super::{KEY, ask, block_on, client, first, model, pieces, program, said};

/// How long the proxy may take to start: it is a large program, and this machine may be busy.
const STARTS: Duration = Duration::from_secs(180);

/// Runs a program until it ends or the standard input of this does: however a test ends, the program does not outlive it.
const KEEPER: &str = r#"
exec 3<&0
"$@" 3<&- </dev/null 2>&1 &
program=$!
( cat <&3; kill -9 $program ) >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait $program
kill $watch
"#;

fn transcript() -> Value {
    let segment = json!({
        "id": 0, "seek": 0, "start": 0.0, "end": 0.5, "text": " My order.", "tokens": [1, 2], "temperature": 0.0,
        "avg_logprob": -0.25, "compression_ratio": 1.0, "no_speech_prob": 0.01,
    });
    json!({ "task": "transcribe", "language": "english", "duration": 0.5, "text": "My order.", "segments": [segment] })
}

fn call() -> [Value; 4] {
    [
        fragment(0, Some("call_a"), Some("find"), ""),
        fragment(0, None, None, "{\"x\""),
        fragment(0, None, None, ": 1}"),
        chunk(&json!({}), Some("tool_calls")),
    ]
}

/// The server of the other tests is one that the official client understands; so what they show of Antiphon is no
/// misunderstanding that both share.
#[test]
fn the_official_client_understands_the_server_of_these_tests() {
    let slow = Answer::error(429, "slower").header("retry-after", "7");
    let error =
        json!({ "error": { "message": "out of memory", "type": "server_error", "code": null } });
    let server = Server::start([
        Answer::saying(&["Hello", " there."]),
        Answer::events(call()),
        slow,
        Answer::events_without_done([chunk(&json!({ "content": "One" }), None), error]),
        Answer::bytes("audio/pcm", vec![0; 4_800]),
        Answer::json(200, &transcript()),
    ]);
    let told = client(&["client", &server.url(), KEY], &[]);
    let told = serde_json::from_str::<Value>(&told).unwrap();
    assert_eq!(told["text"], "Hello there.");
    assert_eq!(told["calls"], json!({ "0": { "name": "find", "arguments": "{\"x\": 1}" } }));
    assert_eq!(told["finish"], json!(["stop", "tool_calls"]));
    assert_eq!(told["usage"]["prompt_tokens_details"]["cached_tokens"], 5);
    assert_eq!(told["limited"], json!([429, "7"]));
    assert_eq!(told["middle"], "out of memory");
    assert_eq!((&told["speech"], &told["heard"]), (&json!(4_800), &json!(["My order.", -0.25])));

    let chunks =
        [chunk(&json!({ "content": "x" }), None), chunk(&json!({}), Some("stop")), usage()];
    let chunks = chunks.into_iter().chain(call());
    let mut answers: Vec<Value> =
        chunks.map(|body| json!({ "type": "chunk", "body": body })).collect();
    let mut whole = transcript();
    whole["usage"] = json!({ "type": "duration", "seconds": 0.5 });
    answers.push(json!({ "type": "transcription", "body": whole }));
    assert_eq!(client(&["answers"], &answers), format!("ok {}", answers.len()));
}

fn everything() -> Vec<ModelRequest> {
    let mut said = Message::assistant("One moment.");
    said.parts.push(Part::ToolCall(Call::new("a", "find", json!({ "x": 1 }))));
    let only_calls = Message {
        role: Role::Assistant,
        parts: vec![Part::ToolCall(Call::written("b", "find", "{\"x\": "))],
    };
    let result = |call: &str, output| {
        let (call, name) = (call.to_owned(), "find".to_owned());
        Message::result(CallResult { call, name, output, provider_executed: false })
    };
    let mut picture = Message::user("What is this?");
    for (media_type, data) in
        [("image/png", "AAAA"), ("audio/wav", "AAAA"), ("application/pdf", "AAAA")]
    {
        picture.parts.push(Part::File { media_type: media_type.into(), data: data.into() });
    }
    let tool = |parameters| Declaration {
        name: "find".into(),
        description: "Finds.".into(),
        parameters: Json(parameters),
    };
    let full = ModelRequest {
        messages: vec![
            Message::system("Be brief."),
            Message::user("Find it."),
            said,
            result("a", ToolOutput::Json(Json(json!({ "found": true })))),
            only_calls,
            result("b", ToolOutput::Denied(None)),
            picture,
        ],
        tools: vec![tool(
            json!({ "type": "object", "properties": { "x": { "type": "integer" } } }),
        )],
        tool_choice: ToolChoice::Specific { tool_name: "find".into() },
        params: Params {
            temperature: Some(0.7),
            max_tokens: Some(100),
            top_p: Some(0.9),
            seed: Some(3),
            stop: vec!["END".into()],
        },
        format: Some(ResponseFormat {
            name: "answer".into(),
            schema: Json(
                json!({ "type": "object", "properties": {}, "additionalProperties": false }),
            ),
        }),
        provider_options: [("parallel_tool_calls".to_owned(), Json(json!(false)))].into(),
        ..ModelRequest::default()
    };
    let choosing =
        |tool_choice| ModelRequest { tools: vec![tool(Value::Null)], tool_choice, ..ask() };
    let choices = [ToolChoice::Auto, ToolChoice::Required, ToolChoice::None].map(choosing);
    [ask(), full].into_iter().chain(choices).collect()
}

#[test]
fn everything_that_is_asked_is_what_the_official_client_would_ask() {
    let requests = everything();
    let count = requests.len();
    let server = Server::start(std::iter::repeat_n(Answer::saying(&["Yes."]), count));
    let chat = first(&[("fast", model(&server))]);
    for request in requests {
        block_on(chat.generate(request)).unwrap();
    }
    server.will([Answer::bytes("audio/pcm", vec![0; 10]), Answer::bytes("audio/pcm", vec![0; 10])]);
    for (instructions, speed) in [(None, None), (Some("Gently."), Some(1.25))] {
        let utterance = Utterance { text: "Good day.", voice: "alloy", instructions, speed };
        assert!(block_on(speech(&model(&server), Format::Pcm).speak(utterance)).is_ok());
    }
    let details = [Detail::Words, Detail::Segments, Detail::Tokens];
    for detail in details {
        server.will([Answer::json(200, &transcript())]);
        let recording = Recording {
            samples: &[0; 160],
            rate_hz: 16_000,
            language: Some("en"),
            prompt: Some("Order."),
        };
        block_on(transcription(&model(&server), detail).transcribe(recording)).unwrap();
    }
    let line = |asked: &Asked| {
        json!({
            "path": asked.path,
            "content_type": asked.headers["content-type"].to_str().unwrap(),
            "body": STANDARD.encode(&asked.body),
        })
    };
    let lines: Vec<Value> = server.asked().iter().map(line).collect();
    assert_eq!(lines.len(), count + 2 + details.len());
    assert_eq!(client(&["requests"], &lines), format!("ok {}", lines.len()));
}

/// The proxy, on a port that it chose itself.
struct Proxy {
    keeper: Child,
    url: String,
    _folder: tempfile::TempDir,
    lines: Receiver<String>,
}

impl Proxy {
    #[track_caller]
    fn start(config: &Value) -> Self {
        let litellm = program("litellm");
        assert!(
            litellm.exists(),
            "the LiteLLM proxy is not there; run scripts/setup.sh models, which installs it into .tools"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        // JSON is YAML.
        std::fs::write(&file, config.to_string()).unwrap();
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&litellm)
            .args(["--host", "127.0.0.1", "--port", "0", "--telemetry", "False", "--config"])
            .arg(&file)
            // What models cost is not asked of anybody.
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUNBUFFERED", "1")
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What the program says goes to the other one.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (tell, lines) = sync_channel(10_000);
        let stdout = BufReader::new(keeper.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // Nobody has to read what it says later.
                tell.try_send(line).ok();
            }
        });
        let mut proxy = Self { keeper, url: String::new(), _folder: folder, lines };
        let mut log = String::new();
        loop {
            let Ok(line) = proxy.lines.recv_timeout(STARTS) else {
                panic!("the LiteLLM proxy did not start:\n{log}");
            };
            if let Some((_, address)) = line.split_once("running on ") {
                proxy.url = format!("{}/v1", address.split_whitespace().next().unwrap());
                return proxy;
            }
            log = format!("{log}{line}\n");
        }
    }

    fn model(&self, name: &str) -> config::Model {
        config::Model {
            base_url: self.url.clone(),
            api_key_env: Some("KEY".into()),
            model: Some(name.into()),
            retries: 0,
            // It is slow the first time.
            first_timeout_ms: 60_000,
            ..config::Model::default()
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The keeper ends its program when this is closed.
        drop(self.keeper.stdin.take());
        self.keeper.wait().ok();
    }
}

#[test]
fn a_proxy_of_models_is_understood_and_stood_in_for() {
    const WORDS: &str = "The answer is forty-two, as told by nobody.";
    let model = |name: &str, response: &str| {
        json!({
            "model_name": name,
            "litellm_params": { "model": "openai/gpt-4o", "api_key": "none", "mock_response": response },
        })
    };
    let proxy = Proxy::start(&json!({
        "model_list": [model("mock", WORDS), model("limited", "litellm.RateLimitError")],
        "general_settings": { "master_key": KEY },
    }));
    let (answer, error) = block_on(pieces(&*first(&[("mock", proxy.model("mock"))]))).unwrap();
    assert_eq!((&*said(&answer), error), (WORDS, None));
    assert!(answer.len() > 5, "it comes in pieces: {answer:?}");
    let tools = everything().remove(3);
    let response = block_on(first(&[("mock", proxy.model("mock"))]).generate(tools)).unwrap();
    assert_eq!((&*response.text(), response.finish_reason), (WORDS, Some(FinishReason::Stop)));
    assert!(response.usage.unwrap().total.unwrap() > 5);

    let limited = block_on(pieces(&*first(&[("limited", proxy.model("limited"))]))).unwrap_err();
    assert_eq!(limited.kind, ErrorKind::Limited, "{limited}");
    assert!(limited.message.contains("HTTP 429: litellm.RateLimitError"), "{limited}");
    let unknown = block_on(pieces(&*first(&[("none", proxy.model("none"))]))).unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::Refused, "{unknown}");
    let chosen = first(&[("limited", proxy.model("limited")), ("mock", proxy.model("mock"))]);
    let (answer, _) = block_on(pieces(&*chosen)).unwrap();
    assert_eq!((&*said(&answer), super::warnings(&answer).len()), (WORDS, 1));
}
