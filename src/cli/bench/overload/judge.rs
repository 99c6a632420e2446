//! What is promised of an overload, and whether a run kept it.
//!
//! **Invariant:** a gap that came since the thread of ticks had no processor is told, and is nobody's fault.

use super::figures::{Gap, Run};
use crate::cli::bench::density::Verdict;
use crate::host::overload::Stage;

/// A tick is jumped over once it is 80 ms late; where the thread was kept from its processor for half of that, the
/// processor was gone.
const GONE_MS: u64 = 40;

/// Ticks by which sessions may differ in each episode: relief is spread over a second, and a look is five ticks.
const UNEVEN_MAX: u64 = 60;

pub(super) fn verdicts(run: &Run) -> Vec<Verdict> {
    let mut all = Vec::new();
    let mut judge = |holds: bool, says: String| all.push(Verdict { says, holds });
    let order = |name: &str| Stage::ALL.iter().position(|stage| stage.name() == name);
    let stages: Vec<usize> = run.stages.iter().filter_map(|(_, name)| order(name)).collect();
    let one_by_one = stages.windows(2).all(|two| two[0].abs_diff(two[1]) == 1);
    let highest = stages.iter().max().copied().unwrap_or(0);
    judge(
        one_by_one && highest == Stage::Strained as usize,
        format!("stages follow each other one by one, up to {}", Stage::ALL[highest.min(3)]),
    );
    judge(stages.last() == Some(&0), "everything comes back: the run ends calm".to_owned());
    let is_early = |gap: &&Gap| gap.stage != Stage::Strained.name();
    let early: Vec<&Gap> = run.gaps.iter().filter(is_early).collect();
    let ours = early.iter().filter(|gap| gap.waited_ms < GONE_MS);
    let ours: u64 = ours.map(|gap| gap.skipped).sum();
    let others: u64 = early.iter().map(|gap| gap.skipped).sum::<u64>() - ours;
    let excuse = match others {
        0 => String::new(),
        others => format!(" ({others} ticks were, while others had the processor)"),
    };
    judge(
        ours == 0,
        format!("no gap in audio before sessions do less: {ours} ticks were jumped over{excuse}"),
    );
    let least = run.strained_ticks.iter().min().copied().unwrap_or(0);
    let most = run.strained_ticks.iter().max().copied().unwrap_or(0);
    let allowed = UNEVEN_MAX * run.episodes.max(1);
    judge(
        least > 0 && most - least <= allowed,
        format!(
            "sessions do less alike: each of {} for {least} to {most} ticks, in {} episodes of which each may make \
             {UNEVEN_MAX} of a difference",
            run.strained_ticks.len(),
            run.episodes
        ),
    );
    let admitted_when_full = run.steps.iter().any(|step| step.name == "come" && step.refused == 0);
    judge(!admitted_when_full, "who asks when there is no room is refused".to_owned());
    let shed: u64 = run.steps.iter().map(|step| step.shed).sum();
    judge(shed > 0, format!("pages are left out before sessions do less: {shed} were"));
    all
}

#[cfg(test)]
mod tests {
    use super::super::figures::Step;
    use super::*;

    fn run() -> Run {
        let names = ["calm", "full", "sparing", "strained", "sparing", "full", "calm"];
        Run {
            stages: (0..).zip(names).collect(),
            strained_ticks: vec![200, 230, 250],
            episodes: 1,
            steps: vec![Step { name: "come", refused: 3, shed: 9, ..Step::default() }],
            ..Run::default()
        }
    }

    fn broken(run: &Run) -> Vec<String> {
        verdicts(run).into_iter().filter(|of| !of.holds).map(|of| of.says).collect()
    }

    #[test]
    fn a_run_that_keeps_its_promises_is_told_so() {
        assert_eq!(broken(&run()), Vec::<String>::new());
    }

    #[test]
    fn each_promise_can_be_broken() {
        let gap = Gap { ms: 5, skipped: 4, stage: "sparing", waited_ms: 3 };
        let gone = Gap { waited_ms: 70, ..gap };
        assert_eq!(broken(&Run { gaps: vec![gone], ..run() }), Vec::<String>::new());
        let late = Gap { stage: "strained", ..gap };
        assert_eq!(broken(&Run { gaps: vec![late], ..run() }), Vec::<String>::new());
        for (wrong, word) in [
            (Run { gaps: vec![gap], ..run() }, "gap"),
            (Run { strained_ticks: vec![200, 300], ..run() }, "alike"),
            (Run { strained_ticks: vec![0, 10], ..run() }, "alike"),
            (
                Run { stages: vec![(0, "calm"), (1, "sparing"), (2, "strained")], ..run() },
                "one by one",
            ),
            (Run { stages: vec![(0, "calm"), (1, "full"), (2, "calm")], ..run() }, "one by one"),
            (
                Run { steps: vec![Step { name: "come", shed: 1, ..Step::default() }], ..run() },
                "refused",
            ),
            (
                Run { steps: vec![Step { name: "come", refused: 1, ..Step::default() }], ..run() },
                "pages",
            ),
        ] {
            let says = broken(&wrong);
            assert!(says.iter().any(|says| says.contains(word)), "{word}: {says:?}");
        }
    }
}
