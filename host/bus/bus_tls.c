/* SPDX-License-Identifier: MIT */
#include "bus/bus_tls.h"
#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define LOG_PAUSE_MS 10000 /* a failing reconnect is tried four times a second */

/* ---- what goes wrong, and where that is told ---- */

static _Thread_local bool connecting;
static _Thread_local struct bus_tls_failure failure;

/* In a thread of libnats's: nobody else will say it. */
static void log_failure(const struct bus_tls_failure *f) {
    static _Atomic uint64_t next_ms;
    uint64_t now = clock_mono_ms(), due = atomic_load(&next_ms);
    if (now >= due && atomic_compare_exchange_strong(&next_ms, &due, now + LOG_PAUSE_MS))
        log_warn("no TLS with nats-server; trying again", LOG_S("error", f->text));
}

static void fail(enum bus_tls_kind kind, const char *text) {
    struct bus_tls_failure f = {.kind = kind};
    snprintf(f.text, sizeof f.text, "%s", text ? text : "no reason known");
    if (connecting)
        failure = f;
    else
        log_failure(&f);
}

const struct bus_tls_failure *bus_tls_failure(void) {
    return &failure;
}

static enum bus_tls_kind kind_of(long verify_error) {
    switch (verify_error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return BUS_TLS_NAME;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return BUS_TLS_DATES;
    default:
        return BUS_TLS_TRUST;
    }
}

/* The name or address the certificate had to bear, as libnats set it. */
static const char *expected_name(SSL *ssl, char **mine) {
    *mine = X509_VERIFY_PARAM_get1_ip_asc(SSL_get0_param(ssl));
    return *mine ? *mine : X509_VERIFY_PARAM_get0_host(SSL_get0_param(ssl), 0);
}

/* The certificate that libnats refused last, in this thread. */
static _Thread_local char refused_subject[120], refused_issuer[120];

static void fail_verify(SSL *ssl, long verify_error) {
    char text[sizeof failure.text], *mine = NULL;
    const char *name = expected_name(ssl, &mine);
    snprintf(text, sizeof text, "%s: %s, signed by %s, expected for %s",
             X509_verify_cert_error_string(verify_error), refused_subject, refused_issuer,
             name ? name : "nobody");
    OPENSSL_free(mine);
    fail(kind_of(verify_error), text);
}

static _Thread_local bool timed_out; /* the last read or write of this thread */

static void fail_handshake(SSL *ssl) {
    long verify_error = SSL_get_verify_result(ssl);
    unsigned long e = ERR_peek_last_error();
    if (verify_error != X509_V_OK)
        fail_verify(ssl, verify_error);
    else if (failure.kind == BUS_TLS_ALERT && connecting)
        return; /* on_info was told before */
    else if (timed_out)
        fail(BUS_TLS_OTHER, "the server does not answer");
    else if (e)
        fail(BUS_TLS_OTHER, ERR_reason_error_string(e));
    else
        fail(BUS_TLS_OTHER, "the server closed the connection");
}

static void fail_alert(int value) {
    char text[100];
    snprintf(text, sizeof text, "its alert: %s", SSL_alert_desc_string_long(value));
    fail(BUS_TLS_ALERT, text);
}

/* ---- a connection of libnats's ---- */

typedef int (*verify_fn)(int, X509_STORE_CTX *);
static _Atomic(verify_fn) libnats_verify; /* by which its connections are known */
static atomic_int limit_ms;
enum state { UNKNOWN, SHAKING, DONE }; /* of a connection; kept in its ex_data: */
static int state_index;

/* With the retry flags libnats would poll here, without a deadline, until the peer goes on; EAGAIN
 * without them it takes for what it is, and waits for our next event. */
static long on_bio(BIO *bio, int oper, const char *data, size_t len, int argi, long argl, int ret,
                   size_t *n) {
    if (oper != (BIO_CB_READ | BIO_CB_RETURN) && oper != (BIO_CB_WRITE | BIO_CB_RETURN))
        return ret;
    timed_out = ret <= 0 && BIO_should_retry(bio);
    if (timed_out) {
        BIO_clear_retry_flags(bio);
        errno = EAGAIN;
    }
    return ret;
}

/* libnats's own decides. */
static int on_verify(int ok, X509_STORE_CTX *ctx) {
    X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
    if (!ok && cert) {
        X509_NAME_oneline(X509_get_subject_name(cert), refused_subject, sizeof refused_subject);
        X509_NAME_oneline(X509_get_issuer_name(cert), refused_issuer, sizeof refused_issuer);
    }
    return atomic_load(&libnats_verify)(ok, ctx);
}

static enum state state_of(const SSL *ssl) {
    return (enum state)(intptr_t)SSL_get_ex_data(ssl, state_index);
}

static void set_state(SSL *ssl, enum state state) {
    SSL_set_ex_data(ssl, state_index, (void *)(intptr_t)state);
}

