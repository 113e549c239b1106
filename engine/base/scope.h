/* Attributes and scope-bound cleanup used everywhere.
 *
 * SCOPED(f) runs f(&variable) when the variable goes out of scope; every f used so accepts NULL inside.
 */
#ifndef BASE_SCOPE_H
#define BASE_SCOPE_H

#define SCOPED(end)             __attribute__((cleanup(end)))
#define MUST_CHECK              __attribute__((warn_unused_result))
#define PRINTF_LIKE(nth, first) __attribute__((__format__(__printf__, nth, first), __nonnull__(nth)))

/* What clang checks about locks (-Wthread-safety); nothing to gcc. */
#if defined(__clang__)
#define REQUIRES(...)   __attribute__((requires_capability(__VA_ARGS__)))
#define GUARDED_BY(x)   __attribute__((guarded_by(x)))
#define LOCKABLE        __attribute__((capability("mutex")))
#define ACQUIRES(...)   __attribute__((acquire_capability(__VA_ARGS__)))
#define RELEASES(...)   __attribute__((release_capability(__VA_ARGS__)))
#define UNCHECKED_LOCKS __attribute__((no_thread_safety_analysis))
#else
#define REQUIRES(...)
#define GUARDED_BY(x)
#define LOCKABLE
#define ACQUIRES(...)
#define RELEASES(...)
#define UNCHECKED_LOCKS
#endif

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

#endif
