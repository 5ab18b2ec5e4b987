#include "dns/error.h"

const char *dns_error_text(int error)
{
	switch ((enum dns_error)error) {
	case DNS_ERROR_TRUNCATED:
		return "the data ends in the middle of something";
	case DNS_ERROR_BAD_LABEL:
		return "an empty label or a label type that does not exist";
	case DNS_ERROR_BAD_POINTER:
		return "a compression pointer that does not lead backwards";
	case DNS_ERROR_LABEL_TOO_LONG:
		return "a label longer than 63 octets";
	case DNS_ERROR_NAME_TOO_LONG:
		return "a name longer than 255 octets";
	case DNS_ERROR_BAD_ESCAPE:
		return "a backslash not followed by a character or three digits up to 255";
	case DNS_ERROR_NO_SPACE:
		return "too long";
	case DNS_ERROR_BAD_TYPE:
		return "not a record type that a zone can have";
	case DNS_ERROR_BAD_RDATA:
		return "data that the type does not allow";
	}
	return error >= 0 ? "no error" : "unknown error";
}
