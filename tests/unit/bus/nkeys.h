/* SPDX-License-Identifier: MIT */
/* Operator, account and user of a nats-server that wants JWTs: keys, tokens, its configuration and
 * a user's .creds file. */
#ifndef RBF_TEST_NKEYS_H
#define RBF_TEST_NKEYS_H
#include "base/buf.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct nkey {
    EVP_PKEY *pair;
    char public[64], seed[80];
};
struct nkeys {
    struct nkey operator_, account, user;
};

static inline void nkey_base32(const unsigned char *p, size_t n, char *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    unsigned bits = 0, have = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        for (have += 8; have >= 5; have -= 5)
            *out++ = digits[bits >> (have - 5) & 31];
    }
    if (have)
        *out++ = digits[bits << (5 - have) & 31];
    *out = '\0';
}

/* CRC-16/XMODEM, little endian, behind n bytes. */
static inline void nkey_crc(unsigned char *p, size_t n) {
    unsigned crc = 0;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned)p[i] << 8;
        for (int k = 0; k < 8; k++)
            crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xFFFF;
    }
    p[n] = crc & 0xFF;
    p[n + 1] = (unsigned char)(crc >> 8);
}

/* kind: 'O', 'A' or 'U', as base32 shows it. */
static inline void nkey_make(struct nkey *k, char kind) {
    unsigned char raw[36], prefix = (unsigned char)((kind - 'A') << 3);
    size_t n = 32;
    k->pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    raw[0] = prefix;
    EVP_PKEY_get_raw_public_key(k->pair, raw + 1, &n);
    nkey_crc(raw, 33);
    nkey_base32(raw, 35, k->public);
    raw[0] = (unsigned char)(('S' - 'A') << 3 | prefix >> 5);
    raw[1] = (unsigned char)((prefix & 31) << 3);
    EVP_PKEY_get_raw_private_key(k->pair, raw + 2, &n);
    nkey_crc(raw, 34);
    nkey_base32(raw, 36, k->seed);
}

static inline void nkey_base64url(struct buf *out, const void *p, size_t n) {
    unsigned char text[2048];
    int len = EVP_EncodeBlock(text, p, (int)n);
    for (int i = 0; i < len && text[i] != '='; i++)
        buf_putc(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i]);
}

/* Caller frees. */
static inline char *nkey_jwt(const struct nkey *by, const struct nkey *about, const char *nats) {
    static const char head[] = "{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}";
    struct buf b = {0};
    unsigned char signature[64];
    size_t n = sizeof signature;
    char *claims = xasprintf("{\"jti\":\"%s\",\"iat\":1700000000,\"iss\":\"%s\",\"name\":\"test\","
                             "\"sub\":\"%s\",\"nats\":%s}",
                             about->public, by->public, about->public, nats);
    nkey_base64url(&b, head, strlen(head));
    buf_putc(&b, '.');
    nkey_base64url(&b, claims, strlen(claims));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestSignInit(ctx, NULL, NULL, NULL, by->pair);
    EVP_DigestSign(ctx, signature, &n, (const unsigned char *)b.p, b.len);
    EVP_MD_CTX_free(ctx);
    buf_putc(&b, '.');
    nkey_base64url(&b, signature, n);
    free(claims);
    return buf_steal(&b);
}

static inline void nkeys_make(struct nkeys *k) {
    nkey_make(&k->operator_, 'O');
    nkey_make(&k->account, 'A');
    nkey_make(&k->user, 'U');
}

static inline void nkeys_free(struct nkeys *k) {
    EVP_PKEY_free(k->operator_.pair);
    EVP_PKEY_free(k->account.pair);
    EVP_PKEY_free(k->user.pair);
}

static inline void nkeys_write_server(const struct nkeys *k, const char *path) {
    char *operator_ =
        nkey_jwt(&k->operator_, &k->operator_, "{\"type\":\"operator\",\"version\":2}");
    char *account = nkey_jwt(&k->operator_, &k->account,
                             "{\"type\":\"account\",\"version\":2,\"limits\":{\"subs\":-1,"
                             "\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,"
                             "\"wildcards\":true,\"conn\":-1,\"leaf\":-1}}");
    FILE *f = fopen(path, "w");
    fprintf(f, "operator: %s\nresolver: MEMORY\nresolver_preload: { %s: %s }\n", operator_,
            k->account.public, account);
    fclose(f);
    free(operator_);
    free(account);
}

static inline void nkeys_write_creds(const struct nkeys *k, const char *path) {
    char *user = nkey_jwt(&k->account, &k->user,
                          "{\"type\":\"user\",\"version\":2,\"subs\":-1,\"data\":-1,"
                          "\"payload\":-1}");
    FILE *f = fopen(path, "w");
    fprintf(f,
            "-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n"
            "-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n",
            user, k->user.seed);
    fclose(f);
    free(user);
}
#endif
