/*
 * Reading many hashes at once.
 *
 * By scanning: SCAN goes through the keys page by page. While the server works on the HGETALLs of
 * one page, the next page is asked for and the one before is taken in, so that neither side waits.
 * SCAN promises every key that is there from its begin to its end, some twice, and nothing about
 * the others: a follower hears of those from the tracking that was turned on before.
 *
 * By name: the HGETALLs of some hundred names stand in one MULTI/EXEC, so that what a writer
 * changed together is read together. In a cluster, where that would take a transaction per slot,
 * they are plain pipelines.
 *
 * A key that holds something else than a hash is reported and read as if it were not there.
 */
#include "storage/redis_internal.h"

#include "common/clock.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

#define SCAN_COUNT "2000"  /* keys looked at by one SCAN */
#define CALL_EVERY_MS 50   /* the caller is told of changes, at most */
#define FETCH_TOGETHER 500 /* names read at one moment, or in one pipeline */

/* --- keys and hashes -------------------------------------------------------------------------- */

bool redis_make_key(const struct redis_store *store, const char *name, char *key)
{
	int size = snprintf(key, REDIS_KEY_MAX, "%s%s", store->url.prefix, name);

	return size > 0 && size < REDIS_KEY_MAX;
}

bool redis_read_key(const struct redis_store *store, const redisReply *key, char *name)
{
	int shown = key->len > 300 ? 300 : (int)key->len;

	switch (redis_key_parse(store->url.prefix, key->str, key->len, name)) {
	case REDIS_KEY_NAME:
		return true;
	case REDIS_KEY_ODD:
		log_warning_limited("redis key left out for its spelling", "key=%.*s right=%s%s",
				    shown, key->str, store->url.prefix, name);
		break;
	case REDIS_KEY_BAD:
		log_warning_limited("redis key left out: it is no domain name", "key=%.*s", shown,
				    key->str);
		break;
	case REDIS_KEY_FOREIGN:
		break;
	}
	return false;
}

/* Copies a hash's texts into the entry. False: out of memory. */
static bool copy_fields(struct redis_arena *arena, struct redis_entry *entry,
			const redisReply *reply)
{
	size_t size = 0;

	for (size_t i = 0; i < 2 * entry->count; i++)
		size += reply->element[i]->len;
	char *text = redis_arena_alloc(arena, size + 1);
	if (!text)
		return false;
	for (size_t i = 0; i < entry->count; i++) {
		const redisReply *name = reply->element[2 * i], *value = reply->element[2 * i + 1];
		struct redis_field *field = &entry->fields[i];
		field->name = memcpy(text, name->str, name->len);
		field->name_size = name->len;
		text += name->len;
		field->value = memcpy(text, value->str, value->len);
		field->value_size = value->len;
		text += value->len;
	}
	return true;
}

/* True when the reply is what HGETALL gives: field and value, again and again. */
static bool is_hash(const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0)
		return false;
	for (size_t i = 0; i < reply->elements; i++) {
		if (reply->element[i]->type != REDIS_REPLY_STRING)
			return false;
	}
	return true;
}

/* Adds what HGETALL said about a name. */
static int add_reply(struct redis_store *store, struct redis_link *link,
		     struct redis_harvest *harvest, const char *name, const redisReply *reply)
{
	bool hash = is_hash(reply);
	size_t count = hash ? reply->elements / 2 : 0;
	struct redis_entry *entry;

	if (!hash) {
		if (!redis_is_error(reply, "WRONGTYPE"))
			return redis_refuse(link, reply);
		log_warning_limited("redis key is no hash and left out", "key=%s%s",
				    store->url.prefix, name);
	}
	if (redis_harvest_find(harvest, name))
		return STORAGE_OK; /* SCAN gave it twice; if it changed, that is heard of */
	entry = redis_arena_alloc(&harvest->arena,
				  sizeof(*entry) + count * sizeof(entry->fields[0]));
	if (!entry)
		return redis_fail_memory(store);
	entry->next = NULL;
	entry->count = count;
	entry->stale = false;
	entry->name = redis_arena_copy(&harvest->arena, name, strlen(name));
	if (!entry->name || !copy_fields(&harvest->arena, entry, reply))
		return redis_fail_memory(store);
	*(harvest->end ? harvest->end : &harvest->first) = entry;
	harvest->end = &entry->next;
	void *value = entry;
	return redis_table_put(&harvest->table, entry->name, value) ? STORAGE_OK
								    : redis_fail_memory(store);
}

