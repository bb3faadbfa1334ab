/* Reading listings: what differs between two of them. Leaves that both have are not read. */
#include "difftext.h"
#include "error.h"
#include "listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { LONGEST_KEY = 16 << 10 }; /* whose listing has longer ones is told nothing of it: it may come from anybody */

/* --- files ------------------------------------------------------------------------------------------------------ */

int pb_listing_read(int folder_fd, const char *name, uint8_t **data, size_t *size)
{
    PB_CLOSE int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    PB_FREE uint8_t *bytes = NULL;
    struct stat stat;

    if (fd < 0 || fstat(fd, &stat))
        return -errno;
    if (!S_ISREG(stat.st_mode))
        return -EBADMSG;
    *size = (size_t)stat.st_size;
    bytes = malloc(*size + 1);
    if (!bytes)
        return -ENOMEM;
    for (size_t at = 0; at < *size;) {
        ssize_t count = read(fd, bytes + at, *size - at);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? -errno : -EBADMSG;
        at += (size_t)count;
    }
    *data = bytes;
    bytes = NULL;
    return 0;
}

void pb_listing_close(pb_listing *listing)
{
    free(listing->data);
    *listing = (pb_listing){0};
}

int pb_listing_open(int folder_fd, const char *name, const pb_secret *secret, pb_listing *ret)
{
    size_t size, rest;
    pb_listing_header head;
    pb_fingerprint body;
    int failed;

    *ret = (pb_listing){.folder_fd = folder_fd};
    failed = pb_listing_read(folder_fd, name, &ret->data, &size);
    if (failed)
        return failed;
    if (size < sizeof head)
        return -EBADMSG;
    memcpy(&head, ret->data, sizeof head);
    rest = size - sizeof head;
    if (memcmp(head.magic, PB_LISTING_MAGIC, sizeof head.magic) || head.version != PB_LISTING_VERSION ||
        head.byte_order != 0x01020304 || (head.count && rest != (uint64_t)head.count * sizeof(pb_fingerprint)) ||
        pb_hash_bytes(ret->data + sizeof head, rest, secret, &body) || memcmp(&body, &head.body, sizeof body))
        return -EBADMSG;
    if (head.count) {
        ret->leaves = (const pb_fingerprint *)(ret->data + sizeof head);
        ret->count = head.count;
    } else {
        ret->own_name = body;
        ret->leaves = &ret->own_name;
        ret->count = rest > 0;
        ret->own = ret->data + sizeof head;
        ret->own_size = rest;
    }
    return 0;
}

/* --- entries ---------------------------------------------------------------------------------------------------- */

/* The entries of one listing, one after the other, without those of leaves that the other one has too. */
typedef struct {
    const pb_listing *listing;
    const pb_fingerprint *others; /* in order */
    size_t other_count;
    uint32_t leaf; /* the next one */
    uint8_t *data; /* of the leaf now, if it was read from a file */
    const uint8_t *at, *end;
    int has; /* whether there is an entry */
    pb_node node;
    char *key;
    size_t key_size, key_capacity;
    char *gone; /* the key of a folder whose contents are not to be told */
    size_t gone_size;
} cursor;

static int get_number(cursor *from, uint64_t *ret)
{
    uint64_t number = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (from->at == from->end)
            return -EBADMSG;
        number |= (uint64_t)(*from->at & 0x7f) << shift;
        if (!(*from->at++ & 0x80)) {
            *ret = number;
            return 0;
        }
    }
    return -EBADMSG;
}

static int get_fingerprint(cursor *from, pb_fingerprint *ret)
{
    if ((size_t)(from->end - from->at) < sizeof *ret)
        return -EBADMSG;
    memcpy(ret, from->at, sizeof *ret);
    from->at += sizeof *ret;
    return 0;
}

static int get_key(cursor *from)
{
    uint64_t shared, more;

    if (get_number(from, &shared) || get_number(from, &more) || shared > from->key_size ||
        more > (uint64_t)(from->end - from->at) || shared + more > LONGEST_KEY)
        return -EBADMSG;
    if (shared + more >= from->key_capacity) {
        size_t capacity = (size_t)(shared + more) * 2 + 256;
        char *key = realloc(from->key, capacity);
        if (!key)
            return -ENOMEM;
        from->key = key;
        from->key_capacity = capacity;
    }
    memcpy(from->key + shared, from->at, (size_t)more);
    from->at += more;
    from->key_size = (size_t)(shared + more);
    from->key[from->key_size] = '\0';
    return 0;
}

