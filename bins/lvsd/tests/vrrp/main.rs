//! Virtual routers as a user runs them: `lvsd` processes on hosts of their own, which are network
//! namespaces joined by a bridge, against each other and against keepalived.

mod lan;
mod router;

mod electing;
mod failing;
mod healing;
mod holding;
mod keepalived;
mod namespace;
mod notifying;
mod reloading;
mod telling;
mod tracking;
