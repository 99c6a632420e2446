//! Pictures of the agents: what is in them, and that texts stay texts.

#[expect(dead_code, reason = "each file of tests uses its part of the browser")]
mod browser;
#[expect(dead_code, reason = "each file of tests uses its part of the program")]
mod program;

use antiphon::config;
use antiphon::record::drawing::{Agent, Edge, EdgeKind, Picture};
use antiphon::session::plan::Plan;
use browser::{Browser, DESKTOP};
use program::Desk;
use serde_json::json;

/// Everything that can be said of transitions.
const COMPLETE: &str = include_str!("../configs/complete.yaml");

const NASTY: [&str; 6] = [
    "\"]; evil[\"x",
    "</text><script>hit()</script>&lt;&#60;",
    "a\\\" -> b; c\\n\\N",
    "new\nline\u{0}\u{1b}]--> end",
    "`#quot;` style:#35; %%{init}%% | click a href",
    "<b>\u{202e}gnp.exe",
];

fn picture(yaml: &str) -> (Picture, Plan) {
    let config =
        config::parse(yaml.as_bytes(), "test.yaml").unwrap_or_else(|wrong| panic!("{wrong}"));
    let plan = Plan::new(config).expect("it was checked");
    (Picture::of(&plan), plan)
}

fn agent(name: &str) -> Agent {
    Agent { name: name.into(), ..Agent::default() }
}

fn edge(from: usize, to: usize, label: &str) -> Edge {
    let (labels, transitions) = (vec![label.to_owned()], vec![0]);
    Edge { from, to, kind: EdgeKind::HandOver, labels, transitions }
}

/// Agents and ways that are all called as badly as can be.
fn nasty() -> Picture {
    let agents = NASTY.map(agent).to_vec();
    let edges = NASTY.iter().enumerate().map(|(at, label)| edge(at, (at + 1) % 6, label));
    Picture::new("--> \"<x>\"", agents, edges.collect()).expect("no end is missing")
}

/// What a flowchart or a graph says: the labels of its nodes by id, and its ways with their labels.
#[derive(Debug, Default)]
struct Read {
    nodes: Vec<(String, String)>,
    edges: Vec<(String, String, bool, String)>,
}

/// Reads the one shape of Mermaid that is written; anything else is a failure.
fn mermaid(text: &str) -> Read {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("flowchart LR"));
    let mut read = Read::default();
    for line in lines {
        let line = line.strip_prefix("  ").unwrap_or_else(|| panic!("{line:?}"));
        if let Some(style) = line.strip_prefix("style ") {
            assert!(style.ends_with(" stroke-width:3px"), "{line:?}");
            continue;
        }
        let [before, label, after] = line.splitn(3, '"').collect::<Vec<_>>()[..] else {
            panic!("{line:?}");
        };
        assert!(!after.contains('"'), "{line:?}");
        let label = numbered(&label.replace("<br/>", "\n"));
        if let Some((from, arrow)) = before.split_once(' ') {
            let to = after.strip_prefix("| ").expect("an end");
            let dashed = arrow == "-.->|";
            assert!(dashed || arrow == "-->|", "{line:?}");
            read.edges.push((from.into(), to.into(), dashed, label));
        } else {
            let ends = [("[", "]"), ("([", "])"), ("[[", "]]")];
            let at = before.find(['[', '(']).expect("a shape");
            assert!(ends.contains(&(&before[at..], after)), "{line:?}");
            read.nodes.push((before[..at].into(), label));
        }
    }
    read
}

/// Turns `#35;` back, and insists that nothing else is special.
fn numbered(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('#') {
        let (number, after) = after.split_once(';').expect("a number's end");
        out += before;
        out.push(char::from_u32(number.parse().expect("a number")).expect("a character"));
        rest = after;
    }
    assert!(!(out.clone() + rest).is_empty());
    let is_special = |c: char| "<>&\"`|;:".contains(c);
    assert!(!text.replace(';', "").contains(is_special), "{text:?}");
    out + rest
}

