#include "storage/redis_edit.h"

#include "dns/protocol.h"
#include "dns/rdata.h"

#include <stdio.h>
#include <string.h>

/* A hash that is being changed; has room for what the edits may add. */
struct draft {
	struct redis_entry *entry;
	struct redis_arena *arena;
};

/* --- fields ----------------------------------------------------------------------------------- */

static void remove_field(struct redis_entry *entry, size_t place)
{
	entry->count--;
	memmove(&entry->fields[place], &entry->fields[place + 1],
		(entry->count - place) * sizeof(entry->fields[0]));
}

/* Removes a type with its own TTL. */
static void remove_type(struct redis_entry *entry, uint16_t type)
{
	for (size_t i = entry->count; i-- > 0;) {
		const struct redis_field *field = &entry->fields[i];
		uint16_t of = redis_field_is_ttl(field) ? redis_field_ttl_type(field)
							: redis_field_type(field);
		if (of == type)
			remove_field(entry, i);
	}
}

/* Adds a field; takes texts that live as long as the entry. NULL: a copy ran out of memory. */
static bool add_field(struct redis_entry *entry, const char *name, const char *value)
{
	if (!name || !value)
		return false;
	entry->fields[entry->count++] = (struct redis_field){
		.name = name,
		.value = value,
		.name_size = strlen(name),
		.value_size = strlen(value),
	};
	return true;
}

static bool is_name_ttl(const struct redis_field *field)
{
	return redis_field_is_ttl(field) && field->name_size == 3;
}

/* What types without a TTL of their own go by. */
static uint32_t read_name_ttl(const struct redis_entry *entry)
{
	uint32_t ttl;

	for (size_t i = 0; i < entry->count; i++) {
		if (is_name_ttl(&entry->fields[i]) && redis_field_read_ttl(&entry->fields[i], &ttl))
			return ttl;
	}
	return REDIS_TTL_DEFAULT;
}

/* True when the type has a TTL of its own. */
static bool has_own_ttl(const struct redis_entry *entry, uint16_t type)
{
	for (size_t i = 0; i < entry->count; i++) {
		if (redis_field_is_ttl(&entry->fields[i]) &&
		    redis_field_ttl_type(&entry->fields[i]) == type)
			return true;
	}
	return false;
}

/* True when some type goes by the name's TTL. */
static bool needs_name_ttl(const struct redis_entry *entry)
{
	for (size_t i = 0; i < entry->count; i++) {
		const struct redis_field *field = &entry->fields[i];
		uint16_t type = redis_field_type(field);
		if (!redis_field_is_ttl(field) && type != 0 && !has_own_ttl(entry, type))
			return true;
	}
	return false;
}

/* --- edits ------------------------------------------------------------------------------------ */

/* Writes the TTL of a type that is about to be added. */
static bool put_ttl(struct draft *draft, const char *mnemonic, uint32_t ttl)
{
	struct redis_entry *entry = draft->entry;
	char name[4 + DNS_TYPE_TEXT_MAX] = "ttl", value[16];

	if (needs_name_ttl(entry)) {
		if (read_name_ttl(entry) == ttl)
			return true;
		snprintf(name, sizeof(name), "ttl.%s", mnemonic);
	} else {
		for (size_t i = entry->count; i-- > 0;) {
			if (is_name_ttl(&entry->fields[i]))
				remove_field(entry, i);
		}
	}
	snprintf(value, sizeof(value), "%u", ttl);
	return add_field(entry, redis_arena_copy(draft->arena, name, strlen(name)),
			 redis_arena_copy(draft->arena, value, strlen(value)));
}

static bool apply_edit(struct draft *draft, const struct redis_edit *edit)
{
	char mnemonic[DNS_TYPE_TEXT_MAX];

	remove_type(draft->entry, edit->type);
	if (!edit->value)
		return true;
	dns_type_to_text(edit->type, mnemonic);
	return put_ttl(draft, mnemonic, edit->ttl) &&
	       add_field(draft->entry, redis_arena_copy(draft->arena, mnemonic, strlen(mnemonic)),
			 edit->value);
}

