#include "mode.h"

#include <errno.h>
#include <string.h>

/* The bits of one permission letter for all of user, group and other. */
static int letter_bits(char letter, uint32_t mode, int is_directory, uint32_t *ret)
{
    switch (letter) {
    case 'r':
        *ret = 0444;
        return 0;
    case 'w':
        *ret = 0222;
        return 0;
    case 'x':
        *ret = 0111;
        return 0;
    case 'X':
        *ret = is_directory || mode & 0111 ? 0111 : 0;
        return 0;
    case 's':
        *ret = 06000;
        return 0;
    case 't':
        *ret = 01000;
        return 0;
    case 'u':
        *ret = (mode >> 6 & 7) * 0111;
        return 0;
    case 'g':
        *ret = (mode >> 3 & 7) * 0111;
        return 0;
    case 'o':
        *ret = (mode & 7) * 0111;
        return 0;
    default:
        return -EINVAL;
    }
}

int pb_mode_apply(const char *symbolic, uint32_t mode, int is_directory, uint32_t *ret)
{
    const char *at = symbolic;

    if (!*at)
        return -EINVAL;
    for (;;) {
        uint32_t who = 0;
        for (; *at && strchr("ugoa", *at); at++)
            who |= *at == 'u' ? 04700 : *at == 'g' ? 02070 : *at == 'o' ? 01007 : 07777;
        if (!who)
            who = 07777;
        if (!*at || !strchr("+-=", *at))
            return -EINVAL;
        while (*at && strchr("+-=", *at)) {
            char operation = *at++;
            uint32_t bits = 0;
            while (*at && *at != ',' && !strchr("+-=", *at)) {
                uint32_t more;
                if (letter_bits(*at++, mode, is_directory, &more))
                    return -EINVAL;
                bits |= more;
            }
            bits &= who;
            if (operation == '+')
                mode |= bits;
            else if (operation == '-')
                mode &= ~bits;
            else /* `=` leaves the set-id bits of a directory alone, as chmod does */
                mode = (mode & ~(who & (is_directory ? 01777u : 07777u))) | bits;
        }
        if (!*at)
            break;
        if (*at++ != ',' || !*at)
            return -EINVAL;
    }
    *ret = mode & 07777;
    return 0;
}
