//! How much processor time the control group of this process has, and whether it is stopped for want of it.

use std::path::Path;

use serde_json::json;

use super::finding::Finding;
use crate::host::pace::Clock;

/// How long a thread is kept busy, to see whether the group is stopped for that: four of the usual periods.
const BUSY_NS: u64 = 400_000_000;

/// The share of periods in which a group was stopped that is worth a word.
const THROTTLED_SHARE: f64 = 0.01;

pub(super) fn cgroup() -> Finding {
    if !cfg!(target_os = "linux") {
        return Finding::skipped("this system has no control groups", "nothing is to be done");
    }
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let before = Group::of(&read);
    if before.as_ref().is_some_and(|group| group.quota.is_some()) {
        let clock = Clock::default();
        let begin = clock.now();
        while clock.now().since_ns(begin) < BUSY_NS {
            std::hint::black_box((0..1_000_u64).sum::<u64>());
        }
    }
    let cores = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = cores.lines().filter(|line| line.starts_with("processor")).count().max(1);
    let usable = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    judged(before.as_ref(), Group::of(&read).as_ref(), (cores, usable))
}

/// A control group with the processor's controller.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    /// Of the interface: 1 or 2.
    version: u8,
    /// Its folder.
    folder: String,
    /// What the tightest of it and of those above it may use.
    quota: Option<Quota>,
    usage: Usage,
}

/// So much in each period.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Quota {
    cores: f64,
    period_ms: f64,
}

/// What was counted of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    periods: u64,
    throttled: u64,
    throttled_us: u64,
}

type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Group {
    /// The one of this process, by what the system's files say; of the second version if that has the controller.
    fn of(read: Read<'_>) -> Option<Self> {
        let (mounts, groups) = (read("/proc/self/mountinfo")?, read("/proc/self/cgroup")?);
        let groups = |of: &dyn Fn(&str) -> bool| -> Option<String> {
            let mut lines = groups.lines().filter_map(|line| {
                let (_, rest) = line.split_once(':')?;
                rest.split_once(':')
            });
            lines.find(|(controllers, _)| of(controllers)).map(|(_, path)| path.to_owned())
        };
        let is_cpu = |controllers: &str| controllers.split(',').any(|one| one == "cpu");
        let second = mount(&mounts, "cgroup2", None)
            .zip(groups(&str::is_empty))
            .and_then(|(mount, path)| Self::found(2, &folders(&mount, &path), read));
        second.or_else(|| {
            let mount = mount(&mounts, "cgroup", Some("cpu"))?;
            Self::found(1, &folders(&mount, &groups(&is_cpu)?), read)
        })
    }

    /// What the folders say, from the innermost to the outermost.
    fn found(version: u8, folders: &[String], read: Read<'_>) -> Option<Self> {
        let mut found: Option<Self> = None;
        for folder in folders {
            let file = |name: &str| read(&format!("{folder}/{name}"));
            let quota = match version {
                2 => file("cpu.max").and_then(|text| second_quota(&text)),
                _ => first_quota(file("cpu.cfs_quota_us"), file("cpu.cfs_period_us")),
            };
            // The outermost group of all has no quota, and counts no periods.
            let stat = file("cpu.stat").filter(|text| text.contains("nr_periods"));
            let Some(stat) = stat else { continue };
            let group = Self { version, folder: folder.clone(), quota, usage: usage(&stat) };
            let cores = |group: &Self| group.quota.map_or(f64::INFINITY, |quota| quota.cores);
            if found.as_ref().is_none_or(|tightest| cores(&group) < cores(tightest)) {
                found = Some(group);
            }
        }
        found
    }
}

/// Where groups of a kind are mounted: the group that is the mount's root, and the folder.
fn mount(mounts: &str, kind: &str, controller: Option<&str>) -> Option<(String, String)> {
    mounts.lines().find_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        let mut system = system.split(' ');
        let (is_kind, options) = (system.next()? == kind, system.nth(1)?);
        let has = controller.is_none_or(|name| options.split(',').any(|option| option == name));
        let mut fields = mount.split(' ').skip(3);
        let (root, folder) = (fields.next()?, fields.next()?);
        (is_kind && has).then(|| (root.to_owned(), folder.to_owned()))
    })
}

