#define _GNU_SOURCE
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "pycontainer-options.pb"

static const struct field FIELDS[] = {
    {1, PB_UINT, offsetof(struct options, no_pivot)},
    {2, PB_UINT, offsetof(struct options, no_keyring)},
    {3, PB_TEXT, offsetof(struct options, shim_cgroup)},
    {4, PB_UINT, offsetof(struct options, io_uid)},
    {5, PB_UINT, offsetof(struct options, io_gid)},
    {6, PB_TEXT, offsetof(struct options, binary)},
    {7, PB_TEXT, offsetof(struct options, root)},
    {9, PB_UINT, offsetof(struct options, systemd_cgroup)},
    {11, PB_TEXT, offsetof(struct options, criu_work)},
};

/* Their names in TOML, in the same order. */
static const char *const NAMES[] = {
    "NoPivotRoot", "NoNewKeyring", "ShimCgroup",    "IoUid",        "IoGid",
    "BinaryName",  "Root",         "SystemdCgroup", "CriuWorkPath",
};

static char *own(struct options *options)
{
    for (size_t i = 0; i < COUNT(FIELDS); i++)
        if (FIELDS[i].kind == PB_TEXT) {
            char **text = (char **)((char *)options + FIELDS[i].offset);
            *text = xdup(*text ? *text : "");
        }
    return NULL;
}

void options_free(struct options *options)
{
    for (size_t i = 0; i < COUNT(FIELDS); i++)
        if (FIELDS[i].kind == PB_TEXT)
            free(*(char **)((char *)options + FIELDS[i].offset));
    *options = (struct options){0};
}

/* -- TOML: lines of KEY = VALUE, where a value is a text, a number, true or false ------------------ */

static char *trim(char *text)
{
    char *end;
    text += strspn(text, " \t\r");
    end = text + strlen(text);
    while (end > text && strchr(" \t\r", end[-1]))
        *--end = 0;
    return text;
}

/* Of a quoted text, what is in it; NULL if that is more than one on the line. */
static char *unquote(char *value)
{
    size_t size = strlen(value);
    if (size < 2 || (*value != '"' && *value != '\'') || value[size - 1] != *value)
        return NULL;
    value[size - 1] = 0;
    if (strchr(value + 1, *value) || (*value == '"' && strchr(value, '\\')))
        return NULL;
    return value + 1;
}

static bool set(struct options *options, const struct field *field, char *value)
{
    char *place = (char *)options + field->offset, *end, *text;

    if (field->kind == PB_TEXT) {
        text = unquote(value);
        if (text)
            *(char **)place = text;
        return text != NULL;
    }
    if (!strcmp(value, "true") || !strcmp(value, "false")) {
        *(uint64_t *)place = *value == 't';
        return true;
    }
    *(uint64_t *)place = strtoull(value, &end, 10);
    return *value && !*end;
}

static char *read_toml(char *text, struct options *options)
{
    char *line;
    unsigned number = 0;

    while ((line = strsep(&text, "\n"))) {
        char *equals = strchr(line, '='), *key;
        size_t i = 0;
        number++;
        line = trim(line);
        if (!*line || *line == '#')
            continue;
        if (!equals || *line == '[')
            return xformat("runtime options: line %u: not KEY = VALUE: %.80s", number, line);
        *equals = 0;
        key = trim(line);
        while (i < COUNT(NAMES) && strcmp(NAMES[i], key))
            i++;
        if (i == COUNT(NAMES))
            return xformat("runtime options: line %u: unknown option %.80s", number, key);
        if (!set(options, &FIELDS[i], trim(equals + 1)))
            return xformat("runtime options: line %u: %s has a value of another kind", number, key);
    }
    return NULL;
}

/* ------------------------------------------------------------------------------------------------ */

static char *read_generic(struct span value, struct options *options)
{
    struct generic {
        char *type, *path;
        struct span body;
    } generic = {0};
    static const struct field GENERIC[] = {
        {1, PB_TEXT, offsetof(struct generic, type)},
        {2, PB_TEXT, offsetof(struct generic, path)},
        {3, PB_BYTES, offsetof(struct generic, body)},
    };
    struct span text;
    char *error, *copy;

    if (!pb_read(GENERIC, COUNT(GENERIC), value, &generic))
        return xdup("runtime options: malformed runtimeoptions.v1.Options");
    if (*generic.path) {
        text = read_file(generic.path);
        if (!text.data)
            return xformat("runtime options: open %s: %s", generic.path, strerror(errno));
        copy = text.data;
    } else {
        copy = xalloc(generic.body.size + 1);
        if (generic.body.size)
            memcpy(copy, generic.body.data, generic.body.size);
    }
    error = read_toml(copy, options);
    own(options);
    free(copy);
    return error;
}

char *options_read(struct any any, struct options *options)
{
    *options = (struct options){0};
    if (!any.type || !*any.type)
        return own(options);
    /* A type may come with the name of its registry in front. */
    const char *type = strrchr(any.type, '/') ? strrchr(any.type, '/') + 1 : any.type;
    if (!strcmp(type, "runtimeoptions.v1.Options"))
        return read_generic(any.value, options);
    if (strcmp(type, "containerd.runc.v1.Options")) {
        own(options);
        return xformat("runtime options of an unknown type: %s", type);
    }
    if (!pb_read(FIELDS, COUNT(FIELDS), any.value, options)) {
        *options = (struct options){0};
        own(options);
        return xdup("runtime options: malformed containerd.runc.v1.Options");
    }
    return own(options);
}

/* As they were understood: a file that they came from may be gone when they are needed again. */
int options_save(const char *bundle, const struct options *options)
{
    struct buf content = {0};
    char *path = xformat("%s/" FILE_NAME, bundle);
    int result;

    for (size_t i = 0; i < COUNT(FIELDS); i++) {
        const char *place = (const char *)options + FIELDS[i].offset;
        if (FIELDS[i].kind == PB_TEXT)
            put_text(&content, FIELDS[i].number, *(char *const *)place);
        else
            put_uint(&content, FIELDS[i].number, *(const uint64_t *)place);
    }
    result = write_file(path, content.data, content.size);
    buf_free(&content);
    free(path);
    return result;
}

bool options_load(const char *bundle, struct options *options)
{
    char *path = xformat("%s/" FILE_NAME, bundle);
    struct span content = read_file(path);
    bool there = content.data != NULL;

    free(path);
    *options = (struct options){0};
    if (there && !pb_read(FIELDS, COUNT(FIELDS), content, options))
        *options = (struct options){0};
    own(options);
    free(content.data);
    return there;
}

void options_forget(const char *bundle)
{
    char *path = xformat("%s/" FILE_NAME, bundle);
    unlink(path);
    free(path);
}
