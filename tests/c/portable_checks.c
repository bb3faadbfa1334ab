/* Portable digests and parts of folders from C, to be built with sanitizers: `portable_checks SOURCE FILE…`.
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

static uint64_t write_pack(const pb_delta *delta, uint32_t pack)
{
    static uint8_t buffer[70000];
    uint64_t size = 0;
    pb_tar_writer *writer;
    int64_t count;

    want(pb_tar_of_delta(delta, pack, &writer, &error), "archive");
    while ((count = pb_tar_read(writer, buffer, sizeof buffer, &error)) > 0)
        size += (uint64_t)count;
    want(count, "read");
    pb_tar_free(writer);
    return size - 1024; /* the end of each */
}

static size_t read_all(const char *file, uint8_t *into, size_t most)
{
    FILE *stream = fopen(file, "r");
    size_t size = stream ? fread(into, 1, most, stream) : 0;

    want(stream ? 0 : -1, "read listing");
    fclose(stream);
    return size;
}

/* All of a folder as a part, in packs: how long they are together. With its listing, whole or as somebody made it, nothing is new in
 * it, or it is damaged, or other things are. */
static uint64_t divide(int source, uint32_t packs, unsigned seed)
{
    static uint8_t data[1 << 20];
    pb_delta_sum sums[2];
    uint64_t size = 0;
    pb_known *known;
    pb_tree *tree;
    pb_delta *delta;
    size_t length;

    want(pb_known_open(NULL, NULL, &known, &error), "open digests");
    want(pb_tree_open(source, NULL, NULL, NULL, source, &tree, &error), "open");
    want(pb_delta_new(tree, known, &delta, &error), "compare");
    want(pb_delta_sums(delta, sums, &error), "sum");
    assert(sums[0].changed && sums[0].fresh && !sums[0].gone && !sums[0].total);
    want(pb_delta_choose(delta, 0, &error), "choose");
    assert(pb_delta_choose(delta, 1, &error) < 0);
    unlink(listing);
    want(pb_delta_save(delta, listing, &error), "save");
    assert(pb_delta_save(delta, listing, &error) < 0);
    want(pb_delta_divide(delta, packs, &error), "divide");
    assert(pb_delta_divide(delta, 0, &error) < 0);
    for (uint32_t pack = 0; pack < packs; pack++)
        size += write_pack(delta, pack);
    pb_tar_writer *none;
    assert(pb_tar_of_delta(delta, packs, &none, &error) < 0);
    length = read_all(listing, data, sizeof data);
    want(pb_delta_add(delta, data, length, &error), "add");
    want(pb_delta_sums(delta, sums, &error), "sum");
    assert(sums[0].changed && !sums[1].changed && !sums[1].gone && sums[1].live == sums[1].total && sums[1].total == sums[0].fresh);
    want(pb_delta_choose(delta, 1, &error), "choose");
    pb_delta_free(delta);
    want(pb_delta_new(tree, known, &delta, &error), "compare");
    for (unsigned left = 1 + seed % 4; left; left--) /* somebody changes or cuts it */
        data[rand_r(&seed) % length] ^= (uint8_t)(1u << rand_r(&seed) % 8);
    if (seed % 3 == 0)
        length = rand_r(&seed) % length;
    if (pb_delta_add(delta, data, length, &error) >= 0 && pb_delta_sums(delta, sums, &error) >= 0) {
        want(pb_delta_choose(delta, 1, &error), "choose");
        unlink(listing);
        if (pb_delta_save(delta, listing, &error) >= 0) {
            want(pb_delta_divide(delta, packs, &error), "divide");
            for (uint32_t pack = 0; pack < packs; pack++)
                write_pack(delta, pack);
        }
    }
    pb_delta_free(delta);
    pb_tree_free(tree);
    pb_known_free(known);
    return size;
}

int main(int count, char **arguments)
{
    int source = count > 2 ? open(arguments[1], O_RDONLY | O_DIRECTORY) : -1;

    want(source, "open");
    snprintf(listing, sizeof listing, "%s.listing", count > 2 ? arguments[2] : "");
    for (int i = 2; i < count; i++)
        hash_with(source, arguments[i]);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t whole = divide(source, 1, 3 * i);
        assert(whole && divide(source, 2, 3 * i + 1) == whole && divide(source, 64, 3 * i + 2) == whole);
    }
    close(source);
    return 0;
}
