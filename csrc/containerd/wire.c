#include "wire.h"

#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

static size_t varint(char out[10], uint64_t value)
{
    size_t size = 0;
    for (; value > 0x7f; value >>= 7)
        out[size++] = (char)((value & 0x7f) | 0x80);
    out[size++] = (char)value;
    return size;
}

static void put_varint(struct buf *b, uint64_t value)
{
    char bytes[10];
    buf_add(b, bytes, varint(bytes, value));
}

void put_uint(struct buf *b, unsigned field, uint64_t value)
{
    if (!value)
        return;
    put_varint(b, field << 3 | VARINT);
    put_varint(b, value);
}

void put_bytes(struct buf *b, unsigned field, const void *data, size_t size)
{
    put_varint(b, field << 3 | LENGTH);
    put_varint(b, size);
    buf_add(b, data, size);
}

void put_text(struct buf *b, unsigned field, const char *text)
{
    if (text && *text)
        put_bytes(b, field, text, strlen(text));
}

void put_double(struct buf *b, unsigned field, double value)
{
    if (value == 0)
        return;
    put_varint(b, field << 3 | FIXED64);
    buf_add(b, &value, sizeof(value)); /* both of our processors are little-endian */
}

size_t put_begin(struct buf *b, unsigned field)
{
    put_varint(b, field << 3 | LENGTH);
    return b->size;
}

void put_end(struct buf *b, size_t mark)
{
    char length[10];
    size_t inside = b->size - mark, size = varint(length, inside);

    buf_add(b, length, size);
    memmove(b->data + mark + size, b->data + mark, inside);
    memcpy(b->data + mark, length, size);
}

/* A time that has not come yet is what Go calls zero: the first day of the year 1. */
void put_time(struct buf *b, unsigned field, struct timespec time)
{
    size_t mark = put_begin(b, field);
    put_uint(b, 1, (uint64_t)(time.tv_sec ? time.tv_sec : -62135596800));
    put_uint(b, 2, (uint64_t)time.tv_nsec);
    put_end(b, mark);
}

/* -- reading ------------------------------------------------------------------------------------- */

static bool take_varint(struct span *in, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 70 && in->size; shift += 7) {
        unsigned char byte = (unsigned char)*in->data;
        in->data++;
        in->size--;
        if (shift < 64)
            *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return shift < 63 || byte < 2;
    }
    return false;
}

int pb_next(struct span *in, struct pb *found)
{
    uint64_t key, size;

    if (!in->size)
        return 0;
    if (!take_varint(in, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff)
        return -1;
    *found = (struct pb){.number = (unsigned)(key >> 3), .wire = key & 7};
    switch (found->wire) {
    case VARINT:
        return take_varint(in, &found->value) ? 1 : -1;
    case FIXED64:
        size = 8;
        break;
    case FIXED32:
        size = 4;
        break;
    case LENGTH:
        if (!take_varint(in, &size))
            return -1;
        break;
    default: /* groups, which no message of ours has */
        return -1;
    }
    if (size > in->size)
        return -1;
    found->bytes = (struct span){in->data, size};
    in->data += size;
    in->size -= size;
    return 1;
}

static char *terminated(struct span text)
{
    if (memchr(text.data, 0, text.size))
        return NULL;
    memmove(text.data - 1, text.data, text.size);
    text.data[text.size - 1] = 0;
    return text.data - 1;
}

static bool take(const struct field *field, const struct pb *found, char *out)
{
    static const struct field ANY[] = {
        {1, PB_TEXT, offsetof(struct any, type)},
        {2, PB_BYTES, offsetof(struct any, value)},
    };
    void *place = out + field->offset;

    if (found->wire != (field->kind == PB_UINT ? VARINT : LENGTH))
        return false;
    switch (field->kind) {
    case PB_UINT:
        *(uint64_t *)place = found->value;
        return true;
    case PB_TEXT:
        if (!found->bytes.size)
            *(const char **)place = "";
        else
            *(char **)place = terminated(found->bytes);
        return *(char **)place != NULL;
    case PB_BYTES:
        *(struct span *)place = found->bytes;
        return true;
    case PB_ANY:
        return pb_read(ANY, COUNT(ANY), found->bytes, place);
    case PB_LIST: {
        struct spans *list = place;
        if ((list->count & (list->count - 1)) == 0)
            list->items =
                xgrow(list->items, (list->count ? list->count * 2 : 1) * sizeof(*list->items));
        list->items[list->count++] = found->bytes;
        return true;
    }
    }
    return false;
}

bool pb_read(const struct field *table, size_t count, struct span in, void *out)
{
    struct pb found;
    int more;

    for (size_t i = 0; i < count; i++)
        if (table[i].kind == PB_TEXT && !*(char **)((char *)out + table[i].offset))
            *(const char **)((char *)out + table[i].offset) = "";
    while ((more = pb_next(&in, &found)) > 0)
        for (size_t i = 0; i < count; i++)
            if (table[i].number == found.number && !take(&table[i], &found, out))
                return false;
    return more == 0;
}
