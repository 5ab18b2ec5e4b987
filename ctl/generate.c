#include "ctl/generate.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 2147483647L

/* What stands in braces behind a "$", or what holds without them. */
struct modifier {
	long offset;
	size_t width;
	char base;
};

/* Where a filled text is written. */
struct output {
	char *text; /* GENERATE_TEXT_MAX octets */
	size_t used;
	char *error;
	size_t error_size;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads digits up to NUMBER_MAX and moves `*text` past them. */
static bool read_number(const char **text, long *number)
{
	const char *p = *text;
	if (!is_digit(*p))
		return false;
	for (*number = 0; is_digit(*p); p++) {
		*number = *number * 10 + (*p - '0');
		if (*number > NUMBER_MAX)
			return false;
	}
	*text = p;
	return true;
}

/* Moves `*text` past `c` if it stands there. */
static bool skip(const char **text, char c)
{
	if (**text != c)
		return false;
	++*text;
	return true;
}

int generate_parse_range(const char *text, struct generate_range *range, char *error,
			 size_t error_size)
{
	const char *p = text;
	long start, stop, step = 1;
	bool right = read_number(&p, &start) && skip(&p, '-') && read_number(&p, &stop);
	if (right && skip(&p, '/'))
		right = read_number(&p, &step) && step > 0;
	if (!right || *p != '\0' || stop < start) {
		snprintf(error, error_size,
			 "%.60s is not a range: write START-STOP or START-STOP/STEP, like 1-254, "
			 "START not above STOP, STEP 1 or more",
			 text);
		return -1;
	}
	range->start = (uint32_t)start;
	range->stop = (uint32_t)stop;
	range->step = (uint32_t)step;
	if (generate_count(range) > GENERATE_RECORDS_MAX) {
		snprintf(error, error_size,
			 "the range %.60s makes more than %d records: split it over several "
			 "$GENERATE lines",
			 text, GENERATE_RECORDS_MAX);
		return -1;
	}
	return 0;
}

uint32_t generate_count(const struct generate_range *range)
{
	return (range->stop - range->start) / range->step + 1;
}

static int output_add(struct output *out, const char *text, size_t length)
{
	if (out->used + length >= GENERATE_TEXT_MAX) {
		snprintf(out->error, out->error_size,
			 "a text of more than %d octets with the number filled in",
			 GENERATE_TEXT_MAX - 1);
		return -1;
	}
	memcpy(out->text + out->used, text, length);
	out->used += length;
	return 0;
}

/* Reads what follows a "{", the "}" included, and moves `*text` past it. */
static bool read_braces(const char **text, struct modifier *modifier)
{
	const char *p = *text;
	bool negative = skip(&p, '-');
	long width = 0;
	if (!negative)
		skip(&p, '+');
	if (!read_number(&p, &modifier->offset))
		return false;
	if (negative)
		modifier->offset = -modifier->offset;
	if (skip(&p, ',')) {
		if (!read_number(&p, &width) || width > GENERATE_WIDTH_MAX)
			return false;
		if (skip(&p, ',')) {
			if (*p == '\0' || !strchr("doxXnN", *p))
				return false;
			modifier->base = *p++;
		}
	}
	modifier->width = (size_t)width;
	*text = p;
	return skip(text, '}');
}

/*
 * The digits of `value` as labels, the last digit first. A width is reached with zeros, and an even
 * one ends with the dot, so that more labels can be written behind it. `text` has room for
 * GENERATE_WIDTH_MAX and all digits. Returns the length.
 */
static size_t format_nibbles(unsigned long value, const struct modifier *modifier, char *text)
{
	const char *digits = modifier->base == 'n' ? "0123456789abcdef" : "0123456789ABCDEF";
	size_t length = 0;
	do {
		text[length++] = digits[value & 0xf];
		value >>= 4;
		if (value != 0 || length < modifier->width)
			text[length++] = '.';
	} while (value != 0 || length < modifier->width);
	return length;
}

static int output_add_number(struct output *out, uint32_t number, const struct modifier *modifier)
{
	char text[GENERATE_WIDTH_MAX + 64];
	long value = (long)number + modifier->offset;
	unsigned long magnitude = (unsigned long)value;
	int width = (int)modifier->width;
	size_t length = 0;
	if (value < 0) {
		snprintf(out->error, out->error_size,
			 "the offset %ld makes %u a number below 0: begin the range later",
			 modifier->offset, number);
		return -1;
	}
	switch (modifier->base) {
	case 'd':
		length = (size_t)snprintf(text, sizeof(text), "%0*lu", width, magnitude);
		break;
	case 'o':
		length = (size_t)snprintf(text, sizeof(text), "%0*lo", width, magnitude);
		break;
	case 'x':
		length = (size_t)snprintf(text, sizeof(text), "%0*lx", width, magnitude);
		break;
	case 'X':
		length = (size_t)snprintf(text, sizeof(text), "%0*lX", width, magnitude);
		break;
	default:
		length = format_nibbles(magnitude, modifier, text);
	}
	return output_add(out, text, length);
}

/* Writes what a "$" stands for; `*text` is behind it and is moved past what belongs to it. */
static int fill_dollar(struct output *out, const char **text, uint32_t number)
{
	struct modifier modifier = {.base = 'd'};
	const char *begin = *text;
	if (skip(text, '$'))
		return output_add(out, "$", 1);
	if (skip(text, '{') && !read_braces(text, &modifier)) {
		snprintf(out->error, out->error_size,
			 "$%.40s: write ${OFFSET}, ${OFFSET,WIDTH} or ${OFFSET,WIDTH,BASE}, WIDTH "
			 "up to %d, BASE one of d o x X n N",
			 begin, GENERATE_WIDTH_MAX);
		return -1;
	}
	return output_add_number(out, number, &modifier);
}

int generate_fill(const char *text, uint32_t number, char *out, char *error, size_t error_size)
{
	struct output output = {.text = out, .error = error, .error_size = error_size};
	while (*text != '\0') {
		size_t length = strcspn(text, "\\$");
		if (length == 0 && *text == '\\')
			length = text[1] != '\0' ? 2 : 1;
		if (length > 0) {
			if (output_add(&output, text, length))
				return -1;
			text += length;
		} else {
			text++;
			if (fill_dollar(&output, &text, number))
				return -1;
		}
	}
	out[output.used] = '\0';
	return 0;
}
