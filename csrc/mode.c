/* Symbolic modes as BuildKit reads them, which are those of BSD's chmod without a umask. */
#include "mode.h"

#include <errno.h>
#include <string.h>

enum { SET_ID = 06000, STICKY = 01000, OTHERS = 07 };

/* One operation on what `who` names (0: on everything), with the bits of its letters for all three classes. */
static void change(uint32_t *mode, char operation, uint32_t who, uint32_t bits)
{
    bits &= who ? who : 07777;
    if (operation == '=') /* the sticky bit goes only where a letter t is */
        *mode &= ~(who ? who : SET_ID | 0777);
    if (operation == '-')
        *mode &= ~bits;
    else
        *mode |= bits;
}

/* Give the classes in `who` the permissions that one class has. */
static void copy_class(uint32_t *mode, char operation, uint32_t who, char from)
{
    uint32_t bits = *mode >> (from == 'u' ? 6 : from == 'g' ? 3 : 0) & 7;
    uint32_t classes = who ? (who & 0700 ? 0700 : 0) | (who & 070 ? 070 : 0) | (who & 07 ? 07 : 0) : 0777;

    bits = bits * 0111 & classes;
    if (operation == '=')
        *mode &= ~classes;
    if (operation == '-')
        *mode &= ~bits;
    else
        *mode |= bits;
}

/* An operation and its letters, up to the next operation or comma. */
static int apply_operation(const char **at, uint32_t *who, uint32_t original, int is_directory, uint32_t *mode)
{
    char operation = *(*at)++;
    uint32_t bits = 0, search = 0;
    int done = operation != '=';

    for (; **at && !strchr(",+-=", **at); ++*at) {
        char letter = **at;
        int counts = !*who || *who & ~(uint32_t)OTHERS; /* set-id and sticky bits are nothing of others */
        if (letter == 'X' && operation != '-') {
            search = 0111;
        } else if (letter == 's') {
            bits |= counts ? SET_ID : 0;
        } else if (letter == 't') {
            *who |= counts ? STICKY : 0;
            bits |= counts ? STICKY : 0;
        } else if (strchr("rwxX", letter)) {
            bits |= letter == 'r' ? 0444 : letter == 'w' ? 0222 : 0111;
        } else if (strchr("ugo", letter)) {
            if (bits)
                change(mode, operation, *who, bits);
            if (search && (is_directory || original & 0111))
                change(mode, '+', *who, search);
            bits = search = 0;
            done = 1;
            copy_class(mode, operation, *who, letter);
        } else {
            return -EINVAL;
        }
    }
    if (bits || !done)
        change(mode, operation, *who, bits);
    if (search && (is_directory || original & 0111))
        change(mode, '+', *who, search);
    return 0;
}

int pb_mode_apply(const char *symbolic, uint32_t mode, int is_directory, uint32_t *ret)
{
    const char *at = symbolic;
    uint32_t original = mode;

    for (;;) {
        uint32_t who = 0;
        for (; *at && strchr("ugoa", *at); at++)
            who |= *at == 'u' ? 04700 : *at == 'g' ? 02070 : *at == 'o' ? OTHERS : SET_ID | 0777;
        if (!*at || !strchr("+-=", *at))
            return -EINVAL;
        while (*at && *at != ',') {
            if (!strchr("+-=", *at) || apply_operation(&at, &who, original, is_directory, &mode))
                return -EINVAL;
        }
        if (!*at)
            break;
        at++;
    }
    *ret = mode & 07777;
    return 0;
}
