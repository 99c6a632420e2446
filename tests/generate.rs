//! Models and tools without audio: the loop as programs use it, waited for and listened to.

use std::sync::{Arc, Mutex};

use antiphon::generate::scripted::Scripted;
use antiphon::generate::{
    BoxFuture, BoxStream, Deltas, GenerateError, LanguageModel, Options, SPAN, STEPS, StreamEvent,
    Telemetry, TelemetryEvent, ToolEvent, ToolLoopAgent, ToolResolver, generate, stream,
};
use antiphon::think::chat::{
    Call, ErrorKind, Message, ModelDelta, ModelError, ModelRef, ModelRequest, Part, Response,
    ResponseFormat, Role, Usage,
};
use antiphon::think::tool_loop::{Approval, Ending, LoopTool, Prepared, StopCondition};
use antiphon::tool::{Json, Registry, ToolContext, ToolSpec};
use futures_util::{StreamExt, stream as streams};
use serde_json::{Value, json};

/// What callbacks were told, in order.
type Told = Arc<Mutex<Vec<String>>>;

fn tell(told: &Told, what: impl Into<String>) {
    told.lock().unwrap().push(what.into());
}

fn take(told: &Told) -> Vec<String> {
    std::mem::take(&mut told.lock().unwrap())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn tools() -> Registry {
    let mut tools = Registry::default();
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
    tools
        .add(ToolSpec::new("twice", "Doubles").parameters(schema), |_: &ToolContext, v: &Value| {
            v["n"].as_i64().map(|n| json!(2 * n)).ok_or_else(|| "no number".to_owned())
        })
        .unwrap();
    tools
}

fn declared() -> Vec<LoopTool> {
    tools().specs().map(|spec| LoopTool::of(spec).unwrap()).collect()
}

fn twice(id: &str, n: i64) -> Response {
    let usage = Some(Usage { total: Some(10), ..Usage::default() });
    Response { usage, ..Response::calling([Call::new(id, "twice", json!({ "n": n }))]) }
}

fn ask() -> Vec<Message> {
    vec![Message::user("hello")]
}

/// Options whose callbacks tell everything.
fn telling(told: &Told) -> Options {
    let mut options = Options::default();
    options.rules.tools = declared();
    let of = || Arc::clone(told);
    let to = of();
    options.on_step_finish =
        Some(Arc::new(move |step| tell(&to, format!("step {}", step.step_number))));
    let to = of();
    options.on_finish = Some(Arc::new(move |finish| {
        let total = finish.total_usage.and_then(|usage| usage.total);
        tell(&to, format!("finish {} {:?} {total:?}", finish.steps.len(), finish.response.text()));
    }));
    let to = of();
    options.on_abort = Some(Arc::new(move |steps| tell(&to, format!("abort {}", steps.len()))));
    let to = of();
    options.on_tool_input = Some(Arc::new(move |call| tell(&to, format!("input {}", call.id))));
    options
}

#[test]
fn a_run_that_is_waited_for_tells_its_steps_and_its_end() {
    let told = Told::default();
    let model = Scripted::new([twice("1", 4), Response::saying("Eight.")]);
    let tools = tools();
    let done = block_on(generate(&model, ask(), Some(&tools), &telling(&told))).unwrap();
    assert_eq!((done.text().as_str(), &done.ending), ("Eight.", &Ending::Natural));
    assert_eq!(done.tool_results().map(|result| result.output.text()).collect::<Vec<_>>(), ["8"]);
    assert_eq!((done.tool_calls().count(), done.usage().unwrap().total), (1, Some(10)));
    assert_eq!(take(&told), ["input 1", "step 0", "step 1", "finish 2 \"Eight.\" Some(10)"]);
    // What it was asked in the second step.
    assert_eq!(model.asked()[1].messages.last().unwrap().role, Role::Tool);
    // A next run goes on from its messages.
    assert_eq!(done.messages.len(), 4);
}

#[test]
fn as_many_steps_as_there_may_be_are_an_answer() {
    let told = Told::default();
    let options = Options { ..telling(&told) };
    let model = Scripted::new((0..30).map(|n| twice(&n.to_string(), n)));
    let done = block_on(generate(&model, ask(), Some(&tools()), &options)).unwrap();
    assert_eq!((done.steps.len(), &done.ending, done.text().as_str()), (8, &Ending::MaxSteps, ""));
    assert_eq!(take(&told).last().unwrap(), "finish 8 \"\" Some(80)");
}

#[derive(Default)]
struct Recorded(Mutex<Vec<TelemetryEvent>>);

impl Telemetry for Recorded {
    fn record(&self, event: TelemetryEvent) {
        self.0.lock().unwrap().push(event);
    }
}

#[test]
fn an_error_ends_the_run_at_once_and_is_recorded_either_way() {
    let failing = || {
        let busy = ModelError::new(ErrorKind::Limited, "too many requests");
        Scripted::failing([Ok(twice("1", 1)), Err(busy)])
    };
    let told = Told::default();
    let options = |recorded: &Arc<Recorded>| {
        let telemetry: Arc<dyn Telemetry> = Arc::<Recorded>::clone(recorded);
        Options { telemetry: Some(telemetry), ..telling(&told) }
    };
    let check = |recorded: &Recorded| {
        let events = recorded.0.lock().unwrap();
        let [
            TelemetryEvent::SpanStart { max_steps, has_tools, .. },
            TelemetryEvent::SpanEnd { total_steps, error, .. },
        ] = &**events
        else {
            panic!("{events:?}")
        };
        assert_eq!((*max_steps, *has_tools, *total_steps), (8, true, 1));
        assert_eq!(error.as_deref(), Some("too many requests"));
    };
    let recorded = Arc::new(Recorded::default());
    let error = block_on(generate(&failing(), ask(), Some(&tools()), &options(&recorded)));
    let Err(GenerateError::Model(error)) = error else { panic!("{error:?}") };
    assert_eq!(error.kind, ErrorKind::Limited);
    check(&recorded);
    assert_eq!(take(&told), ["input 1", "step 0"], "there is no finish");

    let recorded = Arc::new(Recorded::default());
    block_on(async {
        let mut run =
            stream(Arc::new(failing()), ask(), Some(Arc::new(tools())), options(&recorded));
        let mut last = None;
        while let Some(event) = run.next().await {
            last = Some(event);
        }
        assert!(matches!(last, Some(Err(GenerateError::Model(_)))), "the last is the error");
        assert_eq!((&mut run.steps).await.unwrap().len(), 1, "what is done is told");
        assert_eq!((&mut run.total_usage).await.unwrap().unwrap().total, Some(10));
        assert!((&mut run.generated).await.is_err());
    });
    check(&recorded);
    assert_eq!(take(&told), ["input 1", "step 0"]);
}

#[test]
fn a_run_that_succeeds_is_recorded_with_what_it_cost() {
    let recorded = Arc::new(Recorded::default());
    let telemetry: Arc<dyn Telemetry> = Arc::<Recorded>::clone(&recorded);
    let mut options = Options { telemetry: Some(telemetry), ..telling(&Told::default()) };
    options.rules.function_id = Some("demo".into());
    let model = Scripted::new([twice("1", 1), Response::saying("Two.")]);
    let done = block_on(generate(&model, ask(), Some(&tools()), &options)).unwrap();
    assert_eq!(done.steps[1].function_id.as_deref(), Some("demo"));
    let events = recorded.0.lock().unwrap();
    let [
        TelemetryEvent::SpanStart { function_id, .. },
        TelemetryEvent::SpanEnd { finish_reason, max_steps_reached, .. },
        TelemetryEvent::Orchestrated { total_steps, usage, .. },
    ] = &**events
    else {
        panic!("{events:?}")
    };
    assert_eq!((function_id.as_deref(), finish_reason.as_deref()), (Some("demo"), Some("stop")));
    assert_eq!((*max_steps_reached, *total_steps, usage.unwrap().total), (false, 2, Some(10)));
    assert_eq!(SPAN, "ai.orchestrator.generate");
}

/// The pieces of a run, in words.
async fn listened(model: impl LanguageModel + 'static, options: Options) -> Vec<String> {
    let run = stream(Arc::new(model), ask(), Some(Arc::new(tools())), options);
    run.map(|event| match event {
        Ok(StreamEvent::Delta(ModelDelta::Text(text))) => text,
        Ok(StreamEvent::Delta(_)) => "delta".to_owned(),
        Ok(StreamEvent::ToolInputStart { name, .. }) => format!("begins {name}"),
        Ok(StreamEvent::ToolInputDelta { text, .. }) => text,
        Ok(StreamEvent::ToolCall(call)) => format!("calls {}", call.id),
        Ok(StreamEvent::Preliminary { value, .. }) => format!("so far {value}"),
        Ok(StreamEvent::ToolResult(result)) => format!("gives {}", result.output.text()),
        Ok(StreamEvent::ApprovalRequest { call, .. }) => format!("may {call}"),
        Ok(StreamEvent::StepEnd { step }) => format!("end {step}"),
        Err(error) => format!("error {error}"),
    })
    .collect()
    .await
}

#[test]
fn every_step_streams_and_its_pieces_are_in_order() {
    let told = Told::default();
    let of = Arc::clone(&told);
    let options =
        Options { on_chunk: Some(Arc::new(move |_| tell(&of, "chunk"))), ..telling(&told) };
    let first = Response {
        parts: [Response::saying("One moment.").parts, twice("1", 4).parts].concat(),
        ..twice("1", 4)
    };
    let model = Scripted::new([first, Response::saying("It is eight.")]);
    let pieces = block_on(listened(model, options));
    assert_eq!(
        pieces,
        [
            "delta",
            "One ",
            "moment.",
            "begins twice",
            "{\"n",
            "\":4}",
            "delta",
            "delta",
            "calls 1",
            "gives 8",
            "end 0",
            "delta",
            "It ",
            "is ",
            "eight.",
            "delta",
            "end 1",
        ]
    );
    let told = take(&told);
    assert_eq!(told.iter().filter(|what| *what == "chunk").count(), pieces.len());
    assert_eq!(told.last().unwrap(), "finish 2 \"It is eight.\" Some(10)");
}

/// Answers word after word, and never comes to an end.
struct Endless;

impl LanguageModel for Endless {
    fn reference(&self) -> ModelRef {
        ModelRef::default()
    }

    fn stream(&self, _: ModelRequest) -> BoxFuture<'_, Result<Deltas, ModelError>> {
        let words = streams::iter(["and ", "so "]).map(|word| Ok(ModelDelta::Text(word.into())));
        Box::pin(async move { Ok(words.chain(streams::pending()).boxed()) })
    }
}

