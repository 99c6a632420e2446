//! What stands in `deploy/`, held against the program and the project: what the files start comes up, answers where they
//! ask, and ends as they end it; their numbers fit together; and they hold no secret and no root.
//!
//! Whether a builder, a service manager and an orchestrator take the files is not asked here: docs/deploy.md says how far
//! that was tried.

#[expect(dead_code, reason = "each file of tests uses its part of it")]
mod listen;
#[path = "deploy/read.rs"]
mod read;
#[expect(dead_code, reason = "each file of tests uses its part of the rooms")]
mod rooms;

use std::fs;
use std::process::Command;

use read::{Said, documents, file};
use rooms::peer::Peer;
use rooms::program::{METRICS_TOKEN, Program};
use rooms::server::{Options, Server};
use rooms::worker::Worker;
use rooms::{PATIENCE, room};
use serde_json::{Value, json};

/// Where every file puts the configuration.
const CONFIG: &str = "/etc/antiphon/agent.yaml";

/// How long a call may take over its goodbye, in seconds: what `antiphon start` says of the second signal, docs/worker.md.
const GOODBYE_S: u64 = 15;

/// The highest priority that the program asks for: the watchdog's, see scripts/realtime.sh.
const PRIORITY: u64 = 11;

const TOKEN: &str = "a-token-of-a-test";

/// A way to start a worker, as a file has it.
struct Way {
    /// All words behind the program's name.
    words: Vec<String>,
    /// The configuration: a file of the project, or its text.
    config: String,
    /// What asks it to stop.
    signal: String,
    /// Whether other machines can ask, so that metrics have a token.
    is_open: bool,
}

impl Way {
    /// The value of an option, which the words have.
    fn option(&self, name: &str) -> &str {
        let at = self.words.iter().position(|word| word == name);
        let value = at.and_then(|at| self.words.get(at + 1));
        value.unwrap_or_else(|| panic!("no {name} in {:?}", self.words))
    }

    fn drain_s(&self) -> u64 {
        self.option("--drain-timeout").parse().expect("seconds")
    }

    /// The port that the words name.
    fn port(&self) -> u64 {
        let (_, port) = self.option("--http").rsplit_once(':').expect("an address with a port");
        port.parse().expect("a port")
    }

    /// Starts what the words say, with a port that is free, a configuration that is here, and `--json`.
    fn start(&self, server: &Server) -> Worker {
        let [start, config, options @ ..] = self.words.as_slice() else {
            panic!("nothing is started: {:?}", self.words)
        };
        assert_eq!((start.as_str(), config.as_str()), ("start", CONFIG));
        let port = format!(":{}", self.port());
        let options: Vec<String> = options
            .iter()
            .filter(|word| *word != "--json")
            .map(|word| {
                word.strip_suffix(&port).map_or_else(|| word.clone(), |host| host.to_owned() + ":0")
            })
            .collect();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let worker = Worker::command("start", &[&self.config], &options, |command| {
            if self.is_open {
                command.env(METRICS_TOKEN, TOKEN);
            }
            Program::start(command, server)
        });
        worker.event("worker.registered", |_| true);
        worker
    }
}

fn of_image() -> Way {
    let image = Said::image();
    let entry: Vec<String> = image.list("ENTRYPOINT");
    assert_eq!(entry, ["/usr/local/bin/antiphon"]);
    let config = image
        .all("COPY")
        .find_map(|copy| copy.strip_suffix(&format!(" {CONFIG}")).map(str::to_owned));
    Way {
        words: image.list("CMD"),
        config: config.expect("the image has a configuration"),
        signal: image.one("STOPSIGNAL").to_owned(),
        is_open: true,
    }
}

fn of_unit() -> Way {
    let unit = Said::unit();
    let words: Vec<String> = unit.one("ExecStart").split_whitespace().map(str::to_owned).collect();
    assert_eq!(words[0], "/usr/local/bin/antiphon");
    Way {
        words: words[1..].to_vec(),
        config: "configs/demo.yaml".to_owned(),
        signal: unit.one("KillSignal").to_owned(),
        is_open: false,
    }
}

fn of_pod() -> Way {
    let container = container();
    let words = container["args"].as_array().expect("it has arguments").iter();
    // `--name=value` is two words to the program as well.
    let words =
        words.flat_map(|word| word.as_str().expect("a text").splitn(2, '=').map(str::to_owned));
    let map = of_kind("ConfigMap");
    Way {
        words: words.collect(),
        config: map["data"]["agent.yaml"].as_str().expect("it has a configuration").to_owned(),
        signal: Said::image().one("STOPSIGNAL").to_owned(),
        is_open: true,
    }
}

