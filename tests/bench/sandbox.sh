#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a sandbox adds to a run of true, at each level, beside bubblewrap alone around it. The run's
# folder lies in memory: receipts and journals are flushed to the disk, which would drown the rest.
#
# usage: sandbox.sh TOOLS_FOLDER
set -eu
folder=$(mktemp -d /dev/shm/volt-bench-XXXXXX)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cat >"$folder/true.toml" <<'EOF'
schema = "volt.job/1"
workload = "command"
[command]
argv = ["true"]
EOF
run="$1/gpu-run $folder/true.toml -o $folder/r --force -q --sandbox"
hyperfine -N --style none --warmup 5 --min-runs 100 --export-json "$folder/times.json" \
  true "bwrap --ro-bind / / --unshare-all true" "$run none" "$run landlock" "$run namespaces" \
  >/dev/null 2>&1
/usr/bin/python3 - "$folder/times.json" <<'EOF'
import json
import sys

none, bwrap, *runs = (result['median'] for result in json.load(open(sys.argv[1]))['results'])
print(f"{'sandbox':20} {'median':>9} {'it adds':>12}")
print(f"{'bwrap alone':20} {1e3 * bwrap:6.2f} ms {1e3 * (bwrap - none):9.2f} ms")
for name, median in zip(('none', 'landlock', 'namespaces'), runs):
    print(f"{'gpu-run, ' + name:20} {1e3 * median:6.2f} ms {1e3 * (median - runs[0]):9.2f} ms")
EOF
