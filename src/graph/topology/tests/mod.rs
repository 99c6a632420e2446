//! Topologies in all their spellings.

mod patterns;
mod random;

use serde_json::{Value, json};

use super::*;

fn strict(value: &Value) -> Topology {
    match Topology::read(value, Lenience::Strict) {
        Ok((topology, warnings)) => {
            assert_eq!(warnings, [], "the strict are not warned");
            topology
        }
        Err(faults) => panic!("{value}: {}", told(&faults)),
    }
}

fn told(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn faults(value: &Value) -> String {
    told(&Topology::read(value, Lenience::Strict).expect_err("a topology that is wrong"))
}

fn links(topology: &Topology) -> Vec<String> {
    topology.links().iter().map(ToString::to_string).collect()
}

fn names(topology: &Topology) -> Vec<&str> {
    topology.nodes().iter().map(|node| node.name.as_str()).collect()
}

fn policies(topology: &Topology) -> Vec<String> {
    topology.policies().iter().map(ToString::to_string).collect()
}

#[test]
fn however_it_is_written_it_is_the_same() {
    let expected = Topology::builder()
        .agent("A")
        .agent("B")
        .node(Node { convergence: true, ..Node::new("C") })
        .link("User", "A")
        .two_way("A", "B")
        .connect(Link::new("A", "C").with_kind(LinkKind::Notify))
        .policy(Policy::Parallel(vec!["C".into(), "B".into()]))
        .build()
        .unwrap();
    let same = [
        json!({ "nodes": ["User", "A", "B", "C"],
            "edges": ["User -> A", "A <-> B", "A -> C (notify)"],
            "rules": ["parallel(B, C)", "convergence_point(C)"] }),
        json!({ "nodes": [{ "name": "C", "is_convergence_point": true }, "B", "  A "],
            "links": [["A", "C", "notify"], "B<->A", ["User", "A"], "User->A"],
            "policies": ["parallel( C ,B, C)"] }),
        json!({ "nodes": ["A", "B", "C", { "name": "C", "convergence": true }],
            "edges": ["B -> A", ["A", "B", "invoke"],
                { "source": "A", "target": "C", "edge_type": "notify" },
                { "from": "User", "to": "A", "bidirectional": false }],
            "rules": ["parallel(B, C)", "parallel(C, B)"] }),
        json!({ "nodes": ["A", "B", "C"],
            "edges": [{ "from": "B", "to": "A", "bidirectional": true, "pattern": "two_way" },
                "A -> B", "User -> A", "A -> C (notify)"],
            "policies": ["convergence_point(C)"], "rules": ["parallel(C, B)"] }),
    ];
    for written in same {
        let topology = strict(&written);
        assert_eq!(topology, expected, "{written}");
        assert_eq!(
            serde_json::to_string(&topology).unwrap(),
            serde_json::to_string(&expected).unwrap()
        );
    }
    assert_eq!(
        serde_json::to_value(&expected).unwrap(),
        json!({
            "nodes": [{ "name": "User", "kind": "user" }, { "name": "A" }, { "name": "B" },
                { "name": "C", "convergence": true }],
            "links": [{ "from": "User", "to": "A", "kind": "invoke" },
                { "from": "A", "to": "B", "kind": "invoke", "pattern": "two_way" },
                { "from": "A", "to": "C", "kind": "notify" }],
            "policies": ["parallel(B, C)", "convergence_point(C)"],
        })
    );
}

#[test]
fn each_arrow_has_its_meaning() {
    for (text, pattern, ends, printed) in [
        ("A -> B", LinkPattern::None, ["A", "B"], "A -> B"),
        ("B->A", LinkPattern::None, ["B", "A"], "B -> A"),
        ("B <-> A", LinkPattern::TwoWay, ["A", "B"], "A <-> B"),
        ("B <=> A", LinkPattern::Reflexive, ["B", "A"], "B <=> A"),
        ("B <~> A", LinkPattern::Alternating, ["A", "B"], "A <~> B"),
        ("B <|> A", LinkPattern::Symmetric, ["A", "B"], "A <|> B"),
        (
            "front desk-> call-back",
            LinkPattern::None,
            ["front desk", "call-back"],
            "front desk -> call-back",
        ),
        ("Zoë  K -> 客服", LinkPattern::None, ["Zoë K", "客服"], "Zoë K -> 客服"),
    ] {
        let link: Link = text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"));
        assert_eq!((link.pattern, [&*link.from, &*link.to]), (pattern, ends), "{text}");
        assert_eq!(link.to_string(), printed);
    }
    let stream: Link = "A <~> B ( stream )".parse().unwrap();
    assert_eq!(stream.kind, LinkKind::Stream);
    assert_eq!(stream.to_string(), "A <~> B (stream)");
}

#[test]
fn a_wrong_link_is_told_with_its_character() {
    for (text, column, what) in [
        ("A B", 1, "`A B` has no arrow"),
        ("", 1, "`` has no arrow"),
        ("A -> B -> C", 8, "`->` is a second arrow"),
        ("A => B", 3, "`=` is not part of an arrow"),
        ("A --> B", 3, "`-` cannot stand here in a name"),
        ("é <-> ", 7, "a name is missing"),
        ("A -> B, C", 7, "`,` cannot stand here in a name"),
        ("A -> B (tell)", 9, "`tell` is no kind of link"),
        ("A -> B (notify", 8, "the parenthesis is not closed"),
        ("é < B", 3, "`<` is not part of an arrow"),
    ] {
        let fault = text.parse::<Link>().expect_err(text);
        assert_eq!((fault.column, fault.what.as_str()), (Some(column), what), "{text}");
    }
    let long = format!("{} -> B", "n".repeat(NAME_MAX + 1));
    assert!(long.parse::<Link>().unwrap_err().what.ends_with("has 65 characters"));
}

#[test]
fn the_lenient_mean_the_reserved_name_whatever_its_case() {
    let written = json!({ "nodes": ["USER", "A"], "links": ["user -> A"],
        "policies": ["max_turns(USER <-> A, 3)"] });
    let (read, warnings) = Topology::read(&written, Lenience::Lenient).unwrap();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    let meant = json!({ "nodes": ["User", "A"], "links": ["User -> A"],
        "policies": ["max_turns(User <-> A, 3)"] });
    assert_eq!(read, strict(&meant));
    assert_eq!(strict(&read.to_notation()), read);
}

#[test]
fn all_faults_are_told_at_once_each_with_its_place() {
    let wrong = json!({
        "nodes": ["A", 3, { "name": "B", "kind": "robot" }, { "kind": "agent" }, "C", "user", "Clerk"],
        "edges": ["A = C", "A -> D", ["A"], { "source": "A", "target": "Clrk" }, ["A", "C", "tell"],
            "C -> C", true],
        "rules": ["timeout(soon)", "paralel(A, C)", "parallel(A)", "max_turns(A -> C, 3)",
            "max_steps(0)", "parallel(A, E)", "timeout"],
        "nods": [],
    });
    assert_eq!(
        faults(&wrong),
        "nods: there is no key `nods` here; did you mean `nodes`?\n\
         nodes.1: a node is a name or a map, not a number; write the name as a text\n\
         nodes.2.kind: `robot` is no kind of node; the words here are `agent`, `user`, `start`, `end`\n\
         nodes.3: `name` is missing; add it\n\
         edges.0, character 3: `=` is not part of an arrow; write `A -> B`, or one of <->, <=>, <~>, <|> between the names\n\
         edges.2: a link in a list has two or three items, not 1; write [A, B] or [A, B, notify]\n\
         edges.4.2: `tell` is no kind of link; the words here are `invoke`, `notify`, `query`, `stream`\n\
         edges.6: a link is a text, a list or a map, not a boolean; write `A -> B`\n\
         rules.0, character 9: `soon` is not a number of seconds; write seconds, such as 300 or 0.5\n\
         rules.1, character 1: `paralel` is no policy; did you mean `parallel`?\n\
         rules.2, character 1: fewer than two nodes cannot work in parallel; name two or more\n\
         rules.3, character 13: a conversation has an arrow of two heads; write A <-> B\n\
         rules.4, character 11: `0` is not a count; write a whole number from 1 to 1000000\n\
         rules.6, character 1: `timeout` has no value in parentheses; write timeout(300)\n\
         nodes.5: `user` differs from the reserved name `User` in case alone; write `User`, or another name\n\
         edges.1, character 6: `D` is not among the nodes; add it to the nodes, or correct the name\n\
         edges.3.target: `Clrk` is not among the nodes; did you mean `Clerk`? otherwise add it to the nodes\n\
         edges.5: `C` is linked to itself; an agent goes on by itself; remove the link\n\
         rules.5: `E` is not among the nodes; add it to the nodes, or correct the name"
    );
}

#[test]
fn the_lenient_skip_with_a_warning_and_add_nodes() {
    let written = json!({
        "nodes": ["A"],
        "edges": ["A -> B", "A - B", 7],
        "rules": ["nonsense(3)", "timeout(5)", "timeout(6)"],
    });
    let (topology, warnings) = Topology::read(&written, Lenience::Lenient).unwrap();
    assert_eq!(names(&topology), ["A", "B"]);
    assert_eq!(links(&topology), ["A -> B"]);
    assert_eq!(policies(&topology), ["timeout(6)"]);
    let places: Vec<String> = warnings.iter().map(|warning| warning.place.join(".")).collect();
    assert_eq!(places, ["edges.1", "edges.2", "rules.0", "edges.0", "rules.2"]);
}

#[test]
fn a_value_of_another_shape_is_refused_by_its_type() {
    for (value, told) in [
        (json!(7), "a topology is a map, not a number; write nodes and links, or a pattern"),
        (json!("A -> B"), "a topology is a map, not a text; write nodes and links, or a pattern"),
        (
            json!({ "nodes": "A" }),
            "nodes: `nodes` is a list, not a text; write its items in a list",
        ),
        (json!({ "edges": {} }), "edges: `edges` is a list, not a map; write its items in a list"),
        (
            json!({ "metadata": 1 }),
            "metadata: `metadata` is a map, not a number; write keys and values",
        ),
    ] {
        assert_eq!(faults(&value), told);
        assert!(Topology::read(&value, Lenience::Lenient).is_err(), "{value}");
    }
    assert_eq!(strict(&json!({})), Topology::default());
    assert_eq!(strict(&json!({ "nodes": null, "edges": [] })), Topology::default());
}

#[test]
fn a_call_that_returns_leaves_the_hand_overs_of_the_two_alone() {
    for (edges, kept) in [
        (json!(["B -> A", "A <=> B"]), &["A <=> B", "B -> A"][..]),
        (json!(["A <=> B", "A -> B"]), &["A -> B", "A <=> B"]),
        (json!(["A <=> B", "A <-> B"]), &["A <-> B", "A <=> B"]),
        (json!(["A <=> B", "A -> B", "B -> A"]), &["A <-> B", "A <=> B"]),
    ] {
        let value = json!({ "nodes": ["A", "B"], "edges": edges });
        let (topology, _) = Topology::read(&value, Lenience::Strict).unwrap();
        let links: Vec<String> = topology.links().iter().map(ToString::to_string).collect();
        assert_eq!(links, kept, "{edges}");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    for (value, what) in [
        (json!({ "nodes": ["A", "B"], "edges": ["A <=> B", "B <=> A"] }), "edges.1: `B <=> A`"),
        (json!({ "nodes": ["A", "B"], "edges": ["A <~> B", "A <-> B"] }), "edges.1: `A <-> B`"),
        (json!({ "rules": ["timeout(1)", "timeout(2)"] }), "rules.1: `timeout(2)` contradicts"),
        (
            json!({ "nodes": ["A"], "rules": ["agent_timeout(A: 1)", "agent_timeout(A: 2)"] }),
            "rules.1: `agent_timeout(A: 2)` contradicts",
        ),
        (
            json!({ "nodes": [{ "name": "A", "agent": "x" }, { "name": "A", "agent": "y" }] }),
            "nodes.1: `A` stands for two agents",
        ),
        (json!({ "nodes": [{ "name": "User", "kind": "agent" }] }), "nodes.0: `User` is reserved"),
    ] {
        let told = faults(&value);
        assert!(told.starts_with(what), "{told}");
    }
    let other_kinds =
        json!({ "nodes": ["A", "B"], "edges": ["A <-> B", "A <~> B (query)", "A -> B"] });
    assert_eq!(links(&strict(&other_kinds)), ["A <-> B", "A <~> B (query)"]);
}

#[test]
fn policies_are_texts() {
    for (text, printed, executable) in [
        ("timeout(300)", "timeout(300)", true),
        (" timeout( 0.250 ) ", "timeout(0.25)", true),
        ("max_agents(10)", "max_agents(10)", false),
        ("max_steps(100)", "max_steps(100)", true),
        ("max_turns(B <-> A, 3)", "max_turns(A <-> B, 3)", true),
        ("max_turns(User <~> A, 3)", "max_turns(User <-> A, 3)", true),
        ("parallel(C, A, B)", "parallel(A, B, C)", false),
        ("convergence_point(A b)", "convergence_point(A b)", false),
        ("agent_timeout(A: 120, default: 90)", "agent_timeout(A: 120, default: 90)", true),
        ("agent_timeout(default:1.5)", "agent_timeout(default: 1.5)", true),
    ] {
        let policy: Policy = text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"));
        assert_eq!(policy.to_string(), printed);
        assert_eq!(policy.is_executable(), executable, "{text}");
        assert_eq!(printed.parse::<Policy>(), Ok(policy));
    }
    for text in [
        "",
        "timeout()",
        "timeout(0)",
        "timeout(-1)",
        "timeout(1.2345)",
        "timeout(1, 2)",
        "timeout(99999999999999999999)",
        "timeout(31536000.001)",
        "timeout(5",
        "max_steps(1.5)",
        "max_steps(+1)",
        "max_agents(1000001)",
        "max_turns(A <-> A, 2)",
        "max_turns(A, B, 2)",
        "parallel(A, A)",
        "parallel(A,)",
        "convergence_point()",
        "agent_timeout()",
        "agent_timeout(A: 1, A: 2)",
        "retry(3)",
    ] {
        assert!(text.parse::<Policy>().is_err(), "{text}");
    }
}

#[test]
fn it_is_told_where_runs_begin_part_meet_and_end() {
    let report = strict(&json!({
        "nodes": ["Planner", "W1", "W2", "Join", "Writer", "Review", "Alone"],
        "edges": ["User -> Planner", "Planner -> W1", "Planner -> W2", "W1 -> Join", "W2 -> Join",
            "Join -> Writer", "Writer <-> Review", "Review -> User"],
        "rules": ["parallel(W1, W2)"],
    }))
    .analysis();
    assert_eq!(report.divergence, ["Planner", "Review"]);
    assert_eq!(report.convergence, ["Join"]);
    assert_eq!(report.entries, ["User"]);
    assert!(!report.entry_chosen);
    assert_eq!(report.first_agents, ["Planner"]);
    assert_eq!(report.exits, ["User"]);
    assert_eq!(report.isolated, ["Alone"]);
    assert_eq!(report.conversations.len(), 1);
    assert_eq!(report.conversations[0].first, "Review");
    assert_eq!(report.parallel[0].triggers, ["Planner"]);

    let hub = PatternConfig::from(Pattern::hub_and_spoke("H", ["A", "B"], true));
    let hub = hub.topology().unwrap().analysis();
    assert!(hub.convergence.is_empty(), "what comes back in a conversation makes no convergence");
    assert_eq!(hub.parallel[0].triggers, ["H"]);

    for (edges, entries, chosen) in [
        (json!(["A -> B", "B -> C", "C -> A", "B -> D"]), &["B"][..], true),
        (json!(["A -> B", "B -> C", "C -> D", "D -> A"]), &["A"], true),
        (json!(["A -> B", "C -> D"]), &["A", "C"], false),
        (json!(["start -> A", "A -> B", "B -> A", "C -> D", "D -> end"]), &["start", "C"], false),
        (json!([]), &["A", "B", "C", "D"], false),
    ] {
        let told = strict(&json!({ "nodes": ["A", "B", "C", "D"], "edges": edges })).analysis();
        assert_eq!(
            (told.entries.as_slice(), told.entry_chosen),
            (&entries.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..], chosen),
            "{edges}"
        );
    }
    let marked = strict(&json!({ "nodes": ["A"], "rules": ["convergence_point(A)"] }));
    assert_eq!(marked.analysis().convergence, ["A"]);
    assert_eq!(Topology::default().analysis(), Analysis::default());
}

#[test]
fn excess_is_refused() {
    let many: Vec<Value> = (0..=POLICIES_MAX).map(|_| "timeout(1)".into()).collect();
    assert_eq!(faults(&json!({ "rules": many })), "rules: there are 1001 rules; use at most 1000");
    let bad: Vec<Value> = (0..500).map(|_| json!(1)).collect();
    let told = Topology::read(&json!({ "nodes": bad }), Lenience::Strict).unwrap_err();
    assert_eq!(told.len(), FAULTS_MAX + 1);
    assert_eq!(told[FAULTS_MAX].what, "there are 400 more faults");
}

#[test]
fn a_large_topology_is_read_whole() {
    let node = |n: usize| format!("agent {n}");
    let nodes: Vec<String> = (0..NODES_MAX).map(node).collect();
    let edges: Vec<String> = (0..LINKS_MAX)
        .map(|n| {
            let from = n % NODES_MAX;
            format!("{} -> {}", node(from), node((from + 1 + n / NODES_MAX) % NODES_MAX))
        })
        .collect();
    let topology = strict(&json!({ "nodes": nodes, "edges": edges }));
    assert_eq!((topology.nodes().len(), topology.links().len()), (NODES_MAX, LINKS_MAX));
    assert_eq!(topology.analysis().convergence.len(), NODES_MAX);
}
