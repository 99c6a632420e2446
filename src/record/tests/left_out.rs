//! What is left out of a folder, and told, while there is too much to do.

use super::*;

#[test]
fn a_report_that_is_left_out_is_told_and_all_else_is_there() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan(CONFIG));
    let mut folder = Folder::create(dir.path(), Arc::clone(&plan), true).unwrap();
    for (tick, out) in scene(&plan).0.iter().enumerate() {
        folder.tick(Tick(tick as u64), out, Timing { lateness_ns: None, ..TIMING });
    }
    folder.without_report("too much to do");
    let (metrics, troubles) = folder.finish("the agent ended the call");
    assert_eq!(troubles, [""; 0], "it is no trouble");
    assert_eq!(metrics.report_left_out.as_deref(), Some("too much to do"));
    assert!(!dir.path().join("report.html").exists());
    let (other, _) = recorded();
    let mut told = json_of(dir.path(), "metrics.json");
    assert_eq!(told["report_left_out"].take(), "too much to do");
    let is_timed = |name: &str| name == "overruns";
    for (name, value) in json_of(other.path(), "metrics.json").as_object().unwrap() {
        assert!(is_timed(name) || told[name] == *value, "{name}");
    }
    for name in ["conversation.wav", "events.jsonl", "ticks.jsonl", "transcript.json"] {
        let of = |dir: &tempfile::TempDir| fs::read(dir.path().join(name)).unwrap();
        assert!(of(&dir) == of(&other), "{name}");
    }
}

#[test]
fn ticks_under_strain_are_counted_from_its_events() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan(CONFIG));
    let mut scene = Scene::new(&plan, 50);
    scene.event(10, EventKind::SessionStrained { every: 5 });
    scene.event(30, EventKind::SessionRelieved { after_ticks: 20 });
    scene.event(45, EventKind::SessionStrained { every: 5 });
    let (metrics, _) = record(dir.path(), &plan, &scene, TIMING);
    assert_eq!(metrics.strained_ticks, 20 + 5);
}
