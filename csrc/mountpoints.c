/* Mount points that a rootfs lacks: made before a launch, removed after it, so that a layer never shows them. */
#include "error.h"
#include "mountcalls.h"
#include "sandbox.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

enum { LINKS_MAX = 40 };

/* A walk inside a root: `done` is the path so far, without links and without a slash at its end; `rest` is what follows. */
typedef struct {
    char done[PATH_MAX];
    char rest[PATH_MAX];
    int links;
} walk;

static const char *path_of(const char *done)
{
    return done[0] == '\0' ? "/" : done;
}

static void go_up(walk *at)
{
    char *slash = strrchr(at->done, '/');

    if (slash != NULL)
        *slash = '\0';
}

/* Cut the next component from `rest` to `name`: its length, 0 at the end. */
static size_t next_name(walk *at, char name[NAME_MAX + 2])
{
    const char *begin = at->rest + strspn(at->rest, "/");
    size_t size = strcspn(begin, "/");

    if (size > NAME_MAX + 1)
        size = NAME_MAX + 1; /* too long for any file system: the open that follows says so */
    memcpy(name, begin, size);
    name[size] = '\0';
    begin += strcspn(begin, "/");
    memmove(at->rest, begin, strlen(begin) + 1);
    return size;
}

/* Go on at the target of the link `fd`, found in `done`. */
static int follow_link(walk *at, int fd, const char *target, pb_error *error)
{
    char link[PATH_MAX];
    ssize_t size = readlinkat(fd, "", link, sizeof link);
    size_t rest = strlen(at->rest);

    if (size < 0)
        return pb_fail(error, errno, "read link", "%s", target);
    if (++at->links > LINKS_MAX)
        return pb_fail(error, ELOOP, "resolve", "%s", target);
    if ((size_t)size + rest + 1 >= sizeof at->rest)
        return pb_fail(error, ENAMETOOLONG, "resolve", "%s", target);
    memmove(at->rest + size, at->rest, rest + 1); /* rest is empty or begins with a slash */
    memcpy(at->rest, link, (size_t)size);
    if (link[0] == '/')
        at->done[0] = '\0';
    return 0;
}

static int remember(struct pb_stubs *stubs, const char *path, int is_directory)
{
    pb_stub *item;

    if (stubs->count == stubs->capacity) {
        size_t capacity = stubs->capacity ? 2 * stubs->capacity : 8;
        pb_stub *items = reallocarray(stubs->items, capacity, sizeof *items);
        if (items == NULL)
            return -ENOMEM;
        stubs->items = items;
        stubs->capacity = capacity;
    }
    item = &stubs->items[stubs->count];
    item->path = strdup(path);
    if (item->path == NULL)
        return -ENOMEM;
    item->is_directory = is_directory;
    stubs->count++;
    return 0;
}

/* Give a directory back the times that it had before an entry was made or removed in it. */
static int restore_times(int directory, const struct stat *before)
{
    const struct timespec times[2] = {before->st_atim, before->st_mtim};

    return futimens(directory, times);
}

/* Make `name` in the directory `done`; nothing that a process could change in between is trusted, since none runs yet. */
static int make_one(int root_fd, const walk *at, const char *name, int is_directory, struct pb_stubs *stubs,
                    pb_error *error)
{
    char path[PATH_MAX + NAME_MAX + 2];
    PB_CLOSE int parent = pb_open_beneath(root_fd, path_of(at->done), O_RDONLY | O_DIRECTORY, 0);
    struct stat before;

    snprintf(path, sizeof path, "%s/%s", at->done, name);
    if (parent < 0 || fstat(parent, &before) < 0)
        return pb_fail(error, errno, "open", "%s", path_of(at->done));
    if (is_directory) {
        if (mkdirat(parent, name, 0755) < 0)
            return pb_fail(error, errno, "make mount point", "%s", path);
    } else {
        PB_CLOSE int file = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (file < 0)
            return pb_fail(error, errno, "make mount point", "%s", path);
    }
    if (stubs == NULL)
        return 0;
    if (restore_times(parent, &before) < 0 || remember(stubs, path, is_directory) < 0) {
        int code = errno;
        unlinkat(parent, name, is_directory ? AT_REMOVEDIR : 0);
        return pb_fail(error, code, "make mount point", "%s", path);
    }
    return 0;
}

/* One component: make it if it is missing, follow it if it is a link, go down if it is a directory. */
static int step_down(int root_fd, walk *at, const char *name, int is_directory, struct pb_stubs *stubs,
                     const char *target, pb_error *error)
{
    char path[PATH_MAX + NAME_MAX + 2];
    int is_last = at->rest[strspn(at->rest, "/")] == '\0';
    struct stat status;

    if (snprintf(path, sizeof path, "%s/%s", at->done, name) >= PATH_MAX)
        return pb_fail(error, ENAMETOOLONG, "resolve", "%s", target);
    PB_CLOSE int fd = pb_open_beneath(root_fd, path, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0 && errno != ENOENT)
        return pb_fail(error, errno, "resolve", "%s", path);
    if (fd < 0) {
        int result = make_one(root_fd, at, name, is_directory || !is_last, stubs, error);
        if (result < 0)
            return result;
    } else {
        if (fstat(fd, &status) < 0)
            return pb_fail(error, errno, "resolve", "%s", path);
        if (S_ISLNK(status.st_mode))
            return follow_link(at, fd, target, error);
        if (!S_ISDIR(status.st_mode) && (is_directory || !is_last))
            return pb_fail(error, ENOTDIR, "make mount point", "%s", path);
        if (S_ISDIR(status.st_mode) && is_last && !is_directory)
            return pb_fail(error, EISDIR, "make mount point", "%s", path);
    }
    memcpy(at->done, path, strlen(path) + 1);
    return 0;
}

