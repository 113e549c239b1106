#include "engine/io/fifo.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Octet number n of the sequence that goes through. */
static char
octet_at(uint64_t n)
{
	return (char)(n * 31 + n / 257);
}

static void
what_goes_in_comes_out_in_order(void **state)
{
	struct fifo fifo = {.secret = *state != NULL};
	uint64_t in = 0, out = 0, seed = 7;

	for (unsigned round = 0; round < 4000; round++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		size_t more = (size_t)(seed >> 33) % (round % 100 == 0 ? 100000 : 300);
		char *room = fifo_room(&fifo, more + 10);

		for (size_t i = 0; i < more; i++) {
			room[i] = octet_at(in++);
		}
		fifo_added(&fifo, more);
		assert_int_equal(fifo_length(&fifo), in - out);

		size_t less = (size_t)(seed >> 20) % (fifo_length(&fifo) + 1);
		struct slice view = fifo_view(&fifo);

		for (size_t i = 0; i < less; i++) {
			assert_int_equal(view.data[i], octet_at(out++));
		}
		fifo_consume(&fifo, less);
	}
	fifo_finish(&fifo);
	assert_null(fifo.data);
}

static void
small_takings_from_much_do_not_move_it_each_time(void **state)
{
	struct fifo fifo = {0};
	unsigned moves = 0;
	const size_t much = 1u << 20;

	memset(fifo_room(&fifo, much), 'x', much);
	fifo_added(&fifo, much);
	/* as much comes in as is taken out, 16 octets at a time: each move makes room for many */
	for (unsigned i = 0; i < 200000; i++) {
		const char *before = fifo.data + fifo.start;

		fifo_consume(&fifo, 16);
		fifo_append(&fifo, SLICE_LITERAL("0123456789abcdef"));
		moves += fifo.data + fifo.start != before + 16;
	}
	assert_int_equal(fifo_length(&fifo), much);
	assert_true(moves <= 8);
	assert_true(fifo.capacity <= 4 * much);
	fifo_finish(&fifo);
}

static void
a_secret_is_wiped_when_it_was_taken_out(void **state)
{
	struct fifo fifo = {.secret = true};

	fifo_append(&fifo, SLICE_LITERAL("password"));
	const char *data = fifo.data;

	fifo_consume(&fifo, 8);
	assert_ptr_equal(fifo.data, data);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(data[i], 0);
	}
	fifo_finish(&fifo);
	assert_true(fifo.secret);
}

static void
large_memory_is_given_back_when_empty(void **state)
{
	struct fifo fifo = {0};
	const size_t large = 5u << 20;

	memset(fifo_room(&fifo, large), 'x', large);
	fifo_added(&fifo, large);
	fifo_consume(&fifo, large - 1);
	assert_true(fifo.capacity >= large);
	fifo_consume(&fifo, 1);
	assert_int_equal(fifo.capacity, 0);
	fifo_append(&fifo, slice_make(NULL, 0));
	fifo_consume(&fifo, 0);
	fifo_finish(&fifo);
}

int
main(void)
{
	static int secret;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_in_comes_out_in_order),
		cmocka_unit_test_prestate(what_goes_in_comes_out_in_order, &secret),
		cmocka_unit_test(small_takings_from_much_do_not_move_it_each_time),
		cmocka_unit_test(a_secret_is_wiped_when_it_was_taken_out),
		cmocka_unit_test(large_memory_is_given_back_when_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
