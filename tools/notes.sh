#!/usr/bin/env bash
# Prints what CHANGELOG.md says about a version, with links to the files of that version;
# fails where it says nothing.
#
#   tools/notes.sh v0.4.0
set -euo pipefail

notes=$(awk -v heading="## [${1#v}]" 'index($0, "## [") == 1 { inside = index($0, heading) == 1; next } inside' "$(dirname "$0")/../CHANGELOG.md")
[[ $notes == *[![:space:]]* ]] || { echo "notes: CHANGELOG.md has nothing about ${1#v}" >&2; exit 1; }
sed -E "s#\]\(([^):]+\))#](https://github.com/pico-auth/pico-auth/blob/$1/\1#g" <<<"$notes"
