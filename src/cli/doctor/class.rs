//! Whether threads of ticks may be in the real-time class.

use serde_json::json;

use super::finding::Finding;
use crate::host::watchdog::{PRIORITY, WATCHDOG_PRIORITY, enlist};

/// The capability that permits it, by its number: CAP_SYS_NICE.
const SYS_NICE: u32 = 23;

pub(super) fn class() -> Finding {
    if !cfg!(target_os = "linux") {
        return Finding::skipped(
            "this system has no such class for ordinary programs",
            "nothing is to be done: calls are held in the ordinary one",
        );
    }
    let asked = std::thread::spawn(|| enlist().is_some()).join();
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    judged(
        asked.unwrap_or(false),
        limit(&read("/proc/self/limits")),
        is_capable(&read("/proc/self/status")),
    )
}

/// The highest priority that the process may ask for by itself.
fn limit(limits: &str) -> u32 {
    let line = limits.lines().find(|line| line.starts_with("Max realtime priority"));
    let value = line.and_then(|line| line.split_whitespace().nth(3));
    value.map_or(0, |value| value.parse().unwrap_or(u32::MAX))
}

/// Whether the process has the capability.
fn is_capable(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set & (1 << SYS_NICE) != 0)
}

fn judged(permitted: bool, limit: u32, capable: bool) -> Finding {
    let needed = WATCHDOG_PRIORITY.cast_unsigned();
    let finding = if permitted {
        let by = if capable { "CAP_SYS_NICE" } else { "the limit of priorities" };
        Finding::ok(format!(
            "SCHED_FIFO at priority {PRIORITY} is permitted, by {by}; {WATCHDOG_PRIORITY} for the watchdog"
        ))
    } else if capable || limit >= needed {
        Finding::warning(
            "SCHED_FIFO is refused although this process has the right: its control group has no real-time budget",
            "write one to cpu.rt_runtime_us of the group and of those above it (950000 at most), or move the process to \
             a group that has one; until then ticks are late when others compute",
        )
    } else {
        Finding::warning(
            format!(
                "SCHED_FIFO is not permitted (the limit of priorities is {limit}, {needed} are needed): ticks are late \
                 when others compute"
            ),
            format!(
                "`ulimit -r {needed}`, for good `@audio - rtprio {needed}` in /etc/security/limits.conf; of a systemd \
                 unit LimitRTPRIO={needed}; of a container `--ulimit rtprio={needed}` or `--cap-add SYS_NICE`"
            ),
        )
    };
    finding.with(json!({
        "permitted": permitted, "limit_rtprio": limit, "needed_rtprio": needed, "cap_sys_nice": capable
    }))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max nice priority         0                    0
Max realtime priority     11                   99
Max realtime timeout      unlimited            unlimited            us
";

    #[test]
    fn limits_and_capabilities_are_read() {
        assert_eq!(limit(LIMITS), 11);
        assert_eq!(limit(&LIMITS.replace("11  ", "unlimited")), u32::MAX);
        assert_eq!(limit(""), 0);
        assert!(is_capable("Name:\tx\nCapEff:\t000001fffeffffff\n"));
        assert!(!is_capable("CapEff:\t000001fffe7fffff\n"));
        assert!(!is_capable("CapEff:\t0000000000000000\n"));
    }

    #[test]
    fn each_refusal_has_its_own_remedy() {
        assert_eq!(judged(true, 0, true).state, State::Ok);
        let State::Warning(group) = judged(false, 0, true).state else { panic!("no warning") };
        assert!(group.contains("cpu.rt_runtime_us"), "{group}");
        let State::Warning(limit) = judged(false, 10, false).state else { panic!("no warning") };
        for part in ["ulimit -r 11", "LimitRTPRIO=11", "SYS_NICE"] {
            assert!(limit.contains(part), "{part}: {limit}");
        }
    }
}
