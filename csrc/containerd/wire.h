/* Protobuf: fields are written one by one, and read into a struct by a table. */
#ifndef CONTAINERD_WIRE_H
#define CONTAINERD_WIRE_H

#include "base.h"

/* -- writing; what has its default value is left out, as proto3 does ----------------------------- */

void put_uint(struct buf *b, unsigned field, uint64_t value);
void put_text(struct buf *b, unsigned field, const char *text);
void put_bytes(struct buf *b, unsigned field, const void *data, size_t size); /* even if empty */
void put_double(struct buf *b, unsigned field, double value);
void put_time(struct buf *b, unsigned field, struct timespec time); /* Timestamp */
size_t put_begin(struct buf *b, unsigned field); /* a message within; returns the mark for: */
void put_end(struct buf *b, size_t mark);

/* -- reading ------------------------------------------------------------------------------------- */

struct any { /* google.protobuf.Any */
    char *type;
    struct span value;
};

struct spans { /* a repeated message */
    struct span *items;
    size_t count;
};

enum kind {
    PB_TEXT,  /* char *, NUL-terminated, "" when absent */
    PB_BYTES, /* struct span */
    PB_UINT,  /* uint64_t; bool, too */
    PB_ANY,   /* struct any */
    PB_LIST,  /* struct spans; free(items) */
};

struct field {
    unsigned number;
    enum kind kind;
    size_t offset;
};

/* Texts and bytes point into `in`, which is changed: a text moves over the byte that was its
 * length, which makes room for the NUL. Fields that the table does not have are skipped. False if
 * it is malformed. What the struct had before stays where the message says nothing; a text that is
 * NULL becomes "". */
bool pb_read(const struct field *table, size_t count, struct span in, void *out);

/* The next field, as it is: 1, 0 at the end, -1 if it is malformed. */
struct pb {
    unsigned number;
    unsigned wire; /* 0: value; 2: bytes; 1 and 5: fixed, in bytes */
    uint64_t value;
    struct span bytes;
};
int pb_next(struct span *in, struct pb *found);

#endif
