/*
 * Hashes that were read, each name once: in the order in which they came, and by name. A name that
 * is read once more gets a second entry, which counts, and its first one is marked as stale.
 */
#include "storage/redis_internal.h"

#include <string.h>

void redis_harvest_clear(struct redis_harvest *harvest)
{
	redis_table_clear(&harvest->table);
	redis_arena_clear(&harvest->arena);
	*harvest = (struct redis_harvest){0};
}

struct redis_entry *redis_harvest_find(const struct redis_harvest *harvest, const char *name)
{
	struct redis_table_slot *slot = redis_table_find(&harvest->table, name);

	return slot ? slot->value : NULL;
}

bool redis_harvest_replace(struct redis_harvest *harvest, const struct redis_entry *entry)
{
	size_t size = sizeof(*entry) + entry->count * sizeof(entry->fields[0]), text_size = 0;
	struct redis_entry *old = redis_harvest_find(harvest, entry->name);
	struct redis_entry *copy = redis_arena_alloc(&harvest->arena, size);

	for (size_t i = 0; i < entry->count; i++)
		text_size += entry->fields[i].name_size + entry->fields[i].value_size;
	char *text = redis_arena_alloc(&harvest->arena, text_size + 1);
	if (!copy || !text)
		return false;
	memcpy(copy, entry, size);
	copy->next = NULL;
	copy->name = old ? old->name
			 : redis_arena_copy(&harvest->arena, entry->name, strlen(entry->name));
	for (size_t i = 0; i < entry->count; i++) {
		struct redis_field *field = &copy->fields[i];
		field->name = memcpy(text, field->name, field->name_size);
		text += field->name_size;
		field->value = memcpy(text, field->value, field->value_size);
		text += field->value_size;
	}
	void *value = copy;
	if (!copy->name || !redis_table_put(&harvest->table, copy->name, value))
		return false;
	if (old)
		old->stale = true;
	*(harvest->end ? harvest->end : &harvest->first) = copy;
	harvest->end = &copy->next;
	return true;
}
