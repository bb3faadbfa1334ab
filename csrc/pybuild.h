/* The C core of pybuild: the one header between C and Python.
 *
 * Rules that hold for every function here:
 *  - it returns 0 or a positive fact, or a negative errno; then `error` says which operation failed on which path;
 *  - results go through arguments named `ret`, written only on success;
 *  - a handle belongs to one thread at a time; different handles may be used at once (callers drop the GIL);
 *  - names inside a tree are bytes, opened relative to a directory descriptor, and never followed out of it;
 *  - nothing here prints, exits, keeps global state or knows about build files.
 */
#ifndef PYBUILD_H
#define PYBUILD_H

#include <stddef.h>
#include <stdint.h>

/* cffi reads what stands between the CDEF markers: plain C declarations, no preprocessor. */
/* CDEF-BEGIN */

/* --- errors (error.c) ------------------------------------------------------------------------------------ */

typedef struct {
    int code;            /* positive errno */
    char operation[32];  /* "open", "copy", "unpack" ... */
    char path[4096];     /* what it worked on, cut at the front if longer */
    char detail[256];    /* a further sentence, or empty */
} pb_error;

/* --- fingerprints (hash.c): XXH3-128 ----------------------------------------------------------------------- */

typedef struct {
    uint8_t bytes[16]; /* canonical (big-endian) form, as xxhash.xxh3_128 prints it */
} pb_fingerprint;

/* A store's random secret; `size` 0 means none (plain XXH3-128), else at least 136 bytes. */
typedef struct {
    const uint8_t *data;
    size_t size;
} pb_secret;

int pb_hash_bytes(const uint8_t *data, size_t size, const pb_secret *secret, pb_fingerprint *ret);
int pb_hash_file(int dir_fd, const char *path, const pb_secret *secret, pb_fingerprint *ret, pb_error *error);

/* --- ignore rules (ignore.c, rule.c, pattern.c): .dockerignore and --exclude patterns ------------------------------------------ */

typedef struct pb_ignore pb_ignore;

/* `patterns`: `size` bytes, each pattern ended by NUL, in file order, `!` for exceptions; cleaned by the caller as
 * moby/patternmatcher's reader does. `below` is what stands in front of the paths of a selection (`--parents`), "" for
 * nothing; only with it the selection's top itself can be left out. -EINVAL with the pattern in error->path for one that
 * cannot be compiled. */
int pb_ignore_new(const char *patterns, size_t size, const char *below, pb_ignore **ret, pb_error *error);
void pb_ignore_free(pb_ignore *ignore);
/* 1 if `path` (relative, no leading slash) is left out, 0 if not. *rule is the index of the deciding rule or -1: the last
 * that matches the path, or that matched a folder above it and changed something there. */
int pb_ignore_match(const pb_ignore *ignore, const char *path, int *rule);

/* --- trees (tree.c, walk.c, lookup.c, glob.c, select.c; index.c, save.c; listing.c, treediff.c) ------------------ */

typedef struct pb_tree pb_tree;

typedef struct {
    uint64_t directories;  /* read with getdents64 */
    uint64_t entries;      /* asked with statx */
    uint64_t files_hashed; /* contents read, because the index did not know them */
    uint64_t bytes_hashed;
    uint64_t files_known;  /* contents not read, because the index knew them */
} pb_tree_stats;

/* One entry. `kind` is one of 'd' 'f' 'l' 'c' 'b' 'p' 's'. `mode` is without the type bits. `size` is 0 for all but
 * files and links. Times are nanoseconds since 1970. `path` is relative to the root, "" for the root. */
typedef struct {
    char kind;
    uint32_t mode, uid, gid, nlink;
    uint64_t size;
    int64_t mtime, ctime;
    uint64_t device, inode, rdev;
} pb_entry;

/* Open the tree below `root_fd` (kept open by dup). Directories are read when they are first needed, each once.
 * `ignore` may be NULL; the tree keeps no reference to it after pb_tree_free. `index` is the file of an earlier
 * pb_tree_save or NULL: a file whose device, inode, mode, uid, gid, size, mtime and ctime are as the index has them, and
 * whose times are older than the index (racy rule), is not read again. A missing, damaged, foreign (other secret) or
 * other-version index is like none. What is large of the tree lies in a file without a name on the file system of `spare_fd` (kept
 * open by dup), if it is not -1 and takes one, so that it need not stay in memory. */
