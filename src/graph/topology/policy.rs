//! Policies: the limits within which agents work, as `timeout(300)` or `parallel(A, B)`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::fault::{Fault, Slip};
use super::{name, notation};
use crate::talk::near::{excerpt, suggestion};

/// The largest count in a policy: a million steps, turns or agents is no limit any more.
pub const COUNT_MAX: u32 = 1_000_000;

/// The longest time in a policy: a year, in milliseconds.
const TIME_MAX_MS: u64 = 365 * 24 * 3_600 * 1_000;

/// A limit of what agents do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// A run ends after so long; waiting for the user is not counted.
    Timeout(Seconds),
    /// So many agents work at a time, 1 to [`COUNT_MAX`].
    MaxAgents(u32),
    /// A run ends after so many steps of agents, 1 to [`COUNT_MAX`].
    MaxSteps(u32),
    /// A conversation ends after so many messages, 1 to [`COUNT_MAX`].
    MaxTurns {
        /// The two that converse, in the order of nodes.
        between: [String; 2],
        /// How many messages.
        turns: u32,
    },
    /// These work at the same time: two or more, in the order of nodes.
    Parallel(Vec<String>),
    /// Branches that arrive at this node are waited for and merged.
    ConvergencePoint(String),
    /// An agent's step fails after so long.
    AgentTimeout {
        /// For these agents.
        agents: BTreeMap<String, Seconds>,
        /// For all others.
        default: Option<Seconds>,
    },
}

/// A time of more than none and at most a year, to the millisecond; written in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds {
    ms: u64,
}

impl Seconds {
    /// So many milliseconds; none for 0 and more than a year.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Option<Self> {
        if ms == 0 || ms > TIME_MAX_MS { None } else { Some(Self { ms }) }
    }

    /// In milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.ms
    }

    /// Reads `300` or `0.25`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is not a number of seconds", excerpt(text));
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(decimals) {
            return Err(wrong());
        }
        let decimals = decimals.trim_end_matches('0');
        if decimals.len() > 3 {
            return Err(format!("`{}` has more than three decimals", excerpt(text)));
        }
        let ms = format!("{decimals:0<3}").parse::<u64>().map_err(|_| wrong())?;
        let whole = whole.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1_000));
        whole
            .and_then(|whole| whole.checked_add(ms))
            .and_then(Self::from_ms)
            .ok_or_else(|| format!("`{}` seconds are none, or more than a year", excerpt(text)))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, ms) = (self.ms / 1_000, self.ms % 1_000);
        match ms {
            0 => write!(f, "{whole}"),
            _ => write!(f, "{whole}.{}", format!("{ms:03}").trim_end_matches('0')),
        }
    }
}

const NAMES: [&str; 7] = [
    "timeout",
    "max_agents",
    "max_steps",
    "max_turns",
    "parallel",
    "convergence_point",
    "agent_timeout",
];

/// What stands for all other agents in `agent_timeout`.
const DEFAULT: &str = "default";

const REMEDY_SECONDS: &str = "write seconds, such as 300 or 0.5";

/// An argument of a policy: its text, and the byte where that begins.
type Argument<'t> = (&'t str, usize);

impl Policy {
    /// Whether it can be kept while agents only hand over to each other; the others are about
    /// branches, which only runs in the background have.
    #[must_use]
    pub const fn is_executable(&self) -> bool {
        match self {
            Self::Timeout(_)
            | Self::MaxSteps(_)
            | Self::MaxTurns { .. }
            | Self::AgentTimeout { .. } => true,
            Self::MaxAgents(_) | Self::Parallel(_) | Self::ConvergencePoint(_) => false,
        }
    }

