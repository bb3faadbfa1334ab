/* The contents of a folder, copied straight into the upper directory of an overlay that is not mounted.
 *
 * A new file costs less than half there of what it does through the mount, and two threads can make them. The outcome is that of the
 * mount: where the merged view below has a folder of the same path, the two are merged; where it has anything else, the
 * new entry hides it, or cannot be made.
 */
#include "copyfile.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

enum { THREADS = 2, WORTH_A_THREAD = 64, AT_ONCE = 256, FACTS_AT_ONCE = 1024,
       REST_AFTER = PB_REST_AFTER / AT_ONCE + 1 /* portions */ };

/* Some entries of one folder, for one thread at a time. */
typedef struct {
    uint32_t folder, first, end; /* places in the list */
} portion;

typedef struct {
    pb_copier *copier; /* what holds for all: options, links, what was copied */
    pb_tree *tree;     /* not changed while threads work */
    pb_nodes list;     /* all that is copied; the folder itself first */
    uint32_t *ranges;  /* where in the list the contents of each of its items begin */
    pb_doubles doubles; /* of the list */
    uint8_t *merged;   /* for each item of the list: the view below has a folder there */
    int top_fd, lower_fd; /* the destination: in the upper directory, and in the view below or -1 */
    portion *portions;
    size_t portion_count;
    atomic_size_t next;
    atomic_int failed; /* errno of the first failure */
    pthread_mutex_t lock;
    pb_error *error; /* of the first failure, under the lock */
    pb_facts *known;
} task;

/* The folder that an item of the list is, on all three sides. */
typedef struct {
    char *path; /* from the top */
    int source, dest, lower;
} sides;

static void close_sides(sides *at)
{
    free(at->path);
    if (at->source >= 0)
        close(at->source);
    if (at->dest >= 0)
        close(at->dest);
    if (at->lower >= 0)
        close(at->lower);
}

#define SIDES __attribute__((cleanup(close_sides)))

static int open_sides(const task *work, size_t item, sides *ret, pb_error *error)
{
    uint32_t node = work->list.items[item];

    *ret = (sides){.path = pb_tree_path_below(work->tree, work->list.items[0], node), .source = -1, .dest = -1, .lower = -1};
    if (!ret->path)
        return pb_fail(error, ENOMEM, "copy", "%s", "");
    ret->source = pb_tree_open_node(work->tree, node, O_RDONLY | O_DIRECTORY, error);
    if (ret->source < 0)
        return ret->source;
    ret->dest = pb_path_open_below(work->top_fd, ret->path, O_RDONLY | O_DIRECTORY);
    if (ret->dest < 0)
        return pb_fail(error, -ret->dest, "open", "%s", ret->path);
    if (!work->merged[item])
        return 0;
    ret->lower = pb_path_open_below(work->lower_fd, ret->path, O_RDONLY | O_DIRECTORY);
    return ret->lower < 0 ? pb_fail(error, -ret->lower, "open", "%s", ret->path) : 0;
}

