//! The usual shapes.

use serde_json::{Value, json};

use super::super::{Pattern, PatternConfig};
use super::{faults, links, policies, strict};

#[test]
fn patterns_stand_for_topologies() {
    let check = |pattern: Value, expected_links: &[&str], expected_policies: &[&str]| {
        let topology = strict(&pattern);
        assert_eq!(links(&topology), expected_links, "{pattern}");
        assert_eq!(policies(&topology), expected_policies, "{pattern}");
    };
    check(
        json!({ "pattern": "hub_and_spoke",
            "params": { "hub": "H", "spokes": ["B", "A"], "parallel_spokes": true },
            "metadata": { "timeout": 12.5 } }),
        &["User -> H", "A <-> H", "B <-> H"],
        &["timeout(12.5)", "parallel(A, B)"],
    );
    check(
        json!({ "pattern": "hierarchical",
            "params": { "tree": { "M": ["L", "K"], "L": ["D"], "D": [] } } }),
        &["User -> M", "L -> D", "M -> K", "M -> L"],
        &[],
    );
    check(
        json!({ "pattern": "hierarchical", "params": { "root": "R", "levels": [["A", "B"], ["C"]] } }),
        &["User -> R", "A -> C", "B -> C", "R -> A", "R -> B"],
        &[],
    );
    check(
        json!({ "pattern": "pipeline", "params": { "parallel_within_stage": true, "stages": [
            { "name": "one", "agents": ["A", "B"] }, { "agents": ["C", "D"] }] } }),
        &["User -> A", "User -> B", "A -> C", "A -> D", "B -> C", "B -> D"],
        &["parallel(A, B)", "parallel(C, D)"],
    );
    check(
        json!({ "pattern": "mesh", "params": { "agents": ["A", "B", "C"], "entry_point": "B" } }),
        &["User -> B", "A <-> B", "A <-> C", "B <-> C"],
        &[],
    );
    check(
        json!({ "pattern": "mesh", "params": { "agents": ["A", "B"], "fully_connected": false } }),
        &[],
        &[],
    );
    check(
        json!({ "pattern": "star", "params": { "center": "C", "points": ["A", "B"] } }),
        &["User -> C", "A <-> C", "B <-> C"],
        &[],
    );
    check(
        json!({ "pattern": "star",
            "params": { "center": "C", "points": ["A", "B"], "bidirectional": false } }),
        &["User -> C", "C -> A", "C -> B"],
        &[],
    );
    check(
        json!({ "pattern": "ring", "params": { "agents": ["A", "B", "C"] },
            "metadata": { "entry_point": "C" } }),
        &["User -> C", "A -> B", "B -> C", "C -> A"],
        &[],
    );
    check(
        json!({ "pattern": "ring", "params": { "agents": ["A", "B"], "bidirectional": true } }),
        &["A <-> B"],
        &[],
    );
    check(
        json!({ "pattern": "broadcast", "params": { "broadcaster": "S", "receivers": ["A", "B"] } }),
        &["User -> S", "S -> A", "S -> B"],
        &["parallel(A, B)"],
    );
    check(
        json!({ "pattern": "broadcast",
            "params": { "broadcaster": "S", "receivers": ["A"], "allow_replies": true } }),
        &["User -> S", "A <-> S"],
        &[],
    );
}

#[test]
fn a_pattern_without_what_it_needs_is_refused() {
    for (value, told) in [
        (
            json!({ "pattern": "hub_and_spoke" }),
            "params: `hub_and_spoke` has no `hub`; add `hub` to `params`\n\
             params: `hub_and_spoke` has no `spokes`; add `spokes` to `params`",
        ),
        (
            json!({ "pattern": "rng", "params": {} }),
            "pattern: `rng` is no pattern; did you mean `ring`?",
        ),
        (
            json!({ "pattern": "ring", "params": { "agents": [] } }),
            "params.agents: the list is empty; name at least one",
        ),
        (
            json!({ "pattern": "hierarchical", "params": { "root": "A" } }),
            "params: `hierarchical` has neither a `tree` nor a `root` with `levels`; \
             add one of them to `params`",
        ),
        (
            json!({ "pattern": "hierarchical", "params": { "tree": { "A": ["B"], "B": ["A"] } } }),
            "params.tree: the tree has no root; name an agent that is below none",
        ),
        (
            json!({ "pattern": "star", "params": { "center": 1, "points": ["A", "A", "User"] } }),
            "params.center: a number stands where there is the name of an agent; \
             write the name of an agent\n\
             params.points.1: `A` is named twice; keep one of them\n\
             params.points.2: `User` is a reserved name; name an agent; patterns add the user",
        ),
        (
            json!({ "pattern": "pipeline", "params": { "stages": [{ "name": "x" }], "width": 2 } }),
            "params.width: there is no key `width` here; the keys here are `stages`, \
             `parallel_within_stage`\n\
             params.stages.0: the stage has no `agents`; add a list of names",
        ),
        (
            json!({ "pattern": "ring", "params": { "agents": ["A"] }, "metadata":
                { "entry_point": "B", "timeout": "x" } }),
            "metadata.entry_point: the entry point \"B\" is not among the agents; \
             name one of the agents\n\
             metadata.timeout: `\"x\"` is not a number of seconds; \
             write seconds, such as 300 or 0.5",
        ),
    ] {
        assert_eq!(faults(&value), told, "{value}");
    }
    let crowd: Vec<String> = (0..1_000).map(|n| format!("a{n}")).collect();
    let told = PatternConfig::from(Pattern::mesh(crowd)).topology().unwrap_err();
    assert_eq!(told[0].what, "the pattern has up to 500001 links");
}

#[test]
fn typed_patterns_are_the_written_ones() {
    for (typed, written) in [
        (
            Pattern::tree([("A", vec!["B", "C"])]),
            json!({ "pattern": "hierarchical", "params": { "tree": { "A": ["B", "C"] } } }),
        ),
        (
            Pattern::levels("A", [["B", "C"]]),
            json!({ "pattern": "hierarchical",
                "params": { "root": "A", "levels": [["B", "C"]] } }),
        ),
        (
            Pattern::pipeline([["A"], ["B"]], false),
            json!({ "pattern": "pipeline",
                "params": { "stages": [{ "agents": ["A"] }, { "agents": ["B"] }] } }),
        ),
        (
            Pattern::broadcast("A", ["B"], true),
            json!({ "pattern": "broadcast",
                "params": { "broadcaster": "A", "receivers": ["B"], "allow_replies": true } }),
        ),
    ] {
        let config: PatternConfig = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(config, PatternConfig::from(typed));
        assert_eq!(config.topology().unwrap(), strict(&written));
    }
    let schema = serde_json::to_value(schemars::schema_for!(PatternConfig)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&json!({ "pattern": "ring", "params": { "agents": ["A"] } })));
    assert!(!validator.is_valid(&json!({ "pattern": "ring", "params": {} })));
}