static int get_entry(cursor *from)
{
    uint64_t mode, uid, gid, size, rdev;
    int failed = get_key(from);

    if (failed)
        return failed;
    if (get_number(from, &mode) || get_number(from, &uid) || get_number(from, &gid) || get_number(from, &size) ||
        get_number(from, &rdev))
        return -EBADMSG;
    from->node = (pb_node){.mode = (uint32_t)mode, .uid = (uint32_t)uid, .gid = (uint32_t)gid, .size = size, .rdev = rdev};
    if ((S_ISREG(mode) || S_ISLNK(mode)) && get_fingerprint(from, &from->node.content))
        return -EBADMSG;
    if (from->at == from->end || *from->at > 1)
        return -EBADMSG;
    return *from->at++ ? get_fingerprint(from, &from->node.xattrs) : 0;
}

static int open_leaf(cursor *from, const pb_fingerprint *leaf, const pb_secret *secret, char *name)
{
    size_t size = from->listing->own_size;
    pb_fingerprint found;
    int failed;

    from->at = from->listing->own;
    if (!from->at) {
        free(from->data);
        from->data = NULL;
        pb_leaf_name(leaf, name);
        failed = pb_listing_read(from->listing->folder_fd, name, &from->data, &size);
        if (!failed)
            failed = pb_hash_bytes(from->data, size, secret, &found);
        if (failed)
            return failed;
        if (memcmp(&found, leaf, sizeof found))
            return -EBADMSG;
        from->at = from->data;
    }
    from->end = from->at + size;
    from->key_size = 0;
    *name = '\0'; /* what fails from here on is no damage: the leaf is what was written */
    return 0;
}

/* The next entry, if there is one. `name` is that of the leaf that is read. */
static int next(cursor *from, const pb_secret *secret, char *name)
{
    while (from->at == from->end) {
        const pb_fingerprint *leaf;
        int failed;
        from->has = from->leaf < from->listing->count;
        if (!from->has)
            return 0;
        leaf = &from->listing->leaves[from->leaf++];
        if (bsearch(leaf, from->others, from->other_count, sizeof *leaf, pb_fingerprint_order))
            continue;
        failed = open_leaf(from, leaf, secret, name);
        if (failed)
            return failed;
    }
    from->has = 1;
    return get_entry(from);
}

/* What a byte of a key counts for in the order. */
static int weight(char byte)
{
    return byte == '\0' ? 0 : byte == '/' ? 1 : (unsigned char)byte + 1;
}

static int order_of_keys(const cursor *left, const cursor *right)
{
    size_t both = left->key_size < right->key_size ? left->key_size : right->key_size;
    for (size_t i = 0; i < both; i++)
        if (left->key[i] != right->key[i])
            return weight(left->key[i]) - weight(right->key[i]);
    return left->key_size < right->key_size ? -1 : left->key_size > right->key_size;
}

/* --- differences ------------------------------------------------------------------------------------------------ */

/* Let what is below an entry not be told. */
static int leave_contents(cursor *of)
{
    char *gone = realloc(of->gone, of->key_size + 1);
    if (!gone)
        return -ENOMEM;
    memcpy(gone, of->key, of->key_size);
    gone[of->key_size] = memchr(gone, '\0', of->key_size) ? '/' : '\0';
    of->gone = gone;
    of->gone_size = of->key_size + 1;
    return 0;
}

static int is_left(const cursor *of)
{
    return of->gone && of->key_size >= of->gone_size && !memcmp(of->key, of->gone, of->gone_size);
}

/* The path of an entry, malloc'ed. */
static char *path_of(const cursor *of)
{
    char *path = malloc(of->key_size + 1), *end;
    if (!path)
        return NULL;
    memcpy(path, of->key, of->key_size + 1);
    end = memchr(path, '\0', of->key_size);
    if (end == path) /* the root was chosen */
        memmove(path, path + 1, of->key_size);
    else if (end)
        *end = '/';
    return path;
}

static int tell_one(pb_difftext *out, cursor *of, const char *kind)
{
    PB_FREE char *path = NULL;
    int failed;

    if (is_left(of))
        return 0;
    path = path_of(of);
    failed = path ? pb_difftext_tell(out, kind, path, "%s", "") : -ENOMEM;
    return failed || !S_ISDIR(of->node.mode) ? failed : leave_contents(of);
}

