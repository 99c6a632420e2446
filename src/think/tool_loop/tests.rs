//! The loop, held against its rules one by one.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::*;
use crate::think::chat::{CallResult, Declaration, ErrorKind, FinishReason, Part, Role, Usage};

/// What a scripted model answers, step by step.
fn says(text: &str) -> Response {
    let parts = vec![Part::Text(text.to_owned())];
    Response { parts, finish_reason: Some(FinishReason::Stop), ..Response::default() }
}

fn calls(calls: &[(&str, &str, Value)]) -> Response {
    let parts = calls
        .iter()
        .map(|(id, name, arguments)| Part::ToolCall(Call::new(*id, *name, arguments.clone())));
    Response {
        parts: parts.collect(),
        finish_reason: Some(FinishReason::ToolCalls),
        ..Response::default()
    }
}

fn tool(name: &str) -> LoopTool {
    LoopTool::new(Declaration {
        name: name.to_owned(),
        description: String::new(),
        parameters: Json(json!({ "type": "object", "properties": { "n": { "type": "integer" } } })),
    })
    .unwrap()
}

/// Two tools, `add` and `pay`, and somebody who runs what is declared.
fn options() -> LoopOptions {
    LoopOptions {
        tools: vec![tool("add"), tool("pay")],
        resolver: Some(Resolver::Known(["hidden".to_owned()].into())),
        ..LoopOptions::default()
    }
}

/// What was done on the way.
#[derive(Default)]
struct Driven {
    requests: Vec<ModelRequest>,
    executed: Vec<Call>,
    steps: usize,
}

type Approves<'a> = &'a mut dyn FnMut(&Call) -> Approval;

/// Drives a run to its end.
fn drive(
    run: &mut ToolLoop,
    options: &LoopOptions,
    answers: impl IntoIterator<Item = Response>,
    mut prepare: impl FnMut(u32, &ToolLoop) -> Prepared,
    approve: Approves<'_>,
) -> Driven {
    let mut answers: VecDeque<Response> = answers.into_iter().collect();
    let mut driven = Driven::default();
    loop {
        match run.poll(options) {
            Todo::Prepare { step } => {
                let prepared = prepare(step, run);
                run.prepared(options, prepared);
            }
            Todo::Ask(request) => {
                driven.requests.push(*request);
                match answers.pop_front() {
                    Some(answer) => run.respond(answer),
                    None => run.fail(ModelError::new(ErrorKind::Provider, "there is no more")),
                }
            }
            Todo::Approve(call) => run.approval(&call.id, approve(&call)),
            Todo::Execute(call) => {
                let output = match call.name.as_str() {
                    "pay" => ToolOutput::failed("no money"),
                    _ => ToolOutput::Json(call.arguments.clone()),
                };
                run.result(&call.id, output);
                driven.executed.push(call);
            }
            Todo::Step => driven.steps += 1,
            Todo::Over => return driven,
            Todo::Wait => panic!("nothing is under way"),
        }
    }
}

fn run_with(
    options: &LoopOptions,
    answers: impl IntoIterator<Item = Response>,
) -> (ToolLoop, Driven) {
    let mut run = ToolLoop::new("run", vec![Message::user("hello")]);
    let driven = drive(&mut run, options, answers, |_, _| Prepared::default(), &mut |call| {
        Approval::Approve(call.arguments.clone())
    });
    (run, driven)
}

fn outputs(run: &ToolLoop) -> Vec<String> {
    let results = run.steps().iter().flat_map(StepResult::tool_results);
    results.map(|result| result.output.text()).collect()
}

