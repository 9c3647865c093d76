#!/bin/sh
# The main job, end to end: a study on the embedded database, its report and its export.
# Interrupted with Ctrl-C it goes on where it stopped when it is run again.
set -eu
cd "$(dirname "$0")/.."
mkdir -p demo
export TUNER_DATABASE_URL="sqlite:///demo/tuner.db"
tuner study run examples/demo.yaml
tuner study report demo --format html --output demo/report.html
tuner study export demo --format jsonl --output demo/trials.jsonl
echo "Open demo/report.html in a browser; demo/trials.jsonl has every trial." >&2
