/* cpu.c - the only place that asks the CPU what it can do.
 *
 * By cpuid and xgetbv of our own: __builtin_cpu_supports answers "no AVX2" in some toolchains on
 * machines that have it, and a release built there would silently lose its kernels.
 */
#include "wsf_internal.h"

#ifdef WSF_X86_64

#if defined(_MSC_VER) && !defined(__clang__)
#include <immintrin.h>
#include <intrin.h>

static void cpuid(uint32_t leaf, uint32_t regs[4])
{
    __cpuidex((int *)regs, (int)leaf, 0);
}

static uint64_t xcr0(void) { return _xgetbv(0); }
#else
#include <cpuid.h>

static void cpuid(uint32_t leaf, uint32_t regs[4])
{
    if (!__get_cpuid_count(leaf, 0, &regs[0], &regs[1], &regs[2], &regs[3]))
        memset(regs, 0, 4 * sizeof *regs);
}

static uint64_t xcr0(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}
#endif

enum { EBX = 1, ECX = 2 };

bool wsf_cpu_has_avx2(void)
{
    uint32_t basic[4], extended[4];
    cpuid(1, basic);
    const uint32_t osxsave_avx = 1u << 27 | 1u << 28;
    if ((basic[ECX] & osxsave_avx) != osxsave_avx)
        return false;
    if ((xcr0() & 6) != 6) /* the system keeps XMM and YMM across switches */
        return false;
    cpuid(7, extended);
    return extended[EBX] & 1u << 5;
}

#else

bool wsf_cpu_has_avx2(void) { return false; }

#endif
