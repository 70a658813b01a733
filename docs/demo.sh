#!/bin/sh
# A first container in a few seconds, nothing downloaded: what `make demo` runs. Needs the command
# `pycontainer` in PATH; an ordinary user may run it, too. Leaves nothing behind.
set -eu

work=$(mktemp -d "${TMPDIR:-/tmp}/pycontainer-demo.XXXXXX")
bundle=$work/bundle
id=demo-$$
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$work}" # of an ordinary user's containers
cleanup() {
    for name in "$id" "$id-1" "$id-2"; do pycontainer delete --force "$name" 2>/dev/null || :; done
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

title "5. An image, made here: this machine's shell in a tar archive; two containers of it"
mkdir -p "$work/root"
for program in sh cat ls sleep; do
    program=$(command -v "$program")
    # The program with its libraries, as one file system; each may be a link.
    for file in "$program" $(ldd "$program" 2>/dev/null | grep -o '/[^ )]*'); do
        mkdir -p "$work/root$(dirname "$file")"
        cp -L "$file" "$work/root$file"
    done
done
tar -C "$work/root" -cf "$work/image.tar" .
for number in 1 2; do
    show pycontainer run --layers "$work/layers" --image "$work/image.tar" --detach "$id-$number" \
        sh -c "echo data of container $number > /data; sleep 60"
done
sleep 0.3
for number in 1 2; do show pycontainer exec "$id-$number" cat /data; done
echo "(the image's $(du -sk "$work/layers/layers" 2>/dev/null | cut -f 1) KiB are there once, and" \
    "$(du -sk "$work/layers/containers" 2>/dev/null | cut -f 1) KiB of both containers' own)"
show pycontainer list --long
for number in 1 2; do show pycontainer delete --force "$id-$number"; done
show pycontainer gc --layers "$work/layers" --unused 0s --yes

title "Done: nothing is left. Yours to try:"
cat <<'TEXT'
  build/pycontainer spec --host --bundle /tmp/b
  build/pycontainer run --bundle /tmp/b mine
  build/pycontainer top
TEXT