/// The folders of a group and of those above it that can be seen.
fn folders((root, folder): &(String, String), path: &str) -> Vec<String> {
    // In a container the mount's root is the group itself, and what its path says is seen from outside.
    let inside = Path::new(path).strip_prefix(root).unwrap_or_else(|_| Path::new(""));
    let inside = if path.contains("..") { Path::new("") } else { inside };
    let at = |inside: &Path| Path::new(folder).join(inside).display().to_string();
    inside.ancestors().map(|inside| at(inside).trim_end_matches('/').to_owned()).collect()
}

/// `50000 100000`, or `max 100000`.
fn second_quota(text: &str) -> Option<Quota> {
    let (quota, period) = text.trim().split_once(' ')?;
    quota_of(quota.parse().ok()?, period.parse().ok()?)
}

/// Two files; a quota below zero is none.
fn first_quota(quota: Option<String>, period: Option<String>) -> Option<Quota> {
    quota_of(quota?.trim().parse().ok()?, period?.trim().parse().ok()?)
}

fn quota_of(quota_us: f64, period_us: f64) -> Option<Quota> {
    let is_one = quota_us > 0.0 && period_us > 0.0;
    is_one.then(|| Quota { cores: quota_us / period_us, period_ms: period_us / 1e3 })
}

fn usage(stat: &str) -> Usage {
    let value = |name: &str| -> u64 {
        let line = stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    Usage {
        periods: value("nr_periods"),
        throttled: value("nr_throttled"),
        // Of the second version; of the first it is in nanoseconds, under another name.
        throttled_us: value("throttled_usec").max(value("throttled_time") / 1_000),
    }
}

/// What two looks come to, between which a thread was busy, on a machine with so many cores, of which so many are ours.
fn judged(
    before: Option<&Group>,
    after: Option<&Group>,
    (cores, usable): (usize, usize),
) -> Finding {
    let s = if cores == 1 { "" } else { "s" };
    let machine = format!("{cores} core{s}, of which this process may use {usable}");
    let (Some(before), Some(after)) = (before, after) else {
        return Finding::ok(format!("no control group limits this process; {machine}"))
            .with(json!({ "cores": cores, "usable_cores": usable }));
    };
    let Usage { periods, throttled, throttled_us } = after.usage;
    let now = throttled.saturating_sub(before.usage.throttled);
    let counted = if periods == 0 {
        String::new()
    } else {
        format!(
            ", stopped in {throttled} of {periods} periods so far, {:.1} s all in all",
            throttled_us as f64 / 1e6
        )
    };
    let raise = "give it more: `docker run --cpus`, `resources.limits.cpu` in Kubernetes (or none), `CPUQuota=` of a \
                 systemd unit; or hold fewer calls in it";
    let share = throttled as f64 / periods.max(1) as f64;
    let finding = match after.quota {
        None if share > THROTTLED_SHARE => Finding::warning(format!("{machine}{counted}"), raise),
        None => Finding::ok(format!("no quota of the control group; {machine}{counted}")),
        Some(Quota { cores: quota, period_ms }) => {
            let found =
                format!("a quota of {quota:.2} cores in {period_ms:.0} ms; {machine}{counted}");
            if now > 0 {
                let longest_ms = (1.0 - quota).max(0.0) * period_ms;
                Finding::failed(
                    format!(
                        "{found}; one busy thread was enough to be stopped {now} times in {} ms, for up to \
                         {longest_ms:.0} ms, and no tick comes meanwhile",
                        BUSY_NS / 1_000_000
                    ),
                    raise,
                )
            } else if quota < 1.0 || share > THROTTLED_SHARE {
                Finding::warning(found, raise)
            } else {
                Finding::ok(found)
            }
        }
    };
    finding.with(json!({
        "version": after.version,
        "group": after.folder,
        "cores": cores,
        "usable_cores": usable,
        "quota_cores": after.quota.map(|quota| quota.cores),
        "period_ms": after.quota.map(|quota| quota.period_ms),
        "periods": periods,
        "throttled": throttled,
        "throttled_us": throttled_us,
        "throttled_meanwhile": now,
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::finding::State;
    use super::*;

    const SECOND: &str =
        "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const FIRST: &str = "\
31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs rw,mode=755
32 31 0:29 /docker/1f /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset
33 31 0:30 /docker/1f /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct
";

    fn group(files: &[(&str, &str)]) -> Option<Group> {
        let files: BTreeMap<_, _> = files.iter().copied().collect();
        Group::of(&|path| files.get(path).map(|text| (*text).to_owned()))
    }

    #[test]
    fn of_the_second_version_the_tightest_group_counts() {
        let base = "/sys/fs/cgroup/system.slice";
        let (inner, stat) =
            (format!("{base}/a.service/cpu.max"), format!("{base}/a.service/cpu.stat"));
        let (outer, outer_stat) = (format!("{base}/cpu.max"), format!("{base}/cpu.stat"));
        let files = [
            ("/proc/self/mountinfo", SECOND),
            ("/proc/self/cgroup", "0::/system.slice/a.service\n"),
            (&inner, "max 100000\n"),
            (&stat, "usage_usec 5\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n"),
            (&outer, "150000 100000\n"),
            (&outer_stat, "usage_usec 9\nnr_periods 40\nnr_throttled 3\nthrottled_usec 70000\n"),
            ("/sys/fs/cgroup/cpu.stat", "usage_usec 99\n"),
        ];
        let found = group(&files).unwrap();
        assert_eq!((found.version, found.folder.as_str()), (2, base));
        assert_eq!(found.quota, Some(Quota { cores: 1.5, period_ms: 100.0 }));
        assert_eq!(found.usage, Usage { periods: 40, throttled: 3, throttled_us: 70_000 });
    }

    #[test]
    fn of_the_first_version_a_container_sees_itself_at_the_mount() {
        let base = "/sys/fs/cgroup/cpu,cpuacct";
        let (quota, period, stat) = (
            format!("{base}/cpu.cfs_quota_us"),
            format!("{base}/cpu.cfs_period_us"),
            format!("{base}/cpu.stat"),
        );
        let mut files = vec![
            ("/proc/self/mountinfo", FIRST),
            (
                "/proc/self/cgroup",
                "5:cpuset:/docker/1f\n4:cpu,cpuacct:/docker/1f\n1:name=systemd:/\n",
            ),
            (&quota, "50000\n"),
            (&period, "100000\n"),
            (&stat, "nr_periods 10\nnr_throttled 9\nthrottled_time 400000000\n"),
        ];
        let found = group(&files).unwrap();
        assert_eq!((found.version, found.folder.as_str()), (1, base));
        assert_eq!(found.quota, Some(Quota { cores: 0.5, period_ms: 100.0 }));
        assert_eq!(found.usage, Usage { periods: 10, throttled: 9, throttled_us: 400_000 });
        files[2].1 = "-1\n";
        assert_eq!(group(&files).unwrap().quota, None);
    }

    #[test]
    fn where_there_are_no_groups_there_is_nothing_to_complain_of() {
        assert_eq!(group(&[]), None);
        assert_eq!(group(&[("/proc/self/mountinfo", ""), ("/proc/self/cgroup", "0::/\n")]), None);
        assert_eq!(judged(None, None, (8, 8)).state, State::Ok);
    }

    #[test]
    fn a_group_that_is_stopped_for_one_thread_has_too_little() {
        let with = |quota: Option<f64>, throttled| Group {
            version: 2,
            folder: "/sys/fs/cgroup".to_owned(),
            quota: quota.map(|cores| Quota { cores, period_ms: 100.0 }),
            usage: Usage { periods: 1_000, throttled, throttled_us: throttled * 50_000 },
        };
        let judge = |before: &Group, after: &Group| judged(Some(before), Some(after), (8, 1)).state;
        let two = with(Some(2.0), 0);
        assert_eq!(judge(&two, &two), State::Ok);
        assert_eq!(judge(&with(None, 0), &with(None, 0)), State::Ok);
        let half = with(Some(0.5), 0);
        assert!(matches!(judge(&half, &half), State::Warning(_)));
        let often = with(Some(2.0), 100);
        assert!(matches!(judge(&often, &often), State::Warning(_)));
        let State::Failed(remedy) = judge(&half, &with(Some(0.5), 4)) else { panic!("it passes") };
        assert!(remedy.contains("--cpus") && remedy.contains("CPUQuota"), "{remedy}");
    }
}
