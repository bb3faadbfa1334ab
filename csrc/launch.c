/* Starting, awaiting and ending a process in namespaces of its own.
 *
 * The child is a vfork: it shares the caller's memory until its exec, so that a large caller is not copied, and reports a
 * failure by writing to the caller's `error`. See sandbox.h for what it may do.
 */
#include "error.h"
#include "mountcalls.h"
#include "sandbox.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

enum { STACK_SIZE = 256 * 1024, SIGNALS = 64, STATUS_SIGNAL = 256 };
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* --- in the child --- */

static int raise_loopback(pb_error *error)
{
    PB_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return pb_fail(error, errno, "bring up", "the loopback interface");
    return 0;
}

/* Make the missing directories of `path` as `mkdir -p`, owned by the process's user; then go there. */
static int enter_directory(const pb_launch_spec *spec, pb_error *error)
{
    char path[4096];
    size_t size = strlen(spec->cwd);

    if (size >= sizeof path)
        return pb_fail(error, ENAMETOOLONG, "enter directory", "%s", spec->cwd);
    if (chdir(spec->cwd) == 0)
        return 0;
    if (errno != ENOENT)
        return pb_fail(error, errno, "enter directory", "%s", spec->cwd);
    memcpy(path, spec->cwd, size + 1);
    for (size_t i = 1; i <= size; i++) {
        char end = path[i];
        if (end != '/' && end != '\0')
            continue;
        path[i] = '\0';
        if (mkdir(path, 0755) == 0) {
            if (chown(path, spec->uid, spec->gid) < 0)
                return pb_fail(error, errno, "change owner", "%s", path);
        } else if (errno != EEXIST) {
            return pb_fail(error, errno, "make directory", "%s", path);
        }
        path[i] = end;
    }
    return chdir(spec->cwd) < 0 ? pb_fail(error, errno, "enter directory", "%s", spec->cwd) : 0;
}

static int is_null(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}

/* Descriptors 0, 1 and 2, and none else after the exec. A pipe becomes the user's, so that /dev/stdout can be opened. The host's
 * /dev/null becomes the process's own: whoever has a descriptor can change owner and mode of what it leads to.
 */
static int set_streams(const pb_start *start)
{
    const pb_launch_spec *spec = start->spec;
    int given[3] = {spec->stdin_fd, spec->stdout_fd, spec->stderr_fd};
    struct stat status;

    for (int i = 0; i < 3; i++) {
        given[i] = fcntl(given[i] < 0 || is_null(given[i]) ? start->null_fd : given[i], F_DUPFD_CLOEXEC, 3);
        if (given[i] < 0)
            return pb_fail(start->error, errno, "open stream", "%d", i);
    }
    for (int i = 0; i < 3; i++) {
        if (dup2(given[i], i) < 0)
            return pb_fail(start->error, errno, "open stream", "%d", i);
        if (spec->uid != 0 && fstat(i, &status) == 0 && S_ISFIFO(status.st_mode))
            (void)fchown(i, spec->uid, spec->gid);
    }
    if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return pb_fail(start->error, errno, "close descriptors", "%s", "");
    if ((spec->flags & PB_TERMINAL) && ioctl(0, TIOCSCTTY, 0) < 0)
        return pb_fail(start->error, errno, "take the terminal", "%s", "");
    return 0;
}

/* Kill this process when the launching thread ends, also if it already has. */
static int tie_to_parent(const pb_start *start)
{
    struct pollfd parent = {.fd = start->parent_pidfd, .events = POLLIN};

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return pb_fail(start->error, errno, "tie to the parent", "%s", "");
    if (poll(&parent, 1, 0) > 0)
        _exit(127);
    return 0;
}

/* All signals default and deliverable: the interpreter ignores some, and its handlers must not run here. */
static void reset_signals(void)
{
    const char defaults[64] = {0}; /* the kernel's struct sigaction: SIG_DFL, no flags, empty mask */
    const uint64_t none = 0;

    for (int i = 1; i <= SIGNALS; i++)
        (void)syscall(SYS_rt_sigaction, i, defaults, NULL, sizeof none);
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}

