#define _GNU_SOURCE
#include "bootstrap.h"
#include "cgroup.h"
#include "json.h"
#include "loop.h"
#include "options.h"
#include "runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKETS "/run/containerd/s"
#define INPUT_MAX (10 << 20)
#define API_VERSION 3

/* Containers whose config has the same value here have one shim; the first that is there counts. */
static const char *const GROUPS[] = {"io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"};

struct wish { /* what containerd says on stdin: options (to 2.2), or bootstrap parameters */
    bool is_bootstrap;
    char *id, *name_space, *ttrpc_address, *grpc_address, *socket_dir;
    struct spans extensions;
    struct any options;
};

static struct wish read_wish(const struct arguments *arguments)
{
    static const struct field PARAMETERS[] = {
        {1, PB_TEXT, offsetof(struct wish, id)},
        {2, PB_TEXT, offsetof(struct wish, name_space)},
        {5, PB_TEXT, offsetof(struct wish, ttrpc_address)},
        {6, PB_TEXT, offsetof(struct wish, grpc_address)},
        {8, PB_LIST, offsetof(struct wish, extensions)},
        {9, PB_TEXT, offsetof(struct wish, socket_dir)},
    };
    static const struct field ANY[] = {
        {1, PB_TEXT, offsetof(struct any, type)},
        {2, PB_BYTES, offsetof(struct any, value)},
    };
    static const struct field EXTENSION[] = {{1, PB_ANY, offsetof(struct wish, options)}};
    struct span input = read_fd(0, INPUT_MAX), copy;
    struct wish wish = {0};

    if (!input.data)
        fail("read stdin: %s", strerror(errno));
    copy = (struct span){xalloc(input.size), input.size};
    memcpy(copy.data, input.data, input.size);
    if (pb_read(PARAMETERS, COUNT(PARAMETERS), copy, &wish) && !strcmp(wish.id, arguments->id) &&
        !strcmp(wish.name_space, arguments->name_space)) {
        wish.is_bootstrap = true;
        for (size_t i = 0; i < wish.extensions.count; i++) {
            struct wish one = {0};
            if (pb_read(EXTENSION, COUNT(EXTENSION), wish.extensions.items[i], &one) &&
                one.options.type && strstr(one.options.type, "ptions"))
                wish.options = one.options;
        }
        return wish;
    }
    free(wish.extensions.items);
    wish = (struct wish){.ttrpc_address = "", .grpc_address = "", .socket_dir = ""};
    if (!pb_read(ANY, COUNT(ANY), input, &wish.options))
        fail("malformed options on stdin");
    return wish;
}

static char *group_of(const char *id)
{
    struct span config = read_file("config.json"), annotations;
    char *group = NULL;

    if (!config.data)
        fail("open config.json: %s", strerror(errno));
    annotations = json_member(config, "annotations");
    for (size_t i = 0; i < COUNT(GROUPS) && !group; i++)
        group = json_text(json_member(annotations, GROUPS[i]));
    free(config.data);
    return group ? group : xdup(id);
}

/* -- the socket ---------------------------------------------------------------------------------- */

static struct sockaddr_un name_of(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(name.sun_path))
        fail("%s: too long for a socket", path);
    strcpy(name.sun_path, path);
    return name;
}

static bool somebody_listens(const char *path)
{
    struct sockaddr_un name = name_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0;
    close(fd);
    return connected;
}

static void make_directory(const char *path)
{
    char *parent = xdup(path), *slash = strrchr(parent, '/');

    if (mkdir(path, 0711) < 0 && errno == ENOENT && slash) {
        *slash = 0;
        mkdir(parent, 0711);
        mkdir(path, 0711);
    }
    free(parent);
}

/* A socket that listens, or -1: there is a shim already. Of two that are started for one pod at the same
 * time, the second waits until the first listens. */
