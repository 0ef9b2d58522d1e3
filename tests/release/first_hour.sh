#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What somebody does in the first hour with a release, on a system that has little more than a shell.
# other_systems.sh runs it there.
set -eux
cd /tmp
tar -xzf volt.tar.gz -C /opt
PATH=$(echo /opt/volt-*)/bin:$PATH

gpu-run example >job.toml
gpu-run job.toml
gpu-verify product.run --all
gpu-run devices

cat >command.toml <<'JOB'
schema = "volt.job/1"
workload = "command"
[command]
argv = ["sh", "-c", "echo $((6 * 7)) > answer.txt; ls /proc > seen.txt"]
outputs = ["answer.txt", "seen.txt"]
JOB
for level in namespaces landlock none; do
  gpu-run command.toml -o $level.run --sandbox $level
  [ "$(cat $level.run/answer.txt)" = 42 ]
done
# Only namespaces hide the processes of the system.
[ "$(grep -c '^[0-9]' namespaces.run/seen.txt)" -lt 5 ]
sed -i 's/; ls .*txt"\]$/"]/; s/, "seen.txt"//' command.toml
gpu-run command.toml --sandbox namespaces
gpu-verify command.run --rerun

gpu-run --detach job.toml -o away.run
gpu-run wait away.run
gpu-verify away.run

echo "runs, verifies, detaches, and confines at all levels"
