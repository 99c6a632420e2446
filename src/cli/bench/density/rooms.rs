//! Rooms on a real server: a worker of a process of its own, guests who decode nothing, and bare Opus beside it.
//!
//! Only the worker's process is measured; the server and the guests have the machine's cores with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum as _;

use super::codec::{Bare, Cost};
use super::content::{Listened, Singer, told};
use super::figures::{Figures, Memory, Packets};
use super::guests::Guests;
use super::pattern::Pattern;
use super::scrape::Scraped;
use super::stage::{Stage, Stages};
use super::{Agent, Setting};
use crate::cli::bench::guest::{House, plan};
use crate::cli::bench::latency::python;
use crate::cli::bench::server::ServerArgs;
use crate::cli::bench::worker::{Told, Worker};
use crate::cli::failure::Failure;
use crate::host::pace::{Clock, pause};
use crate::host::watchdog::enlist;

/// The name that agents are asked for by.
const NAME: &str = "density";

/// What guests are, as sessions: they hear agents.
const GUEST: &str = "name: guest\nagents: { echo: { kind: echo } }\n";

/// The first rooms: what they leave behind serves every other, and is not counted as theirs.
const FIRST: usize = 4;

/// Rooms in which a real client looks at what it hears, where there are more than them.
const SINGERS: usize = 2;

/// How long an agent may take until it is heard.
const HEARD: Duration = Duration::from_secs(20);

/// How long a worker's first moments take, and those of calls, in milliseconds.
const SETTLING_MS: u32 = 2_000;

/// How long all rooms may take to be left, in steps of so many milliseconds.
const LEAVING_STEPS: u32 = 600;
const LEAVING_STEP_MS: u32 = 50;

/// Streams of bare Opus while rooms are measured: enough for a figure, and a few percent of a core.
const BESIDE: usize = 4;

/// What the worker calls packets that were lost: on their way to it, at a ring, in a decoder, on their way out.
const LOSSES: [&str; 4] =
    ["packets_missed", "packets_refused", "packets_undecodable", "frames_unsent"];

/// Ticks a second.
const TICKS_A_SECOND: u32 = 50;

/// What the worker serves.
fn agent(agent: Agent, complexity: i32) -> String {
    let what = match agent {
        Agent::Echo => "agents: { echo: { kind: echo, delay_ms: 500 } }",
        Agent::Text => {
            "speech: { synthesiser: { engine: tone } }\n\
             agents: { desk: { greeting: Hello., fallback: Sorry?, intents: [ { name: hours, phrases: [when are you \
             open], say: From nine to six. } ] } }"
        }
    };
    format!(
        "name: density\njournal: \"off\"\ncall: {{ alone_ms: 200 }}\nturn: {{ away_ms: 0 }}\n\
         livekit: {{ publish: {{ complexity: {complexity} }} }}\n{what}\n"
    )
}