/// Reads the one shape of dot that is written.
fn dot(text: &str) -> Read {
    let mut read = Read::default();
    let mut lines = text.lines();
    assert!(lines.next().is_some_and(|line| line.starts_with("digraph \"")));
    assert_eq!(lines.next_back(), Some("}"));
    for line in lines {
        let line = line.strip_prefix("  ").and_then(|line| line.strip_suffix(';'));
        let line = line.unwrap_or_else(|| panic!("a statement a line: {text}"));
        if !line.starts_with('a') {
            continue;
        }
        let (ids, attributes) = line.split_once(" [label=\"").expect("a label");
        let (mut label, mut chars) = (String::new(), attributes.chars());
        loop {
            match chars.next().expect("the label's end") {
                '"' => break,
                '\\' => match chars.next() {
                    Some('n') => label.push('\n'),
                    Some(c @ ('"' | '\\')) => label.push(c),
                    other => panic!("an escape of dot: {other:?}"),
                },
                c => label.push(c),
            }
        }
        let rest = chars.as_str();
        assert!(rest.ends_with(']') && !rest.contains('"'), "{line}");
        assert_eq!(label.matches('&').count(), label.matches("&amp;").count());
        let label = label.replace("&amp;", "&");
        match ids.split_once(" -> ") {
            Some((from, to)) => {
                read.edges.push((from.into(), to.into(), rest.contains("dashed"), label));
            }
            None => read.nodes.push((ids.into(), label)),
        }
    }
    read
}

/// Insists that a document is well-formed, and returns its texts.
fn xml(document: &str) -> Vec<String> {
    let (mut open, mut texts): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
    let legal = |c: char| matches!(c, '\n' | ' '..='\u{fffd}' | '\u{10000}'..);
    assert!(document.chars().all(legal), "characters that XML forbids");
    let mut rest = document;
    while let Some((text, after)) = rest.split_once('<') {
        let mut plain = String::new();
        let mut parts = text.split('&');
        plain += parts.next().unwrap_or_default();
        for part in parts {
            let (name, after) = part.split_once(';').expect("an entity's end");
            plain += match name {
                "amp" => "&",
                "lt" => "<",
                "gt" => ">",
                "quot" => "\"",
                name => panic!("the entity {name}"),
            };
            plain += after;
        }
        assert!(!open.is_empty() || plain.trim().is_empty(), "{plain:?} is outside");
        texts.extend(Some(plain).filter(|text| !text.trim().is_empty()));
        let (tag, after) = after.split_once('>').expect("a tag's end");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let known = ["svg", "title", "desc", "style", "rect", "g", "path", "text"];
        assert!(known.contains(&name), "<{name}>");
        assert_eq!(attributes.matches('"').count() % 2, 0, "{tag}");
        for attribute in attributes.split('"').step_by(2).filter(|part| !part.is_empty()) {
            let name = attribute.trim().strip_suffix('=').expect("a name and a value");
            assert!(!name.starts_with("on") && name != "href", "{tag}");
        }
        if !is_empty {
            open.push(name);
        }
    }
    assert_eq!((open.len(), rest.trim()), (0, ""));
    texts
}

#[test]
fn every_agent_and_transition_is_in_every_picture() {
    let (picture, plan) = picture(COMPLETE);
    let (mermaid, dot) = (mermaid(&picture.mermaid()), dot(&picture.dot()));
    let svg = picture.svg().expect("it is small");
    let texts = xml(&svg);
    for read in [&mermaid, &dot] {
        let names: Vec<&str> =
            read.nodes.iter().map(|(_, label)| label.lines().next().unwrap()).collect();
        assert_eq!(names, ["clerk", "desk", "mirror", "operator"]);
        assert_eq!(read.edges.len(), picture.edges().len());
    }
    let mut drawn: Vec<u32> =
        picture.edges().iter().flat_map(|edge| edge.transitions.clone()).collect();
    drawn.sort_unstable();
    let mut all: Vec<u32> =
        plan.graph.transitions().iter().map(|transition| transition.id).collect();
    all.sort_unstable();
    assert!(all.len() > 11, "{all:?}");
    assert_eq!(drawn, all, "each transition once");
    for words in [
        "intent mirror",
        "left of stock is \"none at all\"",
        "event user.joined with name \"ann\"",
        "user says “echo”",
        "user’s words match (?i)\\bmirror\\b",
        "decides for mirror",
        "10 min with the call",
        "1 min of silence",
        "after 20 turns",
        "a business rule",
        "keys *9",
        "never",
        "calls",
    ] {
        for (form, read) in [("mermaid", &mermaid), ("dot", &dot)] {
            let is_there = read.edges.iter().any(|edge| edge.3.contains(words));
            assert!(is_there, "{words:?} is not in {form}: {:#?}", read.edges);
        }
        // In an SVG a long text may be broken, but its title has it.
        assert!(texts.iter().any(|text| text.contains(words)), "{words:?}: {texts:#?}");
    }
    let dashed = |read: &Read| read.edges.iter().filter(|edge| edge.2).count();
    assert_eq!([dashed(&mermaid), dashed(&dot), svg.matches("edge calls").count()], [1; 3]);
}