int pb_tree_open(int root_fd, const pb_ignore *ignore, const pb_secret *secret, const char *index, int spare_fd,
                 pb_tree **ret, pb_error *error);
void pb_tree_free(pb_tree *tree);
void pb_tree_get_stats(const pb_tree *tree, pb_tree_stats *ret);

/* Write the index file: atomically (temporary file, rename), with every directory that this tree or the earlier index
 * knows. */
int pb_tree_save(pb_tree *tree, const char *file, pb_error *error);

/* The node at `path` (relative, cleaned; "" is the root), -ENOENT, -ENOTDIR, -ELOOP. With `follow` links are resolved
 * inside the root, the last component too; else only in the folders above it. Nodes are stable until pb_tree_free. */
int pb_tree_find(pb_tree *tree, const char *path, int follow, uint32_t *ret, pb_error *error);
/* The nodes that match a pattern of Go's filepath.Match (with `**` only if `double_star`), sorted by path. *ret is
 * malloc'ed, freed by pb_free. Zero matches is no error. */
int pb_tree_glob(pb_tree *tree, const char *pattern, int double_star, uint32_t **ret, size_t *count, pb_error *error);
int pb_tree_entry(pb_tree *tree, uint32_t node, pb_entry *ret, char *path, size_t path_size, pb_error *error);

/* How a selection is fingerprinted. Owners are left out for files of a context (COPY sets them). */
enum { PB_WITHOUT_OWNER = 1 };
/* Merkle fingerprint of a node and all below it: name (not the node's own), kind, mode, uid, gid, size, content, link
 * target, device numbers, xattrs (not trusted.*, system.*, user.overlay.*, nor security.* labels of this machine); never a time.
 * Hard links are not told apart: see pb_tree_links. `exclude` may be NULL. Hashes what must be hashed, on two threads. */
int pb_tree_fingerprint(pb_tree *tree, uint32_t node, const pb_ignore *exclude, int flags, pb_fingerprint *ret,
                        pb_error *error);
/* Count entries, bytes of files, and further names of files with several (hard links) at and below a node. */
int pb_tree_measure(pb_tree *tree, uint32_t node, const pb_ignore *exclude, uint64_t *entries, uint64_t *bytes,
                    uint64_t *links, pb_error *error);
/* What is at and below a node, in no order: for each entry its kind as in pb_entry, its size (0 for what is no file) and its
 * path, each ended by a NUL. To be freed by pb_free. */
int pb_tree_list(pb_tree *tree, uint32_t node, const pb_ignore *exclude, char **ret, size_t *size, pb_error *error);
/* Which names of a selection belong to one file: for each but the first of a file its path below the node and that of the first,
 * each ended by a NUL; nothing if no file has several. Of a selection that was read, by a fingerprint for one. To be freed by
 * pb_free. */
int pb_tree_links(pb_tree *tree, uint32_t node, const pb_ignore *exclude, char **ret, size_t *size, pb_error *error);
/* Keep what a fingerprint was made of: paths, metadata and hashes of some nodes and all below them. Runs of entries are files beside
 * `file`, named by their fingerprints (ID.leaf), and what another listing of the folder has is not written again. For
 * pb_listing_diff. (listing.c) */
int pb_tree_save_listing(pb_tree *tree, const uint32_t *nodes, size_t count, const pb_ignore *exclude, int flags,
                         const char *file, pb_error *error);
/* What differs between two listings, as text: one line each, "KIND\tPATH\tDETAIL\n" with KIND of added, removed, content,
 * mode, owner, type, target, xattrs; control bytes in paths as \xHH. At most `limit` lines are written, *total counts
 * all, in the order of paths. Only leaves that one of them lacks are read. -EBADMSG with the path of a file that is missing or
 * damaged. *ret is malloc'ed, freed by pb_free. (listingread.c) */
int pb_listing_diff(const char *old_file, const char *new_file, const pb_secret *secret, size_t limit, char **ret,
                    uint64_t *total, pb_error *error);
/* Remove the leaves of a folder that no listing in it has, and what killed processes left; *freed are the bytes that came back.
 * Nobody may write a listing there meanwhile. (listingsweep.c) */
