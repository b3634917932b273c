#!/usr/bin/env bash
# Prints what CHANGELOG.md says about a version; fails where it says nothing.
#
#   tools/notes.sh v0.4.0
set -euo pipefail

notes=$(awk -v heading="## [${1#v}]" 'index($0, "## [") == 1 { inside = index($0, heading) == 1; next } inside' "$(dirname "$0")/../CHANGELOG.md")
[[ $notes == *[![:space:]]* ]] || { echo "notes: CHANGELOG.md has nothing about ${1#v}" >&2; exit 1; }
printf '%s\n' "$notes"