#[test]
fn parallel_transitions_are_both_there() {
    let (picture, _) = picture(
        "{ name: pair, start: a, agents: { a: { intents: [{ name: x, phrases: [x] }, { name: y, phrases: [y], \
         end_call: true }] }, b: {} }, transitions: [{ from: a, to: b, when: { intent: x } }, { from: a, to: b, \
         when: { intent: y } }, { from: a, to: b, when: { digits: '1' } }, { from: b, to: a, when: { digits: '2' } }] }",
    );
    // Those of one kind share a line, with the words of each.
    let expected =
        [("a0", "a1", "intent x\nor intent y"), ("a0", "a1", "keys 1"), ("a1", "a0", "keys 2")];
    for read in [mermaid(&picture.mermaid()), dot(&picture.dot())] {
        let edges: Vec<(&str, &str, &str)> =
            read.edges.iter().map(|edge| (&*edge.0, &*edge.1, &*edge.3)).collect();
        assert_eq!(edges, expected);
        assert_eq!(read.nodes[0].1, "a\nbegins, may end the call");
        assert_eq!(read.nodes[1].1, "b");
    }
    // Where even the words are equal, it is told how many there are.
    let both = Edge { labels: vec!["x".into(); 2], transitions: vec![0, 1], ..edge(0, 0, "") };
    let twice = Picture::new("twice", vec![agent("a")], vec![both]).expect("no end is missing");
    assert_eq!(dot(&twice.dot()).edges[0].3, "x (×2)");
    let svg = picture.svg().expect("it is small");
    let texts = xml(&svg);
    for words in ["intent x", "or intent y", "keys 1", "keys 2", "begins, may end the call"] {
        assert!(texts.iter().any(|text| text == words), "{words:?}: {texts:?}");
    }
    assert_eq!(svg.matches("class=\"way\"").count(), 3);
}

#[test]
fn a_picture_has_the_agents_of_its_conversation() {
    let yaml = "{ name: two, start: a, agents: { a: {}, b: {}, c: {} }, conversations: { one: { start: b, \
                agents: [b, c] } }, conversation: one, transitions: [{ from: a, to: b, when: { digits: '1' } }, \
                { from: b, to: c, when: { digits: '2' } }] }";
    let (picture, _) = picture(yaml);
    let names: Vec<&str> = picture.agents().iter().map(|agent| &*agent.name).collect();
    assert_eq!((picture.name(), names), ("one", vec!["b", "c"]));
    assert!(picture.agents()[0].starts);
    assert_eq!(picture.edges().len(), 1);
}

#[test]
fn hostile_names_stay_text() {
    let picture = nasty();
    let plain = |text: &str| {
        let bad = |c: char| if c.is_control() || c == '\u{202e}' { '\u{fffd}' } else { c };
        text.replace('\n', " ").chars().map(bad).collect::<String>()
    };
    for read in [mermaid(&picture.mermaid()), dot(&picture.dot())] {
        let nodes: Vec<&str> = read.nodes.iter().map(|(_, label)| &**label).collect();
        assert_eq!(nodes, NASTY.map(plain));
        let labels: Vec<&str> = read.edges.iter().map(|edge| &*edge.3).collect();
        assert_eq!(labels, NASTY.map(plain));
    }
    let texts = xml(&picture.svg().expect("it is small"));
    for name in NASTY.map(plain) {
        assert!(texts.contains(&name), "{name:?}: {texts:#?}");
    }
}