/// The only document of a kind in the example.
fn of_kind(kind: &str) -> Value {
    let found: Vec<Value> =
        documents("kubernetes.yaml").into_iter().filter(|it| it["kind"] == kind).collect();
    let [one] = found.as_slice() else { panic!("{} of the kind {kind}", found.len()) };
    one.clone()
}

fn template() -> Value {
    of_kind("Deployment")["spec"]["template"].clone()
}

fn container() -> Value {
    let containers = &template()["spec"]["containers"];
    assert_eq!(containers.as_array().map(Vec::len), Some(1), "{containers}");
    containers[0].clone()
}

/// Holds a call on a worker that was started in this way, and stops it meanwhile: ready until then, alive to the end, and
/// over when the call is.
#[track_caller]
fn drains(way: &Way, ready: &str, alive: &str) {
    let server = Server::start(&Options::default());
    let mut worker = way.start(&server);
    for page in [ready, alive] {
        assert_eq!(worker.page(page), (200, "OK".into()), "{page}");
    }
    let room = room("deploy");
    let mut ann = Peer::join(&server, &room, "ann");
    worker.of_room("job.began", &room);
    worker.signal(way.signal.strip_prefix("SIG").expect("a signal's name"));
    worker.event("worker.draining", |event| event["jobs"] == 1);
    assert_eq!(worker.page(ready).0, 503);
    assert_eq!(worker.page(alive), (200, "OK".into()));
    ann.ask(json!({ "do": "chat", "text": "goodbye" }));
    assert_eq!(worker.of_room("job.over", &room)["reason"], "the agent ended the call");
    assert_eq!(worker.stops(PATIENCE), Some(0), "{}", worker.complaints());
}

#[test]
fn the_image_starts_a_worker_that_answers_and_drains() {
    let way = of_image();
    assert_eq!(way.port().to_string(), Said::image().one("EXPOSE"));
    drains(&way, "/ready", "/");
}

#[test]
fn the_unit_starts_a_worker_that_answers_and_drains() {
    drains(&of_unit(), "/ready", "/");
}

#[test]
fn the_pod_starts_a_worker_that_answers_its_probes_and_drains() {
    let (way, container) = (of_pod(), container());
    let port = &container["ports"][0];
    assert_eq!(port["containerPort"], json!(way.port()));
    let path = |probe: &str| {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["port"], port["name"], "{probe}");
        get["path"].as_str().expect("a path").to_owned()
    };
    drains(&way, &path("readinessProbe"), &path("livenessProbe"));
}

#[test]
fn the_autoscaler_asks_for_a_metric_that_is_served_to_who_has_the_token() {
    let scaler = of_kind("HorizontalPodAutoscaler");
    let target = &scaler["spec"]["scaleTargetRef"];
    let deployment = of_kind("Deployment");
    assert_eq!(
        (&target["kind"], &target["name"]),
        (&json!("Deployment"), &deployment["metadata"]["name"])
    );
    let metrics = scaler["spec"]["metrics"].as_array().expect("it has metrics");
    let names = metrics.iter().map(|it| it["pods"]["metric"]["name"].as_str().expect("a name"));
    let names: Vec<&str> = names.collect();

    // How it gets there: who asks, where, with which token, and what the adapter makes of it.
    let metrics = documents("kubernetes-metrics.yaml");
    let monitor = metrics.iter().find(|it| it["kind"] == "PodMonitor").expect("somebody asks");
    let labels = &template()["metadata"]["labels"];
    assert_eq!(&monitor["spec"]["selector"]["matchLabels"], labels);
    let asked = &monitor["spec"]["podMetricsEndpoints"][0];
    assert_eq!(asked["port"], container()["ports"][0]["name"]);
    assert_eq!(asked["authorization"]["credentials"], variables()[METRICS_TOKEN]);
    let map = metrics.iter().find(|it| it["kind"] == "ConfigMap").expect("there are rules");
    let rules = read::yaml(map["data"]["config.yaml"].as_str().expect("rules"));
    let series = rules[0]["rules"][0]["seriesQuery"].as_str().expect("a query");
    assert_eq!(names, [series.split('{').next().expect("a name")]);

    let server = Server::start(&Options::default());
    let worker = of_pod().start(&server);
    let path = asked["path"].as_str().expect("a path");
    assert_eq!(worker.page(path).0, 401, "not without the token");
    let (status, page) = worker.page_with(path, TOKEN);
    assert_eq!(status, 200);
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{} ", names[0])));
    let load: f64 =
        line.unwrap_or_else(|| panic!("no {}\n{page}", names[0])).parse().expect("a number");
    assert!((0.0..0.7).contains(&load), "{load}");
}

