//! A test file, the calls in it, and holding one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::engines::Engines;
use super::failure::Failure;
use super::journalled::{self, About};
use super::load;
use crate::config::scenario::{self, Case, Scenario};
use crate::config::{Config, Provider, RecogniserEngine, Reply, SynthesiserEngine};
use crate::host::pace::Clock;
use crate::id::LaneId;
use crate::record::{Folder, SessionEnd, Timing};
use crate::seed::Seed;
use crate::session::Session;
use crate::session::plan::{Plan, tool_spec};
use crate::sim::caller::{Caller, Part};
use crate::sim::network::{Faults, Network};
use crate::sim::scenario::judge::{Mismatch, judge};
use crate::sim::scenario::{Watch, mocks, told};
use crate::sim::timeline::Timeline;
use crate::sim::tools::{Latency, VirtualTools};
use crate::sim::world;
use crate::slot::{Slot, Status};
use crate::tool::{Registry, ToolSpec};

/// The longest call of a test, in ticks: a day of 20 ms.
const TICKS_MAX: u64 = 4_320_000;

/// The ending of test files; what stands before it is the name of the configuration.
const ENDING: &str = ".test.yaml";

/// A test file and its configuration.
pub(super) struct Suite {
    path: PathBuf,
    /// What calls without a name of their own are called.
    stem: String,
    file: Scenario,
    config: Config,
    text: Vec<u8>,
}

impl Suite {
    /// Reads a test file and the configuration that it names.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let text = load::bytes(path)?;
        let file = scenario::parse(&text, &shown)
            .map_err(|complaints| Failure::input(complaints.to_string()))?;
        let Some(name) = &file.config else {
            return Err(Failure::input(format!(
                "{shown}: missing key `config`; name the configuration that is tested: `config: …`"
            )));
        };
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let config = load::config(&folder.join(name))?;
        let stem = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let stem = stem.strip_suffix(ENDING).or(stem.strip_suffix(".yaml")).unwrap_or(&stem);
        Ok(Self { path: path.to_owned(), stem: stem.to_owned(), file, config, text })
    }

    /// The test file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The calls whose names are chosen, ready to be held.
    pub(super) fn tests(
        &self,
        tools: &Registry,
        seed: Option<u64>,
        is_chosen: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<Test<'_>>, Failure> {
        let shown = self.path.display().to_string();
        let known: Vec<&str> = tools.specs().map(|spec| spec.name.as_str()).collect();
        scenario::against(&self.file, &self.text, &shown, &self.config, &known)
            .map_err(|complaints| Failure::input(complaints.to_string()))?;
        let (mut tests, mut wrong) = (Vec::new(), Vec::new());
        for case in self.file.cases(&self.stem) {
            if !is_chosen(&format!("{shown}: {}", case.name)) {
                continue;
            }
            match self.test(case, tools.clone(), seed) {
                Ok(test) => tests.push(test),
                Err(failure) => wrong.push(failure.to_string()),
            }
        }
        wrong.dedup();
        if wrong.is_empty() { Ok(tests) } else { Err(Failure::input(wrong.join("\n"))) }
    }

    fn test<'s>(
        &'s self,
        case: Case<'s>,
        mut tools: Registry,
        seed: Option<u64>,
    ) -> Result<Test<'s>, Failure> {
        let about = |failure: Failure| failure.about(&self.path);
        let mut config = self.config.clone();
        let spec = |name: &str| match config.tools.get(name) {
            Some(tool) => ToolSpec { room: None, ..tool_spec(name, tool) },
            None => ToolSpec::new(name, ""),
        };
        mocks::replace(&mut tools, &case, spec)
            .map_err(|wrong| about(Failure::input(wrong.to_string())))?;
        for name in case.tools.keys() {
            if let Some(tool) = config.tools.get_mut(*name) {
                (tool.canned, tool.rpc, tool.data) = (None, None, None);
            }
        }
        for (name, model) in &mut config.models {
            let missing = || {
                let fails = format!(
                    "this test has no replies of the model `{name}`; add them under `models`"
                );
                vec![Reply { fails: Some(fails), ..Reply::default() }]
            };
            match case.models.get(name.as_str()) {
                Some(replies) => model.replies = replies.to_vec(),
                None if model.provider != Provider::Canned => model.replies = missing(),
                None => {}
            }
            model.provider = Provider::Canned;
        }
        if case.engines == scenario::Engines::BuiltIn {
            let speech = &mut config.speech;
            speech.recogniser.engine = RecogniserEngine::None;
            speech.recogniser.model = None;
            speech.synthesiser.model = None;
            if matches!(
                speech.synthesiser.engine,
                SynthesiserEngine::Flite | SynthesiserEngine::Model
            ) {
                speech.synthesiser.engine = SynthesiserEngine::Tone;
            }
        }
        let seed = seed.or(case.seed).unwrap_or(config.seed);
        let (plan, mut tools) = load::plan(config, tools).map_err(about)?;
        // The session's own verbs stand in for nothing.
        let spec = |name: &str| ToolSpec::new(name, "");
        mocks::replace(&mut tools, &case, spec)
            .map_err(|wrong| about(Failure::input(wrong.to_string())))?;
        let folder = self.path.parent().unwrap_or_else(|| Path::new(""));
        let open = |name: &str| load::bytes(&folder.join(name));
        let mut warn = |text: String| eprintln!("{text}");
        let part = load::part(&case, "caller", &open, &plan, &mut warn)?;
        let engines = Engines::new(&plan, &mut warn).map_err(|failure| {
            let remedy = "texts can be tested without: type what the clips say, or write \
                          `speech: built_in`";
            about(Failure::input(format!("{failure}\n{}: {remedy}", self.path.display())))
        })?;
        Ok(Test { path: &self.path, case, plan, tools, part, engines, seed })
    }
}

