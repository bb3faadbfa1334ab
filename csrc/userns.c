/* Becoming root of a user namespace with the ids that the system administrator gave to the user. */
#include "error.h"
#include "pybuild.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

enum { ARGUMENTS_MAX = 64 };

/* One run of newuidmap or newgidmap in the helper, which stays outside the namespace: the programs are set-uid root there. */
static int run_mapper(const char *program, const char *pid, const char *const *map, int words_fd)
{
    const char *argv[ARGUMENTS_MAX] = {program, pid};
    int status, count = 2;
    pid_t child;

    for (; *map != NULL; map++) {
        if (count == ARGUMENTS_MAX - 1)
            return E2BIG;
        argv[count++] = *map;
    }
    child = fork();
    if (child < 0)
        return errno;
    if (child == 0) {
        dup2(words_fd, STDOUT_FILENO);
        dup2(words_fd, STDERR_FILENO);
        execvp(program, (char *const *)argv);
        _exit(errno == ENOENT ? 127 : 126);
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    if (!WIFEXITED(status))
        return EIO;
    return WEXITSTATUS(status) == 127 ? ENOENT : WEXITSTATUS(status) == 126 ? EACCES : WEXITSTATUS(status) ? EPERM : 0;
}

/* The helper waits until the namespace is there, maps, and answers with one errno in `result_fd`. */
static void help(int ready_fd, int result_fd, int words_fd, const char *pid, const char *const *uid_map,
                 const char *const *gid_map)
{
    char byte;
    int code[2] = {0, 0};

    if (read(ready_fd, &byte, 1) == 1) {
        code[0] = run_mapper("newuidmap", pid, uid_map, words_fd);
        if (code[0] == 0) {
            code[1] = 1;
            code[0] = run_mapper("newgidmap", pid, gid_map, words_fd);
        }
        if (write(result_fd, code, sizeof code) < 0)
            _exit(1);
    }
    _exit(0);
}

static int fail_unshare(int code, pb_error *error)
{
    pb_fail(error, code, "make user namespace", "%s", "");
    if (error == NULL)
        return -code;
    if (code == ENOSPC)
        snprintf(error->detail, sizeof error->detail,
                 "user namespaces are used up or disabled (sysctl user.max_user_namespaces)");
    else if (code == EPERM || code == EACCES)
        snprintf(error->detail, sizeof error->detail,
                 "user namespaces are forbidden for ordinary users (sysctl kernel.unprivileged_userns_clone, "
                 "kernel.apparmor_restrict_unprivileged_userns), or this is a container without them");
    else if (code == EINVAL)
        snprintf(error->detail, sizeof error->detail, "the kernel has no user namespaces, or threads run already");
    return -code;
}

static int fail_mapping(const int code[2], int words_fd, pb_error *error)
{
    const char *program = code[1] ? "newgidmap" : "newuidmap";
    char words[200];
    ssize_t size = read(words_fd, words, sizeof words - 1);

    pb_fail(error, code[0], "run", "%s", program);
    if (error == NULL)
        return -code[0];
    while (size > 0 && (words[size - 1] == '\n' || words[size - 1] == ' '))
        size--;
    if (code[0] == ENOENT)
        snprintf(error->detail, sizeof error->detail, "the program is missing (Debian and Ubuntu: package uidmap)");
    else if (size > 0)
        snprintf(error->detail, sizeof error->detail, "%.*s", (int)size, words);
    return -code[0];
}

/* In the new namespace: wait for the mapping, then be root and cut the mounts off from the host's. */
static int become_root(int ready_fd, int result_fd, int words_fd, pb_error *error)
{
    int code[2];
    ssize_t size;

    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return fail_unshare(errno, error);
    if (write(ready_fd, "", 1) != 1)
        return pb_fail(error, errno, "map user ids", "%s", "");
    do
        size = read(result_fd, code, sizeof code);
    while (size < 0 && errno == EINTR);
    if (size != sizeof code)
        return pb_fail(error, EIO, "map user ids", "%s", "");
    if (code[0] != 0)
        return fail_mapping(code, words_fd, error);
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return pb_fail(error, errno, "become root", "of the user namespace");
    /* Slave: what the host unmounts does not stay busy here; nothing goes the other way. */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return pb_fail(error, errno, "cut off mounts", "/");
    return 0;
}

int pb_enter_userns(const char *const *uid_map, const char *const *gid_map, pb_error *error)
{
    PB_CLOSE int ready_out = -1, ready_in = -1, result_out = -1, result_in = -1, words_out = -1, words_in = -1;
    int ready[2], answer[2], words[2];
    int status, result;
    char pid[16];
    pid_t helper;

    if (pipe2(ready, O_CLOEXEC) < 0)
        return pb_fail(error, errno, "make pipe", "%s", "");
    ready_out = ready[0], ready_in = ready[1];
    if (pipe2(answer, O_CLOEXEC) < 0)
        return pb_fail(error, errno, "make pipe", "%s", "");
    result_out = answer[0], result_in = answer[1];
    if (pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0)
        return pb_fail(error, errno, "make pipe", "%s", "");
    words_out = words[0], words_in = words[1];
    snprintf(pid, sizeof pid, "%d", getpid());

    helper = fork();
    if (helper < 0)
        return pb_fail(error, errno, "fork", "%s", "");
    if (helper == 0) {
        close(ready_in); /* so that the end of the parent ends the wait */
        help(ready_out, result_in, words_in, pid, uid_map, gid_map);
    }
    close(result_in);
    result_in = -1;
    result = become_root(ready_in, result_out, words_out, error);
    close(ready_in);
    ready_in = -1;
    while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
        ;
    return result;
}
