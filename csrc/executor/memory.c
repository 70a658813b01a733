/* The four functions that a compiler expects even where there is no libc. */
#include "sys.h"

#ifndef WITH_LIBC

void *memcpy(void *to, const void *from, size_t n)
{
    char *t = to;
    for (const char *f = from; n--;)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    char *t = to;
    const char *f = from;
    if (t <= f)
        return memcpy(to, from, n);
    while (n--)
        t[n] = f[n];
    return to;
}

void *memset(void *to, int c, size_t n)
{
    for (char *t = to; n--;)
        *t++ = (char)c;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    for (; n--; x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

#endif
