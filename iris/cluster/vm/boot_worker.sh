# ---- a machine of a slice: it runs a worker, and ends itself when that cannot work for `iris-patience` --------

name="${IRIS_CONTAINER:-iris-worker}"
slice="" host="" hosts="" kind="" node="" address=""
controller="" offers="" token="" authority="" group="" zone="" project=""
tpu_api="${IRIS_TPU_API:-https://tpu.googleapis.com}"
compute_api="${IRIS_COMPUTE_API:-https://compute.googleapis.com}"

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
    called="$slice host $host"
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
    learn log_format instance/attributes/iris-log-format optional
}

place() {
    case "$kind" in
    tpu) echo "$tpu_api/v2/projects/$project/locations/$zone/$1/$node" ;;
    *) echo "$compute_api/compute/v1/projects/$project/zones/$zone/instances/$node" ;;
    esac
}

# The status of asking the cloud to delete something.
delete() {
    curl -s -m 30 -o /dev/null -w '%{http_code}' -X DELETE -H "Authorization: Bearer $(account_token)" "$1"
}

# Ends this machine, and with it what it costs: the cloud deletes it, or at least it is switched off.
end() {
    tell ended "$1"
    docker rm -f "$name" >/dev/null 2>&1
    for wait_s in 2 4 8 16 32; do
        status=404
        # A node that came by the queue goes with its place there, which alone would go on to hold quota.
        [ "$kind" != tpu ] || status=$(delete "$(place queuedResources)?force=true")
        case "$status" in
        403 | 404) status=$(delete "$(place nodes)") ;;
        esac
        case "$status" in
        2?? | 404)
            say "this machine is being deleted"
            exit 0
            ;;
        esac
        say "the cloud does not delete $(place nodes): HTTP $status"
        pause "$wait_s"
    done
    say "switching off"
    [ -n "${GCE_METADATA_HOST:-}" ] || poweroff # Only a real cloud's machine is ours to switch off.
    exit 1
}

# Waits until the cloud has the slice whole, for five minutes at most, where it says so: after that the
# controller's word counts, which begins nothing on a slice before all its workers have spoken.
wait_for_the_others() {
    [ "$kind" = tpu ] && [ "$hosts" -gt 1 ] || return 0
    tries=0
    while [ "$tries" -lt 60 ]; do
        state=$(curl -s -m 10 -H "Authorization: Bearer $(account_token)" "$(place nodes)" |
            sed -n 's/.*"state" *: *"\([A-Z_]*\)".*/\1/p' | head -n 1)
        case "$state" in
        CREATING | STARTING | RESTARTING | REPAIRING) say "the slice is $state" ;;
        '') [ "$tries" -lt 3 ] || break ;;
        *) break ;;
        esac
        tries=$((tries + 1))
        pause 5
    done
    say "the slice is ${state:-what nobody tells}"
}

# Starts the worker, unless it runs as it should.
launch() {
    mark=$(printf '%s\n' "$slice" "$host" "$image" "$controller" "$offers" "$token" "$address" "$authority" \
        "$log_format" | cksum | cut -d ' ' -f 1)
    found=$(docker inspect -f '{{.State.Status}} {{index .Config.Labels "iris.launch"}}' "$name" 2>/dev/null)
    [ "$found" = "running $mark" ] && return
    docker rm -f "$name" >/dev/null 2>&1
    mkdir -p "$home/worker" || return 1
    rm -f "$home/farewell"
    printf '%s' "$token" >"$home/token" || return 1
    set -- --controller "$controller" --root "$home/worker" --slice "$slice" --host "$host" \
        --group "$group" --zone "$zone" --offers "$offers" --address "$address" \
        --token-file "$home/token" --runtime docker --image "$image" --farewell "$home/farewell"
    if [ -n "$authority" ]; then
        printf '%s\n' "$authority" >"$home/authority.pem" || return 1
        set -- "$@" --authority "$home/authority.pem"
    fi
    docker run -d --name "$name" --label "iris.launch=$mark" --restart on-failure --network host \
        -v /var/run/docker.sock:/var/run/docker.sock -v "$home:$home" -v /dev:/dev \
        -e "GCE_METADATA_HOST=${GCE_METADATA_HOST:-metadata.google.internal}" \
        -e "IRIS_LOG_FORMAT=$log_format" "$image" "$@"
}

# Sees to the worker for ever. One that gives up leaves a word of farewell.
attend() {
    while :; do
        docker wait "$name" >/dev/null 2>&1
        [ ! -s "$home/farewell" ] || end "the worker gave up: $(cat "$home/farewell")"
        pause 2
        if docker info >/dev/null 2>&1 && ! docker inspect "$name" >/dev/null 2>&1; then
            begun=$(now)
            insist "the worker does not start" launch
        fi
    done
}

who_am_i
tell booting "host $host of $hosts"
insist "the machine is not fit" settle
insist "no container engine" engine
insist "the image $image cannot be had" pull
wait_for_the_others
insist "the worker does not start" launch
tell started "worker of $controller"
attend
