/* What the files of the front share: the command line, and the container it names. The attendant
 * (attendant.c) has front_container.c of them, too.
 *
 * The front is the command that people and engines call. What needs no decision it does itself,
 * from the flat record that pycontainer/state/fast_record.py writes; everything else, and every surprise, it
 * hands over to the interpreter beside it, unchanged: the same arguments, environment, descriptors.
 * It may do so at any time until it has changed something, and after that wherever Python finds
 * its own way from there.
 */
#ifndef FRONT_H
#define FRONT_H

#include "launcher.h"

struct call {
    char **argv;
    char **env;
    int count;      /* of argv */
    int command_at; /* the command's place in argv */
    const char *root;
    const char *log;
    const char *log_format;
    uint32_t user;
    const char *words[2]; /* after the command: id, signal */
    int word_count;
    int force;
};

#define ARGUMENTS_MAX 60
#define SWITCH "PYCONTAINER_ORDINARY_START" /* set: start Python in the usual way, always */

enum { KILL_ALONE = 1, MAY_START = 2, MAY_DELETE = 4, FREEZER_V1 = 8 };
enum { TEXT_ID, TEXT_HEAD, TEXT_TAIL, TEXT_FREEZER, TEXT_CGROUPS, TEXT_OOM, TEXTS };

/* pycontainer/state/fast_record.py packs the same. */
struct record {
    char magic[8];
    uint32_t size; /* of all, the texts after it included */
    uint32_t flags;
    uint64_t inode; /* of the state.json with the same content, its size and time */
    uint64_t facts_size;
    int64_t facts_time;
    uint64_t start_time;
    int32_t pid;
    uint32_t lengths[TEXTS];
};

enum status { STOPPED, CREATED, RUNNING, PAUSED };

struct container {
    int dir;
    const struct record *record;
    const char *texts[TEXTS];
};

extern struct call call;
extern struct container container;
extern char path[PATH_MAX]; /* of the container's directory */

/* What follows `start` in `s`; NULL when it does not begin so. */
static inline const char *after(const char *s, const char *start)
{
    for (; *start; s++, start++)
        if (*s != *start)
            return NULL;
    return s;
}

/* front_python.c */
const char *variable(const char *name);
_Noreturn void hand_over(void);
_Noreturn void hand_over_with(int connection);

/* front_container.c */
void container_open(int lock);
int container_alive(void);
int container_frozen(void);
int container_oom(void);
int container_connect(int type);
void container_delete(void);
enum status container_status(void);

#endif