/* The socket blocks while it shakes hands; later it does not, and the limits mean nothing. */
static void prepare(SSL *ssl) {
    int ms = atomic_load(&limit_ms);
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    char *mine = NULL;
    SSL_set_verify(ssl, SSL_VERIFY_PEER, on_verify);
    setsockopt(SSL_get_fd(ssl), SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    setsockopt(SSL_get_fd(ssl), SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    /* what could not be written is offered again, from a buffer that may have grown and moved */
    SSL_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    BIO_set_callback_ex(SSL_get_rbio(ssl), on_bio);
    /* libnats can be built without looking at names: then nothing is let in */
    if (!expected_name(ssl, &mine))
        SSL_set1_host(ssl, "nobody");
    OPENSSL_free(mine);
}

static bool is_libnats(SSL *ssl) {
    verify_fn verify = SSL_get_verify_callback(ssl);
    if (connecting)
        atomic_store(&libnats_verify, verify);
    return verify && verify == atomic_load(&libnats_verify);
}

static void on_info(const SSL *const_ssl, int where, int ret) {
    int code = errno;
    SSL *ssl = (SSL *)const_ssl;
    enum state state = state_of(ssl); /* a session ticket shakes hands when all is done */
    if (state == UNKNOWN && where == SSL_CB_HANDSHAKE_START && is_libnats(ssl)) {
        set_state(ssl, SHAKING);
        prepare(ssl);
    } else if (state == SHAKING && where == SSL_CB_HANDSHAKE_DONE) {
        set_state(ssl, DONE);
        failure.kind = BUS_TLS_DONE;
    } else if (state == SHAKING && where == SSL_CB_CONNECT_EXIT && ret <= 0) {
        fail_handshake(ssl);
    } else if (state != UNKNOWN && where == SSL_CB_READ_ALERT && ret >> 8 == SSL3_AL_FATAL) {
        fail_alert(ret);
    }
    errno = code;
}

/* Of every TLS connection of the process; whose it is cannot be seen yet. */
static void on_new(void *ssl, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp) {
    if (!SSL_get_info_callback(ssl))
        SSL_set_info_callback(ssl, on_info);
}

static void install(void) {
    state_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, on_new, NULL, NULL);
    if (state_index < 0)
        abort(); /* out of memory */
}

void bus_tls_prepare(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}

void bus_tls_begin(int timeout_ms) {
    bus_tls_prepare();
    atomic_store(&limit_ms, timeout_ms);
    failure = (struct bus_tls_failure){0};
    connecting = true;
}

void bus_tls_end(void) {
    connecting = false;
}

/* ---- options ---- */

bool bus_tls_wanted(const struct bus_options *o) {
    return o->ca_file || o->cert_file || o->key_file || strstr(o->url, "tls://");
}

static int check_file(const char *path, const char *flag, struct err *err) {
    if (!path || access(path, R_OK) == 0)
        return 0;
    return err_set(err, ERR_CONFIG, "cannot read %s, given as %s: %s", path, flag, strerror(errno));
}

/* -1 with the flag's file and OpenSSL's reason. */
static int check_pem(int ok, const char *path, const char *what, struct err *err) {
    if (ok == 1)
        return 0;
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    return err_set(err, ERR_CONFIG, "%s is not %s (%s)", path, what, why ? why : "unreadable");
}

/* Both halves that libnats looks for; it would only say "Error". */
static int check_creds(const char *path, struct err *err) {
    enum { MOST = 65536 };
    char *text = xcalloc(1, MOST);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, MOST - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    bool good = strstr(text, "BEGIN NATS USER JWT") && strstr(text, "BEGIN USER NKEY SEED");
    OPENSSL_cleanse(text, MOST);
    free(text);
    if (good)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "%s holds no user JWT and seed, as --nats-creds-file wants (the file `nsc "
                   "generate creds` writes)",
                   path);
}

/* libnats would read them, too, but names neither the file nor the flag. */
static int check_contents(const struct bus_options *o, struct err *err) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int rc = 0;
    ERR_clear_error();
    if (o->ca_file)
        rc = check_pem(SSL_CTX_load_verify_locations(ctx, o->ca_file, NULL), o->ca_file,
                       "a file of CA certificates (PEM), as --nats-ca-file wants", err);
    if (!rc && o->cert_file)
        rc = check_pem(SSL_CTX_use_certificate_chain_file(ctx, o->cert_file), o->cert_file,
                       "a certificate (PEM), as --nats-cert-file wants", err);
    if (!rc && o->key_file)
        rc = check_pem(SSL_CTX_use_PrivateKey_file(ctx, o->key_file, SSL_FILETYPE_PEM), o->key_file,
                       "the certificate's private key (PEM), as --nats-key-file wants", err);
    ERR_clear_error(); /* others on this thread look at it */
    SSL_CTX_free(ctx);
    return rc;
}

int bus_tls_check(const struct bus_options *o, struct err *err) {
    if (check_file(o->ca_file, "--nats-ca-file", err) ||
        check_file(o->cert_file, "--nats-cert-file", err) ||
        check_file(o->key_file, "--nats-key-file", err) ||
        check_file(o->creds_file, "--nats-creds-file", err))
        return -1;
    if (!o->cert_file != !o->key_file)
        return err_set(err, ERR_CONFIG,
                       "a client certificate needs both --nats-cert-file and --nats-key-file");
    if (o->creds_file && check_creds(o->creds_file, err))
        return -1;
    return bus_tls_wanted(o) ? check_contents(o, err) : 0;
}

#define TRY(call) (s = s == NATS_OK ? (call) : s)

natsStatus bus_tls_options(natsOptions *opts, const struct bus_options *o) {
    natsStatus s = NATS_OK;
    if (bus_tls_wanted(o))
        TRY(natsOptions_SetSecure(opts, true));
    if (o->ca_file)
        TRY(natsOptions_LoadCATrustedCertificates(opts, o->ca_file));
    if (o->cert_file)
        TRY(natsOptions_LoadCertificatesChain(opts, o->cert_file, o->key_file));
    if (o->creds_file)
        TRY(natsOptions_SetUserCredentialsFromFiles(opts, o->creds_file, NULL));
    return s;
}
