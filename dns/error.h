/* What can be wrong with DNS data. Functions return these, negative; zero or more is success. */
#ifndef GODWIT_DNS_ERROR_H
#define GODWIT_DNS_ERROR_H

enum dns_error {
	DNS_ERROR_TRUNCATED = -1,      /* the message ends in the middle of something */
	DNS_ERROR_BAD_LABEL = -2,      /* a label type that does not exist, or an empty label */
	DNS_ERROR_BAD_POINTER = -3,    /* a compression pointer that does not lead backwards */
	DNS_ERROR_LABEL_TOO_LONG = -4, /* over 63 octets */
	DNS_ERROR_NAME_TOO_LONG = -5,  /* over 255 octets */
	DNS_ERROR_BAD_ESCAPE = -6,     /* "\" not followed by a character or three digits to 255 */
	DNS_ERROR_NO_SPACE = -7,       /* the output buffer is too small */
	DNS_ERROR_BAD_TYPE = -8,       /* not a record type, or one that records cannot have */
	DNS_ERROR_BAD_RDATA = -9,      /* data that the type does not allow */
};

/* One lower-case phrase for a person, "label longer than 63 octets". Any thread. */
const char *dns_error_text(int error);

#endif