static int tell_both(pb_difftext *out, cursor *old, cursor *new)
{
    PB_FREE char *path = path_of(old);
    int failed = path ? pb_difftext_compare(out, &old->node, &new->node, path) : -ENOMEM;

    if (failed || S_ISDIR(old->node.mode) == S_ISDIR(new->node.mode))
        return failed;
    return leave_contents(S_ISDIR(old->node.mode) ? old : new);
}

static int merge(pb_difftext *out, cursor *old, cursor *new, const pb_secret *secret, char *name, cursor **bad)
{
    int order = 0, failed = 0;

    for (;;) {
        if (!failed && order <= 0 && (failed = next(old, secret, name)))
            *bad = old;
        if (!failed && order >= 0 && (failed = next(new, secret, name)))
            *bad = new;
        if (failed || (!old->has && !new->has))
            return failed;
        order = !old->has ? 1 : !new->has ? -1 : order_of_keys(old, new);
        failed = order < 0   ? tell_one(out, old, "removed")
                 : order > 0 ? tell_one(out, new, "added")
                             : tell_both(out, old, new);
    }
}

/* The fingerprints of a listing's leaves in order, malloc'ed. */
static pb_fingerprint *in_order(const pb_listing *listing)
{
    pb_fingerprint *leaves = malloc((listing->count + (size_t)1) * sizeof *leaves);
    if (leaves && listing->count) {
        memcpy(leaves, listing->leaves, listing->count * sizeof *leaves);
        qsort(leaves, listing->count, sizeof *leaves, pb_fingerprint_order);
    }
    return leaves;
}

static void cursor_free(cursor *of)
{
    free(of->data);
    free(of->key);
    free(of->gone);
}

static int diff(const pb_listing *old, const pb_listing *new, const char *const *folders, const pb_secret *secret,
                pb_difftext *out, pb_error *error)
{
    PB_FREE pb_fingerprint *before = in_order(old), *after = in_order(new);
    cursor left = {.listing = old, .others = after, .other_count = new->count};
    cursor right = {.listing = new, .others = before, .other_count = old->count};
    cursor *bad = NULL;
    char name[PB_LEAF_NAME] = "";
    int failed = before && after ? pb_difftext_start(out) : -ENOMEM;

    if (!failed)
        failed = merge(out, &left, &right, secret, name, &bad);
    if (failed == -EBADMSG || failed == -ENOENT) {
        PB_FREE char *path = NULL;
        if (asprintf(&path, "%s/%s", folders[bad == &right], name) < 0)
            path = NULL;
        pb_fail_detail(error, EBADMSG, "read listing", path ? path : name, "it is missing or damaged");
        failed = -EBADMSG;
    } else if (failed) {
        pb_fail(error, -failed, "compare listings", "%s", folders[1]);
    }
    cursor_free(&left);
    cursor_free(&right);
    return failed;
}

/* Open a listing by its path; *fd and *folder are the caller's to let go of. */
static int open_file(const char *file, const pb_secret *secret, int *fd, char **folder, pb_listing *ret, pb_error *error)
{
    const char *name;
    int failed;

    *folder = pb_listing_folder(file, &name);
    if (!*folder)
        return pb_fail(error, ENOMEM, "read listing", "%s", file);
    *fd = open(*folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    failed = *fd < 0 ? -errno : pb_listing_open(*fd, name, secret, ret);
    if (failed == -EBADMSG || failed == -ENOENT || failed == -EINVAL)
        return pb_fail_detail(error, EBADMSG, "read listing", file, "it is missing or damaged");
    return failed ? pb_fail(error, -failed, "read listing", "%s", file) : 0;
}

int pb_listing_diff(const char *old_file, const char *new_file, const pb_secret *secret, size_t limit, char **ret,
                    uint64_t *total, pb_error *error)
{
    PB_CLOSE int old_fd = -1, new_fd = -1;
    PB_FREE char *old_folder = NULL, *new_folder = NULL;
    pb_listing old = {0}, new = {0};
    pb_difftext out = {.limit = limit};
    int failed = open_file(old_file, secret, &old_fd, &old_folder, &old, error);

    if (!failed)
        failed = open_file(new_file, secret, &new_fd, &new_folder, &new, error);
    if (!failed)
        failed = diff(&old, &new, (const char *const[]){old_folder, new_folder}, secret, &out, error);
    pb_listing_close(&old);
    pb_listing_close(&new);
    if (failed) {
        free(out.text);
        return failed;
    }
    *ret = out.text;
    *total = out.total;
    return 0;
}
