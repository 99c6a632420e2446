//! Lines of `ticks.jsonl`: a tick as tau2 tells it, both sides at once.
//!
//! Nearly all ticks are silent, and a call has 50 of them a second: the line is put together by hand, in
//! a buffer that is kept. Its fields, in this order, are those of tau2's `Tick`; a chunk has those of
//! its messages that a chunk of audio fills. `is_final_chunk` says that nothing goes on after the chunk,
//! as far as the tick knows: it is silent, or an item ends in it.
//!
//! **Invariant:** a line depends on the outputs so far and nothing else, save
//! `wall_clock_duration_seconds`, which is null in virtual time.

use std::fmt::Display;
use std::io::Write;

use serde_json::Value;

use super::stamp::rfc3339;
use super::turns::Turns;
use crate::clock::{Tick, TickLen};
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::tool::{CallRecord, Outcome, ToolCall};

/// What a line says of a tick after a fork has left its recording.
pub(super) const COUNTERFACTUAL: &[u8] = b",\"counterfactual\":true";

/// Puts lines together.
#[derive(Debug)]
pub(super) struct TickLines {
    len: TickLen,
    epoch_ms: u64,
    /// What every chunk says of its audio.
    format: String,
    /// What every line says of its length.
    seconds: String,
    spoken: String,
    line: Vec<u8>,
}

/// One side's chunk of a tick.
struct Chunk<'a, Id> {
    role: &'a str,
    content: Option<&'a str>,
    speech: bool,
    utterances: &'a mut dyn Iterator<Item = Id>,
    last: bool,
}

impl TickLines {
    pub(super) fn new(plan: &Plan) -> Self {
        let (rate_hz, samples) = (plan.rate.hz(), plan.samples());
        Self {
            len: plan.len,
            epoch_ms: plan.config.epoch.unix_ms(),
            format: format!(
                r#"{{"rate_hz":{rate_hz},"encoding":"pcm_s16le","samples":{samples}}}"#
            ),
            seconds: Value::from(f64::from(plan.len.ms()) / 1_000.0).to_string(),
            spoken: String::new(),
            line: Vec::with_capacity(2_048),
        }
    }

    /// The line of a tick, with its end; `turns` have heard the tick already. `wall_ns` is how long it
    /// took, where that was measured and may be told. A counterfactual tick says that it is one.
    pub(super) fn line(
        &mut self,
        now: Tick,
        out: &Output,
        turns: &Turns,
        wall_ns: Option<u64>,
        counterfactual: bool,
    ) -> &[u8] {
        self.line.clear();
        turns.spoken(out, &mut self.spoken);
        let at = rfc3339(self.epoch_ms + self.len.start_ms(now));
        let Self { line, format, spoken, .. } = self;
        line.extend_from_slice(b"{\"tick_id\":");
        number(line, now.0);
        line.extend_from_slice(b",\"timestamp\":\"");
        line.extend_from_slice(&at);
        line.extend_from_slice(b"\",\"agent_chunk\":");
        let agent = Chunk {
            role: "assistant",
            content: (!spoken.is_empty()).then_some(spoken),
            speech: out.agent_speech,
            utterances: &mut out.played.iter().map(|played| played.item),
            last: !out.agent_speech || out.played.last().is_some_and(|played| played.finished),
        };
        agent.put(line, format, now, &at);
        line.extend_from_slice(b",\"user_chunk\":");
        let voiced = turns.open().filter(|_| out.user_speech);
        let user = Chunk {
            role: "user",
            content: turns.words(),
            speech: out.user_speech,
            utterances: &mut voiced.map(|(lane, utterance)| format!("{lane}/{utterance}")),
            last: !out.user_speech,
        };
        user.put(line, format, now, &at);
        line.extend_from_slice(b",\"agent_tool_calls\":");
        list(line, &out.calls, call);
        line.extend_from_slice(b",\"user_tool_calls\":[],\"agent_tool_results\":");
        list(line, &out.results, |line, record| result(line, record, &at));
        line.extend_from_slice(b",\"user_tool_results\":[],\"user_transcript\":");
        text_or_null(line, turns.words());
        line.extend_from_slice(b",\"tick_duration_seconds\":");
        line.extend_from_slice(self.seconds.as_bytes());
        line.extend_from_slice(b",\"wall_clock_duration_seconds\":");
        match wall_ns {
            Some(ns) => put(line, format_args!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)),
            None => line.extend_from_slice(b"null"),
        }
        line.extend_from_slice(if counterfactual { COUNTERFACTUAL } else { b"" });
        line.extend_from_slice(b"}\n");
        line
    }
}