#[test]
fn a_step_is_an_answer_its_calls_in_order_and_their_results() {
    let first = Response {
        usage: Some(Usage { total: Some(3), ..Usage::default() }),
        raw_finish_reason: Some("tool_calls".into()),
        warnings: vec!["slow".into()],
        ..calls(&[("1", "add", json!({ "n": 1 })), ("2", "pay", json!({}))])
    };
    let options = LoopOptions {
        keeps_requests: true,
        function_id: Some("demo".into()),
        metadata: Some(Json(json!({ "a": 1 }))),
        ..options()
    };
    let (run, driven) = run_with(&options, [first, says("Done.")]);
    assert_eq!(run.ending(), Some(&Ending::Natural));
    assert_eq!((driven.steps, run.text().as_str()), (2, "Done."));
    assert_eq!(outputs(&run), [r#"{"n":1}"#, "<tool error: no money>"]);
    let step = &run.steps()[0];
    assert_eq!((step.call_id.as_str(), step.step_number), ("run", 0));
    assert_eq!(step.messages[0].role, Role::Assistant);
    assert_eq!(step.messages[1..].iter().filter(|it| it.role == Role::Tool).count(), 2);
    assert_eq!(step.function_id.as_deref(), Some("demo"));
    assert_eq!(step.request.as_ref().map(|request| request.tools.len()), Some(2));
    assert_eq!((step.finish_reason(), step.usage()), (Some(&FinishReason::ToolCalls), run.usage()));
    // The second request has the first step's messages.
    let roles: Vec<_> = driven.requests[1].messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::Tool]);
    assert_eq!(run.history().len(), 5);
}

#[test]
fn conditions_are_looked_at_after_the_tools_ran() {
    let answer = |n: u32| calls(&[(&n.to_string(), "add", json!({ "n": n }))]);
    let options = LoopOptions { stop: vec![StopCondition::HasToolCall("add".into())], ..options() };
    let (run, driven) = run_with(&options, (0..5).map(answer));
    assert_eq!((run.ending(), driven.executed.len()), (Some(&Ending::Stopped), 1));
    assert_eq!(run.steps()[0].tool_results().count(), 1);
}

#[test]
fn steps_are_bounded_and_that_is_no_error() {
    let answer = |n: u32| calls(&[(&n.to_string(), "add", json!({ "n": n }))]);
    let count = |max_steps, stop| {
        let options = LoopOptions { max_steps, stop, ..options() };
        let (run, driven) = run_with(&options, (0..40).map(answer));
        (driven.steps, run.ending().cloned().unwrap())
    };
    assert_eq!(count(MAX_STEPS, vec![]), (8, Ending::MaxSteps));
    assert_eq!(count(0, vec![]), (1, Ending::MaxSteps), "none is one");
    // The bound does not silently cut short what is asked for.
    assert_eq!(count(8, vec![StopCondition::StepCountIs(10)]), (10, Ending::Stopped));
    assert_eq!(count(8, vec![StopCondition::StepCountIs(3)]), (3, Ending::Stopped));
    let options = LoopOptions { max_steps: 1, ..options() };
    let (run, _) = run_with(&options, [answer(1)]);
    assert_eq!(run.text(), "", "the last message is a tool's");
}

#[test]
fn without_somebody_who_runs_calls_they_are_told_and_no_more() {
    let options = LoopOptions { resolver: None, ..options() };
    let (run, driven) = run_with(&options, [calls(&[("1", "add", json!({}))])]);
    assert_eq!((run.ending(), driven.executed.len()), (Some(&Ending::Natural), 0));
    assert!(run.steps()[0].has_tool_calls() && !run.steps()[0].has_tool_results());
}

#[test]
fn what_nobody_knows_is_skipped_and_ends_the_loop() {
    let (run, driven) =
        run_with(&options(), [calls(&[("1", "what", json!({})), ("2", "add", json!({}))])]);
    assert_eq!((run.ending(), driven.executed.len()), (Some(&Ending::Natural), 1));
    // One that is not declared, and known to who runs calls.
    let (run, driven) = run_with(&options(), [calls(&[("1", "hidden", json!({}))]), says("So.")]);
    assert_eq!((driven.executed.len(), run.steps().len()), (1, 2));
    assert_eq!(run.steps()[0].dynamic_tool_calls().count(), 1);
    let all = LoopOptions { resolver: Some(Resolver::All), ..options() };
    let (_, driven) = run_with(&all, [calls(&[("1", "what", json!({}))]), says("So.")]);
    assert_eq!(driven.executed.len(), 1);
}

#[test]
fn wrong_arguments_are_a_result_and_nothing_is_run() {
    let malformed = Response {
        parts: vec![Part::ToolCall(Call::written("2", "add", "{\"n\": "))],
        ..calls(&[])
    };
    let wrong = calls(&[("1", "add", json!({ "n": "one" }))]);
    let (run, driven) = run_with(&options(), [wrong, malformed, says("Sorry.")]);
    assert_eq!((driven.executed.len(), run.text().as_str()), (0, "Sorry."));
    for (output, why) in outputs(&run).iter().zip(["/n", "not JSON"]) {
        let output: Value = serde_json::from_str(output).unwrap();
        assert_eq!(output["error"], "invalid_args");
        assert!(output["reason"].as_str().unwrap().contains(why), "{output}");
    }
}

