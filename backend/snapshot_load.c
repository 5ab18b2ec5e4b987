#include "backend/mirror.h"
#include "backend/snapshot.h"
#include "backend/snapshot_format.h"
#include "dns/rdata.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A snapshot in memory; `at` moves from the header's end to `size`, the digest's start. */
struct loader {
	const uint8_t *bytes;
	size_t size;
	size_t at;
	struct mirror *mirror;
};

static int fail(int status, char *error, size_t error_size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(int status, char *error, size_t error_size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, error_size, format, args);
	va_end(args);
	return status;
}

/* True when the digest at the end is that of all before it. */
static bool digest_is_right(const uint8_t *bytes, size_t size)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	size_t covered = size - SNAPSHOT_DIGEST_SIZE;

	return EVP_Digest(bytes, covered, digest, NULL, EVP_sha256(), NULL) == 1 &&
	       memcmp(digest, bytes + covered, SNAPSHOT_DIGEST_SIZE) == 0;
}

/* Takes `size` octets; NULL when there are not so many. */
static const uint8_t *take(struct loader *loader, size_t size)
{
	const uint8_t *start = loader->bytes + loader->at;

	if (loader->size - loader->at < size)
		return NULL;
	loader->at += size;
	return start;
}

/* Takes a name, uncompressed. */
static const uint8_t *take_name(struct loader *loader)
{
	uint8_t name[DNS_NAME_MAX];
	size_t start = loader->at;

	int size = dns_name_parse(loader->bytes + start, loader->size - start, &(size_t){0}, name);
	if (size < 0 || loader->bytes[start + (size_t)size - 1] != 0)
		return NULL;
	return take(loader, (size_t)size);
}

/* The RRset's data is `count` whole records, each such as its type may have. */
static bool data_is_whole(const uint8_t *data, const struct snapshot_rrset *rrset)
{
	size_t at = 0;

	for (uint16_t i = 0; i < rrset->count; i++) {
		uint16_t size;
		if (rrset->size - at < sizeof(size))
			return false;
		memcpy(&size, data + at, sizeof(size));
		at += sizeof(size);
		if (rrset->size - at < size || dns_rdata_check(rrset->type, data + at, size) < 0)
			return false;
		at += size;
	}
	return at == rrset->size;
}

static bool load_rrset(struct loader *loader)
{
	struct snapshot_rrset fixed;
	const uint8_t *owner = take_name(loader);
	const uint8_t *bytes = owner ? take(loader, sizeof(fixed)) : NULL;

	if (!bytes)
		return false;
	memcpy(&fixed, bytes, sizeof(fixed));
	const uint8_t *data = take(loader, fixed.size);
	if (!data || fixed.apex_offset >= dns_name_size(owner) || !data_is_whole(data, &fixed))
		return false;
	const struct mirror_rrset_input rrset = {
		.ttl = fixed.ttl,
		.size = fixed.size,
		.type = fixed.type,
		.count = fixed.count,
		.data = data,
	};
	return mirror_put_name(loader->mirror, owner + fixed.apex_offset, owner, &rrset, 1) == 0;
}

/* Puts every entry; false when one makes no sense, which the digest all but excludes. */
static bool load_entries(struct loader *loader)
{
	uint64_t entries = 0;

	for (;; entries++) {
		const uint8_t *kind = take(loader, 1);
		const uint8_t *apex;
		uint64_t want;
		if (!kind)
			return false;
		switch (*kind) {
		case SNAPSHOT_ZONE:
			apex = take_name(loader);
			if (!apex)
				return false;
			mirror_put_zone(loader->mirror, apex);
			break;
		case SNAPSHOT_RRSET:
			if (!load_rrset(loader))
				return false;
			break;
		case SNAPSHOT_END:
			if (loader->size - loader->at != sizeof(want))
				return false;
			memcpy(&want, loader->bytes + loader->at, sizeof(want));
			return want == entries;
		default:
			return false;
		}
	}
}

/* Checks and loads a file's octets. */
static int load_bytes(struct mirror *mirror, const uint8_t *bytes, size_t size, int64_t *saved_s)
{
	struct loader loader = {bytes, size - SNAPSHOT_DIGEST_SIZE, sizeof(struct snapshot_header),
				mirror};
	struct snapshot_header header;

	memcpy(&header, bytes, sizeof(header));
	if (memcmp(header.magic, SNAPSHOT_MAGIC, sizeof(header.magic)) != 0 ||
	    header.byte_order != SNAPSHOT_BYTE_ORDER || !digest_is_right(bytes, size))
		return SNAPSHOT_DAMAGED;
	mirror_write_begin(mirror, true);
	if (!load_entries(&loader)) {
		mirror_write_abort(mirror);
		return SNAPSHOT_DAMAGED;
	}
	mirror_write_commit(mirror);
	*saved_s = header.saved_s;
	return SNAPSHOT_OK;
}

int snapshot_load(struct mirror *mirror, const char *path, int64_t *saved_s, char *error,
		  size_t error_size)
{
	struct stat stat;
	int status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail(errno == ENOENT ? SNAPSHOT_MISSING : SNAPSHOT_FAILED, error, error_size,
			    "snapshot %s cannot be read: %s", path, strerror(errno));
	if (fstat(fd, &stat) < 0) {
		status = fail(SNAPSHOT_FAILED, error, error_size, "snapshot %s: %s", path,
			      strerror(errno));
		goto out;
	}
	size_t size = (size_t)stat.st_size;
	status = SNAPSHOT_DAMAGED;
	if (S_ISREG(stat.st_mode) &&
	    size >= sizeof(struct snapshot_header) + SNAPSHOT_DIGEST_SIZE) {
		void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
		if (bytes == MAP_FAILED) {
			status = fail(SNAPSHOT_FAILED, error, error_size, "snapshot %s: %s", path,
				      strerror(errno));
			goto out;
		}
		status = load_bytes(mirror, bytes, size, saved_s);
		munmap(bytes, size);
	}
	if (status == SNAPSHOT_DAMAGED)
		fail(status, error, error_size,
		     "snapshot %s is damaged or of another version: not used", path);
out:
	close(fd);
	return status;
}
