#!/bin/bash
# apt-install.sh PACKAGE...   (as root)
# Installs packages without starting or enabling the services that come with them, and leaves no
# setting of its own behind.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

POLICY=/usr/sbin/policy-rc.d
CLUSTER_CONF=/etc/postgresql-common/createcluster.d/zz-no-main-cluster.conf
made=()

cleanup() {
    [ ${#made[@]} = 0 ] || rm -f "${made[@]}"
}
trap cleanup EXIT

# make_for_now FILE MODE TEXT: unless it is there already.
make_for_now() {
    [ ! -e "$1" ] || return 0
    mkdir -p "$(dirname "$1")"
    made+=("$1")
    printf '%s\n' "$3" >"$1"
    chmod "$2" "$1"
}

# Which services this installation brings, so that only those are kept from the next boot.
new_services=()
note_new_services() {
    local p
    for p in "$@"; do
        case $p in
        redis-server | prometheus) new_services+=("$p") ;;
        postgresql-*) [ -d /etc/postgresql ] || new_services+=(postgresql) ;;
        esac
    done
}

install() {
    apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold \
        install -y --no-install-recommends "$@"
}

note_new_services "$@"
make_for_now "$POLICY" 755 $'#!/bin/sh\nexit 101'
make_for_now "$CLUSTER_CONF" 644 "create_main_cluster = false"

if ! apt-cache show "$@" >/dev/null 2>&1 || ! install "$@"; then
    apt-get -o DPkg::Lock::Timeout=300 update
    install "$@"
fi

if [ -d /run/systemd/system ]; then
    for service in "${new_services[@]}"; do
        systemctl disable --quiet "$service" || true
    done
fi
