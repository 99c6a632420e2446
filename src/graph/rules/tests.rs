//! Rules as people write them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[derive(Default)]
struct Known {
    user_input: &'static str,
    input_type: &'static str,
    turns: u64,
    tool: &'static str,
    result: &'static str,
    facts: BTreeMap<&'static str, Value>,
}

impl Variables for Known {
    fn user_input(&self) -> &str {
        self.user_input
    }
    fn current_agent_name(&self) -> &str {
        "Front Desk"
    }
    fn current_agent_type(&self) -> &str {
        "general"
    }
    fn conversation_turn_count(&self) -> u64 {
        self.turns
    }
    fn user_input_type(&self) -> &str {
        if self.input_type.is_empty() { "unknown" } else { self.input_type }
    }
    fn last_tool_name(&self) -> &str {
        self.tool
    }
    fn last_tool_result(&self) -> &str {
        self.result
    }
    fn fact(&self, name: &str) -> Option<&Value> {
        self.facts.get(name)
    }
}

fn known() -> Known {
    Known {
        user_input: "Combat please",
        turns: 2,
        tool: "lookup",
        result: r#"{"status":"late"}"#,
        facts: BTreeMap::from([
            ("tier", json!("gold")),
            ("age", json!(7)),
            ("points", json!(" 1200 ")),
            ("vip", json!(true)),
            ("gone", Value::Null),
            ("orders", json!([1])),
        ]),
        ..Known::default()
    }
}

/// One rule with these conditions that hands over to agent 7.
fn rule(conditions: &Value) -> Value {
    let action = json!({ "name": "transition_to_agent", "params": { "agent_id": 7 } });
    json!({ "conditions": conditions, "actions": [action] })
}

fn made(conditions: &Value) -> RuleSet {
    RuleSet::new(&json!([rule(conditions)])).unwrap_or_else(|faults| panic!("{}", told(&faults)))
}