static int make_socket(const char *directory, const char *path)
{
    struct sockaddr_un name = name_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), lock, result;
    bool in_use;
    mode_t mask;

    make_directory(directory);
    lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0 || flock(lock, LOCK_EX) < 0)
        fail("lock %s: %s", directory, strerror(errno));
    mask = umask(0177);
    result = bind(fd, (struct sockaddr *)&name, sizeof(name));
    in_use = result < 0 && errno == EADDRINUSE;
    if (in_use && somebody_listens(path)) {
        close(fd);
        fd = -1;
    } else {
        if (in_use) { /* of a shim that was killed */
            unlink(path);
            result = bind(fd, (struct sockaddr *)&name, sizeof(name));
        }
        if (result < 0 || listen(fd, 128) < 0)
            fail("listen on %s: %s", path, strerror(errno));
    }
    umask(mask);
    close(lock);
    return fd;
}

void socket_forget(const char *bundle)
{
    char *file = xformat("%s/address", bundle);
    struct span address = read_file(file);
    const char *scheme = "unix://";

    if (address.data && !strncmp(address.data, scheme, strlen(scheme)) &&
        address.size < sizeof(((struct sockaddr_un *)0)->sun_path) &&
        !somebody_listens(address.data + strlen(scheme)))
        unlink(address.data + strlen(scheme));
    free(address.data);
    free(file);
}

/* -- start --------------------------------------------------------------------------------------- */

/* The kernel, out of memory, takes the shim before containerd, and its containers before it. */
static void adjust_oom_score(pid_t pid)
{
    char *ours = xformat("/proc/%d/oom_score_adj", getppid());
    char *its = xformat("/proc/%d/oom_score_adj", pid);
    struct span text = read_file(ours);
    int score = text.data ? atoi(text.data) + 1 : 0, fd;
    char number[16];

    if (text.data && score <= 1000) {
        snprintf(number, sizeof(number), "%d", score);
        fd = open(its, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, number, strlen(number)) < 0)
            fail("write %s: %s", its, strerror(errno));
        close(fd);
    }
    free(text.data);
    free(ours);
    free(its);
}

static void join_cgroup(struct any any)
{
    struct options options;
    char *error = options_read(any, &options);

    if (error)
        fail("%s", error);
    if (*options.shim_cgroup && cgroup_join(options.shim_cgroup) < 0)
        fail("join cgroup %s: %s", options.shim_cgroup, strerror(errno));
    options_free(&options);
}

static pid_t leave_behind(const struct arguments *arguments, int listener)
{
    char *argv[] = {"/proc/self/exe",
                    "-namespace",
                    (char *)arguments->name_space,
                    "-id",
                    (char *)arguments->id,
                    "-address",
                    (char *)arguments->address,
                    arguments->debug ? "-debug" : NULL,
                    NULL};
    char self[4096];
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    struct program program = {
        .argv = argv, .fds = {-1, -1, -1, listener}, .fd_count = 4, .own_group = true};
    pid_t pid;

    if (size > 0) { /* what ps shows */
        self[size] = 0;
        argv[0] = self;
    }
    pid = spawn(&program);
    if (pid < 0)
        fail("start %s: %s", argv[0], strerror(errno));
    adjust_oom_score(pid);
    return pid;
}

static bool print_address(const struct wish *wish, const char *address)
{
    const char *newest = getenv("MAX_SHIM_VERSION");
    int version = newest ? atoi(newest) : 0;
    struct buf out = {0};

    if (wish->is_bootstrap) {
        put_uint(&out, 1, API_VERSION);
        put_text(&out, 2, address);
        put_text(&out, 3, "ttrpc");
        return write(1, out.data, out.size) == (ssize_t)out.size;
    }
    if (version >= 2)
        printf("{\"version\":%d,\"address\":\"%s\",\"protocol\":\"ttrpc\"}\n",
               version < API_VERSION ? version : API_VERSION, address);
    else
        printf("%s\n", address);
    return fflush(stdout) == 0;
}

