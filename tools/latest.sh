#!/usr/bin/env bash
# Succeeds if no version among the tags on standard input is higher: a patch of an earlier
# minor release, or a version that is not released yet, is not the latest.
#
#   git tag --list | tools/latest.sh v0.4.0
set -euo pipefail

[[ $({ cat; echo "$1"; } | grep -E '^v[0-9]+\.[0-9]+\.[0-9]+$' | sort -V | tail -n 1) == "$1" ]]
