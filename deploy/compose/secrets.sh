#!/bin/sh
# Generates random passwords of Postgres' roles, once, in a separate volume. No user needs to know them.
# Runs as root in Postgres' image. `postgres` may read the passwords; the services' user may read the pgpass file.
set -eu
umask 077
folder=${1:-/secrets}
readers=${2:-postgres}
services=${3:-10001:10001}

[ -e "$folder/pgpass" ] && exit 0
: > "$folder/pgpass.new"
for role in flexcredits flexcredits_ingest flexcredits_aggregator flexcredits_alerter flexcredits_api; do
    password=$(od -An -tx1 -N20 /dev/urandom | tr -d ' \n')
    printf '%s' "$password" > "$folder/$role"
    printf 'postgres:5432:flexcredits:%s:%s\n' "$role" "$password" >> "$folder/pgpass.new"
    chown "$readers" "$folder/$role"
done
chown "$services" "$folder/pgpass.new"
chmod 711 "$folder"
mv "$folder/pgpass.new" "$folder/pgpass"  # last, so that an interrupted run is repeated
