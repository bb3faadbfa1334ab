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

int pb_facts_new(const pb_secret *secret, int spare_fd, pb_facts **ret)
{
    pb_facts *known = calloc(1, sizeof *known);

    if (!known)
        return -ENOMEM;
    known->spare_fd = spare_fd < 0 ? -1 : fcntl(spare_fd, F_DUPFD_CLOEXEC, 3);
    if (secret && secret->size) {
        known->secret_data = malloc(secret->size);
        if (!known->secret_data) {
            pb_facts_free(known);
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
    if (known->spare_fd >= 0)
        close(known->spare_fd);
    pb_spill_free(&known->room);
    free(known->secret_data);
    free(known);
}

int pb_facts_fits(const pb_facts *known, const pb_secret *secret)
{
    size_t size = secret ? secret->size : 0;
    return known->secret.size == size && (!size || !memcmp(known->secret.data, secret->data, size));
}

int pb_facts_add(pb_facts *known, const pb_fact *facts, size_t count)
{
    int failed = pb_spill_grow(&known->room, (known->count + count) * sizeof *facts, known->spare_fd);

    known->facts = known->room.data;
    if (failed || !count)
        return failed;
    memcpy(known->facts + known->count, facts, count * sizeof *facts);
    if (known->count / PB_REST_AFTER != (known->count + count) / PB_REST_AFTER)
        pb_spill_rest(&known->room);
    known->count += count;
    return 0;
}

int pb_facts_take(pb_facts *known, pb_fact_list *facts)
{
    int failed = pb_facts_add(known, facts->items, facts->count);

    facts->count = 0;
    return failed;
}

void pb_facts_clear(pb_facts *known)
{
    known->count = known->sorted = 0;
}

static int by_inode(const void *left, const void *right)
{
    const pb_fact *a = left, *b = right;
    return a->inode < b->inode ? -1 : a->inode > b->inode;
}

/* Bring them into order; most are. */
static void sort(pb_facts *known)
{
    size_t ordered = known->sorted ? known->sorted : 1;

    while (ordered < known->count && known->facts[ordered - 1].inode <= known->facts[ordered].inode)
        if (++ordered % PB_REST_AFTER == 0)
            pb_spill_rest(&known->room);
    if (ordered < known->count)
        qsort(known->facts, known->count, sizeof *known->facts, by_inode);
    known->sorted = known->count;
    pb_spill_rest(&known->room);
}

int pb_facts_recall(pb_facts *known, pb_node *node)
{
    pb_fact wanted = {.inode = node->inode};
    const pb_fact *found;

    if (!known->count)
        return 0;
    if (known->sorted != known->count)
        sort(known);
    if (++known->recalled % PB_REST_AFTER == 0)
        pb_spill_rest(&known->room);
    found = bsearch(&wanted, known->facts, known->count, sizeof *known->facts, by_inode);
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

/* The fingerprint of some facts. */
static int hash_facts(const pb_facts *known, size_t first, size_t end, pb_fingerprint *ret)
{
    PB_HASHER pb_hasher *hasher = NULL;
    int failed = pb_hasher_new(&known->secret, &hasher);

    while (!failed && first < end) {
        size_t count = end - first < PB_REST_AFTER ? end - first : PB_REST_AFTER;
        pb_hasher_update(hasher, known->facts + first, count * sizeof *known->facts);
        pb_spill_rest(&known->room);
        first += count;
    }
    if (!failed)
        pb_hasher_finish(hasher, ret);
    return failed;
}

static int write_facts(const pb_facts *known, int fd)
{
    int failed = 0;

    for (size_t first = 0; !failed && first < known->count; first += PB_REST_AFTER) {
        size_t count = known->count - first < PB_REST_AFTER ? known->count - first : PB_REST_AFTER;
        failed = pb_write_all(fd, known->facts + first, count * sizeof *known->facts);
        pb_spill_rest(&known->room);
    }
    return failed;
}

static int read_facts(pb_facts *known, int fd, size_t count)
{
    size_t left = count;
    int failed = pb_spill_grow(&known->room, (known->count + count) * sizeof *known->facts, known->spare_fd);

    known->facts = known->room.data;
    while (!failed && left) {
        size_t part = left < PB_REST_AFTER ? left : PB_REST_AFTER;
        failed = read_all(fd, known->facts + known->count + (count - left), part * sizeof *known->facts);
        pb_spill_rest(&known->room);
        left -= part;
    }
    return failed;
}

int pb_facts_save(const pb_facts *known, int folder_fd, int dir_fd, const char *name, pb_error *error)
{
    header head = {.version = VERSION, .fact_size = sizeof(pb_fact), .count = known->count};
    PB_CLOSE int fd = -1;
    int failed;

    if (!identify(folder_fd, &head))
        return 0;
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    failed = hash_facts(known, 0, known->count, &head.body);
    if (failed)
        return pb_fail(error, -failed, "hash", "%s", name);
    fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return pb_fail(error, errno, "create", "%s", name);
    failed = pb_write_all(fd, &head, sizeof head);
    if (!failed)
        failed = write_facts(known, fd);
    return failed ? pb_fail(error, -failed, "write", "%s", name) : 1;
}

int pb_facts_load(pb_facts *known, int folder_fd, int dir_fd, const char *name)
{
    PB_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    header head, now = {0};
    pb_fingerprint body;
    struct stat stat;
    int failed;

    if (fd < 0 || fstat(fd, &stat) || !S_ISREG(stat.st_mode) || !identify(folder_fd, &now) || read_all(fd, &head, sizeof head))
        return 0;
    if (memcmp(head.magic, MAGIC, sizeof MAGIC) || head.version != VERSION || head.fact_size != sizeof(pb_fact) ||
        head.inode != now.inode || head.born != now.born || head.count > (uint64_t)stat.st_size / sizeof(pb_fact) ||
        sizeof head + head.count * sizeof(pb_fact) != (uint64_t)stat.st_size)
        return 0;
    failed = read_facts(known, fd, head.count);
    if (failed == -ENOMEM)
        return failed;
    if (failed || hash_facts(known, known->count, known->count + head.count, &body) || memcmp(&body, &head.body, sizeof body))
        return 0;
    known->count += head.count;
    return 1;
}
