#include "engine/remote/imap/imap_names.h"

#include <stdlib.h>

/* Where the name is, or would be. Under the lock. */
static size_t
place_of(const struct imap_remote *remote, struct slice name)
{
	size_t low = 0, high = remote->name_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (slice_compare(slice_of(remote->names[middle].name), name) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static bool
is_at(const struct imap_remote *remote, size_t place, struct slice name)
{
	return place < remote->name_count && slice_equal(slice_of(remote->names[place].name), name);
}

bool
imap_names_find(struct imap_remote *remote, struct slice name, uint32_t uidvalidity, struct guid *out)
{
	bool found = false;

	out->kind = GUID_NONE;
	out->length = 0;
	mutex_lock(&remote->lock);

	size_t place = place_of(remote, name);

	if (is_at(remote, place, name) && remote->names[place].uidvalidity == uidvalidity) {
		const struct imap_known_name *known = &remote->names[place];

		imap_words_guid((enum guid_kind)known->id_kind, slice_make(known->id, known->id_length), out);
		found = true;
	}
	mutex_unlock(&remote->lock);
	return found;
}

static void
make_room(struct imap_remote *remote, size_t place)
{
	if (remote->name_count == remote->name_capacity) {
		remote->name_capacity = remote->name_capacity == 0 ? 64 : 2 * remote->name_capacity;
		remote->names = reallocarray(remote->names, remote->name_capacity, sizeof *remote->names);
		if (remote->names == NULL) {
			abort();
		}
	}
	memmove(&remote->names[place + 1], &remote->names[place], (remote->name_count - place) * sizeof *remote->names);
	remote->name_count++;
}

void
imap_names_keep(struct imap_remote *remote, struct slice name, uint32_t uidvalidity, const struct guid *id)
{
	if (id->kind == GUID_NONE || uidvalidity == 0 || slice_find(name, '\0') < name.length) {
		return;
	}
	mutex_lock(&remote->lock);

	size_t place = place_of(remote, name);
	bool there = is_at(remote, place, name);

	if (there || remote->name_count < IMAP_NAMES_MAX) {
		if (there) {
			free(remote->names[place].id);
		} else {
			make_room(remote, place);
			remote->names[place].name = slice_dup(name);
		}
		remote->names[place].uidvalidity = uidvalidity;
		remote->names[place].id_kind = id->kind;
		remote->names[place].id_length = id->length;
		remote->names[place].id = slice_dup(slice_make(id->value, id->length));
	}
	mutex_unlock(&remote->lock);
}

bool
imap_names_any(struct imap_remote *remote)
{
	bool any;

	mutex_lock(&remote->lock);
	any = remote->name_count > 0;
	mutex_unlock(&remote->lock);
	return any;
}

void
imap_names_finish(struct imap_remote *remote)
{
	for (size_t i = 0; i < remote->name_count; i++) {
		free(remote->names[i].name);
		free(remote->names[i].id);
	}
	free(remote->names);
	remote->names = NULL;
	remote->name_count = remote->name_capacity = 0;
}
