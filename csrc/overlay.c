/* Detached overlay mounts: stacked layers behind one descriptor, visible in no mount table.
 *
 * Three ways, newest kernel first, tried in this order:
 *  by descriptor  Linux 6.13: every layer is handed over as a descriptor;
 *  by name        Linux 6.5:  every layer is appended as "/proc/self/fd/N";
 *  classic        before:     one mount(2) with one page of options, so that 500 layers only fit if their names are
 *                             descriptor numbers. A child that shares memory and descriptors, but has a working directory
 *                             and a mount table of its own, mounts, and leaves a detached copy behind.
 */
#include "error.h"
#include "mountcalls.h"
#include "pybuild.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { PB_LAYERS_MAX = 500 }; /* OVL_MAX_STACK */

typedef struct {
    int base_fd;
    const char *const *lowers;
    size_t count;
    const char *upper, *work;
    int flags;
} overlay_request;

/* Options that make a layer mean the same on every machine, and that keep hostile layers from redirecting a path. */
static const char *const settings[][2] = {
    {"index", "off"},
    {"metacopy", "off"},
    {"redirect_dir", "nofollow"},
    {"xino", "off"},
};

static unsigned attributes_of(const overlay_request *request)
{
    return request->upper == NULL || (request->flags & PB_OVERLAY_READONLY) ? PB_ATTR_RDONLY : 0;
}

/* The kernel's own words on why a file system context refused something. */
static int fail_with_log(int fs_fd, int code, const char *path, pb_error *error)
{
    char line[256];
    ssize_t size = read(fs_fd, line, sizeof line - 1);

    pb_fail(error, code, "mount overlay", "%s", path);
    if (size > 2 && error != NULL) {
        line[size] = '\0';
        if (line[size - 1] == '\n')
            line[size - 1] = '\0';
        snprintf(error->detail, sizeof error->detail, "%s", line + 2); /* after "e " or "w " */
    }
    return -code;
}