int pb_listing_sweep(const char *folder, const pb_secret *secret, uint64_t *freed, pb_error *error);
void pb_free(void *memory);

/* --- portable digests (portable.c, known.c, sha256.c): SHA-256, the same on every machine ---------------------------- */

typedef struct {
    uint8_t bytes[32];
} pb_digest;

/* What is known of fingerprints and the digests of the same content: a file, and what was added since. */
typedef struct pb_known pb_known;

/* A missing, damaged, foreign (other secret) or other-version file is like an empty one. `file` NULL: nothing is kept. */
int pb_known_open(const char *file, const pb_secret *secret, pb_known **ret, pb_error *error);
/* Write the file, atomically, if anything was added. */
int pb_known_save(pb_known *known, pb_error *error);
void pb_known_free(pb_known *known);

enum { PB_CHANGES = 2 }; /* beside PB_WITHOUT_OWNER: the node is a snapshot, of which only what is below it counts, opaque marks and
                            hard links too */
/* As pb_tree_fingerprint, with SHA-256 in place of XXH3. Only what `known` does not know is read; *hashed is the bytes
 * of file contents that were. */
int pb_tree_portable(pb_tree *tree, uint32_t node, const pb_ignore *exclude, int flags, pb_known *known, pb_digest *ret,
                     uint64_t *hashed, pb_error *error);

/* A listing of nodes that is the same on every machine, in one file; its secret for pb_listing_diff is empty. (portablelisting.c) */
int pb_tree_save_portable(pb_tree *tree, const uint32_t *nodes, size_t count, const pb_ignore *exclude, int flags,
                          pb_known *known, const char *file, uint64_t *hashed, pb_error *error);

/* --- parts of a folder (delta.c, deltalisting.c): what is new in it since others were told -------------------------------- */

typedef struct pb_delta pb_delta;

/* If so many parts are kept: entries that a new part has to have, how much they weigh (bytes of files, and a header each), what it
 * has to remove; and of the weight of the parts that are kept, how much is of entries that are still as they say. */
typedef struct {
    uint64_t changed, fresh, gone, total, live;
} pb_delta_sum;

/* All of a tree, hashed by SHA-256, as far as `known` does not know it. Tree and known are the caller's, and stay as they are while
 * this lives. Sockets are left out. */
int pb_delta_new(pb_tree *tree, pb_known *known, pb_delta **ret, pb_error *error);
void pb_delta_free(pb_delta *delta);
/* The listing of the next part that is there, at most 64 in all; -EBADMSG if it is damaged. */
int pb_delta_add(pb_delta *delta, const uint8_t *listing, size_t size, pb_error *error);
/* For each number of parts to keep, from none to all: `ret` has one more than were added. */
int pb_delta_sums(pb_delta *delta, pb_delta_sum *ret, pb_error *error);
/* Choose what a new part has if the first `kept` are kept. */
int pb_delta_choose(pb_delta *delta, uint32_t kept, pb_error *error);
/* The listing of that part, to a new file; before it is divided. */
int pb_delta_save(const pb_delta *delta, const char *file, pb_error *error);
/* Divide it into packs, at least one: of several the first has what is no file, and each file is in one that its path alone says. */
int pb_delta_divide(pb_delta *delta, uint32_t packs, pb_error *error);

/* --- known hashes (facts.c) ---------------------------------------------------------------------------------- */

/* Hashes of files that were just written, or whose folder was kept as it is, by inode, size and mtime, so that nobody has to read
 * them again. For files of one file system, to which nobody else can write. */
typedef struct pb_facts pb_facts;
/* `spare_fd` as for pb_tree_open. */
int pb_facts_new(const pb_secret *secret, int spare_fd, pb_facts **ret);
void pb_facts_free(pb_facts *known);
/* Keep it in a new file, for files below `folder_fd`: 1, or 0 if the file system cannot tell that folder from a copy of it. */
int pb_facts_save(const pb_facts *known, int folder_fd, int dir_fd, const char *name, pb_error *error);
/* Add what such a file says: 1, or 0 if there is none for this very folder, or it is damaged or foreign. */
int pb_facts_load(pb_facts *known, int folder_fd, int dir_fd, const char *name);

