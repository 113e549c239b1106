/* What must agree in a store at rest: one query to a rule, each of which gives the rows that break it. */
#include "engine/store/store_parts.h"

#define FINDINGS_MAX 20 /* of one rule */

/* The statement gives a number that names the place, and may give a second. */
struct rule {
	const char *sentence; /* with the two numbers */
	const char *sql;
};

static const struct rule rules[] = {
	{"mailbox %llu says it holds %llu messages, and holds another count",
		"SELECT b.id, b.messages FROM mailbox b WHERE b.expunged IS NULL AND b.messages <> "
		"(SELECT count(*) FROM message m WHERE m.mailbox = b.id AND m.expunged IS NULL)"},
	{"mailbox %llu would give UID %llu again",
		"SELECT b.id, b.uidnext FROM mailbox b WHERE b.uidnext <= "
		"(SELECT coalesce(max(m.uid), 0) FROM message m WHERE m.mailbox = b.id)"},
	{"mailbox %llu has ended and holds message %llu",
		"SELECT b.id, m.number FROM mailbox b JOIN message m ON m.mailbox = b.id "
		"WHERE b.expunged IS NOT NULL AND m.expunged IS NULL"},
	{"message %llu is in mailbox %llu, which is not there",
		"SELECT m.number, m.mailbox FROM message m LEFT JOIN mailbox b ON b.id = m.mailbox WHERE b.id IS NULL"},
	{"message %llu is live in mailbox %llu, has its header and is not listed",
		"SELECT m.number, m.mailbox FROM message m LEFT JOIN listing l ON l.mailbox = m.mailbox AND l.uid = "
		"m.uid "
		"WHERE m.expunged IS NULL AND m.envelope IS NOT NULL AND l.uid IS NULL"},
	{"message %llu is listed as UID %llu and is not there",
		"SELECT l.number, l.uid FROM listing l LEFT JOIN message m ON m.number = l.number AND m.mailbox = "
		"l.mailbox AND m.uid = l.uid "
		"AND m.expunged IS NULL WHERE m.number IS NULL"},
	{"message %llu of size %llu is listed with other flags, size or presence",
		"SELECT m.number, m.size FROM listing l JOIN message m ON m.number = l.number "
		"WHERE m.flags <> l.flags OR m.size <> l.size OR (m.body IS NOT NULL) <> l.here"},
	{"message %llu shares the name it is listed under with message %llu",
		"SELECT a.number, b.number FROM listing a JOIN listing b ON a.mailbox = b.mailbox AND a.name = b.name "
		"AND a.number <> b.number "
		"WHERE a.given = 1"},
	{"message %llu shares its base name in the Maildir view with message %llu",
		"SELECT a.number, b.number FROM listing a JOIN listing b ON a.mailbox = b.mailbox AND a.base_name = "
		"b.base_name AND a.number <> b.number"},
	{"message %llu shares the name it is listed under with the local file %llu",
		"SELECT l.number, f.id FROM local f JOIN listing l ON l.mailbox = f.parent AND l.given = 1 AND l.name "
		"= CAST(f.name AS TEXT) "
		"WHERE f.parent_kind = 0 AND f.expunged IS NULL"},
	{"message %llu has body %llu, which is not there", "SELECT m.number, m.body FROM message m LEFT JOIN body b ON "
							   "b.id = m.body WHERE m.body IS NOT NULL AND b.id IS NULL"},
	{"message %llu has another size than its body %llu", "SELECT m.number, b.id FROM message m JOIN body b ON b.id "
							     "= m.body WHERE m.size <> b.size AND b.damaged = 0"},
	{"body %llu of size %llu keeps other octets than it says",
		"SELECT id, size FROM body WHERE data IS NOT NULL AND length(data) <> size"},
	{"message %llu has modseq %llu, which was not given yet",
		"SELECT number, modseq FROM message WHERE modseq > (SELECT value FROM meta WHERE key = 'modseq')"},
	{"mailbox %llu has modseq %llu, which was not given yet",
		"SELECT id, modseq FROM mailbox WHERE modseq > (SELECT value FROM meta WHERE key = 'modseq')"},
	{"message %llu (UID %llu) has a number that was not given yet",
		"SELECT number, uid FROM message WHERE number > (SELECT value FROM meta WHERE key = 'number')"},
	{"the local file %llu lies in %llu, which is not there",
		"SELECT f.id, f.parent FROM local f WHERE f.expunged IS NULL AND (((f.parent_kind = 0 OR "
		"(f.parent_kind > 3 "
		"AND f.parent <> 0)) AND NOT EXISTS "
		"(SELECT 1 FROM mailbox b WHERE b.id = f.parent AND b.expunged IS NULL)) OR (f.parent_kind = 1 AND NOT "
		"EXISTS "
		"(SELECT 1 FROM local d WHERE d.id = f.parent AND d.kind = 1 AND d.expunged IS NULL)))"},
	{"mailbox %llu, child %llu of nothing, has lost the level above it",
		"SELECT c.id, c.kind FROM mailbox c WHERE c.expunged IS NULL AND instr(c.name, '/') > 0 AND NOT EXISTS "
		"(SELECT 1 FROM mailbox p WHERE p.expunged IS NULL AND p.name = rtrim(rtrim(c.name, replace(c.name, "
		"'/', '')), '/'))"},
};

