//! `lvsd` as a user runs it: real processes, real servers, real configuration text.

mod backend;
mod lab;
mod load;

mod dying;
mod failing;
mod meddling;
mod reloading;
mod serving;
mod status;
mod unread;