/* --- copying (copy.c, copyfolder.c): from a tree into a root file system --------------------------------------------------- */

typedef struct {
    int64_t uid, gid;           /* -1 keeps the source's */
    int32_t mode;               /* octal --chmod for everything, or -1 */
    const char *symbolic_mode;  /* symbolic --chmod ("u=rwX,go=rX") or NULL */
    int64_t parent_uid, parent_gid; /* owner of directories made on the way to the destination */
    int32_t parent_mode;        /* -1: 0755 */
    int keep_directory_times;   /* copied directories keep their mtime; else now */
    int no_follow_destination;  /* --link: links in the destination are replaced, not followed */
    int separate_links;         /* hard links are kept within what one call adds, not between calls */
    int64_t time;               /* mtime in ns for everything copied, or -1: the source's */
} pb_copy_options;

typedef struct {
    uint64_t files, directories, links, bytes;
} pb_copy_result;

/* Copy a node of `tree` to `destination` (absolute inside dest_root_fd, resolved there as a chroot would; a slash at its
 * end makes it a directory) with COPY's rules: a directory's contents are merged into the destination, a file lands in
 * a directory or becomes the file. Keeps modes, times, xattrs, hard links inside one `links` session, holes. A file whose
 * stat data no longer is what the tree says is -ESTALE. `exclude` may be NULL. `base` is the name to give a file that
 * lands in a directory, NULL for its own. */
typedef struct pb_copier pb_copier;
int pb_copier_new(int dest_root_fd, const pb_copy_options *options, pb_copier **ret, pb_error *error);
int pb_copier_add(pb_copier *copier, pb_tree *tree, uint32_t node, const char *destination, const char *base,
                  const pb_ignore *exclude, pb_error *error);
/* A directory by itself, made with the source's attributes (`--parents`). One that is there gets them too if it is asked for
 * `itself`; if it only lies on the way, it gets the source's mode. */
int pb_copier_add_folder(pb_copier *copier, pb_tree *tree, uint32_t node, const char *destination, int itself,
                         pb_error *error);
/* A file from memory, with the same rules. */
int pb_copier_add_bytes(pb_copier *copier, const uint8_t *data, size_t size, const char *destination, const char *base,
                        uint32_t mode, pb_error *error);
int pb_copier_finish(pb_copier *copier, pb_copy_result *ret, pb_error *error);
void pb_copier_free(pb_copier *copier);
/* Merge the contents of a folder of `tree` into the folder `path` below `upper_fd`, which must be there without links on the way:
 * the upper directory of an overlay that is not mounted, as a copy into the mount would have left it. `lower_fd` is the merged view
 * below, -1 if there is none. Two threads copy; the hashes of what they copied go to `known` (may be NULL). */
int pb_copy_folder(pb_tree *tree, uint32_t node, const pb_ignore *exclude, const pb_copy_options *options, int upper_fd,
                   int lower_fd, const char *path, pb_facts *known, pb_copy_result *ret, pb_error *error);
/* Make what is below one directory once more below another, which is empty, on the same file system: directories are made,
 * everything else is a hard link. EMLINK also if a file has several names there, which nobody may want any more. */
int pb_link_tree(int source_fd, int dest_fd, pb_error *error);
/* Copy a whole root file system (a merged view) to a folder, all attributes that the caller may set; for local outputs. */
int pb_copy_rootfs(int source_fd, int dest_fd, int keep_owner, pb_copy_result *ret, pb_error *error);
/* Make a directory and its missing parents inside a root, as `mkdir -p`; existing ones stay as they are. */
int pb_make_directory(int root_fd, const char *path, uint32_t mode, uint32_t uid, uint32_t gid, pb_error *error);
/* Open a path inside a root as a chroot would see it (openat2 RESOLVE_IN_ROOT, O_CLOEXEC added). Returns the descriptor. */
int pb_open_in_root(int root_fd, const char *path, int flags, uint32_t mode, pb_error *error);
/* Remove a tree below dir_fd, whatever its modes; never follows links, never crosses a mount. */
int pb_remove_tree(int dir_fd, const char *name, pb_error *error);
/* Bring all that was written to a descriptor's file system to the disk. */
int pb_sync_file_system(int fd, pb_error *error);
/* Let two names, which are both there, stand for each other's files. */
int pb_exchange(const char *one, const char *other, pb_error *error);

