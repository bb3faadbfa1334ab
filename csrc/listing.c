/* Writing listings: leaves that are there already are not written again. */
#include "listing.h"
#include "error.h"
#include "write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>

enum {
    MOST = 2048,         /* entries of a leaf; on average it has 256 */
    LARGEST = 16 << 20,  /* bytes of a leaf that is all of a listing */
    FIRST_ROOM = 16 << 10,
    LONGEST_ENTRY = 7 * 10 + 1 + 2 * sizeof(pb_fingerprint) /* but for its name */
};

typedef struct {
    uint8_t *data;
    size_t used, capacity;
} buffer;

typedef struct {
    const pb_secret *secret;
    int folder_fd;
    int whole;        /* there is one leaf */
    buffer leaf;      /* that grows now */
    uint32_t entries; /* of it */
    buffer first;     /* the first leaf, until there is a second */
    buffer leaves;    /* fingerprints of all that are full */
    char *key;        /* of the entry now */
    size_t key_size, key_capacity;
    char *before; /* the key of the entry before in the leaf */
    size_t before_size, before_capacity;
} writer;

static int reserve(buffer *into, size_t more)
{
    if (into->capacity - into->used < more) {
        size_t capacity = into->capacity * 2 + more + FIRST_ROOM;
        uint8_t *data = realloc(into->data, capacity);
        if (!data)
            return -ENOMEM;
        into->data = data;
        into->capacity = capacity;
    }
    return 0;
}

static void put_number(buffer *into, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        into->data[into->used++] = (uint8_t)(number | 0x80);
    into->data[into->used++] = (uint8_t)number;
}

static void put_bytes(buffer *into, const void *data, size_t size)
{
    if (size)
        memcpy(into->data + into->used, data, size);
    into->used += size;
}

void pb_leaf_name(const pb_fingerprint *leaf, char name[PB_LEAF_NAME])
{
    static const char HEX[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof leaf->bytes; i++) {
        *name++ = HEX[leaf->bytes[i] >> 4];
        *name++ = HEX[leaf->bytes[i] & 15];
    }
    memcpy(name, ".leaf", sizeof ".leaf");
}

char *pb_listing_folder(const char *file, const char **name)
{
    const char *slash = strrchr(file, '/');
    *name = slash ? slash + 1 : file;
    return slash ? strndup(file, slash == file ? 1 : (size_t)(slash - file)) : strdup(".");
}

