//! Random topologies, and random values that are none.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;
use super::strict;

fn a_name() -> impl Strategy<Value = String> {
    "[A-Da-c_é][A-Z0-9 .'&/@+#-]{0,3}[a-z0-9_]"
}

fn a_link(names: Vec<String>) -> impl Strategy<Value = Value> {
    let some = prop::sample::select(names);
    let arrow = prop::sample::select(vec!["->", "<->", "<=>", "<~>", "<|>"]);
    let kind = prop::sample::select(vec!["invoke", "notify", "query", "stream"]);
    let metadata =
        prop::option::of(prop::sample::select(vec![json!({ "a": 1 }), json!({ "b": [2] })]));
    (some.clone(), some, arrow, kind, metadata).prop_map(|(a, b, arrow, kind, metadata)| {
        let pattern = match arrow {
            "->" => "none",
            "<->" => "two_way",
            "<=>" => "reflexive",
            "<~>" => "alternating",
            _ => "symmetric",
        };
        match metadata {
            None => json!(format!("{a} {arrow} {b} ({kind})")),
            Some(metadata) => json!({ "from": a, "to": b, "kind": kind, "pattern": pattern,
                "metadata": metadata }),
        }
    })
}

fn a_topology() -> impl Strategy<Value = Topology> {
    prop::collection::btree_set(a_name(), 2..6)
        .prop_flat_map(|names| {
            let names: Vec<String> = names.into_iter().collect();
            let links = prop::collection::vec(a_link(names.clone()), 0..8);
            let policies = prop::sample::subsequence(
                vec![
                    "timeout(1.5)".to_owned(),
                    format!("parallel({}, {})", names[1], names[0]),
                    format!("max_turns({} <-> {}, 3)", names[1], names[0]),
                    format!("convergence_point({})", names[0]),
                    format!("agent_timeout({}: 3, default: 0.1)", names[1]),
                    "max_agents(3)".to_owned(),
                ],
                0..6,
            );
            (Just(names), links, policies)
        })
        .prop_map(|(names, links, policies)| {
            let value = json!({ "nodes": names, "links": links, "policies": policies });
            Topology::read(&value, Lenience::Lenient).expect("lenient").0
        })
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec![
            "A",
            "A -> B",
            "A<->",
            "User",
            "USER -> A",
            "max_turns(START <-> A, 3)",
            "ring",
            "mesh",
            "pipeline",
            "hierarchical",
            "notify",
            "timeout(1)",
            "parallel(A, B)",
            "max_turns(A <-> B,",
            "agent_timeout(é:1,",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 5, |inner| {
        let key = prop::sample::select(vec![
            "nodes",
            "links",
            "edges",
            "policies",
            "rules",
            "metadata",
            "pattern",
            "params",
            "name",
            "kind",
            "from",
            "to",
            "agents",
            "stages",
            "tree",
            "root",
            "levels",
            "hub",
            "timeout",
            "entry_point",
            "bidirectional",
            "agent",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key.prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_printed_is_read_back(topology in a_topology()) {
        prop_assert_eq!(&strict(&topology.to_notation()), &topology);
        let json = serde_json::to_value(&topology).unwrap();
        prop_assert_eq!(&strict(&json), &topology);
        prop_assert_eq!(&serde_json::from_value::<Topology>(json).unwrap(), &topology);
        let packed = postcard::to_allocvec(&topology).unwrap();
        prop_assert_eq!(&postcard::from_bytes::<Topology>(&packed).unwrap(), &topology);
        for link in topology.links().iter().filter(|link| link.metadata.is_empty()) {
            prop_assert_eq!(&link.to_string().parse::<Link>().unwrap(), link);
        }
    }

    #[test]
    fn order_is_no_matter(topology in a_topology(), seed in any::<u64>()) {
        let Value::Object(mut map) = topology.to_notation() else { unreachable!("a map") };
        for list in map.values_mut().filter_map(Value::as_array_mut) {
            let turn = usize::try_from(seed % 7).unwrap() % list.len().max(1);
            list.rotate_left(turn);
            if seed % 2 == 0 {
                list.reverse();
            }
        }
        prop_assert_eq!(strict(&Value::Object(map)), topology);
    }

    #[test]
    fn nothing_that_is_read_panics(value in any_json()) {
        for lenience in [Lenience::Strict, Lenience::Lenient] {
            if let Ok((topology, _)) = Topology::read(&value, lenience) {
                let _ = topology.analysis();
                prop_assert_eq!(strict(&topology.to_notation()), topology);
            }
        }
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in any::<String>()) {
        let _ = text.parse::<Link>();
        let _ = text.parse::<Policy>();
    }
}
