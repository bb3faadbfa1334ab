#include "path.h"
#include "error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { MOST_LINKS = 40, LONGEST = 4000 };

static int open_how(int dir_fd, const char *path, int flags, uint32_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                           .mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0,
                           .resolve = resolve | RESOLVE_NO_MAGICLINKS};
    long fd;
    do
        fd = syscall(SYS_openat2, dir_fd, *path ? path : ".", &how, sizeof how);
    while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    return fd < 0 ? -errno : (int)fd;
}

int pb_path_open(int root_fd, const char *path, int flags, uint32_t mode)
{
    return open_how(root_fd, path, flags, mode, RESOLVE_IN_ROOT);
}

int pb_path_open_below(int dir_fd, const char *path, int flags)
{
    PB_FREE char *copy = NULL;
    PB_CLOSE int held = -1;
    char *at;

    if (strlen(path) <= LONGEST)
        return open_how(dir_fd, path, flags, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    at = copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    while (strlen(at) > LONGEST) { /* longer than the kernel takes: go down in pieces */
        char *cut = at + LONGEST;
        int fd;
        while (cut > at && *cut != '/')
            cut--;
        *cut = '\0';
        fd = open_how(dir_fd, at, O_PATH | O_DIRECTORY, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
        if (fd < 0)
            return fd;
        if (held >= 0)
            close(held);
        held = dir_fd = fd;
        at = cut + 1;
    }
    return open_how(dir_fd, at, flags, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

/* Give a directory just made its owner and exact mode, whatever the umask. */
static int adorn(int parent_fd, const char *name, const pb_owner_mode *owner)
{
    PB_CLOSE int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if ((owner->uid || owner->gid) && fchown(fd, owner->uid, owner->gid))
        return -errno;
    return fchmod(fd, owner->mode) ? -errno : 0;
}

/* The path that a link stands for: relative targets begin at the link's folder. */
static int link_path(int parent_fd, const char *name, const char *folder, char **ret)
{
    char target[4097];
    ssize_t length = readlinkat(parent_fd, name, target, sizeof target - 1);
    if (length < 0)
        return -errno;
    target[length] = '\0';
    if (asprintf(ret, "%s/%s", *target == '/' ? "" : folder, target) < 0)
        return -ENOMEM;
    return 0;
}

/* One component below the folder `at` (a path in the root): make it if it is missing. `*path` becomes the path to go on
 * with, if a link led elsewhere. */
static int make_component(int root_fd, char **path, const char *folder, const char *name, const char *rest,
                          const pb_owner_mode *missing, int *links)
{
    PB_CLOSE int parent = pb_path_open(root_fd, folder, O_PATH | O_DIRECTORY, 0);
    PB_FREE char *target = NULL;
    char *spliced;
    int failed;

    if (parent < 0)
        return parent;
    if (!mkdirat(parent, name, 0755))
        return adorn(parent, name, missing);
    if (errno != EEXIST)
        return -errno;
    /* Something is there that cannot be opened as a directory: a link that leads nowhere yet, or no directory. */
    failed = link_path(parent, name, folder, &target);
    if (failed)
        return failed == -EINVAL ? -ENOTDIR : failed;
    if (++*links > MOST_LINKS)
        return -ELOOP;
    if (asprintf(&spliced, "%s/%s", target, rest) < 0)
        return -ENOMEM;
    free(*path);
    *path = spliced;
    return 1;
}

int pb_path_make(int root_fd, const char *path, const pb_owner_mode *missing)
{
    PB_FREE char *left = NULL;
    int links = 0, fd = pb_path_open(root_fd, path, O_RDONLY | O_DIRECTORY, 0);

    if (fd >= 0 || fd != -ENOENT)
        return fd;
    left = strdup(path);
    if (!left)
        return -ENOMEM;
again:
    for (size_t at = strspn(left, "/"); left[at];) {
        size_t length = strcspn(left + at, "/"), next = at + length;
        PB_FREE char *folder = strndup(left, at), *name = strndup(left + at, length), *prefix = strndup(left, next);
        if (!folder || !name || !prefix)
            return -ENOMEM;
        next += strspn(left + next, "/");
        fd = pb_path_open(root_fd, prefix, O_PATH | O_DIRECTORY, 0);
        if (fd >= 0) {
            close(fd);
        } else if (fd != -ENOENT) {
            return fd;
        } else {
            int made = make_component(root_fd, &left, folder, name, left + next, missing, &links);
            if (made < 0)
                return made;
            if (made)
                goto again;
        }
        at = next;
    }
    return pb_path_open(root_fd, left, O_RDONLY | O_DIRECTORY, 0);
}

int pb_path_parent(int root_fd, const char *path, const pb_owner_mode *missing, int *ret_fd, char **ret_name)
{
    PB_FREE char *now = strdup(path);
    int links = 0;

    if (!now)
        return -ENOMEM;
    for (;;) {
        size_t end = strlen(now), start;
        PB_FREE char *folder = NULL, *name = NULL;
        PB_CLOSE int fd = -1;
        char *target;
        int failed;
        while (end && now[end - 1] == '/')
            end--;
        for (start = end; start && now[start - 1] != '/';)
            start--;
        folder = strndup(now, start);
        name = end == start ? strdup(".") : strndup(now + start, end - start);
        if (!folder || !name)
            return -ENOMEM;
        fd = pb_path_make(root_fd, folder, missing);
        if (fd < 0)
            return fd;
        failed = !strcmp(name, ".") || !strcmp(name, "..") ? -EINVAL : link_path(fd, name, folder, &target);
        if (failed == -EINVAL || failed == -ENOENT) { /* no link, or nothing: here it is */
            *ret_fd = pb_take_fd(&fd);
            *ret_name = name;
            name = NULL;
            return 0;
        }
        if (failed)
            return failed;
        free(now);
        now = target;
        if (++links > MOST_LINKS)
            return -ELOOP;
    }
}

int pb_open_in_root(int root_fd, const char *path, int flags, uint32_t mode, pb_error *error)
{
    int fd = pb_path_open(root_fd, path, flags, mode);
    return fd < 0 ? pb_fail(error, -fd, "open", "%s", path) : fd;
}

int pb_make_directory(int root_fd, const char *path, uint32_t mode, uint32_t uid, uint32_t gid, pb_error *error)
{
    pb_owner_mode missing = {mode, uid, gid};
    int fd = pb_path_make(root_fd, path, &missing);
    if (fd < 0)
        return pb_fail(error, -fd, "make directory", "%s", path);
    close(fd);
    return 0;
}

/* --- removing ------------------------------------------------------------------------------------------------- */

/* Remove what is in a directory that nobody else uses. Depth costs neither descriptors nor stack: the way back is `..`. */
static int empty_directory(int top_fd, dev_t device)
{
    PB_CLOSE int now = fcntl(top_fd, F_DUPFD_CLOEXEC, 3);
    size_t depth = 0;

    if (now < 0)
        return -errno;
    for (;;) {
        PB_CLOSE int listed = openat(now, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *stream;
        const struct dirent *entry;
        int descended = 0;
        if (listed < 0 || !(stream = fdopendir(listed)))
            return -errno;
        listed = -1;
        while (!descended && (entry = readdir(stream))) {
            struct stat stat;
            int below;
            if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                continue;
            if (!unlinkat(now, entry->d_name, 0) || errno == ENOENT)
                continue;
            if (errno != EISDIR && errno != EPERM && errno != EACCES) {
                int code = errno;
                closedir(stream);
                return -code;
            }
            if (!unlinkat(now, entry->d_name, AT_REMOVEDIR))
                continue;
            if (errno == EACCES) /* a directory that its owner may not change */
                fchmod(now, 0700);
            fchmodat(now, entry->d_name, 0700, 0);
            below = openat(now, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (below < 0 || fstat(below, &stat) || stat.st_dev != device) {
                int code = below < 0 ? errno : EXDEV;
                if (below >= 0)
                    close(below);
                closedir(stream);
                return -code;
            }
            depth++;
            close(now);
            now = below;
            descended = 1;
        }
        closedir(stream);
        if (descended)
            continue;
        if (!depth)
            return 0;
        { /* empty: go up; the next round removes it */
            int up = openat(now, "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (up < 0)
                return -errno;
            close(now);
            now = up;
            depth--;
        }
    }
}

int pb_remove_tree(int dir_fd, const char *name, pb_error *error)
{
    PB_CLOSE int fd = -1;
    struct stat stat;
    int failed;

    if (!unlinkat(dir_fd, name, 0) || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return pb_fail(error, errno, "remove", "%s", name);
    if (!unlinkat(dir_fd, name, AT_REMOVEDIR))
        return 0;
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES) {
        fchmodat(dir_fd, name, 0700, 0);
        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0 || fstat(fd, &stat))
        return pb_fail(error, errno, "remove", "%s", name);
    failed = empty_directory(fd, stat.st_dev);
    if (!failed && unlinkat(dir_fd, name, AT_REMOVEDIR))
        failed = -errno;
    return failed ? pb_fail(error, -failed, "remove", "%s", name) : 0;
}

int pb_sync_file_system(int fd, pb_error *error)
{
    return syncfs(fd) ? pb_fail(error, errno, "sync", "%s", "the store") : 0;
}

int pb_exchange(const char *one, const char *other, pb_error *error)
{
    if (renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE))
        return pb_fail(error, errno, "exchange", "%s", other);
    return 0;
}