#[test]
fn who_wants_no_more_is_told_of_the_steps_so_far_and_not_of_an_end() {
    let told = Told::default();
    block_on(async {
        let mut run = stream(Arc::new(Endless), ask(), None, telling(&told));
        assert!(run.next().await.is_some());
        run.cancel();
        while let Some(event) = run.next().await {
            assert!(event.is_ok(), "to be cancelled is no error: {event:?}");
        }
        assert_eq!((&mut run.steps).await.unwrap(), []);
        assert_eq!(take(&told), ["abort 0"]);

        // A listener that is gone wants no more.
        drop(stream(Arc::new(Endless), ask(), None, telling(&told)));
        while told.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(take(&told), ["abort 0"]);
    });
}

/// A tool that tells how far it is, and one that never comes to an end.
struct Slow;

impl ToolResolver for Slow {
    fn knows(&self, name: &str) -> bool {
        name == "slow" || name == "lost"
    }

    fn run<'a>(&'a self, call: &'a Call) -> BoxStream<'a, ToolEvent> {
        let mut events = vec![ToolEvent::Preliminary(json!(1)), ToolEvent::Preliminary(json!(2))];
        if call.name == "slow" {
            events.push(ToolEvent::Final(Ok(json!("done"))));
            events.push(ToolEvent::Final(Ok(json!("twice"))));
        }
        streams::iter(events).boxed()
    }
}

