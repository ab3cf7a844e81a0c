# ---- the machine of a cluster's controller: it is made and ended by `iris cluster`, and by nobody else --------

name="${IRIS_CONTAINER:-iris-controller}"
bad_input=2
address="" config="" port="" generation="" mark="" found="" life=""

end() {
    tell failed "$1"
    exit 1
}

who_am_i() {
    learn called instance/name required
    learn address instance/network-interfaces/0/ip required
    learn image instance/attributes/iris-image required
    learn port instance/attributes/iris-port required
    learn config instance/attributes/iris-config required
    learn log_format instance/attributes/iris-log-format optional
    learn generation instance/attributes/iris-generation required
    stamp="$generation "
}

# Starts the controller, unless it runs as it should. Its folder is on the disk, and outlives the container.
launch() {
    mark="$generation"
    found=$(docker inspect -f '{{.State.Status}} {{index .Config.Labels "iris.launch"}}' "$name" 2>/dev/null)
    [ "$found" = "running $mark" ] && return
    docker stop -t 30 "$name" >/dev/null 2>&1
    docker rm -f "$name" >/dev/null 2>&1
    mkdir -p "$home/controller" || return 1
    printf '%s\n' "$config" >"$home/controller/cluster.yaml" || return 1
    chown -R 10000:10000 "$home/controller" 2>/dev/null || say "the controller's folder keeps its owner"
    docker run -d --name "$name" --label "iris.launch=$mark" --restart on-failure --network host \
        -v "$home/controller:$home/controller" \
        -e "GCE_METADATA_HOST=${GCE_METADATA_HOST:-metadata.google.internal}" -e "IRIS_LOG_FORMAT=$log_format" "$image" \
        serve --config "$home/controller/cluster.yaml" --root "$home/controller" \
        --advertise "http://$address:$port"
}

# Waits until the controller serves, and says why when it does not.
serves() {
    tries=0
    while [ "$tries" -lt 30 ]; do
        docker logs "$name" 2>&1 | grep -q "serving at" && return
        [ "$(docker inspect -f '{{.State.ExitCode}}' "$name" 2>/dev/null)" = 0 ] || break # It has failed.
        tries=$((tries + 1))
        pause 1
    done
    docker logs "$name" 2>&1 | tail -n 1
    [ "$(docker inspect -f '{{.State.ExitCode}}' "$name" 2>/dev/null)" != "$bad_input" ] || return "$hopeless"
    return 1
}

# Which life of the engine this is.
engine_life() { cat "${IRIS_ENGINE:-/var/run/docker.pid}" 2>/dev/null; }

# Starts it, and says so when it serves.
bring_up() {
    life=$(engine_life)
    insist "the controller does not start" launch
    insist "the controller does not serve" serves
    tell serving "at http://$address:$port"
}

# Says for ever after when it serves no more. What crashes the engine starts again by itself; what it has lost, killed
# or ended with itself is started again here, a few times. Who ended it in order, meant it.
attend() {
    again=5
    while :; do
        docker wait "$name" >/dev/null 2>&1
        pause 5
        docker info >/dev/null 2>&1 || continue
        case "$(docker inspect -f '{{.State.Status}}' "$name" 2>/dev/null)" in
        running | restarting) continue ;;
        esac
        why="the controller has ended: $(docker logs "$name" 2>&1 | tail -n 1)"
        if [ "$(docker inspect -f '{{.State.ExitCode}}' "$name" 2>/dev/null)" = 0 ]; then
            [ "$(engine_life)" != "$life" ] || end "$why"
        fi
        [ "$again" -gt 0 ] || end "$why"
        again=$((again - 1))
        tell trouble "$why; it is started again"
        begun=$(now)
        bring_up
    done
}

who_am_i
tell booting "to have a controller on port $port"
insist "the machine is not fit" settle --dport "$port"
insist "no container engine" engine
insist "the image $image cannot be had" pull
bring_up
attend
