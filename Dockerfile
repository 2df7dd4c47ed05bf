# One image with the four programs; compose.yaml says which one a container runs.
#   docker build -t aion2rank .

FROM debian:12-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      gcc \
      libbz2-dev \
      libc6-dev \
      libcjson-dev \
      libcurl4-openssl-dev \
      libevent-dev \
      libhiredis-dev \
      libpq-dev \
      libsystemd-dev \
      libssl-dev \
      make \
      pkg-config \
      zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN make -s -j"$(nproc)" BUILD=release \
 && make -s install BUILD=release DESTDIR=/out PREFIX=/usr/local \
 && strip --strip-debug /out/usr/local/bin/*

FROM debian:12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates \
      libbz2-1.0 \
      libcjson1 \
      libcurl4 \
      libevent-core-2.1-7 \
      libevent-extra-2.1-7 \
      libhiredis0.14 \
      libpq5 \
      libsystemd0 \
      libssl3 \
      tzdata \
      zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home \
      --home-dir /var/lib/aion2rank --shell /usr/sbin/nologin aion2rank \
 && install -d -o aion2rank -g aion2rank -m 0750 /var/lib/aion2rank
COPY --from=build /out/usr/local/bin/ /usr/local/bin/
USER aion2rank
WORKDIR /var/lib/aion2rank
# The api keeps its copy of the ranking here, so that it can start while PostgreSQL is away.
ENV STATE_DIR=/var/lib/aion2rank
EXPOSE 8000
CMD ["aion2ctl", "--help"]
