/* Zone files, read from a file in memory. What they include is read too: keep /dev out of it. */
#include "ctl/zonefile.h"
#include "dns/name.h"
#include "dns/rdata.h"
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int check_record(void *ctx, const struct zonefile_record *record, char *error,
			size_t error_size)
{
	unsigned int *left = ctx;

	FUZZ_CHECK(dns_name_size(record->owner) <= DNS_NAME_MAX);
	FUZZ_CHECK(dns_rdata_check(record->type, record->rdata, record->rdata_size) == 0);
	FUZZ_CHECK(dns_type_is_data(record->type));
	if (--*left > 0)
		return 0;
	snprintf(error, error_size, "enough");
	return -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[64];
	char error[ZONEFILE_ERROR_MAX];
	unsigned int left = 1000;
	const struct zonefile_sink sink = {.ctx = &left, .record = check_record};

	if (fd < 0) {
		fd = memfd_create("zone", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	FUZZ_CHECK(fd >= 0 && ftruncate(fd, 0) == 0);
	FUZZ_CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
	memset(error, 'x', sizeof(error));
	if (zonefile_read(path, (const uint8_t *)"\7example\3com", &sink, error, sizeof(error)) < 0)
		FUZZ_CHECK(memchr(error, '\0', sizeof(error)) && error[0] != '\0' &&
			   !strchr(error, '\n'));
	return 0;
}
