/* dispatch.c - the only place that knows which kernels are preferred. Adding an ISA: one line in
 * usable(), one in wsf_internal.h, one file. */
#include "wsf_internal.h"

const wsf_kernels *wsf_active = &wsf_kernels_scalar;

/* The index-th usable set, best first. */
static const wsf_kernels *usable(size_t index)
{
    const wsf_kernels *found[2];
    size_t count = 0;
#ifdef WSF_X86_64
    if (wsf_cpu_has_avx2())
        found[count++] = &wsf_kernels_avx2;
#endif
    found[count++] = &wsf_kernels_scalar;
    return index < count ? found[index] : NULL;
}

void wsf_init(void) { wsf_active = usable(0); }

const char *wsf_selected(void) { return wsf_active->isa; }

const char *wsf_available(size_t index)
{
    const wsf_kernels *kernels = usable(index);
    return kernels ? kernels->isa : NULL;
}

bool wsf_select(const char *isa)
{
    const wsf_kernels *kernels;
    for (size_t i = 0; (kernels = usable(i)) != NULL; i++) {
        if (strcmp(kernels->isa, isa) == 0) {
            wsf_active = kernels;
            return true;
        }
    }
    return false;
}
