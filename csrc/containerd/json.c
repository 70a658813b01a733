#include "json.h"

#include <stdlib.h>
#include <string.h>

static void skip_space(struct span *in)
{
    while (in->size && strchr(" \t\r\n", *in->data) && *in->data) {
        in->data++;
        in->size--;
    }
}

static bool take_char(struct span *in, char wanted)
{
    skip_space(in);
    if (!in->size || *in->data != wanted)
        return false;
    in->data++;
    in->size--;
    return true;
}

/* One value of any kind, without looking inside: brackets are counted, strings skipped. */
static struct span take_value(struct span *in)
{
    struct span value;
    size_t at = 0, depth = 0;
    bool inside = false;

    skip_space(in);
    value.data = in->data;
    for (; at < in->size; at++) {
        char c = in->data[at];
        if (inside) {
            if (c == '\\')
                at++;
            else if (c == '"')
                inside = false;
        } else if (c == '"') {
            inside = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (!depth)
                break;
            depth--;
        } else if (!depth && (c == ',' || c == ':')) {
            break;
        }
    }
    at = at < in->size ? at : in->size;
    value.size = at;
    in->data += at;
    in->size -= at;
    while (value.size && strchr(" \t\r\n", value.data[value.size - 1]))
        value.size--;
    return value;
}

struct span json_member(struct span object, const char *name)
{
    struct span found = {0};

    if (!take_char(&object, '{'))
        return found;
    do {
        struct span key = take_value(&object), value;
        if (!take_char(&object, ':'))
            return found;
        value = take_value(&object);
        if (json_is(key, name))
            found = value;
    } while (take_char(&object, ','));
    return found;
}

bool json_element(struct span *array, struct span *element)
{
    if (!take_char(array, '[') && !take_char(array, ','))
        return false;
    *element = take_value(array);
    return element->size > 0;
}

bool json_is(struct span value, const char *text)
{
    size_t size = strlen(text);
    if (value.size == size + 2 && value.data[0] == '"')
        return memcmp(value.data + 1, text, size) == 0;
    return value.size == size && memcmp(value.data, text, size) == 0;
}

static size_t put_utf8(char *out, unsigned long code)
{
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char FIRST[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size; i-- > 1; code >>= 6)
        out[i] = (char)((code & 0x3f) | 0x80);
    out[0] = (char)(code | FIRST[size]);
    return size;
}

static bool take_hex(struct span *in, unsigned long *code)
{
    char digits[5] = {0};
    if (in->size < 4)
        return false;
    memcpy(digits, in->data, 4);
    *code = strtoul(digits, NULL, 16);
    in->data += 4;
    in->size -= 4;
    return strspn(digits, "0123456789abcdefABCDEF") == 4;
}

char *json_text(struct span value)
{
    static const char PLAIN[] = "\"\\/bfnrt", MEANT[] = "\"\\/\b\f\n\r\t";
    char *text, *out;

    if (value.size < 2 || *value.data != '"' || value.data[value.size - 1] != '"')
        return NULL;
    value.data++;
    value.size -= 2;
    text = out = xalloc(value.size + 5);
    while (value.size) {
        char c = *value.data++;
        const char *known;
        unsigned long code, low;
        value.size--;
        if (c != '\\' || !value.size) {
            *out++ = c;
            continue;
        }
        c = *value.data++;
        value.size--;
        if (c == 'u' && take_hex(&value, &code)) {
            if (code >> 10 == 0x36 && value.size >= 6 && value.data[0] == '\\' &&
                value.data[1] == 'u') { /* the first half of a surrogate pair */
                value.data += 2;
                value.size -= 2;
                if (take_hex(&value, &low))
                    code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
            }
            if (!code || code >> 11 == 0x1b) /* half a pair is a byte that was no UTF-8 */
                code = 0xfffd;
            out += put_utf8(out, code);
        } else if ((known = strchr(PLAIN, c)) && c) {
            *out++ = MEANT[known - PLAIN];
        }
    }
    *out = 0;
    return text;
}
