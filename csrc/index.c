/* Index files: the nodes of a tree on disk, for the next build to compare with.
 *
 *     header | nodes | names
 *
 * The header's fingerprint covers nodes and names, and every offset is checked: a damaged or hostile index is as good as none.
 */
#include "index.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { SLICE = 1 << 20 }; /* bytes of an index between two calls that keep it out of memory */

static const char MAGIC[8] = "pbindex";

typedef struct {
    char magic[8];
    uint32_t version, byte_order, node_size, count;
    uint64_t names_size;
    pb_fingerprint secret; /* of the secret that the hashes were made with */
    pb_fingerprint body;   /* of nodes and names */
} header;

static void fingerprint_secret(const pb_secret *secret, pb_fingerprint *ret)
{
    static const char label[] = "which secret";
    if (pb_hash_bytes((const uint8_t *)label, sizeof label, secret, ret))
        memset(ret, 0, sizeof *ret);
}

/* --- loading -------------------------------------------------------------------------------------------- */

void pb_index_close(pb_index *index)
{
    if (index->map)
        munmap(index->map, index->size);
    memset(index, 0, sizeof *index);
}

void pb_index_rest(const pb_index *index)
{
    if (index->map && index->size > SLICE)
        madvise(index->map, index->size, MADV_DONTNEED); /* a hint: what is not done costs memory only */
}

/* Every name ends inside, and every child lies behind its one parent: nobody who follows an index can leave it, go round, or
 * come to a place on two ways. */
static int is_sound(const pb_index *index)
{
    if (!index->count || !index->names_size || index->names[index->names_size - 1])
        return 0;
    for (uint32_t i = 0; i < index->count; i++) {
        const pb_node *node = &index->nodes[i];
        if (node->name >= index->names_size)
            return 0;
        if (i % PB_REST_AFTER == PB_REST_AFTER - 1)
            pb_index_rest(index);
        if (!node->child_count)
            continue;
        if (!S_ISDIR(node->mode) || node->first_child <= i || node->first_child > index->count ||
            node->child_count > index->count - node->first_child)
            return 0;
        for (uint32_t child = node->first_child; child < node->first_child + node->child_count; child++) {
            if (index->nodes[child].parent != i)
                return 0;
            if (child % PB_REST_AFTER == PB_REST_AFTER - 1)
                pb_index_rest(index);
        }
    }
    return 1;
}

/* Whether nodes and names are what was written. */
static int is_whole(const pb_index *index, const pb_secret *secret, const pb_fingerprint *expected)
{
    PB_HASHER pb_hasher *hasher = NULL;
    const char *at = (const char *)index->nodes, *end = (const char *)index->map + index->size;
    pb_fingerprint body;

    if (pb_hasher_new(secret, &hasher))
        return 0;
    while (at < end) {
        size_t size = end - at < SLICE ? (size_t)(end - at) : SLICE;
        pb_hasher_update(hasher, at, size);
        pb_index_rest(index);
        at += size;
    }
    pb_hasher_finish(hasher, &body);
    return !memcmp(&body, expected, sizeof body);
}