/// Measures so many rooms.
pub(super) fn measure(
    setting: &Setting,
    server: &ServerArgs,
    python_path: &Path,
) -> Result<Figures, Failure> {
    let Setting { sessions, talk, seconds, options, agent: who, .. } = *setting;
    let count = sessions as usize;
    let house = House::new(server.server()?)?;
    let guest = plan(GUEST)?;
    let pattern = Arc::new(Pattern::new(guest.rate, talk, options).map_err(Failure::broken)?);
    let mut bare = Bare::new(count, &pattern, guest.rate, options)?;
    let bare_ticks = u64::from((seconds * TICKS_A_SECOND / 4).clamp(50, 250));
    let before = bare.run(bare_ticks)?;
    let mut beside = Bare::new(BESIDE, &pattern, guest.rate, options)?;

    let clock = Clock::default();
    // A worker refuses jobs beyond its load: here it is to be seen what happens there.
    let config = agent(who, options.complexity);
    let worker = Worker::start(&house, NAME, &config, &["--max-load", "1"])?;
    let process = worker.process();
    pause(SETTLING_MS);
    let base_kib = process.memory_kib();

    let stages = Stages::default();
    let guests = Guests::start(Arc::clone(&pattern), stages.clone())?;
    let (singing, content) = singers(setting, python_path);
    let mut singers = Vec::new();
    let mut first_kib = None;
    for at in 0..count {
        let room = format!("density-{at}");
        let mut told = None;
        if at >= count - singing {
            singers.push(Singer::enter(&house, python_path, &room, at + 1 - (count - singing))?);
        } else {
            told = Some(guests.enter(&house, &guest, &room, pattern.begin(at, count))?);
        }
        dispatch(&house, &room)?;
        if told.is_some_and(|told| told.recv_timeout(HEARD).is_err()) {
            return Err(Failure::broken(format!("no agent was heard in the room {}", at + 1)));
        }
        if at + 1 == FIRST.min(count) {
            pause(SETTLING_MS);
            first_kib = process.memory_kib();
        }
    }
    pause(SETTLING_MS);

    let (begun, scraped) = (clock.now(), Scraped::of(&worker.http)?);
    let threads = process.threads_ns();
    stages.set(Stage::Measure);
    // A few streams of bare Opus meanwhile, at the same moments as everybody: what the others on the machine take from
    // the worker they take from it, too.
    let during = beside.run(u64::from(seconds * TICKS_A_SECOND))?;
    let of_threads = since(&threads, &process.threads_ns());
    let between = Scraped::of(&worker.http)?.since(&scraped);
    let wall_ns = clock.now().since_ns(begun);
    let all_kib = process.memory_kib();
    stages.set(Stage::Over);
    let listened = singers.into_iter().map(Singer::ends).collect::<Result<Vec<_>, _>>()?;
    let counted = guests.counted()?;
    let left = left(&worker, sessions)?;
    drop(worker);
    let after = bare.run(bare_ticks)?;

    // A singer sends and hears all the time.
    let sung = singing as u64 * u64::from(seconds * TICKS_A_SECOND);
    let (decoded, encoded) = (counted.counts.decoded + sung, counted.counts.encoded + sung);
    let ticks = between.ticks.max(1) as f64;
    let cpu_ns: u64 = of_threads.values().sum();
    let of_bare = |cost: &Cost| cost.of(decoded, encoded) / ticks / 1e3;
    // Over whole calls: the worker tells it when it leaves a room.
    let mut losses: BTreeMap<String, u64> = LOSSES
        .iter()
        .filter_map(|&name| Some((name.to_owned(), *left.counts.get(name)?)))
        .collect();
    losses.insert("agents_missed".to_owned(), counted.counts.lost);
    losses.insert("ticks_skipped".to_owned(), between.skipped);
    losses.retain(|_, count| *count > 0);
    let lost: u64 = losses.values().sum();
    let mut threads_us: Vec<(String, f64)> =
        of_threads.iter().map(|(name, &ns)| (name.clone(), ns as f64 / ticks / 1e3)).collect();
    threads_us.retain(|(_, us)| *us >= 0.05);
    threads_us.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(Figures {
        depth: setting.depth.name().to_owned(),
        sessions,
        talk,
        seconds,
        complexity: options.complexity as u8,
        agent: who.to_possible_value().map(|value| value.get_name().to_owned()),
        real_time: enlist().is_some(),
        cpu_us: cpu_ns as f64 / ticks / 1e3,
        cores: cpu_ns as f64 / wall_ns as f64,
        bare_us: Some([of_bare(&before), of_bare(&after)]),
        bare_meanwhile_us: Some(of_bare(&during)),
        threads_us,
        memory: base_kib.map(|base_kib| Memory {
            base_kib,
            session_kib: first_kib
                .zip(all_kib)
                .filter(|_| count > FIRST)
                .map(|(first, all)| all.saturating_sub(first) as f64 / (count - FIRST) as f64),
        }),
        lateness: between.lateness(),
        ticks: between.ticks,
        turns: between.turns,
        packets: Packets {
            decoded,
            encoded,
            sent: counted.said + counted.heard + counted.counts.lost + between.skipped,
            lost,
        },
        losses,
        content_right: (!listened.is_empty()).then(|| listened.iter().all(Listened::is_right)),
        content: Some(content.unwrap_or_else(|| self::told(&listened))),
        ..Figures::default()
    })
}

/// How many real clients there are; why not, if there are none.
fn singers(setting: &Setting, path: &Path) -> (usize, Option<String>) {
    if setting.agent != Agent::Echo {
        return (0, Some("not looked at: only an echo says what was said to it".to_owned()));
    }
    if setting.sessions as usize <= SINGERS {
        return (0, Some(format!("not looked at: that takes more than {SINGERS} rooms")));
    }
    match python(path) {
        Ok(_) => (SINGERS, None),
        Err(why) => (0, Some(format!("not looked at: {why}"))),
    }
}

/// Asks for an agent, and waits until that is understood.
fn dispatch(house: &House, room: &str) -> Result<(), Failure> {
    let (tell, told) = crossbeam_channel::bounded(1);
    house.dispatch(room, NAME, tell)?;
    let asked =
        told.recv_timeout(HEARD).map_err(|_| Failure::broken("the server does not answer"))?;
    asked.map_err(|why| Failure::broken(format!("the server dispatches nobody: {why}")))
}

/// Waits until the worker has left all rooms.
fn left(worker: &Worker, rooms: u32) -> Result<Told, Failure> {
    for _ in 0..LEAVING_STEPS {
        let told = worker.told();
        if told.left >= rooms {
            return Ok(told);
        }
        pause(LEAVING_STEP_MS);
    }
    Err(Failure::broken("the worker does not leave the rooms that all others have left"))
}

/// What threads have taken between two looks.
fn since(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let taken = |(name, ns): (&String, &u64)| {
        (name.clone(), ns.saturating_sub(before.get(name).copied().unwrap_or(0)))
    };
    now.iter().map(taken).collect()
}