fn told(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn faults(conditions: &Value) -> String {
    told(&RuleSet::new(&json!([rule(conditions)])).expect_err("conditions that are wrong"))
}

fn test(name: &str, operator: &str, value: &Value) -> Value {
    json!({ "name": name, "operator": operator, "value": value })
}

#[test]
fn conditions_hold_or_not_or_are_refused() {
    let turns = |operator: &str, value: Value| test("conversation_turn_count", operator, &value);
    let hold = [
        json!({ "all": [test("user_input", "equal_to_case_insensitive", &json!("COMBAT PLEASE"))] }),
        json!({ "all": [test("user_input", "matches_regex", &json!("^C.*e$"))] }),
        json!({ "all": [test("is_first_turn", "is_false", &Value::Null)] }),
        turns("equal_to", json!(2)),
    ];
    for conditions in hold {
        let rules = made(&conditions);
        let triggered = rules.evaluate(&known()).unwrap().expect("conditions that hold");
        assert_eq!(triggered.transition(), Some(&AgentKey::Number(7)), "{conditions}");
    }
    let refused = [
        (json!({ "all": [] }), "0.conditions.all: `all` of nothing; add a condition"),
        (json!({ "any": [] }), "0.conditions.any: `any` of nothing; add a condition"),
        (
            json!({ "all": [test("nope", "equal_to", &json!(1))] }),
            "0.conditions.all.0.name: there is no variable `nope`; the variables here are \
             `user_input`, `current_agent_name`, `current_agent_type`, `conversation_turn_count`, \
             `is_first_turn`, `user_input_type`, `last_tool_name`, `last_tool_result`, `fact.NAME`",
        ),
        (
            json!({ "all": [turns("nope", json!(1))] }),
            "0.conditions.all.0.operator: `nope` is no operator for `conversation_turn_count`; \
             the operators here are `equal_to`, `greater_than`, `greater_than_or_equal_to`, \
             `less_than`, `less_than_or_equal_to`",
        ),
        (
            json!({ "all": [turns("equal_to", json!("2"))] }),
            "0.conditions.all.0.value: the value of this operator is a number, not a text; \
             write a number, without quotes",
        ),
        (
            json!({ "all": [turns("equal_to", json!(2))], "any": [turns("equal_to", json!(2))] }),
            "0.conditions: `all` or `any` stands alone in its map; \
             put what stands beside it into a list of its own",
        ),
        (
            json!({ "not": turns("equal_to", json!(2)) }),
            "0.conditions.not: there is no `not`; \
             use the contrary operator, or another order of rules",
        ),
    ];
    for (conditions, expected) in refused {
        assert_eq!(faults(&conditions), expected);
    }
}

#[test]
fn each_operator_has_its_meaning() {
    for (name, operator, value, expected) in [
        ("user_input", "equal_to", json!("Combat please"), true),
        ("user_input", "equal_to", json!("combat please"), false),
        ("user_input", "starts_with", json!("Com"), true),
        ("user_input", "starts_with", json!("com"), false),
        ("user_input", "ends_with", json!("please"), true),
        ("user_input", "ends_with", json!("Please"), false),
        ("user_input", "contains", json!("bat pl"), true),
        ("user_input", "contains", json!("BAT"), false),
        ("user_input", "matches_regex", json!("b.t"), true),
        ("user_input", "matches_regex", json!("^please"), false),
        ("user_input", "non_empty", Value::Null, true),
        ("fact.none", "non_empty", json!(""), false),
        ("current_agent_name", "equal_to_case_insensitive", json!("FRONT desk"), true),
        ("current_agent_type", "equal_to", json!("general"), true),
        ("last_tool_name", "equal_to", json!("lookup"), true),
        ("last_tool_result", "contains", json!("\"late\""), true),
        ("fact.tier", "equal_to", json!("gold"), true),
        ("fact.age", "equal_to", json!("7"), true),
        ("fact.vip", "equal_to", json!("true"), true),
        ("fact.gone", "equal_to", json!(""), true),
        ("fact.age", "equal_to", json!(7), true),
        ("fact.age", "equal_to", json!(8), false),
        ("fact.age", "greater_than_or_equal_to", json!(7), true),
        ("fact.age", "greater_than", json!(7), false),
        ("fact.age", "less_than", json!(7.5), true),
        ("fact.age", "less_than_or_equal_to", json!(6), false),
        ("fact.points", "greater_than_or_equal_to", json!(1000), true),
        ("fact.points", "less_than", json!(1000), false),
        // What is no number is neither more nor less.
        ("fact.tier", "greater_than", json!(0), false),
        ("fact.tier", "less_than", json!(0), false),
        ("fact.none", "less_than", json!(1), false),
        ("fact.vip", "equal_to", json!(1), false),
        ("conversation_turn_count", "equal_to", json!(2.000_000_9), true),
        ("conversation_turn_count", "equal_to", json!(2.000_002), false),
        ("conversation_turn_count", "greater_than", json!(1), true),
        ("conversation_turn_count", "greater_than", json!(2), false),
        ("conversation_turn_count", "greater_than", json!(1.999_999_5), false),
        ("conversation_turn_count", "greater_than_or_equal_to", json!(2), true),
        ("conversation_turn_count", "greater_than_or_equal_to", json!(3), false),
        ("conversation_turn_count", "less_than", json!(3), true),
        ("conversation_turn_count", "less_than", json!(2), false),
        ("conversation_turn_count", "less_than_or_equal_to", json!(2), true),
        ("conversation_turn_count", "less_than_or_equal_to", json!(1), false),
        ("is_first_turn", "is_true", Value::Null, false),
        ("is_first_turn", "is_false", json!(true), true),
        ("user_input_type", "contains", json!("unknown"), true),
        ("user_input_type", "contains", json!("Unknown"), true),
        ("user_input_type", "contains", json!("u"), false),
        ("user_input_type", "does_not_contain", json!("unknown"), false),
        ("user_input_type", "does_not_contain", json!("question"), true),
        ("user_input_type", "contains_all", json!(["unknown"]), true),
        ("user_input_type", "contains_all", json!(["unknown", "question"]), false),
        ("user_input_type", "is_contained_by", json!(["question", "unknown"]), true),
        ("user_input_type", "is_contained_by", json!("question"), false),
        ("user_input_type", "shares_at_least_one_element_with", json!(["unknown", "x"]), true),
        ("user_input_type", "shares_at_least_one_element_with", json!(["x"]), false),
        ("user_input_type", "shares_exactly_one_element_with", json!(["unknown", "x"]), true),
        ("user_input_type", "shares_exactly_one_element_with", json!([]), false),
        ("user_input_type", "shares_no_elements_with", json!(["question"]), true),
        ("user_input_type", "shares_no_elements_with", json!(["unknown"]), false),
    ] {
        let conditions = test(name, operator, &value);
        let rules = made(&conditions);
        assert_eq!(rules.evaluate(&known()).unwrap().is_some(), expected, "{conditions}");
        assert_eq!(RuleSet::new(&rules.to_value()), Ok(rules), "{conditions}");
    }
    let first = Known { turns: 1, ..known() };
    assert!(
        made(&test("is_first_turn", "is_true", &Value::Null)).evaluate(&first).unwrap().is_some()
    );
}

#[test]
fn all_and_any_nest() {
    let yes = || test("user_input", "non_empty", &Value::Null);
    let no = || test("user_input", "equal_to", &json!("no"));
    for (conditions, expected) in [
        (json!({ "all": [yes(), yes()] }), true),
        (json!({ "all": [yes(), no()] }), false),
        (json!({ "any": [no(), yes()] }), true),
        (json!({ "any": [no(), no()] }), false),
        (json!({ "all": [{ "any": [no(), yes()] }, { "all": [yes()] }] }), true),
        (json!({ "any": [{ "all": [no(), yes()] }, { "any": [no()] }] }), false),
    ] {
        assert_eq!(
            made(&conditions).evaluate(&known()).unwrap().is_some(),
            expected,
            "{conditions}"
        );
    }
    let deep = |levels: usize| (0..levels).fold(yes(), |inner, _| json!({ "all": [inner] }));
    assert!(made(&deep(DEPTH_MAX - 1)).evaluate(&known()).unwrap().is_some());
    assert!(faults(&deep(DEPTH_MAX)).contains("conditions nest deeper than 16"));
}

#[test]
fn the_first_rule_that_holds_is_the_only_one() {
    let no = test("user_input", "equal_to", &json!("no"));
    let yes = test("user_input", "non_empty", &Value::Null);
    let note = |value: Value| json!({ "name": "set_context_value", "params": { "key": "k", "value": value } });
    let go = |to: &str| json!({ "name": "transition_to_agent", "params": { "agent_id": to } });
    let log = json!({ "name": "log_transition" });
    let rules = RuleSet::new(&json!([
        { "conditions": no, "actions": [go("a")] },
        { "conditions": yes, "actions": [go("b"), note(json!("x")), log, note(json!(2)), go("c")] },
        { "conditions": yes, "actions": [go("d")] },
    ]))
    .unwrap();
    let triggered = rules.evaluate(&known()).unwrap().unwrap();
    assert_eq!((triggered.rule, triggered.actions.len()), (1, 5));
    assert_eq!(triggered.transition(), Some(&AgentKey::Name("c".into())), "the last of several");
    let updates: Vec<(&str, Value)> =
        triggered.updates().map(|(key, value)| (key, value.clone().into())).collect();
    assert_eq!(updates, [("k", json!("x")), ("k", json!(2))]);

    let stays =
        RuleSet::new(&json!([{ "conditions": yes, "actions": [note(json!(true))] }])).unwrap();
    let triggered = stays.evaluate(&known()).unwrap().unwrap();
    assert_eq!((triggered.transition(), triggered.updates().count()), (None, 0));
    assert_eq!(RuleSet::new(&json!([])).unwrap().evaluate(&known()), Ok(None));
}

#[test]
fn a_fact_that_is_no_text_is_an_error_where_it_is_looked_at() {
    let orders = test("fact.orders", "non_empty", &Value::Null);
    let no = test("user_input", "equal_to", &json!("no"));
    let error = made(&json!({ "any": [no, orders] })).evaluate(&known()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rule 0: `fact.orders` is a list; conditions compare texts with it"
    );
    assert_eq!(made(&json!({ "all": [no, orders] })).evaluate(&known()), Ok(None));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let wrong = json!([
        7,
        { "conditions": [], "actions": {} },
        { "condition": {} },
        { "conditions": { "name": "fact.", "operator": "equal_to", "value": "x" },
          "actions": ["go", { "name": "transition_to" }, { "params": {} },
            { "name": "transition_to_agent" },
            { "name": "transition_to_agent", "params": { "agent_id": -1 } },
            { "name": "transition_to_agent", "params": { "agent_id": " ", "agent": 3 } },
            { "name": "set_context_value", "params": { "key": "", "value": [] } },
            { "name": "log_transition", "params": { "level": 3 } }] },
        { "conditions": { "all": [
            { "name": "user_input", "operator": "matches_regex", "value": "(" },
            { "name": "user_input", "operator": "matches_regex", "value": "\\w{2000}" },
            { "name": "user_input", "operator": "contains", "value": 3 },
            { "name": "user_inputs", "operator": "contains", "value": "x" },
            { "name": "is_first_turn", "operator": "is_true", "value": false },
            { "name": "user_input", "operator": "contains", "value": "x", "not": true }] },
          "actions": [] },
    ]);
    assert_eq!(
        told(&RuleSet::new(&wrong).unwrap_err()),
        "0: a rule is a map, not a number; write keys and values\n\
         1.conditions: a condition is a map, not a list; write keys and values\n\
         1.actions: actions stand in a list, not in a map; write a list\n\
         2.condition: there is no key `condition` here; did you mean `conditions`?\n\
         2: `conditions` is missing; add it\n\
         2: `actions` is missing; add it\n\
         3.conditions.name: there is no variable `fact.`; write the name of the fact after the dot\n\
         3.actions.0: an action is a map, not a text; write keys and values\n\
         3.actions.1.name: there is no action `transition_to`; the actions here are `transition_to_agent`, `set_context_value`, `log_transition`\n\
         3.actions.2: `name` is missing; add it\n\
         3.actions.3.params: `agent_id` is missing; add it\n\
         3.actions.4.params.agent_id: -1 is no number of an agent; write a whole number from 0, or a name\n\
         3.actions.5.params.agent: there is no key `agent` here; the keys here are `agent_id`\n\
         3.actions.5.params.agent_id: the name of the agent is empty; name an agent\n\
         3.actions.6.params.key: the key is empty; name a fact\n\
         3.actions.6.params.value: a value is a text, a number or a boolean, not a list; write one of these\n\
         3.actions.7.params.level: there is no key `level` here; there are no keys here\n\
         4.conditions.all.0.value: not a regular expression: unclosed group; correct the pattern\n\
         4.conditions.all.1.value: the pattern takes more than 1048576 bytes when compiled; repeat less, or use [0-9] and [a-z] instead of \\d and \\w\n\
         4.conditions.all.2.value: the value of this operator is a text, not a number; write a text\n\
         4.conditions.all.3.name: there is no variable `user_inputs`; did you mean `user_input`?\n\
         4.conditions.all.4.value: this operator has no value; remove it, or use the contrary operator\n\
         4.conditions.all.5.not: there is no `not`; use the contrary operator, or another order of rules"
    );
    assert_eq!(
        told(&RuleSet::new(&json!({})).unwrap_err()),
        "rules stand in a list, not in a map; write a list"
    );
}

#[test]
fn excess_is_refused() {
    let yes = test("user_input", "non_empty", &Value::Null);
    let wide = json!({ "any": vec![yes.clone(); 6_000] });
    let told_wide = told(&RuleSet::new(&json!([rule(&wide), rule(&wide)])).unwrap_err());
    assert_eq!(told_wide, "there are 12002 conditions; use at most 10000");
    let many = vec![rule(&yes); RULES_MAX + 1];
    assert_eq!(
        told(&RuleSet::new(&json!(many)).unwrap_err()),
        "there are 1001 rules; use at most 1000"
    );
    let patterns = vec![test("user_input", "matches_regex", &json!("a")); PATTERNS_MAX + 1];
    assert_eq!(
        faults(&json!({ "all": patterns })),
        "there are 101 regular expressions; use at most 100"
    );
    assert!(
        faults(&test("user_input", "contains", &json!("x".repeat(TEXT_MAX + 1))))
            .contains("use at most 10000")
    );
}

#[test]
fn what_is_described_can_be_made() {
    let description = description();
    let list = |value: &Value| value.as_array().cloned().expect("a list");
    for variable in list(&description["variables"]) {
        let kind = variable["field_type"].as_str().unwrap();
        let mut name = variable["name"].as_str().unwrap().to_owned();
        if name.ends_with('.') {
            name.push('x');
        }
        for operator in list(&description["variable_type_operators"][kind]) {
            let value = match operator["input_type"].as_str().unwrap() {
                "text" => json!("a"),
                "numeric" => json!(1),
                "select_multiple" => json!(["a"]),
                "none" => Value::Null,
                other => panic!("{other} is not described"),
            };
            made(&test(&name, operator["name"].as_str().unwrap(), &value));
        }
    }
    let actions: Vec<Value> = list(&description["actions"])
        .iter()
        .map(|action| {
            let params = list(&action["params"]);
            let params =
                params.iter().map(|param| (param["name"].as_str().unwrap().to_owned(), json!("a")));
            json!({ "name": action["name"], "params": params.collect::<serde_json::Map<_, _>>() })
        })
        .collect();
    let yes = test("user_input", "non_empty", &Value::Null);
    let rules = RuleSet::new(&json!([{ "conditions": yes, "actions": actions }])).unwrap();
    assert_eq!(rules.rules()[0].actions.len(), 3);
}

fn a_condition() -> impl Strategy<Value = Value> {
    let leaf = prop::sample::select(vec![
        test("user_input", "contains", &json!("please")),
        test("user_input", "matches_regex", &json!("^c")),
        test("conversation_turn_count", "less_than", &json!(2.5)),
        test("is_first_turn", "is_true", &json!("")),
        test("user_input_type", "is_contained_by", &json!("unknown")),
        test("fact.tier", "equal_to_case_insensitive", &json!("GOLD")),
        test("fact.orders", "non_empty", &Value::Null),
        test("fact.points", "equal_to", &json!(1200)),
        test("fact.points", "greater_than", &json!(1000)),
    ]);
    leaf.prop_recursive(4, 32, 4, |inner| {
        let group = prop::collection::vec(inner, 1..4);
        (prop::sample::select(vec!["all", "any"]), group)
            .prop_map(|(word, list)| json!({ word: list }))
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec![
            "user_input",
            "contains",
            "matches_regex",
            "transition_to_agent",
            "fact.x",
            "(a",
            "is_true",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 5, |inner| {
        let key = prop::sample::select(vec![
            "conditions",
            "actions",
            "all",
            "any",
            "name",
            "operator",
            "value",
            "params",
            "agent_id",
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
    fn what_is_written_out_means_the_same(conditions in prop::collection::vec(a_condition(), 0..4)) {
        let rules = RuleSet::new(&conditions.iter().map(rule).collect()).unwrap();
        let again = RuleSet::new(&rules.to_value()).unwrap();
        prop_assert_eq!(&again, &rules);
        prop_assert_eq!(again.to_value(), serde_json::to_value(&rules).unwrap());
        prop_assert_eq!(again.evaluate(&known()), rules.evaluate(&known()));
    }

    #[test]
    fn nothing_that_is_read_panics(value in any_json()) {
        for value in [value.clone(), json!([value.clone()]), json!([rule(&value)])] {
            if let Ok(rules) = RuleSet::new(&value) {
                let _ = rules.evaluate(&known());
            }
        }
    }
}
