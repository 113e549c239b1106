/* JSON (RFC 8259) as it is written: values one after another into a buf, with the commas and the indentation put between them here.
 *
 *	struct json json;
 *	json_begin(&json, out, true);
 *	json_object(&json);
 *	json_key(&json, "accounts");
 *	json_array(&json);
 *	json_text(&json, slice_of("home"));
 *	json_end(&json);
 *	json_end(&json);
 *
 * Texts are made valid: octets that are no UTF-8 become U+FFFD, and controls, also U+007F to U+009F, are escaped, so that a line shown
 * on a terminal does nothing to it. Nesting beyond JSON_DEPTH_MAX, a key outside of an object and the like are mistakes of the caller:
 * asserted. Cannot fail.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "engine/base/buf.h"

#define JSON_DEPTH_MAX 16

struct json {
	struct buf *out;
	bool indented;
	bool after_key;               /* the next thing is the value of a key */
	unsigned depth;               /* open objects and arrays */
	char closing[JSON_DEPTH_MAX]; /* '}' or ']' by depth */
	bool empty[JSON_DEPTH_MAX];   /* nothing in it yet */
};

/* Begins one JSON text at the end of `out`; `indented` by tabs, one thing to a line, else all in one line. */
void json_begin(struct json *json, struct buf *out, bool indented);
void json_object(struct json *json);
void json_array(struct json *json);
/* Ends the innermost object or array. */
void json_end(struct json *json);
void json_key(struct json *json, const char *key);
void json_text(struct json *json, struct slice text);
void json_u64(struct json *json, uint64_t value);
void json_i64(struct json *json, int64_t value);
void json_bool(struct json *json, bool value);
void json_null(struct json *json);

/* A key and its value at once. A NULL text is null. */
void json_key_text(struct json *json, const char *key, const char *text_or_null);
void json_key_slice(struct json *json, const char *key, struct slice text);
void json_key_u64(struct json *json, const char *key, uint64_t value);
void json_key_bool(struct json *json, const char *key, bool value);

/* Appends a text with its quotes, escaped. */
void json_quote(struct slice text, struct buf *out);

#endif
