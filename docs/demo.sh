#!/bin/sh
# A first container in a few seconds, nothing downloaded: what `make demo` runs. Needs root and the
# command `pycontainer` in PATH; leaves nothing behind.
set -eu

[ "$(id -u)" = 0 ] || { echo "the demo makes a container: run it as root" >&2; exit 1; }

work=$(mktemp -d /tmp/pycontainer-demo.XXXXXX)
bundle=$work/bundle
id=demo-$$
cleanup() {
    pycontainer delete --force "$id" 2>/dev/null || :
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

exec 3>&1 # what is shown goes there also when a command's output goes to a file
title() { printf '\n\033[1m== %s\033[0m\n' "$*" >&3; }
show() { printf '\033[2m$ %s\033[0m\n' "$*" >&3; "$@"; }

# Give config.json's process the arguments that follow.
set_args() {
    python3 - "$bundle/config.json" "$@" <<'PYTHON'
import json
import sys

path, *args = sys.argv[1:]
with open(path) as file:
    config = json.load(file)
config["process"].update(args=args, terminal=False)
with open(path, "w") as file:
    json.dump(config, file, indent=4)
PYTHON
}

title "1. A bundle without an image: the host's /usr, read-only, around an empty root"
show pycontainer spec --host --bundle "$bundle"

title "2. The plan: every operation that this container takes, before any of it is done"
show pycontainer plan "$bundle" > "$work/plan"
head -n 18 "$work/plan"
echo "... ($(wc -l < "$work/plan") lines; 'pycontainer plan --json' prints it for programs)"

title "3. Inside: its own processes, name, mounts and limits"
# shellcheck disable=SC2016 # for the container's shell
set_args /bin/sh -c '
    echo "I am pid $$ of $(ls -d /proc/[0-9]* | wc -l) processes on host $(hostname)"
    echo "mounts:         $(wc -l < /proc/self/mountinfo), root is read-only: $(
        touch /new 2>/dev/null && echo no || echo yes)"
    grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status
    grep "Max open files" /proc/self/limits'
show pycontainer run --bundle "$bundle" "$id"
echo "outside, this is pid $$ on host $(hostname), with $(ls -d /proc/[0-9]* | wc -l) processes"

title "4. The life of a container: create, start, exec, kill, delete"
set_args /bin/sleep 60
show pycontainer create --bundle "$bundle" "$id"
show pycontainer state "$id"
show pycontainer start "$id"
show pycontainer exec "$id" /bin/echo "hello from inside"
show pycontainer list
show pycontainer kill "$id" KILL
show pycontainer delete --force "$id"

title "Done: nothing is left. Yours to try:"
cat <<'TEXT'
  build/pycontainer spec --host --bundle /tmp/b
  build/pycontainer run --bundle /tmp/b mine
TEXT
