/*
 * The process that holds a pod's namespaces for as long as the pod lives, as Kubernetes' "pause"
 * does: it takes in children that others leave, and ends when it is told to.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal_number)
{
	(void)signal_number;
	_exit(0);
}

static void take_in(int signal_number)
{
	(void)signal_number;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(void)
{
	signal(SIGINT, end);
	signal(SIGTERM, end);
	signal(SIGCHLD, take_in);
	for (;;)
		pause();
}