int pb_make_mount_point(int root_fd, const char *target, int is_directory, struct pb_stubs *stubs, pb_error *error)
{
    walk at = {.links = 0};
    char name[NAME_MAX + 2];
    int fd, result;

    /* The usual case first: it is there. The kernel resolves it exactly as the walk below would. */
    fd = pb_open_beneath(root_fd, target, O_PATH, 0);
    if (fd >= 0 || errno != ENOENT)
        return fd >= 0 ? fd : pb_fail(error, errno, "resolve", "%s", target);
    if (strlen(target) >= sizeof at.rest)
        return pb_fail(error, ENAMETOOLONG, "resolve", "%s", target);
    memcpy(at.rest, target, strlen(target) + 1);
    while (next_name(&at, name) > 0) {
        if (strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0) {
            go_up(&at);
            continue;
        }
        result = step_down(root_fd, &at, name, is_directory, stubs, target, error);
        if (result < 0)
            return result;
    }
    fd = pb_open_beneath(root_fd, path_of(at.done), O_PATH | O_NOFOLLOW, 0);
    return fd >= 0 ? fd : pb_fail(error, errno, "resolve", "%s", target);
}

/* --- all of a launch --- */

static const char *const standard_targets[] = {"/proc", "/dev", "/sys"};

/* True if `target` lies below `above`, as it is written. */
static int is_below(const char *target, const char *above)
{
    size_t size = strlen(above);

    while (size > 1 && above[size - 1] == '/')
        size--;
    return strncmp(target, above, size) == 0 && target[size] == '/' && target[size + 1] != '\0';
}

/* A target below another mount is made there by the child, not in the rootfs. */
static int is_covered(const pb_launch_spec *spec, size_t index)
{
    const char *target = spec->mounts[index].target;

    for (size_t i = 0; i < sizeof standard_targets / sizeof standard_targets[0]; i++)
        if (is_below(target, standard_targets[i]))
            return 1;
    for (size_t i = 0; i < index; i++)
        if (is_below(target, spec->mounts[i].target))
            return 1;
    return 0;
}

static int is_directory(const pb_mount *mount, pb_error *error)
{
    struct stat status;
    int result;

    if (mount->type != NULL)
        return 1;
    result = mount->source != NULL ? stat(mount->source, &status) : fstat(mount->source_fd, &status);
    if (result < 0)
        return pb_fail(error, errno, "mount", "%s", mount->source ? mount->source : mount->target);
    return S_ISDIR(status.st_mode);
}

int pb_stubs_make(const pb_launch_spec *spec, pb_stubs **ret, pb_error *error)
{
    pb_stubs *stubs = calloc(1, sizeof *stubs);
    int result = 0;

    if (stubs == NULL)
        return pb_fail(error, ENOMEM, "make mount points", "%s", "");
    stubs->root_fd = fcntl(spec->root_fd, F_DUPFD_CLOEXEC, 3);
    if (stubs->root_fd < 0)
        result = pb_fail(error, errno, "make mount points", "%s", "");
    for (size_t i = 0; result >= 0 && i < sizeof standard_targets / sizeof standard_targets[0]; i++) {
        result = pb_make_mount_point(stubs->root_fd, standard_targets[i], 1, stubs, error);
        if (result >= 0)
            close(result);
    }
    for (size_t i = 0; result >= 0 && i < spec->mount_count; i++) {
        if (is_covered(spec, i))
            continue;
        result = is_directory(&spec->mounts[i], error);
        if (result >= 0)
            result = pb_make_mount_point(stubs->root_fd, spec->mounts[i].target, result, stubs, error);
        if (result >= 0)
            close(result);
    }
    if (result < 0) {
        pb_stubs_remove(stubs, NULL);
        pb_stubs_free(stubs);
        return result;
    }
    *ret = stubs;
    return 0;
}

/* Remove one stub if it is still what was made: a process may have put something there. Its absence is fine too. */
static int remove_one(int root_fd, pb_stub *stub, pb_error *error)
{
    char *slash = strrchr(stub->path, '/');
    const char *name = slash + 1;
    struct stat before, status;

    *slash = '\0'; /* the path is not used again */
    PB_CLOSE int parent = pb_open_beneath(root_fd, path_of(stub->path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (parent < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                   ? 0
                   : pb_fail(error, errno, "remove mount point", "%s/%s", stub->path, name);
    if (fstat(parent, &before) < 0 || fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (stub->is_directory ? !S_ISDIR(status.st_mode) : !S_ISREG(status.st_mode) || status.st_size > 0)
        return 0;
    if (unlinkat(parent, name, stub->is_directory ? AT_REMOVEDIR : 0) < 0)
        return errno == ENOTEMPTY || errno == EEXIST || errno == ENOENT
                   ? 0
                   : pb_fail(error, errno, "remove mount point", "%s/%s", stub->path, name);
    if (restore_times(parent, &before) < 0)
        return pb_fail(error, errno, "restore times", "%s", path_of(stub->path));
    return 0;
}

int pb_stubs_remove(pb_stubs *stubs, pb_error *error)
{
    int result = 0;

    while (stubs->count > 0) {
        pb_stub *stub = &stubs->items[--stubs->count];
        int one = remove_one(stubs->root_fd, stub, error);
        free(stub->path);
        if (one < 0 && result == 0)
            result = one;
    }
    return result;
}

void pb_stubs_free(pb_stubs *stubs)
{
    if (stubs == NULL)
        return;
    while (stubs->count > 0)
        free(stubs->items[--stubs->count].path);
    free(stubs->items);
    close(stubs->root_fd);
    free(stubs);
}
