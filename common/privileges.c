/* Raising capabilities by the system call: libcap would be a library for these few lines. */
#include "common/privileges.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

void privileges_raise(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};
	if (syscall(SYS_capget, &header, sets) != 0)
		return;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		sets[i].effective = sets[i].permitted;
	/* To raise what is permitted is always allowed. */
	(void)syscall(SYS_capset, &header, sets);
}
