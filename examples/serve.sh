#!/bin/sh
# The study of the demo against a running server with two workers, each of one slot.
set -eu
cd "$(dirname "$0")/.."
mkdir -p demo
port="${PORT:-8642}"
export TUNER_URL="http://127.0.0.1:$port"
tuner server start --port "$port" --database-url sqlite:///demo/serve.db &
server=$!
trap 'kill $workers $server 2>/dev/null; wait' EXIT INT TERM
workers=""
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  if tuner study list >/dev/null 2>&1; then break; fi
  kill -0 "$server"
  sleep 0.5
done
tuner study create demo --file examples/demo.yaml --exist-ok
tuner worker start --slots 1 --name first &
workers="$!"
tuner worker start --slots 1 --name second &
workers="$workers $!"
tuner study watch demo
tuner study best demo
tuner study report demo --format html --output demo/serve-report.html
echo "Open demo/serve-report.html in a browser." >&2
