/* Requests in HTTP/1.1, at once and in pieces. */
#include "frontend/http1.h"
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of just this size: a look beyond it is seen. */
	char *input = malloc(size + 1);
	struct http1 http1 = {0};
	struct http1_request whole, piece;
	if (!input)
		return 0;
	memcpy(input, data, size);
	enum http1_result result = http1_read(&http1, input, size, &whole);
	if (result == HTTP1_REQUEST) {
		FUZZ_CHECK(whole.size <= size && whole.http.body_size <= HTTP_BODY_MAX);
		FUZZ_CHECK(whole.http.path_size > 0 && whole.http.path[0] == '/');
		FUZZ_CHECK(whole.http.path + whole.http.path_size <= input + whole.size);
		FUZZ_CHECK(whole.http.query + whole.http.query_size <= input + whole.size);
		/* Nothing behind it, and no cut into pieces, makes it another request. */
		struct http1 fresh = {0};
		size_t half = whole.size / 2;
		enum http1_result first = http1_read(&fresh, input, half, &piece);
		FUZZ_CHECK(first == HTTP1_MORE || first == HTTP1_CONTINUE);
		FUZZ_CHECK(http1_read(&fresh, input, whole.size, &piece) == HTTP1_REQUEST);
		FUZZ_CHECK(piece.size == whole.size && piece.http.method == whole.http.method);
		FUZZ_CHECK(piece.close == whole.close);
	} else if (result == HTTP1_BAD) {
		FUZZ_CHECK(whole.status >= 400 && whole.status < 600 && whole.close);
	} else {
		FUZZ_CHECK(size < HTTP1_REQUEST_MAX + 2);
	}
	free(input);
	return 0;
}