/* Receives the answer to a HGETALL and adds it, wherever the key has gone to. */
static int receive_hash(struct redis_store *store, struct redis_link *link,
			struct redis_harvest *harvest, const char *name)
{
	char key[REDIS_KEY_MAX];
	const char *words[] = {"HGETALL", key};
	redisReply *reply;
	int status = redis_link_receive(link, &reply);

	if (status == STORAGE_OK && store->slots && redis_make_key(store, name, key))
		status = redis_redirect(store, &reply, 2, words, NULL);
	if (status == STORAGE_OK)
		status = add_reply(store, link, harvest, name, reply);
	freeReplyObject(reply);
	return status;
}

static int send_hgetall(struct redis_store *store, struct redis_link *link, const char *name)
{
	char key[REDIS_KEY_MAX];

	if (!redis_make_key(store, name, key))
		return redis_link_fail(link, "the key of %.100s is too long", name);
	return redis_link_say(link, "HGETALL", key, NULL);
}

/* --- scanning --------------------------------------------------------------------------------- */

/* The names of one SCAN that are being read. */
struct page {
	struct redis_arena arena;
	const char **names;
	size_t count;
	size_t capacity;
};

struct scan {
	struct redis_store *store;
	struct redis_link *link;
	char *pattern;
	const struct redis_scan_calls *calls;
	struct redis_harvest *harvest;
	bool more;         /* there is another page */
	char cursor[32];   /* to ask for it by */
	int64_t called_ms; /* when the caller was last told of changes */
};

static void page_clear(struct page *page)
{
	redis_arena_clear(&page->arena);
	free(page->names);
	*page = (struct page){0};
}

static bool page_add(struct page *page, const char *name)
{
	if (page->count == page->capacity) {
		size_t capacity = page->capacity ? 2 * page->capacity : 1024;
		const char **names = realloc(page->names, capacity * sizeof(*names));
		if (!names)
			return false;
		page->names = names;
		page->capacity = capacity;
	}
	page->names[page->count] = redis_arena_copy(&page->arena, name, strlen(name));
	return page->names[page->count++] != NULL;
}

/* A pattern for the keys of all names, or of those at or below `apex` and some more; malloc'ed. */
static char *make_pattern(const struct redis_store *store, const char *apex)
{
	const char *parts[] = {store->url.prefix, apex && strcmp(apex, ".") != 0 ? apex : ""};
	char *pattern = malloc(2 * (strlen(parts[0]) + strlen(parts[1])) + 2), *out = pattern;

	for (size_t i = 0; pattern && i < 2; i++) {
		for (const char *p = parts[i]; *p != '\0'; p++) {
			if (strchr("*?[]\\^", *p))
				*out++ = '\\';
			*out++ = *p;
		}
		if (i == 0)
			*out++ = '*';
	}
	if (pattern)
		*out = '\0';
	return pattern;
}

static int ask_page(struct scan *scan, const char *cursor)
{
	return redis_link_say(scan->link, "SCAN", cursor, "MATCH", scan->pattern, "COUNT",
			      SCAN_COUNT, NULL);
}

/* Adds a key to the page, if it is a name that is wanted. */
static int take_key(struct scan *scan, const redisReply *key, struct page *page)
{
	char name[DNS_NAME_TEXT_MAX];

	if (key->type != REDIS_REPLY_STRING)
		return redis_refuse(scan->link, key);
	if (!redis_read_key(scan->store, key, name) ||
	    (scan->calls->wants && !scan->calls->wants(scan->calls->ctx, name)))
		return STORAGE_OK;
	return page_add(page, name) ? STORAGE_OK : redis_fail_memory(scan->store);
}

