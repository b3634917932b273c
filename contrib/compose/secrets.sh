#!/bin/sh
# Makes the secrets of compose.yaml in the folder DIR (secrets), each once. Containers
# read the files as users of their own, so the files are readable and the folder is not.
set -eu

dir=${1:-secrets}
mkdir -p "$dir"
chmod 0700 "$dir"
umask 022

# once NAME: stores standard input as a secret that does not exist yet.
once() {
	[ -e "$dir/$1" ] || cat >"$dir/$1"
}

openssl rand -base64 32 | once master_key
openssl rand -hex 16 | once admin_password
openssl rand -hex 24 | once database_password
printf 'postgresql://auth:%s@database/auth\n' "$(cat "$dir/database_password")" | once database_url
