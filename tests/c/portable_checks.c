/* Portable digests and parts of archives from C, to be built with sanitizers: `portable_checks SOURCE FILE…`.
 *
 * With each FILE (of digests that are known, or of what somebody made of one) the source is hashed, twice, and what is known is
 * written to FILE.new and used again: all lines must be the same. */
#include "error.h"
#include "pybuild.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pb_error error;
static char listing[4096];

static void want(int64_t result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %d %s %s %s\n", what, error.code, error.operation, error.path, error.detail);
    exit(1);
}

static void print_digest(const pb_digest *digest)
{
    for (size_t i = 0; i < sizeof digest->bytes; i++)
        printf("%02x", digest->bytes[i]);
}

static uint64_t hash(int source, pb_known *known)
{
    pb_digest digest;
    uint64_t hashed, all = 0;
    pb_tree *tree;

    want(pb_tree_open(source, NULL, NULL, NULL, source, &tree, &error), "open");
    for (int flags = 0; flags < 3; flags++) {
        want(pb_tree_portable(tree, 0, NULL, flags, known, &digest, &hashed, &error), "hash");
        print_digest(&digest);
        all += hashed;
    }
    assert(pb_tree_portable(tree, UINT32_MAX, NULL, 0, known, &digest, &hashed, &error) < 0);
    for (uint32_t turn = 0; turn < 2; turn++) { /* twice the same, and once all that was to read was read by then */
        want(pb_tree_save_portable(tree, &(uint32_t){0}, 1, NULL, 0, known, listing, &hashed, &error), "listing");
        assert(!hashed);
    }
    assert(pb_tree_save_portable(tree, &(uint32_t){UINT32_MAX}, 1, NULL, 0, known, listing, &hashed, &error) < 0);
    pb_tree_free(tree);
    printf("\n");
    return all;
}

static void hash_with(int source, const char *file)
{
    char *kept;
    pb_known *known;

    want(asprintf(&kept, "%s.new", file), "name");
    want(pb_known_open(file, NULL, &known, &error), "open digests");
    hash(source, known);
    assert(!hash(source, known));
    pb_known_free(known);
    want(pb_known_open(kept, NULL, &known, &error), "open digests");
    assert(hash(source, known));
    want(pb_known_save(known, &error), "keep digests");
    pb_known_free(known);
    want(pb_known_open(kept, NULL, &known, &error), "open digests");
    assert(!hash(source, known));
    want(pb_known_save(known, &error), "keep digests");
    pb_known_free(known);
    free(kept);
}

/* Parts of an archive, twice from one writer and in any order, some left in the middle: how long they are together. */
static uint64_t archive(int source, uint32_t parts)
{
    static uint8_t buffer[70000];
    uint64_t size = 0;
    pb_tar_writer *writer;

    want(pb_tar_open(source, PB_TAR_ROOTFS, -1, NULL, &writer, &error), "archive");
    assert(pb_tar_select(writer, parts + 1, parts, -1, &error) < 0);
    assert(pb_tar_select(writer, 0, 0, -1, &error) < 0);
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t part = parts + 1; part-- > 0;) {
            int64_t count;
            want(pb_tar_select(writer, part, parts, 0, &error), "select");
            want(pb_tar_read(writer, buffer, 700, &error), "read");
            want(pb_tar_select(writer, part, parts, part ? -1 : 0, &error), "select");
            while ((count = pb_tar_read(writer, buffer, sizeof buffer, &error)) > 0)
                size += (uint64_t)count - (round ? 0 : (uint64_t)count);
            want(count, "read");
            size -= round ? 1024 : 0; /* the end of each */
        }
    pb_tar_free(writer);
    return size;
}

int main(int count, char **arguments)
{
    int source = count > 2 ? open(arguments[1], O_RDONLY | O_DIRECTORY) : -1;

    want(source, "open");
    snprintf(listing, sizeof listing, "%s.listing", count > 2 ? arguments[2] : "");
    for (int i = 2; i < count; i++)
        hash_with(source, arguments[i]);
    {
        uint64_t whole = archive(source, 1);
        assert(whole && archive(source, 2) == whole && archive(source, 64) == whole);
    }
    close(source);
    return 0;
}
