#!/bin/sh
# Reads the secrets that are mounted as files into the variables that the programs know, then runs
# what it was given. So no secret stands in a container's configuration.
set -eu
folder="${SECRETS_DIR:-/run/secrets}"
read_into() {
    if [ -r "$folder/$2" ]; then
        value="$(cat "$folder/$2")"
        export "$1=$value"
    fi
}
read_into DOCLOOP_BLOB_KEY blob_key
read_into DOCLOOP_API_KEY api_key
read_into DOCLOOP_ENGINE_API_KEY engine_api_key
read_into VLLM_API_KEY engine_api_key
if [ -r "$folder/database_password" ]; then
    export DATABASE_URL="postgresql://docloop:$(cat "$folder/database_password")@${DATABASE_HOST:-postgres}/docloop"
fi
exec "$@"
