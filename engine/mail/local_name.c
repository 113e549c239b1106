#include "engine/mail/local_name.h"

bool
local_name_is(struct slice name)
{
	return name.length == 0 || name.data[0] == '.' || name.data[name.length - 1] == '~' ||
	       slice_equal(name, SLICE_LITERAL("4913")) ||
	       (name.length > 1 && name.data[0] == '#' && name.data[name.length - 1] == '#');
}
