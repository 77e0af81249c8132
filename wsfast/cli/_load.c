/* The load generator of `wsfast bench`: many connections, pre-built messages, a fixed number in
 * flight on each, every reply compared byte for byte.
 *
 * It knows nothing of WebSocket framing: what to send and what must come back are given as bytes,
 * so a raw TCP echo and any server are driven by the same loop. It costs a fraction of the server
 * it loads, which a generator in Python cannot. CPython, POSIX, and not part of the codec.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SO_NOSIGPIPE instead, set in open_socket() */
#endif

enum {
    READ_SIZE = 256 << 10,
    HEAD_MAX = 16 << 10,    /* bytes of an HTTP answer we are willing to look at */
    MAX_CONNECTIONS = 4096,
    MAX_IN_FLIGHT = 4096,
    SIGNAL_CHECK_MS = 50,   /* how long Ctrl-C may wait */
};

/* What one connection sends and expects, over and over: `count` messages of equal length. */
typedef struct {
    char *out;             /* `count` requests, and the first ones again so that any
                              in_flight of them can leave in one send() */
    const char *expect;    /* `count` replies; borrowed from the Python object */
    size_t request_size, reply_size;
    size_t out_size, expect_size; /* of one turn through all `count` */
    size_t out_pos, expect_pos;   /* where in the turn the next byte is */
    size_t unsent;         /* bytes allowed to leave but not yet taken by the kernel */
    size_t outstanding;    /* messages started, reply not complete */
    bool reply_bad;        /* a byte of the reply being received differed */
    int fd;
} Lane;

typedef enum { OK, FAIL_OS, FAIL_TIMEOUT, FAIL_CLOSED, FAIL_HANDSHAKE, FAIL_EXTRA, FAIL_PYTHON } Status;

typedef struct {
    Lane *lanes;
    struct pollfd *polls;
    char *scratch;         /* READ_SIZE bytes; in the handshake the answer's head */
    size_t lane_count, in_flight;
    uint64_t quota;        /* messages that may still be started */
    uint64_t outstanding;  /* of all lanes */
    uint64_t done, mismatches;
    int64_t stop_at;       /* monotonic ns after which nothing is started; INT64_MAX: never */
    int64_t timeout_ns;
    int64_t last_signal_check;
    PyThreadState *thread; /* saved while the GIL is released */
    int err;               /* errno of FAIL_OS */
    char what[256];        /* first line of a refused handshake */
} Load;

static int64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Runs Python's signal handlers now and then; the GIL is released by our caller. */
static Status
check_signals(Load *load, int64_t now)
{
    if (now - load->last_signal_check < (int64_t)SIGNAL_CHECK_MS * 1000000)
        return OK;
    load->last_signal_check = now;
    PyEval_RestoreThread(load->thread);
    int raised = PyErr_CheckSignals();
    load->thread = PyEval_SaveThread();
    return raised ? FAIL_PYTHON : OK;
}

static Status
fail_os(Load *load)
{
    load->err = errno;
    return FAIL_OS;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Waits for one event on one socket, until `deadline`. */
static Status
wait_for(Load *load, int fd, short events, int64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = events, .revents = 0};
    for (;;) {
        int64_t now = now_ns();
        if (now >= deadline)
            return FAIL_TIMEOUT;
        Status status = check_signals(load, now);
        if (status != OK)
            return status;
        int n = poll(&p, 1, SIGNAL_CHECK_MS);
        if (n < 0 && errno != EINTR)
            return fail_os(load);
        if (n > 0)
            return OK;
    }
}

