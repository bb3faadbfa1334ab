/* Index files: the nodes of a tree on disk, for the next build to compare with, and listings in the same form.
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
        if (!node->child_count)
            continue;
        if (!S_ISDIR(node->mode) || node->first_child <= i || node->first_child > index->count ||
            node->child_count > index->count - node->first_child)
            return 0;
        for (uint32_t k = 0; k < node->child_count; k++)
            if (index->nodes[node->first_child + k].parent != i)
                return 0;
    }
    return 1;
}

void pb_index_load(const char *file, const pb_secret *secret, pb_index *ret)
{
    PB_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    pb_fingerprint expected, body;
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
        pb_hash_bytes((const uint8_t *)ret->nodes, ret->size - sizeof *head, secret, &body);
        if (!memcmp(&body, &head->body, sizeof body) && is_sound(ret))
            return;
    }
    pb_index_close(ret);
}

/* --- writing ---------------------------------------------------------------------------------------------- */

int pb_index_append(pb_index_writer *writer, const pb_node *node, const char *name)
{
    size_t length = strlen(name) + 1;
    if (writer->count == writer->capacity) {
        uint32_t capacity = writer->capacity * 2 + 1024;
        pb_node *nodes = realloc(writer->nodes, (size_t)capacity * sizeof *nodes);
        if (!nodes)
            return -ENOMEM;
        writer->nodes = nodes;
        writer->capacity = capacity;
    }
    if (writer->names_size + length > writer->names_capacity) {
        size_t capacity = writer->names_capacity * 2 + length + 16384;
        char *names = realloc(writer->names, capacity);
        if (!names)
            return -ENOMEM;
        writer->names = names;
        writer->names_capacity = capacity;
    }
    if (writer->names_size + length > UINT32_MAX || writer->count == PB_NONE - 1)
        return -EFBIG;
    writer->nodes[writer->count] = *node;
    writer->nodes[writer->count].name = (uint32_t)writer->names_size;
    writer->nodes[writer->count].first_child = writer->nodes[writer->count].child_count = 0;
    memcpy(writer->names + writer->names_size, name, length);
    writer->names_size += length;
    writer->count++;
    return 0;
}

void pb_index_writer_cleanup(pb_index_writer *writer)
{
    free(writer->nodes);
    free(writer->names);
    free(writer->from);
}

static int write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size) {
        ssize_t count = write(fd, at, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        at += count;
        size -= (size_t)count;
    }
    return 0;
}

int pb_index_write(const pb_index_writer *writer, const pb_secret *secret, const char *file, pb_error *error)
{
    PB_FREE char *temporary = NULL;
    PB_CLOSE int fd = -1;
    PB_HASHER pb_hasher *hasher = NULL;
    header head = {.version = PB_INDEX_VERSION,
                   .byte_order = 0x01020304,
                   .node_size = sizeof(pb_node),
                   .count = writer->count,
                   .names_size = writer->names_size};
    size_t nodes_size = (size_t)writer->count * sizeof(pb_node);
    int failed = pb_hasher_new(secret, &hasher);

    if (!failed && asprintf(&temporary, "%s.XXXXXX", file) < 0) {
        temporary = NULL;
        failed = -ENOMEM;
    }
    if (failed)
        return pb_fail(error, -failed, "write index", "%s", file);
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    fingerprint_secret(secret, &head.secret);
    pb_hasher_update(hasher, writer->nodes, nodes_size);
    pb_hasher_update(hasher, writer->names, writer->names_size);
    pb_hasher_finish(hasher, &head.body);
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return pb_fail(error, errno, "write index", "%s", file);
    failed = write_all(fd, &head, sizeof head);
    if (!failed)
        failed = write_all(fd, writer->nodes, nodes_size);
    if (!failed)
        failed = write_all(fd, writer->names, writer->names_size);
    if (!failed && rename(temporary, file))
        failed = -errno;
    if (failed) {
        unlink(temporary);
        return pb_fail(error, -failed, "write index", "%s", file);
    }
    return 0;
}

/* Where a node being written comes from: the tree, or the part of the earlier index that nobody looked at this time. */
static int add_from(pb_index_writer *writer, pb_source source)
{
    if (writer->from_count == writer->from_capacity) {
        uint32_t capacity = writer->from_capacity * 2 + 1024;
        pb_source *from = realloc(writer->from, (size_t)capacity * sizeof *from);
        if (!from)
            return -ENOMEM;
        writer->from = from;
        writer->from_capacity = capacity;
    }
    writer->from[writer->from_count++] = source;
    return 0;
}

/* Files that changed so lately that a further change could leave the same times are not remembered: git calls them racy. The
 * kernel's clock for files goes in steps of up to 10 ms; some file systems keep whole seconds (ext3, ext4 with small inodes,
 * FAT: two of them), which shows in the times. */
static int is_racy(const pb_tree *tree, const pb_node *node)
{
    static const int64_t millisecond = 1000 * 1000;
    int64_t grain = node->ctime % (10 * millisecond) ? 20 * millisecond : 2020 * millisecond;
    return node->ctime >= tree->opened - grain;
}

static int append_children(pb_tree *tree, pb_index_writer *writer, uint32_t written)
{
    pb_source source = writer->from[written];
    const pb_node *nodes = source.earlier ? tree->index.nodes : tree->nodes;
    const char *names = source.earlier ? tree->index.names : tree->names;
    const pb_node *node = &nodes[source.node];

    if (!S_ISDIR(node->mode))
        return 0;
    if (!source.earlier && !(node->flags & PB_NODE_READ) && node->earlier != PB_NONE) {
        source = (pb_source){node->earlier, 1};
        nodes = tree->index.nodes;
        names = tree->index.names;
        node = &nodes[source.node];
    }
    if (!node->child_count)
        return 0;
    writer->nodes[written].first_child = writer->count;
    for (uint32_t i = 0; i < node->child_count; i++) {
        pb_node copy = nodes[node->first_child + i];
        int failed;
        if (copy.flags & PB_NODE_GONE)
            continue;
        copy.parent = written;
        copy.earlier = PB_NONE;
        copy.flags &= PB_NODE_CONTENT | PB_NODE_XATTRS;
        if (!source.earlier && is_racy(tree, &copy))
            copy.flags = 0;
        failed = pb_index_append(writer, &copy, names + copy.name);
        if (!failed)
            failed = add_from(writer, (pb_source){node->first_child + i, source.earlier});
        if (failed)
            return failed;
        writer->nodes[written].child_count++;
    }
    return 0;
}

int pb_tree_save(pb_tree *tree, const char *file, pb_error *error)
{
    PB_INDEX_WRITER pb_index_writer writer = {0};
    pb_node root = tree->nodes[0];
    int failed;

    root.flags = 0;
    root.earlier = PB_NONE;
    failed = pb_index_append(&writer, &root, "");
    if (!failed)
        failed = add_from(&writer, (pb_source){0, 0});
    for (uint32_t i = 0; !failed && i < writer.count; i++)
        failed = append_children(tree, &writer, i);
    if (failed)
        return pb_fail(error, -failed, "write index", "%s", file);
    return pb_index_write(&writer, &tree->secret, file, error);
}