/* --- room on the disk (usage.c) ---------------------------------------------------------------------------------- */

typedef struct {
    uint64_t bytes;   /* allocated on the disk for all entries, a file with several names once */
    uint64_t fresh;   /* of them, those of files that no folder added before has */
    uint64_t own;     /* of them, those of files that have no name elsewhere: what removing the folder gives back */
    uint64_t entries; /* itself among them */
} pb_usage;

/* Measures folders one after the other and remembers the files with several names in all of them. */
typedef struct pb_usages pb_usages;
int pb_usages_new(pb_usages **ret, pb_error *error);
/* What `name` in dir_fd takes, and all below it; links are not followed. -ENOENT if it is not there. */
int pb_usages_add(pb_usages *usages, int dir_fd, const char *name, pb_usage *ret, pb_error *error);
void pb_usages_free(pb_usages *usages);

/* --- changes (upper.c): what a step changed --------------------------------------------------------- */

typedef struct {
    pb_fingerprint fingerprint; /* of the normalised changes: as pb_tree_fingerprint, with paths, whiteouts, opaques */
    uint64_t entries;           /* changes left, 0 for an empty diff */
    uint64_t bytes;             /* of file contents among them */
    uint64_t dropped;           /* entries that were equal to the lower ones */
    uint64_t hashed;            /* bytes of files that had to be read for the fingerprint */
} pb_changes;

/* Read an overlay upper directory, drop what equals the merged lower view `lower_fd` (-1: there is none), and fingerprint
 * the rest. mtime is not fingerprinted; a file that differs in nothing but mtime stays, a directory that differs
 * in nothing but mtime and has no changes below it goes. Files that `known` (may be NULL) has are not read; afterwards it
 * has all files of the upper directory. */
int pb_upper_settle(int upper_fd, int lower_fd, const pb_secret *secret, pb_facts *known, pb_changes *ret, pb_error *error);

/* What differs between two overlay upper directories that should be equal, as pb_listing_diff tells it. Further kinds: link (names
 * of one file), opaque, and, with `newest` (ns) not negative, time: in seconds, later ones count as `newest`. The DETAIL of
 * added and removed says what it is; a whiteout is a "removal". (treediff.c) */
int pb_changes_diff(int first_fd, int second_fd, const pb_secret *secret, int64_t newest, size_t limit, char **ret,
                    uint64_t *total, pb_error *error);
/* Give everything at and below a directory whose mtime is later than `newest` (ns, not negative) that time; whiteouts are left
 * alone. (times.c) */
int pb_clamp_times(int dir_fd, int64_t newest, pb_error *error);

/* --- waste (waste.c): bytes that an image carries twice or for nothing --------------------------------------- */

/* What a layer has of the layers below: files again whose content is the same (`copied`), files whose content is another
 * (`replaced`, with the sizes of those below), and what it takes away (`removed`). The paths are examples, the largest of
 * their kind, or empty. */
typedef struct {
    uint64_t copied_files, copied_bytes, replaced_files, replaced_bytes, removed_entries, removed_bytes;
    char copied_path[4096], removed_path[4096];
} pb_waste;

/* Compare a layer in overlay form with the merged view of those below it. Reads files that both have in the same size. */
int pb_layer_waste(int upper_fd, int lower_fd, pb_waste *ret, pb_error *error);

/* --- tar (tarwrite.c, tarread.c) ------------------------------------------------------------------------------ */

typedef struct pb_tar_writer pb_tar_writer;
enum {
    PB_TAR_LAYER = 1,  /* overlay whiteouts and opaque marks become .wh. entries; the root itself is not written */
    PB_TAR_ROOTFS = 2, /* a merged view: everything is content */
    PB_TAR_PIECES = 4  /* pb_tar_read stops early at places that depend on the entries there only: see it */
};
/* A deterministic tar of `dir_fd` (dup'ed): sorted bytewise, ustar with pax where needed (times with nanoseconds are cut
 * to seconds; xattrs as SCHILY.xattr.), parents before children, whiteouts before siblings. Times later than `max_mtime`
 * (ns, -1: none) are clamped. Sockets are skipped. What `facts` (the caller's, or NULL) knows of files need not be asked of them. */
