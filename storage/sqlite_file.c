/*
 * The database file: opening it in the way that works here, and noticing when the path leads to
 * another file than the one that is open.
 *
 * SQLite in WAL mode keeps two files beside the database, -wal and -shm, which even a reader
 * usually has to write. A backend may lack that right, or the disk be full, so a reader tries three
 * ways:
 *
 *   normal     as any program. Lets SQLite finish what a crashed writer left behind.
 *   shared     reads -wal and -shm as writers keep them, writes nothing.
 *   immutable  reads the database alone, which is right as long as no writer has it open; that is
 *              watched with stat(2), and a change leads to opening it anew.
 *
 * Opening never creates a file; only `init` does.
 */
#include "storage/sqlite_internal.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_READER_MS 1000 /* a follower looks again soon */
#define BUSY_WRITER_MS 5000 /* godwitctl waits for a backend or another writer */

/*
 * For long imports: their indexes' pages should stay in memory, and so should the journals of
 * single statements, which SQLite keeps for every statement that fires triggers; and the
 * write-ahead log should not stay as large as it has ever been.
 */
#define WRITER_PRAGMAS                                                                             \
	"PRAGMA cache_size = -262144; PRAGMA temp_store = MEMORY; "                                \
	"PRAGMA journal_size_limit = 67108864; "

/* Waits a little for another program's lock; 0 makes SQLite give up with SQLITE_BUSY. */
static int on_busy(void *ctx, int count)
{
	struct sqlite_store *store = ctx;
	int64_t now = clock_now_ms();

	if (count == 0)
		store->busy_since_ms = now;
	if (now - store->busy_since_ms >= (store->base.read_only ? BUSY_READER_MS : BUSY_WRITER_MS))
		return 0;
	return storage_wait(&store->base, count < 10 ? 1 + count : 20);
}

/* --- telling files apart ---------------------------------------------------------------------- */

/* Returns 0, or -1 with errno. */
static int read_file(const char *path, struct sqlite_file *file)
{
	struct stat status;

	*file = (struct sqlite_file){0};
	if (stat(path, &status) < 0)
		return -1;
	if (!S_ISREG(status.st_mode)) {
		errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
		return -1;
	}
	*file = (struct sqlite_file){.device = status.st_dev,
				     .inode = status.st_ino,
				     .size = status.st_size,
				     .modified = status.st_mtim};
	return 0;
}

/* The database's write-ahead log; all zeroes when there is none. */
static struct sqlite_file read_wal(const struct sqlite_store *store)
{
	struct sqlite_file file = {0};
	char *path = sqlite3_mprintf("%s-wal", store->path);

	if (path)
		read_file(path, &file);
	sqlite3_free(path);
	return file;
}

static bool is_same_file(const struct sqlite_file *a, const struct sqlite_file *b)
{
	return a->device == b->device && a->inode == b->inode;
}

static bool is_same_state(const struct sqlite_file *a, const struct sqlite_file *b)
{
	return is_same_file(a, b) && a->size == b->size &&
	       a->modified.tv_sec == b->modified.tv_sec &&
	       a->modified.tv_nsec == b->modified.tv_nsec;
}

void sqlite_file_note_wal(struct sqlite_store *store)
{
	if (store->mode != OPEN_IMMUTABLE)
		store->wal = read_wal(store);
}

/* True when a write-ahead log is there that may hold something of this database. */
static bool has_wal(const struct sqlite_store *store)
{
	struct sqlite_file wal = read_wal(store);

	return wal.size > 0 && !is_same_state(&wal, &store->stale_wal);
}

int sqlite_file_check(struct sqlite_store *store)
{
	struct sqlite_file now;

	if (!store->db)
		return storage_fail(&store->base, STORAGE_UNAVAILABLE, "sqlite file %s: not open",
				    store->path);
	if (read_file(store->path, &now) < 0)
		return storage_fail(&store->base, STORAGE_UNAVAILABLE,
				    "sqlite file %s is gone: %s: put it back, or create a new one "
				    "with `godwitctl --store %s init`",
				    store->path, strerror(errno), store->base.url);
	if (!is_same_file(&now, &store->file)) {
		/* A log that the old database leaves behind must not be read into the new one. */
		struct sqlite_file wal = read_wal(store);
		if (wal.size > 0 && is_same_file(&wal, &store->wal))
			store->stale_wal = wal;
		store->reopen = true;
		return storage_fail(&store->base, STORAGE_REPLACED,
				    "sqlite file %s was replaced by another file", store->path);
	}
	if (store->mode == OPEN_IMMUTABLE &&
	    (!is_same_state(&now, &store->file) || has_wal(store))) {
		store->reopen = true;
		return storage_fail(&store->base, STORAGE_RELOAD,
				    "sqlite file %s was opened by a writer", store->path);
	}
	return STORAGE_OK;
}

/* --- opening ---------------------------------------------------------------------------------- */

void sqlite_close(struct sqlite_store *store)
{
	for (size_t i = 0; i < STATEMENT_COUNT; i++) {
		sqlite3_finalize(store->statements[i]);
		store->statements[i] = NULL;
	}
	/* With all statements finalized this cannot fail; it rolls back what was not committed. */
	sqlite3_close_v2(store->db);
	store->db = NULL;
	store->ready = false;
	store->reopen = false;
	free(store->write_apex);
	store->write_apex = NULL;
}

void sqlite_forget(struct sqlite_store *store)
{
	store->position = (struct sqlite_position){0};
	powerdns_zones_clear(&store->zones);
}

