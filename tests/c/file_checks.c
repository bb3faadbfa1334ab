/* Copies, links, changes and archives from C, to be built with sanitizers: `file_checks SOURCE FOLDER [ARCHIVE…]`.
 *
 * Brings the source into folders of FOLDER in each way that the core knows, and prints the fingerprint of each: all must be the
 * same. Then unpacks the archives, most of which are damaged; how those end does not matter, as long as they end. */
#include "error.h"
#include "pybuild.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pb_error error;

static void want(int64_t result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %d %s %s %s\n", what, error.code, error.operation, error.path, error.detail);
    exit(1);
}

static int make_folder(int above, const char *name)
{
    int fd;
    want(mkdirat(above, name, 0755), name);
    fd = openat(above, name, O_RDONLY | O_DIRECTORY);
    want(fd, name);
    return fd;
}

static void print_changes(int fd)
{
    pb_changes changes;
    want(pb_upper_settle(fd, -1, NULL, NULL, &changes, &error), "settle");
    for (size_t i = 0; i < sizeof changes.fingerprint.bytes; i++)
        printf("%02x", changes.fingerprint.bytes[i]);
    printf(" %llu %llu\n", (unsigned long long)changes.entries, (unsigned long long)changes.bytes);
}

static void copy_with_rules(int source, int dest)
{
    pb_copy_options options = {.uid = -1, .gid = -1, .mode = -1, .parent_mode = -1, .keep_directory_times = 1, .time = -1};
    pb_copy_result result;
    pb_copier *copier;
    pb_tree *tree;
    char *list;
    size_t size;
    uint32_t node;

    want(pb_tree_open(source, NULL, NULL, NULL, source, &tree, &error), "open");
    want(pb_copier_new(dest, &options, &copier, &error), "copier");
    want(pb_copier_add(copier, tree, 0, "/", NULL, NULL, &error), "add");
    want(pb_tree_find(tree, "d0", 1, &node, &error), "find");
    assert(pb_copier_add(copier, tree, node, "/d1/f1", NULL, NULL, &error) < 0);
    assert(pb_copier_add(copier, tree, UINT32_MAX, "/x", NULL, NULL, &error) < 0);
    want(pb_copier_finish(copier, &result, &error), "finish");
    want(pb_tree_list(tree, 0, NULL, &list, &size, &error), "list");
    assert(size > 0 && list[size - 1] == '\0');
    pb_free(list);
    assert(pb_tree_list(tree, UINT32_MAX, NULL, &list, &size, &error) < 0);
    pb_copier_free(copier);
    pb_tree_free(tree);
}

/* Past the mount, and with what is known of the copies then. */
static void copy_past(int source, int dest)
{
    pb_copy_options options = {.uid = -1, .gid = -1, .mode = -1, .parent_mode = -1, .keep_directory_times = 1, .time = -1};
    pb_copy_result result;
    pb_fingerprint fingerprint;
    pb_changes changes;
    pb_facts *facts;
    pb_tree *tree;

    want(pb_tree_open(source, NULL, NULL, NULL, source, &tree, &error), "open");
    want(pb_tree_fingerprint(tree, 0, NULL, 0, &fingerprint, &error), "fingerprint");
    want(pb_facts_new(NULL, source, &facts), "facts");
    want(pb_copy_folder(tree, 0, NULL, &options, dest, -1, "", facts, &result, &error), "copy past");
    assert(pb_copy_folder(tree, 0, NULL, &options, dest, -1, "", facts, &result, &error) < 0);
    assert(pb_copy_folder(tree, 0, NULL, &options, dest, -1, "no/such", facts, &result, &error) < 0);
    want(pb_upper_settle(dest, -1, NULL, facts, &changes, &error), "settle");
    want(pb_facts_save(facts, dest, dest, "facts", &error), "save");
    want(pb_facts_load(facts, dest, dest, "facts"), "load");
    want(pb_upper_settle(dest, -1, NULL, facts, &changes, &error), "settle");
    want(unlinkat(dest, "facts", 0), "unlink");
    pb_facts_free(facts);
    pb_tree_free(tree);
}

static int unpack(int dest, const uint8_t *data, size_t size, size_t piece)
{
    pb_untar_result result;
    pb_untar *untar;
    int failed = pb_untar_open(dest, "", PB_UNTAR_REMOVALS, -1, -1, 1 << 24, 10000, &untar, &error);

    want(failed, "untar");
    for (size_t at = 0; !failed && at < size; at += piece)
        failed = pb_untar_feed(untar, data + at, size - at < piece ? size - at : piece, &error);
    if (!failed)
        failed = pb_untar_finish(untar, &result, &error);
    pb_untar_free(untar);
    return failed;
}

