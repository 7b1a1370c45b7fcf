#!/bin/sh
# Makes deploy/secrets with new random secrets; one that is there stays. Keep a copy of blob_key in
# another place: without it stored files cannot be read.
set -eu
umask 077
folder="${1:-$(dirname "$0")/secrets}"
mkdir -p "$folder"
random() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
for name in database_password engine_api_key grafana_password; do
    [ -s "$folder/$name" ] || random > "$folder/$name"
done
[ -s "$folder/api_key" ] || printf 'dl_%s' "$(random)" > "$folder/api_key"
[ -s "$folder/blob_key" ] || head -c 32 /dev/urandom | base64 | tr -d '\n' > "$folder/blob_key"
# The containers' accounts read them; the folder itself is yours alone.
chmod 644 "$folder"/*
chmod 700 "$folder"
echo "$folder"
