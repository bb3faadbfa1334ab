/* `scan DIRECTORY INDEX`: what a build does with a context that it knows. The index is written if anything was read. */
#include "pybuild.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>

/* In place of the C library's: valgrind may not know openat2 yet. */
long syscall(long number, ...)
{
    va_list list;
    long result = -1;
    int fd;

    va_start(list, number);
    fd = va_arg(list, int);
    if (number == SYS_openat2) {
        const char *path = va_arg(list, const char *);
        const struct open_how *how = va_arg(list, const struct open_how *);
        result = openat(fd, path, (int)how->flags);
    } else if (number == SYS_getdents64) {
        void *buffer = va_arg(list, void *);
        result = getdents64(fd, buffer, (size_t)va_arg(list, int));
    } else {
        errno = ENOSYS;
    }
    va_end(list);
    return result;
}

int main(int count, char **arguments)
{
    int fd = count == 3 ? open(arguments[1], O_RDONLY | O_DIRECTORY) : -1;
    pb_tree_stats stats;
    pb_fingerprint found;
    pb_error error = {0};
    pb_tree *tree;

    if (fd < 0 || pb_tree_open(fd, NULL, NULL, arguments[2], fd, &tree, &error) ||
        pb_tree_fingerprint(tree, 0, NULL, 0, &found, &error)) {
        fprintf(stderr, "scan: %s %s\n", error.operation, error.path);
        return 1;
    }
    pb_tree_get_stats(tree, &stats);
    if (stats.files_hashed && pb_tree_save(tree, arguments[2], &error))
        return 1;
    pb_tree_free(tree);
    return 0;
}