int pb_tar_open(int dir_fd, int flags, int64_t max_mtime, pb_facts *facts, pb_tar_writer **ret, pb_error *error);
/* A tar of one pack of a delta's new part, after pb_delta_divide: the first begins with what is to be removed, entries of type 'R'
 * without anything but a path. Each pack is an archive of its own; what has changed since it was compared is -ESTALE. */
int pb_tar_of_delta(const pb_delta *delta, uint32_t pack, pb_tar_writer **ret, pb_error *error);
/* Fill `buffer` with the next bytes: how many, 0 at the end (after the two zero blocks). With PB_TAR_PIECES these are pieces of some
 * 320 KiB, at least 64, that begin with an entry or behind a full buffer. Where one ends depends on nothing before its beginning,
 * so that the same entries make the same pieces wherever they stand. */
int64_t pb_tar_read(pb_tar_writer *writer, uint8_t *buffer, size_t size, pb_error *error);
/* The same in two steps: say how many bytes come next, and then, if they are wanted, fill in all of them; no file's contents are
 * read before that. If *named, `name` is the fingerprint of what these bytes are made of, with the secret of the facts: headers, and
 * the known hashes of files. */
int64_t pb_tar_plan(pb_tar_writer *writer, size_t size, pb_fingerprint *name, int *named, pb_error *error);
int pb_tar_fill(pb_tar_writer *writer, uint8_t *buffer, pb_error *error);
void pb_tar_free(pb_tar_writer *writer);

typedef struct pb_untar pb_untar;
enum {
    PB_UNTAR_LAYER = 1, /* .wh. entries become overlay whiteouts and opaque marks; else they are plain files */
    PB_UNTAR_USERXATTR = 2, /* opaque marks in user.overlay. instead of trusted.overlay. */
    PB_UNTAR_REMOVALS = 4   /* entries of type 'R' remove what is there; else they are of an unknown kind, and mean nothing */
};
typedef struct {
    uint64_t entries, bytes;
} pb_untar_result;
/* Unpack a tar stream below `root_fd` at `prefix` ("" or a path, resolved inside the root). Hostile input is expected:
 * absolute names and `..` stay inside, links are never followed out, sizes are bounded by `max_bytes` and `max_entries`
 * (0: none). `uid`, `gid` -1 keep the archive's. Reads v7, ustar, pax and GNU (long names, sparse, base-256). */
int pb_untar_open(int root_fd, const char *prefix, int flags, int64_t uid, int64_t gid, uint64_t max_bytes,
                  uint64_t max_entries, pb_untar **ret, pb_error *error);
int pb_untar_feed(pb_untar *untar, const uint8_t *data, size_t size, pb_error *error);
/* After the last byte: -EBADMSG if the archive is cut short. Sets directory times. */
int pb_untar_finish(pb_untar *untar, pb_untar_result *ret, pb_error *error);
/* After finish, of a layer: folders that it has no entry for get the attributes that they have in the merged view of the
 * layers below, and hard links to files that only those have become copies. */
int pb_untar_adopt(pb_untar *untar, int lower_fd, pb_error *error);
void pb_untar_free(pb_untar *untar);
/* 1 if these first bytes (at least 512) begin a tar archive, 0 if not. */
int pb_is_tar(const uint8_t *data, size_t size);

/* --- processes (overlay.c, launch.c with rootfs.c, mountpoints.c and credentials.c; userns.c) -------------------- */

enum {
    PB_OVERLAY_USERXATTR = 1, /* marks in user.overlay., which needs no privilege outside a user namespace */
    PB_OVERLAY_READONLY = 2,
    PB_OVERLAY_BY_NAME = 4, /* for tests: as kernels before 6.13 need it */
    PB_OVERLAY_CLASSIC = 8  /* for tests: as kernels before 6.5 need it */
};
/* Make a detached mount of stacked layers and return its descriptor, usable at once for openat and for pb_launch; the mount
 * ends when the last descriptor and process using it are gone. `lowers`: `count` (at most 500) paths relative to
 * `base_fd`, topmost first. With `upper` NULL the mount is read-only. `upper` and the empty directory `work` are relative
 * to base_fd too and on one file system; `work` cannot be used again. Nothing is flushed to disk through the mount or at its
 * end: who wants `upper` to last syncs it. One lower without upper, and an upper without lowers, are plain binds. */