    /// The nodes that it names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (list, agents): (&[String], _) = match self {
            Self::Timeout(_) | Self::MaxAgents(_) | Self::MaxSteps(_) => (&[], None),
            Self::MaxTurns { between, .. } => (between, None),
            Self::Parallel(names) => (names, None),
            Self::ConvergencePoint(name) => (std::slice::from_ref(name), None),
            Self::AgentTimeout { agents, .. } => (&[], Some(agents.keys())),
        };
        list.iter().chain(agents.into_iter().flatten()).map(String::as_str)
    }

    /// The same policy with other names for its nodes.
    #[must_use]
    pub fn renamed(&self, name: &dyn Fn(&str) -> String) -> Self {
        match self {
            Self::Timeout(_) | Self::MaxAgents(_) | Self::MaxSteps(_) => self.clone(),
            Self::MaxTurns { between: [a, b], turns } => {
                Self::MaxTurns { between: [name(a), name(b)], turns: *turns }
            }
            Self::Parallel(names) => Self::Parallel(names.iter().map(|of| name(of)).collect()),
            Self::ConvergencePoint(of) => Self::ConvergencePoint(name(of)),
            Self::AgentTimeout { agents, default } => Self::AgentTimeout {
                agents: agents.iter().map(|(of, time)| (name(of), *time)).collect(),
                default: *default,
            },
        }
    }

    /// Puts names into their order, each once; reads them as a text's are.
    pub(super) fn checked(self) -> Result<Self, Slip> {
        let read = |name: &str| name::read(name);
        Ok(match self {
            Self::Timeout(_) | Self::MaxAgents(_) | Self::MaxSteps(_) => self,
            Self::MaxTurns { between: [a, b], turns } => {
                let mut between = [read(&a)?, read(&b)?];
                between.sort_by(|a, b| name::order(a, b));
                if between[0] == between[1] {
                    let what = format!("`{}` does not converse with itself", excerpt(&between[0]));
                    return Err(Slip::new(0, what, "name two nodes"));
                }
                Self::MaxTurns { between, turns }
            }
            Self::Parallel(names) => {
                let mut names: Vec<String> =
                    names.iter().map(|name| read(name)).collect::<Result<_, _>>()?;
                names.sort_by(|a, b| name::order(a, b));
                names.dedup();
                if names.len() < 2 {
                    let what = "fewer than two nodes cannot work in parallel";
                    return Err(Slip::new(0, what, "name two or more"));
                }
                Self::Parallel(names)
            }
            Self::ConvergencePoint(name) => Self::ConvergencePoint(read(&name)?),
            Self::AgentTimeout { agents, default } => {
                let mut named = BTreeMap::new();
                for (agent, seconds) in agents {
                    if agent.trim() == DEFAULT {
                        let what = "`default` stands for all other agents";
                        return Err(Slip::new(0, what, "give the agent another name"));
                    }
                    named.insert(read(&agent)?, seconds);
                }
                if named.is_empty() && default.is_none() {
                    let what = "no agent has a time";
                    return Err(Slip::new(0, what, "write agent_timeout(A: 120, default: 90)"));
                }
                Self::AgentTimeout { agents: named, default }
            }
        })
    }

    /// Reads a policy's text.
    pub(super) fn read(text: &str) -> Result<Self, Slip> {
        let start = text.len() - text.trim_start().len();
        let trimmed = text.trim();
        let open = trimmed.find('(');
        let word = trimmed[..open.unwrap_or(trimmed.len())].trim_end();
        if !NAMES.contains(&word) {
            let what = format!("`{}` is no policy", excerpt(word));
            return Err(Slip::new(start, what, suggestion(word, "policies", &NAMES)));
        }
        let inside = open.and_then(|open| Some((open, trimmed[open + 1..].strip_suffix(')')?)));
        let Some((open, inside)) = inside else {
            let what = format!("`{word}` has no value in parentheses");
            return Err(Slip::new(start, what, format!("write {}", example(word))));
        };
        let mut arguments: Vec<Argument<'_>> = Vec::new();
        let mut at = start + open + 1;
        for part in inside.split(',') {
            arguments.push((part.trim(), at + part.len() - part.trim_start().len()));
            at += part.len() + 1;
        }
        Self::of(word, &arguments).and_then(|policy| policy.checked().map_err(|s| s.shifted(start)))
    }

    fn of(word: &str, arguments: &[Argument<'_>]) -> Result<Self, Slip> {
        match (word, arguments) {
            ("timeout", [seconds]) => Ok(Self::Timeout(seconds_of(*seconds)?)),
            ("max_agents", [count]) => Ok(Self::MaxAgents(count_of(*count)?)),
            ("max_steps", [count]) => Ok(Self::MaxSteps(count_of(*count)?)),
            ("max_turns", [pair, count]) => {
                Ok(Self::MaxTurns { between: pair_of(*pair)?, turns: count_of(*count)? })
            }
            ("parallel", names) => {
                Ok(Self::Parallel(names.iter().map(|n| name_of(*n)).collect::<Result<_, _>>()?))
            }
            ("convergence_point", [node]) => Ok(Self::ConvergencePoint(name_of(*node)?)),
            ("agent_timeout", times) => agent_timeout(times),
            (word, others) => {
                let at = others.first().map_or(0, |(_, at)| *at);
                let what = format!("`{word}` takes other values");
                Err(Slip::new(at, what, format!("write {}", example(word))))
            }
        }
    }
}

