/* Trees, rules and indexes from C, to be built with sanitizers: `tree_checks DIRECTORY [INDEX…]`.
 *
 * Works through everything that the core does with a tree, then opens it once with each index given (most are damaged), and
 * prints the fingerprint each time. Every result must be the same. */
#include "error.h"
#include "hash.h"
#include "pybuild.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static pb_error error;

static void want(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %d %s %s %s\n", what, error.code, error.operation, error.path, error.detail);
    exit(1);
}

/* One shot, in pieces, and the library itself agree, with a secret and without. */
static void check_hashes(void)
{
    static uint8_t data[70000], secret[192];
    const pb_secret with = {secret, sizeof secret}, without = {0};
    const pb_secret *secrets[] = {&with, &without};

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)(i * 131 + 7);
    for (size_t size = 0; size <= sizeof data; size = size < 300 ? size + 1 : size * 3) {
        for (int k = 0; k < 2; k++) {
            XXH128_hash_t hash = k ? XXH3_128bits(data, size) : XXH3_128bits_withSecret(data, size, secret, sizeof secret);
            XXH128_canonical_t expected;
            pb_fingerprint whole, pieces;
            pb_hasher *hasher;
            XXH128_canonicalFromHash(&expected, hash);
            want(pb_hash_bytes(data, size, secrets[k], &whole), "hash");
            want(pb_hasher_new(secrets[k], &hasher), "hasher");
            for (size_t at = 0; at < size; at += 37)
                pb_hasher_update(hasher, data + at, size - at < 37 ? size - at : 37);
            pb_hasher_finish(hasher, &pieces);
            pb_hasher_free(hasher);
            assert(!memcmp(&whole, expected.digest, 16));
            assert(!memcmp(&whole, &pieces, 16));
        }
    }
    assert(pb_hash_bytes(data, 1, &(pb_secret){secret, 135}, &(pb_fingerprint){0}) < 0);
}

static pb_ignore *rules(const char *text, size_t size)
{
    pb_ignore *made = NULL;
    want(pb_ignore_new(text, size, "", &made, &error), "rules");
    return made;
}

static void check_rules(void)
{
    static const char *const bad[] = {"[", "[^", "a[", "[]", "[a-", "[a-]", "\\", "a\\", "[\\", "[b-a]", "!["};
    static const char *const odd[] = {"", "!", "/", "//", "**", "**/", "***", "a**b**c", "**a**", "\xff", "[\xff-\xff]", "\xe2\x98",
                                      "*/**/*", "/**", "[^/]", "?**?", "**/**/**/**/x"};
    static const char *const paths[] = {"", "/", "a", "a/b", "a//b", "/a/", "\xff", "\xe2", "a/b/c/d/e/f/g/h", "x"};
    pb_ignore *made;
    int rule;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert(pb_ignore_new(bad[i], strlen(bad[i]) + 1, "", &made, &error) < 0 && !strcmp(error.path, bad[i]));
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        made = rules(odd[i], strlen(odd[i]) + 1);
        for (size_t k = 0; k < sizeof paths / sizeof *paths; k++)
            pb_ignore_match(made, paths[k], &rule);
        pb_ignore_free(made);
    }
    made = rules("", 0);
    assert(!pb_ignore_match(made, "a", &rule) && rule == -1);
    pb_ignore_free(made);
}

static void check_errors(void)
{
    char longest[6000];
    memset(longest, 'x', sizeof longest);
    memcpy(longest + sizeof longest - 5, "/end", 5);
    pb_fail(&error, 2, "open", "%s", longest);
    assert(strlen(error.path) == sizeof error.path - 1 && !strcmp(error.path + sizeof error.path - 5, "/end"));
    pb_fail_detail(&error, 2, "open", longest, "%s", longest);
    assert(strlen(error.path) == sizeof error.path - 1 && !strcmp(error.path + sizeof error.path - 5, "/end"));
    assert(strlen(error.detail) == sizeof error.detail - 1);
    assert(pb_fail(NULL, 5, "x", "%s", "") == -5);
}

