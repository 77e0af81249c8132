/* floor.c - what the hardware and CPython leave to save: the least C that does each job, by plain
 * METH_FASTCALL functions. Nothing is checked, no frame is refused, every payload is ASCII. Built
 * by floor.py into a temporary directory; never shipped, never imported by wsfast. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
__attribute__((target("avx2")))
#endif
static void xor_key(uint8_t *dst, const uint8_t *src, Py_ssize_t n, uint32_t key)
{
    Py_ssize_t i = 0;
#if defined(__x86_64__)
    const __m256i k = _mm256_set1_epi32((int)key);
    for (; i + 32 <= n; i += 32)
        _mm256_storeu_si256((__m256i *)(dst + i),
                            _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(src + i)), k));
#endif
    const uint64_t twice = (uint64_t)key << 32 | key;
    for (uint64_t word; i + 8 <= n; i += 8) {
        memcpy(&word, src + i, 8);
        word ^= twice;
        memcpy(dst + i, &word, 8);
    }
    for (; i < n; i++)
        dst[i] = src[i] ^ (uint8_t)(key >> 8 * (i & 3));
}

static uint32_t key_at(const void *p)
{
    uint32_t key;
    memcpy(&key, p, 4);
    return key;
}

static PyObject *copy(PyObject *self, PyObject *data)
{
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data));
}

static PyObject *mask(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    const Py_ssize_t n = PyBytes_GET_SIZE(args[0]);
    PyObject *out = PyBytes_FromStringAndSize(NULL, n);
    xor_key((uint8_t *)PyBytes_AS_STRING(out), (const uint8_t *)PyBytes_AS_STRING(args[0]), n,
            key_at(PyBytes_AS_STRING(args[1])));
    return out;
}

static PyObject *mask_inplace(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    uint8_t *p = (uint8_t *)PyByteArray_AS_STRING(args[0]);
    xor_key(p, p, PyByteArray_GET_SIZE(args[0]), key_at(PyBytes_AS_STRING(args[1])));
    Py_RETURN_NONE;
}

/* Whole masked frames, one after the other, as a list of str. */
static PyObject *decode(PyObject *self, PyObject *data)
{
    const uint8_t *p = (const uint8_t *)PyBytes_AS_STRING(data), *end = p + PyBytes_GET_SIZE(data);
    PyObject *out = PyList_New(0);
    while (p < end) {
        uint64_t n = p[1] & 0x7F;
        size_t size = 2;
        if (n > 125) {
            const size_t width = n == 126 ? 2 : 8;
            for (n = 0; size < 2 + width; size++)
                n = n << 8 | p[size];
        }
        PyObject *text = PyUnicode_New((Py_ssize_t)n, 127);
        xor_key(PyUnicode_DATA(text), p + size + 4, (Py_ssize_t)n, key_at(p + size));
        PyList_Append(out, text);
        Py_DECREF(text);
        p += size + 4 + n;
    }
    return out;
}

static PyObject *frame(PyObject *text, uint8_t bit, uint32_t key)
{
    const uint64_t n = (uint64_t)PyUnicode_GET_LENGTH(text);
    const size_t width = n < 126 ? 0 : n < 65536 ? 2 : 8, size = 2 + width + (bit ? 4 : 0);
    PyObject *out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(size + n));
    uint8_t *p = (uint8_t *)PyBytes_AS_STRING(out);
    p[0] = 0x81;
    p[1] = bit | (uint8_t)(width == 0 ? n : width == 2 ? 126 : 127);
    for (size_t i = 0; i < width; i++)
        p[2 + i] = (uint8_t)(n >> 8 * (width - 1 - i));
    if (bit) {
        memcpy(p + 2 + width, &key, 4);
        xor_key(p + size, PyUnicode_DATA(text), (Py_ssize_t)n, key);
    } else {
        memcpy(p + size, PyUnicode_DATA(text), n);
    }
    return out;
}

static PyObject *encode(PyObject *self, PyObject *text) { return frame(text, 0, 0); }
static PyObject *encode_masked(PyObject *self, PyObject *text) { return frame(text, 0x80, 0x5AF00FA5); }

static PyMethodDef methods[] = {
    {"copy", copy, METH_O, NULL},
    {"mask", (PyCFunction)(void (*)(void))mask, METH_FASTCALL, NULL},
    {"mask_inplace", (PyCFunction)(void (*)(void))mask_inplace, METH_FASTCALL, NULL},
    {"decode", decode, METH_O, NULL},
    {"encode", encode, METH_O, NULL},
    {"encode_masked", encode_masked, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "floor_c", NULL, -1, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_floor_c(void) { return PyModule_Create(&module); }