#[test]
fn somebody_approves_alters_or_denies() {
    let options = LoopOptions { approves: true, ..options() };
    let mut run = ToolLoop::new("run", vec![Message::user("hello")]);
    let answer = calls(&[
        ("1", "add", json!({ "n": 1 })),
        ("2", "add", json!({ "n": 2 })),
        ("3", "add", json!({ "n": 3 })),
    ]);
    let mut approve = |call: &Call| match call.id.as_str() {
        "1" => Approval::Approve(call.arguments.clone()),
        "2" => Approval::Modify(Json(json!({ "n": 20 }))),
        _ => Approval::Deny { reason: Some("too much".into()) },
    };
    let none = |_: u32, _: &ToolLoop| Prepared::default();
    let driven = drive(&mut run, &options, [answer, says("So.")], none, &mut approve);
    assert_eq!(driven.executed.len(), 2);
    assert_eq!(outputs(&run), [r#"{"n":1}"#, r#"{"n":20}"#, "execution denied: too much"]);
    assert_eq!(run.text(), "So.", "a denial is a result, and the loop goes on");
}

/// A run that waits for approval of a call of `pay`, and its history.
fn waiting() -> (LoopOptions, Vec<Message>, String) {
    let options = LoopOptions { tools: vec![tool("add"), tool("pay").approved()], ..options() };
    let answer = calls(&[("1", "pay", json!({})), ("2", "add", json!({ "n": 2 }))]);
    let (run, driven) = run_with(&options, [answer]);
    assert_eq!((run.ending(), driven.executed.len()), (Some(&Ending::AwaitsApproval), 1));
    let request = run.history().iter().flat_map(|message| &message.parts).find_map(|part| {
        let Part::ApprovalRequest { id, call } = part else { return None };
        assert_eq!(call, "1");
        Some(id.clone())
    });
    (options, run.history().to_vec(), request.expect("approval was asked for"))
}

fn answered(mut history: Vec<Message>, id: &str, approved: bool) -> Vec<Message> {
    let reason = (!approved).then(|| "no".to_owned());
    let response = Part::ApprovalResponse { id: id.to_owned(), approved, reason };
    history.push(Message { role: Role::Tool, parts: vec![response] });
    history
}

fn resumed(options: &LoopOptions, history: Vec<Message>) -> (ToolLoop, Driven) {
    let mut run = ToolLoop::new("again", history);
    let none = |_: u32, _: &ToolLoop| Prepared::default();
    let driven = drive(&mut run, options, [says("So.")], none, &mut |call| {
        Approval::Approve(call.arguments.clone())
    });
    (run, driven)
}

#[test]
fn a_call_that_needs_approval_waits_for_the_next_run() {
    let (options, history, id) = waiting();
    let (run, driven) = resumed(&options, answered(history.clone(), &id, true));
    assert_eq!(driven.executed.iter().map(|call| call.id.as_str()).collect::<Vec<_>>(), ["1"]);
    assert_eq!((run.text().as_str(), driven.requests.len()), ("So.", 1));
    let told = driven.requests[0].messages.iter().filter(|message| message.role == Role::Tool);
    let told: Vec<_> = told.flat_map(|message| &message.parts).collect();
    assert!(
        matches!(told.last(), Some(Part::ToolResult(result)) if result.call == "1"),
        "{told:?}"
    );

    let (_, driven) = resumed(&options, answered(history.clone(), &id, false));
    assert_eq!(driven.executed.len(), 0);
    let last = driven.requests[0].messages.last().unwrap().parts.last().unwrap();
    assert!(
        matches!(last, Part::ToolResult(CallResult { output: ToolOutput::Denied(Some(why)), .. }) if why == "no")
    );

    // What is answered already is not done again.
    let (run, _) = resumed(&options, answered(history.clone(), &id, true));
    let (_, driven) = resumed(&options, answered(run.history().to_vec(), &id, true));
    assert_eq!(driven.executed.len(), 0);

    for (history, options, why) in [
        (answered(history.clone(), "approval-other", true), options.clone(), "nobody asked"),
        (
            answered(
                vec![Message {
                    role: Role::Assistant,
                    parts: vec![Part::ApprovalRequest { id: id.clone(), call: "9".into() }],
                }],
                &id,
                true,
            ),
            options.clone(),
            "no known call",
        ),
        (answered(history, &id, true), LoopOptions { resolver: None, ..options }, "nobody runs"),
    ] {
        let (run, driven) = resumed(&options, history);
        let Some(Ending::Invalid(told)) = run.ending() else { panic!("{:?}", run.ending()) };
        assert!(told.contains(why) && driven.requests.is_empty(), "{told}");
    }
}

#[test]
fn a_call_that_was_run_is_never_run_again() {
    let same = || calls(&[("1", "add", json!({ "n": 1 }))]);
    let (run, driven) = run_with(&options(), [same(), same(), says("So.")]);
    assert_eq!(driven.executed.len(), 1);
    assert_eq!(
        outputs(&run),
        [r#"{"n":1}"#, r#"{"n":1}"#],
        "who repeats it learns what came of it"
    );
}

#[test]
fn a_results_second_coming_is_ignored() {
    let options = options();
    let mut run = ToolLoop::new("run", vec![]);
    assert!(matches!(run.poll(&options), Todo::Ask(_)));
    run.respond(calls(&[("1", "add", json!({}))]));
    run.respond(says("twice"));
    assert!(matches!(run.poll(&options), Todo::Execute(_)));
    assert_eq!(run.poll(&options), Todo::Wait);
    run.result("2", ToolOutput::Text("another's".into()));
    assert_eq!(run.poll(&options), Todo::Wait);
    run.result("1", ToolOutput::Text("one".into()));
    run.result("1", ToolOutput::Text("two".into()));
    assert_eq!(run.poll(&options), Todo::Step);
    assert_eq!(outputs(&run), ["one"]);
}

#[test]
fn what_the_provider_runs_itself_is_awaited() {
    let call = Call { provider_executed: true, ..Call::new("p", "search", json!({})) };
    let result = CallResult {
        call: "p".into(),
        name: "search".into(),
        output: ToolOutput::Text("found".into()),
        provider_executed: true,
    };
    let deferred = Response { parts: vec![Part::ToolCall(call)], ..says("") };
    let arrived =
        Response { parts: vec![Part::ToolResult(result), Part::Text("So.".into())], ..says("") };
    let (run, driven) = run_with(&options(), [deferred, arrived]);
    assert_eq!((run.ending(), driven.executed.len()), (Some(&Ending::Natural), 0));
    assert_eq!(run.steps().len(), 2, "the first step's result was outstanding");
}

#[test]
fn a_step_may_be_prepared() {
    let options = LoopOptions {
        prepares: true,
        system: Some("Be kind.".into()),
        tool_choice: ToolChoice::Required,
        active_tools: Some(vec!["add".into()]),
        provider_options: BTreeMap::from([("p".into(), Json(json!({ "a": { "x": 1, "y": 1 } })))]),
        ..options()
    };
    let mut run = ToolLoop::new("run", vec![Message::system("Known."), Message::user("hello")])
        .with_context(Json(json!({ "n": 0 })));
    let prepare = |step: u32, run: &ToolLoop| {
        assert_eq!(run.steps().len(), step as usize);
        match step {
            0 => Prepared::default(),
            1 => Prepared {
                model: Some(ModelRef { provider: "p".into(), model: "small".into() }),
                tool_choice: Some(ToolChoice::Specific { tool_name: "pay".into() }),
                active_tools: Some(vec!["pay".into(), "nobody".into()]),
                system: Some("Be brief.".into()),
                messages: Some(vec![Message::user("other")]),
                context: Some(Json(json!({ "n": 1 }))),
                provider_options: BTreeMap::from([("p".into(), Json(json!({ "a": { "y": 2 } })))]),
            },
            _ => {
                assert_eq!(run.context().0, json!({ "n": 1 }), "it persists");
                Prepared { active_tools: Some(vec![]), ..Prepared::default() }
            }
        }
    };
    let add = |id: &str| calls(&[(id, "add", json!({}))]);
    let pay = calls(&[("2", "pay", json!({}))]);
    let approve: Approves<'_> = &mut |call| Approval::Approve(call.arguments.clone());
    let driven = drive(&mut run, &options, [add("1"), pay, says("So.")], prepare, approve);
    let [first, second, third] = &*driven.requests else { panic!("{:?}", driven.requests) };
    let names = |request: &ModelRequest| {
        request.tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>()
    };
    let texts =
        |request: &ModelRequest| request.messages.iter().map(Message::words).collect::<Vec<_>>();
    assert_eq!((names(first), &first.tool_choice), (vec!["add".into()], &ToolChoice::Required));
    assert_eq!(texts(first), ["Be kind.", "Known.", "hello"]);
    assert_eq!(names(second), ["pay"]);
    assert_eq!(second.tool_choice, ToolChoice::Specific { tool_name: "pay".into() });
    assert_eq!(second.model.model, "small");
    assert_eq!(texts(second), ["Be brief.", "Be kind.", "other"]);
    assert_eq!(second.provider_options["p"].0, json!({ "a": { "x": 1, "y": 2 } }));
    // For that step alone.
    assert_eq!((third.model.model.as_str(), names(third).len()), ("", 0));
    assert_eq!(texts(third)[2], "hello");
    assert_eq!(run.steps()[0].context()["n"], 0);
    assert_eq!(run.steps()[1].context()["n"], 1);
}

#[test]
fn an_error_or_a_cancellation_keeps_the_steps_that_are_done() {
    let (run, driven) = run_with(&options(), [calls(&[("1", "add", json!({}))])]);
    let Some(Ending::Failed(error)) = run.ending() else { panic!("{:?}", run.ending()) };
    assert_eq!((error.kind, driven.steps, run.steps().len()), (ErrorKind::Provider, 1, 1));

    let options = options();
    let mut run = ToolLoop::new("run", vec![]);
    assert!(matches!(run.poll(&options), Todo::Ask(_)));
    run.delta(&ModelDelta::Text("half".into()));
    run.cancel();
    run.respond(says("late"));
    run.end();
    assert_eq!((run.poll(&options), run.ending()), (Todo::Over, Some(&Ending::Cancelled)));
    assert_eq!(run.history(), []);
}

#[test]
fn an_answer_in_pieces_is_the_answer() {
    let options = options();
    let mut run = ToolLoop::new("run", vec![Message::user("hello")]);
    assert!(matches!(run.poll(&options), Todo::Ask(_)));
    for delta in [
        ModelDelta::Text("Hel".into()),
        ModelDelta::Text("lo.".into()),
        ModelDelta::Usage(Usage { total: Some(7), ..Usage::default() }),
    ] {
        run.delta(&delta);
        assert_eq!(run.poll(&options), Todo::Wait);
    }
    run.end();
    assert_eq!(run.poll(&options), Todo::Step);
    assert_eq!(run.poll(&options), Todo::Over);
    assert_eq!((run.text().as_str(), run.usage().unwrap().total), ("Hello.", Some(7)));
    assert_eq!(run.steps()[0].response.warnings.len(), 1, "its end was not told");

    let mut run = ToolLoop::new("run", vec![]);
    assert!(matches!(run.poll(&options), Todo::Ask(_)));
    run.end();
    let Some(Ending::Failed(error)) = run.ending() else { panic!("{:?}", run.ending()) };
    assert_eq!(error.kind, ErrorKind::CutOff);
}

#[test]
fn a_run_goes_on_after_it_was_written_at_any_point() {
    let options = LoopOptions { approves: true, prepares: true, ..options() };
    let mut run = ToolLoop::new("run", vec![Message::user("hello")]);
    let mut answers: VecDeque<_> =
        [calls(&[("1", "add", json!({ "n": 1 })), ("2", "pay", json!({}))]), says("So.")].into();
    loop {
        let todo = run.poll(&options);
        let written = postcard::to_allocvec(&run).unwrap();
        run = postcard::from_bytes(&written).unwrap();
        match todo {
            Todo::Prepare { .. } => run.prepared(&options, Prepared::default()),
            Todo::Ask(_) => run.respond(answers.pop_front().unwrap()),
            Todo::Approve(call) => run.approval(&call.id, Approval::Approve(call.arguments)),
            Todo::Execute(call) => run.result(&call.id, ToolOutput::Json(call.arguments)),
            Todo::Step => {}
            Todo::Over => break,
            Todo::Wait => panic!("nothing is under way"),
        }
    }
    assert_eq!((run.text().as_str(), run.steps().len()), ("So.", 2));
}