fn example(word: &str) -> &'static str {
    match word {
        "timeout" => "timeout(300)",
        "max_agents" => "max_agents(10)",
        "max_steps" => "max_steps(100)",
        "max_turns" => "max_turns(A <-> B, 3)",
        "parallel" => "parallel(A, B)",
        "convergence_point" => "convergence_point(A)",
        _ => "agent_timeout(A: 120, default: 90)",
    }
}

fn seconds_of((text, at): Argument<'_>) -> Result<Seconds, Slip> {
    Seconds::read(text).map_err(|what| Slip::new(at, what, REMEDY_SECONDS))
}

fn count_of((text, at): Argument<'_>) -> Result<u32, Slip> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let count = text.parse::<u32>().ok().filter(|n| is_digits && (1..=COUNT_MAX).contains(n));
    let wrong = || {
        let what = format!("`{}` is not a count", excerpt(text));
        Slip::new(at, what, format!("write a whole number from 1 to {COUNT_MAX}"))
    };
    count.ok_or_else(wrong)
}

fn name_of((text, at): Argument<'_>) -> Result<String, Slip> {
    name::read(text).map_err(|slip| slip.shifted(at))
}

fn pair_of((text, at): Argument<'_>) -> Result<[String; 2], Slip> {
    let shift = |slip: Slip| slip.shifted(at);
    let (begin, end, pattern) = notation::arrow_in(text).map_err(shift)?;
    if !pattern.is_two_way() {
        let what = "a conversation has an arrow of two heads";
        return Err(Slip::new(at + begin, what, "write A <-> B"));
    }
    let (from, _) = notation::name_at(text, 0, begin).map_err(shift)?;
    let (to, _) = notation::name_at(text, end, text.len()).map_err(shift)?;
    Ok([from, to])
}

fn agent_timeout(times: &[Argument<'_>]) -> Result<Policy, Slip> {
    let mut agents = BTreeMap::new();
    let mut default = None;
    for &(text, at) in times {
        let Some((agent, seconds)) = text.split_once(':') else {
            let what = format!("`{}` has no time", excerpt(text));
            return Err(Slip::new(at, what, format!("write {}", example("agent_timeout"))));
        };
        let after = at + agent.len() + 1 + seconds.len() - seconds.trim_start().len();
        let seconds = seconds_of((seconds.trim(), after))?;
        let before = match agent.trim() {
            DEFAULT => default.replace(seconds),
            _ => agents.insert(name_of((agent, at))?, seconds),
        };
        if before.is_some_and(|before| before != seconds) {
            let what = format!("`{}` has two times", excerpt(agent.trim()));
            return Err(Slip::new(at, what, "keep one"));
        }
    }
    Ok(Policy::AgentTimeout { agents, default })
}

impl FromStr for Policy {
    type Err = Fault;

    /// Reads a policy as it is displayed; what cannot be read is told with the character.
    fn from_str(text: &str) -> Result<Self, Fault> {
        Self::read(text).map_err(|slip| slip.in_text(text))
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(seconds) => write!(f, "timeout({seconds})"),
            Self::MaxAgents(count) => write!(f, "max_agents({count})"),
            Self::MaxSteps(count) => write!(f, "max_steps({count})"),
            Self::MaxTurns { between: [a, b], turns } => {
                write!(f, "max_turns({a} <-> {b}, {turns})")
            }
            Self::Parallel(names) => write!(f, "parallel({})", names.join(", ")),
            Self::ConvergencePoint(name) => write!(f, "convergence_point({name})"),
            Self::AgentTimeout { agents, default } => {
                let named = agents.iter().map(|(agent, seconds)| format!("{agent}: {seconds}"));
                let default = default.iter().map(|seconds| format!("default: {seconds}"));
                let times: Vec<String> = named.chain(default).collect();
                write!(f, "agent_timeout({})", times.join(", "))
            }
        }
    }
}

impl serde::Serialize for Policy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
