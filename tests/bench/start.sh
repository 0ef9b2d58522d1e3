#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# How long a tool takes to start, beside an empty C program and an empty Python one. The question is
# the difference to the empty C program: what our own start costs.
#
# usage: start.sh TOOLS_FOLDER
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo 'int main(void) { return 0; }' >"$folder/empty.c"
cc -O2 -o "$folder/empty" "$folder/empty.c"
hyperfine -N --style none --warmup 20 --min-runs 200 --export-json "$folder/times.json" \
  "$folder/empty" "$1/gpu-run --help" "$1/gpu-verify --help" '/usr/bin/python3 -c pass' \
  >/dev/null 2>&1
/usr/bin/python3 - "$folder/times.json" <<'EOF'
import json
import sys

results = json.load(open(sys.argv[1]))['results']
names = ['empty C program', 'gpu-run --help', 'gpu-verify --help', 'python3 -c pass']
empty = results[0]['median']
print(f"{'start':20} {'median':>9} {'above empty':>12}")
for name, result in zip(names, results):
    median = result['median']
    print(f'{name:20} {1e3 * median:6.2f} ms {1e3 * (median - empty):9.2f} ms')
EOF