static Status
open_socket(Load *load, Lane *lane, const struct sockaddr *address, socklen_t size,
            int64_t deadline)
{
    lane->fd = socket(address->sa_family, SOCK_STREAM, 0);
    if (lane->fd < 0)
        return fail_os(load);
    int on = 1, error = 0;
    socklen_t error_size = sizeof error;
#ifdef SO_NOSIGPIPE
    setsockopt(lane->fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    if (fcntl(lane->fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(lane->fd, F_SETFL, O_NONBLOCK) < 0 ||
        setsockopt(lane->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        return fail_os(load);
    if (connect(lane->fd, address, size) == 0)
        return OK;
    if (errno != EINPROGRESS)
        return fail_os(load);
    Status status = wait_for(load, lane->fd, POLLOUT, deadline);
    if (status != OK)
        return status;
    if (getsockopt(lane->fd, SOL_SOCKET, SO_ERROR, &error, &error_size) < 0)
        return fail_os(load);
    load->err = error;
    return error ? FAIL_OS : OK;
}

static Status
send_request(Load *load, Lane *lane, const char *request, size_t size, int64_t deadline)
{
    while (size) {
        ssize_t n = send(lane->fd, request, size, MSG_NOSIGNAL);
        if (n >= 0) {
            request += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            Status status = wait_for(load, lane->fd, POLLOUT, deadline);
            if (status != OK)
                return status;
        } else if (errno != EINTR) {
            return fail_os(load);
        }
    }
    return OK;
}

/* Keeps the status line for the error message. */
static Status
refused(Load *load, size_t head)
{
    size_t n = 0;
    while (n < head && n < sizeof load->what - 1 && load->scratch[n] != '\r' &&
           load->scratch[n] != '\n')
        n++;
    memcpy(load->what, load->scratch, n);
    load->what[n] = '\0';
    return FAIL_HANDSHAKE;
}

/* True when the n bytes at `word` occur in the `size` bytes at `text`. */
static bool
contains(const char *text, size_t size, const char *word, size_t n)
{
    for (size_t i = 0; n <= size && i <= size - n; i++)
        if (memcmp(text + i, word, n) == 0)
            return true;
    return false;
}

/* RFC 6455 §4.1: the answer must be a 101 and carry our key's Sec-WebSocket-Accept (`accept`). */
static Status
read_response(Load *load, Lane *lane, const char *accept, size_t accept_size, int64_t deadline)
{
    static const char switching[] = "HTTP/1.1 101 ";
    size_t have = 0;
    while (have < HEAD_MAX && !contains(load->scratch, have, "\r\n\r\n", 4)) {
        Status status = wait_for(load, lane->fd, POLLIN, deadline);
        if (status != OK)
            return status;
        /* Nothing may follow the head: the server speaks only when spoken to. */
        ssize_t n = recv(lane->fd, load->scratch + have, HEAD_MAX - have, 0);
        if (n == 0)
            return have ? refused(load, have) : FAIL_CLOSED;
        if (n < 0 && errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)
            return fail_os(load);
        if (n > 0)
            have += (size_t)n;
    }
    if (have < 4 || memcmp(load->scratch + have - 4, "\r\n\r\n", 4) != 0 ||
        strncmp(load->scratch, switching, sizeof switching - 1) != 0 ||
        !contains(load->scratch, have, accept, accept_size))
        return refused(load, have);
    return OK;
}

/* ---- running ------------------------------------------------------------------------------- */

/* Allows up to `n` more messages to leave on this lane. */
static void
start_messages(Load *load, Lane *lane, size_t n)
{
    if (n > load->quota)
        n = (size_t)load->quota;
    load->quota -= n;
    load->outstanding += n;
    lane->outstanding += n;
    lane->unsent += n * lane->request_size;
}

static Status
flush(Load *load, Lane *lane)
{
    while (lane->unsent) {
        ssize_t n = send(lane->fd, lane->out + lane->out_pos, lane->unsent, MSG_NOSIGNAL);
        if (n >= 0) {
            lane->out_pos = (lane->out_pos + (size_t)n) % lane->out_size;
            lane->unsent -= (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return OK;
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return FAIL_CLOSED;
        } else if (errno != EINTR) {
            return fail_os(load);
        }
    }
    return OK;
}

/* Compares what arrived with what was expected; returns how many replies it completed. */
static size_t
take_replies(Load *load, Lane *lane, const char *data, size_t size)
{
    size_t complete = 0;
    while (size) {
        size_t left = lane->reply_size - lane->expect_pos % lane->reply_size;
        size_t n = size < left ? size : left;
        if (memcmp(data, lane->expect + lane->expect_pos, n) != 0)
            lane->reply_bad = true;
        lane->expect_pos = (lane->expect_pos + n) % lane->expect_size;
        if (n == left) {
            complete++;
            load->mismatches += lane->reply_bad;
            lane->reply_bad = false;
        }
        data += n;
        size -= n;
    }
    return complete;
}

static Status
receive(Load *load, Lane *lane)
{
    ssize_t n = recv(lane->fd, load->scratch, READ_SIZE, 0);
    if (n == 0)
        return FAIL_CLOSED;
    if (n < 0) {
        if (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)
            return OK;
        return errno == ECONNRESET ? FAIL_CLOSED : fail_os(load);
    }
    size_t complete = take_replies(load, lane, load->scratch, (size_t)n);
    bool partial = lane->expect_pos % lane->reply_size != 0;
    /* A message that has not left whole has no reply: else `unsent` could outgrow `out`. */
    size_t waiting = (lane->unsent + lane->request_size - 1) / lane->request_size;
    if (complete + partial > lane->outstanding || complete > lane->outstanding - waiting)
        return FAIL_EXTRA;
    lane->outstanding -= complete;
    load->outstanding -= complete;
    load->done += complete;
    start_messages(load, lane, complete);
    return flush(load, lane);
}

static Status
serve_events(Load *load)
{
    Status status = OK;
    for (size_t i = 0; i < load->lane_count && status == OK; i++) {
        short events = load->polls[i].revents;
        if (events & POLLOUT)
            status = flush(load, &load->lanes[i]);
        if (status == OK && (events & (POLLIN | POLLERR | POLLHUP)))
            status = receive(load, &load->lanes[i]);
        load->polls[i].events = (short)(load->lanes[i].unsent ? POLLIN | POLLOUT : POLLIN);
    }
    return status;
}

/* Sends until `stop_at` or the quota, then waits for every reply that is still out. */
static Status
drive(Load *load)
{
    Status status = OK;
    for (size_t i = 0; i < load->lane_count && status == OK; i++) {
        start_messages(load, &load->lanes[i], load->in_flight);
        status = flush(load, &load->lanes[i]);
        load->polls[i].fd = load->lanes[i].fd;
        load->polls[i].events = (short)(load->lanes[i].unsent ? POLLIN | POLLOUT : POLLIN);
    }
    int64_t progress = now_ns();
    while (status == OK && load->outstanding) {
        int n = poll(load->polls, (nfds_t)load->lane_count, SIGNAL_CHECK_MS);
        int64_t now = now_ns();
        if (now >= load->stop_at)
            load->quota = 0;
        uint64_t before = load->done;
        if (n > 0)
            status = serve_events(load);
        else if (n < 0 && errno != EINTR)
            status = fail_os(load);
        if (load->done != before) /* bytes alone are not progress: a server may trickle */
            progress = now;
        else if (status == OK && now - progress > load->timeout_ns)
            status = FAIL_TIMEOUT;
        if (status == OK)
            status = check_signals(load, now);
    }
    return status;
}

/* ---- the Python side ----------------------------------------------------------------------- */

static PyObject *
raise_status(const Load *load, Status status)
{
    unsigned long long done = load->done;
    switch (status) {
    case FAIL_OS:
        errno = load->err;
        return PyErr_SetFromErrno(PyExc_OSError);
    case FAIL_TIMEOUT:
        return PyErr_Format(PyExc_TimeoutError, "no reply for %lld ms after %llu messages",
                            (long long)(load->timeout_ns / 1000000), done);
    case FAIL_CLOSED:
        return PyErr_Format(PyExc_ConnectionResetError,
                            "the server closed the connection after %llu messages", done);
    case FAIL_HANDSHAKE: {
        PyObject *line = PyUnicode_DecodeLatin1(load->what, (Py_ssize_t)strlen(load->what), NULL);
        if (line != NULL) {
            PyErr_Format(PyExc_ConnectionError, "the server refused the handshake: %R", line);
            Py_DECREF(line);
        }
        return NULL;
    }
    case FAIL_EXTRA:
        return PyErr_Format(PyExc_ConnectionError, "the server sent more than was asked for");
    default:
        return NULL; /* FAIL_PYTHON: already set */
    }
}

/* One lane from a Python tuple (requests, replies, count). The tuple must outlive the lane. */
static int
fill_lane(Lane *lane, PyObject *item, size_t in_flight)
{
    const char *out, *expect;
    Py_ssize_t out_size, expect_size, count;
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a lane is a tuple (requests, replies, count)");
        return -1;
    }
    if (!PyArg_ParseTuple(item, "y#y#n;a lane is a tuple (requests, replies, count)", &out, &out_size,
                          &expect, &expect_size, &count))
        return -1;
    if (count < 1 || out_size < count || expect_size < count || out_size % count ||
        expect_size % count) {
        PyErr_SetString(PyExc_ValueError, "a lane holds `count` messages of equal length");
        return -1;
    }
    lane->out_size = (size_t)out_size;
    lane->expect = expect;
    lane->expect_size = (size_t)expect_size;
    lane->request_size = (size_t)(out_size / count);
    lane->reply_size = (size_t)(expect_size / count);
    size_t window = lane->request_size * in_flight;
    bool fits = window / in_flight == lane->request_size && window <= SIZE_MAX - lane->out_size;
    lane->out = fits ? malloc(lane->out_size + window) : NULL;
    if (lane->out == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t at = 0; at < lane->out_size + window; at += lane->request_size)
        memcpy(lane->out + at, out + at % lane->out_size, lane->request_size);
    return 0;
}

static void
free_load(Load *load)
{
    for (size_t i = 0; load->lanes != NULL && i < load->lane_count; i++) {
        if (load->lanes[i].fd >= 0)
            close(load->lanes[i].fd);
        free(load->lanes[i].out);
    }
    free(load->lanes);
    free(load->polls);
    free(load->scratch);
}

static int
fill_load(Load *load, PyObject *lanes, Py_ssize_t in_flight, double timeout)
{
    Py_ssize_t count = PyTuple_GET_SIZE(lanes);
    if (count < 1 || count > MAX_CONNECTIONS || in_flight < 1 || in_flight > MAX_IN_FLIGHT ||
        !(timeout > 0 && timeout < 1e6)) {
        PyErr_SetString(PyExc_ValueError, "lanes, in_flight or timeout is out of range");
        return -1;
    }
    load->lanes = calloc((size_t)count, sizeof *load->lanes);
    load->polls = calloc((size_t)count, sizeof *load->polls);
    load->scratch = malloc(READ_SIZE);
    if (load->lanes == NULL || load->polls == NULL || load->scratch == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    load->lane_count = (size_t)count;
    load->in_flight = (size_t)in_flight;
    load->timeout_ns = (int64_t)(timeout * 1e9);
    for (size_t i = 0; i < load->lane_count; i++)
        load->lanes[i].fd = -1;
    for (size_t i = 0; i < load->lane_count; i++)
        if (fill_lane(&load->lanes[i], PyTuple_GET_ITEM(lanes, (Py_ssize_t)i), load->in_flight) < 0)
            return -1;
    return 0;
}

typedef struct {
    const char *host, *request, *accept;
    Py_ssize_t request_size, accept_size;
    int port;
} Target;

/* Connects and upgrades every lane; the GIL is released. `request` may be NULL: plain TCP. */
static Status
open_all(Load *load, const Target *target)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char service[16];
    snprintf(service, sizeof service, "%d", target->port);
    if (getaddrinfo(target->host, service, &hints, &found) != 0) {
        load->err = EADDRNOTAVAIL;
        return FAIL_OS;
    }
    int64_t deadline = now_ns() + load->timeout_ns;
    Status status = OK;
    for (size_t i = 0; i < load->lane_count && status == OK; i++) {
        Lane *lane = &load->lanes[i];
        status = open_socket(load, lane, found->ai_addr, found->ai_addrlen, deadline);
        if (status == OK && target->request != NULL)
            status = send_request(load, lane, target->request, (size_t)target->request_size, deadline);
        if (status == OK && target->request != NULL)
            status = read_response(load, lane, target->accept, (size_t)target->accept_size, deadline);
    }
    freeaddrinfo(found);
    return status;
}

/* One phase with the GIL released; -1 with an exception set when it fails. */
static int
phase(Load *load, uint64_t quota, double seconds)
{
    load->quota = quota;
    load->done = load->mismatches = load->outstanding = 0;
    load->stop_at = seconds > 0 ? now_ns() + (int64_t)(seconds * 1e9) : INT64_MAX;
    load->thread = PyEval_SaveThread();
    Status status = drive(load);
    PyEval_RestoreThread(load->thread);
    if (status == OK)
        return 0;
    raise_status(load, status);
    return -1;
}

static int
call_mark(PyObject *mark)
{
    if (mark == Py_None)
        return 0;
    PyObject *result = PyObject_CallNoArgs(mark);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *
run_phases(Load *load, const Target *target, uint64_t warmup, double seconds, uint64_t messages,
           PyObject *mark)
{
    load->thread = PyEval_SaveThread();
    Status status = open_all(load, target);
    PyEval_RestoreThread(load->thread);
    if (status != OK)
        return raise_status(load, status);
    if (warmup && phase(load, warmup, 0) < 0)
        return NULL;
    uint64_t mismatches = load->mismatches;
    if (call_mark(mark) < 0)
        return NULL;
    int64_t start = now_ns();
    if (phase(load, messages ? messages : UINT64_MAX, seconds) < 0)
        return NULL;
    int64_t took = now_ns() - start;
    if (call_mark(mark) < 0)
        return NULL;
    return Py_BuildValue("(KdK)", (unsigned long long)load->done, (double)took / 1e9,
                         (unsigned long long)(load->mismatches + mismatches));
}

PyDoc_STRVAR(run_doc,
"run(host, port, lanes, *, request=None, accept=b'', in_flight=1, warmup=0, seconds=0.0,\n"
"    messages=0, timeout=5.0, mark=None) -> (messages, seconds, mismatches)\n"
"--\n"
"\n"
"Load the server at a numeric host with one connection per lane.\n"
"\n"
"A lane is (requests, replies, count): count messages of equal length, sent round and round, and\n"
"what must come back for each. request is the HTTP upgrade (None: plain TCP), accept a piece the\n"
"101 answer must hold. in_flight messages are kept unanswered on each connection. After warmup\n"
"messages, mark() is called; then it runs for seconds or until messages are done (0: no bound; at\n"
"least one must be given), waits for the replies still out, and calls mark() again. timeout, in\n"
"seconds, bounds the handshakes and the wait for the next reply.\n"
"\n"
"Raises TimeoutError, ConnectionError or another OSError when the server cannot be loaded.");

static PyObject *
load_run(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"host", "port", "lanes", "request", "accept", "in_flight", "warmup",
                            "seconds", "messages", "timeout", "mark", NULL};
    Target target = {.request = NULL, .accept = ""};
    PyObject *lanes, *mark = Py_None, *result = NULL;
    Py_ssize_t in_flight = 1, warmup = 0, messages = 0;
    double seconds = 0, timeout = 5;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "siO|$z#y#nndndO:run", names, &target.host,
                                     &target.port, &lanes, &target.request, &target.request_size,
                                     &target.accept, &target.accept_size, &in_flight, &warmup,
                                     &seconds, &messages, &timeout, &mark))
        return NULL;
    if (warmup < 0 || messages < 0 || !(seconds >= 0 && seconds < 1e6) ||
        (messages == 0 && seconds == 0))
        return PyErr_Format(PyExc_ValueError, "seconds or messages must be given, none negative");
    lanes = PySequence_Tuple(lanes); /* ours: no one can change it while the GIL is released */
    if (lanes == NULL)
        return NULL;
    Load load = {.lanes = NULL};
    if (fill_load(&load, lanes, in_flight, timeout) == 0)
        result = run_phases(&load, &target, (uint64_t)warmup, seconds, (uint64_t)messages, mark);
    free_load(&load);
    Py_DECREF(lanes);
    return result;
}

static PyMethodDef methods[] = {
    {"run", (PyCFunction)(void (*)(void))load_run, METH_VARARGS | METH_KEYWORDS, run_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_load",
    .m_doc = "The load generator of `wsfast bench`.",
    .m_slots = slots,
    .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__load(void)
{
    return PyModuleDef_Init(&definition);
}
