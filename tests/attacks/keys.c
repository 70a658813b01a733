/* Keyrings, without the keyutils. argv[1] says what to do:
 *
 *  plant NAME   make a session keyring of this name that everybody may search and write; say so, and
 *               print what is read from a key called "secret" in it once there is one
 *  add TEXT     put a key "secret" into the session keyring, and sleep
 *  find         print the key "secret" of the session keyring
 *  fill         have as many keys as one user may have; say so, and sleep
 *  with TEXT PROGRAM [ARGUMENT...]
 *               execute a program in a session keyring with a key "secret"
 */
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SESSION -3L
#define EVERYTHING 0x3f3f3f3fUL

static int find(int times)
{
    char text[256];
    for (; times; times--, usleep(20000)) {
        long key = syscall(SYS_keyctl, KEYCTL_SEARCH, SESSION, "user", "secret", 0L);
        long length = key < 0 ? -1 : syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof(text) - 1);
        if (length < 0)
            continue;
        printf("found %.*s\n", (int)length, text);
        return 0;
    }
    printf("nothing\n");
    return 1;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    setvbuf(stdout, NULL, _IONBF, 0);
    if (!strcmp(word, "plant")) {
        long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, argv[2]);
        if (ring < 0 || syscall(SYS_keyctl, KEYCTL_SETPERM, ring, EVERYTHING) < 0)
            return 2;
        printf("planted\n");
        return find(500);
    }
    if (!strcmp(word, "add")) {
        long key = syscall(SYS_add_key, "user", "secret", argv[2], strlen(argv[2]), SESSION);
        if (key < 0 || syscall(SYS_keyctl, KEYCTL_SETPERM, key, EVERYTHING) < 0)
            return 3;
        printf("added\n");
        sleep(1000);
    }
    if (!strcmp(word, "fill")) {
        char name[16];
        syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
        for (int i = 0; i < 100000; i++) {
            snprintf(name, sizeof(name), "%d", i);
            if (syscall(SYS_add_key, "user", name, "x", 1L, SESSION) < 0)
                break;
        }
        printf("filled\n");
        sleep(1000);
    }
    if (!strcmp(word, "with")) {
        syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
        syscall(SYS_add_key, "user", "secret", argv[2], strlen(argv[2]), SESSION);
        execvp(argv[3], argv + 3);
    }
    return strcmp(word, "find") ? 4 : find(1);
}
