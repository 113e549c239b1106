#include "tests/unit/imap_dump.h"

#include <inttypes.h>

static void
dump_slice(struct buf *out, const char *name, struct slice value)
{
	if (value.length == 0) {
		return;
	}
	buf_printf(out, " %s=", name);
	for (size_t i = 0; i < value.length; i++) {
		unsigned char octet = (unsigned char)value.data[i];

		if (octet < 0x20 || octet >= 0x7f) {
			buf_printf(out, "%%%02X", octet);
		} else {
			buf_append_octet(out, value.data[i]);
		}
	}
}

static void
dump_fetched(struct buf *out, const struct imap_fetched *fetched)
{
	static const char *const forms[] = {"", " NIL", " kept", " streamed"};

	buf_printf(out, " uid=%" PRIu32, fetched->uid);
	if (fetched->has_flags) {
		buf_append_text(out, " flags");
		dump_slice(out, "is", fetched->flags);
	}
	if (fetched->modseq != 0) {
		buf_printf(out, " modseq=%" PRIu64, fetched->modseq);
	}
	if (fetched->has_date) {
		buf_printf(out, " date=%" PRId64, fetched->internaldate_s);
	}
	if (fetched->has_size) {
		buf_printf(out, " size=%" PRIu64, fetched->size);
	}
	if (fetched->guid_kind != GUID_NONE) {
		buf_printf(out, " guid%d", fetched->guid_kind);
		dump_slice(out, "is", fetched->guid);
	}
	if (fetched->has_header) {
		buf_append_text(out, " header");
		dump_slice(out, "is", fetched->header);
	}
	buf_append_text(out, forms[fetched->form]);
	if (fetched->form == IMAP_BODY_KEPT || fetched->form == IMAP_BODY_STREAMED) {
		buf_printf(out, ":%" PRIu64 "%s", fetched->body_size, fetched->body_binary ? ":binary" : "");
		dump_slice(out, "is", fetched->body);
	}
	if (fetched->form != IMAP_BODY_NONE && fetched->body_partial) {
		buf_printf(out, "<%" PRIu64 ">", fetched->body_origin);
	}
}

static void
dump_mailbox(struct buf *out, const struct imap_mailbox *mailbox)
{
	dump_slice(out, "name", mailbox->name);
	buf_printf(out, " messages=%" PRIu32 "%s uidnext=%" PRIu32 " uidvalidity=%" PRIu32 " modseq=%" PRIu64,
		mailbox->messages, mailbox->has_messages ? "" : "?", mailbox->uidnext, mailbox->uidvalidity,
		mailbox->highestmodseq);
	dump_slice(out, "x-guid", mailbox->x_guid);
	dump_slice(out, "mailboxid", mailbox->mailboxid);
}

static void
dump_response(struct buf *out, const struct imap_response *r)
{
	static const char *const kinds[] = {
		[IMAP_RESPONSE_OTHER] = "other",
		[IMAP_RESPONSE_TAGGED] = "tagged",
		[IMAP_RESPONSE_STATUS] = "status",
		[IMAP_RESPONSE_CONTINUE] = "continue",
		[IMAP_RESPONSE_CAPABILITY] = "capability",
		[IMAP_RESPONSE_ENABLED] = "enabled",
		[IMAP_RESPONSE_FLAGS] = "flags",
		[IMAP_RESPONSE_LIST] = "list",
		[IMAP_RESPONSE_LSUB] = "lsub",
		[IMAP_RESPONSE_MAILBOX] = "mailbox",
		[IMAP_RESPONSE_SEARCH] = "search",
		[IMAP_RESPONSE_ESEARCH] = "esearch",
		[IMAP_RESPONSE_EXISTS] = "exists",
		[IMAP_RESPONSE_EXPUNGE] = "expunge",
		[IMAP_RESPONSE_VANISHED] = "vanished",
		[IMAP_RESPONSE_FETCH] = "fetch",
		[IMAP_RESPONSE_ID] = "id",
		[IMAP_RESPONSE_NAMESPACE] = "namespace",
	};
	static const char *const statuses[] = {" OK", " NO", " BAD", " PREAUTH", " BYE"};

	buf_append_text(out, kinds[r->kind]);
	dump_slice(out, "tag", r->tag);
	if (r->kind == IMAP_RESPONSE_TAGGED || r->kind == IMAP_RESPONSE_STATUS) {
		buf_append_text(out, statuses[r->status]);
	}
	if (r->number != 0) {
		buf_printf(out, " %" PRIu32, r->number);
	}
	dump_slice(out, "code", r->code);
	dump_slice(out, "arguments", r->arguments);
	buf_append_text(out, r->earlier ? " earlier" : "");
	dump_slice(out, "text", r->text);
	if (r->kind == IMAP_RESPONSE_LIST || r->kind == IMAP_RESPONSE_LSUB) {
		dump_slice(out, "attributes", r->listed.attributes);
		buf_printf(out, " separator=%c", r->listed.separator != '\0' ? r->listed.separator : '0');
		dump_slice(out, "name", r->listed.name);
		buf_append_text(out, r->listed.renamed ? " renamed" : "");
	} else if (r->kind == IMAP_RESPONSE_MAILBOX) {
		dump_mailbox(out, &r->mailbox);
	} else if (r->kind == IMAP_RESPONSE_ESEARCH) {
		dump_slice(out, "tag", r->esearch.tag);
		dump_slice(out, "all", r->esearch.all);
		if (r->esearch.has_count) {
			buf_printf(out, " count=%" PRIu32, r->esearch.count);
		}
	} else if (r->kind == IMAP_RESPONSE_FETCH) {
		dump_fetched(out, &r->fetched);
	}
	dump_slice(out, "name", r->id_name);
	dump_slice(out, "version", r->id_version);
	dump_slice(out, "prefix", r->prefix);
	buf_append_octet(out, '\n');
}

/* Takes all events of one piece; false at an error. */
static bool
dump_piece(struct imap_reader *reader, struct slice piece, struct buf *body, struct buf *out)
{
	struct imap_event event;
	struct error err;

	do {
		if (!imap_reader_next(reader, &piece, &event, &err)) {
			buf_printf(out, "error %s\n", err.text);
			return false;
		}
		if (event.kind == IMAP_EVENT_BODY) {
			if (event.offset == 0) {
				buf_printf(out, "body of %" PRIu32, event.message->uid);
			}
			buf_append(body, event.data);
			if (event.offset + event.data.length == event.size) {
				dump_slice(out, "is", buf_slice(body));
				buf_append_octet(out, '\n');
				buf_clear(body);
			}
		} else if (event.kind == IMAP_EVENT_RESPONSE) {
			dump_response(out, &event.response);
		}
	} while (event.kind != IMAP_EVENT_MORE);
	return true;
}

void
imap_dump(struct slice octets, size_t piece, struct buf *out)
{
	SCOPED(imap_reader_finish) struct imap_reader reader;
	SCOPED(buf_finish) struct buf body = BUF_INIT;

	imap_reader_init(&reader);
	while (octets.length > 0) {
		/* a copy of exactly its size, so that a read past the end is seen */
		size_t count = piece < octets.length ? piece : octets.length;
		SCOPED(buf_finish) struct buf copy = BUF_INIT;

		buf_append(&copy, slice_head(octets, count));
		octets = slice_skip(octets, count);
		if (!dump_piece(&reader, buf_slice(&copy), &body, out)) {
			return;
		}
	}
	if (!imap_reader_rests(&reader)) {
		buf_append_text(out, "unfinished\n");
	}
}