static int open_layer(const overlay_request *request, const char *path, pb_error *error)
{
    int fd = openat(request->base_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? pb_fail(error, errno, "open layer", "%s", path) : fd;
}

/* Hand one directory to the file system context, by descriptor or by its name in /proc. */
static int add_directory(int fs_fd, const overlay_request *request, const char *key, const char *path, int by_name,
                         pb_error *error)
{
    PB_CLOSE int fd = open_layer(request, path, error);
    char name[40];
    int result;

    if (fd < 0)
        return fd;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    result = by_name ? pb_fsconfig(fs_fd, PB_SET_STRING, key, name, 0) : pb_fsconfig(fs_fd, PB_SET_FD, key, NULL, fd);
    return result < 0 ? fail_with_log(fs_fd, errno, path, error) : 0;
}

static int configure(int fs_fd, const overlay_request *request, int by_name, pb_error *error)
{
    int result;

    for (size_t i = 0; i < request->count; i++) {
        result = add_directory(fs_fd, request, "lowerdir+", request->lowers[i], by_name, error);
        if (result < 0)
            return result;
    }
    if (request->upper != NULL) {
        result = add_directory(fs_fd, request, "upperdir", request->upper, by_name, error);
        if (result == 0)
            result = add_directory(fs_fd, request, "workdir", request->work, by_name, error);
        if (result < 0)
            return result;
        /* The work directory is thrown away with the step, so nothing has to reach the disk through this mount. */
        if (pb_fsconfig(fs_fd, PB_SET_FLAG, "volatile", NULL, 0) < 0)
            return fail_with_log(fs_fd, errno, "volatile", error);
    }
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (pb_fsconfig(fs_fd, PB_SET_STRING, settings[i][0], settings[i][1], 0) < 0)
            return fail_with_log(fs_fd, errno, settings[i][0], error);
    if (pb_fsconfig(fs_fd, PB_SET_STRING, "source", "overlay", 0) < 0)
        return fail_with_log(fs_fd, errno, "source", error);
    if ((request->flags & PB_OVERLAY_USERXATTR) && pb_fsconfig(fs_fd, PB_SET_FLAG, "userxattr", NULL, 0) < 0)
        return fail_with_log(fs_fd, errno, "userxattr", error);
    return 0;
}

static int mount_by_context(const overlay_request *request, int by_name, pb_error *error)
{
    PB_CLOSE int fs_fd = pb_fsopen("overlay");
    int result, mount_fd;

    if (fs_fd < 0) {
        result = pb_fail(error, errno, "mount overlay", "%s", "");
        if (errno == ENODEV)
            snprintf(error->detail, sizeof error->detail, "this kernel has no overlay file system (modprobe overlay)");
        return result;
    }
    result = configure(fs_fd, request, by_name, error);
    if (result < 0)
        return result;
    if (pb_fsconfig(fs_fd, PB_CREATE, NULL, NULL, 0) < 0)
        return fail_with_log(fs_fd, errno, request->upper ? request->upper : request->lowers[0], error);
    mount_fd = pb_fsmount(fs_fd, attributes_of(request));
    return mount_fd < 0 ? fail_with_log(fs_fd, errno, "", error) : mount_fd;
}

/* --- the classic way --- */

typedef struct {
    const overlay_request *request;
    pb_error *error;
    int result; /* the detached mount, or a negative errno */
} classic_call;

/* Append "N" for an opened layer to the options; the descriptor stays open until the mount is made. */
static int append_layer(char *options, size_t size, size_t *used, const overlay_request *request, const char *prefix,
                        const char *path, int *fd, pb_error *error)
{
    int written;

    *fd = open_layer(request, path, error);
    if (*fd < 0)
        return *fd;
    written = snprintf(options + *used, size - *used, "%s%d", prefix, *fd);
    if (written < 0 || (size_t)written >= size - *used)
        return pb_fail(error, E2BIG, "mount overlay", "%zu layers", request->count);
    *used += (size_t)written;
    return 0;
}

/* The base directory again, in the child's own mount namespace: overlayfs takes layers from no other. */
static int reopen_base(int base_fd, pb_error *error)
{
    char link[40], path[PATH_MAX];
    struct stat given, found;
    ssize_t size;
    int fd;

    snprintf(link, sizeof link, "/proc/self/fd/%d", base_fd);
    size = base_fd == AT_FDCWD ? readlink("/proc/self/cwd", path, sizeof path - 1) : readlink(link, path, sizeof path - 1);
    if (size < 0)
        return pb_fail(error, errno, "read link", "%s", link);
    path[size] = '\0';
    fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return pb_fail(error, errno, "open", "%s", path);
    if (fstatat(base_fd, "", &given, AT_EMPTY_PATH) < 0 || fstat(fd, &found) < 0 || given.st_dev != found.st_dev ||
        given.st_ino != found.st_ino) {
        close(fd);
        return pb_fail(error, ESTALE, "open", "%s", path);
    }
    return fd;
}

static int mount_classic(const overlay_request *given, int *fds, pb_error *error)
{
    overlay_request own = *given;
    const overlay_request *request = &own;
    char options[4096];
    const struct rlimit many = {4096, 4096};
    size_t used = 0;
    int result, copy;

    /* Own limit: only this short-lived child is raised, and failing here only lowers how many layers fit. */
    (void)setrlimit(RLIMIT_NOFILE, &many);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return pb_fail(error, errno, "make mounts private", "/");
    PB_CLOSE int base_fd = reopen_base(given->base_fd, error);
    if (base_fd < 0)
        return base_fd;
    own.base_fd = base_fd;
    for (size_t i = 0; i < request->count; i++) {
        result = append_layer(options, sizeof options, &used, request, i == 0 ? "lowerdir=" : ":", request->lowers[i],
                              &fds[i], error);
        if (result < 0)
            return result;
    }
    if (request->upper != NULL) {
        result = append_layer(options, sizeof options, &used, request, ",upperdir=", request->upper,
                              &fds[request->count], error);
        if (result == 0)
            result = append_layer(options, sizeof options, &used, request, ",workdir=", request->work,
                                  &fds[request->count + 1], error);
        if (result < 0)
            return result;
    }
    result = snprintf(options + used, sizeof options - used, "%s,index=off,metacopy=off,redirect_dir=nofollow,xino=off%s",
                      request->upper ? ",volatile" : "", request->flags & PB_OVERLAY_USERXATTR ? ",userxattr" : "");
    if (result < 0 || (size_t)result >= sizeof options - used)
        return pb_fail(error, E2BIG, "mount overlay", "%zu layers", request->count);
    /* From here the numbers in the options are names. The mount hides this directory from this child alone. */
    if (chdir("/proc/self/fd") < 0)
        return pb_fail(error, errno, "open", "/proc/self/fd");
    if (mount("overlay", "/proc", "overlay", attributes_of(request) & PB_ATTR_RDONLY ? MS_RDONLY : 0, options) < 0)
        return pb_fail(error, errno, "mount overlay", "%s", request->upper ? request->upper : request->lowers[0]);
    copy = pb_clone_tree(AT_FDCWD, "/proc", 0);
    return copy < 0 ? pb_fail(error, errno, "detach overlay", "%s", "") : copy;
}

static int classic_child(void *data)
{
    classic_call *call = data;
    int fds[PB_LAYERS_MAX + 2];
    size_t total = call->request->count + 2;

    for (size_t i = 0; i < total; i++)
        fds[i] = -1;
    call->result = mount_classic(call->request, fds, call->error);
    for (size_t i = 0; i < total; i++)
        if (fds[i] >= 0)
            close(fds[i]); /* the table is the parent's too */
    _exit(0);
}

static int mount_by_child(const overlay_request *request, pb_error *error)
{
    const size_t stack_size = 128 * 1024;
    classic_call call = {.request = request, .error = error, .result = -ECHILD};
    sigset_t all, before;
    char *stack;
    pid_t pid;

    stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return pb_fail(error, errno, "mount overlay", "%s", "");
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of the parent may run in the child */
    pid = clone(classic_child, stack + stack_size, CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_NEWNS, &call);
    if (pid < 0)
        call.result = pb_fail(error, errno, "clone", "%s", "");
    else
        while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stack, stack_size);
    return call.result;
}