static uint8_t *pack(int source, size_t *size)
{
    size_t capacity = 1 << 22;
    uint8_t *data = malloc(capacity);
    pb_tar_writer *writer;
    int64_t count;

    assert(data);
    *size = 0;
    want(pb_tar_open(source, PB_TAR_ROOTFS, -1, NULL, &writer, &error), "tar");
    while ((count = pb_tar_read(writer, data + *size, 4099, &error)) > 0) {
        *size += (size_t)count;
        assert(*size + 4099 < capacity);
    }
    want(count, "tar");
    pb_tar_free(writer);
    return data;
}

static void unpack_file(int above, const char *path, int number)
{
    char name[32];
    static uint8_t data[1 << 22];
    int fd = open(path, O_RDONLY), dest;
    ssize_t size = fd < 0 ? -1 : read(fd, data, sizeof data);

    want(size, path);
    close(fd);
    snprintf(name, sizeof name, "broken%d", number);
    dest = make_folder(above, name);
    unpack(dest, data, (size_t)size, number % 2 ? 512 : 777);
    close(dest);
    want(pb_remove_tree(above, name, &error), "remove");
}

/* The folder that was linked from another takes no room of its own. */
static void measure(int above, const char *const *ways)
{
    pb_usages *usages;
    pb_usage usage[4];

    want(pb_usages_new(&usages, &error), "measure");
    for (int i = 0; i < 4; i++)
        want(pb_usages_add(usages, above, ways[i], &usage[i], &error), "measure");
    assert(usage[0].fresh == usage[0].bytes && usage[1].own == usage[1].bytes);
    assert(usage[2].fresh == usage[2].own && usage[2].fresh < usage[2].bytes);
    assert(usage[2].bytes == usage[0].bytes && usage[2].entries == usage[0].entries);
    assert(pb_usages_add(usages, above, "missing", &usage[0], &error) == -ENOENT);
    pb_usages_free(usages);
}

/* A copy of the whole has everything twice, and an empty folder nothing; the other way round nothing is above anything. */
static void compare(int above, int source, int copy)
{
    int empty = make_folder(above, "empty");
    pb_waste found, none;

    want(pb_layer_waste(copy, source, &found, &error), "waste");
    assert(found.copied_files > 0 && !found.replaced_files && !found.removed_bytes && found.copied_path[0]);
    want(pb_layer_waste(copy, empty, &none, &error), "waste");
    assert(!none.copied_files && !none.replaced_files && !none.removed_entries && !none.copied_path[0]);
    want(pb_layer_waste(empty, source, &none, &error), "waste");
    assert(!none.copied_files && !none.removed_entries);
    assert(pb_layer_waste(-1, source, &none, &error) < 0);
    close(empty);
    want(pb_remove_tree(above, "empty", &error), "remove");
}

int main(int count, char **arguments)
{
    int source = count > 2 ? open(arguments[1], O_RDONLY | O_DIRECTORY) : -1;
    int above = count > 2 ? open(arguments[2], O_RDONLY | O_DIRECTORY) : -1;
    static const char *const ways[] = {"copied", "whole", "linked", "unpacked", "past"};
    pb_copy_result result;
    int folders[5];
    uint8_t *data;
    size_t size;

    if (source < 0 || above < 0)
        return 2;
    for (int i = 0; i < 5; i++)
        folders[i] = make_folder(above, ways[i]);
    copy_with_rules(source, folders[0]);
    want(pb_copy_rootfs(source, folders[1], 1, &result, &error), "copy");
    want(pb_link_tree(folders[0], folders[2], &error), "link");
    assert(pb_link_tree(folders[0], folders[2], &error) < 0);
    data = pack(source, &size);
    want(unpack(folders[3], data, size, 313), "unpack");
    free(data);
    copy_past(source, folders[4]);
    measure(above, ways);
    compare(above, source, folders[1]);
    for (int i = 0; i < 5; i++) {
        print_changes(folders[i]);
        close(folders[i]);
        want(pb_remove_tree(above, ways[i], &error), "remove");
    }
    for (int i = 3; i < count; i++)
        unpack_file(above, arguments[i], i);
    close(source);
    close(above);
    return 0;
}
