# syntax=docker/dockerfile:1
# Two images from this checkout: `server` (Debusine's server, Temporal, its Web
# UI, the steps of `debusine deployment`) and `worker` (a build machine).
# docker-compose.yml builds and uses both.

FROM golang:1.26.8-trixie AS build
WORKDIR /src
# Temporal's programs first: they change with their pinned versions alone, and
# take minutes.
COPY Makefile ./
COPY temporal-config temporal-config
RUN make bin/temporal-server bin/temporal-sql-tool bin/temporal-ui
COPY . .
RUN make ours

FROM debian:trixie-slim AS server
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/bin/debusine /src/bin/temporal-server /src/bin/temporal-sql-tool /src/bin/temporal-ui /usr/local/bin/
COPY --from=build /src/temporal-config /usr/local/share/debusine/temporal-config
# A new volume takes over who owns the folder that it is mounted on.
RUN useradd --system --user-group --uid 900 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin debusine \
    && install -d -o debusine -g debusine /deployment /deployment/authority /deployment/postgresql /deployment/temporal \
        /deployment/ui /deployment/server /deployment/signing /var/lib/debusine /var/lib/debusine/files
USER debusine
ENTRYPOINT []
CMD ["debusine", "--help"]

FROM debian:trixie-slim AS worker
RUN apt-get update && apt-get install -y --no-install-recommends \
        sbuild mmdebstrap uidmap arch-test slirp4netns iproute2 dose-builddebcheck devscripts dpkg-dev xz-utils zstd \
        ca-certificates debian-archive-keyring mount libcap2-bin \
    && rm -rf /var/lib/apt/lists/*
# The user that builds run as; useradd gives it its subordinate ids.
RUN useradd --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin debusine-build
COPY --from=build /src/bin/debusine /usr/local/bin/
VOLUME /var/lib/debusine/worker
ENTRYPOINT []
CMD ["debusine", "worker", "--help"]
