/* Octets with any line ends, the first of them telling where they are cut: kept, turned back, counted and digested, whole and in pieces. */
#include <assert.h>

#include "engine/mime/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_served(struct slice bytes)
{
	SCOPED(buf_finish) struct buf kept = BUF_INIT;
	SCOPED(buf_finish) struct buf wire = BUF_INIT;
	enum wire_form form = wire_keep_served(bytes, &kept);
	struct digest of_bytes = sha256_of(bytes), of_kept = wire_digest_of_kept(buf_slice(&kept), form);

	wire_from_kept(buf_slice(&kept), form, &wire);
	assert(slice_equal(buf_slice(&wire), bytes));
	assert(digest_equal(&of_bytes, &of_kept));
	assert(form == WIRE_FORM_RAW || slice_find(buf_slice(&kept), '\r') == kept.length);
}

static void
check_written(struct slice bytes, size_t cut)
{
	SCOPED(buf_finish) struct buf kept = BUF_INIT;
	SCOPED(buf_finish) struct buf wire = BUF_INIT;
	SCOPED(buf_finish) struct buf pieces = BUF_INIT;
	struct wire_scan scan = WIRE_SCAN_INIT;
	struct wire_state state = WIRE_STATE_INIT;
	enum wire_form form = wire_keep_written(bytes, &kept);

	wire_from_kept(buf_slice(&kept), form, &wire);
	wire_scan_feed(&scan, slice_head(bytes, cut));
	wire_from_lf(&state, slice_head(bytes, cut), &pieces);
	cut = cut < bytes.length ? cut : bytes.length;
	wire_scan_feed(&scan, slice_skip(bytes, cut));
	wire_from_lf(&state, slice_skip(bytes, cut), &pieces);
	assert(slice_equal(buf_slice(&pieces), buf_slice(&wire)));
	assert(wire_scan_wire_size(&scan) == wire.length && wire_size(bytes) == wire.length);
	assert(wire_scan_written(&scan) == form);
	assert(form == WIRE_FORM_RAW || wire_scan_lf_size(&scan) == kept.length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_make(data, size);

	if (size == 0) {
		return 0;
	}
	bytes = slice_skip(bytes, 1);
	check_served(bytes);
	check_written(bytes, data[0]);
	assert(wire_skip_mbox_line(bytes).length <= bytes.length);
	return 0;
}