int pb_overlay_mount(int base_fd, const char *const *lowers, size_t count, const char *upper, const char *work,
                     int flags, pb_error *error);

/* Put the calling process (one thread only) into a new user and mount namespace where it is root, its other ids from
 * /etc/subuid and /etc/subgid through newuidmap and newgidmap. `uid_map`, `gid_map`: argument lists that end with NULL,
 * "inside", "outside", "count" and so on. Supplementary groups stay, so that what they may read stays readable. */
int pb_enter_userns(const char *const *uid_map, const char *const *gid_map, pb_error *error);

typedef struct {
    const char *source;  /* path on the host (links are followed), or NULL with source_fd */
    int source_fd;       /* a descriptor to bind (a detached mount may be moved), or -1 */
    const char *target;  /* absolute inside the rootfs, resolved there; see pb_stubs_make for a missing one */
    const char *type;    /* NULL for a bind with all below it, else a file system: "tmpfs" ... */
    const char *options; /* its options ("size=65536k,mode=1777") or NULL */
    int read_only;
} pb_mount;

enum {
    PB_NEW_NETWORK = 1, /* an empty network namespace, lo up */
    PB_KEEP_CAPS = 2,   /* --security=insecure: no capability dropped, nothing masked or read-only, devices usable */
    PB_TERMINAL = 4     /* stdin is a terminal that becomes the controlling one */
};

typedef struct {
    int root_fd;                 /* the rootfs: a mount, detached or not, or a directory */
    const char *mount_point;     /* an existing directory of the host to put it on, in the child's namespace only */
    const char *const *argv;     /* ends with NULL; argv[0] is looked up in PATH of `env` inside the rootfs */
    const char *const *env;      /* ends with NULL */
    const char *cwd;             /* absolute inside the rootfs; made (0755, the process's owner) if missing */
    const char *hostname;        /* NULL: the host's */
    uint32_t uid, gid;
    const uint32_t *groups;
    size_t group_count;
    const pb_mount *mounts;      /* besides the standard /proc /sys /dev /dev/shm /dev/pts /dev/mqueue, in order */
    size_t mount_count;
    uint64_t capabilities;       /* bounding set, and for uid 0 permitted and effective: bit N is capability N */
    uint64_t shm_size;           /* bytes of /dev/shm */
    const uint64_t *limits;      /* triples resource, soft, hard */
    size_t limit_count;
    int stdin_fd, stdout_fd, stderr_fd; /* -1: /dev/null */
    int flags;
    uint32_t umask_bits;
} pb_launch_spec;

/* Mount points that a rootfs lacks (for the standard mounts and for spec->mounts), made before a launch and removed after
 * the process has ended: nothing of them stays in a layer, and directories get their times back unless the process
 * changed them itself. What the process put into such a directory stays. Links resolve inside the rootfs. */
typedef struct pb_stubs pb_stubs;
int pb_stubs_make(const pb_launch_spec *spec, pb_stubs **ret, pb_error *error);
int pb_stubs_remove(pb_stubs *stubs, pb_error *error);
void pb_stubs_free(pb_stubs *stubs);

typedef struct {
    int pid;
    int pidfd;
} pb_child;

/* Start a process in new mount, pid, ipc and uts (and, where allowed, cgroup; and network) namespaces on a rootfs. It is
 * pid 1 there, in a session of its own, and is killed when the calling thread ends. A failure before exec is reported with
 * its own operation and path ("exec", "/bin/nosuch"). The memory of the caller is shared until the exec, not copied. */
int pb_launch(const pb_launch_spec *spec, pb_child *ret, pb_error *error);
/* Wait for the end of it and of all it started: *status is 0..255, or 256 + the signal's number. timeout_ms -1 waits for
 * ever; -ETIME after it, -EINTR when a signal handler ran. Closes pidfd on success. */
int pb_wait(pb_child *child, int timeout_ms, int *status, pb_error *error);
int pb_kill(const pb_child *child, int signal, pb_error *error);

/* CDEF-END */

#endif
