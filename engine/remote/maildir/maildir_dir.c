#include "engine/remote/maildir/maildir_dir.h"

void
maildir_dir_finish(struct maildir_dir *list)
{
	buf_finish(&list->octets);
	list->count = 0;
}

static bool
note_name(void *context, const char *name)
{
	struct maildir_dir *list = context;

	if (list->count == MAILDIR_DIR_NAMES_MAX) {
		list->full = true;
		return false;
	}
	buf_append(&list->octets, slice_make(name, strlen(name) + 1));
	list->count++;
	return true;
}

bool
maildir_dir_read(struct maildir_dir *list, struct io_dir *dir, const char *path, struct error *err)
{
	buf_clear(&list->octets);
	list->count = 0;
	list->full = false;
	if (!io_list(dir, path, note_name, list, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		buf_clear(&list->octets);
		list->count = 0;
	}
	return !list->full || error_set(err, ERROR_ITEM, "%s/%s has more than %d files", io_dir_path(dir), path,
				      MAILDIR_DIR_NAMES_MAX);
}

const char *
maildir_dir_next(const struct maildir_dir *list, size_t *at)
{
	const char *name = list->octets.data + *at;

	if (*at == list->octets.length) {
		return NULL;
	}
	*at += strlen(name) + 1;
	return name;
}

const char *
maildir_dir_join(struct buf *out, const char *path, const char *name)
{
	buf_clear(out);
	buf_append_text(out, path);
	if (path[0] != '\0' && name[0] != '\0') {
		buf_append_octet(out, '/');
	}
	buf_append_text(out, name);
	return out->data;
}
