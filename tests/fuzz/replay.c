/* Runs a fuzz target over the inputs kept in its corpus, as an ordinary test.
 *
 * usage: NAME_replay DIRECTORY... ; every plain file in them is one input. A directory without inputs
 * is a failure, for then nothing was tested. An input that crashes the target ends the process.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* the largest input that is replayed; no reader needs more to go wrong */
#define INPUT_BYTES_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads PATH, and gives the target a copy of exactly its size, so that a read past the end is seen. */
static int
replay_file(const char *path, size_t size)
{
	FILE *file = fopen(path, "rb");

	if (file == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	uint8_t *data = malloc(size == 0 ? 1 : size);

	if (data == NULL || fread(data, 1, size, file) != size) {
		fprintf(stderr, "%s: cannot be read whole\n", path);
		free(data);
		fclose(file);
		return -1;
	}
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

/* Replays a directory; answers how many inputs it held, or -1. */
static int
replay_directory(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int count = 0;

	if (dir == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	while ((entry = readdir(dir)) != NULL) {
		char name[4096];
		struct stat st;

		if (snprintf(name, sizeof name, "%s/%s", path, entry->d_name) >= (int)sizeof name ||
			stat(name, &st) != 0 || !S_ISREG(st.st_mode)) {
			continue;
		}
		if ((size_t)st.st_size > INPUT_BYTES_MAX || replay_file(name, (size_t)st.st_size) != 0) {
			fprintf(stderr, "%s: not replayed\n", name);
			closedir(dir);
			return -1;
		}
		count++;
	}
	closedir(dir);
	return count;
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int count = replay_directory(argv[i]);

		if (count <= 0) {
			fprintf(stderr, "%s: no inputs\n", argv[i]);
			return 1;
		}
		printf("%s: %d inputs\n", argv[i], count);
	}
	return argc > 1 ? 0 : 1;
}