static void print_fingerprint(int fd, const char *index, const pb_ignore *ignore, const char *save)
{
    pb_tree *tree;
    pb_fingerprint found;
    uint32_t node;

    want(pb_tree_open(fd, ignore, NULL, index, fd, &tree, &error), "open");
    if (index && !pb_tree_find(tree, "d1", 1, &node, &error)) { /* what was not looked at is written from the index */
        want(pb_tree_save(tree, save, &error), "save");
    }
    want(pb_tree_fingerprint(tree, 0, NULL, 0, &found, &error), "fingerprint");
    want(pb_tree_save(tree, save, &error), "save");
    for (int i = 0; i < 16; i++)
        printf("%02x", found.bytes[i]);
    printf("\n");
    pb_tree_free(tree);
}

static void check_selections(int fd, const char *scratch)
{
    static const char exceptions[] = "**\0!**/f*\0!d1/**\0d1/e\0a**b\0[^x]y";
    static const char some[] = "**/f1\0d0/*\0!d0/e";
    static const char *const patterns[] = {"*", "**", "d?/*", "**/f*", "**/**", "no/*", "d1/[^x]*", "*/*/*/*"};
    static const char *const paths[] = {"", "..", "d0/f0/x", "link/f1", "loop", "d0/../d1/./f1", "nothing", "dangling"};
    pb_ignore *ignore = rules(exceptions, sizeof exceptions), *exclude = rules(some, sizeof some);
    char old[4096], new[4096], *text;
    uint64_t total, entries, bytes, links;
    uint32_t all[] = {0, 0}, node, *found;
    size_t count;

    snprintf(old, sizeof old, "%s.old", scratch);
    snprintf(new, sizeof new, "%s.new", scratch);
    for (int i = 0; i < 2; i++) {
        pb_tree *tree;
        want(pb_tree_open(fd, i ? ignore : NULL, NULL, NULL, fd, &tree, &error), "open");
        for (size_t k = 0; k < sizeof paths / sizeof *paths; k++) {
            pb_tree_find(tree, paths[k], 0, &node, &error);
            if (!pb_tree_find(tree, paths[k], 1, &node, &error)) {
                pb_entry entry;
                char path[512], tiny[1];
                want(pb_tree_entry(tree, node, &entry, path, sizeof path, &error), "entry");
                pb_tree_entry(tree, node, &entry, tiny, sizeof tiny, &error);
            }
        }
        for (size_t k = 0; k < 2 * sizeof patterns / sizeof *patterns; k++) {
            want(pb_tree_glob(tree, patterns[k / 2], k % 2, &found, &count, &error), "glob");
            pb_free(found);
        }
        assert(pb_tree_glob(tree, "[", 0, &found, &count, &error) < 0);
        want(pb_tree_measure(tree, 0, i ? NULL : exclude, &entries, &bytes, &links, &error), "measure");
        want(pb_tree_save_listing(tree, all, 2, i ? NULL : exclude, PB_WITHOUT_OWNER, i ? new : old, &error), "listing");
        pb_tree_free(tree);
    }
    for (size_t limit = 0; limit < 20; limit += 19) {
        want(pb_listing_diff(old, new, NULL, limit, &text, &total, &error), "diff");
        assert(total > 0 && (limit || !*text));
        pb_free(text);
    }
    assert(pb_listing_diff(old, "/no/such", NULL, 1, &text, &total, &error) < 0);
    assert(pb_listing_sweep("/no/such", NULL, &total, &error) == 0 && total == 0);
    assert(pb_listing_sweep(old, NULL, &total, &error) < 0); /* a file */
    print_fingerprint(fd, NULL, ignore, scratch);
    pb_ignore_free(ignore);
    pb_ignore_free(exclude);
}

int main(int count, char **arguments)
{
    int fd = count > 2 ? open(arguments[1], O_RDONLY | O_DIRECTORY) : -1;

    if (fd < 0)
        return 2;
    check_hashes();
    check_rules();
    check_errors();
    check_selections(fd, arguments[2]);
    for (int i = 3; i < count; i++) {
        print_fingerprint(fd, NULL, NULL, arguments[2]);
        print_fingerprint(fd, arguments[2], NULL, arguments[2]);
        print_fingerprint(fd, arguments[i], NULL, arguments[2]);
    }
    close(fd);
    return 0;
}
