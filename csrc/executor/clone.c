/* clone3 for a child that shares our memory: it runs one function on a stack of its own.
 *
 * In assembly, because the child must not return into a frame of ours: whether the compiler makes
 * one, and what it keeps there, depends on how it optimises.
 */
#include "executor.h"

#include <linux/signal.h>

#if defined(__x86_64__)
/* The kernel keeps all registers but rax, rcx and r11, in the child as in us. */
__asm__(".globl clone_call\n"
        "clone_call:\n"
        "    mov %rdx, %r8\n"
        "    mov %rcx, %r9\n"
        "    mov $435, %eax\n" /* clone3 */
        "    syscall\n"
        "    test %rax, %rax\n"
        "    jnz 1f\n"
        "    xor %ebp, %ebp\n"
        "    mov %r9, %rdi\n"
        "    call *%r8\n"
        "    ud2\n"
        "1:  ret\n");
#else
__asm__(".globl clone_call\n"
        "clone_call:\n"
        "    mov x9, x2\n"
        "    mov x10, x3\n"
        "    mov x8, #435\n" /* clone3 */
        "    svc 0\n"
        "    cbnz x0, 1f\n"
        "    mov x29, xzr\n"
        "    mov x0, x10\n"
        "    blr x9\n"
        "    brk #1\n"
        "1:  ret\n");
#endif

long clone_call(const struct clone_args *args, size_t size, void (*function)(void *),
                void *argument);

long run_in_clone(uint64_t flags, int *pidfd, struct stack *stack, void (*function)(void *),
                  void *argument)
{
    struct clone_args args = {
        .flags = CLONE_VM | flags,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = flags & CLONE_THREAD ? 0 : SIGCHLD,
        .stack = (uint64_t)(uintptr_t)stack,
        .stack_size = sizeof(*stack),
    };
    return clone_call(&args, sizeof(args), function, argument);
}