#[test]
fn texts_fit_their_boxes_and_labels_do_not_overlap_agents() {
    // Everything leads everywhere, to itself as well; another one is a chain, which is drawn downward.
    let names = [
        "desk",
        "customer_relations_department",
        "WWWWWWWWWWWWWWWWWWWWWWWW",
        "客服代表",
        "i",
        "<b>",
    ];
    let agents =
        names.map(|name| Agent { starts: name == "desk", ends: name == "i", ..agent(name) });
    let all = (0..36).map(|at| edge(at / 6, at % 6, "the invoice was sent to the wrong address"));
    let every = Picture::new("every", agents.to_vec(), all.collect()).expect("no end is missing");
    let names = (0..14).map(|at| Agent { starts: at == 3, ..agent(&format!("agent_{at}")) });
    let steps = (0..40).map(|at| edge(at % 14, (at * 3 + 1) % 14, "intent next"));
    let steps = steps.chain((0..13).map(|at| edge(at, at + 1, "keys 1")));
    let chain = Picture::new("chain", names.collect(), steps.collect()).expect("no end is missing");
    let desk = Desk::new();
    let mut browser = Browser::start();
    for picture in [every, chain, nasty()] {
        let svg = picture.svg().expect("it is small");
        xml(&svg);
        desk.put("picture.svg", svg);
        browser.open(&desk.dir.path().join("picture.svg"), DESKTOP);
        assert_eq!(browser.complaints(), [&serde_json::Value::Null; 0]);
        let found = browser.value(
            "(() => { const box = (node) => { const b = node.getBBox(); return { l: b.x, t: b.y, r: b.x + b.width, \
             b: b.y + b.height, text: node.textContent }; }; \
             const all = (what) => [...document.querySelectorAll(what)]; \
             const meet = (a, b) => a.l < b.r - 1 && b.l < a.r - 1 && a.t < b.b - 1 && b.t < a.b - 1; \
             const wrong = []; const boxes = all('.box').map(box); const labels = all('.label').map(box); \
             for (const group of all('.agent')) { const outer = box(group.querySelector('.box')); \
             for (const text of group.querySelectorAll('text')) { const b = box(text); \
             if (b.l < outer.l || b.r > outer.r || b.t < outer.t || b.b > outer.b) wrong.push(['out', b]); } } \
             for (const label of labels) for (const other of boxes) if (meet(label, other)) wrong.push([label, other]); \
             labels.forEach((label, n) => labels.slice(n + 1).forEach((other) => { if (meet(label, other)) wrong.push([label, other]); })); \
             boxes.forEach((one, n) => boxes.slice(n + 1).forEach((other) => { if (meet(one, other)) wrong.push([one, other]); })); \
             const view = document.documentElement.viewBox.baseVal; \
             for (const b of [...boxes, ...labels]) if (b.l < 0 || b.t < 0 || b.r > view.width || b.b > view.height) wrong.push(['outside', b]); \
             return [boxes.length, labels.length > 3, wrong]; })()",
        );
        assert_eq!(found, json!([picture.agents().len(), true, []]), "{}", picture.name());
    }
}

#[test]
fn an_end_that_is_not_there_is_no_picture_and_a_large_one_is_no_svg() {
    assert_eq!(Picture::new("one", vec![agent("a")], vec![edge(0, 1, "x")]), None);
    let many = |agents: usize, edges: usize| {
        let agents = (0..agents).map(|at| agent(&at.to_string())).collect::<Vec<_>>();
        let edges =
            (0..edges).map(|at| edge(at % agents.len(), (at * 7 + at / 100) % agents.len(), "x"));
        Picture::new("many", agents.clone(), edges.collect()).expect("no end is missing")
    };
    xml(&many(100, 400).svg().expect("the most that there may be"));
    for large in [many(101, 0), many(2, 401)] {
        let told = large.svg().expect_err("it is too large").to_string();
        assert!(told.contains("write dot or mermaid instead"), "{told}");
        assert_eq!(dot(&large.dot()).edges.len(), large.edges().len());
    }
}

#[test]
fn the_program_draws_and_complains() {
    let desk = Desk::new();
    desk.put("good.yaml", "{ name: one, agents: { desk: {} } }");
    desk.put("bad.yaml", "{ name: one, start: nobody, agents: { desk: {} }, transitions: [{}] }");
    assert_eq!(mermaid(&desk.run("graph good.yaml").exits(0).stdout).nodes.len(), 1);
    assert_eq!(dot(&desk.run("graph good.yaml --format dot").exits(0).stdout).nodes.len(), 1);
    let silent = desk.run("graph good.yaml --format svg -o good.svg").exits(0);
    assert_eq!(silent.stdout, "");
    xml(&std::fs::read_to_string(desk.dir.path().join("good.svg")).expect("it is written"));
    let two = "{ name: two, start: a, agents: { a: {}, b: {} }, conversations: { one: { start: b, agents: [b] } } }";
    desk.put("two.yaml", two);
    assert_eq!(mermaid(&desk.run("graph two.yaml").exits(0).stdout).nodes.len(), 2);
    let one = desk.run("graph two.yaml --conversation one").exits(0).stdout;
    assert_eq!(mermaid(&one).nodes.len(), 1);
    let none = desk.run("graph two.yaml --conversation on").exits(2).stderr;
    assert!(none.contains("did you mean `one`"), "{none}");
    let bad = desk.run("graph bad.yaml").exits(2);
    assert_eq!(bad.stderr, desk.run("check bad.yaml").exits(2).stderr, "the usual complaints");
    let nowhere = desk.run("graph good.yaml -o no/such/folder/x").exits(2).stderr;
    assert!(nowhere.contains("cannot be written"), "{nowhere}");
}
