"""`python -m tests.faults --runs 200`: many seeded runs; interrupted, it goes on where it stopped."""

import argparse
import sys
from pathlib import Path

import orjson

from tests.faults.run import attack


def main() -> int:
    """Run the seeds that have not passed yet and give 1 when one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="number of seeds")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--state", type=Path, default=Path(".faults"), help="folder of results and of the runs' data")
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)
    results = options.state / "results.ndjson"
    done = {entry["seed"] for entry in map(orjson.loads, results.read_bytes().splitlines())} if results.exists() else set()
    failed = 0
    for seed in range(options.seed, options.seed + options.runs):
        if seed in done:
            continue
        print(f"seed {seed}", flush=True)
        folder = options.state / f"run-{seed}"
        try:
            outcome = attack(seed, folder, say=True)
        except TimeoutError as error:
            (folder / "report.txt").write_text(str(error))
            print(f"  {str(error).splitlines()[0]}; see {folder / 'report.txt'}", flush=True)
            failed += 1
            continue
        verdict = outcome.verdict
        word = "exact" if verdict.ok else "; ".join(verdict.faults)
        print(f"  {outcome.seconds:5.1f} s  {verdict.acknowledged:,} acknowledged, {verdict.stored:,} stored: {word}", flush=True)
        print("           " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in outcome.phases.items()), flush=True)
        if verdict.ok:
            entry = {"seed": seed, "attacks": outcome.attacks, "events": verdict.stored, "rss_mib": outcome.rss_mib}
            entry |= {"phases": outcome.phases}
            with results.open("ab") as file:
                file.write(orjson.dumps(entry) + b"\n")
        failed += not verdict.ok
    print(f"{options.runs - failed} of {options.runs} runs exact: nothing lost, nothing doubled, rollups equal to their source")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
