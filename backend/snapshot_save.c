#include "backend/mirror.h"
#include "backend/snapshot.h"
#include "backend/snapshot_format.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A file being written, hashed on its way. */
struct saver {
	int fd;
	EVP_MD_CTX *digest;
	uint64_t entries;
	size_t used;
	uint8_t buffer[1 << 16];
};

/* 0, or -1 with errno set. */
static int write_whole(int fd, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, bytes, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -1;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

static int saver_flush(struct saver *saver)
{
	if (EVP_DigestUpdate(saver->digest, saver->buffer, saver->used) != 1) {
		errno = ENOMEM;
		return -1;
	}
	if (write_whole(saver->fd, saver->buffer, saver->used) < 0)
		return -1;
	saver->used = 0;
	return 0;
}

static int saver_put(struct saver *saver, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;

	while (size > 0) {
		size_t room = sizeof(saver->buffer) - saver->used;
		size_t part = size < room ? size : room;
		memcpy(saver->buffer + saver->used, from, part);
		saver->used += part;
		from += part;
		size -= part;
		if (saver->used == sizeof(saver->buffer) && saver_flush(saver) < 0)
			return -1;
	}
	return 0;
}

static int saver_put_name(struct saver *saver, enum snapshot_entry kind, const uint8_t *name)
{
	uint8_t tag = (uint8_t)kind;

	saver->entries++;
	if (saver_put(saver, &tag, 1) < 0)
		return -1;
	return saver_put(saver, name, dns_name_size(name));
}

static int on_zone(void *ctx, const uint8_t *apex)
{
	return saver_put_name(ctx, SNAPSHOT_ZONE, apex);
}

static int on_rrset(void *ctx, const uint8_t *apex, const uint8_t *owner,
		    const struct mirror_rrset *rrset)
{
	struct saver *saver = ctx;
	const struct snapshot_rrset fixed = {
		.apex_offset = (uint8_t)(dns_name_size(owner) - dns_name_size(apex)),
		.type = rrset->type,
		.count = rrset->count,
		.ttl = rrset->ttl,
		.size = rrset->size,
	};

	if (saver_put_name(saver, SNAPSHOT_RRSET, owner) < 0 ||
	    saver_put(saver, &fixed, sizeof(fixed)) < 0)
		return -1;
	return saver_put(saver, rrset->data, rrset->size);
}

/* Everything, from the header to the digest. */
static int saver_write(struct saver *saver, struct mirror *mirror)
{
	const struct mirror_export export = {saver, on_zone, on_rrset};
	struct snapshot_header header = {.byte_order = SNAPSHOT_BYTE_ORDER, .saved_s = time(NULL)};
	const uint8_t end = SNAPSHOT_END;
	uint8_t digest[EVP_MAX_MD_SIZE];

	memcpy(header.magic, SNAPSHOT_MAGIC, sizeof(header.magic));
	if (saver_put(saver, &header, sizeof(header)) < 0 || mirror_export(mirror, &export) < 0 ||
	    saver_put(saver, &end, 1) < 0 ||
	    saver_put(saver, &saver->entries, sizeof(saver->entries)) < 0 || saver_flush(saver) < 0)
		return -1;
	if (EVP_DigestFinal_ex(saver->digest, digest, NULL) != 1) {
		errno = ENOMEM;
		return -1;
	}
	if (write_whole(saver->fd, digest, SNAPSHOT_DIGEST_SIZE) < 0)
		return -1;
	return fsync(saver->fd);
}

/* Makes the renaming itself last. A file system that cannot do so is none of our business. */
static void sync_directory(const char *path)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

int snapshot_save(struct mirror *mirror, const char *path, char *error, size_t error_size)
{
	char temporary[PATH_MAX];
	struct saver saver = {.fd = -1, .digest = EVP_MD_CTX_new()};
	int status = -1;

	errno = ENOMEM;
	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary)) {
		errno = ENAMETOOLONG;
		goto out;
	}
	if (!saver.digest || EVP_DigestInit_ex(saver.digest, EVP_sha256(), NULL) != 1)
		goto out;
	saver.fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (saver.fd < 0)
		goto out;
	status = saver_write(&saver, mirror);
	if (status == 0)
		status = rename(temporary, path);
	if (status < 0) {
		int failed = errno;
		unlink(temporary);
		errno = failed;
	}
out:
	if (status < 0)
		snprintf(error, error_size, "snapshot %s cannot be written: %s", path,
			 strerror(errno));
	if (saver.fd >= 0)
		close(saver.fd);
	EVP_MD_CTX_free(saver.digest);
	if (status == 0)
		sync_directory(path);
	return status == 0 ? SNAPSHOT_OK : SNAPSHOT_FAILED;
}
