/*
 * The policy of the status page, made from the page itself: so it cannot be forgotten in an edit.
 */
#include "common/status_page.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define STATUS_PAGE_HASH_OCTETS 32 /* SHA-256 */
#define STATUS_PAGE_HASH_TEXT 48   /* of which base64 makes 44, and a NUL */

/* Hashes what stands between two tags, in base64. -1 when it is not there or memory is short. */
static int status_page_hash(const char *opens, const char *closes, char *text)
{
	const unsigned char *end = status_page_html + status_page_size;
	const unsigned char *first =
		memmem(status_page_html, status_page_size, opens, strlen(opens));
	unsigned char hash[STATUS_PAGE_HASH_OCTETS];

	if (!first)
		return -1;
	first += strlen(opens);
	const unsigned char *last = memmem(first, (size_t)(end - first), closes, strlen(closes));
	if (!last || !EVP_Digest(first, (size_t)(last - first), hash, NULL, EVP_sha256(), NULL))
		return -1;
	EVP_EncodeBlock((unsigned char *)text, hash, sizeof(hash));
	return 0;
}

int status_page_policy(char *policy, size_t policy_size)
{
	char script[STATUS_PAGE_HASH_TEXT];
	char style[STATUS_PAGE_HASH_TEXT];

	if (status_page_hash("<script>", "</script>", script) != 0 ||
	    status_page_hash("<style>", "</style>", style) != 0)
		return -1;
	int size = snprintf(policy, policy_size,
			    "default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; "
			    "connect-src 'self'; img-src data:; base-uri 'none'; "
			    "form-action 'none'; frame-ancestors 'none'",
			    script, style);
	return size > 0 && (size_t)size < policy_size ? 0 : -1;
}
