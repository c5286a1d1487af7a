/* SPDX-License-Identifier: MIT */
/* sqltext - where the statements of an SQL file begin, for messages that name the line. Inside of
 * pg/ only. */
#ifndef RBF_SQLTEXT_H
#define RBF_SQLTEXT_H

/* The line (from 1) on which the n-th statement (from 0) of text begins; the last line's when there
 * are fewer. Statements are counted as the server does: empty ones are none. Semicolons in quotes,
 * dollar quotes, comments and parentheses end nothing (in BEGIN ATOMIC bodies they wrongly do). */
int sqltext_line_of_statement(const char *text, int n);
/* The line of the n-th character (from 1, as PG_DIAG_STATEMENT_POSITION counts: not bytes). */
int sqltext_line_of_char(const char *text, int n);
#endif