/* Receives a page. */
static int receive_page(struct scan *scan, struct page *page)
{
	redisReply *reply;
	int status = redis_link_receive(scan->link, &reply);

	if (status != STORAGE_OK)
		return status;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY) {
		status = redis_refuse(scan->link, reply);
		freeReplyObject(reply);
		return status;
	}
	scan->more = !redis_is_text(reply->element[0], "0");
	snprintf(scan->cursor, sizeof(scan->cursor), "%s", reply->element[0]->str);
	for (size_t i = 0; i < reply->element[1]->elements && status == STORAGE_OK; i++)
		status = take_key(scan, reply->element[1]->element[i], page);
	freeReplyObject(reply);
	return status;
}

/* Asks for the hashes of a page that was received last, and before that for the next page. */
static int ask_hashes(struct scan *scan, const struct page *page)
{
	int status = scan->more ? ask_page(scan, scan->cursor) : STORAGE_OK;

	for (size_t i = 0; i < page->count && status == STORAGE_OK; i++)
		status = send_hgetall(scan->store, scan->link, page->names[i]);
	return status;
}

static int receive_hashes(struct scan *scan, struct page *page)
{
	int status = STORAGE_OK;

	for (size_t i = 0; i < page->count && status == STORAGE_OK; i++)
		status = receive_hash(scan->store, scan->link, scan->harvest, page->names[i]);
	/* Or the server would drop the connection on which it tells of changes. */
	if (status == STORAGE_OK && scan->store->tracking)
		status = redis_track_drain(scan->store);
	return status;
}

/* Whether the caller is to be told of changes as soon as no answer is awaited. */
static bool is_call_due(struct scan *scan)
{
	const struct redis_store *store = scan->store;
	int64_t now_ms = clock_now_ms();

	if (!scan->calls->changed || store->dirty.table.count == 0 || store->flushed ||
	    now_ms - scan->called_ms < CALL_EVERY_MS)
		return false;
	scan->called_ms = now_ms;
	return true;
}

/* Takes in a page's hashes; `next` is the page behind it, received but not asked about. */
static int finish_page(struct scan *scan, struct page *page, const struct page *next)
{
	bool call = is_call_due(scan);
	int status = STORAGE_OK;

	if (next && !call)
		status = ask_hashes(scan, next);
	if (status == STORAGE_OK)
		status = receive_hashes(scan, page);
	page_clear(page);
	if (status == STORAGE_OK && call)
		status = scan->calls->changed(scan->calls->ctx);
	if (status == STORAGE_OK && next && call)
		status = ask_hashes(scan, next);
	return status;
}

/* Scans one node. */
static int scan_node(struct scan *scan)
{
	struct page pages[2] = {{.count = 0}, {.count = 0}};
	int now = 0;
	int status = ask_page(scan, "0");

	if (status == STORAGE_OK)
		status = receive_page(scan, &pages[now]);
	if (status == STORAGE_OK)
		status = ask_hashes(scan, &pages[now]);
	while (status == STORAGE_OK) {
		bool more = scan->more;
		if (more)
			status = receive_page(scan, &pages[!now]);
		if (status == STORAGE_OK)
			status = finish_page(scan, &pages[now], more ? &pages[!now] : NULL);
		now = !now;
		if (!more)
			break;
	}
	page_clear(&pages[0]);
	page_clear(&pages[1]);
	return status;
}

int redis_scan(struct redis_store *store, const char *apex, const struct redis_scan_calls *calls,
	       struct redis_harvest *harvest)
{
	struct scan scan = {.store = store, .calls = calls, .harvest = harvest};
	int status = redis_check_open(store);

	scan.pattern = make_pattern(store, apex);
	if (!scan.pattern)
		return redis_fail_memory(store);
	for (size_t i = 0; i < store->node_count && status == STORAGE_OK; i++) {
		scan.link = &store->nodes[i].data;
		status = scan_node(&scan);
	}
	free(scan.pattern);
	return status;
}

/* --- by name ---------------------------------------------------------------------------------- */

