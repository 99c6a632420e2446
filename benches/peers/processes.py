"""What a process and all its children have taken and hold, by /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")

SCHED_FIFO = 1
"""Linux's number of the real-time class that gateways ask for."""

RESET_ON_FORK = 0x4000_0000
"""May be in it: children are of the ordinary class."""


def tree(root: int) -> list[int]:
    """A process and all that descend from it, as they are now."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := fields(int(entry.name))):
            parents.setdefault(int(stat[1]), []).append(int(entry.name))
    found, at = [root], 0
    while at < len(found):
        found.extend(parents.get(found[at], []))
        at += 1
    return found


def fields(pid: int) -> list[str] | None:
    """What /proc says of a process after its name; none if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def ran_s(root: int) -> dict[int, float]:
    """Seconds of processor that each process of a tree has taken, its threads that have ended included."""
    times = {}
    for pid in tree(root):
        if stat := fields(pid):
            times[pid] = (int(stat[11]) + int(stat[12])) * TICK_S
    return times


def ran_between(before: dict[int, float], after: dict[int, float]) -> float:
    """A process that has come in between counts from nothing; one that has gone is lost."""
    return sum(time - before.get(pid, 0.0) for pid, time in after.items())


@dataclass
class Memory:
    """Megabytes (of a million bytes) of a tree: pages that processes share are counted once, in parts (PSS)."""

    whole_mb: float
    anonymous_mb: float
    """Of it, what is no file: heap and stacks. The rest is mapped programs and libraries."""


def memory(root: int) -> Memory:
    sums = {"Pss:": 0, "Pss_Anon:": 0}
    for pid in tree(root):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in text.splitlines():
            name, _, rest = line.partition(" ")
            if name in sums:
                sums[name] += int(rest.split()[0]) * 1_024
    return Memory(sums["Pss:"] / 1e6, sums["Pss_Anon:"] / 1e6)


def is_realtime(root: int) -> bool:
    """Whether a thread of a tree is in the real-time class."""
    for pid in tree(root):
        try:
            threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
            if any(os.sched_getscheduler(thread) & ~RESET_ON_FORK == SCHED_FIFO for thread in threads):
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


def udp_ports(root: int) -> set[int]:
    """The ports of a tree's UDP sockets."""
    owned = set()
    for pid in tree(root):
        try:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                link = os.readlink(descriptor)
                if link.startswith("socket:["):
                    owned.add(link[8:-1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    ports = set()
    for table in ["/proc/net/udp", "/proc/net/udp6"]:
        for line in Path(table).read_text().splitlines()[1:]:
            columns = line.split()
            if columns[9] in owned:
                ports.add(int(columns[1].rpartition(":")[2], 16))
    return ports
