#!/bin/sh
# What every machine of Iris does on every boot: it asks the metadata server what it is, and fetches what it
# needs. It may be run twice. What it says goes to the serial console; its last word is the guest attribute
# iris/state as well. What follows says what kind of machine it is.
set -u
umask 077

metadata="http://${GCE_METADATA_HOST:-metadata.google.internal}/computeMetadata/v1"
home="${IRIS_HOME:-/var/lib/iris}"
second="${IRIS_SECOND:-1}" # how long a second lasts
called="" stamp="" image="" log_format="" patience=600
export DOCKER_CONFIG="$home/logins" # /root can be read only

say() { echo "iris: $(date -u +%H:%M:%S) ${called:+$called: }$*"; }

tell() {
    say "$1: $2"
    curl -s -m 5 -o /dev/null -X PUT -H "Metadata-Flavor: Google" --data "$stamp$1: $2" \
        "$metadata/instance/guest-attributes/iris/state"
}

now() { cut -d ' ' -f 1 /proc/uptime; }

# Whether so many seconds have gone since a moment.
past() { awk "BEGIN { exit !($(now) - $1 >= $2 * $second) }"; }

pause() { sleep "$(awk "BEGIN { print $1 * $second }")"; }

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
    asked=$(now)
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
        if past "$asked" 120; then
            tell failed "$why: without it this machine is nobody, and starts nothing"
            exit 1
        fi
        pause 2
    done
}

account_token() {
    ask instance/service-accounts/default/token | sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p'
}

hopeless=99 # as a status: it is no use trying again

# Does something until it works, with longer and longer pauses, while there is patience.
insist() {
    what=$1
    shift
    wait_s=1
    until trouble=$("$@" 2>&1); do
        status=$?
        trouble="$what: $(printf '%s' "$trouble" | tail -n 1)"
        [ "$status" -ne "$hopeless" ] || end "$trouble"
        tell trouble "$trouble"
        ! past "$begun" "$patience" || end "$trouble, for $patience s"
        pause "$wait_s"
        wait_s=$((wait_s * 2))
        [ "$wait_s" -le 60 ] || wait_s=60
    done
}

# Puts right what Google's image for containers has otherwise: it runs no program below /var, and lets in nobody
# but by SSH. What of TCP is let in is said in the words of iptables.
settle() {
    mkdir -p "$home" || return 1
    printf '#!/bin/sh\n' >"$home/tried" && chmod 700 "$home/tried" || return 1
    if ! "$home/tried" 2>/dev/null; then
        mount --bind "$home" "$home" && mount -o remount,bind,exec "$home" || return 1
    fi
    rm -f "$home/tried"
    iptables -w -S INPUT 2>/dev/null | grep -q '^-P INPUT DROP' || return 0
    iptables -w -C INPUT -p tcp "$@" -j ACCEPT 2>/dev/null || iptables -w -A INPUT -p tcp "$@" -j ACCEPT
}

engine() {
    if ! command -v docker >/dev/null; then
        say "there is no container engine: installing docker.io"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq docker.io || return 1
    fi
    docker info >/dev/null 2>&1 && return
    systemctl start docker
    docker info >/dev/null
}

pull() {
    docker image inspect "$image" >/dev/null 2>&1 && return
    case "${image%%/*}" in
    gcr.io | *.gcr.io | *-docker.pkg.dev)
        account_token | docker login -u oauth2accesstoken --password-stdin "https://${image%%/*}" || return 1
        ;;
    esac
    timeout 900 docker pull -q "$image"
}

begun=$(now)