/* Try where argv[0] may be; returns only on failure. What cannot be run outweighs what is not there. */
static int execute(const pb_start *start)
{
    const pb_launch_spec *spec = start->spec;
    const char *refused = NULL;
    int code = 0;

    for (size_t i = 0; i < start->program_count; i++) {
        const char *program = start->programs[i];
        int found;

        execve(program, (char *const *)spec->argv, (char *const *)spec->env);
        if (errno == ENOTDIR || errno == ENAMETOOLONG)
            continue;
        if (errno == EACCES) {
            if (refused == NULL)
                refused = program;
            continue;
        }
        code = errno;
        found = faccessat(AT_FDCWD, program, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
        if (code == ENOENT && !found)
            continue;
        pb_fail(start->error, code, "exec", "%s", program);
        if (code == ENOENT)
            snprintf(start->error->detail, sizeof start->error->detail,
                     "it is there, but the interpreter or dynamic linker that it names is not");
        else if (code == ENOEXEC)
            snprintf(start->error->detail, sizeof start->error->detail,
                     "exec format error: built for another machine, or a script without a #! line");
        return -code;
    }
    if (refused != NULL) {
        pb_fail(start->error, EACCES, "exec", "%s", refused);
        snprintf(start->error->detail, sizeof start->error->detail, "permission denied");
        return -EACCES;
    }
    pb_fail(start->error, ENOENT, "exec", "%s", spec->argv[0]);
    snprintf(start->error->detail, sizeof start->error->detail, "%s",
             strchr(spec->argv[0], '/') ? "no such file or directory" : "executable file not found in $PATH");
    return -ENOENT;
}

static int run_child(pb_start *start)
{
    const pb_launch_spec *spec = start->spec;
    pb_error *error = start->error;
    int result = tie_to_parent(start);

    if (result < 0)
        return result;
    umask(0);
    if (setsid() < 0)
        return pb_fail(error, errno, "start session", "%s", "");
    if (spec->hostname != NULL && sethostname(spec->hostname, strlen(spec->hostname)) < 0)
        return pb_fail(error, errno, "set host name", "%s", spec->hostname);
    if ((spec->flags & PB_NEW_NETWORK) && (result = raise_loopback(error)) < 0)
        return result;
    if ((result = pb_enter_rootfs(start)) < 0 || (result = enter_directory(spec, error)) < 0 ||
        (result = set_streams(start)) < 0 || (result = pb_become_user(spec, error)) < 0)
        return result;
    umask(spec->umask_bits);
    /* Again: the kernel forgets it when the ids change. */
    if ((result = tie_to_parent(start)) < 0)
        return result;
    reset_signals();
    return execute(start);
}

static int child_main(void *data)
{
    pb_start *start = data;

    start->result = run_child(start);
    _exit(127);
}

/* --- in the parent --- */

static const char *path_variable(const char *const *env)
{
    for (; *env != NULL; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return DEFAULT_PATH;
}

static int add_program(pb_start *start, size_t capacity, const char *directory, size_t size, const char *name)
{
    char *program = NULL;

    if (start->program_count == capacity)
        return -E2BIG;
    if (asprintf(&program, "%.*s%s%s", (int)size, directory, size ? "/" : "", name) < 0)
        return -ENOMEM;
    start->programs[start->program_count++] = program;
    return 0;
}

/* The names under which argv[0] is tried: itself if it has a slash, else one for each entry of PATH ("" is "."). */
static int list_programs(pb_start *start)
{
    const char *name = start->spec->argv[0];
    const char *path = path_variable(start->spec->env);
    size_t capacity = 1;

    for (const char *at = path; *at != '\0'; at++)
        capacity += *at == ':';
    start->programs = calloc(capacity, sizeof *start->programs);
    if (start->programs == NULL)
        return -ENOMEM;
    if (name[0] == '\0')
        return 0;
    if (strchr(name, '/') != NULL)
        return add_program(start, capacity, "", 0, name);
    for (;;) {
        size_t size = strcspn(path, ":");
        int result = add_program(start, capacity, size ? path : ".", size ? size : 1, name);
        if (result < 0 || path[size] == '\0')
            return result;
        path += size + 1;
    }
}

static void release(pb_start *start)
{
    for (size_t i = 0; i < start->program_count; i++)
        free(start->programs[i]);
    free(start->programs);
    for (size_t i = 0; start->mount_copies != NULL && i < start->spec->mount_count; i++)
        if (start->mount_copies[i] >= 0)
            close(start->mount_copies[i]);
    free(start->mount_copies);
    if (start->root_copy >= 0)
        close(start->root_copy);
    if (start->parent_pidfd >= 0)
        close(start->parent_pidfd);
}

/* Everything that needs memory or the parent's mount namespace. A mount that is detached already cannot be copied by
 * kernels before 6.15, and need not be. */
static int prepare(pb_start *start)
{
    const pb_launch_spec *spec = start->spec;

    if (spec->argv == NULL || spec->argv[0] == NULL)
        return pb_fail(start->error, EINVAL, "exec", "no command");
    start->mount_copies = calloc(spec->mount_count + 1, sizeof *start->mount_copies);
    if (start->mount_copies == NULL || list_programs(start) < 0)
        return pb_fail(start->error, ENOMEM, "exec", "%s", spec->argv[0]);
    for (size_t i = 0; i < spec->mount_count; i++) {
        const pb_mount *mount = &spec->mounts[i];
        start->mount_copies[i] = -1;
        if (mount->type == NULL && mount->source == NULL)
            start->mount_copies[i] = pb_clone_tree(mount->source_fd, "", PB_RECURSIVE);
    }
    start->root_copy = pb_clone_tree(spec->root_fd, "", PB_RECURSIVE);
    start->parent_pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (start->parent_pidfd < 0)
        return pb_fail(start->error, errno, "open a descriptor of", "the process");
    return 0;
}

static int clone_child(pb_start *start, char *stack, int *pidfd)
{
    int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
    int pid;

    if (start->spec->flags & PB_NEW_NETWORK)
        flags |= CLONE_NEWNET;
    pid = clone(child_main, stack + STACK_SIZE, flags | CLONE_NEWCGROUP, start, pidfd);
    if (pid < 0) /* a kernel without cgroups, or a container that forbids them */
        pid = clone(child_main, stack + STACK_SIZE, flags, start, pidfd);
    if (pid >= 0)
        return pid;
    pb_fail(start->error, errno, "make namespaces", "%s", "");
    if (errno == EPERM)
        snprintf(start->error->detail, sizeof start->error->detail, "not allowed here: the capability SYS_ADMIN is needed");
    else if (errno == ENOSPC)
        snprintf(start->error->detail, sizeof start->error->detail,
                 "too many namespaces: see the limits in /proc/sys/user/");
    return -start->error->code;
}

int pb_launch(const pb_launch_spec *spec, pb_child *ret, pb_error *error)
{
    pb_start start = {.spec = spec, .error = error, .root_copy = -1, .null_fd = -1, .parent_pidfd = -1};
    sigset_t all, before;
    int pidfd = -1;
    int result = prepare(&start);
    char *stack = MAP_FAILED;

    if (result == 0) {
        stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (stack == MAP_FAILED)
            result = pb_fail(error, errno, "exec", "%s", spec->argv[0]);
    }
    if (result == 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of the parent may run in the child */
        result = clone_child(&start, stack, &pidfd);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (result > 0 && start.result < 0) {
        siginfo_t info;
        while (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL) < 0 && errno == EINTR)
            ;
        close(pidfd);
        result = start.result;
    }
    if (stack != MAP_FAILED)
        munmap(stack, STACK_SIZE);
    release(&start);
    if (result < 0)
        return result;
    *ret = (pb_child){.pid = result, .pidfd = pidfd};
    return 0;
}

int pb_wait(pb_child *child, int timeout_ms, int *status, pb_error *error)
{
    struct pollfd ended = {.fd = child->pidfd, .events = POLLIN};
    siginfo_t info = {0};
    int ready = poll(&ended, 1, timeout_ms);

    if (ready < 0)
        return pb_fail(error, errno, "wait for", "process %d", child->pid);
    if (ready == 0)
        return pb_fail(error, ETIME, "wait for", "process %d", child->pid);
    if (waitid((idtype_t)P_PIDFD, (id_t)child->pidfd, &info, WEXITED | __WALL) < 0)
        return pb_fail(error, errno, "wait for", "process %d", child->pid);
    close(child->pidfd);
    child->pidfd = -1;
    *status = info.si_code == CLD_EXITED ? info.si_status : STATUS_SIGNAL + info.si_status;
    return 0;
}

int pb_kill(const pb_child *child, int signal, pb_error *error)
{
    if (child->pidfd < 0 || syscall(SYS_pidfd_send_signal, child->pidfd, signal, NULL, 0) == 0 || errno == ESRCH)
        return 0;
    return pb_fail(error, errno, "send signal to", "process %d", child->pid);
}
