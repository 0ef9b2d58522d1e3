#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target in FOLDER for SECONDS over a copy of its seeds. A finding fails, and the
# input that led to it stays in FOLDER.
#
# usage: campaign.sh FOLDER SECONDS
set -u
if [ $# -ne 2 ]; then
  sed -n 's/^# \(usage: .*\)/\1/p' "$0" >&2
  exit 2
fi
seeds=$(cd "$(dirname "$0")" && pwd)/seeds
folder=$(cd "$1" && pwd) || exit 3
seconds=$2
corpora=$(mktemp -d) || exit 15
trap 'rm -rf "$corpora"' EXIT
trap 'exit 130' INT TERM
status=0 count=0
for target in "$folder"/fuzz_*; do
  if ! [ -f "$target" ] || ! [ -x "$target" ]; then continue; fi
  name=${target##*/fuzz_}
  count=$((count + 1))
  mkdir "$corpora/$name"
  cp "$seeds/$name"/* "$corpora/$name/" 2>/dev/null
  log=$folder/$name.log
  if "$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
      -artifact_prefix="$folder/$name-" "$corpora/$name" >"$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "$name: nothing found in $runs runs"
  else
    echo "$name: FOUND, see $log"
    sed -n 's/.*Test unit written to /  input: /p' "$log"
    status=1
  fi
done
if [ "$count" -eq 0 ]; then
  echo "no fuzz target in $folder: build them with ninja fuzz_targets" >&2
  exit 3
fi
exit $status