/* A file that takes its place when it is whole. */
static int write_file(int folder_fd, const char *name, const void *head, size_t head_size, const void *data, size_t size)
{
    char temporary[32];
    PB_CLOSE int fd = -1;
    uint64_t number;
    int failed;

    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return -EIO;
    snprintf(temporary, sizeof temporary, ".new-%016llx", (unsigned long long)number);
    fd = openat(folder_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    failed = pb_write_all(fd, head, head_size);
    if (!failed)
        failed = pb_write_all(fd, data, size);
    if (!failed && renameat(folder_fd, temporary, folder_fd, name))
        failed = -errno;
    if (failed)
        unlinkat(folder_fd, temporary, 0);
    return failed;
}

static int write_leaf(const writer *to, const buffer *leaf, const pb_fingerprint *fingerprint)
{
    char name[PB_LEAF_NAME];
    struct stat stat;

    pb_leaf_name(fingerprint, name);
    if (!fstatat(to->folder_fd, name, &stat, AT_SYMLINK_NOFOLLOW) && S_ISREG(stat.st_mode) &&
        (size_t)stat.st_size == leaf->used)
        return 0;
    return write_file(to->folder_fd, name, NULL, 0, leaf->data, leaf->used);
}

/* The leaf that grows is full: into its file, but the first one waits. */
static int end_leaf(writer *to)
{
    pb_fingerprint name;
    int failed = pb_hash_bytes(to->leaf.data, to->leaf.used, to->secret, &name);

    if (!failed)
        failed = reserve(&to->leaves, sizeof name);
    if (failed)
        return failed;
    put_bytes(&to->leaves, &name, sizeof name);
    if (to->leaves.used == sizeof name) {
        buffer empty = to->first;
        to->first = to->leaf;
        to->leaf = empty;
    } else {
        if (to->leaves.used == 2 * sizeof name)
            failed = write_leaf(to, &to->first, (const pb_fingerprint *)to->leaves.data);
        if (!failed)
            failed = write_leaf(to, &to->leaf, &name);
    }
    to->leaf.used = to->entries = 0;
    to->before_size = 0;
    return failed;
}

/* The key of the next entry: the first `kept` bytes of this one and a name. */
static int set_key(writer *to, size_t kept, int separator, const char *name)
{
    size_t length = strlen(name), size = kept + (separator >= 0) + length;

    if (size >= to->key_capacity) {
        char *key = realloc(to->key, size * 2 + 256);
        if (!key)
            return -ENOMEM;
        to->key = key;
        to->key_capacity = size * 2 + 256;
    }
    if (separator >= 0)
        to->key[kept++] = (char)separator;
    memcpy(to->key + kept, name, length);
    to->key_size = size;
    return 0;
}

/* The key of the entry that was put is that of the one before. */
static int keep_key(writer *to)
{
    if (to->key_size >= to->before_capacity) {
        char *before = realloc(to->before, to->key_capacity);
        if (!before)
            return -ENOMEM;
        to->before = before;
        to->before_capacity = to->key_capacity;
    }
    memcpy(to->before, to->key, to->key_size);
    to->before_size = to->key_size;
    return 0;
}

static int cuts_here(const writer *to, int *ret)
{
    pb_fingerprint hash;
    int failed = pb_hash_bytes((const uint8_t *)to->key, to->key_size, to->secret, &hash);
    *ret = !failed && hash.bytes[0] == 0;
    return failed;
}

static int put_entry(writer *to, const pb_node *node, const pb_fingerprint *content, const pb_fingerprint *xattrs, int flags)
{
    static const pb_fingerprint none;
    size_t shared = 0;
    int cuts = 0, failed = to->whole ? 0 : cuts_here(to, &cuts);

    if (!failed && to->entries && (cuts || (to->entries >= MOST && !to->whole)))
        failed = end_leaf(to);
    if (!failed)
        failed = reserve(&to->leaf, LONGEST_ENTRY + to->key_size);
    if (failed)
        return failed;
    if (to->whole && to->leaf.used > LARGEST)
        return -EFBIG;
    while (shared < to->before_size && shared < to->key_size && to->before[shared] == to->key[shared])
        shared++;
    put_number(&to->leaf, shared);
    put_number(&to->leaf, to->key_size - shared);
    put_bytes(&to->leaf, to->key + shared, to->key_size - shared);
    put_number(&to->leaf, node->mode);
    put_number(&to->leaf, flags & PB_WITHOUT_OWNER ? 0 : node->uid);
    put_number(&to->leaf, flags & PB_WITHOUT_OWNER ? 0 : node->gid);
    put_number(&to->leaf, S_ISREG(node->mode) ? node->size : 0);
    put_number(&to->leaf, S_ISCHR(node->mode) || S_ISBLK(node->mode) ? node->rdev : 0);
    if (S_ISREG(node->mode) || S_ISLNK(node->mode))
        put_bytes(&to->leaf, content, sizeof *content);
    to->leaf.data[to->leaf.used++] = memcmp(xattrs, &none, sizeof none) != 0;
    if (memcmp(xattrs, &none, sizeof none))
        put_bytes(&to->leaf, xattrs, sizeof *xattrs);
    to->entries++;
    return keep_key(to);
}

static int write_listing(const writer *to, const char *name)
{
    pb_listing_header head = {.version = PB_LISTING_VERSION, .byte_order = 0x01020304};
    const buffer *body = &to->leaves;
    int failed;

    memcpy(head.magic, PB_LISTING_MAGIC, sizeof head.magic);
    if (to->leaves.used <= sizeof(pb_fingerprint))
        body = &to->first;
    else
        head.count = (uint32_t)(to->leaves.used / sizeof(pb_fingerprint));
    failed = pb_hash_bytes(body->data, body->used, to->secret, &head.body);
    return failed ? failed : write_file(to->folder_fd, name, &head, sizeof head, body->data, body->used);
}

/* --- selections ------------------------------------------------------------------------------------------------- */

/* Bytes in the order of keys. */
static int by_path(const void *left, const void *right)
{
    const unsigned char *a = (const unsigned char *)((const pb_selection *)left)->path;
    const unsigned char *b = (const unsigned char *)((const pb_selection *)right)->path;
    while (*a && *a == *b)
        a++, b++;
    if (*a == *b)
        return 0;
    return (*a == '/' ? 1 : *a ? *a + 1 : 0) - (*b == '/' ? 1 : *b ? *b + 1 : 0);
}

/* What is left of a folder, and the size of its key. */
typedef struct {
    uint32_t next, end;
    size_t key;
} level;

static int put_selection(writer *to, const pb_tree *tree, const pb_selection *chosen, int flags)
{
    PB_FREE level *levels = NULL;
    size_t depth = 0, capacity = 0, passed = 0;
    uint32_t item = 0;
    int failed = set_key(to, 0, -1, chosen->path);

    for (;;) {
        const pb_node *node = &tree->nodes[chosen->list.items[item]];
        pb_tree_pass(tree, passed++);
        if (!failed)
            failed = put_entry(to, node, chosen->content ? &chosen->content[item] : &node->content,
                               chosen->xattrs ? &chosen->xattrs[item] : &node->xattrs, flags);
        if (failed)
            return failed;
        if (depth == capacity) {
            level *more = realloc(levels, (capacity * 2 + 64) * sizeof *levels);
            if (!more)
                return -ENOMEM;
            levels = more;
            capacity = capacity * 2 + 64;
        }
        levels[depth++] = (level){chosen->first[item], chosen->first[item + 1], to->key_size};
        while (depth && levels[depth - 1].next == levels[depth - 1].end)
            depth--;
        if (!depth)
            return 0;
        item = levels[depth - 1].next++;
        failed = set_key(to, levels[depth - 1].key, depth == 1 ? '\0' : '/', pb_tree_name(tree, chosen->list.items[item]));
    }
}

static int put_selections(writer *to, const pb_tree *tree, pb_selection *chosen, size_t count, int flags)
{
    int failed = 0;

    qsort(chosen, count, sizeof *chosen, by_path);
    for (size_t i = 0; !failed && i < count; i++)
        if (!i || strcmp(chosen[i].path, chosen[i - 1].path)) /* named twice, it is there once */
            failed = put_selection(to, tree, &chosen[i], flags);
    return failed || !to->entries ? failed : end_leaf(to);
}

int pb_selection_complete(const pb_tree *tree, uint32_t node, pb_selection *ret, pb_error *error)
{
    ret->path = pb_tree_path(tree, node);
    ret->first = pb_tree_ranges(tree, &ret->list);
    return ret->path && ret->first ? 0 : pb_fail(error, ENOMEM, "write listing", "%s", "");
}

void pb_selection_clear(pb_selection *selected)
{
    free(selected->list.items);
    free(selected->first);
    free(selected->path);
    free(selected->content);
    free(selected->xattrs);
    *selected = (pb_selection){0};
}

int pb_listing_save(const pb_tree *tree, pb_selection *chosen, size_t count, int flags, const pb_secret *secret, int whole,
                    const char *file, pb_error *error)
{
    const char *name;
    PB_FREE char *folder = pb_listing_folder(file, &name);
    PB_CLOSE int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    writer to = {.secret = secret, .folder_fd = fd, .whole = whole};
    int failed = !folder ? -ENOMEM : fd < 0 ? -errno : 0;

    if (!failed)
        failed = put_selections(&to, tree, chosen, count, flags);
    if (!failed)
        failed = write_listing(&to, name);
    free(to.leaf.data);
    free(to.first.data);
    free(to.leaves.data);
    free(to.key);
    free(to.before);
    return failed ? pb_fail(error, -failed, "write listing", "%s", file) : 0;
}

static int select_node(pb_tree *tree, uint32_t node, const pb_ignore *exclude, pb_selection *ret, pb_error *error)
{
    int failed;

    if (node >= tree->count)
        return pb_fail(error, EINVAL, "write listing", "node %u", node);
    failed = pb_tree_collect(tree, node, exclude, &ret->list, error);
    if (!failed)
        failed = pb_tree_hash(tree, ret->list.items, ret->list.count, error);
    return failed ? failed : pb_selection_complete(tree, node, ret, error);
}

int pb_tree_save_listing(pb_tree *tree, const uint32_t *nodes, size_t count, const pb_ignore *exclude, int flags,
                         const char *file, pb_error *error)
{
    PB_FREE pb_selection *chosen = calloc(count + 1, sizeof *chosen);
    size_t used = 0;
    int failed = chosen ? 0 : pb_fail(error, ENOMEM, "write listing", "%s", file);

    for (size_t i = 0; !failed && i < count; i++) {
        failed = select_node(tree, nodes[i], exclude, &chosen[used], error);
        if (failed || chosen[used].list.count)
            used++;
        else
            pb_selection_clear(&chosen[used]); /* left out altogether */
    }
    if (!failed)
        failed = pb_listing_save(tree, chosen, used, flags, &tree->secret, 0, file, error);
    while (used > 0)
        pb_selection_clear(&chosen[--used]);
    return failed;
}