/* --- a single directory needs no overlay --- */

static int bind_directory(const overlay_request *request, const char *path, pb_error *error)
{
    PB_CLOSE int fd = open_layer(request, path, error);
    unsigned attributes = attributes_of(request);
    int copy;

    if (fd < 0)
        return fd;
    copy = pb_clone_tree(fd, "", 0);
    if (copy < 0)
        return pb_fail(error, errno, "bind layer", "%s", path);
    if (attributes != 0 && pb_restrict_mount(copy, attributes, 0) < 0) {
        int code = errno;
        close(copy);
        return pb_fail(error, code, "make read-only", "%s", path);
    }
    return copy;
}

int pb_overlay_mount(int base_fd, const char *const *lowers, size_t count, const char *upper, const char *work,
                     int flags, pb_error *error)
{
    const overlay_request request = {base_fd, lowers, count, upper, work, flags};
    int result;

    if (count > PB_LAYERS_MAX) {
        result = pb_fail(error, E2BIG, "mount overlay", "%zu layers", count);
        snprintf(error->detail, sizeof error->detail, "the kernel stacks at most %d layers", PB_LAYERS_MAX);
        return result;
    }
    if (count == 0)
        return upper ? bind_directory(&request, upper, error) : pb_fail(error, EINVAL, "mount overlay", "no layer");
    if (count == 1 && upper == NULL)
        return bind_directory(&request, lowers[0], error);
    if (flags & PB_OVERLAY_CLASSIC)
        return mount_by_child(&request, error);
    if (!(flags & PB_OVERLAY_BY_NAME)) {
        result = mount_by_context(&request, 0, error);
        if (result != -EINVAL && result != -EOPNOTSUPP)
            return result;
    }
    result = mount_by_context(&request, 1, error);
    if (result != -EINVAL)
        return result;
    return mount_by_child(&request, error);
}
