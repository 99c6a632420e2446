#!/usr/bin/env python3
"""Antiphon beside livekit-agents, pipecat and the raw SDK: the same server, the same client, one run.

    versus.py [--short] [--antiphon FILE]      what `make bench-peers` runs

Exit codes: 0 measured; 1 a side cannot be started, or has not done in time what is measured, which the table says as well;
130 interrupted.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import report
import sounds
import wire
from contenders import ECHOES, SPEAKERS, Setting
from livekit_server import ROOT, Failure, Server, Shortfall
from measures import SHORT, Bench, Length, Round


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one round of less; prints only, and is no basis for claims")
    parser.add_argument("--rounds", type=int, default=None, metavar="N", help="rounds of everything [default: 3]")
    parser.add_argument("--confirm-ms", type=int, default=report.CONFIRM_MS, metavar="MS",
                        help="how long a voice must last to interrupt, for all sides [default: 200]")
    parser.add_argument("--only", choices=["echo", "speak"], help="one half of the measures; prints only")
    parser.add_argument("--side", action="append", metavar="NAME", help="these sides only, for trying; prints only")
    antiphon = Path(os.environ.get("ANTIPHON") or ROOT / "target/release/antiphon")
    parser.add_argument("--antiphon", type=Path, default=antiphon, metavar="FILE",
                        help="the program [default: $ANTIPHON or target/release/antiphon]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes all figures of all rounds")
    parser.add_argument("--keep", action="store_true", help="keeps the logs, and says where they are")
    return parser.parse_args()


async def measure(args: argparse.Namespace, folder: Path) -> report.Results:
    if args.only != "echo":
        try:
            wire.looking().close()
        except (AttributeError, OSError) as why:
            # Now, and not after ten minutes.
            raise Failure(f"packets cannot be seen: {why}; run as root on Linux, or with --only echo") from why
    setting = Setting(args.antiphon.resolve(), folder, folder / "speech.wav", args.confirm_ms)
    sounds.write_speech(setting.speech)
    server = Server(folder)
    await server.start()
    results = report.Results()
    try:
        bench = Bench(server, setting, SHORT if args.short else Length(), seed=1)
        for number in range(args.rounds or (1 if args.short else report.ROUNDS)):
            for kind, contenders in [("echo", ECHOES), ("speak", SPEAKERS)]:
                if args.only in (None, kind):
                    wanted = [one for one in contenders if not args.side or one.side in args.side]
                    # Each round begins with another side: what the machine does meanwhile falls on all of them.
                    at = number % len(wanted) if wanted else 0
                    for contender in wanted[at:] + wanted[:at]:
                        print(f"round {number + 1}: {contender.name}, {kind}", file=sys.stderr, flush=True)
                        found = Round()
                        try:
                            await getattr(bench, kind)(contender, number, found)
                        except Shortfall as shortfall:
                            results.shortfalls.append(f"round {number + 1}: {shortfall}")
                            print(f"bench-peers: {shortfall}", file=sys.stderr, flush=True)
                        results.add(kind, contender, found)
    finally:
        await server.api.aclose()
        server.stop()
    return results


def main() -> int:
    args = arguments()
    folder = Path(tempfile.mkdtemp(prefix="antiphon-peers-"))
    # Whoever ends this run ends what it has started as well; a shell ignores interrupts in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        if not os.access(args.antiphon, os.X_OK):
            raise Failure(f"{args.antiphon} is no program; run cargo build --release, or name one with --antiphon")
        machine = report.machine(args.antiphon)
        results = asyncio.run(measure(args, folder))
    except Failure as failure:
        print(f"bench-peers: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if args.keep:
            print(f"logs: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if args.json:
        args.json.write_text(json.dumps(results.raw(), indent=1) + "\n")
    tables = report.tables(results)
    print(tables)
    if not (args.short or args.only or args.side):
        page = ROOT / "benches/PEERS.md"
        page.write_text(report.page(tables, machine, results, args.confirm_ms))
        print(f"\nwritten to {page.relative_to(ROOT)}")
    return 1 if results.shortfalls else 0


if __name__ == "__main__":
    sys.exit(main())