/// The variables of the container, each with what it is taken from.
fn variables() -> Value {
    let container = container();
    let variables = container["env"].as_array().expect("it has variables").iter();
    variables
        .map(|it| {
            let name = it["name"].as_str().expect("a name").to_owned();
            assert!(it["value"].is_null(), "{name} is written out");
            (name, it["valueFrom"]["secretKeyRef"].clone())
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn secrets_come_from_elsewhere_under_names_that_the_program_knows() {
    let help = Command::new(env!("CARGO_BIN_EXE_antiphon")).args(["start", "--help"]).output();
    let help = String::from_utf8(help.expect("it runs").stdout).expect("help is text");
    let variables = variables();
    for (name, from) in variables.as_object().expect("they have names") {
        assert!(help.contains(name.as_str()), "antiphon start knows no {name}");
        assert!(from["name"].is_string() && from["key"].is_string(), "{name} is from no secret");
    }
    // The secret that is to be made, as the file's head says.
    let text = file("kubernetes.yaml");
    for from in variables.as_object().into_iter().flat_map(serde_json::Map::values) {
        let literal = format!("--from-literal={}=", from["key"].as_str().unwrap_or_default());
        assert!(text.contains(&literal), "{literal} is not said");
        assert!(text.contains(&format!(
            "create secret generic {}",
            from["name"].as_str().unwrap_or_default()
        )));
    }
    assert!(documents("kubernetes.yaml").iter().all(|it| it["kind"] != "Secret"));

    let (image, unit) = (Said::image(), Said::unit());
    assert_eq!(image.all("ENV").count(), 0, "what an image sets, everybody who has it reads");
    assert!(image.all("ARG").all(|it| !it.contains("LIVEKIT") && !it.contains("TOKEN")));
    assert_eq!(unit.all("Environment").count(), 0, "what a unit sets, everybody can ask for");
    assert!(unit.one("EnvironmentFile").starts_with('/'), "it has to be there");
    for word in [of_image(), of_unit(), of_pod()].iter().flat_map(|way| &way.words) {
        assert!(!word.starts_with("--api-"), "a list of processes shows {word}");
    }
}

#[test]
fn whoever_stops_a_worker_waits_longer_than_calls_may_take() {
    let pod_s = template()["spec"]["terminationGracePeriodSeconds"].as_u64().expect("seconds");
    let unit_s = Said::unit().one("TimeoutStopSec").parse().expect("seconds");
    for (way, grace_s) in [(of_pod(), pod_s), (of_unit(), unit_s)] {
        assert!(grace_s > way.drain_s() + GOODBYE_S, "{grace_s} s for {:?}", way.words);
    }
    // An engine that is not told waits for ten seconds: what it is told stands in the file.
    let image = file("Dockerfile");
    let behind = image.split("--stop-timeout ").nth(1).expect("it is said");
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    assert!(digits.parse::<u64>().is_ok_and(|grace_s| grace_s > of_image().drain_s() + GOODBYE_S));
}

#[test]
fn nobody_is_root_and_only_the_state_is_written() {
    let image = Said::image();
    let (user, group) = image.one("USER").split_once(':').expect("a user and a group");
    let [user, group]: [u64; 2] = [user, group].map(|it| it.parse().expect("a number"));
    assert!(user > 0 && group > 0);
    let state = image.one("VOLUME");
    assert_eq!(image.all("WORKDIR").last(), Some(state));

    let pod = template()["spec"].clone();
    let security = &pod["securityContext"];
    assert_eq!(security["runAsNonRoot"], true);
    for (key, number) in [("runAsUser", user), ("runAsGroup", group), ("fsGroup", group)] {
        assert_eq!(security[key], json!(number), "{key} is not the image's");
    }
    let container = container();
    let own = &container["securityContext"];
    assert_eq!(
        (&own["readOnlyRootFilesystem"], &own["allowPrivilegeEscalation"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(own["capabilities"], json!({ "drop": ["ALL"] }));
    assert_eq!(container["workingDir"], state);
    let mounts = container["volumeMounts"].as_array().expect("it has mounts");
    let written: Vec<&str> = mounts
        .iter()
        .filter(|it| it["readOnly"] != true)
        .filter_map(|it| it["mountPath"].as_str())
        .collect();
    assert_eq!(written, [state, "/tmp"]);
    let volumes: Vec<&Value> =
        pod["volumes"].as_array().expect("it has volumes").iter().map(|it| &it["name"]).collect();
    assert!(mounts.iter().all(|it| volumes.contains(&&it["name"])), "{volumes:?}");

    let unit = Said::unit();
    assert_eq!((unit.one("DynamicUser"), unit.all("User").count()), ("yes", 0));
    assert_eq!((unit.one("CapabilityBoundingSet"), unit.one("NoNewPrivileges")), ("", "yes"));
    assert_eq!(unit.one("WorkingDirectory").replace("%S", "/var/lib"), state);
    assert_eq!(format!("/var/lib/{}", unit.one("StateDirectory")), state);
}

#[test]
fn the_unit_permits_the_real_time_class_and_ends_tools_last() {
    let unit = Said::unit();
    assert_eq!(unit.one("RestrictRealtime"), "no");
    assert!(unit.one("LimitRTPRIO").parse::<u64>().is_ok_and(|limit| limit >= PRIORITY));
    assert_eq!((unit.one("KillMode"), unit.one("Restart")), ("mixed", "on-failure"));
    // Of `antiphon start`: it could not begin.
    assert_eq!(unit.one("RestartPreventExitStatus"), "2");
}

#[test]
fn the_rollout_takes_no_worker_away_before_there_is_another() {
    let strategy = of_kind("Deployment")["spec"]["strategy"].clone();
    assert_eq!(strategy["rollingUpdate"]["maxUnavailable"], 0);
    let labels = &template()["metadata"]["labels"];
    for kind in ["Deployment", "PodDisruptionBudget"] {
        assert_eq!(&of_kind(kind)["spec"]["selector"]["matchLabels"], labels, "{kind}");
    }
    // A restart for want of a connection waits longer than calls do, which is a minute (docs/network.md).
    let probe = &container()["livenessProbe"];
    let patience_s =
        ["periodSeconds", "failureThreshold"].map(|key| probe[key].as_u64().expect("a number"));
    assert!(patience_s[0] * patience_s[1] > 60, "{probe}");
}

#[test]
fn the_image_is_built_with_what_the_project_asks_for() {
    let image = Said::image();
    let manifest = read::text("Cargo.toml");
    let value = |key: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")));
        line.unwrap_or_else(|| panic!("no {key}")).trim_end_matches('"').to_owned()
    };
    let bases: Vec<&str> =
        image.all("FROM").map(|from| from.split(' ').next().unwrap_or("")).collect();
    let node = read::text("scripts/page.sh");
    let node = node
        .split("NODE_MAJOR=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("a version");
    let rust = format!("rust:{}-slim-bookworm", value("rust-version"));
    assert_eq!(bases, [&format!("node:{node}-bookworm-slim"), &rust, "debian:bookworm-slim"]);
    assert_eq!(container()["image"], format!("antiphon:{}", value("version")));

    let setup = read::text("scripts/setup.sh");
    let speech = image.all("ARG").find_map(|arg| arg.strip_prefix("SPEECH=")).expect("speech");
    for package in speech.trim_matches('"').split(' ') {
        assert!(setup.contains(&format!("|| echo {package}\n")), "setup.sh knows no {package}");
    }

    // What the sources take in has to be among what is sent to the builder.
    let sent: Vec<String> = read::text(".dockerignore")
        .lines()
        .filter_map(|line| line.strip_prefix("!/"))
        .map(str::to_owned)
        .collect();
    for name in &sent {
        assert!(fs::exists(read::root().join(name)).is_ok_and(|is| is), "there is no {name}");
    }
    for copy in image.all("COPY").filter(|it| !it.starts_with("--from")) {
        let from = copy.split(' ').rev().skip(1).flat_map(|path| path.split('/').next());
        assert!(
            from.into_iter().all(|top| top == "." || sent.iter().any(|it| it == top)),
            "COPY {copy}"
        );
    }
}