#[test]
fn a_tool_tells_how_far_it_is_and_that_is_not_the_models_to_know() {
    let told = Told::default();
    let to = Arc::clone(&told);
    let options = Options {
        on_preliminary_tool_result: Some(Arc::new(move |tool, call, value| {
            tell(&to, format!("{tool} {call} {value}"));
        })),
        ..Options::default()
    };
    let call = |id: &str, name: &str| Call::new(id, name, json!({}));
    let model = Scripted::new([
        Response::calling([call("1", "slow"), call("2", "lost")]),
        Response::saying("So."),
    ]);
    let done = block_on(generate(&model, ask(), Some(&Slow), &options)).unwrap();
    assert_eq!(take(&told), ["slow 1 1", "slow 1 2", "lost 2 1", "lost 2 2"]);
    let texts: Vec<_> = done.tool_results().map(|result| result.output.text()).collect();
    assert_eq!(texts, ["\"done\"", "<tool error: no final result>"]);
    assert_eq!(done.steps[0].dynamic_tool_calls().count(), 2, "nobody declared them");
    let told_to_model = &model.asked()[1].messages;
    assert!(!format!("{told_to_model:?}").contains("Preliminary"));
    assert_eq!(told_to_model.iter().filter(|message| message.role == Role::Tool).count(), 2);
}

