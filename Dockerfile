# Two images. `service` has all production programs: `python -m ingest`, `aggregator`, `alerter`, `query_api`, and
# `runtime.prepare` for tables and topics. `tools` adds the commands of ./flexcredits.
#
#   docker build --target service -t flexcredits:0.1.0 --build-arg REVISION=$(git rev-parse HEAD) .
#   docker build --target tools -t flexcredits-tools:0.1.0 .

ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS dashboard
WORKDIR /build/services/query-api/dashboard
COPY services/query-api/dashboard/package.json services/query-api/dashboard/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY schemas/http/query-api.json /build/schemas/http/
COPY services/query-api/dashboard ./
RUN npm run build

FROM ${PYTHON_IMAGE} AS build
COPY deploy/installer.lock /build/
RUN python3 -m venv /build/installer \
    && /build/installer/bin/pip install --quiet --no-cache-dir --require-hashes --requirement /build/installer.lock
ENV UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/app
# For reproducible builds: bytecode has its source's hash instead of its time, sets have a fixed order, and (below) uv's build
# times of our packages are removed.
ENV PYC_INVALIDATION_MODE=UNCHECKED_HASH PYTHONHASHSEED=0
RUN /build/installer/bin/uv venv --quiet --python python3 /app
WORKDIR /build
COPY requirements.lock ./
COPY schemas schemas
COPY services services
# The query API shows it at /docs, beside its own description.
RUN cp schemas/http/ingest-api.json schemas/flexcredits_schemas/
# The lock is used as constraints: it provides versions and hashes for the services' dependencies and does not install the
# tests' packages. --no-sources copies our own packages into the environment instead of linking to folders that the final
# images do not have.
RUN /build/installer/bin/uv pip install --no-sources --constraint requirements.lock ./schemas ./services/*
RUN find /app -path '*/flexcredits_*.dist-info/RECORD' -exec sed -i '/uv_cache\.json/d' {} + \
    && find /app -name uv_cache.json -delete

FROM build AS build-tools
COPY tools tools
RUN /build/installer/bin/uv pip install --no-sources --constraint requirements.lock ./schemas ./services/* ./tools
RUN find /app -path '*/flexcredits_*.dist-info/RECORD' -exec sed -i '/uv_cache\.json/d' {} + \
    && find /app -name uv_cache.json -delete

FROM ${PYTHON_IMAGE} AS base
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="FlexCredits" \
    org.opencontainers.image.description="Metering for AI credits: every usage event counted exactly once, and proved." \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.licenses="Apache-2.0"
# HOME: clients search it for certificates, and the image's user has no home folder.
ENV PATH=/app/bin:$PATH HOME=/tmp PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN install -d -o 10001 -g 10001 /var/lib/flexcredits
COPY schemas/postgres /usr/share/flexcredits/postgres
COPY schemas/topics /usr/share/flexcredits/topics
WORKDIR /usr/share/flexcredits
USER 10001:10001

FROM base AS tools
ENV FLEXCREDITS_HOME=/var/lib/flexcredits
COPY --from=build-tools /app /app
ENTRYPOINT ["python", "-m", "flexcredits_cli"]

# The last stage is the default target.
FROM base AS service
ARG REVISION=""
ENV REVISION=$REVISION
ENV DASHBOARD_FOLDER=/usr/share/flexcredits/dashboard
COPY --from=dashboard /build/services/query-api/dashboard/dist /usr/share/flexcredits/dashboard
COPY --from=build /app /app
ENTRYPOINT ["python", "-m"]
