#!/bin/sh
# What a machine of Iris does on every boot: learn who it is, fetch what it needs, start the worker's
# container and see to it. It may be run twice. What it says goes to the serial console; its last word is
# the guest attribute iris/state as well. A machine whose worker cannot work for `iris-patience` ends itself.
set -u
umask 077

metadata="http://${GCE_METADATA_HOST:-metadata.google.internal}/computeMetadata/v1"
home="${IRIS_HOME:-/var/lib/iris}"
name="${IRIS_CONTAINER:-iris-worker}"
second="${IRIS_SECOND:-1}" # how long a second lasts
slice=""
host=""

say() { echo "iris: $(date -u +%H:%M:%S) ${slice:+$slice }${host:+host $host: }$*"; }

tell() {
    say "$1: $2"
    curl -s -m 5 -o /dev/null -X PUT -H "Metadata-Flavor: Google" --data "$1: $2" \
        "$metadata/instance/guest-attributes/iris/state"
}

now() { cut -d. -f1 /proc/uptime; }

pause() { sleep "$(awk "BEGIN { print $1 * $second }")"; }

# Whether the machine's patience is still not at its end.
patient() { [ "$(($(now) - begun))" -lt "$(awk "BEGIN { print int($patience * $second) }")" ]; }

# Prints what the metadata server has at a path, nothing if it has nothing; fails if it gave no answer.
ask() {
    answer=$(curl -s -m 5 -H "Metadata-Flavor: Google" -w '\n%{http_code}' "$metadata/$1") || return 1
    case "$answer" in
    *"
200") printf '%s' "${answer%
200}" ;;
    *"
404") ;;
    *) return 1 ;;
    esac
}

# Sets a variable to what the metadata server says; what must be there may come late.
learn() {
    tries=0
    while :; do
        if value=$(ask "$2"); then
            if [ -n "$value" ] || [ "$3" = optional ]; then
                eval "$1=\$value"
                return
            fi
            why="the metadata server has no $2"
        else
            why="the metadata server at $metadata gives no answer"
        fi
        tries=$((tries + 1))
        if [ "$tries" -ge 60 ]; then
            tell failed "$why: without it this machine is nobody, and starts no worker"
            exit 1
        fi
        pause 2
    done
}

number() {
    case "$2" in
    '' | *[!0-9]*)
        tell failed "$1 is '$2', which is no number: this machine is nobody, and starts no worker"
        exit 1
        ;;
    esac
}

who_am_i() {
    learn slice instance/attributes/iris-slice required
    learn hosts instance/attributes/iris-hosts required
    number iris-hosts "$hosts"
    learn node instance/attributes/instance-id optional
    learn numbered instance/attributes/agent-worker-number optional
    learn host instance/attributes/iris-host optional
    kind=instance
    if [ -z "$host" ]; then
        kind=tpu
        learn host instance/attributes/agent-worker-number required
    fi
    number "the number of this host" "$host"
    if [ "$host" -ge "$hosts" ]; then
        tell failed "this is host $host of a slice that has $hosts: it is nobody, and starts no worker"
        exit 1
    fi
    [ -n "$node" ] || learn node instance/name required
    learn address instance/network-interfaces/0/ip required
    learn controller instance/attributes/iris-controller required
    learn image instance/attributes/iris-image required
    learn offers instance/attributes/iris-offers required
    learn token instance/attributes/iris-token required
    learn group instance/attributes/iris-group required
    learn zone instance/attributes/iris-zone required
    learn project instance/attributes/iris-project required
    learn patience instance/attributes/iris-patience required
    number iris-patience "$patience"
    learn authority instance/attributes/iris-authority optional
    learn tpu_api instance/attributes/iris-tpu-api optional
    learn compute_api instance/attributes/iris-compute-api optional
}