static bool
check_rule(struct store_txn *txn, const struct rule *rule, struct buf *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	enum db_row row = DB_DONE;

	if (!store_prepare(txn, rule->sql, &select, err)) {
		return false;
	}
	for (int found = 0; found < FINDINGS_MAX && (row = db_step(select, err)) == DB_ROW; found++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		buf_printf(out, rule->sentence, (unsigned long long)db_u64(select, 0),
			(unsigned long long)db_u64(select, 1));
#pragma GCC diagnostic pop
		buf_append_octet(out, '\n');
	}
	return row != DB_FAILED;
}

static bool
check_files(struct store_txn *txn, struct buf *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	enum db_row row;

	if (!store_prepare(txn, "SELECT id, digest, size FROM body WHERE data IS NULL AND pack IS NULL AND damaged = 0",
		    &select, err)) {
		return false;
	}
	while ((row = db_step(select, err)) == DB_ROW) {
		char name[BODY_NAME_BYTES];
		struct digest digest;
		struct io_stat st;

		if (!store_read_digest(select, 1, &digest)) {
			buf_printf(out, "body %llu has no digest\n", (unsigned long long)db_u64(select, 0));
			continue;
		}
		body_file_name(&digest, name);
		if (!io_stat(store_dir(store_of(txn)), name, &st, err)) {
			if (err->kind != ERROR_GONE) {
				return false;
			}
			error_clear(err);
			buf_printf(
				out, "body %llu has lost its file %s\n", (unsigned long long)db_u64(select, 0), name);
		} else if (st.size_bytes != db_u64(select, 2)) {
			buf_printf(out, "body %llu has a file of another size, %s\n",
				(unsigned long long)db_u64(select, 0), name);
		}
	}
	return row == DB_DONE;
}

/* That the packs hold what the rows say, as far as their sizes tell. */
static bool
check_packs(struct store_txn *txn, struct buf *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	enum db_row row;

	if (!store_prepare(txn,
		    "SELECT pack, max(place + size) FROM body WHERE pack IS NOT NULL AND damaged = 0 GROUP BY pack",
		    &select, err)) {
		return false;
	}
	while ((row = db_step(select, err)) == DB_ROW) {
		char name[BODY_PACK_NAME_BYTES];
		struct io_stat st = {0};

		body_pack_name(db_u64(select, 0), name);
		if (!io_stat(store_dir(store_of(txn)), name, &st, err) && err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		if (st.size_bytes < db_u64(select, 1)) {
			buf_printf(out, "the pack %s holds %llu octets, and bodies up to %llu are to be in it\n", name,
				(unsigned long long)st.size_bytes, (unsigned long long)db_u64(select, 1));
		}
	}
	return row == DB_DONE;
}

static void
note_damage(void *context, struct slice sentence)
{
	struct buf *out = context;

	buf_append_text(out, "the database: ");
	buf_append(out, sentence);
	buf_append_octet(out, '\n');
}

bool
store_audit(struct store *store, struct buf *out_findings, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;

	if (!store_read_begin(store, &txn, err)) {
		return false;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(rules); i++) {
		if (!check_rule(txn, &rules[i], out_findings, err)) {
			return error_wrap(err, "checking the store");
		}
	}
	return check_files(txn, out_findings, err) && check_packs(txn, out_findings, err) &&
	       db_check(txn->db, true, note_damage, out_findings, err);
}
