#!/bin/sh
# Creates the services' roles with LOGIN. The migrations run later and grant their rights.
# Postgres' image runs this script once, after it has created the database.
set -eu
folder=${SECRETS_FOLDER:-/secrets}
for role in flexcredits_ingest flexcredits_aggregator flexcredits_alerter flexcredits_api; do
    psql --quiet --no-psqlrc -v ON_ERROR_STOP=1 -v role="$role" -v password="$(cat "$folder/$role")" \
        --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password' NOSUPERUSER NOBYPASSRLS;
SQL
done
