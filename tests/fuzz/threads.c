/* threads.c - decoders and kernels in many threads at once, for TSan: they share nothing but the
 * choice of kernels, which wsf_init() has made before. Each must see what one alone sees. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "wsf_internal.h"

enum { THREADS = 8, ROUNDS = 400, LENGTH = 3000 };

static uint8_t stream[2 * LENGTH + 64];
static size_t stream_size;
static const uint8_t key[4] = {0x37, 0xFA, 0x21, 0x3D};

/* A text in two fragments, a Ping between them, all masked. */
static void put(uint8_t opcode, bool fin, size_t length)
{
    wsf_frame frame = {.opcode = opcode, .fin = fin, .masked = true, .length = length};
    memcpy(frame.key, key, 4);
    stream_size += wsf_header_build(stream + stream_size, &frame);
    for (size_t i = 0; i < length; i++)
        stream[stream_size + i] = (i % 2 ? 0xA9 : 0xC3) ^ key[i % 4];
    stream_size += length;
}

/* A number made of all that a decoder says of the stream, cut into chunks of this size. */
static uint64_t decode(size_t chunk_size)
{
    static const wsf_policy policy = {.mask = WSF_MASK_REQUIRE, .minimal_length = true};
    static const wsf_limits limits = {1 << 20, 1 << 20, 10};
    uint64_t sum = 14695981039346656037u, fault = 0;
    uint8_t clear[sizeof stream];
    wsf_utf8 utf8 = {0};
    wsf_decoder *d = malloc(wsf_decoder_size());
    wsf_decoder_init(d, &policy, &limits, false);
    for (size_t at = 0; at < stream_size; at += chunk_size) {
        const size_t left = stream_size - at, n = left < chunk_size ? left : chunk_size;
        size_t pos = 0, bad = 0;
        wsf_span span;
        while (wsf_decoder_next(d, stream + at, n, &pos, &span) > 0) {
            wsf_mask(clear, span.data, span.size, span.frame.key, span.at);
            if (span.frame.opcode < WSF_CLOSE &&
                !wsf_utf8_feed(&utf8, clear, span.size, span.at, &fault, &bad))
                sum++;
            for (size_t i = 0; i < span.size; i++)
                sum = (sum ^ clear[i]) * 1099511628211u;
        }
    }
    sum ^= wsf_decoder_position(d) + (wsf_decoder_unfinished(d) ? 1u << 31 : 0);
    free(d);
    return sum;
}

static uint64_t expected;

static void *work(void *number)
{
    for (size_t i = 0; i < ROUNDS; i++) {
        if (decode(1 + (i * 37 + *(size_t *)number) % stream_size) != expected)
            return "a decoder saw something else";
        if (strcmp(wsf_selected(), wsf_available(0)) != 0)
            return "other kernels are in use";
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    size_t numbers[THREADS];
    int failed = 0;
    wsf_init();
    put(WSF_TEXT, false, LENGTH);
    put(WSF_PING, true, 20);
    put(WSF_CONT, true, LENGTH);
    expected = decode(stream_size);
    for (size_t i = 0; i < THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, work, &numbers[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *said;
        pthread_join(threads[i], &said);
        if (said) {
            fprintf(stderr, "thread %zu: %s\n", i, (const char *)said);
            failed = 1;
        }
    }
    printf("%d threads, %d streams each: %s\n", THREADS, ROUNDS, failed ? "FAILED" : "agreed");
    return failed;
}