impl<Id: Display> Chunk<'_, Id> {
    fn put(self, line: &mut Vec<u8>, format: &str, now: Tick, at: &[u8]) {
        line.extend_from_slice(b"{\"role\":\"");
        line.extend_from_slice(self.role.as_bytes());
        line.extend_from_slice(b"\",\"content\":");
        text_or_null(line, self.content);
        line.extend_from_slice(b",\"is_audio\":true,\"audio_format\":");
        line.extend_from_slice(format.as_bytes());
        line.extend_from_slice(b",\"contains_speech\":");
        truth(line, self.speech);
        line.extend_from_slice(b",\"chunk_id\":");
        number(line, now.0);
        line.extend_from_slice(b",\"utterance_ids\":");
        list(line, self.utterances, |line, id| put(line, format_args!("\"{id}\"")));
        line.extend_from_slice(b",\"is_final_chunk\":");
        truth(line, self.last);
        line.extend_from_slice(b",\"timestamp\":\"");
        line.extend_from_slice(at);
        line.extend_from_slice(b"\"}");
    }
}

fn call(line: &mut Vec<u8>, call: &ToolCall) {
    put(line, format_args!("{{\"id\":\"{}\",\"name\":", call.id));
    text(line, &call.name);
    line.extend_from_slice(b",\"arguments\":");
    put(line, &call.arguments.0);
    line.extend_from_slice(b",\"requestor\":\"assistant\"}");
}

fn result(line: &mut Vec<u8>, record: &CallRecord, at: &[u8]) {
    put(line, format_args!("{{\"id\":\"{}\",\"role\":\"tool\",\"content\":", record.id));
    match &record.outcome {
        Outcome::Done(json) => text(line, &told(&json.0)),
        Outcome::Failed(failure) => text(line, &format!("Error: {failure}")),
    }
    line.extend_from_slice(b",\"requestor\":\"assistant\",\"error\":");
    truth(line, !record.outcome.is_done());
    line.extend_from_slice(b",\"timestamp\":\"");
    line.extend_from_slice(at);
    line.extend_from_slice(b"\"}");
}

/// A tool's value as the text that tau2 tells a model: a text as it is; of anything else the JSON, in
/// which numbers and truth values are texts, written as Python does.
fn told(value: &Value) -> String {
    fn texts(value: &Value) -> Value {
        match value {
            Value::Null | Value::String(_) => value.clone(),
            Value::Bool(true) => "True".into(),
            Value::Bool(false) => "False".into(),
            Value::Number(number) => number.to_string().into(),
            Value::Array(values) => values.iter().map(texts).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), texts(value))).collect()
            }
        }
    }
    match value {
        Value::String(text) => text.clone(),
        other => texts(other).to_string(),
    }
}

fn list<T>(
    line: &mut Vec<u8>,
    values: impl IntoIterator<Item = T>,
    mut each: impl FnMut(&mut Vec<u8>, T),
) {
    line.push(b'[');
    for (n, value) in values.into_iter().enumerate() {
        if n > 0 {
            line.push(b',');
        }
        each(line, value);
    }
    line.push(b']');
}

fn text_or_null(line: &mut Vec<u8>, content: Option<&str>) {
    match content {
        Some(content) => text(line, content),
        None => line.extend_from_slice(b"null"),
    }
}

fn text(line: &mut Vec<u8>, content: &str) {
    serde_json::to_writer(line, content).expect("a text has a JSON form, and memory takes it");
}

fn truth(line: &mut Vec<u8>, truth: bool) {
    line.extend_from_slice(if truth { b"true" } else { b"false" });
}

fn put(line: &mut Vec<u8>, value: impl Display) {
    write!(line, "{value}").expect("memory takes everything");
}

/// Puts a number: the machinery of formatting takes longer than all else of a silent line.
pub(super) fn number(line: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[from..]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        for n in [0, 7, 10, 1_234_567_890, u64::MAX] {
            let mut line = Vec::new();
            number(&mut line, n);
            assert_eq!(line, n.to_string().as_bytes());
        }
    }

    #[test]
    fn values_are_told_as_tau2_tells_them() {
        assert_eq!(told(&json!("as it is")), "as it is");
        assert_eq!(
            told(&json!({ "n": 3, "ok": true, "none": null })),
            r#"{"n":"3","none":null,"ok":"True"}"#
        );
        assert_eq!(told(&json!([1.5, "a"])), r#"["1.5","a"]"#);
        assert_eq!(told(&json!(null)), "null");
        assert_eq!(told(&json!(5)), r#""5""#);
    }
}
