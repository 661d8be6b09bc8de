//! Replays and simulates load-balancing decisions in virtual time.