/* What the view below has of a name: the type bits of its mode, 0 for nothing. */
static int look_below(const sides *at, const char *name, mode_t *ret, pb_error *error)
{
    struct stat stat;

    *ret = 0;
    if (at->lower < 0)
        return 0;
    if (fstatat(at->lower, name, &stat, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : pb_fail(error, errno, "stat", "%s", name);
    *ret = stat.st_mode & S_IFMT;
    return 0;
}

/* --- folders ------------------------------------------------------------------------------------------------- */

/* What is of a folder below stays, as far as the one that is merged into it says nothing about it. */
static int take_over(int lower_dir, const char *name, int dest, int64_t *time)
{
    PB_CLOSE int lower = openat(lower_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat stat;
    int refused;

    if (lower < 0 || fstat(lower, &stat))
        return -errno;
    *time = stat.st_mtim.tv_sec * INT64_C(1000000000) + stat.st_mtim.tv_nsec;
    refused = pb_copy_xattrs(lower, dest);
    return refused < 0 ? refused : 0;
}

static int make_folder(task *work, const sides *at, size_t item, pb_error *error)
{
    uint32_t node = work->list.items[item];
    const char *name = pb_tree_name(work->tree, node);
    PB_CLOSE int fd = -1;
    int64_t time = 0;
    struct stat now;
    mode_t below;
    int failed = look_below(at, name, &below, error);

    if (failed)
        return failed;
    if (below && !S_ISDIR(below))
        return pb_fail_detail(error, ENOTDIR, "copy", name, "the destination has something else there than a directory");
    if (mkdirat(at->dest, name, 0700))
        return pb_fail(error, errno, "make directory", "%s", name);
    fd = openat(at->dest, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &now))
        return pb_fail(error, errno, "open", "%s", name);
    work->merged[item] = below != 0;
    failed = below ? take_over(at->lower, name, fd, &time) : 0;
    if (failed)
        return pb_fail(error, -failed, "set the attributes of", "%s", name);
    failed = pb_copy_attributes(work->copier, work->tree, node, -1, fd, &now, error);
    if (failed < 0)
        return failed;
    failed = below ? pb_set_times(fd, time) : 0;
    work->copier->result.directories++;
    return failed ? pb_fail(error, -failed, "set the times of", "%s", name) : 0;
}

/* Make all folders, parents first, and cut what is to be put into them into portions. */
static int make_folders(task *work, pb_nodes *folders, pb_error *error)
{
    size_t capacity = 0;

    for (size_t item = 0; item < work->list.count; item++) {
        pb_tree_pass(work->tree, item);
        uint32_t first = work->ranges[item], end = work->ranges[item + 1];
        SIDES sides at = {.source = -1, .dest = -1, .lower = -1};
        int failed = 0;
        if (!S_ISDIR(work->tree->nodes[work->list.items[item]].mode))
            continue;
        if (pb_nodes_add(folders, work->list.items[item]))
            return pb_fail(error, ENOMEM, "copy", "%s", "");
        for (uint32_t i = first; i < end; i++) {
            pb_tree_pass(work->tree, i);
            if (!S_ISDIR(work->tree->nodes[work->list.items[i]].mode))
                continue;
            if (at.dest < 0)
                failed = open_sides(work, item, &at, error);
            if (!failed)
                failed = make_folder(work, &at, i, error);
            if (failed)
                return failed;
        }
        for (uint32_t from = first; from < end; from += AT_ONCE) {
            if (work->portion_count == capacity) {
                size_t more = capacity * 2 + 256;
                portion *portions = realloc(work->portions, more * sizeof *portions);
                if (!portions)
                    return pb_fail(error, ENOMEM, "copy", "%s", "");
                work->portions = portions;
                capacity = more;
            }
            work->portions[work->portion_count++] =
                (portion){(uint32_t)item, from, end - from < AT_ONCE ? end : from + AT_ONCE};
        }
    }
    return 0;
}

/* --- everything else ------------------------------------------------------------------------------------------- */

static int copy_entry(const task *work, pb_copier *copier, const sides *at, uint32_t item, pb_error *error)
{
    uint32_t node = work->list.items[item];
    const char *name = pb_tree_name(work->tree, node);
    pb_place place = {at->dest, name, 0, at->path};
    mode_t below;
    int failed = look_below(at, name, &below, error);

    if (failed)
        return failed;
    if (S_ISDIR(below) && !S_ISSOCK(work->tree->nodes[node].mode))
        return pb_fail_detail(error, EISDIR, "copy", name, "the destination has a directory there");
    return pb_copy_entry(copier, work->tree, node, at->source, &place, error);
}

/* Entries with one name, or those with several: these one after the other, as the first of them decides. */
static int copy_portion(const task *work, pb_copier *copier, const portion *part, int several, pb_error *error)
{
    SIDES sides at = {.source = -1, .dest = -1, .lower = -1};
    int failed = 0;

    for (uint32_t i = part->first; !failed && i < part->end; i++) {
        const pb_node *node = &work->tree->nodes[work->list.items[i]];
        if (S_ISDIR(node->mode) || pb_copy_may_link(copier, node) != several)
            continue;
        if (at.dest < 0)
            failed = open_sides(work, part->folder, &at, error);
        if (!failed)
            failed = copy_entry(work, copier, &at, i, error);
    }
    return failed;
}

static void give_up(task *work, int failed, const pb_error *error)
{
    pthread_mutex_lock(&work->lock);
    if (!atomic_load(&work->failed) && work->error)
        *work->error = *error;
    atomic_store(&work->failed, -failed);
    pthread_mutex_unlock(&work->lock);
}

/* What is known of files that were copied, for all; without memory they are read again. */
static void hand_over(task *work, pb_fact_list *facts)
{
    pthread_mutex_lock(&work->lock);
    if (work->known)
        pb_facts_take(work->known, facts);
    pthread_mutex_unlock(&work->lock);
}

static void *work_through(void *argument)
{
    task *work = argument;
    PB_FREE uint8_t *buffer = malloc(PB_COPY_BUFFER);
    pb_fact_list facts = {0};
    pb_copier own = {.root_fd = -1, .options = work->copier->options, .buffer = buffer, .doubles = &work->doubles};
    pb_copy_result *total = &work->copier->result;
    pb_error error;
    int failed = buffer ? 0 : pb_fail(&error, ENOMEM, "copy", "%s", "");

    own.facts = work->known ? &facts : NULL;
    while (!failed && !atomic_load(&work->failed)) {
        size_t next = atomic_fetch_add(&work->next, 1);
        if (next >= work->portion_count)
            break;
        failed = copy_portion(work, &own, &work->portions[next], 0, &error);
        if (next % REST_AFTER == 0)
            pb_tree_rest(work->tree);
        if (facts.count >= FACTS_AT_ONCE)
            hand_over(work, &facts);
    }
    if (failed)
        give_up(work, failed, &error);
    hand_over(work, &facts);
    free(facts.items);
    pthread_mutex_lock(&work->lock);
    total->files += own.result.files;
    total->links += own.result.links;
    total->bytes += own.result.bytes;
    pthread_mutex_unlock(&work->lock);
    return NULL;
}

static int copy_all(task *work, pb_error *error)
{
    pb_fact_list facts = {0};
    pthread_t threads[THREADS];
    int started = 0, failed;

    if (work->list.count >= WORTH_A_THREAD)
        while (started < THREADS - 1 && !pthread_create(&threads[started], NULL, work_through, work))
            started++;
    work_through(work);
    while (started > 0)
        pthread_join(threads[--started], NULL);
    failed = -atomic_load(&work->failed);
    work->copier->facts = work->known ? &facts : NULL;
    for (size_t i = 0; !failed && work->doubles.bits && i < work->portion_count; i++) {
        failed = copy_portion(work, work->copier, &work->portions[i], 1, error);
        if (i % REST_AFTER == 0)
            pb_tree_rest(work->tree);
    }
    work->copier->facts = NULL;
    if (!failed && work->known && pb_facts_take(work->known, &facts))
        failed = pb_fail(error, ENOMEM, "copy", "%s", "");
    free(facts.items);
    return failed;
}

static int copy_folder(task *work, uint32_t node, const pb_ignore *exclude, pb_error *error)
{
    const pb_copy_options *options = &work->copier->options;
    PB_NODES pb_nodes folders = {0};
    int failed = pb_tree_collect(work->tree, node, exclude, &work->list, error);

    if (failed || !work->list.count)
        return failed;
    work->ranges = pb_tree_ranges(work->tree, &work->list);
    work->merged = calloc(work->list.count + 1, 1);
    if (!work->ranges || !work->merged || pb_doubles_find(work->tree, &work->list, &work->doubles))
        return pb_fail(error, ENOMEM, "copy", "%s", "");
    work->copier->doubles = &work->doubles;
    work->merged[0] = work->lower_fd >= 0;
    failed = make_folders(work, &folders, error);
    if (!failed)
        failed = copy_all(work, error);
    if (!failed && (options->keep_directory_times || options->time >= 0))
        failed = pb_copy_times(work->tree, &folders, work->top_fd, options->time, error);
    return failed;
}

int pb_copy_folder(pb_tree *tree, uint32_t node, const pb_ignore *exclude, const pb_copy_options *options, int upper_fd,
                   int lower_fd, const char *path, pb_facts *known, pb_copy_result *ret, pb_error *error)
{
    PB_CLOSE int top = pb_path_open_below(upper_fd, path, O_RDONLY | O_DIRECTORY);
    PB_CLOSE int lower = lower_fd < 0 ? -1 : pb_path_open_below(lower_fd, path, O_RDONLY | O_DIRECTORY);
    task work = {.tree = tree, .top_fd = top, .lower_fd = lower, .lock = PTHREAD_MUTEX_INITIALIZER, .error = error};
    int failed;

    if (top < 0)
        return pb_fail(error, -top, "open", "%s", path);
    if (lower < 0 && lower_fd >= 0 && lower != -ENOENT && lower != -ENOTDIR && lower != -ELOOP)
        return pb_fail(error, -lower, "open", "%s", path);
    if (node >= tree->count || !S_ISDIR(tree->nodes[node].mode))
        return pb_fail(error, ENOTDIR, "copy", "node %u", node);
    failed = pb_copier_new(top, options, &work.copier, error);
    if (failed)
        return failed;
    work.known = known && pb_facts_fits(known, &tree->secret) ? known : NULL;
    work.copier->tops = malloc(sizeof *work.copier->tops);
    if (work.copier->tops) {
        work.copier->tops[0] = fcntl(top, F_DUPFD_CLOEXEC, 3);
        work.copier->top_count = 1;
        failed = copy_folder(&work, node, exclude, error);
    } else {
        failed = pb_fail(error, ENOMEM, "copy", "%s", path);
    }
    if (!failed)
        *ret = work.copier->result;
    pb_copier_free(work.copier);
    pthread_mutex_destroy(&work.lock);
    free(work.list.items);
    free(work.ranges);
    pb_doubles_free(&work.doubles);
    free(work.merged);
    free(work.portions);
    return failed;
}
