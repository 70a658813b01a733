#!/bin/sh
# A first container in a few seconds, nothing downloaded: what `make demo` runs. Needs root and the
# command `pycontainer` in PATH; leaves nothing behind.
set -eu

[ "$(id -u)" = 0 ] || { echo "the demo makes a container: run it as root" >&2; exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/pycontainer-demo.XXXXXX")
bundle=$work/bundle
id=demo-$$
cleanup() {
    pycontainer delete --force "$id" 2>/dev/null || :
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

exec 3>&1 # what is shown goes there also when a command's output goes to a file
bold='' dim='' plain=''
[ ! -t 1 ] || { bold='\033[1m' dim='\033[2m' plain='\033[0m'; }
title() { printf "\n$bold== %s$plain\n" "$*" >&3; }
show() { printf "$dim\$ %s$plain\n" "$*" >&3; "$@"; }

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
cut -c 1-100 "$work/plan" | sed -n '1,8p'
echo "     ..."
cut -c 1-100 "$work/plan" | tail -n 14
echo "('pycontainer plan --json' says the same to programs)"

title "3. Inside: its own processes, name, mounts and limits"
# shellcheck disable=SC2016 # for the container's shell
set_args /bin/sh -c '
    set -- /proc/[0-9]*
    echo "I am pid $$ on host $(cat /proc/sys/kernel/hostname), and see $# process"
    echo "mounts: $(wc -l < /proc/self/mountinfo); writing to /: $(touch /new 2>&1)"
    cd /sys/fs/cgroup
    echo "memory limit: $(cat memory/memory.limit_in_bytes memory.max 2>/dev/null) bytes," \
        "processes: at most $(cat pids/pids.max pids.max 2>/dev/null)"
    grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status
    grep "Max open files" /proc/self/limits'
show pycontainer run --bundle "$bundle" "$id"
set -- /proc/[0-9]*
echo "(outside: pid $$ on host $(cat /proc/sys/kernel/hostname), which sees $# processes)"

title "4. The life of a container: create, start, exec, kill, delete"
set_args /bin/sleep 60
show pycontainer create --bundle "$bundle" "$id"
show pycontainer state "$id"
echo
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