/* Takes away what a zone has of the name. The child zone's NS records stay its own. */
static void clear_part(struct redis_entry *entry, enum redis_part part)
{
	for (size_t i = entry->count; i-- > 0;) {
		const struct redis_field *field = &entry->fields[i];
		uint16_t type = redis_field_is_ttl(field) ? redis_field_ttl_type(field)
							  : redis_field_type(field);
		bool name_ttl = is_name_ttl(field);
		if (part == REDIS_PART_ALL ||
		    (part == REDIS_PART_APEX && type != DNS_TYPE_DS && !name_ttl) ||
		    (part == REDIS_PART_DELEGATION && type == DNS_TYPE_DS))
			remove_field(entry, i);
	}
}

/* A hash of TTLs alone is none. */
static void drop_lone_ttls(struct redis_entry *entry)
{
	for (size_t i = 0; i < entry->count; i++) {
		if (!redis_field_is_ttl(&entry->fields[i]))
			return;
	}
	entry->count = 0;
}

bool redis_change_apply(struct redis_change *change, struct redis_arena *arena)
{
	const struct redis_entry *before = change->before;
	size_t capacity = before->count;
	struct draft draft = {.arena = arena};

	for (const struct redis_edit *edit = change->edits; edit; edit = edit->next)
		capacity += 2;
	draft.entry = redis_arena_alloc(arena, sizeof(*draft.entry) +
						       capacity * sizeof(before->fields[0]));
	if (!draft.entry)
		return false;
	*draft.entry = (struct redis_entry){.name = change->name, .count = before->count};
	memcpy(draft.entry->fields, before->fields, before->count * sizeof(before->fields[0]));
	clear_part(draft.entry, change->cleared);
	for (const struct redis_edit *edit = change->edits; edit; edit = edit->next) {
		if (!apply_edit(&draft, edit))
			return false;
	}
	drop_lone_ttls(draft.entry);
	change->after = draft.entry;
	return true;
}

/* --- commands --------------------------------------------------------------------------------- */

/* The field of the same name, as Redis compares: octet by octet. */
static const struct redis_field *find_field(const struct redis_entry *entry,
					    const struct redis_field *field)
{
	for (size_t i = 0; i < entry->count; i++) {
		const struct redis_field *other = &entry->fields[i];
		if (other->name_size == field->name_size &&
		    memcmp(other->name, field->name, field->name_size) == 0)
			return other;
	}
	return NULL;
}

static bool start_command(struct redis_command *command, struct redis_arena *arena,
			  const char *name, size_t words)
{
	*command = (struct redis_command){
		.name = name,
		.words = redis_arena_alloc(arena, words * sizeof(*command->words)),
		.sizes = redis_arena_alloc(arena, words * sizeof(*command->sizes)),
	};
	return command->words && command->sizes;
}

static void add_word(struct redis_command *command, const char *word, size_t size)
{
	command->words[command->count] = word;
	command->sizes[command->count++] = size;
}

/* HSET of what is new or different. */
static bool make_set(const struct redis_change *change, struct redis_arena *arena,
		     struct redis_command *command)
{
	const struct redis_entry *after = change->after;

	if (!start_command(command, arena, "HSET", 2 * after->count))
		return false;
	for (size_t i = 0; i < after->count; i++) {
		const struct redis_field *field = &after->fields[i];
		const struct redis_field *old = find_field(change->before, field);
		if (old && old->value_size == field->value_size &&
		    memcmp(old->value, field->value, field->value_size) == 0)
			continue;
		add_word(command, field->name, field->name_size);
		add_word(command, field->value, field->value_size);
	}
	return true;
}

/* HDEL of what is gone. */
static bool make_delete(const struct redis_change *change, struct redis_arena *arena,
			struct redis_command *command)
{
	const struct redis_entry *before = change->before;

	if (!start_command(command, arena, "HDEL", before->count))
		return false;
	for (size_t i = 0; i < before->count; i++) {
		if (!find_field(change->after, &before->fields[i]))
			add_word(command, before->fields[i].name, before->fields[i].name_size);
	}
	return true;
}

int redis_change_commands(const struct redis_change *change, struct redis_arena *arena,
			  struct redis_command *commands)
{
	int count = 0;

	if (change->after->count == 0) {
		commands[0] = (struct redis_command){.name = "DEL"};
		return change->before->count > 0;
	}
	if (!make_set(change, arena, &commands[count]))
		return -1;
	count += commands[count].count > 0;
	if (change->before->count == 0)
		return count;
	if (!make_delete(change, arena, &commands[count]))
		return -1;
	return count + (commands[count].count > 0);
}