#[test]
fn somebody_may_be_asked_at_once_or_later() {
    let at_once = Options {
        on_tool_approval: Some(Arc::new(|call: &Call| match call.arguments.0["n"].as_i64() {
            Some(1) => Approval::Modify(Json(json!({ "n": 100 }))),
            _ => Approval::Deny { reason: None },
        })),
        ..telling(&Told::default())
    };
    let answer =
        Response::calling([1, 2].map(|n| Call::new(n.to_string(), "twice", json!({ "n": n }))));
    let model = Scripted::new([answer, Response::saying("So.")]);
    let done = block_on(generate(&model, ask(), Some(&tools()), &at_once)).unwrap();
    let texts: Vec<_> = done.tool_results().map(|result| result.output.text()).collect();
    assert_eq!(texts, ["200", "execution denied"]);

    let mut later = Options::default();
    later.rules.tools = declared().into_iter().map(LoopTool::approved).collect();
    let model = Scripted::new([twice("1", 4), Response::saying("Eight.")]);
    let tools = tools();
    let asked = block_on(generate(&model, ask(), Some(&tools), &later)).unwrap();
    assert_eq!((&asked.ending, asked.tool_results().count()), (&Ending::AwaitsApproval, 0));
    let request =
        asked.messages.iter().flat_map(|message| &message.parts).find_map(|part| match part {
            Part::ApprovalRequest { id, .. } => Some(id.clone()),
            _ => None,
        });
    let mut messages = asked.messages;
    let response = Part::ApprovalResponse { id: request.unwrap(), approved: true, reason: None };
    messages.push(Message { role: Role::Tool, parts: vec![response] });
    let done = block_on(generate(&model, messages, Some(&tools), &later)).unwrap();
    assert_eq!(done.text(), "Eight.");
    let last =
        done.messages.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
            Part::ToolResult(result) => Some(result.output.text()),
            _ => None,
        });
    assert_eq!(last.collect::<Vec<_>>(), ["8"]);

    let invalid = vec![Message {
        role: Role::Tool,
        parts: vec![Part::ApprovalResponse { id: "x".into(), approved: true, reason: None }],
    }];
    let error = block_on(generate(&model, invalid, Some(&tools), &later)).unwrap_err();
    assert!(
        matches!(&error, GenerateError::Invalid(why) if why.contains("nobody asked")),
        "{error}"
    );
}

