/* The daemons' command line, each case in a child process, their signals and their end. */
#include "common/program.h"
#include "suite.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 8

/* What a child that parsed some options wrote and how it ended. */
struct outcome {
	int status;
	char out[512];
	char err[512];
};

static void read_all(int fd, char *text, size_t size)
{
	size_t used = 0;
	ssize_t got;

	while ((got = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)got;
	text[used] = '\0';
	close(fd);
}

/* In the child: parses, says what it found on standard output and ends with 7. */
static _Noreturn void run_child(char **argv)
{
	struct program_options options;
	int argc = 0;

	while (argv[argc])
		argc++;
	program_parse_options(argc, argv, "godwit-test", "Help text.\n", &options);
	printf("config=%s check=%d", options.config_path ? options.config_path : "none",
	       options.check);
	fflush(stdout);
	_exit(7);
}

static struct outcome parse(const char *const *arguments)
{
	struct outcome outcome = {0};
	char *argv[ARGUMENTS_MAX] = {strdup("godwit-test")};
	int out[2], err[2];

	for (int i = 0; arguments[i]; i++)
		argv[i + 1] = strdup(arguments[i]);
	if (pipe(out) != 0 || pipe(err) != 0)
		abort();
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		if (dup2(out[1], STDOUT_FILENO) < 0 || dup2(err[1], STDERR_FILENO) < 0)
			abort();
		run_child(argv);
	}
	close(out[1]);
	close(err[1]);
	read_all(out[0], outcome.out, sizeof(outcome.out));
	read_all(err[0], outcome.err, sizeof(outcome.err));
	int status;
	CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
	outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	for (int i = 0; argv[i]; i++)
		free(argv[i]);
	return outcome;
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void assert_outcome(struct outcome outcome, int status, const char *out, const char *err)
{
	CU_ASSERT_EQUAL(outcome.status, status);
	CU_ASSERT_STRING_EQUAL(outcome.out, out);
	CU_ASSERT_STRING_EQUAL(outcome.err, err);
}

static void test_options_are_read(void)
{
	assert_outcome(PARSE(NULL), 7, "config=none check=0", "");
	assert_outcome(PARSE("--config", "a.yaml"), 7, "config=a.yaml check=0", "");
	assert_outcome(PARSE("--check", "--config=b.yaml"), 7, "config=b.yaml check=1", "");
}

static void test_help_and_version_end_the_program(void)
{
	assert_outcome(PARSE("--help"), 0, "Help text.\n", "");
	assert_outcome(PARSE("--version"), 0, "godwit-test " GODWIT_VERSION "\n", "");
}

static void test_wrong_options_are_named(void)
{
	assert_outcome(PARSE("--bogus"), 2, "",
		       "godwit-test: unknown option --bogus; see godwit-test --help\n");
	assert_outcome(PARSE("-x"), 2, "",
		       "godwit-test: unknown option -x; see godwit-test --help\n");
	assert_outcome(PARSE("--config"), 2, "",
		       "godwit-test: no value for --config; see godwit-test --help\n");
	assert_outcome(PARSE("--check=1"), 2, "",
		       "godwit-test: unknown option --check=1; see godwit-test --help\n");
	assert_outcome(PARSE("a.yaml"), 2, "",
		       "godwit-test: unexpected argument a.yaml; see godwit-test --help\n");
}

/* Runs as the last of what exit calls, when OpenSSL would have cleared up. */
static void end_by_openssl(void)
{
	_exit(OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL) == 1 ? 7 : 8);
}

static void test_threads_find_openssl_to_the_end(void)
{
	int status;

	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		atexit(end_by_openssl);
		program_prepare();
		OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
		exit(9);
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void test_blocked_signals_are_waited_for(void)
{
	const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	program_prepare();
	for (size_t i = 0; i < 3; i++) {
		raise(numbers[i]);
		CU_ASSERT_EQUAL(program_wait_signal(), numbers[i]);
	}
}

static void test_a_closed_pipe_does_not_kill(void)
{
	int fds[2];

	program_prepare();
	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	close(fds[0]);
	CU_ASSERT_EQUAL(write(fds[1], "x", 1), -1);
	close(fds[1]);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"options are read", test_options_are_read},
		{"help and version end the program", test_help_and_version_end_the_program},
		{"wrong options are named", test_wrong_options_are_named},
		{"threads find OpenSSL to the end", test_threads_find_openssl_to_the_end},
		{"blocked signals are waited for", test_blocked_signals_are_waited_for},
		{"a closed pipe does not kill", test_a_closed_pipe_does_not_kill},
	};
	return SUITE_RUN("program", tests);
}
