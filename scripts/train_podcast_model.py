#!/usr/bin/env python3
"""Trains the model of configs/podcast-model.toml and writes configs/models/podcast.onnx.

Usage: scripts/train_podcast_model.py TIDEWATCH [OUT]

TIDEWATCH is the program, built with `--features onnx` or `full`. OUT is where the model goes [default: configs/models/podcast.onnx].

The job's own rows are what is learned from: it is run with the generator's seeds 1 to 5, without its model and with every row put out.
A row is positive if half of its window or more lies in an incident of its listener, as the generator tells; rows at an incident's edge
are left out. Gradient boosting of 40 small trees learns how probable that is. What it is worth is measured on other seeds:

  tidewatch backtest configs/podcast-model.toml --set source.events.seed=21 --train-seed 1

Needs the packages numpy, scikit-learn and skl2onnx (tried with 2.4.6, 1.9.1 and 1.20.0). The same versions give the same model.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingClassifier

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFIG = ROOT / "configs/podcast-model.toml"
INPUTS = ["disengaged", "distracted", "leaving", "early", "pausing", "seeking", "events"]
# An outage is of a show, and silence leaves no row.
KINDS = {"drop", "decline", "early_exits", "pause_storm", "seek_storm"}
SEEDS = range(1, 6)


def rows(program, seed, folder):
    """The job's rows, each with its listener and window."""
    path = folder / f"{seed}.ndjson"
    columns = ", ".join(f'"{name}"' for name in ["user_id", "window_start", "window_end", *INPUTS])
    sink = f'{{ type = "file", path = "{path}", format = "plain", columns = [{columns}] }}'
    settings = {
        "source.events.seed": seed,
        "source.events.rate": 0,
        "score.risk": '"usual"',
        "rules.leaving": '{ when = "true" }',
        "alerts.group_windows": "false",
        "sink.alerts": sink,
    }
    sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    subprocess.run([program, "run", CONFIG, *sets], check=True, cwd=ROOT)
    with path.open() as lines:
        yield from map(json.loads, lines)
    path.unlink()


def truth(program, seed, folder):
    """The incidents of each listener, as (from, to)."""
    said = subprocess.run([program, "check", CONFIG, "--print", "--format", "json"], check=True, cwd=ROOT, capture_output=True)
    settings = {setting["path"]: setting["value"] for setting in json.loads(said.stdout)["settings"]}
    path, of = folder / f"{seed}.truth", "source.events."
    arguments = ["--seed", str(seed), "--out", "/dev/null", "--truth", str(path)]
    for name in ["scenario", "events", "users", "density", "anomalies"]:
        arguments += [f"--{name}", str(settings[of + name]).strip("\"").replace("_", "")]
    subprocess.run([program, "gen", *arguments], check=True, cwd=ROOT)
    incidents = {}
    for incident in map(json.loads, path.read_text().splitlines()):
        if incident["kind"] in KINDS:
            incidents.setdefault(incident["key"], []).append((incident["from"], incident["to"]))
    return incidents


def label(row, incidents):
    """1 or 0; None at the edge of an incident."""
    start, end = row["window_start"], row["window_end"]
    inside = max((min(end, to) - max(start, begin) for begin, to in incidents), default=0)
    return None if 0 < inside < (end - start) / 2 else int(inside > 0)


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 2)
    program = str(pathlib.Path(sys.argv[1]).resolve())
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else ROOT / "configs/models/podcast.onnx"
    examples, labels = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            incidents = truth(program, seed, pathlib.Path(folder))
            for row in rows(program, seed, pathlib.Path(folder)):
                inputs = [row[name] for name in INPUTS]
                # The job asks about no others.
                if None in inputs:
                    continue
                what = label(row, incidents.get(row["user_id"], []))
                if what is not None:
                    examples.append(inputs)
                    labels.append(what)
    examples, labels = np.array(examples, np.float32), np.array(labels)
    print(f"{len(labels)} rows, {labels.sum()} of them in incidents", file=sys.stderr)
    model = GradientBoostingClassifier(n_estimators=40, max_depth=3, subsample=0.5, random_state=0)
    model.fit(examples, labels)
    onnx = to_onnx(model, examples[:1], options={"zipmap": False}, target_opset=17)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(onnx.SerializeToString())
    print(f"{out}: {out.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
