/* Options of AddressSanitizer and UndefinedBehaviorSanitizer, for test builds (tools/sanitize): the
 * executor has no environment. A program that is inside a container writes its report to stderr. */
#ifndef SANITIZER_REPORTS
#define SANITIZER_REPORTS "/tmp"
#endif

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

/* Leaks are not looked for: what a command has allocated ends with it. */
const char *__asan_default_options(void)
{
    return "detect_leaks=0:abort_on_error=1:log_path=" SANITIZER_REPORTS "/report";
}

const char *__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}