#[test]
fn a_step_is_prepared_by_who_knows_the_others() {
    let options = Options {
        context: Some(Json(json!({ "seen": 0 }))),
        prepare_step: Some(Arc::new(|step, run| Prepared {
            system: Some(format!("Step {step} after {}.", run.steps().len())),
            context: Some(Json(json!({ "seen": step + 1 }))),
            ..Prepared::default()
        })),
        ..telling(&Told::default())
    };
    let model = Scripted::new([twice("1", 4), Response::saying("Eight.")]);
    let done = block_on(generate(&model, ask(), Some(&tools()), &options)).unwrap();
    let systems = model.asked();
    let systems: Vec<_> = systems.iter().map(|request| request.messages[0].words()).collect();
    assert_eq!(systems, ["Step 0 after 0.", "Step 1 after 1."]);
    assert_eq!(done.context.0, json!({ "seen": 2 }));
}

#[test]
fn json_is_read_out_of_the_answer() {
    let mut options = Options::default();
    let schema = json!({ "type": "object", "required": ["n"] });
    options.rules.format = Some(ResponseFormat { name: "number".into(), schema: Json(schema) });
    let read = |text: &str| {
        let model = Scripted::new([Response::saying(text)]);
        block_on(generate(&model, ask(), None, &options)).unwrap().output
    };
    assert_eq!(read("{\"n\": 1}"), Ok(Some(json!({ "n": 1 }))));
    assert_eq!(read("So:\n```json\n{\"n\": 2}\n```"), Ok(Some(json!({ "n": 2 }))));
    assert!(read("one").is_err() && read("{}").is_err());
    assert_eq!(read(""), Ok(None));
}

#[test]
fn an_agent_is_used_again_and_again() {
    let answers = (0..40).map(|n| twice(&n.to_string(), n));
    let agent = ToolLoopAgent::new(Scripted::new(answers)).with_tools(tools()).unwrap();
    let done = block_on(agent.generate(ask())).unwrap();
    assert_eq!((done.steps.len() as u32, &done.ending), (STEPS, &Ending::Stopped), "its own bound");
    let again = block_on(agent.clone().generate(ask())).unwrap();
    assert_eq!(again.steps[0].messages.len(), 2, "runs share no history");

    let agent =
        ToolLoopAgent::new(Scripted::new([Response::saying("Yes."), Response::saying("No.")]))
            .with_id("oracle")
            .with_system("Be brief.")
            .with_stop([StopCondition::HasTextResponse])
            .with_options(|options| options.rules.keeps_requests = true);
    assert_eq!(agent.id(), Some("oracle"));
    let done = block_on(agent.generate(ask())).unwrap();
    let request = done.steps[0].request.as_ref().unwrap();
    let texts: Vec<_> = request.messages.iter().map(Message::words).collect();
    assert_eq!((texts, &done.ending), (vec!["Be brief.".into(), "hello".into()], &Ending::Stopped));
    block_on(async {
        let run = agent.stream(ask());
        let texts = run.filter_map(|event| async {
            match event {
                Ok(StreamEvent::Delta(ModelDelta::Text(text))) => Some(text),
                _ => None,
            }
        });
        assert_eq!(texts.collect::<String>().await, "No.");
    });
}

#[test]
fn a_model_may_know_but_one_way_to_answer() {
    struct Pieces(Vec<ModelDelta>);
    impl LanguageModel for Pieces {
        fn reference(&self) -> ModelRef {
            ModelRef::default()
        }

        fn stream(&self, _: ModelRequest) -> BoxFuture<'_, Result<Deltas, ModelError>> {
            let pieces = self.0.clone();
            Box::pin(async move { Ok(streams::iter(pieces.into_iter().map(Ok)).boxed()) })
        }
    }
    let whole = Response::saying("So.");
    let text = ModelDelta::Text("So.".into());
    let end = ModelDelta::Finished { reason: whole.finish_reason.unwrap(), raw: None };
    let done =
        block_on(generate(&Pieces(vec![text.clone(), end]), ask(), None, &Options::default()));
    assert_eq!(done.unwrap().text(), "So.");
    let cut = block_on(generate(&Pieces(vec![text]), ask(), None, &Options::default()));
    let Err(GenerateError::Model(error)) = cut else { panic!("{cut:?}") };
    assert_eq!(error.kind, ErrorKind::CutOff);
}