/// A call that is about to be held.
pub(super) struct Test<'s> {
    path: &'s Path,
    case: Case<'s>,
    plan: Arc<Plan>,
    tools: Registry,
    part: Part,
    engines: Engines,
    seed: u64,
}

/// What came of a call.
pub(super) struct Ran {
    /// The test file.
    pub(super) file: String,
    /// The test in it.
    pub(super) test: String,
    pub(super) verdict: Verdict,
    /// How long the call was.
    pub(super) call_ms: u64,
    /// How long it took to hold it.
    pub(super) wall: Duration,
    /// Where its output is.
    pub(super) kept: Option<PathBuf>,
}

impl Ran {
    /// The name of the test, as it is printed.
    pub(super) fn name(&self) -> String {
        format!("{}: {}", self.file, self.test)
    }
}

/// Whether a call went as expected.
pub(super) enum Verdict {
    Ok,
    /// In short, and in full.
    Failed {
        short: String,
        told: String,
    },
}

impl Verdict {
    pub(super) const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok)
    }
}

impl Test<'_> {
    /// The name of the test, as it is printed.
    pub(super) fn name(&self) -> String {
        format!("{}: {}", self.path.display(), self.case.name)
    }

    /// The test file.
    pub(super) fn file(&self) -> String {
        self.path.display().to_string()
    }

    /// The test in it.
    pub(super) const fn title(&self) -> &str {
        self.case.name
    }

    /// Holds the call; its output goes to a folder, if there is one.
    pub(super) fn run(&self, out: Option<&Path>) -> Result<Ran, Failure> {
        let clock = Clock::default();
        let began = clock.now();
        let Self { plan, case, seed, .. } = self;
        let mut kept = out.map(|out| self.open(out)).transpose()?;
        let network = Network::new(Faults::NONE, Seed::new(*seed).branch(&self.part.name));
        let caller = Caller::new(self.part.clone(), LaneId(0), plan.len, plan.rate, network);
        let caller = caller.polite();
        let mut watch = Watch::new(caller.progress());
        let mut timeline = Timeline::new(plan);
        let mut edges: Vec<Box<dyn crate::slot::Edge>> = vec![Box::new(caller)];
        edges.extend(self.engines.virtual_edges(plan)?);
        let tools = self.tools.clone();
        let tools = VirtualTools::new(tools, Latency::Declared, plan.len, "test".to_owned());
        let tools = Box::new(tools.taking(mocks::taking(case)));
        let scribe = kept.as_mut().and_then(|(_, journal)| journal.scribe.take());
        let session = Session::new(plan, *seed);
        let mut slot = Slot::new(Arc::clone(plan), session, edges, tools, scribe);
        let ran = world::run(&mut slot, TICKS_MAX, |slot| {
            if let Some(now) = slot.done() {
                watch.tick(now, slot.plan(), slot.session(), slot.output());
                timeline.tick(now, slot.output());
                if let Some((folder, journal)) = &mut kept {
                    folder.tick(now, slot.output(), Timing::default());
                    journal.flow_waiting(slot, 1 << 16);
                }
            }
            true
        });
        if let Some((mut folder, mut journal)) = kept {
            journal.flow_waiting(&mut slot, 0);
            let (_, loss) = journal.finish();
            folder.journal_lost(loss.as_ref().map_or(0, |loss| loss.ticks));
            let (_, troubles) = folder.finish(SessionEnd::from(&ran.status).name());
            for trouble in troubles {
                eprintln!("{trouble}");
            }
        }
        let mut mismatches = judge(case, plan, watch.turns());
        if let Some(why) = unended(&ran.status) {
            let turn = watch.turns().len() - 1;
            mismatches.push(Mismatch {
                turn,
                key: "call",
                expected: "an end".into(),
                got: vec![why],
            });
        }
        let verdict = match mismatches.first() {
            None => Verdict::Ok,
            Some(first) => Verdict::Failed {
                short: format!("{}: expected {}", first.key, first.expected),
                told: told::tell(case, watch.turns(), &mismatches, &timeline),
            },
        };
        Ok(Ran {
            file: self.path.display().to_string(),
            test: case.name.to_owned(),
            verdict,
            call_ms: plan.len.start_ms(slot.session().tick()),
            wall: Duration::from_nanos(clock.now().since_ns(began)),
            kept: None,
        })
    }

    fn open(&self, out: &Path) -> Result<(Folder, journalled::Journalled), Failure> {
        let about = About {
            plan: &self.plan,
            out,
            named: Some(&out.join(crate::record::recount::JOURNAL)),
            seed: self.seed,
            virtual_time: true,
            opus: false,
            shared: false,
        };
        journalled::open(&about)
    }
}

/// Why a call did not come to its end.
fn unended(status: &Status) -> Option<crate::sim::scenario::judge::Got> {
    let text = match status {
        Status::Ended => return None,
        Status::Running => "it goes on for more than a day".to_owned(),
        Status::Panicked(why) => format!("the session panicked: {why}"),
    };
    Some(crate::sim::scenario::judge::Got { text, ..Default::default() })
}
