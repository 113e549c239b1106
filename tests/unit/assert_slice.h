/* cmocka, and an assertion on bytes that need not end in a NUL. */
#ifndef UNIT_ASSERT_SLICE_H
#define UNIT_ASSERT_SLICE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/slice.h"

/* The first holds exactly the octets of the second. */
#define assert_slices(is, should_be) assert_slices_at((is), (should_be), __FILE__, __LINE__)
/* The same of a literal, which may hold NULs. */
#define assert_slice(is, literal) assert_slices((is), SLICE_LITERAL(literal))

static inline void
assert_slices_at(struct slice is, struct slice should_be, const char *file, int line)
{
	if (!slice_equal(is, should_be)) {
		print_error("\"%.*s\" is not \"%.*s\"\n", (int)is.length, is.length > 0 ? is.data : "",
			(int)should_be.length, should_be.length > 0 ? should_be.data : "");
		_fail(file, line);
	}
}

#endif
