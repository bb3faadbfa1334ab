/* In the child: resource limits, capabilities, groups and ids, in the order in which each is still allowed. */
#include "error.h"
#include "sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { CAPABILITIES_MAX = 63 };

static int set_limits(const pb_launch_spec *spec, pb_error *error)
{
    for (size_t i = 0; i < spec->limit_count; i++) {
        const uint64_t *triple = spec->limits + 3 * i;
        const struct rlimit64 limit = {triple[1], triple[2]};
        if (syscall(SYS_prlimit64, 0, (int)triple[0], &limit, NULL) < 0)
            return pb_fail(error, errno, "set limit", "number %d", (int)triple[0]);
    }
    return 0;
}

static int drop_bounding(uint64_t kept, pb_error *error)
{
    for (int capability = 0; capability <= CAPABILITIES_MAX; capability++) {
        if (kept >> capability & 1)
            continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
            if (errno == EINVAL)
                break; /* past the last one that this kernel knows */
            return pb_fail(error, errno, "drop capability", "number %d", capability);
        }
    }
    return 0;
}

/* Nothing is inheritable or ambient: as Docker since 20.10.14, so that only uid 0 and file capabilities give any. */
static int set_capabilities(uint64_t kept, pb_error *error)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct now[2], data[2];

    if (syscall(SYS_capget, &header, now) < 0)
        return pb_fail(error, errno, "read capabilities", "%s", "");
    for (int half = 0; half < 2; half++) {
        uint32_t mask = now[half].permitted & (uint32_t)(kept >> (32 * half));
        data[half].permitted = mask;
        data[half].effective = mask;
        data[half].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) < 0)
        return pb_fail(error, errno, "set capabilities", "%s", "");
    return 0;
}

/* Raw calls: the C library's would change all threads of the caller, whose memory this is. Leaving uid 0 clears the
 * permitted and effective sets. */
static int set_ids(const pb_launch_spec *spec, pb_error *error)
{
    if (syscall(SYS_setgroups, spec->group_count, spec->groups) < 0)
        return pb_fail(error, errno, "set groups", "%zu groups", spec->group_count);
    if (syscall(SYS_setresgid, spec->gid, spec->gid, spec->gid) < 0)
        return pb_fail(error, errno, "set group", "%u", spec->gid);
    if (syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid) < 0)
        return pb_fail(error, errno, "set user", "%u", spec->uid);
    return 0;
}

int pb_become_user(const pb_launch_spec *spec, pb_error *error)
{
    int keep = spec->flags & PB_KEEP_CAPS;
    int result = set_limits(spec, error);

    if (result < 0)
        return result;
    /* Keys of the builder's session are not the step's; a kernel without keys, or a full quota, is no reason to stop. */
    (void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0);
    if (!keep && (result = drop_bounding(spec->capabilities, error)) < 0)
        return result;
    result = set_ids(spec, error);
    if (result < 0)
        return result;
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return keep ? 0 : set_capabilities(spec->capabilities, error);
}
