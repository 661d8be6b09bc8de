//! keepalived.conf as data: a parser with exact diagnostics.
