#include "facts.h"
#include "error.h"
#include "write.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

static const char MAGIC[8] = "pbfacts";

enum { VERSION = 1 };

/* In front of the facts in a file. The files themselves are known by their inodes, which mean nothing once they have been copied to
 * another place: so the folder that they are in is named by its inode and birth, which no copy has. */
typedef struct {
    char magic[8];
    uint32_t version, fact_size;
    uint64_t count, inode;
    int64_t born;
    pb_fingerprint body; /* of the facts, with the secret: others' files are as good as none */
} header;

int pb_fact_list_add(pb_fact_list *facts, const pb_fact *fact)
{
    if (facts->count == facts->capacity) {
        size_t capacity = facts->capacity + facts->capacity / 2 + 256;
        pb_fact *items = realloc(facts->items, capacity * sizeof *items);
        if (!items)
            return -ENOMEM;
        facts->items = items;
        facts->capacity = capacity;
    }
    facts->items[facts->count++] = *fact;
    return 0;
}

int pb_facts_new(const pb_secret *secret, pb_facts **ret)
{
    pb_facts *known = calloc(1, sizeof *known);

    if (!known)
        return -ENOMEM;
    if (secret && secret->size) {
        known->secret_data = malloc(secret->size);
        if (!known->secret_data) {
            free(known);
            return -ENOMEM;
        }
        memcpy(known->secret_data, secret->data, secret->size);
        known->secret = (pb_secret){known->secret_data, secret->size};
    }
    *ret = known;
    return 0;
}

void pb_facts_free(pb_facts *known)
{
    if (!known)
        return;
    free(known->facts.items);
    free(known->secret_data);
    free(known);
}

int pb_facts_fits(const pb_facts *known, const pb_secret *secret)
{
    size_t size = secret ? secret->size : 0;
    return known->secret.size == size && (!size || !memcmp(known->secret.data, secret->data, size));
}

int pb_facts_take(pb_facts *known, pb_fact_list *facts)
{
    pb_fact_list *own = &known->facts;

    if (!own->count) {
        free(own->items);
        *own = *facts;
        known->sorted = 0;
    } else if (facts->count) {
        pb_fact *items = realloc(own->items, (own->count + facts->count) * sizeof *items);
        if (!items)
            return -ENOMEM;
        memcpy(items + own->count, facts->items, facts->count * sizeof *items);
        own->items = items;
        own->count = own->capacity = own->count + facts->count;
        free(facts->items);
    } else {
        free(facts->items);
    }
    memset(facts, 0, sizeof *facts);
    return 0;
}

void pb_facts_clear(pb_facts *known)
{
    known->facts.count = known->sorted = 0;
}

static int by_inode(const void *left, const void *right)
{
    const pb_fact *a = left, *b = right;
    return a->inode < b->inode ? -1 : a->inode > b->inode;
}

int pb_facts_recall(pb_facts *known, pb_node *node)
{
    const pb_fact_list *facts = &known->facts;
    pb_fact wanted = {.inode = node->inode};
    const pb_fact *found;

    if (!facts->count)
        return 0;
    if (known->sorted != facts->count) {
        qsort(facts->items, facts->count, sizeof *facts->items, by_inode);
        known->sorted = facts->count;
    }
    found = bsearch(&wanted, facts->items, facts->count, sizeof *facts->items, by_inode);
    if (!found || found->size != node->size || found->mtime != node->mtime)
        return 0;
    node->content = found->content;
    node->xattrs = found->xattrs;
    node->flags |= PB_NODE_CONTENT | PB_NODE_XATTRS;
    return 1;
}

/* --- files ------------------------------------------------------------------------------------------------- */

/* What names a folder for as long as it exists; 0 where the file system does not know births. */
static int identify(int folder_fd, header *head)
{
    struct statx stat;
    if (statx(folder_fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &stat) || !(stat.stx_mask & STATX_BTIME))
        return 0;
    head->inode = stat.stx_ino;
    head->born = stat.stx_btime.tv_sec * INT64_C(1000000000) + stat.stx_btime.tv_nsec;
    return 1;
}

static int read_all(int fd, void *data, size_t size)
{
    while (size) {
        ssize_t count = read(fd, data, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? -errno : -EBADMSG;
        data = (char *)data + count;
        size -= (size_t)count;
    }
    return 0;
}

int pb_facts_save(const pb_facts *known, int folder_fd, int dir_fd, const char *name, pb_error *error)
{
    header head = {.version = VERSION, .fact_size = sizeof(pb_fact), .count = known->facts.count};
    size_t size = known->facts.count * sizeof(pb_fact);
    PB_CLOSE int fd = -1;
    int failed;

    if (!identify(folder_fd, &head))
        return 0;
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    failed = pb_hash_bytes((const uint8_t *)known->facts.items, size, &known->secret, &head.body);
    if (failed)
        return pb_fail(error, -failed, "hash", "%s", name);
    fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return pb_fail(error, errno, "create", "%s", name);
    failed = pb_write_all(fd, &head, sizeof head);
    if (!failed)
        failed = pb_write_all(fd, known->facts.items, size);
    return failed ? pb_fail(error, -failed, "write", "%s", name) : 1;
}

int pb_facts_load(pb_facts *known, int folder_fd, int dir_fd, const char *name)
{
    PB_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    header head, now = {0};
    pb_fingerprint body;
    struct stat stat;
    pb_fact_list facts = {0};

    if (fd < 0 || fstat(fd, &stat) || !S_ISREG(stat.st_mode) || !identify(folder_fd, &now) || read_all(fd, &head, sizeof head))
        return 0;
    if (memcmp(head.magic, MAGIC, sizeof MAGIC) || head.version != VERSION || head.fact_size != sizeof(pb_fact) ||
        head.inode != now.inode || head.born != now.born || head.count > (uint64_t)stat.st_size / sizeof(pb_fact) ||
        sizeof head + head.count * sizeof(pb_fact) != (uint64_t)stat.st_size)
        return 0;
    facts.items = malloc(head.count * sizeof(pb_fact) + 1);
    if (!facts.items)
        return -ENOMEM;
    facts.count = facts.capacity = head.count;
    if (read_all(fd, facts.items, head.count * sizeof(pb_fact)) ||
        pb_hash_bytes((const uint8_t *)facts.items, head.count * sizeof(pb_fact), &known->secret, &body) ||
        memcmp(&body, &head.body, sizeof body) || pb_facts_take(known, &facts)) {
        free(facts.items);
        return 0;
    }
    return 1;
}