/* The path as a "file:" URI with `parameters`, for sqlite3_free; NULL: out of memory. */
static char *make_uri(const char *path, const char *parameters)
{
	static const char hex[] = "0123456789ABCDEF";
	char *encoded = sqlite3_malloc64(3 * (sqlite3_uint64)strlen(path) + 1);
	char *out = encoded;

	if (!encoded)
		return NULL;
	for (const char *p = path; *p != '\0'; p++) {
		if (strchr("%?#", *p)) {
			*out++ = '%';
			*out++ = hex[(unsigned char)*p >> 4];
			*out++ = hex[*p & 15];
		} else {
			*out++ = *p;
		}
	}
	*out = '\0';
	char *uri = sqlite3_mprintf("file:%s?%s", encoded, parameters);
	sqlite3_free(encoded);
	return uri;
}

/* Sets a fresh connection up and reads from the file for the first time. */
static int prepare_connection(struct sqlite_store *store)
{
	const char *pragmas = "PRAGMA query_only = ON; PRAGMA schema_version";

	if (!store->base.read_only)
		pragmas = "PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL; " WRITER_PRAGMAS
			  "PRAGMA schema_version";
	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_handler(store->db, on_busy, store);
	/* A reader leaves the log to the writers, and never removes one when it closes. */
	if (store->base.read_only)
		sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (sqlite3_exec(store->db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
		return sqlite_fail(store, "read");
	return STORAGE_OK;
}

/* Opens the file in one of the ways, with `create` making it. `*code`: SQLite's extended result. */
static int open_connection(struct sqlite_store *store, enum sqlite_open_mode mode, bool create,
			   int *code)
{
	static const char *const parameters[] = {
		[OPEN_SHARED] = "mode=ro&readonly_shm=1",
		[OPEN_IMMUTABLE] = "immutable=1",
	};
	int flags = SQLITE_OPEN_NOMUTEX;
	char *name;

	if (mode == OPEN_NORMAL) {
		flags |= SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
		name = sqlite3_mprintf("%s", store->path);
	} else {
		flags |= SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
		name = make_uri(store->path, parameters[mode]);
	}
	if (!name)
		return sqlite_fail_memory(store);
	store->mode = mode;
	*code = sqlite3_open_v2(name, &store->db, flags, NULL);
	sqlite3_free(name);
	if (!store->db)
		return sqlite_fail_memory(store);
	int status = *code == SQLITE_OK ? prepare_connection(store) : sqlite_fail(store, "open");
	*code = sqlite3_extended_errcode(store->db);
	if (status != STORAGE_OK)
		sqlite_close(store);
	return status;
}

/*
 * True when SQLite failed for want of a right, or of room, to write what it keeps beside the
 * database; not because of what is in the file or locks it.
 */
static bool cannot_write(int code)
{
	switch (code & 0xff) {
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_FULL:
		return true;
	default:
		return code == SQLITE_IOERR_SHMSIZE || code == SQLITE_IOERR_SHMOPEN ||
		       code == SQLITE_IOERR_SHMMAP || code == SQLITE_IOERR_WRITE;
	}
}

/* Opens an existing file for reading in the first way that works. */
static int open_reader(struct sqlite_store *store)
{
	struct sqlite_file wal = read_wal(store);
	int status = STORAGE_UNAVAILABLE, code = SQLITE_CANTOPEN;

	if (wal.size > 0 && is_same_state(&wal, &store->stale_wal)) {
		log_warning("reading the store without a write-ahead log that is not its own",
			    "file=%s-wal", store->path);
		return open_connection(store, OPEN_IMMUTABLE, false, &code);
	}
	store->stale_wal = (struct sqlite_file){0};
	/*
	 * Without the right to write the database, do not make a -shm that its writers cannot use.
	 */
	if (access(store->path, W_OK) == 0)
		status = open_connection(store, OPEN_NORMAL, false, &code);
	if (status != STORAGE_OK && cannot_write(code))
		status = open_connection(store, OPEN_SHARED, false, &code);
	if (status != STORAGE_OK && cannot_write(code) && !has_wal(store))
		status = open_connection(store, OPEN_IMMUTABLE, false, &code);
	return status;
}

/*
 * Whether changes may be followed on from where they stood. The file has to be the same one; that
 * its content has the same history, the first look finds out by the token of the row seen last:
 * changes are numbered in the order of their commits here, so who has that row has all before it.
 */
static void keep_position(struct sqlite_store *store, const struct sqlite_file *before)
{
	if (!is_same_file(before, &store->file) || !store->position.has_row ||
	    (store->db && store->mode == OPEN_IMMUTABLE))
		sqlite_forget(store);
	store->data_version = -1; /* none that SQLite gives: the first look reads changes */
}

int sqlite_open(struct storage *storage)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	const struct sqlite_file before = store->file;
	struct sqlite_file now;
	int status, code;

	sqlite_close(store);
	if (read_file(store->path, &now) < 0) {
		/* A writer may be about to create it: see sqlite_init. */
		if (errno == ENOENT && !storage->read_only)
			return STORAGE_OK;
		if (errno == ENOENT)
			return storage_fail(storage, STORAGE_UNAVAILABLE,
					    "sqlite file %s does not exist: create it with "
					    "`godwitctl --store %s init`",
					    store->path, storage->url);
		return storage_fail(storage, STORAGE_UNAVAILABLE, "sqlite file %s: %s", store->path,
				    strerror(errno));
	}
	store->file = now;
	status = storage->read_only ? open_reader(store)
				    : open_connection(store, OPEN_NORMAL, false, &code);
	keep_position(store, &before);
	if (status == STORAGE_OK)
		sqlite_file_note_wal(store);
	return status;
}

int sqlite_open_or_create(struct sqlite_store *store)
{
	int status, code;

	if (store->db)
		return STORAGE_OK;
	status = open_connection(store, OPEN_NORMAL, true, &code);
	if (status == STORAGE_OK)
		read_file(store->path, &store->file);
	return status;
}
