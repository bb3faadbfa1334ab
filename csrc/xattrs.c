/* Extended attributes: which of them belong to an image, and their fingerprint. */
#include "error.h"
#include "tree.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

/* Marks of the overlay, labels and lists of this machine are no part of an image. */
int pb_xattr_matters(const char *name)
{
    static const char *const without[] = {"trusted.", "system.", "user.overlay.", "security.selinux",
                                          "security.ima", "security.evm", "security.apparmor"};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        if (!strncmp(name, without[i], strlen(without[i])))
            return 0;
    return 1;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

int pb_xattr_list(int fd, char **ret, size_t *size)
{
    char small[1024];
    PB_FREE char *large = NULL;
    PB_FREE const char **sorted = NULL;
    char *names = small, *out;
    size_t count = 0;
    ssize_t length = flistxattr(fd, small, sizeof small);

    *ret = NULL;
    *size = 0;
    if (length < 0 && errno == ERANGE) {
        large = malloc(65536); /* XATTR_LIST_MAX */
        if (!large)
            return -ENOMEM;
        names = large;
        length = flistxattr(fd, large, 65536);
    }
    if (length < 0)
        return errno == EOPNOTSUPP || errno == EBADF || errno == EPERM ? 0 : -errno;
    if (length == 0)
        return 0;
    sorted = calloc((size_t)length, sizeof *sorted);
    out = malloc((size_t)length);
    if (!sorted || !out) {
        free(out);
        return -ENOMEM;
    }
    for (char *at = names; at < names + length; at += strlen(at) + 1)
        if (pb_xattr_matters(at))
            sorted[count++] = at;
    qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 0; i < count; i++) {
        size_t bytes = strlen(sorted[i]) + 1;
        memcpy(out + *size, sorted[i], bytes);
        *size += bytes;
    }
    *ret = out;
    return 0;
}

int pb_xattr_fingerprint(int fd, pb_hasher *hasher, pb_fingerprint *ret)
{
    PB_FREE char *names = NULL;
    PB_FREE char *value = NULL;
    size_t size;
    int failed = pb_xattr_list(fd, &names, &size);

    memset(ret, 0, sizeof *ret);
    if (failed || size == 0)
        return failed;
    value = malloc(65536); /* XATTR_SIZE_MAX */
    if (!value)
        return -ENOMEM;
    pb_hasher_reset(hasher);
    for (const char *name = names; name < names + size; name += strlen(name) + 1) {
        ssize_t length = fgetxattr(fd, name, value, 65536);
        if (length < 0)
            return -errno;
        pb_hasher_text(hasher, name, strlen(name));
        pb_hasher_text(hasher, value, (size_t)length);
    }
    pb_hasher_finish(hasher, ret);
    return 0;
}