void pb_index_load(const char *file, const pb_secret *secret, pb_index *ret)
{
    PB_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    pb_fingerprint expected;
    struct stat stat;
    const header *head;

    memset(ret, 0, sizeof *ret);
    if (fd < 0 || fstat(fd, &stat) || !S_ISREG(stat.st_mode) || (size_t)stat.st_size < sizeof *head)
        return;
    ret->size = (size_t)stat.st_size;
    ret->map = mmap(NULL, ret->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (ret->map == MAP_FAILED) {
        ret->map = NULL;
        return;
    }
    head = ret->map;
    fingerprint_secret(secret, &expected);
    if (!memcmp(head->magic, MAGIC, sizeof MAGIC) && head->version == PB_INDEX_VERSION && head->byte_order == 0x01020304 &&
        head->node_size == sizeof(pb_node) && !memcmp(&head->secret, &expected, sizeof expected) &&
        head->names_size <= ret->size && sizeof *head + (uint64_t)head->count * sizeof(pb_node) + head->names_size == ret->size) {
        ret->nodes = (const pb_node *)(head + 1);
        ret->count = head->count;
        ret->names = (const char *)(ret->nodes + ret->count);
        ret->names_size = head->names_size;
        if (is_whole(ret, secret, &head->body) && is_sound(ret)) {
            pb_index_rest(ret);
            return;
        }
    }
    pb_index_close(ret);
}

/* --- writing ---------------------------------------------------------------------------------------------- */

struct pb_index_writer {
    const char *file;
    char *temporary;
    int fd;
    header head;
    pb_hasher *hasher; /* of what has been written */
    char *buffer;
    size_t used;
    pb_spill names;
    int spare_fd; /* the caller's, where names may lie */
};

enum { BUFFER = 256 * 1024 };

static int flush(pb_index_writer *writer)
{
    const char *at = writer->buffer;

    pb_hasher_update(writer->hasher, writer->buffer, writer->used);
    while (writer->used) {
        ssize_t count = write(writer->fd, at, writer->used);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        at += count;
        writer->used -= (size_t)count;
    }
    return 0;
}

static int put(pb_index_writer *writer, const void *data, size_t size)
{
    while (size) {
        size_t now = size < BUFFER - writer->used ? size : BUFFER - writer->used;
        int failed = now ? 0 : flush(writer);
        if (failed)
            return failed;
        memcpy(writer->buffer + writer->used, data, now);
        writer->used += now;
        data = (const char *)data + now;
        size -= now;
    }
    return 0;
}

static int start_file(pb_index_writer *writer, const char *file, const pb_secret *secret)
{
    int failed = pb_hasher_new(secret, &writer->hasher);

    writer->file = file;
    writer->buffer = malloc(BUFFER);
    if (!failed && (!writer->buffer || asprintf(&writer->temporary, "%s.XXXXXX", file) < 0)) {
        writer->temporary = NULL;
        failed = -ENOMEM;
    }
    if (failed)
        return failed;
    writer->head = (header){.version = PB_INDEX_VERSION, .byte_order = 0x01020304, .node_size = sizeof(pb_node)};
    memcpy(writer->head.magic, MAGIC, sizeof MAGIC);
    fingerprint_secret(secret, &writer->head.secret);
    writer->fd = mkostemp(writer->temporary, O_CLOEXEC);
    if (writer->fd < 0) {
        failed = -errno;
        free(writer->temporary); /* there is no such file to remove */
        writer->temporary = NULL;
        return failed;
    }
    return lseek(writer->fd, sizeof writer->head, SEEK_SET) < 0 ? -errno : 0;
}

int pb_index_start(const char *file, const pb_secret *secret, int spare_fd, pb_index_writer **ret)
{
    pb_index_writer *writer = calloc(1, sizeof *writer);
    int failed;

    if (!writer)
        return -ENOMEM;
    writer->fd = -1;
    writer->spare_fd = spare_fd;
    failed = start_file(writer, file, secret);
    if (failed)
        pb_index_abandon(writer);
    else
        *ret = writer;
    return failed;
}

int pb_index_append(pb_index_writer *writer, const pb_node *node, const char *name)
{
    size_t length = strlen(name) + 1, used = writer->head.names_size;
    pb_node copy = *node;
    int failed = pb_spill_grow(&writer->names, used + length, writer->spare_fd);

    if (failed)
        return failed;
    if (used + length > UINT32_MAX || writer->head.count == PB_NONE - 1)
        return -EFBIG;
    copy.name = (uint32_t)used;
    copy.earlier = PB_NONE;
    memcpy((char *)writer->names.data + used, name, length);
    if (used / SLICE != (used + length) / SLICE)
        pb_spill_rest(&writer->names);
    writer->head.names_size += length;
    writer->head.count++;
    return put(writer, &copy, sizeof copy);
}

int pb_index_finish(pb_index_writer *writer)
{
    int failed = put(writer, writer->names.data, writer->head.names_size);

    if (!failed)
        failed = flush(writer);
    if (failed)
        return failed;
    pb_hasher_finish(writer->hasher, &writer->head.body);
    if (pwrite(writer->fd, &writer->head, sizeof writer->head, 0) != sizeof writer->head)
        return errno ? -errno : -EIO;
    if (rename(writer->temporary, writer->file))
        return -errno;
    free(writer->temporary);
    writer->temporary = NULL;
    return 0;
}

void pb_index_abandon(pb_index_writer *writer)
{
    if (!writer)
        return;
    if (writer->temporary)
        unlink(writer->temporary);
    if (writer->fd >= 0)
        close(writer->fd);
    pb_hasher_free(writer->hasher);
    free(writer->temporary);
    free(writer->buffer);
    pb_spill_free(&writer->names);
    free(writer);
}
