//! Virtual routers as a user runs them: `lvsd` processes on hosts of their own, which are network
//! namespaces joined by a bridge, against each other, against keepalived and against FRR.

mod lan;
mod router;

mod bfd;
mod cloud;
mod electing;
mod failing;
mod frr;
mod healing;
mod holding;
mod hostile;
mod keepalived;
mod mailing;
mod mixed;
mod namespace;
mod naming;
mod notifying;
mod reloading;
mod reminding;
mod replaying;
mod scheduling;
mod suspending;
mod telling;
mod tracking;