/* What a `start` that fails has made: no caller learns of it. */
static struct {
    const char *socket;
    pid_t shim;
} made;

static void take_back(void)
{
    if (!made.socket)
        return;
    unlink(made.socket);
    if (made.shim > 0)
        kill(made.shim, SIGKILL);
}

void start_shim(const struct arguments *arguments)
{
    struct wish wish = read_wish(arguments);
    const char *containerd = arguments->address ? arguments->address : wish.grpc_address;
    const char *directory = *wish.socket_dir ? wish.socket_dir : SOCKETS;
    char *group = group_of(arguments->id), hex[65], *key, *path, *address;
    struct arguments daemon = *arguments;
    int listener;

    key = xformat("%s/%s/%s", containerd, arguments->name_space, group);
    sha256_hex(key, strlen(key), hex);
    path = xformat("%s/%s", directory, hex);
    address = xformat("unix://%s", path);
    listener = make_socket(directory, path);
    if (listener >= 0) {
        made.socket = path;
        atexit(take_back);
    }
    if (write_file("address", address, strlen(address)) < 0)
        fail("write address: %s", strerror(errno));
    if (listener >= 0) {
        if (wish.is_bootstrap && *wish.ttrpc_address)
            setenv("TTRPC_ADDRESS", wish.ttrpc_address, 1);
        if (getenv("SCHED_CORE") && prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, 2, 0) < 0)
            fail("core scheduling: %s", strerror(errno));
        join_cgroup(wish.options);
        daemon.address = containerd;
        made.shim = leave_behind(&daemon, listener);
    }
    if (!print_address(&wish, address))
        fail("write the answer: %s", strerror(errno));
    made.socket = NULL;
}

/* -- -info --------------------------------------------------------------------------------------- */

static char *features_of(const struct options *options)
{
    char *binary = runtime_binary(options);
    char *argv[] = {binary, "features", NULL};
    struct program program = {.argv = argv, .fds = {-1, -1, -1}, .fd_count = 3};
    struct span text = {0};
    int ends[2], status = -1;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        fail("pipe: %s", strerror(errno));
    program.fds[1] = ends[1];
    pid = spawn(&program);
    close(ends[1]);
    if (pid >= 0) {
        text = read_fd(ends[0], INPUT_MAX);
        status = wait_for(pid);
    }
    close(ends[0]);
    free(binary);
    if (status) {
        free(text.data);
        return NULL;
    }
    return text.data;
}

void print_info(void)
{
    static const struct field ANY[] = {
        {1, PB_TEXT, offsetof(struct any, type)},
        {2, PB_BYTES, offsetof(struct any, value)},
    };
    struct span input = read_fd(0, INPUT_MAX), raw;
    struct options options;
    struct buf out = {0};
    struct any any = {0};
    char *error, *features;
    size_t mark;

    if (!input.data)
        fail("read stdin: %s", strerror(errno));
    raw = (struct span){xalloc(input.size), input.size};
    memcpy(raw.data, input.data, input.size);
    if (!pb_read(ANY, COUNT(ANY), input, &any))
        fail("malformed options on stdin");
    error = options_read(any, &options);
    if (error)
        fail("%s", error);
    put_text(&out, 1, "io.containerd.pycontainer.v2");
    mark = put_begin(&out, 2);
    put_text(&out, 1, VERSION);
    put_end(&out, mark);
    if (raw.size)
        put_bytes(&out, 3, raw.data, raw.size);
    features = features_of(&options);
    if (features) {
        mark = put_begin(&out, 4);
        put_text(&out, 1, "types.containerd.io/opencontainers/runtime-spec/1/features/Features");
        put_text(&out, 2, features);
        put_end(&out, mark);
    }
    if (write(1, out.data, out.size) != (ssize_t)out.size)
        fail("write the answer: %s", strerror(errno));
}