/* Names of one node that are to be read together. */
struct piece {
	struct redis_store *store;
	struct redis_link *link;
	struct redis_harvest *harvest;
	const char *names[FETCH_TOGETHER];
	size_t count;
};

/* Takes in the hashes that an EXEC gave. */
static int take_exec(struct piece *piece, const redisReply *reply)
{
	int status = STORAGE_OK;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != piece->count)
		return redis_refuse(piece->link, reply);
	for (size_t i = 0; i < piece->count && status == STORAGE_OK; i++)
		status = add_reply(piece->store, piece->link, piece->harvest, piece->names[i],
				   reply->element[i]);
	return status;
}

/* Receives MULTI's answer, a QUEUED for each name, and what EXEC gave. */
static int receive_exec(struct piece *piece)
{
	int status = STORAGE_OK;

	for (size_t i = 0; i < piece->count + 2 && status == STORAGE_OK; i++) {
		redisReply *reply;
		status = redis_link_receive(piece->link, &reply);
		if (status == STORAGE_OK && i == piece->count + 1)
			status = take_exec(piece, reply);
		else if (status == STORAGE_OK && reply->type != REDIS_REPLY_STATUS)
			status = redis_refuse(piece->link, reply);
		freeReplyObject(reply);
	}
	return status;
}

static int read_piece(struct piece *piece)
{
	bool together = !piece->store->slots && piece->count > 1;
	int status = STORAGE_OK;

	if (together)
		status = redis_link_say(piece->link, "MULTI", NULL);
	for (size_t i = 0; i < piece->count && status == STORAGE_OK; i++)
		status = send_hgetall(piece->store, piece->link, piece->names[i]);
	if (together && status == STORAGE_OK)
		status = redis_link_say(piece->link, "EXEC", NULL);
	if (together && status == STORAGE_OK)
		status = receive_exec(piece);
	for (size_t i = 0; !together && i < piece->count && status == STORAGE_OK; i++)
		status = receive_hash(piece->store, piece->link, piece->harvest, piece->names[i]);
	piece->count = 0;
	if (status == STORAGE_OK && piece->store->tracking)
		status = redis_track_drain(piece->store);
	return status;
}

/* Reads those of the names that belong to a node. */
static int fetch_node(struct redis_store *store, struct redis_node *node,
		      const struct redis_table *names, struct redis_harvest *harvest)
{
	struct piece piece = {.store = store, .link = &node->data, .harvest = harvest};
	char key[REDIS_KEY_MAX];
	int status = STORAGE_OK;

	for (size_t i = 0; i < names->capacity && status == STORAGE_OK; i++) {
		const char *name = names->slots[i].key;
		if (!name || (store->slots && redis_make_key(store, name, key) &&
			      redis_find_node(store, key, strlen(key)) != node))
			continue;
		piece.names[piece.count++] = name;
		if (piece.count == FETCH_TOGETHER)
			status = read_piece(&piece);
	}
	return status == STORAGE_OK ? read_piece(&piece) : status;
}

int redis_fetch(struct redis_store *store, const struct redis_table *names,
		struct redis_harvest *harvest)
{
	int status = redis_check_open(store);

	for (size_t i = 0; i < store->node_count && status == STORAGE_OK; i++)
		status = fetch_node(store, &store->nodes[i], names, harvest);
	return status;
}

int redis_fetch_one(struct redis_store *store, const char *name, bool watch,
		    struct redis_harvest *harvest)
{
	char key[REDIS_KEY_MAX];
	redisReply *reply = NULL;
	int status = redis_check_open(store);

	if (status != STORAGE_OK)
		return status;
	if (!redis_make_key(store, name, key))
		return storage_fail(&store->base, STORAGE_REFUSED, "redis: %.100s is too long",
				    name);
	struct redis_link *link = &redis_find_node(store, key, strlen(key))->data;
	if (watch && !store->slots) {
		status = redis_call(link, &reply, "WATCH", key, NULL);
		freeReplyObject(reply);
	}
	if (status == STORAGE_OK)
		status = redis_link_say(link, "HGETALL", key, NULL);
	return status == STORAGE_OK ? receive_hash(store, link, harvest, name) : status;
}
